package simcloud

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// day lets services follow a daily wave on some hosts, with flapping agents, a
// crash now and then and a lost host each hour, for so long.
func day(t testing.TB, seed uint64, services, hosts int, d time.Duration) *ecsBench {
	b := newECSBench(t, seed)
	b.events = nil
	b.f.heard = nil
	b.c.World().Behaviour().FlapsPerHour = 2
	b.hosts("g", hosts, func(g *GroupSpec) { g.CPU, g.Memory = 4096, 16000 })
	wave := func(at time.Time) float64 {
		return 1 + 0.5*math.Sin(2*math.Pi*at.Sub(epoch).Hours()/24)
	}
	for i := range services {
		name := fmt.Sprintf("s%02d", i)
		b.define(name, 160, 500, nil)
		s := b.create(name, 30, nil)
		b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: name, Rate: func(at time.Time) float64 { return 1500 * wave(at) }, CPUPerRequest: 2}))
		b.c.Every(epoch.Add(time.Minute), time.Minute, func() bool {
			b.scale(name, int32(35*wave(b.c.now)))
			if len(s.tasks) > 0 && b.f.stream("test").IntN(200) == 0 {
				_ = b.c.World().CrashTask("c", s.tasks[0].arn)
			}
			return true
		})
	}
	b.c.Every(epoch.Add(time.Hour), time.Hour, func() bool {
		live := b.f.group("g").live()
		_ = b.c.World().KillHost(live[b.f.stream("test").IntN(len(live))].id)
		return true
	})
	b.pass(d)
	return b
}

func TestOneSeedOneTraceOfAWholeFleet(t *testing.T) {
	run := func(seed uint64) string { return day(t, seed, 4, 8, 3*time.Hour).c.TraceHash() }
	if a, b := run(1), run(1); a != b {
		t.Error("one seed gave two traces")
	}
	if run(1) == run(2) {
		t.Error("two seeds gave one trace")
	}
}

// BenchmarkADay is a day of 20 services on 50 hosts, about 700 to 1,000 tasks.
func BenchmarkADay(b *testing.B) {
	for range b.N {
		bench := day(b, 1, 20, 50, 24*time.Hour)
		most := 0
		for _, s := range bench.c.World().Services(false) {
			most += s.Running
		}
		b.ReportMetric(float64(most), "tasks")
		b.ReportMetric(float64(bench.f.tasksMade), "tasks-made")
		b.ReportMetric(float64(bench.c.seq), "events")
	}
}
