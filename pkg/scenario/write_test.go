package scenario

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// What a written scenario has to be: the same value and the same run.
func TestAScenarioReadsAndRunsAsItWasWritten(t *testing.T) {
	for _, s := range written(t) {
		t.Run(s.Name+" from "+s.Start.Format(time.TimeOnly)+" for "+s.Length.String(), func(t *testing.T) {
			t.Parallel()
			raw, err := Write(s)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Read(s.Name, raw)
			if err != nil {
				t.Fatalf("%v\n%s", err, raw)
			}
			s.Raw, again.Raw = nil, nil
			if !reflect.DeepEqual(s, again) {
				t.Errorf("written %+v\nread    %+v", s, again)
			}
			for _, x := range []*Scenario{&s, &again} {
				x.Length.Duration, x.Calm, x.Expect = min(x.Length.Duration, 10*time.Minute), policy.Duration{}, nil
			}
			if a, b := hashOf(t, s), hashOf(t, again); a != b {
				t.Errorf("written %s, read %s", a, b)
			}
		})
	}
}

func hashOf(t *testing.T, s Scenario) string {
	t.Helper()
	r, err := Run(t.Context(), s, Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	return r.TraceHash
}

// fronted is twins with all that a scenario may say of what is in front of its
// services.
func fronted(t *testing.T) Scenario {
	t.Helper()
	s := twins()
	s.Targets[1].Protocol = "TCP"
	s.Events = append(s.Events, Happening{At: minutes(4), Do: "drainHost", Group: "prod-hosts", For: minutes(2)}, Happening{At: minutes(10), Do: "restartAgent", Group: "prod-hosts"})
	raw, err := Write(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"targetGroups:", "protocol: TCP", "deregistrationDelay: 20s", "healthCheckInterval: 5s", "targetGroup: web", "hold: 35s", "dynamicPorts:", "from: 33000", "from: 2m", "for: 2m"} {
		if !strings.Contains(string(raw), key) {
			t.Errorf("no %q is written in\n%s", key, raw)
		}
	}
	return s
}

// written are scenarios of all kinds: those built in, one with all faults, one
// whose policy is no text, and one whose policy is not its text any more.
func written(t *testing.T) []Scenario {
	besieged := beset()
	besieged.Length = policy.Duration{Duration: 3 * time.Hour} // long enough for all that happens in it
	all := []Scenario{besieged, busy(3 * time.Hour), fronted(t)}
	for _, name := range Builtins() {
		s, err := Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		for _, from := range []time.Duration{17 * time.Minute, s.Length.Duration/3 + time.Second, s.Length.Duration - 40*time.Minute} {
			all = append(all, s.Window(from, time.Hour), s.Window(from, time.Hour).Calmed(20*time.Minute))
		}
	}
	changed, err := Builtin("mixed")
	if err != nil {
		t.Fatal(err)
	}
	changed.Policy.Hosts = append([]policy.HostGroup{}, changed.Policy.Hosts...)
	changed.Policy.Hosts[0].Max = 7
	return append(all, changed)
}

func TestAScenarioUnderATraceIsNotWritten(t *testing.T) {
	trace, err := ReadTrace("t", []byte("0,1\n60,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Write(brief(t, "step", time.Hour).WithTrace(trace, 0))
	if err == nil {
		t.Errorf("written as %s", raw)
	}
}
