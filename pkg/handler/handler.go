// Package handler is the Lambda door: SQS records in, failed items out. It must
// not know what a message means.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"go.uber.org/zap"
)

// Message is one record of a batch.
type Message struct {
	ID             string // SQS message id: the same when the message comes again
	Body           []byte
	Sent, Received time.Time // when SQS took it and first gave it away, by its own clock; zero for a direct payload
}

// Door is a Lambda handler of raw payloads. Batch answers for each message by
// its id: a message with an error is reported as a failed item, and comes again
// or goes to the dead-letter queue. Direct, where set, takes a payload that
// holds no SQS records, such as an alarm's direct invocation.
type Door struct {
	Log    *zap.Logger
	Batch  func(ctx context.Context, batch []Message) map[string]error
	Direct func(ctx context.Context, payload []byte) error
}

// Invoke is what the Lambda runtime calls.
func (d Door) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in struct {
		Records []lambdaevents.SQSMessage `json:"Records"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("decode the invocation: %w", err)
	}
	if in.Records == nil {
		return nil, d.direct(ctx, payload)
	}
	batch := make([]Message, len(in.Records))
	for i, r := range in.Records {
		batch[i] = Message{ID: r.MessageId, Body: []byte(r.Body), Sent: stamp(r, "SentTimestamp"), Received: stamp(r, "ApproximateFirstReceiveTimestamp")}
	}
	failed := d.Batch(ctx, batch)
	out := lambdaevents.SQSEventResponse{BatchItemFailures: []lambdaevents.SQSBatchItemFailure{}}
	for _, m := range batch {
		if err := failed[m.ID]; err != nil {
			d.Log.Error("message failed", zap.String("message", m.ID), zap.Error(err), zap.Int("bytes", len(m.Body))) // never the body: it may hold a task's environment
			out.BatchItemFailures = append(out.BatchItemFailures, lambdaevents.SQSBatchItemFailure{ItemIdentifier: m.ID})
		}
	}
	return json.Marshal(out)
}

// stamp is a time that SQS wrote on a record, in ms; zero where there is none.
func stamp(r lambdaevents.SQSMessage, name string) time.Time {
	n, err := strconv.ParseInt(r.Attributes[name], 10, 64)
	if err != nil {
		return time.Time{} // whoever reads it takes care
	}
	return time.UnixMilli(n).UTC()
}

func (d Door) direct(ctx context.Context, payload []byte) error {
	if d.Direct == nil || len(bytes.TrimSpace(payload)) == 0 {
		return fmt.Errorf("the invocation holds no SQS records")
	}
	return d.Direct(ctx, payload)
}

// Each makes a batch handler of one for a message at a time. A message that
// panics fails alone.
func Each(log *zap.Logger, do func(ctx context.Context, m Message) error) func(context.Context, []Message) map[string]error {
	return func(ctx context.Context, batch []Message) map[string]error {
		failed := map[string]error{}
		for _, m := range batch {
			if err := Guard(log, func() error { return do(ctx, m) }); err != nil {
				failed[m.ID] = err
			}
		}
		return failed
	}
}

// NewLog returns the log of a function: JSON, and no line left out, whatever a
// large plan writes.
func NewLog() (*zap.Logger, error) {
	c := zap.NewProductionConfig()
	c.Sampling, c.DisableCaller = nil, true
	return c.Build()
}

// Guard returns a panic of do as an error and logs its stack.
func Guard(log *zap.Logger, do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic", zap.Any("value", v), zap.Stack("stack"))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return do()
}
