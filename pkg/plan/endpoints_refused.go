package plan

import (
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// How a place whose registrations are refused is tried again: after refusedFirst,
// then after twice as long each time, at most after refusedLast. A task
// that started as little as newcomer before the refusal need not be what is wrong, and
// does not wait.
const (
	refusedFirst = 15 * time.Second
	refusedLast  = 5 * time.Minute
	newcomer     = 30 * time.Second
)

// wronged is an intent that was refused for what it asks, not for its time.
func wronged(i cluster.Intent) bool {
	return i.Outcome == cluster.OutcomeRefused && !names(i.Detail, throttlingErrors())
}

// lastCalls are the last call at a roster that was refused, and when the last one
// began that was taken. Those of one round begin at the same time.
func (r *reaching) lastCalls(s *roster, which func(cluster.Intent) bool) (refused cluster.Intent, taken time.Time) {
	for _, i := range r.state.Intents {
		if i.Reaches == nil || i.Reaches.Group+i.Reaches.Registry != s.key || !which(i) {
			continue
		}
		done := i.Outcome == cluster.OutcomeApplied || i.Outcome == cluster.OutcomeShown
		if wronged(i) && !i.At.Before(refused.At) {
			refused = i
		} else if done && i.At.After(taken) {
			taken = i.At
		}
	}
	return refused, taken
}

// recall finds what is remembered of registrations at a roster that were refused,
// with what the last round brought.
func (r *reaching) recall(s *roster) {
	s.memory = r.state.Memory.Places[s.subject]
	last, taken := r.lastCalls(s, registers)
	m := &s.memory
	switch {
	case taken.After(m.At) && !last.At.After(taken):
		*m = cluster.PlaceMemory{}
	case last.At.After(m.At) && last.At.After(taken):
		wait := min(refusedFirst<<min(m.Tries, 10), refusedLast)
		ports := last.Reaches.Ports
		*m = cluster.PlaceMemory{Tries: m.Tries + 1, At: last.At, Until: last.At.Add(wait), Size: len(ports)}
		if len(ports) > 0 {
			m.After = ports[len(ports)-1]
		}
	}
}

// held says whether a task's registration waits since others there were refused.
func (r *reaching) held(s *roster, task string) bool {
	m := s.memory
	return m.Until.After(r.state.Now) && r.tasks[task].StartedAt.Before(m.At.Add(-newcomer))
}

// places is what is to be remembered of refusals; one that is over is told as none.
func (r *reaching) places() map[cluster.Subject]cluster.PlaceMemory {
	all := map[cluster.Subject]cluster.PlaceMemory{}
	for _, s := range r.rosters {
		if r.state.Memory.Places[s.subject].Tries+s.memory.Tries > 0 {
			all[s.subject] = s.memory
		}
	}
	return all
}

// budget is what one round may call for. What was refused last may be so again:
// it gets a few calls, and one where others want some.
type budget struct {
	targets, registries int
	made                map[*roster]int
	refused             map[*roster]bool
	each                int // calls at a roster that was refused
}

func (r *reaching) budget() *budget {
	b := &budget{targets: targetCalls, registries: registryCalls, made: map[*roster]int{}, refused: map[*roster]bool{}, each: splits}
	for _, s := range slices.Concat(r.rosters, r.others) {
		last, taken := r.lastCalls(s, func(cluster.Intent) bool { return true })
		b.refused[s] = last.At.After(taken) || s.memory.Tries > 0
	}
	if slices.ContainsFunc(r.asks, func(a ask) bool { return !b.refused[a.roster] }) {
		b.each = 1
	}
	return b
}

// rank puts what was refused last behind the others of its turn.
func (b *budget) rank(a ask) int {
	if b.refused[a.roster] {
		return 1
	}
	return 0
}

// take takes one call, or says when there may be one.
func (b *budget) take(a ask) (ok bool, wait time.Duration) {
	left := &b.targets
	if a.spot.id != "" {
		left = &b.registries
	}
	switch {
	case b.refused[a.roster] && b.made[a.roster] >= b.each:
		return false, refusedFirst
	case *left == 0:
		return false, refilled
	}
	*left--
	b.made[a.roster]++
	return true, 0
}
