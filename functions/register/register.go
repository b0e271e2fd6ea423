// Package register is the function that keeps one service's endpoints a message:
// the ports of its tasks, in target groups and in Cloud Map. It puts the pieces
// together and holds no rule of its own.
package register

import (
	"context"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// Memory is what a deployment gives the function, in MiB. CPU comes in proportion.
const Memory = 256

// Runtime are the variables that a deployment sets for Go itself.
func Runtime() map[string]string { return handler.Runtime(Memory) }

// Ports are the AWS services that register calls.
type Ports struct {
	ECS      endpointside.ECS
	ELBV2    endpointside.ELBV2
	CloudMap endpointside.CloudMap
	EC2      endpointside.EC2
	DynamoDB store.PortDB
	SQS      store.SQS
}

// New returns the function as Lambda runs it.
func New(ports Ports, c reconcile.Config, set policy.Set, e reconcile.Edges) handler.Door {
	table := store.Store{DB: ports.DynamoDB, Queue: ports.SQS, Table: c.Table, Ingress: c.Ingress, Clock: e.Clock, Again: events.LookAgain}
	front := endpointside.New(endpointside.Ports{ECS: ports.ECS, ELBV2: ports.ELBV2, CloudMap: ports.CloudMap, EC2: ports.EC2},
		clusterside.Edges{Run: e.Run, Clock: e.Clock, Wait: e.Wait})
	open := func(ctx context.Context, key, message string) (reconcile.Opened, error) {
		s, err := table.Open(ctx, key, message)
		if err != nil {
			return reconcile.Opened{}, err
		}
		recall := func(ctx context.Context) (cluster.Memory, []cluster.Intent, error) {
			err := s.Recall(ctx)
			return s.Memory, s.Intents, err
		}
		return reconcile.Opened{Session: s, Gen: s.Gen, Left: s.Left, Now: s.Now, Recall: recall, Ports: store.PortRecords{Session: s, DB: ports.DynamoDB}}, nil
	}
	return e.Door(open, func(key string) (reconcile.Job, bool) {
		for _, p := range set {
			for _, name := range p.Registered() {
				if job := (reconcile.Reaching{Front: front, Policy: p, Name: name}); job.Key() == key {
					return job, true
				}
			}
		}
		return nil, false
	})
}
