package reconcile

import (
	"context"
	"fmt"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Cloud is where a cluster is seen and changed.
type Cloud interface {
	// Observe reads all of the scope or fails: nothing of a state is a guess. A
	// metric that could not be read is absent from it.
	Observe(ctx context.Context, scope cluster.Scope) (cluster.State, error)
	// Apply makes the call of an intent of the named cluster, as a Job's.
	Apply(ctx context.Context, name string, i cluster.Intent, may func() error) cluster.Intent
}

// Steering is the job of one cluster: its task counts and hosts.
type Steering struct {
	Cloud  Cloud
	Policy policy.Policy
}

// Key is the key of a cluster's rounds.
func Key(clusterName string) string { return "reconcile#" + clusterName }

// Key is that of the policy's cluster.
func (s Steering) Key() string { return Key(s.Policy.Cluster) }

// Think looks at the whole cluster and plans.
func (s Steering) Think(ctx context.Context, r Recalled) (Thought, error) {
	state, err := s.Cloud.Observe(ctx, s.Policy.Scope())
	if err != nil {
		return Thought{}, fmt.Errorf("observe %s: %w", s.Policy.Cluster, err)
	}
	state.Now, state.Memory, state.Intents = r.Now(), r.Memory, r.Intents
	state, ended := plan.Overlay(state)
	decided := plan.Cluster(state, s.Policy)
	if s.Policy.Mode == policy.Observe {
		decided = decided.Observed()
	}
	return Thought{Plan: decided, Ended: ended, Pace: state.Pace, Planned: planned(state, decided)}, nil
}

// Apply makes a change to the cluster.
func (s Steering) Apply(ctx context.Context, i cluster.Intent, may func() error) cluster.Intent {
	return s.Cloud.Apply(ctx, s.Policy.Cluster, i, may)
}
