package simcloud

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsDefinition is one revision of a task definition. It never changes.
type ecsDefinition struct {
	family       string
	revision     int
	arn          string
	cpu, memory  int // reserved on the host: CPU units, MiB
	cpuText      *string
	memoryText   *string
	taskRole     *string
	networkMode  types.NetworkMode
	containers   []ecsContainer
	stopOrder    []int // of the containers: what depends on one comes before it
	requires     []ecsAttribute
	constraints  []ecsConstraint
	registeredAt time.Time
}

type ecsContainer struct {
	name, image string
	cpu         int
	memory      *int32
	reservation *int32
	essential   bool
	logDriver   types.LogDriver
	ports       []ecsMapping
	check       *types.HealthCheck
	stopTimeout *int32 // seconds; nil: the agent's own
	command     []string
	entryPoint  []string
	dependsOn   []ecsDependency
	environment []types.KeyValuePair // kept and told, as ECS does; no task here reads it
}

// ecsDependency says that a container starts after another one has come to a
// condition, and so is stopped before it.
type ecsDependency struct {
	on        int // index in the definition
	condition types.ContainerCondition
}

// agentStopTimeout is what a container has from SIGTERM to SIGKILL unless its
// definition says otherwise: ECS_CONTAINER_STOP_TIMEOUT's default.
const agentStopTimeout = 30 * time.Second

// stopLimit is the time from SIGTERM to SIGKILL.
func (c ecsContainer) stopLimit() time.Duration {
	if c.stopTimeout == nil {
		return agentStopTimeout
	}
	return time.Duration(*c.stopTimeout) * time.Second
}

// ecsMapping is a port mapping; host 0 asks for a dynamic port.
type ecsMapping struct {
	container, host int
	protocol        types.TransportProtocol
}

type ecsAttribute struct{ name, value string }

func (d *ecsDefinition) name() string { return d.family + ":" + strconv.Itoa(d.revision) }

// static lists the host ports that a task of the definition takes for itself.
func (d *ecsDefinition) static() []ecsPort {
	var all []ecsPort
	for _, c := range d.containers {
		for _, p := range c.ports {
			if p.host != 0 {
				all = append(all, ecsPort{p.host, p.protocol})
			}
		}
	}
	return all
}

// healthyAfter is the time from RUNNING to healthy of a task that is well:
// one check's interval with a container health check, else ECS's 40 s.
func (d *ecsDefinition) healthyAfter(usual time.Duration) (after time.Duration, checked bool) {
	for _, c := range d.containers {
		if c.check != nil {
			interval := 30 * time.Second
			if c.check.Interval != nil {
				interval = time.Duration(*c.check.Interval) * time.Second
			}
			return interval, true
		}
	}
	return usual, false
}

// definition finds a task definition by family (its newest revision),
// family:revision or ARN.
func (f *fleet) definition(ref *string) (*ecsDefinition, error) {
	family, revision, exact := strings.Cut(tail(aws.ToString(ref)), ":")
	all := f.definitions[family]
	n, err := len(all), error(nil)
	if exact {
		n, err = strconv.Atoi(revision)
	}
	if err != nil || n < 1 || n > len(all) {
		return nil, clientError("Unable to describe task definition %s.", aws.ToString(ref))
	}
	return all[n-1], nil
}

// RegisterTaskDefinition registers a new revision. The network modes bridge,
// host and none are simulated; attributes that the task requires follow from log
// drivers, the task role and the CPU architecture.
func (e *ECS) RegisterTaskDefinition(ctx context.Context, in *ecs.RegisterTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error) {
	op := operation{service: "ecs", action: "RegisterTaskDefinition", bucket: "ecs task definition modify", latency: 60 * time.Millisecond, changes: true}
	return call(ctx, e.c, op, in, func() (*ecs.RegisterTaskDefinitionOutput, error) {
		d, err := newDefinition(in)
		if err != nil {
			return nil, err
		}
		f := e.c.fleet
		d.revision, d.registeredAt = len(f.definitions[d.family])+1, f.now
		d.arn = f.arn("ecs", "task-definition/"+d.name())
		f.definitions[d.family] = append(f.definitions[d.family], d)
		return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: d.describe()}, nil
	})
}

// DescribeTaskDefinition describes a revision.
func (e *ECS) DescribeTaskDefinition(ctx context.Context, in *ecs.DescribeTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	op := operation{service: "ecs", action: "DescribeTaskDefinition", bucket: "ecs task definition read", latency: 25 * time.Millisecond}
	return call(ctx, e.c, op, in, func() (*ecs.DescribeTaskDefinitionOutput, error) {
		if err := onlyMembers(in, "TaskDefinition"); err != nil {
			return nil, err
		}
		d, err := e.c.fleet.definition(in.TaskDefinition)
		if err != nil {
			return nil, err
		}
		return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: d.describe()}, nil
	})
}

func newDefinition(in *ecs.RegisterTaskDefinitionInput) (*ecsDefinition, error) {
	if err := onlyMembers(in, "Family", "ContainerDefinitions", "Cpu", "Memory", "NetworkMode", "PlacementConstraints", "RequiresCompatibilities", "RuntimePlatform", "TaskRoleArn"); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(in.RequiresCompatibilities, func(c types.Compatibility) bool { return c != types.CompatibilityEc2 }) {
		return nil, notSimulated("launch types other than EC2")
	}
	if in.NetworkMode == types.NetworkModeAwsvpc {
		return nil, notSimulated("network mode awsvpc")
	}
	if aws.ToString(in.Family) == "" || len(in.ContainerDefinitions) == 0 {
		return nil, clientError("Family and container definitions must be given.")
	}
	d := &ecsDefinition{family: *in.Family, networkMode: in.NetworkMode, taskRole: copied(in.TaskRoleArn), cpuText: copied(in.Cpu), memoryText: copied(in.Memory)}
	if err := d.addAll(in.ContainerDefinitions); err != nil {
		return nil, err
	}
	d.requireFrom(in)
	if err := d.reserve(in.Cpu, in.Memory); err != nil {
		return nil, err
	}
	for _, p := range in.PlacementConstraints {
		constraint, err := newConstraint(string(p.Type), p.Expression)
		if err != nil {
			return nil, err
		}
		d.constraints = append(d.constraints, constraint)
	}
	return d, nil
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// addAll takes the containers into the definition.
func (d *ecsDefinition) addAll(in []types.ContainerDefinition) error {
	for _, c := range in {
		if err := d.add(c); err != nil {
			return err
		}
	}
	return d.order(in)
}

// add takes a container into the definition.
func (d *ecsDefinition) add(in types.ContainerDefinition) error {
	if err := onlyMembers(in, "Name", "Image", "Cpu", "Memory", "MemoryReservation", "Essential", "PortMappings", "HealthCheck", "StopTimeout", "LogConfiguration", "Environment", "DependsOn", "Command", "EntryPoint"); err != nil {
		return err
	}
	c := ecsContainer{
		name: aws.ToString(in.Name), image: aws.ToString(in.Image), cpu: int(in.Cpu),
		memory: copied(in.Memory), reservation: copied(in.MemoryReservation), essential: in.Essential == nil || *in.Essential,
		check: copied(in.HealthCheck), stopTimeout: copied(in.StopTimeout), command: slices.Clone(in.Command), entryPoint: slices.Clone(in.EntryPoint),
		environment: pairs(in.Environment),
	}
	if c.check != nil {
		c.check.Command = slices.Clone(c.check.Command)
	}
	if in.StopTimeout != nil && *in.StopTimeout < 0 {
		return clientError("Invalid setting for container '%s'. 'stopTimeout' is %d, not 0 or more seconds.", c.name, *in.StopTimeout)
	}
	if in.LogConfiguration != nil {
		c.logDriver = in.LogConfiguration.LogDriver
	}
	for _, p := range in.PortMappings {
		mapping, err := d.mapping(p)
		if err != nil {
			return err
		}
		c.ports = append(c.ports, mapping)
	}
	d.containers = append(d.containers, c)
	return nil
}

// pairs copies an environment.
func pairs(in []types.KeyValuePair) []types.KeyValuePair {
	var all []types.KeyValuePair
	for _, p := range in {
		all = append(all, types.KeyValuePair{Name: copied(p.Name), Value: copied(p.Value)})
	}
	return all
}

func (d *ecsDefinition) mapping(p types.PortMapping) (ecsMapping, error) {
	if err := onlyMembers(p, "ContainerPort", "HostPort", "Protocol", "Name"); err != nil {
		return ecsMapping{}, err
	}
	m := ecsMapping{container: int(aws.ToInt32(p.ContainerPort)), host: int(aws.ToInt32(p.HostPort)), protocol: p.Protocol}
	if m.protocol == "" {
		m.protocol = types.TransportProtocolTcp
	}
	if d.networkMode == types.NetworkModeHost {
		m.host = m.container
	}
	return m, nil
}

// reserve adds up what a task takes of a host: the task's size if it has one,
// else what its containers reserve.
func (d *ecsDefinition) reserve(cpu, memory *string) error {
	for _, c := range d.containers {
		d.cpu += c.cpu
		switch {
		case c.reservation != nil:
			d.memory += int(*c.reservation)
		case c.memory != nil:
			d.memory += int(*c.memory)
		case memory == nil:
			return clientError("Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", c.name)
		}
	}
	if err := override(&d.cpu, cpu); err != nil {
		return err
	}
	return override(&d.memory, memory)
}

// override takes the task's own size, if it has one.
func override(n *int, text *string) error {
	if text == nil {
		return nil
	}
	size, err := strconv.Atoi(*text)
	if err != nil || size < 0 {
		return clientError("Invalid task size '%s'.", *text)
	}
	*n = size
	return nil
}

func (d *ecsDefinition) requireFrom(in *ecs.RegisterTaskDefinitionInput) {
	for _, c := range d.containers {
		if c.logDriver != "" {
			d.requires = append(d.requires, ecsAttribute{name: "com.amazonaws.ecs.capability.logging-driver." + string(c.logDriver)})
		}
	}
	if in.TaskRoleArn != nil {
		d.requires = append(d.requires, ecsAttribute{name: "com.amazonaws.ecs.capability.task-iam-role"})
	}
	if in.RuntimePlatform != nil && in.RuntimePlatform.CpuArchitecture != "" {
		d.requires = append(d.requires, ecsAttribute{"ecs.cpu-architecture", strings.ToLower(string(in.RuntimePlatform.CpuArchitecture))})
	}
}

func (d *ecsDefinition) describe() *types.TaskDefinition {
	out := &types.TaskDefinition{
		Family: aws.String(d.family), Revision: int32(d.revision), TaskDefinitionArn: aws.String(d.arn), Status: types.TaskDefinitionStatusActive,
		Cpu: copied(d.cpuText), Memory: copied(d.memoryText), TaskRoleArn: copied(d.taskRole), NetworkMode: d.networkMode, RegisteredAt: timePtr(d.registeredAt),
		Compatibilities: []types.Compatibility{types.CompatibilityEc2},
	}
	for _, c := range d.containers {
		out.ContainerDefinitions = append(out.ContainerDefinitions, c.describe(d.names()))
	}
	for _, a := range d.requires {
		out.RequiresAttributes = append(out.RequiresAttributes, a.describe())
	}
	for _, p := range d.constraints {
		out.PlacementConstraints = append(out.PlacementConstraints, types.TaskDefinitionPlacementConstraint{Type: types.TaskDefinitionPlacementConstraintTypeMemberOf, Expression: aws.String(p.text)})
	}
	return out
}

// describe gives the container back; names are those of all containers.
func (c ecsContainer) describe(names []string) types.ContainerDefinition {
	out := types.ContainerDefinition{
		Name: aws.String(c.name), Image: aws.String(c.image), Cpu: int32(c.cpu), Memory: copied(c.memory), MemoryReservation: copied(c.reservation),
		Essential: aws.Bool(c.essential), HealthCheck: copied(c.check), StopTimeout: copied(c.stopTimeout),
		Environment: pairs(c.environment), Command: slices.Clone(c.command), EntryPoint: slices.Clone(c.entryPoint),
	}
	for _, k := range c.dependsOn {
		out.DependsOn = append(out.DependsOn, types.ContainerDependency{ContainerName: aws.String(names[k.on]), Condition: k.condition})
	}
	if c.check != nil {
		out.HealthCheck.Command = slices.Clone(c.check.Command)
	}
	if c.logDriver != "" {
		out.LogConfiguration = &types.LogConfiguration{LogDriver: c.logDriver}
	}
	for _, p := range c.ports {
		out.PortMappings = append(out.PortMappings, types.PortMapping{ContainerPort: aws.Int32(int32(p.container)), HostPort: aws.Int32(int32(p.host)), Protocol: p.protocol})
	}
	return out
}

func (a ecsAttribute) describe() types.Attribute {
	out := types.Attribute{Name: aws.String(a.name)}
	if a.value != "" {
		out.Value = aws.String(a.value)
	}
	return out
}
