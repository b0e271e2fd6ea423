package simcloud

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

// putHook puts a hook on group g, of 300 s and CONTINUE unless changed.
func (b *ecsBench) putHook(name string, change func(*autoscaling.PutLifecycleHookInput)) error {
	in := &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String(name), LifecycleTransition: aws.String(hookTerminating), HeartbeatTimeout: aws.Int32(300), DefaultResult: aws.String("CONTINUE"),
	}
	if change != nil {
		change(in)
	}
	_, err := b.c.AutoScaling().PutLifecycleHook(b.ctx, in)
	return err
}

func (b *ecsBench) complete(hook, instance, result string) error {
	_, err := b.c.AutoScaling().CompleteLifecycleAction(b.ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String(hook), InstanceId: aws.String(instance), LifecycleActionResult: aws.String(result),
	})
	return err
}

func (b *ecsBench) beat(hook, instance string) error {
	_, err := b.c.AutoScaling().RecordLifecycleActionHeartbeat(b.ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String(hook), InstanceId: aws.String(instance),
	})
	return err
}

// hookEvents are the lifecycle events so far.
func (b *ecsBench) hookEvents() []hookDetail {
	var all []hookDetail
	for _, e := range b.events {
		if d, ok := e.detail.(hookDetail); ok {
			all = append(all, d)
		}
	}
	return all
}

// hooked is a group of two hosts with two hooks and a service of four tasks.
func hooked(t *testing.T, hooks ...string) (*ecsBench, *ecsService) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 4, nil)
	b.pass(5 * time.Minute)
	for _, h := range hooks {
		b.must(b.putHook(h, func(in *autoscaling.PutLifecycleHookInput) { in.NotificationMetadata = aws.String("m") }))
	}
	return b, s
}

func TestAHookHoldsAnInstanceUntilItIsLetGo(t *testing.T) {
	b, s := hooked(t, "drain")
	i := b.host(0).instance
	b.must(b.terminate(i.id, true))
	b.pass(time.Minute)
	events := b.hookEvents()
	if len(events) != 1 || events[0].LifecycleHookName != "drain" || events[0].EC2InstanceID != i.id || events[0].AutoScalingGroupName != "g" ||
		events[0].LifecycleTransition != hookTerminating || events[0].NotificationMetadata != "m" || events[0].LifecycleActionToken == "" {
		t.Fatalf("events %+v", events)
	}
	b.want("it waits, its host works on", fmt.Sprint(i.state, i.host.connected, b.healthyIn(s)), "Terminating:Waittrue 4")
	b.want("as it is told", *b.c.fleet.group("g").describe(true).Instances[0].InstanceId+string(b.c.fleet.group("g").describe(true).Instances[0].LifecycleState), i.id+"Terminating:Wait")
	var busy *types.ScalingActivityInProgressFault
	if err := b.terminate(i.id, true); !errors.As(err, &busy) {
		t.Errorf("terminated twice: %v", err)
	}
	b.must(b.complete("drain", i.id, "CONTINUE"))
	b.want("it goes", i.state, types.LifecycleStateTerminating)
	b.pass(5 * time.Minute)
	b.want("it is gone", fmt.Sprint(i.state, i.host.status), "TerminatedINACTIVE")
	b.want("no more of it", codeOf(b.complete("drain", i.id, "CONTINUE")), "ValidationError")
	b.want("one event", len(b.hookEvents()), 1)
}

// TestWhenAHookLetsGo tells how long an instance waits, in seconds.
func TestWhenAHookLetsGo(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hooks string
		do    func(b *ecsBench, id string) // a minute after the termination
		want  time.Duration
	}{
		{"nobody does anything: its time-out", "drain", func(*ecsBench, string) {}, 300 * time.Second},
		{"a heartbeat begins the time anew", "drain", func(b *ecsBench, id string) { b.must(b.beat("drain", id)) }, 360 * time.Second},
		{"one of two hooks is not enough", "drain log", func(b *ecsBench, id string) { b.must(b.complete("drain", id, "CONTINUE")) }, 300 * time.Second},
		{"both hooks are", "drain log", func(b *ecsBench, id string) {
			b.must(b.complete("drain", id, "CONTINUE"))
			b.must(b.complete("log", id, "CONTINUE"))
		}, 60 * time.Second},
		{"ABANDON ends the wait for the others", "drain log", func(b *ecsBench, id string) { b.must(b.complete("drain", id, "ABANDON")) }, 60 * time.Second},
		{"the hook is deleted", "drain", func(b *ecsBench, _ string) {
			_, err := b.c.AutoScaling().DeleteLifecycleHook(b.ctx, &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String("drain")})
			b.must(err)
		}, 60 * time.Second},
		{"the hook's time is changed meanwhile: this wait keeps its own", "drain", func(b *ecsBench, _ string) {
			b.must(b.putHook("drain", func(in *autoscaling.PutLifecycleHookInput) { in.HeartbeatTimeout = aws.Int32(30) }))
		}, 300 * time.Second},
		{"another hook comes meanwhile: it is not waited for", "drain", func(b *ecsBench, id string) {
			b.must(b.putHook("more", nil))
			b.must(b.complete("drain", id, "CONTINUE"))
		}, 60 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := hooked(t, strings.Fields(tt.hooks)...)
			i := b.host(0).instance
			began := b.c.now
			b.must(b.terminate(i.id, true))
			b.pass(time.Minute)
			tt.do(b, i.id)
			for i.waits() {
				b.pass(time.Second)
			}
			if got := b.c.now.Sub(began); got != tt.want {
				t.Errorf("it waited for %s, want %s", got, tt.want)
			}
			b.pass(5 * time.Minute)
			b.want("in the end", i.state, types.LifecycleStateTerminated)
		})
	}
}

func TestHeartbeatsDoNotHoldForEver(t *testing.T) {
	for seconds, want := range map[int32]time.Duration{30: 3000 * time.Second, 7200: 48 * time.Hour} {
		b, _ := hooked(t)
		b.must(b.putHook("drain", func(in *autoscaling.PutLifecycleHookInput) { in.HeartbeatTimeout = aws.Int32(seconds) }))
		i := b.host(0).instance
		began := b.c.now
		b.must(b.terminate(i.id, true))
		for i.waits() && b.c.now.Sub(began) < 2*want {
			b.must(b.beat("drain", i.id))
			b.pass(time.Duration(seconds) * time.Second / 2)
		}
		if got := b.c.now.Sub(began); got < want || got > want+time.Duration(seconds)*time.Second {
			t.Errorf("heartbeat %d s: it was held for %s, want %s", seconds, got, want)
		}
	}
}

func TestAnActionIsFoundByItsToken(t *testing.T) {
	b, _ := hooked(t, "drain")
	i := b.host(0).instance
	b.must(b.terminate(i.id, true))
	token := b.hookEvents()[0].LifecycleActionToken
	a := b.c.AutoScaling()
	by := func(token, instance *string, result string) error {
		_, err := a.CompleteLifecycleAction(b.ctx, &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: aws.String("g"), LifecycleHookName: aws.String("drain"), LifecycleActionToken: token, InstanceId: instance, LifecycleActionResult: aws.String(result),
		})
		return err
	}
	b.want("another token", codeOf(by(aws.String("x"), nil, "CONTINUE")), "ValidationError")
	b.want("another instance", codeOf(by(nil, aws.String(b.host(1).instance.id), "CONTINUE")), "ValidationError")
	b.want("neither", codeOf(by(nil, nil, "CONTINUE")), "ValidationError")
	b.want("another result", codeOf(by(&token, nil, "STOP")), "ValidationError")
	b.want("still there", i.waits(), true)
	b.must(by(&token, nil, "CONTINUE"))
	b.want("let go", i.waits(), false)
}

func TestHooksAreCheckedAndDescribed(t *testing.T) {
	b, _ := hooked(t)
	for name, tt := range map[string]struct {
		want   string
		change func(*autoscaling.PutLifecycleHookInput)
	}{
		"no such group": {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.AutoScalingGroupName = aws.String("h") }},
		"no name":       {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.LifecycleHookName = nil }},
		"no transition": {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.LifecycleTransition = nil }},
		"on launch": {"NotSimulated", func(in *autoscaling.PutLifecycleHookInput) {
			in.LifecycleTransition = aws.String("autoscaling:EC2_INSTANCE_LAUNCHING")
		}},
		"29 s":               {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.HeartbeatTimeout = aws.Int32(29) }},
		"over two hours":     {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.HeartbeatTimeout = aws.Int32(7201) }},
		"a wrong result":     {"ValidationError", func(in *autoscaling.PutLifecycleHookInput) { in.DefaultResult = aws.String("STOP") }},
		"a target to notify": {"NotSimulated", func(in *autoscaling.PutLifecycleHookInput) { in.NotificationTargetARN = aws.String("arn:aws:sqs") }},
	} {
		b.want(name, codeOf(b.putHook("drain", tt.change)), tt.want)
	}
	b.must(b.putHook("drain", func(in *autoscaling.PutLifecycleHookInput) { in.HeartbeatTimeout, in.DefaultResult = nil, nil }))
	describe := func(names ...string) string {
		out, err := b.c.AutoScaling().DescribeLifecycleHooks(b.ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("g"), LifecycleHookNames: names})
		b.must(err)
		got := ""
		for _, h := range out.LifecycleHooks {
			got += fmt.Sprint(*h.LifecycleHookName, " ", *h.HeartbeatTimeout, " ", *h.GlobalTimeout, " ", *h.DefaultResult, "; ")
		}
		return got
	}
	b.want("unless given", describe(), "drain 3600 172800 ABANDON; ")
	b.must(b.putHook("drain", func(in *autoscaling.PutLifecycleHookInput) { in.LifecycleTransition, in.DefaultResult = nil, nil }))
	b.must(b.putHook("a", nil))
	b.want("what is not given stays", describe(), "a 300 30000 CONTINUE; drain 300 30000 ABANDON; ")
	b.want("by name", describe("a", "absent"), "a 300 30000 CONTINUE; ")
	for n := range 48 {
		b.must(b.putHook(fmt.Sprint("h", n), nil))
	}
	var limit *types.LimitExceededFault
	if err := b.putHook("one too many", nil); !errors.As(err, &limit) {
		t.Errorf("51 hooks: %v", err)
	}
}

func TestHooksOfTheDead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hooks  bool // behaviour: hooks of the dead
		want   string
		inWait bool // it dies while it waits for the hook
	}{
		{"its group runs the hook, though nothing is left", true, "Terminating:Wait", false},
		{"its group runs no hook", false, "Terminated", false},
		{"it dies while it waits: the wait goes on", true, "Terminating:Wait", true},
		{"it dies while it waits: it is gone", false, "Terminated", true},
	} {
		b, _ := hooked(t, "drain")
		b.c.World().Behaviour().HooksOfDead = tt.hooks
		i := b.host(0).instance
		if tt.inWait {
			b.must(b.terminate(i.id, false))
		}
		b.must(b.c.World().KillHost(i.id))
		b.pass(3 * time.Minute)
		b.want(tt.name, i.state, tt.want)
		b.want(tt.name+": ECS knows", i.host.status, statusInactive)
		b.pass(10 * time.Minute)
		b.want(tt.name+": in the end", fmt.Sprint(i.state, len(b.f.group("g").live()), len(b.f.group("g").gone)), "Terminated2 1")
	}
}

func TestASpotInterruptionComesTwoMinutesAheadWhateverWaits(t *testing.T) {
	for _, wait := range []bool{false, true} {
		b := newECSBench(t, 1)
		b.hosts("g", 2, func(g *GroupSpec) { g.Spot = true })
		b.define("web", 100, 100, nil)
		s := b.create("web", 4, nil)
		b.pass(5 * time.Minute)
		b.must(b.putHook("drain", nil))
		h := b.host(0)
		if wait {
			b.must(b.terminate(h.instance.id, false))
		}
		b.must(b.c.World().InterruptSpot(h.instance.id))
		b.want("the event", b.events[len(b.events)-1], heardEvent{b.c.now, "EC2 Spot Instance Interruption Warning", map[string]string{"instance-id": h.instance.id, "instance-action": "terminate"}})
		if b.c.World().InterruptSpot(h.instance.id) == nil {
			t.Error("warned twice")
		}
		b.pass(119 * time.Second)
		b.want("it works on", fmt.Sprint(h.dead, h.tasks[0].listens(0)), "false true")
		b.pass(2 * time.Second)
		b.want("two minutes later it does not", fmt.Sprint(h.dead, h.tasks[0].listens(0)), "true false")
		b.pass(3 * time.Minute)
		b.want("no hook holds it", fmt.Sprint(h.instance.state, h.status), "TerminatedINACTIVE")
		b.pass(10 * time.Minute)
		b.want("replaced", fmt.Sprint(len(b.f.group("g").live()), b.healthyIn(s)), "2 4")
	}
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	if b.c.World().InterruptSpot(b.host(0).instance.id) == nil || b.c.World().InterruptSpot("i-0") == nil {
		t.Error("what is no Spot instance was interrupted")
	}
}

func TestAZoneIsLost(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 6, func(g *GroupSpec) { g.Max = 9 })
	b.must(b.c.World().LoseZone("a", 30*time.Minute))
	b.pass(20 * time.Minute)
	zones := func() map[string]int {
		n := map[string]int{}
		for _, i := range b.f.group("g").live() {
			n[i.zone]++
		}
		return n
	}
	b.want("the others take over", zones(), map[string]int{"b": 3, "c": 3})
	b.want("no launch there", b.launch("t", "a", 1), "InsufficientInstanceCapacity in a")
	b.pass(11 * time.Minute)
	b.must(b.setCapacity(8))
	b.pass(10 * time.Minute)
	b.want("it is back", zones(), map[string]int{"a": 2, "b": 3, "c": 3})
	if b.c.World().LoseZone("x", time.Minute) == nil || b.c.World().LoseZone("a", 0) == nil {
		t.Error("a zone that there is not was lost, or for no time")
	}
}

// TestEveryInstanceEndsOnceWhateverHappens lets hooks, terminations, deaths and
// interruptions come in any order.
func TestEveryInstanceEndsOnceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newECSBench(t, rapid.Uint64().Draw(rt, "seed"))
		b.c.World().Behaviour().HooksOfDead = rapid.Bool().Draw(rt, "hooks of the dead")
		b.hosts("g", 3, func(g *GroupSpec) { g.Spot, g.Max = true, 6 })
		b.must(b.putHook("drain", nil))
		pick := func(rt *rapid.T) *asInstance {
			return rapid.SampledFrom(append(append([]*asInstance{}, b.f.group("g").instances...), b.f.group("g").gone...)).Draw(rt, "instance")
		}
		w := b.c.World()
		rt.Repeat(map[string]func(*rapid.T){
			"terminate": func(rt *rapid.T) { _ = b.terminate(pick(rt).id, rapid.Bool().Draw(rt, "decrement")) },
			"kill":      func(rt *rapid.T) { _ = w.KillHost(pick(rt).id) },
			"interrupt": func(rt *rapid.T) { _ = w.InterruptSpot(pick(rt).id) },
			"complete": func(rt *rapid.T) {
				_ = b.complete("drain", pick(rt).id, rapid.SampledFrom([]string{"CONTINUE", "ABANDON"}).Draw(rt, "result"))
			},
			"beat":     func(rt *rapid.T) { _ = b.beat("drain", pick(rt).id) },
			"capacity": func(rt *rapid.T) { _ = b.setCapacity(int32(rapid.IntRange(0, 6).Draw(rt, "capacity"))) },
			"":         func(rt *rapid.T) { b.pass(time.Duration(rapid.IntRange(0, 200).Draw(rt, "seconds")) * time.Second) },
		})
		b.pass(2 * time.Hour)
		g := b.f.group("g")
		if why := wrongGroup(g); why != "" {
			rt.Fatal(why)
		}
		if len(g.instances) != g.desired || len(g.live()) != g.desired {
			rt.Fatalf("%d instances, %d live, %d desired", len(g.instances), len(g.live()), g.desired)
		}
		if n := b.countKind("EC2 Instance Terminate Successful"); n != len(g.gone) {
			rt.Fatalf("%d ends of %d instances that are gone", n, len(g.gone))
		}
		for _, i := range g.gone {
			if i.host != nil && i.host.status != statusInactive || len(i.actions) > 0 {
				rt.Fatalf("%s is gone, its host is not, or a hook waits", i.id)
			}
		}
	})
}

func TestAttributesCordonAHost(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	cordon := func(h *ecsHost) ecstypes.Attribute {
		return ecstypes.Attribute{Name: aws.String("plimsoll.cordon"), TargetType: "container-instance", TargetId: aws.String(h.id)}
	}
	put := func(all ...ecstypes.Attribute) error {
		_, err := b.c.ECS().PutAttributes(b.ctx, &ecs.PutAttributesInput{Cluster: aws.String("c"), Attributes: all})
		return err
	}
	drop := func(all ...ecstypes.Attribute) error {
		_, err := b.c.ECS().DeleteAttributes(b.ctx, &ecs.DeleteAttributesInput{Cluster: aws.String("c"), Attributes: all})
		return err
	}
	version := b.host(0).version
	b.must(put(cordon(b.host(0))))
	b.want("an event of the host", b.host(0).version, version+1)
	s := b.create("web", 4, func(in *ecs.CreateServiceInput) {
		in.PlacementConstraints = []ecstypes.PlacementConstraint{{Type: "memberOf", Expression: aws.String("attribute:plimsoll.cordon !exists")}}
	})
	b.pass(time.Minute)
	b.want("none on it", b.spreadOf(s), []int{0, 4})
	b.must(put(cordon(b.host(0)))) // again: no error
	b.must(drop(cordon(b.host(0))))
	b.must(drop(cordon(b.host(0))))
	b.scale("web", 8)
	b.pass(time.Minute)
	b.want("evenly once it is taken away", b.spreadOf(s), []int{4, 4})

	valued := cordon(b.host(0))
	valued.Value = aws.String("v")
	b.want("deleted with a value", codeOf(drop(valued)), "InvalidParameterException")
	own := cordon(b.host(0))
	own.Name = aws.String("ecs.os-type")
	b.want("one of ECS's own", codeOf(put(own)), "InvalidParameterException")
	lost := cordon(b.host(0))
	lost.TargetId = aws.String("nobody")
	b.want("of nobody", codeOf(put(lost)), "TargetNotFoundException")
	untyped := cordon(b.host(0))
	untyped.TargetType = ""
	b.want("a short id without its type", codeOf(put(untyped)), "InvalidParameterException")
	untyped.TargetId = aws.String(b.host(0).arn)
	b.must(put(untyped))
	b.want("none", codeOf(put()), "InvalidParameterException")
	b.want("eleven", codeOf(put(make([]ecstypes.Attribute, 11)...)), "InvalidParameterException")
	var ten []ecstypes.Attribute
	for n := range 10 {
		a := cordon(b.host(1))
		a.Name = aws.String(fmt.Sprint("a", n))
		ten = append(ten, a)
	}
	b.must(put(ten[:9]...))
	eleventh := cordon(b.host(1))
	b.want("two more than there is room for, in one call", codeOf(put(ten[9], eleventh)), "AttributeLimitExceededException")
	b.must(put(ten[9]))
	b.want("an eleventh", codeOf(put(eleventh)), "AttributeLimitExceededException")
}
