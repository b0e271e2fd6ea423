package plan

import (
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// When a round looks again although no event may come.
const (
	sweep      = 60 * time.Second // comes anyway: nothing later is asked for
	lookAgain  = 20 * time.Second // tasks or hosts are on their way
	secondLook = 10 * time.Second // a host was set to DRAINING
	leastAhead = time.Second
)

// phase is the place of a decision in the plan, and so of its changes. What
// frees comes first, then what takes longest, then what uses the room there
// is, and removals last.
type phase int

const (
	lowerPhase phase = iota
	activatePhase
	launchPhase
	raisePhase
	drainPhase
	terminatePhase
	tellPhase // nothing changes
	phases
)

// round is one plan in the making.
type round struct {
	state   cluster.State // with hosts that go marked as DRAINING
	policy  policy.Policy
	memory  cluster.Memory
	pending map[cluster.Subject]bool // subjects with an open intent
	sizings []*sizing                // of the policy's services that exist, by name
	fleets  []*fleet                 // the policy's groups, in its order
	needs   []*need
	room    *room           // of the state, with nothing wanted placed
	placed  int             // tasks of the needs that have a place now
	returns map[string]bool // hosts taken back, by instance id
	seen    map[string]bool // hosts that were looked at, by instance id
	told    [phases][]Decision
	next    time.Time
}

// Cluster plans one round for a cluster: wanted task counts, then the hosts
// that all of it needs, then removals. The policy is defaulted and valid, and
// the state complete and overlaid (Overlay). No change goes beyond the policy's
// groups and services.
//
// Changes come in the order: desired counts that fall, hosts taken back,
// launches, desired counts that rise, hosts set to DRAINING, terminations. A
// count rises only as far as there is room now, so no change waits for another.
func Cluster(s cluster.State, p policy.Policy) Plan {
	r := &round{
		state:   standing(s),
		policy:  p,
		pending: map[cluster.Subject]bool{},
		returns: map[string]bool{},
		seen:    map[string]bool{},
		memory: cluster.Memory{
			Services: map[string]cluster.ServiceMemory{},
			Groups:   map[string]cluster.GroupMemory{},
			Hosts:    map[string]cluster.HostMemory{},
		},
	}
	r.state.Memory.Hosts = remembered(s)
	for _, i := range s.Intents {
		if i.Open() {
			r.pending[i.Subject] = true
		}
	}
	r.sizeServices()
	g := r.findHosts()
	for _, z := range r.sizings {
		r.settleService(z, g)
	}
	for i := range r.fleets {
		r.settleGroup(i, g)
	}
	r.keepMissing()
	return Plan{Decisions: slices.Concat(r.told[:]...), Memory: r.memory, Next: r.ahead()}
}

func (r *round) tell(p phase, d Decision) { r.told[p] = append(r.told[p], d) }

// look asks for a round at a time.
func (r *round) look(at time.Time) { r.next = earlier(r.next, at) }

// ahead is when to look again: never in the past, and nothing that the sweep
// covers.
func (r *round) ahead() time.Time {
	soonest := r.state.Now.Add(leastAhead)
	switch {
	case r.next.IsZero() || !r.next.Before(r.state.Now.Add(sweep)):
		return time.Time{}
	case r.next.Before(soonest):
		return soonest
	}
	return r.next
}

// missingFor is how long a host that looks lack is remembered.
const missingFor = 10 * time.Minute

// keepHost remembers a host, if there is anything to remember.
func (r *round) keepHost(id string, m cluster.HostMemory) {
	delete(r.memory.Hosts, id)
	if m != (cluster.HostMemory{}) {
		r.memory.Hosts[id] = m
	}
}

// sizeServices finds each service's wanted count, and says which are missing.
func (r *round) sizeServices() {
	away := map[string]bool{}
	for _, h := range r.state.Hosts {
		if h.Status == cluster.HostDraining {
			away[h.ARN] = true
		}
	}
	counts := tallies(r.state, away)
	seen := map[string]bool{}
	for _, v := range r.state.Services {
		rules, named := r.policy.Services[v.Name]
		if !named {
			continue
		}
		seen[v.Name] = true
		z := &sizing{
			service: v, rules: rules, tally: counts[v.Name], memory: r.state.Memory.Services[v.Name], now: r.state.Now,
			wanted: v.Desired, to: v.Desired, hold: NotSteered,
			steered: rules.Tasks != nil && v.Controller == "ECS" && v.Scheduling != "DAEMON",
		}
		if z.steered {
			z.size(r.state.Metrics)
		}
		r.sizings = append(r.sizings, z)
	}
	for name := range r.policy.Services {
		if !seen[name] {
			r.tell(tellPhase, Decision{Subject: cluster.ServiceSubject(name), Reason: ServiceMissing})
		}
	}
	slices.SortFunc(r.told[tellPhase], func(a, b Decision) int { return strings.Compare(string(a.Subject), string(b.Subject)) })
}

// findHosts shares the room there is and finds the hosts that all of it needs.
func (r *round) findHosts() *growth {
	for _, h := range r.policy.Hosts {
		r.fleets = append(r.fleets, fleetOf(r.state, h))
	}
	r.needs = needsOf(r.sizings, r.state.Revisions)
	r.room = newRoom(r.state)
	share(r.needs, r.room.clone())
	if len(r.needs) > 0 {
		_, r.placed = placeAll(r.needs, r.room.clone())
		r.look(r.state.Now.Add(lookAgain))
	}
	g := hostsFor(r.fleets, r.needs, r.room, r.drainedByUs())
	for i := range r.fleets {
		g.keepMinimum(i)
	}
	for _, h := range g.back {
		r.returns[h.ID] = true
		r.activate(h, HostNeeded)
	}
	return g
}

// settleService decides about one service's count.
func (r *round) settleService(z *sizing, g *growth) {
	n := r.needOf(z)
	switch {
	case z.steered && z.wanted < z.service.Desired:
		z.lower(n.fate(r.room))
	case z.steered && z.wanted > z.service.Desired && n != nil:
		z.raise(n.room)
	}
	if n != nil && n.waiting && z.to == z.service.Desired && z.wanted >= z.to {
		z.block(n, g)
	}
	if z.steered {
		z.settle()
		r.memory.Services[z.service.Name] = z.memory
		r.look(z.next)
	}
	r.tellService(z)
}

func (r *round) needOf(z *sizing) *need {
	for _, n := range r.needs {
		if n.z == z {
			return n
		}
	}
	return nil
}

// block says that a service waits for hosts, or that none will ever do.
func (z *sizing) block(n *need, g *growth) {
	if z.hold == CeilingReached || z.hold == Contested {
		return
	}
	z.hold = WaitingForHosts
	z.note(Number{"owed", float64(n.owed)})
	if since := z.memory.Since; !since.IsZero() {
		z.note(Number{"waitedSeconds", z.waited().Seconds()})
	}
	if g.blocked[n.want.Service] != FitsNoHost {
		return
	}
	z.hold = FitsNoHost
	z.note(Number{"needsCPU", float64(n.want.Revision.Needs.CPU)}, Number{"needsMemory", float64(n.want.Revision.Needs.Memory)})
	if c := g.why[n.want.Service]; c != "" {
		z.note(Number{"lacks " + string(c), 1})
	}
}

func (r *round) tellService(z *sizing) {
	subject := cluster.ServiceSubject(z.service.Name)
	d := Decision{Subject: subject, From: z.service.Desired, To: z.to, Reason: z.reason(), Numbers: z.numbers}
	p := tellPhase
	if d.To != d.From {
		d.Changes = []cluster.Change{{Verb: cluster.SetDesiredCount, Subject: subject, From: d.From, To: d.To}}
		p = raisePhase
		r.look(r.state.Now.Add(lookAgain))
	}
	if d.To < d.From {
		p = lowerPhase
	}
	r.tell(p, d)
}

// settleGroup decides about one group.
func (r *round) settleGroup(i int, g *growth) {
	f := r.fleets[i]
	d := Decision{Subject: cluster.GroupSubject(f.rules.Group), From: f.group.Desired, To: f.group.Desired}
	switch {
	case !f.present:
		d.Reason = GroupMissing
		r.tell(tellPhase, d)
		return
	case !f.open():
		d.Reason = GroupSteered
		r.keepAll(f)
		r.tell(tellPhase, d)
		return
	}
	r.memory.Groups[f.rules.Group] = f.memory
	r.await(f)
	l := r.survey(f, g.launched(i))
	d.Numbers = []Number{{"hosts", float64(len(f.hosts))}, {"coming", float64(len(f.coming))}, {"unplaced", float64(g.unplaced)}}
	if f.late > 0 {
		d.Numbers = append(d.Numbers, Number{"late", float64(f.late)})
	}
	if since := f.memory.Short.At; !since.IsZero() {
		d.Numbers = append(d.Numbers, Number{"shortSeconds", r.state.Now.Sub(since).Seconds()})
	}
	if g.launched(i) > 0 {
		r.tellLaunch(i, g, d)
		return
	}
	d.Reason = r.holdGroup(i, g, l)
	d.Numbers = append(d.Numbers, Number{"empty", float64(l.empty)}, Number{"going", float64(l.going)})
	r.tell(tellPhase, d)
}

// tellLaunch tells a launch; nothing leaves a group in the same round.
func (r *round) tellLaunch(i int, g *growth, d Decision) {
	f := r.fleets[i]
	d.To, d.Changes = d.From+g.launched(i), g.changes(i)
	switch {
	case g.learning[i]:
		d.Reason = HostSizeUnknown
	case g.unplaced > 0:
		d.Reason = TasksUnplaced
		d.Numbers = append(d.Numbers, Number{"hostsIfPacked", float64(g.packed(i))})
	default:
		d.Reason = BelowMinHosts
		d.Numbers = append(d.Numbers, Number{"min", float64(f.rules.Min)})
	}
	r.look(r.state.Now.Add(lookAgain))
	r.tell(launchPhase, d)
}

// holdGroup says why a group does not grow, or what keeps its empty hosts, and
// lets those go that may.
func (r *round) holdGroup(i int, g *growth, l *departures) Reason {
	f := r.fleets[i]
	due := len(l.due)
	drained, held := r.drain(f, l)
	r.look(l.soonest)
	r.awaitOpening(f, g.stopped[i])
	switch {
	case g.stopped[i] != "":
		return g.stopped[i]
	case len(f.coming) > 0:
		r.look(r.state.Now.Add(lookAgain))
		return HostsOnTheirWay
	case drained > 0:
		return HostEmpty
	case due > 0:
		return held
	case l.empty > 0:
		return EmptyTooShort
	}
	return g.elsewhere()
}

// awaitOpening looks again when a group that was stopped may be asked anew.
func (r *round) awaitOpening(f *fleet, stopped Reason) {
	switch stopped {
	case HostsNeverRegister:
		if trial := f.trial(); trial.After(r.state.Now) {
			r.look(trial)
		}
	case NoCapacity, LaunchRefused:
		for _, until := range f.memory.Refused {
			r.look(until)
		}
	default: // nothing opens by time alone
	}
}

// await remembers since when an instance has not registered.
func (r *round) await(f *fleet) {
	registered := map[string]bool{}
	for _, h := range f.hosts {
		registered[h.ID] = true
	}
	for _, in := range f.group.Instances {
		if registered[in.ID] || strings.HasPrefix(in.Lifecycle, cluster.LifecycleTerminating) || supposedID(in.ID) {
			continue
		}
		m := r.state.Memory.Hosts[in.ID]
		if m.Awaited.IsZero() {
			m.Awaited = r.state.Now
		}
		r.keepHost(in.ID, cluster.HostMemory{Awaited: m.Awaited, DrainedAt: m.DrainedAt})
	}
}

// keepMissing remembers for a while that plimsoll set hosts to DRAINING which this
// look lacks: an absence proves nothing, and a host that nobody knows to be
// plimsoll's to end would stay DRAINING for good.
func (r *round) keepMissing() {
	for id, m := range r.state.Memory.Hosts {
		if _, kept := r.memory.Hosts[id]; kept || r.seen[id] || m.DrainedAt.IsZero() {
			continue
		}
		if m.Awaited.IsZero() {
			m.Awaited = r.state.Now
		}
		if r.state.Now.Sub(m.Awaited) < missingFor {
			r.keepHost(id, cluster.HostMemory{Awaited: m.Awaited, DrainedAt: m.DrainedAt})
		}
	}
}

// keepAll carries the memory of a group that is left alone.
func (r *round) keepAll(f *fleet) {
	r.memory.Groups[f.rules.Group] = f.memory
	for id := range f.instances {
		r.keepHost(id, r.state.Memory.Hosts[id])
	}
}
