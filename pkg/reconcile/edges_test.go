package reconcile

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConcurrentRunsAllWithinItsBound(t *testing.T) {
	var now, most, done atomic.Int64
	err := Concurrent(t.Context(), 50, func(context.Context, int) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		done.Add(1)
		return nil
	})
	if err != nil || done.Load() != 50 || most.Load() > sideBySide || most.Load() < 2 {
		t.Errorf("%d done, %d at a time, %v", done.Load(), most.Load(), err)
	}
}

func TestConcurrentTellsEveryErrorAndSurvivesAPanic(t *testing.T) {
	err := Concurrent(t.Context(), 4, func(_ context.Context, i int) error {
		switch i {
		case 1:
			return errors.New("one failed")
		case 3:
			panic("three fell")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "one failed") || !strings.Contains(err.Error(), "panic: three fell") {
		t.Error(err)
	}
	if err := Concurrent(t.Context(), 0, nil); err != nil {
		t.Error(err)
	}
}

func TestConcurrentMakesNoGoroutineForASingleCall(t *testing.T) {
	for n, more := range map[int]int{1: 0, 2: 1, sideBySide: sideBySide - 1} {
		before, during := runtime.NumGoroutine(), 0
		all := make(chan struct{}, n)
		err := Concurrent(t.Context(), n, func(_ context.Context, i int) error {
			if all <- struct{}{}; i < n-1 {
				for len(all) < n { // until the last one is under way
					runtime.Gosched()
				}
				return nil
			}
			during = runtime.NumGoroutine()
			return nil
		})
		if err != nil || during-before > more {
			t.Errorf("%d goroutines more for %d calls, %v", during-before, n, err)
		}
	}
}

func TestADeploymentWithoutItsSettingsDoesNotStart(t *testing.T) {
	whole := Config{Table: "plimsoll", Ingress: "https://queue"}
	if err := whole.Missing(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{Table: "plimsoll"}, {Ingress: "https://queue"}} {
		if c.Missing() == nil {
			t.Errorf("%+v lacks nothing", c)
		}
	}
}
