package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Limits of AWS: 1,000 targets a target group (adjustable), 1,000 registrations
// of one instance with an Application Load Balancer (not adjustable), 1,000
// instances a Cloud Map service. Of a load balancer only the groups of this
// service are seen, so that its count is the least that it can be.
const (
	endpointsMax  = 1000
	endpointsNear = endpointsMax * 9 / 10
)

// roster is one target group or registry in one plan.
type roster struct {
	subject  cluster.Subject
	key      string // ARN of the target group or id of the registry
	fault    Reason // why nothing is ever written there; empty: it is
	group    *cluster.TargetGroup
	registry *cluster.Registry
	standing map[spot]presence
	wishes   map[spot]*wish
	counts   map[Reason]int
	changes  []cluster.Change
	memory   cluster.PlaceMemory // of registrations that were refused
	stands   int                 // what stands there now
	will     int                 // what stands there after the changes
	near     int                 // how much of the limit is used, where that is near it
}

// spot is where something stands at a roster: a target, or an instance of a registry.
type spot struct {
	host string
	port int
	id   string // of registries only
}

func compareSpots(a, b spot) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port), cmp.Compare(a.id, b.id))
}

// presence is whether something stands at a spot.
type presence int

const (
	nowhere presence = iota
	doubted          // an intent without an outcome may have put it there, or it stands there with another address
	there
	draining // it gets nothing new, and cannot be registered before its delay ends
)

// wish is a task's port that is to stand at a spot.
type wish struct {
	task    string // ARN
	port    cluster.HostPort
	spot    spot
	address string // IPv4 address of the host, for a registry
}

// roster is the one of an endpoint's place. Its faults are found with its first
// endpoint, but for a protocol that does not fit a later one.
func (r *reaching) roster(row policy.Endpoint) *roster {
	subject := cluster.TargetsSubject(row.TargetGroup)
	if row.Registry != "" {
		subject = cluster.RegistrySubject(row.Registry)
	}
	i, known := slices.BinarySearchFunc(r.rosters, subject, func(s *roster, of cluster.Subject) int { return cmp.Compare(s.subject, of) })
	if !known {
		s := newRoster(subject)
		if row.Registry != "" {
			r.findRegistry(s, row.Registry)
		} else {
			r.findGroup(s, row.TargetGroup)
		}
		r.recall(s)
		r.rosters = slices.Insert(r.rosters, i, s)
	}
	s := r.rosters[i]
	if s.fault == "" && s.group != nil && !slices.Contains(s.group.Protocols(), row.Protocol) {
		s.fault, s.wishes = WrongProtocol, nil
	}
	return s
}

func newRoster(subject cluster.Subject) *roster {
	return &roster{subject: subject, standing: map[spot]presence{}, wishes: map[spot]*wish{}, counts: map[Reason]int{}}
}

func (r *reaching) findGroup(s *roster, name string) {
	i := slices.IndexFunc(r.state.Groups, func(g cluster.TargetGroup) bool { return g.Name == name })
	if i < 0 {
		s.fault = TargetGroupMissing
		return
	}
	s.group = &r.state.Groups[i]
	s.key = s.group.ARN
	switch {
	case s.group.ManagedBy != "":
		s.fault = ManagedByECS
	case s.group.TargetType != "instance":
		s.fault = WrongTargetType
	}
	for _, t := range s.group.Targets {
		if now := presenceOf(t); now != nowhere {
			s.stand(spot{host: t.Instance, port: t.Port}, now)
		}
	}
}

// presenceOf is whether a target stands. DescribeTargetHealth also tells of
// targets that are not registered, if it is asked for them.
func presenceOf(t cluster.Target) presence {
	switch {
	case t.State == "":
		return doubted
	case t.Leaving():
		return draining
	case t.State == cluster.TargetUnused && t.Reason == "Target.NotRegistered":
		return nowhere
	default:
		return there
	}
}

func (r *reaching) findRegistry(s *roster, name string) {
	is := func(g cluster.Registry) bool { return g.Name == name || g.ID == name }
	i := slices.IndexFunc(r.state.Registries, is)
	if i < 0 {
		s.fault = RegistryMissing
		return
	}
	s.registry = &r.state.Registries[i]
	s.key = s.registry.ID
	switch {
	case slices.ContainsFunc(r.state.Registries[i+1:], is):
		s.fault = RegistryAmbiguous
	case s.registry.ManagedBy != "":
		s.fault = ManagedByECS
	}
	for _, in := range s.registry.Instances {
		if _, known := r.listed[listing{s.key, in.ID}]; known || ours(in.ID) {
			s.stand(spot{id: in.ID}, there)
		}
	}
}

func (s *roster) stand(at spot, now presence) {
	s.standing[at] = now
	if now == there {
		s.stands++
		s.will++
	}
}

// do takes a change into the roster's decision.
func (s *roster) do(batch []ask) {
	s.changes = append(s.changes, change(batch))
	for _, a := range batch {
		switch now := s.standing[a.spot]; {
		case a.turn == cluster.TurnNew && now != there:
			s.will++
		case a.turn != cluster.TurnNew && now == there:
			s.will--
		}
	}
}

// presence is whether a wish stands. An instance that tells another address or
// port is there and does not.
func (s *roster) presence(w *wish) presence {
	now := s.standing[w.spot]
	if s.registry == nil || now != there {
		return now
	}
	for _, in := range s.registry.Instances {
		if in.ID == w.spot.id && (in.IPv4 != w.address && w.address != "" || in.Port != w.port.Port) {
			return doubted
		}
	}
	return there
}

// busy says whether Cloud Map works on the instance at a spot.
func (s *roster) busy(at spot) bool { return s.registry != nil && s.registry.Busy[at.id] != "" }

// spots and wished are where something stands and what is wished for, in order.
func (s *roster) spots() []spot  { return slices.SortedFunc(maps.Keys(s.standing), compareSpots) }
func (s *roster) wished() []spot { return slices.SortedFunc(maps.Keys(s.wishes), compareSpots) }

// instanceMax is how long the id of a Cloud Map instance may be: it takes 64
// characters, but of a service with SRV records the id is a part of a name in DNS.
const instanceMax = 63

// instanceID is the id of a Cloud Map instance: the task's, a dot, the container's
// name and port. A name that is too long is told by a hash.
func instanceID(task string, b cluster.Binding) string {
	port := fmt.Sprintf("-%d", b.ContainerPort)
	if b.Protocol != policy.TCP {
		port += "-" + b.Protocol
	}
	id := taskID(task) + "." + b.Container + port
	if len(id) <= instanceMax {
		return id
	}
	h := uint32(2166136261) // FNV-1a: this package does without packages of hashes
	for i := range len(b.Container) {
		h = (h ^ uint32(b.Container[i])) * 16777619
	}
	return fmt.Sprintf("%s.%08x%s", taskID(task), h, port)
}

// taskID is the last part of a task's ARN.
func taskID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// ours says whether plimsoll made a Cloud Map instance, by its id: nobody else's
// is an orphan. An address has dots too, but no task's id before the first.
func ours(id string) bool {
	task, _, dotted := strings.Cut(id, ".")
	return dotted && len(task) >= 32 && strings.Trim(task, "0123456789abcdef-") == ""
}

// taskOf is the ARN of the task that an instance's id names; empty for one that
// the look lacks.
func (r *reaching) taskOf(id string) string {
	task, _, _ := strings.Cut(id, ".")
	for _, t := range r.state.Tasks {
		if _, known := r.tasks[t.ARN]; known && taskID(t.ARN) == task {
			return t.ARN
		}
	}
	return ""
}

// countLimits notes what counts towards limits already.
func (r *reaching) countLimits(s *roster) {
	if s.fault != "" {
		return
	}
	used := s.listed()
	if s.group != nil {
		for _, b := range s.group.Balancers {
			for _, t := range s.group.Targets {
				used = max(used, r.loads[load{b, t.Instance}])
			}
		}
	}
	s.use(used)
}

// use notes how much of a limit is used.
func (s *roster) use(n int) {
	if n >= endpointsNear {
		s.near = max(s.near, n)
	}
}

// listed is how much AWS counts at the roster: what drains there, and what is not
// plimsoll's, counts too.
func (s *roster) listed() int {
	if s.registry != nil {
		return len(s.registry.Instances) + s.counts[TaskRuns]
	}
	return len(s.group.Targets) + s.counts[TaskRuns]
}

// full says whether one more registration would go beyond a limit.
func (r *reaching) full(s *roster, w *wish) bool {
	if s.listed() >= endpointsMax {
		return true
	}
	return s.group != nil && slices.ContainsFunc(s.group.Balancers, func(b string) bool {
		return r.loads[load{b, w.spot.host}] >= endpointsMax
	})
}

// took counts a registration that is asked for towards the limits.
func (r *reaching) took(s *roster, w *wish) {
	s.use(s.listed() + 1)
	if s.group == nil {
		return
	}
	for _, b := range s.group.Balancers {
		l := load{b, w.spot.host}
		r.loads[l]++
		s.use(r.loads[l])
	}
}

// order are the reasons of a roster's decision, the one to tell first.
func order() []Reason {
	return []Reason{
		TargetGroupMissing, RegistryMissing, RegistryAmbiguous, ManagedByECS, WrongTargetType, WrongProtocol,
		LimitReached, TaskEnds, TaskLeaves, PortReused, NobodysTarget, LimitNear, TaskRuns, CallsSpent,
		PortTaken, TaskUnknown, OperationRuns, AddressUnknown, RefusedBefore, PortNotMapped, StillDraining,
	}
}

// decide is what is decided about the roster: by the most telling of what happens
// there, with the count of each thing.
func (s *roster) decide() Decision {
	d := Decision{Subject: s.subject, From: s.stands, To: s.will, Reason: EndpointsMatch, Changes: s.changes}
	if s.fault != "" {
		s.counts = map[Reason]int{s.fault: 1}
	}
	if s.near > 0 {
		s.counts[LimitNear] = s.near
	}
	d.Numbers = append(d.Numbers, Number{"wanted", float64(len(s.wishes))})
	for _, why := range order() {
		n := s.counts[why]
		if n == 0 {
			continue
		}
		if d.Reason == EndpointsMatch {
			d.Reason = why
		}
		if why != s.fault {
			d.Numbers = append(d.Numbers, Number{string(why), float64(n)})
		}
	}
	if s.near > 0 || s.counts[LimitReached] > 0 {
		d.Numbers = append(d.Numbers, Number{"limit", endpointsMax})
	}
	return d
}
