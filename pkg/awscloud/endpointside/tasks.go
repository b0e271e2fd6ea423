package endpointside

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// tasks reads the tasks of the scope that are not STOPPED, with their ports and
// hosts.
func (c *Cloud) tasks(ctx context.Context, scope cluster.EndpointScope) ([]cluster.Task, error) {
	var arns []string
	for _, filter := range filters(scope) {
		some, _, err := c.reader(scope.Cluster).ListTasks(ctx, filter)
		var gone *types.ServiceNotFoundException
		if errors.As(err, &gone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		arns = append(arns, some...)
	}
	found, _, err := c.reader(scope.Cluster).Tasks(ctx, arns)
	if err != nil {
		return nil, err
	}
	var all []cluster.Task
	for _, t := range found {
		if mapped := task(t); !over(t) && concerns(scope, mapped) {
			all = append(all, mapped)
		}
	}
	return all, c.place(ctx, scope.Cluster, all)
}

// filters are the lists of which a scope's tasks are all. ECS lists those told to
// stop only where it is asked for them. startedBy "must be the only filter" (API
// reference, ListTasks), so those that somebody started are found among all of
// the cluster that are told to stop.
func filters(scope cluster.EndpointScope) []ecs.ListTasksInput {
	run, stop := types.DesiredStatusRunning, types.DesiredStatusStopped
	switch {
	case scope.Family != "":
		return []ecs.ListTasksInput{{Family: &scope.Family, DesiredStatus: run}, {Family: &scope.Family, DesiredStatus: stop}}
	case scope.StartedBy != "":
		return []ecs.ListTasksInput{{StartedBy: &scope.StartedBy}, {DesiredStatus: stop}}
	default:
		return []ecs.ListTasksInput{{ServiceName: &scope.Service, DesiredStatus: run}, {ServiceName: &scope.Service, DesiredStatus: stop}}
	}
}

// concerns says whether a listed task is the scope's. A family's list has the
// tasks of services too.
func concerns(scope cluster.EndpointScope, t cluster.Task) bool {
	switch {
	case scope.Family != "":
		return t.Service == ""
	case scope.StartedBy != "":
		return t.Service == "" && t.StartedBy == scope.StartedBy
	default:
		return true
	}
}

// over says whether a task has ended. DELETED comes after STOPPED (API reference,
// task lifecycle).
func over(t types.Task) bool {
	return slices.Contains([]string{cluster.TaskStopped, "DELETED"}, aws.ToString(t.LastStatus))
}

func task(t types.Task) cluster.Task {
	out := clusterside.Task(t)
	for _, container := range t.Containers {
		out.Bindings = append(out.Bindings, bindings(container)...)
	}
	return out
}

// bindings folds the rows of a container: a port is bound for IPv4 and for IPv6,
// and what was bound for IPv6 alone counts only where IPv4 has nothing. An agent
// that leaves the choice to Docker may get a different port for each; Elastic Load
// Balancing reaches an instance by its IPv4 address.
func bindings(container types.Container) []cluster.Binding {
	var four, six []cluster.Binding
	for _, row := range container.NetworkBindings {
		if strings.Contains(aws.ToString(row.BindIP), ":") {
			six = append(six, spread(aws.ToString(container.Name), row)...)
		} else {
			four = append(four, spread(aws.ToString(container.Name), row)...)
		}
	}
	all := four
	for _, b := range six {
		taken := slices.ContainsFunc(four, func(f cluster.Binding) bool { return f.ContainerPort == b.ContainerPort && f.Protocol == b.Protocol })
		if !taken {
			all = append(all, b)
		}
	}
	slices.SortFunc(all, byPort)
	return slices.Compact(all)
}

func byPort(a, b cluster.Binding) int {
	if d := a.ContainerPort - b.ContainerPort; d != 0 {
		return d
	}
	if d := a.HostPort - b.HostPort; d != 0 {
		return d
	}
	return strings.Compare(a.Protocol, b.Protocol)
}

// spread is a row as ports, one by one: a range of container ports has a range of
// host ports that is as long. What cannot be read is no binding, which a plan tells
// of as a port that the task does not map.
func spread(name string, row types.NetworkBinding) []cluster.Binding {
	protocol := string(row.Protocol)
	if protocol == "" {
		protocol = string(types.TransportProtocolTcp) // the default (API reference, PortMapping)
	}
	if row.ContainerPort != nil && row.HostPort != nil {
		return []cluster.Binding{{Container: name, ContainerPort: int(*row.ContainerPort), HostPort: int(*row.HostPort), Protocol: protocol}}
	}
	inside, many := portRange(aws.ToString(row.ContainerPortRange))
	outside, asMany := portRange(aws.ToString(row.HostPortRange))
	if many != asMany {
		return nil
	}
	var all []cluster.Binding
	for i := range many {
		all = append(all, cluster.Binding{Container: name, ContainerPort: inside + i, HostPort: outside + i, Protocol: protocol})
	}
	return all
}

// portRange reads a first and a last port, as in 8000-8010: the first, and how
// many. None where it cannot be read.
func portRange(s string) (first, many int) {
	from, to, _ := strings.Cut(s, "-")
	first, err := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err != nil || err2 != nil || first < 1 || last < first || last > 65535 {
		return 0, 0
	}
	return first, last - first + 1
}

// place tells each task which instance its host is. A host that ECS does not know
// any more leaves it empty.
func (c *Cloud) place(ctx context.Context, name string, tasks []cluster.Task) error {
	hosts := map[string]bool{}
	for _, t := range tasks {
		hosts[t.Host] = t.Host != ""
	}
	known, err := c.remembered(ctx, hosts, c.instances, func(ctx context.Context, arns []string) (map[string]string, error) {
		found, _, err := c.reader(name).Hosts(ctx, arns)
		ids := map[string]string{}
		for _, h := range found {
			ids[aws.ToString(h.ContainerInstanceArn)] = aws.ToString(h.Ec2InstanceId)
		}
		return ids, err
	})
	for i := range tasks {
		tasks[i].Instance = known[tasks[i].Host]
	}
	return err
}

// located are the addresses of the tasks' hosts, by instance id. That EC2 is away
// must not keep targets of ended tasks where they are, so what it does not answer
// for is absent.
func (c *Cloud) located(ctx context.Context, tasks []cluster.Task) map[string]string {
	ids := map[string]bool{}
	for _, t := range tasks {
		ids[t.Instance] = t.Instance != ""
	}
	known, _ := c.remembered(ctx, ids, c.addresses, c.ports.EC2.DescribeInstances) // the reason of what waits for an address says so
	return known
}

// remembered is what memory has of those that are wanted, also beside an error;
// what it has not is asked for and, where there is an answer, remembered: it never
// changes.
func (c *Cloud) remembered(ctx context.Context, wanted map[string]bool, memory map[string]string, ask func(context.Context, []string) (map[string]string, error)) (map[string]string, error) {
	known, need := map[string]string{}, []string{}
	c.mu.Lock()
	for name, want := range wanted {
		if value, ok := memory[name]; ok {
			known[name] = value
		} else if want {
			need = append(need, name)
		}
	}
	c.mu.Unlock()
	if len(need) == 0 {
		return known, nil
	}
	slices.Sort(need)
	got, err := ask(ctx, need)
	if err != nil {
		return known, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, value := range got {
		if value != "" {
			known[name], memory[name] = value, value
		}
	}
	return known, nil
}
