package soak

import (
	"cmp"
	"maps"
	"slices"
)

// Summary is what came of a soak.
type Summary struct {
	Commit       string         `json:"commit"` // of the build
	Date         string         `json:"date"`   // of the run, such as 2026-08-03
	Scenarios    []string       `json:"scenarios"`
	Trials       int            `json:"trials"`
	First        uint64         `json:"firstSeed"`
	VirtualHours float64        `json:"virtualHours"`
	Broken       int            `json:"broken"`     // trials that broke a promise
	Violations   map[string]int `json:"violations"` // by promise, "run": a run that failed or panicked
	Dips         map[string]int `json:"dips"`       // stretches of a service under its floor, by who is to blame: world, shared, ours, unjudged
	Raced        int            `json:"raced"`      // actions that a world event between look and call made wrong
	Rounds       int            `json:"rounds"`
	Invocations  int            `json:"invocations"`
	Faults       map[string]int `json:"faults"` // how often each really struck; with 0 those that were on and never did
	Slowest      Slow           `json:"slowest"`
	Seconds      float64        `json:"seconds"` // real
	Failures     []Failure      `json:"failures"`
}

// Slow is the trial that took longest.
type Slow struct {
	Scenario string  `json:"scenario"`
	Seed     uint64  `json:"seed"`
	Seconds  float64 `json:"seconds"` // real
}

func newSummary(o Options) Summary {
	sum := Summary{
		Scenarios: []string{}, First: o.First, Violations: map[string]int{}, Dips: map[string]int{}, Faults: map[string]int{}, Failures: []Failure{},
	}
	for _, s := range o.Scenarios {
		sum.Scenarios = append(sum.Scenarios, s.Name)
	}
	for _, f := range o.faults() {
		sum.Faults[f.Name] = 0
	}
	return sum
}

// add adds a trial's outcome.
func (s *Summary) add(x Outcome) {
	s.Trials++
	s.VirtualHours += x.Result.Hours
	s.Raced += x.Result.Raced
	s.Rounds += x.Result.Rounds
	s.Invocations += x.Result.Invocations
	for _, v := range x.Broken {
		s.Violations[v.Promise]++
	}
	if len(x.Broken) > 0 {
		s.Broken++
	}
	for name, n := range x.Result.Faults {
		s.Faults[name] += n
	}
	if v := x.Result.Verdict; v != nil {
		for who, n := range map[string]int{"world": v.World, "shared": v.Shared, "ours": v.Ours, "unjudged": v.Unjudged} {
			s.Dips[who] += n
		}
	}
	if took := x.Took.Seconds(); took > s.Slowest.Seconds {
		s.Slowest = Slow{Scenario: x.Name, Seed: x.Seed, Seconds: took}
	}
}

// Idle are the faults that were on and never struck, sorted.
func (s Summary) Idle() []string {
	return slices.DeleteFunc(slices.SortedFunc(maps.Keys(s.Faults), cmp.Compare[string]), func(name string) bool { return s.Faults[name] > 0 })
}
