package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// state is the truth at one instant in two views: as it is, and as a reader of
// ECS sees it, to whom a task is well until its end was noticed.
type state struct {
	at    time.Time
	real  truth
	shown truth
}

// truth is what the promises are about.
type truth struct {
	services map[string]counted // by name, those of the cluster
	hosts    map[string]string  // EC2 instance id by container instance ARN, of the cluster
	draining map[string]bool    // by container instance ARN
	groups   map[string]simcloud.GroupView
}

// counted is one service in numbers.
type counted struct {
	desired          int
	minimum, maximum int // percent: the policy's where set, else the service's own
	existing         int // tasks that are not STOPPED
	live             int // of those: nobody has told them to stop
	fresh            int // of those: on hosts that are not DRAINING
	healthy          int
	deploying        bool
	on               map[string]placed // by container instance ARN
}

// placed is a service's part of a host.
type placed struct{ live, healthy int }

// floor is the fewest healthy tasks of so many wanted, rounded up.
func (s counted) floor(wanted int) int { return (wanted*s.minimum + 99) / 100 }

// ceiling is the most tasks of so many wanted, rounded down.
func (s counted) ceiling(wanted int) int { return wanted * s.maximum / 100 }

// beyond is how many tasks ECS stops when it wants only so many.
func (s counted) beyond(wanted int) int {
	over := s.fresh - wanted
	if s.deploying { // what is of the newest revision is not told: it is no more than the desired count
		over = min(s.live, s.desired) - wanted
	}
	return max(0, over)
}

// remember adds to the history: of several states at one instant the last.
func (m *monitors) remember(s state) {
	if n := len(m.states); n > 0 && m.states[n-1].at.Equal(s.at) {
		m.states[n-1] = s
		return
	}
	m.states = append(m.states, s)
}

// staleFor is how old the reads of the fault stale-reads may be.
const staleFor = time.Minute

// forget drops the history that no later call can be judged by.
func (m *monitors) forget() {
	if m.reach == 0 {
		m.states = nil
		return
	}
	from := m.world.cloud.Now().Add(-2 * m.reach)
	old := slices.IndexFunc(m.states, func(s state) bool { return s.at.After(from) })
	m.states = slices.Delete(m.states, 0, max(0, old-1)) // the one before was true then still
}

// now reads the truth.
func (m *monitors) now() state {
	w := m.world.cloud.World()
	base := truth{services: map[string]counted{}, hosts: map[string]string{}, draining: map[string]bool{}, groups: map[string]simcloud.GroupView{}}
	for _, h := range w.Hosts() {
		if h.Cluster == m.policy.Cluster {
			base.hosts[h.ARN], base.draining[h.ARN] = h.InstanceID, h.Status == "DRAINING"
		}
	}
	for _, g := range w.Groups() {
		base.groups[g.Name] = g
	}
	s := state{at: m.world.cloud.Now(), real: base, shown: base}
	s.shown.services = map[string]counted{}
	for _, v := range w.Services(true) {
		if v.Cluster != m.policy.Cluster {
			continue
		}
		s.real.services[v.Name] = m.count(v, base.draining, func(t simcloud.TaskView) bool { return t.Healthy })
		s.shown.services[v.Name] = s.real.services[v.Name]
		if slices.ContainsFunc(v.Tasks, unnoticed) {
			s.shown.services[v.Name] = m.count(v, base.draining, func(t simcloud.TaskView) bool { return t.Healthy || unnoticed(t) })
		}
	}
	return s
}

// unnoticed says that a task has died and ECS shows it running still.
func unnoticed(t simcloud.TaskView) bool {
	return t.Last == "RUNNING" && t.Desired == "RUNNING" && !t.Serving
}

// count takes the numbers of a service.
func (m *monitors) count(v simcloud.ServiceView, draining map[string]bool, healthy func(simcloud.TaskView) bool) counted {
	s := counted{desired: v.Desired, minimum: v.MinimumPercent, maximum: v.MaximumPercent, existing: len(v.Tasks), deploying: v.Deployments > 1, on: map[string]placed{}}
	rules := m.policy.Services[v.Name]
	s.minimum, s.maximum = percentOr(rules.MinimumHealthyPercent, s.minimum), percentOr(rules.MaximumPercent, s.maximum)
	for _, t := range v.Tasks {
		if t.Desired != "RUNNING" {
			continue
		}
		s.live++
		if !draining[t.Host] {
			s.fresh++
		}
		p := s.on[t.Host]
		p.live++
		if healthy(t) {
			s.healthy++
			p.healthy++
		}
		s.on[t.Host] = p
	}
	return s
}

func percentOr(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}

// claim says what is wrong with a change in a truth; empty: it is justified.
type claim func(truth) string

// judge holds a change against all states that the round's reads could have
// shown, and against the true one at the call. Wrong by all of the former it is
// always a violation; wrong by the latter it is one unless the world moved in
// between, which nobody can see in time: that is counted as raced.
func (m *monitors) judge(i *invocation, c simcloud.Call, promise string, change change, wrong claim, now state) standing {
	states := append(m.since(i), now)
	last := newestJustified(states, wrong)
	detail := wrong(now.real)
	switch {
	case last < 0:
		detail = fmt.Sprintf("%s; no state since %s justifies it", wrong(now.shown), clock(states[0].at))
		m.broken(promise, c, change.subject(), detail)
		return broken
	case detail == "":
		return held
	case m.worldMoved(i, states, last, wrong, c.At):
		m.races++
		if len(m.raced) < listed {
			m.raced = append(m.raced, Violation{Promise: promise, At: c.At, Subject: change.subject(), Detail: detail, Invocation: c.Invocation})
		}
		return raced
	default:
		detail = fmt.Sprintf("%s; that was so since %s, and nothing that the world did of itself since then made it so", detail, clock(states[min(last+1, len(states)-1)].at))
		m.broken(promise, c, change.subject(), detail)
		return broken
	}
}

// since are the states that an invocation's reads could have shown, oldest
// first.
func (m *monitors) since(i *invocation) []state {
	first, from := len(m.states), i.seen.Add(-m.reach)
	for first > 0 && m.states[first-1].at.After(from) {
		first--
	}
	return slices.Clone(m.states[max(0, first-1):]) // the one before was true still when it began
}

// newestJustified is the newest of the states in which a reader finds nothing
// wrong; -1: none.
func newestJustified(states []state, wrong claim) int {
	for n := len(states) - 1; n >= 0; n-- {
		if wrong(states[n].shown) == "" {
			return n
		}
	}
	return -1
}

// hiddenFor is how long a death may go unnoticed by ECS.
const hiddenFor = 5 * time.Minute

// worldMoved says whether the world, and not this invocation, made the change
// wrong after the state that justified it, the last of these.
func (m *monitors) worldMoved(i *invocation, states []state, last int, wrong claim, at time.Time) bool {
	from := states[last].at
	if last == len(states)-1 { // ECS still shows it justified: something died unnoticed
		return m.harmed(at.Add(-hiddenFor), at)
	}
	if from.Before(i.seen) { // by a stale read: what other rounds did since must have been known
		return m.harmed(stretch(states[:last+1], wrong), at)
	}
	return i.acted.Before(from) || m.harmed(from, at)
}

// stretch is from when on all these states justify a change, and a harm counts: a
// stale read may have shown any of them. Between a task's end and ECS's start of
// its replacement a lower count takes nothing, so that the newest alone may come
// after the harm. So does one in which ECS shows what has died already.
func stretch(states []state, wrong claim) time.Time {
	first := len(states) - 1
	for first > 0 && wrong(states[first-1].shown) == "" {
		first--
	}
	if wrong(states[first].real) != "" {
		return states[first].at.Add(-hiddenFor)
	}
	return states[first].at
}

// harmed says whether the world did something of itself that can make a change
// wrong. Launches and registrations cannot, and follow from calls of ours. What ECS
// takes from a host that a person drained is the world's doing too, for as long as
// that lasts.
func (m *monitors) harmed(from, to time.Time) bool {
	return slices.ContainsFunc(m.world.cloud.World().Changes(from, to), func(c simcloud.Change) bool { return slices.Contains(harmful(), c.Kind) }) ||
		slices.ContainsFunc(m.dips.harms, func(h harm) bool { return !h.at.Before(from) && !h.at.After(to) })
}

// harmful are the kinds of such changes.
func harmful() []string { return []string{"TaskCrashed", "AgentLost", "HostKilled", "ByHand"} }

// tail is the name or id at the end of an ARN, or the name itself.
func tail(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// hostARN finds a container instance by its ARN or id.
func (t truth) hostARN(ref string) string {
	for _, arn := range slices.Sorted(maps.Keys(t.hosts)) {
		if tail(arn) == tail(ref) {
			return arn
		}
	}
	return ref
}

// hostOf finds the container instance of an EC2 instance; empty: none.
func (t truth) hostOf(instance string) string {
	for _, arn := range slices.Sorted(maps.Keys(t.hosts)) {
		if t.hosts[arn] == instance {
			return arn
		}
	}
	return ""
}

// groupOf finds the group of an EC2 instance; empty: none has it.
func (t truth) groupOf(instance string) string {
	for _, name := range slices.Sorted(maps.Keys(t.groups)) {
		if slices.ContainsFunc(t.groups[name].Instances, func(i simcloud.InstanceView) bool { return i.ID == instance }) {
			return name
		}
	}
	return ""
}

// group finds a group's rules.
func (m *monitors) group(name string) (policy.HostGroup, bool) {
	n := slices.IndexFunc(m.policy.Hosts, func(g policy.HostGroup) bool { return g.Group == name })
	if n < 0 {
		return policy.HostGroup{}, false
	}
	return m.policy.Hosts[n], true
}
