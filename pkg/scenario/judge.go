package scenario

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// mostReplays bounds what one judgement costs: each replay is a run up to the
// dip's end.
const mostReplays = 20

// Verdict is what the two oracles find.
type Verdict struct {
	LeftOut      string `json:"leftOut,omitempty"` // why the end was not compared
	HostsWithout int    `json:"hostsWithout"`      // at the end of the run without faults: it may differ from End.Hosts by hosts that are in use
	World        int    `json:"world"`             // times that a service fell below its floor by what the world did alone
	Shared       int    `json:"shared"`            // that it would not have without an action of ours, which was right until the world did something
	Ours         int    `json:"ours"`              // that it would not have without an action of ours: a violation
	Unjudged     int    `json:"unjudged"`          // that no replay was left for: a violation, since nobody knows
	Replays      int    `json:"replays"`
}

// Judge runs a scenario like Run and asks two oracles about it, whose findings
// are violations like those of the monitors.
//
// "differential": the end is equal to that of the same seed without any fault;
// what the scenario itself lets happen, happens in both. It needs a calm at the
// end, see Calmed. "L3": no message is left in a queue then.
//
// "blame": each time that a service falls below its floor, it does so as well
// without the actions that take its health: the same seed is run again up to
// the first of them, which is refused with all that follow until the dip is over.
func Judge(ctx context.Context, s Scenario, o Options) (Result, error) {
	return judge(ctx, s, o, func() (Result, error) { return without(ctx, s, o) })
}

// without is the run that the end is compared with.
func without(ctx context.Context, s Scenario, o Options) (Result, error) {
	s.Faults = nil
	return Run(ctx, s, Options{Seed: o.Seed})
}

func judge(ctx context.Context, s Scenario, o Options, without func() (Result, error)) (Result, error) {
	r, m, err := run(ctx, s, o, nil)
	if err != nil {
		return Result{}, err
	}
	r.Verdict = &Verdict{}
	if s.Calm.Duration == 0 {
		r.Verdict.LeftOut = "the scenario does not end calm, so that many ends are right"
	} else {
		want, err := without()
		if err != nil {
			return Result{}, fmt.Errorf("the run without faults: %w", err)
		}
		r.compare(want)
	}
	if err := m.blame(ctx, s, o, &r); err != nil {
		return Result{}, fmt.Errorf("lay blame for %s with seed %d: %w", s.Name, o.Seed, err)
	}
	return r, nil
}

// compare is the differential oracle.
func (r *Result) compare(want Result) {
	r.Verdict.HostsWithout = want.End.Hosts
	at := time.Time{}
	if n := len(r.Samples); n > 0 {
		at = r.Samples[n-1].At
	}
	for _, difference := range r.End.Differences(want.End) {
		r.Violations = append(r.Violations, Violation{Promise: "differential", At: at, Subject: r.Scenario, Detail: difference})
	}
	for _, message := range r.End.Unheard {
		r.Violations = append(r.Violations, Violation{Promise: "L3", At: at, Subject: r.Scenario, Detail: message})
	}
}

// blame is the blame oracle: it judges each dip of the run.
func (m *monitors) blame(ctx context.Context, s Scenario, o Options, r *Result) error {
	v := r.Verdict
	for _, x := range m.dips.all(m.world.cloud.Now()) {
		suspects := m.dips.suspects(x)
		if len(suspects) == 0 {
			v.World++
			continue
		}
		if v.Replays == mostReplays {
			v.Unjudged++
			r.Violations = append(r.Violations, Violation{
				Promise: "blame", At: x.from, Subject: x.service, Invocation: suspects[0].invocation,
				Detail: fmt.Sprintf("not judged: service %s was below its floor of %d from %s, and %d replays were all", x.service, x.floor, clock(x.from), mostReplays),
			})
			continue
		}
		v.Replays++
		least, err := replay(ctx, s, o, x, suspects[0])
		switch {
		case err != nil:
			return err
		case least < x.floor:
			v.World++
		case m.dips.shared(suspects, x):
			v.Shared++
		default:
			v.Ours++
			r.Violations = append(r.Violations, blamed(x, suspects[0], least))
		}
	}
	return nil
}

// blamed is the violation of a dip that an action made.
func blamed(x dip, first taking, least int) Violation {
	return Violation{
		Promise: "blame", At: x.from, Subject: x.service, Invocation: first.invocation,
		Detail: fmt.Sprintf("service %s was below its floor of %d from %s until %s, and without %s of %s at %s it would have had %d or more; %s",
			x.service, x.floor, clock(x.from), clock(x.until), first.action, first.subject, clock(first.at), least, first.record),
	}
}

// again is what a replay leaves out and what it is to see.
type again struct {
	dip   dip
	first taking // the first action that is refused

	healthy int       // of the service
	since   time.Time // when it began to be so many
	least   int       // of what lasted within the dip
}

// replay runs the same seed without the actions that take the service's health
// from the first one on, until the dip is over, and says how many healthy tasks it
// had at the least meanwhile.
func replay(ctx context.Context, s Scenario, o Options, x dip, first taking) (int, error) {
	a := &again{dip: x, first: first, least: math.MaxInt}
	_, m, err := run(ctx, s, Options{Seed: o.Seed, Faults: o.Faults, Spoil: o.Spoil, sabotage: o.sabotage}, a)
	if err != nil {
		return 0, err
	}
	n := slices.IndexFunc(m.dips.takings, func(t taking) bool { return t.number == first.number })
	if n < 0 || m.dips.takings[n].trace != first.trace {
		return 0, fmt.Errorf("the replay is another run before %s of %s at %s", first.action, first.subject, clock(first.at))
	}
	a.sample(x.service, 0, x.until)
	return a.least, nil
}

// sample takes in how many healthy tasks a service has from now on. What is so
// for an instant only does not count.
func (a *again) sample(service string, healthy int, now time.Time) {
	if service != a.dip.service {
		return
	}
	if now.After(a.since) && now.After(a.dip.from) && !a.since.IsZero() {
		a.least = min(a.least, a.healthy)
	}
	a.healthy, a.since = healthy, now
}

// refuse leaves the actions out of a replay.
func (m *monitors) refuse(c simcloud.Call) error {
	a := m.again
	n := len(m.dips.takings)
	takes := n > 0 && m.dips.takings[n-1].number == m.dips.calls && slices.Contains(m.dips.takings[n-1].services, a.dip.service)
	if !takes || m.dips.calls < a.first.number || c.At.After(a.dip.until) {
		return nil
	}
	why := aws.String("left out, to see what would be without it")
	if strings.EqualFold(c.Service, "autoscaling") {
		return &astypes.ScalingActivityInProgressFault{Message: why}
	}
	return &ecstypes.ClientException{Message: why}
}
