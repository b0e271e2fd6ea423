package clusterside

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// service maps ECS's words to ours. A bound that ECS does not tell is its
// default for REPLICA services, 100 and 200 (API reference, DeploymentConfiguration).
func service(s types.Service) cluster.Service {
	out := cluster.Service{
		ARN: aws.ToString(s.ServiceArn), Name: aws.ToString(s.ServiceName), Controller: string(types.DeploymentControllerTypeEcs),
		Scheduling: string(s.SchedulingStrategy), Desired: int(s.DesiredCount), Running: int(s.RunningCount), Pending: int(s.PendingCount),
		Revision: aws.ToString(s.TaskDefinition), MinimumHealthyPercent: 100, MaximumPercent: 200, CreatedAt: aws.ToTime(s.CreatedAt),
	}
	if s.DeploymentController != nil {
		out.Controller = string(s.DeploymentController.Type)
	}
	if d := s.DeploymentConfiguration; d != nil {
		out.MinimumHealthyPercent = int(deref(d.MinimumHealthyPercent, 100))
		out.MaximumPercent = int(deref(d.MaximumPercent, 200))
	}
	for _, p := range s.PlacementStrategy {
		out.Placement.Strategies = append(out.Placement.Strategies, cluster.Strategy{Type: string(p.Type), Field: aws.ToString(p.Field)})
	}
	for _, p := range s.PlacementConstraints {
		out.Placement.Constraints = append(out.Placement.Constraints, cluster.Constraint{Type: string(p.Type), Expression: aws.ToString(p.Expression)})
	}
	for _, d := range s.Deployments {
		out.Deployments = append(out.Deployments, cluster.Deployment{
			ID: aws.ToString(d.Id), Status: aws.ToString(d.Status), Revision: aws.ToString(d.TaskDefinition), Desired: int(d.DesiredCount),
			Running: int(d.RunningCount), Pending: int(d.PendingCount), Failed: int(d.FailedTasks), Rollout: string(d.RolloutState),
		})
	}
	return out
}

func deref[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func host(h types.ContainerInstance) cluster.Host {
	out := cluster.Host{
		ARN: aws.ToString(h.ContainerInstanceArn), ID: aws.ToString(h.Ec2InstanceId), Status: cluster.HostStatus(aws.ToString(h.Status)),
		AgentConnected: h.AgentConnected, Running: int(h.RunningTasksCount), Pending: int(h.PendingTasksCount), RegisteredAt: aws.ToTime(h.RegisteredAt),
		Attributes: map[string]string{},
	}
	for _, a := range h.Attributes {
		out.Attributes[aws.ToString(a.Name)] = aws.ToString(a.Value)
	}
	out.Zone, out.Type = out.Attributes["ecs.availability-zone"], out.Attributes["ecs.instance-type"]
	out.Registered, _ = resources(h.RegisteredResources)
	out.Remaining, out.TakenPorts = resources(h.RemainingResources)
	return out
}

// resources reads amounts and taken ports. In both lists PORTS are the ports
// that are taken (API reference, ContainerInstance).
func resources(list []types.Resource) (cluster.Resources, []cluster.Port) {
	var r cluster.Resources
	var ports []cluster.Port
	for _, x := range list {
		switch aws.ToString(x.Name) {
		case "CPU":
			r.CPU = int(x.IntegerValue)
		case "MEMORY":
			r.Memory = int(x.IntegerValue)
		case "PORTS":
			ports = append(ports, numbers(x.StringSetValue, "tcp")...)
		case "PORTS_UDP":
			ports = append(ports, numbers(x.StringSetValue, "udp")...)
		}
	}
	return r, ports
}

func numbers(list []string, protocol string) []cluster.Port {
	var ports []cluster.Port
	for _, s := range list {
		if n, err := strconv.Atoi(s); err == nil { // ECS lists numbers only
			ports = append(ports, cluster.Port{Number: n, Protocol: protocol})
		}
	}
	return ports
}

// Task maps ECS's words of a task to ours: all but what only register reads.
func Task(t types.Task) cluster.Task {
	out := cluster.Task{
		ARN: aws.ToString(t.TaskArn), Revision: aws.ToString(t.TaskDefinitionArn), Host: aws.ToString(t.ContainerInstanceArn), Zone: aws.ToString(t.AvailabilityZone),
		Last: aws.ToString(t.LastStatus), Wanted: aws.ToString(t.DesiredStatus), Health: string(t.HealthStatus), StartedBy: aws.ToString(t.StartedBy),
		CreatedAt: aws.ToTime(t.CreatedAt), StartedAt: aws.ToTime(t.StartedAt),
	}
	if name, ok := strings.CutPrefix(aws.ToString(t.Group), "service:"); ok {
		out.Service = name
	}
	return out
}

// revision maps a task definition. What the task itself does not say of CPU and
// memory is the sum of its containers; a container reserves its memory, or where
// it names none its memoryReservation (API reference, ContainerDefinition).
func revision(d *types.TaskDefinition) (cluster.Revision, error) {
	if d == nil {
		return cluster.Revision{}, fmt.Errorf("describe task definition: the answer holds none")
	}
	r := cluster.Revision{ARN: aws.ToString(d.TaskDefinitionArn), Family: aws.ToString(d.Family), Number: int(d.Revision)}
	for _, c := range d.ContainerDefinitions {
		r.Needs.CPU += int(c.Cpu)
		r.Needs.Memory += int(deref(c.MemoryReservation, deref(c.Memory, 0)))
		r.Checked = r.Checked || c.HealthCheck != nil && deref(c.Essential, true)
		for _, p := range c.PortMappings {
			if n := deref(p.HostPort, 0); n != 0 {
				r.Ports = append(r.Ports, cluster.Port{Number: int(n), Protocol: cmpOr(string(p.Protocol), "tcp")})
			}
		}
	}
	if err := whole(d.Cpu, &r.Needs.CPU); err != nil {
		return r, fmt.Errorf("cpu of %s: %w", r.ARN, err)
	}
	if err := whole(d.Memory, &r.Needs.Memory); err != nil {
		return r, fmt.Errorf("memory of %s: %w", r.ARN, err)
	}
	for _, a := range d.RequiresAttributes {
		r.Attributes = append(r.Attributes, aws.ToString(a.Name))
	}
	for _, p := range d.PlacementConstraints {
		r.Constraints = append(r.Constraints, cluster.Constraint{Type: string(p.Type), Expression: aws.ToString(p.Expression)})
	}
	slices.SortFunc(r.Ports, func(a, b cluster.Port) int { return a.Number - b.Number })
	return r, nil
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// whole reads a task's own amount, where it names one.
func whole(s *string, into *int) error {
	if aws.ToString(s) == "" {
		return nil
	}
	n, err := strconv.Atoi(*s)
	if err == nil {
		*into = n
	}
	return err
}
