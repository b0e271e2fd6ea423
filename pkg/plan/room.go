package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// room is what placement may use of a cluster's hosts: what is free on each and
// how many tasks of each service it holds. Hosts have the order of
// State.Hosts; those that were added follow.
type room struct {
	sites    []*site
	free     []cluster.Resources
	ports    [][]cluster.Port        // static host ports taken, by host; the inner slices are never changed
	tasks    []int                   // on the host by the time that all have started
	services map[string]map[int]held // by service, then by host; the inner maps are never changed
	work     int                     // steps taken, for tests of how the cost grows
}

// site is what placement does not change of a host.
type site struct {
	host   cluster.Host
	usable bool
}

// held is how many tasks of one service a host holds.
type held struct {
	all     int // those that are stopping too: they take their part until they are gone
	staying int // not told to stop: what distinctInstance looks at
}

// newRoom is the room of a state. Hosts that are not usable offer none, but
// their tasks count where ECS spreads a service's tasks.
func newRoom(s cluster.State) *room {
	r := &room{services: map[string]map[int]held{}}
	byARN := make(map[string]int, len(s.Hosts))
	for i, h := range s.Hosts {
		byARN[h.ARN] = i
		r.append(&site{host: h, usable: h.Usable()}, h.Remaining)
	}
	for _, t := range s.Tasks {
		i, known := byARN[t.Host]
		if !known {
			continue
		}
		if r.services[t.Service] == nil {
			r.services[t.Service] = map[int]held{}
		}
		r.services[t.Service][i] = r.services[t.Service][i].plus(1, t.Stopping())
	}
	return r
}

func (h held) plus(n int, stopping bool) held {
	h.all += n
	if !stopping {
		h.staying += n
	}
	return h
}

func (r *room) append(s *site, free cluster.Resources) {
	r.sites = append(r.sites, s)
	r.free = append(r.free, free)
	r.ports = append(r.ports, slices.Clip(s.host.TakenPorts))
	r.tasks = append(r.tasks, s.host.Running+s.host.Pending)
}

// add makes room on a host that does not exist yet. It counts as empty and
// usable whatever h says: it offers h.Registered but for h.TakenPorts.
func (r *room) add(h cluster.Host) {
	h.Status, h.AgentConnected = cluster.HostActive, true
	h.Remaining, h.Running, h.Pending = h.Registered, 0, 0
	r.append(&site{host: h, usable: true}, h.Registered)
}

// clone is a room of its own in which to try things out. It costs a few words
// a host.
func (r *room) clone() *room {
	return &room{
		sites:    slices.Clip(r.sites),
		free:     slices.Clone(r.free),
		ports:    slices.Clone(r.ports),
		tasks:    slices.Clone(r.tasks),
		services: maps.Clone(r.services),
	}
}

// fits says whether one task would fit an empty host like h, and what was
// missing if not. The host's status does not count.
func (r *room) fits(w want, h cluster.Host) (bool, cause) {
	empty := &room{}
	empty.add(h)
	c := empty.missing(kindOf(w), 0, held{})
	return c == "", c
}

// cause is why a host does not take a task: the first thing that was missing,
// in the order in which ECS looks.
type cause string

// The causes, in the order in which they are looked at. The names are those of
// the failures that ECS tells (RESOURCE:CPU and so on) where it has one.
const (
	causeDraining      cause = "DRAINING"       // the host is not ACTIVE
	causeAgent         cause = "AGENT"          // its agent is not connected
	causeCPU           cause = "CPU"            //
	causeMemory        cause = "MEMORY"         //
	causePorts         cause = "PORTS"          // a static host port is taken
	causeAttribute     cause = "ATTRIBUTE"      // it lacks an attribute that the revision requires
	causeConstraint    cause = "CONSTRAINT"     // a memberOf constraint says no
	causeNotUnderstood cause = "NOT_UNDERSTOOD" // a constraint could not be answered: not taken for yes
	causeDistinct      cause = "DISTINCT"       // distinctInstance, and it holds a task of the service
)

// missing is why host i does not take one more task of the kind; empty if it
// does. mine are the tasks of the kind's service there.
func (r *room) missing(k *kind, i int, mine held) cause {
	s := r.sites[i]
	switch {
	case s.host.Status != cluster.HostActive:
		return causeDraining
	case !s.usable:
		return causeAgent
	}
	if c := r.short(k, i); c != "" {
		return c
	}
	for _, name := range k.attributes {
		if _, ok := s.attribute(name); !ok {
			return causeAttribute
		}
	}
	if c := constrained(k.queries, s, r.tasks[i]); c != "" {
		return c
	}
	if k.distinct && mine.staying > 0 {
		return causeDistinct
	}
	return ""
}

// short is what host i has too little of.
func (r *room) short(k *kind, i int) cause {
	switch {
	case k.needs.CPU > r.free[i].CPU:
		return causeCPU
	case k.needs.Memory > r.free[i].Memory:
		return causeMemory
	case conflict(k.ports, r.ports[i]):
		return causePorts
	}
	return ""
}

// full says whether a host that took a task of the kind takes no other.
func (r *room) full(k *kind, i int) bool {
	return k.distinct || r.short(k, i) != "" ||
		k.counts && constrained(k.queries, r.sites[i], r.tasks[i]) != ""
}

// constrained asks each constraint. A count of running tasks is asked for as
// it is and as it will be once every task on the host has started, since ECS
// may look at any moment between.
func constrained(all []expression, s *site, tasks int) cause {
	worst := yes
	for _, e := range all {
		worst = min(worst, e.holds(s, tasks))
		if e.counts {
			worst = min(worst, e.holds(s, s.host.Running))
		}
	}
	switch worst {
	case no:
		return causeConstraint
	case unknown:
		return causeNotUnderstood
	default:
		return ""
	}
}

// conflict says whether a port is in both lists.
func conflict(a, b []cluster.Port) bool {
	for _, p := range a {
		for _, q := range b {
			if p.Number == q.Number && protocol(p) == protocol(q) {
				return true
			}
		}
	}
	return false
}

func protocol(p cluster.Port) string {
	if p.Protocol == "" {
		return "tcp" // ECS's default
	}
	return strings.ToLower(p.Protocol)
}

// attribute is the value of a host's attribute. Zone and type stand in for the
// built-in attributes of hosts that do not exist yet.
func (s *site) attribute(name string) (string, bool) {
	if v, ok := s.host.Attributes[name]; ok {
		return v, true
	}
	switch name {
	case "ecs.availability-zone":
		return s.host.Zone, s.host.Zone != ""
	case "ecs.instance-type":
		return s.host.Type, s.host.Type != ""
	}
	return "", false
}
