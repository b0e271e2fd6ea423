package cluster

import (
	"slices"
	"testing"
	"time"
)

func TestWhichTasksCountAsHealthy(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	running := Task{Last: "RUNNING", Wanted: "RUNNING", Health: "UNKNOWN", StartedAt: now.Add(-time.Hour)}
	with := func(change func(*Task)) Task { c := running; change(&c); return c }
	for _, tt := range []struct {
		name    string
		task    Task
		checked bool
		want    bool
	}{
		{"runs, and has no health check", running, false, true},
		{"has a health check that has not answered yet", running, true, false},
		{"its health check passed", with(func(t *Task) { t.Health = "HEALTHY" }), true, true},
		{"its health check passed at once", with(func(t *Task) { t.Health, t.StartedAt = "HEALTHY", now }), true, true},
		{"its health check failed", with(func(t *Task) { t.Health = "UNHEALTHY" }), true, false},
		{"runs for less than ECS waits", with(func(t *Task) { t.StartedAt = now.Add(-SettledAfter + time.Second) }), false, false},
		{"runs for as long as ECS waits", with(func(t *Task) { t.StartedAt = now.Add(-SettledAfter) }), false, true},
		{"was told to stop", with(func(t *Task) { t.Wanted = "STOPPED" }), false, false},
		{"does not run yet", with(func(t *Task) { t.Last = "PENDING" }), false, false},
	} {
		if got := tt.task.Healthy(Revision{Checked: tt.checked}, now); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestAHostIsEmptyOnlyIfNothingIsTaken(t *testing.T) {
	all := Resources{CPU: 10, Memory: 10}
	for name, h := range map[string]Host{
		"a task runs":        {Registered: all, Remaining: all, Running: 1},
		"a task starts":      {Registered: all, Remaining: all, Pending: 1},
		"a task still stops": {Registered: all, Remaining: Resources{CPU: 10, Memory: 4}},
	} {
		if h.Empty() {
			t.Errorf("%s, and the host is empty", name)
		}
	}
	if !(Host{Registered: all, Remaining: all}).Empty() {
		t.Error("nothing is there, and the host is not empty")
	}
}

func TestSubjectsKeepTheirNames(t *testing.T) {
	for _, name := range []string{"web", "a/b", ""} {
		for _, s := range []Subject{ServiceSubject(name), GroupSubject(name), HostSubject(name), TargetsSubject(name), RegistrySubject(name), TaskSubject(name)} {
			if s.Name() != name {
				t.Errorf("%q is named %q", s, s.Name())
			}
		}
	}
	if Subject("bare").Name() != "bare" {
		t.Error("a subject without a kind loses its name")
	}
}

func TestTheOwnersThatALookLacksAreAbsentOnceEach(t *testing.T) {
	port := func(n int) HostPort { return HostPort{Instance: "i-1", Port: n, Protocol: "tcp"} }
	e := Endpoints{
		Tasks:  []Task{{ARN: "here"}},
		Owners: map[HostPort]Owner{port(1): {Task: "here"}, port(2): {Task: "z"}, port(3): {Task: "a"}, port(4): {Task: "z"}},
	}
	if got := e.Absent(); !slices.Equal(got, []string{"a", "z"}) {
		t.Errorf("absent: %q", got)
	}
}

func TestAnOperationIsWaitedForWhileItsIntentIsOpen(t *testing.T) {
	begun := func(id string, o Outcome, to *Reach) Intent {
		return Intent{Change: Change{Verb: RegisterInstance, Reaches: to}, Operation: id, Outcome: o}
	}
	to := &Reach{Registry: "srv-1", Instance: "t.web"}
	got := Operations([]Intent{
		begun("op-1", OutcomeApplied, to), begun("op-2", OutcomeUnknown, to), begun("op-3", OutcomeShown, to), begun("op-4", OutcomeRefused, to),
		begun("", OutcomeApplied, to), begun("op-5", OutcomeApplied, nil),
	})
	want := []Operation{{ID: "op-1", Registry: "srv-1", Instance: "t.web"}, {ID: "op-2", Registry: "srv-1", Instance: "t.web"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
