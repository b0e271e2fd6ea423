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

// listen makes the rules that bring events to the ingress queue, the sweep among
// them, and lets them, and nobody else, send to it. It returns the sweep.
func (c *Controller) listen(set policy.Set) awsevents.CfnRule {
	sweep := c.rule("Sweep", &awsevents.CfnRuleProps{
		Description: jsii.String("the sweep: what makes up for every event that was lost"), ScheduleExpression: jsii.String(events.SweepSchedule),
	})
	sources := []any{sweep.AttrArn()}
	for _, p := range events.Patterns(scopeOf(set, *awscdk.Aws_PARTITION(), *awscdk.Aws_REGION(), *awscdk.Aws_ACCOUNT_ID())) {
		rule := c.rule("On"+capital(p.Name), &awsevents.CfnRuleProps{Description: &p.Why, EventPattern: plain(p)})
		sources = append(sources, rule.AttrArn())
	}
	c.ingress.live.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("OnlyTheRules"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"),
		Resources:  &[]*string{c.ingress.live.QueueArn()},
		Conditions: &map[string]any{
			"ArnEquals":    map[string]any{"aws:SourceArn": sources},
			"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()},
		},
	}))
	return sweep
}

// rule makes a rule whose target is the ingress queue. A target that is a queue
// takes no role: the queue's own policy lets the rule in.
func (c *Controller) rule(id string, p *awsevents.CfnRuleProps) awsevents.CfnRule {
	p.State = jsii.String("ENABLED")
	p.Targets = []any{&awsevents.CfnRule_TargetProperty{Id: jsii.String("ingress"), Arn: c.ingress.live.QueueArn()}}
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
