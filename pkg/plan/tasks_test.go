package plan

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// scene is a service web of four healthy tasks, scaled on CPU at 60 %, with a
// minute of history and room for sixteen tasks.
type scene struct {
	*world
	rules policy.Service
	web   *cluster.Service
	m     cluster.ServiceMemory
}

func newScene(t *testing.T) *scene {
	minute, five, ten := time.Minute, 5*time.Minute, 10
	none := policy.Duration{}
	s := &scene{world: newWorld(t, policy.Policy{Hosts: []policy.HostGroup{groupRules("big", 1, 9)}})}
	s.rules = policy.Service{
		Tasks: &policy.Tasks{Min: 1, Max: 20}, Tolerance: &ten,
		Scale:    []policy.Target{{Metric: "cpu", Target: 60, Period: policy.Duration{Duration: minute}}},
		ScaleOut: policy.Manner{Window: &none, Per: policy.Duration{Duration: minute}},
		ScaleIn:  policy.Manner{Window: &policy.Duration{Duration: five}, Per: policy.Duration{Duration: minute}},
	}
	s.host("big", "a", of(8192, 16384))
	s.service("web", 4, 100, 200, of(512, 1024))
	for range 4 {
		s.task("web", 0, cluster.TaskRunning, "RUNNING", "HEALTHY")
	}
	s.count()
	s.web = &s.s.Services[0]
	s.m = cluster.ServiceMemory{
		Running: []cluster.Sample{{At: s.ago(20 * time.Minute), Count: 4}},
		Wanted:  []cluster.Sample{{At: s.ago(30 * time.Second), Count: 4}},
	}
	return s
}

// full leaves no room in the cluster, now or later.
func (s *scene) full() {
	s.s.Hosts[0].Remaining = of(0, 0)
	s.p.Hosts[0].Max = 1
}

// draining has so many of the tasks on another host, which is DRAINING, and the
// count about to fall to three.
func (s *scene) draining(tasks int) {
	s.host("big", "a", of(4096, 8192))
	s.s.Hosts[1].Status = cluster.HostDraining
	for i := range tasks {
		s.s.Tasks[i].Host = s.s.Hosts[1].ARN
	}
	s.cpu(45, lag)
	s.m.Wanted[0].Count = 3
}

func (s *scene) ago(d time.Duration) time.Time { return s.s.Now.Add(-d) }

// cpu gives the metric one point that began so long ago.
func (s *scene) cpu(value float64, began time.Duration) {
	s.s.Metrics["web/cpu"] = cluster.Series{{At: s.ago(began), Value: value}}
}

func (s *scene) also(target policy.Target, value float64) {
	target.Period.Duration = time.Minute
	s.rules.Scale = append(s.rules.Scale, target)
	s.s.Metrics[target.Key("web")] = cluster.Series{{At: s.ago(90 * time.Second), Value: value}}
}

func (s *scene) wantedBefore(count int, ago time.Duration) {
	s.m.Wanted = append([]cluster.Sample{{At: s.ago(ago), Count: count}}, s.m.Wanted...)
}

func (s *scene) changed(ago time.Duration, from, to int) {
	s.m.Changes = append(s.m.Changes, cluster.Resize{At: s.ago(ago), From: from, To: to})
}

func (s *scene) plan() Plan {
	s.p.Services = map[string]policy.Service{"web": s.rules}
	s.s.Memory.Services = map[string]cluster.ServiceMemory{"web": s.m}
	return Cluster(s.s, s.p)
}

const lag = 90 * time.Second // a point's period is over for half a minute

func TestCounts(t *testing.T) {
	tests := []struct {
		name   string
		given  func(s *scene)
		to     int
		reason Reason
	}{
		{"twice the target: twice the tasks", func(s *scene) { s.cpu(120, lag) }, 8, AboveTarget},
		{"a part of a task is a whole one", func(s *scene) { s.cpu(70, lag) }, 5, AboveTarget},
		{"9 % above the target stays within the tolerance", func(s *scene) { s.cpu(65.4, lag) }, 4, WithinTolerance},
		{"10 % below it too", func(s *scene) { s.cpu(54, lag) }, 4, WithinTolerance},
		{"a point from before a scale-out does not scale out again", func(s *scene) {
			s.cpu(120, lag)
			s.m.Running = append(s.m.Running, cluster.Sample{At: s.ago(20 * time.Second), Count: 8})
			s.web.Desired = 8
		}, 8, WithinTolerance},
		{"a point half before and half after is read against six", func(s *scene) {
			s.cpu(100, lag)
			s.m.Running = append(s.m.Running, cluster.Sample{At: s.ago(60 * time.Second), Count: 8})
			s.web.Desired = 8
		}, 10, AboveTarget},
		{"tasks are missing and those that run are saturated: no wish for fewer", func(s *scene) {
			s.cpu(100, lag)
			s.web.Desired, s.web.MinimumHealthyPercent = 10, 0
			s.full()
			s.m.Wanted[0].Count = 1
		}, 10, WaitingForHosts},
		{"95 % is not saturated where the target is above", func(s *scene) {
			s.cpu(95, lag)
			s.rules.Scale[0].Target = 190
			s.m.Wanted[0].Count = 2
		}, 2, BelowTarget},
		{"a total is shared among as many tasks as it takes", func(s *scene) {
			s.rules.Scale = nil
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 701)
		}, 8, AboveTarget},
		{"a total raises a service from nothing", func(s *scene) {
			s.rules.Scale, s.rules.Tasks.Min = nil, 0
			s.web.Desired, s.web.Running, s.s.Tasks = 0, 0, nil
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 1)
		}, 1, AboveTarget},
		{"the largest wish wins", func(s *scene) {
			s.cpu(30, lag)
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 601)
		}, 7, AboveTarget},
		{"one signal is missing: the other may raise", func(s *scene) {
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 601)
		}, 7, AboveTarget},
		{"one signal is missing: the other may not lower", func(s *scene) {
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 101)
			s.m.Wanted = nil
		}, 4, MetricMissing},
		{"no signal at all has a value: hold", func(*scene) {}, 4, MetricMissing},
		{"a goal from before is no signal", func(s *scene) { s.m.Target, s.m.Since = 12, s.ago(15*time.Minute) }, 4, MetricMissing},
		{"one that hosts have just come for is followed", func(s *scene) { s.m.Target, s.m.Since = 12, s.ago(14*time.Minute) }, 12, WaitingForHosts},
		{"a goal from before counts where one signal says as much", func(s *scene) {
			s.also(policy.Target{Metric: "requests", PerTask: 100}, 1200)
			s.m.Target, s.m.Since = 12, s.ago(time.Hour)
		}, 12, AboveTarget},
		{"a series without points is unknown, not zero", func(s *scene) { s.s.Metrics["web/cpu"] = cluster.Series{} }, 4, MetricMissing},
		{"a point too old is unknown", func(s *scene) { s.cpu(120, 7*time.Minute) }, 4, MetricMissing},
		{"a point just young enough is not", func(s *scene) { s.cpu(120, 6*time.Minute) }, 8, AboveTarget},
		{"a point whose period still runs does not count", func(s *scene) { s.cpu(120, 30*time.Second) }, 4, MetricMissing},
		{"not a number is unknown", func(s *scene) { s.cpu(math.NaN(), lag) }, 4, MetricMissing},
		{"an infinite value is unknown", func(s *scene) { s.cpu(math.Inf(1), lag) }, 4, MetricMissing},
		{"an absurd value ends at the maximum", func(s *scene) { s.cpu(1e300, lag) }, 16, AboveTarget},
		{"an average over no tasks says nothing", func(s *scene) {
			s.cpu(0, lag)
			s.m.Running, s.web.Running, s.s.Tasks = nil, 0, nil
		}, 4, MetricMissing},
		{"less load: fewer tasks, when the window agrees", func(s *scene) {
			s.cpu(30, lag)
			s.m.Wanted[0].Count = 2
		}, 2, BelowTarget},
		{"one higher wish within the window keeps the count", func(s *scene) {
			s.cpu(30, lag)
			s.wantedBefore(4, 4*time.Minute+50*time.Second)
			s.m.Wanted[1].Count = 2
		}, 4, Stabilising},
		{"the window lowers to its largest wish", func(s *scene) {
			s.cpu(15, lag)
			s.wantedBefore(3, 2*time.Minute)
			s.m.Wanted[1].Count = 1
		}, 3, BelowTarget},
		{"a wish older than the window counts no more", func(s *scene) {
			s.cpu(30, lag)
			s.wantedBefore(4, 5*time.Minute+11*time.Second)
			s.m.Wanted[1].Count = 2
		}, 2, BelowTarget},
		{"the first look lowers nothing", func(s *scene) { s.cpu(30, lag); s.m.Wanted = nil }, 4, Stabilising},
		{"nor the first after a long silence", func(s *scene) {
			s.cpu(30, lag)
			s.m.Wanted = []cluster.Sample{{At: s.ago(time.Hour), Count: 2}}
		}, 4, Stabilising},
		{"an out window waits for the smallest wish", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.Window.Duration = 2 * time.Minute
		}, 4, Stabilising},
		{"an out window whose wishes all rose lets the smallest through", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.Window.Duration = 2 * time.Minute
			s.m.Wanted[0].Count = 6
		}, 6, AboveTarget},
		{"at most two tasks a minute", func(s *scene) { s.cpu(120, lag); s.rules.ScaleOut.MaxTasks = 2 }, 6, AboveTarget},
		{"what the period had already counts", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxTasks = 3
			s.changed(30*time.Second, 2, 4)
		}, 5, AboveTarget},
		{"all of the period's rate is used", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxTasks = 2
			s.changed(30*time.Second, 2, 4)
		}, 4, RateLimited},
		{"a change before the period does not count", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxTasks = 2
			s.changed(61*time.Second, 2, 4)
		}, 6, AboveTarget},
		{"a change that never happened does not count", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxTasks = 2
			s.changed(30*time.Second, 1, 3)
		}, 6, AboveTarget},
		{"of tasks and percent the larger counts", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxTasks, s.rules.ScaleOut.MaxPercent = 1, 75
		}, 7, AboveTarget},
		{"a percentage of a small count is one task at least", func(s *scene) {
			s.cpu(120, lag)
			s.rules.ScaleOut.MaxPercent = 1
		}, 5, AboveTarget},
		{"scale-in has a rate of its own", func(s *scene) {
			s.cpu(15, lag)
			s.m.Wanted[0].Count = 1
			s.rules.ScaleIn.MaxPercent = 50
		}, 2, BelowTarget},
		{"more is wanted than the maximum", func(s *scene) { s.cpu(600, lag); s.rules.Tasks.Max = 4 }, 4, AtMaximum},
		{"less is wanted than the minimum", func(s *scene) {
			s.cpu(1, lag)
			s.m.Wanted[0].Count, s.rules.Tasks.Min = 1, 4
		}, 4, AtMinimum},
		{"below the minimum, metrics missing: raised at once", func(s *scene) { s.rules.Tasks.Min = 6 }, 6, BelowMinimum},
		{"below the minimum no rate limit holds", func(s *scene) { s.rules.Tasks.Min, s.rules.ScaleOut.MaxTasks = 9, 1 }, 9, BelowMinimum},
		{"above the maximum, metrics missing: lowered at once", func(s *scene) { s.rules.Tasks.Max = 3 }, 3, AboveMaximum},
		{"above the maximum no step ends above it", func(s *scene) {
			for _, health := range []string{"HEALTHY", "HEALTHY", "UNHEALTHY", "UNHEALTHY"} {
				s.task("web", 0, cluster.TaskRunning, "RUNNING", health)
			}
			s.web.Desired, s.web.MinimumHealthyPercent, s.rules.Tasks.Max = 8, 50, 3
		}, 8, FloorReached},
		{"without signals only the bounds hold", func(s *scene) { s.rules.Scale = nil }, 4, NoSignal},
		{"no scale-in while a deployment runs", func(s *scene) {
			s.cpu(30, lag)
			s.m.Wanted[0].Count = 2
			s.web.Deployments = append(s.web.Deployments, cluster.Deployment{Status: "ACTIVE"})
		}, 4, DeploymentRuns},
		{"scale-out goes on while a deployment runs", func(s *scene) {
			s.cpu(120, lag)
			s.web.Deployments = append(s.web.Deployments, cluster.Deployment{Status: "ACTIVE"})
		}, 8, AboveTarget},
		{"unhealthy tasks keep the floor from being lowered through", func(s *scene) {
			s.cpu(30, lag)
			s.m.Wanted[0].Count = 2
			s.s.Tasks[0].Health = "UNHEALTHY"
		}, 4, FloorReached},
		{"a host drains, and a replacement is to start: ECS takes what drains before that one is healthy", func(s *scene) {
			s.draining(2)
			s.web.MinimumHealthyPercent = 100
		}, 4, FloorReached},
		{"a host drains and enough is healthy elsewhere", func(s *scene) {
			s.draining(2)
			s.web.MinimumHealthyPercent = 25
		}, 3, BelowTarget},
		{"a host drains and nothing has a place to move to: what runs is healthy", func(s *scene) {
			s.draining(2)
			s.full()
		}, 3, BelowTarget},
		{"missing tasks without a place are given up first", func(s *scene) {
			s.cpu(30, lag)
			s.web.Desired, s.m.Wanted[0].Count = 8, 2
			s.full()
		}, 2, BelowTarget},
		{"a missing task that has a place may start before the call", func(s *scene) {
			s.cpu(30, lag)
			s.web.Desired, s.m.Wanted[0].Count = 8, 2
		}, 8, FloorReached},
		{"of four missing tasks two have a place: two may be taken for gone", func(s *scene) {
			s.cpu(30, lag)
			s.web.Desired, s.m.Wanted[0].Count = 8, 2
			s.s.Hosts[0].Remaining = of(1024, 16384)
			s.web.MinimumHealthyPercent = 50
		}, 4, BelowTarget},
		{"as far down as the floor lets", func(s *scene) {
			s.cpu(15, lag)
			s.m.Wanted[0].Count, s.web.MinimumHealthyPercent = 1, 50
			s.s.Tasks[0].Health = "UNHEALTHY"
		}, 2, BelowTarget},
		{"the policy's own percentage is the one that counts", func(s *scene) {
			s.cpu(30, lag)
			half := 50
			s.m.Wanted[0].Count, s.rules.MinimumHealthyPercent = 2, &half
			s.s.Tasks[0].Health = "UNHEALTHY"
		}, 2, BelowTarget},
		{"so do those that a list cut short lacks, and the service counts", func(s *scene) {
			s.cpu(75, lag)
			s.web.MaximumPercent, s.web.Running = 100, 5
		}, 4, CeilingReached},
		{"stopping tasks still count under the ceiling", func(s *scene) {
			s.cpu(75, lag)
			s.web.MaximumPercent = 100
			s.task("web", 0, cluster.TaskRunning, cluster.TaskStopped, "HEALTHY")
		}, 4, CeilingReached},
		{"a daemon's count is not steered", func(s *scene) { s.cpu(120, lag); s.web.Scheduling = "DAEMON" }, 4, NotSteered},
		{"an external service's is not either", func(s *scene) { s.cpu(120, lag); s.web.Controller = "EXTERNAL" }, 4, NotSteered},
		{"nor one without bounds", func(s *scene) { s.cpu(120, lag); s.rules.Tasks = nil }, 4, NotSteered},
		{"a revision that could not be read raises nothing", func(s *scene) {
			s.cpu(120, lag)
			delete(s.s.Revisions, "rev/web")
		}, 4, RevisionMissing},
		{"only as far as there is room", func(s *scene) {
			s.cpu(120, lag)
			s.s.Hosts[0].Remaining = of(1024, 16384)
		}, 6, AboveTarget},
		{"no room at all: wait", func(s *scene) { s.cpu(120, lag); s.s.Hosts[0].Remaining = of(0, 0) }, 4, WaitingForHosts},
		{"no room, and no host would ever do", func(s *scene) {
			s.cpu(120, lag)
			s.s.Hosts[0].Registered, s.s.Hosts[0].Remaining = of(256, 16384), of(0, 0)
		}, 4, FitsNoHost},
		{"room for some of the minimum only: wait for all of it", func(s *scene) {
			s.rules.Tasks.Min = 8
			s.s.Hosts[0].Remaining = of(1024, 16384)
		}, 4, WaitingForHosts},
		{"waited long enough: the minimum is set without room", func(s *scene) {
			s.rules.Tasks.Min = 8
			s.s.Hosts[0].Remaining = of(1024, 16384)
			s.m.Target, s.m.Since = 8, s.ago(5*time.Minute)
		}, 8, BelowMinimum},
		{"a count that still waits is what signals are compared with", func(s *scene) {
			s.cpu(160, lag)
			s.m.Target, s.m.Since = 10, s.ago(time.Minute)
		}, 10, AboveTarget},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			tt.given(s)
			p := s.plan()
			d := decision(t, p, "service/web")
			if d.To != tt.to || d.Reason != tt.reason {
				t.Errorf("got %d, %s %v\nwant %d, %s", d.To, d.Reason, d.Numbers, tt.to, tt.reason)
			}
			if d.From != s.web.Desired || (d.To != d.From) != (len(d.Changes) == 1) {
				t.Errorf("%+v of a service that wants %d", d, s.web.Desired)
			}
		})
	}
}

func TestCountsSayTheirNumbers(t *testing.T) {
	s := newScene(t)
	s.cpu(97, lag)
	d := decision(t, s.plan(), "service/web")
	want := []Number{{"cpu", 97}, {"target", 60}, {"running", 4}, {"saturated", 95}, {"wanted", 7}}
	if len(d.Numbers) != len(want) {
		t.Fatalf("got %v, want %v", d.Numbers, want)
	}
	for i := range want {
		if d.Numbers[i] != want[i] {
			t.Errorf("got %v, want %v", d.Numbers[i], want[i])
		}
	}
}

func TestAMissingSignalIsCounted(t *testing.T) {
	s := newScene(t)
	s.also(policy.Target{Metric: "requests", PerTask: 100}, 601)
	d := decision(t, s.plan(), "service/web")
	if number(d, "missing") != 1 || number(d, "requests") != 601 || number(d, "perTask") != 100 {
		t.Errorf("%v, want one missing and the figures of the other", d.Numbers)
	}
}

// TestAnOldGoalIsForgotten: when signals come back, it is the count there is
// that they are compared with.
func TestAnOldGoalIsForgotten(t *testing.T) {
	s := newScene(t)
	s.m.Target, s.m.Since = 12, s.ago(time.Hour)
	p := s.plan()
	if m := p.Memory.Services["web"]; m.Target != 4 || !m.Since.IsZero() || number(decision(t, p, "service/web"), "missing") != 1 {
		t.Errorf("the goal is %d since %s, want none beyond the four tasks", m.Target, m.Since)
	}
	s.m.Since = s.ago(time.Minute)
	if d := decision(t, s.plan(), "service/web"); number(d, "goalSeconds") != 60 || number(d, "missing") != 1 {
		t.Errorf("%+v, want to be told of the goal that is followed", d.Numbers)
	}
}

func TestThin(t *testing.T) {
	at := func(seconds, count int) cluster.Sample {
		return cluster.Sample{At: noon().Add(time.Duration(seconds) * time.Second), Count: count}
	}
	now := noon().Add(300 * time.Second)
	got := thin([]cluster.Sample{at(-20, 9), at(-5, 8), at(0, 7), at(11, 4), at(13, 6), at(17, 5), at(300, 3)}, now, 5*time.Minute)
	want := []cluster.Sample{at(17, 4), at(17, 6), at(300, 3)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v: what is over goes, of each ten seconds the least and the most stay, dated to the last", got, want)
	}
}

func TestWaitingKeepsTheGoal(t *testing.T) {
	s := newScene(t)
	s.cpu(120, lag)
	s.s.Hosts[0].Remaining = of(1024, 16384)
	m := s.plan().Memory.Services["web"]
	if m.Target != 8 || !m.Since.Equal(s.s.Now) {
		t.Errorf("the goal is %d since %s, want 8 since now", m.Target, m.Since)
	}
	if got := m.Changes[len(m.Changes)-1]; got.From != 4 || got.To != 8 {
		t.Errorf("the change of the wanted count is %+v, want 4 to 8", got)
	}
	s.m, s.web.Desired = m, 6
	s.s.Now = s.s.Now.Add(20 * time.Second)
	m = s.plan().Memory.Services["web"]
	if m.Target != 8 || !m.Since.Equal(s.s.Now.Add(-20*time.Second)) || len(m.Changes) != 1 {
		t.Errorf("a round later: %+v, want the same goal since the same time, and no further change", m)
	}
}

// TestMemoryStaysSmall runs a day of rounds every three seconds with a load
// that never rests.
func TestMemoryStaysSmall(t *testing.T) {
	s := newScene(t)
	s.rules.ScaleIn.Window.Duration = 30 * time.Minute
	for i := range 28_800 {
		s.s.Now = s.s.Now.Add(3 * time.Second)
		s.web.Running = 2 + i%3
		s.cpu(float64(20+i*7%80), lag)
		s.m = s.plan().Memory.Services["web"]
		if len(s.m.Running) > 92 || len(s.m.Wanted) > 64 || len(s.m.Changes) > 62 {
			t.Fatalf("after %d rounds: %d running, %d wanted, %d changes", i, len(s.m.Running), len(s.m.Wanted), len(s.m.Changes))
		}
	}
}

func TestMeanRunning(t *testing.T) {
	at := func(seconds int) time.Time { return noon().Add(time.Duration(seconds) * time.Second) }
	h := []cluster.Sample{{At: at(0), Count: 4}, {At: at(90), Count: 8}, {At: at(110), Count: 2}}
	for _, tt := range []struct {
		name     string
		from, to int
		want     float64
	}{
		{"before all history: its first count", -100, -40, 4},
		{"within one count", 10, 70, 4},
		{"weighted by time", 60, 120, (30*4 + 20*8 + 10*2) / 60.0},
		{"after the last: it stays", 120, 180, 2},
		{"no time at all", 95, 95, 8},
	} {
		if got := meanRunning(h, at(tt.from), at(tt.to)); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
