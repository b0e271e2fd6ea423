package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// writers is how many goroutines write to one key at a time.
const writers = 20

const key = "reconcile#" + clusterName

// table makes plimsoll's table as the deployment does.
func (w world) table() {
	w.Helper()
	s := types.ScalarAttributeTypeS
	must[*dynamodb.CreateTableOutput](w.T)(w.dynamodb().CreateTable(w.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(tableName), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: s}, {AttributeName: aws.String("sk"), AttributeType: s}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
	}))
	must[*dynamodb.UpdateTimeToLiveOutput](w.T)(w.dynamodb().UpdateTimeToLive(w.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName: aws.String(tableName), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(true)},
	}))
}

// memory is plimsoll's table with its queues.
type memory struct {
	world
	store.Store
	waker     store.Waker
	fifo, dlq string // URLs
}

// remember makes the table and the queues as the deployment does, with a FIFO
// visibility of its own.
func (w world) remember(visibility time.Duration) memory {
	w.Helper()
	w.table()
	dead := w.queue("reconcile-dead.fifo", map[string]string{"FifoQueue": "true"})
	fifo := w.queue("reconcile.fifo", map[string]string{
		"FifoQueue": "true", "VisibilityTimeout": strconv.Itoa(int(visibility / time.Second)),
		"RedrivePolicy": `{"deadLetterTargetArn":"` + queueARN("reconcile-dead.fifo") + `","maxReceiveCount":5}`,
	})
	in := w.queue("ingress", map[string]string{"VisibilityTimeout": "60"})
	return memory{
		world: w, fifo: fifo, dlq: dead,
		Store: store.Store{DB: w.dynamodb(), Queue: w.sqs(), Table: tableName, Ingress: in, Clock: time.Now, Again: events.LookAgain},
		waker: store.Waker{DB: w.dynamodb(), Queue: w.sqs(), Table: tableName, Queues: map[string]string{"reconcile": fifo}, Ingress: in, Again: events.LookAgain},
	}
}

// spied is the table as one session sees it. It remembers the session's fence,
// and may be spoilt.
type spied struct {
	store.DynamoDB
	fence int64
	pages int
	spoil func(condition **string) // of the lease
}

func (s *spied) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if s.spoil != nil && in.ConditionExpression != nil {
		s.spoil(&in.ConditionExpression)
	}
	out, err := s.DynamoDB.UpdateItem(ctx, in, o...)
	if n, ok := attribute(out, "fence").(*types.AttributeValueMemberN); ok {
		s.fence, _ = strconv.ParseInt(n.Value, 10, 64)
	}
	return out, err
}

func attribute(out *dynamodb.UpdateItemOutput, name string) types.AttributeValue {
	if out == nil {
		return nil
	}
	return out.Attributes[name]
}

func (s *spied) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if s.spoil != nil {
		s.spoil(&in.TransactItems[0].ConditionCheck.ConditionExpression)
	}
	return s.DynamoDB.TransactWriteItems(ctx, in, o...)
}

func (s *spied) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	s.pages++
	return s.DynamoDB.Query(ctx, in, o...)
}

// session is one that a goroutine of its own has.
type session struct {
	*store.Session
	table *spied
}

// open opens a session over a spied table. Spoil is nil but where a bug is planted.
func (m memory) open(holder string, spoil func(**string)) (session, error) {
	table := &spied{DynamoDB: m.DB, spoil: spoil}
	m.DB = table
	s, err := m.Open(m.Context(), key, holder)
	return session{s, table}, err
}

// one is a plan with one change, told apart by n, and its intent.
func one(n int) (plan.Plan, []cluster.Intent) {
	c := cluster.Change{Verb: cluster.SetDesiredCount, Subject: cluster.ServiceSubject(fmt.Sprint("s", n)), From: n, To: n + 1}
	p := plan.Plan{
		Decisions: []plan.Decision{{Subject: c.Subject, From: n, To: n + 1, Reason: plan.AboveTarget, Changes: []cluster.Change{c}}},
		Memory:    cluster.Memory{Services: map[string]cluster.ServiceMemory{}, Groups: map[string]cluster.GroupMemory{}, Hosts: map[string]cluster.HostMemory{}},
	}
	return p, []cluster.Intent{{ID: fmt.Sprint("i", n), Change: c, At: time.Now()}}
}

// crowd lets the writers go at one time and returns when all are done.
func crowd(do func(n int)) {
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() { do(n) })
	}
	all.Wait()
}

// contest is twenty messages that want one key, each until it had it once.
type contest struct {
	memory
	mu      sync.Mutex
	freed   *sync.Cond
	holding int
	fences  []int64 // in the order in which they were had
	broken  []string
}

func (c *contest) breaks(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// take opens the key, waiting for whoever has it.
func (c *contest) take(n int, spoil func(**string)) session {
	for {
		s, err := c.open(fmt.Sprint("message-", n), spoil)
		c.mu.Lock()
		if err == nil {
			c.holding++
			c.fences = append(c.fences, s.table.fence)
			c.mu.Unlock()
			return s
		}
		if c.holding > 0 && errors.Is(err, store.ErrLeased) {
			c.freed.Wait()
		}
		c.mu.Unlock()
		if !errors.Is(err, store.ErrLeased) {
			c.breaks("open: %v", err)
			return session{}
		}
	}
}

// run has every writer hold the key once, note an intent, tell its outcome and
// give the key back.
func (c *contest) run(spoil func(**string)) {
	c.freed = sync.NewCond(&c.mu)
	crowd(func(n int) {
		s := c.take(n, spoil)
		if s.Session == nil {
			return
		}
		p, intents := one(n)
		err := s.Note(c.Context(), p, intents, nil)
		c.mu.Lock()
		holding := c.holding
		c.mu.Unlock()
		if holding != 1 {
			c.breaks("%d hold the key at one time", holding)
		}
		intents[0].Outcome = cluster.OutcomeApplied
		err = errors.Join(err, s.Tell(c.Context(), intents[0]))
		c.mu.Lock()
		c.holding--
		c.mu.Unlock()
		if _, end := s.Close(c.Context(), time.Time{}, 0, nil); end != nil || err != nil {
			c.breaks("message %d: %v", n, errors.Join(err, end))
		}
		c.freed.Broadcast()
	})
	if len(slices.Compact(slices.Clone(c.fences))) != writers || !slices.IsSorted(c.fences) {
		c.breaks("the fences do not rise: %v", c.fences)
	}
}

func TestTwentyMessagesHaveALeaseOneAfterTheOther(t *testing.T) {
	c := &contest{memory: fresh(t).remember(time.Minute)}
	c.run(nil)
	for _, b := range c.broken {
		t.Error(b)
	}
	s := must[session](t)(c.open("reader", nil))
	if err := s.Recall(t.Context()); err != nil || len(s.Intents) != writers || s.Gen != writers+1 {
		t.Errorf("%d intents and number %d after %d rounds, %v", len(s.Intents), s.Gen, writers, err)
	}
	entries := must[[]store.Entry](t)(c.History(t.Context(), key))
	if len(entries) != 2*writers {
		t.Errorf("%d entries of history, want a decision and an intent of each of %d rounds", len(entries), writers)
	}
}

// TestALeaseWithoutItsConditionIsSeen: the contest sees a lease that is
// given away twice.
func TestALeaseWithoutItsConditionIsSeen(t *testing.T) {
	c := &contest{memory: fresh(t).remember(time.Minute)}
	c.run(func(condition **string) {
		if strings.HasPrefix(aws.ToString(*condition), "attribute_not_exists(holder)") {
			*condition = aws.String("attribute_not_exists(nobody) OR holder = :me OR #until < :past")
		}
	})
	if !slices.ContainsFunc(c.broken, func(b string) bool { return strings.Contains(b, "hold the key at one time") }) {
		t.Errorf("nobody noticed: %q", c.broken)
	}
}

// takeover has one message come twenty times at once: each delivery takes the
// lease over, then notes. It returns whose note was taken, by fence.
func (m memory) takeover(spoil func(**string)) (taken []int64, newest int64, broken []string) {
	var mu sync.Mutex
	opened := sync.WaitGroup{}
	opened.Add(writers)
	crowd(func(n int) {
		s, err := m.open("same", spoil)
		opened.Done()
		if err == nil {
			opened.Wait() // until all have had it: but one are fenced
			p, intents := one(n)
			err = s.Note(m.Context(), p, intents, nil)
		}
		mu.Lock()
		defer mu.Unlock()
		newest = max(newest, s.table.fence)
		switch {
		case err == nil:
			taken = append(taken, s.table.fence)
		case !errors.Is(err, store.ErrFenced):
			broken = append(broken, err.Error())
		}
	})
	return taken, newest, broken
}

func TestOnlyTheNewestFenceWrites(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	taken, newest, broken := m.takeover(nil)
	if newest != writers || fmt.Sprint(taken) != fmt.Sprintf("[%d]", writers) || len(broken) > 0 {
		t.Errorf("notes of the fences %v of %d were taken, %q", taken, newest, broken)
	}
	s := must[session](t)(m.open("same", nil))
	if err := s.Recall(t.Context()); err != nil || len(s.Intents) != 1 {
		t.Errorf("%d intents, want that of the newest fence alone, %v", len(s.Intents), err)
	}
	m = fresh(t).remember(time.Minute)
	taken, _, _ = m.takeover(func(condition **string) {
		if aws.ToString(*condition) == "holder = :me AND fence = :fence" {
			*condition = aws.String("holder = :me OR fence = :fence")
		}
	})
	if len(taken) < 2 {
		t.Errorf("a check that forgets the fence is not noticed: %v", taken)
	}
}

func TestALeaseIsFreeOnlyWhenItsEndIsSureToHavePassed(t *testing.T) {
	rows := []struct {
		name   string
		holder string
		after  time.Duration
		want   error
	}{
		{"another message, at once", "b", 0, store.ErrLeased},
		{"another message, when the lease is over by one clock", "b", store.LeaseFor + time.Second, store.ErrLeased},
		{"another message, when it is over by every clock", "b", store.LeaseFor + store.SkewFor + time.Second, nil},
		{"the same message, at once", "a", 0, nil},
	}
	for _, r := range rows {
		m := fresh(t).remember(time.Minute)
		must[session](t)(m.open("a", nil))
		m.Clock = func() time.Time { return time.Now().Add(r.after) }
		if _, err := m.open(r.holder, nil); !errors.Is(err, r.want) {
			t.Errorf("%s: %v, want %v", r.name, err, r.want)
		}
	}
}

func TestAClockThatIsWrongIsSetRightByTheAnswersDate(t *testing.T) {
	for _, wrong := range []time.Duration{0, -4 * time.Minute, 4 * time.Minute} {
		m := fresh(t).remember(time.Minute)
		m.Clock = func() time.Time { return time.Now().Add(wrong) }
		s := must[session](t)(m.open("a", nil))
		if off := time.Since(s.Now()).Abs(); off > 10*time.Second {
			t.Errorf("a clock that is %s off: what is written is %s off", wrong, off)
		}
	}
}

func TestANoteThatFailsWritesNothingAndSaysWhich(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	s := must[session](t)(m.open("a", nil))
	must[session](t)(m.open("a", nil)) // comes again
	p, intents := one(1)
	err := s.Note(t.Context(), p, intents, nil)
	var cancelled *types.TransactionCanceledException
	if !errors.Is(err, store.ErrFenced) || !errors.As(err, &cancelled) {
		t.Fatal(err)
	}
	var codes []string
	for _, r := range cancelled.CancellationReasons {
		codes = append(codes, aws.ToString(r.Code))
	}
	if codes[0] != "ConditionalCheckFailed" || slices.ContainsFunc(codes[1:], func(c string) bool { return c != "None" }) {
		t.Errorf("reasons %q", codes)
	}
	if entries := must[[]store.Entry](t)(m.History(t.Context(), key)); len(entries) != 0 {
		t.Errorf("written all the same: %+v", entries)
	}
}

func TestALargeNoteAndALongHistoryComeInParts(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	s := must[session](t)(m.open("a", nil))
	p, _ := one(0)
	p.Decisions = nil
	var intents []cluster.Intent
	for n := range 250 {
		_, i := one(n)
		i[0].Detail = strings.Repeat("x", 5000)
		intents = append(intents, i...)
	}
	if err := s.Note(t.Context(), p, intents, nil); err != nil {
		t.Fatal(err)
	}
	table := &spied{DynamoDB: m.DB}
	m.DB = table
	entries := must[[]store.Entry](t)(m.History(t.Context(), key))
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Intent.ID] = true
	}
	if len(seen) != 250 || len(entries) != 250 || table.pages < 3 { // 1.3 MB in pages of 1 MB, and a query for then#
		t.Errorf("%d entries of %d intents in %d pages", len(entries), len(seen), table.pages)
	}
}

func TestHistoryExpiresByTheAttributeThatTheTableKnows(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	s := must[session](t)(m.open("a", nil))
	p, intents := one(1)
	intents[0].Outcome = cluster.OutcomeSkipped
	if err := errors.Join(s.Note(t.Context(), p, intents, nil), s.Tell(t.Context(), intents[0])); err != nil {
		t.Fatal(err)
	}
	ttl := must[*dynamodb.DescribeTimeToLiveOutput](t)(m.dynamodb().DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(tableName)}))
	name := aws.ToString(ttl.TimeToLiveDescription.AttributeName)
	out := must[*dynamodb.ScanOutput](t)(m.dynamodb().Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(tableName)}))
	expiring := 0
	for _, i := range out.Items {
		past := strings.HasPrefix(i["sk"].(*types.AttributeValueMemberS).Value, "then#")
		n, has := i[name].(*types.AttributeValueMemberN)
		if past != has {
			t.Errorf("%v: expires %t, want %t", i["sk"], has, past)
		}
		if !has {
			continue
		}
		expiring++
		seconds, err := strconv.ParseInt(n.Value, 10, 64)
		if off := time.Until(time.Unix(seconds, 0)) - store.KeepFor; err != nil || off.Abs() > time.Minute {
			t.Errorf("expires in %s more than %s, %v", off, store.KeepFor, err)
		}
	}
	if expiring != 2 { // the decision, and the intent that is over
		t.Errorf("%d items expire of %d", expiring, len(out.Items))
	}
}
