package plan

import (
	"slices"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// need is what one service wants a place for.
type need struct {
	z       *sizing
	want    want // without a count
	owed    int  // the desired count covers them already
	wish    int  // a raise of the desired count would start them
	room    int  // of the wish, placed now
	waiting bool // of owed and wish, some have no place now
}

// needsOf lists the services that want a place for tasks. One whose revision
// could not be read wants nothing: what it takes is unknown.
func needsOf(all []*sizing, revisions map[string]cluster.Revision) []*need {
	var out []*need
	for _, z := range all {
		minimum, maximum := percents(z.service, z.rules)
		n := &need{z: z, owed: owed(z.service, z.tally, minimum, maximum)}
		if z.steered {
			n.wish = max(0, z.wanted-z.service.Desired)
		}
		if n.owed+n.wish == 0 {
			continue
		}
		revision, known := revisions[z.service.Revision]
		if !known {
			z.hold = RevisionMissing
			continue
		}
		n.want = want{Service: z.service.Name, Revision: revision, Placement: z.service.Placement}
		out = append(out, n)
	}
	return out
}

// of is the need's want with a count.
func (n *need) of(count int) want {
	w := n.want
	w.Count = count
	return w
}

// fate tells of the tasks that the desired count has and ECS has not yet
// started, by a room that is all theirs: how many find no place, and how many do
// and so may start at any moment.
func (n *need) fate(r *room) (homeless, coming int) {
	if n == nil || n.owed == 0 {
		return 0, 0
	}
	v := n.z.service
	coming = r.clone().place(n.of(n.owed)).Placed
	return max(0, v.Desired-n.z.tally.there(v)-coming), coming
}

// share gives the room there is to what is owed, first, and then to wishes in
// turns, so that one large service does not starve the others.
func share(needs []*need, r *room) {
	most := 0
	for _, n := range needs {
		most = max(most, n.wish)
		if n.owed > 0 {
			n.waiting = r.place(n.of(n.owed)).Left > 0
		}
	}
	turn := max(1, most/10)
	for open := slices.Clone(needs); len(open) > 0; {
		open = slices.DeleteFunc(open, func(n *need) bool { return !n.takeTurn(r, turn) })
	}
}

// takeTurn places some of the wish and says whether to come back.
func (n *need) takeTurn(r *room, turn int) bool {
	count := min(turn, n.wish-n.room)
	if count <= 0 {
		return false
	}
	p := r.place(n.of(count))
	n.room += p.Placed
	n.waiting = n.waiting || p.Left > 0
	return p.Left == 0 && n.room < n.wish
}

// orders are those in which needs are tried: ECS's own is not known. As
// listed, largest tasks first, smallest first.
func orders(needs []*need) [][]*need {
	size := func(n *need) int { return n.want.Revision.Needs.CPU + n.want.Revision.Needs.Memory }
	down := slices.Clone(needs)
	slices.SortStableFunc(down, func(a, b *need) int { return size(b) - size(a) })
	up := slices.Clone(needs)
	slices.SortStableFunc(up, func(a, b *need) int { return size(a) - size(b) })
	return [][]*need{needs, down, up}
}

// placeAll places everything wanted and returns what is left, by need, and how
// many tasks found a place.
func placeAll(needs []*need, r *room) (left []int, placed int) {
	left = make([]int, len(needs))
	for i, n := range needs {
		p := r.place(n.of(n.owed + n.wish))
		left[i] = p.Left
		placed += p.Placed
	}
	return left, placed
}
