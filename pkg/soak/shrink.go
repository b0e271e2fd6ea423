package soak

import (
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// Size is how much there is to read of a scenario.
type Size struct {
	Faults     int `json:"faults"`
	Happenings int `json:"happenings"`
	Services   int `json:"services"`
	Groups     int `json:"groups"`
	Minutes    int `json:"minutes"`
}

func sizeOf(s scenario.Scenario) Size {
	return Size{Faults: len(s.Faults), Happenings: len(s.Events), Services: len(s.Services), Groups: len(s.Groups), Minutes: int(s.Length.Minutes())}
}

// shrinking makes a failing scenario smaller as long as it fails the same way.
type shrinking struct {
	best  scenario.Scenario
	fails func(scenario.Scenario) bool
	left  int // runs
}

// shrink returns the smallest failing scenario that so many runs find, and how
// many it took. Each kind of part goes away in halves, then in quarters, down to
// single ones; and all again as long as that helps.
func shrink(s scenario.Scenario, fails func(scenario.Scenario) bool, runs int) (scenario.Scenario, int) {
	k := &shrinking{best: s, fails: fails, left: runs}
	if s.Calm.Duration > 0 { // of no use to what is broken at a moment
		k.try(cut(s, s.Calm.Duration, false))
	}
	k.alone()
	for {
		before := sizeOf(k.best)
		fewer(k, k.best.Services, func(kept []scenario.Service) scenario.Scenario { return only(k.best, kept, k.best.Groups) })
		fewer(k, k.best.Faults, func(kept []scenario.Fault) scenario.Scenario {
			out := k.best
			out.Faults = kept
			return out
		})
		fewer(k, k.best.Groups, func(kept []scenario.Group) scenario.Scenario { return only(k.best, k.best.Services, kept) })
		fewer(k, k.best.Events, func(kept []scenario.Happening) scenario.Scenario {
			out := k.best
			out.Events = kept
			return out
		})
		k.shorter() // last: in a short run a rare fault has to strike at the right time
		if sizeOf(k.best) == before || k.left == 0 {
			return k.best, runs - k.left
		}
	}
}

// try keeps a smaller scenario if it fails too. One that no file could hold is
// not tried.
func (k *shrinking) try(s scenario.Scenario) bool {
	raw, err := scenario.Write(s)
	if err == nil {
		_, err = scenario.Read(s.Name, raw)
	}
	if err != nil || k.left == 0 {
		return false
	}
	k.left--
	if !k.fails(s) {
		return false
	}
	k.best = s
	return true
}

// strong is the rate that one fault alone is tried with.
const strong = 0.5

// alone tries each fault by itself. It is stronger then: a rare one would not
// strike again at the right time once the others are gone, and chance with them.
func (k *shrinking) alone() {
	all := k.best.Faults
	for n := 0; n < len(all) && len(k.best.Faults) > 1; n++ {
		s, f := k.best, all[n]
		f.Rate = new(strong)
		s.Faults = []scenario.Fault{f}
		k.try(s)
	}
}

// fewer takes away parts of a list, large pieces first.
func fewer[T any](k *shrinking, all []T, with func(kept []T) scenario.Scenario) {
	for piece := len(all); piece > 0; piece /= 2 {
		for at := 0; at < len(all); {
			kept := slices.Concat(all[:at], all[min(at+piece, len(all)):])
			if k.try(with(kept)) {
				all = kept
			} else {
				at += piece
			}
		}
	}
}

// shorter takes away time before the calm end, or before the end.
func (k *shrinking) shorter() {
	for {
		calm := k.best.Calm.Duration > 0
		length := k.best.Length.Duration
		if calm {
			length = k.best.Calm.Duration
		}
		step := length / 2
		for step = step.Truncate(time.Minute); step >= time.Minute && !k.try(cut(k.best, length-step, calm)); {
			step = (step / 2).Truncate(time.Minute)
		}
		if step < time.Minute {
			return
		}
	}
}

// cut is the beginning of a scenario, with a calm after it or without.
func cut(s scenario.Scenario, length time.Duration, calm bool) scenario.Scenario {
	s.Calm = policy.Duration{}
	s = s.Window(0, length)
	if calm {
		return s.Calmed(length)
	}
	return s
}

// only is a scenario with fewer services and groups, in its policy too, and
// without what happens to the others.
func only(s scenario.Scenario, services []scenario.Service, groups []scenario.Group) scenario.Scenario {
	s.Services, s.Groups = services, groups
	service := func(name string) bool {
		return slices.ContainsFunc(services, func(x scenario.Service) bool { return x.Name == name })
	}
	group := func(name string) bool {
		return slices.ContainsFunc(groups, func(g scenario.Group) bool { return g.Name == name })
	}
	s.Events = slices.DeleteFunc(slices.Clone(s.Events), func(h scenario.Happening) bool {
		return h.Service != "" && !service(h.Service) || h.Group != "" && !group(h.Group)
	})
	s.Policy.Services = maps.Clone(s.Policy.Services)
	maps.DeleteFunc(s.Policy.Services, func(name string, _ policy.Service) bool { return !service(name) })
	s.Policy.Hosts = slices.DeleteFunc(slices.Clone(s.Policy.Hosts), func(g policy.HostGroup) bool { return !group(g.Group) })
	return s
}
