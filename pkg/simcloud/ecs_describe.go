package simcloud

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// text is a string as the SDK gives it: nil if empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (c *ecsCluster) describe() *types.Cluster {
	out := &types.Cluster{ClusterArn: aws.String(c.arn), ClusterName: aws.String(c.name), Status: aws.String(statusActive), ActiveServicesCount: int32(len(c.services))}
	for _, h := range c.hosts {
		if h.status != statusInactive {
			out.RegisteredContainerInstancesCount++
		}
		out.RunningTasksCount += int32(h.running())
		out.PendingTasksCount += int32(countTasks(h.tasks, statusPending))
	}
	return out
}

func (t *ecsTask) describe() types.Task {
	out := types.Task{
		Attachments: []types.Attachment{}, AvailabilityZone: aws.String(t.host.instance.zone), ClusterArn: aws.String(t.cluster.arn), ContainerInstanceArn: aws.String(t.host.arn),
		Cpu: aws.String(strconv.Itoa(t.definition.cpu)), Memory: aws.String(strconv.Itoa(t.definition.memory)), CreatedAt: timePtr(t.created),
		DesiredStatus: aws.String(t.desired), LastStatus: aws.String(t.last), Group: aws.String(t.group), LaunchType: types.LaunchTypeEc2,
		HealthStatus: t.health(), StartedBy: text(t.startedBy), TaskArn: aws.String(t.arn), TaskDefinitionArn: aws.String(t.definition.arn), Version: t.version,
		PullStartedAt: timePtr(t.pullFrom), PullStoppedAt: timePtr(t.pullTo), StartedAt: timePtr(t.started), StoppingAt: timePtr(t.stopping),
		ExecutionStoppedAt: timePtr(t.ended), StoppedAt: timePtr(t.stopped), StopCode: t.code, StoppedReason: text(t.reason),
		Overrides: &types.TaskOverride{},
	}
	if !t.started.IsZero() {
		out.Connectivity, out.ConnectivityAt = types.ConnectivityConnected, timePtr(t.connection)
	}
	if value, ok := t.host.attribute("ecs.cpu-architecture"); ok {
		out.Attributes = []types.Attribute{{Name: aws.String("ecs.cpu-architecture"), Value: aws.String(value)}}
	}
	for i, c := range t.definition.containers {
		out.Containers = append(out.Containers, t.describeContainer(i))
		out.Overrides.ContainerOverrides = append(out.Overrides.ContainerOverrides, types.ContainerOverride{Name: aws.String(c.name)})
	}
	return out
}

// health is UNKNOWN unless a container health check has passed.
func (t *ecsTask) health() types.HealthStatus {
	if t.healthChecked {
		return types.HealthStatusHealthy
	}
	return types.HealthStatusUnknown
}

func (t *ecsTask) describeContainer(i int) types.Container {
	c := t.definition.containers[i]
	out := types.Container{
		ContainerArn: aws.String(t.containerArn(i)), LastStatus: aws.String(t.containerStatus(i)), Name: aws.String(c.name), Image: aws.String(c.image), TaskArn: aws.String(t.arn),
		ExitCode: t.exitCode(i), NetworkInterfaces: []types.NetworkInterface{}, Cpu: aws.String(strconv.Itoa(c.cpu)), HealthStatus: types.HealthStatusUnknown,
	}
	if c.check != nil {
		out.HealthStatus = t.health()
	}
	if c.memory != nil {
		out.Memory = aws.String(strconv.Itoa(int(*c.memory)))
	}
	if c.reservation != nil {
		out.MemoryReservation = aws.String(strconv.Itoa(int(*c.reservation)))
	}
	for _, b := range t.bindings {
		for _, ip := range t.bindIPs() {
			if b.container == i {
				out.NetworkBindings = append(out.NetworkBindings, types.NetworkBinding{
					BindIP: aws.String(ip), ContainerPort: aws.Int32(int32(b.port)), HostPort: aws.Int32(int32(b.host)), Protocol: b.protocol,
				})
			}
		}
	}
	return out
}

func (h *ecsHost) describe() types.ContainerInstance {
	out := types.ContainerInstance{
		AgentConnected: h.connected, Attachments: []types.Attachment{}, ContainerInstanceArn: aws.String(h.arn), Ec2InstanceId: aws.String(h.instance.id),
		PendingTasksCount: int32(countTasks(h.tasks, statusPending)), RunningTasksCount: int32(h.running()), RegisteredAt: timePtr(h.registeredAt),
		RegisteredResources: resources(h.cpu, h.memory, h.ports(types.TransportProtocolTcp, false), []string{}),
		RemainingResources:  resources(h.freeCPU, h.freeMemory, h.ports(types.TransportProtocolTcp, true), h.ports(types.TransportProtocolUdp, true)),
		Status:              aws.String(h.status), Version: h.version,
		VersionInfo: &types.VersionInfo{AgentHash: aws.String("8dfceca6"), AgentVersion: aws.String("1.99.0"), DockerVersion: aws.String("DockerVersion: 25.0.8")},
	}
	for _, a := range h.attributes {
		out.Attributes = append(out.Attributes, a.describe())
	}
	return out
}

func resources(cpu, memory int, tcp, udp []string) []types.Resource {
	return []types.Resource{
		{Name: aws.String("CPU"), Type: aws.String("INTEGER"), IntegerValue: int32(cpu)},
		{Name: aws.String("MEMORY"), Type: aws.String("INTEGER"), IntegerValue: int32(memory)},
		{Name: aws.String("PORTS"), Type: aws.String("STRINGSET"), StringSetValue: tcp},
		{Name: aws.String("PORTS_UDP"), Type: aws.String("STRINGSET"), StringSetValue: udp},
	}
}

func (s *ecsService) describe() types.Service {
	out := types.Service{
		AvailabilityZoneRebalancing: types.AvailabilityZoneRebalancingDisabled, ClusterArn: aws.String(s.cluster.arn), CreatedAt: timePtr(s.created),
		DeploymentConfiguration: &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(int32(s.minPercent)), MaximumPercent: aws.Int32(int32(s.maxPercent))},
		DeploymentController:    &types.DeploymentController{Type: types.DeploymentControllerTypeEcs}, DesiredCount: int32(s.desired), LaunchType: types.LaunchTypeEc2,
		PendingCount: int32(countTasks(s.tasks, statusPending)), RunningCount: int32(countTasks(s.tasks, statusRunning)),
		SchedulingStrategy: types.SchedulingStrategyReplica, ServiceArn: aws.String(s.arn), ServiceName: aws.String(s.name), Status: aws.String(statusActive),
		TaskDefinition: aws.String(s.deployments[0].definition.arn), LoadBalancers: s.balance.describe(), ServiceRegistries: []types.ServiceRegistry{},
		HealthCheckGracePeriodSeconds: s.balance.describeGrace(),
	}
	for i := range s.deployments {
		out.Deployments = append(out.Deployments, s.describeDeployment(i))
	}
	for _, k := range s.constraints {
		out.PlacementConstraints = append(out.PlacementConstraints, k.describe())
	}
	for _, p := range s.strategies {
		out.PlacementStrategy = append(out.PlacementStrategy, p.describe())
	}
	for i := len(s.messages) - 1; i >= 0; i-- {
		m := s.messages[i]
		out.Events = append(out.Events, types.ServiceEvent{CreatedAt: timePtr(m.at), Id: aws.String(m.id), Message: aws.String(m.text)})
	}
	return out
}

func (s *ecsService) describeDeployment(i int) types.Deployment {
	d := s.deployments[i]
	out := types.Deployment{
		CreatedAt: timePtr(d.created), UpdatedAt: timePtr(d.updated), Id: aws.String(d.id), FailedTasks: int32(d.failed), LaunchType: types.LaunchTypeEc2,
		RolloutState: d.state, Status: aws.String("PRIMARY"), TaskDefinition: aws.String(d.definition.arn), DesiredCount: int32(s.desired),
	}
	wanted := 0
	for _, t := range s.tasks {
		if t.deployment != d {
			continue
		}
		switch t.last {
		case statusPending:
			out.PendingCount++
		case statusRunning:
			out.RunningCount++
		}
		if t.wantedToRun() {
			wanted++
		}
	}
	if i > 0 {
		out.Status, out.DesiredCount = aws.String(statusActive), int32(wanted)
	}
	return out
}
