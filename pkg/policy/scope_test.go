package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

func TestScopeNamesWhatARoundReads(t *testing.T) {
	p := right()
	p.Services["api"] = Service{Tasks: &Tasks{1, 2}, Scale: []Target{{Metric: "memory", Target: 70, Period: seconds(20)}}}
	depth := p.Services["web"].Scale[1]
	want := cluster.Scope{
		Cluster: "prod", Groups: []string{"prod-ecs"}, Services: []string{"api", "web"},
		Metrics: []cluster.Metric{
			{Key: p.Services["api"].Scale[0].Key("api"), Namespace: "AWS/ECS", Name: "MemoryUtilization", Dimensions: map[string]string{"ClusterName": "prod", "ServiceName": "api"}, Statistic: "Average", Period: 20 * time.Second},
			{Key: "web/cpu", Namespace: "AWS/ECS", Name: "CPUUtilization", Dimensions: map[string]string{"ClusterName": "prod", "ServiceName": "web"}, Statistic: "Average", Period: time.Minute},
			{Key: depth.Key("web"), Namespace: "AWS/SQS", Name: "Visible", Dimensions: map[string]string{"QueueName": "jobs"}, Statistic: "Sum", Period: time.Minute},
		},
	}
	if got := p.Scope(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := p.Defaulted().Scope(); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults change the scope to %+v", got)
	}
	p.Scope().Metrics[2].Dimensions["QueueName"] = "changed"
	if depth.Dimensions["QueueName"] != "jobs" {
		t.Error("the scope shares its dimensions with the policy")
	}
}

// Every two targets that differ in one thing have different keys, unless the
// difference is only how a default is written.
func TestKeysTellSeriesApart(t *testing.T) {
	base := Target{Metric: "Depth", Namespace: "Q", Dimensions: map[string]string{"a": "b", "c": "d"}, PerTask: 5}
	series := []Target{
		base,
		{Metric: "cpu"},
		{Metric: "memory"},
		{Metric: "cpu", Statistic: "Maximum"},
		{Metric: "cpu", Period: seconds(20)},
		{Metric: "Depth", Namespace: "R", Dimensions: base.Dimensions, PerTask: 5},
		{Metric: "Depth", Namespace: "Q", PerTask: 5},
		{Metric: "Depth", Namespace: "Q", Dimensions: map[string]string{"a": "b"}, PerTask: 5},
		{Metric: "Depth", Namespace: "Q", Dimensions: map[string]string{"a": "bcd"}, PerTask: 5},
		{Metric: "Depth", Namespace: "Q", Dimensions: map[string]string{"ab": "cd"}, PerTask: 5},
		{Metric: "Depth", Namespace: "Q", Dimensions: base.Dimensions, Target: 5},
	}
	seen := map[string]int{}
	for i, x := range series {
		for _, service := range []string{"web", "api"} {
			key := x.Key(service)
			if j, twice := seen[key]; twice {
				t.Errorf("targets %d and %d have the same key %s", i, j, key)
			}
			seen[key] = i
			if !strings.HasPrefix(key, service+"/"+x.Metric) || x.defaulted().Key(service) != key {
				t.Errorf("key %s of target %d: want one that begins with service and metric, the same with defaults", key, i)
			}
		}
	}
	if got := (Target{Metric: "cpu", Target: 3, Statistic: "Average"}).Key("web"); got != "web/cpu" {
		t.Errorf("got %s, want web/cpu", got)
	}
}

func TestAlarmsFireWhereMoreTasksAreWanted(t *testing.T) {
	p := right()
	p.Services["jobs"] = Service{Tasks: &Tasks{0, 9}, Scale: []Target{{Metric: "Depth", Namespace: "Q", PerTask: 5}}}
	metrics := p.Scope().Metrics
	alarm := func(name string, m cluster.Metric, threshold float64) Alarm {
		return Alarm{name, m, threshold, "GreaterThanThreshold", 1, "missing"}
	}
	want := []Alarm{
		alarm("plimsoll-prod-jobs-Depth-"+digest("prod", metrics[0].Key)+"-high", metrics[0], 0),
		alarm("plimsoll-prod-web-cpu-high", metrics[1], 66),
		alarm("plimsoll-prod-web-Visible-"+digest("prod", metrics[2].Key)+"-high", metrics[2], 440),
	}
	if got := Alarms(p); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestEveryAlarmAndGroupHasOneOwner(t *testing.T) {
	var set Set
	long := strings.Repeat("x", 255)
	for i, name := range []string{"a", "a-b", "a-b-c", long} {
		p := right()
		p.Cluster, p.Hosts[0].Group, p.Standalone = name, fmt.Sprintf("group-%d", i), nil
		web := p.Services["web"]
		web.Endpoints = nil // each has one owner too
		p.Services["web"] = web
		for _, service := range []string{"c", "b-c", "c-cpu", "b", long} {
			p.Services[service] = p.Services["web"]
		}
		set = append(set, p)
	}
	if problems := set.Validate(); len(problems) > 0 {
		t.Fatal(Problems(problems))
	}
	seen := map[string]bool{}
	for _, p := range set {
		for _, a := range Alarms(p) {
			if owner, ok := set.AlarmOwner(a.Name); seen[a.Name] || !ok || owner != p.Cluster || len(a.Name) > 255 {
				t.Errorf("alarm %s of %s: seen before %v, owner %s %v, %d characters", a.Name, p.Cluster, seen[a.Name], owner, ok, len(a.Name))
			}
			seen[a.Name] = true
		}
		if owner, ok := set.GroupOwner(p.Hosts[0].Group); !ok || owner != p.Cluster {
			t.Errorf("group %s: owner %s %v, want %s", p.Hosts[0].Group, owner, ok, p.Cluster)
		}
		if got, ok := set.Of(p.Cluster); !ok || !reflect.DeepEqual(got, p.Defaulted()) {
			t.Errorf("policy of %s: got %v, %v", p.Cluster, got, ok)
		}
	}
	if got := set.Clusters(); !reflect.DeepEqual(got, []string{"a", "a-b", "a-b-c", long}) {
		t.Errorf("clusters: got %v", got)
	}
	for _, unknown := range []string{"", "plimsoll-a-web-cpu", "other"} {
		_, alarm := set.AlarmOwner(unknown)
		_, group := set.GroupOwner(unknown)
		_, name := set.Of(unknown)
		if alarm || group || name {
			t.Errorf("%q has an owner", unknown)
		}
	}
}
