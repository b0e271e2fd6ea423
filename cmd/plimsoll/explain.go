package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/report"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// question is what explain was asked.
type question struct {
	scenario, about, at, color string
	seed                       uint64
}

func (o *outside) explain() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "explain SCENARIO SERVICE|HOST|GROUP",
		Short: "Say what was decided about a service, a host or a group in a run, and why",
		Long: `Run a scenario, and say from the records of the run what was decided about a
service, a host or a group, and why. Without --at, its changes are listed.`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: builtinNames,
		RunE: verb(func(c *cobra.Command, args []string) error {
			page, err := o.page(q.color)
			if err != nil {
				return err
			}
			q.scenario, q.about = args[0], args[1]
			return o.answer(c.Context(), page, q)
		}),
	}
	c.Flags().StringVar(&q.at, "at", "", "a `time`: 12:40 or 12:40:30 of the first day, 26h10m since the start, or 2026-08-03T12:40:30Z")
	c.Flags().Uint64Var(&q.seed, "seed", 1, "of the run")
	colorFlag(c, &q.color)
	return c
}

func (o *outside) answer(ctx context.Context, page report.Page, q question) error {
	s, err := o.scenario(q.scenario)
	if err != nil {
		return err
	}
	var at time.Time
	if q.at != "" {
		if at, err = moment(s, q.at); err != nil {
			return err
		}
	}
	r, err := play(ctx, s, scenario.Options{Seed: q.seed}, o.ticker(page, s))
	if err != nil {
		return err
	}
	about, err := subject(s, r, q.about)
	if err != nil {
		return err
	}
	text := page.Timeline(r, about)
	if q.at != "" {
		text = page.Explain(r, about, at)
	}
	_, err = io.WriteString(o.out, text)
	return err
}

// moment reads a time of a scenario's run: of the first day, since the start, or
// absolute.
func moment(s scenario.Scenario, text string) (time.Time, error) {
	at, err := readMoment(s, text)
	if err != nil {
		return at, err
	}
	if end := s.Start.Add(s.Length.Duration); at.Before(s.Start) || at.After(end) {
		return at, failed(exitUsage, "--at %s is outside of the run, which lasts from %s to %s", text, s.Start.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	return at, nil
}

func readMoment(s scenario.Scenario, text string) (time.Time, error) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			midnight := s.Start.UTC().Truncate(24 * time.Hour)
			whole := time.Second
			if layout == "15:04" {
				whole = time.Minute
			}
			since := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
			return midnight.Add(since + whole - 1), nil // what is shown as that time is meant
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return s.Start.Add(d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, failed(exitUsage, "--at %q is no time: write 12:40 or 12:40:30 (of the first day), 26h10m (since the start) or 2026-08-03T12:40:30Z", text)
}

// subject finds what a word names: a subject in full, its name, or the beginning
// of a host's.
func subject(s scenario.Scenario, r scenario.Result, word string) (cluster.Subject, error) {
	all := subjects(s, r)
	var begin, names []string
	for _, x := range all {
		if word == string(x) || word == x.Name() {
			return x, nil
		}
		if abbreviates(word, x) {
			begin = append(begin, x.Name())
		}
		names = append(names, string(x))
	}
	switch len(begin) {
	case 1:
		return cluster.HostSubject(begin[0]), nil
	case 0:
		return "", failed(exitNotFound, "the run of %s has nothing called %s; it has %s", s.Name, word, strings.Join(names, ", "))
	default:
		return "", failed(exitNotFound, "%s is the beginning of %s", word, strings.Join(begin, ", "))
	}
}

// subjects are all that a run can be asked about: services and groups first.
func subjects(s scenario.Scenario, r scenario.Result) []cluster.Subject {
	var all []cluster.Subject
	for _, x := range s.Services {
		all = append(all, cluster.ServiceSubject(x.Name))
	}
	for _, g := range s.Groups {
		all = append(all, cluster.GroupSubject(g.Name))
	}
	for _, x := range report.Subjects(r) {
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	return all
}

// abbreviates says whether a word is the beginning of a host's name, and more
// than what all hosts' names begin with.
func abbreviates(word string, x cluster.Subject) bool {
	word = strings.TrimPrefix(word, "host/")
	return x == cluster.HostSubject(x.Name()) && len(word) > len("i-") && strings.HasPrefix(x.Name(), word)
}
