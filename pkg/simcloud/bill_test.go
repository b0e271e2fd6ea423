package simcloud

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// billed is what one invocation that does so adds to the bill.
func billed(t *testing.T, c *Cloud, do func(ctx context.Context)) Bill {
	t.Helper()
	before, name := c.Billed(), t.Name()+c.id(8)
	must(t, c.Lambda().Register(name, func(ctx context.Context, _ []byte) ([]byte, error) {
		do(ctx)
		return nil, nil
	}, FunctionConfig{Timeout: time.Minute}))
	must(t, c.Lambda().Invoke(name, nil))
	pass(t, c, time.Minute)
	after := c.Billed()
	after.ReadUnits -= before.ReadUnits
	after.WriteUnits -= before.WriteUnits
	after.MetricsAsked -= before.MetricsAsked
	return after
}

// The rules are those of DynamoDB's page on read and write operations.
func TestWhatDynamoDBBills(t *testing.T) {
	key := func(pk string) attributes { return avs(anyMap{"pk": pk, "sk": "1"}) }
	put := func(pk string, size int) anyMap {
		return anyMap{"pk": pk, "sk": "1", "body": strings.Repeat("x", size-len("pk"+pk+"sk1body"))}
	}
	tab := aws.String("tab")
	never := aws.String("attribute_exists(nothing)")
	for _, row := range []struct {
		says        string
		do          func(ctx context.Context, d *DynamoDB) error
		read, write float64
		fails       bool
	}{
		{"an eventually consistent read of up to 4 KB is half a unit", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: tab, Key: key("kb4")})
			return err
		}, 0.5, 0, false},
		{"a consistent one is a unit", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: tab, Key: key("kb4"), ConsistentRead: aws.Bool(true)})
			return err
		}, 1, 0, false},
		{"a byte more is a unit more", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: tab, Key: key("kb4+"), ConsistentRead: aws.Bool(true)})
			return err
		}, 2, 0, false},
		{"a projection saves nothing", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: tab, Key: key("kb4+"), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("pk")})
			return err
		}, 2, 0, false},
		{"an item that is not there is a read too", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: tab, Key: key("none"), ConsistentRead: aws.Bool(true)})
			return err
		}, 1, 0, false},
		{"a batch rounds each item up by itself", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"tab": {
				Keys: []map[string]types.AttributeValue{key("kb4"), key("kb1"), key("none")}, ConsistentRead: aws.Bool(true),
			}}})
			return err
		}, 3, 0, false},
		{"a query rounds all of its items up together", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.Query(ctx, &dynamodb.QueryInput{
				TableName: tab, KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: avs(anyMap{":p": "many"}), ConsistentRead: aws.Bool(true),
			})
			return err
		}, 2, 0, false},
		{"a write of up to 1 KB is a unit", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.PutItem(ctx, &dynamodb.PutItemInput{TableName: tab, Item: avs(put("new", 1024))})
			return err
		}, 0, 1, false},
		{"the larger of before and after counts", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.PutItem(ctx, &dynamodb.PutItemInput{TableName: tab, Item: avs(put("kb4", 100))})
			return err
		}, 0, 4, false},
		{"a deletion is a write of what was there", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: tab, Key: key("kb4")})
			return err
		}, 0, 4, false},
		{"an update counts the whole item", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: tab, Key: key("kb4"), UpdateExpression: aws.String("REMOVE body")})
			return err
		}, 0, 4, false},
		{"a condition that fails costs the write", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: tab, Key: key("kb4"), ConditionExpression: never})
			return err
		}, 0, 4, true},
		{"a transaction costs twice, its check too", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				{ConditionCheck: &types.ConditionCheck{TableName: tab, Key: key("kb1"), ConditionExpression: aws.String("attribute_exists(pk)")}},
				{Delete: &types.Delete{TableName: tab, Key: key("kb4")}},
			}})
			return err
		}, 0, 10, false},
		{"also one that is cancelled", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
				{ConditionCheck: &types.ConditionCheck{TableName: tab, Key: key("kb1"), ConditionExpression: never}},
				{Delete: &types.Delete{TableName: tab, Key: key("kb4")}},
			}})
			return err
		}, 0, 10, true},
		{"a request that is refused costs nothing", func(ctx context.Context, d *DynamoDB) error {
			_, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("none"), Key: key("kb4")})
			return err
		}, 0, 0, true},
	} {
		c, d := tableWorld(t)
		putIn(t, d, put("kb1", 1<<10))
		putIn(t, d, put("kb4", 4<<10))
		putIn(t, d, put("kb4+", 4<<10+1))
		for _, sk := range []string{"1", "2", "3"} {
			putIn(t, d, anyMap{"pk": "many", "sk": sk, "body": strings.Repeat("x", 2<<10)})
		}
		if b := c.Billed(); b.ReadUnits != 0 || b.WriteUnits != 0 {
			t.Errorf("what is done from outside of any invocation is billed: %+v", b)
		}
		var err error
		got := billed(t, c, func(ctx context.Context) { err = row.do(ctx, d) })
		if got.ReadUnits != row.read || got.WriteUnits != row.write || (err != nil) != row.fails {
			t.Errorf("%s: %g read and %g write units, want %g and %g (%v)", row.says, got.ReadUnits, got.WriteUnits, row.read, row.write, err)
		}
	}
}

func TestEachMetricOfACallIsBilled(t *testing.T) {
	c := newWorld(t, 1)
	query := func(id string) cwtypes.MetricDataQuery {
		return cwtypes.MetricDataQuery{Id: aws.String(id), MetricStat: &cwtypes.MetricStat{
			Metric: &cwtypes.Metric{Namespace: aws.String("Web"), MetricName: aws.String("Count")}, Period: aws.Int32(60), Stat: aws.String("Sum"),
		}}
	}
	got := billed(t, c, func(ctx context.Context) {
		_, err := c.CloudWatch().GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
			StartTime: aws.Time(epoch), EndTime: aws.Time(epoch.Add(time.Hour)), MetricDataQueries: []cwtypes.MetricDataQuery{query("a"), query("b"), query("c")},
		})
		if err != nil {
			t.Error(err)
		}
	})
	if got.MetricsAsked != 3 {
		t.Errorf("%d metrics billed, want 3", got.MetricsAsked)
	}
}

// One message in, one batch out: a send, a receive, a delete; each in chunks of
// 64 KB but the delete, and no delete of what failed.
func TestWhatAQueueBills(t *testing.T) {
	for _, row := range []struct {
		says  string
		sizes []int
		fails bool
		want  int
	}{
		{"a small message", []int{10}, false, 3},
		{"a message of 64 KB", []int{64 << 10}, false, 3},
		{"a byte more", []int{64<<10 + 1}, false, 5},
		{"a batch that fails is not deleted, and received again", []int{10}, true, 3},
	} {
		c := newWorld(t, 1)
		q := makeQueue(t, c, "q", map[string]string{"VisibilityTimeout": "90"})
		must(t, c.Lambda().Register("f", func(_ context.Context, raw []byte) ([]byte, error) {
			if row.fails {
				return []byte(`{"batchItemFailures":[{"itemIdentifier":"` + decodePayload(t, raw).Records[0].MessageID + `"}]}`), nil
			}
			return nil, nil
		}, FunctionConfig{Timeout: time.Minute}))
		must(t, c.Lambda().Map(EventSource{Queue: "q", Function: "f", ReportBatchItemFailures: true}))
		for _, size := range row.sizes {
			sendTo(t, c, q, strings.Repeat("x", size), "", "")
		}
		pass(t, c, 100*time.Second)
		if got := c.Billed().QueueRequests["q"]; got != row.want {
			t.Errorf("%s: %d requests, want %d", row.says, got, row.want)
		}
	}
}

func TestWhatEventBridgeDelivers(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	must(t, c.EventBridge().PutRule(Rule{Name: "sweep", ScheduleExpression: "rate(1 minute)"}))
	must(t, c.EventBridge().PutTargets("sweep", Target{ID: "q", ARN: q.arn}))
	pass(t, c, 5*time.Minute+30*time.Second)
	b := c.Billed()
	if n := len(c.SQS().Messages("q")); b.Delivered != n || b.QueueRequests["q"] != n || n < 4 {
		t.Errorf("%d delivered, %d requests, %d messages", b.Delivered, b.QueueRequests["q"], n)
	}
	_, err := c.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String("x")})
	must(t, err)
	if b.QueueRequests["q"] == c.Billed().QueueRequests["q"] {
		t.Error("a bill that was given away is not to change, the next one is")
	}
}
