package reconcile

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
)

// Config is where a function finds its table and the queue that it asks for
// another look through.
type Config struct {
	Table   string // the DynamoDB table's name
	Ingress string // URL of the ingress queue
}

// Missing says which of the settings are not there.
func (c Config) Missing() error {
	if c.Table == "" || c.Ingress == "" {
		return fmt.Errorf("table %q and ingress queue %q: both are needed", c.Table, c.Ingress)
	}
	return nil
}

// Edges are what a function takes from the world that it runs in.
type Edges struct {
	Clock func() time.Time
	Run   func(ctx context.Context, n int, do func(ctx context.Context, i int) error) error // what may go side by side
	Wait  func(ctx context.Context, d time.Duration) error                                  // before a throttled read is made again
	Log   *zap.Logger
	// Margin ends a round's calls before the invocation's deadline; nil: the two
	// are one.
	Margin func(context.Context) (context.Context, context.CancelFunc)
	Meter  Meter
}

// Find gives the job that a key is for; false where the policies have none.
type Find func(key string) (Job, bool)

// Door makes a round of each message. Of a key that nothing is for, it only ends
// the number: where ingest was deployed with a newer policy than this function,
// events after this must not count as doubles of it.
func (e Edges) Door(o Open, find Find) handler.Door {
	rounds := Rounds{Open: o, Clock: e.Clock, Log: e.Log, Margin: e.Margin, Meter: func(f Figures) { e.Meter.write(f, e.Log) }}
	return handler.Door{Log: e.Log, Batch: handler.Each(e.Log, func(ctx context.Context, m handler.Message) error {
		w, err := events.DecodeWake(m.Body)
		if err != nil {
			return fmt.Errorf("decode: %w", err)
		}
		if job, found := find(w.Key); found {
			return rounds.Round(ctx, job, Waking{ID: m.ID, Sent: m.Sent})
		}
		e.Log.Warn("no policy has the key", zap.String("key", w.Key))
		return rounds.Skip(ctx, w.Key, m.ID)
	})}
}
