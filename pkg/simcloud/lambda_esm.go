package simcloud

import (
	"encoding/json"
	"time"
)

// EventSource feeds a function from a queue.
type EventSource struct {
	Queue                   string // its name
	Function                string
	BatchSize               int  // default and most 10: more needs a batching window
	MaximumConcurrency      int  // 2 to 1000; 0: none set
	ReportBatchItemFailures bool // the answer names the messages that failed
}

// Lambda polls a standard queue with five batches at a time; while a backlog
// lasts it adds 300 a minute, up to 1,250.
const (
	firstPollers   = 5
	pollersASecond = 5
	mostPollers    = 1250
)

type mapping struct {
	l       *Lambda
	src     EventSource
	q       *queue
	f       *function
	polling bool      // a poll is on its way
	running int       // batches with the function
	backlog time.Time // since when all pollers are busy; zero: they are not
}

// Map lets Lambda poll a queue for a function.
func (l *Lambda) Map(src EventSource) error {
	q, ok := l.c.SQS().queues[src.Queue]
	if !ok {
		return apiError("InvalidParameterValueException", "no queue %s", src.Queue)
	}
	f, ok := l.functions[src.Function]
	if !ok {
		return apiError("ResourceNotFoundException", "Function not found: %s", l.ARN(src.Function))
	}
	if src.BatchSize == 0 {
		src.BatchSize = 10
	}
	if err := checkMapping(src, q, f); err != nil {
		return err
	}
	for other := range l.mapped {
		if other.Queue == src.Queue && other.Function == src.Function {
			return apiError("ResourceConflictException", "%s is mapped to %s already", src.Queue, src.Function)
		}
	}
	l.mapped[src] = true
	m := &mapping{l: l, src: src, q: q, f: f}
	q.listeners = append(q.listeners, m.wake)
	m.wake()
	return nil
}

func checkMapping(src EventSource, q *queue, f *function) error {
	switch {
	case src.BatchSize > 10 && !q.fifo:
		return notSimulated("batching windows, which batches of more than 10 need")
	case src.BatchSize < 1 || src.BatchSize > 10:
		return apiError("InvalidParameterValueException", "the batch size of %s is %d, not 1 to 10", src.Queue, src.BatchSize)
	case src.MaximumConcurrency != 0 && (src.MaximumConcurrency < 2 || src.MaximumConcurrency > 1000):
		return apiError("InvalidParameterValueException", "the maximum concurrency of %s is %d, not 2 to 1000", src.Queue, src.MaximumConcurrency)
	case q.visibility < f.cfg.Timeout:
		return apiError("InvalidParameterValueException", "Queue visibility timeout: %s is less than Function timeout: %s", q.visibility, f.cfg.Timeout)
	default:
		return nil
	}
}

// wake lets the pollers look: a long poll answers soon after a message is there.
func (m *mapping) wake() {
	m.wakeAfter(between(m.l.c.stream("sqs polls"), 10*time.Millisecond, 100*time.Millisecond))
}

func (m *mapping) wakeAfter(d time.Duration) {
	if !m.polling {
		m.polling = true
		m.l.c.after(d, m.poll)
	}
}

// poll hands batches to the function until the queue has no more to give or all
// pollers are busy.
func (m *mapping) poll() {
	m.polling = false
	for m.running < m.limit() {
		batch := m.q.receive(m.src.BatchSize)
		if len(batch) == 0 {
			m.backlog = time.Time{}
			return
		}
		if !m.hand(batch) {
			m.wakeAfter(time.Second)
			return
		}
	}
	if m.backlog.IsZero() {
		m.backlog = m.l.c.now
	}
	if m.src.MaximumConcurrency == 0 && !m.q.fifo && len(m.q.ready) > 0 {
		m.wakeAfter(time.Second)
	}
}

// limit is how many batches may be with the function now. A FIFO queue's groups
// are limit enough: each has one at a time.
func (m *mapping) limit() int {
	switch {
	case m.src.MaximumConcurrency > 0:
		return m.src.MaximumConcurrency
	case m.q.fifo:
		return mostPollers
	case m.backlog.IsZero():
		return firstPollers
	default:
		return min(mostPollers, firstPollers+pollersASecond*int(m.l.c.now.Sub(m.backlog)/time.Second))
	}
}

// hand invokes the function with a batch. A throttled batch stays in flight and
// comes back after the visibility timeout, one receive older: Lambda's trap.
func (m *mapping) hand(batch []*message) bool {
	receipts, size := make([]int, len(batch)), 0
	for i, msg := range batch {
		receipts[i] = msg.receives
		size += len(msg.body)
	}
	m.l.c.billQueue(m.q.name, size)
	payload, err := json.Marshal(m.record(batch))
	if err != nil {
		panic(err) // strings and maps of strings: cannot fail
	}
	begun := m.l.invoke(m.f, payload, func(answer []byte, err error) {
		m.running--
		if err == nil {
			failed, whole := m.failures(answer, batch)
			if !whole && len(failed) < len(batch) {
				m.l.c.billQueue(m.q.name, 0) // one DeleteMessageBatch
			}
			for i, msg := range batch {
				if !whole && !failed[msg.id] {
					m.q.remove(msg, receipts[i])
				}
			}
		}
		m.wake()
	})
	if begun {
		m.running++
	}
	return begun
}

// failures reads the answer: the ids that failed, or that the whole batch did
// because the answer cannot be read or names an id that is not in the batch.
func (m *mapping) failures(answer []byte, batch []*message) (failed map[string]bool, whole bool) {
	if !m.src.ReportBatchItemFailures || len(answer) == 0 {
		return nil, false
	}
	var report struct {
		BatchItemFailures []struct {
			ItemIdentifier string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return nil, true
	}
	known, failed := map[string]bool{}, map[string]bool{}
	for _, msg := range batch {
		known[msg.id] = true
	}
	for _, f := range report.BatchItemFailures {
		if !known[f.ItemIdentifier] {
			return nil, true
		}
		failed[f.ItemIdentifier] = true
	}
	return failed, false
}

type sqsEvent struct {
	Records []sqsRecord `json:"Records"`
}

type sqsRecord struct {
	MessageID         string            `json:"messageId"`
	ReceiptHandle     string            `json:"receiptHandle"`
	Body              string            `json:"body"`
	Attributes        map[string]string `json:"attributes"`
	MessageAttributes map[string]any    `json:"messageAttributes"`
	MD5OfBody         string            `json:"md5OfBody"`
	EventSource       string            `json:"eventSource"`
	EventSourceARN    string            `json:"eventSourceARN"`
	AWSRegion         string            `json:"awsRegion"`
}

// record is the payload as Lambda sends it.
func (m *mapping) record(batch []*message) sqsEvent {
	var e sqsEvent
	for _, msg := range batch {
		e.Records = append(e.Records, sqsRecord{
			MessageID: msg.id, ReceiptHandle: "AQEB" + m.l.c.id(40) + "==", Body: msg.body, Attributes: msg.attributes(),
			MessageAttributes: map[string]any{}, MD5OfBody: md5Hex(msg.body),
			EventSource: "aws:sqs", EventSourceARN: m.q.arn, AWSRegion: m.l.c.opts.Region,
		})
	}
	return e
}
