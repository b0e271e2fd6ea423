package clusterside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// Observe reads all that the scope names, side by side. It fails rather than
// leave something out: only a metric that CloudWatch does not answer for may be
// absent, and a task definition that is gone.
func (c *Cloud) Observe(ctx context.Context, scope cluster.Scope) (cluster.State, error) {
	s, ofHosts, ofTasks := cluster.State{Name: scope.Cluster}, 0, 0
	looks := []func(context.Context) error{
		func(ctx context.Context) (err error) { s.Services, err = c.services(ctx, scope); return },
		func(ctx context.Context) (err error) { s.Hosts, ofHosts, err = c.hosts(ctx, scope.Cluster); return },
		func(ctx context.Context) (err error) { s.Tasks, ofTasks, err = c.tasks(ctx, scope.Cluster); return },
		func(ctx context.Context) (err error) { s.Groups, err = c.groups(ctx, scope.Groups); return },
		func(ctx context.Context) (err error) { s.Metrics, err = c.metrics(ctx, scope.Metrics); return },
	}
	if err := c.edges.Run(ctx, len(looks), func(ctx context.Context, i int) error { return looks[i](ctx) }); err != nil {
		return cluster.State{}, err
	}
	claim(s.Hosts, s.Groups)
	s.Pace = time.Duration(ofHosts+ofTasks) * time.Second / readsPerSecond
	var err error
	s.Revisions, err = c.define(ctx, s.Services)
	return s, err
}

// claim tells each host which group it belongs to.
func claim(hosts []cluster.Host, groups []cluster.HostGroup) {
	owner := map[string]string{}
	for _, g := range groups {
		for _, i := range g.Instances {
			owner[i.ID] = g.Name
		}
	}
	for i := range hosts {
		hosts[i].Group = owner[hosts[i].ID]
	}
}

// reader reads ECS in whole.
func (c *Cloud) reader(name string) Reader {
	return Reader{ECS: c.ecs, Cluster: name, Edges: c.edges}
}

// services reads the services of the policy. One that ECS does not know, or
// knows as inactive, is absent.
func (c *Cloud) services(ctx context.Context, scope cluster.Scope) ([]cluster.Service, error) {
	found, err := c.reader(scope.Cluster).Services(ctx, scope.Services)
	var all []cluster.Service
	for _, s := range found {
		if aws.ToString(s.Status) == "ACTIVE" {
			all = append(all, service(s))
		}
	}
	slices.SortFunc(all, func(a, b cluster.Service) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// hosts reads every container instance of the cluster that is ACTIVE or DRAINING,
// and says in how many reads.
func (c *Cloud) hosts(ctx context.Context, name string) ([]cluster.Host, int, error) {
	var arns []string
	var token *string
	reads := 0
	for {
		reads++
		out, err := Read(ctx, c.edges, c.ecs.ListContainerInstances, &ecs.ListContainerInstancesInput{Cluster: aws.String(name), NextToken: token})
		if err != nil {
			return nil, reads, fmt.Errorf("list container instances of %s: %w", name, err)
		}
		arns = append(arns, out.ContainerInstanceArns...)
		if token = out.NextToken; token == nil {
			break
		}
	}
	found, more, err := c.reader(name).Hosts(ctx, arns)
	var all []cluster.Host
	for _, h := range found {
		if s := aws.ToString(h.Status); s == string(cluster.HostActive) || s == string(cluster.HostDraining) {
			all = append(all, host(h))
		}
	}
	slices.SortFunc(all, func(a, b cluster.Host) int { return cmp.Compare(a.ARN, b.ARN) })
	return all, reads + more, err
}

// tasks reads every task of the cluster that is not STOPPED. ListTasks leaves
// out those told to stop unless asked for them, and answers then with those
// that stopped within the last hour too. It says in how many reads.
func (c *Cloud) tasks(ctx context.Context, name string) ([]cluster.Task, int, error) {
	var arns []string
	reads := 0
	for _, wanted := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		some, n, err := c.reader(name).ListTasks(ctx, ecs.ListTasksInput{DesiredStatus: wanted})
		if reads += n; err != nil {
			return nil, reads, err
		}
		arns = append(arns, some...)
	}
	found, more, err := c.reader(name).Tasks(ctx, arns)
	var all []cluster.Task
	for _, t := range found {
		if aws.ToString(t.LastStatus) != cluster.TaskStopped {
			all = append(all, Task(t))
		}
	}
	return all, reads + more, err
}

// define reads the task definitions that the services and their deployments
// name, those not read before. One that ECS does not have (any more) is absent:
// that service's trouble must not stop the others.
func (c *Cloud) define(ctx context.Context, services []cluster.Service) (map[string]cluster.Revision, error) {
	var need []string
	for _, s := range services {
		need = append(need, s.Revision)
		for _, d := range s.Deployments {
			need = append(need, d.Revision)
		}
	}
	slices.Sort(need)
	need = slices.DeleteFunc(slices.Compact(need), func(arn string) bool { return arn == "" })
	known := map[string]cluster.Revision{}
	c.mu.Lock()
	for _, arn := range need {
		if r, ok := c.revisions[arn]; ok {
			known[arn] = r
		}
	}
	c.mu.Unlock()
	need = slices.DeleteFunc(need, func(arn string) bool { return known[arn].ARN != "" })
	got := make([]cluster.Revision, len(need))
	err := c.edges.Run(ctx, len(need), func(ctx context.Context, i int) error {
		out, err := Read(ctx, c.edges, c.ecs.DescribeTaskDefinition, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(need[i])})
		var gone *types.ClientException
		if errors.As(err, &gone) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("describe task definition %s: %w", need[i], err)
		}
		got[i], err = revision(out.TaskDefinition)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range got {
		if r.ARN != "" {
			c.revisions[r.ARN], known[r.ARN] = r, r
		}
	}
	return known, nil
}
