package soak

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// Failure is a trial that broke a promise, and how to see that again.
type Failure struct {
	Scenario  string    `json:"scenario"` // as a command line gives it
	Seed      uint64    `json:"seed"`
	Promise   string    `json:"promise"` // the first that was broken
	At        time.Time `json:"at"`      // virtual
	Subject   string    `json:"subject"`
	Detail    string    `json:"detail"`
	Others    int       `json:"others"`  // violations of the same trial besides
	Records   []string  `json:"records"` // the last that was decided about the subject before, and done
	Before    Size      `json:"before"`
	After     Size      `json:"after"` // made small; as before if it was not
	ShrinkRun int       `json:"shrinkRuns"`

	Small scenario.Scenario `json:"-"` // made small; the trial's own if it was not
}

// How much of failures is told.
const (
	shrunkAtMost = 5 // trials that are made small
	records      = 8 // lines
)

// failures tells of failed trials. The first of each promise is made small, of
// the others those that there is room for.
func (o Options) failures(ctx context.Context, failed []Outcome) []Failure {
	all, told, shrunk := []Failure{}, map[string]bool{}, 0
	for _, x := range failed {
		v := x.Broken[0]
		f := Failure{
			Scenario: x.Name, Seed: x.Seed, Promise: v.Promise, At: v.At, Subject: v.Subject, Detail: v.Detail, Others: len(x.Broken) - 1,
			Records: recorded(x.Result.History, v), Before: sizeOf(x.Scenario), After: sizeOf(x.Scenario), Small: x.Scenario,
		}
		if o.Shrink > 0 && shrunk < shrunkAtMost && !told[f.Promise] {
			shrunk, told[f.Promise] = shrunk+1, true
			f.Small, f.ShrinkRun = shrink(x.Scenario, func(s scenario.Scenario) bool { return o.breaks(ctx, s, x.Seed, f.Promise) }, o.Shrink)
			f.After = sizeOf(f.Small)
		}
		all = append(all, f)
	}
	return all
}

// breaks says whether a scenario breaks a promise.
func (o Options) breaks(ctx context.Context, s scenario.Scenario, seed uint64, promise string) bool {
	if ctx.Err() != nil {
		return false
	}
	_, broken := o.judge(ctx, s, seed)
	return slices.ContainsFunc(broken, func(v scenario.Violation) bool { return v.Promise == promise })
}

// recorded are the last records about a violation's subject, of no later than it.
func recorded(history []scenario.Record, v scenario.Violation) []string {
	about := func(s cluster.Subject) bool { return string(s) == v.Subject || s.Name() == v.Subject }
	lines := []string{}
	for _, r := range history {
		switch {
		case r.At.After(v.At):
		case r.Decision != nil && about(r.Decision.Subject):
			lines = append(lines, decided(r))
		case r.Intent != nil && about(r.Intent.Subject):
			lines = append(lines, intended(*r.Intent))
		}
	}
	return lines[max(0, len(lines)-records):]
}

func decided(r scenario.Record) string {
	d, figures := r.Decision, []string{}
	for _, n := range d.Numbers {
		figures = append(figures, numbered(n))
	}
	line := fmt.Sprintf("%s decided %s: %d to %d, %s", clock(r.At), d.Subject, d.From, d.To, d.Reason)
	if r.Count > 1 {
		line += fmt.Sprintf(", %d times until %s", r.Count, clock(r.Until))
	}
	if len(figures) > 0 {
		line += " (" + strings.Join(figures, ", ") + ")"
	}
	return line
}

func numbered(n plan.Number) string { return fmt.Sprintf("%s %.6g", n.Name, n.Value) }

func intended(i cluster.Intent) string {
	outcome := string(i.Outcome)
	if outcome == "" {
		outcome = "no outcome"
	}
	line := fmt.Sprintf("%s intent %s: %s %s from %d to %d: %s", clock(i.At), i.ID, i.Verb, i.Subject, i.From, i.To, outcome)
	if i.Detail != "" {
		line += " (" + i.Detail + ")"
	}
	return line
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// File is what the failure's scenario is called in a folder.
func (f Failure) File() string {
	return fmt.Sprintf("%s-%d.yaml", strings.TrimSuffix(path.Base(strings.ReplaceAll(f.Scenario, `\`, "/")), ".yaml"), f.Seed)
}

// Text is the failure's scenario as a file, with what there is to say at its head.
func (f Failure) Text(commit, replay string) ([]byte, error) {
	raw, err := scenario.Write(f.Small)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("A soak of commit %s found that this breaks %s (first seen of %s, seed %d).\n%s", commit, f.Promise, f.Scenario, f.Seed, replay)
	return append([]byte("# "+strings.ReplaceAll(head, "\n", "\n# ")+"\n"), raw...), nil
}
