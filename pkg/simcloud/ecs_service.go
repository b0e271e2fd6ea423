package simcloud

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func ecsServiceRead(action string) operation {
	return operation{service: "ecs", action: action, bucket: "ecs service read", latency: 35 * time.Millisecond}
}

func ecsServiceModify(action string) operation {
	return operation{service: "ecs", action: action, bucket: "ecs service modify", latency: 60 * time.Millisecond, changes: true}
}

func newConstraints(in []types.PlacementConstraint) ([]ecsConstraint, error) {
	var all []ecsConstraint
	for _, k := range in {
		constraint, err := newConstraint(string(k.Type), k.Expression)
		if err != nil {
			return nil, err
		}
		all = append(all, constraint)
	}
	return all, nil
}

// CreateService makes a REPLICA service with the ECS controller and launch type
// EC2. AvailabilityZoneRebalancing has to be DISABLED: AWS's default is
// ENABLED, which is not simulated.
func (e *ECS) CreateService(ctx context.Context, in *ecs.CreateServiceInput, _ ...func(*ecs.Options)) (*ecs.CreateServiceOutput, error) {
	return call(ctx, e.c, ecsServiceModify("CreateService"), in, func() (*ecs.CreateServiceOutput, error) {
		if err := createsSimulated(in); err != nil {
			return nil, err
		}
		f := e.c.fleet
		c, err := f.cluster(in.Cluster)
		if err != nil {
			return nil, err
		}
		name, desired := aws.ToString(in.ServiceName), int(aws.ToInt32(in.DesiredCount))
		if name == "" || desired < 0 {
			return nil, invalidParameter("A service needs a name and a desired count.")
		}
		if c.service(name) != nil {
			return nil, invalidParameter("Creation of service was not idempotent.")
		}
		s := &ecsService{cluster: c, name: name, arn: f.arn("ecs", "service/"+c.name+"/"+name), created: f.now, minPercent: 100, maxPercent: 200}
		d, err := f.definition(in.TaskDefinition)
		if err != nil {
			return nil, err
		}
		change := serviceChange{definition: d, deploy: true, desired: &desired, percents: in.DeploymentConfiguration}
		if change.constraints, err = newConstraints(in.PlacementConstraints); err != nil {
			return nil, err
		}
		if change.strategies, err = newStrategies(in.PlacementStrategy); err != nil {
			return nil, err
		}
		if s.balance, err = f.newBalance(in, d); err != nil {
			return nil, err
		}
		if err := f.apply(s, change); err != nil {
			return nil, err
		}
		c.services = append(c.services, s)
		out := s.describe()
		return &ecs.CreateServiceOutput{Service: &out}, nil
	})
}

func createsSimulated(in *ecs.CreateServiceInput) error {
	if err := onlyMembers(in, "ServiceName", "Cluster", "TaskDefinition", "DesiredCount", "DeploymentConfiguration", "DeploymentController", "LaunchType",
		"PlacementConstraints", "PlacementStrategy", "SchedulingStrategy", "AvailabilityZoneRebalancing", "LoadBalancers", "HealthCheckGracePeriodSeconds"); err != nil {
		return err
	}
	switch {
	case in.DeploymentController != nil && in.DeploymentController.Type != types.DeploymentControllerTypeEcs:
		return notSimulated("the deployment controller %s", in.DeploymentController.Type)
	case in.LaunchType != types.LaunchTypeEc2 && in.LaunchType != "":
		return notSimulated("launch type %s", in.LaunchType)
	case in.SchedulingStrategy != types.SchedulingStrategyReplica && in.SchedulingStrategy != "":
		return notSimulated("the scheduling strategy %s", in.SchedulingStrategy)
	case in.AvailabilityZoneRebalancing != types.AvailabilityZoneRebalancingDisabled:
		return notSimulated("availability zone rebalancing, the default: set DISABLED")
	}
	return nil
}

// serviceChange is what a call makes of a service; nil members stay.
type serviceChange struct {
	definition  *ecsDefinition
	deploy      bool
	desired     *int
	percents    *types.DeploymentConfiguration
	constraints []ecsConstraint
	strategies  []ecsStrategy
}

// apply changes a service and asks for a scheduling pass.
func (f *fleet) apply(s *ecsService, change serviceChange) error {
	if err := s.setPercents(change.percents); err != nil {
		return err
	}
	if change.constraints != nil {
		s.constraints = change.constraints
	}
	if change.strategies != nil {
		s.strategies = change.strategies
	}
	if change.deploy {
		f.deploy(s, change.definition)
	}
	before := s.desired
	if change.desired != nil {
		f.setDesired(s, *change.desired)
	}
	if change.deploy || s.desired != before || f.behaviour.SameValuePass {
		s.retryAnew()
		f.plan(s)
	}
	return nil
}

func (s *ecsService) setPercents(p *types.DeploymentConfiguration) error {
	if p == nil {
		return nil
	}
	if err := onlyMembers(p, "MinimumHealthyPercent", "MaximumPercent"); err != nil {
		return err
	}
	low, high := sizeOr(p.MinimumHealthyPercent, s.minPercent), sizeOr(p.MaximumPercent, s.maxPercent)
	if low < 0 || low > 100 || high < 100 {
		return invalidParameter("Invalid deployment percentages: minimum %d, maximum %d.", low, high)
	}
	s.minPercent, s.maxPercent = low, high
	return nil
}

// UpdateService changes the desired count, the percentages, the placement, or by
// a task definition or by force begins a deployment.
func (e *ECS) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	return call(ctx, e.c, ecsServiceModify("UpdateService"), in, func() (*ecs.UpdateServiceOutput, error) {
		if err := onlyMembers(in, "Service", "Cluster", "DesiredCount", "TaskDefinition", "ForceNewDeployment", "DeploymentConfiguration", "PlacementConstraints", "PlacementStrategy"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		c, err := f.cluster(in.Cluster)
		if err != nil {
			return nil, err
		}
		s := c.service(aws.ToString(in.Service))
		if s == nil {
			return nil, &types.ServiceNotFoundException{Message: aws.String("Service not found.")}
		}
		change, err := f.changeOf(s, in)
		if err != nil {
			return nil, err
		}
		if err := f.apply(s, change); err != nil {
			return nil, err
		}
		out := s.describe()
		return &ecs.UpdateServiceOutput{Service: &out}, nil
	})
}

func (f *fleet) changeOf(s *ecsService, in *ecs.UpdateServiceInput) (change serviceChange, err error) {
	change = serviceChange{definition: s.deployments[0].definition, deploy: in.ForceNewDeployment, percents: in.DeploymentConfiguration}
	if in.DesiredCount != nil {
		n := int(*in.DesiredCount)
		if n < 0 {
			return change, invalidParameter("The desired count cannot be %d.", n)
		}
		change.desired = &n
	}
	if in.TaskDefinition != nil {
		d, err := f.definition(in.TaskDefinition)
		if err != nil {
			return change, err
		}
		change.deploy = change.deploy || d != change.definition
		change.definition = d
	}
	if change.constraints, err = newConstraints(in.PlacementConstraints); err != nil {
		return change, err
	}
	change.strategies, err = newStrategies(in.PlacementStrategy)
	return change, err
}

// DescribeServices describes up to 10 services.
func (e *ECS) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	return call(ctx, e.c, ecsServiceRead("DescribeServices"), in, func() (*ecs.DescribeServicesOutput, error) {
		if err := onlyMembers(in, "Cluster", "Services"); err != nil {
			return nil, err
		}
		if len(in.Services) == 0 || len(in.Services) > 10 {
			return nil, invalidParameter("Services: give 1 to 10, not %d.", len(in.Services))
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		out := &ecs.DescribeServicesOutput{Failures: []types.Failure{}}
		for _, ref := range in.Services {
			if s := c.service(ref); s != nil {
				out.Services = append(out.Services, s.describe())
			} else {
				out.Failures = append(out.Failures, e.c.fleet.missing(c, "service", ref))
			}
		}
		return out, nil
	})
}

// ListServices lists services, 10 a page unless asked otherwise.
func (e *ECS) ListServices(ctx context.Context, in *ecs.ListServicesInput, _ ...func(*ecs.Options)) (*ecs.ListServicesOutput, error) {
	return call(ctx, e.c, ecsServiceRead("ListServices"), in, func() (*ecs.ListServicesOutput, error) {
		if err := onlyMembers(in, "Cluster", "MaxResults", "NextToken"); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		var all []string
		for _, s := range c.services {
			all = append(all, s.arn)
		}
		slices.Sort(all)
		page, next, err := pageOf(all, in.MaxResults, in.NextToken, 10)
		return &ecs.ListServicesOutput{ServiceArns: page, NextToken: next}, err
	})
}
