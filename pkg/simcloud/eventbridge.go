package simcloud

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Rule selects events by a pattern (JSON), or fires by a schedule, as
// rate(1 minute). It has one of the two.
type Rule struct {
	Name               string
	EventPattern       string
	ScheduleExpression string
}

// Target is a queue that a rule sends to. A FIFO queue needs a MessageGroupID:
// one fixed string, EventBridge cannot make it from the event.
type Target struct {
	ID             string
	ARN            string
	MessageGroupID string
	Retry          *RetryPolicy // nil: 185 times within 24 hours
	DeadLetters    string       // ARN of the standard queue for what could not be sent; empty: that is lost
}

// EventBridge is the default event bus: rules, their patterns and schedules.
type EventBridge struct {
	c           *Cloud
	rules       []*eventRule    // as they were made
	unreachable map[string]bool // ARNs of queues
}

type eventRule struct {
	Rule
	arn     string
	pattern *pattern // nil: none
	targets []Target
	version int // of the schedule: an older one has ended
}

// EventBridge returns the event bus of this world.
func (c *Cloud) EventBridge() *EventBridge {
	if c.parts.events == nil {
		c.parts.events = &EventBridge{c: c}
	}
	return c.parts.events
}

// PutRule makes or replaces a rule. A replaced rule keeps its targets.
func (b *EventBridge) PutRule(r Rule) error {
	if r.Name == "" || (r.EventPattern == "") == (r.ScheduleExpression == "") {
		return apiError("ValidationException", "rule %q wants a name and either an event pattern or a schedule", r.Name)
	}
	made := &eventRule{Rule: r, arn: b.c.arn("events", "rule/"+r.Name)}
	var rate time.Duration
	var err error
	if r.EventPattern != "" {
		made.pattern, err = parsePattern(r.EventPattern)
	} else {
		rate, err = parseRate(r.ScheduleExpression)
	}
	if err != nil {
		return err
	}
	if old := b.rule(r.Name); old != nil {
		made.targets, made.version = old.targets, old.version+1
		*old = *made
		made = old
	} else {
		b.rules = append(b.rules, made)
	}
	if rate > 0 {
		b.schedule(made, rate)
	}
	return nil
}

// PutTargets adds targets to a rule or replaces those of the same id. A rule has
// at most five.
func (b *EventBridge) PutTargets(rule string, targets ...Target) error {
	r := b.rule(rule)
	if r == nil {
		return apiError("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", rule)
	}
	all := append([]Target(nil), r.targets...)
	for _, t := range targets {
		if err := b.checkTarget(t); err != nil {
			return err
		}
		all = withTarget(all, t)
	}
	if len(all) > 5 {
		return apiError("LimitExceededException", "rule %s would have %d targets, more than 5", rule, len(all))
	}
	r.targets = all
	return nil
}

func (b *EventBridge) checkTarget(t Target) error {
	if !strings.HasPrefix(t.ARN, "arn:aws:sqs:") {
		return notSimulated("the target %s: only queues", t.ARN)
	}
	q, ok := b.c.SQS().byARN(t.ARN)
	switch {
	case t.ID == "":
		return apiError("ValidationException", "the target %s has no id", t.ARN)
	case !ok:
		return notSimulated("the target %s: no such queue, its events would be lost", t.ARN)
	case q.fifo && (t.MessageGroupID == "" || !q.contentDedup):
		return apiError("ValidationException", "the FIFO queue %s needs a message group id and content-based deduplication", t.ARN)
	case !q.fifo && t.MessageGroupID != "":
		return notSimulated("message groups of a standard queue")
	default:
		return b.checkRetry(t)
	}
}

func withTarget(all []Target, t Target) []Target {
	for i := range all {
		if all[i].ID == t.ID {
			all[i] = t
			return all
		}
	}
	return append(all, t)
}

func (b *EventBridge) rule(name string) *eventRule {
	for _, r := range b.rules {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// parseRate reads rate(N minutes); EventBridge wants the singular for 1.
func parseRate(expression string) (time.Duration, error) {
	inside, ok := strings.CutPrefix(expression, "rate(")
	if !ok {
		return 0, notSimulated("the schedule %s: only rate(...)", expression)
	}
	inside, closed := strings.CutSuffix(inside, ")")
	count, unit, _ := strings.Cut(inside, " ")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || !closed || strings.HasSuffix(unit, "s") != (n > 1) {
		return 0, apiError("ValidationException", "Parameter ScheduleExpression is not valid: %s", expression)
	}
	switch strings.TrimSuffix(unit, "s") {
	case "minute":
		return time.Duration(n) * time.Minute, nil
	case "hour":
		return time.Duration(n) * time.Hour, nil
	case "day":
		return time.Duration(n) * 24 * time.Hour, nil
	default:
		return 0, apiError("ValidationException", "Parameter ScheduleExpression is not valid: %s", expression)
	}
}

// schedule lets the rule fire within its minutes, at a second of its own, never
// at second 0. The event's time is that of the minute.
func (b *EventBridge) schedule(r *eventRule, rate time.Duration) {
	offset := between(b.c.stream("schedule "+r.Name), time.Second, 59*time.Second)
	version := r.version
	first := b.c.now.Truncate(time.Minute).Add(time.Minute + offset)
	b.c.every(first, rate, func() bool {
		if r.version != version {
			return false
		}
		e := b.envelope("aws.events", "Scheduled Event", []string{r.arn})
		e.Time = b.c.now.Truncate(time.Minute).Format(time.RFC3339)
		e.Detail = json.RawMessage("{}")
		b.c.trace("event aws.events Scheduled Event [%s]", r.arn)
		b.deliver(r, e)
		return true
	})
}

// busEvent is an event as its targets get it.
type busEvent struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

func (b *EventBridge) envelope(source, detailType string, resources []string) *busEvent {
	return &busEvent{
		Version: "0", ID: uuid(b.c), DetailType: detailType, Source: source, Account: b.c.opts.Account,
		Time: b.c.now.UTC().Truncate(time.Second).Format(time.RFC3339), Region: b.c.opts.Region,
		Resources: append([]string{}, resources...),
	}
}

// emit puts an event of an AWS service on the default event bus.
func (c *Cloud) emit(source, detailType string, resources []string, detail any) {
	c.trace("event %s %s %v", source, detailType, resources)
	b := c.EventBridge()
	e := b.envelope(source, detailType, resources)
	outer := e.outer()
	var inner any // the detail, decoded when the first rule asks for it
	for _, r := range b.rules {
		if r.pattern == nil || !r.pattern.matchesOuter(outer) {
			continue
		}
		if e.Detail == nil {
			e.Detail, inner = encodeDetail(detail)
		}
		if r.pattern.matchesDetail(inner) {
			b.deliver(r, e)
		}
	}
}

func (e *busEvent) outer() map[string]any {
	resources := make([]any, len(e.Resources))
	for i, r := range e.Resources {
		resources[i] = r
	}
	return map[string]any{
		"version": e.Version, "id": e.ID, "detail-type": e.DetailType, "source": e.Source,
		"account": e.Account, "time": e.Time, "region": e.Region, "resources": resources,
	}
}

// encodeDetail panics if the detail is not JSON: a part of simcloud made it.
func encodeDetail(detail any) (json.RawMessage, any) {
	raw, err := json.Marshal(detail)
	if err != nil {
		panic(fmt.Sprintf("simcloud: an event's detail: %v", err))
	}
	var decoded any
	if err := json.Unmarshal(raw, &decoded); err != nil {
		panic(fmt.Sprintf("simcloud: an event's detail: %v", err))
	}
	return raw, decoded
}

// deliver sends the event to each target of the rule.
func (b *EventBridge) deliver(r *eventRule, e *busEvent) {
	body, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("simcloud: an event: %v", err))
	}
	for _, t := range r.targets {
		usual := deliveryDelay(b.c.stream("event delivery"))
		for _, late := range b.c.faults.deliveries(e.Source, usual) {
			b.c.after(late, func() { b.arrive(r.arn, t, string(body)) })
		}
		if forged, ok := b.c.faults.forged(e, string(body)); ok {
			b.c.after(usual, func() { b.arrive(r.arn, t, forged) })
		}
	}
}

// arrive is the first attempt to send an event to a target of a rule.
func (b *EventBridge) arrive(rule string, t Target, body string) {
	b.c.faults.newest[t.ARN] = body
	b.attempt(delivery{rule: rule, target: t, body: body, since: b.c.now})
}

// deliveryDelay is 0.3 to 1.5 s, with a tail of one in twenty up to 5 s.
func deliveryDelay(r *rand.Rand) time.Duration {
	if r.Float64() < 0.05 {
		return between(r, 1500*time.Millisecond, 5*time.Second)
	}
	return between(r, 300*time.Millisecond, 1500*time.Millisecond)
}

// guaranteed says whether events of a source are delivered at least once. Those
// of all others (EC2, Auto Scaling, Systems Manager, CloudTrail) are best
// effort: they may be lost.
func guaranteed(source string) bool {
	switch source {
	case "aws.ecs", "aws.cloudwatch", "aws.events":
		return true
	default:
		return false
	}
}
