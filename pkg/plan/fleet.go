package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// awaited is how long a launched instance may take to register before it is no
// longer counted on.
const awaited = 15 * time.Minute

// Launches refused for want of capacity are not asked for again before a time
// that doubles with each refusal in a row.
const (
	firstBackOff = time.Minute
	mostBackOff  = 15 * time.Minute
)

// capacityErrors are the names by which EC2 and Auto Scaling say that a zone
// cannot give another instance now.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func capacityErrors() []string {
	return []string{
		"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity",
		"InsufficientReservedInstanceCapacity", "InsufficientFreeAddressesInSubnet",
		"InstanceLimitExceeded", "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotMaxPriceTooLow", "UnfulfillableCapacity",
	}
}

// fleet is a host group in one round.
type fleet struct {
	rules     policy.HostGroup
	group     cluster.HostGroup
	memory    cluster.GroupMemory
	instances map[string]cluster.Instance // by id
	hosts     []cluster.Host              // registered, not going
	coming    []cluster.Host              // launched, not registered yet
	late      int                         // launched too long ago to be counted on
	zones     map[string]int              // hosts by zone, those that come too
	offer     cluster.Host                // what a new host is like; its zone is open
	known     bool                        // the offer is
	present   bool                        // Auto Scaling knows the group
	now       time.Time
}

// open says whether plimsoll may change the group.
func (f *fleet) open() bool { return f.present && f.group.SteeredBy == "" }

// space is how many hosts more the group may have.
func (f *fleet) space() int { return min(f.rules.Max, f.group.Max) - f.group.Desired }

// floor is the count that no removal goes below.
func (f *fleet) floor() int { return max(f.rules.Min, f.group.Min) }

// refused says whether the zone is not asked now.
func (f *fleet) refused(zone string) bool { return f.memory.Refused[zone].After(f.now) }

// in is a new host of the group in the zone.
func (f *fleet) in(zone string) cluster.Host {
	h := f.offer
	h.Zone = zone
	h.Attributes = maps.Clone(h.Attributes)
	h.Attributes["ecs.availability-zone"] = zone
	return h
}

// emptiest lists the zones that may be asked, the ones with the fewest hosts
// first. more are hosts launched in this round.
func (f *fleet) emptiest(more map[string]int) []string {
	zones := slices.DeleteFunc(slices.Clone(f.group.Zones), f.refused)
	slices.SortStableFunc(zones, func(a, b string) int {
		return cmp.Compare(f.zones[a]+more[a], f.zones[b]+more[b])
	})
	return zones
}

// fleetOf looks at one of the policy's groups. Hosts are the cluster's.
func fleetOf(s cluster.State, rules policy.HostGroup) *fleet {
	f := &fleet{rules: rules, now: s.Now, zones: map[string]int{}, instances: map[string]cluster.Instance{}}
	f.memory = cloneGroup(s.Memory.Groups[rules.Group])
	i := slices.IndexFunc(s.Groups, func(g cluster.HostGroup) bool { return g.Name == rules.Group })
	if i < 0 {
		return f
	}
	f.group, f.present = s.Groups[i], true
	for _, in := range f.group.Instances {
		f.instances[in.ID] = in
	}
	registered := map[string]bool{}
	for _, h := range s.Hosts {
		if _, mine := f.instances[h.ID]; mine || h.Group == rules.Group {
			registered[h.ID] = true
			f.hosts = append(f.hosts, h)
			f.zones[h.Zone]++
		}
	}
	f.learn(s.Intents)
	f.makeOffer(s)
	f.expect(registered, s.Memory.Hosts)
	return f
}

func cloneGroup(m cluster.GroupMemory) cluster.GroupMemory {
	m.Refused, m.Tries = maps.Clone(m.Refused), maps.Clone(m.Tries)
	return m
}

// learn takes in what registered hosts offer and how launches ended.
func (f *fleet) learn(intents []cluster.Intent) {
	if len(f.hosts) > 0 {
		h := slices.MaxFunc(f.hosts, func(a, b cluster.Host) int { return a.RegisteredAt.Compare(b.RegisteredAt) })
		f.memory.Offers, f.memory.Attributes = h.Registered, h.Attributes
		if h.Empty() {
			f.memory.Ports = h.TakenPorts
		}
	}
	for _, i := range intents {
		if i.Verb == cluster.LaunchHosts && i.Subject == cluster.GroupSubject(f.rules.Group) {
			f.answered(i)
		}
	}
	for zone, until := range f.memory.Refused {
		if f.now.Sub(until) > 2*mostBackOff {
			f.forget(zone)
		}
	}
}

// answered keeps the back-off of a zone by how a launch there ended. A refusal
// that was taken in already changes nothing.
func (f *fleet) answered(i cluster.Intent) {
	switch {
	case i.Outcome == cluster.OutcomeApplied || i.Outcome == cluster.OutcomeShown:
		if i.At.After(f.memory.Refused[i.Zone]) {
			f.forget(i.Zone)
		}
	case i.Outcome != cluster.OutcomeRefused || f.refused(i.Zone):
	case slices.ContainsFunc(capacityErrors(), func(e string) bool { return strings.Contains(i.Detail, e) }):
		f.refuse(i.Zone)
	}
}

func (f *fleet) refuse(zone string) {
	if f.memory.Refused == nil {
		f.memory.Refused = map[string]time.Time{}
	}
	if f.memory.Tries == nil {
		f.memory.Tries = map[string]int{}
	}
	wait := firstBackOff
	for range f.memory.Tries[zone] {
		wait = min(2*wait, mostBackOff)
	}
	f.memory.Tries[zone] = min(f.memory.Tries[zone]+1, 10)
	f.memory.Refused[zone] = f.now.Add(wait)
}

func (f *fleet) forget(zone string) {
	delete(f.memory.Refused, zone)
	delete(f.memory.Tries, zone)
}

// makeOffer says what a new host will be like: as the newest one was, or as
// the policy says, less what daemons take of it.
func (f *fleet) makeOffer(s cluster.State) {
	offers := f.memory.Offers
	if offers == (cluster.Resources{}) && f.rules.Offers != nil {
		offers = cluster.Resources{CPU: f.rules.Offers.CPU, Memory: f.rules.Offers.Memory}
	}
	f.known = offers != (cluster.Resources{})
	f.offer = cluster.Host{Group: f.rules.Group, Registered: offers, TakenPorts: f.memory.Ports, Attributes: maps.Clone(f.memory.Attributes)}
	if len(f.group.InstanceTypes) == 1 {
		f.offer.Type = f.group.InstanceTypes[0]
	}
	if f.offer.Attributes == nil {
		f.offer.Attributes = supposed(s.Revisions)
	}
	if left := offers.Sub(daemons(s)); f.known && left.Holds(cluster.Resources{}) {
		f.offer.Registered = left
	}
}

// supposed are the attributes of a host before any was seen: agents have what
// task definitions require of them, until one shows that it has not.
func supposed(revisions map[string]cluster.Revision) map[string]string {
	all := map[string]string{"ecs.os-type": "linux"}
	for _, r := range revisions {
		for _, name := range r.Attributes {
			if _, ok := all[name]; !ok {
				all[name] = ""
			}
		}
	}
	return all
}

// daemons is what the daemon services take of every host.
func daemons(s cluster.State) cluster.Resources {
	var sum cluster.Resources
	for _, v := range s.Services {
		if v.Scheduling == "DAEMON" {
			sum = sum.Add(s.Revisions[v.Revision].Needs)
		}
	}
	return sum
}

// expect counts the hosts on their way: instances that have not registered,
// and what the group still has to launch to reach its desired capacity.
func (f *fleet) expect(registered map[string]bool, memory map[string]cluster.HostMemory) {
	there := 0
	for _, in := range f.group.Instances {
		if !strings.HasPrefix(in.Lifecycle, cluster.LifecyclePending) && in.Lifecycle != cluster.LifecycleInService {
			continue
		}
		there++
		if registered[in.ID] {
			continue
		}
		if since := memory[in.ID].Awaited; !since.IsZero() && f.now.Sub(since) >= awaited {
			f.late++
			continue
		}
		f.come(in.Zone)
	}
	for range f.group.Desired - there {
		zones := f.emptiest(nil)
		f.come(append(zones, "")[0])
	}
}

func (f *fleet) come(zone string) {
	f.zones[zone]++
	f.coming = append(f.coming, f.in(zone))
}

// standing marks the hosts DRAINING that are about to go, or whose instance
// has gone, so that nothing is placed on them.
func standing(s cluster.State) cluster.State {
	lifecycle := map[string]string{}
	groups := map[string]bool{}
	for _, g := range s.Groups {
		groups[g.Name] = true
		for _, in := range g.Instances {
			lifecycle[in.ID] = in.Lifecycle
		}
	}
	s.Hosts = slices.Clone(s.Hosts)
	for i, h := range s.Hosts {
		state, known := lifecycle[h.ID]
		if strings.HasPrefix(state, cluster.LifecycleTerminating) || !known && groups[h.Group] {
			s.Hosts[i].Status = cluster.HostDraining
		}
	}
	return s
}
