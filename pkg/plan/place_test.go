package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// aHost is a usable, empty host of zone a with 4 vCPU and 8 GiB.
func aHost(name string, change ...func(*cluster.Host)) cluster.Host {
	h := cluster.Host{
		ARN: name, ID: "i-" + name, Zone: "a", Type: "m5.xlarge", Status: cluster.HostActive, AgentConnected: true,
		Registered: cluster.Resources{CPU: 4096, Memory: 8192}, Attributes: map[string]string{"ecs.os-type": "linux"},
	}
	h.Remaining = h.Registered
	for _, c := range change {
		c(&h)
	}
	return h
}

func inZone(z string) func(*cluster.Host) { return func(h *cluster.Host) { h.Zone = z } }

func leaving(cpu, memory int) func(*cluster.Host) {
	return func(h *cluster.Host) { h.Remaining = cluster.Resources{CPU: cpu, Memory: memory} }
}

func marked(name, value string) func(*cluster.Host) {
	return func(h *cluster.Host) {
		h.Attributes = maps.Clone(h.Attributes)
		h.Attributes[name] = value
	}
}

func taking(p ...cluster.Port) func(*cluster.Host) {
	return func(h *cluster.Host) { h.TakenPorts = p }
}

func counting(running, pending int) func(*cluster.Host) {
	return func(h *cluster.Host) { h.Running, h.Pending = running, pending }
}

// webTasks are tasks of the service web on the named hosts; a name that begins
// with - is of one that is stopping.
func webTasks(hosts ...string) []cluster.Task {
	var all []cluster.Task
	for i, h := range hosts {
		t := cluster.Task{ARN: fmt.Sprint("t", i), Service: "web", Host: h, Wanted: cluster.TaskRunning}
		if h[0] == '-' {
			t.Host, t.Wanted = h[1:], cluster.TaskStopped
		}
		all = append(all, t)
	}
	return all
}

func spread(field string) cluster.Strategy { return cluster.Strategy{Type: "spread", Field: field} }
func binpack(field string) cluster.Strategy {
	return cluster.Strategy{Type: "binpack", Field: field}
}

func memberOf(e string) cluster.Constraint {
	return cluster.Constraint{Type: "memberOf", Expression: e}
}

// web wants n tasks of the service web, each of one vCPU and 1 GiB.
func web(n int, strategies ...cluster.Strategy) want {
	return want{
		Service: "web", Count: n, Revision: cluster.Revision{Needs: cluster.Resources{CPU: 1024, Memory: 1024}},
		Placement: cluster.Placement{Strategies: strategies},
	}
}

func (w want) under(c ...cluster.Constraint) want {
	w.Placement.Constraints = c
	return w
}

func (w want) requiring(names ...string) want {
	w.Revision.Attributes = names
	return w
}

func (w want) on(ports ...cluster.Port) want {
	w.Revision.Ports = ports
	return w
}

func (w want) needing(cpu, memory int) want {
	w.Revision.Needs = cluster.Resources{CPU: cpu, Memory: memory}
	return w
}

func TestPlace(t *testing.T) {
	zone := "attribute:ecs.availability-zone"
	p80 := cluster.Port{Number: 80, Protocol: "tcp"}
	distinct := cluster.Constraint{Type: "distinctInstance"}
	tests := []struct {
		name  string
		hosts []cluster.Host
		tasks []cluster.Task
		want  want
		on    []int // tasks placed, by host
		why   whyNot
	}{
		{
			"by default a service is spread over zones, then over hosts",
			[]cluster.Host{aHost("0"), aHost("1"), aHost("2"), aHost("3", inZone("b"))},
			nil, web(6),
			[]int{1, 1, 1, 3},
			nil,
		},
		{
			"the default sees the tasks that are there",
			[]cluster.Host{aHost("0"), aHost("1", inZone("b")), aHost("2", inZone("b"))},
			webTasks("0", "0", "1"), web(2),
			[]int{0, 1, 1},
			nil,
		},
		{
			"a stopping task counts where tasks are spread",
			[]cluster.Host{aHost("0"), aHost("1")},
			webTasks("-0"), web(1),
			[]int{0, 1},
			nil,
		},
		{
			"tasks on a host that is draining count for its zone",
			[]cluster.Host{aHost("0", func(h *cluster.Host) { h.Status = cluster.HostDraining }), aHost("1"), aHost("2", inZone("b"))},
			webTasks("0"),
			web(1),
			[]int{0, 0, 1},
			nil,
		},
		{
			"a full zone does not hold up the others",
			[]cluster.Host{aHost("0", leaving(0, 0)), aHost("1", inZone("b"))},
			nil, web(3),
			[]int{0, 3},
			nil,
		},
		{
			"spread over zones alone fills the zone with the fewest tasks",
			[]cluster.Host{aHost("0"), aHost("1", inZone("b"))},
			webTasks("0", "0"), web(3, spread(zone)),
			[]int{1, 2},
			nil,
		},
		{
			"spread over instances does not look at zones",
			[]cluster.Host{aHost("0"), aHost("1"), aHost("2", inZone("b"))},
			webTasks("2"), web(2, spread("instanceId")),
			[]int{1, 1, 0},
			nil,
		},
		{
			"host means instanceId",
			[]cluster.Host{aHost("0"), aHost("1")},
			webTasks("0", "0"), web(2, spread("host")),
			[]int{0, 2},
			nil,
		},
		{
			"spread over an attribute of one's own",
			[]cluster.Host{aHost("0", marked("rack", "x")), aHost("1", marked("rack", "x")), aHost("2", marked("rack", "y"))},
			nil,
			web(4, spread("attribute:rack")),
			[]int{1, 1, 2},
			nil,
		},
		{
			"hosts without the attribute are one group",
			[]cluster.Host{aHost("0", marked("rack", "x")), aHost("1"), aHost("2")},
			nil, web(4, spread("attribute:rack")),
			[]int{2, 1, 1},
			nil,
		},
		{
			"spread over racks within each zone",
			[]cluster.Host{aHost("0", marked("rack", "x")), aHost("1", marked("rack", "y")), aHost("2", inZone("b"), marked("rack", "x"))},
			webTasks("2", "2", "0"), web(1, spread(zone), spread("attribute:rack")),
			[]int{0, 1, 0},
			nil,
		},
		{
			"binpack on memory takes the host with the least memory that still fits",
			[]cluster.Host{aHost("0"), aHost("1", leaving(4096, 1000)), aHost("2", leaving(4096, 2048))},
			nil, web(3, binpack("MEMORY")),
			[]int{1, 0, 2},
			nil,
		},
		{
			"binpack on CPU looks at CPU, not at memory",
			[]cluster.Host{aHost("0", leaving(3072, 1024)), aHost("1", leaving(2048, 8192))},
			nil, web(2, binpack("cpu")),
			[]int{0, 2},
			nil,
		},
		{
			"spread over zones, and pack within each",
			[]cluster.Host{aHost("0"), aHost("1", leaving(4096, 2048)), aHost("2", inZone("b")), aHost("3", inZone("b"), leaving(4096, 1024))},
			nil,
			web(4, spread(zone), binpack("memory")),
			[]int{0, 2, 1, 1},
			nil,
		},
		{
			"pack, and among equals spread over hosts",
			[]cluster.Host{aHost("0"), aHost("1")},
			webTasks("0"), web(1, binpack("memory"), spread("host")),
			[]int{0, 1},
			nil,
		},
		{
			"a random choice needs room only",
			[]cluster.Host{aHost("0", leaving(1024, 512)), aHost("1")},
			nil, web(4, cluster.Strategy{Type: "random"}),
			[]int{0, 4},
			nil,
		},
		{
			"after random no other strategy has a say",
			[]cluster.Host{aHost("0"), aHost("1", leaving(4096, 2048))},
			nil, web(1, cluster.Strategy{Type: "random"}, binpack("memory")),
			[]int{1, 0},
			nil,
		},
		{
			"a strategy nobody knows forbids nothing",
			[]cluster.Host{aHost("0")},
			nil, web(2, cluster.Strategy{Type: "magic"}),
			[]int{2},
			nil,
		},
		{
			"tasks of no service spread over no zones",
			[]cluster.Host{aHost("0"), aHost("1"), aHost("2", inZone("b"))},
			nil, func() want { w := web(2); w.Service = ""; return w }(),
			[]int{1, 1, 0},
			nil,
		},

		{"too little CPU", []cluster.Host{aHost("0", leaving(1023, 8192))}, nil, web(1), []int{0}, whyNot{causeCPU: 1}},
		{"too little memory", []cluster.Host{aHost("0", leaving(4096, 1023))}, nil, web(1), []int{0}, whyNot{causeMemory: 1}},
		{
			"what is left says what was missing on each host afterwards",
			[]cluster.Host{aHost("0"), aHost("1", leaving(4096, 1024))},
			nil, web(7),
			[]int{4, 1},
			whyNot{causeCPU: 1, causeMemory: 1},
		},
		{
			"a static port is taken once a host",
			[]cluster.Host{aHost("0"), aHost("1")},
			nil, web(3).on(p80),
			[]int{1, 1},
			whyNot{causePorts: 2},
		},
		{
			"a port that is taken already",
			[]cluster.Host{aHost("0", taking(p80)), aHost("1")},
			nil, web(1, binpack("cpu")).on(p80),
			[]int{0, 1},
			nil,
		},
		{
			"the same number of the other protocol is another port",
			[]cluster.Host{aHost("0", taking(cluster.Port{Number: 80, Protocol: "udp"}))},
			nil, web(1).on(p80),
			[]int{1},
			nil,
		},
		{
			"a required attribute",
			[]cluster.Host{aHost("0"), aHost("1", marked("gpu", ""))},
			nil, web(1).requiring("gpu"),
			[]int{0, 1},
			nil,
		},
		{"no host has the required attribute", []cluster.Host{aHost("0")}, nil, web(1).requiring("gpu"), []int{0}, whyNot{causeAttribute: 1}},
		{
			"distinctInstance: one task of the service a host",
			[]cluster.Host{aHost("0"), aHost("1"), aHost("2")},
			webTasks("1"), web(3).under(distinct),
			[]int{1, 0, 1},
			whyNot{causeDistinct: 3},
		},
		{
			"distinctInstance looks at the desired status: a stopping task is in nobody's way",
			[]cluster.Host{aHost("0")},
			webTasks("-0"), web(2).under(distinct),
			[]int{1},
			whyNot{causeDistinct: 1},
		},
		{
			"memberOf keeps tasks to the hosts it names",
			[]cluster.Host{aHost("0"), aHost("1", marked("stack", "prod"))},
			nil, web(3).under(memberOf("attribute:stack == prod")),
			[]int{0, 3},
			nil,
		},
		{
			"memberOf that no host satisfies",
			[]cluster.Host{aHost("0")},
			nil, web(1).under(memberOf("attribute:ecs.availability-zone == b")),
			[]int{0},
			whyNot{causeConstraint: 1},
		},
		{
			"memberOf in the revision binds as well",
			[]cluster.Host{aHost("0"), aHost("1", inZone("b"))},
			nil,
			func() want {
				w := web(5)
				w.Revision.Constraints = []cluster.Constraint{memberOf(zone + " == b")}
				return w
			}(),
			[]int{0, 4},
			whyNot{causeConstraint: 1, causeCPU: 1},
		},
		{
			"an expression that is not understood is not yes",
			[]cluster.Host{aHost("0")},
			nil, web(1).under(memberOf("task:group == service:db")),
			[]int{0},
			whyNot{causeNotUnderstood: 1},
		},
		{
			"a constraint of an unknown type is not understood",
			[]cluster.Host{aHost("0")},
			nil, web(1).under(cluster.Constraint{Type: "new"}),
			[]int{0},
			whyNot{causeNotUnderstood: 1},
		},
		{
			"a bound on running tasks counts the tasks as they are placed",
			[]cluster.Host{aHost("0", counting(1, 0)), aHost("1")},
			nil, web(4).under(memberOf("runningTasksCount < 2")),
			[]int{1, 2},
			whyNot{causeConstraint: 2},
		},
		{
			"a task that starts does not run yet",
			[]cluster.Host{aHost("0", counting(0, 1))},
			nil, web(1).under(memberOf("runningTasksCount >= 1")),
			[]int{0},
			whyNot{causeConstraint: 1},
		},
		{
			"hosts that are draining or without agent are no room",
			[]cluster.Host{aHost("0", func(h *cluster.Host) { h.Status = cluster.HostDraining }), aHost("1", func(h *cluster.Host) { h.AgentConnected = false })},
			nil, web(1),
			[]int{0, 0},
			whyNot{causeDraining: 1, causeAgent: 1},
		},
		{"no hosts at all", nil, nil, web(2), nil, whyNot{}},
		{"nothing is wanted", []cluster.Host{aHost("0")}, nil, web(0), []int{0}, nil},
		{"less than nothing is wanted", []cluster.Host{aHost("0")}, nil, web(-1), []int{0}, nil},
		{"a host that is over-committed offers nothing", []cluster.Host{aHost("0", leaving(-5, 9))}, nil, web(1).needing(0, 0), []int{0}, whyNot{causeCPU: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoom(cluster.State{Hosts: tt.hosts, Tasks: tt.tasks})
			p := r.place(tt.want)
			on := make([]int, len(tt.hosts))
			placed := 0
			for i, n := range p.Hosts {
				on[i] = n
				placed += n
			}
			if !slices.Equal(on, tt.on) || !maps.Equal(p.Why, tt.why) || (p.Why == nil) != (p.Left == 0) {
				t.Errorf("placed on %v, left %d because of %v\n     want %v because of %v", on, p.Left, p.Why, tt.on, tt.why)
			}
			if placed != p.Placed || p.Placed+p.Left != max(0, tt.want.Count) {
				t.Errorf("%d placed, %d on hosts, %d left of %d", p.Placed, placed, p.Left, tt.want.Count)
			}
		})
	}
}

func TestFits(t *testing.T) {
	offer := cluster.Host{Registered: cluster.Resources{CPU: 1024, Memory: 1024}, Zone: "a", Type: "t3.small"}
	tests := []struct {
		name string
		want want
		why  cause
	}{
		{"exactly as large as the host", web(1), ""},
		{"larger than any host", web(1).needing(1025, 1), causeCPU},
		{"zone and type stand in for the built-in attributes", web(1).requiring("ecs.instance-type", "ecs.availability-zone"), ""},
		{"an attribute that the host will not have", web(1).requiring("gpu"), causeAttribute},
		{"a constraint on the type", web(1).under(memberOf("attribute:ecs.instance-type =~ t2.*")), causeConstraint},
		{"an empty host has no task of the service", web(1).under(cluster.Constraint{Type: "distinctInstance"}), ""},
	}
	for _, tt := range tests {
		if ok, why := newRoom(cluster.State{}).fits(tt.want, offer); why != tt.why || ok != (why == "") {
			t.Errorf("%s: %v, %q, want %q", tt.name, ok, why, tt.why)
		}
	}
}

func TestCloneAndAddLeaveTheOriginalAlone(t *testing.T) {
	r := newRoom(cluster.State{Hosts: []cluster.Host{aHost("0"), aHost("1")}, Tasks: webTasks("0")})
	port := cluster.Port{Number: 80}
	w := web(9).on(port).under(cluster.Constraint{Type: "distinctInstance"})
	for range 2 {
		c := r.clone()
		c.add(cluster.Host{Registered: cluster.Resources{CPU: 1024, Memory: 1024}})
		if p := c.place(w); p.Placed != 2 || p.Hosts[1] != 1 || p.Hosts[2] != 1 {
			t.Fatalf("the clone placed %+v, want one task on each of hosts 1 and 2", p)
		}
		if p := c.clone().place(w); p.Placed != 0 {
			t.Fatalf("a clone of a full room placed %+v", p)
		}
	}
	if p := r.place(w); r.hosts() != 2 || p.Placed != 1 {
		t.Fatalf("the original has %d hosts and placed %+v", r.hosts(), p)
	}
}

// naive places tasks one at a time by looking at every host each time: what
// place must do, only slowly. It shares with place the questions asked of one
// host (missing), and nothing of the order.
func naive(r *room, w want) placement {
	p := placement{Hosts: map[int]int{}}
	k := kindOf(w)
	for p.Placed < w.Count {
		best := -1
		for i := range r.sites {
			if r.missing(k, i, r.services[w.Service][i]) == "" && (best < 0 || naiveLess(r, k, i, best)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		r.take(k, best)
		mine := r.mine(w.Service)
		mine[best] = mine[best].plus(1, false)
		r.note(w.Service, mine, map[int]int{best: 1})
		p.Hosts[best]++
		p.Placed++
	}
	p.Left = max(0, w.Count-p.Placed)
	return p
}

func naiveLess(r *room, k *kind, a, b int) bool {
	var within []string
	for _, l := range k.levels {
		if l.by == byGroup {
			within = append(within, l.field)
		}
		if x, y := naiveKey(r, k, l, within, a), naiveKey(r, k, l, within, b); x != y {
			return x < y
		}
	}
	return a < b
}

func naiveKey(r *room, k *kind, l level, within []string, host int) int {
	switch l.by {
	case byHost:
		return r.services[k.service][host].all
	case byCPU:
		return r.free[host].CPU
	case byMemory:
		return r.free[host].Memory
	}
	n := 0
	for i, h := range r.services[k.service] {
		same := true
		for _, field := range within {
			v, has := r.sites[i].attribute(field)
			u, had := r.sites[host].attribute(field)
			same = same && v == u && has == had
		}
		if same {
			n += h.all
		}
	}
	return n
}

// drawState is a small cluster with tasks on it.
func drawState(t *rapid.T) cluster.State {
	var s cluster.State
	for i := range rapid.IntRange(0, 7).Draw(t, "hosts") {
		h := aHost(fmt.Sprint(i), inZone(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone")))
		h.Remaining = cluster.Resources{CPU: rapid.IntRange(0, 8).Draw(t, "cpu"), Memory: rapid.IntRange(0, 8).Draw(t, "memory")}
		if rapid.Bool().Draw(t, "marked") {
			marked("rack", rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "rack"))(&h)
		}
		if rapid.IntRange(0, 5).Draw(t, "draining") == 0 {
			h.Status = cluster.HostDraining
		}
		if rapid.IntRange(0, 3).Draw(t, "taken") == 0 {
			h.TakenPorts = []cluster.Port{{Number: 80, Protocol: "tcp"}}
		}
		h.Running = rapid.IntRange(0, 2).Draw(t, "running")
		s.Hosts = append(s.Hosts, h)
		for range h.Running {
			wanted := rapid.SampledFrom([]string{cluster.TaskRunning, cluster.TaskStopped}).Draw(t, "wanted")
			service := rapid.SampledFrom([]string{"web", "db"}).Draw(t, "service")
			s.Tasks = append(s.Tasks, cluster.Task{Service: service, Host: h.ARN, Wanted: wanted})
		}
	}
	return s
}

func drawWant(t *rapid.T) want {
	all := []cluster.Strategy{spread("attribute:ecs.availability-zone"), spread("attribute:rack"), spread("host"), binpack("CPU"), binpack("MEMORY"), {Type: "random"}}
	w := web(rapid.IntRange(0, 30).Draw(t, "count"), rapid.SliceOfN(rapid.SampledFrom(all), 0, 4).Draw(t, "strategies")...)
	w.Service = rapid.SampledFrom([]string{"web", "db"}).Draw(t, "of")
	w = w.needing(rapid.IntRange(0, 3).Draw(t, "needs cpu"), rapid.IntRange(1, 3).Draw(t, "needs memory"))
	some := []cluster.Constraint{
		{Type: "distinctInstance"},
		memberOf("runningTasksCount < 4"), memberOf("attribute:rack exists"),
		memberOf("not attribute:ecs.availability-zone == b"), memberOf("attribute:rack != x"),
	}
	w.Placement.Constraints = rapid.SliceOfN(rapid.SampledFrom(some), 0, 1).Draw(t, "constraints")
	if rapid.IntRange(0, 4).Draw(t, "ports") == 0 {
		w = w.on(cluster.Port{Number: 80, Protocol: "tcp"})
	}
	return w
}

func TestPlaceAsTheNaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		fast, slow := newRoom(s), newRoom(s)
		for range rapid.IntRange(1, 3).Draw(t, "kinds") {
			w := drawWant(t)
			got, want := fast.place(w), naive(slow, w)
			if got.Placed != want.Placed || got.Left != want.Left || !maps.Equal(got.Hosts, want.Hosts) {
				t.Fatalf("%+v\nplaced %+v\n want  %+v", w, got, want)
			}
		}
	})
}

// hosts is the number of hosts, those that are not usable too.
func (r *room) hosts() int { return len(r.sites) }

// host is the host of an index, as it was when it came into the room.
func (r *room) host(i int) cluster.Host { return r.sites[i].host }

// left is what is free on the host of an index.
func (r *room) left(i int) cluster.Resources { return r.free[i] }
