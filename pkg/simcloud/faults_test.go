package simcloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// faulty is a world with a little of everything: hosts, a service, an alarm, a
// queue that rules feed, a table, and a function that a test calls.
type faulty struct {
	*ecsBench
	q, dead *queue
	got     []string // bodies that the function heard
	ids     []string // their message ids
	ends    map[string]int
	longest time.Duration                   // that an invocation took
	do      func(ctx context.Context) error // what an invocation of probe does
	err     error                           // of the last
}

func newFaulty(t *testing.T) *faulty {
	b := newECSBench(t, 1)
	w := &faulty{ecsBench: b, ends: map[string]int{}}
	w.dead = makeQueue(t, b.c, "dead", nil)
	w.q = makeQueue(t, b.c, "ingress", map[string]string{"VisibilityTimeout": "90", "RedrivePolicy": `{"deadLetterTargetArn":"` + w.dead.arn + `","maxReceiveCount":1}`})
	b.must(b.c.EventBridge().PutRule(Rule{Name: "all", EventPattern: `{"source":[{"prefix":"aws."}]}`}))
	b.must(b.c.EventBridge().PutTargets("all", Target{ID: "q", ARN: w.q.arn}))
	b.must(b.c.Lambda().Register("hear", w.hear, FunctionConfig{Timeout: time.Minute}))
	b.must(b.c.Lambda().Register("probe", w.probe, FunctionConfig{Timeout: time.Minute}))
	b.must(b.c.Lambda().Map(EventSource{Queue: "ingress", Function: "hear", ReportBatchItemFailures: true}))
	b.c.Lambda().OnInvocation(func(i Invocation) {
		w.ends[i.Function+" "+outcome(i.Err)]++
		w.longest = max(w.longest, i.Took)
	})
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	b.create("web", 4, nil)
	_, err := b.c.DynamoDB().CreateTable(b.ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("tab"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
	})
	b.must(err)
	_, err = b.c.CloudWatch().PutMetricAlarm(b.ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("hot"), Namespace: aws.String("N"), MetricName: aws.String("M"), Statistic: cwtypes.StatisticAverage, Period: aws.Int32(60),
		EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(70), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
	})
	b.must(err)
	b.c.Every(epoch.Add(time.Minute), time.Minute, func() bool {
		b.c.publish("N", "M", nil, b.c.Now().Add(-time.Minute), time.Minute, 10)
		return true
	})
	b.pass(5 * time.Minute)
	w.got, w.ids, w.ends = nil, nil, map[string]int{}
	t.Cleanup(b.c.Close)
	return w
}

func (w *faulty) hear(_ context.Context, raw []byte) ([]byte, error) {
	for _, r := range decodePayload(w.t.(*testing.T), raw).Records {
		w.got, w.ids = append(w.got, r.Body), append(w.ids, r.MessageID)
	}
	return nil, nil
}

func (w *faulty) probe(ctx context.Context, _ []byte) ([]byte, error) {
	w.err = w.do(ctx)
	return nil, w.err
}

// run lets an invocation of probe do something, n times.
func (w *faulty) run(n int, do func(ctx context.Context) error) {
	w.t.Helper()
	w.do = do
	for range n {
		w.c.after(0, func() { w.c.Lambda().invoke(w.c.Lambda().functions["probe"], nil, func([]byte, error) {}) })
		w.pass(time.Minute)
	}
}

func (w *faulty) write(ctx context.Context) error {
	_, err := w.c.DynamoDB().UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p"}), UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: avs(anyMap{":one": 1})})
	return err
}

// written is how often write took effect.
func (w *faulty) written() string {
	for _, i := range w.c.DynamoDB().Items("tab") {
		return i["n"].(*types.AttributeValueMemberN).Value
	}
	return "0"
}

func (w *faulty) emits(source string, n int) {
	for range n {
		w.c.emit(source, "Thing", []string{"arn:aws:ecs:eu-west-1:111122223333:cluster/c"}, map[string]any{"a": "b", "list": []int{1, 2, 3}, "more": map[string]string{"k": "v", "l": "w"}})
	}
}

// TestFaultsDoWhatTheySay looks at one figure of a world with each fault at rate
// 1, and without it.
func TestFaultsDoWhatTheySay(t *testing.T) {
	for _, tt := range faultRows() {
		t.Run(tt.fault+": "+tt.name, func(t *testing.T) {
			for _, on := range []bool{false, true} {
				w := newFaulty(t)
				want, rate := tt.off, 0.0
				if on {
					want, rate = tt.on, 1
				}
				must(t, w.c.Faults().Set(tt.fault, rate))
				if got := fmt.Sprint(tt.look(w)); got != want {
					t.Errorf("rate %v: %s, want %s", rate, got, want)
				}
				// A row of one value both ways shows what the fault leaves alone.
				if struck := w.c.Faults().Struck(); on && tt.on != tt.off && struck[tt.fault] == 0 || len(struck) > int(rate) {
					t.Errorf("rate %v: struck %v", rate, struck)
				}
			}
		})
	}
	for _, k := range slices.Concat(FaultKinds(), TargetFaultKinds()) {
		if !slices.ContainsFunc(faultRows(), func(r faultRow) bool { return r.fault == k.Name }) {
			t.Errorf("no row for %s", k.Name)
		}
		if k.Does == "" || k.Rate == "" || k.Class < 1 || k.Class > 40 || !(k.Usual > 0 && k.Usual <= 1) {
			t.Errorf("%s is described badly: %+v", k.Name, k)
		}
	}
}

type faultRow struct {
	name, fault, off, on string
	look                 func(w *faulty) any
}

func faultRows() []faultRow {
	return append(deliveryRows(), append(callRows(), append(worldRows(), targetRows()...)...)...)
}

func deliveryRows() []faultRow {
	heard := func(source string, within time.Duration) func(w *faulty) any {
		return func(w *faulty) any {
			w.emits(source, 20)
			w.pass(within)
			things := slices.DeleteFunc(w.got, func(body string) bool { return !strings.Contains(body, `"Thing"`) })
			switch n := len(things); {
			case n == 0:
				return "none"
			case n < 20:
				return "some"
			case n == 20:
				return "all"
			default:
				return "more"
			}
		}
	}
	return []faultRow{
		{"an event comes more than once", faultEventDoubled, "all", "more", heard("aws.ecs", 10*time.Second)},
		{"some events take longer than any does", faultEventReordered, "all", "some", heard("aws.ecs", 10*time.Second)},
		{"but no longer than two minutes", faultEventReordered, "all", "all", heard("aws.ecs", 3*time.Minute)},
		{"no event comes within the minute", faultEventLate, "all", "none", heard("aws.ecs", time.Minute)},
		{"all have come after a day", faultEventLate, "all", "all", heard("aws.ecs", 25*time.Hour)},
		{"nothing comes of what ECS tells", faultEventLost, "all", "none", heard("aws.ecs", time.Hour)},
		{"what a schedule tells comes all the same", faultEventLost, "all", "all", heard("aws.events", time.Hour)},
		{"what EC2 tells is lost", faultBestEffortLost, "all", "none", heard("aws.ec2", time.Hour)},
		{"what ECS tells is not", faultBestEffortLost, "all", "all", heard("aws.ecs", time.Hour)},
		{"a message comes twice under one id", faultMessageDoubled, "5 times, 5 ids", "10 times, 5 ids", func(w *faulty) any {
			for n := range 5 {
				sendTo(w.t.(*testing.T), w.c, w.q, fmt.Sprint(n), "", "")
			}
			w.pass(2 * time.Minute)
			slices.Sort(w.ids)
			return fmt.Sprintf("%d times, %d ids", len(w.ids), len(slices.Compact(w.ids)))
		}},
		{"garbage arrives each minute", faultPoison, "0", "10", func(w *faulty) any {
			w.pass(10*time.Minute + 5*time.Second)
			return len(w.got)
		}},
		{"each event brings a forged one", faultForgedEvents, "20 as sent, 0 forged", "20 as sent, 20 forged", func(w *faulty) any {
			w.emits("aws.ecs", 20)
			w.pass(time.Minute)
			forged := 0
			for _, body := range w.got {
				if !strings.Contains(body, `"account":"111122223333"`) || !strings.Contains(body, "eu-west-1") || strings.Contains(body, "/foreign") || !strings.Contains(body, `"detail":{"a":"b","list":[1,2,3],"more":{"k":"v","l":"w"}}`) {
					forged++
				}
			}
			return fmt.Sprintf("%d as sent, %d forged", len(w.got)-forged, forged)
		}},
		{"the newest event comes ten thousand times, some time within hours", faultEventBurst, "never", "10000 times", func(w *faulty) any {
			w.emits("aws.ecs", 1)
			for range 6 * 60 {
				w.pass(time.Minute)
				if n := len(w.got) / 10000; n > 0 {
					return fmt.Sprint(n*10000, " times")
				}
			}
			return "never"
		}},
		{"dead letters come back, about once an hour", faultDeadRedriven, "0 times", "2 to 12 times in six hours", func(w *faulty) any {
			w.c.Every(w.c.now, time.Minute, func() bool { // one is dead at any time
				if len(w.dead.held) == 0 {
					w.dead.deliver(w.dead.keep(&message{id: "x", body: "late", sent: w.c.now, from: w.q.arn}), 0)
				}
				return true
			})
			w.pass(6 * time.Hour)
			n := len(slices.DeleteFunc(w.got, func(body string) bool { return body != "late" }))
			if n >= 2 && n <= 12 {
				return "2 to 12 times in six hours"
			}
			return fmt.Sprint(n, " times")
		}},
	}
}

func callRows() []faultRow {
	writes := func(w *faulty) any {
		w.run(4, w.write)
		return fmt.Sprintf("%s written, error %q", w.written(), codeOf(unwrapped(w.err)))
	}
	ten := func(w *faulty) any {
		w.run(20, func(ctx context.Context) error {
			for range 30 {
				if err := w.write(ctx); err != nil {
					return err
				}
			}
			procOf(ctx).sleep(15 * time.Second)
			return nil
		})
		w.pass(time.Minute)
		return fmt.Sprint(w.ends)
	}
	describe := func(w *faulty) any {
		w.run(1, func(ctx context.Context) error {
			out, err := w.c.ECS().DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"web"}})
			w.got = nil
			if err == nil {
				w.got = []string{fmt.Sprintf("%d services, %d failures", len(out.Services), len(out.Failures))}
			}
			return err
		})
		return fmt.Sprint(w.got, codeOf(unwrapped(w.err)))
	}
	return []faultRow{
		{"invocations are killed", faultFunctionKilled, "map[probe ok:20]", "map[probe killed:20]", ten},
		{"a call hangs until the time-out", faultFunctionTimeout, "map[probe ok:20]", "map[probe timeout:20]", ten},
		{"an invocation stands still for longer than a function may run, and goes on", faultFunctionPaused, "map[probe ok:20], in time", "map[probe ok:20], too long", func(w *faulty) any {
			ten(w)
			w.pass(10 * time.Minute)
			if w.longest > time.Minute {
				return fmt.Sprint(w.ends, ", too long")
			}
			return fmt.Sprint(w.ends, ", in time")
		}},
		{"a write is done and answers an error", faultAmbiguous, `4 written, error ""`, `4 written, error "InternalFailure"`, func(w *faulty) any {
			got := writes(w)
			return strings.Replace(fmt.Sprint(got), "timeout", "InternalFailure", 1)
		}},
		{"the table is down and nothing is written", faultTableDown, `4 written, error ""`, `0 written, error "InternalServerError"`, writes},
		{"another write is in the way", faultTableConflict, `4 written, error ""`, `0 written, error "TransactionConflictException"`, writes},
		{"another write is in the way of an item of a transaction, now of one and now of another", faultTableConflict, "0 cancelled", "20 cancelled, by the items 0 1 2 of 3", conflicts},
		{"a service answers 503", faultAPIDown, "[1 services, 0 failures]", "[]ServiceUnavailable", describe},
		{"an answer lacks what was asked for", faultDescribeCut, "[1 services, 0 failures]", "[0 services, 0 failures]", describe},
		{"an item is a failure", faultPartialFailure, "[1 services, 0 failures]", "[0 services, 1 failures]", describe},
		{"a host that fails is not drained", faultPartialFailure, "0 failures, DRAINING", "1 failures, ACTIVE", func(w *faulty) any {
			out, err := w.c.ECS().UpdateContainerInstancesState(w.ctx, &ecs.UpdateContainerInstancesStateInput{Cluster: aws.String("c"), ContainerInstances: []string{w.host(0).arn}, Status: ecstypes.ContainerInstanceStatusDraining})
			w.must(err)
			return fmt.Sprintf("%d failures, %s", len(out.Failures), w.host(0).status)
		}},
		{"of ten calls at once some are throttled", faultThrottling, "10 answered", "3 answered", func(w *faulty) any {
			n := 0
			w.run(1, func(ctx context.Context) error {
				return w.c.Gather(10)(ctx, 10, func(ctx context.Context, _ int) error {
					_, err := w.c.ECS().ListServices(ctx, &ecs.ListServicesInput{Cluster: aws.String("c")})
					if err == nil {
						n++
					}
					return nil
				})
			})
			return fmt.Sprint(n, " answered")
		}},
		{"reads right after a write show the old state", faultStaleReads, "0 old of 60", "most old of 60", staleLook},
		{"a clock is not everybody's", faultClockSkew, "0 off of 20", "20 off of 20, within 2m30s", func(w *faulty) any {
			off, most := 0, time.Duration(0)
			w.run(20, func(ctx context.Context) error {
				end, _ := ctx.Deadline()
				if d := w.c.Clock().Sub(w.c.Now()).Abs(); d > 0 {
					off, most = off+1, max(most, d)
				}
				if left := end.Sub(w.c.Clock()); left != time.Minute {
					return fmt.Errorf("%s left", left)
				}
				return nil
			})
			if w.err != nil {
				return w.err
			}
			if most > 0 && most <= 150*time.Second {
				return fmt.Sprintf("%d off of 20, within 2m30s", off)
			}
			return fmt.Sprintf("%d off of 20", off)
		}},
		{"the log takes no line", faultLogSink, "a line", "errSink", func(w *faulty) any {
			var out strings.Builder
			if _, err := w.c.Faults().Sink(&out).Write([]byte("a line")); errors.Is(err, errSink) {
				return out.String() + "errSink"
			}
			return out.String()
		}},
	}
}

// conflicts makes transactions of three items and says at which of them some were
// cancelled, if each was at one.
func conflicts(w *faulty) any {
	cancelled, at := 0, map[int]bool{}
	w.run(20, func(ctx context.Context) error {
		in := &dynamodb.TransactWriteItemsInput{}
		for n := range 3 {
			in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{TableName: aws.String("tab"), Item: avs(anyMap{"pk": fmt.Sprint(n)})}})
		}
		_, err := w.c.DynamoDB().TransactWriteItems(ctx, in)
		var many *types.TransactionCanceledException
		if !errors.As(err, &many) {
			return err
		}
		var codes []string
		for n, r := range many.CancellationReasons {
			codes = append(codes, *r.Code)
			if *r.Code == "TransactionConflict" {
				at[n] = true
			}
		}
		if slices.Sort(codes); fmt.Sprint(codes) == "[None None TransactionConflict]" {
			cancelled++
		}
		return nil
	})
	if len(at) == 0 {
		return fmt.Sprint(cancelled, " cancelled")
	}
	return fmt.Sprintf("%d cancelled, by the items %s of 3", cancelled, strings.Trim(fmt.Sprint(slices.Sorted(maps.Keys(at))), "[]"))
}

// unwrapped makes of the client's time-out an error with a code.
func unwrapped(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return apiError("timeout", "no answer")
	}
	return err
}

// A read of what has not changed for a minute is not stale, however old the state
// that it shows.
func TestAStaleReadStrikesOnlyWhatHasChanged(t *testing.T) {
	w := newFaulty(t)
	must(t, w.write(w.ctx))
	must(t, w.c.Faults().Set(faultStaleReads, 1))
	w.pass(5 * time.Minute)
	look := func(ctx context.Context) error {
		_, err1 := w.c.ECS().DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"web"}})
		_, err2 := w.c.DynamoDB().GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p"})})
		return errors.Join(err1, err2)
	}
	w.run(10, look)
	if n := w.c.Faults().Struck()[faultStaleReads]; n != 0 || w.err != nil {
		t.Errorf("nothing has changed, and %d reads are called stale (%v)", n, w.err)
	}
	w.run(10, func(ctx context.Context) error {
		must(t, w.write(ctx))
		return look(ctx)
	})
	if n := w.c.Faults().Struck()[faultStaleReads]; n != 10 || w.err != nil {
		t.Errorf("the table has changed ten times, and %d reads are called stale (%v)", n, w.err)
	}
}

// staleLook raises a count, launches a host and writes an item, again and again,
// and counts the reads right after that show the former state.
func staleLook(w *faulty) any {
	old := 0
	n := int32(4)
	w.run(20, func(ctx context.Context) error {
		n++
		w.must(w.c.World().SetDesiredByHand("c", "web", int(n)))
		w.must(w.c.fleet.setCapacity(w.c.fleet.group("g"), int(n)))
		if err := w.write(ctx); err != nil {
			return err
		}
		services, err1 := w.c.ECS().DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("c"), Services: []string{"web"}})
		groups, err2 := w.c.AutoScaling().DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
		key := avs(anyMap{"pk": "p"})
		item, err3 := w.c.DynamoDB().GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: key})
		sure, err4 := w.c.DynamoDB().GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: key, ConsistentRead: aws.Bool(true)})
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		for _, stale := range []bool{services.Services[0].DesiredCount != n, *groups.AutoScalingGroups[0].DesiredCapacity != n, !sameN(item.Item, sure.Item)} {
			if stale {
				old++
			}
		}
		if got := sure.Item["n"].(*types.AttributeValueMemberN).Value; got != w.written() {
			return fmt.Errorf("a consistent read shows %s of %s", got, w.written())
		}
		return nil
	})
	switch {
	case w.err != nil:
		return w.err
	case old > 40:
		return "most old of 60"
	default:
		return fmt.Sprint(old, " old of 60")
	}
}

func sameN(a, b attributes) bool {
	x, ok1 := a["n"].(*types.AttributeValueMemberN)
	y, ok2 := b["n"].(*types.AttributeValueMemberN)
	return ok1 && ok2 && x.Value == y.Value
}

func worldRows() []faultRow {
	changes := func(kind string, d time.Duration) func(w *faulty) any {
		return func(w *faulty) any {
			from := w.c.now
			w.pass(d)
			for _, c := range w.c.World().Changes(from, w.c.now) {
				if c.Kind == kind {
					return "yes"
				}
			}
			return "no"
		}
	}
	return []faultRow{
		{"an alarm changes its state for no cause", faultAlarmFlapping, "0", "more than 3", func(w *faulty) any {
			w.pass(30 * time.Minute)
			n := 0
			for _, body := range w.got {
				if strings.Contains(body, "CloudWatch Alarm State Change") {
					n++
				}
			}
			if n > 3 {
				return "more than 3"
			}
			return n
		}},
		{"a metric has no new values", faultMetricMissing, "new values", "none", func(w *faulty) any {
			from := w.c.now
			w.pass(20 * time.Minute)
			if at, ok := w.c.CloudWatch().Newest("N", "M", nil, time.Minute); ok && at.After(from.Add(10*time.Minute)) {
				return "new values"
			}
			return "none"
		}},
		{"no host is to be had", faultNoCapacity, "no", "yes", func(w *faulty) any {
			w.must(w.c.fleet.setCapacity(w.c.fleet.group("g"), 3))
			return changes("LaunchFailed", 5*time.Minute)(w)
		}},
		{"a zone is gone", faultZoneLost, "no", "yes", changes("ZoneLost", 2*time.Hour)},
		{"somebody ends hosts, or a group balances its zones", faultHostsEnded, "no", "yes", changes("ByHand", 2*time.Hour)},
		{"Spot hosts are interrupted", faultSpotInterrupted, "no", "yes", func(w *faulty) any {
			w.hosts("spots", 3, func(g *GroupSpec) { g.Spot = true })
			return changes("SpotNotice", 2*time.Hour)(w)
		}},
		{"agents restart", faultAgentRestarted, "no", "yes", changes("AgentLost", 2*time.Hour)},
		{"applications protect tasks", faultTaskProtected, "no", "yes", func(w *faulty) any {
			for range 120 {
				w.pass(time.Minute)
				for _, t := range w.f.clusters[0].services[0].tasks {
					if t.protected(w.c.now) {
						return "yes"
					}
				}
			}
			return "no"
		}},
		{"agents go", faultAgentDown, "no", "yes", changes("AgentLost", 2*time.Hour)},
		{"somebody meddles", faultByHand, "no", "yes", changes("ByHand", 5*time.Hour)},
		{"a task finds no place though there is room", faultPlacementFailure, "5 tasks", "4 tasks", func(w *faulty) any {
			w.scale("web", 5)
			w.pass(5 * time.Minute)
			s, _ := w.c.World().Service("c", "web")
			return fmt.Sprint(len(s.Tasks), " tasks")
		}},
	}
}

func TestAWrongFaultIsTold(t *testing.T) {
	c := newWorld(t, 1)
	for _, tt := range []struct {
		name, fault string
		rate        float64
		want        string
	}{
		{"one that does not exist names those that do", "rain", 1, "poison"},
		{"more than always", faultPoison, 1.1, "not 0 to 1"},
		{"less than never", faultPoison, -0.1, "not 0 to 1"},
	} {
		if err := c.Faults().Set(tt.fault, tt.rate); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestFaultsThatAreOffLeaveNoTrace compares a world whose faults were never
// touched with one in which each was switched on and off at the start.
func TestFaultsThatAreOffLeaveNoTrace(t *testing.T) {
	run := func(touch bool) string {
		w := newFaulty(t)
		if touch {
			for _, k := range FaultKinds() {
				must(t, w.c.Faults().Set(k.Name, 1))
				must(t, w.c.Faults().Set(k.Name, 0))
			}
		}
		w.scale("web", 9)
		w.run(30, w.write)
		return w.c.TraceHash()
	}
	if a, b := run(false), run(true); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

func TestASpellTakesItsShareOfTime(t *testing.T) {
	for _, rate := range []float64{0.1, 0.5, 0.9} {
		c := newWorld(t, 1)
		must(t, c.Faults().Set(faultAPIDown, rate))
		there, all := 0, 0
		c.Every(epoch, time.Minute, func() bool {
			all++
			if c.Faults().during(faultAPIDown, "ecs", time.Minute, 30*time.Minute) {
				there++
			}
			return true
		})
		pass(t, c, 60*24*time.Hour)
		if share := float64(there) / float64(all); share < rate-0.05 || share > rate+0.05 {
			t.Errorf("at the rate %v it was there for %.3f of the time", rate, share)
		}
	}
}

func TestCrashesAtACall(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		mode       CrashMode
		at         int
	}{
		{"none", "3 written, ok", CrashBefore, 0},
		{"killed before the second of three", "1 written, killed", CrashBefore, 2},
		{"killed after it", "2 written, killed", CrashAfter, 2},
		{"an error, though it was done", "2 written, error", CrashError, 2},
		{"it hangs", "2 written, timeout", CrashTimeout, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newFaulty(t)
			if tt.at > 0 {
				w.c.CrashAt(w.c.Boundaries()+tt.at, tt.mode)
			}
			w.run(1, func(ctx context.Context) error {
				defer func() {
					if !w.c.Alive() { // what a killed invocation does while it unwinds has no effect
						defer func() { _ = recover() }()
						_ = w.write(ctx)
					}
				}()
				for range 3 {
					if err := w.write(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			w.pass(time.Minute)
			var how string
			for end := range w.ends {
				how = strings.TrimPrefix(end, "probe ")
			}
			if got := w.written() + " written, " + how; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
