package infra

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// ServiceProps is an ECS service with its tasks, its way in and its scaling.
// Only Cluster, Name and Containers are needed.
type ServiceProps struct {
	Cluster *Cluster
	Name    string // the ECS service's, and the task family's

	Containers []Container
	Volumes    []Volume

	// Targets are the ways in through the cluster's load balancer.
	Targets []Target

	// RegisteredBy is who registers tasks with the Targets; default RegisteredByECS.
	// To change it takes two deployments: see docs/operations.md.
	RegisteredBy Registrar

	// Registries are the ways in through AWS Cloud Map; plimsoll registers there.
	Registries []Registry

	// Hold keeps a task with Targets, Registries or other endpoints open while
	// requests still come to it.
	Hold Hold

	// Scaling is the service's entry in the policy: how many tasks, on which
	// signals. Its percentages are the ECS service's too; default 100 and 200. Its
	// Endpoints may name target groups that others made, such as those of a Network
	// Load Balancer; those of Targets and Registries are added.
	Scaling policy.Service

	// Controller is the deployment controller: ECS, the default. EXTERNAL is
	// refused until plimsoll carries out rollouts.
	Controller string

	// OS of the hosts it runs on; needed only where the cluster's groups have both
	// Linux and Windows.
	OS OS

	// Constraints are expressions of ECS's cluster query language that a host must
	// satisfy, such as attribute:ecs.cpu-architecture == arm64.
	Constraints []string

	// Grace is how long a new task may be unhealthy in its target groups; default
	// 30 s where ECS registers it in any.
	Grace time.Duration

	// LogDays is how many days the containers' logs are kept; default 30.
	LogDays int

	foreign []policy.Endpoint // of Scaling, before others were added
}

// Service is an ECS service of a Cluster.
type Service struct {
	constructs.Construct

	TaskRole      awsiam.Role // of the containers; grant it what they use
	ExecutionRole awsiam.Role // of the agent, to pull images, read secrets and write logs

	props   ServiceProps
	rights  awsiam.Policy // of ExecutionRole
	targets []madeTarget
}

// NewService makes a service in a cluster and adds it to the cluster's policy.
// Its error says everything that is wrong with the props; then nothing was made.
//
// The service has no desired count: CloudFormation then makes it with one task,
// and no later deployment touches the count that plimsoll set. A deployment
// replaces tasks as ECS does; plimsoll makes room for it.
func NewService(scope constructs.Construct, id string, props ServiceProps) (*Service, error) {
	props = props.defaulted()
	if err := props.check(); err != nil {
		return nil, err
	}
	s := &Service{props: props}
	constructs.NewConstruct_Override(s, scope, jsii.String(id))
	s.makeTargets()
	s.makeRegistries()
	s.make(s.makeTask())
	props.Cluster.services[props.Name] = props.Scaling
	return s, nil
}

// Policy is the service's entry in its cluster's policy.
func (s *Service) Policy() policy.Service { return s.props.Scaling }

func (p ServiceProps) defaulted() ServiceProps {
	p.Controller, p.LogDays = or(p.Controller, "ECS"), or(p.LogDays, 30)
	p.RegisteredBy = or(p.RegisteredBy, RegisteredByECS)
	p.Containers = mapped(p.Containers, Container.defaulted)
	p.Targets = mapped(p.Targets, func(t Target) Target { return t.defaulted(p.Containers) })
	for n, t := range p.Targets {
		p.Targets[n].again = slices.ContainsFunc(p.Targets[:n], func(other Target) bool { return other.id() == t.id() && other.Name != t.Name })
	}
	p.Registries = mapped(p.Registries, func(r Registry) Registry { return r.defaulted(p.Name, p.Containers) })
	if len(p.Targets) > 0 && p.byECS() {
		p.Grace = or(p.Grace, 30*time.Second)
	}
	p = p.withEndpoints()
	p.Hold = p.Hold.defaulted(p.foreignGroups())
	if p.Cluster != nil {
		p.OS = or(p.OS, p.Cluster.os())
	}
	return p
}

// mapped are the results of f, in their order.
func mapped[T any](all []T, f func(T) T) []T {
	out := make([]T, 0, len(all))
	for _, one := range all {
		out = append(out, f(one))
	}
	return out
}

// os is what the cluster's hosts run, as far as tasks can tell: Linux, for which
// AmazonLinux stands, or Windows; empty where there are both.
func (c *Cluster) os() OS {
	windows := 0
	for _, g := range c.props.Groups {
		if g.OS == Windows {
			windows++
		}
	}
	switch windows {
	case 0:
		return AmazonLinux
	case len(c.props.Groups):
		return Windows
	}
	return ""
}

// percents are the service's bounds of healthy and of all tasks, in percent of
// its count.
func (p ServiceProps) percents() (minimum, maximum int) {
	minimum, maximum = 100, 200
	if v := p.Scaling.MinimumHealthyPercent; v != nil {
		minimum = *v
	}
	if v := p.Scaling.MaximumPercent; v != nil {
		maximum = *v
	}
	return minimum, maximum
}

// make makes the ECS service. Tasks are packed by memory, so that hosts become
// empty and can go; ECS is not to move tasks between zones, since plimsoll's plan
// would see tasks come that nobody asked for.
func (s *Service) make(task awsecs.CfnTaskDefinition) {
	p := s.props
	minimum, maximum := p.percents()
	props := &awsecs.CfnServiceProps{
		Cluster: jsii.String(p.Cluster.props.Name), ServiceName: jsii.String(p.Name), TaskDefinition: task.Ref(),
		LaunchType: jsii.String("EC2"), SchedulingStrategy: jsii.String("REPLICA"),
		DeploymentController: &awsecs.CfnService_DeploymentControllerProperty{Type: jsii.String(p.Controller)},
		DeploymentConfiguration: &awsecs.CfnService_DeploymentConfigurationProperty{
			MinimumHealthyPercent: number(minimum), MaximumPercent: number(maximum),
			DeploymentCircuitBreaker: &awsecs.CfnService_DeploymentCircuitBreakerProperty{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)},
		},
		PlacementStrategies:         listOf(&awsecs.CfnService_PlacementStrategyProperty{Type: jsii.String("binpack"), Field: jsii.String("memory")}),
		AvailabilityZoneRebalancing: jsii.String("DISABLED"),
		EnableEcsManagedTags:        jsii.Bool(true), PropagateTags: jsii.String("SERVICE"),
	}
	if expressions := p.expressions(); len(expressions) > 0 {
		props.PlacementConstraints = listOf(expressions...)
	}
	if len(s.targets) > 0 && p.byECS() {
		props.LoadBalancers = listOf(s.loadBalancers()...)
		props.HealthCheckGracePeriodSeconds = secondsOf(p.Grace)
	}
	made := awsecs.NewCfnService(s.Construct, jsii.String("Service"), props)
	for _, t := range s.targets {
		made.AddDependency(t.rule)
	}
	made.Node().AddDependency(s.TaskRole, s.ExecutionRole, s.rights)
	p.Cluster.counted[p.Name] = made
	s.stand(made)
}

// stand has the service come after the cluster and after its roles' rights, and
// go before the hosts do when the stack is deleted.
func (s *Service) stand(made awsecs.CfnService) {
	c := s.props.Cluster
	if c.made != nil {
		made.AddDependency(c.made)
	}
	for _, g := range c.groups {
		made.AddDependency(g.resource)
	}
}

// expressions are the constraints on hosts. Where the cluster has hosts of both
// kinds, the operating system is one of them.
func (p ServiceProps) expressions() []*awsecs.CfnService_PlacementConstraintProperty {
	var all []*awsecs.CfnService_PlacementConstraintProperty
	add := func(expression string) {
		all = append(all, &awsecs.CfnService_PlacementConstraintProperty{Type: jsii.String("memberOf"), Expression: jsii.String(expression)})
	}
	if p.Cluster.os() == "" {
		system := "linux"
		if p.OS == Windows {
			system = "windows"
		}
		add("attribute:ecs.os-type == " + system)
	}
	for _, e := range p.Constraints {
		add(e)
	}
	return all
}

// region is the stack's Region.
func region(scope constructs.Construct) *string { return awscdk.Stack_Of(scope).Region() }

// wholeSeconds writes a duration as a number of seconds.
func wholeSeconds(d time.Duration) string { return fmt.Sprint(int(d / time.Second)) }
