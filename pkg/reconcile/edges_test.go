package reconcile

import (
	"context"
	"errors"
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
