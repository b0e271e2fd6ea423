package reconcile

import (
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// Figures are what one round came to. Those of a plan are there only if the round
// came as far as one: unknown is not zero.
type Figures struct {
	Key     string
	At      time.Time // the end of the round, by a clock that all rounds share
	Failed  bool
	Planned *Planned       // nil: the round did not come so far
	Lag     *time.Duration // from the wake-up to the first change that was applied; nil: none was, or nobody knows

	sent time.Time // the wake-up
}

// Planned are the figures of a plan.
type Planned struct {
	Reasons map[plan.Reason]int // decisions
	Changes int
	Sized   *Sized // of a cluster; nil: the plan is about something else
}

// Sized are the figures of a cluster's plan.
type Sized struct {
	Waiting  int           // tasks that are wanted and do not run
	Wait     time.Duration // the longest that a service has been waiting for a count that has no room
	Unplaced int           // tasks that have no place on the hosts there are
	Hosts    int           // that are wanted, in all groups
}

// counted are the figures of any plan.
func counted(p plan.Plan) *Planned {
	x := &Planned{Reasons: map[plan.Reason]int{}, Changes: len(p.Actions())}
	for _, d := range p.Decisions {
		x.Reasons[d.Reason]++
	}
	return x
}

// planned are the figures of a cluster's plan.
func planned(s cluster.State, p plan.Plan) *Planned {
	x := &Sized{}
	for _, d := range p.Decisions {
		if d.Subject == cluster.GroupSubject(d.Subject.Name()) {
			x.Hosts += d.To
			x.Unplaced = max(x.Unplaced, unplaced(d)) // each group's decision tells that of all
		}
	}
	for _, v := range s.Services {
		m := p.Memory.Services[v.Name]
		x.Waiting += max(0, max(v.Desired, m.Target)-v.Running)
		if m.Target > v.Desired && !m.Since.IsZero() {
			x.Wait = max(x.Wait, s.Now.Sub(m.Since))
		}
	}
	all := counted(p)
	all.Sized = x
	return all
}

// unplaced is the number of that name that a group's decision rests on.
func unplaced(d plan.Decision) int {
	for _, n := range d.Numbers {
		if n.Name == "unplaced" {
			return int(n.Value)
		}
	}
	return 0
}

// acted takes up that a change was applied.
func (f *Figures) acted(at time.Time) {
	if f.Lag == nil && !f.sent.IsZero() {
		lag := max(0, at.Sub(f.sent))
		f.Lag = &lag
	}
}
