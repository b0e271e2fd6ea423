package clusterside

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// groups reads the Auto Scaling groups of the policy, in its order. One that
// Auto Scaling does not know is absent.
func (c *Cloud) groups(ctx context.Context, names []string) ([]cluster.HostGroup, error) {
	if len(names) == 0 {
		return nil, nil
	}
	found := map[string]cluster.HostGroup{}
	var token *string
	for {
		out, err := Read(ctx, c.edges, c.autoscaling.DescribeAutoScalingGroups, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: names, NextToken: token})
		if err != nil {
			return nil, fmt.Errorf("describe Auto Scaling groups: %w", err)
		}
		for _, g := range out.AutoScalingGroups {
			found[aws.ToString(g.AutoScalingGroupName)] = group(g)
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	steered, err := c.steered(ctx)
	if err != nil {
		return nil, err
	}
	var all []cluster.HostGroup
	for _, name := range names {
		if g, ok := found[name]; ok {
			g.SteeredBy = steered[name]
			all = append(all, g)
		}
	}
	return all, nil
}

// policyPage is the most scaling policies that DescribePolicies gives at once.
const policyPage = 100

// steered are the groups that a scaling policy is switched on for, with one's name:
// managed scaling of a capacity provider puts one there too. It asks for those of
// the whole account, since that is one call however many groups there are, as long
// as the account has no more than a hundred.
func (c *Cloud) steered(ctx context.Context) (map[string]string, error) {
	by := map[string]string{}
	var token *string
	for {
		out, err := Read(ctx, c.edges, c.autoscaling.DescribePolicies, &autoscaling.DescribePoliciesInput{MaxRecords: aws.Int32(policyPage), NextToken: token})
		if err != nil {
			return nil, fmt.Errorf("describe scaling policies: %w", err)
		}
		for _, p := range out.ScalingPolicies {
			if name := aws.ToString(p.AutoScalingGroupName); deref(p.Enabled, true) && by[name] == "" {
				by[name] = aws.ToString(p.PolicyName)
			}
		}
		if token = out.NextToken; token == nil {
			return by, nil
		}
	}
}

func group(g types.AutoScalingGroup) cluster.HostGroup {
	out := cluster.HostGroup{
		Name: aws.ToString(g.AutoScalingGroupName), Min: int(deref(g.MinSize, 0)), Max: int(deref(g.MaxSize, 0)), Desired: int(deref(g.DesiredCapacity, 0)),
		Zones: slices.Sorted(slices.Values(g.AvailabilityZones)),
	}
	for _, i := range g.Instances {
		out.Instances = append(out.Instances, cluster.Instance{
			ID: aws.ToString(i.InstanceId), Zone: aws.ToString(i.AvailabilityZone), Type: aws.ToString(i.InstanceType),
			Lifecycle: string(i.LifecycleState), Protected: aws.ToBool(i.ProtectedFromScaleIn),
		})
		out.InstanceTypes = append(out.InstanceTypes, aws.ToString(i.InstanceType))
	}
	slices.Sort(out.InstanceTypes)
	out.InstanceTypes = slices.Compact(out.InstanceTypes)
	return out
}
