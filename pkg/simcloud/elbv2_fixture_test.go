package simcloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// lbBench is a world with two hosts, a load balancer, and a target group that it
// forwards to.
type lbBench struct {
	*ecsBench
	lb, listener, group string // ARNs
	ports               int32
}

func newLBBench(t testing.TB, seed uint64, change func(*elbv2.CreateTargetGroupInput)) *lbBench {
	t.Helper()
	b := &lbBench{ecsBench: newECSBench(t, seed), ports: 80}
	b.hosts("g", 2, nil)
	b.lb = b.balancer("lb", types.LoadBalancerTypeEnumApplication)
	b.group = b.makeGroup("web", change)
	b.listener = b.listen(b.lb, types.TargetGroupTuple{TargetGroupArn: aws.String(b.group)})
	return b
}

// network makes all groups those of a network load balancer.
func network(in *elbv2.CreateTargetGroupInput) { in.Protocol = types.ProtocolEnumTcp }

func (b *lbBench) balancer(name string, kind types.LoadBalancerTypeEnum) string {
	b.t.Helper()
	out, err := b.c.ELBV2().CreateLoadBalancer(b.ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String(name), Type: kind})
	b.must(err)
	return *out.LoadBalancers[0].LoadBalancerArn
}

// makeGroup makes a group with checks every 10 s and a delay of 60 s.
func (b *lbBench) makeGroup(name string, change func(*elbv2.CreateTargetGroupInput)) string {
	b.t.Helper()
	in := &elbv2.CreateTargetGroupInput{Name: aws.String(name), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80), VpcId: aws.String(b.c.World().VPC()), HealthCheckIntervalSeconds: aws.Int32(10)}
	if change != nil {
		change(in)
	}
	out, err := b.c.ELBV2().CreateTargetGroup(b.ctx, in)
	b.must(err)
	arn := *out.TargetGroups[0].TargetGroupArn
	b.set(arn, attributeDelay, "60")
	return arn
}

func (b *lbBench) set(group, name, value string) {
	b.t.Helper()
	_, err := b.c.ELBV2().ModifyTargetGroupAttributes(b.ctx, &elbv2.ModifyTargetGroupAttributesInput{
		TargetGroupArn: aws.String(group), Attributes: []types.TargetGroupAttribute{{Key: aws.String(name), Value: aws.String(value)}},
	})
	b.must(err)
}

func forwardTo(groups ...types.TargetGroupTuple) []types.Action {
	return []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: groups}}}
}

// listen adds a listener on the next port.
func (b *lbBench) listen(lb string, groups ...types.TargetGroupTuple) string {
	b.t.Helper()
	b.ports++
	out, err := b.c.ELBV2().CreateListener(b.ctx, &elbv2.CreateListenerInput{LoadBalancerArn: aws.String(lb), Port: aws.Int32(b.ports), Protocol: types.ProtocolEnumHttp, DefaultActions: forwardTo(groups...)})
	b.must(err)
	return *out.Listeners[0].ListenerArn
}

func target(id string, port int) types.TargetDescription {
	return types.TargetDescription{Id: aws.String(id), Port: aws.Int32(int32(port))}
}

func (b *lbBench) register(group, id string, port int) {
	b.t.Helper()
	_, err := b.c.ELBV2().RegisterTargets(b.ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: aws.String(group), Targets: []types.TargetDescription{target(id, port)}})
	b.must(err)
}

func (b *lbBench) deregister(group, id string, port int) {
	b.t.Helper()
	_, err := b.c.ELBV2().DeregisterTargets(b.ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: aws.String(group), Targets: []types.TargetDescription{target(id, port)}})
	b.must(err)
}

// health gives the state and reason of one target.
func (b *lbBench) health(group, id string, port int) string {
	b.t.Helper()
	out, err := b.c.ELBV2().DescribeTargetHealth(b.ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(group), Targets: []types.TargetDescription{target(id, port)}})
	b.must(err)
	h := out.TargetHealthDescriptions[0].TargetHealth
	return strings.TrimSpace(fmt.Sprintf("%s %s", h.State, h.Reason))
}

// story gives a target's states as they come in the next time, each once.
func (b *lbBench) story(group, id string, port int, d time.Duration) string {
	b.t.Helper()
	var all []string
	for range d / time.Second {
		if now := b.health(group, id, port); len(all) == 0 || all[len(all)-1] != now {
			all = append(all, now)
		}
		b.pass(time.Second)
	}
	return strings.Join(all, ", ")
}

// tasks makes a service that no load balancer of ECS's serves, and gives its
// tasks once they run.
func (b *lbBench) tasks(name string, n int32) []*ecsTask {
	b.t.Helper()
	b.define(name, 100, 100, nil)
	s := b.create(name, n, nil)
	b.pass(2 * time.Minute)
	if countTasks(s.tasks, statusRunning) != int(n) {
		b.t.Fatalf("%d tasks of %s run", countTasks(s.tasks, statusRunning), name)
	}
	return slices.Clone(s.tasks)
}

// port is the task's only host port.
func (t *ecsTask) port() int { return t.bindings[0].host }

func (t *ecsTask) ec2() string { return t.host.instance.id }

// registered registers a task with a group.
func (b *lbBench) registered(group string, t *ecsTask) {
	b.t.Helper()
	b.register(group, t.ec2(), t.port())
}

// balanced makes a service of which ECS registers the tasks in the groups.
func (b *lbBench) balanced(name string, n int32, grace int32, groups ...string) *ecsService {
	b.t.Helper()
	b.define(name, 100, 100, nil)
	return b.create(name, n, func(in *ecs.CreateServiceInput) {
		in.HealthCheckGracePeriodSeconds = aws.Int32(grace)
		for _, g := range groups {
			in.LoadBalancers = append(in.LoadBalancers, ecstypes.LoadBalancer{TargetGroupArn: aws.String(g), ContainerName: aws.String("main"), ContainerPort: aws.Int32(8080)})
		}
	})
}
