package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// happenings are what a scenario's world may do of itself. One that could not
// happen, or not to as many as it counts, is an error.
func happenings() map[string]func(*world, Happening) error {
	return map[string]func(*world, Happening) error{
		"killHost": func(w *world, h Happening) error { return w.eachHost(h, w.cloud.World().KillHost) },
		"agentDown": func(w *world, h Happening) error {
			return w.eachHost(h, func(id string) error { return w.cloud.World().AgentDown(id, h.For.Duration) })
		},
		"restartAgent": func(w *world, h Happening) error { return w.eachHost(h, w.cloud.World().RestartAgent) },
		"drainHost":    (*world).drain,
		"crashTask":    (*world).crash,
		"noCapacity":   (*world).noCapacity,
		"setDesired": func(w *world, h Happening) error {
			return w.cloud.World().SetDesiredByHand(w.Policy.Cluster, h.Service, h.Count)
		},
		"setMax": func(w *world, h Happening) error { return w.cloud.World().ChangeMax(h.Group, h.Count) },
	}
}

// happeningNames are the happenings in words, for a message.
func happeningNames() string {
	return strings.Join(slices.Sorted(maps.Keys(happenings())), ", ")
}

// happen puts the scenario's happenings at their times. One that does not take
// place is kept: a bad day that was none must not pass for one.
func (w *world) happen() {
	for _, h := range w.Events {
		w.cloud.At(w.Start.Add(h.At.Duration), func() {
			if err := happenings()[h.Do](w, h); err != nil {
				w.missed = append(w.missed, Held{Name: h.Do + " at " + h.At.String() + " takes place", Detail: err.Error()})
			}
		})
	}
}

// each does to as many of the candidates as a happening counts, chosen by chance.
func (w *world) each(h Happening, candidates []string, do func(string) error) error {
	wanted := max(1, h.Count)
	if len(candidates) < wanted {
		return fmt.Errorf("there were %d to happen to, not %d", len(candidates), wanted)
	}
	var failed error
	for _, n := range w.chance(h).Perm(len(candidates))[:wanted] {
		failed = errors.Join(failed, do(candidates[n]))
	}
	return failed
}

// chance is a happening's own: the same for a seed whatever else happens.
func (w *world) chance(h Happening) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, uint64(h.At.Duration))) //nolint:gosec // chance of a simulation, not a secret
}

// eachHost does to as many hosts of the group as the happening counts.
func (w *world) eachHost(h Happening, do func(instance string) error) error {
	var ids []string
	for _, g := range w.cloud.World().Groups() {
		for _, i := range g.Instances {
			if g.Name == h.Group && i.Registered && (h.Zone == "" || h.Zone == i.Zone) {
				ids = append(ids, i.ID)
			}
		}
	}
	return w.each(h, ids, do)
}

func (w *world) crash(h Happening) error {
	var running []string
	for _, v := range w.cloud.World().Services(true) {
		for _, t := range v.Tasks {
			if v.Name == h.Service && t.Serving {
				running = append(running, t.ARN)
			}
		}
	}
	return w.each(h, running, func(arn string) error { return w.cloud.World().CrashTask(w.Policy.Cluster, arn) })
}

// drain is a person who sets hosts to DRAINING, and back after a while: ten minutes,
// if it is not said.
func (w *world) drain(h Happening) error {
	return w.eachHost(h, func(id string) error {
		w.cloud.At(w.cloud.Now().Add(cmp.Or(h.For.Duration, 10*time.Minute)), func() {
			_ = w.cloud.World().ActivateByHand(id) // unless it is gone by then
		})
		return w.cloud.World().DrainByHand(id)
	})
}

// noCapacity lets EC2 refuse launches in the group's zone, or in all of them.
func (w *world) noCapacity(h Happening) error {
	var failed error
	for _, zone := range w.group(h.Group).Zones {
		if h.Zone == "" || h.Zone == zone {
			failed = errors.Join(failed, w.cloud.World().SetCapacityError(h.Group, zone, true))
			w.cloud.At(w.cloud.Now().Add(max(time.Minute, h.For.Duration)), func() {
				_ = w.cloud.World().SetCapacityError(h.Group, zone, false) // it was there before
			})
		}
	}
	return failed
}

// behave sets what of AWS's behaviour the scenario sets.
func (w *world) behave() {
	b := w.cloud.World().Behaviour()
	if w.AgentFlap != nil {
		b.FlapsPerHour = 0
		if w.AgentFlap.Duration > 0 {
			b.FlapsPerHour = float64(time.Hour) / float64(w.AgentFlap.Duration)
		}
	}
	for _, s := range w.Services {
		t := simcloud.TaskBehaviour{}
		if s.StartUp.Median.Duration > 0 {
			t.Start = lognormal(s.StartUp)
		}
		if s.Hold.Duration > 0 {
			t.Hold, t.HoldFor = hold, s.Hold.Duration
		}
		if t != (simcloud.TaskBehaviour{}) {
			w.cloud.World().BehaveTasks(s.Name, t)
		}
	}
}
