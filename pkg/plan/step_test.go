package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// TestAStepOfLoadIsFollowedWithoutOvershoot closes the loop: CPU follows from
// the load and the tasks that run, saturates at 100 %, and its points come a
// minute late. A step up must be reached without going beyond by more than the
// tolerance; the step down too, and the count must then rest.
func TestAStepOfLoadIsFollowedWithoutOvershoot(t *testing.T) {
	for from := 2; from <= 12; from += 2 {
		for to := 2; to <= 24; to += 2 {
			t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) { walkStep(t, from, to) })
		}
	}
}

func walkStep(t *testing.T, from, to int) {
	v := policy.Service{Tasks: &policy.Tasks{Min: 1, Max: 100}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}}
	p := policy.Policy{Hosts: []policy.HostGroup{groupRules("big", 6, 6)}, Services: map[string]policy.Service{"web": v}}.Defaulted()
	w := newWorld(t, p)
	for i := range 6 {
		w.host("big", []string{"a", "b"}[i%2], of(4096, 8192))
	}
	w.service("web", from, 100, 200, of(512, 512))
	for i := range from {
		w.task("web", i%6, cluster.TaskRunning, "RUNNING", "UNKNOWN")
	}
	w.count()
	load, most, least, still := from, from, from, 0
	var minute []float64
	var points cluster.Series
	for i := range 180 {
		if i == 30 {
			load = to
		}
		minute = append(minute, min(100, 60*float64(load)/float64(max(1, w.s.Services[0].Running))))
		if len(minute) == 3 {
			mean := (minute[0] + minute[1] + minute[2]) / 3
			points, minute = append(points, cluster.Point{At: w.s.Now.Add(20*time.Second - time.Minute), Value: mean}), nil
		}
		w.s.Metrics["web/cpu"] = points[:max(0, len(points)-1)] // the last is not published yet
		w.round()
		if still++; w.acted > 0 {
			still = 0
		}
		most, least = max(most, w.s.Services[0].Desired), min(least, w.s.Services[0].Desired)
		w.tick()
	}
	slack := 1 + max(from, to)/10
	if most > max(from, to)+slack || least < min(from, to)-slack {
		t.Errorf("between %d and %d tasks, want between %d and %d, give or take %d", least, most, from, to, slack)
	}
	if got := w.s.Services[0].Desired; got < to-to/10 || got > to+slack || still < 30 {
		t.Errorf("%d tasks for a load of %d, unchanged for %d rounds", got, to, still)
	}
}
