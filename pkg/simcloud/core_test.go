package simcloud

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

func newWorld(t *testing.T, seed uint64) *Cloud {
	t.Helper()
	c := New(Options{Start: epoch, Seed: seed})
	t.Cleanup(c.Close)
	return c
}

// pass lets virtual time pass.
func pass(t *testing.T, c *Cloud, d time.Duration) {
	t.Helper()
	if err := c.Run(c.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// codeOf is the AWS error code; empty: no error.
func codeOf(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return "not an API error: " + err.Error()
	}
}

func makeQueue(t *testing.T, c *Cloud, name string, attributes map[string]string) *queue {
	t.Helper()
	_, err := c.SQS().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
	must(t, err)
	return c.SQS().queues[name]
}

func sendTo(t *testing.T, c *Cloud, q *queue, body, group, dedup string) string {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String(body)}
	if group != "" {
		in.MessageGroupId = aws.String(group)
	}
	if dedup != "" {
		in.MessageDeduplicationId = aws.String(dedup)
	}
	out, err := c.SQS().SendMessage(t.Context(), in)
	must(t, err)
	return *out.MessageId
}

// lambdaPayload is what a function reads of its payload.
type lambdaPayload struct {
	Records []struct {
		MessageID, Body, EventSource, EventSourceARN, AWSRegion, MD5OfBody, ReceiptHandle string
		Attributes                                                                        map[string]string
	}
}

func decodePayload(t *testing.T, raw []byte) lambdaPayload {
	t.Helper()
	var p lambdaPayload
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Errorf("payload: %v: %s", err, raw)
	}
	return p
}

// TestAnAlarmReachesAFunction is the whole way: a metric crosses, its alarm
// tells, a rule matches, a queue carries, a mapping invokes, and the function
// acts on the world.
func TestAnAlarmReachesAFunction(t *testing.T) {
	run := func(seed uint64) (string, []string, time.Duration) {
		c := New(Options{Start: epoch, Seed: seed})
		defer c.Close()
		in := makeQueue(t, c, "ingress", map[string]string{"VisibilityTimeout": "360"})
		out := makeQueue(t, c, "out.fifo", map[string]string{"FifoQueue": "true"})
		must(t, c.EventBridge().PutRule(Rule{Name: "alarms", EventPattern: `{"source":["aws.cloudwatch"],"detail":{"state":{"value":["ALARM"]},"alarmName":[{"prefix":"orders-"}]}}`}))
		must(t, c.EventBridge().PutTargets("alarms", Target{ID: "q", ARN: in.arn}))
		var took time.Duration
		must(t, c.Lambda().Register("ingest", func(ctx context.Context, raw []byte) ([]byte, error) {
			for _, r := range decodePayload(t, raw).Records {
				_, err := c.SQS().SendMessage(ctx, &sqs.SendMessageInput{
					QueueUrl: aws.String(out.url), MessageBody: aws.String(r.Body), MessageGroupId: aws.String("orders"), MessageDeduplicationId: aws.String(r.MessageID),
				})
				if err != nil {
					return nil, err
				}
				took = c.Now().Sub(epoch)
			}
			return nil, nil
		}, FunctionConfig{Timeout: time.Minute}))
		must(t, c.Lambda().Map(EventSource{Queue: "ingress", Function: "ingest", ReportBatchItemFailures: true}))
		_, err := c.CloudWatch().PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("orders-cpu"), Namespace: aws.String("AWS/ECS"), MetricName: aws.String("CPUUtilization"), Statistic: cwtypes.StatisticAverage,
			Period: aws.Int32(60), EvaluationPeriods: aws.Int32(2), Threshold: aws.Float64(70), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
		})
		must(t, err)
		c.Every(epoch.Add(time.Minute), time.Minute, func() bool {
			c.publish("AWS/ECS", "CPUUtilization", nil, c.Now().Add(-time.Minute), time.Minute, 90)
			return true
		})
		must(t, c.Run(epoch.Add(30*time.Minute)))
		var bodies []string
		for _, m := range c.SQS().Messages("out.fifo") {
			bodies = append(bodies, *m.Body)
		}
		if left := c.SQS().Messages("ingress"); len(left) > 0 {
			t.Errorf("%d messages left in ingress", len(left))
		}
		return c.TraceHash(), bodies, took
	}
	hash, bodies, took := run(1)
	if len(bodies) != 1 {
		t.Fatalf("one transition, %d messages: %v", len(bodies), bodies)
	}
	if took < 2*time.Minute || took > 5*time.Minute {
		t.Errorf("two breaching minutes were acted on after %s", took)
	}
	if again, _, _ := run(1); again != hash {
		t.Error("one seed gave two traces")
	}
	if other, _, _ := run(2); other == hash {
		t.Error("two seeds gave one trace")
	}
}

// BenchmarkEvents is 20,000 events through a rule, a queue and a function that
// writes an item for each.
func BenchmarkEvents(b *testing.B) {
	for b.Loop() {
		c := New(Options{Start: epoch})
		d := c.DynamoDB()
		check := func(_ any, err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		check(c.SQS().CreateQueue(b.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")}))
		check(d.CreateTable(b.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String("tab"), BillingMode: types.BillingModePayPerRequest,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
		}))
		check(nil, c.EventBridge().PutRule(Rule{Name: "r", EventPattern: `{"source":["aws.ecs"],"detail":{"lastStatus":["RUNNING"]}}`}))
		check(nil, c.EventBridge().PutTargets("r", Target{ID: "q", ARN: c.arn("sqs", "q")}))
		check(nil, c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
			_, err := d.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p"}), UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: avs(anyMap{":one": 1}),
			})
			return nil, err
		}, FunctionConfig{}))
		check(nil, c.Lambda().Map(EventSource{Queue: "q", Function: "f"}))
		n := 0
		c.Every(epoch, 200*time.Millisecond, func() bool {
			n++
			c.emit("aws.ecs", "ECS Task State Change", []string{"arn"}, map[string]any{"lastStatus": "RUNNING", "n": n, "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/orders"})
			return n < 20000
		})
		check(nil, c.Run(epoch.Add(2*time.Hour)))
		c.Close()
	}
}
