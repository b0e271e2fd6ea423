package scenario

import (
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// still is swell without load, with the counts of web and api held at 4
// and 2: half of them must stay.
func still(events ...Happening) Scenario {
	s := swell()
	s.Length.Duration, s.Events = 15*time.Minute, events
	for n := range s.Services {
		s.Services[n].Load = nil
	}
	s.Policy.Services = map[string]policy.Service{
		"web": {Tasks: &policy.Tasks{Min: 4, Max: 4}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
		"api": {Tasks: &policy.Tasks{Min: 2, Max: 2}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
	}
	s.Policy = s.Policy.Defaulted()
	return s
}

// TestTheTimeBelowTheFloorIsTheTruths runs short worlds in which tasks are lost,
// and sums up from each change of the truth what the monitor samples.
func TestTheTimeBelowTheFloorIsTheTruths(t *testing.T) {
	early := policy.Duration{Duration: 3*time.Minute + 4*time.Second}
	for _, tt := range []struct {
		name        string
		events      []Happening
		falls       int // of a service below its floor: a sample may be 10 s off for each
		least, most time.Duration
	}{
		{"a world that comes up has lost nothing", nil, 0, 0, 0},
		{"two of four must stay, and do", []Happening{{At: early, Do: "crashTask", Service: "web", Count: 2}}, 0, 0, 0},
		{"three of four crash", []Happening{{At: early, Do: "crashTask", Service: "web", Count: 3}}, 1, 20 * time.Second, 3 * time.Minute},
		{"all of both services are lost with their hosts", []Happening{{At: early, Do: "killHost", Group: "prod-hosts"}}, 2, 4 * time.Minute, 20 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := still(tt.events...)
			m := newMonitors(s.Policy)
			w, err := build(t.Context(), s, simcloud.Options{Start: s.Start, Seed: 1, Account: account, Region: region, Watch: m.watch, Failed: m.failed, Read: m.read}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.cloud.Close()
			m.attach(w)
			w.happen()
			truth := belowTwo{w: w, floors: map[string]int{"web": 2, "api": 1}, whole: map[string]int{"web": 4, "api": 2}, begun: map[string]bool{}}
			w.cloud.World().OnChange(truth.look)
			if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
				t.Fatal(err)
			}
			truth.look()
			var r Result
			m.end(&r)
			got := time.Duration(r.SecondsBelowFloor * float64(time.Second))
			if off := (got - truth.sum).Abs(); off > time.Duration(tt.falls)*floorStep {
				t.Errorf("%s below the floor, and in truth %s", got, truth.sum)
			}
			if truth.sum < tt.least || truth.sum > tt.most {
				t.Errorf("in truth %s below the floor: the world shows nothing", truth.sum)
			}
		})
	}
}

// belowTwo sums up how long two services are below floors that are given.
type belowTwo struct {
	w             *world
	floors, whole map[string]int
	begun         map[string]bool
	at            time.Time
	below         int // services, since at
	sum           time.Duration
}

func (b *belowTwo) look() {
	now := b.w.cloud.Now()
	b.sum += time.Duration(b.below) * now.Sub(b.at)
	b.at, b.below = now, 0
	for _, v := range b.w.cloud.World().Services(false) {
		b.begun[v.Name] = b.begun[v.Name] || v.Healthy >= b.whole[v.Name]
		if b.begun[v.Name] && v.Healthy < b.floors[v.Name] {
			b.below++
		}
	}
}
