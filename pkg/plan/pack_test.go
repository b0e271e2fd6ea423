package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

func anOffer(cpu, memory int) cluster.Host {
	return cluster.Host{Zone: "a", Type: "m5.xlarge", Registered: cluster.Resources{CPU: cpu, Memory: memory}}
}

func TestPack(t *testing.T) {
	distinct := cluster.Constraint{Type: "distinctInstance"}
	p80, p81 := cluster.Port{Number: 80}, cluster.Port{Number: 81}
	taken := anOffer(4096, 8192)
	taken.TakenPorts = []cluster.Port{p81}
	tests := []struct {
		name  string
		wants []want
		offer cluster.Host
		hosts int
		left  int // wants that do not fit
	}{
		{"nothing needs no host", nil, anOffer(4096, 8192), 0, 0},
		{"no tasks need no host", []want{web(0)}, anOffer(4096, 8192), 0, 0},
		{"as many as fit on one host", []want{web(4)}, anOffer(4096, 8192), 1, 0},
		{"one more than fits on one host", []want{web(5)}, anOffer(4096, 8192), 2, 0},
		{"tasks that leave the resource which others need share a host", []want{web(2).needing(4000, 100), web(2).needing(96, 8000)}, anOffer(4096, 8192), 2, 0},
		{
			"halves and thirds: largest first needs three hosts, two will do",
			[]want{web(2).needing(3, 0), web(4).needing(2, 0), web(1).needing(6, 0), web(2).needing(3, 0)},
			anOffer(13, 1), 2, 0,
		},
		{"a static port takes a host each", []want{web(3).needing(1, 1).on(p80)}, anOffer(4096, 8192), 3, 0},
		{"different ports share hosts", []want{web(3).needing(1, 1).on(p80), web(3).needing(1, 1).on(cluster.Port{Number: 82})}, anOffer(4096, 8192), 3, 0},
		{"the agent's own port is nobody's", []want{web(3).on(p81), web(1)}, taken, 1, 1},
		{"distinctInstance takes a host each", []want{web(5).needing(1, 1).under(distinct)}, anOffer(4096, 8192), 5, 0},
		{
			"two revisions of a distinctInstance service are one service",
			[]want{web(2).needing(1, 1).under(distinct), web(3).needing(2, 2).under(distinct)},
			anOffer(4096, 8192), 5, 0,
		},
		{"larger than the host", []want{web(3).needing(4097, 1), web(3)}, anOffer(4096, 8192), 1, 1},
		{"not allowed on the host", []want{web(3).under(memberOf("attribute:ecs.instance-type == x"))}, anOffer(4096, 8192), 0, 1},
		{"tasks that need nothing need one host", []want{web(3).needing(0, 0)}, anOffer(4096, 8192), 1, 0},
	}
	for _, tt := range tests {
		if hosts, left := pack(tt.wants, tt.offer); hosts != tt.hosts || len(left) != tt.left {
			t.Errorf("%s: %d hosts and %d left, want %d and %d", tt.name, hosts, len(left), tt.hosts, tt.left)
		}
	}
}

// optimum is the fewest hosts by trying everything: each task on each host that
// is open, or on a new one.
func optimum(p *packing) int {
	var tasks []int
	for i, it := range p.items {
		for range it.count {
			tasks = append(tasks, i)
		}
	}
	o := &optimal{p: p, tasks: tasks, best: len(tasks) + 1, least: p.bound()}
	o.deepen(0)
	return o.best
}

type optimal struct {
	p     *packing
	tasks []int
	hosts []*filler
	least int
	best  int
}

func (o *optimal) deepen(at int) {
	if len(o.hosts) >= o.best || o.best == o.least {
		return
	}
	if at == len(o.tasks) {
		o.best = len(o.hosts)
		return
	}
	i := o.tasks[at]
	for _, h := range o.hosts {
		if h.room(i) > 0 {
			h.put(i, 1)
			o.deepen(at + 1)
			h.put(i, -1)
		}
	}
	fresh := o.p.filler(weighting{})
	fresh.free = o.p.holds
	fresh.put(i, 1)
	o.hosts = append(o.hosts, fresh)
	o.deepen(at + 1)
	o.hosts = o.hosts[:len(o.hosts)-1]
}

// few is some tasks that a host of 20 by 20 holds a few of; some are alone.
func few(random *rand.Rand, tasks int) []want {
	var wants []want
	for tasks > 0 {
		w := web(1+random.IntN(min(3, tasks))).needing(1+random.IntN(12), 1+random.IntN(12))
		tasks -= w.Count
		switch random.IntN(10) {
		case 0:
			w = w.on(cluster.Port{Number: 80})
		case 1:
			w = w.under(cluster.Constraint{Type: "distinctInstance"})
		}
		wants = append(wants, w)
	}
	return wants
}

func TestPackAgainstTheOptimum(t *testing.T) {
	const cases = 3_000
	random := rand.New(rand.NewPCG(1, 2))
	offer, equal, hosts, fewest := anOffer(20, 20), 0, 0, 0
	for range cases {
		wants := few(random, 1+random.IntN(10))
		p, _ := packingOf(wants, offer)
		got, _ := pack(wants, offer)
		want := optimum(p)
		if got < want || want < p.bound() || got > want+1 {
			t.Fatalf("%d hosts, %d is the optimum, %d the bound: %+v", got, want, p.bound(), p.items)
		}
		hosts, fewest = hosts+got, fewest+want
		if got == want {
			equal++
		}
	}
	ratio := float64(hosts) / float64(fewest)
	t.Logf("%d of %d cases at the optimum, %.4f of its hosts", equal, cases, ratio)
	if equal*1000 < cases*999 || ratio > 1.002 {
		t.Errorf("%d of %d cases at the optimum, want 99.9%%; %.4f of its hosts", equal, cases, ratio)
	}
}

// mixed is n tasks of 40 kinds, 100-1,500 CPU units and 100-4,096 MiB.
func mixed(n int, seed uint64) []want {
	random := rand.New(rand.NewPCG(seed, 1))
	all := make([]want, 40)
	for i := range all {
		all[i] = web(0).needing(100+random.IntN(1401), 100+random.IntN(3997))
	}
	for range n {
		all[random.IntN(len(all))].Count++
	}
	return all
}

func TestPackIsNearTheBound(t *testing.T) {
	for _, offer := range []cluster.Host{anOffer(4096, 8192), anOffer(4096, 15_800), anOffer(8192, 15_800)} {
		for _, n := range []int{40, 100, 1_000, 5_000, 50_000} {
			hosts, bounds, worst := 0, 0, 0.0
			for seed := range uint64(5) {
				wants := mixed(n, seed)
				p, _ := packingOf(wants, offer)
				got, left := pack(wants, offer)
				if bound := p.bound(); got < bound || len(left) > 0 {
					t.Fatalf("%d hosts, %d is the bound, %d do not fit", got, bound, len(left))
				}
				hosts, bounds = hosts+got, bounds+p.bound()
				worst = max(worst, float64(got)/float64(p.bound()))
			}
			ratio := float64(hosts) / float64(bounds)
			t.Logf("%+v, %d tasks: %.3f of the bound, at worst %.3f", offer.Registered, n, ratio, worst)
			if ratio > 1.015 || worst > 1.025 {
				t.Errorf("%+v, %d tasks: %.3f of the bound, at worst %.3f", offer.Registered, n, ratio, worst)
			}
		}
	}
}

// TestNoFillingLeavesWhatFits holds for any number of looks: a filling that
// was found when the looks ran out is filled up.
func TestNoFillingLeavesWhatFits(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 2_000 {
		p, _ := packingOf(append(few(random, 1+random.IntN(20)), web(3).needing(0, 0)), anOffer(20, 20))
		f := p.filler(weighting{exponent: 1, tilt: 1, looks: n % 12})
		f.weigh()
		f.search()
		f.topUp()
		best := slices.Clone(f.best)
		f.free = p.holds
		for i, n := range best {
			f.put(i, n)
		}
		if f.free[0] < 0 || f.free[1] < 0 {
			t.Fatalf("%v of %+v is too much", best, p.items)
		}
		for i := range p.items {
			if best[i] > p.items[i].count || best[i] < p.items[i].count && f.room(i) > 0 {
				t.Fatalf("%v of %+v: item %d has room for more", best, p.items, i)
			}
		}
	}
}

// TestPackWorkGrowsWithKindsNotTasks counts looks at items instead of seconds.
func TestPackWorkGrowsWithKindsNotTasks(t *testing.T) {
	work := map[int]int{}
	for _, n := range []int{5_000, 50_000, 5_000_000} {
		p, _ := packingOf(mixed(n, 1), anOffer(4096, 15_800))
		p.hosts()
		work[n] = p.work
	}
	t.Log(work)
	if work[5_000_000] > 2*work[5_000] || work[50_000] > 2*work[5_000] {
		t.Errorf("looks by number of tasks: %v", work)
	}
	var wants []want
	for i := range 1_000 { // as many kinds as tasks, all alone with regard to themselves
		w := web(1).needing(100+i, 4000-i*3).under(cluster.Constraint{Type: "distinctInstance"})
		w.Service = fmt.Sprint(i)
		wants = append(wants, w)
	}
	p, _ := packingOf(wants, anOffer(4096, 15_800))
	if hosts, bound := p.hosts(), p.bound(); p.work > 4*packWork || hosts*100 > bound*106 {
		t.Errorf("%d looks for a thousand kinds, %d hosts of %d", p.work, hosts, bound)
	}
}

func BenchmarkPack(b *testing.B) {
	for _, n := range []int{100, 5_000, 50_000} {
		b.Run(fmt.Sprint(n, " tasks of 40 kinds"), func(b *testing.B) {
			wants := mixed(n, 1)
			b.ReportAllocs()
			for b.Loop() {
				pack(wants, anOffer(4096, 15_800))
			}
		})
	}
}
