package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// Store opens sessions on keys.
type Store struct {
	DB      DynamoDB
	Queue   SQS
	Table   string
	Ingress string // URL of the ingress queue, for another look
	Clock   func() time.Time
	Again   func(of string, at time.Time) ([]byte, error) // the message that asks for another look
}

// Session is one round's hold on a key: every write of it is made only while
// the lease is this round's.
type Session struct {
	Gen     int              // this round's number
	Memory  cluster.Memory   // as the last round left it
	Intents []cluster.Intent // open ones, and those whose refusal no round has seen yet; oldest first
	Dirty   []string         // ARNs that events named since the last look; "all": too many to name

	store    Store
	key      string
	holder   string
	fence    int64
	until    time.Time     // by this round's own clock
	ahead    time.Duration // of that clock, before DynamoDB's
	begun    time.Time     // by the clock of Now
	nextAt   time.Time
	replaced []string      // times, in milliseconds, for which messages are under way in vain
	pace     time.Duration // as it stands in the table
	failures int64
	about    map[cluster.Subject]about
	ports    map[cluster.HostPort]cluster.Owner // copies of the port records that are the key's
	unsaid   []types.TransactWriteItem          // what Note left for Close to write
}

// slowest is the longest that the answer to taking a lease may take, so that the
// time in it still tells how wrong this round's clock is.
const slowest = 10 * time.Second

// exact is how near a clock must be to an answer's, which counts whole seconds,
// to be the better one of the two.
const exact = 2 * time.Second

// about is what the table holds of one subject.
type about struct {
	Memory  json.RawMessage
	Said    plan.Decision
	Count   int64     // how often it was decided in a row
	Since   time.Time // when it was decided first
	Version int64
}

// Open takes the key's lease, raises its number, and recalls. A message that
// comes again takes its own lease over at once; anyone else gets ErrLeased until
// the lease and SkewFor are over. After an error nothing was begun.
func (s Store) Open(ctx context.Context, of, holder string) (*Session, error) {
	o := &Session{store: s, key: of, holder: holder, about: map[cluster.Subject]about{}}
	if err := o.lease(ctx); err != nil {
		return nil, wrap("lease", of, err)
	}
	if err := o.raise(ctx); err != nil {
		return nil, wrap("raise the number", of, err)
	}
	return o, nil
}

func (o *Session) lease(ctx context.Context) error {
	now := o.store.Clock()
	o.until = now.Add(LeaseFor)
	out, err := o.store.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(o.store.Table), Key: key(o.key, "lease"),
		UpdateExpression:    aws.String("SET holder = :me, #until = :until ADD fence :one"),
		ConditionExpression: aws.String("attribute_not_exists(holder) OR holder = :me OR #until < :past"),
		ExpressionAttributeNames: map[string]string{
			"#until": "until",
		},
		ExpressionAttributeValues: item{":me": text(o.holder), ":until": millis(o.until), ":past": millis(now.Add(-SkewFor)), ":one": number(1)},
		ReturnValues:              types.ReturnValueAllNew,
	})
	if conditionFailed(err) {
		return ErrLeased
	}
	if err != nil {
		return err
	}
	after := o.store.Clock()
	if after.Sub(now) > slowest {
		return fmt.Errorf("the answer took %s: what time it is cannot be told", after.Sub(now))
	}
	if server, ok := middleware.GetServerTime(out.ResultMetadata); ok && after.Sub(server).Abs() > exact {
		o.ahead = after.Sub(server)
	}
	o.begun = now.Add(-o.ahead)
	o.fence, o.failures = numberOf(out.Attributes, "fence"), numberOf(out.Attributes, "failures")
	return nil
}

// raise ends the number that events before this look were sent with, and takes
// the ARNs that they named.
func (o *Session) raise(ctx context.Context) error {
	out, err := o.store.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(o.store.Table), Key: wakeKey(o.key),
		UpdateExpression:          aws.String("ADD gen :one REMOVE dirty"),
		ExpressionAttributeValues: item{":one": number(1)},
		ReturnValues:              types.ReturnValueAllOld,
	})
	if err != nil {
		return err
	}
	o.Gen, o.nextAt, o.pace = int(numberOf(out.Attributes, "gen"))+1, timeOf(out.Attributes, "nextAt"), paceOf(out.Attributes)
	if set, _ := out.Attributes["replaced"].(*types.AttributeValueMemberNS); set != nil {
		o.replaced = set.Value
	}
	if set, _ := out.Attributes["dirty"].(*types.AttributeValueMemberSS); set != nil {
		o.Dirty = slices.Sorted(slices.Values(set.Value))
	}
	return nil
}

// Now is the time by this round's own clock, or by DynamoDB's where they are more
// than two seconds apart: what one round writes, the next one's clock must
// understand, and two functions' clocks may be minutes apart.
func (o *Session) Now() time.Time { return o.store.Clock().Add(-o.ahead) }

// Left is how long the lease still is this round's, by its own clock.
func (o *Session) Left() time.Duration { return o.until.Sub(o.store.Clock()) }

// Recall reads what the key's rounds have left: memory and open intents.
func (o *Session) Recall(ctx context.Context) error {
	o.Memory = cluster.Memory{Services: map[string]cluster.ServiceMemory{}, Groups: map[string]cluster.GroupMemory{}, Hosts: map[string]cluster.HostMemory{}}
	o.ports = map[cluster.HostPort]cluster.Owner{}
	items, err := o.store.items(ctx, o.key, "now#")
	if err != nil {
		return wrap("recall", o.key, err)
	}
	for _, i := range items {
		if err := o.recall(i); err != nil {
			return wrap("recall "+textOf(i, "sk"), o.key, err)
		}
	}
	slices.SortStableFunc(o.Intents, func(a, b cluster.Intent) int { return a.At.Compare(b.At) })
	return nil
}

func (o *Session) recall(i item) error {
	if strings.HasPrefix(textOf(i, "sk"), "now#open#") {
		var open cluster.Intent
		err := json.Unmarshal([]byte(textOf(i, "intent")), &open)
		o.Intents = append(o.Intents, open)
		return err
	}
	if name, isPort := strings.CutPrefix(textOf(i, "sk"), portCopies); isPort {
		port, owner, err := portOf(name, i)
		o.ports[port] = owner
		return err
	}
	subject := cluster.Subject(strings.TrimPrefix(textOf(i, "sk"), "now#about#"))
	a := about{Memory: json.RawMessage(textOf(i, "memory")), Count: numberOf(i, "count"), Since: timeOf(i, "since"), Version: numberOf(i, "version")}
	if said := textOf(i, "said"); said != "" {
		if err := json.Unmarshal([]byte(said), &a.Said); err != nil {
			return err
		}
	}
	o.about[subject] = a
	return remember(&o.Memory, subject, a.Memory)
}

// Close gives the lease back and sees to it that the key is looked at again at
// next, unless a look is due before that already; a zero next leaves that to the
// sweep. Wakes that events cause are pace apart from then on, within Pace and
// MaxPace; a zero pace leaves it as it was. With a failure it is recorded, next is
// when the back-off ends, and the pace is what keeps events from ending it sooner.
// The lease is given back also if the look could not be asked for: the sweep would
// find the key locked until long after. What Note left is written in the
// transaction that gives it back; where that fails, the round does. held says that
// the lease could not be given back, so that only the same message may take it soon.
func (o *Session) Close(ctx context.Context, next time.Time, pace time.Duration, failure error) (held bool, err error) {
	now := o.Now()
	if failure != nil {
		next = now.Add(o.backOff())
		pace = max(o.pace, next.Sub(o.begun))
	}
	if next.IsZero() || next.After(now.Add(time.Minute)) || o.nextAt.After(now) && !next.Before(o.nextAt) {
		next = time.Time{}
	}
	unasked := o.again(ctx, next.Truncate(time.Millisecond), now, pace)
	unsaid := o.unsaid
	o.unsaid = nil
	kept := o.release(ctx, failure, unsaid)
	if len(unsaid) > 0 && kept != nil { // ErrFenced too: it may be another condition than the lease's that failed
		held, err = o.Close(ctx, time.Time{}, 0, errors.Join(failure, wrap("note", o.key, kept)))
		return held, errors.Join(unasked, kept, err)
	}
	return kept != nil && !errors.Is(kept, ErrFenced), errors.Join(unasked, kept)
}

// backOff is how long after a failed round its key is looked at again: 5 s,
// doubling up to the sweep's minute.
func (o *Session) backOff() time.Duration {
	return min(5*time.Second<<min(o.failures, 4), time.Minute)
}

// again writes the time of the next look, if there is one, and the pace, if it
// changed, and then asks for that look: ingest drops a message whose time is
// another than the one written. A message that was replaced before and is still
// under way serves again where its time is wanted again: a second one would be as
// live as it.
func (o *Session) again(ctx context.Context, next, now time.Time, pace time.Duration) error {
	update, sent := o.due(next, now, pace)
	if update == nil {
		return nil
	}
	if err := o.write(ctx, types.TransactWriteItem{Update: update}); err != nil {
		return wrap("note the next look", o.key, err)
	}
	if next.IsZero() {
		return nil
	}
	o.replaced, o.nextAt = append(o.replaced, milliseconds(o.nextAt)), next
	if sent {
		return nil
	}
	return o.ask(ctx, next, now)
}

// due is the write of the next look's time with those that it replaces, and of the
// pace; nil: nothing is to be written. sent says that a message with that time is
// under way.
func (o *Session) due(next, now time.Time, pace time.Duration) (update *types.Update, sent bool) {
	var sets []string
	var remove string
	values := item{}
	if !next.IsZero() {
		var others []string
		others, sent = o.replace(next, now)
		sets, values[":next"] = append(sets, "nextAt = :next"), millis(next)
		if len(others) > 0 {
			sets, values[":others"] = append(sets, "replaced = :others"), &types.AttributeValueMemberNS{Value: others}
		} else {
			remove = " REMOVE replaced"
		}
	}
	if pace > 0 && paceFor(pace) != o.pace {
		sets, values[":pace"] = append(sets, "pace = :pace"), number(paceFor(pace).Milliseconds())
	}
	if len(sets) == 0 {
		return nil, false
	}
	return &types.Update{
		TableName: aws.String(o.store.Table), Key: wakeKey(o.key),
		UpdateExpression: aws.String("SET " + strings.Join(sets, ", ") + remove), ExpressionAttributeValues: values,
	}, sent
}

// ask sends the message that asks for a look, with a delay.
func (o *Session) ask(ctx context.Context, next, now time.Time) error {
	body, err := o.store.Again(o.key, next)
	if err != nil {
		return wrap("ask for another look", o.key, err)
	}
	delay := int32(min(900, (max(0, next.Sub(now))+time.Second-1)/time.Second))
	_, err = o.store.Queue.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(o.store.Ingress), MessageBody: aws.String(string(body)), DelaySeconds: delay})
	if err != nil {
		return wrap("ask for another look", o.key, err)
	}
	return nil
}

// replace gives the times for which messages are under way in vain once next is
// the one, and says whether one for next is under way.
func (o *Session) replace(next, now time.Time) (others []string, sent bool) {
	for _, at := range append(o.replaced, milliseconds(o.nextAt)) {
		ms, err := strconv.ParseInt(at, 10, 64)
		switch {
		case err != nil || ms <= now.UnixMilli():
		case ms == next.UnixMilli():
			sent = true
		default:
			others = append(others, at)
		}
	}
	slices.Sort(others)
	return slices.Compact(others), sent
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// release gives the lease back, and writes with that what is left to be written:
// both or neither.
func (o *Session) release(ctx context.Context, failure error, unsaid []types.TransactWriteItem) error {
	mine := types.Update{
		TableName: aws.String(o.store.Table), Key: key(o.key, "lease"),
		UpdateExpression:          aws.String("REMOVE holder, failures, failure"),
		ConditionExpression:       aws.String("holder = :me AND fence = :fence"),
		ExpressionAttributeValues: item{":me": text(o.holder), ":fence": number(o.fence)},
	}
	if failure != nil {
		mine.UpdateExpression = aws.String("SET failures = :n, failure = :why REMOVE holder")
		mine.ExpressionAttributeValues[":n"] = number(o.failures + 1)
		mine.ExpressionAttributeValues[":why"] = text(clip(failure.Error(), 1000))
	}
	err := o.change(ctx, mine, unsaid)
	if conditionFailed(err) {
		return fmt.Errorf("release %s: %w", o.key, ErrFenced)
	}
	if err != nil {
		return wrap("release", o.key, err)
	}
	return nil
}

// change makes one update: alone, which costs half, or with other writes.
func (o *Session) change(ctx context.Context, u types.Update, others []types.TransactWriteItem) error {
	if len(others) > 0 {
		return o.transact(ctx, types.TransactWriteItem{Update: &u}, others)
	}
	_, err := o.store.DB.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: u.TableName, Key: u.Key, UpdateExpression: u.UpdateExpression,
		ConditionExpression: u.ConditionExpression, ExpressionAttributeValues: u.ExpressionAttributeValues,
	})
	return err
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
