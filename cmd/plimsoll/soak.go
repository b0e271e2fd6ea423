package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/soak"
)

// hung is how long one trial may take. It takes seconds.
const hung = 5 * time.Minute

// soaking is what soak was asked for.
type soaking struct {
	names            []string
	seeds            int
	first            uint64
	length           time.Duration
	faults           []string
	parallel, shrink int
	out              string
	json             bool
}

func (o *outside) soak() *cobra.Command {
	var q soaking
	c := &cobra.Command{
		Use:   "soak [NAME|FILE...]",
		Short: "Run many windows of scenarios with faults, each with another seed, and check every promise",
		Long: `Deal runs over the scenarios, built in or files, by their seeds: a window of the
scenario, all faults on, and a calm end. Each run is judged by all monitors and
compared with the same run without faults. Without a name, all built-in scenarios
are taken but ports-churn, whose requests come one by one and take ten times as long.

A run that breaks a promise is made small and written to the folder --out. The
exit code is 8 if there is one.`,
		ValidArgsFunction: builtinNames,
		RunE: verb(func(c *cobra.Command, args []string) error {
			if q.names = args; len(args) == 0 {
				q.names = scenario.Soaked()
			}
			return o.runSoak(c.Context(), q)
		}),
	}
	c.Flags().IntVar(&q.seeds, "seeds", 100, "how many runs, each with a seed of its own")
	c.Flags().Uint64Var(&q.first, "seed", 1, "the first seed")
	c.Flags().DurationVar(&q.length, "for", 2*time.Hour, "how long each run is at most, in virtual time")
	c.Flags().StringArrayVar(&q.faults, "fault", nil, "switch this fault on, `NAME[=RATE]`, a rate from 0 to 1, instead of all at their usual rates; may be given again")
	c.Flags().IntVar(&q.parallel, "parallel", runtime.GOMAXPROCS(0), "runs at a time")
	c.Flags().IntVar(&q.shrink, "shrink", 150, "runs that making a failure small may take; 0: none is")
	c.Flags().StringVar(&q.out, "out", filepath.Join("dist", "soak"), "the `folder` that failures are written to")
	c.Flags().BoolVar(&q.json, "json", false, "print one JSON object")
	return c
}

func (o *outside) runSoak(ctx context.Context, q soaking) error {
	opts, err := o.soakOptions(q)
	if err != nil {
		return err
	}
	sum, err := soak.Run(ctx, opts)
	if o.errTerminal {
		fmt.Fprint(o.err, "\r\x1b[K")
	}
	switch {
	case ctx.Err() != nil:
		return failed(exitInterrupted, "interrupted")
	case err != nil:
		return err
	}
	sum.Commit, sum.Date = o.commit(), o.now().UTC().Format(time.DateOnly)
	for _, f := range sum.Failures {
		err = errors.Join(err, o.keep(q, f, sum.Commit))
	}
	return errors.Join(err, o.tellSoak(q, sum))
}

// soakOptions are the options that a command line means. What is wrong with its
// scenarios and its faults is told together.
func (o *outside) soakOptions(q soaking) (soak.Options, error) {
	opts := soak.Options{
		Trials: q.seeds, First: q.first, Length: q.length, Parallel: q.parallel, Shrink: q.shrink, Judge: o.judge, Clock: o.now, Done: o.counter(q.seeds),
		Within: func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, hung) },
	}
	if q.seeds < 1 || q.parallel < 1 || q.shrink < 0 || q.length < soak.Shortest() || q.length%time.Minute != 0 {
		return opts, failed(exitUsage, "soak wants one of --seeds or more, one run at a time (--parallel) or more, --shrink 0 or more, and --for whole minutes, %s or more", soak.Shortest())
	}
	rates, bad := scenario.ParseFaults(q.faults)
	err := invalid("command line", "soak", bad)
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		opts.Faults = append(opts.Faults, scenario.Fault{Name: name, Rate: new(rates[name])})
	}
	for _, name := range q.names {
		s, wrong := o.scenario(name)
		err = errors.Join(err, wrong)
		opts.Scenarios = append(opts.Scenarios, soak.Named{Name: name, Scenario: s})
	}
	return opts, err
}

// counter keeps one line on the error terminal up to date.
func (o *outside) counter(trials int) func(soak.Outcome) {
	if !o.errTerminal || o.env("TERM") == "dumb" {
		return nil
	}
	done, broken := 0, 0
	return func(x soak.Outcome) {
		done++
		if len(x.Broken) > 0 {
			broken++
		}
		fmt.Fprintf(o.err, "\r%d of %d trials, %d broke a promise\x1b[K", done, trials, broken)
	}
}

// keep writes a failure's scenario to the folder.
func (o *outside) keep(q soaking, f soak.Failure, commit string) error {
	raw, err := f.Text(commit, "Again: "+q.again(f))
	if err == nil {
		err = o.folder(q.out)
	}
	if err != nil {
		return err
	}
	out, err := o.create(filepath.Join(q.out, f.File()))
	if err != nil {
		return fmt.Errorf("create the file of a failure: %w", err)
	}
	_, err = out.Write(raw)
	return errors.Join(err, out.Close())
}

// again is the command that runs a failure's trial again, as it was.
func (q soaking) again(f soak.Failure) string {
	line := fmt.Sprintf("plimsoll soak %s --seeds 1 --seed %d --for %s --shrink 0", quoted(f.Scenario), f.Seed, policy.Duration{Duration: q.length})
	for _, fault := range q.faults {
		line += " --fault " + quoted(fault)
	}
	return line
}

// small is the command that runs what a failure was made small to.
func (q soaking) small(f soak.Failure) string {
	return fmt.Sprintf("plimsoll simulate %s --seed %d --judge", quoted(filepath.Join(q.out, f.File())), f.Seed)
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+:,./") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// commit is what was built: by the environment, where go run does not know it.
func (o *outside) commit() string {
	if given := o.env("PLIMSOLL_COMMIT"); given != "" {
		return given
	}
	return built()
}

// tellSoak prints a summary, and is the failure of a soak that broke promises.
func (o *outside) tellSoak(q soaking, sum soak.Summary) error {
	text := q.summary(sum)
	if q.json {
		raw, err := json.MarshalIndent(struct {
			Version int `json:"version"`
			soak.Summary
		}{1, sum}, "", "  ")
		if err != nil {
			return fmt.Errorf("write the summary: %w", err)
		}
		text = string(raw) + "\n"
	}
	_, err := fmt.Fprint(o.out, text)
	if err == nil && sum.Broken > 0 {
		return &failure{code: exitMissed}
	}
	return err
}
