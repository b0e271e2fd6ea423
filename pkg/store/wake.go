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

// Waker wakes keys: it is all of the store that ingest needs and may use.
type Waker struct {
	DB     DynamoDB
	Queue  SQS
	Table  string
	Queues map[string]string // FIFO queue's URL by the first part of a key, such as reconcile
}

// Wake sends at most one message for all events that arrive before the key's
// next look: the message's deduplication id is the number that the look raises.
// body makes the message from that number. The ARNs concerned are left for the
// look.
func (w Waker) Wake(ctx context.Context, of string, arns []string, body func(gen int) ([]byte, error)) error {
	kind := kindOf(of)
	queue, ok := w.Queues[kind]
	if !ok {
		return fmt.Errorf("wake %s: there is no queue for %q", of, kind)
	}
	gen, err := w.mark(ctx, of, arns)
	if err != nil {
		return wrap("wake", of, err)
	}
	message, err := body(gen)
	if err != nil {
		return wrap("wake", of, err)
	}
	_, err = w.Queue.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:               aws.String(queue),
		MessageBody:            aws.String(string(message)),
		MessageGroupId:         bounded(of),
		MessageDeduplicationId: bounded(of + "#" + strconv.Itoa(gen)),
	})
	if err != nil {
		return wrap("wake", of, err)
	}
	return nil
}

// Due says whether a message that asks for a look at that time is the one under
// way: an older one was replaced and says nothing.
func (w Waker) Due(ctx context.Context, of string, at time.Time) (bool, error) {
	i, err := w.read(ctx, of)
	if err != nil {
		return false, wrap("read the next look", of, err)
	}
	return timeOf(i, "nextAt").Equal(at.Truncate(time.Millisecond)), nil
}

// mark leaves the ARNs at the key and returns its number, read consistently
// after the event arrived.
func (w Waker) mark(ctx context.Context, of string, arns []string) (int, error) {
	if len(arns) == 0 {
		i, err := w.read(ctx, of)
		return int(numberOf(i, "gen")), err
	}
	arns = slices.Compact(slices.Sorted(slices.Values(arns)))
	i, err := w.update(ctx, of, "ADD dirty :arns", arns)
	if err != nil {
		return 0, err
	}
	if set, _ := i["dirty"].(*types.AttributeValueMemberSS); set != nil && len(set.Value) > maxDirty {
		if i, err = w.update(ctx, of, "SET dirty = :arns", []string{"all"}); err != nil {
			return 0, err
		}
	}
	return int(numberOf(i, "gen")), nil
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
