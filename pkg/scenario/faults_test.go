package scenario

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// beset is the busy world with all faults at their usual rates for an hour, and
// twenty minutes to recover.
func beset() Scenario {
	s := busy(80 * time.Minute)
	for _, k := range simcloud.FaultKinds() {
		s.Faults = append(s.Faults, Fault{Name: k.Name, Until: policy.Duration{Duration: time.Hour}})
	}
	return s
}

func TestAllFaultsAtOnceForAnHour(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var logs strings.Builder
			r, err := Run(t.Context(), beset(), Options{Seed: seed, Logs: &logs})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.Violations {
				t.Errorf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
			}
			if n := strings.Count(logs.String(), "panicked"); n > 0 {
				t.Errorf("%d rounds panicked:\n%s", n, logs.String())
			}
			if r.Rounds < 30 {
				t.Errorf("%d rounds", r.Rounds)
			}
		})
	}
}

func TestFaultsOfAFile(t *testing.T) {
	for _, tt := range []struct {
		name, faults string
		want         []string // path: found, of each problem
	}{
		{"by name alone", "[{name: event-lost}]", nil},
		{"at a rate, for some time", "[{name: event-lost, rate: 1, from: 10m, until: 20m}]", nil},
		{"one that does not exist, and a rate that is none", "[{name: rain}, {name: poison, rate: 2}]", []string{`faults[0].name: "rain"`, "faults[1].rate: 2"}},
		{"beyond the end, and back in time", "[{name: poison, from: 300h, until: 1h}]", []string{"faults[0].from: 300h", "faults[0].until: 1h"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := builtin.ReadFile("builtin/step.yaml")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Read("x", append(raw, "\nfaults: "+tt.faults+"\n"...))
			var problems policy.Problems
			errors.As(err, &problems)
			var got []string
			for _, p := range problems {
				got = append(got, p.Path+": "+p.Found)
				if strings.HasSuffix(p.Path, ".name") && !strings.Contains(p.Allowed, "event-lost, ") {
					t.Errorf("allowed is %s", p.Allowed)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || len(tt.want) == 0 && err != nil {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestAFaultIsOnInItsTime(t *testing.T) {
	s := brief(t, "step", 30*time.Minute)
	rate := 1.0
	s.Faults = []Fault{{Name: "table-down", Rate: &rate, From: policy.Duration{Duration: 10 * time.Minute}, Until: policy.Duration{Duration: 20 * time.Minute}}}
	var down []time.Duration
	_, err := Run(t.Context(), s, Options{Seed: 1, Trace: func(at time.Time, line string) {
		if strings.HasPrefix(line, "dynamodb:") && strings.Contains(line, "InternalServerError") {
			down = append(down, at.Sub(s.Start))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(down) == 0 || down[0] < 10*time.Minute || down[len(down)-1] > 20*time.Minute {
		t.Errorf("the table was down at %v", down)
	}
}

func TestFaultsOfACommandLine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given []string
		want  string
	}{
		{"none", nil, "map[]"},
		{"a rate, and the usual one", []string{"event-lost=1", "poison"}, "map[event-lost:1 poison:0.1]"},
		{"nothing that exists", []string{"rain"}, "rain"},
		{"no number", []string{"poison=often"}, "often"},
		{"no share", []string{"poison=NaN"}, "NaN"},
	} {
		rates, err := ParseFaults(tt.given)
		if got := fmt.Sprint(rates, err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
