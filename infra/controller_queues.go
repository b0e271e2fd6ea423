package infra

import (
	"encoding/json"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// The queues' numbers; docs/architecture.md says why.
const (
	ingressVisibility   = 360 // seconds: six times the function's timeout, as Lambda advises for a batch
	reconcileVisibility = 90  // seconds: more than a lease
	registerVisibility  = reconcileVisibility
	tries               = 5  // of a message, before it goes to the dead-letter queue
	deadFor             = 14 // days that a dead letter is kept, the most that SQS does
)

// newQueue makes an encrypted queue that speaks TLS only, with one for its dead
// letters.
func newQueue(scope constructs.Construct, name string, p awssqs.QueueProps) queue {
	p.Encryption, p.EnforceSSL = awssqs.QueueEncryption_SQS_MANAGED, jsii.Bool(true)
	dead := p
	dead.VisibilityTimeout, dead.RetentionPeriod = nil, awscdk.Duration_Days(jsii.Number(deadFor))
	q := queue{dead: awssqs.NewQueue(scope, jsii.String(name+"Dead"), &dead)}
	p.DeadLetterQueue = &awssqs.DeadLetterQueue{Queue: q.dead, MaxReceiveCount: jsii.Number(tries)}
	q.live = awssqs.NewQueue(scope, &name, &p)
	return q
}

// newUndelivered makes the queue for the events that EventBridge cannot deliver. It
// takes a standard queue only, and one of its own: these letters have no queue to
// be driven back to, and their cause lies elsewhere than that of the others.
func newUndelivered(scope constructs.Construct) awssqs.Queue {
	q := awssqs.NewQueue(scope, jsii.String("EventsQueueDead"), &awssqs.QueueProps{
		Encryption: awssqs.QueueEncryption_SQS_MANAGED, EnforceSSL: jsii.Bool(true), RetentionPeriod: awscdk.Duration_Days(jsii.Number(deadFor)),
	})
	cdknag.NagSuppressions_AddResourceSuppressions(q, &[]*cdknag.NagPackSuppression{{
		Id: jsii.String("AwsSolutions-SQS3"), Reason: jsii.String("It is the dead-letter queue of the rules' targets; cdk-nag knows only those of queues and functions."),
	}}, nil)
	return q
}

// listen makes the rules that bring events to the ingress queue, the sweep among
// them, and lets them, and nobody else, send to it and to the queue for what they
// cannot deliver. It returns the sweep.
func (c *Controller) listen(set policy.Set) awsevents.CfnRule {
	sweep := c.rule("Sweep", events.SweepRetry(), &awsevents.CfnRuleProps{
		Description: jsii.String("the sweep: what makes up for every event that was lost"), ScheduleExpression: jsii.String(events.SweepSchedule),
	})
	sources := []any{sweep.AttrArn()}
	for _, p := range events.Patterns(scopeOf(set, *awscdk.Aws_PARTITION(), *awscdk.Aws_REGION(), *awscdk.Aws_ACCOUNT_ID())) {
		rule := c.rule("On"+capital(p.Name), events.EventRetry(), &awsevents.CfnRuleProps{Description: &p.Why, EventPattern: plain(p)})
		sources = append(sources, rule.AttrArn())
	}
	for _, q := range []awssqs.Queue{c.ingress.live, c.undelivered} {
		onlyFrom(q, sources)
	}
	// A rule is made before the policies that name it. What it sends meanwhile is no
	// dead letter, which would ring at each deployment that makes one.
	c.undelivered.Node().FindChild(queuePolicy()).Node().AddDependency(c.ingress.live.Node().FindChild(queuePolicy()))
	return sweep
}

// queuePolicy is the id that CDK gives to a queue's policy.
func queuePolicy() *string { return jsii.String("Policy") }

// onlyFrom lets the rules with these ARNs, and nobody else, send to a queue.
func onlyFrom(q awssqs.Queue, rules []any) {
	q.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("OnlyTheRules"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"),
		Resources:  &[]*string{q.QueueArn()},
		Conditions: &map[string]any{
			"ArnEquals":    map[string]any{"aws:SourceArn": rules},
			"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
		},
	}))
}

// rule makes a rule whose target is the ingress queue. A target that is a queue
// takes no role: the queue's own policy lets the rule in.
func (c *Controller) rule(id string, retry events.Retry, p *awsevents.CfnRuleProps) awsevents.CfnRule {
	p.State = jsii.String("ENABLED")
	p.Targets = []any{&awsevents.CfnRule_TargetProperty{
		Id: jsii.String("ingress"), Arn: c.ingress.live.QueueArn(),
		RetryPolicy:      &awsevents.CfnRule_RetryPolicyProperty{MaximumRetryAttempts: jsii.Number(retry.Attempts), MaximumEventAgeInSeconds: jsii.Number(retry.Age)},
		DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: c.undelivered.QueueArn()},
	}}
	return awsevents.NewCfnRule(c.Construct, &id, p)
}

// scopeOf is what the rules are about: the policies' clusters, groups and alarms.
func scopeOf(set policy.Set, partition, region, account string) events.Scope {
	g := ground{policies: set, partition: partition, region: region, account: account}
	scope := events.Scope{Clusters: g.each(set.Clusters(), "cluster/%s"), AlarmPrefix: policy.AlarmPrefix}
	for _, p := range set {
		for _, h := range p.Hosts {
			scope.Groups = append(scope.Groups, h.Group)
		}
	}
	return scope
}

// plain is a pattern as CloudFormation wants it.
func plain(p events.Pattern) any {
	raw, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("a pattern of strings that is no JSON: %v", err))
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		panic(fmt.Sprintf("JSON that is none: %v", err))
	}
	return v
}

// capital is a rule's name as part of a construct's id.
func capital(name string) string { return string(name[0]-'a'+'A') + name[1:] }
