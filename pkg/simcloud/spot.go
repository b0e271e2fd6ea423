package simcloud

import (
	"fmt"
	"slices"
	"time"
)

// spotNotice is how long before the end of a Spot instance EC2 warns of it.
const spotNotice = 2 * time.Minute

// InterruptSpot lets EC2 take a Spot instance back: the warning now, which is a
// best-effort event, the end of its machine two minutes later, whatever waits for
// a lifecycle hook.
func (w *World) InterruptSpot(instance string) error {
	i := w.f.instance(instance)
	if i == nil || i.dead() || !i.group.spec.Spot || i.warned {
		return fmt.Errorf("interrupt spot %s: no such Spot instance runs that has not been warned", instance)
	}
	w.f.interrupt(i)
	return nil
}

func (f *fleet) interrupt(i *asInstance) {
	i.warned = true
	f.remember("SpotNotice", i.id)
	f.emit("aws.ec2", "EC2 Spot Instance Interruption Warning", []string{f.arn("ec2", "instance/"+i.id)}, map[string]string{"instance-id": i.id, "instance-action": "terminate"})
	f.changed()
	f.after(spotNotice, func() { f.killHost(i) })
}

// LoseZone ends every instance of a zone at once and lets no launch there succeed
// for some time.
func (w *World) LoseZone(zone string, d time.Duration) error {
	known := slices.ContainsFunc(w.f.groups, func(g *asGroup) bool { return slices.Contains(g.spec.Zones, zone) })
	if !known || d <= 0 {
		return fmt.Errorf("lose zone %s for %s: no group has it, or that is no time", zone, d)
	}
	if until := w.f.now.Add(d); until.After(w.f.zonesLost[zone]) {
		w.f.zonesLost[zone] = until
	}
	w.f.endZone(zone)
	return nil
}

// endZone ends the instances of a zone.
func (f *fleet) endZone(zone string) {
	f.remember("ZoneLost", zone)
	for _, g := range f.groups {
		for _, i := range slices.Clone(g.instances) {
			if i.zone == zone {
				f.killHost(i)
			}
		}
	}
}

// zoneLost says that a zone is gone at present.
func (f *fleet) zoneLost(zone string) bool {
	return f.zonesLost[zone].After(f.now) || f.faults.zones[zone].After(f.now)
}
