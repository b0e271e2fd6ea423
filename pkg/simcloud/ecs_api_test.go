package simcloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// listTasks lists by a filter through all pages of a size.
func (b *ecsBench) listTasks(in ecs.ListTasksInput) []string {
	b.t.Helper()
	in.Cluster = aws.String("c")
	var all []string
	for {
		out, err := b.c.ECS().ListTasks(b.ctx, &in)
		b.must(err)
		all = append(all, out.TaskArns...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
	}
}

func TestListTasks(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 3, nil)
	b.define("web", 1, 1, nil)
	b.define("job", 1, 1, nil)
	web := b.create("web", 230, nil)
	run, err := b.c.ECS().RunTask(b.ctx, &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("job"), Count: aws.Int32(7), StartedBy: aws.String("me")})
	b.must(err)
	b.pass(5 * time.Minute)
	job := b.f.clusters[0].taskByID[tail(*run.Tasks[0].TaskArn)]
	b.stop(job)
	tests := []struct {
		name string
		in   ecs.ListTasksInput
		want int
	}{
		{"all that are to run, in three pages", ecs.ListTasksInput{}, 236},
		{"in pages of seven", ecs.ListTasksInput{MaxResults: aws.Int32(7)}, 236},
		{"of a service", ecs.ListTasksInput{ServiceName: aws.String("web")}, 230},
		{"of a service by ARN", ecs.ListTasksInput{ServiceName: aws.String(web.arn)}, 230},
		{"of a family", ecs.ListTasksInput{Family: aws.String("job")}, 6},
		{"started by", ecs.ListTasksInput{StartedBy: aws.String("me")}, 6},
		{"told to stop, although still RUNNING", ecs.ListTasksInput{DesiredStatus: types.DesiredStatusStopped}, 1},
		{"on a host", ecs.ListTasksInput{ContainerInstance: aws.String(b.host(0).id), Family: aws.String("web")}, b.host(0).byGroup["service:web"]},
	}
	for _, tt := range tests {
		got := b.listTasks(tt.in)
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, n, tt.want)
		}
	}
	_, err = b.c.ECS().ListTasks(b.ctx, &ecs.ListTasksInput{Cluster: aws.String("c"), StartedBy: aws.String("me"), Family: aws.String("job")})
	b.want("startedBy with another filter", codeOf(err), "InvalidParameterException")
	_, err = b.c.ECS().ListTasks(b.ctx, &ecs.ListTasksInput{Cluster: aws.String("c"), ServiceName: aws.String("none")})
	b.want("an unknown service", codeOf(err), "ServiceNotFoundException")
}

func TestPagesSurviveWhatComesAndGoes(t *testing.T) {
	page, next, err := pageOf([]string{"a", "c", "e"}, aws.Int32(2), nil, 10)
	if err != nil || strings.Join(page, "") != "ac" || next == nil {
		t.Fatal(page, next, err)
	}
	page, next, err = pageOf([]string{"b", "d", "e"}, aws.Int32(2), next, 10) // a and c left, b and d came
	if err != nil || strings.Join(page, "") != "de" || next != nil {
		t.Error(page, next, err)
	}
}

func TestStoppedTasksAndHostsAreDescribableForAnHour(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 1, 1, nil)
	task, host := b.run("web"), b.host(1)
	b.pass(time.Minute)
	b.stop(task)
	b.must(b.terminate(host.instance.id, true))
	describe := func() string {
		tasks, err := b.c.ECS().DescribeTasks(b.ctx, &ecs.DescribeTasksInput{Cluster: aws.String("c"), Tasks: []string{task.arn, "nothing"}})
		b.must(err)
		hosts, err := b.c.ECS().DescribeContainerInstances(b.ctx, &ecs.DescribeContainerInstancesInput{Cluster: aws.String("c"), ContainerInstances: []string{host.id}})
		b.must(err)
		listed, err := b.c.ECS().ListContainerInstances(b.ctx, &ecs.ListContainerInstancesInput{Cluster: aws.String("c")})
		b.must(err)
		return fmt.Sprint(len(tasks.Tasks), len(tasks.Failures), *tasks.Failures[len(tasks.Failures)-1].Reason, len(hosts.ContainerInstances), len(hosts.Failures), len(listed.ContainerInstanceArns))
	}
	b.pass(50 * time.Minute)
	b.want("within the hour", describe(), "1 1MISSING1 0 1")
	b.pass(20 * time.Minute)
	b.want("after it", describe(), "0 2MISSING0 1 1")
}

func TestWhatIsNotSimulatedIsAnError(t *testing.T) {
	b := newECSBench(t, 1)
	b.define("web", 1, 1, nil)
	c, web, e := aws.String("c"), aws.String("web"), b.c.ECS()
	calls := map[string]func() error{
		"EXTERNAL": func() error {
			_, err := e.CreateService(b.ctx, &ecs.CreateServiceInput{Cluster: c, ServiceName: web, AvailabilityZoneRebalancing: "DISABLED", DeploymentController: &types.DeploymentController{Type: "EXTERNAL"}})
			return err
		},
		"zone rebalancing": func() error {
			_, err := e.CreateService(b.ctx, &ecs.CreateServiceInput{Cluster: c, ServiceName: web, TaskDefinition: web})
			return err
		},
		"DAEMON": func() error {
			_, err := e.CreateService(b.ctx, &ecs.CreateServiceInput{Cluster: c, ServiceName: web, AvailabilityZoneRebalancing: "DISABLED", SchedulingStrategy: "DAEMON"})
			return err
		},
		"circuit breaker": func() error {
			_, err := e.CreateService(b.ctx, &ecs.CreateServiceInput{
				Cluster: c, ServiceName: web, TaskDefinition: web, AvailabilityZoneRebalancing: "DISABLED",
				DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true}},
			})
			return err
		},
		"awsvpc": func() error {
			_, err := e.RegisterTaskDefinition(b.ctx, &ecs.RegisterTaskDefinitionInput{Family: web, NetworkMode: types.NetworkModeAwsvpc})
			return err
		},
		"GPU": func() error {
			_, err := e.RegisterTaskDefinition(b.ctx, &ecs.RegisterTaskDefinitionInput{Family: web, ContainerDefinitions: []types.ContainerDefinition{{ResourceRequirements: []types.ResourceRequirement{{}}}}})
			return err
		},
		"tags": func() error {
			_, err := e.DescribeTasks(b.ctx, &ecs.DescribeTasksInput{Cluster: c, Tasks: []string{"x"}, Include: []types.TaskField{types.TaskFieldTags}})
			return err
		},
		"retry strategy": func() error {
			_, err := b.c.AutoScaling().LaunchInstances(b.ctx, &autoscaling.LaunchInstancesInput{RetryStrategy: "retry-with-group-configuration"})
			return err
		},
	}
	for name, do := range calls {
		if code := codeOf(do()); code != "NotSimulated" {
			t.Errorf("%s: %s", name, code)
		}
	}
}

func TestBatchSizesAreLimited(t *testing.T) {
	b := newECSBench(t, 1)
	c, e := aws.String("c"), b.c.ECS()
	many := slices.Repeat([]string{"x"}, 101)
	_, tasks := e.DescribeTasks(b.ctx, &ecs.DescribeTasksInput{Cluster: c, Tasks: many})
	_, hosts := e.DescribeContainerInstances(b.ctx, &ecs.DescribeContainerInstancesInput{Cluster: c, ContainerInstances: many})
	_, services := e.DescribeServices(b.ctx, &ecs.DescribeServicesInput{Cluster: c, Services: many[:11]})
	_, states := e.UpdateContainerInstancesState(b.ctx, &ecs.UpdateContainerInstancesStateInput{Cluster: c, ContainerInstances: many[:11], Status: "DRAINING"})
	_, run := e.RunTask(b.ctx, &ecs.RunTaskInput{Cluster: c, TaskDefinition: aws.String("web"), Count: aws.Int32(11)})
	b.want("too many", fmt.Sprint(codeOf(tasks), codeOf(hosts), codeOf(services), codeOf(states)), strings.Repeat("InvalidParameterException", 4))
	b.want("an unknown task definition", codeOf(run), "ClientException")
	out, err := e.DescribeServices(b.ctx, &ecs.DescribeServicesInput{Cluster: c, Services: []string{"none"}})
	b.must(err)
	b.want("a missing service", *out.Failures[0].Reason, "MISSING")
	_, err = e.ListServices(b.ctx, &ecs.ListServicesInput{Cluster: aws.String("none")})
	var missing *types.ClusterNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("a missing cluster: %v", err)
	}
}

func TestRunTaskIsIdempotentByToken(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 1, 1, nil)
	in := &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("web"), ClientToken: aws.String("t"), Count: aws.Int32(2)}
	for range 3 {
		out, err := b.c.ECS().RunTask(b.ctx, in)
		b.must(err)
		b.want("answer", len(out.Tasks), 2)
	}
	b.want("tasks", len(b.f.clusters[0].tasks), 2)
	in.Count = aws.Int32(3)
	_, err := b.c.ECS().RunTask(b.ctx, in)
	b.want("the token for something else", codeOf(err), "ConflictException")
}

// TestAnswersAreCopies spoils what calls took and gave, and looks again.
func TestAnswersAreCopies(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	limit := aws.Int32(256)
	b.define("web", 1, 1, func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Memory = limit })
	*limit = 9
	b.create("web", 1, func(in *ecs.CreateServiceInput) {
		in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:x !exists")}
	})
	b.pass(time.Minute)
	look := func() string {
		d, err := b.c.ECS().DescribeTaskDefinition(b.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
		b.must(err)
		s, err := b.c.ECS().DescribeServices(b.ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"web"}})
		b.must(err)
		h, err := b.c.ECS().DescribeContainerInstances(b.ctx, &ecs.DescribeContainerInstancesInput{Cluster: aws.String("c"), ContainerInstances: []string{b.host(0).id}})
		b.must(err)
		v, _ := b.c.World().Service("c", "web")
		got := fmt.Sprint(*d.TaskDefinition.ContainerDefinitions[0].Memory, *s.Services[0].PlacementConstraints[0].Expression, h.ContainerInstances[0].RemainingResources[2].StringSetValue, v.Tasks[0].Last)
		*d.TaskDefinition.ContainerDefinitions[0].Memory = 1
		*s.Services[0].PlacementConstraints[0].Expression = "spoiled"
		h.ContainerInstances[0].RemainingResources[2].StringSetValue[0] = "spoiled"
		v.Tasks[0].Last = "spoiled"
		return got
	}
	first := look()
	b.want("second look", look(), first)
	b.want("first look", first, "256attribute:x !exists[22 2375 2376 51678 51679]RUNNING")
}

func TestCallsInsideInvocationsTakeTimeAndTokens(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	throttled := 0
	b.c.spawn("test", 15*time.Minute, func(ctx context.Context) error {
		return b.c.Gather(300)(ctx, 300, func(ctx context.Context, _ int) error {
			_, err := b.c.ECS().ListTasks(ctx, &ecs.ListTasksInput{Cluster: aws.String("c")})
			if codeOf(err) == "ThrottlingException" {
				throttled++
			}
			return nil
		})
	}, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	b.pass(time.Minute)
	b.want("calls", b.c.Calls()["ecs:ListTasks"], 300)
	if throttled < 180 || throttled > 200 { // 100 at once and 20 a second
		t.Errorf("%d of 300 throttled", throttled)
	}
}
