package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// A group that refuses every call keeps no other one waiting, and is not asked in
// vain all the time: service two is in groups one, of another VPC, and other.
func TestAPlaceThatRefusesDoesNotKeepOthersBack(t *testing.T) {
	var tasks []cluster.Task
	start := func(n int, at time.Time) {
		k := bound("two", "a", "h", 1000+n)
		k.ARN, k.StartedAt = fmt.Sprintf("task/prod/%032d", n), at
		tasks = append(tasks, k)
	}
	for n := range 20 {
		start(n, noon().Add(-time.Hour))
	}
	good, intents, memory := door("other"), []cluster.Intent(nil), cluster.Memory{}
	refused, waited := 0, 0
	for n := range 40 { // ten minutes of rounds
		now := noon().Add(time.Duration(n) * 15 * time.Second)
		if n%8 == 3 {
			start(20+n, now)
		}
		e, _ := OverlayEndpoints(cluster.Endpoints{Now: now, Service: "two", Tasks: tasks, Groups: []cluster.TargetGroup{door("one"), good}, Intents: intents, Memory: memory})
		p := Endpoints(e, onlyOnePort(doors()))
		intents, memory = nil, p.Memory
		for _, c := range p.Actions() {
			if c.Reaches.Group != good.ARN {
				refused++
				intents = append(intents, cluster.Intent{ID: fmt.Sprint(refused), At: now, Change: c, Outcome: cluster.OutcomeRefused, Detail: "InvalidTarget: not in the VPC"})
				continue
			}
			for _, port := range c.Reaches.Ports {
				good.Targets = append(good.Targets, cluster.Target{Instance: port.Instance, Port: port.Port, State: "healthy"})
			}
		}
		waited += len(tasks) - len(good.Targets)
	}
	if waited > 0 {
		t.Errorf("tasks waited %d rounds for the group that takes them", waited)
	}
	if refused > 60 || refused < 10 {
		t.Errorf("%d calls were refused in ten minutes", refused)
	}
	t.Logf("%d calls were refused", refused)
}

// What was refused comes last of its turn and gets one call while others want some,
// though it is first by name and its parts are small.
func TestARefusedPlaceGetsOneCallWhileOthersWantSome(t *testing.T) {
	e := cluster.Endpoints{Now: noon(), Service: "two", Groups: []cluster.TargetGroup{door("one"), door("other")}}
	e.Memory.Places = map[cluster.Subject]cluster.PlaceMemory{"targets/one": {Tries: 3, At: noon().Add(-time.Hour), Until: noon(), Size: 1, After: tcp("h", 1004)}}
	for n := range 20 {
		k := bound("two", "a", "h", 1000+n)
		k.ARN = fmt.Sprintf("task/prod/%032d", n)
		e.Tasks = append(e.Tasks, k)
	}
	both := Endpoints(e, onlyOnePort(doors()))
	if n := len(both.Actions()); n != 2 || both.Next.Sub(noon()) != refusedFirst {
		t.Errorf("%d calls, next %v", n, both.Next)
	}
	e.Groups[1] = door("gone")
	calls := Endpoints(e, onlyOnePort(doors())).Actions()
	if len(calls) != splits || shownChange(calls[0]) != "+[h:10055]" {
		t.Errorf("alone: %d calls, the first %s", len(calls), shownChange(calls[0]))
	}
	for n := range targetCalls { // others that were never refused take the whole budget
		name := fmt.Sprintf("x%02d", n)
		e.Groups = append(e.Groups, door(name))
	}
	p := doors()
	rows := onlyOnePort(doors()).Services["two"].Endpoints[:1]
	for n := range targetCalls {
		rows = append(rows, endpointOf(fmt.Sprintf("x%02d", n)))
	}
	p.Services["two"] = policy.Service{Endpoints: rows}
	for _, c := range Endpoints(e, p).Actions() {
		if c.Subject == "targets/one" {
			t.Error("the refused one takes a call from the others")
		}
	}
}

func endpointOf(group string) policy.Endpoint {
	return policy.Endpoint{Container: "app", Port: 80, Protocol: "tcp", TargetGroup: group}
}

// The tries of a place that refuses come ever later; new tasks do not wait for
// them, and once a call is taken nothing is remembered.
func TestWhenARefusedPlaceIsTriedAgain(t *testing.T) {
	call := func(age int, outcome cluster.Outcome, detail string) cluster.Intent {
		i := reachIntent(cluster.RegisterTargets, age, outcome)
		i.Detail = detail
		return i
	}
	wrong := func(age int) cluster.Intent { return call(age, cluster.OutcomeRefused, "InvalidTarget") }
	const told = time.Hour
	for _, tt := range []struct {
		says    string
		tries   int // remembered, the last one an hour ago
		started time.Duration
		intents []cluster.Intent
		want    Reason
		next    time.Duration
		left    int // tries that are remembered then
	}{
		{"nothing was refused", 0, -told, nil, TaskRuns, 0, 0},
		{"a first refusal", 0, -told, []cluster.Intent{wrong(5)}, RefusedBefore, 10 * time.Second, 1},
		{"after 15 s it is tried", 0, -told, []cluster.Intent{wrong(15)}, TaskRuns, 0, 1},
		{"a second one", 1, -told, []cluster.Intent{wrong(5)}, RefusedBefore, 25 * time.Second, 2},
		{"the eighth: five minutes, which is for the sweep", 7, -told, []cluster.Intent{wrong(5)}, RefusedBefore, 0, 8},
		{"five minutes at most", 7, -told, []cluster.Intent{wrong(295)}, RefusedBefore, 5 * time.Second, 8},
		{"and then again", 90, -told, []cluster.Intent{wrong(300)}, TaskRuns, 0, 91},
		{"a task that just started is tried", 7, -20 * time.Second, []cluster.Intent{wrong(5)}, TaskRuns, 0, 8},
		{"a throttled call is no refusal", 0, -told, []cluster.Intent{call(5, cluster.OutcomeRefused, "Throttling")}, TaskRuns, 0, 0},
		{"another call of the round was taken", 2, -told, []cluster.Intent{wrong(5), call(5, cluster.OutcomeApplied, "")}, EndpointsMatch, 0, 0},
		{"what is remembered stays", 2, -told, nil, TaskRuns, 0, 2},
	} {
		k := bound("web", "a", "h", 1)
		k.StartedAt = noon().Add(tt.started)
		e := cluster.Endpoints{Now: noon(), Service: "web", Tasks: []cluster.Task{k}, Groups: []cluster.TargetGroup{door("web")}, Intents: tt.intents}
		if tt.tries > 0 {
			e.Memory.Places = map[cluster.Subject]cluster.PlaceMemory{"targets/web": {Tries: tt.tries, At: noon().Add(-told), Until: noon().Add(-told)}}
		}
		o, _ := OverlayEndpoints(e)
		p := Endpoints(o, doors())
		next := time.Duration(0)
		if !p.Next.IsZero() {
			next = p.Next.Sub(noon())
		}
		left := p.Memory.Places["targets/web"].Tries
		if p.Decisions[0].Reason != tt.want || next != tt.next || left != tt.left {
			t.Errorf("%s: %q, next %v, %d tries; want %q, %v, %d", tt.says, shownPlan(p), next, left, tt.want, tt.next, tt.left)
		}
		if _, noted := p.Memory.Places["targets/web"]; noted != (tt.tries+tt.left > 0) {
			t.Errorf("%s: noted %v", tt.says, noted)
		}
	}
}
