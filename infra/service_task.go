package infra

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// Container is a container of a task.
type Container struct {
	Name  string // default app
	Image string

	CPU               int // CPU units, 1,024 a vCPU
	Memory            int // MiB: more, and it is killed. This or MemoryReservation is needed
	MemoryReservation int // MiB that placement counts instead of Memory

	Ports        []Port
	Environment  map[string]string // in plain sight; AWS_REGION is added
	Secrets      map[string]awsecs.Secret
	Command      []string
	EntryPoint   []string
	User         string
	ReadOnlyRoot bool
	NonEssential bool // the task lives on without it
	Health       *Health
	DependsOn    []Dependency
	Mounts       []Mount
	StopTimeout  time.Duration // default: the agent's
}

// Port is a port that a container listens on.
type Port struct {
	Container int
	Host      int    // default 0: a free one of the host's dynamic ports
	Protocol  string // tcp, the default, or udp
}

// Health is a command that tells whether a container is well.
type Health struct {
	Command     []string      // as Docker takes it, beginning with CMD or CMD-SHELL
	Interval    time.Duration // default 10 s
	Timeout     time.Duration // default 5 s
	Retries     int           // default 3
	StartPeriod time.Duration // failures in it do not count
}

// Dependency is another container that must have come so far before this one
// starts. Containers stop in the reverse order.
type Dependency struct {
	Container string
	Condition string // START, COMPLETE, SUCCESS or HEALTHY
}

// Volume is a directory that containers mount.
type Volume struct {
	Name string
	Host string // a path on the host; empty: a volume that goes with the task
}

// Mount is where a container sees a volume.
type Mount struct {
	Volume   string
	Path     string
	ReadOnly bool
}

func (c Container) defaulted() Container {
	c.Name = or(c.Name, "app")
	ports := make([]Port, 0, len(c.Ports))
	for _, p := range c.Ports {
		p.Protocol = or(p.Protocol, "tcp")
		ports = append(ports, p)
	}
	c.Ports = ports
	if c.Health != nil {
		h := *c.Health
		h.Interval, h.Timeout, h.Retries = or(h.Interval, 10*time.Second), or(h.Timeout, 5*time.Second), or(h.Retries, 3)
		c.Health = &h
	}
	return c
}

// makeTask makes the task definition with its roles and its log group.
func (s *Service) makeTask() awsecs.CfnTaskDefinition {
	p := s.props
	logs := logGroup(s.Construct, "Logs", logName(p.Cluster.props.Name, p.Name), p.LogDays)
	s.makeRoles()
	containers := []any{}
	for _, c := range p.Containers {
		containers = append(containers, s.container(c, *logs.Ref()))
	}
	if p.held() {
		containers = append(containers, s.hold(*logs.Ref()))
	}
	props := &awsecs.CfnTaskDefinitionProps{
		Family: jsii.String(p.Name), RequiresCompatibilities: stringsOf("EC2"), NetworkMode: jsii.String("bridge"),
		ContainerDefinitions: &containers, ExecutionRoleArn: s.ExecutionRole.RoleArn(), TaskRoleArn: s.TaskRole.RoleArn(),
	}
	if p.OS == Windows { // its only mode beside awsvpc is called default, and is taken where none is given
		props.NetworkMode = nil
	}
	if len(p.Volumes) > 0 {
		props.Volumes = listOf(volumes(p.Volumes)...)
	}
	task := awsecs.NewCfnTaskDefinition(s.Construct, jsii.String("Task"), props)
	accept(task, "ECS2", "The environment holds the Region and what is not secret; secrets come by Secrets.")
	return task
}

// container is a container as CloudFormation has it.
func (s *Service) container(c Container, logs string) *awsecs.CfnTaskDefinition_ContainerDefinitionProperty {
	out := &awsecs.CfnTaskDefinition_ContainerDefinitionProperty{
		Name: jsii.String(c.Name), Image: jsii.String(c.Image), Essential: jsii.Bool(!c.NonEssential),
		Cpu: number(c.CPU), ReadonlyRootFilesystem: jsii.Bool(c.ReadOnlyRoot),
		Memory: some(c.Memory), MemoryReservation: some(c.MemoryReservation), StopTimeout: some(int(c.StopTimeout / time.Second)),
		Environment: listOf(s.environment(c)...), LogConfiguration: s.logging(logs),
	}
	if c.User != "" {
		out.User = jsii.String(c.User)
	}
	if len(c.Command) > 0 {
		out.Command = stringsOf(c.Command...)
	}
	if len(c.EntryPoint) > 0 {
		out.EntryPoint = stringsOf(c.EntryPoint...)
	}
	if c.Health != nil {
		out.HealthCheck = c.Health.property()
	}
	c.connect(out)
	return out
}

// connect adds what a container has a list of.
func (c Container) connect(out *awsecs.CfnTaskDefinition_ContainerDefinitionProperty) {
	ports, dependencies, mounts, secrets := []any{}, []any{}, []any{}, []any{}
	for _, p := range c.Ports {
		ports = append(ports, &awsecs.CfnTaskDefinition_PortMappingProperty{ContainerPort: number(p.Container), HostPort: number(p.Host), Protocol: jsii.String(p.Protocol)})
	}
	for _, d := range c.DependsOn {
		dependencies = append(dependencies, &awsecs.CfnTaskDefinition_ContainerDependencyProperty{ContainerName: jsii.String(d.Container), Condition: jsii.String(d.Condition)})
	}
	for _, m := range c.Mounts {
		mounts = append(mounts, &awsecs.CfnTaskDefinition_MountPointProperty{SourceVolume: jsii.String(m.Volume), ContainerPath: jsii.String(m.Path), ReadOnly: jsii.Bool(m.ReadOnly)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		secrets = append(secrets, &awsecs.CfnTaskDefinition_SecretProperty{Name: jsii.String(name), ValueFrom: c.Secrets[name].Arn()})
	}
	out.PortMappings, out.DependsOn, out.MountPoints, out.Secrets = filled(ports), filled(dependencies), filled(mounts), filled(secrets)
}

// filled is a list, or nothing in place of an empty one.
func filled(all []any) any {
	if len(all) == 0 {
		return nil
	}
	return &all
}

// some is a number, or nothing in place of zero.
func some(n int) *float64 {
	if n == 0 {
		return nil
	}
	return number(n)
}

// environment is a container's, by name. The Region is in it, since the hosts'
// metadata service, where SDKs look otherwise, does not answer containers.
func (s *Service) environment(c Container) []*awsecs.CfnTaskDefinition_KeyValuePairProperty {
	all := map[string]string{"AWS_REGION": *region(s.Construct)}
	maps.Copy(all, c.Environment)
	var out []*awsecs.CfnTaskDefinition_KeyValuePairProperty
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, &awsecs.CfnTaskDefinition_KeyValuePairProperty{Name: jsii.String(name), Value: jsii.String(all[name])})
	}
	return out
}

// logging sends a container's output to the service's log group, and drops some
// rather than have the application wait when CloudWatch Logs does not answer.
func (s *Service) logging(group string) *awsecs.CfnTaskDefinition_LogConfigurationProperty {
	return &awsecs.CfnTaskDefinition_LogConfigurationProperty{LogDriver: jsii.String("awslogs"), Options: map[string]*string{
		"awslogs-group": jsii.String(group), "awslogs-region": region(s.Construct), "awslogs-stream-prefix": jsii.String("task"),
		"mode": jsii.String("non-blocking"), "max-buffer-size": jsii.String("25m"),
	}}
}

func (h *Health) property() *awsecs.CfnTaskDefinition_HealthCheckProperty {
	return &awsecs.CfnTaskDefinition_HealthCheckProperty{
		Command: stringsOf(h.Command...), Interval: secondsOf(h.Interval), Timeout: secondsOf(h.Timeout),
		Retries: number(h.Retries), StartPeriod: some(int(h.StartPeriod / time.Second)),
	}
}

func volumes(all []Volume) []*awsecs.CfnTaskDefinition_VolumeProperty {
	var out []*awsecs.CfnTaskDefinition_VolumeProperty
	for _, v := range all {
		host := &awsecs.CfnTaskDefinition_HostVolumePropertiesProperty{}
		if v.Host != "" {
			host.SourcePath = jsii.String(v.Host)
		}
		out = append(out, &awsecs.CfnTaskDefinition_VolumeProperty{Name: jsii.String(v.Name), Host: host})
	}
	return out
}

// makeRoles makes the containers' role, which may do nothing yet, and the
// agent's: the managed policy AmazonECSTaskExecutionRolePolicy, for this service's
// images and logs only.
func (s *Service) makeRoles() {
	p := s.props
	of := func(id, what string) awsiam.Role {
		return awsiam.NewRole(s.Construct, jsii.String(id), &awsiam.RoleProps{
			Description: jsii.String(what + " of the ECS service " + p.Name + " in " + p.Cluster.props.Name),
			AssumedBy: awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), &awsiam.ServicePrincipalOpts{
				Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Stack_Of(s.Construct).Account()}},
			}),
		})
	}
	s.TaskRole, s.ExecutionRole = of("TaskRole", "Containers"), of("ExecutionRole", "Images, secrets and logs")
	group := logName(p.Cluster.props.Name, p.Name)
	statements := []awsiam.PolicyStatement{allowing([]*string{logARN(s.Construct, group)}, "logs:CreateLogStream", "logs:PutLogEvents")}
	if repositories := s.repositories(); len(repositories) > 0 {
		statements = append(statements,
			allowing(repositories, "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
			allowing(*stringsOf("*"), "ecr:GetAuthorizationToken"))
	}
	s.rights = allow(s.Construct, "ExecutionRights", s.ExecutionRole, statements...)
	accept(s.rights, "IAM5", "The streams of this one log group; ecr:GetAuthorizationToken knows no resources.")
	for _, c := range p.Containers {
		for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
			c.Secrets[name].GrantRead(s.ExecutionRole)
		}
	}
}

// repositories are the ARNs of the ECR repositories that the service's images
// are in: the cluster's own, and those that images name by their address.
func (s *Service) repositories() []*string {
	seen := map[string]bool{}
	out := []*string{}
	add := func(arn *string) {
		if !seen[*arn] {
			out = append(out, arn)
		}
		seen[*arn] = true
	}
	for _, c := range s.props.Containers {
		own := s.props.Cluster.repository
		if own != nil && strings.HasPrefix(c.Image, *own.AttrRepositoryUri()) {
			add(own.AttrArn())
		}
		if at := private().FindStringSubmatch(c.Image); at != nil {
			add(awscdk.Stack_Of(s.Construct).FormatArn(&awscdk.ArnComponents{
				Service: jsii.String("ecr"), Account: jsii.String(at[1]), Region: jsii.String(at[2]), Resource: jsii.String("repository"), ResourceName: jsii.String(at[3]),
			}))
		}
	}
	return out
}

// private matches an image in ECR: account, Region and repository.
func private() *regexp.Regexp {
	return regexp.MustCompile(`^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)`)
}
