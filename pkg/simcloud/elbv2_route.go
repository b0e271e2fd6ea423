package simcloud

import (
	"fmt"
	"slices"
	"time"
)

// Route is the way that a load's requests come by: a load balancer sends each to
// a registered target, by the state that it has at that instant. One of the first
// three members is to be given, as an ARN.
type Route struct {
	TargetGroup   string
	Listener      string        // its default action, with its weights
	Rule          string        // its action, with its weights
	Tasks         []string      // groups of the tasks that the requests are meant for, as service:web or family:jobs, besides those of the load's service
	ContainerPort int           // that they are meant for; 0: any of those tasks' ports
	Every         time.Duration // requests come so often, those of that time at once; default 50 ms
}

// given says that requests come by a load balancer.
func (r Route) given() bool { return r.TargetGroup != "" || r.Listener != "" || r.Rule != "" }

// Met counts requests by what they met.
type Met struct {
	Served     int // by a task that they were meant for
	Overloaded int // of those, to one that had no CPU left for them
	Wrong      int // another task or container has that host port now, and answered
	Closed     int // the task on that port was told to stop and has closed it
	Stopped    int // nothing is on that port, its process has ended, or the machine is down
	NoTarget   int // the load balancer had nowhere to send them
}

func (a Met) plus(b Met) Met {
	return Met{a.Served + b.Served, a.Overloaded + b.Overloaded, a.Wrong + b.Wrong, a.Closed + b.Closed, a.Stopped + b.Stopped, a.NoTarget + b.NoTarget}
}

// routed is a load whose requests come by a load balancer.
type routed struct {
	spec   LoadSpec
	load   *load // the service's; nil: they are meant for no service
	due    float64
	total  Figures
	credit map[*lbGroup]float64 // of weighted groups
	met    map[lbMeeting]*Met
	order  []lbMeeting
}

// lbMeeting names a target by its group's ARN; none if there was none to send to.
type lbMeeting struct {
	group string
	lbKey
}

// lbWork is what a task does for requests that load balancers send.
type lbWork struct {
	left float64 // CPU units times seconds that it can still do, up to a second's
	at   time.Time
	used float64 // since the last sample
	met  int
}

// addRouted puts a load on a load balancer. Several may be meant for one service:
// their figures then add up to the service's, and the first one's say how much
// memory a task uses.
func (f *fleet) addRouted(spec LoadSpec) error {
	if spec.Rate == nil || spec.CPUPerRequest < 0 || spec.Service == "" && len(spec.Route.Tasks) == 0 {
		return fmt.Errorf("add load on %s: a rate, a service or tasks that it is for, and no negative CPU are needed", spec.Service)
	}
	if spec.Route.Every == 0 {
		spec.Route.Every = 50 * time.Millisecond
	}
	if spec.Route.Every < 0 {
		return fmt.Errorf("add load on %s: requests every %s", spec.Service, spec.Route.Every)
	}
	r := &routed{spec: spec, credit: map[*lbGroup]float64{}, met: map[lbMeeting]*Met{}}
	if _, err := f.forwards(spec.Route); err != nil {
		return fmt.Errorf("add load on %s: %w", spec.Service, err)
	}
	if spec.Service != "" {
		l, err := f.loadOf(spec)
		if err != nil {
			return err
		}
		r.load = l
	}
	f.elb.routes = append(f.elb.routes, r)
	f.every(f.now.Add(spec.Route.Every), spec.Route.Every, func() bool { f.route(r); return true })
	return nil
}

// loadOf is the load of the service that requests are meant for: the one that
// such a load has put on it before, or a new one.
func (f *fleet) loadOf(spec LoadSpec) (*load, error) {
	c, err := f.cluster(&spec.Cluster)
	if err != nil {
		return nil, fmt.Errorf("add load on %s: %w", spec.Service, err)
	}
	s := c.service(spec.Service)
	if s == nil || s.load != nil && !s.load.routed {
		return nil, fmt.Errorf("add load on %s: no such service, or it has a load that comes by no load balancer", spec.Service)
	}
	if s.load == nil {
		if err := f.addLoad(s, spec); err != nil {
			return nil, err
		}
		s.load.routed = true
	}
	return s.load, nil
}

// forwards are the groups that a route leads to now, with their weights.
func (f *fleet) forwards(r Route) ([]lbForward, error) {
	switch {
	case r.TargetGroup != "":
		g, err := f.elb.group(&r.TargetGroup)
		return []lbForward{{g, 1}}, err
	case r.Listener != "":
		l, err := f.elb.listener(&r.Listener)
		if err != nil {
			return nil, err
		}
		return l.usual().forward, nil
	default:
		rule, _, err := f.elb.rule(&r.Rule)
		if err != nil {
			return nil, err
		}
		return rule.forward, nil
	}
}

// route sends the requests that have come since the last time.
func (f *fleet) route(r *routed) {
	r.due += max(0, r.spec.Rate(f.now)) * r.spec.Route.Every.Seconds()
	forwards, err := f.forwards(r.spec.Route)
	if err != nil {
		return // nothing is ever deleted
	}
	open := map[*lbGroup][]*lbTarget{}
	for _, w := range forwards {
		open[w.group] = w.group.open()
	}
	var sum Figures
	for ; r.due >= 1; r.due-- {
		g := r.choose(forwards)
		met := f.send(r, g, open[g])
		sum.Requests++
		sum.Unserved += float64(1 - met.Served)
		sum.Met = sum.Met.plus(met)
	}
	r.total = r.total.plus(sum)
	if r.load != nil {
		r.load.pending = r.load.pending.plus(sum)
	}
	f.elb.forgetWork()
}

// choose picks the group of the next request: in turn, each as often as its
// weight says; nil if all weigh nothing. One without a target keeps its share.
func (r *routed) choose(forwards []lbForward) *lbGroup {
	var best *lbGroup
	sum := 0
	for _, w := range forwards {
		sum += w.weight
		r.credit[w.group] += float64(w.weight)
		if w.weight > 0 && (best == nil || r.credit[w.group] > r.credit[best]) {
			best = w.group
		}
	}
	if best != nil {
		r.credit[best] -= float64(sum)
	}
	return best
}

// open are the targets that new requests go to: the healthy ones, or if there is
// none all that do not drain; and those that a network load balancer is late to
// leave alone.
func (g *lbGroup) open() []*lbTarget {
	all := make([]*lbTarget, 0, len(g.targets)+len(g.late))
	for _, t := range g.targets {
		if t.healthy() {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		for _, t := range g.targets {
			if t.takes() {
				all = append(all, t)
			}
		}
	}
	return append(all, g.late...)
}

// next takes the open targets in turn, those in slow start less often.
func (f *fleet) next(g *lbGroup, open []*lbTarget) *lbTarget {
	var t *lbTarget
	for range 20 * len(open) { // all may have just begun
		t = open[g.turn%len(open)]
		g.turn++
		if ramp := t.ramp(f.now); ramp == 1 || f.stream("elb slow start").Float64() < ramp {
			break
		}
	}
	return t
}

// send sends one request, and counts what it meets.
func (f *fleet) send(r *routed, g *lbGroup, open []*lbTarget) Met {
	if g == nil || len(open) == 0 {
		met := Met{NoTarget: 1}
		r.count(lbMeeting{}, met)
		return met
	}
	t := f.next(g, open)
	met := f.meets(r, t)
	r.count(lbMeeting{g.arn, t.lbKey}, met)
	return met
}

func (r *routed) count(m lbMeeting, met Met) {
	if r.met[m] == nil {
		r.met[m] = &Met{}
		r.order = append(r.order, m)
	}
	*r.met[m] = r.met[m].plus(met)
}

// meets is what a request to a target meets at this instant.
func (f *fleet) meets(r *routed, t *lbTarget) Met {
	task, bound := t.owner()
	switch {
	case task == nil || t.instance.down() || !task.ended.IsZero():
		return Met{Stopped: 1}
	case !task.listens(bound.container):
		return Met{Closed: 1}
	case !r.meant(task, bound.port):
		return Met{Wrong: 1}
	case !f.elb.serves(task, r.spec.CPUPerRequest, f.now):
		return Met{Overloaded: 1}
	default:
		return Met{Served: 1}
	}
}

// meant says whether requests are meant for a task and a container's port.
func (r *routed) meant(t *ecsTask, port int) bool {
	if want := r.spec.Route.ContainerPort; want != 0 && want != port {
		return false
	}
	return r.load != nil && t.service == r.load.service || slices.Contains(r.spec.Route.Tasks, t.group)
}

// serves says whether a task has the CPU for one request more, and takes it.
func (e *elb) serves(t *ecsTask, cost float64, now time.Time) bool {
	w, all := e.work[t], float64(t.definition.cpu)
	if w == nil {
		w = &lbWork{left: all, at: now}
		e.work[t] = w
	}
	w.left, w.at = min(all, w.left+all*now.Sub(w.at).Seconds()), now
	if w.left < cost {
		return false
	}
	w.left, w.used, w.met = w.left-cost, w.used+cost, w.met+1
	return true
}

// forgetWork forgets what tasks did that are STOPPED.
func (e *elb) forgetWork() {
	if len(e.work) < 2*e.worked {
		return
	}
	for t := range e.work {
		if t.last == statusStopped {
			delete(e.work, t)
		}
	}
	e.worked = max(50, len(e.work))
}

// routedUse is CPU and memory used since the last sample, per cent of what the
// service's serving tasks reserve; ok is false without any.
func (f *fleet) routedUse(l *load) (cpu, memory float64, ok bool) {
	var usedCPU, allCPU, usedMemory, allMemory float64
	seconds := l.spec.Step.Seconds()
	for _, t := range l.service.tasks {
		if !t.serving() {
			continue
		}
		w := f.elb.work[t]
		if w == nil {
			w = &lbWork{}
		}
		usedCPU += w.used / seconds
		allCPU += float64(t.definition.cpu)
		usedMemory += min(float64(t.definition.memory), l.spec.MemoryBase+float64(w.met)/seconds*l.spec.MemoryPerRequest)
		allMemory += float64(t.definition.memory)
		w.used, w.met = 0, 0
	}
	if allCPU == 0 || allMemory == 0 {
		return 0, 0, false
	}
	return 100 * usedCPU / allCPU, 100 * usedMemory / allMemory, true
}
