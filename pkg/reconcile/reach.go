package reconcile

import (
	"context"
	"fmt"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Front is where a service's endpoints are seen and changed.
type Front interface {
	// Observe reads all of the scope or fails. Time, memory, intents and the ports'
	// owners are not in it.
	Observe(ctx context.Context, scope cluster.EndpointScope) (cluster.Endpoints, error)
	// Ended says which of some tasks are STOPPED or MISSING, by a complete read.
	Ended(ctx context.Context, name string, tasks []string) (map[string]string, error)
	// Managed are the target groups that ECS registers tasks in, by ARN, with the
	// service that it does so for, of the whole cluster.
	Managed(ctx context.Context, name string) (map[string]string, error)
	// Apply makes the call of an intent of the named cluster, as a Job's.
	Apply(ctx context.Context, name string, i cluster.Intent, may func() error) cluster.Intent
}

// Reaching is the job of one service's endpoints, or of standalone tasks': that
// each of them is registered where the policy says, and nothing else is.
type Reaching struct {
	Front  Front
	Policy policy.Policy
	Name   string // the ECS service's, or the policy's of standalone tasks
}

// ReachKey is the key of the rounds of a name's endpoints.
func ReachKey(clusterName, name string) string { return "register#" + clusterName + "/" + name }

// Key is that of the name in the policy's cluster.
func (r Reaching) Key() string { return ReachKey(r.Policy.Cluster, r.Name) }

// Think looks at the tasks, at what is registered and at who owns the ports, and
// plans.
func (r Reaching) Think(ctx context.Context, k Recalled) (Thought, error) {
	scope, ok := r.Policy.EndpointScope(r.Name)
	if !ok {
		return Thought{}, fmt.Errorf("the policy of %s has no endpoints of %q", r.Policy.Cluster, r.Name)
	}
	scope.Operations = cluster.Operations(k.Intents)
	e, err := r.Front.Observe(ctx, scope)
	if err != nil {
		return Thought{}, fmt.Errorf("observe the endpoints of %s in %s: %w", r.Name, r.Policy.Cluster, err)
	}
	e.Now, e.Memory, e.Intents = k.Now(), k.Memory, k.Intents
	if e.Owners, err = k.Ports.Owners(ctx, e.Ports()); err != nil {
		return Thought{}, err
	}
	if e.Ended, err = r.Front.Ended(ctx, r.Policy.Cluster, e.Absent()); err != nil {
		return Thought{}, fmt.Errorf("look for the owners of ports of %s in %s: %w", r.Name, r.Policy.Cluster, err)
	}
	e, ended := plan.OverlayEndpoints(e)
	decided := plan.Endpoints(e, r.Policy)
	if len(decided.Actions())+len(decided.Claims) > 0 { // before anything is changed: whose are the groups?
		if err := r.own(ctx, e.Groups); err != nil {
			return Thought{}, err
		}
		decided = plan.Endpoints(e, r.Policy)
	}
	if r.Policy.Mode == policy.Observe {
		decided = decided.Observed()
	}
	return Thought{Plan: decided, Ended: ended, Planned: counted(decided)}, nil
}

// own notes which of the groups ECS manages: for a service that the policy does not
// name, too. To ask reads all services of the cluster, and most rounds change nothing.
func (r Reaching) own(ctx context.Context, groups []cluster.TargetGroup) error {
	managed, err := r.Front.Managed(ctx, r.Policy.Cluster)
	if err != nil {
		return fmt.Errorf("ask whose the target groups of %s are: %w", r.Policy.Cluster, err)
	}
	for i := range groups {
		groups[i].ManagedBy = managed[groups[i].ARN]
	}
	return nil
}

// Apply registers something, or takes it off.
func (r Reaching) Apply(ctx context.Context, i cluster.Intent, may func() error) cluster.Intent {
	return r.Front.Apply(ctx, r.Policy.Cluster, i, may)
}
