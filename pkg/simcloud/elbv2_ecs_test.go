package simcloud

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// states counts a group's targets by state.
func (b *lbBench) states(group string) string {
	n := map[string]int{}
	for _, v := range b.c.World().Targets() {
		if v.TargetGroup == group {
			n[v.State]++
		}
	}
	return fmt.Sprint(n)
}

func TestECSCountsATaskHealthyWithItsTargets(t *testing.T) {
	b := newLBBench(t, 1, nil)
	two := b.makeGroup("two", nil)
	b.listen(b.lb, to(two, 1))
	s := b.balanced("web", 2, 0, b.group, two)
	b.c.every(epoch, 100*time.Millisecond, func() bool {
		for _, task := range s.tasks {
			first, second := b.health(b.group, task.ec2(), portOr(task)), b.health(two, task.ec2(), portOr(task))
			if got, want := task.healthy(b.c.now), first == "healthy" && second == "healthy"; got != want {
				t.Errorf("at %s: healthy %t, its targets are %s and %s", b.c.now.Sub(epoch), got, first, second)
			}
		}
		return b.c.now.Before(epoch.Add(2 * time.Minute))
	})
	b.pass(2 * time.Minute)
	b.want("of one group", b.states(b.group), "map[healthy:2]")
	b.want("of the other", b.states(two), "map[healthy:2]")
	v, _ := b.c.World().Service("c", "web")
	b.want("healthy", v.Healthy, 2)
	if at := b.actions("SERVICE_STEADY_STATE"); len(at) != 1 || at[0] > 45*time.Second {
		t.Errorf("steady at %v, want once, when the targets are healthy and not 40 s after RUNNING", at)
	}
}

// portOr is the task's host port, or one that nobody has.
func portOr(t *ecsTask) int {
	if len(t.bindings) == 0 {
		return 1
	}
	return t.port()
}

// TestWhoeverStopsATaskDecidesWhetherItDrains looks at what a target shows when
// its task gets SIGTERM, and what a minute after its stop was asked for.
func TestWhoeverStopsATaskDecidesWhetherItDrains(t *testing.T) {
	rows := []struct {
		name           string
		stop           func(b *lbBench, s *ecsService)
		after          time.Duration // from the stop to SIGTERM, to a second
		atTerm, after1 string
	}{
		{"scale-in drains first: the whole delay, then SIGTERM", func(b *lbBench, _ *ecsService) { b.scale("web", 0) }, 60 * time.Second, nobody, nobody},
		{"a host that is DRAINING does so, too, for what the floor lets go", func(b *lbBench, s *ecsService) {
			b.update("web", func(in *ecs.UpdateServiceInput) {
				in.DeploymentConfiguration = &ecstypes.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(0), MaximumPercent: aws.Int32(100)}
			})
			b.drain(s.tasks[0].host)
		}, 60 * time.Second, nobody, nobody},
		{"StopTask sends SIGTERM first, and deregisters after", func(b *lbBench, s *ecsService) {
			_, err := b.c.ECS().StopTask(b.ctx, &ecs.StopTaskInput{Cluster: aws.String("c"), Task: aws.String(s.tasks[0].arn)})
			b.must(err)
		}, 0, "healthy", draining},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			s := b.balanced("web", 1, 0, b.group)
			b.pass(2 * time.Minute)
			of := s.tasks[0]
			b.want("before", b.health(b.group, of.ec2(), of.port()), "healthy")
			b.c.World().Behaviour().PassDelay = 200 * time.Millisecond
			from := b.c.now
			tt.stop(b, s)
			for of.signalled.IsZero() && b.c.now.Before(from.Add(5*time.Minute)) {
				b.pass(10 * time.Millisecond)
			}
			if d := of.signalled.Sub(from); d < tt.after || d > tt.after+time.Second {
				t.Errorf("SIGTERM after %s, want %s", d, tt.after)
			}
			b.want("at SIGTERM", b.health(b.group, of.ec2(), of.port()), tt.atTerm)
			b.pass(time.Second)
			b.want("a second later", b.health(b.group, of.ec2(), of.port()), tt.after1)
			b.pass(2 * time.Minute)
			b.want("in the end", b.health(b.group, of.ec2(), of.port()), nobody)
			b.want("and its task", of.last, statusStopped)
		})
	}
}

func TestECSTakesEndedTasksOutOfTheirGroups(t *testing.T) {
	rows := []struct {
		name string
		end  func(b *lbBench, of *ecsTask)
		wait time.Duration
	}{
		{"a crash", func(b *lbBench, of *ecsTask) { b.must(b.c.World().CrashTask("c", of.arn)) }, 2 * time.Second},
		{"a broken machine, once ECS knows", func(b *lbBench, of *ecsTask) {
			b.c.World().Behaviour().Unnoticed = Lognormal{20 * time.Second, 20 * time.Second}
			b.must(b.c.World().KillHost(of.ec2()))
		}, 22 * time.Second},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			s := b.balanced("web", 2, 0, b.group)
			b.pass(2 * time.Minute)
			gone := s.tasks[0]
			tt.end(b, gone)
			b.pass(tt.wait)
			b.want("its target", b.health(b.group, gone.ec2(), gone.port()), draining)
			b.pass(3 * time.Minute)
			b.want("in the end", b.states(b.group), "map[healthy:2]")
			b.want("registrations that ECS remembers", len(s.balance.tasks), 2)
			b.want("targets that ECS remembers", len(b.f.elb.own.tasks), 2)
		})
	}
}

// TestATaskUnhealthyPastItsGraceIsReplaced breaks what one task of two answers,
// or that of all new ones.
func TestATaskUnhealthyPastItsGraceIsReplaced(t *testing.T) {
	for _, grace := range []int32{0, 120} {
		b := newLBBench(t, 1, nil)
		s := b.balanced("web", 2, grace, b.group)
		b.pass(70 * time.Second)
		sick := s.tasks[0]
		b.f.elb.own.find(sick).target.sick = true
		b.pass(40 * time.Second)
		b.want("its target", b.health(b.group, sick.ec2(), sick.port()) == "unhealthy Target.ResponseCodeMismatch", grace == 120)
		b.want("in its grace nobody is stopped", sick.wantedToRun(), grace == 120)
		b.pass(30 * time.Second)
		b.want("past it, it is to stop", sick.wantedToRun(), false)
		b.want("the reason", sick.reason, "Task failed ELB health checks")
		b.pass(3 * time.Minute)
		b.want("targets in the end", b.states(b.group), "map[healthy:2]")
	}
}

// find is where a task is registered first.
func (e *ecsELB) find(t *ecsTask) *ecsRegistration { return t.service.balance.find(t).places[0] }

func TestADeploymentWaitsForHealthyTargets(t *testing.T) {
	b := newLBBench(t, 1, nil)
	s := b.balanced("web", 2, 600, b.group)
	b.pass(2 * time.Minute)
	old := []*ecsTask{s.tasks[0], s.tasks[1]}
	b.define("web", 100, 100, nil)
	b.c.World().BehaveTasks("web:2", TaskBehaviour{FailsChecks: true})
	b.update("web", func(in *ecs.UpdateServiceInput) { in.TaskDefinition = aws.String("web") })
	b.pass(5 * time.Minute)
	b.want("of the old revision none is stopped", fmt.Sprint(old[0].wantedToRun(), old[1].wantedToRun()), "true true")
	b.want("targets", b.states(b.group), "map[healthy:2 unhealthy:2]")
	b.c.World().BehaveTasks("web:2", TaskBehaviour{})
	b.pass(5 * time.Minute)
	b.want("once the new ones are healthy, all old ones are", fmt.Sprint(old[0].wantedToRun(), old[1].wantedToRun()), "false false")
	b.want("targets", b.states(b.group), "map[healthy:2]")
}

func TestECSRegistersWithABucketOfItsOwn(t *testing.T) {
	b := newLBBench(t, 1, nil)
	for range 20 {
		b.c.take(ecsOwnELB, 1) // all that it holds
	}
	s := b.balanced("web", 1, 0, b.group)
	b.c.World().BehaveTasks("web", TaskBehaviour{Start: Lognormal{time.Millisecond, time.Millisecond}})
	b.c.every(epoch, 100*time.Millisecond, func() bool { b.c.take(ecsOwnELB, 1); return b.c.now.Before(epoch.Add(time.Minute)) })
	b.pass(50 * time.Second)
	b.want("without a token nobody is registered", fmt.Sprint(s.tasks[0].last, b.states(b.group)), "RUNNINGmap[]")
	b.scale("web", 0)
	b.pass(2 * time.Second)
	b.want("what was never registered has nothing to drain", s.tasks[0].signalled.IsZero(), false)
	b.scale("web", 1)
	b.pass(2 * time.Minute)
	b.want("then it is", b.states(b.group), "map[healthy:1]")
	b.want("the account's own tokens", b.c.buckets["elasticloadbalancing registration"].tokens, 20)
}

func TestLoadBalancersOfAServiceThatECSRefuses(t *testing.T) {
	b := newLBBench(t, 1, nil)
	b.define("web", 100, 100, nil)
	unused := b.makeGroup("unused", nil)
	ip := b.makeGroup("ip", func(in *elbv2.CreateTargetGroupInput) { in.TargetType = types.TargetTypeEnumIp })
	b.listen(b.lb, to(ip, 1))
	one := func(group, container string, port int32) []ecstypes.LoadBalancer {
		return []ecstypes.LoadBalancer{{TargetGroupArn: &group, ContainerName: &container, ContainerPort: &port}}
	}
	six := []ecstypes.LoadBalancer{}
	for range 6 {
		six = append(six, one(b.group, "main", 8080)...)
	}
	rows := []struct {
		name, want string
		grace      *int32
		of         []ecstypes.LoadBalancer
	}{
		{"a group that is not there", "InvalidParameterException", nil, one("none", "main", 8080)},
		{"one that no load balancer uses", "InvalidParameterException", nil, one(unused, "main", 8080)},
		{"one of IP addresses", "InvalidParameterException", nil, one(ip, "main", 8080)},
		{"a container that is not there", "InvalidParameterException", nil, one(b.group, "other", 8080)},
		{"a port that is not mapped", "InvalidParameterException", nil, one(b.group, "main", 8081)},
		{"six", "InvalidParameterException", nil, six},
		{"a grace without any", "InvalidParameterException", aws.Int32(1), nil},
		{"a classic load balancer: left out", "NotSimulated", nil, []ecstypes.LoadBalancer{{LoadBalancerName: aws.String("old")}}},
		{"five", "", aws.Int32(30), six[:5]},
	}
	for _, tt := range rows {
		_, err := b.c.ECS().CreateService(b.ctx, &ecs.CreateServiceInput{
			Cluster: aws.String("c"), ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), LoadBalancers: tt.of, HealthCheckGracePeriodSeconds: tt.grace,
			AvailabilityZoneRebalancing: ecstypes.AvailabilityZoneRebalancingDisabled,
		})
		b.want(tt.name, codeOf(err), tt.want)
	}
	out, err := b.c.ECS().DescribeServices(b.ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"web"}})
	b.must(err)
	l := out.Services[0].LoadBalancers
	b.want("DescribeServices", fmt.Sprintf("%d %t %s:%d, %d s", len(l), *l[0].TargetGroupArn == b.group, *l[0].ContainerName, *l[0].ContainerPort, *out.Services[0].HealthCheckGracePeriodSeconds), "5 true main:8080, 30 s")
}

func TestADrainingHostWaitsForHealthyTargetsElsewhere(t *testing.T) {
	for _, well := range []bool{true, false} {
		b := newLBBench(t, 1, nil)
		s := b.balanced("web", 2, 600, b.group)
		b.pass(2 * time.Minute)
		of := s.tasks[0]
		b.c.World().BehaveTasks("web", TaskBehaviour{FailsChecks: !well, Start: Lognormal{time.Second, time.Second}})
		for _, one := range s.tasks { // only new ones are to fail
			b.f.elb.own.find(one).group.check.unhealthy = 1000
		}
		from := b.c.now
		b.drain(of.host)
		b.pass(3 * time.Second)
		b.want("a RUNNING replacement is not enough", of.wantedToRun(), true)
		b.pass(2 * time.Minute)
		b.want("one with a healthy target is", of.wantedToRun(), !well)
		if left := of.stopping.Sub(from); well && left > 20*time.Second {
			t.Errorf("told to stop %s after the draining began", left)
		}
	}
}

// TestWhatIsDoneToTargetsBehindECSsBackHoldsUpNoTask lets somebody else take a
// draining target away, by registering it anew or by deregistering it first.
func TestWhatIsDoneToTargetsBehindECSsBackHoldsUpNoTask(t *testing.T) {
	for name, meddle := range map[string]func(b *lbBench, id string, port int){
		"registered anew":   func(b *lbBench, id string, port int) { b.register(b.group, id, port) },
		"deregistered":      func(b *lbBench, id string, port int) { b.deregister(b.group, id, port) },
		"left to ECS alone": func(*lbBench, string, int) {},
	} {
		b := newLBBench(t, 1, nil)
		s := b.balanced("web", 1, 0, b.group)
		b.pass(2 * time.Minute)
		of := s.tasks[0]
		b.scale("web", 0)
		b.pass(2 * time.Second)
		b.want("it drains", b.health(b.group, of.ec2(), of.port()), draining)
		meddle(b, of.ec2(), of.port())
		b.pass(2 * time.Minute)
		b.want(name, of.last, statusStopped)
		b.want("what ECS remembers", fmt.Sprint(len(b.f.elb.own.tasks), len(s.balance.tasks), len(s.balance.byID)), "0 0 0")
	}
}

func TestWhatAQuotaForbidsECSTriesAgain(t *testing.T) {
	b := newLBBench(t, 1, nil)
	l := &b.c.World().Behaviour().ELB
	l.TargetsPerGroup, l.TargetsPerCall = 1, 2
	b.balanced("web", 5, 0, b.group)
	b.pass(2 * time.Minute)
	b.want("with room for one", b.states(b.group), "map[healthy:1]")
	l.TargetsPerGroup = 4
	b.pass(time.Minute)
	b.want("with room for four", b.states(b.group), "map[healthy:4]")
	b.scale("web", 0)
	b.pass(3 * time.Minute)
	b.want("in the end", fmt.Sprintf("%s %d %d", b.states(b.group), len(b.f.elb.own.jobs), len(b.f.clusters[0].service("web").tasks)), "map[] 0 0")
}
