package plan

import "slices"

// candidates are the hosts that take a task of a kind, ready to give the one
// that ECS would choose. Hosts that share the values of every attribute that
// tasks are spread over form a cell: within it only what differs from host to
// host decides, so each cell keeps a heap of its hosts. Cells are in a heap too.
// Placing a task changes one host and the counts of its groups; counts only
// grow, so the key that a cell was filed under is never above its true one, and
// a cell is filed anew only when it comes up with an old key.
type candidates struct {
	r      *room
	k      *kind
	mine   []held
	cells  heap[*cell]
	groups map[string]*int // tasks of the service by the values of the first attributes
	key    []int           // room to make a key in
}

type cell struct {
	counts []*int // of its groups, one for each byGroup level
	hosts  heap[entry]
	key    []int // that it was filed under
}

// entry is a host and what the levels that are its own say of it. There are
// three such measures, and each comes up once at most.
type entry struct {
	own  [3]int
	host int
}

func (r *room) candidates(k *kind, mine []held) *candidates {
	q := &candidates{r: r, k: k, mine: mine, groups: map[string]*int{}}
	cells := map[string]*cell{}
	for i := range r.sites {
		r.work++
		if r.missing(k, i, mine[i]) == "" {
			q.file(cells, i)
		}
	}
	if len(cells) > 0 {
		q.count()
	}
	q.cells = heap[*cell]{work: &r.work, less: func(a, b *cell) bool { return slices.Compare(a.key, b.key) < 0 }}
	for _, c := range cells {
		c.hosts.order()
		c.key = q.keyOf(c, nil)
		q.cells.items = append(q.cells.items, c)
	}
	q.cells.order()
	return q
}

// file puts a host into its cell.
func (q *candidates) file(cells map[string]*cell, host int) {
	paths := q.paths(host)
	id := ""
	if len(paths) > 0 {
		id = paths[len(paths)-1]
	}
	c := cells[id]
	if c == nil {
		c = &cell{hosts: heap[entry]{work: &q.r.work, less: entry.less}}
		for _, path := range paths {
			if q.groups[path] == nil {
				q.groups[path] = new(int)
			}
			c.counts = append(c.counts, q.groups[path])
		}
		cells[id] = c
	}
	c.hosts.items = append(c.hosts.items, q.entry(host))
}

// count fills in the tasks that the groups hold already, on whatever host.
func (q *candidates) count() {
	for i, h := range q.mine {
		if h.all == 0 {
			continue
		}
		for _, path := range q.paths(i) {
			if n := q.groups[path]; n != nil {
				*n += h.all
			}
		}
	}
}

// paths names the groups that a host is in: one a byGroup level, each within
// the one before. Hosts without the attribute form a group of their own. The
// bytes 0 and 1 cannot be in an attribute's value.
func (q *candidates) paths(host int) []string {
	var all []string
	for _, l := range q.k.levels {
		if l.by != byGroup {
			continue
		}
		v, ok := q.r.sites[host].attribute(l.field)
		if !ok {
			v = "\x00"
		}
		if len(all) > 0 {
			v = all[len(all)-1] + "\x01" + v
		}
		all = append(all, v)
	}
	return all
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

// keyOf is what the levels say of a cell's best host, and last its index.
func (q *candidates) keyOf(c *cell, into []int) []int {
	best, group, own := c.hosts.items[0], 0, 0
	into = into[:0]
	for _, l := range q.k.levels {
		if l.by == byGroup {
			into = append(into, *c.counts[group])
			group++
			continue
		}
		into = append(into, best.own[own])
		own++
	}
	return append(into, best.host)
}

// best is the host that ECS would choose.
func (q *candidates) best() (host int, ok bool) {
	if len(q.cells.items) == 0 {
		return 0, false
	}
	for {
		c := q.cells.items[0]
		q.key = q.keyOf(c, q.key)
		if slices.Equal(q.key, c.key) {
			return c.hosts.items[0].host, true
		}
		c.key = append(c.key[:0], q.key...)
		q.cells.down(0)
	}
}

// placed tells that the best host took a task, and whether it takes no other.
func (q *candidates) placed(full bool) {
	c := q.cells.items[0]
	for _, n := range c.counts {
		*n++
	}
	if full {
		c.hosts.pop()
	} else {
		c.hosts.items[0] = q.entry(c.hosts.items[0].host)
		c.hosts.down(0)
	}
	if len(c.hosts.items) == 0 {
		q.cells.pop()
		return
	}
	c.key = q.keyOf(c, c.key)
	q.cells.down(0)
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

// pop takes the first item away.
func (h *heap[T]) pop() {
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	h.items = h.items[:last]
	h.down(0)
}
