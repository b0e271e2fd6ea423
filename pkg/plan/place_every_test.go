package plan

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// TestPlaceEverySmallCase walks every cluster of up to three hosts, each of
// four sizes, in two zones, with every strategy and constraint, and holds the
// promises of checkPlacement after each of two kinds of task.
func TestPlaceEverySmallCase(t *testing.T) {
	sizes := []cluster.Resources{{CPU: 0, Memory: 4}, {CPU: 2, Memory: 1}, {CPU: 2, Memory: 3}, {CPU: 5, Memory: 4}}
	n := 0
	for hosts := range 4 {
		for code := range power(8, hosts) {
			var s cluster.State
			for i := range hosts {
				c := code / power(8, i) % 8
				h := aHost(fmt.Sprint(i), inZone(string("ab"[c/4])))
				h.Remaining, h.Registered = sizes[c%4], sizes[3]
				s.Hosts = append(s.Hosts, h)
			}
			for _, w := range smallWants() {
				n++
				checkPlacement(t, s, w)
			}
		}
	}
	t.Logf("%d placements", n)
}

func power(b, e int) int {
	n := 1
	for range e {
		n *= b
	}
	return n
}

func smallWants() []want {
	var all []want
	for _, strategies := range [][]cluster.Strategy{
		nil,
		{spread("host")},
		{binpack("memory")},
		{spread("attribute:ecs.availability-zone"), binpack("cpu")},
		{binpack("cpu"), spread("attribute:ecs.availability-zone")},
		{{Type: "random"}},
	} {
		for _, count := range []int{1, 2, 3, 9} {
			w := web(count, strategies...).needing(1, 1)
			all = append(all, w, w.needing(2, 1), w.under(cluster.Constraint{Type: "distinctInstance"}), w.on(cluster.Port{Number: 80}))
		}
	}
	return all
}

func checkPlacement(t interface {
	Helper()
	Fatalf(string, ...any)
}, s cluster.State, w want,
) {
	t.Helper()
	r := newRoom(s)
	slow := r.clone()
	p, reference := r.place(w), naive(slow, w)
	if !maps.Equal(p.Hosts, reference.Hosts) {
		t.Fatalf("%+v on %+v:\nplaced %v\n naive %v", w, s.Hosts, p.Hosts, reference.Hosts)
	}
	one := len(w.Revision.Ports) > 0
	for _, c := range w.Placement.Constraints {
		one = one || c.Type == "distinctInstance"
	}
	room := 0
	for i, h := range s.Hosts {
		n := p.Hosts[i]
		needs := cluster.Resources{CPU: n * w.Revision.Needs.CPU, Memory: n * w.Revision.Needs.Memory}
		if n > 0 && (!h.Remaining.Holds(needs) || !h.Usable()) || one && n > 1 {
			t.Fatalf("%d tasks of %+v on %+v", n, w, h)
		}
		if r.left(i) != h.Remaining.Sub(needs) {
			t.Fatalf("%+v is left of %+v after %d tasks of %+v", r.left(i), h, n, w)
		}
		if needs = needs.Add(w.Revision.Needs); h.Remaining.Holds(needs) && h.Usable() && (!one || n == 0) {
			room++
		}
	}
	if plain := len(w.Placement.Constraints) == 0 || one; p.Left > 0 && room > 0 && plain && len(s.Tasks) == 0 {
		t.Fatalf("%d tasks of %+v are left and %d hosts have room: %+v", p.Left, w, room, s.Hosts)
	}
	why := 0
	for c, n := range p.Why {
		if c == "" {
			t.Fatalf("%d tasks of %+v are left though %d hosts miss nothing: %+v", p.Left, w, n, s.Hosts)
		}
		why += n
	}
	if p.Left > 0 && why != len(s.Hosts) {
		t.Fatalf("%v explains %d hosts of %d", p.Why, why, len(s.Hosts))
	}
}

func TestAnotherHostNeverLowersWhatIsPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := drawState(t), drawWant(t)
		fewer, more := newRoom(s), newRoom(s)
		more.add(aHost("new", inZone(rapid.SampledFrom([]string{"a", "d"}).Draw(t, "new zone"))))
		if a, b := fewer.place(w), more.place(w); b.Placed < a.Placed {
			t.Fatalf("%d placed, and %d with one host more", a.Placed, b.Placed)
		}
	})
}

// TestRoomIsNeverOverCommitted places kinds one after another and adds up.
func TestRoomIsNeverOverCommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		r := newRoom(s)
		ports, distinct := map[int]int{}, map[string]int{}
		for _, task := range s.Tasks {
			if !task.Stopping() {
				distinct[task.Service+" on "+task.Host]++
			}
		}
		for i, h := range s.Hosts {
			ports[i] = len(h.TakenPorts)
		}
		for range 4 {
			w := drawWant(t)
			for i, n := range r.place(w).Hosts {
				key := w.Service + " on " + r.host(i).ARN
				distinct[key] += n
				ports[i] += n * len(w.Revision.Ports)
				if left := r.left(i); left.CPU < 0 || left.Memory < 0 || ports[i] > 1 {
					t.Fatalf("host %d: %+v is left, port 80 is taken %d times", i, left, ports[i])
				}
				if kindOf(w).distinct && distinct[key] > 1 {
					t.Fatalf("%d tasks of %s", distinct[key], key)
				}
			}
		}
	})
}

// crowd is 40 kinds of task and hosts for them: the sizes of a large cluster.
func crowd(hosts, running, wanted int) (cluster.State, []want) {
	var s cluster.State
	for i := range hosts {
		s.Hosts = append(s.Hosts, aHost(fmt.Sprintf("h%05d", i), inZone(string("abc"[i%3])), leaving(1000+i%7*400, 2000+i%11*500)))
	}
	for i := range running {
		s.Tasks = append(s.Tasks, cluster.Task{Service: fmt.Sprint("s", i%40), Host: s.Hosts[i*7%hosts].ARN})
	}
	orders := [][]cluster.Strategy{nil, {binpack("memory")}, {spread("host")}, {spread("attribute:ecs.availability-zone"), binpack("cpu")}, {binpack("cpu"), spread("host")}}
	var all []want
	for i := range 40 {
		w := web(wanted/40, orders[i%len(orders)]...).needing(100+i*35, 100+i*i*2)
		w.Service = fmt.Sprint("s", i)
		all = append(all, w)
	}
	return s, all
}

// TestPlaceStepsGrowGently counts steps (hosts looked at, comparisons in
// heaps): a bound on the clock would fail on a busy machine.
func TestPlaceStepsGrowGently(t *testing.T) {
	for _, running := range []int{0, 50_000} {
		s, wants := crowd(5_000, running, 50_000)
		r := newRoom(s)
		placed, left := 0, 0
		for _, w := range wants {
			p := r.place(w)
			placed += p.Placed
			left += p.Left
		}
		// 40 looks at 5,000 hosts before and after, heaps of them, and at
		// most 2·log2(5,000) comparisons a task; one at a time would be 250
		// million looks.
		if bound := 40*5_000*4 + 50_000*30; r.work > bound {
			t.Errorf("%d steps for %d tasks placed and %d left, more than %d", r.work, placed, left, bound)
		}
		t.Logf("%d running: %d placed, %d left, %d steps", running, placed, left, r.work)
	}
}

// TestManyGroupsCostLittleMore spreads over zones and then over 1,000 racks:
// each task makes the keys of a whole zone old.
func TestManyGroupsCostLittleMore(t *testing.T) {
	s, _ := crowd(5_000, 0, 0)
	for i := range s.Hosts {
		marked("rack", fmt.Sprint(i%1_000))(&s.Hosts[i])
	}
	r := newRoom(s)
	w := web(5_000, spread("attribute:ecs.availability-zone"), spread("attribute:rack"), binpack("cpu")).needing(100, 100)
	p := r.place(w)
	racks := map[string]int{}
	for i, n := range p.Hosts {
		racks[r.host(i).Zone+r.host(i).Attributes["rack"]] += n
	}
	for rack, n := range racks {
		if n > 2 {
			t.Errorf("%d tasks on rack %s, 5,000 tasks on 3,000 racks", n, rack)
		}
	}
	t.Logf("%d steps, %d racks used", r.work, len(racks))
	if r.work > 500_000 { // looking at each host for each task would be 25 million
		t.Errorf("%d steps", r.work)
	}
}

func BenchmarkPlace5000x50000(b *testing.B) {
	s, wants := crowd(5_000, 50_000, 50_000)
	b.ReportAllocs()
	for b.Loop() {
		r := newRoom(s)
		for _, w := range wants {
			r.place(w)
		}
	}
}

func BenchmarkPlace5000x50000NothingFits(b *testing.B) {
	s, wants := crowd(5_000, 50_000, 50_000)
	for i := range s.Hosts {
		s.Hosts[i].Remaining = cluster.Resources{}
	}
	b.ReportAllocs()
	for b.Loop() {
		r := newRoom(s)
		for _, w := range wants {
			r.place(w)
		}
	}
}

func BenchmarkClone5000(b *testing.B) {
	s, _ := crowd(5_000, 50_000, 0)
	r := newRoom(s)
	b.ReportAllocs()
	for b.Loop() {
		r.clone()
	}
}
