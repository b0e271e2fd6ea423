package simcloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// maxMessageBytes is SQS's limit of a message body.
const maxMessageBytes = 1 << 20

// SQS is Amazon SQS: standard queues (at least once, in no certain order) and
// FIFO queues (in order within a group, doubles dropped for five minutes).
// Receiving is left to Lambda's event source mappings.
type SQS struct {
	c      *Cloud
	queues map[string]*queue // by name
}

// SQS returns the queues of this world.
func (c *Cloud) SQS() *SQS {
	if c.parts.sqs == nil {
		c.parts.sqs = &SQS{c: c, queues: map[string]*queue{}}
	}
	return c.parts.sqs
}

func sqsOperation(action string, changes bool) operation {
	return operation{service: "sqs", action: action, latency: 12 * time.Millisecond, changes: changes}
}

// CreateQueue makes a queue. It knows the attributes FifoQueue,
// ContentBasedDeduplication, VisibilityTimeout, DelaySeconds,
// MessageRetentionPeriod and RedrivePolicy. The same queue again is no error.
func (q *SQS) CreateQueue(ctx context.Context, in *sqs.CreateQueueInput, _ ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error) {
	return call(ctx, q.c, sqsOperation("CreateQueue", true), in, func() (*sqs.CreateQueueOutput, error) {
		name := aws.ToString(in.QueueName)
		s, err := q.settings(name, in.Attributes)
		if err != nil {
			return nil, err
		}
		made, ok := q.queues[name]
		if ok && made.queueSettings != s {
			return nil, &types.QueueNameExists{ErrorCodeOverride: aws.String("QueueAlreadyExists"), Message: aws.String("a queue " + name + " with other attributes exists")}
		}
		if !ok {
			made = newQueue(q.c, name, s)
			q.queues[name] = made
		}
		return &sqs.CreateQueueOutput{QueueUrl: aws.String(made.url)}, nil
	})
}

// SendMessage sends one message. Message attributes are not simulated.
func (q *SQS) SendMessage(ctx context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return call(ctx, q.c, sqsOperation("SendMessage", true), in, func() (*sqs.SendMessageOutput, error) {
		to, err := q.byURL(aws.ToString(in.QueueUrl))
		if err != nil {
			return nil, err
		}
		if err := checkSend(to, in); err != nil {
			return nil, err
		}
		s := sending{body: aws.ToString(in.MessageBody), group: aws.ToString(in.MessageGroupId), dedup: aws.ToString(in.MessageDeduplicationId), delay: to.delay}
		if in.DelaySeconds > 0 {
			s.delay = time.Duration(in.DelaySeconds) * time.Second
		}
		m, err := to.send(s)
		if err != nil {
			return nil, err
		}
		out := &sqs.SendMessageOutput{MessageId: aws.String(m.id), MD5OfMessageBody: aws.String(md5Hex(m.body))}
		if to.fifo {
			out.SequenceNumber = aws.String(m.sequence())
		}
		return out, nil
	})
}

// GetQueueAttributes returns the settings and the approximate counts, which are
// exact here. Without names it returns nothing, as SQS does.
func (q *SQS) GetQueueAttributes(ctx context.Context, in *sqs.GetQueueAttributesInput, _ ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	return call(ctx, q.c, sqsOperation("GetQueueAttributes", false), in, func() (*sqs.GetQueueAttributesOutput, error) {
		of, err := q.byURL(aws.ToString(in.QueueUrl))
		if err != nil {
			return nil, err
		}
		all := of.attributes()
		if slices.Contains(in.AttributeNames, types.QueueAttributeNameAll) {
			return &sqs.GetQueueAttributesOutput{Attributes: all}, nil
		}
		out := map[string]string{}
		for _, name := range in.AttributeNames {
			v, ok := all[string(name)]
			switch {
			case ok:
				out[string(name)] = v
			case slices.Contains(name.Values(), name):
				// An attribute that the queue has not got is left out.
			default:
				return nil, &types.InvalidAttributeName{Message: aws.String("Unknown Attribute " + string(name) + ".")}
			}
		}
		return &sqs.GetQueueAttributesOutput{Attributes: out}, nil
	})
}

// Messages is the truth about a queue for monitors: copies of all messages it
// holds, delayed and in flight ones included, in the order they were sent. A
// queue that is not there holds none.
func (q *SQS) Messages(queueName string) []types.Message {
	of, ok := q.queues[queueName]
	if !ok {
		return nil
	}
	var out []types.Message
	for _, n := range slices.Sorted(maps.Keys(of.held)) {
		m := of.held[n]
		out = append(out, types.Message{
			MessageId: aws.String(m.id), Body: aws.String(m.body), MD5OfBody: aws.String(md5Hex(m.body)), Attributes: m.attributes(),
			MessageAttributes: messageAttributes(m.says),
		})
	}
	return out
}

// Expired is how many messages of a queue got older than its retention before
// anybody deleted them; AWS drops them without a word.
func (q *SQS) Expired(queueName string) int {
	of, ok := q.queues[queueName]
	if !ok {
		return 0
	}
	n := of.expired
	for _, m := range of.held {
		if q.c.now.Sub(m.sent) >= of.retention {
			n++
		}
	}
	return n
}

// Redrive moves all messages of a dead-letter queue that wait there back to the
// queues that they come from, as a person does, and says how many it moved.
func (q *SQS) Redrive(queueName string) int {
	dead, ok := q.queues[queueName]
	if !ok {
		return 0
	}
	moved := 0
	for _, m := range slices.Clone(dead.ready) {
		from, ok := q.byARN(m.from)
		if m.gone || m.from == "" || !ok {
			continue
		}
		dead.drop(m)
		from.deliver(from.keep(&message{id: m.id, body: m.body, group: m.group, dedup: m.dedup, sent: q.c.now, says: m.says}), 0)
		moved++
	}
	dead.ready = slices.DeleteFunc(dead.ready, func(m *message) bool { return m.gone })
	return moved
}

// noSuchQueue is the code that the SDK shows for QueueDoesNotExist: SQS sends the
// one of its older protocol too (x-amzn-query-error), and that one wins.
const noSuchQueue = "AWS.SimpleQueueService.NonExistentQueue"

func (q *SQS) byURL(url string) (*queue, error) {
	name := url[strings.LastIndexByte(url, '/')+1:]
	if of, ok := q.queues[name]; ok && of.url == url {
		return of, nil
	}
	return nil, &types.QueueDoesNotExist{ErrorCodeOverride: aws.String(noSuchQueue), Message: aws.String("The specified queue does not exist: " + url)}
}

func (q *SQS) byARN(arn string) (*queue, bool) {
	of, ok := q.queues[arn[strings.LastIndexByte(arn, ':')+1:]]
	return of, ok && of.arn == arn
}

// queueSettings are what a queue is made with.
type queueSettings struct {
	fifo, contentDedup           bool
	visibility, delay, retention time.Duration
	deadLetters                  string // ARN of the dead-letter queue; empty: none
	maxReceives                  int
}

func (q *SQS) settings(name string, attributes map[string]string) (queueSettings, error) {
	s := queueSettings{visibility: 30 * time.Second, retention: 4 * 24 * time.Hour}
	if name == "" || len(name) > 80 {
		return s, apiError("InvalidParameterValue", "a queue name has 1 to 80 characters, not %d", len(name))
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if err := s.set(key, attributes[key]); err != nil {
			return s, err
		}
	}
	if s.fifo != strings.HasSuffix(name, ".fifo") {
		return s, apiError("InvalidParameterValue", "FifoQueue is %t but the name is %s: FIFO queues, and only they, end in .fifo", s.fifo, name)
	}
	if s.contentDedup && !s.fifo {
		return s, &types.InvalidAttributeName{Message: aws.String("ContentBasedDeduplication is for FIFO queues")}
	}
	return s, q.checkDeadLetters(s)
}

func (q *SQS) checkDeadLetters(s queueSettings) error {
	if s.deadLetters == "" {
		return nil
	}
	if dead, ok := q.byARN(s.deadLetters); !ok || dead.fifo != s.fifo {
		return apiError("InvalidParameterValue", "RedrivePolicy: no dead-letter queue of the same kind at %s", s.deadLetters)
	}
	return nil
}

func (s *queueSettings) set(key, value string) (err error) {
	switch key {
	case "FifoQueue":
		s.fifo = value == "true"
	case "ContentBasedDeduplication":
		s.contentDedup = value == "true"
	case "VisibilityTimeout":
		s.visibility, err = seconds(key, value, 0, 43200)
	case "DelaySeconds":
		s.delay, err = seconds(key, value, 0, 900)
	case "MessageRetentionPeriod":
		s.retention, err = seconds(key, value, 60, 1209600)
	case "RedrivePolicy":
		err = s.setRedrive(value)
	default:
		err = notSimulated("the queue attribute %s", key)
	}
	return err
}

func (s *queueSettings) setRedrive(value string) error {
	var policy struct {
		DeadLetterTargetArn string
		MaxReceiveCount     any // SQS takes a number and a string
	}
	if err := json.Unmarshal([]byte(value), &policy); err != nil {
		return apiError("InvalidParameterValue", "RedrivePolicy is not JSON: %v", err)
	}
	n, err := strconv.Atoi(fmt.Sprint(policy.MaxReceiveCount))
	if err != nil || n < 1 || n > 1000 || policy.DeadLetterTargetArn == "" {
		return apiError("InvalidParameterValue", "RedrivePolicy wants deadLetterTargetArn and maxReceiveCount from 1 to 1000: %s", value)
	}
	s.deadLetters, s.maxReceives = policy.DeadLetterTargetArn, n
	return nil
}

func seconds(key, value string, least, most int) (time.Duration, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, &types.InvalidAttributeValue{Message: aws.String(fmt.Sprintf("%s is %q, not %d to %d", key, value, least, most))}
	}
	return time.Duration(n) * time.Second, nil
}

func checkSend(to *queue, in *sqs.SendMessageInput) error {
	if len(in.MessageAttributes) > 0 || len(in.MessageSystemAttributes) > 0 {
		return notSimulated("message attributes")
	}
	if in.DelaySeconds < 0 || in.DelaySeconds > 900 {
		return apiError("InvalidParameterValue", "DelaySeconds is %d, not 0 to 900", in.DelaySeconds)
	}
	if err := checkBody(aws.ToString(in.MessageBody)); err != nil {
		return err
	}
	switch {
	case to.fifo:
		return checkSendFIFO(to, in)
	case in.MessageDeduplicationId != nil:
		return apiError("InvalidParameterValue", "MessageDeduplicationId is for FIFO queues, and %s is none", to.name)
	case in.MessageGroupId != nil:
		return notSimulated("message groups of a standard queue")
	default:
		return nil
	}
}

func checkBody(body string) error {
	switch {
	case body == "":
		return apiError("MissingParameter", "The request must contain the parameter MessageBody.")
	case len(body) > maxMessageBytes:
		return apiError("InvalidParameterValue", "a message has at most %d bytes, not %d", maxMessageBytes, len(body))
	case !utf8.ValidString(body) || strings.ContainsFunc(body, forbiddenInMessage):
		return &types.InvalidMessageContents{Message: aws.String("the message contains characters outside of the allowed set")}
	default:
		return nil
	}
}

func checkSendFIFO(to *queue, in *sqs.SendMessageInput) error {
	switch {
	case in.DelaySeconds != 0:
		return apiError("InvalidParameterValue", "DelaySeconds of a single message is for standard queues, and %s is FIFO", to.name)
	case !fits128(in.MessageGroupId):
		return apiError("MissingParameter", "a message to %s needs a MessageGroupId of 1 to 128 characters", to.name)
	case in.MessageDeduplicationId == nil && !to.contentDedup:
		return apiError("InvalidParameterValue", "%s has no ContentBasedDeduplication: a message needs a MessageDeduplicationId", to.name)
	case in.MessageDeduplicationId != nil && !fits128(in.MessageDeduplicationId):
		return apiError("InvalidParameterValue", "a MessageDeduplicationId has 1 to 128 characters")
	default:
		return nil
	}
}

func fits128(s *string) bool { return s != nil && len(*s) >= 1 && len(*s) <= 128 }

// forbiddenInMessage is true outside of #x9 | #xA | #xD | #x20 to #xD7FF |
// #xE000 to #xFFFD | #x10000 to #x10FFFF.
func forbiddenInMessage(r rune) bool {
	return r < 0x20 && r != 0x9 && r != 0xA && r != 0xD || r == 0xFFFE || r == 0xFFFF
}

// contentID is the deduplication id that SQS makes of a body.
func contentID(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}
