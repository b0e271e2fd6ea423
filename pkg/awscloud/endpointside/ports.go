// Package endpointside is the AWS side of register's rounds: narrow ports, one a
// service, Observe, Ended and Apply. It maps AWS's words of tasks, their ports,
// targets and instances of Cloud Map to ours, and checks each change's
// precondition; it must not decide anything. How ECS is read it has from
// clusterside.
package endpointside

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
)

// ECS is the port to Amazon ECS.
type ECS interface {
	DescribeContainerInstances(context.Context, *ecs.DescribeContainerInstancesInput, ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListServices(context.Context, *ecs.ListServicesInput, ...func(*ecs.Options)) (*ecs.ListServicesOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
}

// ELBV2 is the port to Elastic Load Balancing, version 2.
type ELBV2 interface {
	DeregisterTargets(context.Context, *elb.DeregisterTargetsInput, ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error)
	DescribeTargetGroupAttributes(context.Context, *elb.DescribeTargetGroupAttributesInput, ...func(*elb.Options)) (*elb.DescribeTargetGroupAttributesOutput, error)
	DescribeTargetGroups(context.Context, *elb.DescribeTargetGroupsInput, ...func(*elb.Options)) (*elb.DescribeTargetGroupsOutput, error)
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput, ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error)
	RegisterTargets(context.Context, *elb.RegisterTargetsInput, ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error)
}

// CloudMap is the port to AWS Cloud Map.
type CloudMap interface {
	DeregisterInstance(context.Context, *sd.DeregisterInstanceInput, ...func(*sd.Options)) (*sd.DeregisterInstanceOutput, error)
	GetOperation(context.Context, *sd.GetOperationInput, ...func(*sd.Options)) (*sd.GetOperationOutput, error)
	ListInstances(context.Context, *sd.ListInstancesInput, ...func(*sd.Options)) (*sd.ListInstancesOutput, error)
	ListServices(context.Context, *sd.ListServicesInput, ...func(*sd.Options)) (*sd.ListServicesOutput, error)
	RegisterInstance(context.Context, *sd.RegisterInstanceInput, ...func(*sd.Options)) (*sd.RegisterInstanceOutput, error)
}

// EC2 is the port to Amazon EC2, asked only where a policy names registries: ECS
// tells the id of a host and no address of it
// (https://github.com/aws/amazon-ecs-agent/issues/59). It is not in the SDK's
// shape, since the SDK's client of EC2 takes longer to compile than all others
// together; whoever puts the function together wraps what it has.
type EC2 interface {
	// DescribeInstances is the primary private IPv4 address of each of the
	// instances, by instance id. One that EC2 does not know is absent; the
	// others are answered for all the same.
	DescribeInstances(ctx context.Context, ids []string) (map[string]string, error)
}

// Ports are all that a Cloud calls.
type Ports struct {
	ECS      ECS
	ELBV2    ELBV2
	CloudMap CloudMap
	EC2      EC2
}

// Cloud observes and changes endpoints through the ports.
type Cloud struct {
	ports Ports
	edges clusterside.Edges

	mu        sync.Mutex        // held for map accesses only, never over a call
	instances map[string]string // EC2 instance id by container instance ARN
	addresses map[string]string // private IPv4 address by EC2 instance id
}

// New returns a Cloud over the ports. It keeps from one look to the next what
// never changes: which instance a container instance is, and its primary address.
func New(ports Ports, edges clusterside.Edges) *Cloud {
	return &Cloud{ports: ports, edges: edges, instances: map[string]string{}, addresses: map[string]string{}}
}

// reader reads ECS in whole.
func (c *Cloud) reader(name string) clusterside.Reader {
	return clusterside.Reader{ECS: c.ports.ECS, Cluster: name, Edges: c.edges}
}
