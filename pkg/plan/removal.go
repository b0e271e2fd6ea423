package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// mostTried is how many empty hosts of a group are asked in one round whether
// they are needed: each asks for a placement of its own.
const mostTried = 3

// departures are what a survey found of a group's hosts that go or may go.
type departures struct {
	due      []cluster.Host // empty for long enough, and free to go
	empty    int            // ACTIVE and empty
	going    int            // set to DRAINING by plimsoll, or terminating
	capacity int            // the desired capacity when every change of this round is made
	standing int            // capacity less those that are DRAINING still
	soonest  time.Time      // when the next empty host is due
}

// survey looks at each host of a group, ends what was begun with it and notes
// how long it has been empty.
func (r *round) survey(f *fleet, launched int) *departures {
	l := &departures{capacity: f.group.Desired + launched}
	for _, in := range f.group.Instances {
		if strings.HasPrefix(in.Lifecycle, cluster.LifecycleTerminating) {
			l.going++
		}
	}
	l.standing = l.capacity
	for _, h := range f.hosts {
		m := r.state.Memory.Hosts[h.ID]
		next := r.stillKnown(h, m)
		switch {
		case h.Status == cluster.HostDraining:
			next = cluster.HostMemory{DrainedAt: m.DrainedAt} // taken back, it is empty anew
			r.finish(f, l, h, next)
		case r.state.Now.Sub(m.DrainedAt) < staleReads:
			next.DrainedAt = m.DrainedAt // a read from before; or it failed, and is tried again later
			l.going++
			l.standing--
		case !h.AgentConnected:
			r.tell(tellPhase, Decision{Subject: cluster.HostSubject(h.ID), From: 1, To: 1, Reason: AgentDisconnected})
		case h.Empty():
			r.consider(f, l, h, next)
		}
		r.seen[h.ID] = true
		r.keepHost(h.ID, next)
	}
	return l
}

// stillKnown is what stays true of a host that is not DRAINING: since when it is
// empty, and who drained it while a change of it is noted. To take it back may
// not have been done.
func (r *round) stillKnown(h cluster.Host, m cluster.HostMemory) cluster.HostMemory {
	next := cluster.HostMemory{}
	if h.Empty() && h.AgentConnected {
		next.EmptySince = m.EmptySince
		if m.EmptySince.IsZero() {
			next.EmptySince = r.state.Now
		}
	}
	if r.pending[cluster.HostSubject(h.ID)] {
		next.DrainedAt = m.DrainedAt
	}
	return next
}

// finish carries on with a DRAINING host: one that the second look finds empty
// is terminated. One that is not empty in time had a task that the round which
// drained it could not see yet: it comes back, so that it does not use up the
// removal budget for good; nor does one whose agent went away. A host that a person set to DRAINING is left alone.
func (r *round) finish(f *fleet, l *departures, h cluster.Host, m cluster.HostMemory) {
	if !f.drainedByUs(h, m) || r.returns[h.ID] {
		return
	}
	l.standing--
	waited := r.state.Now.Sub(m.DrainedAt)
	d := Decision{Subject: cluster.HostSubject(h.ID), From: 1, To: 1, Numbers: []Number{{"drainedSeconds", waited.Seconds()}}}
	overdue := waited >= f.rules.Removal.DrainTimeout.Duration
	if overdue && !h.AgentConnected {
		d.Reason = AgentDisconnected
		r.tell(tellPhase, d)
		return
	}
	l.going++
	switch {
	case r.pending[d.Subject]:
		r.look(r.state.Now.Add(secondLook)) // the DRAINING itself is not shown yet
	case f.instances[h.ID].Protected:
		d.Reason = HostProtected
		r.tell(tellPhase, d)
	case !h.Empty():
		if overdue {
			r.activate(h, DrainStuck, d.Numbers[0], Number{"tasks", float64(h.Running + h.Pending)})
		}
	case l.capacity-1 < f.floor():
		r.activate(h, HostsAtMinimum)
	case h.AgentConnected:
		d.To, d.Reason = 0, HostDrained
		d.Changes = []cluster.Change{{
			Verb: cluster.TerminateHost, Subject: d.Subject, From: l.capacity, To: l.capacity - 1, Group: f.rules.Group, Host: h.ARN,
		}}
		l.capacity--
		r.tell(terminatePhase, d)
	}
}

// consider looks at an ACTIVE host without tasks.
func (r *round) consider(f *fleet, l *departures, h cluster.Host, m cluster.HostMemory) {
	in := f.instances[h.ID]
	if in.Lifecycle != cluster.LifecycleInService || r.pending[cluster.HostSubject(h.ID)] {
		return
	}
	if in.Protected {
		r.tell(tellPhase, Decision{Subject: cluster.HostSubject(h.ID), From: 1, To: 1, Reason: HostProtected})
		return
	}
	l.empty++
	if due := m.EmptySince.Add(f.rules.Removal.EmptyAfter.Duration); due.After(r.state.Now) {
		l.soonest = earlier(l.soonest, due)
		return
	}
	l.due = append(l.due, h)
}

// drain sets hosts to DRAINING that are due, within the budget and the
// minimum, from the zone with the most hosts first. It returns how many, and
// what holds the others.
func (r *round) drain(f *fleet, l *departures) (int, Reason) {
	if slices.ContainsFunc(r.sizings, func(z *sizing) bool { return z.hold == RevisionMissing }) {
		return 0, RevisionMissing // what is owed there may need the host
	}
	drained, why := 0, HostNeeded
	for tried := 0; len(l.due) > 0 && tried < mostTried; tried++ {
		switch {
		case l.standing-1 < f.floor():
			return drained, HostsAtMinimum
		case l.going >= f.rules.Removal.MaxAtOnce:
			return drained, RemovalBudget
		}
		i := fullestZone(f, l.due)
		h := l.due[i]
		l.due = slices.Delete(l.due, i, i+1)
		if !r.spare(h) {
			continue
		}
		r.drainHost(f, h)
		drained++
		l.going++
		l.standing--
		f.zones[h.Zone]--
	}
	return drained, why
}

// fullestZone is the index of the host to go first.
func fullestZone(f *fleet, hosts []cluster.Host) int {
	best := 0
	for i, h := range hosts {
		if cmp.Compare(f.zones[h.Zone], f.zones[hosts[best].Zone]) > 0 {
			best = i
		}
	}
	return best
}

func (r *round) drainHost(f *fleet, h cluster.Host) {
	subject := cluster.HostSubject(h.ID)
	r.tell(drainPhase, Decision{
		Subject: subject, From: 1, To: 0, Reason: HostEmpty,
		Numbers: []Number{{"emptySeconds", r.state.Now.Sub(r.memory.Hosts[h.ID].EmptySince).Seconds()}, {"hosts", float64(f.group.Desired)}},
		Changes: []cluster.Change{{Verb: cluster.DrainHost, Subject: subject, From: 1, To: 0, Host: h.ARN, Group: f.rules.Group}},
	})
	r.look(r.state.Now.Add(secondLook)) // that round remembers that it was done, by the intent
}

// remembered is the memory of the hosts, with those marked that plimsoll
// set to DRAINING. Only an intent proves that it did: a decision may be one that
// was not carried out, and the DRAINING a person's. A host that could not be set
// to DRAINING has to be empty for its time anew.
func remembered(s cluster.State) map[string]cluster.HostMemory {
	all := maps.Clone(s.Memory.Hosts)
	if all == nil {
		all = map[string]cluster.HostMemory{}
	}
	for _, i := range s.Intents { // oldest first
		m := all[i.Subject.Name()]
		switch {
		case i.Verb == cluster.ActivateHost:
			m.DrainedAt = s.Memory.Hosts[i.Subject.Name()].DrainedAt
		case i.Verb != cluster.DrainHost:
			continue
		case i.Open() || i.Outcome == cluster.OutcomeShown || i.Outcome == cluster.OutcomeExpired && lacks(s, i.Subject):
			m.DrainedAt = i.At
		case i.Outcome == cluster.OutcomeRefused:
			m.EmptySince = s.Now
		}
		all[i.Subject.Name()] = m
	}
	return all
}

// lacks says whether a look does not show a host. An intent that expires in such a
// look proves as much as an open one: the next look tells whether it was done.
func lacks(s cluster.State, host cluster.Subject) bool {
	return !slices.ContainsFunc(s.Hosts, func(h cluster.Host) bool { return h.ID == host.Name() })
}

// spare says whether all that has a place now has one without the host too.
// Hosts on their way do not count: a task would wait for them.
func (r *round) spare(h cluster.Host) bool {
	if len(r.needs) == 0 {
		return true
	}
	s := r.state
	s.Hosts = slices.Clone(s.Hosts)
	for i := range s.Hosts {
		if s.Hosts[i].ARN == h.ARN {
			s.Hosts[i].Status = cluster.HostDraining
		}
	}
	if _, placed := placeAll(r.needs, newRoom(s)); placed < r.placed {
		return false
	}
	r.state = s // a further host is judged without this one
	return true
}

// activate takes a host back that plimsoll drained.
func (r *round) activate(h cluster.Host, why Reason, numbers ...Number) {
	subject := cluster.HostSubject(h.ID)
	r.tell(activatePhase, Decision{
		Subject: subject, From: 0, To: 1, Reason: why, Numbers: numbers,
		Changes: []cluster.Change{{Verb: cluster.ActivateHost, Subject: subject, From: 0, To: 1, Host: h.ARN, Group: h.Group}},
	})
}

// drainedByUs are the empty hosts that plimsoll set to DRAINING and nothing
// else is under way for: they may come back.
func (r *round) drainedByUs() []cluster.Host {
	var out []cluster.Host
	for _, f := range r.fleets {
		if !f.open() {
			continue
		}
		for _, h := range f.hosts {
			ours := f.drainedByUs(h, r.state.Memory.Hosts[h.ID])
			if ours && h.AgentConnected && h.Empty() && !r.pending[cluster.HostSubject(h.ID)] {
				out = append(out, h)
			}
		}
	}
	return out
}

// drainedByUs says whether the host is DRAINING by plimsoll and has not begun to
// terminate.
func (f *fleet) drainedByUs(h cluster.Host, m cluster.HostMemory) bool {
	inService := f.instances[h.ID].Lifecycle == cluster.LifecycleInService
	return h.Status == cluster.HostDraining && !m.DrainedAt.IsZero() && inService
}

// earlier is the earlier of two times, where zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
