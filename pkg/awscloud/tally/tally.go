// Package tally counts the calls that a function's SDK clients make, and what AWS
// asks for them. It must not know why a call is made.
package tally

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"
)

// The prices of us-east-1, on demand, as AWS's public pages had them in June 2026,
// in dollars. ECS and Auto Scaling ask nothing for a call. No free tier is taken off.
const (
	priceRead   = 0.125e-6 // DynamoDB: a read request unit, 4 KB read consistently
	priceWrite  = 0.625e-6 // DynamoDB: a write request unit, 1 KB; a transaction takes two
	priceSend   = 0.40e-6  // SQS: a request, 64 KB
	priceMetric = 10e-6    // CloudWatch: a metric asked for
)

// Tally is the calls since it was last taken. Its zero value is empty.
type Tally struct {
	mu      sync.Mutex // held for two additions, never over a call
	calls   int
	dollars float64
}

// Count makes a client's calls count: it is one of aws.Config's APIOptions.
func (t *Tally) Count(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("plimsollTally", t.count), middleware.Before)
}

func (t *Tally) count(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleInitialize(ctx, in)
	tries := 1
	if results, ok := retry.GetAttemptResults(metadata); ok && len(results.Results) > 0 {
		tries = len(results.Results)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += tries
	t.dollars += price(in.Parameters, out.Result)
	return out, metadata, err
}

// Take returns the calls made, tries that failed among them, and what they cost in
// dollars, and begins anew.
func (t *Tally) Take() (calls int, dollars float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, dollars = t.calls, t.dollars
	t.calls, t.dollars = 0, 0
	return calls, dollars
}

// price is what one call costs, in dollars. Sizes are those of names and texts, as
// DynamoDB counts them.
func price(in, out any) float64 {
	switch x := in.(type) {
	case *dynamodb.TransactWriteItemsInput:
		units := 0
		for _, w := range x.TransactItems {
			units += 2 * started(written(w), 1024)
		}
		return float64(units) * priceWrite
	case *dynamodb.UpdateItemInput:
		return float64(started(size(x.ExpressionAttributeValues), 1024)) * priceWrite
	case *dynamodb.GetItemInput:
		return priceRead
	case *dynamodb.QueryInput:
		read := 0
		if answer, _ := out.(*dynamodb.QueryOutput); answer != nil {
			for _, i := range answer.Items {
				read += size(i)
			}
		}
		return float64(started(read, 4096)) * priceRead
	case *sqs.SendMessageInput:
		return priceSend
	case *cloudwatch.GetMetricDataInput:
		return float64(len(x.MetricDataQueries)) * priceMetric
	default:
		return 0
	}
}

// written is about how many bytes one part of a transaction writes.
func written(w types.TransactWriteItem) int {
	switch {
	case w.Put != nil:
		return size(w.Put.Item)
	case w.Update != nil:
		return size(w.Update.ExpressionAttributeValues)
	default:
		return 0 // a check or a deletion: one unit, twice
	}
}

// size is about how many bytes an item has.
func size(item map[string]types.AttributeValue) int {
	n := 0
	for name, v := range item {
		n += len(name)
		switch x := v.(type) {
		case *types.AttributeValueMemberS:
			n += len(x.Value)
		case *types.AttributeValueMemberSS:
			for _, s := range x.Value {
				n += len(s)
			}
		default:
			n += 8
		}
	}
	return n
}

// started is how many units of a size were begun, one at least.
func started(n, unit int) int { return max(1, (n+unit-1)/unit) }
