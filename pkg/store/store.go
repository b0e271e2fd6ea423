// Package store is what plimsoll remembers: one DynamoDB table for wakes,
// leases, memory, intents and decisions, and the queue messages that wake a key
// or ask for another look. It must not know what a decision means.
//
// The table has the string keys pk and sk. Items:
//
//	pk wake#KEY  sk wake            gen, dirty, nextAt, woken, lateAt: what ingest may touch, and nothing else is under wake#
//	pk KEY       sk lease           holder, until, fence; failures and the last failure
//	pk KEY       sk now#about#...   a subject's memory, and what was last decided about it
//	pk KEY       sk now#open#...    intents that still stand in for what the cloud shows
//	pk KEY       sk then#...        decisions and ended intents; they expire
//	pk port#PORT sk owner           who has a host port, and where it may be registered: a lock that several keys share
//	pk KEY       sk now#port#...    a copy of it, of those that are the key's
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// DynamoDB is a round's port to the table: the calls that Store makes.
type DynamoDB interface {
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	TransactWriteItems(context.Context, *dynamodb.TransactWriteItemsInput, ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// WakeTable is ingest's port to the table: the calls that Waker makes. It is a
// port of its own since a function's rights follow from its ports.
type WakeTable interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// SQS is the port to the queues.
type SQS interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// The times that leases and history live by. See docs/architecture.md.
const (
	LeaseFor = 75 * time.Second    // longer than a function's timeout, shorter than a message's visibility
	SkewFor  = 5 * time.Minute     // how far apart two clocks may be: so long after a lease's end others are turned away
	KeepFor  = 14 * 24 * time.Hour // how long decisions are kept
)

// What a deployment has to know of the table: its keys, both strings; the
// attribute by which DynamoDB deletes an item; and how the partition keys begin
// of all that ingest may touch.
const (
	PartitionKey = "pk"
	SortKey      = "sk"
	Expiry       = "expires"
	WakePrefix   = "wake#"
)

// ErrLeased means that somebody else holds the key.
var ErrLeased = errors.New("the key is leased to another message")

// ErrFenced means that the lease was taken over: nothing was written.
var ErrFenced = errors.New("the lease was taken over by another round")

// item is a DynamoDB item.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func millis(t time.Time) types.AttributeValue { return number(t.UnixMilli()) }

func textOf(i item, name string) string {
	v, ok := i[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return v.Value
}

func numberOf(i item, name string) int64 {
	v, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0 // our own items hold whole numbers only
	}
	return n
}

func timeOf(i item, name string) time.Time {
	if i[name] == nil {
		return time.Time{}
	}
	return time.UnixMilli(numberOf(i, name)).UTC()
}

func key(pk, sk string) item { return item{PartitionKey: text(pk), SortKey: text(sk)} }

func wakeKey(of string) item { return key(WakePrefix+of, "wake") }

// bounded returns s where AWS bounds an id to 128 characters, or its hash.
func bounded(s string) *string {
	if len(s) <= 128 {
		return aws.String(s)
	}
	sum := sha256.Sum256([]byte(s))
	return aws.String(hex.EncodeToString(sum[:]))
}

// conditionFailed says whether the write was refused by its condition.
func conditionFailed(err error) bool {
	var single *types.ConditionalCheckFailedException
	var many *types.TransactionCanceledException
	if errors.As(err, &single) {
		return true
	}
	return errors.As(err, &many) && slices.ContainsFunc(many.CancellationReasons, func(r types.CancellationReason) bool {
		return aws.ToString(r.Code) == "ConditionalCheckFailed"
	})
}

// conflictTries is how often a write is tried that met another transaction on the
// same item: ingest and a round may write a wake item at one time, and DynamoDB
// then refuses one of them instead of letting it wait.
const conflictTries = 3

// unlessConflict does a write, again where it met another transaction.
func unlessConflict(do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if n == conflictTries || !conflicts(err) {
			return err
		}
	}
}

func conflicts(err error) bool {
	var single *types.TransactionConflictException
	var many *types.TransactionCanceledException
	if errors.As(err, &single) {
		return true
	}
	return errors.As(err, &many) && slices.ContainsFunc(many.CancellationReasons, func(r types.CancellationReason) bool {
		return aws.ToString(r.Code) == "TransactionConflict"
	})
}

func wrap(operation, subject string, err error) error {
	return fmt.Errorf("%s of %s: %w", operation, subject, err)
}
