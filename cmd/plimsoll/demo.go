package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/report"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

const (
	demoScenario = "web-day"
	demoSpeed    = 4320 // a day in 20 s
	leastSpeed   = 60   // an interrupt is heard once a virtual minute
	frames       = 12   // redrawn pictures a second, about
	leastHeight  = 14   // lines of a terminal on which a picture can be redrawn
)

func (o *outside) demo() *cobra.Command {
	var seed uint64
	var speed float64
	var color string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Watch hosts and tasks follow a day of web traffic, in a simulated ECS",
		Args:  cobra.NoArgs,
		RunE: verb(func(c *cobra.Command, _ []string) error {
			page, err := o.page(color)
			if err != nil {
				return err
			}
			if !(speed == 0 || speed >= leastSpeed) {
				return failed(exitUsage, "--speed is how many virtual seconds pass in a second: %d or more, or 0 to wait for nothing, not %g", leastSpeed, speed)
			}
			if !o.redraws() && !c.Flags().Changed("speed") {
				speed = 0
			}
			s, err := scenario.Builtin(demoScenario)
			if err != nil {
				return err
			}
			return o.perform(c.Context(), page, s, seed, speed)
		}),
	}
	c.Flags().Uint64Var(&seed, "seed", 1, "another seed is another day")
	c.Flags().Float64Var(&speed, "speed", demoSpeed, "virtual seconds a second, 60 or more; 0: as fast as it goes, which is the default on a pipe")
	colorFlag(c, &color)
	return c
}

// perform runs a scenario for somebody who watches.
func (o *outside) perform(ctx context.Context, page report.Page, s scenario.Scenario, seed uint64, speed float64) error {
	fmt.Fprintln(o.out, page.Wrapped(s.Title+" in a simulated ECS: the same functions that Lambda runs, no AWS account.")+"\n")
	opts := scenario.Options{Seed: seed, Driver: simcloud.Jump{}}
	if speed > 0 {
		opts.Driver = simcloud.NewPaced(speed)
	}
	show, end := o.lines(page, s)
	if o.redraws() {
		show, end = o.pictures(page, s, speed)
	}
	r, err := play(ctx, s, opts, show)
	end()
	if err != nil {
		return err
	}
	fmt.Fprintln(o.out, strings.Join([]string{page.Picture(s, r), page.Summary(s, r), page.Verdict(r), next(s, r)}, "\n"))
	return verdict(r)
}

// redraws says whether a picture can be drawn over itself.
func (o *outside) redraws() bool {
	return o.terminal && o.env("TERM") != "dumb" && (o.height == 0 || o.height >= leastHeight)
}

// lines shows a line every two hours of a day.
func (o *outside) lines(page report.Page, s scenario.Scenario) (show func(scenario.Sample), end func()) {
	every := report.Every(s.Length.Duration)
	show = func(x scenario.Sample) {
		if x.At.Sub(s.Start)%every == 0 {
			fmt.Fprintln(o.out, page.Line(s, x))
		}
	}
	return show, func() { fmt.Fprintln(o.out) }
}

// pictures shows a picture that is drawn over itself. end leaves the terminal as
// it was, without the picture.
func (o *outside) pictures(page report.Page, s scenario.Scenario, speed float64) (show func(scenario.Sample), end func()) {
	const hide, unhide, rest = "\x1b[?25l", "\x1b[?25h", "\x1b[J"
	every := max(time.Minute, time.Duration(speed/frames*float64(time.Second)).Round(time.Minute))
	if speed == 0 {
		every = 10 * time.Minute
	}
	var so []scenario.Sample
	up := "" // to the picture's first line
	show = func(x scenario.Sample) {
		so = append(so, x)
		if x.At.Sub(s.Start)%every != 0 {
			return
		}
		frame := page.Live(s, so)
		fmt.Fprint(o.out, hide+up+strings.ReplaceAll(frame, "\n", "\x1b[K\n"))
		up = fmt.Sprintf("\x1b[%dA\r", strings.Count(frame, "\n"))
	}
	return show, func() { fmt.Fprint(o.out, up+rest+unhide) }
}

// next is what to try next: the greatest rise of a service is worth a question.
func next(s scenario.Scenario, r scenario.Result) string {
	service, at, most := s.Services[0].Name, s.Start, 0
	for _, x := range r.History {
		if d := x.Decision; d != nil && d.Subject == cluster.ServiceSubject(service) && d.To-d.From > most {
			at, most = x.At, d.To-d.From
		}
	}
	group := ""
	if len(s.Policy.Hosts) > 0 {
		group = s.Policy.Hosts[0].Group
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Seed %d, trace hash %s: the same seed is the same run.\n\nNext:\n", r.Seed, r.TraceHash)
	for _, line := range [][2]string{
		{fmt.Sprintf("explain %s %s --at %s", s.Name, service, at.Format("15:04:05")), fmt.Sprintf("why %d tasks more, all at once", most)},
		{fmt.Sprintf("explain %s %s", s.Name, group), "when hosts came and went"},
		{fmt.Sprintf("simulate %s --seed %d --json", s.Name, r.Seed+1), "another day, for a machine"},
	} {
		fmt.Fprintf(&b, "  plimsoll %-36s %s\n", line[0], line[1])
	}
	return b.String()
}
