package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// When a round of register looks again although no event may come.
const (
	refilled  = targetCalls / 4 * time.Second // as many calls as a round makes may be made again
	uncertain = 5 * time.Second               // reads contradict each other, or Cloud Map is at work
)

// Endpoints plans one round for the ports of a service's tasks, or of tasks that
// no service started: each RUNNING task's port stands where the policy says, and
// nothing else does. The policy is defaulted and valid, the state complete and
// overlaid (OverlayEndpoints). No change goes beyond the target groups and
// registries that the policy names.
//
// What answers for a task that ends, or whose port is another's now, goes first,
// then what nobody stands behind; what is new comes last. A port's record is its
// lock: only its owner is registered, and who takes it over from a task that has
// ended waits until that one's port is taken off everywhere.
func Endpoints(e cluster.Endpoints, p policy.Policy) Plan {
	r := newReaching(e, p)
	for _, row := range p.EndpointsOf(e.Service) {
		r.wish(row)
	}
	for _, s := range r.rosters {
		r.takeOff(s)
	}
	r.gripPorts()
	for _, s := range r.rosters {
		r.register(s)
	}
	r.spend()
	plan := Plan{Claims: r.claims(), Released: r.released(), Memory: cluster.Memory{Places: r.places()}, Next: r.ahead()}
	for _, s := range slices.Concat(r.others, r.rosters) {
		plan.Decisions = append(plan.Decisions, s.decide())
	}
	return plan
}

// reaching is one plan of endpoints in the making.
type reaching struct {
	state   cluster.Endpoints
	policy  policy.Policy
	tasks   map[string]cluster.Task     // by ARN: those that the name in the policy stands for
	gone    map[string]bool             // tasks that have ended, by ARN
	binder  map[cluster.HostPort]string // the running task, or else the stopping one, that a port is bound by
	listed  map[listing]cluster.HostPort
	grips   map[cluster.HostPort]grip // of the ports that are wished for
	rosters []*roster                 // of the policy's rows, sorted by subject
	others  []*roster                 // where old owners of ports are registered for other services
	loads   map[load]int              // registrations of an instance with a load balancer, as far as this service's groups show
	asks    []ask
	next    time.Time
}

// listing is an instance of a registry.
type listing struct{ registry, instance string }

// load is an instance as a load balancer counts its registrations.
type load struct{ balancer, instance string }

func newReaching(e cluster.Endpoints, p policy.Policy) *reaching {
	r := &reaching{
		state: e, policy: p,
		tasks:  map[string]cluster.Task{},
		gone:   map[string]bool{},
		binder: map[cluster.HostPort]string{},
		listed: map[listing]cluster.HostPort{},
		grips:  map[cluster.HostPort]grip{},
		loads:  map[load]int{},
	}
	r.findTasks()
	for port, o := range e.Owners {
		for _, l := range o.Listed {
			r.listed[listing{l.Registry, l.Instance}] = port
		}
	}
	for _, g := range e.Groups {
		for _, t := range g.Targets {
			for _, b := range g.Balancers {
				r.loads[load{b, t.Instance}]++
			}
		}
	}
	return r
}

// findTasks finds the tasks that the name in the policy stands for, which of them
// have ended, and whose ports are whose. A service's tasks may be of a family that
// standalone tasks are found by. ECS may call a task MISSING that just started, so
// that counts only where a record is older than such a read can be.
func (r *reaching) findTasks() {
	service := r.state.Service
	if _, standalone := r.policy.Standalone[service]; standalone {
		service = ""
	}
	for _, t := range r.state.Tasks {
		if t.Service == service {
			r.tasks[t.ARN] = t
		}
	}
	known := map[string]bool{}
	for _, o := range r.state.Owners {
		known[o.Task] = known[o.Task] || r.state.Now.Sub(time.UnixMilli(o.Version)) >= staleReads
	}
	for arn, how := range r.state.Ended {
		_, here := r.tasks[arn]
		r.gone[arn] = how == cluster.TaskStopped || !here && known[arn] // a task that the same look shows is not MISSING
	}
	for _, t := range r.state.Tasks {
		if _, ours := r.tasks[t.ARN]; ours {
			r.bind(t)
		}
	}
}

// bind notes which task a port counts as bound by. Two can only seem to bind
// one: the owner of its record wins, then a running one, then the later start.
func (r *reaching) bind(t cluster.Task) {
	for _, b := range t.Bindings {
		port := hostPort(t, b)
		before, known := r.tasks[r.binder[port]]
		owner := r.state.Owners[port].Task
		switch {
		case !known, r.runs(t) && !r.runs(before), t.ARN == owner && r.runs(t):
			r.binder[port] = t.ARN
		case before.ARN != owner && r.runs(t) && before.StartedAt.Before(t.StartedAt):
			r.binder[port] = t.ARN
		}
	}
}

// runs says whether the task's ports are to be registered.
func (r *reaching) runs(t cluster.Task) bool {
	return t.Last == cluster.TaskRunning && !t.Stopping() && !r.gone[t.ARN] && !r.state.Leaving[t.ARN]
}

func hostPort(t cluster.Task, b cluster.Binding) cluster.HostPort {
	return cluster.HostPort{Instance: t.Instance, Port: b.HostPort, Protocol: b.Protocol}
}

// look asks for a round after some time.
func (r *reaching) look(after time.Duration) { r.next = earlier(r.next, r.state.Now.Add(after)) }

// ahead is when to look again: never in the past, and nothing that the sweep
// covers.
func (r *reaching) ahead() time.Time {
	if !r.next.Before(r.state.Now.Add(sweep)) {
		return time.Time{}
	}
	return r.next
}

// wish notes what an endpoint of the policy asks for: a spot for each running
// task that maps the port. What is wrong with its place is told there.
func (r *reaching) wish(row policy.Endpoint) {
	s := r.roster(row)
	if s.fault != "" {
		return
	}
	for _, t := range r.state.Tasks {
		if _, ours := r.tasks[t.ARN]; !ours || !r.runs(t) {
			continue
		}
		mapped := false
		for _, b := range t.Bindings {
			if b.Container == row.Container && b.ContainerPort == row.Port && b.Protocol == row.Protocol {
				mapped = true
				r.wishFor(s, t, b)
			}
		}
		if !mapped {
			s.counts[PortNotMapped]++
		}
	}
}

func (r *reaching) wishFor(s *roster, t cluster.Task, b cluster.Binding) {
	port := hostPort(t, b)
	switch {
	case t.Instance == "":
		s.counts[AddressUnknown]++
		return
	case r.binder[port] != t.ARN:
		s.counts[PortTaken]++
		r.look(uncertain)
		return
	}
	w := &wish{task: t.ARN, port: port, spot: spot{host: t.Instance, port: b.HostPort}}
	if s.registry != nil {
		w.spot = spot{id: instanceID(t.ARN, b)}
		w.address = r.state.Addresses[t.Instance]
	}
	s.wishes[w.spot] = w
}

// takeOff asks for what stands at a roster and is not wished for to be taken off,
// where it is known that it stands for nobody.
func (r *reaching) takeOff(s *roster) {
	if s.fault != "" {
		return
	}
	for _, at := range s.spots() {
		if s.standing[at] == draining || s.wishes[at] != nil {
			continue
		}
		port, task, why := r.verdict(s, at)
		s.counts[why]++
		switch {
		case why == TaskUnknown:
			r.look(uncertain)
		case s.busy(at):
			s.counts[OperationRuns]++
			r.look(uncertain)
		default:
			turn := map[Reason]cluster.Turn{TaskLeaves: cluster.TurnLeaving, NobodysTarget: cluster.TurnOrphan}[why] // else ended
			if why == TaskEnds && r.missing(task) {
				turn = cluster.TurnOrphan
			}
			r.asks = append(r.asks, ask{roster: s, turn: turn, spot: at, port: port, task: task})
		}
	}
}

// missing says whether a task has ended for ECS no longer knowing it. Unlike
// STOPPED that is not for good: a later read that shows the task is right.
func (r *reaching) missing(task string) bool {
	return r.gone[task] && r.state.Ended[task] != cluster.TaskStopped
}

// verdict says for whom something stands that is not wished for, as far as that
// is known, and why it is taken off, or TaskUnknown.
func (r *reaching) verdict(s *roster, at spot) (port cluster.HostPort, task string, why Reason) {
	port, o, known := r.holder(s, at)
	if known {
		return port, o.Task, r.fate(o.Task, o.Service, port)
	}
	task = r.binder[port]
	if s.registry != nil {
		task = r.taskOf(at.id)
	}
	if task == "" { // nobody that plimsoll knows of ever stood for it
		return port, "", NobodysTarget
	}
	return port, task, r.fate(task, r.state.Service, port)
}

// holder is the record of what stands at a spot: that of its port, or the one
// that lists the instance.
func (r *reaching) holder(s *roster, at spot) (cluster.HostPort, cluster.Owner, bool) {
	if s.registry != nil {
		port, known := r.listed[listing{s.key, at.id}]
		return port, r.state.Owners[port], known
	}
	port := cluster.HostPort{Instance: at.host, Port: at.port, Protocol: s.group.Protocols()[0]}
	o, known := r.state.Owners[port]
	return port, o, known
}

// fate is what became of the task that a port stands for: why it is taken off, or
// TaskUnknown. A task that the look lacks has not ended until a complete read of
// that very task says so, and one that it shows without the port, or not yet
// running, was seen as it was before.
func (r *reaching) fate(task, service string, port cluster.HostPort) Reason {
	t, here := r.tasks[task]
	bound := slices.ContainsFunc(t.Bindings, func(b cluster.Binding) bool { return hostPort(t, b) == port })
	switch {
	case r.gone[task], here && t.Stopping():
		return TaskEnds
	case here && r.state.Leaving[task]:
		return TaskLeaves
	case !here && service != r.state.Service:
		return PortReused
	case here && r.runs(t) && bound:
		return NobodysTarget // the policy wants the port elsewhere, or nowhere
	default:
		return TaskUnknown
	}
}

// register asks for the registration of what is wished for at a roster, does not
// stand there, and may.
func (r *reaching) register(s *roster) {
	spots := s.wished()
	r.countLimits(s)
	for _, at := range spots {
		w := s.wishes[at]
		why := r.hindrance(s, w)
		if why == TaskRuns && r.held(s, w.task) {
			why = RefusedBefore
		}
		switch why {
		case EndpointsMatch:
			continue
		case TaskRuns:
			r.asks = append(r.asks, ask{roster: s, turn: cluster.TurnNew, spot: at, port: w.port, task: w.task, address: w.address})
			r.took(s, w)
		case RefusedBefore:
			r.look(s.memory.Until.Sub(r.state.Now))
		case StillDraining:
			r.look(r.drained(s, w.port))
		case PortReused:
			r.look(r.soon())
		case LimitReached, AddressUnknown: // the sweep is soon enough
		default:
			r.look(uncertain)
		}
		s.counts[why]++
	}
}

// hindrance is why a wish's port is not registered now; TaskRuns where it is to
// be, EndpointsMatch where it stands.
func (r *reaching) hindrance(s *roster, w *wish) Reason {
	g := r.grips[w.port]
	now := s.presence(w)
	switch {
	case g == taken:
		return PortTaken
	case now == there:
		return EndpointsMatch
	case now == draining:
		return StillDraining
	case s.busy(w.spot):
		return OperationRuns
	case g == owing:
		return PortReused
	case s.registry != nil && w.address == "":
		return AddressUnknown
	case now == nowhere && r.full(s, w):
		return LimitReached
	default:
		return TaskRuns
	}
}

// soon is when to look for what this round takes off. Where the last one was
// refused that, it may be again; what an earlier one began takes its time.
func (r *reaching) soon() time.Duration {
	if !slices.ContainsFunc(r.asks, func(a ask) bool { return a.turn != cluster.TurnNew }) {
		return uncertain
	}
	if slices.ContainsFunc(r.state.Intents, func(i cluster.Intent) bool { return i.Outcome == cluster.OutcomeRefused }) {
		return lookAgain
	}
	return leastAhead
}

// drained is how long a port may still drain in a group: what is left of the
// delay where an intent tells when it began.
func (r *reaching) drained(s *roster, port cluster.HostPort) time.Duration {
	left := min(s.group.Delay, lookAgain)
	for _, i := range r.state.Intents {
		if i.Verb == cluster.DeregisterTargets && i.Outcome != cluster.OutcomeRefused && i.Reaches != nil && i.Reaches.Group == s.key && slices.Contains(i.Reaches.Ports, port) {
			left = i.At.Add(s.group.Delay).Sub(r.state.Now)
		}
	}
	return max(left, leastAhead)
}

// comparePorts orders host ports.
func comparePorts(a, b cluster.HostPort) int {
	return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}
