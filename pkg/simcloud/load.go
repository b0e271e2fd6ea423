package simcloud

import (
	"fmt"
	"math"
	"time"
)

// LoadSpec is the load on a service: requests come as they please, whether or
// not anybody can serve them. They go evenly to its tasks that ECS shows as
// RUNNING and to run. One that is dead already, crashed or with its host, gets
// its share until ECS learns of it, and answers none: who sends requests by ECS's
// view has no better one.
type LoadSpec struct {
	Cluster          string
	Service          string
	Rate             func(t time.Time) float64 // requests a second
	CPUPerRequest    float64                   // CPU units times seconds; a task of 256 CPU units serves 256/CPUPerRequest requests a second
	MemoryBase       float64                   // MiB that an idle task uses
	MemoryPerRequest float64                   // MiB more for each request a second on a task
	HighResolution   bool                      // CPU and memory every 20 s instead of every minute
	Step             time.Duration             // between samples; default 10 s
	Route            Route                     // requests come by a load balancer, and are counted one by one; none: as above
}

// Figures is what became of a service's requests.
type Figures struct {
	Requests float64
	Unserved float64
	Met      Met // those that came by a load balancer
}

// load integrates a service's load. Between two steps its rate is constant.
type load struct {
	spec    LoadSpec
	service *ecsService
	total   Figures
	minute  Figures // since the last full minute
	sizes   []taskSize
	at      time.Time // integrated up to here
	rate    float64   // since at
	cpu     mean      // per cent, since the last point
	memory  mean
	from    time.Time // of the next CPU point
	routed  bool      // the requests come by load balancers
	pending Figures   // of routed ones, since the last integration
}

// taskSize is a number of tasks of one size that requests go to.
type taskSize struct {
	cpu, memory float64
	dead        bool // they answer none and use nothing
	count       int
}

type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

// AddLoad puts load on a service, from now on.
func (c *Cloud) AddLoad(spec LoadSpec) error {
	f := c.fleet
	if spec.Route.given() {
		return f.addRouted(spec)
	}
	cluster, err := f.cluster(&spec.Cluster)
	if err != nil {
		return fmt.Errorf("add load on %s: %w", spec.Service, err)
	}
	s := cluster.service(spec.Service)
	if s == nil || s.load != nil || spec.Rate == nil || spec.CPUPerRequest <= 0 {
		return fmt.Errorf("add load on %s: a service without load, a rate and the CPU for a request are needed", spec.Service)
	}
	return f.addLoad(s, spec)
}

func (f *fleet) addLoad(s *ecsService, spec LoadSpec) error {
	if spec.Step == 0 {
		spec.Step = 10 * time.Second
	}
	if spec.Step < 0 || 20*time.Second%spec.Step != 0 {
		return fmt.Errorf("add load on %s: a step of %s does not divide 20 s", spec.Service, spec.Step)
	}
	l := &load{spec: spec, service: s, at: f.now, from: f.now.Truncate(time.Minute)}
	s.load = l
	f.loads = append(f.loads, l)
	l.rate = math.Max(0, spec.Rate(f.now))
	l.look()
	first := f.now.Truncate(spec.Step).Add(spec.Step)
	f.every(first, spec.Step, func() bool { f.step(l); return true })
	return nil
}

// loadChanged brings a service's load up to now before it goes to other tasks.
func (f *fleet) loadChanged(s *ecsService) {
	if s != nil && s.load != nil {
		s.load.integrate(f.now)
		s.load.look()
	}
}

// look counts the tasks that requests go to.
func (l *load) look() {
	l.sizes = l.sizes[:0]
	for _, t := range l.service.tasks {
		if t.shown() {
			l.add(taskSize{cpu: float64(t.definition.cpu), memory: float64(t.definition.memory), dead: !t.serving()})
		}
	}
}

// add counts one task more of a size.
func (l *load) add(size taskSize) {
	for i, s := range l.sizes {
		if s.count = 0; s == size {
			l.sizes[i].count++
			return
		}
	}
	size.count = 1
	l.sizes = append(l.sizes, size)
}

// share is the requests a second that each task is sent.
func (l *load) share() float64 {
	n := 0
	for _, s := range l.sizes {
		n += s.count
	}
	return l.rate / float64(n)
}

// answers is how many of its share a task answers: what its CPU allows.
func (l *load) answers(s taskSize) float64 {
	if s.dead {
		return 0
	}
	return math.Min(l.share(), s.cpu/l.spec.CPUPerRequest)
}

// served is how many of the present requests a second are answered.
func (l *load) served() float64 {
	served := 0.0
	for _, s := range l.sizes {
		served += float64(s.count) * l.answers(s)
	}
	return served
}

// since is what became of the requests from the last integration to now.
func (l *load) since(now time.Time) Figures {
	if l.routed {
		return l.pending
	}
	seconds := now.Sub(l.at).Seconds()
	return Figures{Requests: l.rate * seconds, Unserved: math.Max(0, l.rate-l.served()) * seconds}
}

// plus adds figures up.
func (a Figures) plus(b Figures) Figures {
	return Figures{Requests: a.Requests + b.Requests, Unserved: a.Unserved + b.Unserved, Met: a.Met.plus(b.Met)}
}

// integrate accounts for the time up to now.
func (l *load) integrate(now time.Time) {
	d := l.since(now)
	l.total, l.minute, l.at, l.pending = l.total.plus(d), l.minute.plus(d), now, Figures{}
}

// utilisation is CPU and memory used per cent of what the serving tasks reserve:
// the dead report nothing. ok is false without any.
func (l *load) utilisation() (cpu, memory float64, ok bool) {
	var usedCPU, allCPU, usedMemory, allMemory float64
	for _, s := range l.sizes {
		if s.dead {
			continue
		}
		rate, count := l.answers(s), float64(s.count)
		usedCPU += count * rate * l.spec.CPUPerRequest
		allCPU += count * s.cpu
		usedMemory += count * math.Min(s.memory, l.spec.MemoryBase+rate*l.spec.MemoryPerRequest)
		allMemory += count * s.memory
	}
	if allCPU == 0 || allMemory == 0 {
		return 0, 0, false
	}
	return 100 * usedCPU / allCPU, 100 * usedMemory / allMemory, true
}

// use is a load's utilisation, for its next sample.
func (f *fleet) use(l *load) (cpu, memory float64, ok bool) {
	if l.routed {
		return f.routedUse(l)
	}
	return l.utilisation()
}

// step takes a sample and publishes what is due.
func (f *fleet) step(l *load) {
	l.integrate(f.now)
	if cpu, memory, ok := f.use(l); ok {
		l.cpu.add(cpu)
		l.memory.add(memory)
	}
	period := time.Minute
	if l.spec.HighResolution {
		period = 20 * time.Second
	}
	if !f.now.Truncate(period).Before(l.from.Add(period)) {
		f.publishUse(l, period)
	}
	if f.now.Equal(f.now.Truncate(time.Minute)) {
		dimensions := map[string]string{"ServiceName": l.service.name}
		f.publishPoint(loadPoint{"Web", "RequestCount", dimensions, f.now.Add(-time.Minute), time.Minute, l.minute.Requests})
		l.minute = Figures{}
	}
	l.rate = math.Max(0, l.spec.Rate(f.now))
}

// loadPoint is one value of a metric.
type loadPoint struct {
	namespace, name string
	dimensions      map[string]string
	from            time.Time
	period          time.Duration
	value           float64
}

func (f *fleet) publishPoint(p loadPoint) {
	if f.published != nil {
		f.published(p)
	}
	f.publish(p.namespace, p.name, p.dimensions, p.from, p.period, p.value)
}

// publishUse publishes the mean of the samples since the last point, if there
// were any: a service without tasks has no point, not a point of zero.
func (f *fleet) publishUse(l *load, period time.Duration) {
	for _, m := range []struct {
		name string
		of   mean
	}{{"CPUUtilization", l.cpu}, {"MemoryUtilization", l.memory}} {
		if m.of.n > 0 {
			dimensions := map[string]string{"ClusterName": l.service.cluster.name, "ServiceName": l.service.name}
			f.publishPoint(loadPoint{"AWS/ECS", m.name, dimensions, l.from, period, m.of.sum / float64(m.of.n)})
		}
	}
	l.cpu, l.memory, l.from = mean{}, mean{}, f.now.Truncate(period)
}
