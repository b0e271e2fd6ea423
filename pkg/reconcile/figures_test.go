package reconcile

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// measured runs one round and returns what the meter was told.
func measured(t *testing.T, w *world, change func(*Rounds)) []Figures {
	t.Helper()
	_, p := newWorld()
	var all []Figures
	r := w.rounds()
	r.Meter = func(f Figures) { all = append(all, f) }
	if change != nil {
		change(&r)
	}
	_ = r.Round(t.Context(), Steering{w, p}, Waking{ID: "m", Sent: noon.Add(-5 * time.Second)}) // each test says what should be
	return all
}

func TestARoundIsMeasuredOnceWhateverBecomesOfIt(t *testing.T) {
	none := func(*world) {}
	for _, tt := range []struct {
		name    string
		spoil   func(*world)
		failed  bool
		planned bool
		acted   bool
	}{
		{"a round that changes something", none, false, true, true},
		{"a round whose look fails", func(w *world) { w.failLook = errors.New("away") }, true, false, false},
		{"a round that could not note", func(w *world) { w.failNote = errors.New("away") }, true, false, false},
		{"a round that could not tell", func(w *world) { w.failTell = true }, true, true, true},
		{"a round that could not give its lease back", func(w *world) { w.held = true }, true, true, true},
	} {
		w, _ := newWorld()
		tt.spoil(w)
		all := measured(t, w, nil)
		if len(all) != 1 || all[0].Failed != tt.failed || (all[0].Planned != nil) != tt.planned || (all[0].Lag != nil) != tt.acted || all[0].Key != Key("prod") {
			t.Errorf("%s: %+v", tt.name, all)
		}
	}
}

func TestTheLagEndsWithTheFirstChange(t *testing.T) {
	w, _ := newWorld() // each call takes a second
	f := measured(t, w, nil)[0]
	if f.Lag == nil || *f.Lag != 6*time.Second || f.At.Sub(noon) < 2*time.Second {
		t.Errorf("lag %v, and the round ended %s after noon", f.Lag, f.At.Sub(noon))
	}
	quiet := &Figures{}
	quiet.acted(noon)
	if quiet.Lag != nil {
		t.Error("a lag from nobody knows when")
	}
	late := &Figures{sent: noon.Add(time.Second)}
	late.acted(noon)
	if late.Lag == nil || *late.Lag != 0 {
		t.Errorf("a lag below zero: %v", late.Lag)
	}
}

func TestTheFiguresOfAPlan(t *testing.T) {
	state := cluster.State{Now: noon, Services: []cluster.Service{
		{Name: "web", Desired: 3, Running: 2}, {Name: "api", Desired: 2, Running: 2}, {Name: "surge", Desired: 1, Running: 4}, {Name: "falls", Desired: 5, Running: 5},
	}}
	p := plan.Plan{
		Memory: cluster.Memory{Services: map[string]cluster.ServiceMemory{
			"web": {Target: 7, Since: noon.Add(-time.Minute)}, "api": {Target: 3, Since: noon.Add(-time.Second)}, "falls": {Target: 2, Since: noon.Add(-time.Hour)},
		}},
		Decisions: []plan.Decision{
			{Subject: cluster.GroupSubject("a"), From: 1, To: 3, Reason: plan.TasksUnplaced, Numbers: []plan.Number{{Name: "hosts", Value: 9}, {Name: "unplaced", Value: 4}}, Changes: make([]cluster.Change, 2)},
			{Subject: cluster.GroupSubject("b"), From: 2, To: 2, Reason: plan.HostsAtMaximum, Numbers: []plan.Number{{Name: "unplaced", Value: 4}}},
			{Subject: cluster.ServiceSubject("web"), From: 3, To: 3, Reason: plan.WaitingForHosts, Numbers: []plan.Number{{Name: "unplaced", Value: 99}}},
			{Subject: cluster.ServiceSubject("api"), From: 2, To: 2, Reason: plan.WaitingForHosts},
		},
	}
	got := planned(state, p)
	want := &Planned{
		Reasons: map[plan.Reason]int{plan.TasksUnplaced: 1, plan.HostsAtMaximum: 1, plan.WaitingForHosts: 2},
		Changes: 2, Sized: &Sized{Waiting: 6, Wait: time.Minute, Unplaced: 4, Hosts: 5},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %+v, want %+v %+v", got, got.Sized, want, want.Sized)
	}
}
