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

// mostTrial is the longest that a group whose hosts do not register waits with
// the next trial of one.
const mostTrial = 12 * time.Hour

// shortPatience is how long Auto Scaling may take to launch an instance towards
// a desired capacity before what is missing is no longer counted on.
const shortPatience = 5 * time.Minute

// Launches that were refused are not asked for again before a time that doubles
// with each refusal in a row.
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

// throttlingErrors are the names of refusals that say only that the call came
// at a bad moment: the next round makes it again.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
func throttlingErrors() []string {
	return []string{"Throttling", "RequestLimitExceeded", "ScalingActivityInProgress", "ResourceContention"}
}

// partial begins the detail of a launch that brought fewer hosts than it asked
// for; the error that kept the others back follows.
const partial = "partial:"

// fleet is a host group in one round.
type fleet struct {
	rules     policy.HostGroup
	group     cluster.HostGroup
	memory    cluster.GroupMemory
	instances map[string]cluster.Instance // by id
	hosts     []cluster.Host              // registered, not going
	coming    []cluster.Host              // launched, not registered yet
	late      int                         // launched too long ago to be counted on
	failed    []time.Time                 // when those came that are late, oldest first and each once, and after which no host registered
	starved   bool                        // Auto Scaling itself has not reached the desired capacity for too long
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

// trial is when the next host may be tried in a group whose hosts do not
// register: when as long has passed again as before the last one, from awaited
// on. Zero: the group's hosts do register.
func (f *fleet) trial() time.Time {
	if len(f.failed) == 0 {
		return time.Time{}
	}
	wait := awaited
	for range f.failed[1:] {
		wait = min(2*wait, mostTrial)
	}
	return f.failed[len(f.failed)-1].Add(wait)
}

// stop says why the group takes no host more than those that this round
// launches; empty if it does.
func (f *fleet) stop(launched int) Reason {
	trial := f.trial()
	switch {
	case f.starved:
		return NoCapacity
	case launched >= f.space():
		return HostsAtMaximum
	case !trial.IsZero() && (launched+len(f.coming) > 0 || trial.After(f.now)):
		return HostsNeverRegister
	}
	return ""
}

// floor is the count that no removal goes below.
func (f *fleet) floor() int { return max(f.rules.Min, f.group.Min) }

// refused says whether the zone is not asked now. While Auto Scaling cannot
// launch what it wants already, no zone is: to want still more brings nothing.
func (f *fleet) refused(zone string) bool {
	return f.starved || f.memory.Refused[zone].After(f.now)
}

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
	m.Faults, m.Answers = maps.Clone(m.Faults), maps.Clone(m.Answers)
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
	maps.DeleteFunc(f.memory.Answers, func(_ string, at time.Time) bool { return f.now.Sub(at) > 2*mostBackOff })
}

// answered keeps the back-off of a zone by how a launch there ended. Any
// refusal closes it but for one that only says: not now. One that was taken in
// already changes nothing, however long its intent stays open.
func (f *fleet) answered(i cluster.Intent) {
	done := i.Outcome == cluster.OutcomeApplied || i.Outcome == cluster.OutcomeShown
	lacking := done && strings.HasPrefix(i.Detail, partial)
	switch {
	case done && !lacking:
		if i.At.After(f.memory.Refused[i.Zone]) {
			f.forget(i.Zone)
		}
	case i.Outcome != cluster.OutcomeRefused && !lacking, names(i.Detail, throttlingErrors()):
	case !f.memory.Refused[i.Zone].After(f.now) && i.At.After(f.memory.Answers[i.Zone]):
		f.refuse(i.Zone, i.At, !names(i.Detail, capacityErrors()))
	}
}

// names says whether a detail names one of the errors.
func names(detail string, errors []string) bool {
	return slices.ContainsFunc(errors, func(e string) bool { return strings.Contains(detail, e) })
}

// refuse closes a zone for a launch that was asked for at a time.
func (f *fleet) refuse(zone string, asked time.Time, fault bool) {
	m := &f.memory
	if m.Refused == nil {
		m.Refused = map[string]time.Time{}
	}
	if m.Tries == nil {
		m.Tries = map[string]int{}
	}
	if m.Faults == nil {
		m.Faults = map[string]bool{}
	}
	if m.Answers == nil {
		m.Answers = map[string]time.Time{}
	}
	wait := firstBackOff
	for range m.Tries[zone] {
		wait = min(2*wait, mostBackOff)
	}
	m.Tries[zone] = min(m.Tries[zone]+1, 10)
	m.Refused[zone] = f.now.Add(wait)
	m.Answers[zone] = asked
	if delete(m.Faults, zone); fault {
		m.Faults[zone] = true
	}
}

func (f *fleet) forget(zone string) {
	delete(f.memory.Refused, zone)
	delete(f.memory.Tries, zone)
	delete(f.memory.Faults, zone)
}

// closed says why no zone may be asked: what a person can mend comes first.
func (f *fleet) closed() Reason {
	for zone := range f.memory.Faults {
		if f.memory.Refused[zone].After(f.now) && !f.starved {
			return LaunchRefused
		}
	}
	return NoCapacity
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
			f.fail(since)
			continue
		}
		f.come(in.Zone)
	}
	f.fallShort(there)
	for range f.group.Desired - there {
		if !f.starved {
			f.come(append(f.emptiest(nil), "")[0])
		}
	}
}

// fail notes when a late instance came. Where a host registered since, the
// cause is that instance's own.
func (f *fleet) fail(since time.Time) {
	works := slices.ContainsFunc(f.hosts, func(h cluster.Host) bool { return h.RegisteredAt.After(since) })
	if i, known := slices.BinarySearchFunc(f.failed, since, time.Time.Compare); !works && !known {
		f.failed = slices.Insert(f.failed, i, since)
	}
}

// fallShort remembers since when instances are missing that Auto Scaling was
// asked for. Each one that comes shows that it can launch, and begins the time
// anew.
func (f *fleet) fallShort(there int) {
	short := f.memory.Short
	switch {
	case f.group.Desired <= there:
		short = cluster.Sample{}
	case short.At.IsZero() || there > short.Count:
		short = cluster.Sample{At: f.now, Count: there}
	default:
		short.Count = there
	}
	f.memory.Short = short
	f.starved = !short.At.IsZero() && f.now.Sub(short.At) >= shortPatience
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
