package binary

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

const (
	account = "111122223333"
	region  = "eu-west-1"
	table   = "plimsoll"
	prod    = "prod"
	canary  = "canary-7c1f9be2-never-to-be-seen" // in every place that holds a secret
)

// verdict is what a test does to a call: nothing, or it hangs and answers never.
type verdict int

const (
	serve verdict = iota
	hangBefore
	hangAfter // it took effect
)

// fakeAWS is AWS over HTTP, for one test. Virtual time stands still but for
// pass; the Date of every answer is virtual, so the functions live in it too.
type fakeAWS struct {
	*httptest.Server
	mu    sync.Mutex // one call at a time, as the simulated cloud wants it
	cloud *simcloud.Cloud
	ports map[string]any
	calls []string                             // by name, in order of arrival
	judge func(n int, name string) verdict     // of the nth call, from 1; nil: all are served
	spoil func(name string, raw []byte) []byte // of the answer that AWS gave; nil: left alone
	urls  map[string]string
	gone  chan struct{} // closed at the end: whoever hangs goes
}

// newAWS makes an account with the cluster prod, on which api and web want fewer
// tasks than the policy's minimum, web without room for them, and of which the
// second group has a host too many. The world begins five minutes before start.
func newAWS(t *testing.T, start time.Time) *fakeAWS {
	t.Helper()
	start = start.Add(-5 * time.Minute)
	c := simcloud.New(simcloud.Options{Start: start, Seed: 1, Account: account, Region: region})
	t.Cleanup(c.Close)
	a := &fakeAWS{cloud: c, urls: map[string]string{}, gone: make(chan struct{}), ports: map[string]any{
		"dynamodb": c.DynamoDB(), "sqs": c.SQS(), "ecs": c.ECS(), "autoscaling": c.AutoScaling(), "cloudwatch": c.CloudWatch(),
		"elasticloadbalancing": c.ELBV2(), "servicediscovery": c.CloudMap(), "ec2": addresses{},
	}}
	a.build(t)
	a.pass(t, 5*time.Minute)
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() { close(a.gone); a.Close() })
	return a
}

func (a *fakeAWS) build(t *testing.T) {
	t.Helper()
	ctx, c := t.Context(), a.cloud
	// An agent that is away has its host counted out, and a host more asked for:
	// which round meets that hangs on when the binary is killed.
	c.World().Behaviour().FlapsPerHour = 0
	_, err := c.ECS().CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String(prod)})
	check(t, err)
	for _, g := range []simcloud.GroupSpec{{Name: "hosts", Desired: 1}, {Name: "spare", Desired: 2}} {
		g.Cluster, g.Zones, g.InstanceType, g.CPU, g.Memory, g.Max, g.Ready = prod, []string{"eu-west-1a", "eu-west-1b"}, "m6i.large", 2048, 4096, 10, true
		g.Boot = simcloud.Lognormal{Median: 60 * time.Second, P95: 61 * time.Second}
		g.Attributes = map[string]string{"pool": g.Name}
		check(t, c.AddGroup(g))
	}
	a.service(t, "api", "hosts", 1)
	a.service(t, "web", "hosts", 1)
	a.service(t, "cron", "spare", 1)
	_, err = c.DynamoDB().CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: ddbtypes.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: ddbtypes.KeyTypeRange}},
	})
	check(t, err)
	for name, attributes := range map[string]map[string]string{"ingress": nil, "reconcile.fifo": {"FifoQueue": "true"}} {
		out, err := c.SQS().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
		check(t, err)
		a.urls[name] = *out.QueueUrl
	}
}

func (a *fakeAWS) service(t *testing.T, name, pool string, count int32) {
	t.Helper()
	_, err := a.cloud.ECS().RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(name), NetworkMode: ecstypes.NetworkModeBridge,
		ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String(name), Image: aws.String(name + ":1"), Cpu: 512, Memory: aws.Int32(900), Essential: aws.Bool(true),
			Environment: []ecstypes.KeyValuePair{{Name: aws.String("PASSWORD"), Value: aws.String(canary)}},
		}},
		PlacementConstraints: []ecstypes.TaskDefinitionPlacementConstraint{{Type: ecstypes.TaskDefinitionPlacementConstraintTypeMemberOf, Expression: aws.String("attribute:pool == " + pool)}},
	})
	check(t, err)
	_, err = a.cloud.ECS().CreateService(t.Context(), &ecs.CreateServiceInput{
		Cluster: aws.String(prod), ServiceName: aws.String(name), TaskDefinition: aws.String(name), DesiredCount: aws.Int32(count), LaunchType: ecstypes.LaunchTypeEc2,
		AvailabilityZoneRebalancing: ecstypes.AvailabilityZoneRebalancingDisabled,
	})
	check(t, err)
}

// pass lets virtual time pass.
func (a *fakeAWS) pass(t *testing.T, d time.Duration) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	check(t, a.cloud.Run(a.cloud.Now().Add(d)))
}

// ServeHTTP takes any call of the SDK's.
func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	status, raw, hangs := a.answer(in)
	if hangs {
		select {
		case <-a.gone:
		case <-r.Context().Done():
		}
		return
	}
	w.Header().Set("Content-Type", in.wire.contentType)
	w.Header().Set("Date", a.now().Format(http.TimeFormat))
	w.Header().Set("X-Amzn-Requestid", "00000000-0000-0000-0000-000000000000")
	if in.service == "cloudwatch" {
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	w.WriteHeader(status)
	_, _ = w.Write(raw) // who asked may be dead
}

func (a *fakeAWS) answer(in request) (status int, raw []byte, hangs bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, in.name())
	what := serve
	if a.judge != nil {
		what = a.judge(len(a.calls), in.name())
	}
	if what == hangBefore {
		return 0, nil, true
	}
	if ec2, is := a.ports[in.service].(addresses); is {
		return http.StatusOK, ec2.answer(in.input), false
	}
	status, raw = in.call(a.ports[in.service])
	if a.spoil != nil {
		raw = a.spoil(in.name(), raw)
	}
	return status, raw, what == hangAfter
}

func (a *fakeAWS) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cloud.Now().UTC()
}

// made returns the calls so far and forgets them.
func (a *fakeAWS) made() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.calls
	a.calls = nil
	return all
}

// messages are the bodies of what lies in a queue.
func (a *fakeAWS) messages(name string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, m := range a.cloud.SQS().Messages(name) {
		all = append(all, aws.ToString(m.Body))
	}
	return all
}

// item is an item of the table; nil if there is none.
func (a *fakeAWS) item(t *testing.T, pk, sk string) map[string]any {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.cloud.DynamoDB().Items(table) {
		all, _ := tree(reflect.ValueOf(i)).(map[string]any)
		if all["pk"].(map[string]any)["S"] == pk && all["sk"].(map[string]any)["S"] == sk {
			return all
		}
	}
	return nil
}

// held says whether somebody holds the lease of prod.
func (a *fakeAWS) held(t *testing.T) bool {
	t.Helper()
	return a.item(t, "reconcile#prod", "lease")["holder"] != nil
}

// failures is how many rounds of prod failed in a row.
func (a *fakeAWS) failures(t *testing.T) int {
	t.Helper()
	v, _ := a.item(t, "reconcile#prod", "lease")["failures"].(map[string]any)
	n, err := strconv.Atoi(fmt.Sprint(v["N"]))
	if err != nil {
		return 0
	}
	return n
}

// env is what Lambda gives a function of this account.
func (a *fakeAWS) env() []string {
	all := []string{
		"AWS_ENDPOINT_URL=" + a.URL, "AWS_REGION=" + region, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=" + canary, "AWS_SESSION_TOKEN=" + canary,
		"PLIMSOLL_ACCOUNT=" + account, "PLIMSOLL_TABLE=" + table, "PLIMSOLL_RECONCILE_QUEUE=" + a.urls["reconcile.fifo"], "PLIMSOLL_INGRESS_QUEUE=" + a.urls["ingress"],
	}
	if url := a.urls[registerQueue]; url != "" {
		all = append(all, "PLIMSOLL_REGISTER_QUEUE="+url)
	}
	return all
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// records is a batch as SQS gives it to Lambda, of messages m1, m2 and so on.
func records(bodies ...string) []byte {
	all := make([]string, len(bodies))
	for n, b := range bodies {
		all[n] = record(fmt.Sprintf("m%d", n+1), b)
	}
	return batch(all...)
}

func batch(records ...string) []byte {
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func record(id, body string) string {
	now := time.Now().UnixMilli()
	return fmt.Sprintf(`{"messageId":%q,"receiptHandle":"r","body":%q,"eventSource":"aws:sqs","awsRegion":%q,"attributes":{"SentTimestamp":"%d","ApproximateFirstReceiveTimestamp":"%d"}}`, id, body, region, now, now)
}

// text is an attribute that is a text.
func text(v ddbtypes.AttributeValue) string {
	s, _ := v.(*ddbtypes.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
