package infra

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// wakeOnAlarms makes the alarms of policy.Alarms. They have no action: their
// change of state is an event, and a rule brings it.
func wakeOnAlarms(c *Controller, set policy.Set) {
	scope := constructs.NewConstruct(c.Construct, jsii.String("Alarms"))
	for _, p := range set {
		for _, a := range policy.Alarms(p) {
			awscloudwatch.NewCfnAlarm(scope, &a.Name, wakeProps(a))
		}
	}
}

func wakeProps(a policy.Alarm) *awscloudwatch.CfnAlarmProps {
	p := &awscloudwatch.CfnAlarmProps{
		AlarmName:          &a.Name,
		AlarmDescription:   jsii.String("wakes plimsoll, which reads the metric itself"),
		Namespace:          &a.Metric.Namespace,
		MetricName:         &a.Metric.Name,
		Period:             jsii.Number(a.Metric.Period / time.Second),
		Threshold:          &a.Threshold,
		ComparisonOperator: &a.Comparison,
		EvaluationPeriods:  jsii.Number(a.EvaluationPeriods),
		TreatMissingData:   &a.TreatMissing,
	}
	if strings.HasPrefix(a.Metric.Statistic, "p") {
		p.ExtendedStatistic = &a.Metric.Statistic
	} else {
		p.Statistic = &a.Metric.Statistic
	}
	var dimensions []any
	for _, name := range slices.Sorted(maps.Keys(a.Metric.Dimensions)) {
		dimensions = append(dimensions, &awscloudwatch.CfnAlarm_DimensionProperty{Name: &name, Value: jsii.String(a.Metric.Dimensions[name])})
	}
	p.Dimensions = dimensions
	return p
}

// signal is an alarm about the controller itself.
type signal struct {
	id, what  string
	metric    awscloudwatch.IMetric
	compare   awscloudwatch.ComparisonOperator
	threshold float64
	periods   float64
	unknownIs awscloudwatch.TreatMissingData
}

// watch makes the alarms about the controller itself, and sends them to the topic.
func (c *Controller) watch(sweep awsevents.CfnRule) {
	if c.Topic == nil {
		c.Topic = newTopic(c.Construct)
	}
	send := awscloudwatchactions.NewSnsAction(c.Topic)
	all := c.signals(sweep)
	for _, p := range c.policies {
		all = append(all, roundsFailing(p.Cluster))
	}
	for _, p := range reaching(c.policies) {
		all = append(all, endpointsFailing(p.Cluster))
	}
	for _, s := range all {
		a := awscloudwatch.NewAlarm(c.Construct, jsii.String(strings.ReplaceAll(s.id, "/", "-")), &awscloudwatch.AlarmProps{
			// The stack's name comes last: a name must not begin as those that wake a cluster.
			AlarmName:        jsii.String(s.id + "/" + *awscdk.Aws_STACK_NAME()),
			AlarmDescription: &s.what, Metric: s.metric, Threshold: &s.threshold, EvaluationPeriods: &s.periods,
			ComparisonOperator: s.compare, TreatMissingData: s.unknownIs,
		})
		a.AddAlarmAction(send)
		a.AddOkAction(send)
	}
}

// newTopic makes a topic that the alarms of the account may publish to: a policy
// of our own takes the place of the one that lets the account do so.
func newTopic(scope constructs.Construct) awssns.Topic {
	t := awssns.NewTopic(scope, jsii.String("Topic"), &awssns.TopicProps{DisplayName: jsii.String("plimsoll"), EnforceSSL: jsii.Bool(true)})
	t.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("TheAccountsAlarms"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{t.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()}},
	}))
	return t
}

// signals are what an operator is told of. docs/operations.md says what to do.
func (c *Controller) signals(sweep awsevents.CfnRule) []signal {
	quiet, dead := awscloudwatch.TreatMissingData_NOT_BREACHING, awscloudwatch.TreatMissingData_BREACHING
	above, below := awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD, awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD
	all := []signal{
		{"SweepMissing", "no sweep for five minutes: lost events are not made up for", sweepMetric(sweep), below, 1, 1, dead},
		{"RoundsMissing", "no round for five minutes: nothing is steered", c.functions["reconcile"].MetricInvocations(sum()), below, 1, 1, dead},
		{"IngressDead", "messages that nobody could read wait in the dead-letter queue", depth(c.ingress.dead), above, 0, 1, quiet},
		{"ReconcileDead", "rounds that could not begin five times wait in the dead-letter queue", depth(c.reconcile.dead), above, 0, 1, quiet},
		{"EventsDead", "events that EventBridge could not deliver wait in their dead-letter queue", depth(c.undelivered), above, 0, 1, quiet},
		{"IngressOld", "events wait for minutes to be heard", age(c.ingress), above, 300, 1, quiet},
		{"ReconcileOld", "a cluster waits for minutes for its round", age(c.reconcile), above, 300, 1, quiet},
	}
	if c.register.live != nil {
		all = append(all,
			signal{"RegisterDead", "rounds of endpoints that could not begin five times wait in the dead-letter queue", depth(c.register.dead), above, 0, 1, quiet},
			signal{"RegisterOld", "a service's endpoints wait for minutes for their round", age(c.register), above, 300, 1, quiet})
	}
	for _, f := range needed(c.policies) {
		made := c.functions[f.name]
		all = append(all,
			signal{capital(f.name) + "Errors", f.name + " ended with an error: see its log", made.MetricErrors(sum()), above, 0, 1, quiet},
			signal{capital(f.name) + "Throttles", f.name + " is throttled: the account's concurrency is used up", made.MetricThrottles(sum()), above, 0, 3, quiet})
	}
	return all
}

// roundsFailing tells of one cluster what the function's own metrics do not: that
// each of its rounds ends without a plan, or that it has none while others have.
// A round counts 0 or 1, so the least of them is 1 where all fail.
func roundsFailing(cluster string) signal {
	metric := awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("Plimsoll"), MetricName: jsii.String("RoundsFailed"), DimensionsMap: &map[string]*string{"Cluster": &cluster},
		Statistic: jsii.String("Minimum"), Period: seconds(300),
	})
	return signal{
		"RoundsFailing/" + cluster, "no round of the cluster " + cluster + " has worked for five minutes: it is not steered",
		metric, awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD, 1, 1, awscloudwatch.TreatMissingData_BREACHING,
	}
}

// failedLooks is how many failed rounds in five minutes are more than a moment's
// trouble: a name whose rounds all fail has one each minute at the least.
const failedLooks = 5

// endpointsFailing tells of one cluster that rounds of its endpoints go on failing.
// All names of a cluster count into one metric, so that one name's failures do not
// hide behind the others' success: their number is what tells.
func endpointsFailing(cluster string) signal {
	metric := awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("Plimsoll"), MetricName: jsii.String("RoundsFailed"),
		DimensionsMap: &map[string]*string{"Cluster": &cluster, "Function": jsii.String("register")},
		Statistic:     jsii.String("Sum"), Period: seconds(300),
	})
	return signal{
		"EndpointsFailing/" + cluster, "rounds of endpoints of the cluster " + cluster + " have failed for ten minutes, or there were none: ports may be registered late",
		metric, awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD, failedLooks, 2, awscloudwatch.TreatMissingData_BREACHING,
	}
}

// sum is the sum over five minutes.
func sum() *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: jsii.String("Sum"), Period: seconds(300)}
}

// most is the maximum over a minute.
func most() *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: seconds(60)}
}

func depth(dead awssqs.Queue) awscloudwatch.IMetric {
	return dead.MetricApproximateNumberOfMessagesVisible(most())
}

func age(q queue) awscloudwatch.IMetric { return q.live.MetricApproximateAgeOfOldestMessage(most()) }

func sweepMetric(sweep awsevents.CfnRule) awscloudwatch.IMetric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/Events"), MetricName: jsii.String("Invocations"), DimensionsMap: &map[string]*string{"RuleName": sweep.Ref()},
		Statistic: jsii.String("Sum"), Period: seconds(300),
	})
}
