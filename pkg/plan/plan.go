// Package plan decides. Its functions are pure: the same state and policy give
// the same plan, and nothing outside the plan changes. It must not know where
// the state comes from, what happens to the plan, or what time it is but for
// State.Now.
package plan

import (
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// Plan is the answer of one round. Printing it is the dry run.
type Plan struct {
	Decisions []Decision     // in the order to apply their changes; also what was not done
	Memory    cluster.Memory // what the next round must know
	Next      time.Time      // when to look again; zero: the sweep is soon enough
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

// Actions are the plan's changes in the order to apply.
func (p Plan) Actions() []cluster.Change {
	var all []cluster.Change
	for _, d := range p.Decisions {
		all = append(all, d.Changes...)
	}
	return all
}
