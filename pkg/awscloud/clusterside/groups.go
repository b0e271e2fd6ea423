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
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := found[n]; return !ok })
	all := make([]cluster.HostGroup, len(names))
	err := c.edges.Run(ctx, len(names), func(ctx context.Context, i int) error {
		all[i] = found[names[i]]
		var err error
		all[i].SteeredBy, err = c.steered(ctx, names[i])
		return err
	})
	return all, err
}

// steered is the name of a scaling policy that is switched on for the group:
// managed scaling of a capacity provider puts one there too.
func (c *Cloud) steered(ctx context.Context, name string) (string, error) {
	var token *string
	for {
		out, err := Read(ctx, c.edges, c.autoscaling.DescribePolicies, &autoscaling.DescribePoliciesInput{AutoScalingGroupName: aws.String(name), NextToken: token})
		if err != nil {
			return "", fmt.Errorf("describe scaling policies of %s: %w", name, err)
		}
		for _, p := range out.ScalingPolicies {
			if deref(p.Enabled, true) {
				return aws.ToString(p.PolicyName), nil
			}
		}
		if token = out.NextToken; token == nil {
			return "", nil
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
