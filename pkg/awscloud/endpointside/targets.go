package endpointside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// namesAtOnce is how many target groups one DescribeTargetGroups is asked for.
// Elastic Load Balancing states no limit for names; of load balancers it takes 20.
const namesAtOnce = 20

// groups reads the target groups of the names, with their targets. One that
// Elastic Load Balancing does not know is absent.
func (c *Cloud) groups(ctx context.Context, names []string) ([]cluster.TargetGroup, error) {
	var found []types.TargetGroup
	for part := range slices.Chunk(names, namesAtOnce) {
		some, err := c.known(ctx, part)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	all := make([]cluster.TargetGroup, len(found))
	err := c.edges.Run(ctx, len(found), func(ctx context.Context, i int) (err error) {
		all[i], err = c.group(ctx, found[i])
		return err
	})
	slices.SortFunc(all, func(a, b cluster.TargetGroup) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// known describes those of the names that exist. One unknown name fails the whole
// call ("One or more target groups not found"), without saying which: each half is
// asked for then.
func (c *Cloud) known(ctx context.Context, names []string) ([]types.TargetGroup, error) {
	found, err := c.named(ctx, names)
	var unknown *types.TargetGroupNotFoundException
	if !errors.As(err, &unknown) {
		return found, err
	}
	if len(names) == 1 {
		return nil, nil
	}
	one, err := c.known(ctx, names[:len(names)/2])
	if err != nil {
		return nil, err
	}
	other, err := c.known(ctx, names[len(names)/2:])
	return slices.Concat(one, other), err
}

// named describes target groups that all exist.
func (c *Cloud) named(ctx context.Context, names []string) ([]types.TargetGroup, error) {
	in := elb.DescribeTargetGroupsInput{Names: names}
	var all []types.TargetGroup
	for {
		out, err := clusterside.Read(ctx, c.edges, c.ports.ELBV2.DescribeTargetGroups, &in)
		if err != nil {
			return nil, fmt.Errorf("describe target groups: %w", err)
		}
		all = append(all, out.TargetGroups...)
		if in.Marker = out.NextMarker; in.Marker == nil {
			break
		}
	}
	if len(all) != len(names) {
		return nil, fmt.Errorf("describe target groups: asked for %d, answered for %d", len(names), len(all))
	}
	return all, nil
}

func (c *Cloud) group(ctx context.Context, g types.TargetGroup) (cluster.TargetGroup, error) {
	out := cluster.TargetGroup{
		ARN: aws.ToString(g.TargetGroupArn), Name: aws.ToString(g.TargetGroupName), Protocol: string(g.Protocol), TargetType: string(g.TargetType),
		VPC: aws.ToString(g.VpcId), Balancers: g.LoadBalancerArns,
	}
	attributes, err := clusterside.Read(ctx, c.edges, c.ports.ELBV2.DescribeTargetGroupAttributes, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: g.TargetGroupArn})
	if err != nil {
		return out, fmt.Errorf("describe attributes of %s: %w", out.Name, err)
	}
	if out.Delay, err = delay(attributes.Attributes); err != nil {
		return out, fmt.Errorf("describe attributes of %s: %w", out.Name, err)
	}
	health, err := clusterside.Read(ctx, c.edges, c.ports.ELBV2.DescribeTargetHealth, &elb.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
	if err != nil {
		return out, fmt.Errorf("describe target health of %s: %w", out.Name, err)
	}
	for _, d := range health.TargetHealthDescriptions {
		t, err := target(d)
		if err != nil {
			return out, fmt.Errorf("describe target health of %s: %w", out.Name, err)
		}
		out.Targets = append(out.Targets, t)
	}
	slices.SortFunc(out.Targets, func(a, b cluster.Target) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), a.Port-b.Port)
	})
	return out, nil
}

func target(d types.TargetHealthDescription) (cluster.Target, error) {
	if d.Target == nil || d.TargetHealth == nil {
		return cluster.Target{}, errors.New("a target without its id or its health")
	}
	return cluster.Target{Instance: aws.ToString(d.Target.Id), Port: int(aws.ToInt32(d.Target.Port)), State: string(d.TargetHealth.State), Reason: string(d.TargetHealth.Reason)}, nil
}

// delay is the deregistration delay; a group that does not name it has Elastic
// Load Balancing's default of 300 s (API reference, TargetGroupAttribute).
func delay(attributes []types.TargetGroupAttribute) (time.Duration, error) {
	for _, a := range attributes {
		if aws.ToString(a.Key) == "deregistration_delay.timeout_seconds" {
			n, err := strconv.Atoi(aws.ToString(a.Value))
			if err != nil || n < 0 {
				return 0, fmt.Errorf("a deregistration delay of %q, which is no number of seconds", aws.ToString(a.Value))
			}
			return time.Duration(n) * time.Second, nil
		}
	}
	return 300 * time.Second, nil
}

// Managed are the target groups that ECS registers tasks in, by ARN, and the name
// of the service that it does so for, of all services of the cluster, whether or not
// a policy names them: their groups, those of their task sets, and the alternate ones
// of ECS's own blue/green deployments. It reads them all, and so is for rounds that
// are about to change a group.
func (c *Cloud) Managed(ctx context.Context, name string) (map[string]string, error) {
	names, err := c.ecsServices(ctx, name)
	if err != nil {
		return nil, err
	}
	services, err := c.reader(name).Services(ctx, names)
	by := map[string]string{}
	for _, s := range services {
		if aws.ToString(s.Status) == "INACTIVE" {
			continue
		}
		balancers := s.LoadBalancers
		for _, set := range s.TaskSets {
			balancers = slices.Concat(balancers, set.LoadBalancers)
		}
		for _, b := range balancers {
			by[aws.ToString(b.TargetGroupArn)] = aws.ToString(s.ServiceName)
			if b.AdvancedConfiguration != nil {
				by[aws.ToString(b.AdvancedConfiguration.AlternateTargetGroupArn)] = aws.ToString(s.ServiceName)
			}
		}
	}
	return by, err
}

// ecsServices lists all services of the cluster.
func (c *Cloud) ecsServices(ctx context.Context, name string) ([]string, error) {
	in := ecs.ListServicesInput{Cluster: aws.String(name), MaxResults: aws.Int32(100)}
	var all []string
	for {
		out, err := clusterside.Read(ctx, c.edges, c.ports.ECS.ListServices, &in)
		if err != nil {
			return nil, fmt.Errorf("list services of %s: %w", name, err)
		}
		all = append(all, out.ServiceArns...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}
