package simcloud

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// healthyIn counts a service's healthy tasks.
func (b *ecsBench) healthyIn(s *ecsService) int { return b.f.census(s).healthy }

func TestAServiceRunsWhatItDesires(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 3, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 5, nil)
	b.pass(5 * time.Minute)
	b.want("healthy", b.healthyIn(s), 5)
	b.scale("web", 2)
	b.pass(5 * time.Minute)
	b.want("after scale-in", fmt.Sprint(b.healthyIn(s), len(s.tasks)), "2 2")
	b.must(b.c.World().CrashTask("c", s.tasks[0].arn))
	b.pass(5 * time.Minute)
	b.want("after a crash", b.healthyIn(s), 2)
	b.want("steady states: after each of three", len(b.actions("SERVICE_STEADY_STATE")), 3)
	b.pass(7 * time.Hour)
	b.want("and again after six hours", len(b.actions("SERVICE_STEADY_STATE")), 4)
}

func TestHealthyIs40SecondsAfterRunning(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, nil)
	b.define("checked", 100, 100, func(in *ecs.RegisterTaskDefinitionInput) {
		in.ContainerDefinitions[0].HealthCheck = &types.HealthCheck{Command: []string{"CMD", "true"}, Interval: aws.Int32(15)}
	})
	plain, checked := b.create("web", 1, nil), b.create("checked", 1, nil)
	healthyAfter := map[string]time.Duration{}
	for range 1200 {
		for _, s := range []*ecsService{plain, checked} {
			if _, done := healthyAfter[s.name]; !done && b.healthyIn(s) == 1 {
				healthyAfter[s.name] = b.c.now.Sub(s.tasks[0].started).Round(time.Second)
			}
		}
		b.pass(100 * time.Millisecond)
	}
	b.want("healthy after RUNNING", fmt.Sprint(healthyAfter), "map[checked:15s web:40s]")
	b.want("health status", fmt.Sprint(plain.tasks[0].describe().HealthStatus, checked.tasks[0].describe().HealthStatus), "UNKNOWNHEALTHY")
}

// tries lets a service of one task lack room until room comes after some time,
// and says how long after that the task was created.
func tries(t *testing.T, roomAfter time.Duration, change func(b *ecsBench)) time.Duration {
	b := newECSBench(t, 1)
	b.c.World().Behaviour().PassDelay = 0
	b.define("web", 100, 100, nil)
	s := b.create("web", 1, nil)
	change(b)
	b.c.At(epoch.Add(roomAfter), func() { b.hosts("g", 1, nil) })
	b.pass(time.Hour)
	if len(s.tasks) != 1 {
		t.Fatalf("%d tasks", len(s.tasks))
	}
	return s.tasks[0].created.Sub(epoch)
}

func TestRetriesAfterLackOfRoom(t *testing.T) {
	nothing := func(*ecsBench) {}
	tests := []struct {
		name      string
		roomAfter time.Duration
		change    func(b *ecsBench)
		want      time.Duration
	}{
		{"soon at first", 15 * time.Second, nothing, 20 * time.Second},
		{"still soon at 50 s", 45 * time.Second, nothing, 50 * time.Second},
		{"after that in five minutes", 51 * time.Second, nothing, 350 * time.Second},
		{"and five minutes more", 351 * time.Second, nothing, 650 * time.Second},
		{"an UpdateService tries at once and begins a new series", 100 * time.Second, func(b *ecsBench) {
			b.c.At(epoch.Add(90*time.Second), func() { b.scale("web", 1) })
		}, 100 * time.Second},
		{"a registering host is no reason to try", 60 * time.Second, nothing, 350 * time.Second},
		{"unless the switch says so", 60 * time.Second, func(b *ecsBench) { b.c.World().Behaviour().PlaceOnRegistration = true }, 60 * time.Second},
		{"a same-value UpdateService is no reason either, by the switch", 100 * time.Second, func(b *ecsBench) {
			b.c.World().Behaviour().SameValuePass = false
			b.c.At(epoch.Add(200*time.Second), func() { b.scale("web", 1) })
		}, 350 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tries(t, tt.roomAfter, tt.change); got != tt.want {
				t.Errorf("placed after %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAPlacementFailureIsToldOnceUntilItIsResolved(t *testing.T) {
	b := newECSBench(t, 1)
	b.define("web", 1000, 100, nil)
	b.hosts("g", 1, nil)
	b.create("web", 2, nil)
	b.pass(5 * time.Hour)
	b.want("within six hours", len(b.actions("SERVICE_TASK_PLACEMENT_FAILURE")), 1)
	b.pass(2 * time.Hour)
	b.want("after six hours", len(b.actions("SERVICE_TASK_PLACEMENT_FAILURE")), 2)
	b.scale("web", 1)
	b.pass(time.Minute)
	b.scale("web", 2)
	b.pass(time.Minute)
	b.want("after it was resolved", len(b.actions("SERVICE_TASK_PLACEMENT_FAILURE")), 3)
	for _, e := range b.events {
		if d, ok := e.detail.(serviceActionDetail); ok && d.EventName == "SERVICE_TASK_PLACEMENT_FAILURE" {
			b.want("its reason and host", fmt.Sprint(d.Reason, d.ContainerInstanceArns), fmt.Sprint("RESOURCE:CPU", []string{b.host(0).arn}))
		}
	}
}

func TestStartFailuresBackOffDoublingTo15Minutes(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, nil)
	b.c.World().BehaveTasks("web:1", TaskBehaviour{CannotStart: true, Start: Lognormal{time.Second, time.Second}})
	b.c.World().Behaviour().PassDelay = 0
	s := b.create("web", 1, nil)
	b.pass(2 * time.Hour)
	var created []time.Time
	for _, e := range b.events {
		if d, ok := e.detail.(taskDetail); ok && d.Version == 1 {
			created = append(created, e.at)
		}
	}
	var waits []int
	for i := 1; i < len(created); i++ {
		waits = append(waits, int(created[i].Sub(created[i-1]).Seconds())-1)
	}
	if len(waits) < 10 || fmt.Sprint(waits[:9]) != "[10 20 40 80 160 320 640 900 900]" {
		t.Errorf("waits between starts: %v", waits)
	}
	b.want("impaired, told once", len(b.actions("SERVICE_TASK_START_IMPAIRED")), 1)
	b.want("failed tasks", s.deployments[0].failed > 9, true)

	b.define("web", 100, 100, nil)
	before := b.c.now
	b.update("web", func(in *ecs.UpdateServiceInput) { in.TaskDefinition = aws.String("web:2") })
	b.pass(time.Minute)
	if len(s.tasks) != 1 || s.tasks[0].created.Sub(before) > time.Second {
		t.Errorf("a new task definition did not reset the back-off: %d tasks", len(s.tasks))
	}
}

func TestFiveHundredLaunchesAMinute(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 10, nil)
	b.define("web", 1, 1, nil)
	s := b.create("web", 1200, nil)
	b.pass(50 * time.Second)
	b.want("in the first minute", len(s.tasks), 500)
	b.pass(time.Minute)
	b.want("in the second", len(s.tasks), 1000)
	b.pass(time.Minute)
	b.want("in the third", len(s.tasks), 1200)
}

func TestDraining(t *testing.T) {
	tests := []struct {
		name     string
		min, max int32
		hosts    int
		want     string // tasks left on the draining host after one and after ten minutes
	}{
		{"100/200 with room: replaced first, then stopped", 100, 200, 3, "0 0"},
		{"100/200 without room: stays, the floor forbids", 100, 200, 1, "4 4"},
		{"50/100 without room: down to the floor, no further", 50, 100, 1, "2 2"},
		{"0/100 without room: all go", 0, 100, 1, "0 0"},
		{"100/100 is a deadlock, room or not", 100, 100, 3, "4 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 5)
			b.hosts("first", 1, nil)
			b.define("web", 200, 200, nil)
			s := b.create("web", 4, func(in *ecs.CreateServiceInput) {
				in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: &tt.min, MaximumPercent: &tt.max}
			})
			b.pass(5 * time.Minute)
			b.hosts("more", tt.hosts-1, nil)
			b.drain(b.host(0))
			b.pass(2 * time.Minute)
			one := len(b.host(0).tasks)
			b.pass(10 * time.Minute)
			b.want("left", fmt.Sprint(one, len(b.host(0).tasks)), tt.want)
			if tt.hosts > 1 && tt.max == 200 {
				b.want("healthy elsewhere", b.healthyIn(s), 4)
			}
		})
	}
}

func TestDrainingStopsPendingTasksAtOnceAndLeavesStandaloneOnes(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, nil)
	b.define("lone", 100, 100, nil)
	lone := b.run("lone")
	s := b.create("web", 2, nil)
	b.pass(time.Second)
	b.drain(b.host(0))
	b.pass(3 * time.Second)
	b.want("pending service tasks", len(s.tasks), 0)
	b.pass(10 * time.Minute)
	b.want("the standalone task", lone.last, statusRunning)
}

// TestBoundsHoldAtEachInstant walks deployments, drains and scale-ins of small
// services, and after each event of the world compares with the moment before:
// the scheduler's own acts never take healthy tasks below the floor, nor tasks
// above the ceiling.
func TestBoundsHoldAtEachInstant(t *testing.T) {
	n := 0
	for desired := range int32(5) {
		for _, low := range []int32{0, 50, 75, 100} {
			for _, high := range []int32{100, 125, 150, 200} {
				for _, how := range []string{"deploy", "drain", "scale in and deploy", "scale in while starting"} {
					n++
					walkBounds(t, desired, low, high, how)
				}
			}
		}
	}
	t.Logf("%d walks", n)
}

func walkBounds(t *testing.T, desired, low, high int32, how string) {
	b := newECSBench(t, uint64(desired*1000+low+high))
	b.hosts("g", 3, nil)
	b.define("web", 100, 100, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", desired, func(in *ecs.CreateServiceInput) {
		in.TaskDefinition = aws.String("web:1")
		in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: &low, MaximumPercent: &high}
	})
	b.pass(5 * time.Minute)
	if how == "scale in while starting" {
		b.scale("web", 2*desired)
		b.pass(12 * time.Second)
	}
	watchBounds(b, s, int(low), int(high), fmt.Sprintf("%d tasks, %d/%d, %s", desired, low, high, how))
	switch how {
	case "deploy":
		b.update("web", func(in *ecs.UpdateServiceInput) { in.TaskDefinition = aws.String("web:2") })
	case "drain":
		b.drain(b.host(0))
	case "scale in while starting":
		b.scale("web", desired)
	default:
		b.update("web", func(in *ecs.UpdateServiceInput) {
			in.TaskDefinition, in.DesiredCount = aws.String("web:2"), aws.Int32(desired/2)
		})
	}
	b.pass(30 * time.Minute)
	floor, ceiling := boundsOf(s.desired, int(low), int(high))
	blocked := floor >= s.desired && ceiling <= s.desired && s.desired > 0
	done := len(s.deployments) == 1 && len(b.f.census(s).fresh) == s.desired && len(b.f.census(s).stale) == 0
	if !done && !blocked {
		t.Errorf("%d tasks, %d/%d, %s: no end: %d deployments, %+v", desired, low, high, how, len(s.deployments), b.f.census(s))
	}
}

// boundsOf searches the least and the most tasks within the percentages.
func boundsOf(desired, low, high int) (floor, ceiling int) {
	for 100*floor < desired*low {
		floor++
	}
	for 100*(ceiling+1) <= desired*high {
		ceiling++
	}
	return floor, ceiling
}

// watchBounds looks at each change. For a draining host ECS counts RUNNING.
func watchBounds(b *ecsBench, s *ecsService, low, high int, what string) {
	count := func() (wellOff, total int) {
		c := b.f.census(s)
		wellOff = c.healthy
		if slices.ContainsFunc(b.f.clusters[0].hosts, func(h *ecsHost) bool { return h.status == statusDraining }) {
			wellOff = c.running
		}
		return wellOff, len(c.fresh) + len(c.stale)
	}
	well, total := count()
	b.c.World().OnChange(func() {
		w, n := count()
		floor, ceiling := boundsOf(s.desired, low, high)
		if w < well && w < floor {
			b.t.Errorf("%s: %d healthy, floor %d", what, w, floor)
		}
		if n > total && n > ceiling {
			b.t.Errorf("%s: %d tasks, ceiling %d", what, n, ceiling)
		}
		well, total = w, n
	})
}

func TestADeploymentTellsItsBeginAndEnd(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 2, nil)
	b.pass(5 * time.Minute)
	first := s.deployments[0].id
	b.update("web", func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
	b.pass(10 * time.Second)
	out := s.describe()
	b.want("during it", fmt.Sprint(len(out.Deployments), *out.Deployments[0].Status, out.Deployments[0].RolloutState, *out.Deployments[1].Status), "2PRIMARYIN_PROGRESSACTIVE")
	b.pass(5 * time.Minute)
	var told []string
	for _, e := range b.events {
		if d, ok := e.detail.(deploymentDetail); ok {
			told = append(told, fmt.Sprint(d.EventName, d.DeploymentID == first))
		}
	}
	b.want("events", told, "[SERVICE_DEPLOYMENT_IN_PROGRESStrue SERVICE_DEPLOYMENT_COMPLETEDtrue SERVICE_DEPLOYMENT_IN_PROGRESSfalse SERVICE_DEPLOYMENT_COMPLETEDfalse]")
	b.want("new tasks", s.tasks[0].startedBy, s.deployments[0].id)
}

func TestStoppingTasksCountByTheSwitch(t *testing.T) {
	for _, counts := range []bool{false, true} {
		b := newECSBench(t, 1)
		b.c.World().Behaviour().StoppingCounts = counts
		b.hosts("g", 2, nil)
		b.define("web", 100, 100, nil)
		zero, hundred := int32(0), int32(100)
		s := b.create("web", 4, func(in *ecs.CreateServiceInput) {
			in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: &zero, MaximumPercent: &hundred}
		})
		b.pass(5 * time.Minute)
		most := 0
		b.c.World().OnChange(func() { most = max(most, len(s.tasks)) })
		b.update("web", func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
		b.pass(5 * time.Minute)
		b.want(fmt.Sprintf("most tasks, counting stopping ones %t, exceed four", counts), most > 4, !counts)
	}
}
