package reconcile

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// front is a service's endpoints and the records of ports, as they are.
type front struct {
	*world
	tasks   []cluster.Task
	targets map[cluster.HostPort]bool
	owners  map[cluster.HostPort]cluster.Owner
	ended   map[string]string
	asked   []string // tasks that were looked for
	asks    int      // for whose the groups are
	managed map[string]string
	taken   bool // somebody else takes the ports just before they are claimed
	refuse  cluster.HostPort
	calls   []string
	broken  string // what fails: look, owners, ended, claim, release
}

var errAway = errors.New("away")

func (f *front) fails(what string) error {
	if f.broken == what {
		return errAway
	}
	return nil
}

func (f *front) Observe(_ context.Context, scope cluster.EndpointScope) (cluster.Endpoints, error) {
	g := cluster.TargetGroup{ARN: "arn:tg", Name: "web", Protocol: "HTTP", TargetType: "instance", Balancers: []string{"lb"}}
	for p := range f.targets {
		g.Targets = append(g.Targets, cluster.Target{Instance: p.Instance, Port: p.Port, State: cluster.TargetHealthy})
	}
	return cluster.Endpoints{Cluster: scope.Cluster, Service: scope.Service, Tasks: f.tasks, Groups: []cluster.TargetGroup{g}}, f.fails("look")
}

func (f *front) Managed(context.Context, string) (map[string]string, error) {
	f.asks++
	return f.managed, f.fails("managed")
}

func (f *front) Ended(_ context.Context, _ string, tasks []string) (map[string]string, error) {
	f.asked = tasks
	return f.ended, f.fails("ended")
}

func (f *front) Apply(_ context.Context, _ string, i cluster.Intent, may func() error) cluster.Intent {
	i.Outcome = cluster.OutcomeApplied
	if may() != nil {
		i.Outcome = cluster.OutcomeSkipped
		return i
	}
	for _, p := range i.Reaches.Ports {
		f.calls = append(f.calls, string(i.Verb)+" "+p.String())
		if p == f.refuse {
			i.Outcome = cluster.OutcomeRefused
			continue
		}
		if i.Verb == cluster.RegisterTargets {
			f.targets[p] = true
		} else {
			delete(f.targets, p)
		}
	}
	return i
}

func (f *front) Owners(context.Context, []cluster.HostPort) (map[cluster.HostPort]cluster.Owner, error) {
	return maps.Clone(f.owners), f.fails("owners")
}

func (f *front) Claim(_ context.Context, claims []plan.Claim) (lost []cluster.HostPort, err error) {
	for _, c := range claims {
		if f.taken {
			lost = append(lost, c.Port)
			continue
		}
		c.Owner.Version++
		f.owners[c.Port] = c.Owner
	}
	return lost, f.fails("claim")
}

func (f *front) Release(_ context.Context, claims []plan.Claim) error {
	for _, c := range claims {
		delete(f.owners, c.Port)
	}
	return f.fails("release")
}

// newFront is a service with a task on each of two ports, of which nothing is
// registered, and what is left of a task that has ended.
func newFront() (*front, Reaching) {
	w, _ := newWorld()
	f := &front{world: w, targets: map[cluster.HostPort]bool{}, owners: map[cluster.HostPort]cluster.Owner{}, ended: map[string]string{"old": "STOPPED"}}
	for n, name := range []string{"a", "b"} {
		f.tasks = append(f.tasks, cluster.Task{
			ARN: name, Service: "web", Last: cluster.TaskRunning, Wanted: cluster.TaskRunning, Instance: "i-1",
			Bindings: []cluster.Binding{{Container: "web", ContainerPort: 80, HostPort: at(n).Port, Protocol: "tcp"}},
		})
	}
	f.targets[at(9)] = true
	f.owners[at(9)] = cluster.Owner{Task: "old", Service: "web", Groups: []string{"arn:tg"}, Version: 1}
	p := policy.Policy{Version: policy.Version, Cluster: "prod", Services: map[string]policy.Service{"web": {Endpoints: []policy.Endpoint{{Container: "web", Port: 80, TargetGroup: "web"}}}}}
	return f, Reaching{Front: f, Policy: p.Defaulted(), Name: "web"}
}

func at(n int) cluster.HostPort {
	return cluster.HostPort{Instance: "i-1", Port: 32768 + n, Protocol: "tcp"}
}

// round makes one round, as functions/register does.
func (f *front) round(t *testing.T, r Reaching) {
	t.Helper()
	rounds := f.rounds()
	rounds.Log = zap.NewNop()
	open := rounds.Open
	rounds.Open = func(ctx context.Context, key, message string) (Opened, error) {
		o, err := open(ctx, key, message)
		o.Ports = f
		return o, err
	}
	if err := rounds.Round(t.Context(), r, Waking{ID: "m"}); err != nil {
		t.Fatal(err)
	}
}

func TestARoundOfEndpointsClaimsRegistersAndTakesOff(t *testing.T) {
	f, r := newFront()
	f.round(t, r)
	if !slices.Equal(f.calls[:1], []string{"DeregisterTargets i-1:32777/tcp"}) || len(f.calls) != 3 {
		t.Errorf("calls %q", f.calls)
	}
	if !slices.Equal(f.asked, []string{"old"}) {
		t.Errorf("asked for %q", f.asked)
	}
	if f.owners[at(0)].Task != "a" || f.owners[at(1)].Task != "b" {
		t.Errorf("owners %+v", f.owners)
	}
	for _, i := range f.intents {
		if i.Outcome != cluster.OutcomeApplied || !strings.HasPrefix(i.ID, "register#prod/web#7#") {
			t.Errorf("intent %+v", i)
		}
	}
}

func TestAPortThatSomebodyElseTakesIsNotRegistered(t *testing.T) {
	f, r := newFront()
	f.taken = true
	f.round(t, r)
	if !slices.Equal(f.calls, []string{"DeregisterTargets i-1:32777/tcp"}) || len(f.intents) != 1 {
		t.Errorf("calls %q, %d intents", f.calls, len(f.intents))
	}
	if wait := f.next.Sub(f.now); wait > lostAgain {
		t.Errorf("looks again after %s", wait)
	}
}

func TestAWrongTargetDoesNotKeepTheOthers(t *testing.T) {
	f, r := newFront()
	f.refuse = at(9)
	f.round(t, r)
	if !f.targets[at(0)] || !f.targets[at(1)] {
		t.Errorf("registered are %v after %q", f.targets, f.calls)
	}
}

func TestARoundOfEndpointsThatCannotSeeOrNoteChangesNothing(t *testing.T) {
	for _, broken := range []string{"look", "owners", "ended", "managed", "claim"} {
		f, r := newFront()
		f.broken = broken
		f.round(t, r)
		if len(f.calls) > 0 || !errors.Is(f.failure, errAway) {
			t.Errorf("without %s: calls %q, failure %v", broken, f.calls, f.failure)
		}
	}
}

// A group that ECS manages, for whatever service, is never written to; whose the
// groups are is asked only by a round that would change something.
func TestAGroupOfECSsIsLeftAlone(t *testing.T) {
	f, r := newFront()
	f.managed = map[string]string{"arn:tg": "shop"}
	f.round(t, r)
	if len(f.calls) > 0 || len(f.owners) != 1 || f.asks != 1 {
		t.Errorf("calls %q, owners %v, asked %d times", f.calls, f.owners, f.asks)
	}
	f, r = newFront()
	f.round(t, r)
	f.now, f.intents = f.now.Add(time.Hour), map[string]cluster.Intent{}
	delete(f.owners, at(9))
	f.round(t, r)
	if f.asks != 1 {
		t.Errorf("a round that changes nothing asks: %d times", f.asks)
	}
}

func TestAnObservingPolicyClaimsAndRegistersNothing(t *testing.T) {
	f, r := newFront()
	r.Policy.Mode = policy.Observe
	f.round(t, r)
	if len(f.calls) > 0 || len(f.owners) != 1 || len(f.intents) > 0 || len(f.said) == 0 {
		t.Errorf("calls %q, owners %v, intents %v, decisions %v", f.calls, f.owners, f.intents, f.said)
	}
}

func TestANameWithoutEndpointsFailsItsRound(t *testing.T) {
	f, r := newFront()
	r.Name = "api"
	f.round(t, r)
	if f.failure == nil || !strings.Contains(f.failure.Error(), `no endpoints of "api"`) {
		t.Errorf("failure %v", f.failure)
	}
}
