package simcloud

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// DynamoDB's limits of a transaction.
const (
	maxTransactItems = 100
	maxTransactBytes = 4 << 20
	tokenWindow      = 10 * time.Minute // a ClientRequestToken stands for one transaction
)

// transaction is one that was done, by its token.
type transaction struct {
	at  time.Time
	sum [32]byte
}

// TransactWriteItems does all writes or none. Nothing conflicts: each happens at
// one instant.
func (d *DynamoDB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	op := dynamoOperation("TransactWriteItems", true)
	op.latency *= 2
	return call(ctx, d.c, op, in, func() (*dynamodb.TransactWriteItemsOutput, error) {
		if in.ReturnConsumedCapacity != "" || in.ReturnItemCollectionMetrics != "" {
			return nil, notSimulated("consumed capacity of TransactWriteItems")
		}
		sum, err := fingerprint(in.TransactItems)
		if err != nil {
			return nil, err
		}
		done, err := d.done(in.ClientRequestToken, sum)
		if err != nil || done {
			return &dynamodb.TransactWriteItemsOutput{}, err
		}
		if err := d.transact(in.TransactItems); err != nil {
			return nil, err
		}
		if in.ClientRequestToken != nil {
			d.tokens[*in.ClientRequestToken] = transaction{at: d.c.now, sum: sum}
		}
		return &dynamodb.TransactWriteItemsOutput{}, nil
	})
}

// done says whether a transaction of that token was done already.
func (d *DynamoDB) done(token *string, sum [32]byte) (bool, error) {
	if token == nil {
		return false, nil
	}
	if n := len(*token); n < 1 || n > 36 {
		return false, invalid("ClientRequestToken has %d characters, not 1 to 36", n)
	}
	was, ok := d.tokens[*token]
	if !ok || d.c.now.Sub(was.at) >= tokenWindow {
		return false, nil
	}
	if was.sum != sum {
		return false, &types.IdempotentParameterMismatchException{Message: aws.String("the token was used with other parameters")}
	}
	return true, nil
}

func fingerprint(items []types.TransactWriteItem) ([32]byte, error) {
	raw, err := json.Marshal(items)
	if err != nil {
		return [32]byte{}, invalid("the transaction cannot be read: %v", err)
	}
	return sha256.Sum256(raw), nil
}

func (d *DynamoDB) transact(items []types.TransactWriteItem) error {
	if len(items) < 1 || len(items) > maxTransactItems {
		return invalid("1 validation error detected: %d transact items, not 1 to %d", len(items), maxTransactItems)
	}
	writes, err := d.prepareAll(items)
	if err != nil {
		return err
	}
	reasons, size, failed := make([]types.CancellationReason, len(writes)), 0, false
	for i, w := range writes {
		reasons[i] = w.judge()
		failed = failed || *reasons[i].Code != "None"
		size += itemSize(w.after)
		d.c.billWrite(w, 2)
	}
	if failed {
		return cancelled(reasons)
	}
	if size > maxTransactBytes {
		return invalid("the transaction has %d bytes, more than %d", size, maxTransactBytes)
	}
	for _, w := range writes {
		d.store(w)
	}
	return nil
}

// prepareAll reads all writes: each of another item.
func (d *DynamoDB) prepareAll(items []types.TransactWriteItem) ([]*write, error) {
	type place struct {
		table string
		key   itemKey
	}
	writes, seen := make([]*write, len(items)), map[place]bool{}
	for i, item := range items {
		w, err := writeOf(item)
		if err != nil {
			return nil, err
		}
		if err := d.prepare(w); err != nil {
			return nil, err
		}
		at := place{w.in.name, w.at}
		if seen[at] {
			return nil, invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[at] = true
		writes[i] = w
	}
	return writes, nil
}

func writeOf(t types.TransactWriteItem) (*write, error) {
	var all []*write
	if p := t.Put; p != nil {
		all = append(all, &write{
			verb: "PutItem", table: p.TableName, item: p.Item, condition: p.ConditionExpression,
			names: p.ExpressionAttributeNames, values: p.ExpressionAttributeValues, onFailure: p.ReturnValuesOnConditionCheckFailure,
		})
	}
	if u := t.Update; u != nil {
		all = append(all, &write{
			verb: "UpdateItem", table: u.TableName, key: u.Key, condition: u.ConditionExpression, update: u.UpdateExpression,
			names: u.ExpressionAttributeNames, values: u.ExpressionAttributeValues, onFailure: u.ReturnValuesOnConditionCheckFailure,
		})
	}
	if e := t.Delete; e != nil {
		all = append(all, &write{
			verb: "DeleteItem", table: e.TableName, key: e.Key, condition: e.ConditionExpression,
			names: e.ExpressionAttributeNames, values: e.ExpressionAttributeValues, onFailure: e.ReturnValuesOnConditionCheckFailure,
		})
	}
	if c := t.ConditionCheck; c != nil {
		all = append(all, &write{
			verb: "ConditionCheck", table: c.TableName, key: c.Key, condition: c.ConditionExpression,
			names: c.ExpressionAttributeNames, values: c.ExpressionAttributeValues, onFailure: c.ReturnValuesOnConditionCheckFailure,
		})
	}
	if len(all) != 1 {
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	if w := all[0]; w.verb == "ConditionCheck" && w.condition == nil || w.verb == "UpdateItem" && w.update == nil {
		return nil, invalid("a %s of a transaction needs its expression", w.verb)
	}
	return all[0], nil
}

// judge says why the write cancels the transaction, or that it does not.
func (w *write) judge() types.CancellationReason {
	if !w.passes() {
		r := types.CancellationReason{Code: aws.String("ConditionalCheckFailed"), Message: aws.String("The conditional request failed")}
		if w.onFailure == types.ReturnValuesOnConditionCheckFailureAllOld {
			r.Item = cloneItem(w.before)
		}
		return r
	}
	if err := w.work(); err != nil {
		text := err.Error()
		var api smithy.APIError
		if errors.As(err, &api) {
			text = api.ErrorMessage()
		}
		return types.CancellationReason{Code: aws.String("ValidationError"), Message: aws.String(text)}
	}
	return types.CancellationReason{Code: aws.String("None")}
}

func cancelled(reasons []types.CancellationReason) error {
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = *r.Code
	}
	return &types.TransactionCanceledException{
		Message:             aws.String("Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]"),
		CancellationReasons: reasons,
	}
}
