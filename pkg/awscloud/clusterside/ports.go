// Package clusterside is the AWS side of a cluster's rounds: narrow ports, one a
// service, Observe and Apply. It maps AWS's words to ours and checks each
// change's precondition; it must not decide anything. How ECS is read in whole,
// how a throttled read waits and how an outcome is read it shares with
// endpointside.
package clusterside

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// ECS is the port to Amazon ECS.
type ECS interface {
	DescribeContainerInstances(context.Context, *ecs.DescribeContainerInstancesInput, ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListContainerInstances(context.Context, *ecs.ListContainerInstancesInput, ...func(*ecs.Options)) (*ecs.ListContainerInstancesOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	UpdateContainerInstancesState(context.Context, *ecs.UpdateContainerInstancesStateInput, ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
}

// AutoScaling is the port to Amazon EC2 Auto Scaling.
type AutoScaling interface {
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
	DescribePolicies(context.Context, *autoscaling.DescribePoliciesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribePoliciesOutput, error)
	LaunchInstances(context.Context, *autoscaling.LaunchInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error)
	SetDesiredCapacity(context.Context, *autoscaling.SetDesiredCapacityInput, ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error)
	TerminateInstanceInAutoScalingGroup(context.Context, *autoscaling.TerminateInstanceInAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error)
}

// CloudWatch is the port to Amazon CloudWatch.
type CloudWatch interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

// Runner makes calls that may go side by side: do for 0 to n-1, boundedly many
// at a time. It returns when all are done, with all their errors.
type Runner func(ctx context.Context, n int, do func(ctx context.Context, i int) error) error

// Cloud observes and changes clusters through the ports.
type Cloud struct {
	ecs         ECS
	autoscaling AutoScaling
	cloudwatch  CloudWatch
	edges       Edges

	mu        sync.Mutex // held for map accesses only, never over a call
	revisions map[string]cluster.Revision
}

// Wait lets time pass; it fails when ctx ends before that is over.
type Wait func(ctx context.Context, d time.Duration) error

// Edges are what a Cloud takes from the world that it runs in.
type Edges struct {
	Run   Runner
	Clock func() time.Time // for the span of metrics, and for what is left of an invocation, which bounds a throttled read's waiting
	Wait  Wait             // for a throttled read
}

// New returns a Cloud over the ports. It keeps task definitions, which never
// change, from one look to the next.
func New(e ECS, a AutoScaling, c CloudWatch, edges Edges) *Cloud {
	return &Cloud{ecs: e, autoscaling: a, cloudwatch: c, edges: edges, revisions: map[string]cluster.Revision{}}
}
