package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// stages are what a task of the walk may be: as it is, and as an older look still
// shows it. An empty Last is a task that ECS does not know.
func stages() [][2]cluster.Task {
	pending, running := cluster.Task{Last: "PENDING", Wanted: "RUNNING"}, cluster.Task{Last: "RUNNING", Wanted: "RUNNING"}
	stopping, stopped := cluster.Task{Last: "RUNNING", Wanted: "STOPPED"}, cluster.Task{Last: "STOPPED", Wanted: "STOPPED"}
	return [][2]cluster.Task{
		{},
		{pending, pending},
		{pending, {}},
		{running, running},
		{running, pending},
		{running, {}},
		{stopping, stopping},
		{stopping, running},
		{stopped, stopped},
		{stopped, stopping},
		{stopped, running},
		{{}, running},
	}
}

func staged(service, task string, port int, stage cluster.Task) (cluster.Task, bool) {
	t := bound(service, task, "h", port)
	t.Last, t.Wanted = stage.Last, stage.Wanted
	if t.Last == "PENDING" {
		t.Bindings = nil
	}
	return t, t.Last != ""
}

// TestEverySmallWorldOfEndpoints walks all small worlds: task a of web on port 1
// and task b of api on port 1 or 2, each at every stage, as it is or as an older
// look shows it; every state of the targets; every record. One round of each
// service with old reads, of which the first call may be refused, then rounds with
// fresh ones. Whatever the world: no port has two owners, nothing is registered
// for a task that does not run and nothing taken off that one stands for, removals
// go first, and in the end the targets and records are those of the running tasks,
// and rounds are quiet.
func TestEverySmallWorldOfEndpoints(t *testing.T) {
	worlds := 0
	states := []string{"", "healthy", "draining"}
	for _, a := range stages() {
		for _, b := range stages() {
			for portB := 1; portB <= 2; portB++ {
				if portB == 1 && bindsNow(a[0]) && bindsNow(b[0]) {
					continue // one port, one task
				}
				for n := range 3 * 3 * 5 * []int{1, 4}[portB-1] { // port 2 is of interest if b has it
					w := smallWorld{a: a, b: b, portB: portB, web1: states[n%3], api1: states[n/3%3], record1: n / 9 % 5, api2: states[n/45%2], record2: n / 90 % 2}
					if !w.possible() {
						continue
					}
					worlds++
					wrong, calls := w.run(0)
					if calls > 1 && wrong == "" {
						wrong, _ = w.run(1)
					}
					if wrong != "" {
						t.Fatalf("%+v: %s", w, wrong)
					}
				}
			}
		}
	}
	t.Logf("%d worlds", worlds)
}

// bindsNow says whether a task has its port for itself.
func bindsNow(t cluster.Task) bool { return t.Last == "RUNNING" }

// world is one of the walk.
type smallWorld struct {
	a, b             [2]cluster.Task // as it is, as it is shown
	portB            int
	web1, api1, api2 string // states of targets
	record1, record2 int
}

// possible says whether the world can have come about: a record is written for a
// task that runs, and for a port that it binds.
func (w smallWorld) possible() bool {
	ofB := w.record1 == 1 && w.portB == 1 || w.record2 == 1 && w.portB == 2
	elsewhere := w.record1 == 1 && w.portB == 2 || w.record2 == 1 && w.portB == 1
	early := ofB && w.b[0].Last == "PENDING" || w.record1 == 3 && w.a[0].Last == "PENDING"
	return !elsewhere && !early
}

// run runs the world; the first call of each service's first round ends as it is
// told. It returns what went wrong, and the calls of the larger first round.
func (w smallWorld) run(first int) (wrong string, calls int) {
	q := newQuay()
	q.past = []glimpse{{tasks: map[string]cluster.Task{}}}
	for k, x := range []map[string]cluster.Task{q.tasks, q.past[0].tasks} {
		if t, there := staged("web", "a", 1, w.a[k]); there {
			x["a"] = t
		}
		if t, there := staged("api", "b", w.portB, w.b[k]); there {
			x["b"] = t
		}
	}
	w.stand(q, "web", 1, w.web1)
	w.stand(q, "api", 1, w.api1)
	w.stand(q, "api", 2, w.api2)
	w.keep(q, 1, w.record1)
	w.keep(q, 2, w.record2)
	q.past[0].groups = q.groups
	for _, service := range q.services() {
		q.past = q.past[:1]
		calls = max(calls, len(q.begin(service, 0).Actions()))
		for how := first; q.rounds[service] != nil; how = 0 {
			q.call(service, how)
		}
	}
	q.pass(time.Second)
	if wrong = q.settle(); q.wrong != "" {
		wrong = q.wrong
	}
	return wrong, calls
}

func (w smallWorld) stand(q *quay, group string, port int, state string) {
	if state == "" {
		return
	}
	q.groups[group][port] = cluster.Target{Instance: "h", Port: port, State: state}
	if state == cluster.TargetDraining {
		q.ends[group][port] = q.now.Add(quayDelay)
	}
}

// keep writes a record: none, that of a, of b, of a task that is long gone and was
// registered in both groups, or of an earlier task of web. What stands in a group
// that it does not name was put there by hand.
func (w smallWorld) keep(q *quay, port, which int) {
	var o cluster.Owner
	switch which {
	case 1:
		o = owned("api", "b", "api")
	case 2:
		o = owned("api", "y", "api", "web")
	case 3:
		o = owned("web", "a", "web")
	case 4:
		o = owned("web", "z", "web")
	}
	if o.Task != "" {
		q.records[tcp("h", port)] = o
	}
	for group, targets := range q.groups {
		if x, there := targets[port]; there && x.State != cluster.TargetDraining {
			q.byHand = q.byHand || !contains(o.Groups, groupARN(group))
		}
	}
}

func contains(all []string, one string) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

// TestOverlappingRoundsOfEndpoints draws worlds: tasks start on free ports of a
// small range, stop, end, are taken out and stay after all; rounds of two services overlap call by call, look at
// what was, are refused, crash, and do not hear that a call worked.
func TestOverlappingRoundsOfEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQuay()
		q.see()
		next := 0
		for range 10 * rapid.IntRange(1, 12).Draw(t, "tens") {
			switch rapid.IntRange(0, 10).Draw(t, "what") {
			case 0, 1:
				next += q.start(t, next)
			case 2:
				q.turn(t, "RUNNING", "RUNNING", func(x *cluster.Task) { x.Wanted = "STOPPED" })
			case 3:
				q.turn(t, "RUNNING", "", func(x *cluster.Task) { x.Last, x.Wanted = "STOPPED", "STOPPED" })
			case 4:
				q.pass(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
			case 5:
				q.turn(t, "RUNNING", "RUNNING", func(x *cluster.Task) { q.leaving[x.ARN] = !q.leaving[x.ARN] })
			default:
				q.advance(t)
			}
			if q.wrong != "" {
				t.Fatal(q.wrong)
			}
		}
		q.pass(time.Second)
		if wrong := q.settle(); q.wrong+wrong != "" {
			t.Fatal(q.wrong + wrong)
		}
	})
}

// start starts a task on one of two ports if that is free: the fewer, the more are reused.
func (q *quay) start(t *rapid.T, n int) int {
	used := map[int]bool{}
	for _, x := range q.tasks {
		if x.Last == "RUNNING" {
			used[x.Bindings[0].HostPort] = true
		}
	}
	port := rapid.IntRange(1, 2).Draw(t, "port")
	if used[port] || n >= 26 {
		return 0
	}
	name := string(rune('a' + n))
	x := bound(rapid.SampledFrom(q.services()).Draw(t, "service"), name, "h", port)
	x.StartedAt = q.now
	q.tasks[name] = x
	q.see()
	return 1
}

// turn changes a task that is in a state.
func (q *quay) turn(t *rapid.T, last, wanted string, change func(*cluster.Task)) {
	n := rapid.IntRange(0, 25).Draw(t, "task")
	name := string(rune('a' + n))
	x, there := q.tasks[name]
	if !there || x.Last != last || wanted != "" && x.Wanted != wanted {
		return
	}
	change(&x)
	q.tasks[name] = x
	q.see()
}

// advance begins a round, or makes its next call.
func (q *quay) advance(t *rapid.T) {
	service := rapid.SampledFrom(q.services()).Draw(t, "round")
	if q.rounds[service] == nil {
		q.begin(service, rapid.IntRange(0, 3).Draw(t, "age"))
		return
	}
	q.call(service, rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3}).Draw(t, "how"))
}
