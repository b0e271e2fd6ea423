// Package reconcile is the function that steers one cluster a message: task
// counts and hosts. It puts the pieces together and holds no rule of its own.
package reconcile

import (
	"context"

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

// New returns the function as Lambda runs it.
func New(ports Ports, c reconcile.Config, set policy.Set, e reconcile.Edges) handler.Door {
	table := store.Store{DB: ports.DynamoDB, Queue: ports.SQS, Table: c.Table, Ingress: c.Ingress, Clock: e.Clock, Again: events.LookAgain}
	cloud := clusterside.New(ports.ECS, ports.AutoScaling, ports.CloudWatch, clusterside.Edges{Run: e.Run, Clock: e.Clock, Wait: e.Wait})
	open := func(ctx context.Context, key, message string) (reconcile.Opened, error) {
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
	return e.Door(open, func(key string) (reconcile.Job, bool) {
		for _, p := range set {
			if reconcile.Key(p.Cluster) == key {
				return reconcile.Steering{Cloud: cloud, Policy: p}, true
			}
		}
		return nil, false
	})
}
