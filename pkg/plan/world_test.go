package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// world is a small honest cluster: what is ordered happens, after a while.
// It knows nothing of the planner's reckoning: it places on the first host or
// the last, and stops healthy tasks first.
type world struct {
	t        testing.TB
	s        cluster.State
	p        policy.Policy
	load     map[string]float64 // by service: what its total signal shows
	boot     time.Duration
	step     time.Duration
	lastFit  bool // place on the last host that fits, not the first
	born     map[string]time.Time
	serial   int
	launched int
	removed  int
	acted    int // changes of the last round
}

func newWorld(t testing.TB, p policy.Policy) *world {
	w := &world{t: t, p: p, boot: 90 * time.Second, step: 20 * time.Second, load: map[string]float64{}, born: map[string]time.Time{}}
	w.s = cluster.State{Now: noon(), Name: "c", Revisions: map[string]cluster.Revision{}, Metrics: map[string]cluster.Series{}}
	for _, h := range p.Hosts {
		w.s.Groups = append(w.s.Groups, cluster.HostGroup{Name: h.Group, Max: 100, Zones: []string{"a", "b"}})
	}
	return w
}

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// host puts a registered host into a group.
func (w *world) host(group, zone string, offers cluster.Resources) {
	w.serial++
	id := fmt.Sprintf("i-%03d", w.serial)
	g := w.group(group)
	g.Desired++
	g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: zone, Lifecycle: cluster.LifecycleInService})
	w.register(group, zone, id, offers)
}

func (w *world) register(group, zone, id string, offers cluster.Resources) {
	w.s.Hosts = append(w.s.Hosts, cluster.Host{
		ARN: "host/" + id, ID: id, Group: group, Zone: zone, Status: cluster.HostActive, AgentConnected: true,
		Registered: offers, Remaining: offers, RegisteredAt: w.s.Now, Attributes: map[string]string{"ecs.availability-zone": zone},
	})
	slices.SortFunc(w.s.Hosts, func(a, b cluster.Host) int { return strings.Compare(a.ARN, b.ARN) })
}

func (w *world) group(name string) *cluster.HostGroup {
	for i := range w.s.Groups {
		if w.s.Groups[i].Name == name {
			return &w.s.Groups[i]
		}
	}
	w.t.Fatalf("a change names group %q", name)
	return nil
}

// service adds a service; its revision takes needs of a host.
func (w *world) service(name string, desired, minimum, maximum int, needs cluster.Resources) {
	w.s.Revisions["rev/"+name] = cluster.Revision{ARN: "rev/" + name, Needs: needs}
	w.s.Services = append(w.s.Services, cluster.Service{
		Name: name, Controller: "ECS", Scheduling: "REPLICA", Desired: desired, Revision: "rev/" + name,
		MinimumHealthyPercent: minimum, MaximumPercent: maximum, Deployments: []cluster.Deployment{{Status: "PRIMARY"}},
	})
}

// task starts a task on a host by its index.
func (w *world) task(service string, host int, last, wanted, health string) {
	w.serial++
	h := &w.s.Hosts[host]
	h.Remaining = h.Remaining.Sub(w.s.Revisions["rev/"+service].Needs)
	w.s.Tasks = append(w.s.Tasks, cluster.Task{
		ARN: fmt.Sprintf("task/%04d", w.serial), Service: service, Revision: "rev/" + service, Host: h.ARN, Zone: h.Zone,
		Last: last, Wanted: wanted, Health: health, CreatedAt: w.s.Now,
	})
}

// tick lets one step of time pass.
func (w *world) tick() {
	w.s.Now = w.s.Now.Add(w.step)
	w.s.Tasks = slices.DeleteFunc(w.s.Tasks, func(t cluster.Task) bool { return w.gone(t) })
	for i := range w.s.Tasks {
		if !w.s.Tasks[i].Stopping() {
			w.s.Tasks[i].Last, w.s.Tasks[i].Health = cluster.TaskRunning, "UNKNOWN"
		}
	}
	for i := range w.s.Groups {
		w.boots(&w.s.Groups[i])
	}
	for i := range w.s.Services {
		w.schedule(&w.s.Services[i])
	}
	w.count()
}

// gone ends a task that was told to stop a step ago.
func (w *world) gone(t cluster.Task) bool {
	if !t.Stopping() {
		return false
	}
	for i := range w.s.Hosts {
		if w.s.Hosts[i].ARN == t.Host {
			w.s.Hosts[i].Remaining = w.s.Hosts[i].Remaining.Add(w.s.Revisions[t.Revision].Needs)
		}
	}
	return true
}

func (w *world) boots(g *cluster.HostGroup) {
	var kept []cluster.Instance
	for _, in := range g.Instances {
		if in.Lifecycle == cluster.LifecycleTerminating {
			w.s.Hosts = slices.DeleteFunc(w.s.Hosts, func(h cluster.Host) bool { return h.ID == in.ID })
			continue
		}
		if at, young := w.born[in.ID]; young && w.s.Now.Sub(at) >= w.boot {
			delete(w.born, in.ID)
			in.Lifecycle = cluster.LifecycleInService
			w.register(g.Name, in.Zone, in.ID, w.offers(g.Name))
		}
		kept = append(kept, in)
	}
	g.Instances = kept
}

func (w *world) offers(group string) cluster.Resources {
	if strings.HasPrefix(group, "big") {
		return cluster.Resources{CPU: 4096, Memory: 8192}
	}
	return cluster.Resources{CPU: 2048, Memory: 4096}
}

// schedule starts and stops tasks as the service scheduler would.
func (w *world) schedule(v *cluster.Service) {
	live := 0
	for i := range w.s.Tasks {
		t := &w.s.Tasks[i]
		if t.Service == v.Name && !t.Stopping() {
			if live++; live > v.Desired {
				t.Wanted = cluster.TaskStopped
			}
		}
	}
	order := make([]int, len(w.s.Hosts))
	for i := range order {
		order[i] = i
		if w.lastFit {
			order[i] = len(order) - 1 - i
		}
	}
	for ; live < v.Desired; live++ {
		for _, i := range order {
			if h := w.s.Hosts[i]; h.Usable() && h.Remaining.Holds(w.s.Revisions[v.Revision].Needs) {
				w.task(v.Name, i, "PENDING", "RUNNING", "UNKNOWN")
				break
			}
		}
	}
}

// count brings the counts that ECS tells up to date.
func (w *world) count() {
	for i := range w.s.Services {
		v := &w.s.Services[i]
		v.Running, v.Pending = w.tasks(v.Name, cluster.TaskRunning), w.tasks(v.Name, "PENDING")
		if load, ok := w.load[v.Name]; ok {
			w.s.Metrics[w.p.Services[v.Name].Scale[0].Key(v.Name)] = cluster.Series{{At: w.s.Now.Add(-time.Minute), Value: load}}
		}
	}
	for i := range w.s.Hosts {
		h := &w.s.Hosts[i]
		h.Running, h.Pending = 0, 0
		for _, t := range w.s.Tasks {
			if t.Host == h.ARN {
				h.Running++
			}
		}
	}
}

func (w *world) tasks(service, last string) int {
	n := 0
	for _, t := range w.s.Tasks {
		if t.Service == service && t.Last == last && !t.Stopping() {
			n++
		}
	}
	return n
}

// round plans, checks each action's promises and carries it out.
func (w *world) round() Plan {
	plan := Cluster(w.s, w.p)
	w.acted, w.s.Intents = 0, nil
	for _, c := range plan.Actions() {
		w.acted++
		w.do(c)
		if c.Verb == cluster.DrainHost { // the cluster does not show who drained it
			w.s.Intents = append(w.s.Intents, cluster.Intent{Change: c, At: w.s.Now, Outcome: cluster.OutcomeShown})
		}
	}
	w.s.Memory = plan.Memory
	return plan
}

func (w *world) do(c cluster.Change) {
	w.t.Helper()
	switch c.Verb {
	case cluster.SetDesiredCount:
		w.setCount(c)
	case cluster.LaunchHosts:
		w.launch(c)
	case cluster.DrainHost, cluster.ActivateHost:
		w.setStatus(c)
	case cluster.TerminateHost:
		w.terminate(c)
	default:
		w.t.Fatalf("the plan asks for %+v", c)
	}
}

// setCount checks S1, S2 and S7 on what is true now.
func (w *world) setCount(c cluster.Change) {
	w.t.Helper()
	i := slices.IndexFunc(w.s.Services, func(v cluster.Service) bool { return v.Name == c.Subject.Name() })
	v := &w.s.Services[i]
	rules := w.p.Services[v.Name]
	existing, live, healthy := 0, 0, 0
	for _, t := range w.s.Tasks {
		if t.Service == v.Name {
			existing++
			if !t.Stopping() {
				live++
			}
			if t.Last == cluster.TaskRunning && !t.Stopping() && t.Health != "UNHEALTHY" {
				healthy++
			}
		}
	}
	if c.From != v.Desired || c.To == c.From {
		w.t.Fatalf("%+v of a service that wants %d", c, v.Desired)
	}
	if c.To < rules.Tasks.Min || c.To > rules.Tasks.Max {
		w.t.Fatalf("S7: %+v is outside %+v", c, *rules.Tasks)
	}
	if taken := min(healthy, live-c.To); taken > 0 && (healthy-taken)*100 < v.MinimumHealthyPercent*c.To {
		w.t.Fatalf("S1: %+v leaves %d healthy of %d", c, healthy-taken, healthy)
	}
	if started := c.To - live; c.To > c.From && started > 0 && (existing+started)*100 > v.MaximumPercent*c.To {
		w.t.Fatalf("S2: %+v starts %d on top of %d", c, started, existing)
	}
	v.Desired = c.To
}

func (w *world) launch(c cluster.Change) {
	w.t.Helper()
	g := w.group(c.Subject.Name())
	if c.From != g.Desired || c.To <= c.From || c.To-c.From > 100 {
		w.t.Fatalf("%+v of a group of %d", c, g.Desired)
	}
	for _, h := range w.p.Hosts {
		if h.Group == g.Name && (c.To > h.Max || c.To > g.Max) {
			w.t.Fatalf("S7: %+v is above %d", c, h.Max)
		}
	}
	for range c.To - c.From {
		w.serial++
		w.launched++
		id := fmt.Sprintf("i-%03d", w.serial)
		w.born[id] = w.s.Now
		g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: c.Zone, Lifecycle: cluster.LifecyclePending})
	}
	g.Desired = c.To
}

func (w *world) setStatus(c cluster.Change) {
	w.t.Helper()
	for i := range w.s.Hosts {
		h := &w.s.Hosts[i]
		if h.ARN != c.Host {
			continue
		}
		if c.Verb == cluster.DrainHost && !h.Empty() {
			w.t.Fatalf("%+v of a host with tasks", c)
		}
		h.Status = map[cluster.Verb]cluster.HostStatus{cluster.DrainHost: cluster.HostDraining, cluster.ActivateHost: cluster.HostActive}[c.Verb]
		return
	}
	w.t.Fatalf("%+v: no such host", c)
}

func (w *world) terminate(c cluster.Change) {
	w.t.Helper()
	g := w.group(c.Group)
	k := slices.IndexFunc(g.Instances, func(in cluster.Instance) bool { return in.ID == c.Subject.Name() })
	h := slices.IndexFunc(w.s.Hosts, func(h cluster.Host) bool { return h.ID == c.Subject.Name() })
	floor := slices.IndexFunc(w.p.Hosts, func(h policy.HostGroup) bool { return h.Group == c.Group })
	switch {
	case k < 0 || g.Instances[k].Lifecycle != cluster.LifecycleInService:
		w.t.Fatalf("%+v: not InService", c)
	case h < 0 || w.s.Hosts[h].Status != cluster.HostDraining || !w.s.Hosts[h].Empty():
		w.t.Fatalf("%+v: not DRAINING and empty", c)
	case g.Desired-1 < max(g.Min, w.p.Hosts[floor].Min):
		w.t.Fatalf("S7: %+v takes a group of %d below its minimum", c, g.Desired)
	}
	g.Instances[k].Lifecycle = cluster.LifecycleTerminating
	g.Desired--
	w.removed++
}

// rules are a service's with no windows and limits, scaled on a total.
func rules(least, most int) policy.Service {
	none := policy.Duration{}
	exact := 0
	return policy.Service{
		Tasks: &policy.Tasks{Min: least, Max: most}, Tolerance: &exact,
		Scale:    []policy.Target{{Metric: "work", PerTask: 1, Period: policy.Duration{Duration: time.Minute}}},
		ScaleOut: policy.Manner{Window: &none, Per: policy.Duration{Duration: time.Minute}},
		ScaleIn:  policy.Manner{Window: &none, Per: policy.Duration{Duration: time.Minute}},
	}
}

// groupRules are a host group's as the defaults have them.
func groupRules(name string, least, most int) policy.HostGroup {
	return policy.HostGroup{Group: name, Min: least, Max: most, Removal: policy.Removal{
		EmptyAfter: policy.Duration{Duration: time.Minute}, MaxAtOnce: 1, DrainTimeout: policy.Duration{Duration: 10 * time.Minute},
	}}
}

func of(cpu, memory int) cluster.Resources { return cluster.Resources{CPU: cpu, Memory: memory} }

// decision is the plan's main decision about a subject.
func decision(t testing.TB, p Plan, about cluster.Subject) Decision {
	t.Helper()
	i := slices.IndexFunc(p.Decisions, func(d Decision) bool { return d.Subject == about })
	if i < 0 {
		t.Fatalf("nothing was decided about %s: %+v", about, p.Decisions)
	}
	return p.Decisions[i]
}

func number(d Decision, name string) float64 {
	for _, n := range d.Numbers {
		if n.Name == name {
			return n.Value
		}
	}
	return -1
}
