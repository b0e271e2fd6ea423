package simcloud

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// agentsRestart restarts agents, which then assign ports anew.
func (f *Faults) agentsRestart() {
	for _, c := range f.c.fleet.clusters {
		for _, h := range c.hosts {
			if h.status != statusInactive && !h.dead && f.drawnOf(faultAgentRestarted, 10) && f.c.World().RestartAgent(h.instance.id) == nil {
				f.strike(faultAgentRestarted)
			}
		}
	}
}

// loseZone takes a zone away with all that runs in it, for 5 to 30 minutes.
func (f *Faults) loseZone() {
	if !f.drawnOf(faultZoneLost, 10) {
		return
	}
	var zones []string
	for _, g := range f.c.fleet.groups {
		zones = append(zones, g.spec.Zones...)
	}
	slices.Sort(zones)
	r := f.c.stream("fault " + faultZoneLost)
	if zone, ok := one(r, slices.Compact(zones)); ok {
		f.zones[zone] = f.c.now.Add(between(r, 5*time.Minute, 30*time.Minute))
		f.strike(faultZoneLost)
		f.c.fleet.endZone(zone)
	}
}

// interruptHalf warns half of all Spot instances of their end.
func (f *Faults) interruptHalf() {
	if !f.drawnOf(faultSpotInterrupted, 10) {
		return
	}
	var all []*asInstance
	for _, g := range f.c.fleet.groups {
		for _, i := range g.instances {
			if g.spec.Spot && !i.dead() && !i.warned && (i.live() || i.waits()) {
				all = append(all, i)
			}
		}
	}
	r := f.c.stream("fault " + faultSpotInterrupted)
	r.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	for _, i := range all[:(len(all)+1)/2] {
		f.strike(faultSpotInterrupted)
		f.c.fleet.interrupt(i)
	}
}

// endHosts lets somebody else terminate hosts, or a group balance its zones.
func (f *Faults) endHosts() {
	r := f.c.stream("fault " + faultHostsEnded)
	for _, g := range f.c.fleet.groups {
		if !f.drawnOf(faultHostsEnded, 10) {
			continue
		}
		i, ok := one(r, slices.DeleteFunc(g.live(), func(i *asInstance) bool { return i.dead() || i.state != types.LifecycleStateInService }))
		if !ok {
			continue
		}
		if r.IntN(2) == 0 {
			f.c.fleet.terminateInstance(i, "instance "+i.id+" was taken out of service in response to a user request")
			f.c.fleet.balance(g)
		} else if !f.c.fleet.rebalance(g, i) {
			continue
		}
		f.c.fleet.remember("ByHand", i.id)
		f.strike(faultHostsEnded)
	}
}

// rebalance is what AZRebalance does: it launches an instance in another zone,
// above the desired capacity, and terminates one in the fuller zone afterwards,
// whatever runs on it. Without capacity for the first it does nothing: false.
func (f *fleet) rebalance(g *asGroup, i *asInstance) bool {
	zone := f.zoneToFill(g)
	if f.full(g, zone) {
		return false
	}
	const cause = "instances were launched to balance instances in zones"
	f.launch(g, zone, cause)
	f.after(2*time.Minute, func() {
		if len(g.live()) > g.desired {
			f.remember("ByHand", i.id) // only now is anything lost
			f.terminateInstance(i, "an instance was terminated to balance instances in zones")
		}
	})
	return true
}

// protectTasks lets applications protect tasks of theirs, for up to 10 minutes.
func (f *Faults) protectTasks() {
	r := f.c.stream("fault " + faultTaskProtected)
	for _, c := range f.c.fleet.clusters {
		for _, s := range c.services {
			if f.drawnOf(faultTaskProtected, 10) {
				f.protectOne(r, s)
			}
		}
	}
}

func (f *Faults) protectOne(r *rand.Rand, s *ecsService) {
	t, ok := one(r, s.tasks)
	if !ok || t.last != statusRunning || t.protected(f.c.now) {
		return
	}
	if reason, _ := f.c.fleet.mayProtect(t, true); reason == "" {
		f.strike(faultTaskProtected)
		f.c.fleet.protect(t, f.c.now.Add(between(r, time.Minute, 10*time.Minute)))
	}
}
