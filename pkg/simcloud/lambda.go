package simcloud

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// FunctionConfig is how a function runs.
type FunctionConfig struct {
	Timeout        time.Duration                    // of an invocation; default 3 s, Lambda's
	MaxConcurrency int                              // reserved concurrency; 0: none reserved, no limit
	ColdStart      func(r *rand.Rand) time.Duration // what the first invocation of an environment waits; default 150 to 400 ms
	KeptWarm       time.Duration                    // how long an idle environment is kept; default 10 min
}

// FunctionStats counts what a function has done.
type FunctionStats struct {
	Invocations int
	Errors      int // of those: returned an error, panicked, timed out, were killed
	Throttles   int // invocations that did not begin, for want of concurrency
	ColdStarts  int
	MostAtOnce  int
	Duration    time.Duration // of all invocations together, cold starts left out
	Starting    time.Duration // of all cold starts together
}

// Invocation is one run of a function, as OnInvocation is told when it ends.
type Invocation struct {
	Function string
	Number   int           // counts all invocations, as Call.Invocation
	Began    time.Time     // virtual
	Took     time.Duration // virtual, the cold start left out
	Cold     bool
	Err      error
}

// Lambda is AWS Lambda: functions, and mappings that feed them from queues.
type Lambda struct {
	c         *Cloud
	functions map[string]*function
	mapped    map[EventSource]bool
	tell      []func(Invocation)
}

type function struct {
	name    string
	run     func(ctx context.Context, payload []byte) ([]byte, error)
	cfg     FunctionConfig
	idle    []time.Time // since when each warm environment idles, oldest first
	running int
	stats   FunctionStats
}

// Lambda returns the functions of this world.
func (c *Cloud) Lambda() *Lambda {
	if c.parts.lambda == nil {
		c.parts.lambda = &Lambda{c: c, functions: map[string]*function{}, mapped: map[EventSource]bool{}}
	}
	return c.parts.lambda
}

// Register makes a function. It fails if there is one of that name.
func (l *Lambda) Register(name string, fn func(ctx context.Context, payload []byte) ([]byte, error), cfg FunctionConfig) error {
	if _, ok := l.functions[name]; ok {
		return apiError("ResourceConflictException", "Function already exist: %s", name)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	if cfg.Timeout < time.Second || cfg.Timeout > 15*time.Minute {
		return apiError("InvalidParameterValueException", "the timeout of %s is %s, not 1 s to 15 min", name, cfg.Timeout)
	}
	if cfg.ColdStart == nil {
		cfg.ColdStart = func(r *rand.Rand) time.Duration { return between(r, 150*time.Millisecond, 400*time.Millisecond) }
	}
	if cfg.KeptWarm == 0 {
		cfg.KeptWarm = 10 * time.Minute
	}
	l.functions[name] = &function{name: name, run: fn, cfg: cfg}
	return nil
}

// ARN is the name by which alarms and others invoke a function.
func (l *Lambda) ARN(name string) string { return l.c.arn("lambda", "function:"+name) }

// Stats returns what a function has done so far.
func (l *Lambda) Stats(name string) FunctionStats {
	if f, ok := l.functions[name]; ok {
		return f.stats
	}
	return FunctionStats{}
}

// OnInvocation lets tell know each invocation when it has ended.
func (l *Lambda) OnInvocation(tell func(Invocation)) { l.tell = append(l.tell, tell) }

// Invoke invokes a function asynchronously. A failed event is tried again after
// one and after two more minutes, as Lambda does, then it is dropped; one that
// finds no concurrency waits a minute and counts no try.
func (l *Lambda) Invoke(name string, payload []byte) error {
	f, ok := l.functions[name]
	if !ok {
		return apiError("ResourceNotFoundException", "Function not found: %s", l.ARN(name))
	}
	own := append([]byte(nil), payload...)
	l.c.after(between(l.c.stream("lambda async"), 10*time.Millisecond, 100*time.Millisecond), func() { l.try(f, own, 1) })
	return nil
}

func (l *Lambda) try(f *function, payload []byte, n int) {
	begun := l.invoke(f, append([]byte(nil), payload...), func(_ []byte, err error) {
		if err != nil && n < 3 {
			l.c.after(time.Duration(n)*time.Minute, func() { l.try(f, payload, n+1) })
		}
	})
	if !begun {
		l.c.after(time.Minute, func() { l.try(f, payload, n) })
	}
}

// invoke runs the function once; end gets its answer. It returns false, and
// never calls end, if the function's concurrency is used up.
func (l *Lambda) invoke(f *function, payload []byte, end func(answer []byte, err error)) bool {
	if f.cfg.MaxConcurrency > 0 && f.running >= f.cfg.MaxConcurrency {
		f.stats.Throttles++
		return false
	}
	f.running++
	f.stats.Invocations++
	f.stats.MostAtOnce = max(f.stats.MostAtOnce, f.running)
	run := Invocation{Function: f.name, Cold: !f.takeWarm(l.c.now)}
	begin := func() {
		var answer []byte
		var number int
		run.Began = l.c.now
		p := l.c.spawn(f.name, f.cfg.Timeout, func(ctx context.Context) (err error) {
			answer, err = f.run(ctx, payload)
			return err
		}, func(err error) {
			run.Number = number
			run.Took, run.Err = l.c.now.Sub(run.Began), err
			l.ended(f, run)
			end(answer, err)
		})
		number = p.life.id
		l.c.faults.ordain(p)
	}
	if !run.Cold {
		begin()
		return true
	}
	f.stats.ColdStarts++
	start := f.cfg.ColdStart(l.c.stream("cold start"))
	f.stats.Starting += start
	l.c.after(start, begin)
	return true
}

// takeWarm takes the environment that idles for the shortest time.
func (f *function) takeWarm(now time.Time) bool {
	for len(f.idle) > 0 && now.Sub(f.idle[0]) > f.cfg.KeptWarm {
		f.idle = f.idle[1:]
	}
	if len(f.idle) == 0 {
		return false
	}
	f.idle = f.idle[:len(f.idle)-1]
	return true
}

// ended accounts for an invocation. An environment survives an error that the
// function returned, nothing worse.
func (l *Lambda) ended(f *function, run Invocation) {
	f.running--
	f.stats.Duration += run.Took
	how := outcome(run.Err)
	if run.Err != nil {
		f.stats.Errors++
	}
	if how == "ok" || how == "error" {
		f.idle = append(f.idle, l.c.now)
	}
	l.c.trace("lambda %s %s after %s", f.name, how, run.Took)
	for _, tell := range l.tell {
		tell(run)
	}
}

// outcome is how an invocation ended, in a word. Errors themselves stay out of
// the trace: a panic's holds addresses.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errTimedOut):
		return "timeout"
	case errors.Is(err, errKilled):
		return "killed"
	case strings.HasPrefix(err.Error(), "panic: "):
		return "panic"
	default:
		return "error"
	}
}
