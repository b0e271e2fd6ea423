package scenario

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func minutes(n int) policy.Duration { return policy.Duration{Duration: time.Duration(n) * time.Minute} }

func TestAWindowHasWhatFallsIntoIt(t *testing.T) {
	whole := Scenario{
		Start: time.Date(2026, 8, 3, 6, 0, 0, 0, time.UTC), Length: minutes(180),
		Services: []Service{{Name: "quiet"}, {Name: "web", Load: &Load{Shape: Shape{Base: 7, Crowds: []Crowd{
			{At: minutes(10), Rise: minutes(5), Stay: minutes(5), Fall: minutes(5)},
			{At: minutes(50), Rise: minutes(5), Stay: minutes(30), Fall: minutes(5)},
			{At: minutes(70), Rise: minutes(1), Stay: minutes(1), Fall: minutes(1)},
			{At: minutes(130), Stay: minutes(1)},
		}}}}},
		Events: []Happening{{At: minutes(59), Do: "killHost"}, {At: minutes(60), Do: "crashTask"}, {At: minutes(100), Do: "setMax"}, {At: minutes(121), Do: "killHost"}},
		Faults: []Fault{
			{Name: "over", Until: minutes(60)},
			{Name: "under way", From: minutes(30), Until: minutes(90)},
			{Name: "always"},
			{Name: "comes", From: minutes(80), Until: minutes(150)},
			{Name: "later", From: minutes(120)},
		},
		Expect: []Expectation{{Name: "of the whole"}},
	}
	want := whole
	want.Start, want.Length, want.Expect = whole.Start.Add(time.Hour), minutes(60), nil
	want.Services = []Service{{Name: "quiet"}, {Name: "web", Load: &Load{Shape: Shape{Base: 7, Crowds: []Crowd{
		{Rise: minutes(5), Stay: minutes(30), Fall: minutes(5), Since: minutes(10)},
		{At: minutes(10), Rise: minutes(1), Stay: minutes(1), Fall: minutes(1)},
	}}}}}
	want.Events = []Happening{{Do: "crashTask"}, {At: minutes(40), Do: "setMax"}}
	want.Faults = []Fault{{Name: "under way", Until: minutes(30)}, {Name: "always"}, {Name: "comes", From: minutes(20), Until: minutes(90)}}
	if got := whole.Window(time.Hour, time.Hour); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if whole.Events[0].At != minutes(59) || whole.Services[1].Load.Shape.Crowds[1].At != minutes(50) || whole.Faults[1].From != minutes(30) {
		t.Error("the whole was changed")
	}
}

func TestAWindowEndsWithTheScenario(t *testing.T) {
	for _, tt := range []struct {
		name         string
		from, length time.Duration
		want         string
	}{
		{"within", time.Hour, time.Hour, "07:00 1h0m0s"},
		{"from before the start", -time.Hour, time.Hour, "06:00 1h0m0s"},
		{"beyond the end", 2 * time.Hour, 9 * time.Hour, "08:00 1h0m0s"},
		{"after the end", 4 * time.Hour, time.Hour, "09:00 0s"},
		{"of no length", time.Hour, -time.Hour, "07:00 0s"},
	} {
		got := Scenario{Start: time.Date(2026, 8, 3, 6, 0, 0, 0, time.UTC), Length: minutes(180)}.Window(tt.from, tt.length)
		if text := fmt.Sprint(got.Start.Format("15:04"), " ", got.Length.Duration); text != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, text, tt.want)
		}
	}
}

// The load of a window is that of the whole to the last bit, noise included, a
// window's window too.
func TestTheRateInAWindowIsThatOfTheWhole(t *testing.T) {
	wave, err := ReadTrace("wave", []byte("100,1\n4000,7\n20000,3\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(Builtins(), "traced") {
		var s Scenario
		if name == "traced" {
			s = brief(t, "mixed", time.Hour).WithTrace(wave, 0)
		} else if s, err = Builtin(name); err != nil {
			t.Fatal(err)
		}
		for from := time.Duration(0); from < s.Length.Duration; from += s.Length.Duration / 37 {
			w := s.Window(from/3, s.Length.Duration).Window(from-from/3, 3*time.Hour)
			for n, x := range s.Services {
				if x.Load == nil {
					continue
				}
				whole, part := s.rate(x, 5), w.rate(w.Services[n], 5)
				for since := time.Duration(0); since <= w.Length.Duration; since += 97 * time.Second {
					at := s.Start.Add(from + since)
					if a, b := whole(at), part(at); a != b {
						t.Fatalf("%s from %s: %s at %s asks for %v, and in the whole for %v", name, from, x.Name, at, b, a)
					}
				}
			}
		}
	}
}

// The wish at a calm's small load is the same from every count, by the rule of
// target tracking with any tolerance that is usual. A load for 20 tasks is not so.
func TestASmallLoadHasOneRightCount(t *testing.T) {
	settles := func(demand float64, tolerance, from int) int {
		n := from
		for range 100 {
			if off := demand/float64(n) - 1; n == 0 || 100*max(off, -off) > float64(tolerance) {
				n = int(demand) + 1
			}
		}
		return n
	}
	for tasks := 1; tasks <= most; tasks++ {
		for tolerance := range 11 {
			for from := range 60 {
				if got := settles(float64(tasks)-less, tolerance, from); got != tasks {
					t.Errorf("a load for %v tasks with a tolerance of %d %% settles at %d from %d", float64(tasks)-less, tolerance, got, from)
				}
			}
		}
	}
	if settles(20-less, 10, 21) == settles(20-less, 10, 19) {
		t.Error("a large load has one right count too: the calm need not be small")
	}
}

func TestACalmIsCalm(t *testing.T) {
	s := brief(t, "bad-day", 6*time.Hour)
	s.Faults = []Fault{{Name: "poison"}, {Name: "ambiguous", From: minutes(30), Until: minutes(500)}, {Name: "event-lost", From: minutes(120)}, {Name: "event-late", Until: minutes(5)}}
	c := s.Calmed(2 * time.Hour)
	if want := []Fault{{Name: "poison", Until: minutes(120)}, {Name: "ambiguous", From: minutes(30), Until: minutes(120)}, {Name: "event-late", Until: minutes(5)}}; !reflect.DeepEqual(c.Faults, want) {
		t.Errorf("faults %+v, want %+v", c.Faults, want)
	}
	for _, h := range c.Events {
		if over := h.At.Duration + h.For.Duration; over > 2*time.Hour {
			t.Errorf("%s is over at %s", h.Do, over)
		}
	}
	if last := s.Calmed(100 * time.Minute).Events[3]; last.Do != "noCapacity" || last.For != minutes(5) {
		t.Errorf("a zone without capacity from minute 95 has some again: %+v", last)
	}
	rate := c.rate(c.Services[0], 1)
	for at, want := range map[time.Duration]float64{0: 0, emptyFor - 1: 0, emptyFor: 7 - less, emptyFor + smallFor: 7 - less} {
		demand := rate(c.Start.Add(2*time.Hour+at)) * 5 / 256 / 0.6
		if d := demand - want; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s into the calm: a load for %v tasks, want %v", at, demand, want)
		}
	}
	for _, own := range []time.Duration{0, time.Hour, 2*time.Hour - 1} {
		if at := c.Start.Add(own); rate(at) != s.rate(s.Services[0], 1)(at) {
			t.Errorf("before the calm, at %s, the load is another", own)
		}
	}
	if err := c.Validate(); len(err) > 0 {
		t.Errorf("a calmed scenario is valid: %v", err)
	}
}
