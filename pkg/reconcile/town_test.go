package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// town is a small cluster in the simulated cloud's time: what is ordered happens
// after a while. Its reads may be older than its writes.
type town struct {
	cloud    *simcloud.Cloud
	s        cluster.State
	past     []cluster.State // of the last minute, oldest first
	load     map[string]int  // by service: how many tasks it takes
	born     map[string]time.Time
	launched map[string][]string // by intent: AWS's client token
	serial   int
}

// stalest is the oldest that a read may be.
const stalest = 60 * time.Second

// tick is how often the town moves on.
const tick = 5 * time.Second

var size = cluster.Resources{CPU: 1000, Memory: 1000} // of a task; a host holds two

func newTown(c *simcloud.Cloud) *town {
	w := &town{cloud: c, load: map[string]int{"api": 1, "web": 1}, born: map[string]time.Time{}, launched: map[string][]string{}}
	w.s = cluster.State{Name: "prod", Revisions: map[string]cluster.Revision{"td": {ARN: "td", Needs: size}}, Metrics: map[string]cluster.Series{}}
	w.s.Groups = []cluster.HostGroup{{Name: "g", Max: 100, Zones: []string{"a"}}} // the policy's maximum binds, not the group's
	for _, name := range []string{"api", "web"} {
		w.s.Services = append(w.s.Services, cluster.Service{Name: name, Controller: "ECS", Scheduling: "REPLICA", Desired: 1, Revision: "td", MaximumPercent: 200})
	}
	w.s.Groups[0].Desired = 1
	w.launch(1)
	w.move()
	c.Every(noon.Add(tick), tick, func() bool { w.move(); return true })
	return w
}

// townPolicy scales both services on their load, on at most four hosts.
func townPolicy() policy.Policy {
	none, exact := policy.Duration{}, 0
	p := policy.Policy{Version: policy.Version, Cluster: "prod", Hosts: []policy.HostGroup{{Group: "g", Max: 4, Offers: &policy.Offers{CPU: 2000, Memory: 2000}}}, Services: map[string]policy.Service{}}
	for _, name := range []string{"api", "web"} {
		p.Services[name] = policy.Service{
			Tasks: &policy.Tasks{Min: 1, Max: 6}, Tolerance: &exact, Scale: []policy.Target{{Metric: "work", Namespace: "town", PerTask: 1}},
			ScaleOut: policy.Manner{Window: &none}, ScaleIn: policy.Manner{Window: &none},
		}
	}
	return p.Defaulted()
}

func (w *town) launch(n int) []string {
	var ids []string
	for range n {
		w.serial++
		id := fmt.Sprintf("i-%03d", w.serial)
		ids, w.born[id] = append(ids, id), w.cloud.Now()
		w.s.Groups[0].Instances = append(w.s.Groups[0].Instances, cluster.Instance{ID: id, Zone: "a", Lifecycle: cluster.LifecyclePending})
	}
	return ids
}

// move lets one tick of time happen, and keeps what reads may still show.
func (w *town) move() {
	now := w.cloud.Now()
	w.s.Tasks = slices.DeleteFunc(w.s.Tasks, cluster.Task.Stopping)
	w.s.Groups[0].Instances = slices.DeleteFunc(w.s.Groups[0].Instances, func(in cluster.Instance) bool { return in.Lifecycle == cluster.LifecycleTerminating })
	w.boot(now)
	w.count()
	for i := range w.s.Services {
		w.schedule(&w.s.Services[i], now)
	}
	w.count()
	for i, v := range w.s.Services {
		key := townPolicy().Services[v.Name].Scale[0].Key(v.Name)
		w.s.Metrics[key] = cluster.Series{{At: now.Add(-time.Minute), Value: float64(w.load[w.s.Services[i].Name])}}
	}
	w.past = append(w.past, copyOf(w.s))
	if len(w.past) > int(stalest/tick)+1 {
		w.past = w.past[1:]
	}
}

// boot registers hosts, replaces lost ones and forgets those that ended.
func (w *town) boot(now time.Time) {
	g := &w.s.Groups[0]
	if n := g.Desired - len(g.Instances); n > 0 {
		w.launch(n)
	}
	for i := range g.Instances {
		in := &g.Instances[i]
		if in.Lifecycle == cluster.LifecyclePending && now.Sub(w.born[in.ID]) >= 40*time.Second || w.serial == 1 {
			in.Lifecycle = cluster.LifecycleInService
			offers := size.Add(size)
			w.s.Hosts = append(w.s.Hosts, cluster.Host{ARN: "host/" + in.ID, ID: in.ID, Group: "g", Zone: "a", Status: cluster.HostActive, AgentConnected: true, Registered: offers, Remaining: offers, RegisteredAt: now})
		}
	}
	w.s.Hosts = slices.DeleteFunc(w.s.Hosts, func(h cluster.Host) bool {
		return !slices.ContainsFunc(g.Instances, func(in cluster.Instance) bool { return in.ID == h.ID })
	})
	w.s.Tasks = slices.DeleteFunc(w.s.Tasks, func(t cluster.Task) bool { return w.host(t.Host) == nil })
}

func (w *town) host(arn string) *cluster.Host {
	i := slices.IndexFunc(w.s.Hosts, func(h cluster.Host) bool { return h.ARN == arn })
	if i < 0 {
		return nil
	}
	return &w.s.Hosts[i]
}

func (w *town) schedule(v *cluster.Service, now time.Time) {
	live := 0
	for i := range w.s.Tasks {
		t := &w.s.Tasks[i]
		if t.Service != v.Name {
			continue
		}
		t.Last, t.Health = cluster.TaskRunning, "HEALTHY"
		if live++; live > v.Desired {
			t.Wanted = cluster.TaskStopped
		}
	}
	for ; live < v.Desired; live++ {
		i := slices.IndexFunc(w.s.Hosts, func(h cluster.Host) bool { return h.Usable() && h.Remaining.Holds(size) })
		if i < 0 {
			return
		}
		w.serial++
		w.s.Hosts[i].Remaining = w.s.Hosts[i].Remaining.Sub(size)
		w.s.Tasks = append(w.s.Tasks, cluster.Task{ARN: fmt.Sprintf("task/%05d", w.serial), Service: v.Name, Revision: "td", Host: w.s.Hosts[i].ARN, Zone: "a", Last: "PENDING", Wanted: cluster.TaskRunning, Health: "UNKNOWN", CreatedAt: now, StartedAt: now})
	}
}

// count brings the counts that ECS tells up to date.
func (w *town) count() {
	for i := range w.s.Hosts {
		h := &w.s.Hosts[i]
		h.Running, h.Pending, h.Remaining = 0, 0, h.Registered
		for _, t := range w.s.Tasks {
			if t.Host == h.ARN {
				h.Running, h.Remaining = h.Running+1, h.Remaining.Sub(size)
			}
		}
	}
	for i := range w.s.Services {
		v := &w.s.Services[i]
		v.Running, v.Pending = 0, 0
		for _, t := range w.s.Tasks {
			switch {
			case t.Service != v.Name || t.Stopping():
			case t.Last == cluster.TaskRunning:
				v.Running++
			default:
				v.Pending++
			}
		}
	}
}

func copyOf(s cluster.State) cluster.State {
	s.Hosts, s.Services, s.Tasks, s.Groups = slices.Clone(s.Hosts), slices.Clone(s.Services), slices.Clone(s.Tasks), slices.Clone(s.Groups)
	for i := range s.Groups {
		s.Groups[i].Instances = slices.Clone(s.Groups[i].Instances)
	}
	s.Metrics = maps.Clone(s.Metrics)
	return s
}

// read is the town as it was so long ago, as far back as is kept.
func (w *town) read(age time.Duration) cluster.State {
	if age == 0 {
		return copyOf(w.s)
	}
	return copyOf(w.past[max(0, len(w.past)-1-int(age/tick))])
}

// apply makes the call of an intent if its precondition holds in a read of some
// age, as clusterside does.
func (w *town) apply(ctx context.Context, i cluster.Intent, age time.Duration, effect func()) cluster.Intent {
	seen := w.read(age)
	w.cloud.Pause(ctx, 100*time.Millisecond) // between the read and the call
	if !holds(seen, i) {
		i.Outcome, i.Detail = cluster.OutcomeSkipped, "its precondition does not hold"
		return i
	}
	i.Outcome = cluster.OutcomeApplied
	g := &w.s.Groups[0]
	switch i.Verb {
	case cluster.SetDesiredCount:
		k := slices.IndexFunc(w.s.Services, func(v cluster.Service) bool { return v.Name == i.Subject.Name() })
		w.s.Services[k].Desired = i.To
	case cluster.LaunchHosts:
		if _, again := w.launched[i.ID]; !again {
			w.launched[i.ID] = w.launch(i.To - i.From)
			g.Desired += i.To - i.From
		}
		i.Instances = w.launched[i.ID]
	case cluster.DrainHost, cluster.ActivateHost:
		if h := w.host(i.Host); h != nil {
			h.Status = map[cluster.Verb]cluster.HostStatus{cluster.DrainHost: cluster.HostDraining, cluster.ActivateHost: cluster.HostActive}[i.Verb]
		}
	case cluster.TerminateHost:
		w.terminate(i.Subject.Name())
	}
	effect()
	return i
}

// terminate ends an instance and lowers the desired capacity, as
// TerminateInstanceInAutoScalingGroup does, once.
func (w *town) terminate(id string) {
	g := &w.s.Groups[0]
	for k := range g.Instances {
		if in := &g.Instances[k]; in.ID == id && in.Lifecycle == cluster.LifecycleInService {
			in.Lifecycle = cluster.LifecycleTerminating
			g.Desired--
		}
	}
}

// holds says whether a change may be made as the state shows its subject.
func holds(s cluster.State, i cluster.Intent) bool {
	host := func(status cluster.HostStatus) bool {
		return slices.ContainsFunc(s.Hosts, func(h cluster.Host) bool {
			return h.ID == i.Subject.Name() && h.Status == status && h.Empty()
		})
	}
	switch i.Verb {
	case cluster.SetDesiredCount:
		return slices.ContainsFunc(s.Services, func(v cluster.Service) bool { return v.Name == i.Subject.Name() && v.Desired == i.From })
	case cluster.LaunchHosts:
		return s.Groups[0].Desired == i.From && i.To > i.From
	case cluster.DrainHost:
		return host(cluster.HostActive)
	case cluster.TerminateHost:
		return host(cluster.HostDraining)
	default:
		return true
	}
}
