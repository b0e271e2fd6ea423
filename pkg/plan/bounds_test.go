package plan

import "testing"

// TestEverySmallFallWhileHostsDrain walks every service of up to five tasks, some
// on DRAINING hosts, some not healthy yet, some still to come, to every lower
// count. Whatever ECS takes afterwards, the new floor stands if the planner says
// so; and where nothing is unripe or to come, draining hosts keep nothing up.
func TestEverySmallFallWhileHostsDrain(t *testing.T) {
	cases, allowed := 0, 0
	for _, minimum := range []int{0, 34, 50, 75, 100} {
		for n := range 4 * 4 * 4 * 3 * 4 {
			d := drainCase{staying: n % 4, unripe: n / 4 % 4, losing: n / 16 % 4, sick: n / 64 % 3, coming: n / 192, minimum: minimum}
			for to := range d.live() + 1 {
				cases++
				if d.fall().allowed(to) {
					allowed++
				}
				d.check(t, to)
			}
		}
	}
	t.Logf("%d cases, %d of them allowed", cases, allowed)
}

// drainCase is a service of which some tasks are on DRAINING hosts.
type drainCase struct {
	staying, unripe int // on hosts that stay: healthy, or not
	losing, sick    int // on DRAINING hosts: healthy, or not
	coming          int // have a place, and may start
	minimum         int
}

func (d drainCase) live() int { return d.staying + d.unripe + d.losing + d.sick }

func (d drainCase) fall() fall {
	return fall{
		tally: tally{existing: d.live(), live: d.live(), healthy: d.staying + d.losing, leaving: d.losing + d.sick, losing: d.losing},
		most:  d.live(), coming: d.coming, minimum: d.minimum,
	}
}

// check lets ECS do its worst: it stops healthy tasks first, starts what it
// misses, none of which is ever healthy, and empties DRAINING hosts as long as
// enough is RUNNING.
func (d drainCase) check(t *testing.T, to int) {
	t.Helper()
	f, healthy, floor := d.fall(), d.staying, (to*d.minimum+99)/100
	fresh := d.staying + d.unripe
	over := max(0, fresh-to)
	healthy -= min(healthy, over)
	fresh += min(d.coming, max(0, to-fresh)) - over
	drained := max(0, min(d.losing+d.sick, fresh+d.losing+d.sick-floor))
	healthy += max(0, d.losing-drained)
	before := d.staying + d.losing
	switch got := f.allowed(to); {
	case got && healthy < before && healthy < floor:
		t.Fatalf("%+v may fall to %d: %d stay healthy, of %d", d, to, healthy, floor)
	case !got && d.unripe+d.sick+d.coming == 0 && before-min(before, d.live()-to) >= floor:
		t.Fatalf("%+v may not fall to %d, though all that runs is healthy and nothing comes", d, to)
	}
}
