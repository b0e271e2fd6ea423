package simcloud

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/aws/smithy-go"
)

// Options are what one world is made with.
type Options struct {
	Start   time.Time // virtual
	Seed    uint64
	Driver  Driver                          // default Jump
	Account string                          // default 111122223333
	Region  string                          // default eu-west-1
	Trace   func(at time.Time, line string) // each line of the trace, if wanted
	Watch   func(Call)                      // each changing call, at the instant before it takes effect: for monitors
	Refuse  func(Call) error                // each changing call, after Watch; an error is the call's answer, and it changes nothing: to see what would be without it
	Begun   func(n int, c Call)             // each call that an invocation begins, counted from 1: see CrashAt
	Read    func(Call)                      // each call of an invocation that changes nothing and was answered, at that instant: for monitors
	Failed  func(Call, error)               // each call of an invocation that failed, changing or not, at that instant: for monitors
}

// Cloud is one account in one region.
type Cloud struct {
	*kernel
	opts    Options
	digest  hash.Hash
	buckets map[string]*bucket
	calls   map[string]int // by service:Action, throttled ones included
	bill    Bill
	parts   parts
	faults  *Faults
	fleet   *fleet // ECS, Auto Scaling, EC2 and the load on them
}

// New returns a world with nothing in it.
func New(o Options) *Cloud {
	if o.Driver == nil {
		o.Driver = Jump{}
	}
	if o.Account == "" {
		o.Account = "111122223333"
	}
	if o.Region == "" {
		o.Region = "eu-west-1"
	}
	c := &Cloud{kernel: newKernel(o.Start, o.Seed, o.Driver), opts: o, digest: sha256.New(), calls: map[string]int{}}
	c.buckets = newBuckets()
	c.faults = newFaults(c)
	c.fleet = newFleet(c)
	return c
}

// Run lets virtual time pass until end. It fails when an invocation hangs.
func (c *Cloud) Run(end time.Time) error { return c.run(end) }

// Stop lets Run return before its end, after the event that calls it.
func (c *Cloud) Stop() { c.stopped = true }

// Close ends every invocation under way.
func (c *Cloud) Close() { c.close() }

// Now is the virtual time. It is the clock of everything that runs inside.
func (c *Cloud) Now() time.Time { return c.now }

// At lets do happen at virtual time t: what a scenario does to the world.
func (c *Cloud) At(t time.Time, do func()) { c.at(t, do) }

// Every lets do happen each d from first on, until it returns false.
func (c *Cloud) Every(first time.Time, d time.Duration, do func() bool) { c.every(first, d, do) }

// Gather is the runner for calls that may go side by side: child coroutines, at
// most limit at a time.
func (c *Cloud) Gather(limit int) func(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	return func(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
		return c.gather(ctx, n, limit, do)
	}
}

// Alive says whether what runs now may still have an effect: false while a
// killed invocation unwinds. Logs are written only if it is true.
func (c *Cloud) Alive() bool { return c.current == nil || !c.current.life.dead }

// Calls counts the API calls made by invocations so far, by service:Action.
func (c *Cloud) Calls() map[string]int { return c.calls }

// TraceHash identifies all that has happened: same seed and build, same hash.
func (c *Cloud) TraceHash() string { return hex.EncodeToString(c.digest.Sum(nil))[:16] }

// trace adds a line to the trace.
func (c *Cloud) trace(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(c.digest, "%d %s\n", c.now.UnixMilli(), line) // never fails: hash.Hash says so
	if c.opts.Trace != nil {
		c.opts.Trace(c.now, line)
	}
}

// arn makes an ARN of this account and region.
func (c *Cloud) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + c.opts.Region + ":" + c.opts.Account + ":" + resource
}

// id returns n hexadecimal digits, unique for all practical purposes.
func (c *Cloud) id(n int) string {
	const digits = "0123456789abcdef"
	r, b := c.stream("ids"), make([]byte, n)
	for i := range b {
		b[i] = digits[r.IntN(16)]
	}
	return string(b)
}

// apiError is an error as the SDK gives it.
func apiError(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// notSimulated is the answer of what simcloud leaves out: never a success.
func notSimulated(what string, args ...any) error {
	return apiError("NotSimulated", "simcloud does not simulate "+what, args...)
}
