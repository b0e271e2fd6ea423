package simcloud

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"pgregory.net/rapid"
)

func bodies(ms []*message) string {
	var out []string
	for _, m := range ms {
		out = append(out, m.body)
	}
	return strings.Join(out, " ")
}

func fifoWorld(t *testing.T) (*Cloud, *queue) {
	c := newWorld(t, 1)
	return c, makeQueue(t, c, "q.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "90"})
}

func TestWhatAQueueRefuses(t *testing.T) {
	c := newWorld(t, 1)
	plain := makeQueue(t, c, "plain", nil)
	fifo := makeQueue(t, c, "f.fifo", map[string]string{"FifoQueue": "true"})
	url := func(q *queue) *string { return aws.String(q.url) }
	body := aws.String("x")
	for name, row := range map[string]struct {
		in   *sqs.SendMessageInput
		code string
	}{
		"a queue that is not there":              {&sqs.SendMessageInput{QueueUrl: aws.String(plain.url + "x"), MessageBody: body}, "AWS.SimpleQueueService.NonExistentQueue"},
		"no body":                                {&sqs.SendMessageInput{QueueUrl: url(plain)}, "MissingParameter"},
		"a forbidden character":                  {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: aws.String("\x00")}, "InvalidMessageContents"},
		"more than 1 MiB":                        {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: aws.String(strings.Repeat("x", 1<<20+1))}, "InvalidParameterValue"},
		"a delay over 900 s":                     {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: body, DelaySeconds: 901}, "InvalidParameterValue"},
		"a delay of 900 s":                       {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: body, DelaySeconds: 900}, ""},
		"a deduplication id on a standard queue": {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: body, MessageDeduplicationId: body}, "InvalidParameterValue"},
		"message attributes":                     {&sqs.SendMessageInput{QueueUrl: url(plain), MessageBody: body, MessageAttributes: map[string]types.MessageAttributeValue{"a": {}}}, "NotSimulated"},
		"a FIFO message without a group":         {&sqs.SendMessageInput{QueueUrl: url(fifo), MessageBody: body, MessageDeduplicationId: body}, "MissingParameter"},
		"a FIFO message with a delay of its own": {&sqs.SendMessageInput{QueueUrl: url(fifo), MessageBody: body, MessageGroupId: body, MessageDeduplicationId: body, DelaySeconds: 1}, "InvalidParameterValue"},
		"a FIFO message without a deduplication": {&sqs.SendMessageInput{QueueUrl: url(fifo), MessageBody: body, MessageGroupId: body}, "InvalidParameterValue"},
		"a FIFO message with all that it needs":  {&sqs.SendMessageInput{QueueUrl: url(fifo), MessageBody: body, MessageGroupId: body, MessageDeduplicationId: body}, ""},
		"a group of 129 characters":              {&sqs.SendMessageInput{QueueUrl: url(fifo), MessageBody: body, MessageGroupId: aws.String(strings.Repeat("g", 129)), MessageDeduplicationId: body}, "MissingParameter"},
	} {
		if _, err := c.SQS().SendMessage(t.Context(), row.in); codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
	_, err := c.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("nowhere"), MessageBody: body})
	var gone *types.QueueDoesNotExist
	if !errors.As(err, &gone) {
		t.Errorf("%v is not the SDK's type", err)
	}
}

func TestWhatNoQueueIsMadeWith(t *testing.T) {
	c := newWorld(t, 1)
	makeQueue(t, c, "there", nil)
	for name, row := range map[string]struct {
		queue      string
		attributes map[string]string
		code       string
	}{
		"the same again":                {"there", nil, ""},
		"the same otherwise":            {"there", map[string]string{"DelaySeconds": "1"}, "QueueAlreadyExists"},
		"FIFO without the suffix":       {"a", map[string]string{"FifoQueue": "true"}, "InvalidParameterValue"},
		"the suffix without FIFO":       {"a.fifo", nil, "InvalidParameterValue"},
		"an unknown attribute":          {"a", map[string]string{"KmsMasterKeyId": "k"}, "NotSimulated"},
		"a delay of 901 s":              {"a", map[string]string{"DelaySeconds": "901"}, "InvalidAttributeValue"},
		"dead letters that are nowhere": {"a", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:no","maxReceiveCount":3}`}, "InvalidParameterValue"},
		"dead letters of another kind":  {"a.fifo", map[string]string{"FifoQueue": "true", "RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:there","maxReceiveCount":3}`}, "InvalidParameterValue"},
		"a count in quotes":             {"b", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:there","maxReceiveCount":"3"}`}, ""},
	} {
		_, err := c.SQS().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(row.queue), Attributes: row.attributes})
		if codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
}

func TestCountsFollowAMessageThroughItsLife(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", map[string]string{"DelaySeconds": "10", "VisibilityTimeout": "30"})
	check := func(when, want string) {
		t.Helper()
		out, err := c.SQS().GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(q.url), AttributeNames: []types.QueueAttributeName{
			"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
		}})
		must(t, err)
		a := out.Attributes
		if got := a["ApproximateNumberOfMessages"] + a["ApproximateNumberOfMessagesNotVisible"] + a["ApproximateNumberOfMessagesDelayed"]; got != want {
			t.Errorf("%s: visible, in flight, delayed are %s, want %s", when, got, want)
		}
	}
	sendTo(t, c, q, "x", "", "")
	check("sent", "001")
	pass(t, c, 11*time.Second)
	check("after the delay", "100")
	m := q.receive(10)[0]
	check("received", "010")
	pass(t, c, 30*time.Second)
	check("after the visibility timeout", "100")
	if q.receive(1)[0] != m || m.receives != 2 {
		t.Errorf("received %d times", m.receives)
	}
	if q.remove(m, 1) {
		t.Error("a stale receipt deleted the message")
	}
	if !q.remove(m, 2) {
		t.Error("the receipt did not delete the message")
	}
	check("deleted", "000")
	sendTo(t, c, q, "old", "", "")
	pass(t, c, 4*24*time.Hour)
	check("after its retention", "000")
	if got := q.receive(1); len(got) > 0 || len(c.SQS().Messages("q")) > 0 {
		t.Errorf("received an expired message")
	}
}

func TestAFIFOQueueDropsADeduplicationIDForFiveMinutes(t *testing.T) {
	c, q := fifoWorld(t)
	first := sendTo(t, c, q, "a", "g", "1")
	m := q.receive(1)[0]
	q.remove(m, 1)
	pass(t, c, 5*time.Minute-time.Second)
	if again := sendTo(t, c, q, "b", "g", "1"); again != first || len(q.held) != 0 {
		t.Errorf("within the window: id %s for %s, %d held", again, first, len(q.held))
	}
	if sendTo(t, c, q, "c", "other", "1"); len(q.held) != 0 {
		t.Error("another group has a window of its own")
	}
	pass(t, c, time.Second)
	if again := sendTo(t, c, q, "d", "g", "1"); again == first || len(q.held) != 1 {
		t.Error("the window is longer than five minutes")
	}
}

func TestContentIsADeduplicationID(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	if a, b := sendTo(t, c, q, "a", "g", ""), sendTo(t, c, q, "a", "g", ""); a != b {
		t.Error("the same content was taken twice")
	}
	if sendTo(t, c, q, "a", "g", "") == sendTo(t, c, q, "b", "g", "") {
		t.Error("other content was dropped")
	}
	if sendTo(t, c, q, "a", "g", "own") == sendTo(t, c, q, "a", "g", "") {
		t.Error("an id of its own does not count before the content")
	}
}

func TestAGroupWaitsForWhatIsInFlight(t *testing.T) {
	c, q := fifoWorld(t)
	for i, s := range []string{"a1", "a2", "b1", "a3", "b2"} {
		sendTo(t, c, q, s, s[:1], fmt.Sprint(i))
	}
	first := q.receive(2)
	if bodies(first) != "a1 a2" {
		t.Fatalf("received %q", bodies(first))
	}
	if got := bodies(q.receive(10)); got != "b1 b2" {
		t.Errorf("while a is in flight received %q", got)
	}
	q.remove(first[1], 1)
	if got := bodies(q.receive(10)); got != "" {
		t.Errorf("a1 is still in flight, received %q", got)
	}
	pass(t, c, 90*time.Second)
	if q.remove(first[0], 1) {
		t.Error("a receipt deleted a message that was visible again")
	}
	if got := bodies(q.receive(10)); got != "a1 b1 a3 b2" {
		t.Errorf("after the visibility timeout received %q", got)
	}
	if q.remove(first[0], 1) {
		t.Error("a stale receipt deleted a message of a FIFO queue")
	}
}

func TestDeadLettersAfterMaxReceives(t *testing.T) {
	for _, suffix := range []string{"", ".fifo"} {
		c := newWorld(t, 1)
		attributes := map[string]string{"VisibilityTimeout": "10"}
		group := ""
		if suffix != "" {
			attributes["FifoQueue"], group = "true", "g"
		}
		dead := makeQueue(t, c, "dead"+suffix, attributes)
		attributes["RedrivePolicy"] = `{"deadLetterTargetArn":"` + dead.arn + `","maxReceiveCount":2}`
		q := makeQueue(t, c, "q"+suffix, attributes)
		id := sendTo(t, c, q, "poison", group, group)
		pass(t, c, time.Second)
		for n := range 2 {
			if got := q.receive(1); len(got) != 1 {
				t.Fatalf("receive %d: %q", n, bodies(got))
			}
			pass(t, c, 11*time.Second)
		}
		if len(c.SQS().Messages("dead"+suffix)) != 0 {
			t.Error("moved before the receive after the last")
		}
		if got := q.receive(1); len(got) != 0 {
			t.Errorf("received %q a third time", bodies(got))
		}
		pass(t, c, time.Second)
		got := c.SQS().Messages("dead" + suffix)
		if len(got) != 1 || *got[0].MessageId != id || got[0].Attributes["DeadLetterQueueSourceArn"] != q.arn {
			t.Errorf("dead letters: %+v", got)
		}
	}
}

func TestStandardMessagesOvertakeAndNoneIsLost(t *testing.T) {
	c := newWorld(t, 3)
	q := makeQueue(t, c, "q", nil)
	want := map[string]bool{}
	for i := range 50 {
		want[sendTo(t, c, q, fmt.Sprint(i), "", "")] = true
	}
	pass(t, c, time.Second)
	overtaken, last := 0, uint64(0)
	for _, m := range q.receive(100) {
		delete(want, m.id)
		if m.n < last {
			overtaken++
		}
		last = m.n
	}
	if len(want) > 0 || overtaken == 0 {
		t.Errorf("%d lost, %d out of order", len(want), overtaken)
	}
}

// TestFIFOKeepsItsPromises sends, receives, deletes and lets time pass at random:
// within a group nothing is received before what was sent earlier and is still
// there, and never two batches at once.
func TestFIFOKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := New(Options{Start: epoch})
		defer c.Close()
		made, err := c.SQS().settings("q.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "5"})
		if err != nil {
			r.Fatal(err)
		}
		q := newQueue(c, "q.fifo", made)
		sent := 0
		var flying []*message
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "do") {
			case 0:
				sent++
				_, err = q.send(sending{body: "x", group: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "group"), dedup: fmt.Sprint(sent)})
			case 1:
				checkFIFOBatch(r, q, q.receive(rapid.IntRange(1, 3).Draw(r, "n")), &flying)
			case 2:
				for _, m := range flying {
					if rapid.Bool().Draw(r, "delete") {
						q.remove(m, m.receives)
					}
				}
			default:
				err = c.Run(c.Now().Add(time.Duration(rapid.IntRange(0, 6).Draw(r, "s")) * time.Second))
			}
			if err != nil {
				r.Fatal(err)
			}
		}
	})
}

func checkFIFOBatch(r *rapid.T, q *queue, got []*message, flying *[]*message) {
	inBatch := map[uint64]bool{}
	for _, m := range got {
		for n, other := range q.held {
			earlier := other.group == m.group && n < m.n
			if earlier && !inBatch[n] {
				r.Fatalf("%d of %s was received before %d", m.n, m.group, n)
			}
			if other.group == m.group && other.inFlight && !slices.Contains(got, other) {
				r.Fatalf("%s has two batches in flight", m.group)
			}
		}
		inBatch[m.n] = true
	}
	*flying = append(*flying, got...)
}
