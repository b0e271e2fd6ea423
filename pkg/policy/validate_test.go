package policy

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// right is a policy without a problem that uses every key.
func right() Policy {
	return Policy{
		Version: 1, Mode: Act, Cluster: "prod",
		Hosts: []HostGroup{{
			Group: "prod-ecs", Min: 2, Max: 20, Offers: &Offers{CPU: 2048, Memory: 7800},
			Removal: Removal{EmptyAfter: seconds(60), MaxAtOnce: 2, DrainTimeout: seconds(600)},
		}},
		Services: map[string]Service{"web": {
			Tasks: &Tasks{Min: 4, Max: 40}, MinimumHealthyPercent: ptr(75), MaximumPercent: ptr(150), Tolerance: ptr(10),
			Scale: []Target{
				{Metric: "cpu", Target: 60},
				{Metric: "Visible", Namespace: "AWS/SQS", Dimensions: map[string]string{"QueueName": "jobs"}, PerTask: 100},
			},
			ScaleOut: Manner{Window: ptr(seconds(0)), MaxTasks: 10, MaxPercent: 100, Per: seconds(60)},
			ScaleIn:  Manner{Window: ptr(seconds(300))},
			Endpoints: []Endpoint{
				{Container: "app", Port: 8080, TargetGroup: "web-1"},
				{Container: "app", Port: 8080, Protocol: TCP, Registry: "web.api"},
			},
		}},
		Standalone: map[string]Standalone{"game": {Family: "game", Endpoints: []Endpoint{{Container: "app", Port: 7777, Protocol: UDP, TargetGroup: "game"}}}},
	}
}

func ptr[T any](v T) *T { return &v }

func seconds(n int) Duration { return Duration{time.Duration(n) * time.Second} }

// web changes the service of right.
func web(change func(*Service)) func(*Policy) {
	return func(p *Policy) {
		s := p.Services["web"]
		change(&s)
		p.Services["web"] = s
	}
}

// signal changes the first target of right, and queue the second.
func signal(change func(*Target)) func(*Policy) {
	return web(func(s *Service) { change(&s.Scale[0]) })
}

func queue(change func(*Target)) func(*Policy) {
	return web(func(s *Service) { change(&s.Scale[1]) })
}

type wrong struct {
	says   string
	change func(*Policy)
	want   []string
}

func (c wrong) check(t *testing.T) {
	t.Helper()
	p := right()
	c.change(&p)
	var got []string
	for _, problem := range p.Validate() {
		got = append(got, problem.String())
	}
	if !slices.Equal(got, c.want) {
		t.Errorf("%s:\n got %s\nwant %s", c.says, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
	}
}

func TestPoliciesAndGroupsAreChecked(t *testing.T) {
	for _, c := range []wrong{
		{"a right policy has no problem", func(*Policy) {}, nil},
		{"another version is refused", func(p *Policy) { p.Version = 2 }, []string{"version: found 2, allowed 1; set version: 1"}},
		{"a mode is one of two", func(p *Policy) { p.Mode = "dry" }, []string{`mode: found "dry", allowed act or observe; set mode: observe to change nothing yet`}},
		{"no mode is act", func(p *Policy) { p.Mode = "" }, nil},
		{"a cluster is named", func(p *Policy) { p.Cluster = "" }, []string{"cluster: found nothing, allowed 1 to 255 letters, numbers, hyphens and underscores; write the ECS cluster's name, not its ARN"}},
		{"an ARN is no name", func(p *Policy) { p.Cluster = "a:b/c" }, []string{`cluster: found "a:b/c", allowed 1 to 255 letters, numbers, hyphens and underscores; write the ECS cluster's name, not its ARN`}},
		{"there are hosts", func(p *Policy) { p.Hosts = nil }, []string{"hosts: found no host group, allowed one or more; add - {group: NAME, min: 1, max: 10}"}},
		{"services are not a must", func(p *Policy) { p.Services = nil }, nil},
		{"a group is named", func(p *Policy) { p.Hosts[0].Group = "" }, []string{"hosts[0].group: found nothing, allowed 1 to 255 printable ASCII characters without a colon, * or ?; write the Auto Scaling group's name, not its ARN"}},
		{"a group's name stands for no other group", func(p *Policy) { p.Hosts[0].Group = "prod-*" }, []string{`hosts[0].group: found "prod-*", allowed 1 to 255 printable ASCII characters without a colon, * or ?; write the Auto Scaling group's name, not its ARN`}},
		{"nor for one with any letter there", func(p *Policy) { p.Hosts[0].Group = "prod-?" }, []string{`hosts[0].group: found "prod-?", allowed 1 to 255 printable ASCII characters without a colon, * or ?; write the Auto Scaling group's name, not its ARN`}},
		{"a group comes once", func(p *Policy) { p.Hosts = append(p.Hosts, p.Hosts[0]) }, []string{`hosts[1].group: found "prod-ecs", as in hosts[0], allowed each group once; remove one of the two`}},
		{"hosts are not below none", func(p *Policy) { p.Hosts[0].Min = -1 }, []string{"hosts[0].min: found -1, allowed 0 or more; set min: 0"}},
		{"a group may have a host", func(p *Policy) { p.Hosts[0].Min, p.Hosts[0].Max = 0, 0 }, []string{"hosts[0].max: found 0, allowed 1 or more; set max: 1"}},
		{"the most hosts are not fewer than the least", func(p *Policy) { p.Hosts[0].Min, p.Hosts[0].Max = 4, 2 }, []string{"hosts[0].max: found 2, allowed 4 or more (not below min); set max: 4 or min: 2"}},
		{"a host offers something", func(p *Policy) { p.Hosts[0].Offers = &Offers{CPU: -1} }, []string{
			"hosts[0].offers.cpu: found -1, allowed 1 or more; set cpu: 1", "hosts[0].offers.memory: found 0, allowed 1 or more; set memory: 1",
		}},
		{"removal takes time, and one host at least", func(p *Policy) { p.Hosts[0].Removal = Removal{seconds(-60), -1, seconds(86401)} }, []string{
			"hosts[0].removal.drainTimeout: found 24h0m1s, allowed 1s to 24h in whole seconds; set drainTimeout: 24h",
			"hosts[0].removal.emptyAfter: found -1m, allowed 1s to 24h in whole seconds; set emptyAfter: 1s",
			"hosts[0].removal.maxAtOnce: found -1, allowed 1 or more; set maxAtOnce: 1",
		}},
	} {
		c.check(t)
	}
}

func TestServicesAreChecked(t *testing.T) {
	for _, c := range []wrong{
		{"a service has a name of ECS", func(p *Policy) { p.Services = map[string]Service{"a b": {}} }, []string{`services.a b: found "a b", allowed 1 to 255 letters, numbers, hyphens and underscores; write the ECS service's name, not its ARN`}},
		{"a service may be left alone", web(func(s *Service) { *s = Service{} }), nil},
		{"bounds without signals are fine", web(func(s *Service) { s.Scale = nil }), nil},
		{"signals need bounds", web(func(s *Service) { s.Tasks = nil }), []string{"services.web.tasks: found nothing, but scale, allowed min and max beside scale; add tasks: {min: 1, max: 10}, or remove scale"}},
		{"the most tasks are not fewer than the least", web(func(s *Service) { s.Tasks.Max = 2 }), []string{"services.web.tasks.max: found 2, allowed 4 or more (not below min); set max: 4 or min: 2"}},
		{"no tasks are fewer than none", web(func(s *Service) { s.Tasks.Min = -4 }), []string{"services.web.tasks.min: found -4, allowed 0 or more; set min: 0"}},
		{"percents have bounds, and are then not compared", web(func(s *Service) { s.MinimumHealthyPercent, s.MaximumPercent = ptr(101), ptr(99) }), []string{
			"services.web.maximumPercent: found 99, allowed 100 or more; set maximumPercent: 100", "services.web.minimumHealthyPercent: found 101, allowed 0 to 100; set minimumHealthyPercent: 100",
		}},
		{"bounds that no count can move in are refused", web(func(s *Service) { s.Tasks, s.MaximumPercent = &Tasks{3, 3}, ptr(125) }), []string{
			"services.web.maximumPercent: found 125 with minimumHealthyPercent 75: at no count up to 3 may a task start or stop, allowed bounds that let a task be replaced; set maximumPercent: 134 or minimumHealthyPercent: 66",
		}},
		{"100 and 100 never move, whatever the count", web(func(s *Service) { *s = Service{MinimumHealthyPercent: ptr(100), MaximumPercent: ptr(100)} }), []string{
			"services.web.maximumPercent: found 100 with minimumHealthyPercent 100: at no count up to 100 may a task start or stop, allowed bounds that let a task be replaced; set maximumPercent: 101 or minimumHealthyPercent: 99",
		}},
		{"one bound alone may move", web(func(s *Service) { s.MinimumHealthyPercent, s.MaximumPercent = ptr(100), nil }), nil},
		{"tolerance is at most half", web(func(s *Service) { s.Tolerance = ptr(51) }), []string{"services.web.tolerance: found 51, allowed 0 to 50; set tolerance: 50"}},
		{"manners have bounds", web(func(s *Service) {
			s.ScaleOut = Manner{Window: ptr(seconds(-1)), MaxTasks: -1, MaxPercent: -5, Per: seconds(5)}
			s.ScaleIn = Manner{Window: ptr(seconds(3601)), Per: Duration{90500 * time.Millisecond}}
		}), []string{
			"services.web.scaleIn.per: found 1m30.5s, allowed 10s to 1h in whole seconds; set per: 1m31s",
			"services.web.scaleIn.window: found 1h0m1s, allowed 0s to 1h in whole seconds; set window: 1h",
			"services.web.scaleOut.maxPercent: found -5, allowed 0 or more; set maxPercent: 0",
			"services.web.scaleOut.maxTasks: found -1, allowed 0 or more; set maxTasks: 0",
			"services.web.scaleOut.per: found 5s, allowed 10s to 1h in whole seconds; set per: 10s",
			"services.web.scaleOut.window: found -1s, allowed 0s to 1h in whole seconds; set window: 0s",
		}},
	} {
		c.check(t)
	}
}

func TestTargetsAreChecked(t *testing.T) {
	both := "; remove perTask if the metric is an average over the tasks, target if it is a total"
	for _, c := range []wrong{
		{"a target has a value", signal(func(x *Target) { x.Target = 0 }), []string{"services.web.scale[0]: found neither target nor perTask, allowed exactly one of them; add target if the metric is an average over the tasks, perTask if it is a total"}},
		{"and not two", queue(func(x *Target) { x.Target = 5 }), []string{"services.web.scale[1]: found target and perTask, allowed exactly one of them" + both}},
		{"cpu is never a total", signal(func(x *Target) { x.Target, x.PerTask = 0, 60 }), []string{"services.web.scale[0].perTask: found 60, allowed only target: cpu is an average over the tasks; set target: 60 in its place"}},
		{"values are above zero", queue(func(x *Target) { x.PerTask = -2.5 }), []string{"services.web.scale[1].perTask: found -2.5, allowed a number above 0; write what the signal should be held at"}},
		{"values are finite", queue(func(x *Target) { x.PerTask = math.Inf(1) }), []string{"services.web.scale[1].perTask: found +Inf, allowed a number above 0; write what the signal should be held at"}},
		{"values are numbers", queue(func(x *Target) { x.PerTask = math.NaN() }), []string{"services.web.scale[1].perTask: found NaN, allowed a number above 0; write what the signal should be held at"}},
		{"cpu is a percentage", signal(func(x *Target) { x.Target = 0.6 }), []string{"services.web.scale[0].target: found 0.6, allowed 1 to 100 percent; set target: 1"}},
		{"up to 100", signal(func(x *Target) { x.Target = 101 }), []string{"services.web.scale[0].target: found 101, allowed 1 to 100 percent; set target: 100"}},
		{"cpu has its own namespace and dimensions", signal(func(x *Target) { x.Namespace, x.Dimensions = "A", map[string]string{"a": "b"} }), []string{
			"services.web.scale[0].dimensions: found 1, allowed none with cpu; remove them", `services.web.scale[0].namespace: found "A", allowed nothing with cpu; remove it`,
		}},
		{"a target has a metric, and no more is asked without", signal(func(x *Target) { x.Metric = "" }), []string{"services.web.scale[0].metric: found nothing, allowed cpu, memory or the name of a metric in namespace; set metric: cpu"}},
		{"another metric needs a namespace", signal(func(x *Target) { x.Metric = "CPU" }), []string{"services.web.scale[0].namespace: found nothing, allowed a CloudWatch namespace with a metric other than cpu and memory; add namespace, such as AWS/SQS, or set metric: cpu"}},
		{"dimensions have values", queue(func(x *Target) { x.Dimensions["QueueName"] = "" }), []string{"services.web.scale[1].dimensions.QueueName: found nothing, allowed printable ASCII characters, up to 255 of the name and 1024 of the value; write them as CloudWatch shows them"}},
		{"statistics are CloudWatch's", queue(func(x *Target) { x.Statistic = "avg" }), []string{`services.web.scale[1].statistic: found "avg", allowed Average, Sum, Maximum, Minimum or a percentile such as p99; set statistic: Sum`}},
		{"a percentile is at most 100", queue(func(x *Target) { x.Statistic = "p101" }), []string{`services.web.scale[1].statistic: found "p101", allowed Average, Sum, Maximum, Minimum or a percentile such as p99; set statistic: Sum`}},
		{"percentiles have fractions", queue(func(x *Target) { x.Statistic = "p99.9" }), nil},
		{"percents do not add up", signal(func(x *Target) { x.Statistic = "Sum" }), []string{`services.web.scale[0].statistic: found "Sum", allowed Average, Maximum, Minimum or a percentile such as p99 with cpu; set statistic: Average`}},
		{"20 s is a period", signal(func(x *Target) { x.Period = seconds(20) }), nil},
		{"45 s is none", signal(func(x *Target) { x.Period = seconds(46) }), []string{"services.web.scale[0].period: found 46s, allowed 10s, 20s, 30s or whole minutes up to 5m; set period: 1m"}},
		{"90 minutes are too long", signal(func(x *Target) { x.Period = seconds(5400) }), []string{"services.web.scale[0].period: found 1h30m, allowed 10s, 20s, 30s or whole minutes up to 5m; set period: 5m"}},
		{"a signal comes once, however it is written", web(func(s *Service) {
			s.Scale = append(s.Scale, Target{Metric: "cpu", Target: 70, Statistic: "Average", Period: seconds(60)})
		}), []string{"services.web.scale[2]: found the signal of scale[0] again, allowed each signal once; remove one of the two"}},
		{"another statistic is another signal", web(func(s *Service) {
			s.Scale = append(s.Scale, Target{Metric: "cpu", Target: 70, Statistic: "Maximum"})
		}), nil},
	} {
		c.check(t)
	}
}
