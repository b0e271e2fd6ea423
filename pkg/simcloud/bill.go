package simcloud

import "maps"

// Bill counts what AWS bills of what invocations, EventBridge and the event
// source mappings have done so far. It says how much, never how many dollars.
// What AWS answers with throttling is not billed, and not counted.
type Bill struct {
	ReadUnits     float64        // DynamoDB's read request units, on demand
	WriteUnits    float64        // DynamoDB's write request units, on demand
	MetricsAsked  int            // of GetMetricData, which bills each metric of a call
	QueueRequests map[string]int // by queue: sends, receives that found something and deletes, one a 64 KB; empty polls are left out
	Delivered     int            // events that EventBridge sent to queues
}

// What one billed unit holds, in bytes.
const (
	readUnit     = 4 << 10
	writeUnit    = 1 << 10
	queueRequest = 64 << 10
)

// Billed counts what has been billed so far.
func (c *Cloud) Billed() Bill {
	b := c.bill
	b.QueueRequests = maps.Clone(b.QueueRequests)
	return b
}

// billQueue counts a request that carries so many bytes.
func (c *Cloud) billQueue(name string, size int) {
	if c.bill.QueueRequests == nil {
		c.bill.QueueRequests = map[string]int{}
	}
	c.bill.QueueRequests[name] += chunks(size, queueRequest)
}

// billRead counts a read of so many bytes, which DynamoDB rounds up to 4 KB; an
// eventually consistent one is half as dear. What reads from outside of any
// invocation is nobody's cost.
func (c *Cloud) billRead(size int, consistent *bool) {
	if c.current == nil {
		return
	}
	units := float64(chunks(size, readUnit))
	if consistent == nil || !*consistent {
		units /= 2
	}
	c.bill.ReadUnits += units
}

// billWrite counts a write by the larger of the item before and after, rounded
// up to 1 KB, also one whose condition fails. In a transaction each costs twice
// as much, a check of a condition included.
func (c *Cloud) billWrite(w *write, times int) {
	if c.current != nil {
		c.bill.WriteUnits += float64(times * chunks(max(itemSize(w.before), itemSize(w.after)), writeUnit))
	}
}

// chunks is how many units of a size are begun, and one at least.
func chunks(size, unit int) int { return max(1, (size+unit-1)/unit) }
