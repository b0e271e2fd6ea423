package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func TestPlacesThatAreNeverWrittenTo(t *testing.T) {
	change := func(f func(*cluster.TargetGroup)) cluster.TargetGroup {
		g := door("other", "h:1 healthy", "k:9 healthy")
		f(&g)
		return g
	}
	for _, tt := range []struct {
		says  string
		other []cluster.TargetGroup
		want  string
	}{
		{"one that ECS manages", []cluster.TargetGroup{change(func(g *cluster.TargetGroup) { g.ManagedBy = "shop" })}, "targets/other 2>2 managedByECS"},
		{"one that takes addresses", []cluster.TargetGroup{change(func(g *cluster.TargetGroup) { g.TargetType = "ip" })}, "targets/other 2>2 wrongTargetType"},
		{"one of another protocol", []cluster.TargetGroup{change(func(g *cluster.TargetGroup) { g.Protocol = "UDP" })}, "targets/other 2>2 wrongProtocol"},
		{"one of two protocols: the udp port may be another task's", []cluster.TargetGroup{change(func(g *cluster.TargetGroup) { g.Protocol = "TCP_UDP" })}, "targets/other 2>2 wrongProtocol"},
		{"one of a protocol that nobody knows", []cluster.TargetGroup{change(func(g *cluster.TargetGroup) { g.Protocol = "GENEVE" })}, "targets/other 2>2 wrongProtocol"},
		{"one that does not exist", nil, "targets/other 0>0 targetGroupMissing"},
	} {
		e := cluster.Endpoints{Now: noon(), Service: "two", Tasks: []cluster.Task{bound("two", "a", "h", 1)}, Groups: append([]cluster.TargetGroup{door("one")}, tt.other...)}
		want := []string{"targets/one 0>1 taskRuns +[h:1a]", tt.want, "claim h:1 two/a one v0"}
		if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, want) {
			t.Errorf("%s, while the other group is served:\n got %q\nwant %q", tt.says, got, want)
		}
	}
}

func TestProtocolsOfGroups(t *testing.T) {
	for group, want := range map[string][2]bool{ // tcp, udp
		"HTTP": {true, false}, "HTTPS": {true, false}, "TCP": {true, false}, "TLS": {true, false},
		"UDP": {false, true}, "TCP_UDP": {false, false}, "GENEVE": {false, false}, "": {false, false},
	} {
		got := cluster.TargetGroup{Protocol: group}.Protocols()
		if slices.Contains(got, "tcp") != want[0] || slices.Contains(got, "udp") != want[1] {
			t.Errorf("%q takes %q", group, got)
		}
	}
}

// A task in two groups whose port was another's: nothing is registered anywhere
// before it is taken off everywhere else, and then it is.
func TestAReusedPortIsTakenOffEverywhereFirst(t *testing.T) {
	e := cluster.Endpoints{
		Now: noon(), Service: "two", Tasks: []cluster.Task{bound("two", "a", "h", 1)},
		Groups: []cluster.TargetGroup{door("one"), door("other")},
		Owners: owners{tcp("h", 1): owned("web", "z", "api", "web")}, Ended: map[string]string{arnOf("z"): cluster.TaskStopped},
	}
	off := func(group, task string, outcome cluster.Outcome) cluster.Intent {
		return cluster.Intent{ID: group, At: noon().Add(-time.Second), Outcome: outcome, Change: cluster.Change{
			Verb: cluster.DeregisterTargets, Reaches: &cluster.Reach{Group: groupARN(group), Ports: []cluster.HostPort{tcp("h", 1)}, Tasks: []string{arnOf(task)}},
		}}
	}
	waits := []string{"targets/one 0>0 portReused", "targets/other 0>0 portReused"}
	for _, tt := range []struct {
		says    string
		intents []cluster.Intent
		want    []string
		next    time.Duration
	}{
		{"both are asked for", nil, append([]string{"targets/api 1>0 portReused -[h:1z]", "targets/web 1>0 portReused -[h:1z]"}, waits...), time.Second},
		{"the one that was not done yet again", []cluster.Intent{off("api", "z", cluster.OutcomeApplied), off("web", "z", cluster.OutcomeUnknown)}, append([]string{"targets/web 1>0 portReused -[h:1z]"}, waits...), time.Second},
		{"one that was refused too, and not too soon", []cluster.Intent{off("api", "z", cluster.OutcomeApplied), off("web", "z", cluster.OutcomeRefused)}, append([]string{"targets/web 1>0 portReused -[h:1z]"}, waits...), lookAgain},
		{"for an earlier owner is not for this one", []cluster.Intent{off("api", "z", cluster.OutcomeApplied), off("web", "y", cluster.OutcomeApplied)}, append([]string{"targets/web 1>0 portReused -[h:1z]"}, waits...), time.Second},
		{"after both it is registered", []cluster.Intent{off("api", "z", cluster.OutcomeApplied), off("web", "z", cluster.OutcomeApplied)}, []string{"targets/one 0>1 taskRuns +[h:1a]", "targets/other 0>1 taskRuns +[h:1a]", "claim h:1 two/a one other v7"}, 0},
	} {
		e := e
		e.Intents = tt.intents
		p := Endpoints(e, onlyOnePort(doors()))
		if got := shownPlan(p); !slices.Equal(got, tt.want) || (tt.next == 0) != p.Next.IsZero() || tt.next > 0 && p.Next.Sub(noon()) != tt.next {
			t.Errorf("%s: next %v\n got %s\nwant %s", tt.says, p.Next, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}

// onlyOnePort is the policy without the second port of service two.
func onlyOnePort(p policy.Policy) policy.Policy {
	p.Services["two"] = policy.Service{Endpoints: p.Services["two"].Endpoints[:2]}
	return p
}

// Within one service too: a port of group one that is a port of group other now.
func TestAPortThatChangesItsGroupLeavesTheOldOneFirst(t *testing.T) {
	b := bound("two", "b", "h", 1)
	b.Bindings[0].ContainerPort = 90 // group other only
	e := cluster.Endpoints{
		Now: noon(), Service: "two", Tasks: []cluster.Task{b}, Groups: []cluster.TargetGroup{door("one", "h:1 healthy"), door("other")},
		Owners: owners{tcp("h", 1): owned("two", "a", "one")}, Ended: map[string]string{arnOf("a"): "MISSING"},
	}
	want := []string{"targets/one 1>0 taskEnds portNotMapped=1 -[h:1a]", "targets/other 0>0 portReused portNotMapped=1"}
	if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, want) {
		t.Errorf("first %q, want %q", got, want)
	}
	e.Groups[0] = door("one", "h:1 draining")
	want = []string{"targets/one 0>0 portNotMapped", "targets/other 0>1 taskRuns portNotMapped=1 +[h:1b]", "claim h:1 two/b other v7"}
	if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, want) {
		t.Errorf("then %q, want %q", got, want)
	}
}

// A port that the policy takes out of one of its groups keeps that in its record
// until it is gone from there, and no longer.
func TestARecordNamesAGroupForAsLongAsThePortStandsThere(t *testing.T) {
	p := doors()
	p.Services["two"] = policy.Service{Endpoints: []policy.Endpoint{p.Services["two"].Endpoints[0], p.Services["two"].Endpoints[2]}}
	e := cluster.Endpoints{
		Now: noon(), Service: "two", Tasks: []cluster.Task{bound("two", "a", "h", 1)}, Owners: owners{tcp("h", 1): owned("two", "a", "one", "other")},
		Groups: []cluster.TargetGroup{door("one", "h:1 healthy"), door("other", "h:1 healthy")},
	}
	want := []string{"targets/one 1>1 endpointsMatch", "targets/other 1>0 nobodysTarget portNotMapped=1 -[h:1a]"}
	if got := shownPlan(Endpoints(e, p)); !slices.Equal(got, want) {
		t.Errorf("while it stands: %q, want %q", got, want)
	}
	e.Groups[1] = door("other", "h:1 draining")
	want = []string{"targets/one 1>1 endpointsMatch", "targets/other 0>0 portNotMapped", "claim h:1 two/a one v7"}
	if got := shownPlan(Endpoints(e, p)); !slices.Equal(got, want) {
		t.Errorf("once it drains: %q, want %q", got, want)
	}
}

func TestStandaloneTasksAreThoseThatNoServiceStarted(t *testing.T) {
	udp := func(service, task string, port int) cluster.Task {
		t := bound(service, task, "h", port)
		t.Bindings = []cluster.Binding{{Container: "app", ContainerPort: 7, HostPort: port, Protocol: policy.UDP}}
		return t
	}
	g := door("game")
	g.Protocol = "UDP"
	e := cluster.Endpoints{Now: noon(), Service: "game", Tasks: []cluster.Task{udp("", "a", 1), udp("web", "b", 2)}, Groups: []cluster.TargetGroup{g}}
	if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, []string{"targets/game 0>1 taskRuns +[h:1a]", "claim h:1 game/a game v0"}) {
		t.Errorf("%q", got)
	}
}

// fortyAHost is so many tasks of service web, forty a host.
func fortyAHost(n int) []cluster.Task {
	var all []cluster.Task
	for i := range n {
		t := bound("web", "a", fmt.Sprintf("h%03d", i/40), 1000+i%40)
		t.ARN = fmt.Sprintf("task/prod/%032x", i)
		all = append(all, t)
	}
	return all
}

func TestLimitsAreSeenComing(t *testing.T) {
	for _, tt := range []struct {
		tasks, draining int
		want            string
	}{
		{899, 0, "0>899 taskRuns"},
		{900, 0, "0>900 limitNear=900 limit=1000"},
		{1000, 0, "0>1000 limitNear=1000 limit=1000"},
		{1001, 0, "0>1000 limitReached limitNear=1000 taskRuns=1000 limit=1000"},
		{990, 20, "0>980 limitReached limitNear=1000 taskRuns=980 limit=1000"},
	} {
		g := door("web")
		for i := range tt.draining {
			g.Targets = append(g.Targets, cluster.Target{Instance: "old", Port: i + 1, State: "draining"})
		}
		p := Endpoints(cluster.Endpoints{Now: noon(), Service: "web", Tasks: fortyAHost(tt.tasks), Groups: []cluster.TargetGroup{g}}, doors())
		d := p.Decisions[0]
		d.Changes = nil
		got := strings.TrimPrefix(shownPlan(Plan{Decisions: []Decision{d}})[0], "targets/web ")
		got = strings.Replace(got, fmt.Sprintf("limitNear taskRuns=%d", tt.tasks), fmt.Sprintf("limitNear=%d", tt.tasks), 1)
		if got != tt.want {
			t.Errorf("%d tasks, %d draining: %s, want %s", tt.tasks, tt.draining, got, tt.want)
		}
		if n := registered(p); n > endpointsMax-tt.draining {
			t.Errorf("%d are registered", n)
		}
	}
}

// registered is how many targets a plan registers.
func registered(p Plan) int {
	n := 0
	for _, c := range p.Actions() {
		if c.Verb == cluster.RegisterTargets {
			n += len(c.Reaches.Ports)
		}
	}
	return n
}

// One instance is registered 1,000 times at most with one load balancer, in all
// groups together.
func TestAnInstanceIsNotRegisteredTooOftenWithALoadBalancer(t *testing.T) {
	other := door("other")
	for i := range 500 {
		other.Targets = append(other.Targets, cluster.Target{Instance: "h", Port: 20000 + i, State: "draining"})
	}
	one := door("one")
	for i := range 498 {
		one.Targets = append(one.Targets, cluster.Target{Instance: "h", Port: 20000 + i, State: "draining"})
	}
	tasks := []cluster.Task{bound("two", "a", "h", 1), bound("two", "b", "h", 2), bound("two", "c", "k", 3)}
	p := Endpoints(cluster.Endpoints{Now: noon(), Service: "two", Tasks: tasks, Groups: []cluster.TargetGroup{one, other}}, onlyOnePort(doors()))
	var got []string
	for _, c := range p.Actions() {
		got = append(got, string(c.Subject)+" "+shownChange(c))
	}
	if want := []string{"targets/one +[h:1a h:2b k:3c]", "targets/other +[k:3c]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if d := p.Decisions[1]; d.Reason != LimitReached {
		t.Errorf("told %+v", d)
	}
}

// Of many changes the urgent go first, a call takes 200 at most, and a round makes
// no more calls than it may; what is left follows when those have come back.
func TestCallsAreBatchedAndBudgeted(t *testing.T) {
	p := doors()
	e := cluster.Endpoints{Now: noon(), Service: "many"}
	var rows []policy.Endpoint
	tasks := fortyAHost(450)
	for i := range 12 {
		name := fmt.Sprintf("g%02d", i)
		rows = append(rows, policy.Endpoint{Container: "app", Port: 80, Protocol: "tcp", TargetGroup: name})
		g := door(name)
		g.Balancers = nil
		if i == 11 {
			g.Targets = append(g.Targets, cluster.Target{Instance: "orphan", Port: 1, State: "healthy"})
		}
		e.Groups = append(e.Groups, g)
	}
	for i := range tasks {
		tasks[i].Service = "many"
	}
	p.Services["many"] = policy.Service{Endpoints: rows}
	e.Tasks = tasks
	plan := Endpoints(e, p)
	calls := plan.Actions()
	if len(calls) != targetCalls || calls[0].Verb != cluster.DeregisterTargets || plan.Next.Sub(noon()) != 4*time.Second {
		t.Fatalf("%d calls, the first %s, next %v", len(calls), calls[0].Verb, plan.Next)
	}
	sizes := map[int]int{}
	for _, c := range calls[1:] {
		sizes[len(c.Reaches.Ports)]++
	}
	if sizes[200] != 10 || sizes[50] != 5 {
		t.Errorf("calls by size: %v", sizes)
	}
	left := 0
	for _, d := range plan.Decisions {
		for _, n := range d.Numbers {
			if n.Name == string(CallsSpent) {
				left += int(n.Value)
			}
		}
	}
	if left != 12*450-5*450 {
		t.Errorf("%d are left", left)
	}
}

// However many targets of a batch are wrong, all others are registered: after
// five rounds if a refusal does not end the round, and sooner or later if it does.
func TestWrongTargetsDoNotKeepOthersBack(t *testing.T) {
	for _, wrong := range [][]int{{0}, {199}, {7, 8}, {0, 100, 199}, {1, 3, 5, 7, 9, 11}} {
		for most, ends := range map[int]bool{5: false, 80: true} {
			if n := roundsUntilRight(wrong, ends); n > most {
				t.Errorf("wrong %v, a refusal ends the round %v: %d rounds, want %d", wrong, ends, n, most)
			}
		}
	}
}

func roundsUntilRight(wrong []int, ends bool) int {
	e := cluster.Endpoints{Now: noon(), Service: "web", Tasks: fortyAHost(200), Groups: []cluster.TargetGroup{door("web")}}
	bad := map[cluster.HostPort]bool{}
	for _, i := range wrong {
		bad[hostPort(e.Tasks[i], e.Tasks[i].Bindings[0])] = true
	}
	rounds := 0
	for ; len(e.Groups[0].Targets) < 200-len(wrong) && rounds < 100; rounds++ {
		stubborn(&e, bad, ends)
	}
	return rounds
}

// stubborn is one round with a load balancer that refuses a call with a bad target.
func stubborn(e *cluster.Endpoints, bad map[cluster.HostPort]bool, ends bool) {
	calls := Endpoints(*e, doors()).Actions()
	e.Intents = nil
	for _, c := range calls {
		if slices.ContainsFunc(c.Reaches.Ports, func(p cluster.HostPort) bool { return bad[p] }) {
			e.Intents = append(e.Intents, cluster.Intent{Change: c, Outcome: cluster.OutcomeRefused, Detail: "InvalidTarget", At: e.Now})
			if ends {
				return
			}
			continue
		}
		for _, p := range c.Reaches.Ports {
			e.Groups[0].Targets = append(e.Groups[0].Targets, cluster.Target{Instance: p.Instance, Port: p.Port, State: "initial"})
		}
		e.Intents = append(e.Intents, cluster.Intent{Change: c, Outcome: cluster.OutcomeApplied, At: e.Now})
	}
}

func TestAThrottledBatchIsNotSplit(t *testing.T) {
	e := cluster.Endpoints{Now: noon(), Service: "web", Tasks: fortyAHost(200), Groups: []cluster.TargetGroup{door("web")}}
	c := Endpoints(e, doors()).Actions()[0]
	e.Intents = []cluster.Intent{{Change: c, Outcome: cluster.OutcomeRefused, Detail: "Throttling: Rate exceeded"}}
	if n := len(Endpoints(e, doors()).Actions()); n != 1 {
		t.Errorf("%d calls", n)
	}
	e.Intents[0].Detail = "InvalidTarget"
	if n := len(Endpoints(e, doors()).Actions()); n != 8 {
		t.Errorf("refused otherwise: %d calls", n)
	}
}

func TestAPlanWithoutPorts(t *testing.T) {
	tasks := []cluster.Task{bound("web", "a", "h", 1), bound("web", "b", "h", 2), told(bound("web", "c", "h", 3))}
	p := Endpoints(cluster.Endpoints{Now: noon(), Service: "web", Tasks: tasks, Groups: []cluster.TargetGroup{door("web", "h:3 healthy")}}, doors())
	before := shownPlan(p)
	for _, tt := range []struct {
		says string
		lost []cluster.HostPort
		want []string
	}{
		{"none", nil, []string{"-[h:3c]", "+[h:1a h:2b]", "claim h:1", "claim h:2"}},
		{"one", []cluster.HostPort{tcp("h", 1)}, []string{"-[h:3c]", "+[h:2b]", "claim h:2"}},
		{"all, and what is taken off stays", []cluster.HostPort{tcp("h", 1), tcp("h", 2), tcp("h", 3)}, []string{"-[h:3c]"}},
	} {
		q := p.WithoutPorts(tt.lost)
		var got []string
		for _, c := range q.Actions() {
			if n := len(c.Reaches.Ports); c.From+c.To != n {
				t.Errorf("%s: from %d to %d of %d", tt.says, c.From, c.To, n)
			}
			got = append(got, shownChange(c))
		}
		for _, c := range q.Claims {
			got = append(got, "claim "+strings.Fields(shownRecord(c))[0])
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.says, got, tt.want)
		}
	}
	if after := shownPlan(p); !slices.Equal(after, before) {
		t.Errorf("the plan itself changed to %q", after)
	}
}

func TestAnObservedPlanChangesNothing(t *testing.T) {
	e := cluster.Endpoints{
		Now: noon(), Service: "web", Tasks: []cluster.Task{bound("web", "a", "h", 1)}, Groups: []cluster.TargetGroup{door("web")},
		Owners: owners{tcp("h", 2): owned("web", "b", "web")}, Ended: map[string]string{arnOf("b"): "STOPPED"},
	}
	p := Endpoints(e, doors())
	if q := p.Observed(); len(q.Actions())+len(q.Claims)+len(q.Released) > 0 || len(q.Decisions) != 1 {
		t.Errorf("observed: %q", shownPlan(q))
	}
	if got := shownPlan(p); !slices.Equal(got, []string{"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v0", "release h:2 web/b web v7"}) {
		t.Errorf("the plan itself is %q now", got)
	}
}

func TestWhenToLookForWhatDrains(t *testing.T) {
	look := func(delay time.Duration, intents ...cluster.Intent) time.Duration {
		g := door("web", "h:1 draining")
		g.Delay = delay
		e := cluster.Endpoints{Now: noon(), Service: "web", Tasks: []cluster.Task{bound("web", "a", "h", 1)}, Groups: []cluster.TargetGroup{g}, Intents: intents}
		next := Endpoints(e, doors()).Next
		if next.IsZero() {
			return 0
		}
		return next.Sub(noon())
	}
	off := cluster.Intent{At: noon().Add(-20 * time.Second), Outcome: cluster.OutcomeApplied, Change: cluster.Change{Verb: cluster.DeregisterTargets, Reaches: &cluster.Reach{
		Group: groupARN("web"), Ports: []cluster.HostPort{tcp("h", 1)}, Tasks: []string{arnOf("z")},
	}}}
	if got := look(5 * time.Second); got != 5*time.Second {
		t.Errorf("a short delay: %v", got)
	}
	if got := look(5 * time.Minute); got != lookAgain {
		t.Errorf("a long delay that began nobody knows when: %v", got)
	}
	if got := look(50*time.Second, off); got != 30*time.Second {
		t.Errorf("a delay of which 20 s are over: %v", got)
	}
	if got := look(5*time.Minute, off); got != 0 {
		t.Errorf("a delay that lasts longer than the sweep: %v", got)
	}
	if got := look(10*time.Second, off); got != time.Second {
		t.Errorf("a delay that is over: %v", got)
	}
}
