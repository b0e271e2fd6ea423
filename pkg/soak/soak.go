// Package soak deals many runs of scenarios beset by faults, by their seeds, sums
// up what came of them, and makes what failed small enough to read. It must not
// judge a run, which scenario does, nor know how the functions work.
package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// Judge runs a scenario and says what came of it, as scenario.Judge does.
type Judge func(context.Context, scenario.Scenario, scenario.Options) (scenario.Result, error)

// Options are what a soak is made of.
type Options struct {
	Scenarios []Named
	Trials    int
	First     uint64           // seed of trial 0; trial n has First+n
	Length    time.Duration    // virtual, of a trial at most, its calm end included
	Faults    []scenario.Fault // by name and rate; nil: all that the simulated cloud has, at their usual rates
	Parallel  int              // trials under way at a time, 1 or more
	Shrink    int              // runs that making one failure small may take; 0: none is made small
	Judge     Judge
	Within    func(context.Context) (context.Context, context.CancelFunc) // the context of one run, which ends if the run hangs; nil: the soak's
	Clock     func() time.Time                                            // real: for how long trials take
	Done      func(Outcome)                                               // each trial as it ends, in any order, one at a time; nil: nobody wants to know
}

// Named is a scenario by what a command line calls it: its name or its file.
type Named struct {
	Name string
	scenario.Scenario
}

// Trial is one run of a soak. It depends on its scenario, its seed and the
// options, not on other trials.
type Trial struct {
	Name     string // of the scenario, as a command line gives it
	Seed     uint64
	Scenario scenario.Scenario // a window of the whole one, with the faults
}

// Outcome is what came of a trial.
type Outcome struct {
	Trial
	Result scenario.Result
	Broken []scenario.Violation // promises; a run that failed or panicked is one, called "run"
	Took   time.Duration        // real
}

// tail is how long the calm lasts in which a trial ends.
func tail() time.Duration { return scenario.Scenario{}.Calmed(0).Length.Duration }

// Shortest is the shortest Length that leaves time for faults.
func Shortest() time.Duration { return tail() + time.Minute }

// Deal makes trial n: a window of its scenario at an offset of its seed, with
// the faults, and calm at the end.
func (o Options) Deal(n int) Trial {
	named, seed := o.Scenarios[n%len(o.Scenarios)], o.First+uint64(n) //nolint:gosec // not negative
	s := named.Scenario
	length := min(o.Length-tail(), s.Length.Duration)
	room := int((s.Length.Duration - length) / time.Minute)
	offset := rand.New(rand.NewPCG(seed, 0x736f616b)).IntN(room + 1) //nolint:gosec // chance of a simulation, not a secret
	s = s.Window(time.Duration(offset)*time.Minute, length)
	s.Faults = slices.Concat(s.Faults, o.faults())
	return Trial{Name: named.Name, Seed: seed, Scenario: s.Calmed(length)}
}

// faults are those that every trial has.
func (o Options) faults() []scenario.Fault {
	if o.Faults != nil {
		return o.Faults
	}
	var all []scenario.Fault
	for _, k := range simcloud.FaultKinds() {
		all = append(all, scenario.Fault{Name: k.Name})
	}
	return all
}

// Run runs a soak. An error means that ctx ended or that the options are wrong;
// what failed is in the summary.
func Run(ctx context.Context, o Options) (Summary, error) {
	if len(o.Scenarios) == 0 || o.Trials < 1 || o.Length < Shortest() || o.Parallel < 1 {
		return Summary{}, fmt.Errorf("soak: %d scenarios, %d trials of %s, %d at a time: one or more of each, %s or more", len(o.Scenarios), o.Trials, o.Length, o.Parallel, Shortest())
	}
	began := o.Clock()
	sum := newSummary(o)
	var failed []Outcome
	for _, x := range o.trials(ctx) {
		sum.add(x)
		if len(x.Broken) > 0 {
			failed = append(failed, x)
		}
	}
	sum.Failures = o.failures(ctx, failed)
	if ctx.Err() != nil {
		return Summary{}, fmt.Errorf("soak: %w", context.Cause(ctx))
	}
	sum.Seconds = o.Clock().Sub(began).Seconds()
	return sum, nil
}

// trials runs all trials and returns their outcomes in the trials' order.
func (o Options) trials(ctx context.Context) []Outcome {
	all, next := make([]Outcome, o.Trials), make(chan int)
	var working sync.WaitGroup
	var telling sync.Mutex
	for range min(o.Parallel, o.Trials) {
		working.Go(func() {
			for n := range next {
				x := o.run(ctx, o.Deal(n))
				telling.Lock()
				all[n] = x
				if o.Done != nil {
					o.Done(x)
				}
				telling.Unlock()
			}
		})
	}
	for n := range o.Trials {
		if ctx.Err() != nil {
			break
		}
		next <- n
	}
	close(next)
	working.Wait()
	return all
}

// run runs one trial. What it does not need for a report is forgotten: a soak
// has thousands.
func (o Options) run(ctx context.Context, t Trial) Outcome {
	began := o.Clock()
	r, broken := o.judge(ctx, t.Scenario, t.Seed)
	r.Samples = nil
	if len(broken) == 0 {
		r.History, t.Scenario = nil, scenario.Scenario{}
	}
	return Outcome{Trial: t, Result: r, Broken: broken, Took: o.Clock().Sub(began)}
}

// judge is the judgement of a run, in which a failure of the run itself is a
// broken promise too.
func (o Options) judge(ctx context.Context, s scenario.Scenario, seed uint64) (r scenario.Result, broken []scenario.Violation) {
	fails := func(detail string) {
		broken = append(broken, scenario.Violation{Promise: "run", At: s.Start, Subject: s.Name, Detail: detail})
	}
	defer func() {
		if why := recover(); why != nil {
			fails(fmt.Sprintf("panic: %v\n%s", why, debug.Stack()))
		}
	}()
	own := ctx
	if o.Within != nil {
		var end context.CancelFunc
		own, end = o.Within(ctx)
		defer end()
	}
	r, err := o.Judge(own, s, scenario.Options{Seed: seed, Logs: io.Discard}) // logs, for the fault of a log that takes none
	broken = r.Violations
	if err != nil && ctx.Err() == nil {
		fails(err.Error())
	}
	return r, broken
}
