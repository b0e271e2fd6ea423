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

// everyCrash crashes at all calls of all rounds that change something and of what
// runs right after them, in all modes; without it at all calls of one round of
// each kind, in one mode each, the modes in turn.
var everyCrash = flag.Bool("every-crash", false, "crash at every API call of the test's window, in every mode")

// swell is a short world in which rounds launch hosts, raise two services at
// once, lower them, and drain and end hosts. Its load has no noise and is steady
// at the end.
func swell() Scenario {
	d := func(d time.Duration) policy.Duration { return policy.Duration{Duration: d} }
	load := func(base, more float64) *Load {
		return &Load{CPUPerRequest: 10, Shape: Shape{Base: base, Crowds: []Crowd{{At: d(6 * time.Minute), Rate: more, Rise: d(time.Second), Stay: d(6 * time.Minute), Fall: d(time.Second)}}}}
	}
	percent := 50
	never := d(0)
	s := Scenario{
		Name: "swell", Start: time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC), Length: d(42 * time.Minute), AgentFlap: &never,
		Groups: []Group{{Name: "prod-hosts", Zones: []string{"eu-west-1a", "eu-west-1b"}, InstanceType: "m6i.large", CPU: 2048, Memory: 7764, Max: 20, Desired: 2}},
		Services: []Service{
			{Name: "web", CPU: 256, Memory: 512, Desired: 4, MinimumHealthyPercent: &percent, Strategies: []Strategy{{Type: "binpack", Field: "cpu"}}, Load: load(60, 120)},
			{Name: "api", CPU: 512, Memory: 512, Desired: 2, MinimumHealthyPercent: &percent, Strategies: []Strategy{{Type: "binpack", Field: "cpu"}}, Load: load(60, 120)},
		},
	}
	s.Policy = policy.Policy{
		Version: 1, Cluster: "prod",
		Hosts: []policy.HostGroup{{Group: "prod-hosts", Min: 1, Max: 20, Removal: policy.Removal{EmptyAfter: d(time.Minute), MaxAtOnce: 2}}},
		Services: map[string]policy.Service{
			"web": {Tasks: &policy.Tasks{Min: 2, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
			"api": {Tasks: &policy.Tasks{Min: 2, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
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
	violations []Violation
	boundaries []boundary
	actions    map[int][]string // of each invocation: the calls that changed ECS or Auto Scaling
	open       int              // the most intents open at once
}

// crashed runs the swell with a crash at call n; 0: with none.
func crashed(t *testing.T, n int, mode simcloud.CrashMode) outcome {
	t.Helper()
	s := swell()
	m := newMonitors(s.Policy)
	var out outcome
	out.actions = map[int][]string{}
	var w *world
	o := simcloud.Options{
		Start: s.Start, Seed: 7, Account: account, Region: region, Failed: m.failed,
		Watch: func(c simcloud.Call) {
			m.watch(c)
			if n > 0 {
				return
			}
			if c.Service == "ecs" || c.Service == "autoscaling" {
				out.actions[c.Invocation] = append(out.actions[c.Invocation], c.Action)
			}
			out.open = max(out.open, len(w.cloud.DynamoDB().Prefixed(table, leaseKey("prod"), openItems)))
		},
		Begun: func(at int, c simcloud.Call) {
			if n == 0 {
				out.boundaries = append(out.boundaries, boundary{at, c.Invocation, c.Function, c.Service + ":" + c.Action})
			}
		},
	}
	w, err := build(t.Context(), s, o, nil, nil)
	if err != nil {
		t.Error(err)
		return out
	}
	defer w.cloud.Close()
	m.attach(w)
	if n > 0 {
		w.cloud.CrashAt(n, mode)
	}
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Error(err)
		return out
	}
	var r Result
	m.end(&r)
	out.violations = r.Violations
	out.services, out.wrong = w.settled()
	out.hosts = len(w.cloud.World().Hosts())
	return out
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
		if err := json.Unmarshal([]byte(text(i, "intent")), &intent); err != nil || w.cloud.Now().Sub(intent.At) > 3*time.Minute {
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

// window are the boundaries of the first round that makes just these changes, for
// all such, or of all rounds that change something and the two invocations after
// each.
func (o outcome) window(all bool) []boundary {
	after, last, kinds := 0, -1, map[string]int{}
	if all {
		after = 2
	}
	var in []boundary
	for _, b := range o.boundaries {
		kind := fmt.Sprint(o.actions[b.invocation])
		if _, known := kinds[kind]; !known {
			kinds[kind] = b.invocation
		}
		if len(o.actions[b.invocation]) > 0 && (all || kinds[kind] == b.invocation) {
			last = b.invocation
		}
		if last >= 0 && b.invocation >= last && b.invocation <= last+after {
			in = append(in, b)
		}
	}
	return in
}

func TestACrashAtAnyCallLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	whole := crashed(t, 0, "")
	in := whole.window(*everyCrash)
	seen := map[string]bool{}
	for _, actions := range whole.actions {
		for _, a := range actions {
			seen[a] = true
		}
	}
	t.Logf("%d boundaries of %d, %d hosts at the end, %s up to %d intents open at once; %s",
		len(in), len(whole.boundaries), whole.hosts, whole.services, whole.open, strings.Join(slices.Sorted(maps.Keys(seen)), " "))
	for _, a := range []string{"LaunchInstances", "UpdateService", "UpdateContainerInstancesState", "TerminateInstanceInAutoScalingGroup"} {
		if !seen[a] {
			t.Errorf("the rounds do not call %s", a)
		}
	}
	if whole.open < 2 || len(whole.wrong) > 0 || len(whole.violations) > 0 {
		t.Fatalf("without a crash: %d open intents, %v %v", whole.open, whole.wrong, whole.violations)
	}
	var runs sync.WaitGroup
	slots := make(chan bool, 2)
	for place, b := range in {
		for turn, mode := range modes() {
			if !*everyCrash && place%len(modes()) != turn {
				continue
			}
			slots <- true
			runs.Go(func() {
				defer func() { <-slots }()
				b.compare(t, mode, whole, crashed(t, b.n, mode))
			})
		}
	}
	runs.Wait()
}

func (b boundary) compare(t *testing.T, mode simcloud.CrashMode, whole, got outcome) {
	name := fmt.Sprintf("call %d, %s of %s %d: %s", b.n, b.name, b.function, b.invocation, mode)
	for _, v := range got.violations {
		t.Errorf("%s: %s at %s of %s: %s", name, v.Promise, clock(v.At), v.Subject, v.Detail)
	}
	for _, wrong := range got.wrong {
		t.Errorf("%s: %s", name, wrong)
	}
	if got.services != whole.services {
		t.Errorf("%s: the end is %s want %s", name, got.services, whole.services)
	}
}
