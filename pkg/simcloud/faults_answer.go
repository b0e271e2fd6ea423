package simcloud

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
)

// damage takes from an answer what faults keep from it.
func (f *Faults) damage(op operation, answer any) {
	if op.changes || f.rates[faultDescribeCut] == 0 && f.rates[faultPartialFailure] == 0 {
		return
	}
	f.failItems(answer)
	f.cut(answer)
	f.cutEndpoints(answer)
}

// cut leaves the last items out of an answer, or all, and the token of a next
// page with them.
func (f *Faults) cut(answer any) {
	switch out := answer.(type) {
	case *ecs.ListContainerInstancesOutput:
		out.ContainerInstanceArns, out.NextToken = cutAs(f, out.ContainerInstanceArns, out.NextToken)
	case *ecs.ListTasksOutput:
		out.TaskArns, out.NextToken = cutAs(f, out.TaskArns, out.NextToken)
	case *ecs.ListServicesOutput:
		out.ServiceArns, out.NextToken = cutAs(f, out.ServiceArns, out.NextToken)
	case *ecs.DescribeContainerInstancesOutput:
		out.ContainerInstances, _ = cutAs(f, out.ContainerInstances, nil)
	case *ecs.DescribeTasksOutput:
		out.Tasks, _ = cutAs(f, out.Tasks, nil)
	case *ecs.DescribeServicesOutput:
		out.Services, _ = cutAs(f, out.Services, nil)
	case *autoscaling.DescribeAutoScalingGroupsOutput:
		out.AutoScalingGroups, out.NextToken = cutAs(f, out.AutoScalingGroups, out.NextToken)
	case *cloudwatch.GetMetricDataOutput:
		out.MetricDataResults, out.NextToken = cutAs(f, out.MetricDataResults, out.NextToken)
	default:
		f.cutELB(answer)
	}
}

// cutEndpoints does the same to what is told of protection and of Cloud Map.
func (f *Faults) cutEndpoints(answer any) {
	switch out := answer.(type) {
	case *ecs.GetTaskProtectionOutput:
		out.ProtectedTasks, _ = cutAs(f, out.ProtectedTasks, nil)
	case *servicediscovery.ListServicesOutput:
		out.Services, out.NextToken = cutAs(f, out.Services, out.NextToken)
	case *servicediscovery.ListInstancesOutput:
		out.Instances, out.NextToken = cutAs(f, out.Instances, out.NextToken)
	}
}

func cutAs[T any](f *Faults, all []T, token *string) ([]T, *string) {
	if len(all) == 0 || !f.hits(faultDescribeCut) {
		return all, token
	}
	return all[:f.c.stream("fault "+faultDescribeCut).IntN(len(all))], nil
}

// failItems turns items of ECS's answers into failures.
func (f *Faults) failItems(answer any) {
	switch out := answer.(type) {
	case *ecs.DescribeContainerInstancesOutput:
		out.ContainerInstances, out.Failures = failAs(f, out.ContainerInstances, out.Failures, func(h types.ContainerInstance) *string { return h.ContainerInstanceArn })
	case *ecs.DescribeTasksOutput:
		out.Tasks, out.Failures = failAs(f, out.Tasks, out.Failures, func(t types.Task) *string { return t.TaskArn })
	case *ecs.GetTaskProtectionOutput:
		out.ProtectedTasks, out.Failures = failAs(f, out.ProtectedTasks, out.Failures, func(t types.ProtectedTask) *string { return t.TaskArn })
	case *ecs.DescribeServicesOutput:
		out.Services, out.Failures = failAs(f, out.Services, out.Failures, func(s types.Service) *string { return s.ServiceArn })
	}
}

func failAs[T any](f *Faults, all []T, failures []types.Failure, arn func(T) *string) ([]T, []types.Failure) {
	var kept []T
	for _, one := range all {
		if f.hits(faultPartialFailure) {
			failures = append(failures, itemFailure(*arn(one)))
		} else {
			kept = append(kept, one)
		}
	}
	return kept, failures
}

// itemFailure is the failure of an item that is there. ECS documents no closed
// list of reasons.
func itemFailure(arn string) types.Failure {
	return types.Failure{Arn: aws.String(arn), Reason: aws.String("INTERNAL"), Detail: aws.String("an error inside the service")}
}
