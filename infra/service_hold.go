package infra

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"
)

// Hold is a small container that keeps a leaving task open. ECS tells a task to
// stop before its target groups send no more requests there. The hold container
// is told first, since containers stop in the reverse order of DependsOn: it
// sleeps for 15 seconds, in which every load balancer hears of it, and for the
// longest deregistration delay, in which open requests end, or for as long as DNS
// may go on naming the task. Only then is the application told.
//
// It costs 6 MiB of memory a task. A service whose application serves on after
// SIGTERM by itself sets None.
type Hold struct {
	None  bool   // the application holds itself open
	Image string // with a shell; default busybox from the public ECR gallery

	// Delay is the longest deregistration delay of the target groups that Scaling's
	// Endpoints name, up to an hour; default 300 s, as Elastic Load Balancing has it.
	Delay time.Duration
}

// The hold container.
const (
	holdName    = "hold"
	holdImage   = "public.ecr.aws/docker/library/busybox:1.36.1"
	holdMargin  = 15 * time.Second
	elbDelay    = 300 * time.Second // of a target group that nobody asked otherwise
	holdMinimum = 6                 // MiB: the least that Docker takes (api:ecs/ContainerDefinition memoryReservation)
)

func (h Hold) defaulted(foreignGroups bool) Hold {
	h.Image = or(h.Image, holdImage)
	if foreignGroups {
		h.Delay = or(h.Delay, elbDelay)
	}
	return h
}

// held says whether a task of the service gets a hold container.
func (p ServiceProps) held() bool {
	return !p.Hold.None && len(p.Targets)+len(p.Scaling.Endpoints) > 0
}

// holds is how long the hold container sleeps.
func (p ServiceProps) holds() time.Duration {
	longest := p.Hold.Delay
	for _, r := range p.Registries {
		longest = max(longest, r.TTL)
	}
	for _, t := range p.Targets {
		longest = max(longest, *t.DeregistrationDelay)
	}
	return holdMargin + longest
}

// holdScript waits for SIGTERM and then sleeps so many seconds. A shell that is
// the first process of a container gets no default handling of signals, hence
// the trap; it runs traps only between commands, hence wait instead of sleep.
func holdScript(sleep int) string {
	return fmt.Sprintf("trap 'sleep %d; exit 0' TERM; while :; do sleep 3600 & wait $!; done", sleep)
}

// hold is the hold container. It may be late by as much as its own margin before
// it is killed; the task does not end with it, should it ever fail.
func (s *Service) hold(logs string) *awsecs.CfnTaskDefinition_ContainerDefinitionProperty {
	sleep := s.props.holds()
	var after []*awsecs.CfnTaskDefinition_ContainerDependencyProperty
	for _, c := range s.props.Containers {
		after = append(after, &awsecs.CfnTaskDefinition_ContainerDependencyProperty{ContainerName: jsii.String(c.Name), Condition: jsii.String("START")})
	}
	return &awsecs.CfnTaskDefinition_ContainerDefinitionProperty{
		Name: jsii.String(holdName), Image: jsii.String(s.props.Hold.Image), Essential: jsii.Bool(false),
		Command:   stringsOf("sh", "-c", holdScript(int(sleep/time.Second))),
		DependsOn: listOf(after...), StopTimeout: secondsOf(sleep + holdMargin),
		Cpu: number(0), Memory: number(4 * holdMinimum), MemoryReservation: number(holdMinimum),
		User: jsii.String("65534:65534"), ReadonlyRootFilesystem: jsii.Bool(true), LogConfiguration: s.logging(logs),
	}
}
