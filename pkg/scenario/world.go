package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// What the controller's parts are called in the simulated account.
const (
	table     = "plimsoll"
	ingress   = "plimsoll-ingress"
	fifo      = "plimsoll-reconcile.fifo"
	unsent    = "plimsoll-events-dead" // what EventBridge could not send to the ingress queue
	account   = "111122223333"
	region    = "eu-west-1"
	sideCalls = 8 // calls of one look under way at a time, as in production
)

// world is a simulated account with a scenario's cluster and the controller in it.
type world struct {
	Scenario
	cloud   *simcloud.Cloud
	log     *zap.Logger
	seed    uint64
	urls    map[string]string     // of the queues, by name
	targets map[string]string     // ARNs of the target groups, by name
	always  map[string]float64    // faults that are on all the time, by rate
	others  []Scenario            // whose clusters the same controller steers beside its own
	missed  []Held                // happenings that did not take place
	spoil   sabotage              // nil: nothing
	fronted func(*register.Ports) // what spoil does to the ports of register; nil: nothing
	sink    io.Writer             // of the functions' metrics, which go where their logs go; nil: nowhere
}

// sabotage puts misbehaving ports in place of those of reconcile: a test's, to
// see the monitors catch what they do.
type sabotage func(*world, *reconcile.Ports)

// build makes the world of a scenario: what an operator has, then what the
// controller's deployment adds. Its calls come from outside of virtual time.
func build(ctx context.Context, s Scenario, o simcloud.Options, logs io.Writer, spoil sabotage, others ...Scenario) (*world, error) {
	w := &world{Scenario: s, cloud: simcloud.New(o), seed: o.Seed, urls: map[string]string{}, targets: map[string]string{}, spoil: spoil, others: others}
	w.log = w.logger(logs)
	for _, make := range []func(context.Context) error{w.eachCluster((*world).cluster), w.queues, w.table, w.functions, w.rules, w.eachCluster((*world).alarms)} {
		if err := make(ctx); err != nil {
			w.cloud.Close()
			return nil, fmt.Errorf("build %s: %w", s.Name, err)
		}
	}
	return w, nil
}

// clusters are this world as each of its scenarios sees it, its own first.
func (w *world) clusters() []*world {
	all := []*world{w}
	for _, s := range w.others {
		other := *w
		other.Scenario = s
		all = append(all, &other)
	}
	return all
}

// eachCluster makes something of each of the world's clusters.
func (w *world) eachCluster(add func(*world, context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range w.clusters() {
			if err := add(c, ctx); err != nil {
				return fmt.Errorf("cluster %s: %w", c.Policy.Cluster, err)
			}
		}
		return nil
	}
}

// policies are those of all clusters.
func (w *world) policies() policy.Set {
	var set policy.Set
	for _, c := range w.clusters() {
		set = append(set, c.Policy)
	}
	return set
}

// cluster makes the operator's side: a cluster, its hosts and services.
func (w *world) cluster(ctx context.Context) error {
	if _, err := w.cloud.ECS().CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String(w.Policy.Cluster)}); err != nil {
		return err
	}
	w.behave()
	for _, g := range w.Groups {
		err := w.cloud.AddGroup(simcloud.GroupSpec{
			Name: g.Name, Cluster: w.Policy.Cluster, Zones: g.Zones, InstanceType: g.InstanceType, CPU: g.CPU, Memory: g.Memory,
			Min: g.Min, Max: g.Max, Desired: g.Desired, Ready: true, Boot: lognormal(g.Boot), Attributes: g.Attributes, PricePerHour: g.Price, PortFrom: g.ports().From, PortTo: g.ports().To, Spot: g.Spot,
		})
		if err != nil {
			return err
		}
	}
	if err := w.fronts(ctx); err != nil {
		return err
	}
	for _, s := range w.Services {
		if err := w.service(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// ports is the group's range, or none of its own.
func (g Group) ports() PortRange {
	if g.Ports == nil {
		return PortRange{}
	}
	return *g.Ports
}

func lognormal(s Spread) simcloud.Lognormal {
	return simcloud.Lognormal{Median: s.Median.Duration, P95: s.P95.Duration}
}

func (w *world) service(ctx context.Context, s Service) error {
	_, err := w.cloud.ECS().RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(s.Name), NetworkMode: ecstypes.NetworkModeBridge, ContainerDefinitions: containers(s),
	})
	if err != nil {
		return err
	}
	in := &ecs.CreateServiceInput{
		Cluster: aws.String(w.Policy.Cluster), ServiceName: aws.String(s.Name), TaskDefinition: aws.String(s.Name),
		DesiredCount: aws.Int32(int32(s.Desired)), LaunchType: ecstypes.LaunchTypeEc2, //nolint:gosec // checked
		AvailabilityZoneRebalancing: ecstypes.AvailabilityZoneRebalancingDisabled,
		DeploymentConfiguration:     &ecstypes.DeploymentConfiguration{MinimumHealthyPercent: percent(s.MinimumHealthyPercent, 100), MaximumPercent: percent(s.MaximumPercent, 200)},
	}
	for _, p := range s.Strategies {
		in.PlacementStrategy = append(in.PlacementStrategy, ecstypes.PlacementStrategy{Type: ecstypes.PlacementStrategyType(p.Type), Field: optional(p.Field)})
	}
	for _, p := range s.Constraints {
		in.PlacementConstraints = append(in.PlacementConstraints, ecstypes.PlacementConstraint{Type: ecstypes.PlacementConstraintType(p.Type), Expression: optional(p.Expression)})
	}
	if _, err := w.cloud.ECS().CreateService(ctx, in); err != nil {
		return err
	}
	return w.load(s)
}

// containers are the application's, and the one that holds the task open: it
// depends on the application, and so is told to stop before it.
func containers(s Service) []ecstypes.ContainerDefinition {
	all := []ecstypes.ContainerDefinition{{
		Name: aws.String(s.Name), Image: aws.String(s.Name + ":1"), Cpu: int32(s.CPU), Memory: aws.Int32(int32(s.Memory)), Essential: aws.Bool(true), //nolint:gosec // checked
		Environment:  []ecstypes.KeyValuePair{{Name: aws.String("PASSWORD"), Value: aws.String(canary)}},
		PortMappings: []ecstypes.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: aws.Int32(int32(s.Port))}}, //nolint:gosec // checked
	}}
	if s.Hold.Duration > 0 {
		all = append(all, ecstypes.ContainerDefinition{
			Name: aws.String(hold), Image: aws.String("busybox:1"), Memory: aws.Int32(4), Essential: aws.Bool(false), StopTimeout: aws.Int32(120),
			DependsOn: []ecstypes.ContainerDependency{{ContainerName: aws.String(s.Name), Condition: ecstypes.ContainerConditionStart}},
		})
	}
	return all
}

func (w *world) load(s Service) error {
	if s.Load == nil {
		return nil
	}
	return w.cloud.AddLoad(simcloud.LoadSpec{
		Cluster: w.Policy.Cluster, Service: s.Name, Rate: w.rate(s, w.seed),
		CPUPerRequest: s.Load.CPUPerRequest, HighResolution: s.Load.HighResolution, Route: simcloud.Route{TargetGroup: w.targets[s.Load.TargetGroup]},
	})
}

func percent(p *int, otherwise int) *int32 {
	if p == nil {
		return aws.Int32(int32(otherwise)) //nolint:gosec // a constant
	}
	return aws.Int32(int32(*p)) //nolint:gosec // checked
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// queues makes the ingress queue and those of the functions, each with its
// dead-letter queue, and that of the rules. The numbers are those of docs/architecture.md.
func (w *world) queues(ctx context.Context) error {
	dead := func(name string) string {
		return `{"deadLetterTargetArn":"` + queueARN(name) + `","maxReceiveCount":5}`
	}
	type queue struct {
		name       string
		attributes map[string]string
	}
	all := []queue{
		{ingress + "-dead", nil},
		{ingress, map[string]string{"VisibilityTimeout": "360", "RedrivePolicy": dead(ingress + "-dead")}},
		{unsent, map[string]string{"MessageRetentionPeriod": "1209600"}},
		{"plimsoll-reconcile-dead.fifo", map[string]string{"FifoQueue": "true"}},
		{fifo, map[string]string{"FifoQueue": "true", "VisibilityTimeout": "90", "RedrivePolicy": dead("plimsoll-reconcile-dead.fifo")}},
	}
	if w.registers() {
		all = append(all,
			queue{"plimsoll-register-dead.fifo", map[string]string{"FifoQueue": "true"}},
			queue{registerFifo, map[string]string{"FifoQueue": "true", "VisibilityTimeout": "90", "RedrivePolicy": dead("plimsoll-register-dead.fifo")}})
	}
	for _, q := range all {
		out, err := w.cloud.SQS().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(q.name), Attributes: q.attributes})
		if err != nil {
			return fmt.Errorf("queue %s: %w", q.name, err)
		}
		w.urls[q.name] = aws.ToString(out.QueueUrl)
	}
	return nil
}

func queueARN(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }

func (w *world) table(ctx context.Context) error {
	_, err := w.cloud.DynamoDB().CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: ddbtypes.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: ddbtypes.KeyTypeRange}},
	})
	return err
}

// pause lets virtual time pass. An invocation whose time is over meanwhile is
// ended by the kernel: it never returns.
func pause(c *simcloud.Cloud) clusterside.Wait {
	return func(ctx context.Context, d time.Duration) error {
		c.Pause(ctx, d)
		return ctx.Err()
	}
}

// functions registers the very functions that Lambda runs, over the simulated
// services, the virtual clock and child coroutines.
func (w *world) functions(context.Context) error {
	set, c := w.policies(), w.cloud
	hear := ingest.New(ingest.Ports{DynamoDB: c.DynamoDB(), SQS: c.SQS()},
		ingest.Config{Account: account, Region: region, Table: table, Queues: map[string]string{"reconcile": w.urls[fifo], "register": w.urls[registerFifo]}, Ingress: w.urls[ingress]}, set, w.log)
	ports := reconcile.Ports{ECS: c.ECS(), AutoScaling: c.AutoScaling(), CloudWatch: c.CloudWatch(), DynamoDB: c.DynamoDB(), SQS: c.SQS()}
	if w.spoil != nil {
		w.spoil(w, &ports)
	}
	steer := reconcile.New(ports,
		rounds.Config{Table: table, Ingress: w.urls[ingress]}, set, rounds.Edges{Clock: c.Clock, Run: c.Gather(sideCalls), Wait: pause(c), Log: w.log, Meter: rounds.Meter{Out: w.sink}})
	if err := c.Lambda().Register("ingest", hear.Invoke, simcloud.FunctionConfig{Timeout: time.Minute}); err != nil {
		return err
	}
	if err := c.Lambda().Register("reconcile", steer.Invoke, simcloud.FunctionConfig{Timeout: time.Minute}); err != nil {
		return err
	}
	if err := c.Lambda().Map(simcloud.EventSource{Queue: ingress, Function: "ingest", BatchSize: 10, ReportBatchItemFailures: true}); err != nil {
		return err
	}
	if err := c.Lambda().Map(simcloud.EventSource{Queue: fifo, Function: "reconcile", BatchSize: 1, ReportBatchItemFailures: true}); err != nil {
		return err
	}
	if !w.registers() {
		return nil
	}
	return w.register(set)
}

// rules makes the EventBridge rules of events.Patterns, and the sweep. What they
// cannot send is tried again, and a dead letter then, as in a deployment.
func (w *world) rules(context.Context) error {
	scope := events.Scope{AlarmPrefix: policy.AlarmPrefix}
	for _, p := range w.policies() {
		scope.Clusters = append(scope.Clusters, "arn:aws:ecs:"+region+":"+account+":cluster/"+p.Cluster)
		for _, g := range p.Hosts {
			scope.Groups = append(scope.Groups, g.Group)
		}
	}
	rules := []simcloud.Rule{{Name: "plimsoll-sweep", ScheduleExpression: events.SweepSchedule}}
	for _, p := range events.Patterns(scope) {
		raw, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("pattern %s: %w", p.Name, err)
		}
		rules = append(rules, simcloud.Rule{Name: "plimsoll-" + p.Name, EventPattern: string(raw)})
	}
	for _, r := range rules {
		if err := w.cloud.EventBridge().PutRule(r); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		retry := events.EventRetry()
		if r.ScheduleExpression != "" {
			retry = events.SweepRetry()
		}
		to := simcloud.Target{
			ID: "ingress", ARN: queueARN(ingress), DeadLetters: queueARN(unsent),
			Retry: &simcloud.RetryPolicy{MaximumRetryAttempts: retry.Attempts, MaximumEventAgeInSeconds: retry.Age},
		}
		if err := w.cloud.EventBridge().PutTargets(r.Name, to); err != nil {
			return fmt.Errorf("target of %s: %w", r.Name, err)
		}
	}
	return nil
}

// alarms makes the alarms of policy.Alarms.
func (w *world) alarms(ctx context.Context) error {
	for _, a := range policy.Alarms(w.Policy) {
		in := &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String(a.Name), Namespace: aws.String(a.Metric.Namespace), MetricName: aws.String(a.Metric.Name),
			Statistic: cwtypes.Statistic(a.Metric.Statistic), Period: aws.Int32(int32(a.Metric.Period / time.Second)), //nolint:gosec // checked by the policy
			EvaluationPeriods: aws.Int32(int32(a.EvaluationPeriods)), Threshold: aws.Float64(a.Threshold), //nolint:gosec // a constant
			ComparisonOperator: cwtypes.ComparisonOperator(a.Comparison), TreatMissingData: aws.String(a.TreatMissing),
		}
		for name, value := range a.Metric.Dimensions {
			in.Dimensions = append(in.Dimensions, cwtypes.Dimension{Name: aws.String(name), Value: aws.String(value)})
		}
		if _, err := w.cloud.CloudWatch().PutMetricAlarm(ctx, in); err != nil {
			return fmt.Errorf("alarm %s: %w", a.Name, err)
		}
	}
	return nil
}

// logger writes what the functions log, unless what runs was killed.
func (w *world) logger(out io.Writer) *zap.Logger {
	if out == nil {
		return zap.NewNop()
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey = "at"
	encoder.EncodeTime = func(_ time.Time, e zapcore.PrimitiveArrayEncoder) {
		e.AppendString(w.cloud.Now().Format(time.RFC3339Nano))
	}
	w.sink = aliveWriter{w.cloud.Faults().Sink(out), w.cloud}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.AddSync(w.cloud.Faults().Sink(out)), zap.InfoLevel)
	return zap.New(aliveCore{core, w.cloud}, zap.ErrorOutput(zapcore.AddSync(io.Discard))) // a log that fails is no cause for another
}

// canary is what every task definition has in its environment: a secret, which
// nothing that plimsoll writes may ever hold.
const canary = "canary-5d0c7a1e-never-to-be-seen"

// aliveWriter is aliveCore for what is no log.
type aliveWriter struct {
	io.Writer
	cloud *simcloud.Cloud
}

func (w aliveWriter) Write(p []byte) (int, error) {
	if !w.cloud.Alive() {
		return len(p), nil
	}
	return w.Writer.Write(p)
}

// aliveCore discards what a killed invocation logs while it unwinds.
type aliveCore struct {
	zapcore.Core
	cloud *simcloud.Cloud
}

func (c aliveCore) With(fields []zapcore.Field) zapcore.Core {
	return aliveCore{c.Core.With(fields), c.cloud}
}

func (c aliveCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.cloud.Alive() {
		return checked
	}
	return c.Core.Check(e, checked)
}
