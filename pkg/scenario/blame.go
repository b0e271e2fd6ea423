package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// takenFor is how long before a service was last whole an action may have been
// that takes its health only afterwards: tasks stop after the call that lets them.
const takenFor = 3 * time.Minute

// taking is a call of a function that takes health from services, or may.
type taking struct {
	at         time.Time
	number     int    // of the run's changing calls, from 1
	trace      string // fingerprint of all that happened before it
	services   []string
	action     string // ECS's or Auto Scaling's
	subject    string
	invocation int
	standing   standing
	record     string // its intent with the decision, as they stand in the table
}

// standing is what S1 says of an action.
type standing int

const (
	held   standing = iota // it takes no more than there is above the floor
	raced                  // it does, by what the world did and nobody could know yet
	broken                 // it does
)

// dip is a time in which a service is below its floor.
type dip struct {
	service     string
	whole       time.Time // when it had its desired count healthy last
	from, until time.Time
	floor       int // when it fell
}

// harm is what the world did of itself to services' tasks.
type harm struct {
	at       time.Time
	services []string // nil: it may be any
}

// dips are what blame is laid by: who took health, what the world did, and when
// health was missing.
type dips struct {
	calls   int // changing ones so far
	takings []taking
	harms   []harm
	looked  time.Time            // for harms
	known   int                  // changes of that instant that are in
	drained map[string]drained   // hosts that a person drained, by instance id
	whole   map[string]time.Time // by service
	lowest  floors
	under   map[string]*dip // not over, by service
	over    []dip
}

func newDips() dips {
	return dips{drained: map[string]drained{}, whole: map[string]time.Time{}, lowest: floors{lowest: map[string]int{}}, under: map[string]*dip{}}
}

// sampleDips looks at every service of the policy at an instant. It is called
// after each change of the truth, and now and then for what only time changes.
func (m *monitors) sampleDips() {
	now := m.world.cloud.Now()
	m.sampleHarms(now)
	for _, v := range m.world.cloud.World().Services(false) {
		rules, named := m.policy.Services[v.Name]
		if !named || v.Cluster != m.policy.Cluster {
			continue
		}
		m.dips.sample(v.Name, counted{desired: v.Desired, minimum: percentOr(rules.MinimumHealthyPercent, v.MinimumPercent), healthy: v.Healthy}, now)
		if m.again != nil {
			m.again.sample(v.Name, v.Healthy, now)
		}
	}
}

// sample takes a service's numbers in.
func (d *dips) sample(name string, s counted, now time.Time) {
	below := d.lowest.sample(name, s)
	under := d.under[name]
	switch {
	case below && under == nil:
		d.under[name] = &dip{service: name, whole: d.whole[name], from: now, floor: s.floor(d.lowest.lowest[name])}
	case !below && under != nil:
		d.end(under, now)
	}
	if s.healthy >= s.desired {
		d.whole[name] = now
	}
}

// end ends a dip. One that is over within its instant was none: a change of
// several things is seen after each.
func (d *dips) end(x *dip, now time.Time) {
	delete(d.under, x.service)
	if x.until = now; now.After(x.from) {
		d.over = append(d.over, *x)
	}
}

// all are the dips of a run that is over, oldest first.
func (d *dips) all(now time.Time) []dip {
	for _, name := range slices.Sorted(maps.Keys(d.under)) {
		d.end(d.under[name], now)
	}
	slices.SortStableFunc(d.over, func(a, b dip) int { return a.from.Compare(b.from) })
	return d.over
}

// drained is a host that a person drained. From then on ECS takes its tasks from
// it as soon as others run in their place, healthy yet or not.
type drained struct {
	at   time.Time      // when a person had a hand in its status last
	live map[string]int // tasks that are to run, by service, when it was looked at last
}

// sampleDrained notes as harm what ECS took from hosts that a person drained.
func (m *monitors) sampleDrained(now time.Time) {
	d := &m.dips
	if len(d.drained) == 0 {
		return
	}
	there := map[string]simcloud.HostView{}
	for _, h := range m.world.cloud.World().Hosts() {
		there[h.InstanceID] = h
	}
	for _, id := range slices.Sorted(maps.Keys(d.drained)) {
		x := d.drained[id]
		if h := there[id]; h.Status == "DRAINING" {
			live := m.liveOn(h.ARN)
			if taken := lessThan(live, x.live); len(taken) > 0 {
				d.harms = append(d.harms, harm{now, taken})
			}
			d.drained[id] = drained{x.at, live}
		} else if now.After(x.at) { // ACTIVE or gone: whoever drains it next is another
			delete(d.drained, id)
		}
	}
}

// liveOn counts the tasks on a host that are to run, by service.
func (m *monitors) liveOn(host string) map[string]int {
	live := map[string]int{}
	for _, v := range m.world.cloud.World().Services(true) {
		for _, t := range v.Tasks {
			if t.Host == host && t.Desired == "RUNNING" {
				live[v.Name]++
			}
		}
	}
	return live
}

// lessThan are the services that have less than before.
func lessThan(now, before map[string]int) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now[name] < before[name] {
			all = append(all, name)
		}
	}
	return all
}

// sampleHarms notes whose tasks the world has done something to since it was
// asked last.
func (m *monitors) sampleHarms(now time.Time) {
	d := &m.dips
	changes := m.world.cloud.World().Changes(d.looked, now)
	for _, c := range changes[d.known:] {
		if c.Kind == "ByHand" {
			d.drained[c.Subject] = drained{at: c.At} // unless it is no host: then it is forgotten at once
		}
		if slices.Contains(harmful(), c.Kind) {
			d.harms = append(d.harms, harm{c.At, m.touched(c.Subject)})
		}
	}
	d.looked, d.known = now, 0
	for _, c := range changes {
		if c.At.Equal(now) {
			d.known++ // it is given once more, with what else happens at this instant
		}
	}
	m.sampleDrained(now)
}

// touched are the services that a task, a host or a service itself is of; nil: it
// cannot be told any more.
func (m *monitors) touched(subject string) []string {
	host, names := subject, []string(nil)
	for _, h := range m.world.cloud.World().Hosts() {
		if h.InstanceID == subject {
			host, names = h.ARN, []string{} // even if it has no task
		}
	}
	for _, v := range m.world.cloud.World().Services(true) {
		if v.Name == subject || slices.ContainsFunc(v.Tasks, func(t simcloud.TaskView) bool { return t.ARN == subject || t.Host == host }) {
			names = append(names, v.Name)
		}
	}
	return names
}

// took remembers a call that takes health. known is false for a call that the
// monitors cannot read: it may take anything.
func (m *monitors) took(c simcloud.Call, change change, known bool, t truth, s1 standing) {
	var services []string
	switch {
	case !known:
		services = slices.Sorted(maps.Keys(t.services))
	case change.scalesIn(t):
		services = change.concerned(t)
	}
	if len(services) == 0 {
		return
	}
	subject := change.subject()
	if !known {
		subject = "what nobody can tell"
	}
	m.dips.takings = append(m.dips.takings, taking{
		at: c.At, number: m.dips.calls, trace: m.world.cloud.TraceHash(), services: services,
		action: c.Action, subject: subject, invocation: c.Invocation, standing: s1, record: m.recordOf(change),
	})
}

// recordOf is the intent of a change with its decision, from the table.
func (m *monitors) recordOf(change change) string {
	for _, i := range m.items(openItems) {
		var intent cluster.Intent
		if json.Unmarshal([]byte(text(i, "intent")), &intent) == nil && slices.ContainsFunc(change.subjects, func(s cluster.Subject) bool { return change.is(intent, s) }) {
			return fmt.Sprintf("its intent is %s, by the decision %s", text(i, "intent"), text(i, "decision"))
		}
	}
	return "the table has no intent of it"
}

// suspects are the actions that may have led to a dip, oldest first.
func (d *dips) suspects(x dip) []taking {
	from := x.whole.Add(-takenFor)
	var all []taking
	for _, t := range d.takings {
		if !t.at.Before(from) && !t.at.After(x.from) && slices.Contains(t.services, x.service) {
			all = append(all, t)
		}
	}
	return all
}

// shared says whether the world has a part in a dip that actions led to: each of
// them was right by what could be known, and the world took tasks of the service
// after the first of them, or before it without showing it.
func (d *dips) shared(suspects []taking, x dip) bool {
	moved := slices.ContainsFunc(d.harms, func(h harm) bool {
		return !h.at.Before(suspects[0].at) && !h.at.After(x.from) && (h.services == nil || slices.Contains(h.services, x.service))
	})
	for _, t := range suspects {
		if t.standing == broken {
			return false
		}
		moved = moved || t.standing == raced
	}
	return moved
}
