package scenario

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// shop is another cluster like that of a scenario, with names of its own.
func shop(s Scenario) Scenario {
	rename := func(name string) string { return "shop-" + strings.TrimPrefix(name, "prod-") }
	p := s.Policy
	p.Cluster, p.Hosts, p.Services = "shop", nil, map[string]policy.Service{}
	groups, services := s.Groups, s.Services
	s.Groups, s.Services = nil, nil
	for n, g := range groups {
		h := s.Policy.Hosts[n]
		g.Name, h.Group = rename(g.Name), rename(h.Group)
		s.Groups, p.Hosts = append(s.Groups, g), append(p.Hosts, h)
	}
	for _, v := range services {
		p.Services[rename(v.Name)] = s.Policy.Services[v.Name]
		v.Name = rename(v.Name)
		s.Services = append(s.Services, v)
	}
	s.Policy = p
	return s
}

// even is the world of the contention: the load of web doubles for ten minutes.
// What comes by chance elsewhere always takes the same time, for two clusters
// share its draws, and the loads ask for counts that no tolerance blurs.
func even() Scenario {
	s := stepped(0, 24*time.Minute)
	load := &s.Services[0].Load.Shape
	load.Base, load.Crowds = 20.3, load.Crowds[:1]
	load.Crowds[0].Rate = 20.2
	fixed := func(d time.Duration) Spread {
		return Spread{Median: policy.Duration{Duration: d}, P95: policy.Duration{Duration: d}}
	}
	for n := range s.Groups {
		s.Groups[n].Boot = fixed(80 * time.Second)
	}
	for n := range s.Services {
		s.Services[n].StartUp = fixed(8 * time.Second)
	}
	return s
}

// sick are ports that answer an error to each call about the cluster shop.
type (
	sickECS struct {
		clusterside.ECS
		err error
	}
	sickGroups struct {
		clusterside.AutoScaling
		err error
	}
	sickDB struct {
		store.DynamoDB
		err error
	}
)

func (e sickECS) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	if aws.ToString(in.Cluster) == "shop" {
		return nil, e.err
	}
	return e.ECS.DescribeServices(ctx, in)
}

func (e sickECS) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	if aws.ToString(in.Cluster) == "shop" {
		return nil, e.err
	}
	return e.ECS.UpdateService(ctx, in)
}

func (a sickGroups) LaunchInstances(ctx context.Context, in *autoscaling.LaunchInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error) {
	if strings.HasPrefix(*in.AutoScalingGroupName, "shop") {
		return nil, a.err
	}
	return a.AutoScaling.LaunchInstances(ctx, in)
}

func (d sickDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if strings.HasSuffix(text(in.Key, "pk"), "#shop") {
		return nil, d.err
	}
	return d.DynamoDB.UpdateItem(ctx, in)
}

// neighbours is what became of prod beside shop.
type neighbours struct {
	calls []changed // of prod alone
	waits []float64
	end   string
	wrong []string
	shop  int // changing calls about shop
}

// inWords is a changing call in words without the ids that chance makes; empty: it
// is none of ECS or Auto Scaling.
func inWords(w *world, input any) string {
	switch in := input.(type) {
	case *ecs.UpdateServiceInput:
		return fmt.Sprintf("%s wants %d", *in.Service, *in.DesiredCount)
	case *ecs.UpdateContainerInstancesStateInput:
		return fmt.Sprintf("a host of %s is %s", *in.Cluster, in.Status)
	case *autoscaling.LaunchInstancesInput:
		return fmt.Sprintf("%s gets %d", *in.AutoScalingGroupName, *in.RequestedCapacity)
	case *autoscaling.TerminateInstanceInAutoScalingGroupInput:
		return truthOfGroups(w.cloud.World().Groups()).groupOf(*in.InstanceId) + " loses one"
	default:
		return ""
	}
}

// beside runs prod beside shop, and does something to shop or to the account.
func beside(t *testing.T, spoil sabotage, also func(*world)) neighbours {
	t.Helper()
	s := even()
	other := shop(s)
	var out neighbours
	var w *world
	w, err := build(t.Context(), s, simcloud.Options{Start: s.Start, Seed: 8, Account: account, Region: region, Watch: func(c simcloud.Call) {
		switch what := inWords(w, c.Input); {
		case what == "":
		case strings.Contains(what, "shop"):
			out.shop++
		default:
			out.calls = append(out.calls, changed{c.At.Sub(s.Start), what})
		}
	}}, nil, spoil, other)
	if err != nil {
		t.Fatal(err)
	}
	defer w.cloud.Close()
	if also != nil {
		also(w)
	}
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Fatal(err)
	}
	history, err := w.history(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out.waits = w.waits(history)
	out.end, out.wrong = w.settled()
	return out
}

// Of two clusters in one controller one is in trouble for the whole run: the
// other's tasks wait no longer than beside a well one, and the same is done for
// it. What remains of a difference is a second of pacing here or there. With most
// seeds that second decides whether a count changes in this round or a later one,
// and what is done differs for good: the test's seed is one where it does not.
func TestAClusterInTroubleCostsTheOtherNothing(t *testing.T) {
	t.Parallel()
	well := beside(t, nil, nil)
	if len(well.waits) < 4 || well.shop < 8 || len(well.calls) < 8 || len(well.wrong) > 0 {
		t.Fatalf("%d waits, %d calls, %d of the other, %v", len(well.waits), len(well.calls), well.shop, well.wrong)
	}
	throttled := &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
	down := &smithy.GenericAPIError{Code: "ServiceUnavailable", Fault: smithy.FaultServer}
	for _, tt := range []struct {
		name  string
		quiet bool // nothing is done for shop
		spoil sabotage
		also  func(*world)
	}{
		{"every look is throttled", true, ports(func(_ *world, p *reconcile.Ports) { p.ECS = sickECS{p.ECS, throttled} }), nil},
		{"every look meets a service that is down", true, ports(func(_ *world, p *reconcile.Ports) { p.ECS = sickECS{p.ECS, down} }), nil},
		{"every launch is refused", false, ports(func(_ *world, p *reconcile.Ports) { p.AutoScaling = sickGroups{p.AutoScaling, throttled} }), nil},
		{"its items of the table cannot be written", true, ports(func(_ *world, p *reconcile.Ports) { p.DynamoDB = sickDB{p.DynamoDB, down} }), nil},
		{"its rounds panic", true, ports(func(_ *world, p *reconcile.Ports) { p.ECS = panicECS{p.ECS} }), nil},
		{"its lease is held by somebody who never lets go", true, nil, func(w *world) {
			w.cloud.Every(w.Start, 10*time.Second, func() bool { holdLease(w, "shop", w.cloud.Now().Add(time.Hour)); return true })
		}},
		{"its events come in storms", false, nil, func(w *world) {
			w.cloud.Every(w.Start.Add(14*time.Minute), 200*time.Millisecond, func() bool {
				shout(t, w, "shop")
				return w.cloud.Now().Before(w.Start.Add(20 * time.Minute))
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := beside(t, tt.spoil, tt.also)
			if tt.quiet != (got.shop == 0) {
				t.Errorf("%d calls for the one in trouble", got.shop)
			}
			got.like(t, well)
		})
	}
}

// like compares what became of prod, call by call and task by task.
func (n neighbours) like(t *testing.T, well neighbours) {
	const most = 4 * time.Second
	if fmt.Sprint(whatsOf(n.calls)) != fmt.Sprint(whatsOf(well.calls)) {
		t.Fatalf("what is done:\n%v\nbeside a well one:\n%v", n.calls, well.calls)
	}
	if n.end != well.end || len(n.wrong) > 0 || len(n.waits) != len(well.waits) {
		t.Fatalf("the end is %s%v want %s; %d waits, want %d", n.end, n.wrong, well.end, len(n.waits), len(well.waits))
	}
	calls, waits := time.Duration(0), time.Duration(0)
	for i, c := range n.calls {
		calls = max(calls, c.at-well.calls[i].at)
	}
	for i, s := range n.waits {
		waits = max(waits, time.Duration((s-well.waits[i])*float64(time.Second)))
	}
	t.Logf("%d calls, at most %s later; %d tasks wait, at most %s longer", len(n.calls), calls.Round(time.Millisecond), len(n.waits), waits.Round(time.Millisecond))
	if calls > most || waits > most {
		t.Errorf("more than %s", most)
	}
}

func whatsOf(calls []changed) []string { return calm{calls: calls}.whats() }

// panicECS panics where a look at shop begins.
type panicECS struct{ clusterside.ECS }

func (e panicECS) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	if aws.ToString(in.Cluster) == "shop" {
		panic("a bug")
	}
	return e.ECS.DescribeServices(ctx, in)
}

// holdLease is another's holding of a cluster's lease, from outside of any
// invocation.
func holdLease(w *world, clusterName string, until time.Time) {
	_, _ = w.cloud.DynamoDB().UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: item{"pk": &ddb.AttributeValueMemberS{Value: leaseKey(clusterName)}, "sk": &ddb.AttributeValueMemberS{Value: leaseItem}},
		UpdateExpression: aws.String("SET holder = :me, #u = :until ADD fence :one"), ExpressionAttributeNames: map[string]string{"#u": "until"},
		ExpressionAttributeValues: item{":me": &ddb.AttributeValueMemberS{Value: "thief"}, ":until": &ddb.AttributeValueMemberN{Value: fmt.Sprint(until.UnixMilli())}, ":one": &ddb.AttributeValueMemberN{Value: "1"}},
	})
}

// shout sends an event about a cluster, from outside of any invocation.
func shout(t *testing.T, w *world, clusterName string) {
	body := `{"version":"0","id":"x","detail-type":"ECS Service Action","source":"aws.ecs","account":"` + account + `","time":"2026-08-03T00:10:00Z","region":"` + region +
		`","resources":["arn:aws:ecs:` + region + ":" + account + ":service/" + clusterName + `/web"],"detail":{"eventType":"INFO","eventName":"SERVICE_STEADY_STATE","clusterArn":"arn:aws:ecs:` + region + ":" + account + ":cluster/" + clusterName + `","createdAt":"2026-08-03T00:10:00.000Z"}}`
	if _, err := w.cloud.SQS().SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String(body)}); err != nil {
		t.Error(err)
	}
}

// AWS counts an account's calls together. What another's hunger costs is measured
// here, not promised: who empties ECS's buckets for five minutes makes the cluster
// wait for as long, and nothing worse; its end is the same.
func TestWhatAnEmptyQuotaOfTheAccountCosts(t *testing.T) {
	t.Parallel()
	well := beside(t, nil, nil)
	for _, callers := range []int{2, 8} {
		turned := 0
		got := beside(t, nil, func(w *world) { hungry(t, w, callers, &turned) })
		for i, c := range got.calls {
			if i < len(well.calls) && c.at-well.calls[i].at > 5*time.Second {
				t.Logf("%d callers: %s after %s, beside a well neighbour %s after %s", callers, c.what, c.at.Round(time.Second), well.calls[i].what, well.calls[i].at.Round(time.Second))
			}
		}
		t.Logf("%d callers, turned away %d times: waits are %.0f s at the median and %.0f s at most; with the quota to itself %.0f and %.0f", callers, turned,
			percentile(got.waits, 0.5), percentile(got.waits, 1), percentile(well.waits, 0.5), percentile(well.waits, 1))
		if got.end != well.end || len(got.wrong) > 0 {
			t.Errorf("%d callers: the end is %s%v want %s", callers, got.end, got.wrong, well.end)
		}
	}
}

// hungry lets callers read as fast as answers come, from the fourth to the ninth
// minute, and counts how often they are turned away.
func hungry(t *testing.T, w *world, callers int, turned *int) {
	end := w.Start.Add(9 * time.Minute)
	err := w.cloud.Lambda().Register("hungry", func(ctx context.Context, _ []byte) ([]byte, error) {
		for w.cloud.Now().Before(end) {
			_, services := w.cloud.ECS().DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("shop"), Services: []string{"shop-web"}})
			_, hosts := w.cloud.ECS().ListContainerInstances(ctx, &ecs.ListContainerInstancesInput{Cluster: aws.String("shop")})
			if services != nil || hosts != nil {
				*turned++
			}
		}
		return nil, nil
	}, simcloud.FunctionConfig{Timeout: 15 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range callers {
		w.cloud.At(w.Start.Add(4*time.Minute), func() { _ = w.cloud.Lambda().Invoke("hungry", nil) })
	}
}
