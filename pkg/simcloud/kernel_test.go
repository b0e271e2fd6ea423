package simcloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var epoch = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

// nudge is a changing call of the test's own: it raises a counter.
func nudge(ctx context.Context, c *Cloud, n *int) error {
	_, err := call(ctx, c, operation{service: "test", action: "Nudge", latency: 100 * time.Millisecond, changes: true}, nil, func() (*int, error) {
		*n++
		return n, nil
	})
	return err
}

func TestEventsAtOneInstantHappenInTheOrderTheyWereAsked(t *testing.T) {
	c := New(Options{Start: epoch})
	var got []int
	for i := range 5 {
		c.At(epoch.Add(time.Second), func() { got = append(got, i) })
	}
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[0 1 2 3 4]" {
		t.Errorf("order %v", got)
	}
	if !c.Now().Equal(epoch.Add(time.Minute)) {
		t.Errorf("clock at %s", c.Now())
	}
}

func TestACallPassesVirtualTime(t *testing.T) {
	c := New(Options{Start: epoch, Seed: 1})
	n := 0
	var took time.Duration
	c.spawn("test", time.Minute, func(ctx context.Context) error {
		err := nudge(ctx, c, &n)
		took = c.Now().Sub(epoch)
		return err
	}, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n != 1 || took < 20*time.Millisecond || took > time.Second {
		t.Errorf("%d nudges in %s of virtual time", n, took)
	}
}

// TestAKilledInvocationHasNoAfterEffect kills an invocation that does all it
// can to act from its unwinding: deferred calls, a recover that goes on, a
// child that goes on.
func TestAKilledInvocationHasNoAfterEffect(t *testing.T) {
	for _, at := range []time.Duration{0, time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		c := New(Options{Start: epoch, Seed: 2})
		n, atKill := 0, 0
		logged := false
		var end error
		p := c.spawn("test", time.Minute, func(ctx context.Context) (err error) {
			defer func() {
				if recover() != nil {
					logged = logged || c.Alive()
					err = nudge(ctx, c, &n)
				}
			}()
			defer func() { _ = nudge(ctx, c, &n) }()
			run := c.Gather(2)
			for range 20 {
				_ = run(ctx, 3, func(ctx context.Context, _ int) error {
					defer func() { _ = nudge(ctx, c, &n) }()
					return nudge(ctx, c, &n)
				})
			}
			return nil
		}, func(err error) { end = err })
		c.At(epoch.Add(at), func() { atKill = n; p.kill(errKilled) })
		if err := c.Run(epoch.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n != atKill || logged || !errors.Is(end, errKilled) {
			t.Errorf("killed after %s: %d nudges, then %d; logged %t; ended %v", at, atKill, n, logged, end)
		}
	}
}

func TestAnInvocationThatKillsItselfEndsItsChildrenToo(t *testing.T) {
	c := New(Options{Start: epoch, Seed: 3})
	n := 0
	var end error
	c.spawn("test", time.Minute, func(ctx context.Context) error {
		return c.Gather(3)(ctx, 3, func(ctx context.Context, i int) error {
			if i == 1 {
				procOf(ctx).sleep(time.Second)
				procOf(ctx).die(errKilled)
			}
			procOf(ctx).sleep(2 * time.Second)
			return nudge(ctx, c, &n)
		})
	}, func(err error) { end = err })
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n != 0 || !errors.Is(end, errKilled) {
		t.Errorf("%d nudges, ended %v", n, end)
	}
}

func TestNoChildBeginsAfterItsInvocationWasKilled(t *testing.T) {
	for _, tt := range []struct {
		name   string
		killed time.Duration
		began  int
	}{
		{"killed while one of five runs", time.Second, 1},
		{"killed in the instant between asking for a child and its beginning", 0, 0},
	} {
		c := New(Options{Start: epoch})
		began := 0
		p := c.spawn("test", time.Minute, func(ctx context.Context) error {
			return c.Gather(1)(ctx, 5, func(ctx context.Context, _ int) error {
				began++
				procOf(ctx).sleep(time.Hour)
				return nil
			})
		}, func(error) {})
		c.At(epoch.Add(tt.killed), func() { p.kill(errKilled) })
		if err := c.Run(epoch.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if began != tt.began {
			t.Errorf("%s: %d children began", tt.name, began)
		}
	}
}

// TestACallNeedsItsInvocationsContext calls with a context that is not the
// kernel's: free for an operator, a mistake inside of an invocation.
func TestACallNeedsItsInvocationsContext(t *testing.T) {
	c := New(Options{Start: epoch})
	n, foreign := 0, t.Context()
	var returned, killed error
	c.spawn("returns", time.Minute, func(context.Context) error { return nudge(foreign, c, &n) }, func(err error) { returned = err })
	c.spawn("killed", time.Second, func(ctx context.Context) error {
		defer func() { _ = nudge(foreign, c, &n) }()
		procOf(ctx).sleep(time.Hour)
		return nil
	}, func(err error) { killed = err })
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n != 0 || returned == nil || !strings.Contains(returned.Error(), "test:Nudge: a call from inside an invocation") || !errors.Is(killed, errTimedOut) {
		t.Errorf("%d nudges; one ended %v, the other %v", n, returned, killed)
	}
	c.At(epoch.Add(2*time.Minute), func() { _ = nudge(foreign, c, &n) })
	if err := c.Run(epoch.Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := nudge(foreign, c, &n); err != nil || n != 2 || len(c.Calls()) != 0 {
		t.Errorf("an operator's calls from an event and from outside: %v, %d nudges, counted %v", err, n, c.Calls())
	}
}

func TestDeadlinesAreVirtual(t *testing.T) {
	c := New(Options{Start: epoch})
	var end error
	var seen time.Time
	c.spawn("test", 10*time.Second, func(ctx context.Context) error {
		seen, _ = ctx.Deadline()
		procOf(ctx).sleep(time.Hour)
		return nil
	}, func(err error) { end = err })
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(end, errTimedOut) || !seen.Equal(epoch.Add(10*time.Second)) {
		t.Errorf("ended %v, deadline %s", end, seen)
	}
}

func TestGatherKeepsItsLimitAndJoinsErrors(t *testing.T) {
	c := New(Options{Start: epoch})
	now, most := 0, 0
	c.spawn("test", time.Minute, func(ctx context.Context) error {
		return c.Gather(4)(ctx, 11, func(ctx context.Context, i int) error {
			now++
			most = max(most, now)
			procOf(ctx).sleep(time.Second)
			now--
			if i%5 == 0 {
				return fmt.Errorf("no %d", i)
			}
			return nil
		})
	}, func(err error) {
		if err == nil || err.Error() != "no 0\nno 5\nno 10" {
			t.Errorf("ended %v", err)
		}
	})
	if err := c.Run(epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if most != 4 {
		t.Errorf("%d at a time", most)
	}
}

// hang never comes back to the kernel.
func hang(ch chan struct{}) { <-ch }

func TestAHangingCoroutineFailsTheRunWithItsStack(t *testing.T) {
	c := New(Options{Start: epoch})
	c.limit = 50 * time.Millisecond
	never := make(chan struct{})
	defer close(never)
	c.spawn("hung", time.Minute, func(context.Context) error { hang(never); return nil }, func(error) {})
	err := c.Run(epoch.Add(time.Minute))
	if err == nil || !strings.Contains(err.Error(), "simcloud.hang") {
		t.Errorf("run ended with %v", err)
	}
}

func TestOneSeedOneTrace(t *testing.T) {
	run := func(seed uint64) string {
		c := New(Options{Start: epoch, Seed: seed})
		defer c.Close()
		n := 0
		for range 5 {
			c.spawn("test", time.Minute, func(ctx context.Context) error {
				for range 10 {
					_ = nudge(ctx, c, &n)
				}
				return nil
			}, func(error) {})
		}
		if err := c.Run(epoch.Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c.TraceHash()
	}
	if a, b := run(7), run(7); a != b {
		t.Error("one seed gave two traces")
	}
	if run(7) == run(8) {
		t.Error("two seeds gave one trace")
	}
}

func TestATokenBucketEmptiesAndRefills(t *testing.T) {
	c := New(Options{Start: epoch})
	for range 50 {
		if !c.take("ecs service modify", 1) {
			t.Fatal("refused within the burst")
		}
	}
	if c.take("ecs service modify", 1) {
		t.Error("the burst has no end")
	}
	c.now = epoch.Add(time.Second)
	for range 5 {
		if !c.take("ecs service modify", 1) {
			t.Fatal("did not refill")
		}
	}
	if c.take("ecs service modify", 1) {
		t.Error("refilled more than 5 a second")
	}
}
