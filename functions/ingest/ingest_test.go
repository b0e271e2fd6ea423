package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// table is a wake table that understands what ingest may do with it.
type table struct {
	store.WakeTable
	gen   map[string]string
	next  map[string]time.Time
	dirty map[string][]string
	woken map[string]string // ms
}

func (t *table) pk(k map[string]types.AttributeValue) string {
	pk := k["pk"].(*types.AttributeValueMemberS).Value
	if !strings.HasPrefix(pk, "wake#") {
		panic("ingest may touch nothing but wake items: " + pk)
	}
	return strings.TrimPrefix(pk, "wake#")
}

func (t *table) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if !aws.ToBool(in.ConsistentRead) {
		panic("a wake item is read consistently")
	}
	item := map[string]types.AttributeValue{}
	if gen := t.gen[t.pk(in.Key)]; gen != "" {
		item["gen"] = &types.AttributeValueMemberN{Value: gen}
	}
	if at := t.next[t.pk(in.Key)]; !at.IsZero() {
		item["nextAt"] = &types.AttributeValueMemberN{Value: fmt.Sprint(at.UnixMilli())}
	}
	if at := t.woken[t.pk(in.Key)]; at != "" {
		item["woken"] = &types.AttributeValueMemberN{Value: at}
	}
	return &dynamodb.GetItemOutput{Item: item}, nil
}

func (t *table) UpdateItem(_ context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	key := t.pk(in.Key)
	if arns, ok := in.ExpressionAttributeValues[":arns"].(*types.AttributeValueMemberSS); ok {
		if strings.HasPrefix(aws.ToString(in.UpdateExpression), "SET ") {
			t.dirty[key] = nil
		}
		t.dirty[key] = append(t.dirty[key], arns.Value...)
	}
	if at, ok := in.ExpressionAttributeValues[":at"].(*types.AttributeValueMemberN); ok {
		t.woken[key] = at.Value
	}
	return &dynamodb.UpdateItemOutput{Attributes: map[string]types.AttributeValue{
		"woken": &types.AttributeValueMemberN{Value: cmp(t.woken[key], "-62135596800000")}, // the zero time
		"gen":   &types.AttributeValueMemberN{Value: cmp(t.gen[key], "0")}, "dirty": &types.AttributeValueMemberSS{Value: t.dirty[key]},
	}}, nil
}

func cmp(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// queue is a FIFO queue that drops doubles as SQS does.
type queue struct {
	sent []string // deduplication id=body
	fail bool
}

func (q *queue) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	if q.fail {
		return nil, errors.New("the queue is away")
	}
	line := aws.ToString(in.MessageDeduplicationId) + "=" + aws.ToString(in.MessageBody)
	if !slices.ContainsFunc(q.sent, func(s string) bool {
		return strings.HasPrefix(s, aws.ToString(in.MessageDeduplicationId)+"=")
	}) {
		q.sent = append(q.sent, line)
	}
	return &sqs.SendMessageOutput{}, nil
}

func set() policy.Set {
	one := policy.Policy{Version: 1, Cluster: "orders", Hosts: []policy.HostGroup{{Group: "orders-hosts", Max: 9}}, Services: map[string]policy.Service{
		"api": {Tasks: &policy.Tasks{Min: 1, Max: 9}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
	}}
	two := policy.Policy{Version: 1, Cluster: "batch", Hosts: []policy.HostGroup{{Group: "batch-hosts", Max: 9}}, Services: map[string]policy.Service{}}
	return policy.Set{one.Defaulted(), two.Defaulted()}
}

type fixture struct {
	*table
	*queue
	door handler.Door
}

func newFixture() fixture {
	f := fixture{table: &table{gen: map[string]string{}, next: map[string]time.Time{}, dirty: map[string][]string{}, woken: map[string]string{}}, queue: &queue{}}
	c := Config{Account: "111122223333", Region: "eu-west-1", Table: "t", Queues: map[string]string{"reconcile": "https://q/reconcile.fifo", "register": "https://q/register.fifo"}, Ingress: "https://q/ingress"}
	f.door = New(Ports{DynamoDB: f.table, SQS: f.queue}, c, set(), zap.NewNop())
	return f
}

// exposed has the set's first cluster register the service api and standalone
// tasks.
func (f fixture) exposed() fixture {
	s := set()
	api := s[0].Services["api"]
	api.Endpoints = []policy.Endpoint{{Container: "api", Port: 8080, TargetGroup: "api"}}
	s[0].Services["api"] = api
	s[0].Standalone = map[string]policy.Standalone{"tool": {Family: "tool", Endpoints: []policy.Endpoint{{Container: "tool", Port: 80, TargetGroup: "tool"}}}}
	c := Config{Account: "111122223333", Region: "eu-west-1", Table: "t", Queues: map[string]string{"reconcile": "https://q/reconcile.fifo", "register": "https://q/register.fifo"}, Ingress: "https://q/ingress"}
	f.door = New(Ports{DynamoDB: f.table, SQS: f.queue}, c, s, zap.NewNop())
	return f
}

func (f fixture) hear(t *testing.T, bodies ...string) string {
	t.Helper()
	return f.hearAt(t, 0, 0, bodies...)
}

// hearAt hears one batch with SQS's stamps, in ms; 0: none.
func (f fixture) hearAt(t *testing.T, sent, received int, bodies ...string) string {
	t.Helper()
	type record struct {
		MessageID  string            `json:"messageId"`
		Body       string            `json:"body"`
		Attributes map[string]string `json:"attributes"`
	}
	var in struct{ Records []record }
	for i, b := range bodies {
		r := record{MessageID: fmt.Sprint("m", i), Body: b}
		if sent > 0 {
			r.Attributes = map[string]string{"SentTimestamp": fmt.Sprint(sent), "ApproximateFirstReceiveTimestamp": fmt.Sprint(received)}
		}
		in.Records = append(in.Records, r)
	}
	payload, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.door.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func sample(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "events", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

const (
	wakesOrders = `reconcile#orders#0={"key":"reconcile#orders","gen":0}`
	wakesBatch  = `reconcile#batch#0={"key":"reconcile#batch","gen":0}`
	allWell     = `{"batchItemFailures":[]}`
)

func TestWhomAnEventWakes(t *testing.T) {
	alarm := policy.Alarms(set()[0])[0].Name
	for _, tt := range []struct {
		name, body string
		want       []string
	}{
		{"a task's event wakes its cluster", sample(t, "ecs-task-running-bridge-dynamic-port"), []string{wakesOrders}},
		{"a service's event wakes its cluster", sample(t, "ecs-service-action-placement-failure-cpu"), []string{wakesOrders}},
		{"a group's event wakes the group's owner", strings.ReplaceAll(sample(t, "asg-launch-successful"), groupIn(t), "batch-hosts"), []string{wakesBatch}},
		{"a group that no policy knows wakes nobody", strings.ReplaceAll(sample(t, "asg-launch-successful"), groupIn(t), "somebody-elses"), nil},
		{"an alarm of ours wakes its owner", strings.ReplaceAll(sample(t, "cloudwatch-alarm-metric"), "orders-api-cpu-high", alarm), []string{wakesOrders}},
		{"an alarm that no policy knows wakes nobody", sample(t, "cloudwatch-alarm-composite"), nil},
		{"a bare instance wakes every cluster", sample(t, "ec2-spot-interruption-warning"), []string{wakesBatch, wakesOrders}},
		{"the sweep wakes every cluster", sample(t, "scheduled-event"), []string{wakesBatch, wakesOrders}},
		{"another account's event wakes nobody", strings.ReplaceAll(sample(t, "ecs-task-running-bridge-dynamic-port"), "111122223333", "999999999999"), nil},
		{"another Region's event wakes nobody", strings.ReplaceAll(sample(t, "scheduled-event"), "eu-west-1", "us-east-1"), nil},
		{"an event without a decoder wakes nobody", `{"version":"0","id":"x","detail-type":"Something","source":"aws.s3","account":"111122223333","time":"2026-08-01T00:00:00Z","region":"eu-west-1","resources":[],"detail":{}}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			if out := f.hear(t, tt.body); out != allWell {
				t.Errorf("answer %s", out)
			}
			if !slices.Equal(f.sent, tt.want) {
				t.Errorf("sent %q\nwant %q", f.sent, tt.want)
			}
		})
	}
}

func TestWhoseEndpointsAnEventWakes(t *testing.T) {
	const (
		api  = `register#orders/api#0={"key":"register#orders/api","gen":0}`
		tool = `register#orders/tool#0={"key":"register#orders/tool","gen":0}`
	)
	for _, tt := range []struct {
		name, body string
		want       []string
	}{
		{"a task of a service wakes the service's endpoints", sample(t, "ecs-task-stopping-desired-stopped"), []string{wakesOrders, api}},
		{"a task that no service started wakes those of all such tasks", sample(t, "ecs-task-stopped-oom"), []string{wakesOrders, tool}},
		{"a task of a service without endpoints wakes none", strings.ReplaceAll(sample(t, "ecs-task-pending"), "service:api", "service:jobs"), []string{wakesOrders}},
		{"what tells of no task wakes none", sample(t, "ecs-service-action-placement-failure-cpu"), []string{wakesOrders}},
		{"a host's event wakes none: its tasks' events do", sample(t, "ecs-container-instance-draining"), []string{wakesOrders}},
		{"the sweep wakes all", sample(t, "scheduled-event"), []string{wakesBatch, wakesOrders, api, tool}},
	} {
		f := newFixture().exposed()
		if out := f.hear(t, tt.body); out != allWell {
			t.Errorf("%s: answer %s", tt.name, out)
		}
		if !slices.Equal(f.sent, tt.want) {
			t.Errorf("%s: sent %q\nwant %q", tt.name, f.sent, tt.want)
		}
	}
}

// groupIn is the group that the launch sample names.
func groupIn(t *testing.T) string {
	e, err := events.Decode([]byte(sample(t, "asg-launch-successful")))
	if err != nil {
		t.Fatal(err)
	}
	return e.Subject.Group
}

func TestABurstWakesAKeyOnce(t *testing.T) {
	f := newFixture()
	task := sample(t, "ecs-task-running-bridge-dynamic-port")
	for range 50 {
		f.hear(t, task, task, task, task)
	}
	if !slices.Equal(f.sent, []string{wakesOrders}) {
		t.Errorf("sent %q", f.sent)
	}
	f.gen["reconcile#orders"] = "1" // a round looked
	f.hear(t, task)
	if len(f.sent) != 2 || f.sent[1] != `reconcile#orders#1={"key":"reconcile#orders","gen":1}` {
		t.Errorf("after the look sent %q", f.sent)
	}
}

func TestTheArnsConcernedAreLeftForTheLook(t *testing.T) {
	f := newFixture()
	f.hear(t, sample(t, "ecs-task-running-bridge-dynamic-port"))
	if d := f.dirty["reconcile#orders"]; len(d) == 0 || !strings.Contains(strings.Join(d, " "), ":task/orders/") {
		t.Errorf("dirty %q", d)
	}
	for n := range 600 {
		f.dirty["reconcile#orders"] = append(f.dirty["reconcile#orders"], fmt.Sprint("arn", n))
	}
	f.hear(t, sample(t, "ecs-task-running-bridge-dynamic-port"))
	if d := f.dirty["reconcile#orders"]; !slices.Equal(d, []string{"all"}) {
		t.Errorf("%d ARNs are named, want all", len(d))
	}
}

func TestAMessageThatCannotBeReadFailsAlone(t *testing.T) {
	f := newFixture()
	out := f.hear(t, "{", sample(t, "scheduled-event"), strings.Repeat("[", 1000))
	if out != `{"batchItemFailures":[{"itemIdentifier":"m0"},{"itemIdentifier":"m2"}]}` || len(f.sent) != 2 {
		t.Errorf("answer %s, sent %q", out, f.sent)
	}
}

func TestAQueueThatIsAwayFailsTheMessagesThatNeedIt(t *testing.T) {
	f := newFixture()
	f.fail = true
	out := f.hear(t, sample(t, "cloudwatch-alarm-composite"), sample(t, "scheduled-event"))
	if out != `{"batchItemFailures":[{"itemIdentifier":"m1"}]}` {
		t.Errorf("answer %s", out)
	}
}

func TestOnlyTheLookThatIsWaitedForWakes(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 30, 0, time.UTC)
	body, err := events.LookAgain("reconcile#orders", at)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture()
	f.next["reconcile#orders"] = at.Add(time.Second)
	if f.hear(t, string(body)); len(f.sent) != 0 {
		t.Errorf("a look that was replaced sent %q", f.sent)
	}
	f.next["reconcile#orders"] = at
	if f.hear(t, string(body)); !slices.Equal(f.sent, []string{wakesOrders}) {
		t.Errorf("the look waited for sent %q", f.sent)
	}
	stranger, err := events.LookAgain("reconcile#nobodys", at)
	if err != nil {
		t.Fatal(err)
	}
	f.next["reconcile#nobodys"] = at
	if f.hear(t, string(stranger)); len(f.sent) != 1 {
		t.Errorf("a key of no policy sent %q", f.sent)
	}
}

func TestAnAlarmThatInvokesDirectlyIsTakenToo(t *testing.T) {
	f := newFixture()
	alarm := policy.Alarms(set()[0])[0].Name
	raw := sample(t, "cloudwatch-alarm-lambda-action-direct")
	e, err := events.Decode([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.door.Invoke(t.Context(), []byte(strings.ReplaceAll(raw, e.Subject.Alarm, alarm))); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.sent, []string{wakesOrders}) {
		t.Errorf("sent %q", f.sent)
	}
}

func TestWhatFollowsAWakeIsCoveredOrWaits(t *testing.T) {
	task, sweep := sample(t, "ecs-task-running-bridge-dynamic-port"), sample(t, "scheduled-event")
	const woken = 1_000_000 // ms
	for _, tt := range []struct {
		name           string
		sent, received int
		bodies         []string
		wakes, waits   bool
	}{
		{"an event that arrived well before is covered", woken - 1001, woken + 9000, []string{task}, false, false},
		{"one that arrived at about that time and is heard long after wakes", woken - 1000, woken + 2000, []string{task}, true, false},
		{"one that is heard soon after waits", woken - 1000, woken + 1999, []string{task}, false, true},
		{"the sweep is never covered", woken - 60000, woken - 50000, []string{sweep}, true, false},
		{"the sweep never waits", woken + 10, woken + 20, []string{sweep}, true, false},
		{"with a sweep in the batch nothing waits", woken + 10, woken + 20, []string{task, sweep}, true, false},
		{"without stamps nothing waits", 0, 0, []string{task}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			f.woken["reconcile#orders"] = fmt.Sprint(woken)
			if out := f.hearAt(t, tt.sent, tt.received, tt.bodies...); out != allWell {
				t.Errorf("answer %s", out)
			}
			waits := slices.ContainsFunc(f.sent, func(s string) bool { return strings.Contains(s, "Look Again") })
			if wakes := slices.Contains(f.sent, wakesOrders); wakes != tt.wakes || waits != tt.waits {
				t.Errorf("sent %q", f.sent)
			}
		})
	}
}

func TestADeploymentWithoutItsSettingsDoesNotStart(t *testing.T) {
	whole := Config{Account: "1", Region: "r", Table: "t", Ingress: "i", Queues: map[string]string{"reconcile": "q"}}
	if err := whole.Missing(set()); err != nil {
		t.Error(err)
	}
	for name, less := range map[string]func(*Config){
		"account": func(c *Config) { c.Account = "" }, "Region": func(c *Config) { c.Region = "" }, "table": func(c *Config) { c.Table = "" },
		"ingress queue": func(c *Config) { c.Ingress = "" }, "reconcile queue": func(c *Config) { c.Queues = nil },
	} {
		c := whole
		less(&c)
		if c.Missing(set()) == nil {
			t.Errorf("nothing is missed without the %s: every event would be dropped as a foreign one", name)
		}
	}
	exposed := set()
	exposed[0].Standalone = map[string]policy.Standalone{"tool": {Family: "tool", Endpoints: []policy.Endpoint{{Container: "tool", Port: 80, TargetGroup: "tool"}}}}
	if whole.Missing(exposed) == nil {
		t.Error("nothing is missed without the register queue, which a policy's endpoints need")
	}
	whole.Queues["register"] = "q"
	if err := whole.Missing(exposed); err != nil {
		t.Error(err)
	}
}
