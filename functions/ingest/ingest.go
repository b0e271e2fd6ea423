// Package ingest is the function that hears: any event in, the keys concerned
// out, each woken at most once. It must not know what is done about an event,
// and nothing of an event goes further than names.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// Memory is what a deployment gives the function, in MiB. CPU comes in proportion.
const Memory = 256

// Runtime are the variables that a deployment sets for Go itself.
func Runtime() map[string]string { return handler.Runtime(Memory) }

// Ports are the AWS services that ingest calls.
type Ports struct {
	DynamoDB store.WakeTable
	SQS      store.SQS
}

// Config is where ingest runs, and where it finds its table and queues.
type Config struct {
	Account string            // 12 digits; events of another are dropped
	Region  string            // events of another are dropped
	Table   string            // the DynamoDB table's name
	Queues  map[string]string // FIFO queue's URL by the function that it wakes: reconcile, register
	Ingress string            // URL of the queue that it hears, for wakes that wait
}

// Missing says which of the settings are not there: without them every event
// would be dropped as a foreign one, or end in the dead-letter queue. register has
// a queue only where a policy has endpoints.
func (c Config) Missing(set policy.Set) error {
	registers := slices.ContainsFunc(set, func(p policy.Policy) bool { return len(p.Registered()) > 0 })
	for _, s := range []string{c.Account, c.Region, c.Table, c.Ingress, c.Queues["reconcile"]} {
		if s == "" {
			return fmt.Errorf("account %q, Region %q, table %q, ingress queue %q and reconcile queue %q: all are needed", c.Account, c.Region, c.Table, c.Ingress, c.Queues["reconcile"])
		}
	}
	if registers && c.Queues["register"] == "" {
		return errors.New("no register queue: it is needed where a policy has endpoints")
	}
	return nil
}

// New returns the function as Lambda runs it.
func New(ports Ports, c Config, set policy.Set, log *zap.Logger) handler.Door {
	i := ingest{config: c, waker: store.Waker{DB: ports.DynamoDB, Queue: ports.SQS, Table: c.Table, Queues: c.Queues, Ingress: c.Ingress, Again: events.LookAgain}, set: set, log: log}
	return handler.Door{Log: log, Batch: i.batch, Direct: func(ctx context.Context, payload []byte) error {
		return errors.Join(slices.Collect(maps.Values(i.batch(ctx, []handler.Message{{ID: "direct", Body: payload}})))...)
	}}
}

type ingest struct {
	config Config
	waker  store.Waker
	set    policy.Set
	log    *zap.Logger
}

// wish is what a batch wants of one key: which ARNs to look at, and which
// messages asked.
type wish struct {
	store.Heard
	atOnce   bool
	messages []string
}

// add takes up what one message asks for. Only what tells of a cluster may wait
// or be covered: the sweep and a look that was asked for are what catches
// whatever else is lost.
func (w *wish) add(m handler.Message, e events.Event) {
	w.ARNs = append(w.ARNs, e.Subject.ARNs...)
	w.messages = append(w.messages, m.ID)
	w.atOnce = w.atOnce || e.Kind != events.Look || m.Sent.IsZero()
	w.Sent, w.Received = later(w.Sent, m.Sent), later(w.Received, m.Received)
}

// heard is what all of them know together.
func (w *wish) heard() store.Heard {
	h := w.Heard
	if w.atOnce {
		h.Sent = time.Time{}
	}
	return h
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// batch wakes each key that the batch's events concern once.
func (i ingest) batch(ctx context.Context, batch []handler.Message) map[string]error {
	failed, wishes := map[string]error{}, map[string]*wish{}
	for _, m := range batch {
		err := handler.Guard(i.log, func() error { return i.hear(ctx, m, wishes) })
		if err != nil {
			failed[m.ID] = err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wishes)) {
		w := wishes[key]
		err := i.waker.Wake(ctx, key, w.heard(), func(gen int) ([]byte, error) {
			return events.EncodeWake(events.Wake{Key: key, Gen: int64(gen)})
		})
		for _, id := range w.messages {
			if err != nil {
				failed[id] = errors.Join(failed[id], err)
			}
		}
	}
	return failed
}

// hear adds what one message asks for.
func (i ingest) hear(ctx context.Context, m handler.Message, wishes map[string]*wish) error {
	e, err := events.Decode(m.Body)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	keys, err := i.keys(ctx, e)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		i.log.Debug("dropped", zap.String("message", m.ID), zap.String("source", e.Source), zap.String("detailType", e.DetailType))
	}
	for _, key := range keys {
		w := wishes[key]
		if w == nil {
			w = &wish{}
			wishes[key] = w
		}
		w.add(m, e)
	}
	return nil
}

// keys are those that an event concerns. What the policies do not know is
// dropped: the sweep covers it if that was wrong.
func (i ingest) keys(ctx context.Context, e events.Event) ([]string, error) {
	if e.Kind != events.Again && (e.Account != i.config.Account || e.Region != i.config.Region) {
		return nil, nil
	}
	switch e.Kind {
	case events.Sweep:
		return i.all(), nil
	case events.Again:
		return i.again(ctx, e.Key, e.At)
	case events.Look:
		return i.concerned(e), nil
	default:
		return nil, nil
	}
}

// again is the key that asked for a look at a time, if that time is still the
// one it waits for.
func (i ingest) again(ctx context.Context, key string, at time.Time) ([]string, error) {
	if !slices.Contains(i.all(), key) {
		return nil, nil
	}
	due, err := i.waker.Due(ctx, key, at)
	if err != nil || !due {
		return nil, err
	}
	return []string{key}, nil
}

// clusters are those of the policies that a subject may concern: its own, the
// owner of its group or alarm, or for a bare instance all, since only a look
// tells whose it is.
func (i ingest) clusters(s events.Subject) []string {
	owner, known := "", false
	switch {
	case s.Cluster != "":
		_, known = i.set.Of(s.Cluster)
		owner = s.Cluster
	case s.Group != "":
		owner, known = i.set.GroupOwner(s.Group)
	case s.Alarm != "":
		owner, known = i.set.AlarmOwner(s.Alarm)
	case s.Instance != "":
		return i.set.Clusters()
	}
	if !known {
		return nil
	}
	return []string{owner}
}

// all are the keys of all policies.
func (i ingest) all() []string {
	var keys []string
	for _, p := range i.set {
		keys = append(keys, reconcile.Key(p.Cluster))
		for _, name := range p.Registered() {
			keys = append(keys, reconcile.ReachKey(p.Cluster, name))
		}
	}
	return keys
}

// concerned are the keys that an event concerns: those of its clusters, and where
// it tells of a task those of the endpoints that the task may have.
func (i ingest) concerned(e events.Event) []string {
	var keys []string
	for _, name := range i.clusters(e.Subject) {
		keys = append(keys, reconcile.Key(name))
		if e.DetailType != events.TaskStateChange {
			continue
		}
		p, _ := i.set.Of(name)
		for _, reached := range p.Registered() {
			_, standalone := p.Standalone[reached]
			if reached == e.Subject.Service || standalone && e.Subject.Service == "" {
				keys = append(keys, reconcile.ReachKey(name, reached))
			}
		}
	}
	return keys
}
