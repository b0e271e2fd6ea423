package simcloud

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// CrashMode is how an invocation crashes at one of its API calls.
type CrashMode string

// The ways to crash. In the last two the call took effect and the caller cannot
// know.
const (
	CrashBefore  CrashMode = "killed before the call took effect"
	CrashAfter   CrashMode = "killed after the call took effect, before its answer"
	CrashError   CrashMode = "an error, though the call took effect"
	CrashTimeout CrashMode = "the call took effect and hangs until the function times out"
)

// crash is the one call at which an invocation crashes.
type crash struct {
	at   int // counted from 1; 0: none
	mode CrashMode
	made int // calls of invocations so far
}

// CrashAt lets the n-th API call that invocations make, counted from 1 since the
// world began, end as the mode says. See Boundaries.
func (c *Cloud) CrashAt(n int, mode CrashMode) { c.faults.crash.at, c.faults.crash.mode = n, mode }

// Boundaries is how many API calls invocations have begun so far.
func (c *Cloud) Boundaries() int { return c.faults.crash.made }

// clientTimeout is how long a caller waits for an answer: AWS's clients have no
// such limit by themselves, every sensible caller sets one.
const clientTimeout = 5 * time.Second

// mishap is what becomes of an invocation because of faults.
type mishap struct {
	calls      int // made so far
	hangAt     int // the number of the call that hangs; 0: none
	hangBefore bool
	pauseAt    int // the number of the call before which it stands still; 0: none
	pause      time.Duration
	skew       time.Duration // of its clock
	late       time.Duration // by which pauses have moved its end
}

// ordain draws what becomes of an invocation that has just been made.
func (f *Faults) ordain(p *proc) {
	m := &p.life.mishap
	if f.hits(faultClockSkew) {
		m.skew = between(f.c.stream("fault "+faultClockSkew), -150*time.Second, 150*time.Second)
	}
	if f.drawn(faultFunctionTimeout) {
		r := f.c.stream("fault " + faultFunctionTimeout)
		m.hangAt, m.hangBefore = 1+r.IntN(30), r.IntN(2) == 0
	}
	if f.drawn(faultFunctionPaused) {
		r := f.c.stream("fault " + faultFunctionPaused)
		m.pauseAt, m.pause = 1+r.IntN(30), between(r, 30*time.Second, 10*time.Minute)
	}
	if f.drawn(faultFunctionKilled) {
		after := time.Duration(float64(time.Millisecond) * math.Pow(10000, f.c.stream("fault "+faultFunctionKilled).Float64()))
		f.c.after(after, func() {
			if p.kill(errKilled) {
				f.strike(faultFunctionKilled)
			}
		})
	}
}

// Clock is the clock of whatever runs now: that of an invocation may be fast or
// slow.
func (c *Cloud) Clock() time.Time {
	if c.current == nil {
		return c.now
	}
	return c.now.Add(c.current.life.mishap.skew)
}

// fate is what becomes of one call.
type fate struct {
	crash      CrashMode // empty: none
	hangs      bool
	hangBefore bool
	pause      time.Duration
}

// fate draws what becomes of the call that an invocation begins.
func (f *Faults) fate(p *proc, call Call) fate {
	f.crash.made++
	if f.c.opts.Begun != nil {
		f.c.opts.Begun(f.crash.made, call)
	}
	m := &p.life.mishap
	m.calls++
	var out fate
	if f.crash.made == f.crash.at {
		out.crash = f.crash.mode
	}
	if m.calls == m.hangAt {
		out.hangs, out.hangBefore = true, m.hangBefore
	}
	if m.calls == m.pauseAt && call.Service == "dynamodb" {
		out.pause = m.pause
	}
	return out
}

// arrive is called when the call reaches its service. It may not come back.
func (ft fate) arrive(c *Cloud, p *proc) {
	if ft.pause > 0 {
		c.faults.strike(faultFunctionPaused)
		p.life.mishap.late += ft.pause
		p.sleep(ft.pause)
	}
	if ft.crash == CrashBefore {
		p.die(errKilled)
	}
	if ft.hangs && ft.hangBefore {
		c.faults.strike(faultFunctionTimeout)
		p.hang()
	}
}

// leave is called when the call has taken effect, and gives the error that its
// caller gets. It may not come back.
func (ft fate) leave(c *Cloud, p *proc, op operation, err error) error {
	switch {
	case ft.crash == CrashAfter:
		p.die(errKilled)
	case ft.crash == CrashTimeout:
		p.hang()
	case ft.hangs:
		c.faults.strike(faultFunctionTimeout)
		p.hang()
	case ft.crash == CrashError:
		return serverError("InternalFailure")
	case op.changes && err == nil && c.faults.hits(faultAmbiguous):
		if c.stream("fault "+faultAmbiguous).IntN(2) == 0 {
			return serverError("InternalFailure")
		}
		p.sleep(clientTimeout)
		return &smithy.OperationError{ServiceID: op.service, OperationName: op.action, Err: context.DeadlineExceeded}
	}
	return err
}

// hang waits for what never comes: the invocation's end is the only way out.
func (p *proc) hang() {
	for {
		p.wait()
	}
}

// refusal is the error of a call that a fault keeps from taking effect.
func (f *Faults) refusal(op operation, in any) error {
	switch {
	case op.service == "dynamodb" && f.during(faultTableDown, "table", 10*time.Second, 10*time.Minute):
		f.strike(faultTableDown)
		return serverError("InternalServerError")
	case op.service != "dynamodb" && f.apiDown(op.service):
		f.strike(faultAPIDown)
		return serverError("ServiceUnavailable")
	case op.service == "dynamodb" && op.changes && f.hits(faultTableConflict):
		return f.conflict(in)
	case op.bucket != "" && f.during(faultThrottling, op.service, 5*time.Minute, 5*time.Minute) && !f.c.takeTiny(op.bucket):
		f.strike(faultThrottling)
		return apiError(throttleCode(op.service), "Rate exceeded")
	default:
		return nil
	}
}

// apiDown says whether a service other than DynamoDB answers 503.
func (f *Faults) apiDown(service string) bool {
	return f.during(faultAPIDown, service, time.Minute, 30*time.Minute)
}

func serverError(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "an error inside the service", Fault: smithy.FaultServer}
}

// conflict is the error of a write that meets another one: of a transaction at one
// of its items.
func (f *Faults) conflict(in any) error {
	transaction, ok := in.(*dynamodb.TransactWriteItemsInput)
	if !ok || len(transaction.TransactItems) == 0 {
		return &types.TransactionConflictException{Message: aws.String("Transaction is ongoing for the item")}
	}
	reasons := make([]types.CancellationReason, len(transaction.TransactItems))
	for n := range reasons {
		reasons[n].Code = aws.String("None")
	}
	n := f.c.stream("fault " + faultTableConflict + " item").IntN(len(reasons))
	reasons[n] = types.CancellationReason{Code: aws.String("TransactionConflict"), Message: aws.String("Transaction is ongoing for the item")}
	return cancelled(reasons)
}

// takeTiny takes a token of the bucket that stands for another while its service
// throttles.
func (c *Cloud) takeTiny(name string) bool {
	name = "tiny " + name
	if c.buckets[name] == nil {
		c.buckets[name] = &bucket{burst: 3, refill: 0.5, tokens: 3}
	}
	return c.take(name, 1)
}

// errSink is what a log that takes no line answers.
var errSink = errors.New("the log takes no line")

// sink is a log that may fail.
type sink struct {
	f   *Faults
	out io.Writer
}

func (s sink) Write(line []byte) (int, error) {
	if s.f.hits(faultLogSink) {
		return 0, errSink
	}
	return s.out.Write(line)
}

// Sink is a log that fails as the fault log-sink says, and else writes to out.
func (f *Faults) Sink(out io.Writer) io.Writer { return sink{f, out} }

// redrive moves all dead letters back to where they come from.
func (f *Faults) redrive() {
	if !f.drawnOf(faultDeadRedriven, 60) {
		return
	}
	var names []string
	for name := range f.c.SQS().queues {
		names = append(names, name)
	}
	slices.Sort(names)
	moved := 0
	for _, name := range names {
		moved += f.c.SQS().Redrive(name)
	}
	if moved > 0 {
		f.strike(faultDeadRedriven)
	}
}
