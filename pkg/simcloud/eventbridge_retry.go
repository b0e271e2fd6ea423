package simcloud

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// EventBridge's limits of how long and how often it tries to deliver an event,
// and what it does where a target has no RetryPolicy.
const (
	mostRetries  = 185
	longestRetry = 24 * time.Hour
	leastRetry   = time.Minute
)

// AWS documents that the pauses grow exponentially, with jitter, and no more. The
// longest is such that 185 of them last about a day.
const (
	firstPause   = time.Second
	longestPause = 10 * time.Minute
)

// RetryPolicy is how long EventBridge tries to deliver an event that its target
// cannot take now.
type RetryPolicy struct {
	MaximumRetryAttempts     int // 0 to 185, after the first attempt
	MaximumEventAgeInSeconds int // 60 to 86400
}

// Codes of what went wrong, as dead letters name them. A permission is never
// missing: there is no IAM here.
const (
	errorOfTarget   = "ERROR_FROM_TARGET"
	errorNoResource = "NO_RESOURCE"
	errorParameter  = "INVALID_PARAMETER"
)

// Conditions by which EventBridge gives up, as dead letters name them.
const (
	exhaustedAttempts = "MaximumRetryAttempts"
	exhaustedAge      = "MaximumEventAgeInSeconds"
)

// delivery is one event on its way to one target of a rule.
type delivery struct {
	rule    string // its ARN
	target  Target
	body    string
	since   time.Time // of the first attempt
	retries int
}

// Unreachable lets EventBridge not reach a queue from now on, or reach it again,
// as where its key is disabled; senders other than EventBridge do not notice. In a
// spell of api-down of SQS it reaches none.
func (b *EventBridge) Unreachable(queueARN string, is bool) {
	if b.unreachable == nil {
		b.unreachable = map[string]bool{}
	}
	b.unreachable[queueARN] = is
}

// reaches says whether a queue takes what EventBridge sends now.
func (b *EventBridge) reaches(queueARN string) bool {
	f := b.c.faults
	if b.unreachable[queueARN] {
		return false
	}
	if f.apiDown("sqs") {
		f.strike(faultAPIDown)
		return false
	}
	return true
}

// checkRetry checks a target's RetryPolicy and its dead-letter queue.
func (b *EventBridge) checkRetry(t Target) error {
	rules := t.policy()
	if n := rules.MaximumRetryAttempts; n < 0 || n > mostRetries {
		return apiError("ValidationException", "MaximumRetryAttempts is %d, not 0 to %d", n, mostRetries)
	}
	if age := rules.age(); age < leastRetry || age > longestRetry {
		return apiError("ValidationException", "MaximumEventAgeInSeconds is %d, not 60 to 86400", rules.MaximumEventAgeInSeconds)
	}
	if t.DeadLetters == "" {
		return nil
	}
	if dead, there := b.c.SQS().byARN(t.DeadLetters); !there || dead.fifo {
		return apiError("ValidationException", "the dead-letter queue %s is no standard queue", t.DeadLetters)
	}
	return nil
}

func (r RetryPolicy) age() time.Duration {
	return time.Duration(r.MaximumEventAgeInSeconds) * time.Second
}

// policy is the target's own RetryPolicy, or what EventBridge does without one.
func (t Target) policy() RetryPolicy {
	if t.Retry != nil {
		return *t.Retry
	}
	return RetryPolicy{MaximumRetryAttempts: mostRetries, MaximumEventAgeInSeconds: int(longestRetry / time.Second)}
}

// attempt sends the event, or sees to it that it is sent again later. What can
// never be sent is not tried again.
func (b *EventBridge) attempt(d delivery) {
	q, there := b.c.SQS().byARN(d.target.ARN)
	switch {
	case d.retries > 0 && b.c.now.Sub(d.since) > d.target.policy().age():
		b.giveUp(d, errorOfTarget, exhaustedAge)
	case !there:
		b.giveUp(d, errorNoResource, "")
	case !b.reaches(q.arn):
		b.again(d)
	default:
		if _, err := q.send(sending{body: d.body, group: d.target.MessageGroupID, delay: q.delay}); err != nil {
			b.giveUp(d, errorParameter, "")
			return
		}
		b.c.bill.Delivered++
	}
}

// again tries the event once more after a pause, if it may.
func (b *EventBridge) again(d delivery) {
	if d.retries >= d.target.policy().MaximumRetryAttempts {
		b.giveUp(d, errorOfTarget, exhaustedAttempts)
		return
	}
	pause := b.pause(d.retries)
	d.retries++
	b.c.trace("event to be sent again in %s", pause)
	b.c.after(pause, func() { b.attempt(d) })
}

// pause draws how long EventBridge waits after so many retries that failed: from
// half to all of a time that doubles.
func (b *EventBridge) pause(retries int) time.Duration {
	most := min(firstPause<<min(retries, 20), longestPause)
	return between(b.c.stream("event retry"), most/2, most)
}

// giveUp puts the event into the target's dead-letter queue with what became of
// it. Where there is none, or it cannot be sent to either, the event is lost.
func (b *EventBridge) giveUp(d delivery, code, exhausted string) {
	dead, there := b.c.SQS().byARN(d.target.DeadLetters)
	if !there || !b.reaches(dead.arn) {
		b.c.trace("event lost after %d retries: %s", d.retries, code)
		return
	}
	says := map[string]string{"RULE_ARN": d.rule, "TARGET_ARN": d.target.ARN, "ERROR_CODE": code, "ERROR_MESSAGE": "the event could not be sent to " + d.target.ARN}
	if exhausted != "" {
		says["EXHAUSTED_RETRY_CONDITION"] = exhausted
	}
	if d.retries > 0 {
		says["RETRY_ATTEMPTS"] = strconv.Itoa(d.retries)
	}
	if _, err := dead.send(sending{body: d.body, delay: dead.delay, says: says}); err != nil {
		b.c.trace("event lost: %v", err)
		return
	}
	b.c.trace("event to the dead letters %s after %d retries: %s", dead.name, d.retries, code)
}

// messageAttributes are strings as SQS shows them beside a message.
func messageAttributes(says map[string]string) map[string]types.MessageAttributeValue {
	if len(says) == 0 {
		return nil
	}
	out := map[string]types.MessageAttributeValue{}
	for name, value := range says {
		out[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
	}
	return out
}
