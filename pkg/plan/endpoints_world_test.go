package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// quay is a small world that does what plans of endpoints ask for: tasks of two
// services, web and api, on host ports, the target group of each, and the table
// of records. It keeps what it looked like before, so that a look may be older.
type quay struct {
	now     time.Time
	policy  policy.Policy
	tasks   map[string]cluster.Task // by letter; a STOPPED one is there and not shown
	leaving map[string]bool         // tasks that are being taken out, by ARN
	groups  map[string]map[int]cluster.Target
	ends    map[string]map[int]time.Time // when a draining target is gone
	records owners
	intents map[string][]cluster.Intent // open and just refused ones, by service
	past    []glimpse                   // the newest last
	rounds  map[string]*quayRound       // under way, by service
	memory  map[string]cluster.Memory   // by service
	numbers int
	wrong   string // the first promise that was broken
	byHand  bool   // something was registered that no record tells of
}

// glimpse is what a look may show.
type glimpse struct {
	tasks  map[string]cluster.Task
	groups map[string]map[int]cluster.Target
}

// quayRound is a round between its plan and its last call.
type quayRound struct{ left []cluster.Intent }

const quayDelay = 20 * time.Second

func newQuay() *quay {
	return &quay{
		now: noon(), policy: quayPolicy(), tasks: map[string]cluster.Task{}, leaving: map[string]bool{}, records: owners{}, intents: map[string][]cluster.Intent{}, rounds: map[string]*quayRound{}, memory: map[string]cluster.Memory{},
		groups: map[string]map[int]cluster.Target{"web": {}, "api": {}}, ends: map[string]map[int]time.Time{"web": {}, "api": {}},
	}
}

func (q *quay) services() []string { return []string{"api", "web"} }

func quayPolicy() policy.Policy {
	p := doors()
	p.Services = map[string]policy.Service{"web": p.Services["web"], "api": p.Services["api"]}
	p.Standalone = nil
	return p
}

func (q *quay) fail(format string, args ...any) {
	if q.wrong == "" {
		q.wrong = fmt.Sprintf(format, args...)
	}
}

// see keeps what a look would show now.
func (q *quay) see() {
	g := glimpse{tasks: maps.Clone(q.tasks), groups: map[string]map[int]cluster.Target{}}
	for name, targets := range q.groups {
		g.groups[name] = maps.Clone(targets)
	}
	q.past = append(q.past, g)
	if len(q.past) > 4 {
		q.past = q.past[1:]
	}
}

// pass lets time pass; what has drained is gone.
func (q *quay) pass(d time.Duration) {
	q.now = q.now.Add(d)
	for name, ends := range q.ends {
		for port, end := range ends {
			if !q.now.Before(end) {
				delete(ends, port)
				delete(q.groups[name], port)
			}
		}
	}
	q.see()
}

func (q *quay) drain(group string, port int) {
	t := cluster.Target{Instance: "h", Port: port, State: cluster.TargetDraining}
	if now, there := q.groups[group][port]; there && now.State != cluster.TargetDraining {
		q.groups[group][port], q.ends[group][port] = t, q.now.Add(quayDelay)
	}
}

// observe is a look that shows the world of so many steps ago. The end of a task
// is read last, and of that very task.
func (q *quay) observe(service string, age int) cluster.Endpoints {
	g := q.past[max(0, len(q.past)-1-age)]
	e := cluster.Endpoints{Now: q.now, Service: service, Owners: maps.Clone(q.records), Intents: slices.Clone(q.intents[service]), Ended: map[string]string{}, Leaving: maps.Clone(q.leaving), Memory: q.memory[service]}
	for _, name := range slices.Sorted(maps.Keys(g.tasks)) {
		if t := g.tasks[name]; t.Service == service && t.Last != cluster.TaskStopped {
			e.Tasks = append(e.Tasks, t)
		}
	}
	group := door(service)
	group.Delay = quayDelay
	for _, port := range slices.Sorted(maps.Keys(g.groups[service])) {
		group.Targets = append(group.Targets, g.groups[service][port])
	}
	e.Groups = []cluster.TargetGroup{group}
	for _, arn := range e.Absent() {
		t, known := q.tasks[letter(arn)]
		switch {
		case !known:
			e.Ended[arn] = "MISSING"
		case t.Last == cluster.TaskStopped:
			e.Ended[arn] = cluster.TaskStopped
		}
	}
	return e
}

// begin plans a round, judges the plan, writes the table and opens the intents.
func (q *quay) begin(service string, age int) Plan {
	e, ended := OverlayEndpoints(q.observe(service, age))
	p := Endpoints(e, q.policy)
	q.judge(e, p)
	q.memory[service] = p.Memory
	over := map[string]bool{}
	for _, i := range ended {
		over[i.ID] = true
	}
	q.intents[service] = slices.DeleteFunc(e.Intents, func(i cluster.Intent) bool { return over[i.ID] || !i.Open() })
	var lost []cluster.HostPort
	for _, c := range p.Claims {
		old := q.records[c.Port]
		if old.Version != c.Owner.Version {
			lost = append(lost, c.Port)
			continue
		}
		if t, known := q.tasks[letter(old.Task)]; known && old.Task != c.Owner.Task && t.Last != cluster.TaskStopped {
			q.fail("%s is taken over by %s while its owner %s lives", c.Port, letter(c.Owner.Task), letter(old.Task))
		}
		c.Owner.Version = max(c.Owner.Version+1, q.now.UnixMilli())
		q.records[c.Port] = c.Owner
	}
	for _, c := range p.Released {
		if q.records[c.Port].Version == c.Owner.Version {
			delete(q.records, c.Port)
		}
	}
	round := &quayRound{}
	for _, c := range p.WithoutPorts(lost).Actions() {
		q.numbers++
		round.left = append(round.left, cluster.Intent{ID: fmt.Sprint(q.numbers), Change: c, At: q.now})
	}
	q.intents[service] = append(q.intents[service], round.left...)
	q.rounds[service] = round
	return p
}

// call makes the next call of a round: 0 and it works, 1 and it is refused, 2 and
// it works and nobody hears of it, 3 and nothing happened and nobody knows. After
// the last two the round is over, as after a crash.
func (q *quay) call(service string, how int) {
	round := q.rounds[service]
	if round == nil || len(round.left) == 0 {
		delete(q.rounds, service)
		return
	}
	i := round.left[0]
	round.left = round.left[1:]
	if how == 0 || how == 2 {
		q.do(i.Change)
	}
	switch how {
	case 0:
		i.Outcome = cluster.OutcomeApplied
	case 1:
		i.Outcome = cluster.OutcomeRefused
	default:
		delete(q.rounds, service)
	}
	n := slices.IndexFunc(q.intents[service], func(x cluster.Intent) bool { return x.ID == i.ID })
	q.intents[service][n] = i
	q.see()
}

// do is what a call does. A registration reads its tasks again right before.
func (q *quay) do(c cluster.Change) {
	group := groupName(c.Reaches.Group)
	for n, p := range c.Reaches.Ports {
		if c.Verb == cluster.DeregisterTargets {
			q.drain(group, p.Port)
			continue
		}
		t := q.tasks[letter(c.Reaches.Tasks[n])]
		if t.Last != cluster.TaskRunning || t.Stopping() || q.groups[group][p.Port].State == cluster.TargetDraining {
			continue
		}
		q.groups[group][p.Port] = cluster.Target{Instance: "h", Port: p.Port, State: cluster.TargetHealthy}
		other := map[string]string{"web": "api", "api": "web"}[group]
		if x, there := q.groups[other][p.Port]; there && x.State != cluster.TargetDraining && !q.byHand {
			q.fail("%v: port %v has two owners", q.now, p)
		}
		if q.records[p].Task != t.ARN {
			q.fail("port %v is registered for %s and recorded for %s", p, letter(t.ARN), letter(q.records[p].Task))
		}
	}
}

// judge holds a plan against its promises.
func (q *quay) judge(e cluster.Endpoints, p Plan) {
	last := cluster.TurnEnded
	for _, c := range p.Actions() {
		if c.Reaches.Turn < last {
			q.fail("%s comes after what is less urgent", shownChange(c))
		}
		last = c.Reaches.Turn
		name := groupName(c.Reaches.Group)
		if name != "web" && name != "api" {
			q.fail("%s is in no policy", c.Reaches.Group)
		}
		if c.Verb == cluster.RegisterTargets && name != e.Service {
			q.fail("%s registers in %s", e.Service, name)
		}
		for n, port := range c.Reaches.Ports {
			q.judgePort(e, c, n, port)
		}
	}
}

func (q *quay) judgePort(e cluster.Endpoints, c cluster.Change, n int, port cluster.HostPort) {
	arn := c.Reaches.Tasks[n]
	if c.Verb == cluster.RegisterTargets {
		i := slices.IndexFunc(e.Tasks, func(t cluster.Task) bool { return t.ARN == arn })
		if i < 0 || e.Tasks[i].Stopping() || e.Tasks[i].Last != cluster.TaskRunning || e.Ended[arn] == cluster.TaskStopped || e.Leaving[arn] {
			q.fail("%s is registered for a task that does not run or is being taken out", port)
		}
		return
	}
	t := q.tasks[letter(q.records[port].Task)]
	if t.Service == groupName(c.Reaches.Group) && q.serves(t) {
		q.fail("%s is taken off while its task %s runs", port, letter(t.ARN))
	}
}

// settle runs rounds of both services without faults until nothing is to be done,
// and says what is still wrong then.
func (q *quay) settle() string {
	for n := range 60 {
		quiet := true
		for _, service := range q.services() {
			for q.rounds[service] != nil {
				q.call(service, 0)
			}
			p := q.begin(service, 0)
			quiet = quiet && len(p.Actions())+len(p.Claims)+len(p.Released) == 0
			for q.rounds[service] != nil {
				q.call(service, 0)
			}
		}
		if quiet && n > 0 && len(q.ends["web"])+len(q.ends["api"]) == 0 && q.matches() == "" {
			return q.quiet()
		}
		q.pass(10 * time.Second)
	}
	return "not settled: " + q.matches()
}

// quiet says what rounds do where nothing is to be done.
func (q *quay) quiet() string {
	for range 2 {
		for _, service := range q.services() {
			if p := q.begin(service, 0); len(p.Actions())+len(p.Claims)+len(p.Released) > 0 {
				return fmt.Sprintf("not quiet: %q", shownPlan(p))
			}
		}
		q.pass(time.Minute)
	}
	return ""
}

// serves says whether the task's port is to be registered.
func (q *quay) serves(t cluster.Task) bool {
	return t.Last == cluster.TaskRunning && !t.Stopping() && !q.leaving[t.ARN]
}

// matches says in what targets and records differ from the tasks that run.
func (q *quay) matches() string {
	var wanted, have, recorded []string
	for name, t := range q.tasks {
		if q.serves(t) {
			wanted = append(wanted, fmt.Sprintf("%s:%d", t.Service, t.Bindings[0].HostPort))
			if o := q.records[tcp("h", t.Bindings[0].HostPort)]; letter(o.Task) != name || !slices.Equal(o.Groups, []string{groupARN(t.Service)}) {
				return fmt.Sprintf("the record of task %s is %+v", name, o)
			}
		}
	}
	for group, targets := range q.groups {
		for port, x := range targets {
			if x.State != cluster.TargetDraining {
				have = append(have, fmt.Sprintf("%s:%d", group, port))
			}
		}
	}
	for port, o := range q.records {
		if t := q.tasks[letter(o.Task)]; q.serves(t) || t.ARN != "" && t.Last == "PENDING" {
			continue
		}
		recorded = append(recorded, port.String())
	}
	slices.SortFunc(wanted, cmp.Compare[string])
	slices.SortFunc(have, cmp.Compare[string])
	if !slices.Equal(wanted, have) || len(recorded) > 0 {
		return fmt.Sprintf("want %q, have %q, and records without a task of %q", wanted, have, recorded)
	}
	return ""
}
