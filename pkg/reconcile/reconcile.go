// Package reconcile is the rounds: look, think, note, do, tell. It holds the
// order of these and the rules of when to stop; it must not know AWS, nor how
// anything is stored, nor what a plan rests on.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// Job is what the rounds of one key are about: how they look, think and act.
type Job interface {
	Key() string
	// Think looks, and decides by that and by what was recalled. It fails if the
	// look was not whole.
	Think(ctx context.Context, r Recalled) (Thought, error)
	// Apply makes the call of an intent if its precondition still holds, and returns
	// the intent with its outcome. It asks may right before the changing call; after
	// an error of it no call is made.
	Apply(ctx context.Context, i cluster.Intent, may func() error) cluster.Intent
}

// Recalled is what a round begins to think with.
type Recalled struct {
	Now     func() time.Time // by a clock that all rounds share
	Memory  cluster.Memory
	Intents []cluster.Intent // open ones, and those whose refusal no round has seen yet; oldest first
	Ports   Ports
}

// Thought is what a round came to think.
type Thought struct {
	Plan    plan.Plan
	Ended   []cluster.Intent // open ones whose outcome the look has shown
	Pace    time.Duration    // how far apart looks that cost what this one did should be; 0: as near as they come
	Planned *Planned         // the plan's figures
}

// Ports are the records of who has which host port, which several keys share.
type Ports interface {
	// Owners reads the records of some ports; one without a record is absent.
	Owners(ctx context.Context, ports []cluster.HostPort) (map[cluster.HostPort]cluster.Owner, error)
	// Claim writes records, and returns the ports whose record was another by then.
	Claim(ctx context.Context, claims []plan.Claim) (lost []cluster.HostPort, err error)
	// Release deletes records that are still those that the plan rested on.
	Release(ctx context.Context, claims []plan.Claim) error
}

// Session is a round's hold on its cluster's memory.
type Session interface {
	// Note writes a plan's decisions and memory, the intents that begin and those
	// that ended, before any call.
	Note(ctx context.Context, p plan.Plan, begun, ended []cluster.Intent) error
	// Tell writes an intent's outcome.
	Tell(ctx context.Context, i cluster.Intent) error
	// Close ends the round; next is when to look again, zero: the sweep is enough.
	// Looks that events cause keep pace apart from now on; zero: as before. held
	// says that the lease could not be given back.
	Close(ctx context.Context, next time.Time, pace time.Duration, failure error) (held bool, err error)
}

// Opened is what a session begins with.
type Opened struct {
	Session Session
	Gen     int                  // the round's number
	Left    func() time.Duration // of the lease, by this round's own clock
	Now     func() time.Time     // by a clock that all rounds share
	Recall  func(context.Context) (cluster.Memory, []cluster.Intent, error)
	Ports   Ports // nil: no job of these rounds has any

	figures *Figures // of the round, as far as it has come
}

// Waking is the message that a round is for.
type Waking struct {
	ID   string    // the message's: the same when it comes again
	Sent time.Time // when its queue took it, by that queue's clock; zero: nobody knows
}

// Open takes the key's lease for a message and raises its number. After an
// error nothing was begun, and the message is to be tried again.
type Open func(ctx context.Context, key, message string) (Opened, error)

// CallTimeout is the longest that one try of a call may take, LaunchTimeout that
// of LaunchInstances, which answers only when the hosts are launched. No changing
// call starts with less of the lease or of the invocation left.
const (
	CallTimeout   = 5 * time.Second
	LaunchTimeout = 20 * time.Second
)

// refusedAgain is how soon a round looks again after a refused call.
const refusedAgain = 15 * time.Second

// lostAgain is how soon a round looks again after it lost a port to another key.
const lostAgain = 2 * time.Second

// Rounds are the rounds of a function's keys.
type Rounds struct {
	Open  Open
	Clock func() time.Time // of the invocation, for its deadline
	Log   *zap.Logger
	// Margin ends what a round does some time before the invocation's deadline, so
	// that the round can still be closed; nil: nothing hangs that long.
	Margin func(context.Context) (context.Context, context.CancelFunc)
	Meter  func(Figures) // takes what a round came to; nil: nobody does. No round depends on it
}

// Round does a job once for one message. It fails if it did not begin, or could not
// give its lease back: the same message alone may take that over at once, so it
// must come again. A round that fails otherwise is recorded, and asks to be woken
// again.
func (r Rounds) Round(ctx context.Context, j Job, w Waking) error {
	key := j.Key()
	o, err := r.Open(ctx, key, w.ID)
	if err != nil {
		return fmt.Errorf("begin a round of %s: %w", key, err)
	}
	o.figures = &Figures{Key: key, sent: w.Sent}
	next, pace, failure := r.inTime(ctx, j, o)
	if failure != nil {
		r.Log.Error("round failed", zap.String("key", key), zap.Int("gen", o.Gen), zap.Error(failure))
	}
	held, err := o.Session.Close(ctx, next, pace, failure)
	if err != nil {
		r.Log.Error("round not closed", zap.String("key", key), zap.Int("gen", o.Gen), zap.Bool("held", held), zap.Error(err))
	}
	if r.Meter != nil {
		o.figures.At, o.figures.Failed = o.Now(), failure != nil || err != nil
		r.Meter(*o.figures)
	}
	if held {
		return fmt.Errorf("end a round of %s: %w", key, err)
	}
	return nil
}

// Skip begins and ends a round of a key without a look, so that events after it
// wake the key anew.
func (r Rounds) Skip(ctx context.Context, key, message string) error {
	o, err := r.Open(ctx, key, message)
	if err != nil {
		return fmt.Errorf("begin a round of %s: %w", key, err)
	}
	if held, err := o.Session.Close(ctx, time.Time{}, 0, nil); held {
		return fmt.Errorf("end a round of %s: %w", key, err)
	}
	return nil
}

// inTime makes the round end before its invocation does.
func (r Rounds) inTime(ctx context.Context, j Job, o Opened) (time.Time, time.Duration, error) {
	if r.Margin == nil {
		return r.guarded(ctx, j, o)
	}
	ctx, cancel := r.Margin(ctx)
	defer cancel()
	return r.guarded(ctx, j, o)
}

// guarded turns a panic of the round into its failure, so that it is recorded
// and asked for again like any other.
func (r Rounds) guarded(ctx context.Context, j Job, o Opened) (next time.Time, pace time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.Log.Error("round panicked", zap.Any("value", v), zap.Stack("stack"))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return r.round(ctx, j, o)
}

// round looks, thinks, notes, does and tells.
func (r Rounds) round(ctx context.Context, j Job, o Opened) (next time.Time, pace time.Duration, err error) {
	memory, intents, err := o.Recall(ctx)
	if err != nil {
		return time.Time{}, 0, err
	}
	t, err := j.Think(ctx, Recalled{Now: o.Now, Memory: memory, Intents: intents, Ports: o.Ports})
	if err != nil {
		return time.Time{}, 0, err
	}
	if t.Plan, err = claimed(ctx, o.Ports, t.Plan, o.Now()); err != nil {
		return time.Time{}, 0, err
	}
	begun := intend(t.Plan, j.Key(), o.Gen, o.Now())
	if err := o.Session.Note(ctx, t.Plan, begun, append(t.Ended, refused(intents)...)); err != nil {
		return time.Time{}, 0, err
	}
	o.figures.Planned = t.Planned
	r.log(j.Key(), o.Gen, t.Plan)
	next, err = r.do(ctx, j, o, begun, t.Plan.Next)
	return next, t.Pace, err
}

// claimed is the plan with the records of the ports that it is to register, and
// without those that were not to be had. Records that nothing stands for any more
// are deleted.
func claimed(ctx context.Context, ports Ports, p plan.Plan, now time.Time) (plan.Plan, error) {
	if len(p.Claims) > 0 {
		lost, err := ports.Claim(ctx, p.Claims)
		if err != nil {
			return p, err
		}
		if len(lost) > 0 { // the next round reads whose they are
			p = p.WithoutPorts(lost)
			p.Next = sooner(p.Next, now.Add(lostAgain))
		}
	}
	if len(p.Released) > 0 {
		return p, ports.Release(ctx, p.Released)
	}
	return p, nil
}

// refused are the intents whose refusal this round has now seen.
func refused(intents []cluster.Intent) []cluster.Intent {
	var seen []cluster.Intent
	for _, i := range intents {
		if i.Outcome == cluster.OutcomeRefused {
			seen = append(seen, i)
		}
	}
	return seen
}

// intend makes an intent of each change. Its id names the round, so that the
// same change next week is another intent.
func intend(p plan.Plan, key string, gen int, now time.Time) []cluster.Intent {
	var all []cluster.Intent
	for n, c := range p.Actions() {
		all = append(all, cluster.Intent{ID: key + "#" + strconv.Itoa(gen) + "#" + strconv.Itoa(n), Change: c, At: now})
	}
	return all
}

// do applies the intents in order and tells each one's outcome. The first that
// is not applied ends those of its subject, unless they are of register's: of these
// each is about other ports, and one that is wrong must not keep the others. A
// round that runs out of time ends them all, and the next one looks.
func (r Rounds) do(ctx context.Context, j Job, o Opened, intents []cluster.Intent, next time.Time) (time.Time, error) {
	stopped := map[cluster.Subject]bool{}
	for _, i := range intents {
		switch {
		case stopped[i.Subject]:
			i.Outcome, i.Detail = cluster.OutcomeSkipped, "an earlier change of the subject was not applied"
		default:
			i = j.Apply(ctx, i, func() error { return r.time(ctx, o, i.Verb) })
		}
		if i.Outcome == cluster.OutcomeApplied {
			o.figures.acted(o.Now())
		} else {
			stopped[i.Subject] = i.Reaches == nil
			next = sooner(next, o.Now().Add(refusedAgain))
		}
		r.Log.Info("applied", zap.String("intent", i.ID), zap.String("verb", string(i.Verb)), zap.String("subject", string(i.Subject)),
			zap.Int("from", i.From), zap.Int("to", i.To), zap.String("outcome", string(i.Outcome)), zap.String("detail", i.Detail))
		if err := o.Session.Tell(ctx, i); err != nil {
			return next, err
		}
	}
	return next, nil
}

// errNoTime says why a call was not made.
var errNoTime = errors.New("no time left in this round")

// time says whether a change's call may start: with less of the lease or of the
// invocation left than it may take, none does.
func (r Rounds) time(ctx context.Context, o Opened, v cluster.Verb) error {
	need := CallTimeout
	if v == cluster.LaunchHosts {
		need = LaunchTimeout
	}
	end, bounded := ctx.Deadline()
	if o.Left() < need || bounded && end.Sub(r.Clock()) < need {
		return errNoTime
	}
	return nil
}

// sooner is the earlier of two times to look again, where zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// log writes a line a decision, those without a change too.
func (r Rounds) log(key string, gen int, p plan.Plan) {
	for _, d := range p.Decisions {
		fields := []zap.Field{
			zap.String("key", key), zap.Int("gen", gen), zap.String("subject", string(d.Subject)),
			zap.Int("from", d.From), zap.Int("to", d.To), zap.String("reason", string(d.Reason)), zap.Int("changes", len(d.Changes)),
		}
		for _, n := range d.Numbers {
			fields = append(fields, zap.Float64(n.Name, n.Value))
		}
		r.Log.Info("decided", fields...)
	}
}
