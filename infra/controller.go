// Package infra is plimsoll as CDK constructs: Controller is what steers
// clusters, Cluster a cluster with its network and hosts, Service a service of
// it. Any CDK app in Go can use them; infra/app is the one of this repository.
//
// Whatever mirrors code is made from that code: the rules from events.Patterns,
// the alarms from policy.Alarms, the rights from the methods of the functions'
// ports. The package must not know what the functions decide.
package infra

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// ControllerProps are the choices of whoever deploys a Controller. Policies is a
// must; the zero value of everything else is a safe default.
type ControllerProps struct {
	// Policies is what the controller shall do, one policy a cluster. It becomes
	// part of the functions' packages: a deployment is the one way to change it.
	// The controller gets rights to change a cluster only if its policy's mode is act.
	Policies policy.Set

	// Dist is the folder in which make build leaves FUNCTION/bootstrap. Default: dist.
	Dist string

	// HostRoles are the ARNs of the roles that the host groups' launch templates
	// hand to instances, each in full. LaunchInstances must be allowed to pass them; without
	// that, hosts are started by raising the groups' desired capacity, which tells
	// of missing capacity minutes later. Default: none.
	HostRoles []string

	// HostedZones are the ids of the Route 53 hosted zones of the registries that
	// the policies' endpoints name. Cloud Map writes records there with the rights
	// of whoever registers an instance. Where none is named those rights hold for
	// every zone, but only for what a service of AWS does in the controller's name,
	// which no page of AWS's says of Cloud Map; where some are, for these and without
	// that condition. Default: none.
	HostedZones []string

	// Topic gets the alarms about the controller itself. Default: a topic of its own.
	Topic awssns.ITopic

	// LogRetention is how long the functions' logs are kept. Default: one month.
	LogRetention awslogs.RetentionDays
}

// Controller is all that steers clusters: functions with their queues, the rules
// that wake them, their table, and the alarms that tell how they fare. The function
// register, and whatever is there for it, is made only where a policy has endpoints.
type Controller struct {
	constructs.Construct

	// Table is what the controller remembers. It stays when the stack goes.
	Table awsdynamodb.Table

	// Topic gets the alarms about the controller itself.
	Topic awssns.ITopic

	ingress, reconcile, register queue             // register: zero where no policy has endpoints
	undelivered                  awssqs.Queue      // what EventBridge could not send to the ingress queue
	functions                    map[string]lambda // by name
	policies                     policy.Set
}

// queue is a queue with its dead-letter queue.
type queue struct{ live, dead awssqs.Queue }

// NewController makes a controller. The error of a wrong policy lists all that is
// wrong with it, as plimsoll lint does; a function that was not built is one too.
func NewController(scope constructs.Construct, id string, p ControllerProps) (*Controller, error) {
	packed, err := policy.Encode(p.Policies)
	if err != nil {
		return nil, fmt.Errorf("pack the policy: %w", err)
	}
	if err := p.check(scope); err != nil {
		return nil, err
	}
	if p.Dist == "" {
		p.Dist = "dist"
	}
	if p.LogRetention == "" {
		p.LogRetention = awslogs.RetentionDays_ONE_MONTH
	}
	c := &Controller{Topic: p.Topic, policies: slices.Clone(p.Policies), functions: map[string]lambda{}}
	constructs.NewConstruct_Override(c, scope, &id)
	c.Table = newTable(c.Construct)
	c.ingress = newQueue(c.Construct, "IngressQueue", awssqs.QueueProps{VisibilityTimeout: seconds(ingressVisibility)})
	c.reconcile = newQueue(c.Construct, "ReconcileQueue", awssqs.QueueProps{VisibilityTimeout: seconds(reconcileVisibility), Fifo: jsii.Bool(true)})
	c.undelivered = newUndelivered(c.Construct)
	if len(reaching(c.policies)) > 0 {
		c.register = newQueue(c.Construct, "RegisterQueue", awssqs.QueueProps{VisibilityTimeout: seconds(registerVisibility), Fifo: jsii.Bool(true)})
	}
	for _, f := range needed(c.policies) {
		if err := c.deploy(f, p, packed); err != nil {
			return nil, err
		}
	}
	rules := c.listen(p.Policies)
	wakeOnAlarms(c, p.Policies)
	c.watch(rules)
	c.draw(p.Policies)
	c.outputs()
	return c, nil
}

// check says what is wrong with the props beside the policies, alone and beside
// the other controllers of the app.
func (p ControllerProps) check(scope constructs.Construct) error {
	var f findings
	for _, zone := range p.HostedZones {
		f.need(unknown(zone) || hostedZone().MatchString(zone), "the hosted zone %q must be its id alone, such as Z0123456789ABCDEFGHIJ", zone)
	}
	for _, role := range p.HostRoles {
		f.need(unknown(role) || hostRole().MatchString(role), "the host role %q must be a role's ARN in full, such as arn:aws:iam::111122223333:role/hosts: the controller may pass it on", role)
	}
	stack := awscdk.Stack_Of(scope)
	all := notes{scope}
	where := *stack.Node().Path()
	f.need(all.of("controller", where) == "", "the stack %s has a controller already: give each a stack of its own, for the names of their alarms end with the stack's", *stack.StackName())
	for _, name := range p.Policies.Clusters() {
		other := all.of("cluster", *stack.Environment()+" "+name)
		f.need(other == "", "the cluster %q is steered by the controller of the stack %s already: a cluster has one", name, other)
	}
	if err := f.err(); err != nil {
		return err
	}
	all.take("controller", where, where)
	for _, name := range p.Policies.Clusters() {
		all.take("cluster", *stack.Environment()+" "+name, *stack.StackName())
	}
	return nil
}

// hostRole matches the ARN of one role: with * or ? it would be many.
func hostRole() *regexp.Regexp {
	return regexp.MustCompile(`^arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+$`)
}

// hostedZone matches the id of one zone: with * or ? it would be many.
func hostedZone() *regexp.Regexp { return regexp.MustCompile(`^[A-Z0-9]{1,32}$`) }

// Policies are those that the controller was given. (jsii takes a struct for a
// construct, and so for a scope, only if that has an exported method.)
func (c *Controller) Policies() policy.Set { return slices.Clone(c.policies) }

func newTable(scope constructs.Construct) awsdynamodb.Table {
	return awsdynamodb.NewTable(scope, jsii.String("Table"), &awsdynamodb.TableProps{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String(store.PartitionKey), Type: awsdynamodb.AttributeType_STRING},
		SortKey:             &awsdynamodb.Attribute{Name: jsii.String(store.SortKey), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:         awsdynamodb.BillingMode_PAY_PER_REQUEST,
		TimeToLiveAttribute: jsii.String(store.Expiry),
		DeletionProtection:  jsii.Bool(true),
		RemovalPolicy:       awscdk.RemovalPolicy_RETAIN,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
}

// output is a value that CloudFormation shows.
type output struct{ name, what, value string }

// outputs prints what an operator needs to find the parts.
func (c *Controller) outputs() {
	all := []output{
		{"TableName", "what the controller remembers; stays when the stack goes", *c.Table.TableName()},
		{"TopicArn", "subscribe to it: alarms about the controller itself", *c.Topic.TopicArn()},
		{"IngressQueueUrl", "every event comes through it", *c.ingress.live.QueueUrl()},
		{"IngressDeadQueueUrl", "messages that nobody could read", *c.ingress.dead.QueueUrl()},
		{"EventsDeadQueueUrl", "events that EventBridge could not deliver", *c.undelivered.QueueUrl()},
		{"ReconcileDeadQueueUrl", "rounds that could not begin five times", *c.reconcile.dead.QueueUrl()},
	}
	if c.register.dead != nil {
		all = append(all, output{"RegisterDeadQueueUrl", "rounds of endpoints that could not begin five times", *c.register.dead.QueueUrl()})
	}
	for _, o := range all {
		awscdk.NewCfnOutput(c.Construct, &o.name, &awscdk.CfnOutputProps{Value: &o.value, Description: &o.what})
	}
}

func seconds(n float64) awscdk.Duration { return awscdk.Duration_Seconds(&n) }
