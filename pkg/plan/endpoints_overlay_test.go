package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// reachIntent is an intent of so many seconds ago about port 1 of group web, or
// about a listing of task a.
func reachIntent(verb cluster.Verb, age int, outcome cluster.Outcome) cluster.Intent {
	r := &cluster.Reach{Group: groupARN("web"), Ports: []cluster.HostPort{tcp("h", 1)}, Tasks: []string{arnOf("a")}, Turn: cluster.TurnNew}
	if verb == cluster.RegisterInstance || verb == cluster.DeregisterInstance {
		r.Group, r.Registry, r.Instance, r.Address = "", "srv-1", instanceOf("a"), "10.0.0.1"
	}
	return cluster.Intent{ID: fmt.Sprint(verb, age), At: noon().Add(-time.Duration(age) * time.Second), Outcome: outcome, Change: cluster.Change{Verb: verb, Reaches: r}}
}

func TestOverlayEndpoints(t *testing.T) {
	const (
		unknown, applied, refused = cluster.OutcomeUnknown, cluster.OutcomeApplied, cluster.OutcomeRefused
		on, off                   = cluster.RegisterTargets, cluster.DeregisterTargets
	)
	for _, tt := range []struct {
		says    string
		shown   string // what is shown of port 1
		intents []cluster.Intent
		want    string // what the plan sees of it
		ended   []cluster.Outcome
	}{
		{"nothing is under way", "healthy", nil, "healthy", nil},
		{"a registration is not shown yet", "", []cluster.Intent{reachIntent(on, 5, applied)}, "initial", nil},
		{"nobody knows of it: the target is doubtful", "", []cluster.Intent{reachIntent(on, 5, unknown)}, "?", nil},
		{"it is shown, and older reads may come", "healthy", []cluster.Intent{reachIntent(on, 5, unknown)}, "healthy", nil},
		{"it is shown for good", "healthy", []cluster.Intent{reachIntent(on, 140, unknown)}, "healthy", []cluster.Outcome{cluster.OutcomeShown}},
		{"it is never shown", "", []cluster.Intent{reachIntent(on, 180, applied)}, "", []cluster.Outcome{cluster.OutcomeExpired}},
		{"a refused one is nothing", "", []cluster.Intent{reachIntent(on, 5, refused)}, "", nil},
		{"it is registered after it drained, and an older read shows that", "draining", []cluster.Intent{reachIntent(on, 5, applied)}, "initial", nil},
		{"a removal is not shown yet", "healthy", []cluster.Intent{reachIntent(off, 5, applied)}, "draining", nil},
		{"nobody knows of it: it is made again", "healthy", []cluster.Intent{reachIntent(off, 5, unknown)}, "healthy", nil},
		{"it is shown for good: it drains", "draining", []cluster.Intent{reachIntent(off, 140, applied)}, "draining", []cluster.Outcome{cluster.OutcomeShown}},
		{"or it is gone", "", []cluster.Intent{reachIntent(off, 140, unknown)}, "", []cluster.Outcome{cluster.OutcomeShown}},
		{"the target came back", "healthy", []cluster.Intent{reachIntent(off, 180, applied)}, "healthy", []cluster.Outcome{cluster.OutcomeExpired}},
		{"on and off: the last one counts", "healthy", []cluster.Intent{reachIntent(on, 9, applied), reachIntent(off, 5, applied)}, "draining", nil},
		{"on and off, not shown: it is off", "", []cluster.Intent{reachIntent(on, 9, applied), reachIntent(off, 5, applied)}, "", nil},
		{"on and off, and nobody knows of off: an older read may hide it", "", []cluster.Intent{reachIntent(on, 9, applied), reachIntent(off, 5, unknown)}, "?", nil},
		{"off and on: it is on", "", []cluster.Intent{reachIntent(off, 9, applied), reachIntent(on, 5, applied)}, "initial", nil},
		{"of two the earlier is over once reads are no longer old", "healthy", []cluster.Intent{reachIntent(off, 150, applied), reachIntent(on, 145, applied)}, "healthy", []cluster.Outcome{cluster.OutcomeSuperseded, cluster.OutcomeShown}},
	} {
		g := door("web")
		if tt.shown != "" {
			g = door("web", "h:1 "+tt.shown)
		}
		raw := cluster.Endpoints{Now: noon(), Service: "web", Groups: []cluster.TargetGroup{g}, Intents: tt.intents}
		e, ended := OverlayEndpoints(raw)
		got := ""
		for _, x := range e.Groups[0].Targets {
			got += map[bool]string{true: "?", false: x.State}[x.State == ""]
		}
		if got != tt.want || !slices.EqualFunc(ended, tt.ended, func(i cluster.Intent, o cluster.Outcome) bool { return i.Outcome == o }) {
			t.Errorf("%s: seen as %q, want %q; ended %+v, want %q", tt.says, got, tt.want, ended, tt.ended)
		}
		if tt.shown != "" && raw.Groups[0].Targets[0].State != tt.shown {
			t.Errorf("%s: the given state shows %+v now", tt.says, raw.Groups[0].Targets)
		}
	}
}

func TestOverlayOfRegistries(t *testing.T) {
	const on, off = cluster.RegisterInstance, cluster.DeregisterInstance
	for _, tt := range []struct {
		says    string
		shown   bool
		intents []cluster.Intent
		want    string
	}{
		{"a listing is not shown yet", false, []cluster.Intent{reachIntent(on, 5, cluster.OutcomeApplied)}, "10.0.0.1:1"},
		{"nobody knows of it: it stands without an address", false, []cluster.Intent{reachIntent(on, 5, cluster.OutcomeUnknown)}, ":0"},
		{"a removal is not shown yet", true, []cluster.Intent{reachIntent(off, 5, cluster.OutcomeApplied)}, ""},
		{"nobody knows of it: it is made again", true, []cluster.Intent{reachIntent(off, 5, cluster.OutcomeUnknown)}, "10.0.0.1:1"},
		{"on and off, and nobody knows of off", false, []cluster.Intent{reachIntent(on, 9, cluster.OutcomeApplied), reachIntent(off, 5, cluster.OutcomeUnknown)}, ":0"},
	} {
		g := registryOf()
		if tt.shown {
			g = registryOf(listedAs("a", "10.0.0.1", 1))
		}
		e, _ := OverlayEndpoints(cluster.Endpoints{Now: noon(), Service: "reg", Registries: []cluster.Registry{g}, Intents: tt.intents})
		got := ""
		for _, in := range e.Registries[0].Instances {
			got += fmt.Sprintf("%s:%d", in.IPv4, in.Port)
		}
		if got != tt.want {
			t.Errorf("%s: seen as %q, want %q", tt.says, got, tt.want)
		}
	}
}

// A task that was taken off because it ends does not come back in an older read.
// One that stays after all does, and one whose endpoint the policy took up again.
func TestAnEndingTaskDoesNotComeBack(t *testing.T) {
	for turn, want := range map[cluster.Turn]string{cluster.TurnEnded: "targets/web 0>0 endpointsMatch", cluster.TurnOrphan: "targets/web 0>1 taskRuns +[h:1a]", cluster.TurnLeaving: "targets/web 0>1 taskRuns +[h:1a]"} {
		i := reachIntent(cluster.DeregisterTargets, 5, cluster.OutcomeApplied)
		i.Reaches.Turn = turn
		raw := cluster.Endpoints{Now: noon(), Service: "web", Tasks: []cluster.Task{bound("web", "a", "h", 1)}, Groups: []cluster.TargetGroup{door("web")}, Intents: []cluster.Intent{i}}
		e, _ := OverlayEndpoints(raw)
		if got := shownPlan(Endpoints(e, doors())); got[0] != want {
			t.Errorf("turn %d: %q, want %q", turn, got, want)
		}
		if raw.Tasks[0].Stopping() {
			t.Error("the given state changed")
		}
	}
}

// A task that ECS does not know is taken off, and registered again if a later
// read shows it after all; its other port's record tells that it is not young.
func TestAMissingTaskComesBack(t *testing.T) {
	old, renewed := owned("web", "a", "web"), owned("web", "a", "web")
	old.Version, renewed.Version = noon().Add(-staleReads).UnixMilli(), noon().UnixMilli()
	e := cluster.Endpoints{
		Now: noon(), Service: "web", Groups: []cluster.TargetGroup{door("web", "h:1 healthy")},
		Owners: owners{tcp("h", 1): renewed, tcp("h", 2): old}, Ended: map[string]string{arnOf("a"): "MISSING"},
	}
	calls := Endpoints(e, doors()).Actions()
	if len(calls) != 1 || calls[0].Verb != cluster.DeregisterTargets {
		t.Fatalf("calls %+v", calls)
	}
	later := cluster.Endpoints{
		Now: noon().Add(100 * time.Second), Service: "web", Tasks: []cluster.Task{bound("web", "a", "h", 1)}, Groups: []cluster.TargetGroup{door("web")},
		Intents: []cluster.Intent{{ID: "x", At: noon(), Outcome: cluster.OutcomeApplied, Change: calls[0]}},
	}
	o, _ := OverlayEndpoints(later)
	if got := shownPlan(Endpoints(o, doors())); got[0] != "targets/web 0>1 taskRuns +[h:1a]" {
		t.Errorf("it is back: %q", got)
	}
}

// What was done elsewhere is not seen: it stays open until its time has passed.
func TestAnIntentAboutAnotherServicesGroupIsNeverShown(t *testing.T) {
	i := reachIntent(cluster.DeregisterTargets, 150, cluster.OutcomeApplied)
	e := cluster.Endpoints{Now: noon(), Service: "api", Groups: []cluster.TargetGroup{door("api")}, Intents: []cluster.Intent{i}}
	if _, ended := OverlayEndpoints(e); len(ended) > 0 {
		t.Errorf("ended: %+v", ended)
	}
	e.Now = e.Now.Add(30 * time.Second)
	if _, ended := OverlayEndpoints(e); len(ended) != 1 || ended[0].Outcome != cluster.OutcomeExpired {
		t.Errorf("after its time: %+v", ended)
	}
}
