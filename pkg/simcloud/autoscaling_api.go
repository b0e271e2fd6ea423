package simcloud

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// AutoScaling has the methods of the SDK's client that are simulated: groups of
// one instance type with a subnet a zone, with lifecycle hooks on termination,
// without those on launch, warm pools and zone rebalancing. A scaling policy can be put on a group, but does nothing.
type AutoScaling struct{ c *Cloud }

// AutoScaling is the account's EC2 Auto Scaling.
func (c *Cloud) AutoScaling() *AutoScaling { return &AutoScaling{c} }

func groupRead(action string) operation {
	return operation{service: "autoscaling", action: action, bucket: "autoscaling", latency: 40 * time.Millisecond}
}

func groupModify(action string) operation {
	return operation{service: "autoscaling", action: action, bucket: "autoscaling", latency: 60 * time.Millisecond, changes: true}
}

func validation(format string, args ...any) error {
	return apiError("ValidationError", format, args...)
}

// named finds the group that a call names.
func (a *AutoScaling) named(name *string) (*asGroup, error) {
	if g := a.c.fleet.group(aws.ToString(name)); g != nil {
		return g, nil
	}
	return nil, validation("AutoScalingGroup name not found - AutoScalingGroup: %s not found", aws.ToString(name))
}

// DescribeAutoScalingGroups describes groups, all of them unless names are
// given; a name that does not exist is left out.
func (a *AutoScaling) DescribeAutoScalingGroups(ctx context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	return call(ctx, a.c, groupRead("DescribeAutoScalingGroups"), in, func() (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupNames", "IncludeInstances", "MaxRecords", "NextToken"); err != nil {
			return nil, err
		}
		groups := a.c.fleet.groupsSeen()
		var names []string
		for _, g := range groups {
			if len(in.AutoScalingGroupNames) == 0 || slices.Contains(in.AutoScalingGroupNames, g.spec.Name) {
				names = append(names, g.spec.Name)
			}
		}
		slices.Sort(names)
		page, next, err := groupPage(names, in.MaxRecords, in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &autoscaling.DescribeAutoScalingGroupsOutput{NextToken: next}
		for _, name := range page {
			out.AutoScalingGroups = append(out.AutoScalingGroups, groupNamed(groups, name).describe(in.IncludeInstances == nil || *in.IncludeInstances))
		}
		return out, nil
	})
}

// groupPage cuts a page as pageOf does, with Auto Scaling's sizes and error.
func groupPage(names []string, maximum *int32, token *string) ([]string, *string, error) {
	if maximum != nil && (*maximum < 1 || *maximum > 100) {
		return nil, nil, validation("MaxRecords must be between 1 and 100")
	}
	return pageOf(names, maximum, token, 50)
}

func (g *asGroup) describe(instances bool) types.AutoScalingGroup {
	out := types.AutoScalingGroup{
		AutoScalingGroupName: aws.String(g.spec.Name), AutoScalingGroupARN: aws.String(g.arn), AvailabilityZones: slices.Clone(g.spec.Zones), CreatedTime: timePtr(g.created),
		DefaultCooldown: aws.Int32(300), DesiredCapacity: aws.Int32(int32(g.desired)), MinSize: aws.Int32(int32(g.minimum)), MaxSize: aws.Int32(int32(g.maximum)),
		HealthCheckType: aws.String("EC2"), NewInstancesProtectedFromScaleIn: aws.Bool(false), TerminationPolicies: []string{"Default"},
		SuspendedProcesses: []types.SuspendedProcess{{ProcessName: aws.String("AZRebalance")}}, VPCZoneIdentifier: aws.String(g.subnets()),
	}
	if !instances {
		return out
	}
	for _, i := range g.instances {
		out.Instances = append(out.Instances, types.Instance{
			AvailabilityZone: aws.String(i.zone), HealthStatus: aws.String("Healthy"), InstanceId: aws.String(i.id), InstanceType: aws.String(g.spec.InstanceType),
			LifecycleState: i.state, ProtectedFromScaleIn: aws.Bool(i.protected),
		})
	}
	return out
}

func (g *asGroup) subnets() string {
	all := ""
	for i, z := range g.spec.Zones {
		if i > 0 {
			all += ","
		}
		all += subnetOf(z)
	}
	return all
}

// launchToken remembers what a LaunchInstances call answered.
type launchToken struct {
	at    time.Time
	count int
	zone  string
	ids   []string
	full  bool // no capacity
}

// LaunchInstances launches instances in one zone at once, or says that there is
// no capacity. It raises the desired capacity by what it launched. A token used
// before gives the former answer.
func (a *AutoScaling) LaunchInstances(ctx context.Context, in *autoscaling.LaunchInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error) {
	return call(ctx, a.c, groupModify("LaunchInstances"), in, func() (*autoscaling.LaunchInstancesOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupName", "ClientToken", "RequestedCapacity", "AvailabilityZones", "RetryStrategy"); err != nil {
			return nil, err
		}
		if in.RetryStrategy != "" && in.RetryStrategy != types.RetryStrategyNone {
			return nil, notSimulated("LaunchInstances' retry strategy %s", in.RetryStrategy)
		}
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		zone, err := g.launchZone(in.AvailabilityZones)
		if err != nil {
			return nil, err
		}
		token, n := aws.ToString(in.ClientToken), int(aws.ToInt32(in.RequestedCapacity))
		if token == "" || n < 1 || n > 100 {
			return nil, validation("LaunchInstances needs a client token and a capacity of 1 to 100")
		}
		done, err := a.c.fleet.launchOnce(g, token, launchToken{count: n, zone: zone})
		if err != nil {
			return nil, err
		}
		return done.answer(g, token), nil
	})
}

// launchZone is the zone of a launch: the one named, or the group's only one.
func (g *asGroup) launchZone(named []string) (string, error) {
	switch {
	case len(named) == 0 && len(g.spec.Zones) == 1:
		return g.spec.Zones[0], nil
	case len(named) != 1:
		return "", validation("Exactly one Availability Zone must be named for a group of several")
	case !slices.Contains(g.spec.Zones, named[0]):
		return "", validation("Availability Zone %s is not one of the group's", named[0])
	}
	return named[0], nil
}

// launchOnce launches unless the token has been used.
func (f *fleet) launchOnce(g *asGroup, token string, want launchToken) (launchToken, error) {
	done, again := g.tokens[token]
	if again && (f.behaviour.TokenLife == 0 || f.now.Sub(done.at) < f.behaviour.TokenLife) {
		if done.count != want.count || done.zone != want.zone {
			return done, &types.IdempotentParameterMismatchError{Message: aws.String("The client token was used with other parameters.")}
		}
		return done, nil
	}
	if g.desired+want.count > g.maximum {
		return want, validation("Launching %d instances would raise the desired capacity %d above the max value %d for the AutoScalingGroup.", want.count, g.desired, g.maximum)
	}
	want.at, want.full = f.now, f.full(g, want.zone)
	const cause = "instances were launched by a LaunchInstances request"
	if want.full {
		f.launchFailed(g, want.zone, cause)
	} else {
		g.desired += want.count
		for range want.count {
			want.ids = append(want.ids, f.launch(g, want.zone, cause).id)
		}
	}
	g.tokens[token] = want
	f.changed()
	return want, nil
}

func (l launchToken) answer(g *asGroup, token string) *autoscaling.LaunchInstancesOutput {
	out := &autoscaling.LaunchInstancesOutput{AutoScalingGroupName: aws.String(g.spec.Name), ClientToken: aws.String(token)}
	if l.full {
		out.Errors = []types.LaunchInstancesError{{
			AvailabilityZone: aws.String(l.zone), SubnetId: aws.String(subnetOf(l.zone)), InstanceType: aws.String(g.spec.InstanceType), MarketType: aws.String(g.market()),
			ErrorCode: aws.String("InsufficientInstanceCapacity"), ErrorMessage: aws.String(g.noCapacityText(l.zone)),
		}}
		return out
	}
	out.Instances = []types.InstanceCollection{{
		AvailabilityZone: aws.String(l.zone), SubnetId: aws.String(subnetOf(l.zone)), InstanceType: aws.String(g.spec.InstanceType), MarketType: aws.String(g.market()), InstanceIds: slices.Clone(l.ids),
	}}
	return out
}

func (g *asGroup) market() string {
	if g.spec.Spot {
		return "spot"
	}
	return "on-demand"
}

// SetDesiredCapacity changes the desired capacity; the group follows by itself,
// and chooses whom to terminate.
func (a *AutoScaling) SetDesiredCapacity(ctx context.Context, in *autoscaling.SetDesiredCapacityInput, _ ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error) {
	return call(ctx, a.c, groupModify("SetDesiredCapacity"), in, func() (*autoscaling.SetDesiredCapacityOutput, error) {
		if aws.ToBool(in.HonorCooldown) {
			return nil, notSimulated("SetDesiredCapacity's HonorCooldown")
		}
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		if in.DesiredCapacity == nil {
			return nil, validation("A desired capacity is needed")
		}
		return &autoscaling.SetDesiredCapacityOutput{}, a.c.fleet.setCapacity(g, int(*in.DesiredCapacity))
	})
}

func (f *fleet) setCapacity(g *asGroup, n int) error {
	switch {
	case n > g.maximum:
		return validation("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", n, g.maximum)
	case n < g.minimum:
		return validation("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", n, g.minimum)
	}
	g.desired = n
	f.changed()
	f.balance(g)
	return nil
}

// TerminateInstanceInAutoScalingGroup terminates one instance of a group's, and
// lowers the desired capacity with it if asked; else the group replaces it.
func (a *AutoScaling) TerminateInstanceInAutoScalingGroup(ctx context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	return call(ctx, a.c, groupModify("TerminateInstanceInAutoScalingGroup"), in, func() (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
		if err := onlyMembers(in, "InstanceId", "ShouldDecrementDesiredCapacity"); err != nil {
			return nil, err
		}
		f := a.c.fleet
		i := f.instance(aws.ToString(in.InstanceId))
		switch {
		case in.ShouldDecrementDesiredCapacity == nil:
			return nil, validation("ShouldDecrementDesiredCapacity is needed")
		case i == nil || i.state == types.LifecycleStateTerminated:
			return nil, validation("Instance Id not found - No managed instance found for instance ID: %s", aws.ToString(in.InstanceId))
		case !i.live():
			return nil, &types.ScalingActivityInProgressFault{Message: aws.String("Instance " + i.id + " is being terminated.")}
		}
		g, cause := i.group, "instance "+i.id+" was taken out of service in response to a user request"
		if *in.ShouldDecrementDesiredCapacity {
			if g.desired-1 < g.minimum {
				return nil, validation("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint.", g.minimum)
			}
			cause += ", shrinking the capacity from " + strconv.Itoa(g.desired) + " to " + strconv.Itoa(g.desired-1)
			g.desired--
		}
		f.terminateInstance(i, cause)
		f.balance(g)
		return &autoscaling.TerminateInstanceInAutoScalingGroupOutput{Activity: &types.Activity{
			ActivityId: aws.String(f.id(36)), AutoScalingGroupName: aws.String(g.spec.Name), AutoScalingGroupARN: aws.String(g.arn), Cause: aws.String(f.causeText(cause)),
			Description: aws.String("Terminating EC2 instance: " + i.id), StartTime: timePtr(f.now), StatusCode: types.ScalingActivityStatusCodeInProgress, Progress: aws.Int32(0),
		}}, nil
	})
}

// UpdateAutoScalingGroup changes a group's minimum, maximum and desired capacity.
// The desired capacity follows a bound that passes it.
func (a *AutoScaling) UpdateAutoScalingGroup(ctx context.Context, in *autoscaling.UpdateAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.UpdateAutoScalingGroupOutput, error) {
	return call(ctx, a.c, groupModify("UpdateAutoScalingGroup"), in, func() (*autoscaling.UpdateAutoScalingGroupOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupName", "MinSize", "MaxSize", "DesiredCapacity"); err != nil {
			return nil, err
		}
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		low, high := sizeOr(in.MinSize, g.minimum), sizeOr(in.MaxSize, g.maximum)
		return &autoscaling.UpdateAutoScalingGroupOutput{}, a.c.fleet.setBounds(g, low, high, in.DesiredCapacity)
	})
}

func sizeOr(size *int32, usual int) int {
	if size == nil {
		return usual
	}
	return int(*size)
}

func (f *fleet) setBounds(g *asGroup, low, high int, desired *int32) error {
	n := sizeOr(desired, min(max(g.desired, low), high))
	if low < 0 || low > high || n < low || n > high {
		return validation("Desired capacity %d must be within min size %d and max size %d", n, low, high)
	}
	g.minimum, g.maximum, g.desired = low, high, n
	f.changed()
	f.balance(g)
	return nil
}

// SetInstanceProtection protects instances from the group's own scale-in.
func (a *AutoScaling) SetInstanceProtection(ctx context.Context, in *autoscaling.SetInstanceProtectionInput, _ ...func(*autoscaling.Options)) (*autoscaling.SetInstanceProtectionOutput, error) {
	return call(ctx, a.c, groupModify("SetInstanceProtection"), in, func() (*autoscaling.SetInstanceProtectionOutput, error) {
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		if len(in.InstanceIds) == 0 || len(in.InstanceIds) > 50 || in.ProtectedFromScaleIn == nil {
			return nil, validation("SetInstanceProtection needs 1 to 50 instances and whether to protect them")
		}
		var found []*asInstance
		for _, id := range in.InstanceIds {
			i := a.c.fleet.instance(id)
			if i == nil || i.group != g || i.state != types.LifecycleStateInService {
				return nil, validation("The instance %s is not part of Auto Scaling group %s or not InService.", id, g.spec.Name)
			}
			found = append(found, i)
		}
		for _, i := range found {
			i.protected = *in.ProtectedFromScaleIn
		}
		return &autoscaling.SetInstanceProtectionOutput{}, nil
	})
}

// PutScalingPolicy puts a policy on a group, so that a controller can see that
// somebody else steers the group. The policy does nothing.
func (a *AutoScaling) PutScalingPolicy(ctx context.Context, in *autoscaling.PutScalingPolicyInput, _ ...func(*autoscaling.Options)) (*autoscaling.PutScalingPolicyOutput, error) {
	return call(ctx, a.c, groupModify("PutScalingPolicy"), in, func() (*autoscaling.PutScalingPolicyOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupName", "PolicyName", "PolicyType", "AdjustmentType", "ScalingAdjustment", "Enabled"); err != nil {
			return nil, err
		}
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		name := aws.ToString(in.PolicyName)
		if name == "" {
			return nil, validation("A policy name is needed")
		}
		p := &types.ScalingPolicy{
			AutoScalingGroupName: aws.String(g.spec.Name), PolicyName: aws.String(name), PolicyType: copied(in.PolicyType), AdjustmentType: copied(in.AdjustmentType),
			ScalingAdjustment: copied(in.ScalingAdjustment), Enabled: aws.Bool(in.Enabled == nil || *in.Enabled),
			PolicyARN: aws.String(a.c.arn("autoscaling", "scalingPolicy:"+a.c.id(36)+":autoScalingGroupName/"+g.spec.Name+":policyName/"+name)),
		}
		g.policies = append(slices.DeleteFunc(g.policies, func(old *types.ScalingPolicy) bool { return *old.PolicyName == name }), p)
		return &autoscaling.PutScalingPolicyOutput{PolicyARN: copied(p.PolicyARN)}, nil
	})
}

// DescribePolicies describes the scaling policies of one group or of all.
func (a *AutoScaling) DescribePolicies(ctx context.Context, in *autoscaling.DescribePoliciesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribePoliciesOutput, error) {
	return call(ctx, a.c, groupRead("DescribePolicies"), in, func() (*autoscaling.DescribePoliciesOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupName", "MaxRecords", "NextToken"); err != nil {
			return nil, err
		}
		all := map[string]*types.ScalingPolicy{}
		var keys []string
		for _, g := range a.c.fleet.groups {
			if in.AutoScalingGroupName != nil && g.spec.Name != *in.AutoScalingGroupName {
				continue
			}
			for _, p := range g.policies {
				keys, all[*p.PolicyARN] = append(keys, *p.PolicyARN), p
			}
		}
		slices.Sort(keys)
		page, next, err := groupPage(keys, in.MaxRecords, in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &autoscaling.DescribePoliciesOutput{NextToken: next}
		for _, key := range page {
			p := all[key]
			out.ScalingPolicies = append(out.ScalingPolicies, types.ScalingPolicy{
				AutoScalingGroupName: copied(p.AutoScalingGroupName), PolicyName: copied(p.PolicyName), PolicyARN: copied(p.PolicyARN), PolicyType: copied(p.PolicyType),
				AdjustmentType: copied(p.AdjustmentType), ScalingAdjustment: copied(p.ScalingAdjustment), Enabled: copied(p.Enabled),
			})
		}
		return out, nil
	})
}
