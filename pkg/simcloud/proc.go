package simcloud

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// killed is the panic of every call that a killed invocation makes, also of those
// in deferred functions: while it unwinds the world stays as it is.
type killed struct{}

// How an invocation ends when it does not return.
var (
	errKilled   = errors.New("killed")
	errTimedOut = errors.New("timed out")
)

// life is shared by all coroutines of one invocation.
type life struct {
	id    int    // counts invocations
	name  string // of the function
	began time.Time
	procs []*proc
	done  chan struct{} // closed when the invocation ends, however it ends
	err   error         // why done is closed
	dead  bool          // killed: no call of it has an effect any more

	mishap mishap
}

func (l *life) finish(err error) {
	if l.err == nil {
		l.err = err
		close(l.done)
	}
}

// proc is a coroutine: an invocation, or a child of one.
type proc struct {
	k     *kernel
	life  *life
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	ended bool
	err   error
	after func() // called once, by the kernel, when the coroutine has ended
}

type procKey struct{}

// procContext is a context in virtual time. Nothing real ever cancels it.
type procContext struct {
	deadline time.Time
	proc     *proc
}

func (c *procContext) Deadline() (time.Time, bool) {
	return c.deadline.Add(c.proc.life.mishap.skew), true
}
func (c *procContext) Done() <-chan struct{} { return c.proc.life.done }
func (c *procContext) Err() error            { return c.proc.life.err }
func (c *procContext) Value(key any) any {
	if key == (procKey{}) {
		return c.proc
	}
	return nil
}

// procOf returns the coroutine that a context belongs to; nil means a call from
// outside of any invocation, as an operator makes who sets the world up.
func procOf(ctx context.Context) *proc {
	p, _ := ctx.Value(procKey{}).(*proc)
	return p
}

// spawn starts an invocation: do runs in virtual time from now on until it
// returns, is killed, or the timeout passes. end is told how it ended; with
// errKilled and errTimedOut nothing of its answer counts.
func (k *kernel) spawn(name string, timeout time.Duration, do func(ctx context.Context) error, end func(error)) *proc {
	k.spawned++
	p := &proc{k: k, life: &life{id: k.spawned, name: name, began: k.now, done: make(chan struct{})}}
	ctx := &procContext{deadline: k.now.Add(timeout), proc: p}
	k.live[p] = true
	k.at(ctx.deadline, p.expire)
	p.start(func() error { return do(ctx) }, func() {
		delete(k.live, p)
		p.life.finish(context.Canceled)
		end(p.err)
	})
	return p
}

// gather runs do for 0 to n-1 as child coroutines of the caller's, at most limit
// at a time, and returns when all are done. Called from outside of any
// invocation it runs them one after the other.
func (k *kernel) gather(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	parent := procOf(ctx)
	if parent == nil {
		for i := range n {
			errs[i] = do(ctx, i)
		}
		return errors.Join(errs...)
	}
	begun, left := 0, n
	var begin func()
	begin = func() {
		i := begun
		begun++
		child := &proc{k: k, life: parent.life}
		child.start(func() error { return do(context.WithValue(ctx, procKey{}, child), i) }, func() {
			errs[i] = child.err
			if left--; left == 0 {
				k.after(0, parent.resume)
			} else if begun < n && !parent.life.dead {
				begin()
			}
		})
	}
	for range min(n, limit) {
		begin()
	}
	if n > 0 {
		parent.wait()
	}
	return errors.Join(errs...)
}

// start lets the coroutine begin as an event of its own at the present instant.
func (p *proc) start(do func() error, after func()) {
	p.life.procs = append(p.life.procs, p)
	p.after = after
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		p.err = p.guard(func() error {
			p.check() // it may have been killed before it began
			return do()
		})
	})
	p.k.after(0, p.resume)
}

// guard runs do and turns its panic into an error. Whatever a killed invocation
// answered, its end is that it was killed.
func (p *proc) guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		if p.life.dead {
			err = p.life.err
		}
	}()
	return do()
}

// resume lets the coroutine run until it waits again or ends.
func (p *proc) resume() {
	if !p.ended {
		p.step(func() bool { _, more := p.next(); return more })
	}
}

// unwind ends a waiting coroutine: its wait panics with killed.
func (p *proc) unwind() {
	if !p.ended {
		p.step(func() bool { p.stop(); return false })
	}
}

// step runs the coroutine once, with the kernel knowing that it does.
func (p *proc) step(run func() (more bool)) {
	before := p.k.current
	p.k.current = p
	p.k.steps.Add(1)
	more := run()
	p.k.steps.Add(1)
	p.k.current = before
	if more {
		return
	}
	p.ended = true
	if p.life.dead {
		p.err = p.life.err // also of one that never began
		for _, sibling := range p.life.procs {
			sibling.unwind()
		}
	}
	p.after()
}

// kill ends the invocation with all its coroutines at once. Events call it,
// never the invocation itself, which dies by die. It says whether there was
// anything left to end.
func (p *proc) kill(why error) bool {
	if p.ended || p.life.dead {
		return false
	}
	p.life.dead = true
	p.life.finish(why)
	for _, c := range p.life.procs {
		c.unwind()
	}
	return true
}

// expire ends the invocation at its timeout. Where it stood still for a while, so
// did the clock that its timeout is measured by.
func (p *proc) expire() {
	if late := p.life.mishap.late; late > 0 {
		p.life.mishap.late = 0
		p.k.after(late, p.expire)
		return
	}
	p.kill(errTimedOut)
}

// die ends the invocation that calls it, at this very point.
func (p *proc) die(why error) {
	p.life.dead = true
	p.life.finish(why)
	panic(killed{})
}

// check panics if the invocation is dead: no call of it has an effect.
func (p *proc) check() {
	if p.life.dead {
		panic(killed{})
	}
}

// sleep lets virtual time pass.
func (p *proc) sleep(d time.Duration) {
	p.check()
	p.k.after(d, p.resume)
	p.wait()
}

// wait gives the world back to the kernel until somebody resumes p.
func (p *proc) wait() {
	p.check()
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
	p.check()
}
