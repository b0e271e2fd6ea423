package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// maxDirty is how many ARNs a wake item carries before it says: all of them.
const maxDirty = 500

// Pace and MaxPace bound the time from one wake to the next that an event causes:
// what comes sooner waits for its end, all together. What it is between them each
// round says for its key; before any has, it is the least.
const (
	Pace    = 2 * time.Second
	MaxPace = time.Minute
)

// paceFor is the pace for a time that rounds should be apart, in whole seconds,
// so that it does not change with each page of tasks.
func paceFor(d time.Duration) time.Duration {
	return max(Pace, min(d.Truncate(time.Second), MaxPace))
}

// paceOf is the pace of a wake item.
func paceOf(i item) time.Duration {
	return paceFor(time.Duration(numberOf(i, "pace")) * time.Millisecond)
}

// apart is how far two stamps of one queue may be out of order: SQS says of
// neither how exact it is.
const apart = time.Second

// Waker wakes keys: it is all of the store that ingest needs and may use.
type Waker struct {
	DB      WakeTable
	Queue   SQS
	Table   string
	Queues  map[string]string                             // FIFO queue's URL by the first part of a key, such as reconcile
	Ingress string                                        // URL of the ingress queue, for what waits
	Again   func(of string, at time.Time) ([]byte, error) // the message that asks for another look
}

// Heard is what is known of the events that ask for a look at a key.
type Heard struct {
	ARNs           []string  // concerned
	Sent, Received time.Time // the latest of each, by the stamps of the ingress queue; zero: wake at once
}

// Wake sends at most one message for all events that arrive before the key's
// next look: the message's deduplication id is the number that the look raises.
// body makes the message from that number. The ARNs concerned are left for the
// look.
//
// Events that arrived before the last wake are covered by its look, however late
// they are heard. Those that are heard within the key's pace of it wait until that
// is over, for one message that wakes for all of them. So a burst costs two rounds,
// and a lone event never waits. Both rules compare stamps of one queue with each other,
// never with a clock of ours; whatever is heard with zero times, as the sweep
// should be, is subject to neither.
func (w Waker) Wake(ctx context.Context, of string, h Heard, body func(gen int) ([]byte, error)) error {
	queue, ok := w.Queues[kindOf(of)]
	if !ok {
		return fmt.Errorf("wake %s: there is no queue for %q", of, kindOf(of))
	}
	i, err := w.mark(ctx, of, h.ARNs)
	if err != nil {
		return wrap("wake", of, err)
	}
	woken := timeOf(i, "woken")
	switch {
	case h.Sent.IsZero() || h.Received.IsZero() || woken.IsZero():
	case h.Sent.Add(apart).Before(woken):
		return nil
	case h.Received.Before(woken.Add(paceOf(i))):
		return w.later(ctx, of, h, i)
	}
	if err := w.send(ctx, of, queue, int(numberOf(i, "gen")), body); err != nil {
		return wrap("wake", of, err)
	}
	return w.woke(ctx, of, h.Received)
}

func (w Waker) send(ctx context.Context, of, queue string, gen int, body func(gen int) ([]byte, error)) error {
	message, err := body(gen)
	if err != nil {
		return err
	}
	_, err = w.Queue.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:               aws.String(queue),
		MessageBody:            aws.String(string(message)),
		MessageGroupId:         bounded(of),
		MessageDeduplicationId: bounded(of + "#" + strconv.Itoa(gen)),
	})
	return err
}

// woke notes that a look begins, or began, after the time of a stamp. Where two
// do so at once the earlier time may stay, which covers less.
func (w Waker) woke(ctx context.Context, of string, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	_, err := w.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(w.Table), Key: wakeKey(of),
		UpdateExpression:          aws.String("SET woken = :at"),
		ExpressionAttributeValues: item{":at": millis(at)},
	})
	if err != nil {
		return wrap("note the wake", of, err)
	}
	return nil
}

// later sees to it that one message asks again when the pace is over. It is sent
// before that is noted: who dies in between leaves a double, not a gap. The time
// noted only rises, so a message is dropped only for a later one; where the pace
// was longer when it was noted, what comes now waits for it too.
func (w Waker) later(ctx context.Context, of string, h Heard, i item) error {
	due := timeOf(i, "woken").Add(paceOf(i))
	if !timeOf(i, "lateAt").Before(due) {
		return nil
	}
	body, err := w.Again(of, due)
	if err != nil {
		return wrap("wake later", of, err)
	}
	delay := int32((due.Sub(h.Received) + time.Second - 1) / time.Second) //nolint:gosec // MaxPace and apart bound it
	_, err = w.Queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(w.Ingress), MessageBody: aws.String(string(body)), DelaySeconds: delay})
	if err != nil {
		return wrap("wake later", of, err)
	}
	_, err = w.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(w.Table), Key: wakeKey(of),
		UpdateExpression:          aws.String("SET lateAt = :due"),
		ConditionExpression:       aws.String("attribute_not_exists(lateAt) OR lateAt < :due"),
		ExpressionAttributeValues: item{":due": millis(due)},
	})
	if err != nil && !conditionFailed(err) {
		return wrap("wake later", of, err)
	}
	return nil
}

// Due says whether a message that asks for a look at that time is one under
// way: that of the last round, if no sooner one replaced it, or that of the
// events that wait, if nothing has woken the key since.
func (w Waker) Due(ctx context.Context, of string, at time.Time) (bool, error) {
	i, err := w.read(ctx, of)
	if err != nil {
		return false, wrap("read the next look", of, err)
	}
	at = at.Truncate(time.Millisecond)
	waited := timeOf(i, "lateAt").Equal(at) && timeOf(i, "woken").Before(at)
	return waited || timeOf(i, "nextAt").Equal(at), nil
}

// mark leaves the ARNs at the key and returns its item, read consistently after
// the event arrived.
func (w Waker) mark(ctx context.Context, of string, arns []string) (item, error) {
	if len(arns) == 0 {
		return w.read(ctx, of)
	}
	arns = slices.Compact(slices.Sorted(slices.Values(arns)))
	i, err := w.update(ctx, of, "ADD dirty :arns", arns)
	if err != nil {
		return nil, err
	}
	if set, _ := i["dirty"].(*types.AttributeValueMemberSS); set != nil && len(set.Value) > maxDirty {
		if i, err = w.update(ctx, of, "SET dirty = :arns", []string{"all"}); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// update changes a wake item's ARNs and returns the item.
func (w Waker) update(ctx context.Context, of, expression string, arns []string) (item, error) {
	var now item
	err := unlessConflict(func() error {
		out, err := w.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String(w.Table), Key: wakeKey(of),
			UpdateExpression:          aws.String(expression),
			ExpressionAttributeValues: item{":arns": &types.AttributeValueMemberSS{Value: arns}},
			ReturnValues:              types.ReturnValueAllNew,
		})
		if err == nil {
			now = out.Attributes
		}
		return err
	})
	return now, err
}

func (w Waker) read(ctx context.Context, of string) (item, error) {
	out, err := w.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(w.Table), Key: wakeKey(of), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

// kindOf is the first part of a key: which function it is for.
func kindOf(of string) string {
	for i := range len(of) {
		if of[i] == '#' {
			return of[:i]
		}
	}
	return of
}

// encode writes a value of ours as JSON; our types always can be.
func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
