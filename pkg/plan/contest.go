package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// A desired count is contested when another hand has so often in so long undone
// what plimsoll had set. One change is a person's, and two may be; plimsoll
// corrects those. Whoever does it a third time within half an hour means it, or
// is another controller, and to go on would be a fight that nobody wins.
const (
	contestedBy = 3
	contestedIn = 30 * time.Minute
)

// A contested count is left alone for contestHold, then tried once more; undone
// again it is left alone for twice as long, up to contestLongest.
const (
	contestHold    = 15 * time.Minute
	contestLongest = time.Hour
)

// overruledFor is how long another hand's change waits to be judged: until a
// round wants to go back, which it does not as long as a metric is missing. What
// is wanted later is wanted for other causes, such as a load that has changed.
const overruledFor = 2 * time.Minute

// settings are the counts that a service is known to have had, oldest first:
// those remembered, and those of the open intents that have happened. An intent
// has happened if its call succeeded, or if the cloud shows a count that is not an
// older one. One that may never have happened is no count of ours.
func (o *overlay) settings(v cluster.Service, chain []int) []cluster.Setting {
	h := slices.Clone(o.state.Memory.Services[v.Name].Counts)
	for _, i := range chain {
		in := o.state.Intents[i]
		fresh := v.Desired == in.To && (o.settled(in) || !mayShow(h, in.To, o.raw.Now))
		if in.Outcome == cluster.OutcomeApplied || fresh {
			h = setBy(h, in)
		}
	}
	return h
}

// setBy adds the count that an intent set at its place in time, once.
func setBy(h []cluster.Setting, in cluster.Intent) []cluster.Setting {
	n := len(h)
	for ; n > 0 && !h[n-1].At.Before(in.At); n-- {
		if s := h[n-1]; s.At.Equal(in.At) {
			if s.Ours && s.Count == in.To {
				return h
			}
			break // what the look of that very round showed comes first
		}
	}
	return slices.Insert(h, n, cluster.Setting{At: in.At, Count: in.To, Ours: true})
}

// mayShow says whether a read may show a count: it is the newest one, or reads may
// still be older than the one that came after it.
func mayShow(h []cluster.Setting, count int, now time.Time) bool {
	return slices.ContainsFunc(standingOf(h, now), func(s cluster.Setting) bool { return s.Count == count })
}

// standingOf drops the counts that no read can show any more.
func standingOf(h []cluster.Setting, now time.Time) []cluster.Setting {
	for len(h) > 1 && now.Sub(h[1].At) >= staleReads {
		h = h[1:]
	}
	return h
}

// watch finds what another hand did to a service's count: it is neither one that
// plimsoll set nor one that an old read may show. While an intent stands in for
// the count there is nothing to be found: what is read may be older.
func (o *overlay) watch(v *cluster.Service, raw int, h []cluster.Setting, open bool) {
	m, now := o.state.Memory.Services[v.Name], o.raw.Now
	if !open && !mayShow(h, raw, now) {
		if n := len(h); n > 0 && h[n-1].Ours {
			m.Overruled = cluster.Overruled{At: now, Set: h[n-1].Count, Found: raw}
		}
		h = append(h, cluster.Setting{At: now, Count: raw})
	}
	h = standingOf(h, now)
	m.Counts = h[max(0, len(h)-countsKept):]
	o.state.Memory.Services[v.Name] = m
}

// remembering makes the services' memory the overlay's own.
func (o *overlay) remembering() {
	o.state.Memory.Services = maps.Clone(o.raw.Memory.Services)
	if o.state.Memory.Services == nil {
		o.state.Memory.Services = map[string]cluster.ServiceMemory{}
	}
}

// contest leaves a contested count alone, also outside of the policy's minimum and
// maximum: contrary bounds are what two deployments fight about, so that a hold
// which made an exception of them would hold nothing. Nothing is set outside of
// them either.
func (z *sizing) contest() {
	c := &z.memory.Contest
	free := c.Since.Add(z.patience())
	if c.Holds > 0 && z.now.Sub(free) >= contestedIn {
		*c = cluster.Contest{}
	}
	if z.undone() {
		c.Undone = append(slices.DeleteFunc(slices.Clone(c.Undone), func(at time.Time) bool { return z.now.Sub(at) >= contestedIn }), z.now)
		z.note(Number{"set", float64(z.memory.Overruled.Set)}, Number{"undone", float64(len(c.Undone))})
		z.memory.Overruled = cluster.Overruled{}
		if c.Holds > 0 || len(c.Undone) >= contestedBy {
			*c = cluster.Contest{Since: z.now, Holds: c.Holds + 1}
			free = z.now.Add(z.patience())
		}
	}
	if c.Holds > 0 && z.now.Before(free) && z.wanted != z.service.Desired {
		z.note(Number{"holds", float64(c.Holds)}, Number{"againSeconds", free.Sub(z.now).Seconds()})
		z.hold, z.wanted, z.next = Contested, z.service.Desired, free
	}
}

// undone says whether another hand changed a count of ours and plimsoll wants more
// than half of the way back: loads are noisy, so that it is seldom the very count.
// Two controllers that want the same change each other's counts too, sooner or later
// than the other would have, but hardly ever what the other goes on to want.
func (z *sizing) undone() bool {
	u := z.memory.Overruled
	if z.now.Sub(u.At) > overruledFor {
		z.memory.Overruled = cluster.Overruled{}
		return false
	}
	lost, back := u.Set-u.Found, z.wanted-u.Found
	return z.wanted != z.service.Desired && 2*back*lost > lost*lost
}

// patience is how long a contested count is left alone now. Below the policy's
// minimum it does not grow: a service that has too few tasks is worth a try every
// quarter of an hour, and where two controllers disagree the higher count so wins.
func (z *sizing) patience() time.Duration {
	n := z.memory.Contest.Holds
	if z.service.Desired < z.rules.Tasks.Min || n < 1 {
		return contestHold
	}
	return min(contestHold<<min(n-1, 10), contestLongest)
}
