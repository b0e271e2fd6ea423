package simcloud

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// lbKey is what a target group knows its targets by.
type lbKey struct {
	id   string // of the EC2 instance
	port int    // of the host
}

// keyOf is the target that a call names; without a port it is the group's.
func (g *lbGroup) keyOf(t types.TargetDescription) lbKey {
	return lbKey{aws.ToString(t.Id), sizeOr(t.Port, g.port)}
}

func targetNames(targets []types.TargetDescription, most int) error {
	if len(targets) == 0 || len(targets) > most {
		return elbInvalid("Targets: give 1 to %d, not %d", most, len(targets))
	}
	for _, t := range targets {
		if err := onlyMembers(t, "Id", "Port"); err != nil {
			return err
		}
		if t.Port != nil && (*t.Port < 1 || *t.Port > 65535) {
			return elbInvalid("Target '%s': a port must be between 1 and 65535, not %d", aws.ToString(t.Id), *t.Port)
		}
	}
	return nil
}

// RegisterTargets registers targets, all of them or, with an error, none. One
// that is registered already stays as it is.
func (e *ELBV2) RegisterTargets(ctx context.Context, in *elbv2.RegisterTargetsInput, _ ...func(*elbv2.Options)) (*elbv2.RegisterTargetsOutput, error) {
	return call(ctx, e.c, elbRegistration("RegisterTargets"), in, func() (*elbv2.RegisterTargetsOutput, error) {
		f := e.c.fleet
		g, err := f.elb.group(in.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		if err := targetNames(in.Targets, f.behaviour.ELB.TargetsPerCall); err != nil {
			return nil, err
		}
		var keys []lbKey
		for _, t := range in.Targets {
			keys = append(keys, g.keyOf(t))
		}
		if err := f.mayRegister(g, keys); err != nil {
			return nil, err
		}
		for _, k := range keys {
			f.registerTarget(g, k)
		}
		return &elbv2.RegisterTargetsOutput{}, nil
	})
}

// mayRegister says what keeps targets from being registered.
func (f *fleet) mayRegister(g *lbGroup, keys []lbKey) error {
	if g.kind != types.TargetTypeEnumInstance {
		return notSimulated("targets of type %s", g.kind)
	}
	fresh := map[lbKey]bool{}
	for _, k := range keys {
		i := f.instance(k.id)
		switch {
		case i == nil || g.vpc != lbVPC:
			return invalidTarget("The following targets are not in the target group VPC '%s': '%s'", g.vpc, k.id)
		case i.dead() || i.state == asgtypes.LifecycleStateTerminating || i.state == asgtypes.LifecycleStateTerminated:
			return invalidTarget("The following targets are not in a running state and cannot be registered: '%s'", k.id)
		}
		if g.byKey[k] == nil {
			fresh[k] = true
		}
	}
	return f.hasRoom(g, fresh)
}

func invalidTarget(format string, args ...any) error {
	return &types.InvalidTargetException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// hasRoom says which quota new targets of a group would break.
func (f *fleet) hasRoom(g *lbGroup, fresh map[lbKey]bool) error {
	limits := f.behaviour.ELB
	if len(fresh) > 0 && f.faults.during(faultTargetLimit, g.name, 2*time.Minute, 20*time.Minute) {
		f.faults.strike(faultTargetLimit)
		return tooManyTargets("The target group '%s' takes no more targets", g.arn)
	}
	if n := len(g.targets) + len(fresh); len(fresh) > 0 && n > limits.TargetsPerGroup {
		return tooManyTargets("The target group '%s' would have %d targets, at most %d are allowed", g.arn, n, limits.TargetsPerGroup)
	}
	if g.balancer == nil || len(fresh) == 0 {
		return nil
	}
	// The group as it would be, in the place of the one that is.
	would := lbGroup{arn: g.arn, targets: slices.Clone(g.targets)}
	for k := range fresh {
		would.targets = append(would.targets, &lbTarget{lbKey: k})
	}
	groups := g.balancer.groups()
	groups[slices.Index(groups, g)] = &would
	return g.balancer.overfull(groups, limits)
}

// overfull says which quota of a load balancer such groups break.
func (b *lbBalancer) overfull(groups []*lbGroup, limits ELBBehaviour) error {
	most := limits.TargetsPerALB
	if b.kind == types.LoadBalancerTypeEnumNetwork {
		most = limits.TargetsPerNLB
	}
	all, worst, most1 := 0, "", 0
	count := map[string]int{}
	for _, g := range groups {
		all += len(g.targets)
		for _, t := range g.targets {
			if count[t.id]++; count[t.id] > most1 || count[t.id] == most1 && t.id < worst {
				worst, most1 = t.id, count[t.id]
			}
		}
	}
	switch {
	case all > most:
		return tooManyTargets("The load balancer '%s' would have %d targets, at most %d are allowed", b.arn, all, most)
	case b.kind == types.LoadBalancerTypeEnumApplication && most1 > limits.TargetsPerInstance:
		return &types.TooManyRegistrationsForTargetIdException{Message: aws.String(fmt.Sprintf("The target '%s' would be registered %d times with the load balancer, at most %d are allowed", worst, most1, limits.TargetsPerInstance))}
	}
	return nil
}

func tooManyTargets(format string, args ...any) error {
	return &types.TooManyTargetsException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// DeregisterTargets deregisters targets. One that is not registered is no error.
func (e *ELBV2) DeregisterTargets(ctx context.Context, in *elbv2.DeregisterTargetsInput, _ ...func(*elbv2.Options)) (*elbv2.DeregisterTargetsOutput, error) {
	return call(ctx, e.c, elbRegistration("DeregisterTargets"), in, func() (*elbv2.DeregisterTargetsOutput, error) {
		f := e.c.fleet
		g, err := f.elb.group(in.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		if err := targetNames(in.Targets, f.behaviour.ELB.TargetsPerCall); err != nil {
			return nil, err
		}
		for _, t := range in.Targets {
			f.deregisterTarget(g, g.keyOf(t))
		}
		return &elbv2.DeregisterTargetsOutput{}, nil
	})
}

// DescribeTargetHealth gives the state of all targets of a group, or of those
// that are named: of one that is not registered, that it is not.
func (e *ELBV2) DescribeTargetHealth(ctx context.Context, in *elbv2.DescribeTargetHealthInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeTargetHealthOutput, error) {
	return call(ctx, e.c, elbRead("DescribeTargetHealth"), in, func() (*elbv2.DescribeTargetHealthOutput, error) {
		if err := onlyMembers(in, "TargetGroupArn", "Targets"); err != nil {
			return nil, err
		}
		g, err := e.c.fleet.elbSeen().group(in.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		out := &elbv2.DescribeTargetHealthOutput{TargetHealthDescriptions: []types.TargetHealthDescription{}}
		if len(in.Targets) == 0 {
			for _, t := range g.targets {
				out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, t.describe(t.health(e.c.now)))
			}
			return out, nil
		}
		if err := targetNames(in.Targets, len(in.Targets)); err != nil {
			return nil, err
		}
		for _, named := range in.Targets {
			k := g.keyOf(named)
			h := lbHealth{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumNotRegistered}
			if t := g.byKey[k]; t != nil {
				h = t.health(e.c.now)
			}
			out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, k.describe(h))
		}
		return out, nil
	})
}

func (k lbKey) describe(h lbHealth) types.TargetHealthDescription {
	return types.TargetHealthDescription{
		Target: &types.TargetDescription{Id: aws.String(k.id), Port: aws.Int32(int32(k.port))}, HealthCheckPort: aws.String(strconv.Itoa(k.port)),
		TargetHealth: &types.TargetHealth{State: h.state, Reason: h.reason, Description: text(h.words())},
	}
}
