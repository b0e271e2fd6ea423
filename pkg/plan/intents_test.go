package plan

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// shownState is a cloud that shows: service web wants 4, group one has the
// instances i-1 and i-2, both registered.
func shownState() cluster.State {
	s := cluster.State{Now: noon()}
	s.Services = []cluster.Service{{Name: "web", Desired: 4}}
	s.Groups = []cluster.HostGroup{{Name: "one", Desired: 2}}
	for _, id := range []string{"i-1", "i-2"} {
		s.Groups[0].Instances = append(s.Groups[0].Instances, cluster.Instance{ID: id, Zone: "a", Lifecycle: cluster.LifecycleInService})
		s.Hosts = append(s.Hosts, cluster.Host{ARN: "host/" + id, ID: id, Status: cluster.HostActive})
	}
	return s
}

func counts(from, to int) cluster.Change {
	return cluster.Change{Verb: cluster.SetDesiredCount, Subject: "service/web", From: from, To: to}
}

func launches(from, to int) cluster.Change {
	return cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/one", Zone: "b", From: from, To: to}
}

func onHost(verb cluster.Verb) cluster.Change {
	return cluster.Change{Verb: verb, Subject: "host/i-1", Host: "host/i-1", Group: "one"}
}

// seen is what a plan would see of the state, in one line.
func seen(s cluster.State) string {
	return fmt.Sprintf("web %d, one %d of %d, i-1 %s %s", s.Services[0].Desired,
		len(s.Groups[0].Instances), s.Groups[0].Desired, s.Hosts[0].Status, s.Groups[0].Instances[0].Lifecycle)
}

func TestOverlay(t *testing.T) {
	const quiet = "web 4, one 2 of 2, i-1 ACTIVE InService"
	type intents []cluster.Intent
	open := func(c cluster.Change, ids ...string) cluster.Intent {
		return cluster.Intent{ID: "x", Change: c, At: noon().Add(-150 * time.Second), Instances: ids}
	}
	young := func(c cluster.Change, ids ...string) cluster.Intent {
		return cluster.Intent{ID: "x", Change: c, At: noon().Add(-time.Minute), Instances: ids}
	}
	old := func(c cluster.Change) cluster.Intent {
		return cluster.Intent{ID: "x", Change: c, At: noon().Add(-cluster.IntentOverlay)}
	}
	ended := func(c cluster.Change, o cluster.Outcome) cluster.Intent {
		in := open(c)
		in.Outcome = o
		return in
	}
	elsewhere := func(verb cluster.Verb, subject cluster.Subject) cluster.Change {
		return cluster.Change{Verb: verb, Subject: subject, Host: "host/i-9", Group: "nine", From: 1, To: 2}
	}
	tests := []struct {
		name     string
		intents  intents
		given    func(s *cluster.State)
		want     string
		outcomes []cluster.Outcome
	}{
		{"a count not shown yet", intents{open(counts(4, 8))}, nil, "web 8, one 2 of 2, i-1 ACTIVE InService", nil},
		{"a count that is shown", intents{open(counts(2, 4))}, nil, quiet, []cluster.Outcome{cluster.OutcomeShown}},
		{"another count is shown", intents{open(counts(6, 8))}, nil, quiet, []cluster.Outcome{cluster.OutcomeSuperseded}},
		{"a count never shown", intents{old(counts(4, 8))}, nil, quiet, []cluster.Outcome{cluster.OutcomeExpired}},
		{"a count shown late is shown all the same", intents{old(counts(2, 4))}, nil, quiet, []cluster.Outcome{cluster.OutcomeShown}},
		{"a refused one is not laid over", intents{ended(counts(4, 8), cluster.OutcomeRefused)}, nil, quiet, nil},
		{"a skipped one neither", intents{ended(counts(4, 8), cluster.OutcomeSkipped)}, nil, quiet, nil},
		{"an applied one is", intents{ended(counts(4, 8), cluster.OutcomeApplied)}, nil, "web 8, one 2 of 2, i-1 ACTIVE InService", nil},
		{"two counts after each other", intents{open(counts(4, 8)), open(counts(8, 12))}, nil, "web 12, one 2 of 2, i-1 ACTIVE InService", nil},
		{
			"of two counts the first is shown",
			intents{open(counts(2, 4)), open(counts(4, 8))},
			nil,
			"web 8, one 2 of 2, i-1 ACTIVE InService",
			[]cluster.Outcome{cluster.OutcomeShown},
		},
		{
			"of two counts the second is shown",
			intents{open(counts(6, 2)), open(counts(2, 4))},
			nil, quiet,
			[]cluster.Outcome{cluster.OutcomeSuperseded, cluster.OutcomeShown},
		},
		{"there and back: an old read may look like the end", intents{young(counts(4, 8)), young(counts(8, 4))}, nil, quiet, nil},
		{
			"there and back, and reads are no longer old",
			intents{open(counts(4, 8)), open(counts(8, 4))},
			nil, quiet,
			[]cluster.Outcome{cluster.OutcomeSuperseded, cluster.OutcomeShown},
		},
		{"shown, but the next read may be older", intents{young(counts(2, 4))}, nil, quiet, nil},
		{
			"of two young counts the second was shown, and now neither is",
			intents{young(counts(4, 8)), young(counts(8, 12))},
			nil,
			"web 12, one 2 of 2, i-1 ACTIVE InService", nil,
		},
		{"another count is shown at once", intents{young(counts(6, 8))}, nil, quiet, []cluster.Outcome{cluster.OutcomeSuperseded}},
		{"a launch shown, but the next read may be older", intents{young(launches(0, 2), "i-1", "i-2")}, nil, quiet, nil},
		{
			"an instance gone, but the next read may be older",
			intents{young(onHost(cluster.TerminateHost))},
			func(s *cluster.State) { s.Groups[0].Instances[0].Lifecycle = "Terminating:Wait" },
			"web 4, one 2 of 2, i-1 ACTIVE Terminating:Wait", nil,
		},

		{"a launch not shown yet", intents{open(launches(2, 4), "i-3", "i-4")}, nil, "web 4, one 4 of 4, i-1 ACTIVE InService", nil},
		{"a launch shown in part", intents{open(launches(1, 3), "i-2", "i-3")}, nil, "web 4, one 3 of 3, i-1 ACTIVE InService", nil},
		{"a launch that brought two of five, not shown yet", intents{open(launches(2, 7), "i-3", "i-4")}, nil, "web 4, one 4 of 4, i-1 ACTIVE InService", nil},
		{"a launch that brought two of five, shown", intents{young(launches(0, 5), "i-1", "i-2")}, nil, quiet, nil},
		{"a launch that is shown", intents{open(launches(0, 2), "i-1", "i-2")}, nil, quiet, []cluster.Outcome{cluster.OutcomeShown}},
		{"a launch whose answer was lost", intents{open(launches(2, 4))}, nil, "web 4, one 4 of 4, i-1 ACTIVE InService", nil},
		{"a launch without answer that the capacity shows", intents{open(launches(1, 2))}, nil, quiet, []cluster.Outcome{cluster.OutcomeShown}},
		{"a launch without answer that the capacity shows in part", intents{open(launches(1, 4))}, nil, "web 4, one 4 of 4, i-1 ACTIVE InService", nil},
		{"two zones in one round", intents{open(launches(2, 3)), open(launches(3, 5))}, nil, "web 4, one 5 of 5, i-1 ACTIVE InService", nil},
		{"a launch planned twice is one", intents{open(launches(2, 3)), open(launches(2, 3))}, nil, "web 4, one 3 of 3, i-1 ACTIVE InService", nil},
		{"a launch never shown", intents{old(launches(2, 3))}, nil, quiet, []cluster.Outcome{cluster.OutcomeExpired}},

		{"a drain not shown yet", intents{open(onHost(cluster.DrainHost))}, nil, "web 4, one 2 of 2, i-1 DRAINING InService", nil},
		{
			"a drain that is shown",
			intents{open(onHost(cluster.DrainHost))},
			func(s *cluster.State) { s.Hosts[0].Status = cluster.HostDraining },
			"web 4, one 2 of 2, i-1 DRAINING InService",
			[]cluster.Outcome{cluster.OutcomeShown},
		},
		{
			"taken back and not shown yet",
			intents{open(onHost(cluster.ActivateHost))},
			func(s *cluster.State) { s.Hosts[0].Status = cluster.HostDraining },
			quiet, nil,
		},
		{"taken back and shown, but the next read may be older", intents{young(onHost(cluster.ActivateHost))}, nil, quiet, nil},
		{"taken back and shown", intents{open(onHost(cluster.ActivateHost))}, nil, quiet, []cluster.Outcome{cluster.OutcomeShown}},
		{"drained and taken back: neither is known", intents{open(onHost(cluster.DrainHost)), open(onHost(cluster.ActivateHost))}, nil, quiet, nil},
		{"a termination not shown yet", intents{open(onHost(cluster.TerminateHost))}, nil, "web 4, one 2 of 1, i-1 ACTIVE Terminating", nil},
		{
			"a termination planned twice is one",
			intents{open(onHost(cluster.TerminateHost)), open(onHost(cluster.TerminateHost))},
			nil,
			"web 4, one 2 of 1, i-1 ACTIVE Terminating", nil,
		},
		{
			"a termination that is shown",
			intents{open(onHost(cluster.TerminateHost))},
			func(s *cluster.State) { s.Groups[0].Instances[0].Lifecycle = "Terminating:Wait" },
			"web 4, one 2 of 2, i-1 ACTIVE Terminating:Wait",
			[]cluster.Outcome{cluster.OutcomeShown},
		},
		{
			"an instance that is gone",
			intents{open(onHost(cluster.TerminateHost))},
			func(s *cluster.State) { s.Groups[0].Instances = s.Groups[0].Instances[1:] },
			"web 4, one 1 of 2, i-1 ACTIVE InService",
			[]cluster.Outcome{cluster.OutcomeShown},
		},

		{"what the state lacks proves nothing", intents{
			open(elsewhere(cluster.SetDesiredCount, "service/x")), open(elsewhere(cluster.LaunchHosts, "group/nine")),
			open(elsewhere(cluster.DrainHost, "host/i-9")), open(elsewhere(cluster.TerminateHost, "host/i-9")),
		}, nil, quiet, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := shownState()
			s.Intents = tt.intents
			if tt.given != nil {
				tt.given(&s)
			}
			got, changed := Overlay(s)
			if seen(got) != tt.want {
				t.Errorf("seen: %s\nwant: %s", seen(got), tt.want)
			}
			var outcomes []cluster.Outcome
			for _, in := range changed {
				outcomes = append(outcomes, in.Outcome)
			}
			if !slices.Equal(outcomes, tt.outcomes) {
				t.Errorf("outcomes %q, want %q", outcomes, tt.outcomes)
			}
		})
	}
}

// TestOverlayOfTrueHistory draws a history of changes of one service and one
// group, cuts it where reads may be stale, and wants to see its end all the
// same: what was ordered is what a plan rests on, however old the reads are.
func TestOverlayOfTrueHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shownState()
		count, capacity := 4, 2
		stale := rapid.IntRange(0, 4).Draw(t, "reads are older than change")
		total := rapid.IntRange(0, 4).Draw(t, "changes")
		shown := seen(s)
		for i := range total {
			in := cluster.Intent{ID: fmt.Sprint(i), At: noon().Add(-time.Minute), Outcome: cluster.OutcomeApplied}
			if rapid.Bool().Draw(t, "a count") {
				to := rapid.IntRange(5, 9).Filter(func(n int) bool { return n != count }).Draw(t, "to")
				in.Change, count = counts(count, to), to
			} else {
				to := capacity + rapid.IntRange(1, 2).Draw(t, "more")
				in.Change = launches(capacity, to+rapid.IntRange(0, 3).Draw(t, "did not come"))
				for ; capacity < to; capacity++ {
					in.Instances = append(in.Instances, fmt.Sprintf("i-%d", capacity+1))
				}
			}
			s.Intents = append(s.Intents, in)
			if i < stale {
				show(&s, in)
			}
			shown = fmt.Sprintf("web %d, one %d of %d, i-1 ACTIVE InService", count, capacity, capacity)
		}
		before := fmt.Sprintf("%+v", s)
		got, changed := Overlay(s)
		if seen(got) != shown {
			t.Fatalf("seen: %s\nwant: %s\nfrom %s", seen(got), shown, before)
		}
		if after := fmt.Sprintf("%+v", s); after != before {
			t.Fatalf("the given state changed: %s\nwas %s", after, before)
		}
		for _, in := range changed {
			if in.Open() {
				t.Fatalf("%+v is told as changed and still open", in)
			}
		}
		again, more := Overlay(withIntents(s, got.Intents))
		if len(more) != 0 || !reflect.DeepEqual(again, got) {
			t.Fatalf("a second overlay differs: %s, %v", seen(again), more)
		}
	})
}

// show makes the cloud show a change.
func show(s *cluster.State, in cluster.Intent) {
	if in.Verb == cluster.SetDesiredCount {
		s.Services[0].Desired = in.To
		return
	}
	s.Groups[0].Desired = in.From + len(in.Instances)
	for _, id := range in.Instances {
		s.Groups[0].Instances = append(s.Groups[0].Instances, cluster.Instance{ID: id, Zone: "b", Lifecycle: cluster.LifecyclePending})
	}
}

func withIntents(s cluster.State, all []cluster.Intent) cluster.State {
	s.Intents = all
	return s
}

// TestOverlayEndsEveryIntent: whatever the cloud shows, no intent is open
// after its time, and refused ones are left as they are.
func TestOverlayEndsEveryIntent(t *testing.T) {
	verbs := []cluster.Verb{cluster.SetDesiredCount, cluster.LaunchHosts, "AnotherVersions", cluster.DrainHost, cluster.ActivateHost, cluster.TerminateHost}
	subjects := []cluster.Subject{"service/web", "service/x", "group/one", "group/x", "host/i-1", "host/x"}
	rapid.Check(t, func(t *rapid.T) {
		s := shownState()
		for range rapid.IntRange(0, 6).Draw(t, "intents") {
			age := time.Duration(rapid.IntRange(0, 400).Draw(t, "age")) * time.Second
			s.Intents = append(s.Intents, cluster.Intent{
				At:      noon().Add(-age),
				Outcome: rapid.SampledFrom([]cluster.Outcome{"", cluster.OutcomeApplied, cluster.OutcomeRefused}).Draw(t, "outcome"),
				Change: cluster.Change{
					Verb: rapid.SampledFrom(verbs).Draw(t, "verb"), Subject: rapid.SampledFrom(subjects).Draw(t, "subject"),
					From: rapid.IntRange(0, 5).Draw(t, "from"), To: rapid.IntRange(0, 5).Draw(t, "to"), Host: "host/i-1", Group: "one",
				},
			})
		}
		got, changed := Overlay(s)
		n := 0
		for i, in := range got.Intents {
			was := s.Intents[i]
			if in.Open() && noon().Sub(in.At) >= cluster.IntentOverlay {
				t.Fatalf("%+v is still open", in)
			}
			if !was.Open() && in.Outcome != was.Outcome {
				t.Fatalf("%+v became %s", was, in.Outcome)
			}
			if in.Outcome != was.Outcome {
				n++
			}
		}
		if n != len(changed) {
			t.Fatalf("%d outcomes changed, %d are told", n, len(changed))
		}
	})
}
