// Package plan decides. Its functions are pure: the same state and policy give
// the same plan, and nothing outside the plan changes. It must not know where
// the state comes from, what happens to the plan, or what time it is but for
// State.Now.
package plan

import (
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// Plan is the answer of one round. Printing it is the dry run.
type Plan struct {
	Decisions []Decision     // in the order to apply their changes; also what was not done
	Memory    cluster.Memory // what the next round must know
	Next      time.Time      // when to look again; zero: the sweep is soon enough
	Claims    []Claim        // port records to write before the changes, sorted by port; a port whose record is not had is WithoutPorts
	Released  []Claim        // port records to delete, sorted by port
}

// Claim is a port record to be written or deleted, each in one conditional write.
type Claim struct {
	Port  cluster.HostPort
	Owner cluster.Owner // to write or delete; Version is that of the record that it replaces, and 0 where there must be none
}

// Decision is what was decided about one subject, and why. One without changes
// says why nothing was done.
type Decision struct {
	Subject cluster.Subject  `json:"subject"`
	From    int              `json:"from"`
	To      int              `json:"to"`
	Reason  Reason           `json:"reason"`
	Numbers []Number         `json:"numbers,omitempty"` // what it rests on, in the order to read them
	Changes []cluster.Change `json:"-"`                 // noted as intents of their own
}

// Number is a figure that a decision rests on.
type Number struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Actions are the plan's changes in the order to apply: that of the decisions,
// but that of changes of register those go first whose turn comes first.
func (p Plan) Actions() []cluster.Change {
	var all []cluster.Change
	for _, d := range p.Decisions {
		all = append(all, d.Changes...)
	}
	slices.SortStableFunc(all, func(a, b cluster.Change) int { return int(turnOf(a) - turnOf(b)) })
	return all
}

// turnOf is the turn of a change; all of reconcile's have the same one.
func turnOf(c cluster.Change) cluster.Turn {
	if c.Reaches == nil {
		return 0
	}
	return c.Reaches.Turn
}

// Observed is the plan with all that it would change taken out: decided and
// recorded, not done.
func (p Plan) Observed() Plan {
	p.Decisions, p.Claims, p.Released = slices.Clone(p.Decisions), nil, nil
	for i := range p.Decisions {
		p.Decisions[i].Changes = nil
	}
	return p
}

// WithoutPorts is the plan without what it would register on some ports, whose
// records could not be had. What it takes off stays: anybody may.
func (p Plan) WithoutPorts(lost []cluster.HostPort) Plan {
	gone := func(port cluster.HostPort) bool { return slices.Contains(lost, port) }
	decisions := slices.Clone(p.Decisions)
	for i, d := range decisions {
		decisions[i].Changes = nil
		for _, c := range d.Changes {
			if c, some := without(c, gone); some {
				decisions[i].Changes = append(decisions[i].Changes, c)
			}
		}
	}
	p.Decisions = decisions
	p.Claims = slices.DeleteFunc(slices.Clone(p.Claims), func(c Claim) bool { return gone(c.Port) })
	return p
}

// without is a change without some ports to register; false where none is left.
func without(c cluster.Change, gone func(cluster.HostPort) bool) (cluster.Change, bool) {
	if c.Reaches == nil || c.Reaches.Turn != cluster.TurnNew {
		return c, true
	}
	reach := *c.Reaches
	reach.Ports, reach.Tasks = nil, nil
	for i, port := range c.Reaches.Ports {
		if !gone(port) {
			reach.Ports, reach.Tasks = append(reach.Ports, port), append(reach.Tasks, c.Reaches.Tasks[i])
		}
	}
	c.To, c.Reaches = len(reach.Ports), &reach
	return c, c.To > 0
}
