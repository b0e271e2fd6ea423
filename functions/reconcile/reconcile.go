// Package reconcile is the function that steers one cluster a message: task
// counts and hosts. It puts the pieces together and holds no rule of its own.
package reconcile

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// Memory is what a deployment gives the function, in MiB. CPU comes in proportion.
const Memory = 512

// Runtime are the variables that a deployment sets for Go itself.
func Runtime() map[string]string { return handler.Runtime(Memory) }

// Ports are the AWS services that reconcile calls.
type Ports struct {
	ECS         clusterside.ECS
	AutoScaling clusterside.AutoScaling
	CloudWatch  clusterside.CloudWatch
	DynamoDB    store.DynamoDB
	SQS         store.SQS
}

// Config is where reconcile finds its table and the queue that it asks for
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
	Run   clusterside.Runner
	Wait  clusterside.Wait
	Log   *zap.Logger
	// Margin ends a round's calls before the invocation's deadline; nil: the two
	// are one.
	Margin func(context.Context) (context.Context, context.CancelFunc)
	Meter  Meter
}

// New returns the function as Lambda runs it.
func New(ports Ports, c Config, set policy.Set, e Edges) handler.Door {
	table := store.Store{DB: ports.DynamoDB, Queue: ports.SQS, Table: c.Table, Ingress: c.Ingress, Clock: e.Clock, Again: events.LookAgain}
	rounds := reconcile.Rounds{
		Cloud: clusterside.New(ports.ECS, ports.AutoScaling, ports.CloudWatch, clusterside.Edges{Run: e.Run, Clock: e.Clock, Wait: e.Wait}),
		Open: func(ctx context.Context, key, message string) (reconcile.Opened, error) {
			return open(ctx, table, key, message)
		},
		Clock:  e.Clock,
		Log:    e.Log,
		Margin: e.Margin,
		Meter:  func(f reconcile.Figures) { e.Meter.write(f, e.Log) },
	}
	return handler.Door{Log: e.Log, Batch: handler.Each(e.Log, func(ctx context.Context, m handler.Message) error {
		return wake(ctx, rounds, set, e.Log, m)
	})}
}

// wake runs the round that a message asks for. Of a cluster that the policies do
// not have, it only ends the key's number: where ingest was deployed with a newer
// policy than reconcile, events after this must not count as doubles of it.
func wake(ctx context.Context, rounds reconcile.Rounds, set policy.Set, log *zap.Logger, m handler.Message) error {
	w, err := events.DecodeWake(m.Body)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	for _, p := range set {
		if reconcile.Key(p.Cluster) == w.Key {
			return rounds.Round(ctx, p, reconcile.Waking{ID: m.ID, Sent: m.Sent})
		}
	}
	log.Warn("no policy has the key", zap.String("key", w.Key))
	return rounds.Skip(ctx, w.Key, m.ID)
}

func open(ctx context.Context, table store.Store, key, message string) (reconcile.Opened, error) {
	s, err := table.Open(ctx, key, message)
	if err != nil {
		return reconcile.Opened{}, err
	}
	recall := func(ctx context.Context) (cluster.Memory, []cluster.Intent, error) {
		err := s.Recall(ctx)
		return s.Memory, s.Intents, err
	}
	return reconcile.Opened{Session: s, Gen: s.Gen, Left: s.Left, Now: s.Now, Recall: recall}, nil
}
