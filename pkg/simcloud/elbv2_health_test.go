package simcloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	registering = "initial Elb.RegistrationInProgress"
	checking    = "initial Elb.InitialHealthChecking"
	refusing    = "unhealthy Target.FailedHealthChecks"
	timedOut    = "unhealthy Target.Timeout"
	draining    = "draining Target.DeregistrationInProgress"
	nobody      = "unused Target.NotRegistered"
	notInUse    = "unused Target.NotInUse"
)

// TestATargetsStates lets a task be healthy in a group, or not, and then
// something happen; the states that its target shows in the next three minutes
// follow.
func TestATargetsStates(t *testing.T) {
	rows := []struct {
		name string
		do   func(b *lbBench, of *ecsTask)
		want string
	}{
		{"one check makes a new target healthy", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
		}, registering + ", " + checking + ", healthy"},
		{"whoever is not registered is told to be unused", func(*lbBench, *ecsTask) {}, nobody},
		{"a target that drains does so for the whole delay, and then is not registered", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.deregister(b.group, of.ec2(), of.port())
		}, draining + ", " + nobody},
		{"two failed checks make a healthy target unhealthy", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.must(b.c.World().CrashTask("c", of.arn))
		}, "healthy, " + refusing},
		{"what answers with an error fails too, under another name", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.c.World().BehaveTasks("web", TaskBehaviour{FailsChecks: true})
		}, "healthy, unhealthy Target.ResponseCodeMismatch"},
		{"a broken machine answers nothing, and its end is a state of its own once EC2's group sees it", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.c.World().Behaviour().Unnoticed = Lognormal{time.Minute, time.Minute}
			b.must(b.c.World().KillHost(of.ec2()))
		}, "healthy, " + timedOut + ", unused Target.InvalidState"},
		{"what never answers goes from its first checks to unhealthy", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().CrashTask("c", of.arn))
			b.pass(2 * time.Second)
			b.registered(b.group, of)
		}, registering + ", " + checking + ", " + refusing},
		{"a group that nothing forwards to checks nobody and drains nobody", func(b *lbBench, of *ecsTask) {
			other := b.makeGroup("other", nil)
			b.registered(other, of)
			b.c.after(time.Minute, func() { b.deregister(other, of.ec2(), of.port()) })
			b.group = other
		}, notInUse + ", " + nobody},
		{"a group that is forwarded to later begins its checks then", func(b *lbBench, of *ecsTask) {
			other := b.makeGroup("other", nil)
			b.registered(other, of)
			b.group = other
			b.c.after(time.Minute, func() { b.listen(b.lb, types.TargetGroupTuple{TargetGroupArn: &other}) })
		}, notInUse + ", " + checking + ", healthy"},
		{"a stale target is healthy by the task of another service that has its port now", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.thief(of)
		}, "healthy"},
		{"registered again while it drains it begins anew", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.deregister(b.group, of.ec2(), of.port())
			b.c.after(30*time.Second, func() { b.registered(b.group, of) })
		}, draining + ", " + registering + ", " + checking + ", healthy"},
		{"or, in the other world, that does nothing", func(b *lbBench, of *ecsTask) {
			b.c.World().Behaviour().ELB.RegisterDraining = false
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.deregister(b.group, of.ec2(), of.port())
			b.c.after(30*time.Second, func() { b.registered(b.group, of) })
		}, draining + ", " + nobody},
		{"registered twice it stays what it is", func(b *lbBench, of *ecsTask) {
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.registered(b.group, of)
		}, "healthy"},
		{"a target whose instance ended is forgotten, where ELB does so", func(b *lbBench, of *ecsTask) {
			b.c.World().Behaviour().ELB.ForgetEnded = time.Minute
			b.c.World().Behaviour().Unnoticed = Lognormal{time.Second, time.Second}
			b.registered(b.group, of)
			b.pass(30 * time.Second)
			b.must(b.c.World().KillHost(of.ec2()))
			b.pass(2 * time.Second)
		}, "unused Target.InvalidState, " + nobody},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			of := b.tasks("web", 1)[0]
			id, port := of.ec2(), of.port()
			tt.do(b, of)
			b.want("states", b.story(b.group, id, port, 3*time.Minute), tt.want)
		})
	}
}

// thief stops a task for good and gives its port to another service's.
func (b *lbBench) thief(of *ecsTask) *ecsTask {
	b.t.Helper()
	h, port := of.host, of.port()
	b.c.World().Behaviour().PassDelay = time.Hour
	b.must(b.c.World().CrashTask("c", of.arn))
	b.pass(2 * time.Second)
	b.c.World().Behaviour().PassDelay = 0
	b.define("thief", 100, 100, nil)
	d, err := b.f.definition(aws.String("thief"))
	b.must(err)
	h.lastPort = port - 1
	t := b.f.startTask(h, ecsRequest{definition: d, group: "family:thief"}, nil, "")
	b.f.taskUp(t)
	if t.port() != port {
		b.t.Fatalf("the thief has port %d, not %d", t.port(), port)
	}
	return t
}

// TestEveryRowOfChecksLeadsToTheStateThatItsEndSays walks through all rows of ten
// checks: a state depends on how many checks in a row, at the end, went which way.
func TestEveryRowOfChecksLeadsToTheStateThatItsEndSays(t *testing.T) {
	for _, kind := range []types.ProtocolEnum{types.ProtocolEnumHttp, types.ProtocolEnumTcp} {
		for _, check := range []lbCheck{{healthy: 2, unhealthy: 2}, {healthy: 3, unhealthy: 2}, {healthy: 2, unhealthy: 4}} {
			for bits := range 1 << 10 {
				c := newWorld(t, 1)
				g := &lbGroup{protocol: kind, check: check, balancer: &lbBalancer{}}
				one := &lbTarget{group: g, known: true, instance: &asInstance{}, state: types.TargetHealthStateEnumInitial}
				row, want := "", types.TargetHealthStateEnumInitial
				for n := range 10 {
					if bits>>n&1 == 1 {
						row += "+"
						c.fleet.passed(one)
					} else {
						row += "-"
						c.fleet.failed(one, types.TargetHealthReasonEnumTimeout)
					}
					need := check.healthy
					if want == types.TargetHealthStateEnumInitial && kind == types.ProtocolEnumHttp {
						need = 1
					}
					if strings.HasSuffix(row, strings.Repeat("+", need)) {
						want = types.TargetHealthStateEnumHealthy
					} else if strings.HasSuffix(row, strings.Repeat("-", check.unhealthy)) {
						want = types.TargetHealthStateEnumUnhealthy
					}
					if one.state != want {
						t.Fatalf("%s, %d and %d in a row, after %s: %s, want %s", kind, check.healthy, check.unhealthy, row, one.state, want)
					}
				}
			}
		}
	}
}

func TestTheFirstCheckComesAfterRegistrationAtAnyPhase(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for seed := range uint64(40) {
		b := newLBBench(t, seed, nil)
		of := b.tasks("web", 1)[0]
		b.registered(b.group, of)
		from := b.c.now
		for b.health(b.group, of.ec2(), of.port()) != "healthy" {
			b.pass(100 * time.Millisecond)
		}
		least, most = min(least, b.c.now.Sub(from)), max(most, b.c.now.Sub(from))
	}
	if least < time.Second || least > 4*time.Second || most > 15*time.Second+100*time.Millisecond || most < 11*time.Second {
		t.Errorf("healthy after %s to %s, want 1 s (registration) to 15 s (5 s and an interval of 10 s)", least, most)
	}
}

func TestAnUnhealthyTargetOfANetworkLoadBalancerLingersIfItIsTo(t *testing.T) {
	b := newLBBench(t, 1, nil)
	lb := b.balancer("net", types.LoadBalancerTypeEnumNetwork)
	g := b.makeGroup("tcp", network)
	b.listen(lb, types.TargetGroupTuple{TargetGroupArn: &g})
	b.set(g, attributeTerminate, "false")
	b.set(g, attributeLinger, "30")
	of := b.tasks("web", 1)[0]
	b.registered(g, of)
	b.pass(5 * time.Minute)
	b.must(b.c.World().CrashTask("c", of.arn))
	b.want("states", b.story(g, of.ec2(), of.port(), 2*time.Minute), "healthy, unhealthy.draining Target.FailedHealthChecks, "+refusing)
}

func TestUDPTargetsAreOtherPortsThanTCPOnes(t *testing.T) {
	b := newLBBench(t, 1, nil)
	lb := b.balancer("net", types.LoadBalancerTypeEnumNetwork)
	tcp, udp := b.makeGroup("tcp", network), b.makeGroup("udp", func(in *elbv2.CreateTargetGroupInput) { in.Protocol = types.ProtocolEnumUdp })
	b.listen(lb, types.TargetGroupTuple{TargetGroupArn: &tcp})
	b.listen(lb, types.TargetGroupTuple{TargetGroupArn: &udp})
	of := b.tasks("web", 1)[0]
	of.bindings[0].protocol, of.ports[0].protocol = ecstypes.TransportProtocolUdp, ecstypes.TransportProtocolUdp
	b.registered(tcp, of)
	b.registered(udp, of)
	b.pass(5 * time.Minute)
	b.want("of TCP", b.health(tcp, of.ec2(), of.port()), refusing)
	b.want("of UDP", b.health(udp, of.ec2(), of.port()), "healthy")
}

func TestATaskListensFromRunningToSIGTERM(t *testing.T) {
	rows := []struct {
		name string
		do   func(b *lbBench, of *ecsTask)
		want bool
	}{
		{"it is RUNNING", func(*lbBench, *ecsTask) {}, true},
		{"it is told to stop, and its agent has not heard", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().AgentDown(of.ec2(), time.Minute))
			b.f.stopTask(of, "", "")
		}, true},
		{"it got SIGTERM, and is STOPPING", func(b *lbBench, of *ecsTask) { b.f.stopTask(of, "", ""); b.pass(time.Second) }, false},
		{"it has crashed, and its agent cannot say so", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().AgentDown(of.ec2(), time.Minute))
			b.must(b.c.World().CrashTask("c", of.arn))
		}, false},
		{"its machine has broken", func(b *lbBench, of *ecsTask) { b.must(b.c.World().KillHost(of.ec2())) }, false},
	}
	for _, tt := range rows {
		b := newLBBench(t, 1, nil)
		of := b.tasks("web", 1)[0]
		b.registered(b.group, of)
		tt.do(b, of)
		b.want(tt.name, of.listens(0), tt.want)
		for _, v := range b.c.World().Targets() {
			b.want(tt.name+", by the world", fmt.Sprint(v.Listens, v.TaskGroup), fmt.Sprint(tt.want, "service:web"))
		}
	}
}
