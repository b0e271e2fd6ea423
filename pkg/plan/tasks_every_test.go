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
