package simcloud

import (
	"fmt"
	"testing"
	"time"
)

func TestWaitsRunFromTheRiseOfTheDesiredCount(t *testing.T) {
	b := newECSBench(t, 1)
	b.c.World().BehaveTasks("web", TaskBehaviour{Start: Lognormal{5 * time.Second, 5 * time.Second}})
	b.c.World().Behaviour().PassDelay = 0
	b.define("web", 500, 100, nil)
	s := b.create("web", 1, nil)
	b.pass(time.Minute)
	b.hosts("g", 1, nil)
	b.scale("web", 3)
	b.pass(time.Minute)
	var got []string
	for _, w := range b.c.World().Waits() {
		wait := "waiting"
		if !w.Running.IsZero() {
			wait = w.Running.Sub(w.Wanted).String()
		}
		got = append(got, fmt.Sprint(w.Wanted.Sub(epoch), " ", wait))
	}
	b.want("the oldest slot is served first; one of three has no room", got, "[0s 1m5s 1m0s 5s 1m0s waiting]")
	b.scale("web", 2)
	b.must(b.c.World().CrashTask("c", s.tasks[0].arn))
	b.pass(time.Minute)
	b.want("a slot no longer wanted is forgotten, and a replacement is no new slot", len(b.c.World().Waits()), 2)
}

func TestChangesTellWhatTheWorldDid(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 2, nil)
	w := b.c.World()
	b.pass(5 * time.Minute)
	from := b.c.now
	b.must(w.CrashTask("c", s.tasks[0].arn))
	b.pass(time.Minute)
	b.must(w.AgentDown(b.host(0).instance.id, 10*time.Second))
	b.pass(time.Minute)
	b.must(w.SetDesiredByHand("c", "web", 1))
	b.must(w.ChangeMax("g", 2))
	b.must(w.KillHost(b.host(1).instance.id))
	var kinds []string
	for _, c := range w.Changes(from, b.c.now) {
		kinds = append(kinds, c.Kind)
	}
	b.want("changes", kinds, "[TaskCrashed AgentLost AgentBack ByHand ByHand HostKilled]")
	b.want("none in between", len(w.Changes(from.Add(time.Second), from.Add(time.Minute-time.Second))), 0)
	for what, err := range map[string]error{
		"crash": w.CrashTask("c", "none"), "kill": w.KillHost("i-0"), "agent": w.AgentDown("i-0", 1), "capacity": w.SetCapacityError("g", "z", true),
		"desired": w.SetDesiredByHand("c", "none", 1), "max": w.ChangeMax("none", 1), "twice": w.KillHost(b.host(1).instance.id),
	} {
		if err == nil {
			t.Errorf("%s of nothing succeeded", what)
		}
	}
}
