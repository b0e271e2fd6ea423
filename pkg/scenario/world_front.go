package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// registerFifo wakes register, where a policy has endpoints.
const registerFifo = "plimsoll-register.fifo"

// hold is the container that a task holds itself open with.
const hold = "hold"

// fronts makes the operator's target groups, each with a load balancer in front.
func (w *world) fronts(ctx context.Context) error {
	for _, g := range w.Targets {
		if err := w.front(ctx, g); err != nil {
			return fmt.Errorf("target group %s: %w", g.Name, err)
		}
	}
	return nil
}

func (w *world) front(ctx context.Context, g TargetGroup) error {
	protocol, kind := elbtypes.ProtocolEnum(g.Protocol), elbtypes.LoadBalancerTypeEnumNetwork
	if protocol == "" {
		protocol = elbtypes.ProtocolEnumHttp
	}
	if protocol == elbtypes.ProtocolEnumHttp {
		kind = elbtypes.LoadBalancerTypeEnumApplication
	}
	api := w.cloud.ELBV2()
	balancer, err := api.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: aws.String(g.Name), Type: kind, Subnets: []string{"subnet-a", "subnet-b"}})
	if err != nil {
		return err
	}
	in := &elb.CreateTargetGroupInput{
		Name: aws.String(g.Name), Protocol: protocol, Port: aws.Int32(80), VpcId: aws.String(w.cloud.World().VPC()), TargetType: elbtypes.TargetTypeEnumInstance,
	}
	if every := g.HealthCheckInterval.Duration; every > 0 {
		in.HealthCheckIntervalSeconds, in.HealthCheckTimeoutSeconds = aws.Int32(int32(every/time.Second)), aws.Int32(2) //nolint:gosec // checked
	}
	made, err := api.CreateTargetGroup(ctx, in)
	if err != nil {
		return err
	}
	arn := made.TargetGroups[0].TargetGroupArn
	w.targets[g.Name] = aws.ToString(arn)
	if delay := g.DeregistrationDelay.Duration; delay > 0 {
		_, err = api.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: arn, Attributes: []elbtypes.TargetGroupAttribute{
			{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String(fmt.Sprint(int(delay / time.Second)))},
		}})
		if err != nil {
			return err
		}
	}
	_, err = api.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(80), Protocol: protocol,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: arn}},
	})
	return err
}

// registers says whether a policy has endpoints, so that register is deployed.
func (w *world) registers() bool {
	for _, p := range w.policies() {
		if len(p.Registered()) > 0 {
			return true
		}
	}
	return false
}

// deployed are the names of the functions.
func (w *world) deployed() []string {
	names := []string{hearer, "reconcile"}
	if w.registers() {
		names = append(names, registrar)
	}
	return names
}

// register deploys the function register as Lambda runs it.
func (w *world) register(set policy.Set) error {
	c := w.cloud
	ports := register.Ports{ECS: c.ECS(), ELBV2: c.ELBV2(), CloudMap: c.CloudMap(), EC2: addresses{c}, DynamoDB: c.DynamoDB(), SQS: c.SQS()}
	if w.fronted != nil {
		w.fronted(&ports)
	}
	reach := register.New(ports,
		rounds.Config{Table: table, Ingress: w.urls[ingress]}, set,
		rounds.Edges{Clock: c.Clock, Run: c.Gather(sideCalls), Wait: pause(c), Log: w.log, Meter: rounds.Meter{Out: w.sink}})
	if err := c.Lambda().Register(registrar, reach.Invoke, simcloud.FunctionConfig{Timeout: time.Minute}); err != nil {
		return err
	}
	return c.Lambda().Map(simcloud.EventSource{Queue: registerFifo, Function: registrar, BatchSize: 1, ReportBatchItemFailures: true})
}

// addresses is EC2 as register asks it: simcloud has the addresses, and not that
// call of EC2's.
type addresses struct{ cloud *simcloud.Cloud }

func (a addresses) DescribeInstances(_ context.Context, ids []string) (map[string]string, error) {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	all := map[string]string{}
	for _, g := range a.cloud.World().Groups() {
		for _, i := range g.Instances {
			if wanted[i.ID] {
				all[i.ID] = i.Address
			}
		}
	}
	return all, nil
}
