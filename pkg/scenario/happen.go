package scenario

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// happenings are what a scenario's world may do of itself. What finds nobody to
// happen to does not happen.
func happenings() map[string]func(*world, Happening) {
	return map[string]func(*world, Happening){
		"killHost": func(w *world, h Happening) { w.eachHost(h, w.cloud.World().KillHost) },
		"agentDown": func(w *world, h Happening) {
			w.eachHost(h, func(id string) error { return w.cloud.World().AgentDown(id, h.For.Duration) })
		},
		"crashTask":  (*world).crash,
		"noCapacity": (*world).noCapacity,
		"setDesired": func(w *world, h Happening) {
			w.told(h, w.cloud.World().SetDesiredByHand(w.Policy.Cluster, h.Service, h.Count))
		},
		"setMax": func(w *world, h Happening) { w.told(h, w.cloud.World().ChangeMax(h.Group, h.Count)) },
	}
}

// happeningNames are the happenings in words, for a message.
func happeningNames() string {
	return strings.Join(slices.Sorted(maps.Keys(happenings())), ", ")
}

// happen puts the scenario's happenings at their times.
func (w *world) happen() {
	for _, h := range w.Events {
		w.cloud.At(w.Start.Add(h.At.Duration), func() { happenings()[h.Do](w, h) })
	}
}

// told logs what could not happen.
func (w *world) told(h Happening, err error) {
	if err != nil {
		w.log.Sugar().Warnf("%s at %s: %v", h.Do, h.At.Duration, err)
	}
}

// chance is a happening's own: the same for a seed whatever else happens.
func (w *world) chance(h Happening) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, uint64(h.At.Duration))) //nolint:gosec // chance of a simulation, not a secret
}

// eachHost does to as many hosts of the group as the happening counts.
func (w *world) eachHost(h Happening, do func(instance string) error) {
	var ids []string
	for _, g := range w.cloud.World().Groups() {
		for _, i := range g.Instances {
			if g.Name == h.Group && i.Registered && (h.Zone == "" || h.Zone == i.Zone) {
				ids = append(ids, i.ID)
			}
		}
	}
	for _, n := range w.chance(h).Perm(len(ids))[:min(len(ids), max(1, h.Count))] {
		w.told(h, do(ids[n]))
	}
}

func (w *world) crash(h Happening) {
	s, _ := w.cloud.World().Service(w.Policy.Cluster, h.Service) // checked when the scenario was read
	var running []simcloud.TaskView
	for _, v := range w.cloud.World().Services(true) {
		if v.Name == s.Name {
			running = slices.DeleteFunc(v.Tasks, func(t simcloud.TaskView) bool { return !t.Serving })
		}
	}
	for _, n := range w.chance(h).Perm(len(running))[:min(len(running), max(1, h.Count))] {
		w.told(h, w.cloud.World().CrashTask(w.Policy.Cluster, running[n].ARN))
	}
}

// noCapacity lets EC2 refuse launches in the group's zone, or in all of them.
func (w *world) noCapacity(h Happening) {
	for _, zone := range w.group(h.Group).Zones {
		if h.Zone == "" || h.Zone == zone {
			w.told(h, w.cloud.World().SetCapacityError(h.Group, zone, true))
			w.cloud.At(w.cloud.Now().Add(max(time.Minute, h.For.Duration)), func() {
				w.told(h, w.cloud.World().SetCapacityError(h.Group, zone, false))
			})
		}
	}
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
		if s.StartUp.Median.Duration > 0 {
			w.cloud.World().BehaveTasks(s.Name, simcloud.TaskBehaviour{Start: lognormal(s.StartUp)})
		}
	}
}
