package plan

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// pack says how few empty hosts like offer could hold the tasks, were it free
// to choose: less than ECS's strategies need, which is what it is there to be
// compared with. Zones and strategies do not count; required attributes and
// constraints decide only whether a task may be on such a host. left are the
// wants whose tasks do not fit it.
//
// It fills one host as well as it can, the task that is hardest to place
// first, and repeats that filling while there are tasks enough. So the time
// grows with the kinds of task, not with their number. Several weightings of
// CPU against memory are tried; the fewest hosts win.
func pack(wants []want, offer cluster.Host) (hosts int, left []want) {
	p, left := packingOf(wants, offer)
	if len(p.items) == 0 {
		return 0, left
	}
	return p.hosts(), left
}

// packing is a set of items and the host that they shall go to.
type packing struct {
	items []item
	holds [2]int // what the host offers: CPU units, MiB
	alone int    // how many things there are that only one task a host may have
	work  int    // items looked at so far
}

// item is a number of identical tasks.
type item struct {
	size  [2]int // CPU units, MiB
	count int
	alone []int // what only one task a host may have: a static port, a distinctInstance service; by number
}

// packingOf reads the wants, and returns those that do not fit the host.
func packingOf(wants []want, offer cluster.Host) (*packing, []want) {
	p := &packing{holds: [2]int{offer.Registered.CPU, offer.Registered.Memory}}
	var left []want
	empty, numbers := &room{}, map[string]int{}
	for _, w := range wants {
		if w.Count <= 0 {
			continue
		}
		if ok, _ := empty.fits(w, offer); !ok {
			left = append(left, w)
			continue
		}
		it := item{count: w.Count, size: [2]int{max(0, w.Revision.Needs.CPU), max(0, w.Revision.Needs.Memory)}}
		for _, name := range aloneOf(kindOf(w)) {
			if _, known := numbers[name]; !known {
				numbers[name] = len(numbers)
			}
			it.alone = append(it.alone, numbers[name])
		}
		p.items = append(p.items, it)
	}
	p.alone = len(numbers)
	return p, left
}

func aloneOf(k *kind) []string {
	var names []string
	for _, port := range k.ports {
		names = append(names, protocol(port)+" "+strconv.Itoa(port.Number))
	}
	if k.distinct {
		names = append(names, "service "+k.service)
	}
	return names
}

// bound is a number of hosts below which nobody can hold the items: the sum of
// each resource, and the tasks that must be alone with regard to something.
func (p *packing) bound() int {
	least := 1
	alone := make([]int, p.alone)
	for _, it := range p.items {
		for _, a := range it.alone {
			alone[a] += it.count
			least = max(least, alone[a])
		}
	}
	for d, sum := range p.sums(nil) {
		if p.holds[d] > 0 {
			least = max(least, (sum+p.holds[d]-1)/p.holds[d])
		}
	}
	return least
}

// sums adds up what the items need; counts, where given, stands in for theirs.
func (p *packing) sums(counts []int) [2]int {
	var sum [2]int
	for i, it := range p.items {
		n := it.count
		if counts != nil {
			n = counts[i]
		}
		sum[0] += n * it.size[0]
		sum[1] += n * it.size[1]
	}
	return sum
}

const (
	packTries = 12        // weightings for a large number of tasks
	packMore  = 80        // and for a small one, where a single host more is a large part
	packSmall = 200       // tasks up to which a number is small
	packWork  = 2_000_000 // items looked at, after which no other weighting is tried
)

// hosts is how many hosts the items need with the best of the weightings.
func (p *packing) hosts() int {
	least, best := p.bound(), math.MaxInt
	for try := 0; try < p.tries() && best > least && (try == 0 || p.work < packWork); try++ {
		best = min(best, p.fill(weightingOf(try), best))
	}
	return best
}

func (p *packing) tries() int {
	n := 0
	for _, it := range p.items {
		n += it.count
	}
	if n <= packSmall {
		return packMore
	}
	return packTries
}

// weighting says what a filling is worth.
type weighting struct {
	exponent float64 // how much more the scarcer resource counts
	tilt     float64 // CPU against memory
	jitter   float64 // how much the worth of equal sizes differs by chance
	seed     uint64
	looks    int // items looked at for the filling of one host
}

// weightingOf is the weighting of a try: first the plain ones, later with
// chance in them, yet always the same. To look longer for a full host is not
// always better, since it uses up what would go well with the rest.
func weightingOf(try int) weighting {
	exponents, tilts, looks := []float64{1, 2, 4, 0}, []float64{1, 1.25, 0.8}, []int{0, 400, 2_000}
	w := weighting{exponent: exponents[try%4], tilt: tilts[try/4%3], seed: uint64(try), looks: looks[try%3]} //nolint:gosec // a try is counted from 0
	if try >= packTries {
		w.jitter = 0.05 * float64(1+try%8)
	}
	return w
}

// chance is a number in [0, 1) that depends on the seed and n only.
func (w weighting) chance(n int) float64 {
	x := (w.seed+1)*0x9E3779B97F4A7C15 ^ (uint64(n)+1)*0xBF58476D1CE4E5B9 //nolint:gosec // an index
	x = (x ^ x>>31) * 0x94D049BB133111EB
	return float64(x>>40) / (1 << 24)
}

// fill returns how many hosts the items need with one weighting; it gives up
// at enough.
func (p *packing) fill(w weighting, enough int) int {
	f := p.filler(w)
	hosts := 0
	for hosts < enough {
		f.weigh()
		if len(f.order) == 0 {
			break
		}
		f.search()
		f.topUp()
		times := math.MaxInt
		for i, n := range f.best {
			if n > 0 {
				times = min(times, f.counts[i]/n)
			}
		}
		for i, n := range f.best {
			f.counts[i] -= n * times
		}
		hosts += times
	}
	return min(hosts, enough)
}

// filler looks for the best filling of one host.
type filler struct {
	p      *packing
	w      weighting
	counts []int      // tasks that have no host yet, by item
	rate   [2]float64 // worth of a unit of each resource
	single []float64  // worth of each thing that only one task a host may have
	worth  []float64  // of one task, by item
	most   float64    // the largest factor that chance adds to a worth
	order  []int      // items with tasks left, those of the largest worth first
	free   [2]int
	taken  []bool // what only one task a host may have
	now    []int  // tasks on the host, by item
	best   []int
	value  float64 // of best
	open   float64 // worth of what no task on the host has taken
	looks  int     // at items that may still be made
}

func (p *packing) filler(w weighting) *filler {
	n := len(p.items)
	f := &filler{p: p, w: w, counts: make([]int, n), worth: make([]float64, n), single: make([]float64, p.alone), taken: make([]bool, p.alone), now: make([]int, n), best: make([]int, n)}
	for i, it := range p.items {
		f.counts[i] = it.count
	}
	return f
}

// weigh gives each resource, and each thing that only one task a host may
// have, a worth by the hosts that what is left needs for its sake; and orders
// the items.
func (f *filler) weigh() {
	f.rates()
	f.most = 1 + f.w.jitter
	f.order = f.order[:0]
	for i, it := range f.p.items {
		worth := float64(it.size[0])*f.rate[0] + float64(it.size[1])*f.rate[1]
		for _, a := range it.alone {
			worth += f.single[a]
		}
		f.worth[i] = worth * (1 + f.w.jitter*f.w.chance(i))
		if f.counts[i] > 0 {
			f.order = append(f.order, i)
		}
	}
	slices.SortStableFunc(f.order, func(a, b int) int { return cmp.Compare(f.worth[b], f.worth[a]) })
}

func (f *filler) rates() {
	for d, sum := range f.p.sums(f.counts) {
		f.rate[d] = 0
		if holds := float64(f.p.holds[d]); holds > 0 {
			f.rate[d] = math.Pow(float64(sum)/holds, f.w.exponent) / holds
		}
	}
	f.rate[0] *= f.w.tilt
	clear(f.single)
	for i, it := range f.p.items {
		for _, a := range it.alone {
			f.single[a] += float64(f.counts[i])
		}
	}
	for a, hosts := range f.single {
		if hosts > 0 {
			f.single[a] = math.Pow(hosts, f.w.exponent)
		}
	}
}

// search looks for the best filling that has one of the first item: the one
// that is hardest to place must go some time, and now there is most choice.
func (f *filler) search() {
	f.free, f.value, f.looks, f.open = f.p.holds, -1, f.w.looks, 0
	for _, worth := range f.single {
		f.open += worth
	}
	first := f.order[0]
	f.put(first, 1)
	f.counts[first]--
	f.match(f.worth[first])
	f.deepen(0, f.worth[first])
	f.counts[first]++
	f.put(first, -1)
	f.p.work += f.w.looks - f.looks
}

// match makes a first filling: again and again the task that goes best with
// what the host has left, needing much of what there is much of. Of tasks so
// small that a host holds very many, several at a time.
func (f *filler) match(value float64) {
	was := slices.Clone(f.now)
	for {
		i, n := f.fittest(was)
		if n == 0 {
			break
		}
		f.put(i, n)
		value += f.worth[i] * float64(n)
	}
	f.value = value
	copy(f.best, f.now)
	for i, n := range f.best {
		f.put(i, was[i]-n)
	}
}

// fittest is the item to put onto the host next, and how many tasks of it.
func (f *filler) fittest(was []int) (item, tasks int) {
	most := -1.0
	for _, i := range f.order {
		room := min(f.room(i), f.counts[i]-f.now[i]+was[i])
		if room <= 0 {
			continue
		}
		if fit := f.fit(i); fit > most {
			item, tasks, most = i, max(1, room/16), fit
		}
	}
	f.p.work += len(f.order)
	return item, tasks
}

// fit is the dot product of what a task needs and what the host has left.
func (f *filler) fit(i int) float64 {
	sum := 0.0
	for d, size := range f.p.items[i].size {
		if holds := float64(f.p.holds[d]); holds > 0 {
			sum += f.rate[d] * float64(size) * float64(f.free[d]) / holds
		}
	}
	for _, a := range f.p.items[i].alone {
		sum += f.single[a]
	}
	return sum
}

// topUp adds to the best filling what it still has room for: tasks that were
// worth too little to look at, or came after the last look.
func (f *filler) topUp() {
	for i, n := range f.best {
		f.put(i, n)
	}
	for _, i := range f.order {
		f.counts[i] -= f.best[i]
		more := f.room(i)
		f.counts[i] += f.best[i]
		f.put(i, more)
		f.best[i] += more
	}
	clear(f.now)
	clear(f.taken)
}

// deepen tries every number of the items from the at-th on, more before fewer,
// and turns back where even a host filled to the last unit were no better.
func (f *filler) deepen(at int, value float64) {
	if value > f.value {
		f.value = value
		copy(f.best, f.now)
	}
	for f.looks--; at < len(f.order) && f.room(f.order[at]) == 0; at++ {
		f.looks--
	}
	if at == len(f.order) {
		return
	}
	i := f.order[at]
	for n := f.room(i); n >= 0; n-- {
		if f.looks <= 0 || value+f.potential() <= f.value*(1+1e-9) {
			return
		}
		f.put(i, n)
		f.deepen(at+1, value+float64(n)*f.worth[i])
		f.put(i, -n)
	}
}

// potential is no less than the worth of anything that the host still takes.
func (f *filler) potential() float64 {
	return f.most * (float64(f.free[0])*f.rate[0] + float64(f.free[1])*f.rate[1] + f.open)
}

// room is how many more tasks of an item the host takes.
func (f *filler) room(i int) int {
	it, n := f.p.items[i], f.counts[i]
	for d, size := range it.size {
		if size > 0 {
			n = min(n, f.free[d]/size)
		}
	}
	for _, a := range it.alone {
		if f.taken[a] {
			return 0
		}
		n = min(n, 1)
	}
	return n
}

// put puts n tasks of an item on the host, or takes them away.
func (f *filler) put(i, n int) {
	f.now[i] += n
	for d, size := range f.p.items[i].size {
		f.free[d] -= n * size
	}
	for _, a := range f.p.items[i].alone {
		f.taken[a] = f.taken[a] != (n != 0)
		f.open -= float64(n) * f.single[a]
	}
}
