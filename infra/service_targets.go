package infra

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"
)

// Target is a way into a service: a target group of the cluster's load balancer,
// and the rule of its listener that sends requests there.
type Target struct {
	Container string // default the first container
	Port      int    // that it listens on; default its first port

	// Name is the target group's; needed where plimsoll registers, since the policy
	// names it. CloudFormation replaces a group whose Name changes. NameKept has it
	// left as it is: Name is then what CloudFormation called the group when it was
	// made without one, as one may be that ECS has registered in so far.
	Name     string
	NameKept bool

	// Priority orders the listener's rules, 1 first, up to 50,000; no two services
	// of a listener share one. It is never made up: a rule must not change because
	// another service came or went.
	Priority int

	// Hosts and Paths are what a request must match one of each of, with * and ?;
	// five in all at most.
	Hosts []string
	Paths []string

	Protocol string // to the container: HTTP, the default, or HTTPS

	// DeregistrationDelay is how long requests to a leaving task may take; default
	// 30 s, up to an hour.
	DeregistrationDelay *time.Duration

	Health TargetHealth

	again bool // a target before it has the same port: the group is another one
}

// TargetHealth is how the load balancer tells whether a task is well.
type TargetHealth struct {
	Path      string        // default /
	Codes     string        // HTTP status codes that are well; default 200-399
	Interval  time.Duration // default 10 s, 5 to 300 s
	Timeout   time.Duration // default 5 s, less than Interval
	Healthy   int           // checks in a row to become well again; default 2
	Unhealthy int           // checks in a row to become unwell; default 3
}

// madeTarget is a target with what was made for it.
type madeTarget struct {
	Target
	group elb.CfnTargetGroup
	rule  elb.CfnListenerRule
}

func (t Target) defaulted(containers []Container) Target {
	if len(containers) > 0 {
		t.Container = or(t.Container, containers[0].Name)
	}
	for _, c := range containers {
		if c.Name == t.Container && len(c.Ports) > 0 {
			t.Port = or(t.Port, c.Ports[0].Container)
		}
	}
	t.Protocol = or(t.Protocol, "HTTP")
	delay := 30 * time.Second
	if t.DeregistrationDelay != nil {
		delay = *t.DeregistrationDelay
	}
	t.DeregistrationDelay = &delay
	h := t.Health
	h.Path, h.Codes = or(h.Path, "/"), or(h.Codes, "200-399")
	h.Interval, h.Timeout = or(h.Interval, 10*time.Second), or(h.Timeout, 5*time.Second)
	h.Healthy, h.Unhealthy = or(h.Healthy, 2), or(h.Unhealthy, 3)
	t.Health = h
	return t
}

// id names a target's group in the template, which is another one for another
// port: ELB changes no group's port. Of several groups of one port those after the
// first have their name in it.
func (t Target) id() string {
	if t.again {
		return fmt.Sprintf("%s-%d-%s", t.Container, t.Port, t.Name)
	}
	return fmt.Sprintf("%s-%d", t.Container, t.Port)
}

// ruleID names its rule, which goes by the priority alone: ELB refuses a second
// rule of one priority, and CloudFormation makes the new before it drops the old.
func (t Target) ruleID() string { return fmt.Sprintf("Rule%d", t.Priority) }

// rule is what no two targets may have: clusters may share a listener.
func (t Target) rule(c *Cluster) string {
	return fmt.Sprintf("%s %d", *c.balancer.listener, t.Priority)
}

// makeTargets makes each target's group and rule. Targets are instances with
// dynamic ports; who registers them is RegisteredBy.
func (s *Service) makeTargets() {
	for _, t := range s.props.Targets {
		group := s.targetGroup(t)
		s.targets = append(s.targets, madeTarget{Target: t, group: group, rule: s.rule(t, group)})
		if t.Name != "" {
			notes{s.Construct}.take("targetGroup", t.group(s.props.Cluster), fmt.Sprintf("%q of cluster %q", s.props.Name, s.props.Cluster.props.Name))
		}
		notes{s.Construct}.take("rule", t.rule(s.props.Cluster), fmt.Sprintf("%q of cluster %q", s.props.Name, s.props.Cluster.props.Name))
	}
}

func (s *Service) targetGroup(t Target) elb.CfnTargetGroup {
	h := t.Health
	props := &elb.CfnTargetGroupProps{
		VpcId: s.props.Cluster.network.vpc, TargetType: jsii.String("instance"),
		Protocol: jsii.String(t.Protocol), Port: number(t.Port), // each target brings its own port
		HealthCheckEnabled: jsii.Bool(true), HealthCheckProtocol: jsii.String(t.Protocol), HealthCheckPort: jsii.String("traffic-port"),
		HealthCheckPath: jsii.String(h.Path), Matcher: &elb.CfnTargetGroup_MatcherProperty{HttpCode: jsii.String(h.Codes)},
		HealthCheckIntervalSeconds: secondsOf(h.Interval), HealthCheckTimeoutSeconds: secondsOf(h.Timeout),
		HealthyThresholdCount: number(h.Healthy), UnhealthyThresholdCount: number(h.Unhealthy),
		TargetGroupAttributes: listOf(&elb.CfnTargetGroup_TargetGroupAttributeProperty{
			Key: jsii.String("deregistration_delay.timeout_seconds"), Value: jsii.String(wholeSeconds(*t.DeregistrationDelay)),
		}),
	}
	if t.Name != "" && !t.NameKept {
		props.Name = jsii.String(t.Name)
	}
	return elb.NewCfnTargetGroup(s.Construct, jsii.String("Target"+t.id()), props)
}

// rule makes a listener's rule of nothing but its target: rollouts will move its
// weights, and CloudFormation would set them back whenever it sees a change.
func (s *Service) rule(t Target, group elb.CfnTargetGroup) elb.CfnListenerRule {
	conditions := []any{}
	if len(t.Hosts) > 0 {
		conditions = append(conditions, &elb.CfnListenerRule_RuleConditionProperty{
			Field: jsii.String("host-header"), HostHeaderConfig: &elb.CfnListenerRule_HostHeaderConfigProperty{Values: stringsOf(t.Hosts...)},
		})
	}
	if len(t.Paths) > 0 {
		conditions = append(conditions, &elb.CfnListenerRule_RuleConditionProperty{
			Field: jsii.String("path-pattern"), PathPatternConfig: &elb.CfnListenerRule_PathPatternConfigProperty{Values: stringsOf(t.Paths...)},
		})
	}
	return elb.NewCfnListenerRule(s.Construct, jsii.String(t.ruleID()), &elb.CfnListenerRuleProps{
		ListenerArn: s.props.Cluster.balancer.listener, Priority: number(t.Priority), Conditions: &conditions,
		Actions: listOf(&elb.CfnListenerRule_ActionProperty{Type: jsii.String("forward"), ForwardConfig: &elb.CfnListenerRule_ForwardConfigProperty{
			TargetGroups: listOf(&elb.CfnListenerRule_TargetGroupTupleProperty{TargetGroupArn: group.Ref(), Weight: number(1)}),
		}}),
	})
}

// loadBalancers are the targets as an ECS service has them.
func (s *Service) loadBalancers() []*awsecs.CfnService_LoadBalancerProperty {
	var all []*awsecs.CfnService_LoadBalancerProperty
	for _, t := range s.targets {
		all = append(all, &awsecs.CfnService_LoadBalancerProperty{
			ContainerName: jsii.String(t.Container), ContainerPort: number(t.Port), TargetGroupArn: t.group.Ref(),
		})
	}
	return all
}
