package plan

import (
	"cmp"
	"slices"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// How much one round of register calls for. Elastic Load Balancing lets an
// account register and deregister 20 times at once and 4 times a second after
// that, all its services together (its guide, API throttling), so a round leaves
// some to others. Of Cloud Map no such limit is known.
const (
	targetCalls   = 16
	registryCalls = 20
	batchMax      = 200 // targets a call: the API tells no limit, and other controllers keep to this one
	splits        = 8   // so many parts a batch that was refused is tried in
)

// ask is one port to register or to take off.
type ask struct {
	roster  *roster
	turn    cluster.Turn
	spot    spot
	port    cluster.HostPort
	task    string // ARN; empty: not known
	address string
}

func (a ask) verb() cluster.Verb {
	switch {
	case a.spot.id != "" && a.turn == cluster.TurnNew:
		return cluster.RegisterInstance
	case a.spot.id != "":
		return cluster.DeregisterInstance
	case a.turn == cluster.TurnNew:
		return cluster.RegisterTargets
	default:
		return cluster.DeregisterTargets
	}
}

// spend makes changes of what is asked for, the most urgent first, as far as one
// round may call; the rest is left for the next.
func (r *reaching) spend() {
	left := r.budget()
	slices.SortStableFunc(r.asks, func(a, b ask) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(left.rank(a), left.rank(b)), cmp.Compare(a.roster.subject, b.roster.subject), compareSpots(a.spot, b.spot))
	})
	for rest := r.asks; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].turn == rest[0].turn && rest[n].roster == rest[0].roster {
			n++
		}
		for _, batch := range r.batches(rest[:n]) {
			s := batch[0].roster
			if ok, wait := left.take(batch[0]); ok {
				s.do(batch)
			} else {
				s.counts[CallsSpent] += len(batch)
				r.look(wait)
			}
		}
		rest = rest[n:]
	}
}

// batches splits what is asked for at one roster into calls. One wrong target has a
// whole call refused, so what was refused is tried in smaller and smaller parts.
// They begin after what was refused, so that every part has its turn, however
// many are wrong, also where a round ends at the first refusal.
func (r *reaching) batches(asks []ask) [][]ask {
	verb, size := asks[0].verb(), batchMax
	if asks[0].spot.id != "" {
		return slices.Collect(slices.Chunk(asks, 1))
	}
	if m := asks[0].roster.memory; m.Size > 0 && asks[0].turn == cluster.TurnNew {
		asks, size = after(asks, m.After), part(m.Size)
	}
	for _, i := range r.state.Intents {
		if !wronged(i) || i.Verb != verb || i.Reaches == nil || i.Reaches.Group != asks[0].roster.key || len(i.Reaches.Ports) == 0 {
			continue
		}
		ports := i.Reaches.Ports
		asks, size = after(asks, ports[len(ports)-1]), part(len(ports))
	}
	return slices.Collect(slices.Chunk(asks, size))
}

// part is how many of a batch that was refused are tried at once.
func part(n int) int { return (n + splits - 1) / splits }

// after is what is asked for, beginning behind a port.
func after(asks []ask, port cluster.HostPort) []ask {
	next := max(0, slices.IndexFunc(asks, func(a ask) bool { return comparePorts(a.port, port) > 0 }))
	return slices.Concat(asks[next:], asks[:next])
}

// change is the call for a batch.
func change(batch []ask) cluster.Change {
	a := batch[0]
	reach := &cluster.Reach{Turn: a.turn}
	for _, b := range batch {
		reach.Ports, reach.Tasks = append(reach.Ports, b.port), append(reach.Tasks, b.task)
	}
	c := cluster.Change{Verb: a.verb(), Subject: a.roster.subject, From: len(batch), Reaches: reach}
	if a.turn == cluster.TurnNew {
		c.From, c.To = 0, len(batch)
	}
	if a.spot.id != "" {
		reach.Registry, reach.Instance, reach.Address = a.roster.key, a.spot.id, a.address
	} else {
		reach.Group = a.roster.key
	}
	return c
}
