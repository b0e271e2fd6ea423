package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

const prod = "reconcile#prod"

// fixture is a table and queues in a simulated account, with a clock of its own.
type fixture struct {
	*testing.T
	Store
	cloud *simcloud.Cloud
	now   time.Time
	waker Waker
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, cloud: simcloud.New(simcloud.Options{Start: noon}), now: noon}
	s := types.ScalarAttributeTypeS
	_, err := f.cloud.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("plimsoll"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: s}, {AttributeName: aws.String("sk"), AttributeType: s}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
	})
	if err != nil {
		t.Fatal(err)
	}
	url := func(name string, attributes map[string]string) string {
		out, err := f.cloud.SQS().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.QueueUrl)
	}
	f.Store = Store{DB: f.cloud.DynamoDB(), Queue: f.cloud.SQS(), Table: "plimsoll", Ingress: url("ingress", nil), Clock: f.clock, Again: func(of string, at time.Time) ([]byte, error) {
		return []byte(of + " at " + at.Format(time.TimeOnly)), nil
	}}
	f.waker = Waker{DB: f.cloud.DynamoDB(), Queue: f.Queue, Table: "plimsoll", Queues: map[string]string{"reconcile": url("reconcile.fifo", map[string]string{"FifoQueue": "true"})}}
	return f
}

// clock is the test's, which the account's follows.
func (f *fixture) clock() time.Time {
	if f.now.After(f.cloud.Now()) {
		if err := f.cloud.Run(f.now); err != nil {
			f.Fatal(err)
		}
	}
	return f.now
}

func (f *fixture) open(holder string) *Session {
	f.Helper()
	o, err := f.Open(f.Context(), prod, holder)
	if err != nil {
		f.Fatal(err)
	}
	if err := o.Recall(f.Context()); err != nil {
		f.Fatal(err)
	}
	return o
}

func (f *fixture) close(o *Session, next time.Time, failure error) {
	f.Helper()
	if _, err := o.Close(f.Context(), next, 0, failure); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) bodies(queue string) []string {
	var all []string
	for _, m := range f.cloud.SQS().Messages(queue) {
		all = append(all, aws.ToString(m.Body))
	}
	return all
}

func (f *fixture) wake(arns ...string) {
	f.Helper()
	err := f.waker.Wake(f.Context(), prod, Heard{ARNs: arns}, func(gen int) ([]byte, error) { return fmt.Appendf(nil, "gen %d", gen), nil })
	if err != nil {
		f.Fatal(err)
	}
}

// closing is how Close ended for a session that lost its lease: it holds nothing.
func closing(held bool, err error) error {
	if held {
		return errors.New("a session without its lease says that it holds it")
	}
	return err
}

// conflicting meets another transaction a number of times.
type conflicting struct {
	DynamoDB
	left int
}

func (c *conflicting) meet() bool { c.left--; return c.left >= 0 }

func (c *conflicting) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if c.meet() {
		return nil, &types.TransactionConflictException{}
	}
	return c.DynamoDB.UpdateItem(ctx, in, o...)
}

func (c *conflicting) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if c.meet() {
		return nil, &types.TransactionCanceledException{CancellationReasons: []types.CancellationReason{{Code: aws.String("None")}, {Code: aws.String("TransactionConflict")}}}
	}
	return c.DynamoDB.TransactWriteItems(ctx, in, o...)
}

// reads is what WakeTable has and DynamoDB has not.
type reads interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
}

func TestAWriteThatMeetsAnotherIsTriedAgain(t *testing.T) {
	for met, want := range map[int]bool{0: true, 2: true, 3: false} {
		f := newFixture(t)
		o := f.open("a")
		db := &conflicting{DynamoDB: f.DB, left: met}
		f.waker.DB = struct {
			*conflicting
			reads
		}{db, f.cloud.DynamoDB()}
		err := f.waker.Wake(t.Context(), prod, Heard{ARNs: []string{"arn:a"}}, func(int) ([]byte, error) { return []byte("x"), nil })
		if (err == nil) != want {
			t.Errorf("a wake that met %d others: %v", met, err)
		}
		db.left, o.store.DB = met, db
		if err := o.Tell(t.Context(), cluster.Intent{ID: "x"}); (err == nil) != want {
			t.Errorf("a round's write that met %d others: %v", met, err)
		}
	}
}

func TestALeaseThatCannotBeGivenBackIsHeld(t *testing.T) {
	f := newFixture(t)
	o := f.open("a")
	o.store.DB = &conflicting{DynamoDB: f.DB, left: 9}
	if held, err := o.Close(t.Context(), time.Time{}, 0, nil); !held || err == nil {
		t.Errorf("held %t, %v", held, err)
	}
}

func TestWhoGetsALease(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration
		holder string
		closed bool
		want   error
	}{
		{"another message while it is held", time.Second, "b", false, ErrLeased},
		{"another message after it ended, within the clocks' skew", LeaseFor + SkewFor, "b", false, ErrLeased},
		{"another message once lease and skew are over", LeaseFor + SkewFor + time.Second, "b", false, nil},
		{"the same message that comes again, at once", time.Second, "a", false, nil},
		{"another message after it was given back", time.Second, "b", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			first := f.open("a")
			if tt.closed {
				f.close(first, time.Time{}, nil)
			}
			f.now = f.now.Add(tt.after)
			if _, err := f.Open(t.Context(), prod, tt.holder); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestWhoeverWasTakenOverWritesNothing(t *testing.T) {
	f := newFixture(t)
	first := f.open("a")
	second := f.open("a") // the message came again
	i := cluster.Intent{ID: "x", Change: cluster.Change{Subject: "service/web"}}
	for name, write := range map[string]func(*Session) error{
		"no": func(o *Session) error {
			return errors.Join(o.Note(t.Context(), plan.Plan{Memory: remembered()}, nil, nil), closing(o.Close(t.Context(), time.Time{}, 0, nil)))
		},
		"note":  func(o *Session) error { return o.Note(t.Context(), plan.Plan{}, []cluster.Intent{i}, nil) },
		"tell":  func(o *Session) error { return o.Tell(t.Context(), i) },
		"again": func(o *Session) error { return closing(o.Close(t.Context(), f.now.Add(20*time.Second), 0, nil)) },
		"close": func(o *Session) error { return closing(o.Close(t.Context(), time.Time{}, 0, nil)) },
	} {
		before := f.cloud.DynamoDB().Items("plimsoll")
		if err := write(first); !errors.Is(err, ErrFenced) && name != "note" || err == nil && name != "note" {
			t.Errorf("%s: %v", name, err)
		}
		if after := f.cloud.DynamoDB().Items("plimsoll"); !reflect.DeepEqual(before, after) {
			t.Errorf("%s wrote", name)
		}
	}
	if err := second.Tell(t.Context(), i); err != nil {
		t.Errorf("the holder cannot write: %v", err)
	}
	if len(f.bodies("ingress")) != 0 {
		t.Errorf("asked for another look: %q", f.bodies("ingress"))
	}
}

func TestARoundWhoseClockIsWrongGoesByDynamoDBs(t *testing.T) {
	for _, tt := range []struct {
		name      string
		wrong     time.Duration
		corrected bool
	}{
		{"a clock that is right", 0, false},
		{"a clock that is off by less than an answer tells", 1500 * time.Millisecond, false},
		{"a clock ahead", SkewFor / 2, true},
		{"a clock behind", -SkewFor / 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.Clock = func() time.Time { return noon.Add(tt.wrong) }
			o := f.open("a")
			if got := o.Now().Equal(noon); got != (tt.corrected || tt.wrong == 0) {
				t.Errorf("now is %s", o.Now())
			}
			if left := o.Left(); left != LeaseFor {
				t.Errorf("%s of the lease are left", left)
			}
		})
	}
}

// brokenQueue is a queue that is away.
type brokenQueue struct{ SQS }

func (brokenQueue) SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return nil, errors.New("the queue is away")
}

func TestALookThatCannotBeAskedForDoesNotKeepTheLease(t *testing.T) {
	f := newFixture(t)
	queue := f.Queue
	f.Queue = brokenQueue{}
	if held, err := f.open("a").Close(t.Context(), f.now.Add(20*time.Second), 0, nil); held || err == nil || !strings.Contains(err.Error(), "the queue is away") {
		t.Errorf("closed with %v", err)
	}
	f.Queue = queue
	f.close(f.open("b"), time.Time{}, nil)
}

func TestALookTakesWhatEventsLeftAndEndsTheirNumber(t *testing.T) {
	f := newFixture(t)
	f.wake("arn:b", "arn:a")
	f.wake("arn:a")
	f.wake()
	if got := f.bodies("reconcile.fifo"); !slices.Equal(got, []string{"gen 0"}) {
		t.Errorf("three events sent %q", got)
	}
	o := f.open("a")
	if o.Gen != 1 || !slices.Equal(o.Dirty, []string{"arn:a", "arn:b"}) {
		t.Errorf("gen %d, dirty %q", o.Gen, o.Dirty)
	}
	f.wake("arn:c")
	if got := f.bodies("reconcile.fifo"); !slices.Equal(got, []string{"gen 0", "gen 1"}) {
		t.Errorf("an event after the look sent %q", got)
	}
	f.close(o, time.Time{}, nil)
	if o := f.open("b"); o.Gen != 2 || !slices.Equal(o.Dirty, []string{"arn:c"}) {
		t.Errorf("gen %d, dirty %q", o.Gen, o.Dirty)
	}
}

func TestTooManyArnsBecomeAll(t *testing.T) {
	f := newFixture(t)
	var arns []string
	for n := range maxDirty + 1 {
		arns = append(arns, fmt.Sprint("arn:", n))
	}
	f.wake(arns[:maxDirty]...)
	f.wake(arns[maxDirty])
	if o := f.open("a"); !slices.Equal(o.Dirty, []string{"all"}) {
		t.Errorf("%d ARNs", len(o.Dirty))
	}
}

func TestAKeyOfAKindWithoutAQueueIsAnError(t *testing.T) {
	f := newFixture(t)
	err := f.waker.Wake(t.Context(), "register#x", Heard{}, func(int) ([]byte, error) { return nil, nil })
	if err == nil || !strings.Contains(err.Error(), `no queue for "register"`) {
		t.Error(err)
	}
}

func TestALongNameWakesToo(t *testing.T) {
	f := newFixture(t)
	long := "reconcile#" + strings.Repeat("c", 255)
	for range 2 {
		if err := f.waker.Wake(t.Context(), long, Heard{}, func(int) ([]byte, error) { return []byte("x"), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.bodies("reconcile.fifo")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestWhenAnotherLookIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		next    []time.Duration // of rounds at one instant, one after the other
		failure bool
		want    []string
	}{
		{"none is wanted", []time.Duration{0}, false, nil},
		{"one soon", []time.Duration{20 * time.Second}, false, []string{"12:00:20"}},
		{"one that the sweep covers", []time.Duration{61 * time.Second}, false, nil},
		{"a later one than the one under way", []time.Duration{20 * time.Second, 30 * time.Second}, false, []string{"12:00:20"}},
		{"a sooner one replaces it", []time.Duration{20 * time.Second, 10 * time.Second}, false, []string{"12:00:20", "12:00:10"}},
		{"a failed round backs off, doubling", []time.Duration{0}, true, []string{"12:00:05"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			for n, d := range tt.next {
				o := f.open(fmt.Sprint(n))
				var next time.Time
				if d > 0 {
					next = f.now.Add(d)
				}
				var failure error
				if tt.failure {
					failure = errors.New("throttled")
				}
				f.close(o, next, failure)
			}
			want := []string{}
			for _, at := range tt.want {
				want = append(want, prod+" at "+at)
			}
			if got := f.bodies("ingress"); len(got) != len(want) || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
				t.Errorf("asked %q, want %q", got, want)
			}
			if n := len(tt.want); n > 0 {
				at, _ := time.Parse(time.TimeOnly, tt.want[n-1])
				due := time.Date(2026, 8, 1, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
				for when, want := range map[time.Time]bool{due: true, due.Add(time.Second): false} {
					if got, err := f.waker.Due(t.Context(), prod, when); err != nil || got != want {
						t.Errorf("due at %s: %t, %v", when, got, err)
					}
				}
			}
		})
	}
}

// A message that a sooner one replaced is still under way. Where its time is
// wanted again it serves, and a second one is not sent: both would be live.
func TestALookThatIsWantedAgainHasOneMessage(t *testing.T) {
	f := newFixture(t)
	late := f.now.Add(50 * time.Second)
	for n, next := range []time.Time{late, f.now.Add(20 * time.Second), f.now.Add(10 * time.Second)} {
		f.close(f.open(fmt.Sprint(n)), next, nil)
	}
	f.now = f.now.Add(11 * time.Second)
	f.close(f.open("again"), late, nil)
	if due, err := f.waker.Due(t.Context(), prod, late); err != nil || !due {
		t.Errorf("due: %t, %v", due, err)
	}
	f.now = late.Add(time.Second)
	f.close(f.open("done"), f.now.Add(20*time.Second), nil)
	want := []string{"12:00:50", "12:00:20", "12:00:10", "12:01:11"}
	if got := f.bodies("ingress"); len(got) != len(want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	if i := f.open("look"); len(i.replaced) > 0 {
		t.Errorf("%v are kept", i.replaced)
	}
}

func TestThePaceOfAKeyIsWhatItsLastRoundSaid(t *testing.T) {
	type round struct {
		took, pace time.Duration
		failed     bool
	}
	for _, tt := range []struct {
		name   string
		rounds []round
		want   time.Duration
	}{
		{"none has said it", nil, 2 * time.Second},
		{"a small cluster: not less than two seconds", []round{{pace: 500 * time.Millisecond}}, 2 * time.Second},
		{"in whole seconds, so that a page more does not change it", []round{{pace: 9900 * time.Millisecond}}, 9 * time.Second},
		{"not more than the sweep's minute", []round{{pace: time.Hour}}, time.Minute},
		{"a round without a look leaves it", []round{{pace: 9 * time.Second}, {}}, 9 * time.Second},
		{"it falls when looks get cheaper", []round{{pace: 9 * time.Second}, {pace: time.Second}}, 2 * time.Second},
		{"a failed round: until its back-off is over", []round{{took: 10 * time.Second, failed: true}}, 15 * time.Second},
		{"a failed round does not hasten anything", []round{{pace: 30 * time.Second}, {failed: true}}, 30 * time.Second},
		{"two failed rounds", []round{{failed: true}, {took: time.Second, failed: true}}, 11 * time.Second},
		{"a success after failures", []round{{failed: true}, {failed: true}, {pace: 3 * time.Second}}, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			for n, r := range tt.rounds {
				o := f.open(fmt.Sprint(n))
				f.now = f.now.Add(r.took)
				var failure error
				if r.failed {
					failure = errors.New("throttled")
				}
				if _, err := o.Close(t.Context(), time.Time{}, r.pace, failure); err != nil {
					t.Fatal(err)
				}
			}
			i, err := f.waker.read(t.Context(), prod)
			if got := paceOf(i); err != nil || got != tt.want {
				t.Errorf("%s, want %s, %v", got, tt.want, err)
			}
		})
	}
}

func TestBackOffGrowsAndASuccessEndsIt(t *testing.T) {
	f := newFixture(t)
	var waits []time.Duration
	fail := func() {
		o := f.open("m")
		waits = append(waits, o.backOff())
		f.close(o, time.Time{}, errors.New("down"))
		f.now = f.now.Add(2 * time.Minute)
	}
	for range 6 {
		fail()
	}
	f.close(f.open("m"), time.Time{}, nil)
	fail()
	if fmt.Sprint(waits) != "[5s 10s 20s 40s 1m0s 1m0s 5s]" {
		t.Errorf("waits %v", waits)
	}
}

// remembered is a memory with one of everything.
func remembered() cluster.Memory {
	return cluster.Memory{
		Services: map[string]cluster.ServiceMemory{"web": {Target: 4, Running: []cluster.Sample{{At: noon, Count: 3}}}},
		Groups:   map[string]cluster.GroupMemory{"g": {Offers: cluster.Resources{CPU: 1, Memory: 2}, Tries: map[string]int{"a": 2}}},
		Hosts:    map[string]cluster.HostMemory{"i-1": {EmptySince: noon}},
		Places:   map[cluster.Subject]cluster.PlaceMemory{"targets/web": {Tries: 1, At: noon, Until: noon}, "registry/names": {Tries: 2, At: noon}},
	}
}

func TestWhatARoundNotesTheNextOneRecalls(t *testing.T) {
	f := newFixture(t)
	o := f.open("a")
	change := cluster.Change{Verb: cluster.SetDesiredCount, Subject: "service/web", From: 3, To: 4}
	p := plan.Plan{Memory: remembered(), Decisions: []plan.Decision{{Subject: "service/web", From: 3, To: 4, Reason: plan.AboveTarget, Numbers: []plan.Number{{Name: "cpu", Value: 82}}, Changes: []cluster.Change{change}}}}
	later := cluster.Intent{ID: "k#1#1", Change: change, At: noon.Add(time.Second)}
	first := cluster.Intent{ID: "k#1#0", Change: change, At: noon}
	if err := o.Note(t.Context(), p, []cluster.Intent{later, first}, nil); err != nil {
		t.Fatal(err)
	}
	item := f.item("now#open#k#1#0")
	if !strings.Contains(textOf(item, "decision"), `"aboveTarget"`) || !strings.Contains(textOf(item, "decision"), `82`) {
		t.Errorf("an intent's item lacks its decision: %s", textOf(item, "decision"))
	}
	f.close(o, time.Time{}, nil)
	o = f.open("b")
	if !reflect.DeepEqual(o.Memory, p.Memory) {
		t.Errorf("recalled %+v\nwant %+v", o.Memory, p.Memory)
	}
	if len(o.Intents) != 2 || o.Intents[0].ID != "k#1#0" || o.Intents[0].Change != change || !o.Intents[0].Open() {
		t.Errorf("intents %+v", o.Intents)
	}
	applied, refused := o.Intents[0], o.Intents[1]
	applied.Outcome, refused.Outcome = cluster.OutcomeApplied, cluster.OutcomeRefused
	for _, i := range []cluster.Intent{applied, refused} {
		if err := o.Tell(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	f.close(o, time.Time{}, nil)
	o = f.open("c")
	if len(o.Intents) != 2 || o.Intents[0].Outcome != cluster.OutcomeApplied || o.Intents[1].Outcome != cluster.OutcomeRefused {
		t.Errorf("told %+v", o.Intents)
	}
	applied.Outcome = cluster.OutcomeShown
	if err := o.Note(t.Context(), plan.Plan{}, nil, []cluster.Intent{applied, refused}); err != nil {
		t.Fatal(err)
	}
	f.close(o, time.Time{}, nil)
	if o = f.open("d"); len(o.Intents) != 0 || len(o.Memory.Services)+len(o.Memory.Groups)+len(o.Memory.Hosts) != 0 {
		t.Errorf("ended intents are open, or what was forgotten is recalled: %+v %+v", o.Intents, o.Memory)
	}
}

func (f *fixture) item(sk string) item {
	f.Helper()
	for _, i := range f.cloud.DynamoDB().Items("plimsoll") {
		if textOf(i, "sk") == sk {
			return i
		}
	}
	f.Fatalf("no item %s", sk)
	return nil
}

func TestANoIsSaidOnceAndCounted(t *testing.T) {
	f := newFixture(t)
	said := []plan.Decision{
		{Subject: "service/web", From: 4, To: 4, Reason: plan.WithinTolerance},
		{Subject: "service/web", From: 4, To: 4, Reason: plan.WithinTolerance, Numbers: []plan.Number{{Name: "cpu", Value: 61}}},
		{Subject: "service/web", From: 4, To: 4, Reason: plan.WithinTolerance},
		{Subject: "service/web", From: 4, To: 5, Reason: plan.AboveTarget, Changes: []cluster.Change{{Subject: "service/web"}}},
		{Subject: "service/web", From: 5, To: 5, Reason: plan.WithinTolerance},
		{Subject: "service/web", From: 5, To: 5, Reason: plan.WithinTolerance},
	}
	for _, d := range said {
		o := f.open("m")
		if err := o.Note(t.Context(), plan.Plan{Decisions: []plan.Decision{d}, Memory: remembered()}, nil, nil); err != nil {
			t.Fatal(err)
		}
		f.close(o, time.Time{}, nil)
		f.now = f.now.Add(time.Minute)
	}
	history, err := f.History(t.Context(), prod)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range history {
		got = append(got, fmt.Sprintf("%s %s %d until %s", e.At.Format("15:04"), e.Decision.Reason, e.Count, e.Until.Format("15:04")))
	}
	want := []string{"12:00 withinTolerance 3 until 12:03", "12:03 aboveTarget 1 until 12:03", "12:04 withinTolerance 2 until 12:05"}
	if !slices.Equal(got, want) {
		t.Errorf("history %q\nwant %q", got, want)
	}
}

// counting lets the n-th transaction fail.
type counting struct {
	DynamoDB
	transactions int
	updates      int
	failAt       int
}

func (c *counting) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	c.updates++
	return c.DynamoDB.UpdateItem(ctx, in, o...)
}

func (c *counting) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	c.transactions++
	if c.transactions == c.failAt {
		return nil, errors.New("the table is away")
	}
	return c.DynamoDB.TransactWriteItems(ctx, in, o...)
}

func TestALargePlanIsNotedInPartsWithTheIntentsFirst(t *testing.T) {
	f := newFixture(t)
	db := &counting{DynamoDB: f.DB, failAt: 3}
	f.DB = db
	p := plan.Plan{Memory: cluster.Memory{Services: map[string]cluster.ServiceMemory{}}}
	var intents []cluster.Intent
	for n := range 150 {
		name := fmt.Sprintf("s%03d", n)
		p.Memory.Services[name] = cluster.ServiceMemory{Target: n + 1}
		p.Decisions = append(p.Decisions, plan.Decision{Subject: cluster.ServiceSubject(name), Reason: plan.AtMaximum})
		intents = append(intents, cluster.Intent{ID: name, Change: cluster.Change{Subject: cluster.ServiceSubject(name)}})
	}
	o := f.open("a")
	if err := o.Note(t.Context(), p, intents, nil); err == nil {
		t.Fatal("a failed part is no error")
	}
	open := 0
	for _, i := range f.cloud.DynamoDB().Items("plimsoll") {
		if strings.HasPrefix(textOf(i, "sk"), "now#open#") {
			open++
		}
	}
	if open != 150 {
		t.Errorf("%d of 150 intents were in the first two parts", open)
	}
	db.failAt = 0
	f.close(o, time.Time{}, nil)
	o = f.open("b")
	if err := o.Note(t.Context(), p, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.close(o, time.Time{}, nil)
	if o = f.open("c"); len(o.Memory.Services) != 150 {
		t.Errorf("%d services recalled", len(o.Memory.Services))
	}
}

// quiet is a session whose note is still to be written, and the table that it
// writes to.
func (f *fixture) quiet(holder string) (*Session, *counting) {
	f.Helper()
	o := f.open(holder)
	db := &counting{DynamoDB: f.cloud.DynamoDB()}
	o.store.DB = db
	p := plan.Plan{Memory: remembered(), Decisions: []plan.Decision{{Subject: "service/web", From: 4, To: 4, Reason: plan.WithinTolerance}}}
	if err := o.Note(f.Context(), p, nil, nil); err != nil {
		f.Fatal(err)
	}
	return o, db
}

func TestANoteThatNoCallFollowsIsWrittenAsTheLeaseIsGivenBack(t *testing.T) {
	for name, failure := range map[string]error{"a round that did well": nil, "a round that failed afterwards": errors.New("down")} {
		f := newFixture(t)
		o, db := f.quiet("a")
		if db.transactions+db.updates > 0 {
			t.Errorf("%s: a call before the end", name)
		}
		if failure == nil {
			o.nextAt = f.now.Add(time.Minute) // nothing is to be asked for
		}
		f.close(o, f.now.Add(time.Minute), failure)
		if failure == nil && (db.transactions != 1 || db.updates > 0) {
			t.Errorf("%s: %d transactions and %d updates", name, db.transactions, db.updates)
		}
		if o = f.open("b"); !reflect.DeepEqual(o.Memory, remembered()) || o.failures > 0 != (failure != nil) {
			t.Errorf("%s: recalled %+v after %d failures", name, o.Memory, o.failures)
		}
	}
}

func TestARoundWhoseNoteIsNotTakenFailsAndKeepsNoLease(t *testing.T) {
	for name, spoil := range map[string]func(*fixture, *counting){
		"the table is away for a moment": func(_ *fixture, db *counting) { db.failAt = 1 },
		"somebody else wrote a subject's item": func(f *fixture, _ *counting) {
			_, err := f.cloud.DynamoDB().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("plimsoll"), Key: key(prod, "now#about#service/web"),
				UpdateExpression: aws.String("SET version = :v"), ExpressionAttributeValues: item{":v": number(9)},
			})
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		f := newFixture(t)
		o, db := f.quiet("a")
		spoil(f, db)
		held, err := o.Close(t.Context(), time.Time{}, 0, nil)
		if held || err == nil {
			t.Errorf("%s: held %t, %v", name, held, err)
		}
		if got := f.bodies("ingress"); len(got) != 1 || got[0] != prod+" at 12:00:05" {
			t.Errorf("%s: asked for %q", name, got)
		}
		if o, err = f.Open(t.Context(), prod, "b"); err != nil || o.failures != 1 {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func TestALargePlanWithoutIntentsIsNotedAtOnce(t *testing.T) {
	f := newFixture(t)
	o := f.open("a")
	p := plan.Plan{Memory: cluster.Memory{Services: map[string]cluster.ServiceMemory{}}}
	for n := range chunk + 1 {
		p.Memory.Services[fmt.Sprint(n)] = cluster.ServiceMemory{Target: n + 1}
	}
	if err := o.Note(t.Context(), p, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.close(o, time.Time{}, nil)
	if o = f.open("b"); len(o.Memory.Services) != chunk+1 {
		t.Errorf("%d services recalled", len(o.Memory.Services))
	}
}

func TestMemoryOfAKindThatNobodyKnowsIsAnError(t *testing.T) {
	m := cluster.Memory{}
	if err := remember(&m, "ship/x", json.RawMessage("{}")); err == nil {
		t.Error("taken")
	}
}
