package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithytime "github.com/aws/smithy-go/time"
	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// wakeOf is the body of a wake, as ingest makes it.
func wakeOf(of string) func(gen int) ([]byte, error) {
	return func(gen int) ([]byte, error) { return events.EncodeWake(events.Wake{Key: of, Gen: int64(gen)}) }
}

// receive is one batch of a queue, as Lambda polls it.
func (w world) receive(url string, most int32) []types.Message {
	w.Helper()
	return must[*sqs.ReceiveMessageOutput](w.T)(w.sqs().ReceiveMessage(w.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(url), MaxNumberOfMessages: most, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})).Messages
}

// count is how many messages a queue says it has: visible, delayed and in flight.
func (w world) count(url string) [3]int {
	w.Helper()
	names := []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesDelayed, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible}
	out := must[*sqs.GetQueueAttributesOutput](w.T)(w.sqs().GetQueueAttributes(w.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: names}))
	var all [3]int
	for i, n := range names {
		all[i] = must[int](w.T)(strconv.Atoi(out.Attributes[string(n)]))
	}
	return all
}

// hide makes a message come again after so many seconds: what Lambda's own time
// does to a message of a function that has died.
func (w world) hide(url string, m types.Message, seconds int32) {
	w.Helper()
	must[*sqs.ChangeMessageVisibilityOutput](w.T)(w.sqs().ChangeMessageVisibility(w.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds}))
}

// deliver invokes a function with one batch of a queue, as Lambda does: what the
// answer does not name as failed is deleted. It returns how many there were, and
// the failed ones.
func (w world) deliver(url string, most int32, door handler.Door) (int, []types.Message) {
	w.Helper()
	batch := w.receive(url, most)
	if len(batch) == 0 {
		return 0, nil
	}
	type record struct {
		MessageID  string            `json:"messageId"`
		Body       string            `json:"body"`
		Attributes map[string]string `json:"attributes"`
	}
	var in struct{ Records []record }
	for _, m := range batch {
		in.Records = append(in.Records, record{aws.ToString(m.MessageId), whole(aws.ToString(m.Body)), m.Attributes})
	}
	payload := must[[]byte](w.T)(json.Marshal(in))
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(must[[]byte](w.T)(door.Invoke(w.Context(), payload)), &out); err != nil {
		w.Fatal(err)
	}
	var failed []types.Message
	for _, m := range batch {
		if slices.ContainsFunc(out.BatchItemFailures, func(f struct{ ItemIdentifier string }) bool { return f.ItemIdentifier == aws.ToString(m.MessageId) }) {
			failed = append(failed, m)
			continue
		}
		must[*sqs.DeleteMessageOutput](w.T)(w.sqs().DeleteMessage(w.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle}))
	}
	return len(batch), failed
}

// ingest is the function that hears, over this account.
func (m memory) ingest(log *zap.Logger) handler.Door {
	c := ingest.Config{Account: account, Region: region, Table: tableName, Queues: m.waker.Queues, Ingress: m.Ingress}
	return ingest.New(ingest.Ports{DynamoDB: m.dynamodb(), SQS: m.sqs()}, c, policy.Set{testPolicy()}, log)
}

// reconcile is the function that steers, over this account.
func (m memory) reconcile(log *zap.Logger) handler.Door {
	ports := reconcile.Ports{ECS: m.ecs(), AutoScaling: m.autoscaling(), CloudWatch: m.cloudwatch(), DynamoDB: m.dynamodb(), SQS: m.sqs()}
	return reconcile.New(ports, rounds.Config{Table: tableName, Ingress: m.Ingress}, policy.Set{testPolicy()}, rounds.Edges{Clock: time.Now, Run: rounds.Concurrent, Wait: smithytime.SleepWithContext, Log: log})
}

// TestAKeyIsWokenOnceANumber: twenty at a time wake a key, before and after each
// of three looks.
func TestAKeyIsWokenOnceANumber(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	for look := range 3 {
		var failed sync.Map
		crowd(func(n int) {
			h := store.Heard{ARNs: []string{fmt.Sprintf("arn:%d", n)}}
			if err := m.waker.Wake(t.Context(), key, h, wakeOf(key)); err != nil {
				failed.Store(n, err)
			}
		})
		failed.Range(func(n, err any) bool { t.Errorf("wake %v: %v", n, err); return true })
		got := m.take(m.fifo)
		if len(got) != 1 {
			t.Fatalf("look %d: woken %d times", look, len(got))
		}
		w := must[events.Wake](t)(events.DecodeWake([]byte(aws.ToString(got[0].Body))))
		s := must[session](t)(m.open(aws.ToString(got[0].MessageId), nil))
		if w != (events.Wake{Key: key, Gen: int64(look)}) || s.Gen != look+1 || len(s.Dirty) != writers {
			t.Errorf("look %d: %+v, then number %d with %d ARNs", look, w, s.Gen, len(s.Dirty))
		}
		if _, err := s.Close(t.Context(), time.Time{}, 0, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestTooManyARNsAreAll(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	for part := range 3 {
		var arns []string
		for n := range 200 {
			arns = append(arns, fmt.Sprintf("arn:%d-%d", part, n))
		}
		if err := m.waker.Wake(t.Context(), key, store.Heard{ARNs: arns}, wakeOf(key)); err != nil {
			t.Fatal(err)
		}
	}
	s := must[session](t)(m.open("a", nil))
	if fmt.Sprint(s.Dirty) != "[all]" {
		t.Errorf("%d ARNs, %.80q", len(s.Dirty), s.Dirty)
	}
}

// TestABurstWaitsForOneMessage: what comes within Pace of a wake asks for one
// message with a delay, which is the one that ingest finds due.
func TestABurstWaitsForOneMessage(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	at := time.Now().Truncate(time.Millisecond)
	heard := func(after time.Duration) store.Heard {
		return store.Heard{ARNs: []string{"arn"}, Sent: at.Add(after), Received: at.Add(after)}
	}
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 1900 * time.Millisecond} {
		if err := m.waker.Wake(t.Context(), key, heard(after), wakeOf(key)); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.count(m.Ingress); got[0]+got[1] != 1 || len(m.take(m.fifo)) != 1 { // delayed, unless two seconds have passed
		t.Errorf("ingress has %v visible, delayed and in flight, want one", got)
	}
	due := must[bool](t)(m.waker.Due(t.Context(), key, at.Add(store.Pace)))
	other := must[bool](t)(m.waker.Due(t.Context(), key, at.Add(store.Pace+time.Millisecond)))
	if !due || other {
		t.Errorf("the message that waits is due: %t; another: %t", due, other)
	}
}

func TestARoundAsksForOneLook(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	rows := []struct {
		name string
		next time.Duration // 0: none
		want [3]int
	}{
		{"none is asked for", 0, [3]int{}},
		{"a look within a minute is a message with a delay", 30 * time.Second, [3]int{0, 1, 0}},
		{"a later one than the one under way is not asked for", 40 * time.Second, [3]int{0, 1, 0}},
		{"a sooner one is, and replaces it", 20 * time.Second, [3]int{0, 2, 0}},
		{"what is further away is the sweep's", time.Hour, [3]int{0, 2, 0}},
	}
	for _, r := range rows {
		s := must[session](t)(m.open("a", nil))
		var next time.Time
		if r.next > 0 {
			next = s.Now().Add(r.next)
		}
		if _, err := s.Close(t.Context(), next, 0, nil); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		if got := m.count(m.Ingress); got != r.want {
			t.Errorf("%s: %v visible, delayed and in flight, want %v", r.name, got, r.want)
		}
	}
}

// TestAGroupWaitsForItsFirstMessage: of one key one message is under way, of two
// keys two; a message that comes again is the same one.
func TestAGroupWaitsForItsFirstMessage(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	other := "reconcile#other"
	wake := func(of string) {
		t.Helper()
		if err := m.waker.Wake(t.Context(), of, store.Heard{}, wakeOf(of)); err != nil {
			t.Fatal(err)
		}
	}
	wake(key)
	first := m.receive(m.fifo, 1)
	m.raise(key)
	wake(key) // of the next number
	wake(other)
	second := m.receive(m.fifo, 10)
	if len(first) != 1 || len(second) != 1 || second[0].Attributes["MessageGroupId"] != other {
		t.Fatalf("%d, then %d messages: a group goes on while its first is under way", len(first), len(second))
	}
	m.hide(m.fifo, first[0], 0)
	again := m.receive(m.fifo, 1)
	if len(again) != 1 || aws.ToString(again[0].MessageId) != aws.ToString(first[0].MessageId) || again[0].Attributes["ApproximateReceiveCount"] != "2" {
		t.Errorf("came again as %+v, was %s", again, aws.ToString(first[0].MessageId))
	}
	must[*sqs.DeleteMessageOutput](t)(m.sqs().DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(m.fifo), ReceiptHandle: again[0].ReceiptHandle}))
	if next := m.receive(m.fifo, 10); len(next) != 1 || next[0].Attributes["MessageGroupId"] != key {
		t.Errorf("%d messages once the first is done", len(next))
	}
}

// raise ends a key's number, as a round does.
func (m memory) raise(of string) {
	m.Helper()
	s := must[*store.Session](m.T)(m.Open(m.Context(), of, "raise"))
	if _, err := s.Close(m.Context(), time.Time{}, 0, nil); err != nil {
		m.Fatal(err)
	}
}

// TestAPoisonedMessageLeavesAfterFiveTries, and the cluster's next one is heard.
func TestAPoisonedMessageLeavesAfterFiveTries(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	send := func(body, id string) {
		t.Helper()
		must[*sqs.SendMessageOutput](t)(m.sqs().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(m.fifo), MessageBody: aws.String(body), MessageGroupId: aws.String(key), MessageDeduplicationId: aws.String(id)}))
	}
	send("{nonsense", "1")
	send(string(must[[]byte](t)(wakeOf("reconcile#gone")(7))), "2")
	door := m.reconcile(zap.NewNop())
	for try := range 5 {
		n, failed := m.deliver(m.fifo, 1, door)
		if n != 1 || len(failed) != 1 {
			t.Fatalf("try %d: %d messages, %d failed", try+1, n, len(failed))
		}
		m.hide(m.fifo, failed[0], 0)
	}
	n, failed := m.deliver(m.fifo, 1, door)
	dead := m.receive(m.dlq, 10)
	if n != 1 || len(failed) != 0 || len(dead) != 1 || aws.ToString(dead[0].Body) != "{nonsense" {
		t.Errorf("then %d messages, %d failed, %d in the dead-letter queue", n, len(failed), len(dead))
	}
}

// TestAKeyThatIsHeldMakesItsMessageComeAgain: the lease turns another message
// away, which is reported as failed and not lost.
func TestAKeyThatIsHeldMakesItsMessageComeAgain(t *testing.T) {
	m := fresh(t).remember(time.Minute)
	holder := must[session](t)(m.open("somebody", nil))
	if err := m.waker.Wake(t.Context(), key, store.Heard{}, wakeOf(key)); err != nil {
		t.Fatal(err)
	}
	if n, failed := m.deliver(m.fifo, 1, m.reconcile(zap.NewNop())); n != 1 || len(failed) != 1 {
		t.Errorf("%d messages, %d failed", n, len(failed))
	}
	if got := m.count(m.fifo); got[0]+got[2] != 1 {
		t.Errorf("the queue has %v", got)
	}
	p, intents := one(1)
	if err := errors.Join(holder.Note(t.Context(), p, intents, []cluster.Intent{}), holder.Tell(t.Context(), intents[0])); err != nil {
		t.Errorf("the holder was disturbed: %v", err)
	}
}
