package reconcile

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
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

func TestAWakeUpThatCannotBeReadFailsAndOneOfNoPolicyIsDropped(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	p := policy.Policy{Version: 1, Cluster: "prod"}
	// No port is set: a call of any would panic, and the message fail.
	door := New(Ports{}, Config{}, policy.Set{p}, Edges{Clock: time.Now, Run: Concurrent, Log: zap.New(core)})
	out, err := door.Invoke(t.Context(), []byte(`{"Records":[
		{"messageId":"a","body":"{\"key\":\"reconcile#gone\",\"gen\":3}"},
		{"messageId":"b","body":"nonsense"},
		{"messageId":"c","body":"{\"key\":\"reconcile#prod\",\"gen\":3}"}]}`))
	if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}` {
		t.Errorf("answer %s, %v", out, err)
	}
	if logs.FilterMessage("no policy has the key").Len() != 1 {
		t.Errorf("logs %v", logs.All())
	}
}
