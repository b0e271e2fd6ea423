package plan

import "slices"

// candidates are the hosts that take a task of a kind, ready to give the one
// that ECS would choose. They form a tree: a branch for each value of the first
// attribute that tasks are spread over, within it one for each value of the
// second, and so on; the hosts are the leaves. Every node keeps what is below
// it in a heap, by the key of the best host. Placing a task changes one host
// and the counts of the groups that it is in, so only the nodes on the way to
// it are filed anew, and each is the first of its heap.
type candidates struct {
	r    *room
	k    *kind
	mine []held
	root *group
}

// group is a node of the tree: hosts with the same values of the attributes of
// the first byGroup levels.
type group struct {
	level   int               // of the attribute that its hosts share, in the kind's levels; -1: none
	count   int               // tasks of the service on its hosts, also those that take no more
	byValue map[string]*group // of the next attribute; nil where hosts follow
	groups  heap[*group]
	hosts   heap[entry]
	key     []int // what each level says of the best host, but 0 on those of the groups around, which all in a heap share; last its index
}

// entry is a host and what the levels that are its own say of it. There are
// three such measures, and each comes up once at most.
type entry struct {
	own  [3]int
	host int
}

// absent stands for the value of an attribute that a host does not have; no
// value can hold this byte.
const absent = "\x00"

func (r *room) candidates(k *kind, mine []held) *candidates {
	q := &candidates{r: r, k: k, mine: mine}
	q.root = q.group(-1)
	for i := range r.sites {
		r.work++
		if r.missing(k, i, mine[i]) == "" {
			q.file(i)
		}
	}
	for i, h := range mine {
		if h.all > 0 {
			q.count(i, h.all)
		}
	}
	q.order(q.root)
	return q
}

func (q *candidates) group(level int) *group {
	return &group{
		level:  level,
		groups: heap[*group]{work: &q.r.work, less: func(a, b *group) bool { return slices.Compare(a.key, b.key) < 0 }},
		hosts:  heap[entry]{work: &q.r.work, less: entry.less},
	}
}

// value is what host i has on a byGroup level.
func (q *candidates) value(i int, l level) string {
	if v, ok := q.r.sites[i].attribute(l.field); ok {
		return v
	}
	return absent
}

// file puts a host into its groups, which it makes where they are missing.
func (q *candidates) file(host int) {
	g := q.root
	for at, l := range q.k.levels {
		if l.by != byGroup {
			continue
		}
		v := q.value(host, l)
		next := g.byValue[v]
		if next == nil {
			if g.byValue == nil {
				g.byValue = map[string]*group{}
			}
			next = q.group(at)
			g.byValue[v] = next
			g.groups.items = append(g.groups.items, next)
		}
		g = next
	}
	g.hosts.items = append(g.hosts.items, q.entry(host))
}

// count adds tasks that are on a host already to its groups, where some host of
// them is a candidate.
func (q *candidates) count(host, tasks int) {
	g := q.root
	for _, l := range q.k.levels {
		if l.by != byGroup {
			continue
		}
		if g = g.byValue[q.value(host, l)]; g == nil {
			return
		}
		g.count += tasks
	}
}

// order makes the heaps from the leaves up.
func (q *candidates) order(g *group) {
	for _, below := range g.groups.items {
		q.order(below)
	}
	g.groups.order()
	g.hosts.order()
	q.rekey(g)
}

func (q *candidates) entry(host int) entry {
	e, n := entry{host: host}, 0
	for _, l := range q.k.levels {
		switch l.by {
		case byGroup:
			continue
		case byHost:
			e.own[n] = q.mine[host].all
		case byCPU:
			e.own[n] = q.r.free[host].CPU
		case byMemory:
			e.own[n] = q.r.free[host].Memory
		}
		n++
	}
	return e
}

func (e entry) less(f entry) bool {
	for i, v := range e.own {
		if v != f.own[i] {
			return v < f.own[i]
		}
	}
	return e.host < f.host
}

// rekey writes the group's key anew: that of the best below it, and its count.
func (q *candidates) rekey(g *group) {
	switch {
	case len(g.groups.items) > 0:
		g.key = append(g.key[:0], g.groups.items[0].key...)
	case len(g.hosts.items) > 0:
		g.key = q.keyOf(g.hosts.items[0], g.key[:0])
	default:
		return
	}
	if g.level >= 0 {
		g.key[g.level] = g.count
	}
}

func (q *candidates) keyOf(e entry, into []int) []int {
	own := 0
	for _, l := range q.k.levels {
		if l.by == byGroup {
			into = append(into, 0)
			continue
		}
		into = append(into, e.own[own])
		own++
	}
	return append(into, e.host)
}

// best is the host that ECS would choose.
func (q *candidates) best() (host int, ok bool) {
	g := q.root
	for len(g.groups.items) > 0 {
		g = g.groups.items[0]
	}
	if len(g.hosts.items) == 0 {
		return 0, false
	}
	return g.hosts.items[0].host, true
}

// placed tells that the best host took a task, and whether it takes no other.
func (q *candidates) placed(full bool) { q.within(q.root, full) }

// within passes on to the best host of a group that it took a task, and files
// anew what that changed. It says whether the group has no candidate any more.
func (q *candidates) within(g *group, full bool) (empty bool) {
	g.count++
	if len(g.groups.items) > 0 {
		g.groups.first(q.within(g.groups.items[0], full))
	} else {
		g.hosts.items[0] = q.entry(g.hosts.items[0].host)
		g.hosts.first(full)
	}
	q.rekey(g)
	return len(g.groups.items)+len(g.hosts.items) == 0
}

// heap is a binary heap that counts its comparisons.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	work  *int
}

// order makes a heap of items in any order.
func (h *heap[T]) order() {
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// down restores the order after item i grew.
func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		*h.work += 2
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[i]) {
			return
		}
		h.items[i], h.items[child] = h.items[child], h.items[i]
		i = child
	}
}

// first restores the order after the first item changed, or takes it away. An
// item that became less is first still.
func (h *heap[T]) first(remove bool) {
	if remove {
		h.pop()
		return
	}
	h.down(0)
}

// pop takes the first item away.
func (h *heap[T]) pop() {
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	h.items = h.items[:last]
	h.down(0)
}
