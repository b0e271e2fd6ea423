package simcloud

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"pgregory.net/rapid"
)

// loads puts 100 requests a second, ten each 100 ms, on a route, for web.
func (b *lbBench) loads(r Route) {
	b.t.Helper()
	r.Every = 100 * time.Millisecond
	b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: func(time.Time) float64 { return 100 }, Route: r}))
}

// met is what the requests for web met so far.
func (b *lbBench) met() Met {
	v, _ := b.c.World().Service("c", "web")
	return v.Load.Met
}

// TestWhatRequestsMeet sends a hundred requests a second for ten seconds to a
// group of two healthy targets, to one of which something happens at once.
func TestWhatRequestsMeet(t *testing.T) {
	rows := []struct {
		name string
		do   func(b *lbBench, of *ecsTask)
		want Met
	}{
		{"both are served", func(*lbBench, *ecsTask) {}, Met{Served: 1000}},
		{"a crashed task's half finds nobody, until two checks have failed", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().CrashTask("c", of.arn))
		}, Met{Served: 500, Stopped: 500}},
		{"so does that of a machine that broke", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().KillHost(of.ec2()))
		}, Met{Served: 500, Stopped: 500}},
		{"a task that got SIGTERM has closed, and has ended 5 s later", func(b *lbBench, of *ecsTask) {
			b.c.World().BehaveTasks("web", TaskBehaviour{StopFrom: 5050 * time.Millisecond, StopTo: 5050 * time.Millisecond})
			b.f.stopTask(of, "", "")
		}, Met{Served: 500, Closed: 250, Stopped: 250}},
		{"one that is told to stop serves on while its agent is away", func(b *lbBench, of *ecsTask) {
			b.must(b.c.World().AgentDown(of.ec2(), 4050*time.Millisecond))
			b.c.World().BehaveTasks("web", TaskBehaviour{StopFrom: time.Minute, StopTo: time.Minute})
			b.f.stopTask(of, "", "")
		}, Met{Served: 700, Closed: 300}},
		{"a draining target is left alone from its first moment on", func(b *lbBench, of *ecsTask) {
			b.deregister(b.group, of.ec2(), of.port())
			b.must(b.c.World().CrashTask("c", of.arn))
		}, Met{Served: 1000}},
		{"all drain: nowhere to send to", func(b *lbBench, _ *ecsTask) {
			for _, v := range b.c.World().Targets() {
				b.deregister(v.TargetGroup, v.Instance, v.Port)
			}
		}, Met{NoTarget: 1000}},
		{"all are unhealthy: all get requests, and those that answer serve", func(b *lbBench, _ *ecsTask) {
			b.c.World().BehaveTasks("web", TaskBehaviour{FailsChecks: true})
			b.pass(time.Minute)
		}, Met{Served: 7000}},
		{"one that is only being registered gets none, though nothing else is there", func(b *lbBench, of *ecsTask) {
			b.c.World().Behaviour().ELB.RegisterFrom, b.c.World().Behaviour().ELB.RegisterTo = time.Minute, time.Minute
			for _, v := range b.c.World().Targets() {
				b.deregister(v.TargetGroup, v.Instance, v.Port)
			}
			b.registered(b.group, of)
		}, Met{NoTarget: 1000}},
		{"a new target gets none before its first check", func(b *lbBench, of *ecsTask) {
			b.c.World().Behaviour().ELB.RegisterFrom, b.c.World().Behaviour().ELB.RegisterTo = time.Minute, time.Minute
			b.register(b.group, of.ec2(), 1)
		}, Met{Served: 1000}},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			tasks := b.tasks("web", 2)
			of := tasks[0]
			for _, one := range tasks {
				b.registered(b.group, one)
			}
			b.pass(time.Minute)
			b.c.World().Behaviour().PassDelay = time.Hour
			for _, g := range b.f.elb.groups { // no check may interfere
				g.check.unhealthy = 100
				if tt.want.Served == 7000 {
					g.check.unhealthy = 2
				}
			}
			b.loads(Route{TargetGroup: b.group})
			tt.do(b, of)
			b.pass(10 * time.Second)
			if got := b.met(); got != tt.want {
				t.Errorf("met %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestARequestToAReusedPortMeetsTheWrongTask(t *testing.T) {
	b := newLBBench(t, 1, nil)
	tasks := b.tasks("web", 2)
	for _, one := range tasks {
		b.registered(b.group, one)
	}
	b.pass(time.Minute)
	gone := tasks[0]
	b.thief(gone)
	b.loads(Route{TargetGroup: b.group})
	b.loads(Route{TargetGroup: b.group, Tasks: []string{"family:thief"}})
	b.loads(Route{TargetGroup: b.group, ContainerPort: 1})
	b.pass(10 * time.Second)
	routes := b.c.World().Routes()
	b.want("meant for web", fmt.Sprintf("%+v", routes[0].Total.Met), fmt.Sprintf("%+v", Met{Served: 500, Wrong: 500}))
	b.want("meant for both", fmt.Sprintf("%+v", routes[1].Total.Met), fmt.Sprintf("%+v", Met{Served: 1000}))
	b.want("meant for another port of web's tasks", fmt.Sprintf("%+v", routes[2].Total.Met), fmt.Sprintf("%+v", Met{Wrong: 1000}))
	b.want("the service's sum", fmt.Sprintf("%+v", b.met()), fmt.Sprintf("%+v", Met{Served: 1500, Wrong: 1500}))
	for _, v := range routes[0].Targets {
		if want := v.Instance == gone.ec2() && v.Port == gone.port(); (v.Met == Met{Wrong: 500}) != want || (v.Met == Met{Served: 500}) == want {
			t.Errorf("target %s:%d met %+v", v.Instance, v.Port, v.Met)
		}
	}
	for _, v := range b.c.World().Targets() {
		if want := map[bool]string{true: "family:thief", false: "service:web"}[v.Instance == gone.ec2() && v.Port == gone.port()]; v.TaskGroup != want || !v.Listens {
			t.Errorf("%+v, want a task of %s", v, want)
		}
	}
}

func TestWeightsAreKeptToTheRequest(t *testing.T) {
	rows := []struct {
		weights [2]int32
		second  int // of 1000 requests
	}{{[2]int32{0, 0}, 0}, {[2]int32{1, 1}, 500}, {[2]int32{90, 10}, 100}, {[2]int32{1, 0}, 0}, {[2]int32{0, 999}, 1000}, {[2]int32{2, 1}, 333}}
	for _, tt := range rows {
		b := newLBBench(t, 1, nil)
		two := b.makeGroup("two", nil)
		tasks := b.tasks("web", 2)
		out := b.rule(to(b.group, tt.weights[0]), to(two, tt.weights[1]))
		b.registered(b.group, tasks[0])
		b.registered(two, tasks[1])
		b.pass(time.Minute)
		b.loads(Route{Rule: out})
		b.pass(10 * time.Second)
		got := 0
		for _, v := range b.c.World().Routes()[0].Targets {
			if v.TargetGroup == two {
				got += v.Met.Served
			}
		}
		b.want(fmt.Sprint("of weights ", tt.weights), got, tt.second)
		all := Met{Served: 1000}
		if tt.weights == [2]int32{} {
			all = Met{NoTarget: 1000}
		}
		b.want("in all", fmt.Sprintf("%+v", b.met()), fmt.Sprintf("%+v", all))
	}
}

func TestAGroupWithoutTargetsKeepsItsShare(t *testing.T) {
	b := newLBBench(t, 1, nil)
	two := b.makeGroup("two", nil)
	b.must(b.changesListener(to(b.group, 3), to(two, 1)))
	b.registered(b.group, b.tasks("web", 1)[0])
	b.pass(time.Minute)
	b.loads(Route{Listener: b.listener})
	b.pass(10 * time.Second)
	b.want("met", fmt.Sprintf("%+v", b.met()), fmt.Sprintf("%+v", Met{Served: 750, NoTarget: 250}))
}

// rule adds a rule to the bench's listener.
func (b *lbBench) rule(groups ...types.TargetGroupTuple) string {
	b.t.Helper()
	l, err := b.f.elb.listener(&b.listener)
	b.must(err)
	r := &lbRule{arn: "rule", priority: 1}
	l.rules = append([]*lbRule{r}, l.rules...)
	forward, err := b.f.elb.forward(l.balancer, forwardTo(groups...))
	b.must(err)
	b.must(b.f.setForward(l.balancer, r, forward))
	return r.arn
}

func TestSlowStartRampsUp(t *testing.T) {
	b := newLBBench(t, 1, nil)
	b.set(b.group, attributeSlowStart, "100")
	tasks := b.tasks("web", 2)
	b.registered(b.group, tasks[0])
	b.pass(time.Minute)
	if one := b.f.elb.groups[0].targets[0]; !one.slowFrom.IsZero() {
		t.Errorf("the first target has a slow start, though nobody else is healthy")
	}
	b.registered(b.group, tasks[1])
	for b.health(b.group, tasks[1].ec2(), tasks[1].port()) != "healthy" {
		b.pass(time.Second)
	}
	b.loads(Route{TargetGroup: b.group})
	last := 0
	shares := func() []int {
		var all []int
		for range 4 {
			b.pass(25 * time.Second)
			n := 0
			for _, v := range b.c.World().Routes()[0].Targets {
				if v.Instance == tasks[1].ec2() && v.Port == tasks[1].port() {
					n = v.Met.Served
				}
			}
			all, last = append(all, n-last), n
		}
		return all
	}
	// With a ramp of r the second gets r for each 1 of the first: r/(1+r) of 2500.
	for i, n := range shares() {
		ramp := 0.125 + 0.25*float64(i)
		if want := 2500 * ramp / (1 + ramp); float64(n) < want-120 || float64(n) > want+120 {
			t.Errorf("quarter %d of the slow start: %d requests, want about %.0f", i+1, n, want)
		}
	}
	for _, n := range shares() {
		b.want("after it", n, 1250)
	}
}

func TestANetworkLoadBalancerIsLateToLeaveATargetAlone(t *testing.T) {
	for _, tail := range []time.Duration{0, 30050 * time.Millisecond} {
		b := newLBBench(t, 1, nil)
		b.c.World().Behaviour().ELB.NetworkTail = tail
		lb, g := b.balancer("net", types.LoadBalancerTypeEnumNetwork), b.makeGroup("tcp", network)
		b.set(g, attributeDelay, "10")
		b.listen(lb, to(g, 1))
		tasks := b.tasks("web", 2)
		b.registered(g, tasks[0])
		b.registered(g, tasks[1])
		b.pass(5 * time.Minute)
		b.loads(Route{TargetGroup: g})
		b.c.World().Behaviour().PassDelay = time.Hour
		b.deregister(g, tasks[0].ec2(), tasks[0].port())
		b.f.stopTask(tasks[0], "", "")
		b.pass(20 * time.Second)
		b.want("after the delay it is shown as", b.health(g, tasks[0].ec2(), tasks[0].port()), nobody)
		b.pass(time.Minute)
		met := b.met()
		b.want(fmt.Sprint("requests that it still got with a tail of ", tail), met.Closed+met.Stopped, 50*int(tail/time.Second))
	}
}

func TestOverloadIsWhatTheCPUDoesNotAllow(t *testing.T) {
	b := newLBBench(t, 1, nil)
	for _, one := range b.tasks("web", 2) { // 100 CPU units each
		b.registered(b.group, one)
	}
	b.pass(time.Minute)
	var cpu []string
	b.f.published = func(p loadPoint) {
		if p.name == "CPUUtilization" {
			cpu = append(cpu, fmt.Sprintf("%.1f", p.value))
		}
	}
	b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: func(time.Time) float64 { return 100 }, CPUPerRequest: 1, Route: Route{TargetGroup: b.group}}))
	b.pass(3 * time.Minute)
	b.want("half of what they can", fmt.Sprint(b.met().Overloaded, cpu[1:]), "0 [50.0 50.0]")
	b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: func(time.Time) float64 { return 300 }, CPUPerRequest: 1, Route: Route{TargetGroup: b.group}}))
	b.pass(100 * time.Second)
	if n := b.met().Overloaded; n < 19700 || n > 20000 {
		t.Errorf("twice what they can, for 100 s: %d overloaded, want 20000 less the second that they had left", n)
	}
	v, _ := b.c.World().Service("c", "web")
	if v.Load.Requests != 100*280+300*100 || v.Load.Unserved != float64(v.Load.Met.Overloaded) {
		t.Errorf("figures %+v", v.Load)
	}
}

func TestLoadsThatCannotBe(t *testing.T) {
	b := newLBBench(t, 1, nil)
	b.tasks("web", 1)
	rate := func(time.Time) float64 { return 1 }
	for name, spec := range map[string]LoadSpec{
		"no rate":         {Cluster: "c", Service: "web", Route: Route{TargetGroup: b.group}},
		"no group":        {Cluster: "c", Service: "web", Rate: rate, Route: Route{TargetGroup: "none"}},
		"no listener":     {Cluster: "c", Service: "web", Rate: rate, Route: Route{Listener: "none"}},
		"no rule":         {Cluster: "c", Service: "web", Rate: rate, Route: Route{Rule: "none"}},
		"no service":      {Cluster: "c", Service: "none", Rate: rate, Route: Route{TargetGroup: b.group}},
		"meant for none":  {Cluster: "c", Rate: rate, Route: Route{TargetGroup: b.group}},
		"backward":        {Cluster: "c", Service: "web", Rate: rate, Route: Route{TargetGroup: b.group, Every: -1}},
		"a negative cost": {Cluster: "c", Service: "web", Rate: rate, CPUPerRequest: -1, Route: Route{TargetGroup: b.group}},
	} {
		if b.c.AddLoad(spec) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: rate, CPUPerRequest: 1}))
	if b.c.AddLoad(LoadSpec{Cluster: "c", Service: "web", Rate: rate, Route: Route{TargetGroup: b.group}}) == nil {
		t.Error("a service with the other kind of load: no error")
	}
	b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Rate: rate, Route: Route{TargetGroup: b.group, Tasks: []string{"service:web"}}}))
	b.pass(10 * time.Second)
	b.want("those for tasks of no service", b.c.World().Routes()[0].Total.Met.NoTarget, 10)
}

// TestEveryRequestIsCountedOnce draws what happens to two services on one load
// balancer, with ports that are used again at once.
func TestEveryRequestIsCountedOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := churn(t, rapid.Uint64Range(0, 1<<40).Draw(r, "seed"), rapid.SliceOfN(rapid.IntRange(0, 6), 1, 12).Draw(r, "what happens"))
		for _, v := range b.c.World().Routes() {
			m := v.Total.Met
			if n := m.Served + m.Overloaded + m.Wrong + m.Closed + m.Stopped + m.NoTarget; float64(n) != v.Total.Requests || v.Total.Unserved != float64(n-m.Served) {
				r.Errorf("%+v do not add up", v.Total)
			}
			var sum Met
			for _, of := range v.Targets {
				sum = sum.plus(of.Met)
			}
			if want := 20 * b.c.now.Sub(epoch).Seconds(); sum != m || v.Total.Requests < want-1 || v.Total.Requests > want {
				r.Errorf("%v requests of %v, by target %+v, in all %+v", v.Total.Requests, want, sum, m)
			}
		}
		for _, g := range b.f.elb.groups {
			if len(g.targets) != len(g.byKey) {
				r.Errorf("%d targets, %d by key", len(g.targets), len(g.byKey))
			}
		}
		b.scale("web", 2)
		b.scale("api", 2)
		b.pass(8 * time.Minute)
		if web, api := b.states(b.group), b.states(b.f.elb.groups[1].arn); web != "map[healthy:2]" || api != "map[healthy:2]" {
			r.Errorf("in the end the targets are %s and %s", web, api)
		}
	})
}

// churn runs a world of two services that ECS registers, with a load on each.
func churn(t testing.TB, seed uint64, happens []int) *lbBench {
	b := newLBBench(t, seed, nil)
	api := b.makeGroup("api", nil)
	b.listen(b.lb, to(api, 1))
	b.balanced("web", 2, 0, b.group)
	b.balanced("api", 2, 0, api)
	for i, g := range []string{b.group, api} {
		b.must(b.c.AddLoad(LoadSpec{Cluster: "c", Service: []string{"web", "api"}[i], Rate: func(time.Time) float64 { return 20 }, Route: Route{TargetGroup: g, Every: 500 * time.Millisecond}}))
	}
	b.pass(time.Minute)
	for _, what := range happens {
		b.happen(what)
		b.pass(15 * time.Second)
	}
	return b
}

func (b *lbBench) happen(what int) {
	c := b.f.clusters[0]
	for _, h := range c.hosts {
		h.lastPort = 0 // the next port is the lowest that is free
	}
	switch s := c.service([]string{"web", "api"}[what%2]); {
	case what < 2:
		b.scale(s.name, int32(1+what))
	case what < 4:
		b.scale(s.name, 4)
	case what < 6 && len(s.tasks) > 0:
		if s.tasks[0].serving() {
			b.must(b.c.World().CrashTask("c", s.tasks[0].arn))
		}
	case len(s.tasks) > 0:
		_, err := b.c.ECS().StopTask(b.ctx, &ecs.StopTaskInput{Cluster: aws.String("c"), Task: aws.String(s.tasks[0].arn)})
		b.must(err)
	}
}

func TestTheSameSeedIsTheSameTraffic(t *testing.T) {
	run := func(seed uint64) string {
		b := churn(t, seed, []int{3, 4, 6, 2, 5, 0, 1})
		return fmt.Sprintf("%s %+v", b.c.TraceHash(), b.c.World().Routes())
	}
	first := run(1)
	if again := run(1); again != first {
		t.Errorf("one seed, two runs:\n%s\n%s", first, again)
	}
	if other := run(2); other == first {
		t.Error("two seeds, one run")
	}
}
