package simcloud

import (
	"context"
	"math"
	"time"
)

// operation is an API call as the world accounts for it.
type operation struct {
	service string // IAM's prefix: ecs, autoscaling, ...
	action  string
	bucket  string        // token bucket; empty: none
	also    string        // another one that each call takes a token from; empty: none
	cost    float64       // tokens; 0 means 1
	latency time.Duration // median of the round trip
	changes bool          // it may change something: traced
}

// Call is an API call of an invocation, as a monitor sees it: a changing one at
// the instant before it takes effect, when it may still fail.
type Call struct {
	At         time.Time
	Function   string
	Invocation int           // counts all invocations
	Began      time.Time     // when the invocation did
	Skew       time.Duration // by which the invocation's clock is fast
	Service    string
	Action     string
	Input      any // the SDK's input; not to be changed
}

// call makes an API call: it counts it, passes its latency in virtual time,
// takes its tokens, and lets do happen at one instant in between. Calls from
// outside of any invocation take no time and no tokens; an invocation that makes
// one panics, for it would be served uncounted, and even once it is killed. in is
// the SDK's input. do must neither keep nor hand out memory that the caller can
// reach.
func call[O any](ctx context.Context, c *Cloud, op operation, in any, do func() (*O, error)) (*O, error) {
	p := procOf(ctx)
	name := op.service + ":" + op.action
	if p == nil && c.current != nil {
		panic("simcloud: " + name + ": a call from inside an invocation with a context that is not its own")
	}
	if p == nil {
		return do()
	}
	p.check()
	c.calls[name]++
	seen := p.sees(op, in)
	fate := c.faults.fate(p, seen)
	trip := c.latency(op.latency)
	p.sleep(trip / 2)
	fate.arrive(c, p)
	seen.At = c.now
	if op.changes && c.opts.Watch != nil {
		c.opts.Watch(seen)
	}
	out, err := admit(c, op, in, refusable(c, seen, op.changes, do))
	if err = fate.leave(c, p, op, err); err != nil {
		out = nil
	}
	c.tell(op, seen, err)
	p.sleep(trip - trip/2)
	return out, err
}

// tell tells the monitors and the trace how a call ended.
func (c *Cloud) tell(op operation, seen Call, err error) {
	if err != nil && c.opts.Failed != nil {
		c.opts.Failed(seen, err)
	}
	if err == nil && !op.changes && c.opts.Read != nil {
		c.opts.Read(seen)
	}
	if op.changes || err != nil {
		c.trace("%s:%s %v", op.service, op.action, err)
	}
}

// refusable does what the call does unless it is refused.
func refusable[O any](c *Cloud, seen Call, changes bool, do func() (*O, error)) func() (*O, error) {
	if !changes || c.opts.Refuse == nil {
		return do
	}
	return func() (*O, error) {
		if err := c.opts.Refuse(seen); err != nil {
			return nil, err
		}
		return do()
	}
}

// sees is a call of the invocation as a monitor sees it.
func (p *proc) sees(op operation, in any) Call {
	return Call{
		At: p.k.now, Function: p.life.name, Invocation: p.life.id, Began: p.life.began, Skew: p.life.mishap.skew,
		Service: op.service, Action: op.action, Input: in,
	}
}

func admit[O any](c *Cloud, op operation, in any, do func() (*O, error)) (*O, error) {
	if err := c.faults.refusal(op, in); err != nil {
		return nil, err
	}
	if !c.pays(op) {
		return nil, apiError(throttleCode(op.service), "Rate exceeded")
	}
	out, err := do()
	if err == nil {
		c.faults.damage(op, out)
	}
	return out, err
}

// pays takes the tokens of a call, or says no. A call that one bucket refuses may
// have taken from the other: nobody documents that it has not.
func (c *Cloud) pays(op operation) bool {
	return (op.bucket == "" || c.take(op.bucket, max(op.cost, 1))) && (op.also == "" || c.take(op.also, 1))
}

// throttleCode is the error code a service answers with when a bucket is empty.
func throttleCode(service string) string {
	switch service {
	case "autoscaling", "cloudwatch", "sqs", "elasticloadbalancing":
		return "Throttling"
	case "dynamodb":
		return "ThrottlingException"
	default:
		return "ThrottlingException"
	}
}

// latency draws a round trip around its median, with the long tail of real ones.
func (c *Cloud) latency(median time.Duration) time.Duration {
	return time.Duration(float64(median) * math.Exp(0.35*c.stream("latency").NormFloat64()))
}

// bucket is a token bucket: AWS throttles by account and region.
type bucket struct {
	burst, refill float64 // tokens, tokens a second
	tokens        float64
	at            time.Time
}

// take takes n tokens from a bucket, or none and says no.
func (c *Cloud) take(name string, n float64) bool {
	b, ok := c.buckets[name]
	if !ok {
		panic("simcloud: no token bucket " + name)
	}
	if !b.at.IsZero() {
		b.tokens = min(b.burst, b.tokens+b.refill*c.now.Sub(b.at).Seconds())
	}
	b.at = c.now
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// newBuckets are the buckets of ECS's documented request throttling, and for
// Auto Scaling, CloudWatch and Cloud Map, whose numbers are not all published, the
// documented rates or, for Auto Scaling (one bucket an account) and Cloud Map, an
// assumption.
func newBuckets() map[string]*bucket {
	all := map[string]*bucket{}
	for name, rate := range map[string][2]float64{
		"ecs cluster resource modify": {100, 40},
		"ecs cluster resource read":   {100, 20},
		"ecs service modify":          {50, 5},
		"ecs service read":            {100, 20},
		"ecs cluster modify":          {20, 1},
		"ecs task definition modify":  {20, 1},
		"ecs task definition read":    {50, 20},
		"ecs task protection":         {200, 80},
		"cloudmap modify":             {50, 10},
		"cloudmap read":               {100, 20},
		"autoscaling":                 {100, 20},
		"cloudwatch GetMetricData":    {50, 50},
		"cloudwatch DescribeAlarms":   {9, 9},

		"elasticloadbalancing registration":       {20, 4},
		"elasticloadbalancing non-mutating":       {40, 10},
		"elasticloadbalancing mutating":           {20, 3},
		"elasticloadbalancing resource-intensive": {10, 0.2},
		elbAccount: {40, 10},
		ecsOwnELB:  {20, 4},
	} {
		all[name] = &bucket{burst: rate[0], refill: rate[1], tokens: rate[0]}
	}
	return all
}
