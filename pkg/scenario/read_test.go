package scenario

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

const small = `
name: small
title: A small world
length: 1h
groups:
  - {name: g, zones: [a], instanceType: t, cpu: 1024, memory: 2000, max: 3, desired: 1}
services:
  - {name: web, cpu: 256, memory: 256, desired: 1, load: {cpuPerRequest: 5, shape: {base: 10}}}
policy:
  version: 1
  cluster: prod
  hosts: [{group: g, min: 1, max: 3}]
  services: {web: {tasks: {min: 1, max: 4}}}
expect:
  - {name: served, measure: unservedPercent, atMost: 1}
`

func TestBuiltinsAreReadWithoutAProblem(t *testing.T) {
	if len(Builtins()) == 0 {
		t.Fatal("none")
	}
	for _, name := range Builtins() {
		s, err := Builtin(name)
		if err != nil {
			t.Error(err)
		}
		if s.Name != name || s.Title == "" || len(s.Expect) == 0 {
			t.Errorf("%s: name %q, title %q, %d expectations", name, s.Name, s.Title, len(s.Expect))
		}
	}
	if _, err := Builtin("nothing"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestWhatIsWrongWithAScenario(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		want           []string // a part of each problem, in order
	}{
		{"a right one has no problem", "", "", nil},
		{"an unknown key", "desired: 1}\nservices", "desired: 1, colour: red}\nservices", []string{"groups[0].colour (line 6): found an unknown key"}},
		{"a wrong type", "length: 1h", "length: 60", []string{"length (line 4)"}},
		{"more desired than the maximum", "max: 3, desired: 1", "max: 3, desired: 4", []string{"groups[0].desired (line 6): found 4, allowed from min 0 to max 3"}},
		{"a policy's own problem comes with its path and line", "max: 4}}", "max: 0}}", []string{"policy.services.web.tasks.max (line 13)"}},
		{"the policy names a group that the world lacks", "group: g,", "group: h,", []string{"policy.hosts[0].group (line 12): found h, allowed a group of this scenario: g"}},
		{"the policy names a service that the world lacks", "{web: {tasks", "{wob: {tasks", []string{"policy.services.wob (line 13)"}},
		{"an unknown measure", "unservedPercent", "luck", []string{`expect[0].measure (line 15): found "luck", allowed one of hostHours`}},
		{"a measure of a moment without its time", "unservedPercent", "hosts", []string{"expect[0].at (line 15): found nothing"}},
		{"an expectation without a bound", ", atMost: 1}", "}", []string{"expect[0] (line 15): found no bound"}},
		{"a strategy that ECS does not have", "cpu: 256, memory: 256", "cpu: 256, placementStrategy: [{type: binpack, field: disk}, {type: pile}], memory: 256", []string{"services[0].placementStrategy[0].field (line 8): found \"disk\"", "services[0].placementStrategy[1].type (line 8): found \"pile\""}},
		{"a constraint that ECS does not have", "cpu: 256, memory: 256", "cpu: 256, placementConstraints: [{type: memberOf}, {type: near}], memory: 256", []string{"services[0].placementConstraints[0].expression (line 8)", "services[0].placementConstraints[1].type (line 8)"}},
		{"a measure of no service names one", "measure: unservedPercent", "measure: unservedPercent, service: web", []string{"expect[0].service (line 15)"}},
		{"what the world lacks is told beside the policy's own problems", "hosts: [{group: g, min: 1, max: 3}]\n  services: {web: {tasks: {min: 1, max: 4}}}", "hosts: [{group: h, min: 1, max: 3}]\n  services: {web: {tasks: {min: 9, max: 4}}}", []string{"policy.hosts[0].group (line 12)", "policy.services.web.tasks.max (line 13)"}},
		{
			"all problems at once", "length: 1h\ngroups:\n  - {name: g, zones: [a], instanceType: t, cpu: 1024", "length: 0s\nworld: [{at: 1m, do: dance}]\ngroups:\n  - {name: g, zones: [], instanceType: t, cpu: 0",
			[]string{"groups[0].cpu", "groups[0].zones", "length", `world[0].at`, `world[0].do (line 5): found "dance", allowed one of agentDown`},
		},
		{
			"target groups that cannot be", "groups:", "targetGroups:\n  - {name: t, protocol: UDP, deregistrationDelay: 61m, healthCheckInterval: 4s}\n  - {name: t, healthCheckInterval: 301s}\ngroups:",
			[]string{
				"targetGroups (line 5): found t, t, allowed each name once", "targetGroups[0].deregistrationDelay (line 6): found 1h1m, allowed 0s to 1h", "targetGroups[0].healthCheckInterval (line 6): found 4s, allowed 5s to 5m",
				`targetGroups[0].protocol (line 6): found "UDP", allowed HTTP or TCP`, "targetGroups[1].healthCheckInterval (line 7): found 5m1s",
			},
		},
		{"a target group without a name", "groups:", "targetGroups: [{protocol: TCP, deregistrationDelay: 1h, healthCheckInterval: 5m}]\ngroups:", []string{"targetGroups[0].name (line 5): found nothing"}},
		{"a load by a target group that the world lacks", "{cpuPerRequest: 5,", "{cpuPerRequest: 5, targetGroup: t,", []string{"services[0].load.targetGroup (line 8): found t, allowed one of targetGroups"}},
		{"a hold that ECS cuts short", "cpu: 256, memory: 256", "cpu: 256, hold: 121s, memory: 256", []string{"services[0].hold (line 8): found 2m1s, allowed 0s to 2m"}},
		{"the longest hold has no problem", "cpu: 256, memory: 256", "cpu: 256, hold: 2m, memory: 256", nil},
		{"dynamic ports out of range", "desired: 1}\nservices", "desired: 1, dynamicPorts: {from: 33000, to: 65536}}\nservices", []string{"groups[0].dynamicPorts (line 6): found 33000 to 65536, allowed a range within 1024 to 65535"}},
		{"dynamic ports that are privileged", "desired: 1}\nservices", "desired: 1, dynamicPorts: {from: 1023, to: 2000}}\nservices", []string{"groups[0].dynamicPorts (line 6): found 1023 to 2000"}},
		{"dynamic ports that end before they begin", "desired: 1}\nservices", "desired: 1, dynamicPorts: {from: 33001, to: 33000}}\nservices", []string{"groups[0].dynamicPorts (line 6): found 33001 to 33000"}},
		{"what is counted in a part of the run has no problem", "measure: unservedPercent", "measure: requestsToWrong, from: 1m, at: 60m", nil},
		{"what is counted from the end on", "measure: unservedPercent", "measure: requestsToWrong, from: 60m", []string{"expect[0].from (line 15): found 1h, allowed a time since the start, before at"}},
		{"what is counted up to before it begins", "measure: unservedPercent", "measure: staleTarget, from: 20m, at: 20m", []string{"expect[0].from (line 15): found 20m, allowed a time since the start, before at"}},
		{"what is counted up to after the end", "measure: unservedPercent", "measure: staleTarget, at: 61m", []string{"expect[0].at (line 15): found 1h1m, allowed a time since the start, within length"}},
		{"what is counted in parts of a minute", "measure: unservedPercent", "measure: requestsToWrong, from: 10s, at: 110s", []string{"expect[0].at (line 15): found 1m50s, allowed whole minutes", "expect[0].from (line 15): found 10s, allowed whole minutes"}},
		{"a measure of the whole run in a part of it", "measure: unservedPercent", "measure: unservedPercent, from: 1m, at: 2m", []string{"expect[0].at (line 15)", "expect[0].from (line 15)"}},
		{"a measure of a moment from a time on", "measure: unservedPercent", "measure: hosts, from: 1m, at: 2m", []string{"expect[0].from (line 15)"}},
		{"a happening to nobody", "groups:", "world: [{at: 1m, do: killHost}, {at: 2h, do: crashTask, service: wob}]\ngroups:", []string{"world[0].group", "world[1].at", "world[1].service"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("x.yaml", []byte(strings.Replace(small, tt.from, tt.to, 1)))
			var got policy.Problems
			if err != nil && !errors.As(err, &got) {
				t.Fatalf("%v is not a list of problems", err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("problems %v\nwant %q", err, tt.want)
			}
			for n, p := range got {
				if !strings.Contains(p.String(), tt.want[n]) {
					t.Errorf("problem %q\nwant %q", p, tt.want[n])
				}
			}
		})
	}
}

func TestWhatIsWrongWithATrace(t *testing.T) {
	for _, tt := range []struct{ name, raw, want string }{
		{"a right one has no problem", "t_s,value\n0,1\n60,2\n", ""},
		{"not a number", "0,1\n60,many\n", `t.csv:2: found "60,many"`},
		{"one column", "0,1\n60\n", `t.csv:2: found "60"`},
		{"negative", "0,1\n60,-2\n", `t.csv:2: found "60,-2"`},
		{"not finite", "0,1\n60,NaN\n", `t.csv:2`},
		{"unsorted", "t_s,value\n0,1\n60,2\n60,3\n", `t.csv:4: found "60,3"`},
		{"longer than a year", "0,1\n1e18,2\n", `t.csv:2: found "1e18,2"`},
		{"a rate beyond reason", "0,1\n60,1e300\n", `t.csv:2`},
		{"empty", "", "t.csv: found 0 points"},
		{"only names", "t_s,value\n", "t.csv: found 0 points"},
		{"one point", "0,4\n", "t.csv: found 1 points"},
		{"nothing but zero", "0,0\n60,0\n", "no value above 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadTrace("t.csv", []byte(tt.raw))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestATraceReplacesTheShapeAtTheScenariosPeak(t *testing.T) {
	s, err := Read("x.yaml", []byte(strings.Replace(small, "base: 10", "base: 10, crowds: [{at: 10m, rate: 30, rise: 1m, stay: 5m, fall: 1m}]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	trace, err := ReadTrace("t.csv", []byte("100,1\n160,4\n220,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ peak, start, between, top, after float64 }{
		{0, 10, 25, 40, 20},
		{8, 2, 5, 8, 4},
	} {
		traced := s.WithTrace(trace, tt.peak)
		rate := traced.Services[0].Load.Shape.rate(1, traced.Start)
		for since, want := range map[float64]float64{0: tt.start, 30: tt.between, 60: tt.top, 120: tt.after, 999: tt.after} {
			if got := rate(traced.Start.Add(seconds(since))); got != want {
				t.Errorf("peak %v: %v requests/s after %v s, want %v", tt.peak, got, since, want)
			}
		}
		if traced.Length.Duration != seconds(120) || !traced.Traced {
			t.Errorf("length %s, traced %t", traced.Length, traced.Traced)
		}
	}
	if s.Services[0].Load.Shape.Trace != nil {
		t.Error("the scenario itself was changed")
	}
}

func TestExpectationsOfATimeOfDayAreLeftOutWithATrace(t *testing.T) {
	at, most := policy.Duration{Duration: seconds(60)}, 1.0
	s := Scenario{Services: []Service{{Name: "web"}}, Expect: []Expectation{{Name: "early", Measure: "hosts", At: &at, AtMost: &most}, {Name: "all day", Measure: "maxHosts", AtMost: &most}}}
	r := Result{MaxHosts: 2, Samples: []Sample{{Services: make([]ServiceSample, 1)}, {Hosts: 1, Services: make([]ServiceSample, 1)}}}
	held := s.judge(r)
	if !held[0].Held || held[0].LeftOut || held[1].Held {
		t.Errorf("%+v", held)
	}
	s.Traced = true
	r.Expectations = s.judge(r)
	if !r.Expectations[0].LeftOut || !r.Failed() {
		t.Errorf("%+v", r.Expectations)
	}
	r.Expectations = r.Expectations[:1]
	if r.Failed() {
		t.Error("an expectation that is left out fails the run")
	}
	s.Expect = []Expectation{{Name: "from noon", Measure: "requestsToWrong", From: &at, AtMost: &most}}
	if held = s.judge(r); !held[0].LeftOut {
		t.Errorf("counted from a time of the day, and a trace replaced the day: %+v", held)
	}
}

// What is counted is counted between two samples, or up to the end.
func TestWhatIsCountedInAPartOfTheRun(t *testing.T) {
	r := Result{Met: simcloud.Met{Served: 100, Wrong: 20, NoTarget: 5}}
	for n := range 5 { // served 0, 10, ..., 40; wrong 0, 1, 4, 9, 16
		r.Samples = append(r.Samples, Sample{Met: simcloud.Met{Served: 10 * n, Wrong: n * n}, Stale: time.Duration(n%3) * time.Second})
	}
	one, three := minutes(1), minutes(3)
	for _, tt := range []struct {
		name, measure string
		from, at      *policy.Duration
		want          float64
	}{
		{"all", "requestsToWrong", nil, nil, 20},
		{"from a time on", "requestsToWrong", &one, nil, 19},
		{"up to a time", "requestsToWrong", nil, &three, 9},
		{"in between", "requestsToWrong", &one, &three, 8},
		{"all kinds", "requestsRouted", &one, &three, 28},
		{"of another kind", "requestsNowhere", &one, nil, 5},
		{"the longest", "staleTarget", nil, nil, 2},
		{"the longest in a part that begins after a longer one", "staleTarget", new(minutes(2)), nil, 1},
		{"the longest in a part that ends before a longer one", "staleTarget", nil, &one, 1},
	} {
		s := Scenario{Expect: []Expectation{{Name: tt.name, Measure: tt.measure, From: tt.from, At: tt.at, AtMost: &tt.want, AtLeast: &tt.want}}}
		if held := s.judge(r); !held[0].Held {
			t.Errorf("%s: %s", tt.name, held[0].Detail)
		}
	}
}

func TestAShapeIsTheSameHoweverOftenItIsAsked(t *testing.T) {
	s, err := Builtin("web-day")
	if err != nil {
		t.Fatal(err)
	}
	shape := s.Services[0].Load.Shape
	a, b, other := shape.rate(1, s.Start), shape.rate(1, s.Start), shape.rate(2, s.Start)
	differs := false
	for m := range 24 * 60 {
		at := s.Start.Add(seconds(float64(60 * m)))
		_ = a(at) // twice
		if a(at) != b(at) || a(at) < 0 {
			t.Fatalf("at %s: %v and %v", at, a(at), b(at))
		}
		differs = differs || a(at) != other(at)
	}
	if !differs {
		t.Error("two seeds make one noise")
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
