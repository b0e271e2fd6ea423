package plan

import (
	"maps"
	"slices"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// mostALaunch is how many hosts one LaunchInstances may ask for.
const mostALaunch = 100

// growth is one answer to what finds no place: which hosts that plimsoll
// drained come back, and which are launched. It is tried in a few orders.
type growth struct {
	fleets   []*fleet
	extra    *room
	back     []cluster.Host    // DRAINING by plimsoll and wanted again
	launch   []map[string]int  // by fleet, then zone
	learning []bool            // by fleet: one host is launched, or comes, to learn its size
	stopped  []Reason          // by fleet: why it takes no more
	blocked  map[string]Reason // by service: why nothing is launched for it
	why      map[string]cause  // by service: what the last group's host was missing
	unplaced int               // tasks that no host there has room for
	lacking  []want            // of those, what hosts taken back and on their way do not hold either
}

// hostsFor finds the hosts that everything wanted needs. Since the order in
// which ECS places is not known, several are tried and the largest answer
// taken: too many by what the orders differ, never too few.
func hostsFor(fleets []*fleet, needs []*need, r *room, drained []cluster.Host) *growth {
	var most *growth
	for _, order := range orders(needs) {
		g := tryOrder(fleets, order, r.clone(), drained)
		if most == nil || g.size() > most.size() {
			most = g
		}
	}
	return most
}

// size is the number of hosts that the growth adds.
func (g *growth) size() int {
	n := len(g.back)
	for i := range g.launch {
		n += g.launched(i)
	}
	return n
}

// launched is the number of hosts launched in a fleet.
func (g *growth) launched(i int) int {
	n := 0
	for _, count := range g.launch[i] {
		n += count
	}
	return n
}

func tryOrder(fleets []*fleet, needs []*need, r *room, drained []cluster.Host) *growth {
	g := &growth{
		fleets:   fleets,
		extra:    &room{},
		launch:   make([]map[string]int, len(fleets)),
		learning: make([]bool, len(fleets)),
		stopped:  make([]Reason, len(fleets)),
		blocked:  map[string]Reason{},
		why:      map[string]cause{},
	}
	left, _ := placeAll(needs, r)
	for _, n := range left {
		g.unplaced += n
	}
	if g.unplaced > 0 {
		g.takeBack(needs, left, drained)
		g.count(needs, left)
		g.lack(needs, left)
		for i, n := range needs {
			g.grow(n, left[i])
		}
	}
	return g
}

// takeBack makes those hosts ACTIVE again that plimsoll drained and that hold
// what has no place.
func (g *growth) takeBack(needs []*need, left []int, drained []cluster.Host) {
	for _, h := range drained {
		i := slices.IndexFunc(left, func(n int) bool { return n > 0 })
		for ; i >= 0 && i < len(left); i++ {
			if ok, _ := g.extra.fits(needs[i].want, h); ok && left[i] > 0 {
				g.back = append(g.back, h)
				g.extra.add(h)
				g.fill(needs, left)
				break
			}
		}
	}
}

// count lets the hosts on their way take what they can.
func (g *growth) count(needs []*need, left []int) {
	for _, f := range g.fleets {
		for _, h := range f.coming {
			if f.known {
				g.extra.add(h)
			}
		}
	}
	g.fill(needs, left)
}

// lack notes what hosts are launched for.
func (g *growth) lack(needs []*need, left []int) {
	for i, n := range needs {
		if left[i] > 0 {
			g.lacking = append(g.lacking, n.of(left[i]))
		}
	}
}

// packed is how many hosts like those that are launched in a fleet would hold
// what hosts are launched for, if ECS packed as tightly as can be. What is
// launched beyond that is the price of its strategies, zones and order.
func (g *growth) packed(i int) int {
	zones := slices.Sorted(maps.Keys(g.launch[i]))
	if !g.fleets[i].known || len(zones) == 0 || len(g.lacking) == 0 {
		return 0
	}
	hosts, _ := pack(g.lacking, g.fleets[i].in(zones[0]))
	return hosts
}

// fill places what is left on the hosts that were added.
func (g *growth) fill(needs []*need, left []int) {
	for i, n := range needs {
		if left[i] > 0 {
			left[i] = g.extra.place(n.of(left[i])).Left
		}
	}
}

// grow adds hosts one at a time until all of the need has a place.
func (g *growth) grow(n *need, left int) {
	for left > 0 {
		if left = g.extra.place(n.of(left)).Left; left == 0 {
			return
		}
		i, zone, why := g.choose(n.want)
		if i < 0 {
			g.blocked[n.want.Service] = why
			return
		}
		g.add(i, zone)
		g.extra.add(g.fleets[i].in(zone))
	}
}

func (g *growth) add(i int, zone string) {
	if g.launch[i] == nil {
		g.launch[i] = map[string]int{}
	}
	g.launch[i][zone]++
}

// choose picks the group and zone of the next host for a want: the first group
// in the policy's order that can hold it and may grow. Without one it says
// what stands in the way; a group that could hold the task but is full or
// refused says more than one that could not.
func (g *growth) choose(w want) (int, string, Reason) {
	why := FitsNoHost
	for i, f := range g.fleets {
		if !f.open() {
			continue
		}
		zone, stop := g.chooseZone(i, w)
		switch stop {
		case "":
			return i, zone, ""
		case HostSizeUnknown:
			g.learnSize(i)
			return -1, "", HostSizeUnknown
		case FitsNoHost:
		default:
			why, g.stopped[i] = stop, stop
		}
	}
	return -1, "", why
}

// chooseZone picks the zone with the fewest hosts in which a host of the group
// would hold the want.
func (g *growth) chooseZone(i int, w want) (string, Reason) {
	f := g.fleets[i]
	if !f.known {
		return "", g.unknown(i)
	}
	switch stop := g.fit(f, w); stop {
	case "":
	case HostSizeUnknown:
		return "", g.unknown(i)
	default:
		g.why[w.Service] = g.missing(f, w)
		return "", stop
	}
	if stop := f.stop(g.launched(i)); stop != "" {
		return "", stop
	}
	for _, zone := range f.emptiest(g.launch[i]) {
		if ok, _ := g.extra.fits(w, f.in(zone)); ok && g.launch[i][zone] < mostALaunch {
			return zone, ""
		}
	}
	return "", f.closed()
}

// fit says whether a host of the group in any of its zones would hold the
// want. Where no host was ever seen, what it lacks but for room is not known.
func (g *growth) fit(f *fleet, w want) Reason {
	for _, zone := range f.group.Zones {
		if ok, _ := g.extra.fits(w, f.in(zone)); ok {
			return ""
		}
	}
	c := g.missing(f, w)
	if f.memory.Attributes == nil && (c == causeAttribute || c == causeConstraint || c == causeNotUnderstood) {
		return HostSizeUnknown
	}
	return FitsNoHost
}

// missing is what a host of the group in its first zone lacks for the want.
func (g *growth) missing(f *fleet, w want) cause {
	if len(f.group.Zones) == 0 {
		return ""
	}
	_, c := g.extra.fits(w, f.in(f.group.Zones[0]))
	return c
}

// unknown says whether a host may be launched to learn what the group offers.
// One that came and never registered taught nothing: it is not tried again.
func (g *growth) unknown(i int) Reason {
	f := g.fleets[i]
	stop := f.stop(g.launched(i))
	switch {
	case !f.starved && (len(f.coming) > 0 || g.learning[i]):
		return HostSizeUnknown
	case f.late > 0:
		return HostsNeverRegister
	case stop != "":
		return stop
	case len(f.emptiest(nil)) == 0:
		return f.closed()
	}
	return HostSizeUnknown
}

// learnSize launches one host of a group of which none was seen.
func (g *growth) learnSize(i int) {
	f := g.fleets[i]
	if !g.learning[i] && len(f.coming) == 0 && g.launched(i) == 0 {
		g.add(i, f.emptiest(nil)[0])
	}
	g.learning[i] = true
}

// keepMinimum launches what a group lacks of the policy's minimum.
func (g *growth) keepMinimum(i int) {
	f := g.fleets[i]
	for f.open() && f.group.Desired+g.launched(i) < f.rules.Min && g.launched(i) < f.space() {
		if stop := f.stop(g.launched(i)); stop != "" {
			g.stopped[i] = stop
			return
		}
		zones := slices.DeleteFunc(f.emptiest(g.launch[i]), func(z string) bool { return g.launch[i][z] >= mostALaunch })
		if len(zones) == 0 {
			g.stopped[i] = f.closed()
			return
		}
		g.add(i, zones[0])
	}
}

// elsewhere says what a group waits for that has no part in what finds no
// place: its own hosts would do nothing for it, a host that plimsoll drained
// comes back, or another group's hosts are on their way.
func (g *growth) elsewhere() Reason {
	for _, why := range g.blocked {
		if why != HostSizeUnknown {
			return FitsNoHost
		}
	}
	switch {
	case g.unplaced == 0:
		return HostsSuffice
	case len(g.back) > 0:
		return HostNeeded
	}
	return HostsOnTheirWay
}

// changes are the launches of a fleet, one a zone, each from where the one
// before ends.
func (g *growth) changes(i int) []cluster.Change {
	var all []cluster.Change
	f := g.fleets[i]
	at := f.group.Desired
	for _, zone := range slices.Sorted(maps.Keys(g.launch[i])) {
		to := at + g.launch[i][zone]
		all = append(all, cluster.Change{
			Verb: cluster.LaunchHosts, Subject: cluster.GroupSubject(f.rules.Group), Zone: zone, From: at, To: to,
		})
		at = to
	}
	return all
}
