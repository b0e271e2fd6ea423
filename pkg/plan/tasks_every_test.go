package plan

import (
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// TestEverySmallServiceReachesItsCount walks every service of up to four tasks,
// of which some are stopping, missing or not healthy, to every wanted count.
// Each action is held to S1, S2 and S7 by the world; the count must come to be
// what is wanted, and then stay without another action.
func TestEverySmallServiceReachesItsCount(t *testing.T) {
	n := 0
	for _, tasks := range []policy.Tasks{{Min: 0, Max: 4}, {Min: 1, Max: 3}} {
		for _, lo := range []int{0, 50, 75, 100} {
			for _, hi := range []int{100, 125, 150, 200} {
				for desired := range 5 {
					for live := range desired + 1 {
						n += walkHealth(t, tasks, lo, hi, desired, live)
					}
				}
			}
		}
	}
	t.Logf("%d walks", n)
}

func walkHealth(t *testing.T, tasks policy.Tasks, lo, hi, desired, live int) int {
	n := 0
	for healthy := range live + 1 {
		for stopping := range 3 {
			for wanted := range 6 {
				n++
				w := smallService(t, tasks, lo, hi, desired)
				for i := range live + stopping {
					last, to, health := cluster.TaskRunning, "RUNNING", "UNKNOWN"
					if i >= healthy {
						health = "UNHEALTHY"
					}
					if i >= live {
						to = cluster.TaskStopped
					}
					w.task("web", 0, last, to, health)
				}
				w.load["web"] = float64(wanted)
				w.count()
				walkTo(t, w, max(tasks.Min, min(wanted, tasks.Max)))
			}
		}
	}
	return n
}

// TestEverySmallServiceWithoutRoomGivesWay walks every service of up to six
// wanted tasks of which the cluster holds no more than those that run, to every
// lower count: what has no place must not keep it up.
func TestEverySmallServiceWithoutRoomGivesWay(t *testing.T) {
	for _, lo := range []int{0, 50, 75, 100} {
		for desired := range 7 {
			for live := range desired + 1 {
				for healthy := range live + 1 {
					for wanted := range desired + 1 {
						walkCrowded(t, lo, desired, live, healthy, wanted)
					}
				}
			}
		}
	}
}

func walkCrowded(t *testing.T, lo, desired, live, healthy, wanted int) {
	w := smallService(t, policy.Tasks{Min: 0, Max: 6}, lo, 200, desired)
	for i := range live {
		health := "UNKNOWN"
		if i >= healthy {
			health = "UNHEALTHY"
		}
		w.task("web", 0, cluster.TaskRunning, "RUNNING", health)
	}
	w.s.Hosts[0].Registered = of(512*live+128, 8192) // and a little that is no room
	w.s.Hosts[0].Remaining = of(128, 8192-512*live)
	w.load["web"] = float64(wanted)
	w.count()
	for range 30 {
		w.round()
		w.tick()
	}
	v := w.s.Services[0]
	if v.Desired != wanted || v.Running != min(wanted, live) || w.acted > 0 {
		t.Fatalf("%d healthy of %d of %d, with a floor of %d %%: %d run and %d are desired, want %d",
			healthy, live, desired, lo, v.Running, v.Desired, wanted)
	}
}

func smallService(t *testing.T, tasks policy.Tasks, lo, hi, desired int) *world {
	w := newWorld(t, policy.Policy{
		Hosts:    []policy.HostGroup{groupRules("big", 1, 1)},
		Services: map[string]policy.Service{"web": rules(tasks.Min, tasks.Max)},
	})
	w.host("big", "a", of(4096, 8192))
	w.service("web", desired, lo, hi, of(512, 512))
	return w
}

func walkTo(t *testing.T, w *world, want int) {
	t.Helper()
	first := w.s
	quiet := 0
	for range 30 {
		p := w.round()
		if quiet++; w.acted > 0 || w.tasks("web", cluster.TaskRunning) != want {
			quiet = 0
		}
		if quiet == 3 {
			return
		}
		if got := len(p.Decisions); got != 2 {
			t.Fatalf("%d decisions about one service and one group: %+v", got, p.Decisions)
		}
		w.tick()
	}
	t.Fatalf("never reached %d from %+v: %+v", want, first.Services, decision(t, w.round(), "service/web"))
}
