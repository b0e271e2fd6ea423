package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// grip is how a wish's task holds the record of its port.
type grip int

const (
	mine  grip = iota // the record is the task's
	free              // there is none
	heir              // its owner has ended, and its port is taken off everywhere
	owing             // its owner has ended, and its port still stands somewhere
	taken             // its owner is not known to have ended
)

// gripPorts finds how each wished port is held, and asks for the ports of old
// owners to be taken off where other services are registered: those may not get
// to it soon.
func (r *reaching) gripPorts() {
	for _, s := range r.rosters {
		for _, at := range s.wished() {
			w := s.wishes[at]
			if _, known := r.grips[w.port]; !known {
				r.grips[w.port] = r.grip(w.port, w.task)
			}
		}
	}
}

func (r *reaching) grip(port cluster.HostPort, task string) grip {
	o, known := r.state.Owners[port]
	switch {
	case !known:
		return free
	case o.Task == task:
		return mine
	case !r.gone[o.Task]:
		return taken
	}
	g := heir
	for _, t := range traces(port, o) {
		if r.stands(t, port, o.Task) {
			g = owing
		}
	}
	return g
}

// trace is one place of a port's record: where its owner may be registered.
type trace struct {
	subject cluster.Subject
	key     string
	spot    spot
}

func traces(port cluster.HostPort, o cluster.Owner) []trace {
	var all []trace
	for _, arn := range o.Groups {
		all = append(all, trace{cluster.TargetsSubject(groupName(arn)), arn, spot{host: port.Instance, port: port.Port}})
	}
	for _, l := range o.Listed {
		all = append(all, trace{cluster.RegistrySubject(l.Name), l.Registry, spot{id: l.Instance}})
	}
	return all
}

// groupName is the name in the ARN of a target group: ...:targetgroup/NAME/ID.
func groupName(arn string) string {
	parts := strings.Split(arn, "/")
	if len(parts) < 3 {
		return arn
	}
	return parts[1]
}

// stands says whether an ended owner's port may still stand somewhere. Where this
// service is registered the look tells: what is wished for there is right, whoever
// registered it, and where nothing is ever written nothing is waited for.
// Elsewhere it stands until a change took it off, and one is asked for. Places
// that the policy does not name are not touched.
func (r *reaching) stands(t trace, port cluster.HostPort, owner string) bool {
	if s := find(r.rosters, t.key); s != nil {
		return s.fault == "" && s.remains(t.spot)
	}
	named := r.policy.HasTargetGroup(t.subject.Name())
	if t.spot.id != "" {
		named = r.policy.HasRegistry(t.subject.Name())
	}
	replaced := slices.ContainsFunc(r.rosters, func(s *roster) bool { return s.subject == t.subject }) // by one of the same name: the old one is gone
	off, runs := r.tookOff(t, owner)
	switch {
	case !named || replaced || off:
		return false
	case runs:
		return true
	}
	s := find(r.others, t.key)
	if s == nil {
		s = newRoster(t.subject)
		s.key = t.key
		r.others = append(r.others, s)
		slices.SortFunc(r.others, func(a, b *roster) int { return strings.Compare(string(a.subject), string(b.subject)) })
	}
	if s.standing[t.spot] == nowhere {
		s.stand(t.spot, there)
		s.counts[PortReused]++
		r.asks = append(r.asks, ask{roster: s, turn: cluster.TurnEnded, spot: t.spot, port: port, task: owner})
	}
	return true
}

// remains says whether something may stand at a spot that is not wished for.
func (s *roster) remains(at spot) bool {
	now := s.standing[at]
	return s.wishes[at] == nil && (now == there || now == doubted || s.busy(at))
}

// tookOff says whether a change took the owner's port off, as its intent tells, or
// else whether one has begun to: of Cloud Map the operation must have succeeded.
func (r *reaching) tookOff(t trace, owner string) (off, runs bool) {
	at := fixed{t.key, t.spot}
	for _, i := range r.state.Intents {
		n := slices.Index(fixedBy(i), at)
		done := i.Outcome == cluster.OutcomeApplied || i.Outcome == cluster.OutcomeShown
		if n < 0 || !done || registers(i) || i.Reaches.Tasks[n] != owner {
			continue
		}
		over := t.spot.id == "" || i.Operation == "" || r.state.Finished[i.Operation] == cluster.OperationSucceeded // without one: it was not there
		off, runs = off || over, runs || !over
	}
	return off, runs
}

func find(rosters []*roster, key string) *roster {
	i := slices.IndexFunc(rosters, func(s *roster) bool { return s.key == key && key != "" })
	if i < 0 {
		return nil
	}
	return rosters[i]
}

// claims are the records to write: of each wished port that is to be had, where
// the record does not say so yet, and of each that is registered now. The record
// that the plan rests on may be an old copy, so that only the write, on condition
// of its version, tells that the port is still the task's. It keeps naming where the
// port still stands and is not wished for, so that nobody takes it over before
// that is gone.
func (r *reaching) claims() []Claim {
	wanted := map[cluster.HostPort]cluster.Owner{}
	for _, s := range r.rosters {
		for _, at := range s.wished() {
			w := s.wishes[at]
			if r.grips[w.port] >= owing {
				continue
			}
			o, begun := wanted[w.port]
			if !begun {
				o = r.kept(w.port, w.task)
			}
			wanted[w.port] = s.named(o, at)
		}
	}
	var all []Claim
	begun := r.begun()
	for _, port := range slices.SortedFunc(maps.Keys(wanted), comparePorts) {
		o, old := sorted(wanted[port]), r.state.Owners[port]
		if begun[port] || o.Task != old.Task || o.Service != old.Service || !slices.Equal(o.Groups, old.Groups) || !slices.Equal(o.Listed, old.Listed) {
			all = append(all, Claim{Port: port, Owner: o})
		}
	}
	return all
}

// begun are the ports that this plan registers somewhere.
func (r *reaching) begun() map[cluster.HostPort]bool {
	ports := map[cluster.HostPort]bool{}
	for _, s := range r.rosters {
		for _, c := range s.changes {
			if c.Reaches.Turn != cluster.TurnNew {
				continue
			}
			for _, port := range c.Reaches.Ports {
				ports[port] = true
			}
		}
	}
	return ports
}

// kept is a task's record of a port with nothing but what still stands of it.
func (r *reaching) kept(port cluster.HostPort, task string) cluster.Owner {
	old := r.state.Owners[port]
	o := cluster.Owner{Task: task, Service: r.state.Service, Version: old.Version}
	if old.Task != task {
		return o // all of it was taken off, or is wished for
	}
	for _, t := range traces(port, old) {
		if s := find(r.rosters, t.key); s != nil && s.remains(t.spot) {
			o = s.named(o, t.spot)
		}
	}
	return o
}

// named is the record with a spot of the roster more.
func (s *roster) named(o cluster.Owner, at spot) cluster.Owner {
	if s.registry != nil {
		o.Listed = append(o.Listed, cluster.Listing{Registry: s.key, Name: s.subject.Name(), Instance: at.id})
	} else {
		o.Groups = append(o.Groups, s.key)
	}
	return o
}

// sorted is the record as it is written.
func sorted(o cluster.Owner) cluster.Owner {
	slices.Sort(o.Groups)
	slices.SortFunc(o.Listed, func(a, b cluster.Listing) int {
		return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.Instance, b.Instance))
	})
	return o
}

// released are the service's records to delete: of ports that no task of it wants
// any more, and that are taken off everywhere.
func (r *reaching) released() []Claim {
	var all []Claim
	for _, port := range slices.SortedFunc(maps.Keys(r.state.Owners), comparePorts) {
		o := r.state.Owners[port]
		_, wished := r.grips[port]
		if o.Service != r.state.Service || wished || r.fate(o.Task, o.Service, port) == TaskUnknown {
			continue
		}
		stands := slices.ContainsFunc(traces(port, o), func(t trace) bool {
			s := find(r.rosters, t.key)
			return s != nil && s.remains(t.spot)
		})
		if !stands {
			all = append(all, Claim{Port: port, Owner: o})
		}
	}
	return all
}
