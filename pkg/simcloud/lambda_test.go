package simcloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// seen is a function that notes what it was given and answers as told.
type seen struct {
	t       *testing.T
	c       *Cloud
	batches []lambdaPayload
	at      []time.Time
	groups  map[string]int // running now
	most    int
	now     int
	takes   time.Duration
	answer  func(p lambdaPayload) ([]byte, error)
}

func (s *seen) run(ctx context.Context, raw []byte) ([]byte, error) {
	p := decodePayload(s.t, raw)
	s.batches, s.at = append(s.batches, p), append(s.at, s.c.Now())
	s.now++
	s.most = max(s.most, s.now)
	for _, r := range p.Records {
		g := r.Attributes["MessageGroupId"]
		if s.groups[g]++; g != "" && s.groups[g] > len(p.Records) {
			s.t.Errorf("two batches of group %s at once", g)
		}
	}
	defer func() { // also when it is killed
		s.now--
		for _, r := range p.Records {
			s.groups[r.Attributes["MessageGroupId"]]--
		}
	}()
	if s.takes > 0 {
		procOf(ctx).sleep(s.takes)
	}
	if s.answer == nil {
		return nil, nil
	}
	return s.answer(p)
}

func (s *seen) bodies() string {
	var out []string
	for _, b := range s.batches {
		for _, r := range b.Records {
			out = append(out, r.Body)
		}
	}
	return strings.Join(out, " ")
}

func mapped(t *testing.T, c *Cloud, q string, s *seen, cfg FunctionConfig, src EventSource) *seen {
	t.Helper()
	s.t, s.c, s.groups = t, c, map[string]int{}
	must(t, c.Lambda().Register("f", s.run, cfg))
	src.Queue, src.Function = q, "f"
	must(t, c.Lambda().Map(src))
	return s
}

func failing(body string) func(p lambdaPayload) ([]byte, error) {
	return func(p lambdaPayload) ([]byte, error) {
		var failed []string
		for _, r := range p.Records {
			if r.Body == body {
				failed = append(failed, `{"itemIdentifier":"`+r.MessageID+`"}`)
			}
		}
		return []byte(`{"batchItemFailures":[` + strings.Join(failed, ",") + `]}`), nil
	}
}

func TestAFunctionGetsTheRecordAsLambdaSendsIt(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	s := mapped(t, c, "q.fifo", &seen{}, FunctionConfig{}, EventSource{})
	id := sendTo(t, c, q, "hello", "g", "")
	pass(t, c, time.Minute)
	if len(s.batches) != 1 || len(s.batches[0].Records) != 1 {
		t.Fatalf("%d batches", len(s.batches))
	}
	r := s.batches[0].Records[0]
	got := []string{r.MessageID, r.Body, r.MD5OfBody, r.EventSource, r.EventSourceARN, r.AWSRegion, r.Attributes["ApproximateReceiveCount"], r.Attributes["MessageGroupId"], r.Attributes["MessageDeduplicationId"], r.Attributes["SentTimestamp"]}
	want := []string{id, "hello", "5d41402abc4b2a76b9719d911017c592", "aws:sqs", q.arn, "eu-west-1", "1", "g", contentID("hello"), fmt.Sprint(epoch.UnixMilli())}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("record\n%v, want\n%v", got, want)
	}
	for _, name := range []string{"SenderId", "SequenceNumber", "ApproximateFirstReceiveTimestamp"} {
		if r.Attributes[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if len(q.held) != 0 {
		t.Error("not deleted after success")
	}
}

// TestWhatAnAnswerLeavesInTheQueue has two messages in one batch.
func TestWhatAnAnswerLeavesInTheQueue(t *testing.T) {
	constant := func(s string) func(lambdaPayload) ([]byte, error) {
		return func(lambdaPayload) ([]byte, error) { return []byte(s), nil }
	}
	for name, row := range map[string]struct {
		report bool
		takes  time.Duration
		answer func(lambdaPayload) ([]byte, error)
		left   string
	}{
		"no answer":                        {report: true, left: ""},
		"null":                             {report: true, answer: constant("null"), left: ""},
		"an empty object":                  {report: true, answer: constant("{}"), left: ""},
		"an empty list":                    {report: true, answer: constant(`{"batchItemFailures":[]}`), left: ""},
		"one item failed":                  {report: true, answer: failing("b"), left: "b"},
		"an item that is not in the batch": {report: true, answer: constant(`{"batchItemFailures":[{"itemIdentifier":"x"}]}`), left: "a b"},
		"an empty identifier":              {report: true, answer: constant(`{"batchItemFailures":[{"itemIdentifier":""}]}`), left: "a b"},
		"a wrong key":                      {report: true, answer: constant(`{"batchItemFailures":[{"id":"x"}]}`), left: "a b"},
		"an answer that is not JSON":       {report: true, answer: constant(`oops`), left: "a b"},
		"one item failed but nobody asked for a report": {answer: failing("b"), left: ""},
		"an error":   {report: true, answer: func(lambdaPayload) ([]byte, error) { return nil, errors.New("no") }, left: "a b"},
		"a panic":    {report: true, answer: func(lambdaPayload) ([]byte, error) { panic("no") }, left: "a b"},
		"a time-out": {report: true, takes: 10 * time.Second, left: "a b"},
	} {
		c := newWorld(t, 1)
		q := makeQueue(t, c, "q.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "60"})
		sendTo(t, c, q, "a", "g", "1")
		sendTo(t, c, q, "b", "g", "2")
		s := mapped(t, c, "q.fifo", &seen{answer: row.answer, takes: row.takes}, FunctionConfig{Timeout: 5 * time.Second}, EventSource{ReportBatchItemFailures: row.report})
		pass(t, c, 50*time.Second)
		var left []string
		for _, m := range c.SQS().Messages("q.fifo") {
			left = append(left, *m.Body)
		}
		if got := strings.Join(left, " "); got != row.left || s.bodies() != "a b" {
			t.Errorf("%s: left %q, want %q; invoked with %q", name, got, row.left, s.bodies())
		}
		if pass(t, c, 20*time.Second); row.left != "" && s.bodies() != "a b "+row.left {
			t.Errorf("%s: after the visibility timeout invoked with %q", name, s.bodies())
		}
	}
}

func TestAPoisonedMessageDiesAloneAndItsGroupGoesOn(t *testing.T) {
	c := newWorld(t, 1)
	dead := makeQueue(t, c, "dead.fifo", map[string]string{"FifoQueue": "true"})
	q := makeQueue(t, c, "q.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "60", "RedrivePolicy": `{"deadLetterTargetArn":"` + dead.arn + `","maxReceiveCount":3}`})
	s := mapped(t, c, "q.fifo", &seen{answer: failing("poison")}, FunctionConfig{Timeout: 5 * time.Second}, EventSource{BatchSize: 1, ReportBatchItemFailures: true})
	sendTo(t, c, q, "poison", "g", "1")
	sendTo(t, c, q, "next", "g", "2")
	sendTo(t, c, q, "other", "h", "3")
	pass(t, c, 10*time.Second)
	if s.bodies() != "poison other" {
		t.Errorf("at first: %q", s.bodies())
	}
	pass(t, c, 5*time.Minute)
	if s.bodies() != "poison other poison poison next" {
		t.Errorf("in the end: %q", s.bodies())
	}
	if got := c.SQS().Messages("dead.fifo"); len(got) != 1 || *got[0].Body != "poison" {
		t.Errorf("dead letters %v", got)
	}
}

func TestHowManyRunAtOnce(t *testing.T) {
	for name, row := range map[string]struct {
		src      EventSource
		cfg      FunctionConfig
		groups   int // 0: a standard queue
		messages int
		least    int
		most     int
	}{
		"a standard queue begins with five pollers": {EventSource{BatchSize: 1}, FunctionConfig{}, 0, 10, 5, 5},
		"they grow while a backlog lasts":           {EventSource{BatchSize: 1}, FunctionConfig{}, 0, 400, 40, 70},
		"a mapping's maximum":                       {EventSource{BatchSize: 1, MaximumConcurrency: 2}, FunctionConfig{}, 0, 20, 2, 2},
		"a function's reserve":                      {EventSource{BatchSize: 1}, FunctionConfig{MaxConcurrency: 3}, 0, 20, 3, 3},
		"a FIFO queue has one a group":              {EventSource{BatchSize: 1}, FunctionConfig{}, 4, 20, 4, 4},
		"also in batches":                           {EventSource{BatchSize: 10}, FunctionConfig{}, 1, 20, 1, 1},
	} {
		c := newWorld(t, 1)
		attributes := map[string]string{"VisibilityTimeout": "30"}
		queue := "q"
		if row.groups > 0 {
			attributes["FifoQueue"], queue = "true", "q.fifo"
		}
		q := makeQueue(t, c, queue, attributes)
		row.cfg.Timeout = 10 * time.Second
		s := mapped(t, c, queue, &seen{takes: 500 * time.Millisecond}, row.cfg, row.src)
		for i := range row.messages {
			group, dedup := "", ""
			if row.groups > 0 {
				group, dedup = fmt.Sprint(i%row.groups), fmt.Sprint(i)
			}
			sendTo(t, c, q, fmt.Sprint(i), group, dedup)
		}
		pass(t, c, 10*time.Minute)
		if s.most < row.least || s.most > row.most {
			t.Errorf("%s: %d at once, want %d to %d", name, s.most, row.least, row.most)
		}
		if len(q.held) != 0 {
			t.Errorf("%s: %d messages left", name, len(q.held))
		}
	}
}

func TestThrottledBatchesAgeInTheQueue(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", map[string]string{"VisibilityTimeout": "30"})
	s := mapped(t, c, "q", &seen{takes: 9 * time.Second}, FunctionConfig{Timeout: 10 * time.Second, MaxConcurrency: 1}, EventSource{BatchSize: 1})
	sendTo(t, c, q, "a", "", "")
	sendTo(t, c, q, "b", "", "")
	pass(t, c, 2*time.Minute)
	if len(s.batches) != 2 || s.batches[1].Records[0].Attributes["ApproximateReceiveCount"] == "1" {
		t.Errorf("%d batches: %+v", len(s.batches), s.batches)
	}
	if c.Lambda().Stats("f").Throttles == 0 {
		t.Error("no throttle was counted")
	}
}

// TestThrottledPollersComeBack: somebody else uses the function up for a while.
func TestThrottledPollersComeBack(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", map[string]string{"VisibilityTimeout": "600"})
	s := mapped(t, c, "q", &seen{takes: 5 * time.Second}, FunctionConfig{Timeout: 10 * time.Second, MaxConcurrency: 1}, EventSource{BatchSize: 1})
	must(t, c.Lambda().Invoke("f", []byte("{}")))
	pass(t, c, time.Second)
	for range 20 {
		sendTo(t, c, q, "x", "", "")
	}
	pass(t, c, time.Minute)
	if len(s.batches) < 3 || len(s.batches) > 13 {
		t.Errorf("%d batches within a minute", len(s.batches))
	}
}

func TestEachConcurrentInvocationHasAnEnvironment(t *testing.T) {
	c := newWorld(t, 1)
	must(t, c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) { procOf(ctx).sleep(time.Second); return nil, nil }, FunctionConfig{}))
	for _, n := range []int{1, 3, 2, 4} {
		for range n {
			must(t, c.Lambda().Invoke("f", nil))
		}
		pass(t, c, 10*time.Second)
	}
	if s := c.Lambda().Stats("f"); s.ColdStarts != 4 || s.Invocations != 10 || s.MostAtOnce != 4 || s.Duration != 10*time.Second {
		t.Errorf("%+v", s)
	}
}

func TestAKilledEnvironmentIsGone(t *testing.T) {
	c := newWorld(t, 1)
	must(t, c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) { procOf(ctx).sleep(time.Minute); return nil, nil }, FunctionConfig{}))
	must(t, c.Lambda().Invoke("f", nil))
	pass(t, c, time.Hour)
	if s := c.Lambda().Stats("f"); s.ColdStarts != 3 || s.Errors != 3 {
		t.Errorf("three time-outs: %+v", s)
	}
}

func TestColdStarts(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	s := mapped(t, c, "q", &seen{}, FunctionConfig{}, EventSource{})
	var told []Invocation
	c.Lambda().OnInvocation(func(i Invocation) { told = append(told, i) })
	for _, wait := range []time.Duration{time.Minute, 9 * time.Minute, 11 * time.Minute, time.Minute} {
		at := c.Now()
		sendTo(t, c, q, wait.String(), "", "")
		pass(t, c, wait)
		if lag := s.at[len(s.at)-1].Sub(at); lag > time.Second {
			t.Errorf("invoked after %s", lag)
		}
	}
	var cold []bool
	for _, i := range told {
		cold = append(cold, i.Cold)
	}
	if fmt.Sprint(cold) != "[true false false true]" {
		t.Errorf("cold: %v", cold)
	}
	stats := c.Lambda().Stats("f")
	if stats.Invocations != 4 || stats.ColdStarts != 2 || stats.Errors != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestAnAsynchronousInvocationIsTriedThreeTimes(t *testing.T) {
	c := newWorld(t, 1)
	n := 0
	must(t, c.Lambda().Register("f", func(context.Context, []byte) ([]byte, error) { n++; return nil, errors.New("no") }, FunctionConfig{}))
	must(t, c.Lambda().Invoke("f", []byte("{}")))
	pass(t, c, 30*time.Second)
	if n != 1 {
		t.Errorf("%d tries in half a minute", n)
	}
	pass(t, c, time.Hour)
	if n != 3 || c.Lambda().Stats("f").Errors != 3 {
		t.Errorf("%d tries", n)
	}
	if err := c.Lambda().Invoke("g", nil); codeOf(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
}

func TestWhatIsNotMapped(t *testing.T) {
	c := newWorld(t, 1)
	makeQueue(t, c, "q", map[string]string{"VisibilityTimeout": "30"})
	none := func(context.Context, []byte) ([]byte, error) { return nil, nil }
	must(t, c.Lambda().Register("f", none, FunctionConfig{Timeout: 30 * time.Second}))
	must(t, c.Lambda().Register("slow", none, FunctionConfig{Timeout: 31 * time.Second}))
	for name, row := range map[string]struct {
		src  EventSource
		code string
	}{
		"no queue":                         {EventSource{Queue: "no", Function: "f"}, "InvalidParameterValueException"},
		"no function":                      {EventSource{Queue: "q", Function: "no"}, "ResourceNotFoundException"},
		"a batch that needs a window":      {EventSource{Queue: "q", Function: "f", BatchSize: 11}, "NotSimulated"},
		"a maximum of one":                 {EventSource{Queue: "q", Function: "f", MaximumConcurrency: 1}, "InvalidParameterValueException"},
		"a function slower than the queue": {EventSource{Queue: "q", Function: "slow"}, "InvalidParameterValueException"},
	} {
		if err := c.Lambda().Map(row.src); codeOf(err) != row.code {
			t.Errorf("%s: %v, want %s", name, err, row.code)
		}
	}
	must(t, c.Lambda().Map(EventSource{Queue: "q", Function: "f"}))
	if err := c.Lambda().Map(EventSource{Queue: "q", Function: "f"}); codeOf(err) != "ResourceConflictException" {
		t.Error(err)
	}
}

// TestAFunctionThatSendsIsACallLikeAnyOther: it takes time and is counted.
func TestAFunctionThatSendsIsACallLikeAnyOther(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	var took time.Duration
	must(t, c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
		began := c.Now()
		_, err := c.SQS().SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String("x")})
		took = c.Now().Sub(began)
		return nil, err
	}, FunctionConfig{}))
	must(t, c.Lambda().Invoke("f", nil))
	pass(t, c, time.Minute)
	if took <= 0 || took > 100*time.Millisecond || c.Calls()["sqs:SendMessage"] != 1 {
		t.Errorf("took %s, calls %v", took, c.Calls())
	}
}
