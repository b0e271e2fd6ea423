package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// world is a cluster, its memory and a clock in one: it holds state, so that
// what a round did can be read off it.
type world struct {
	now      time.Time
	state    cluster.State
	memory   cluster.Memory
	intents  map[string]cluster.Intent // by id: all that were noted, with their last outcome
	applied  []cluster.Change
	ended    []cluster.Intent
	said     []plan.Decision
	closed   bool
	next     time.Time
	pace     time.Duration
	failure  error
	left     time.Duration
	answers  map[cluster.Subject]cluster.Outcome // how calls end; default applied
	failLook error
	failNote error
	failTell bool
	panics   bool
	held     bool // the lease cannot be given back
}

func (w *world) Observe(context.Context, cluster.Scope) (cluster.State, error) {
	if w.panics {
		panic("the cloud fell")
	}
	return w.state, w.failLook
}

func (w *world) Apply(_ context.Context, _ string, i cluster.Intent, may func() error) cluster.Intent {
	if err := may(); err != nil {
		i.Outcome, i.Detail = cluster.OutcomeSkipped, err.Error()
		return i
	}
	if _, noted := w.intents[i.ID]; !noted {
		panic("applied before it was noted: " + i.ID)
	}
	i.Outcome = cluster.OutcomeApplied
	if o, ok := w.answers[i.Subject]; ok {
		i.Outcome = o
	}
	w.applied = append(w.applied, i.Change)
	w.now = w.now.Add(time.Second)
	w.left -= time.Second
	return i
}

func (w *world) Note(_ context.Context, p plan.Plan, begun, ended []cluster.Intent) error {
	if w.failNote != nil {
		return w.failNote
	}
	for _, i := range begun {
		w.intents[i.ID] = i
	}
	w.memory, w.said, w.ended = p.Memory, p.Decisions, ended
	return nil
}

func (w *world) Tell(_ context.Context, i cluster.Intent) error {
	if w.failTell {
		return errors.New("the table is away")
	}
	w.intents[i.ID] = i
	return nil
}

func (w *world) Close(_ context.Context, next time.Time, pace time.Duration, failure error) (bool, error) {
	w.closed, w.next, w.pace, w.failure = true, next, pace, failure
	if w.held {
		return true, errors.New("the table is away")
	}
	return false, nil
}

func (w *world) rounds() Rounds {
	return Rounds{Clock: func() time.Time { return w.now }, Log: zap.NewNop(), Open: func(context.Context, string, string) (Opened, error) {
		return Opened{Session: w, Gen: 7, Left: func() time.Duration { return w.left }, Now: func() time.Time { return w.now }, Recall: func(context.Context) (cluster.Memory, []cluster.Intent, error) {
			var open []cluster.Intent
			for _, i := range w.intents {
				open = append(open, i)
			}
			return w.memory, open, nil
		}}, nil
	}}
}

// newWorld is a cluster of two services that the policy's minimum raises, on a
// host with room for all of it.
func newWorld() (*world, policy.Policy) {
	host := cluster.Host{
		ARN: "h1", ID: "i-1", Group: "g", Zone: "a", Status: cluster.HostActive, AgentConnected: true,
		Registered: cluster.Resources{CPU: 4096, Memory: 8192}, Remaining: cluster.Resources{CPU: 4096, Memory: 8192}, RegisteredAt: noon.Add(-time.Hour),
	}
	w := &world{now: noon, left: 75 * time.Second, intents: map[string]cluster.Intent{}, answers: map[cluster.Subject]cluster.Outcome{}}
	w.state = cluster.State{
		Name:      "prod",
		Groups:    []cluster.HostGroup{{Name: "g", Max: 1, Desired: 1, Zones: []string{"a"}, Instances: []cluster.Instance{{ID: "i-1", Zone: "a", Lifecycle: cluster.LifecycleInService}}}},
		Hosts:     []cluster.Host{host},
		Revisions: map[string]cluster.Revision{"td": {ARN: "td", Needs: cluster.Resources{CPU: 100, Memory: 100}}},
	}
	p := policy.Policy{Version: policy.Version, Cluster: "prod", Hosts: []policy.HostGroup{{Group: "g", Max: 1}}, Services: map[string]policy.Service{}}
	for _, name := range []string{"api", "web"} {
		w.state.Services = append(w.state.Services, cluster.Service{Name: name, Controller: "ECS", Scheduling: "REPLICA", Revision: "td", MaximumPercent: 200, MinimumHealthyPercent: 100})
		p.Services[name] = policy.Service{Tasks: &policy.Tasks{Min: 2, Max: 4}}
	}
	return w, p.Defaulted()
}

func TestARoundNotesEveryIntentBeforeItsCallAndTellsItsOutcome(t *testing.T) {
	w, p := newWorld()
	if err := w.rounds().Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); err != nil {
		t.Fatal(err)
	}
	if len(w.applied) != 2 || len(w.intents) != 2 || !w.closed || w.failure != nil {
		t.Fatalf("applied %v, noted %v, failure %v", w.applied, w.intents, w.failure)
	}
	for id, i := range w.intents {
		if i.Outcome != cluster.OutcomeApplied || !strings.HasPrefix(id, "reconcile#prod#7#") {
			t.Errorf("intent %s ended %q", id, i.Outcome)
		}
	}
}

func TestObserveModeRecordsDecisionsAndChangesNothing(t *testing.T) {
	w, p := newWorld()
	p.Mode = policy.Observe
	if err := w.rounds().Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); err != nil {
		t.Fatal(err)
	}
	if len(w.applied) != 0 || len(w.intents) != 0 {
		t.Errorf("applied %v, noted %v", w.applied, w.intents)
	}
	if !slices.ContainsFunc(w.said, func(d plan.Decision) bool { return d.Subject == "service/web" && d.To == 2 }) {
		t.Errorf("said %v", w.said)
	}
}

func TestHowARoundThatGoesWrongEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wrong   func(*world)
		applied int
		failure string // of Close; empty: none
		web     cluster.Outcome
	}{
		{"a look that fails changes nothing", func(w *world) { w.failLook = errors.New("throttled") }, 0, "throttled", ""},
		{"a note that fails changes nothing", func(w *world) { w.failNote = errors.New("fenced") }, 0, "fenced", ""},
		{"a panic is a failed round", func(w *world) { w.panics = true }, 0, "panic: the cloud fell", ""},
		{"an outcome that cannot be told stops the round", func(w *world) { w.failTell = true }, 1, "the table is away", ""},
		{"a refusal of one subject leaves the others alone", func(w *world) { w.answers["service/api"] = cluster.OutcomeRefused }, 2, "", cluster.OutcomeApplied},
		{"an unknown outcome stays unknown", func(w *world) { w.answers["service/web"] = cluster.OutcomeUnknown }, 2, "", cluster.OutcomeUnknown},
		{"no call starts with less of the lease left than its timeout", func(w *world) { w.left = CallTimeout - time.Millisecond }, 0, "", cluster.OutcomeSkipped},
		{"a lease that runs out lets the first call start and not the second", func(w *world) { w.left = CallTimeout }, 1, "", cluster.OutcomeSkipped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := newWorld()
			tt.wrong(w)
			if err := w.rounds().Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); err != nil {
				t.Fatal(err)
			}
			if len(w.applied) != tt.applied || !w.closed {
				t.Errorf("applied %v, closed %t", w.applied, w.closed)
			}
			if (tt.failure == "") != (w.failure == nil) || w.failure != nil && !strings.Contains(w.failure.Error(), tt.failure) {
				t.Errorf("failure %v", w.failure)
			}
			for _, i := range w.intents {
				if i.Subject == "service/web" && tt.failure == "" && i.Outcome != tt.web {
					t.Errorf("web ended %q", i.Outcome)
				}
			}
			if tt.web == cluster.OutcomeSkipped && w.next.After(noon.Add(time.Minute)) {
				t.Errorf("looks again at %s", w.next)
			}
		})
	}
}

func TestALaterChangeOfASubjectIsSkippedOnceAnEarlierOneFailed(t *testing.T) {
	w, _ := newWorld()
	w.answers["group/g"] = cluster.OutcomeRefused
	var intents []cluster.Intent
	for n, zone := range []string{"a", "b"} {
		i := cluster.Intent{ID: fmt.Sprint(n), Change: cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/g", Zone: zone}}
		intents = append(intents, i)
		w.intents[i.ID] = i
	}
	o, _ := w.rounds().Open(t.Context(), "k", "m")
	next, err := w.rounds().do(t.Context(), Steering{Cloud: w}, o, intents, time.Time{})
	if err != nil || len(w.applied) != 1 || w.intents["1"].Outcome != cluster.OutcomeSkipped {
		t.Errorf("applied %v, second ended %q, %v", w.applied, w.intents["1"].Outcome, err)
	}
	if next.IsZero() {
		t.Error("does not look again after a refusal")
	}
}

func TestARefusalIsSeenByOneRoundAndThenEnds(t *testing.T) {
	w, p := newWorld()
	w.intents["old"] = cluster.Intent{ID: "old", Change: cluster.Change{Verb: cluster.SetDesiredCount, Subject: "service/api", From: 0, To: 2}, At: noon, Outcome: cluster.OutcomeRefused}
	if err := w.rounds().Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(w.ended, func(i cluster.Intent) bool { return i.ID == "old" }) {
		t.Errorf("ended %v", w.ended)
	}
}

func TestARoundThatGetsNoLeaseHasNotBegun(t *testing.T) {
	w, p := newWorld()
	r := w.rounds()
	leased := errors.New("leased")
	r.Open = func(context.Context, string, string) (Opened, error) { return Opened{}, leased }
	if err := r.Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); !errors.Is(err, leased) || w.closed {
		t.Errorf("round %v, closed %t", err, w.closed)
	}
}

func TestARoundThatCannotGiveItsLeaseBackComesAgain(t *testing.T) {
	w, p := newWorld()
	w.held = true
	if err := w.rounds().Round(t.Context(), Steering{w, p}, Waking{ID: "m"}); err == nil {
		t.Error("the message counts as done, and nobody else may take the lease for six minutes")
	}
	if err := w.rounds().Skip(t.Context(), "k", "m"); err == nil {
		t.Error("the same of a key that is skipped")
	}
}

func TestALaunchNeedsMoreTimeThanAnotherCall(t *testing.T) {
	w, _ := newWorld()
	o, err := w.rounds().Open(t.Context(), "k", "m")
	if err != nil {
		t.Fatal(err)
	}
	for verb, need := range map[cluster.Verb]time.Duration{cluster.LaunchHosts: LaunchTimeout, cluster.SetDesiredCount: CallTimeout} {
		for left, want := range map[time.Duration]bool{need: true, need - time.Millisecond: false} {
			w.left = left
			if got := w.rounds().time(t.Context(), o, verb) == nil; got != want {
				t.Errorf("%s may start with %s left: %t", verb, left, got)
			}
		}
	}
}
