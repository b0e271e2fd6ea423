package simcloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// deadLetter is what a message of a dead-letter queue says of itself.
func deadLetter(c *Cloud, queue string) string {
	var all []string
	for _, m := range c.SQS().Messages(queue) {
		for name, v := range m.MessageAttributes {
			all = append(all, name+"="+strings.ReplaceAll(*v.StringValue, "arn:aws:sqs:eu-west-1:111122223333:", ""))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// An event that a queue cannot take comes to one of these ends.
func TestWhatBecomesOfAnEventThatCannotBeSent(t *testing.T) {
	day := 25 * time.Hour
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	const gone = "ERROR_CODE=NO_RESOURCE ERROR_MESSAGE=the event could not be sent to q RULE_ARN=arn:aws:events:eu-west-1:111122223333:rule/r TARGET_ARN=q"
	tired := func(condition string, attempts int) string {
		return fmt.Sprintf("ERROR_CODE=ERROR_FROM_TARGET ERROR_MESSAGE=the event could not be sent to q EXHAUSTED_RETRY_CONDITION=%s RETRY_ATTEMPTS=%d RULE_ARN=arn:aws:events:eu-west-1:111122223333:rule/r TARGET_ARN=q", condition, attempts)
	}
	never := strings.Replace(tired("MaximumRetryAttempts", 0), " RETRY_ATTEMPTS=0", "", 1)
	for _, tt := range []struct {
		name      string
		down      time.Duration // for how long the queue cannot be sent to
		retry     *RetryPolicy
		noLetters bool // the target has no dead-letter queue
		also      func(*Cloud, *queue, *queue)
		arrives   bool
		letter    string // of the dead letter; empty: there is none
		within    [2]time.Duration
	}{
		{name: "the queue takes it at once", arrives: true, within: [2]time.Duration{300 * time.Millisecond, 5 * time.Second}},
		{name: "the queue is back after a minute", down: time.Minute, arrives: true, within: [2]time.Duration{time.Minute, 3 * time.Minute}},
		{name: "the queue is back after twenty hours", down: 20 * time.Hour, arrives: true, within: [2]time.Duration{20 * time.Hour, 20*time.Hour + 10*time.Minute}},
		{name: "three attempts more are all it may take", down: day, retry: &RetryPolicy{3, seconds(time.Hour)}, letter: tired("MaximumRetryAttempts", 3), within: [2]time.Duration{3 * time.Second, 15 * time.Second}},
		{name: "no second attempt is wanted", down: day, retry: &RetryPolicy{0, seconds(time.Hour)}, letter: never, within: [2]time.Duration{300 * time.Millisecond, 5 * time.Second}},
		{name: "it gets too old", down: day, retry: &RetryPolicy{185, 60}, letter: tired("MaximumEventAgeInSeconds", 7), within: [2]time.Duration{time.Minute, 3 * time.Minute}},
		{name: "it gets too old, though the queue is back by then", down: 65 * time.Second, retry: &RetryPolicy{185, 60}, letter: tired("MaximumEventAgeInSeconds", 7), within: [2]time.Duration{time.Minute, 3 * time.Minute}},
		{name: "there is no queue for what cannot be sent", down: day, retry: &RetryPolicy{3, 60}, noLetters: true},
		{name: "the dead-letter queue cannot be sent to either", down: day, retry: &RetryPolicy{3, 60}, also: func(c *Cloud, _, dead *queue) { c.EventBridge().Unreachable(dead.arn, true) }},
		{name: "the queue is gone", also: func(c *Cloud, q, _ *queue) { delete(c.SQS().queues, q.name) }, letter: gone, within: [2]time.Duration{300 * time.Millisecond, 5 * time.Second}},
		{name: "the queue is gone, and there is none for what cannot be sent", noLetters: true, also: func(c *Cloud, q, _ *queue) { delete(c.SQS().queues, q.name) }},
		{name: "SQS is down for some time", arrives: true, within: [2]time.Duration{10 * time.Minute, 20 * time.Minute}, also: func(c *Cloud, _, _ *queue) {
			must(t, c.Faults().Set(faultAPIDown, 1))
			c.after(10*time.Minute, func() { must(t, c.Faults().Set(faultAPIDown, 0)) })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newWorld(t, 1)
			q, dead := makeQueue(t, c, "q", nil), makeQueue(t, c, "dead", nil)
			to := Target{ID: "q", ARN: q.arn, Retry: tt.retry, DeadLetters: dead.arn}
			if tt.noLetters {
				to.DeadLetters = ""
			}
			must(t, c.EventBridge().PutRule(Rule{Name: "r", EventPattern: `{"source":["aws.ecs"]}`}))
			must(t, c.EventBridge().PutTargets("r", to))
			if tt.down > 0 {
				c.EventBridge().Unreachable(q.arn, true)
				c.after(tt.down, func() { c.EventBridge().Unreachable(q.arn, false) })
			}
			if tt.also != nil {
				tt.also(c, q, dead)
			}
			c.emit("aws.ecs", "Thing", nil, map[string]any{})
			var at time.Duration
			c.Every(epoch, 100*time.Millisecond, func() bool {
				if at == 0 && len(q.held)+len(dead.held) > 0 {
					at = c.now.Sub(epoch)
				}
				return at == 0
			})
			pass(t, c, day+time.Hour)
			if (len(q.held) == 1) != tt.arrives || deadLetter(c, "dead") != tt.letter {
				t.Errorf("%d arrived, dead letter %q", len(q.held), deadLetter(c, "dead"))
			}
			if at < tt.within[0] || at > tt.within[1] {
				t.Errorf("after %s, want %s to %s", at, tt.within[0], tt.within[1])
			}
		})
	}
}

// By default an event is tried for about a day, ever more slowly.
func TestHowLongAnEventIsTriedByDefault(t *testing.T) {
	for seed := range uint64(10) {
		c := newWorld(t, seed)
		q, dead := makeQueue(t, c, "q", nil), makeQueue(t, c, "dead", nil)
		c.EventBridge().Unreachable(q.arn, true)
		c.EventBridge().arrive("r", Target{ID: "q", ARN: q.arn, DeadLetters: dead.arn}, "{}")
		pass(t, c, 20*time.Hour)
		if len(dead.held) > 0 {
			t.Errorf("seed %d: it was given up within 20 hours: %s", seed, deadLetter(c, "dead"))
		}
		pass(t, c, 5*time.Hour)
		if len(dead.held) != 1 {
			t.Errorf("seed %d: it is tried for more than a day: %d dead letters", seed, len(dead.held))
		}
	}
}

func TestWrongRetryPoliciesAreRefused(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	f := makeQueue(t, c, "f.fifo", map[string]string{"FifoQueue": "true"})
	must(t, c.EventBridge().PutRule(Rule{Name: "r", EventPattern: `{"source":["aws.ecs"]}`}))
	for name, target := range map[string]Target{
		"more than 185 attempts":     {Retry: &RetryPolicy{186, 60}},
		"fewer than none":            {Retry: &RetryPolicy{-1, 60}},
		"less than a minute":         {Retry: &RetryPolicy{1, 59}},
		"more than a day":            {Retry: &RetryPolicy{1, 86401}},
		"dead letters in FIFO order": {DeadLetters: f.arn},
		"dead letters nowhere":       {DeadLetters: q.arn + "x"},
	} {
		target.ID, target.ARN = "1", q.arn
		if err := c.EventBridge().PutTargets("r", target); codeOf(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, c.EventBridge().PutTargets("r", Target{ID: "1", ARN: q.arn, Retry: &RetryPolicy{185, 86400}, DeadLetters: q.arn}))
}
