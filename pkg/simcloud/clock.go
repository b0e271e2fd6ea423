package simcloud

import (
	"fmt"
	"runtime"
	"time"
)

// Driver paces virtual time. The kernel calls Until before each event.
type Driver interface {
	// Until returns when the event due at virtual time t may happen.
	Until(t time.Time)
}

// Jump is the driver that never waits: the next event happens at once.
type Jump struct{}

// Until returns at once.
func (Jump) Until(time.Time) {}

// NewPaced returns a driver that lets virtual time pass speed times as fast as
// real time.
func NewPaced(speed float64) Driver { return &paced{speed: speed} }

type paced struct {
	speed   float64
	began   time.Time // real
	virtual time.Time // of the first event
}

func (p *paced) Until(t time.Time) {
	if p.began.IsZero() {
		p.began, p.virtual = time.Now(), t
	}
	due := p.began.Add(time.Duration(float64(t.Sub(p.virtual)) / p.speed))
	time.Sleep(time.Until(due))
}

// stuckAfter is the real time after which a coroutine that has not come back is
// taken to hang: on a channel, on a mutex held over a call, in a waiter.
const stuckAfter = 5 * time.Second

// watch runs the loop and returns its error, or an error with all stacks when
// one step of it takes longer than limit.
func watch(limit time.Duration, steps func() int64, loop func() error) error {
	done := make(chan error, 1)
	go func() { done <- loop() }()
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	last, same := int64(-1), 0
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			now := steps()
			if now != last || now%2 == 0 { // even: no coroutine runs
				last, same = now, 0
				continue
			}
			if same++; same > 10 {
				buf := make([]byte, 1<<20)
				return fmt.Errorf("a coroutine did not come back within %s:\n%s", limit, buf[:runtime.Stack(buf, true)])
			}
		}
	}
}
