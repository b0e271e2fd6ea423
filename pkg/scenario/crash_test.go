package scenario

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// everyCrash crashes at all calls of all invocations: in every mode at those of
// rounds that change something, and in one mode each, by turns, at all others.
// Without it every mode is tried at all calls of one invocation of each kind.
var everyCrash = flag.Bool("every-crash", false, "crash at every API call of all invocations, not of one of each kind")

// swell is a short world. Its table is down until there is much to do, so that one
// round then launches hosts for web, lowers api and drains the host that nobody
// needs; later ones raise web, lower it, and end hosts. Its load has no noise and
// is steady from the seventh minute on.
func swell() Scenario {
	d := func(d time.Duration) policy.Duration { return policy.Duration{Duration: d} }
	load := func(base, more float64) *Load {
		return &Load{CPUPerRequest: 10, Shape: Shape{Base: base, Crowds: []Crowd{{Rate: more, Rise: d(time.Second), Stay: d(6 * time.Minute), Fall: d(time.Second)}}}}
	}
	percent, always, never, quick := 50, 1.0, d(0), d(time.Minute)
	zones := []string{"eu-west-1a", "eu-west-1b"}
	packed := []Strategy{{Type: "binpack", Field: "cpu"}}
	in := policy.Manner{Window: &quick}
	s := Scenario{
		Name: "swell", Start: time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC), Length: d(20 * time.Minute), AgentFlap: &never,
		Groups: []Group{
			{Name: "prod-hosts", Zones: zones, InstanceType: "m6i.large", CPU: 2048, Memory: 7764, Max: 20, Desired: 1},
			{Name: "small-hosts", Zones: zones, InstanceType: "t3.nano", CPU: 128, Memory: 256, Max: 20, Desired: 1},
		},
		Services: []Service{
			{Name: "web", CPU: 256, Memory: 512, Desired: 4, MinimumHealthyPercent: &percent, Strategies: packed, Load: load(18, 40)},
			{Name: "api", CPU: 512, Memory: 512, Desired: 2, MinimumHealthyPercent: &percent, Strategies: packed, Load: load(10, 0)},
		},
		Faults: []Fault{{Name: "table-down", Rate: &always, From: d(10 * time.Second), Until: d(2 * time.Minute)}},
	}
	s.Policy = policy.Policy{
		Version: 1, Cluster: "prod",
		Hosts: []policy.HostGroup{
			{Group: "prod-hosts", Min: 1, Max: 20, Removal: policy.Removal{EmptyAfter: d(30 * time.Second), MaxAtOnce: 2}},
			{Group: "small-hosts", Min: 0, Max: 20, Removal: policy.Removal{EmptyAfter: d(time.Minute)}},
		},
		Services: map[string]policy.Service{
			"web": {Tasks: &policy.Tasks{Min: 2, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 20}}, ScaleIn: in},
			"api": {Tasks: &policy.Tasks{Min: 1, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}, ScaleIn: policy.Manner{Window: &never}},
		},
	}.Defaulted()
	return s
}

// boundary is one API call of the recorded run.
type boundary struct {
	n          int
	invocation int
	function   string
	name       string
}

// outcome is how a run ended.
type outcome struct {
	services   string // per service what is wanted, runs and is healthy
	wrong      []string
	hosts      int
	launched   int
	trace      string
	violations []Violation
	boundaries []boundary
	actions    map[int][]string // of each invocation: the calls that changed ECS or Auto Scaling
	open       int              // the most intents open at once
}

// crash is a run of the swell with a crash at one call; 0: with none.
type crash struct {
	n     int
	mode  simcloud.CrashMode
	spoil sabotage
}

func (x crash) run(t *testing.T) outcome {
	t.Helper()
	s := swell()
	m := newMonitors(s.Policy)
	out := outcome{actions: map[int][]string{}}
	var w *world
	o := simcloud.Options{Start: s.Start, Seed: 7, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: m.watch}
	if x.n == 0 {
		o.Watch = func(c simcloud.Call) {
			m.watch(c)
			out.watch(w, c)
		}
		o.Begun = func(at int, c simcloud.Call) {
			out.boundaries = append(out.boundaries, boundary{at, c.Invocation, c.Function, c.Service + ":" + c.Action})
		}
	}
	w, err := build(t.Context(), s, o, nil, x.spoil)
	if err != nil {
		t.Error(err)
		return out
	}
	defer w.cloud.Close()
	if err := w.fail(nil); err != nil {
		t.Error(err)
		return out
	}
	m.attach(w)
	if x.n > 0 {
		w.cloud.CrashAt(x.n, x.mode)
	}
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Error(err)
		return out
	}
	out.end(w, m)
	return out
}

// watch notes a changing call of the recorded run.
func (o *outcome) watch(w *world, c simcloud.Call) {
	if c.Service == "ecs" || c.Service == "autoscaling" {
		o.actions[c.Invocation] = append(o.actions[c.Invocation], c.Action)
	}
	o.open = max(o.open, len(w.cloud.DynamoDB().Prefixed(table, leaseKey("prod"), openItems)))
}

// end reads how the run ended.
func (o *outcome) end(w *world, m *monitors) {
	var r Result
	m.end(&r)
	o.violations = r.Violations
	o.services, o.wrong = w.settled()
	o.hosts, o.trace = len(w.cloud.World().Hosts()), w.cloud.TraceHash()
	for _, g := range w.cloud.World().Groups() {
		o.launched += g.Launched
	}
}

// settled is the end state of each service, and what keeps it from being settled.
func (w *world) settled() (services string, wrong []string) {
	for _, s := range w.Services {
		v, _ := w.cloud.World().Service(w.Policy.Cluster, s.Name)
		services += fmt.Sprintf("%s wants %d, %d run, %d are healthy; ", s.Name, v.Desired, v.Running, v.Healthy)
		if v.Pending > 0 || v.Running != v.Desired {
			wrong = append(wrong, fmt.Sprintf("%d tasks of %s have no place", v.Desired-v.Running, s.Name))
		}
	}
	for _, i := range w.cloud.DynamoDB().Prefixed(table, leaseKey(w.Policy.Cluster), openItems) {
		var intent cluster.Intent
		if err := json.Unmarshal([]byte(text(i, "intent")), &intent); err != nil || w.cloud.Now().Sub(intent.At) > 4*time.Minute {
			wrong = append(wrong, fmt.Sprintf("the intent %s of %s is open (%v)", intent.ID, clock(intent.At), err))
		}
	}
	for _, h := range w.cloud.World().Hosts() {
		if h.Status == string(cluster.HostDraining) {
			wrong = append(wrong, "the host "+h.InstanceID+" is DRAINING")
		}
	}
	return services, wrong
}

// modes are the ways to crash.
func modes() []simcloud.CrashMode {
	return []simcloud.CrashMode{simcloud.CrashBefore, simcloud.CrashAfter, simcloud.CrashError, simcloud.CrashTimeout}
}

// point is a crash to try.
type point struct {
	boundary
	mode simcloud.CrashMode
}

// acting are the boundaries of all rounds that change something and of the two
// invocations after each.
func (o outcome) acting() []boundary {
	last := -1
	var in []boundary
	for _, b := range o.boundaries {
		if len(o.actions[b.invocation]) > 0 {
			last = b.invocation
		}
		if last >= 0 && b.invocation <= last+2 {
			in = append(in, b)
		}
	}
	return in
}

// firsts are the boundaries of the first invocation of each kind. That of a round
// is what it changes, that of ingest is which calls it makes. Of the rounds that
// change nothing the one with most calls counts: others did not come far.
func (o outcome) firsts() []boundary {
	calls, order := map[int][]boundary{}, []int(nil)
	for _, b := range o.boundaries {
		if calls[b.invocation] == nil {
			order = append(order, b.invocation)
		}
		calls[b.invocation] = append(calls[b.invocation], b)
	}
	kinds, idle := map[string]bool{}, []boundary(nil)
	var in []boundary
	for _, n := range order {
		kind := fmt.Sprint(o.actions[n])
		switch own := calls[n]; {
		case own[0].function == hearer:
			kind = hearer
			for _, b := range own {
				kind += " " + b.name
			}
		case len(o.actions[n]) == 0:
			if len(own) > len(idle) {
				idle = own
			}
			continue
		}
		if !kinds[kind] {
			kinds[kind] = true
			in = append(in, calls[n]...)
		}
	}
	return append(in, idle...)
}

// points are the crashes to try.
func (o outcome) points(every bool) []point {
	in := o.firsts()
	if every {
		in = o.boundaries
	}
	var all []point
	for n, b := range in {
		for m, mode := range modes() {
			if !every || len(o.actions[b.invocation]) > 0 || n%len(modes()) == m {
				all = append(all, point{b, mode})
			}
		}
	}
	return all
}

// counted is how many boundaries of each function there are, and at how many of
// them points crash.
func (o outcome) counted(points []point) string {
	all, crashed := map[string]int{}, map[string]map[int]bool{}
	for _, b := range o.boundaries {
		all[b.function]++
		crashed[b.function] = map[int]bool{}
	}
	for _, p := range points {
		crashed[p.function][p.n] = true
	}
	var says []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		says = append(says, fmt.Sprintf("%d boundaries of %d of %s", len(crashed[name]), all[name], name))
	}
	return strings.Join(says, ", ")
}

// fullest is the invocation that makes most changes.
func (o outcome) fullest() int {
	return slices.MaxFunc(slices.Sorted(maps.Keys(o.actions)), func(a, b int) int { return len(o.actions[a]) - len(o.actions[b]) })
}

func TestACrashAtAnyCallLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	whole := crash{}.run(t)
	points := whole.points(*everyCrash)
	seen := whole.actions[whole.fullest()]
	t.Logf("%s, %d crashes; %d hosts at the end, %d launched, %s up to %d intents open at once; the fullest round calls %s",
		whole.counted(points), len(points), whole.hosts, whole.launched, whole.services, whole.open, strings.Join(seen, " "))
	for _, a := range []string{"LaunchInstances", "UpdateService", "UpdateContainerInstancesState"} {
		if !slices.Contains(seen, a) {
			t.Errorf("the fullest round does not call %s", a)
		}
	}
	if whole.open < 3 || len(whole.wrong) > 0 || len(whole.violations) > 0 {
		t.Fatalf("without a crash: %d open intents, %v %v", whole.open, whole.wrong, whole.violations)
	}
	var runs sync.WaitGroup
	slots := make(chan bool, 2)
	for _, p := range points {
		slots <- true
		runs.Go(func() {
			defer func() { <-slots }()
			for _, wrong := range whole.differs(crash{n: p.n, mode: p.mode}.run(t)) {
				t.Errorf("call %d, %s of %s %d: %s: %s", p.n, p.name, p.function, p.invocation, p.mode, wrong)
			}
		})
	}
	runs.Wait()
}

// differs is what makes another run's end another one, or broke a promise.
func (o outcome) differs(got outcome) []string {
	wrong := slices.Clone(got.wrong)
	for _, v := range got.violations {
		wrong = append(wrong, fmt.Sprintf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail))
	}
	if got.services != o.services {
		wrong = append(wrong, fmt.Sprintf("the end is %s want %s", got.services, o.services))
	}
	if got.hosts != o.hosts {
		wrong = append(wrong, fmt.Sprintf("%d hosts are left of %d launched, want %d", got.hosts, got.launched, o.hosts))
	}
	return wrong
}
