package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// A read may lack anything and say nothing of it. A host that plimsoll set to
// DRAINING is ended by the first look that shows it again.
func TestADrainedHostThatALookLacksIsEndedByTheNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		lack func(*cluster.State)
	}{
		{"the container instance", func(s *cluster.State) { s.Hosts = s.Hosts[:len(s.Hosts)-1] }},
		{"the group's instance", func(s *cluster.State) { s.Hosts, s.Groups[0].Instances = s.Hosts[:len(s.Hosts)-1], nil }},
		{"the group", func(s *cluster.State) { s.Hosts, s.Groups = s.Hosts[:len(s.Hosts)-1], s.Groups[1:] }},
		{"the group and its instances' names", func(s *cluster.State) { s.Groups = s.Groups[1:]; s.Hosts[len(s.Hosts)-1].Group = "" }},
	} {
		// In the look that lacks it its intent ends, so or so; or it has ended before.
		for _, end := range []cluster.Outcome{"", cluster.OutcomeShown, cluster.OutcomeExpired} {
			t.Run(fmt.Sprint(tt.name, ", ", end), func(t *testing.T) {
				y := newYard(t)
				y.busy("one", "a")
				h := *y.drained("one", 5*time.Minute)
				if end != "" {
					y.s.Memory.Hosts = nil
					y.drain(h.ID, end)
				}
				whole := y.s
				lacking := y.s
				lacking.Hosts, lacking.Groups = slices.Clone(y.s.Hosts), slices.Clone(y.s.Groups)
				tt.lack(&lacking)
				if end == cluster.OutcomeExpired && !lacks(lacking, cluster.HostSubject(h.ID)) {
					t.Skip("this look shows it DRAINING: the intent is shown, and does not expire")
				}
				whole.Memory = Cluster(lacking, y.p).Memory
				whole.Intents, whole.Now = nil, whole.Now.Add(3*time.Minute)
				if got, want := did(Cluster(whole, y.p)), []string{"terminate " + h.ID}; !slices.Equal(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
			})
		}
	}
}

// Reads go backwards for a while: one may show a host as it was before plimsoll set
// it to DRAINING, whatever it was then. Who drained it must not be forgotten.
func TestADrainedHostThatAnOldReadShowsIsEndedByTheNext(t *testing.T) {
	for name, old := range map[string]func(*cluster.Host){
		"empty":                func(*cluster.Host) {},
		"its agent away":       func(h *cluster.Host) { h.AgentConnected = false },
		"with a task":          func(h *cluster.Host) { h.Running, h.Remaining = 1, h.Remaining.Sub(of(64, 64)) },
		"busy, the agent away": func(h *cluster.Host) { h.Running, h.AgentConnected = 1, false },
	} {
		y := newYard(t)
		y.busy("one", "a")
		h := *y.drained("one", 5*time.Second)
		before := y.s
		before.Hosts = slices.Clone(y.s.Hosts)
		i := slices.IndexFunc(before.Hosts, func(x cluster.Host) bool { return x.ID == h.ID })
		before.Hosts[i].Status = cluster.HostActive
		old(&before.Hosts[i])
		p := Cluster(before, y.p)
		if done := did(p); len(done) > 0 {
			t.Errorf("%s: %v is done by an old read", name, done)
		}
		y.s.Memory, y.s.Now = p.Memory, y.s.Now.Add(staleReads)
		if got, want := did(Cluster(y.s, y.p)), []string{"terminate " + h.ID}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A host that is gone is not remembered for good.
func TestAHostThatStaysAwayIsForgotten(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	y.remember("i-gone", cluster.HostMemory{DrainedAt: y.s.Now.Add(-time.Hour)})
	for minutes := range 12 {
		m := Cluster(y.s, y.p).Memory
		if _, kept := m.Hosts["i-gone"]; kept != (minutes < 10) {
			t.Errorf("after %d minutes it is remembered: %t", minutes, kept)
		}
		y.s.Memory, y.s.Now = m, y.s.Now.Add(time.Minute)
	}
}

// A round may die between its note that it takes a host back and the call. While
// the intent stands in for the call the host counts as ACTIVE; when it expires,
// the host is DRAINING still, and plimsoll's to end.
func TestAHostThatWasNeverTakenBackIsStillOurs(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	h := *y.drained("one", 2*time.Minute)
	y.intent(cluster.Intent{Change: cluster.Change{Verb: cluster.ActivateHost, Subject: cluster.HostSubject(h.ID), From: 0, To: 1, Host: h.ARN, Group: "one"}})
	for range 5 { // rounds while the intent is open
		s, ended := Overlay(y.s)
		if len(ended) > 0 {
			t.Fatalf("the intent is over already: %+v", ended)
		}
		p := Cluster(s, y.p)
		if done := did(p); len(done) > 0 {
			t.Fatalf("%v is done to a host that is taken back", done)
		}
		y.s.Memory, y.s.Now = p.Memory, y.s.Now.Add(25*time.Second)
	}
	y.s.Now = y.s.Now.Add(cluster.IntentOverlay)
	s, ended := Overlay(y.s)
	if len(ended) != 1 || ended[0].Outcome != cluster.OutcomeExpired {
		t.Fatalf("the intent ends as %+v", ended)
	}
	if got, want := did(Cluster(s, y.p)), []string{"terminate " + h.ID}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
