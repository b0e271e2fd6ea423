package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/report"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/soak"
)

// simulation is what simulate was asked for.
type simulation struct {
	trace, logs, color string
	peak               float64
	seed               uint64
	faults             []string
	json, judge        bool
}

func (o *outside) simulate() *cobra.Command {
	var q simulation
	c := &cobra.Command{
		Use:   "simulate [NAME|FILE]",
		Short: "Run a scenario, and say what came of it; without a name, list the built-in ones",
		Long: `Run a scenario in the simulated ECS, and say what came of it. A scenario is a
built-in one or a file. Without a name, the built-in ones are listed.

The exit code is 8 if an expectation was missed or a promise was broken.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: builtinNames,
		RunE: verb(func(c *cobra.Command, args []string) error {
			page, err := o.page(q.color)
			if err != nil {
				return err
			}
			if c.Flags().Changed("peak") && (q.trace == "" || !(q.peak > 0 && q.peak <= 1e9)) {
				return failed(exitUsage, "--peak is the requests a second at the height of a --trace, more than 0 and 1e9 at most")
			}
			if len(args) == 0 {
				return o.list(c)
			}
			return o.runSimulation(c.Context(), page, args[0], q)
		}),
	}
	c.Flags().StringVar(&q.trace, "trace", "", "a file of lines `seconds,value` that replaces the shape of the load")
	c.Flags().Float64Var(&q.peak, "peak", 0, "requests a second at the trace's height (default: the scenario's own)")
	c.Flags().Uint64Var(&q.seed, "seed", 1, "another seed is another run")
	c.Flags().StringArrayVar(&q.faults, "fault", nil, "switch a fault on, `NAME[=RATE]`, a rate from 0 to 1 (default: the fault's usual one); may be given again")
	c.Flags().BoolVar(&q.judge, "judge", false, "compare with the same run without faults too, and say who is to blame for a service under its floor: several runs")
	c.Flags().BoolVar(&q.json, "json", false, "print one JSON object")
	c.Flags().StringVar(&q.logs, "logs", "", "write what the functions log to this file")
	colorFlag(c, &q.color)
	return c
}

func builtinNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return scenario.Builtins(), cobra.ShellCompDirectiveDefault
}

// list prints the built-in scenarios.
func (o *outside) list(c *cobra.Command) error {
	if c.Flags().NFlag() > 0 {
		return failed(exitUsage, "simulate needs the name of a scenario or a file")
	}
	for _, name := range scenario.Builtins() {
		s, err := scenario.Builtin(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%-16s %s\n", name, s.Title)
	}
	return nil
}

func (o *outside) runSimulation(ctx context.Context, page report.Page, name string, q simulation) error {
	s, err := o.traced(name, q)
	faults, bad := scenario.ParseFaults(q.faults)
	if err := errors.Join(err, invalid("command line", "simulate", bad)); err != nil {
		return err
	}
	opts := scenario.Options{Seed: q.seed, Faults: faults}
	if q.logs != "" {
		f, err := o.create(q.logs)
		if err != nil {
			return fmt.Errorf("create the file for logs: %w", err)
		}
		defer func() { _ = f.Close() }() // each line was written as it came
		opts.Logs = f
	}
	how := soak.Judge(scenario.Run)
	if q.judge {
		how = o.judge
	}
	r, err := played(ctx, how, s, opts, o.ticker(page, s))
	if err != nil {
		return err
	}
	if q.json {
		raw, err := report.JSON(r)
		if err == nil {
			_, err = o.out.Write(raw)
		}
		return errors.Join(err, verdict(r))
	}
	under := ""
	if q.trace != "" {
		under = " under " + q.trace
	}
	head := fmt.Sprintf("%s%s: %.4gh, seed %d, trace hash %s", s.Title, under, r.Hours, r.Seed, r.TraceHash)
	_, err = io.WriteString(o.out, strings.Join([]string{page.Wrapped(head) + "\n", page.Summary(s, r), page.Verdict(r)}, "\n"))
	return errors.Join(err, verdict(r))
}

// traced is the scenario under the trace that was asked for. What is wrong with
// either is told together.
func (o *outside) traced(name string, q simulation) (scenario.Scenario, error) {
	s, err := o.scenario(name)
	if q.trace == "" {
		return s, err
	}
	raw, bad := o.file("trace", q.trace)
	var t *scenario.Trace
	if bad == nil {
		t, bad = scenario.ReadTrace(q.trace, raw)
		bad = invalid("trace", q.trace, bad)
	}
	if err := errors.Join(err, bad); err != nil {
		return s, err
	}
	return s.WithTrace(t, q.peak), nil
}

// ticker keeps one line on the error terminal up to date, so that a long run is
// not silent.
func (o *outside) ticker(page report.Page, s scenario.Scenario) func(scenario.Sample) {
	if !o.errTerminal || o.env("TERM") == "dumb" {
		return func(scenario.Sample) {}
	}
	every, end := report.Every(s.Length.Duration)/6, s.Start.Add(s.Length.Duration)
	return func(x scenario.Sample) {
		if x.At.Equal(end) {
			fmt.Fprint(o.err, "\r\x1b[K")
		} else if x.At.Sub(s.Start)%every == 0 {
			fmt.Fprint(o.err, "\r"+page.Line(s, x)+"\x1b[K")
		}
	}
}
