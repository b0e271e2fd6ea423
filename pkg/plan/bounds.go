package plan

import (
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// minimumPatience is how long a service below the policy's minimum waits for
// room for all of it. Then the minimum is set without: no count between is
// allowed, and ECS places what it can.
const minimumPatience = 5 * time.Minute

// tally counts a service's tasks.
type tally struct {
	existing int // not STOPPED, stopping ones included
	live     int // not told to stop
	healthy  int
	leaving  int // live ones on hosts that are DRAINING or go
	losing   int // of those, healthy ones
}

// tallies counts every service's tasks by its name. away holds the hosts, by
// ARN, that will not keep their tasks.
func tallies(s cluster.State, away map[string]bool) map[string]tally {
	all := make(map[string]tally, len(s.Services))
	for i := range s.Tasks {
		t := &s.Tasks[i]
		c := all[t.Service]
		c.existing++
		leaves := away[t.Host]
		if !t.Stopping() {
			c.live++
			if leaves {
				c.leaving++
			}
		}
		if r, known := s.Revisions[t.Revision]; t.Healthy(r, s.Now) && (known || t.Health == "HEALTHY") {
			c.healthy++
			if leaves {
				c.losing++
			}
		}
		all[t.Service] = c
	}
	return all
}

// owed is the number of tasks that ECS has yet to start: what the desired
// count lacks, what must leave its host, and while a deployment cannot stop
// old tasks without breaking the floor, what it may start on top.
func owed(s cluster.Service, t tally, minimum, maximum int) int {
	if s.Controller != "ECS" || s.Scheduling == "DAEMON" {
		return 0
	}
	live := t.there(s)
	missing := max(0, s.Desired-(live-t.leaving))
	if !s.Deploying() || t.healthy > floorOf(s.Desired, minimum) {
		return missing
	}
	return max(missing, min(rolling(s), s.Desired*maximum/100-max(t.existing, live)))
}

// there is how many tasks of the service ECS has that it did not tell to stop.
// The service and the list of its tasks are read one after the other.
func (t tally) there(s cluster.Service) int { return max(s.Running+s.Pending, t.live) }

// rolling is the number of tasks that the primary deployment still lacks.
func rolling(s cluster.Service) int {
	for _, d := range s.Deployments {
		if d.Status == "PRIMARY" {
			return max(0, d.Desired-d.Running-d.Pending)
		}
	}
	return 0
}

// percents are the bounds that a service is held to: the policy's, or its own.
func percents(s cluster.Service, r policy.Service) (minimum, maximum int) {
	minimum, maximum = s.MinimumHealthyPercent, s.MaximumPercent
	if r.MinimumHealthyPercent != nil {
		minimum = *r.MinimumHealthyPercent
	}
	if r.MaximumPercent != nil {
		maximum = *r.MaximumPercent
	}
	return minimum, maximum
}

// floorOf is how many healthy tasks a desired count needs, rounded up as ECS
// rounds.
func floorOf(desired, minimum int) int { return (desired*minimum + 99) / 100 }

// fall is what a lower desired count is judged by.
type fall struct {
	tally   tally
	most    int // tasks there may be by the time of the call
	coming  int // of those that ECS has yet to start, as many as have a place now
	minimum int // percent
}

// allowed says whether lowering the desired count keeps the floor of the new
// one (promise S1). ECS picks the victims among all tasks, so each may be a
// healthy one; what empties a DRAINING host comes on top.
func (f fall) allowed(to int) bool {
	taken := min(f.tally.healthy, max(0, f.most-to)+f.drained(to))
	return taken <= 0 || f.tally.healthy-taken >= floorOf(to, f.minimum)
}

// drained is how many healthy tasks ECS may take from DRAINING hosts once the
// count, and its floor with it, is lower. ECS keeps the floor there by tasks
// that are RUNNING, so it is a matter of those that are not healthy yet, or will
// come for the tasks that leave: without any, what runs is healthy.
func (f fall) drained(to int) int {
	unripe := f.tally.live - f.tally.healthy + min(f.coming, max(0, to-(f.tally.live-f.tally.leaving)))
	if unripe <= 0 {
		return 0
	}
	return f.tally.losing
}

// lowest is the count nearest to want that lowering from a count may reach in
// one step.
func (f fall) lowest(from, want int) int {
	for to := want; to < from; to++ {
		if f.allowed(to) {
			return to
		}
	}
	return from
}

// mayRaise says whether all tasks that a raise leads to stay below the ceiling
// of the new count (promise S2): as many as it wants, those that the old count
// still owes among them, and on top those that have not stopped yet. A list of
// tasks that was cut short says nothing of it: the service's own count, which
// those that stop are in, tells of more.
func (t tally) mayRaise(s cluster.Service, to, maximum int) bool {
	stopping := max(t.existing, s.Running+s.Pending) - t.live
	return max(t.live, to)+stopping <= to*maximum/100
}

// lower settles a count that is to fall. Tasks that do not exist are coming if
// they find a place now; homeless ones do not, and are given up without any
// stopping. While ECS replaces a revision the count does not fall; a step that
// would end above the policy's maximum is not taken.
func (z *sizing) lower(homeless, coming int) {
	from := z.service.Desired
	if z.service.Deploying() {
		z.hold, z.to = DeploymentRuns, from
		return
	}
	minimum, _ := percents(z.service, z.rules)
	to := fall{z.tally, from - homeless, coming, minimum}.lowest(from, z.wanted)
	if to > z.rules.Tasks.Max {
		to = from
	}
	if to > z.wanted {
		z.hold = FloorReached
		z.note(Number{"healthy", float64(z.tally.healthy)}, Number{"floor", float64(floorOf(z.wanted, minimum))})
		if z.tally.losing > 0 {
			z.note(Number{"onDrainingHosts", float64(z.tally.losing)})
		}
	}
	z.to = to
}

// raise settles a count that is to rise, by no more tasks than there is room
// for now.
func (z *sizing) raise(room int) {
	from := z.service.Desired
	to := from + min(room, z.wanted-from)
	if to < z.wanted {
		z.hold = WaitingForHosts
		z.note(Number{"room", float64(room)})
	}
	if to < z.rules.Tasks.Min {
		to = from
		if z.waited() >= minimumPatience {
			to = z.rules.Tasks.Min
		}
	}
	_, maximum := percents(z.service, z.rules)
	if to > from && !z.tally.mayRaise(z.service, to, maximum) {
		z.hold, to = CeilingReached, from
		z.note(Number{"existing", float64(max(z.tally.existing, z.service.Running+z.service.Pending))}, Number{"ceiling", float64(z.wanted * maximum / 100)})
	}
	z.to = to
}

// waited is how long the service has been waiting for its wanted count.
func (z *sizing) waited() time.Duration {
	if z.memory.Since.IsZero() {
		return 0
	}
	return z.now.Sub(z.memory.Since)
}

// settle writes what the next round must know. A count that may not fall now
// is not kept as a goal: the next round finds it again.
func (z *sizing) settle() {
	m, goal := &z.memory, z.wanted
	if goal < z.service.Desired {
		goal = z.to
	}
	if goal != z.base {
		m.Changes = append(m.Changes, cluster.Resize{At: z.now, From: z.base, To: goal})
	}
	waited := !m.Since.IsZero() && m.Target > z.service.Desired
	switch {
	case goal <= z.to:
		m.Since = time.Time{}
	case !waited:
		m.Since = z.now
	}
	m.Target = goal
}

// reason says what drives a change, or else what holds the count.
func (z *sizing) reason() Reason {
	from := z.service.Desired
	switch {
	case z.to == from:
		return z.hold
	case from < z.rules.Tasks.Min:
		return BelowMinimum
	case from > z.rules.Tasks.Max:
		return AboveMaximum
	case z.to > from && z.blind:
		return WaitingForHosts
	case z.to > from:
		return AboveTarget
	default:
		return BelowTarget
	}
}
