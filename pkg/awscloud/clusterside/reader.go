package clusterside

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// page is how many ARNs one Describe call of ECS takes; DescribeServices takes
// fewer.
const (
	page        = 100
	servicePage = 10
)

// Reads is what a Reader calls of ECS.
type Reads interface {
	DescribeContainerInstances(context.Context, *ecs.DescribeContainerInstancesInput, ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
}

// Reader reads what ECS has of one cluster, in whole or not at all: an answer
// that is cut short is an error, and what is missing from an answer ECS has said
// to be MISSING.
type Reader struct {
	ECS     Reads
	Cluster string
	Edges
}

// ListTasks is the ARNs of all tasks that the filter names, page by page, and in
// how many reads.
func (r Reader) ListTasks(ctx context.Context, filter ecs.ListTasksInput) ([]string, int, error) {
	filter.Cluster = aws.String(r.Cluster)
	var arns []string
	for reads := 1; ; reads++ {
		out, err := Read(ctx, r.Edges, r.ECS.ListTasks, &filter)
		if err != nil {
			return nil, reads, fmt.Errorf("list tasks of %s: %w", r.Cluster, err)
		}
		arns = append(arns, out.TaskArns...)
		if filter.NextToken = out.NextToken; filter.NextToken == nil {
			return arns, reads, nil
		}
	}
}

// Tasks describes the tasks that the ARNs name, sorted by ARN, and says in how
// many reads. An ARN that comes twice, as of a task that stopped between two
// lists, is asked for once.
func (r Reader) Tasks(ctx context.Context, arns []string) ([]types.Task, int, error) {
	arns = slices.Compact(slices.Sorted(slices.Values(arns)))
	all, reads, err := describe(ctx, r.Run, page, arns, func(ctx context.Context, part []string) ([]types.Task, error) {
		out, err := Read(ctx, r.Edges, r.ECS.DescribeTasks, &ecs.DescribeTasksInput{Cluster: aws.String(r.Cluster), Tasks: part})
		if err != nil {
			return nil, fmt.Errorf("describe tasks of %s: %w", r.Cluster, err)
		}
		return out.Tasks, complete("tasks", len(part), len(out.Tasks), out.Failures)
	})
	slices.SortFunc(all, func(a, b types.Task) int { return cmp.Compare(aws.ToString(a.TaskArn), aws.ToString(b.TaskArn)) })
	return all, reads, err
}

// Hosts describes the container instances that the ARNs name, whatever their
// status, and says in how many reads.
func (r Reader) Hosts(ctx context.Context, arns []string) ([]types.ContainerInstance, int, error) {
	return describe(ctx, r.Run, page, arns, func(ctx context.Context, part []string) ([]types.ContainerInstance, error) {
		out, err := Read(ctx, r.Edges, r.ECS.DescribeContainerInstances, &ecs.DescribeContainerInstancesInput{Cluster: aws.String(r.Cluster), ContainerInstances: part})
		if err != nil {
			return nil, fmt.Errorf("describe container instances of %s: %w", r.Cluster, err)
		}
		return out.ContainerInstances, complete("container instances", len(part), len(out.ContainerInstances), out.Failures)
	})
}

// Services describes services by name, whatever their status.
func (r Reader) Services(ctx context.Context, names []string) ([]types.Service, error) {
	all, _, err := describe(ctx, r.Run, servicePage, names, func(ctx context.Context, part []string) ([]types.Service, error) {
		out, err := Read(ctx, r.Edges, r.ECS.DescribeServices, &ecs.DescribeServicesInput{Cluster: aws.String(r.Cluster), Services: part})
		if err != nil {
			return nil, fmt.Errorf("describe services of %s: %w", r.Cluster, err)
		}
		return out.Services, complete("services", len(part), len(out.Services), out.Failures)
	})
	return all, err
}

// describe asks for names, at most size at a time and side by side, and says in
// how many reads.
func describe[T any](ctx context.Context, run Runner, size int, names []string, ask func(context.Context, []string) ([]T, error)) ([]T, int, error) {
	parts := slices.Collect(slices.Chunk(names, size))
	found := make([][]T, len(parts))
	err := run(ctx, len(parts), func(ctx context.Context, i int) (err error) {
		found[i], err = ask(ctx, parts[i])
		return err
	})
	return slices.Concat(found...), len(parts), err
}

// complete fails when a Describe call left out what it was asked for without
// saying that it does not exist: a cut answer is not an absence.
func complete(what string, asked, got int, failures []types.Failure) error {
	for _, f := range failures {
		if aws.ToString(f.Reason) != "MISSING" {
			return fmt.Errorf("describe %s: %s: %s %s", what, aws.ToString(f.Arn), aws.ToString(f.Reason), aws.ToString(f.Detail))
		}
	}
	if got+len(failures) != asked {
		return fmt.Errorf("describe %s: asked for %d, answered for %d", what, asked, got+len(failures))
	}
	return nil
}
