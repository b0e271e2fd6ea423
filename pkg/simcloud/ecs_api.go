package simcloud

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ECS has the methods of the SDK's client that are simulated. Launch type EC2,
// REPLICA services with the ECS deployment controller, network modes bridge,
// host and none; what an input asks for beyond that is an error.
type ECS struct{ c *Cloud }

// ECS is the account's ECS.
func (c *Cloud) ECS() *ECS { return &ECS{c} }

// The operations by token bucket: facts of ECS's request throttling.
func ecsResourceRead(action string) operation {
	return operation{service: "ecs", action: action, bucket: "ecs cluster resource read", latency: 30 * time.Millisecond}
}

func ecsResourceModify(action string) operation {
	return operation{service: "ecs", action: action, bucket: "ecs cluster resource modify", latency: 50 * time.Millisecond, changes: true}
}

// CreateCluster makes a cluster; if there is one of that name, that is it.
func (e *ECS) CreateCluster(ctx context.Context, in *ecs.CreateClusterInput, _ ...func(*ecs.Options)) (*ecs.CreateClusterOutput, error) {
	op := operation{service: "ecs", action: "CreateCluster", bucket: "ecs cluster modify", latency: 60 * time.Millisecond, changes: true}
	return call(ctx, e.c, op, in, func() (*ecs.CreateClusterOutput, error) {
		if err := onlyMembers(in, "ClusterName"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		c, err := f.cluster(in.ClusterName)
		if err != nil {
			name := aws.ToString(in.ClusterName)
			if name == "" {
				name = "default"
			}
			c = &ecsCluster{name: name, arn: f.arn("ecs", "cluster/"+name), hostByID: map[string]*ecsHost{}, taskByID: map[string]*ecsTask{}, runTokens: map[string]runToken{}}
			f.clusters = append(f.clusters, c)
		}
		return &ecs.CreateClusterOutput{Cluster: c.describe()}, nil
	})
}

// ListContainerInstances lists container instances, without a status filter all
// but INACTIVE ones.
func (e *ECS) ListContainerInstances(ctx context.Context, in *ecs.ListContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.ListContainerInstancesOutput, error) {
	return call(ctx, e.c, ecsResourceRead("ListContainerInstances"), in, func() (*ecs.ListContainerInstancesOutput, error) {
		if err := onlyMembers(in, "Cluster", "Status", "MaxResults", "NextToken"); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		var all []string
		for _, h := range c.hosts {
			if h.status == string(in.Status) || in.Status == "" && h.status != statusInactive {
				all = append(all, h.arn)
			}
		}
		slices.Sort(all)
		page, next, err := pageOf(all, in.MaxResults, in.NextToken, 100)
		return &ecs.ListContainerInstancesOutput{ContainerInstanceArns: page, NextToken: next}, err
	})
}

// pageOf cuts a page out of a sorted list. The token is the last item given, so
// that what comes and goes between two calls shifts nothing.
func pageOf(sorted []string, maximum *int32, token *string, usual int) (page []string, next *string, err error) {
	size := usual
	if maximum != nil {
		size = int(*maximum)
	}
	if size < 1 || size > 100 {
		return nil, nil, invalidParameter("MaxResults must be between 1 and 100.")
	}
	from := 0
	if token != nil {
		i, found := slices.BinarySearch(sorted, *token)
		if from = i; found {
			from = i + 1
		}
	}
	to := min(from+size, len(sorted))
	if to < len(sorted) {
		next = aws.String(sorted[to-1])
	}
	return slices.Clone(sorted[from:to]), next, nil
}

// missing is the failure for something that is not there.
func (f *fleet) missing(c *ecsCluster, kind, ref string) types.Failure {
	if !strings.HasPrefix(ref, "arn:") {
		ref = f.arn("ecs", kind+"/"+c.name+"/"+ref)
	}
	return types.Failure{Arn: aws.String(ref), Reason: aws.String("MISSING")}
}

// DescribeContainerInstances describes up to 100 container instances, INACTIVE
// ones for an hour.
func (e *ECS) DescribeContainerInstances(ctx context.Context, in *ecs.DescribeContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error) {
	return call(ctx, e.c, ecsResourceRead("DescribeContainerInstances"), in, func() (*ecs.DescribeContainerInstancesOutput, error) {
		if err := checkHosts(in, in.ContainerInstances, 100); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		out := &ecs.DescribeContainerInstancesOutput{Failures: []types.Failure{}}
		for _, ref := range in.ContainerInstances {
			if h := c.hostByID[tail(ref)]; h != nil {
				out.ContainerInstances = append(out.ContainerInstances, h.describe())
			} else {
				out.Failures = append(out.Failures, e.c.fleet.missing(c, "container-instance", ref))
			}
		}
		return out, nil
	})
}

// checkHosts checks an input that names container instances.
func checkHosts(in any, refs []string, most int) error {
	if err := onlyMembers(in, "Cluster", "ContainerInstances", "Status"); err != nil {
		return err
	}
	if len(refs) == 0 || len(refs) > most {
		return invalidParameter("Container instances: give 1 to %d, not %d.", most, len(refs))
	}
	return nil
}

// UpdateContainerInstancesState makes up to 10 container instances ACTIVE or
// DRAINING.
func (e *ECS) UpdateContainerInstancesState(ctx context.Context, in *ecs.UpdateContainerInstancesStateInput, _ ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error) {
	return call(ctx, e.c, ecsResourceModify("UpdateContainerInstancesState"), in, func() (*ecs.UpdateContainerInstancesStateOutput, error) {
		if err := checkHosts(in, in.ContainerInstances, 10); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.cluster(in.Cluster)
		if err != nil {
			return nil, err
		}
		status := string(in.Status)
		if status != statusActive && status != statusDraining {
			return nil, invalidParameter("Container instances cannot be set to status %q.", status)
		}
		f, out := e.c.fleet, &ecs.UpdateContainerInstancesStateOutput{Failures: []types.Failure{}}
		for _, ref := range in.ContainerInstances {
			h := c.hostByID[tail(ref)]
			switch {
			case h == nil:
				out.Failures = append(out.Failures, f.missing(c, "container-instance", ref))
			case h.status == statusInactive:
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(h.arn), Reason: aws.String(statusInactive)})
			case f.faults.hits(faultPartialFailure):
				out.Failures = append(out.Failures, itemFailure(h.arn))
			default:
				f.setStatus(h, status)
				out.ContainerInstances = append(out.ContainerInstances, h.describe())
			}
		}
		return out, nil
	})
}

// DescribeTasks describes up to 100 tasks, STOPPED ones for an hour.
func (e *ECS) DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	return call(ctx, e.c, ecsResourceRead("DescribeTasks"), in, func() (*ecs.DescribeTasksOutput, error) {
		if err := onlyMembers(in, "Cluster", "Tasks"); err != nil {
			return nil, err
		}
		if len(in.Tasks) == 0 || len(in.Tasks) > 100 {
			return nil, invalidParameter("Tasks: give 1 to 100, not %d.", len(in.Tasks))
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		out := &ecs.DescribeTasksOutput{Failures: []types.Failure{}}
		for _, ref := range in.Tasks {
			if t := c.taskByID[tail(ref)]; t != nil {
				out.Tasks = append(out.Tasks, t.describe())
			} else {
				out.Failures = append(out.Failures, e.c.fleet.missing(c, "task", ref))
			}
		}
		return out, nil
	})
}

// ListTasks lists tasks, those whose desired status is RUNNING unless asked
// otherwise.
func (e *ECS) ListTasks(ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	return call(ctx, e.c, ecsResourceRead("ListTasks"), in, func() (*ecs.ListTasksOutput, error) {
		if err := onlyMembers(in, "Cluster", "ContainerInstance", "DesiredStatus", "Family", "LaunchType", "MaxResults", "NextToken", "ServiceName", "StartedBy"); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		if err := c.checkTaskFilter(in); err != nil {
			return nil, err
		}
		var all []string
		for _, t := range c.tasks {
			if t.matches(in) {
				all = append(all, t.arn)
			}
		}
		slices.Sort(all)
		page, next, err := pageOf(all, in.MaxResults, in.NextToken, 100)
		return &ecs.ListTasksOutput{TaskArns: page, NextToken: next}, err
	})
}

func (c *ecsCluster) checkTaskFilter(in *ecs.ListTasksInput) error {
	switch {
	case in.StartedBy != nil && *in != (ecs.ListTasksInput{Cluster: in.Cluster, StartedBy: in.StartedBy, MaxResults: in.MaxResults, NextToken: in.NextToken}):
		return invalidParameter("startedBy must be the only filter.")
	case in.DesiredStatus == types.DesiredStatusPending:
		return invalidParameter("No task has the desired status PENDING.")
	case in.ServiceName != nil && c.service(*in.ServiceName) == nil:
		return &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
	case in.ContainerInstance != nil && c.hostByID[tail(*in.ContainerInstance)] == nil:
		return invalidParameter("Container instance not found.")
	case in.LaunchType != "" && in.LaunchType != types.LaunchTypeEc2:
		return notSimulated("launch type %s", in.LaunchType)
	}
	return nil
}

// matches says whether the task is one of those that the filter asks for.
func (t *ecsTask) matches(in *ecs.ListTasksInput) bool {
	desired := string(in.DesiredStatus)
	if desired == "" {
		desired = statusRunning
	}
	switch {
	case in.StartedBy != nil:
		return t.startedBy == *in.StartedBy && t.wantedToRun()
	case t.desired != desired:
		return false
	case in.ServiceName != nil && (t.service == nil || t.service.name != tail(*in.ServiceName)):
		return false
	case in.ContainerInstance != nil && t.host.id != tail(*in.ContainerInstance):
		return false
	}
	return in.Family == nil || t.definition.family == *in.Family
}

// StopTask stops a task. A service starts another in its place.
func (e *ECS) StopTask(ctx context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options)) (*ecs.StopTaskOutput, error) {
	return call(ctx, e.c, ecsResourceModify("StopTask"), in, func() (*ecs.StopTaskOutput, error) {
		c, err := e.c.fleet.cluster(in.Cluster)
		if err != nil {
			return nil, err
		}
		t := c.taskByID[tail(aws.ToString(in.Task))]
		if t == nil {
			return nil, invalidParameter("The referenced task was not found.")
		}
		reason := aws.ToString(in.Reason)
		if reason == "" {
			reason = "Task stopped by user"
		}
		e.c.fleet.stopTask(t, types.TaskStopCodeUserInitiated, reason)
		out := t.describe()
		return &ecs.StopTaskOutput{Task: &out}, nil
	})
}

// runToken remembers what a RunTask with a client token did.
type runToken struct {
	input string
	tasks []*ecsTask
}

// RunTask starts up to 10 standalone tasks. What finds no place is a failure at
// once; nothing waits for room.
func (e *ECS) RunTask(ctx context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	return call(ctx, e.c, ecsResourceModify("RunTask"), in, func() (*ecs.RunTaskOutput, error) {
		r, c, err := e.runRequest(in)
		if err != nil {
			return nil, err
		}
		count := 1
		if in.Count != nil {
			count = int(*in.Count)
		}
		if count < 1 || count > 10 {
			return nil, invalidParameter("Count must be between 1 and 10.")
		}
		token, input := aws.ToString(in.ClientToken), runInput(in)
		done, again := c.runTokens[token]
		if again && token != "" && done.input != input {
			return nil, &types.ConflictException{Message: aws.String("The client token was used with other parameters.")}
		}
		out := &ecs.RunTaskOutput{Failures: []types.Failure{}}
		if !again {
			done = runToken{input: input}
			done.tasks, out.Failures = e.c.fleet.runTasks(c, r, count, aws.ToString(in.StartedBy))
		}
		if token != "" {
			c.runTokens[token] = done
		}
		for _, t := range done.tasks {
			out.Tasks = append(out.Tasks, t.describe())
		}
		return out, nil
	})
}

// runInput identifies what a RunTask asks for, but for its token.
func runInput(in *ecs.RunTaskInput) string {
	parts := []string{aws.ToString(in.TaskDefinition), strconv.Itoa(int(aws.ToInt32(in.Count))), aws.ToString(in.Group), aws.ToString(in.StartedBy)}
	for _, k := range in.PlacementConstraints {
		parts = append(parts, string(k.Type), aws.ToString(k.Expression))
	}
	for _, s := range in.PlacementStrategy {
		parts = append(parts, string(s.Type), aws.ToString(s.Field))
	}
	return fmt.Sprintf("%q", parts)
}

func (e *ECS) runRequest(in *ecs.RunTaskInput) (ecsRequest, *ecsCluster, error) {
	var r ecsRequest
	if err := onlyMembers(in, "TaskDefinition", "ClientToken", "Cluster", "Count", "Group", "LaunchType", "PlacementConstraints", "PlacementStrategy", "StartedBy"); err != nil {
		return r, nil, err
	}
	if in.LaunchType != "" && in.LaunchType != types.LaunchTypeEc2 {
		return r, nil, notSimulated("launch type %s", in.LaunchType)
	}
	c, err := e.c.fleet.cluster(in.Cluster)
	if err != nil {
		return r, nil, err
	}
	if r.definition, err = e.c.fleet.definition(in.TaskDefinition); err != nil {
		return r, nil, err
	}
	if r.constraints, err = newConstraints(in.PlacementConstraints); err != nil {
		return r, nil, err
	}
	r.strategies, err = newStrategies(in.PlacementStrategy)
	if r.group = aws.ToString(in.Group); r.group == "" {
		r.group = "family:" + r.definition.family
	}
	return r, c, err
}

func (f *fleet) runTasks(c *ecsCluster, r ecsRequest, count int, startedBy string) ([]*ecsTask, []types.Failure) {
	var tasks []*ecsTask
	failures := []types.Failure{}
	for range count {
		h, refusal := f.place(c, r)
		if h != nil {
			tasks = append(tasks, f.startTask(h, r, nil, startedBy))
			continue
		}
		failure := types.Failure{Reason: aws.String(refusal.reason)}
		if refusal.host != nil {
			failure.Arn = aws.String(refusal.host.arn)
		}
		failures = append(failures, failure)
	}
	return tasks, failures
}
