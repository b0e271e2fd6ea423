package simcloud

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// full says whether EC2 has no capacity for a group in a zone.
func (f *fleet) full(g *asGroup, zone string) bool {
	return g.noCapacity[zone] || f.zoneLost(zone) || f.faults.noCapacity(g, zone)
}

// noCapacity says whether a group is in a spell without capacity in a zone.
func (f *Faults) noCapacity(g *asGroup, zone string) bool {
	return f.during(faultNoCapacity, g.spec.Name+" "+zone, 2*time.Minute, 40*time.Minute)
}

// refused draws whether the scheduler finds no host though there is one, and the
// reason that it tells.
func (f *Faults) refused(h *ecsHost) (ecsRefusal, bool) {
	if !f.hits(faultPlacementFailure) {
		return ecsRefusal{}, false
	}
	reasons := []string{refusedAgent, refusedAttr, refusedCPU, refusedMemory, refusedPorts}
	return ecsRefusal{reasons[f.c.stream("fault "+faultPlacementFailure).IntN(len(reasons))], h}, true
}

// agentsDown disconnects agents.
func (f *Faults) agentsDown() {
	for _, c := range f.c.fleet.clusters {
		for _, h := range c.hosts {
			if h.status != statusInactive && !h.dead && f.drawnOf(faultAgentDown, 10) {
				f.strike(faultAgentDown)
				f.c.fleet.disconnect(h, between(f.c.stream("fault "+faultAgentDown), time.Minute, 10*time.Minute))
			}
		}
	}
}

// meddle lets a person change something.
func (f *Faults) meddle() {
	if !f.drawnOf(faultByHand, 10) {
		return
	}
	r := f.c.stream("fault " + faultByHand)
	switch r.IntN(3) {
	case 0:
		f.setCount(r)
	case 1:
		f.setCapacity(r)
	default:
		f.drain(r)
	}
}

// one takes one of several at random; the zero value if there is none.
func one[T any](r *rand.Rand, all []T) (T, bool) {
	var none T
	if len(all) == 0 {
		return none, false
	}
	return all[r.IntN(len(all))], true
}

// setCount sets a service's desired count to up to three more or less.
func (f *Faults) setCount(r *rand.Rand) {
	if c, ok := one(r, f.c.fleet.clusters); ok {
		if s, ok := one(r, c.services); ok {
			n := max(0, s.desired+r.IntN(7)-3)
			f.byHand(f.c.World().SetDesiredByHand(c.name, s.name, n))
		}
	}
}

// setCapacity sets a group's desired capacity to one more.
func (f *Faults) setCapacity(r *rand.Rand) {
	if g, ok := one(r, f.c.fleet.groups); ok && g.desired < g.maximum {
		f.c.fleet.remember("ByHand", g.spec.Name)
		f.byHand(f.c.fleet.setCapacity(g, g.desired+1))
	}
}

// drain makes a host DRAINING, and ACTIVE again after ten minutes.
func (f *Faults) drain(r *rand.Rand) {
	c, ok := one(r, f.c.fleet.clusters)
	if !ok {
		return
	}
	h, ok := one(r, c.hosts)
	if !ok || h.status != statusActive || h.instance.state != types.LifecycleStateInService {
		return
	}
	f.byHand(f.c.World().DrainByHand(h.instance.id))
	f.c.after(10*time.Minute, func() {
		if h.status == statusDraining && h.instance.live() {
			f.c.fleet.remember("ByHand", h.instance.id)
			f.c.fleet.setStatus(h, statusActive)
		}
	})
}

// byHand notes what came of a person's change.
func (f *Faults) byHand(err error) {
	if err != nil {
		f.c.trace("by hand: %v", err)
		return
	}
	f.strike(faultByHand)
}

// flap gives an alarm a state at random.
func (f *Faults) flap(v *verdict) {
	if !f.drawn(faultAlarmFlapping) {
		return
	}
	own := v.state
	v.state, _ = one(f.c.stream("fault "+faultAlarmFlapping), cwtypes.StateValue("").Values())
	if v.state != own {
		f.strike(faultAlarmFlapping)
	}
}
