package simcloud

import (
	"crypto/md5" //nolint:gosec // SQS's own checksum, nothing secret
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// dedupWindow is how long a FIFO queue drops a deduplication id it has seen.
const dedupWindow = 5 * time.Minute

// senderID stands for whoever sent a message: nobody decides by it.
const senderID = "AIDASIMCLOUDSENDER001"

// queue is one queue. Its messages wait (delayed, or on their way through SQS),
// are ready, or are in flight with a receiver.
type queue struct {
	queueSettings
	c              *Cloud
	name, url, arn string
	made           time.Time
	seq            uint64
	held           map[uint64]*message // by number
	ready          []*message          // standard: as they arrived; FIFO: by number
	inFlight       map[string]int      // FIFO: messages in flight by group, which block it
	first          map[string]*message // FIFO: by deduplication id
	recent         []*message          // FIFO: what is in first, oldest first
	listeners      []func()            // told when a message becomes ready
	expired        int                 // messages that nobody deleted within the retention
}

// message is one message in one queue.
type message struct {
	n             uint64
	id, body      string
	group, dedup  string
	sent          time.Time
	firstReceived time.Time
	receives      int
	delayed       bool // until its delay is over
	inFlight      bool
	gone          bool              // deleted, moved or expired
	from          string            // a dead letter: the ARN of the queue it comes from
	says          map[string]string // its own attributes
}

// sending is a message before SQS has it.
type sending struct {
	body, group, dedup string
	delay              time.Duration
	says               map[string]string
}

func newQueue(c *Cloud, name string, s queueSettings) *queue {
	return &queue{
		queueSettings: s, c: c, name: name, made: c.now,
		url:  "https://sqs." + c.opts.Region + ".amazonaws.com/" + c.opts.Account + "/" + name,
		arn:  c.arn("sqs", name),
		held: map[uint64]*message{}, inFlight: map[string]int{}, first: map[string]*message{},
	}
}

// send accepts a message, or returns the first one of the same deduplication id.
func (q *queue) send(s sending) (*message, error) {
	q.c.billQueue(q.name, len(s.body))
	if q.fifo {
		if s.dedup == "" {
			if !q.contentDedup {
				return nil, apiError("InvalidParameterValue", "%s has no ContentBasedDeduplication", q.name)
			}
			s.dedup = contentID(s.body)
		}
		if first := q.seen(s.dedup); first != nil {
			return first, nil
		}
	}
	m := q.keep(&message{id: uuid(q.c), body: s.body, group: s.group, dedup: s.dedup, sent: q.c.now, says: s.says})
	if q.fifo {
		q.first[s.dedup] = m
		q.recent = append(q.recent, m)
	}
	q.deliver(m, s.delay)
	if !q.fifo && q.c.faults.hits(faultMessageDoubled) {
		double := *m
		q.deliver(q.keep(&double), s.delay+between(q.c.stream("fault "+faultMessageDoubled), 0, time.Minute))
	}
	return m, nil
}

// seen forgets what is older than the window and returns the message that first
// had the deduplication id, also if it was deleted since.
func (q *queue) seen(dedup string) *message {
	for len(q.recent) > 0 && q.c.now.Sub(q.recent[0].sent) >= dedupWindow {
		delete(q.first, q.recent[0].dedup)
		q.recent[0] = nil
		q.recent = q.recent[1:]
	}
	return q.first[dedup]
}

func (q *queue) keep(m *message) *message {
	q.seq++
	m.n = q.seq
	q.held[m.n] = m
	return m
}

// deliver makes the message ready after its delay; a standard queue takes a
// moment of its own for each, so that they overtake each other.
func (q *queue) deliver(m *message, delay time.Duration) {
	m.delayed = delay > 0
	if !q.fifo {
		delay += between(q.c.stream("sqs delivery"), time.Millisecond, 60*time.Millisecond)
	}
	if delay == 0 {
		q.arrive(m)
		return
	}
	q.c.after(delay, func() { q.arrive(m) })
}

// arrive makes the message ready. A FIFO queue keeps the order of numbers, also
// for a message that comes back.
func (q *queue) arrive(m *message) {
	m.delayed = false
	at := len(q.ready)
	if q.fifo {
		at = sort.Search(len(q.ready), func(i int) bool { return q.ready[i].n > m.n })
	}
	q.ready = append(q.ready, nil)
	copy(q.ready[at+1:], q.ready[at:])
	q.ready[at] = m
	for _, tell := range q.listeners {
		tell()
	}
}

// receive takes up to n messages in flight. A FIFO group of which something is
// in flight is passed over; what was received too often goes to the dead
// letters.
func (q *queue) receive(n int) []*message {
	var got []*message
	rest := make([]*message, 0, len(q.ready))
	for i, m := range q.ready {
		if len(got) == n {
			rest = append(rest, q.ready[i:]...)
			break
		}
		switch {
		case m.gone:
		case q.c.now.Sub(m.sent) >= q.retention:
			q.drop(m)
			q.expired++
		case q.inFlight[m.group] > 0:
			rest = append(rest, m)
		case q.maxReceives > 0 && m.receives >= q.maxReceives:
			q.redrive(m)
		default:
			got = append(got, m)
		}
	}
	q.ready = rest
	for _, m := range got {
		q.hold(m)
	}
	return got
}

// hold takes the message in flight until it is deleted or the visibility timeout
// is over.
func (q *queue) hold(m *message) {
	m.inFlight = true
	m.receives++
	if m.receives == 1 {
		m.firstReceived = q.c.now
	}
	if q.fifo {
		q.inFlight[m.group]++
	}
	q.c.after(q.visibility, func() {
		if m.inFlight { // still in this flight: no other can begin before its end
			q.land(m)
			q.arrive(m)
		}
	})
}

// land ends the flight.
func (q *queue) land(m *message) {
	m.inFlight = false
	if q.fifo {
		if q.inFlight[m.group]--; q.inFlight[m.group] == 0 {
			delete(q.inFlight, m.group)
		}
	}
}

// remove deletes a message by what its receiver knows: the number of the
// receive. A receipt of an earlier one is stale; a FIFO queue refuses it as soon
// as the message is visible again.
func (q *queue) remove(m *message, receipt int) bool {
	if m.gone || m.receives != receipt || q.fifo && !m.inFlight {
		return false
	}
	q.drop(m)
	return true
}

func (q *queue) drop(m *message) {
	if m.inFlight {
		q.land(m)
	}
	m.gone = true
	delete(q.held, m.n)
}

// redrive moves the message to the dead-letter queue, where a standard queue
// leaves it its age and a FIFO queue starts a new one.
func (q *queue) redrive(m *message) {
	q.drop(m)
	dead, ok := q.c.SQS().byARN(q.deadLetters)
	if !ok {
		return
	}
	q.c.trace("sqs redrive %s to %s", m.id, dead.name)
	moved := &message{id: m.id, body: m.body, group: m.group, dedup: m.dedup, sent: m.sent, from: q.arn, says: m.says}
	if dead.fifo {
		moved.sent = q.c.now
	}
	dead.deliver(dead.keep(moved), 0)
}

func (q *queue) attributes() map[string]string {
	var visible, flying, delayed int
	for _, m := range q.held {
		switch {
		case m.inFlight:
			flying++
		case m.delayed:
			delayed++
		case q.c.now.Sub(m.sent) < q.retention:
			visible++
		}
	}
	out := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(flying),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
		"VisibilityTimeout":                     strconv.Itoa(int(q.visibility / time.Second)),
		"DelaySeconds":                          strconv.Itoa(int(q.delay / time.Second)),
		"MessageRetentionPeriod":                strconv.Itoa(int(q.retention / time.Second)),
		"QueueArn":                              q.arn,
		"CreatedTimestamp":                      strconv.FormatInt(q.made.Unix(), 10),
	}
	if q.fifo {
		out["FifoQueue"], out["ContentBasedDeduplication"] = "true", strconv.FormatBool(q.contentDedup)
	}
	if q.deadLetters != "" {
		out["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, q.deadLetters, q.maxReceives)
	}
	return out
}

// attributes are the system attributes of a message, as a receiver sees them.
func (m *message) attributes() map[string]string {
	out := map[string]string{
		string(types.MessageSystemAttributeNameSenderId):                senderID,
		string(types.MessageSystemAttributeNameSentTimestamp):           strconv.FormatInt(m.sent.UnixMilli(), 10),
		string(types.MessageSystemAttributeNameApproximateReceiveCount): strconv.Itoa(m.receives),
	}
	if m.receives > 0 {
		out[string(types.MessageSystemAttributeNameApproximateFirstReceiveTimestamp)] = strconv.FormatInt(m.firstReceived.UnixMilli(), 10)
	}
	if m.group != "" {
		out[string(types.MessageSystemAttributeNameMessageGroupId)] = m.group
		out[string(types.MessageSystemAttributeNameMessageDeduplicationId)] = m.dedup
		out[string(types.MessageSystemAttributeNameSequenceNumber)] = m.sequence()
	}
	if m.from != "" {
		out[string(types.MessageSystemAttributeNameDeadLetterQueueSourceArn)] = m.from
	}
	return out
}

// sequence is the number as SQS writes it: 20 digits.
func (m *message) sequence() string { return fmt.Sprintf("188%017d", m.n) }

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // SQS's own checksum, nothing secret
	return hex.EncodeToString(sum[:])
}
