package simcloud

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// near compares to a millionth.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*(1+math.Abs(b)) }

// TestLoadArithmetic loads a service of four tasks, 256 CPU units each, where a
// request costs 2.56 CPU-unit-seconds: a task serves 100 a second.
func TestLoadArithmetic(t *testing.T) {
	tests := []struct {
		name             string
		rate             float64
		tasks            int32
		cpu, memory      float64 // per cent
		requests, missed float64 // in ten minutes
		points           bool
	}{
		{"half of what they can", 200, 4, 50, 30, 120000, 0, true},
		{"just what they can", 400, 4, 100, 40, 240000, 0, true},
		{"twice what they can: half is not served", 800, 4, 100, 40, 480000, 240000, true},
		{"nothing to do", 0, 4, 0, 20, 0, 0, true},
		{"nobody there: all unserved, and no points", 200, 0, 0, 0, 120000, 120000, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 1)
			b.hosts("g", 3, nil)
			b.define("web", 256, 500, nil)
			s := b.create("web", tt.tasks, nil)
			b.pass(5 * time.Minute)
			b.must(b.c.AddLoad(LoadSpec{
				Cluster: "c", Service: "web", Rate: func(time.Time) float64 { return tt.rate }, CPUPerRequest: 2.56, MemoryBase: 100, MemoryPerRequest: 1,
			}))
			points := 0
			b.f.published = func(p loadPoint) {
				if p.name == "CPUUtilization" {
					points++
				}
			}
			b.pass(10 * time.Minute)
			if want := map[bool]int{true: 10}[tt.points]; points != want {
				t.Errorf("%d points, want %d", points, want)
			}
			cpu, memory, ok := s.load.utilisation()
			if !near(cpu, tt.cpu) || !near(memory, tt.memory) || ok != tt.points {
				t.Errorf("CPU %v, memory %v, %t", cpu, memory, ok)
			}
			v, _ := b.c.World().Service("c", "web")
			if !near(v.Load.Requests, tt.requests) || !near(v.Load.Unserved, tt.missed) {
				t.Errorf("figures %+v", v.Load)
			}
		})
	}
}

// TestLoadFollowsTasksBetweenSteps takes one of two tasks away at an odd moment,
// 3 s after its load began; each could serve all 100 requests a second.
func TestLoadFollowsTasksBetweenSteps(t *testing.T) {
	rows := []struct {
		name     string
		take     func(b *ecsBench, of *ecsTask)
		pass     time.Duration
		unserved float64
	}{
		{"the share of a dead host's task is lost while ECS shows it RUNNING", func(b *ecsBench, of *ecsTask) {
			b.must(b.c.World().KillHost(of.host.instance.id))
		}, 27 * time.Second, 50 * 27},
		{"and no longer once ECS knows that the host is gone", func(b *ecsBench, of *ecsTask) {
			b.must(b.c.World().KillHost(of.host.instance.id))
			b.c.after(40*time.Second, func() { b.f.hostGone(of.host) })
		}, 10 * time.Minute, 50 * 40},
		{"a crash that the agent reports sends its share to the other at once", func(b *ecsBench, of *ecsTask) {
			b.must(b.c.World().CrashTask("c", of.arn))
		}, 27 * time.Second, 0},
		{"the share of a task that crashed is lost until its agent is back", func(b *ecsBench, of *ecsTask) {
			b.must(b.c.World().AgentDown(of.host.instance.id, 21*time.Second))
			b.must(b.c.World().CrashTask("c", of.arn))
		}, 27 * time.Second, 50 * 21},
		{"a task that is told to stop is sent nothing more", func(b *ecsBench, of *ecsTask) {
			b.scale("web", 1)
			b.f.stopTask(of, "", "")
		}, 27 * time.Second, 0},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 1)
			b.hosts("g", 2, nil)
			b.define("web", 256, 500, nil)
			s := b.create("web", 2, nil)
			b.pass(5 * time.Minute)
			b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: func(time.Time) float64 { return 100 }, CPUPerRequest: 2.56}))
			b.pass(3 * time.Second)
			b.c.World().Behaviour().PassDelay = time.Hour // nobody replaces it
			tt.take(b, s.tasks[0])
			b.pass(tt.pass)
			v, _ := b.c.World().Service("c", "web")
			if want := 100 * (3*time.Second + tt.pass).Seconds(); !near(v.Load.Requests, want) || !near(v.Load.Unserved, tt.unserved) {
				t.Errorf("figures %+v, want %v and %v", v.Load, want, tt.unserved)
			}
		})
	}
}

func TestTasksOfTwoSizesGetTheSameShare(t *testing.T) {
	l := &load{spec: LoadSpec{CPUPerRequest: 1}, rate: 300, sizes: []taskSize{{100, 100, false, 1}, {200, 100, false, 1}}}
	if !near(l.served(), 250) { // 150 each, of which the small one answers 100
		t.Errorf("served %v", l.served())
	}
	cpu, _, _ := l.utilisation()
	if !near(cpu, 100*250.0/300) {
		t.Errorf("CPU %v", cpu)
	}
	l.sizes[1].dead = true
	if cpu, _, _ = l.utilisation(); !near(l.served(), 100) || !near(cpu, 100) {
		t.Errorf("the big one is dead: served %v, CPU %v of those that report", l.served(), cpu)
	}
}

func TestPointsAreMeansOfAMinuteOrOf20Seconds(t *testing.T) {
	for _, high := range []bool{false, true} {
		b := newECSBench(t, 1)
		var points, counts []string
		b.f.published = func(p loadPoint) {
			point := fmt.Sprintf("%s+%s=%.4g", p.from.Format("04:05"), p.period, p.value)
			switch p.name {
			case "CPUUtilization":
				points = append(points, point)
			case "RequestCount":
				counts = append(counts, point)
			}
		}
		b.hosts("g", 1, nil)
		b.define("web", 256, 500, nil)
		b.create("web", 1, func(*ecs.CreateServiceInput) {})
		b.pass(5 * time.Minute)
		rate := func(at time.Time) float64 { return 10 * float64(at.Sub(epoch.Add(5*time.Minute))/(10*time.Second)) } // 10 a second more each step
		b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: rate, CPUPerRequest: 2.56, HighResolution: high}))
		b.pass(2 * time.Minute)
		want := "[05:00+1m0s=25 06:00+1m0s=83.33]"
		if high {
			want = "[05:00+20s=5 05:20+20s=25 05:40+20s=45 06:00+20s=65 06:20+20s=85 06:40+20s=100]"
		}
		b.want("points", points, want)
		b.want("requests", counts, "[05:00+1m0s=1500 06:00+1m0s=5100]")
	}
}
