package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// large is a cluster of so many hosts, tasks and services, the first growing
// of which want a tenth more tasks.
func large(b testing.TB, hosts, tasks, services, growing int) *world {
	p := policy.Policy{Services: map[string]policy.Service{}, Hosts: []policy.HostGroup{groupRules("one", 0, 2*hosts), groupRules("two", 0, 2*hosts)}}
	w := newWorld(b, p)
	for i := range w.s.Groups {
		w.s.Groups[i].Max, w.s.Groups[i].Zones = 2*hosts, []string{"a", "b", "c"}
	}
	full := of(8192, 16384)
	for i := range hosts {
		g := &w.s.Groups[i%2]
		id, zone := fmt.Sprintf("i-%05d", i), g.Zones[i%3]
		g.Desired++
		g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: zone, Lifecycle: cluster.LifecycleInService})
		w.s.Hosts = append(w.s.Hosts, cluster.Host{
			ARN: "host/" + id, ID: id, Group: g.Name, Zone: zone, Status: cluster.HostActive, AgentConnected: true,
			Registered: full, Remaining: full, RegisteredAt: noon(), Attributes: map[string]string{"ecs.availability-zone": zone},
		})
	}
	each := tasks / services
	for i := range services {
		name := fmt.Sprintf("web%02d", i)
		w.service(name, each, 100, 200, of(256+64*(i%8), 512+128*(i%5)))
		p.Services[name] = rules(0, 2*each)
		w.load[name] = float64(each)
		if i < growing {
			w.load[name] = float64(each + each/10)
		}
		for k := range each {
			w.task(name, (i*each+k)%hosts, cluster.TaskRunning, "RUNNING", "HEALTHY")
		}
	}
	w.s.Now = noon().Add(time.Hour)
	for i, h := range w.s.Hosts {
		w.s.Hosts[i].Running = tasks / hosts
		_ = h
	}
	for i := range w.s.Services {
		v := &w.s.Services[i]
		v.Running = each
		w.s.Metrics[p.Services[v.Name].Scale[0].Key(v.Name)] = cluster.Series{{At: w.s.Now.Add(-time.Minute), Value: w.load[v.Name]}}
	}
	return w
}

// BenchmarkPlan5000Hosts50000Tasks is held to 1 s and 500 MB a round.
func BenchmarkPlan5000Hosts50000Tasks(b *testing.B) {
	w := large(b, 5000, 50_000, 40, 12)
	b.ReportAllocs()
	for b.Loop() {
		if p := Cluster(w.s, w.p); len(p.Actions()) == 0 {
			b.Fatal("nothing to do")
		}
	}
}

// BenchmarkPlanFullCluster is the costly case: no host has room, and every
// service grows, so that hundreds of hosts are needed.
func BenchmarkPlanFullCluster(b *testing.B) {
	w := large(b, 5000, 50_000, 40, 40)
	for i := range w.s.Hosts {
		w.s.Hosts[i].Remaining = of(0, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := Cluster(w.s, w.p); len(p.Actions()) == 0 {
			b.Fatal("nothing to do")
		}
	}
}

// BenchmarkPlanEmptyHosts is the costly case of removals: a tenth of the hosts
// is empty, and what is wanted fits no host, so that each is asked for.
func BenchmarkPlanEmptyHosts(b *testing.B) {
	w := large(b, 5000, 50_000, 40, 40)
	w.s.Memory.Hosts = map[string]cluster.HostMemory{}
	for i := range w.s.Hosts {
		h := &w.s.Hosts[i]
		if h.Remaining = of(0, 0); i%10 == 0 {
			h.Remaining, h.Running = h.Registered, 0
			w.s.Memory.Hosts[h.ID] = cluster.HostMemory{EmptySince: noon()}
		}
	}
	for i := range w.p.Hosts {
		w.p.Hosts[i].Removal.MaxAtOnce = 500
	}
	b.ReportAllocs()
	for b.Loop() {
		Cluster(w.s, w.p)
	}
}
