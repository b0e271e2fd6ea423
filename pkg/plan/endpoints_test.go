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

// The vocabulary of these tests: tasks a, b, c have ARNs of that letter, hosts
// are called h and k, and a target group's or registry's id follows from its name.
func arnOf(task string) string    { return "task/prod/" + strings.Repeat(task, 32) }
func groupARN(name string) string { return "lb:targetgroup/" + name + "/1" }
func letter(arn string) string    { return arn[max(0, len(arn)-1):] }

func tcp(host string, port int) cluster.HostPort {
	return cluster.HostPort{Instance: host, Port: port, Protocol: policy.TCP}
}

// bound is a task of a service that runs with its container app's port 80 bound.
func bound(service, task, host string, port int) cluster.Task {
	return cluster.Task{
		ARN: arnOf(task), Service: service, Last: cluster.TaskRunning, Wanted: cluster.TaskRunning, Instance: host, StartedAt: noon(),
		Bindings: []cluster.Binding{{Container: "app", ContainerPort: 80, HostPort: port, Protocol: policy.TCP}},
	}
}

func told(t cluster.Task) cluster.Task {
	t.Wanted = cluster.TaskStopped
	return t
}

func owned(service, task string, groups ...string) cluster.Owner {
	o := cluster.Owner{Task: arnOf(task), Service: service, Version: 7}
	for _, g := range groups {
		o.Groups = append(o.Groups, groupARN(g))
	}
	return o
}

// doors is a policy: service web in target group web, api in api, both in mix,
// task family game in game (udp) and registry play.
func doors() policy.Policy {
	row := func(port int, protocol, group, registry string) policy.Endpoint {
		return policy.Endpoint{Container: "app", Port: port, Protocol: protocol, TargetGroup: group, Registry: registry}
	}
	return policy.Policy{
		Cluster: "prod",
		Services: map[string]policy.Service{
			"web": {Endpoints: []policy.Endpoint{row(80, "tcp", "web", "")}},
			"api": {Endpoints: []policy.Endpoint{row(80, "tcp", "api", "")}},
			"two": {Endpoints: []policy.Endpoint{row(80, "tcp", "one", ""), row(80, "tcp", "other", ""), row(90, "tcp", "other", "")}},
			"reg": {Endpoints: []policy.Endpoint{row(80, "tcp", "", "names")}},
		},
		Standalone: map[string]policy.Standalone{"game": {Family: "game", Endpoints: []policy.Endpoint{row(7, "udp", "game", "")}}},
	}
}

// door is a target group of HTTP with targets such as "h:1 healthy".
func door(name string, targets ...string) cluster.TargetGroup {
	g := cluster.TargetGroup{ARN: groupARN(name), Name: name, Protocol: "HTTP", TargetType: "instance", Delay: time.Minute, Balancers: []string{"lb"}}
	for _, t := range targets {
		place, state, _ := strings.Cut(t, " ")
		host, port, _ := strings.Cut(place, ":")
		x := cluster.Target{Instance: host, State: state}
		if _, err := fmt.Sscan(port, &x.Port); err != nil {
			panic(err)
		}
		g.Targets = append(g.Targets, x)
	}
	return g
}

// shownPlan is a plan of endpoints, a line a decision and a record.
func shownPlan(p Plan) []string {
	var lines []string
	for _, d := range p.Decisions {
		line := fmt.Sprintf("%s %d>%d %s", d.Subject, d.From, d.To, d.Reason)
		for _, n := range d.Numbers {
			if n.Name != "wanted" && n.Name != string(d.Reason) {
				line += fmt.Sprintf(" %s=%v", n.Name, n.Value)
			}
		}
		for _, c := range d.Changes {
			line += " " + shownChange(c)
		}
		lines = append(lines, line)
	}
	for _, c := range p.Claims {
		lines = append(lines, "claim "+shownRecord(c))
	}
	for _, c := range p.Released {
		lines = append(lines, "release "+shownRecord(c))
	}
	return lines
}

func shownChange(c cluster.Change) string {
	signs := map[cluster.Verb]string{cluster.RegisterTargets: "+", cluster.RegisterInstance: "+", cluster.DeregisterTargets: "-", cluster.DeregisterInstance: "-"}
	var ports []string
	for i, p := range c.Reaches.Ports {
		ports = append(ports, fmt.Sprintf("%s:%d%s", p.Instance, p.Port, letter(c.Reaches.Tasks[i])))
	}
	where := ""
	if c.Reaches.Instance != "" {
		where = " " + c.Reaches.Instance[30:] + "@" + c.Reaches.Address
	}
	return signs[c.Verb] + "[" + strings.Join(ports, " ") + where + "]"
}

func shownRecord(c Claim) string {
	s := fmt.Sprintf("%s:%d %s/%s", c.Port.Instance, c.Port.Port, c.Owner.Service, letter(c.Owner.Task))
	for _, g := range c.Owner.Groups {
		s += " " + groupName(g)
	}
	for _, l := range c.Owner.Listed {
		s += " " + l.Name + "=" + l.Instance[30:]
	}
	return fmt.Sprintf("%s v%d", s, c.Owner.Version)
}

type owners = map[cluster.HostPort]cluster.Owner

func TestEndpointsOfTargetGroups(t *testing.T) {
	a, b := bound("web", "a", "h", 1), bound("web", "b", "h", 2)
	ofA := owners{tcp("h", 1): owned("web", "a", "web")}
	record := owned("web", "a", "web")
	record.Version = noon().Add(time.Millisecond - staleReads).UnixMilli()
	young := owners{tcp("h", 1): record}
	with := func(t cluster.Task, change func(*cluster.Task)) cluster.Task { change(&t); return t }
	other := func(port int, protocol string) cluster.Task {
		return with(a, func(t *cluster.Task) {
			t.Bindings = []cluster.Binding{{Container: "app", ContainerPort: port, HostPort: 1, Protocol: protocol}}
		})
	}
	out := bound("web", "e", "h", 5) // a task that is being taken out
	for _, tt := range []struct {
		says   string
		tasks  []cluster.Task
		groups []cluster.TargetGroup
		owners owners
		ended  map[string]string
		want   []string
	}{
		{"a running task is registered, its record first", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v0"}},
		{"also where the record is its own, which may be a copy that is old", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, ofA, nil, []string{"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v7"}},
		{"a registered one is left alone", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>1 endpointsMatch"}},
		{"whatever its health", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 unhealthy")}, ofA, nil, []string{"targets/web 1>1 endpointsMatch"}},
		{"one that somebody else registered gets its record", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 initial")}, nil, nil, []string{"targets/web 1>1 endpointsMatch", "claim h:1 web/a web v0"}},
		{"all at once", []cluster.Task{a, b}, []cluster.TargetGroup{door("web")}, ofA, nil, []string{"targets/web 0>2 taskRuns +[h:1a h:2b]", "claim h:1 web/a web v7", "claim h:2 web/b web v0"}},
		{"a task that starts is not", []cluster.Task{with(a, func(t *cluster.Task) { t.Last = "PENDING" })}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>0 endpointsMatch"}},
		{"a task that is to stop is taken off at once", []cluster.Task{told(a)}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"also one without a record", []cluster.Task{told(a)}, []cluster.TargetGroup{door("web", "h:1 healthy")}, nil, nil, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"what drains is not taken off again, and its record is given up", []cluster.Task{told(a)}, []cluster.TargetGroup{door("web", "h:1 draining")}, ofA, nil, []string{"targets/web 0>0 endpointsMatch", "release h:1 web/a web v7"}},
		{"one that has ended is taken off", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, map[string]string{arnOf("a"): "STOPPED"}, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"one that ECS does not know any more too", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, map[string]string{arnOf("a"): "MISSING"}, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"but not one whose record is young: ECS may not know it yet", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, young, map[string]string{arnOf("a"): "MISSING"}, []string{"targets/web 1>1 taskUnknown"}},
		{"one that has stopped is taken off, however young its record", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, young, map[string]string{arnOf("a"): "STOPPED"}, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"a port is not taken over from one whose record is young", []cluster.Task{bound("web", "b", "h", 1)}, []cluster.TargetGroup{door("web")}, young, map[string]string{arnOf("a"): "MISSING"}, []string{"targets/web 0>0 portTaken"}},
		{"an absence that no read confirms takes nothing off", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>1 taskUnknown"}},
		{"nor gives up a record", nil, []cluster.TargetGroup{door("web")}, ofA, nil, []string{"targets/web 0>0 endpointsMatch"}},
		{"a task that is shown is not missing", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, map[string]string{arnOf("a"): "MISSING"}, []string{"targets/web 1>1 endpointsMatch"}},
		{"but one that has stopped does not run, whatever an older read shows", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, map[string]string{arnOf("a"): "STOPPED"}, []string{"targets/web 1>0 taskEnds -[h:1a]"}},
		{"a registered task that an older read shows pending stays", []cluster.Task{with(a, func(t *cluster.Task) { t.Last, t.Bindings = "PENDING", nil })}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>1 taskUnknown"}},
		{"one that a read shows without its port stays", []cluster.Task{with(a, func(t *cluster.Task) { t.Bindings = nil })}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>1 taskUnknown portNotMapped=1"}},
		{"a target for which nobody stands is taken off", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy", "k:9 healthy")}, ofA, nil, []string{"targets/web 2>1 nobodysTarget -[k:9]"}},
		{"so is a port that the policy does not want there", []cluster.Task{other(81, "tcp")}, []cluster.TargetGroup{door("web", "h:1 healthy")}, ofA, nil, []string{"targets/web 1>0 nobodysTarget portNotMapped=1 -[h:1a]"}},
		{"what is urgent goes before what is not", []cluster.Task{b, told(bound("web", "c", "h", 3))}, []cluster.TargetGroup{door("web", "h:3 healthy", "k:9 healthy")}, nil, nil, []string{"targets/web 2>1 taskEnds nobodysTarget=1 taskRuns=1 -[h:3c] -[k:9] +[h:2b]", "claim h:2 web/b web v0"}},
		{"a task that is being taken out is taken off while it runs", []cluster.Task{out}, []cluster.TargetGroup{door("web", "h:5 healthy")}, owners{tcp("h", 5): owned("web", "e", "web")}, nil, []string{"targets/web 1>0 taskLeaves -[h:5e]"}},
		{"after those that stop, and before orphans", []cluster.Task{out, told(a)}, []cluster.TargetGroup{door("web", "h:1 healthy", "h:5 healthy", "k:9 healthy")}, ofA, nil, []string{"targets/web 3>0 taskEnds taskLeaves=1 nobodysTarget=1 -[h:1a] -[h:5e] -[k:9]"}},
		{"and not registered again", []cluster.Task{out}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>0 endpointsMatch"}},
		{"its port is still its own, if another seems to have it", []cluster.Task{bound("web", "f", "h", 5), out}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 5): owned("web", "e", "web")}, nil, []string{"targets/web 0>0 portTaken"}},
		{"what drains is not registered before its delay is over", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 draining")}, nil, nil, []string{"targets/web 0>0 stillDraining", "claim h:1 web/a web v0"}},
		{"a port of a task that is not known to have ended is left alone", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): owned("api", "z", "api")}, nil, []string{"targets/web 0>0 portTaken"}},
		{"even one that stands", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, owners{tcp("h", 1): owned("api", "z", "api")}, nil, []string{"targets/web 1>1 portTaken"}},
		{"a port of a task that still stops too", []cluster.Task{a, told(bound("web", "c", "h", 1))}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): owned("web", "c", "web")}, nil, []string{"targets/web 0>0 portTaken"}},
		{"of an ended task of another service it is taken off there first", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): owned("api", "z", "api")}, map[string]string{arnOf("z"): "STOPPED"}, []string{"targets/api 1>0 portReused -[h:1z]", "targets/web 0>0 portReused"}},
		{"of a group that the policy does not name it is not", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): owned("api", "z", "foreign")}, map[string]string{arnOf("z"): "STOPPED"}, []string{"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v7"}},
		{"of a group that was made anew under its name it is not either", []cluster.Task{a}, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): {Task: arnOf("z"), Service: "web", Groups: []string{"lb:targetgroup/web/0"}}}, map[string]string{arnOf("z"): "STOPPED"}, []string{"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v0"}},
		{"of an ended task of the same service the target is right already", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, owners{tcp("h", 1): owned("web", "z", "web")}, map[string]string{arnOf("z"): "STOPPED"}, []string{"targets/web 1>1 endpointsMatch", "claim h:1 web/a web v7"}},
		{"what another service's task has claimed is taken off here", nil, []cluster.TargetGroup{door("web", "h:1 healthy")}, owners{tcp("h", 1): owned("api", "z", "api")}, nil, []string{"targets/web 1>0 portReused -[h:1z]"}},
		{"two tasks seem to have a port: the record's is the right one", []cluster.Task{a, with(bound("web", "b", "h", 1), func(t *cluster.Task) { t.StartedAt = noon().Add(time.Hour) })}, []cluster.TargetGroup{door("web")}, ofA, nil, []string{"targets/web 0>1 taskRuns portTaken=1 +[h:1a]", "claim h:1 web/a web v7"}},
		{"without a record it is the later one", []cluster.Task{a, with(bound("web", "b", "h", 1), func(t *cluster.Task) { t.StartedAt = noon().Add(time.Hour) })}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>1 taskRuns portTaken=1 +[h:1b]", "claim h:1 web/b web v0"}},
		{"a task without a known host waits", []cluster.Task{with(a, func(t *cluster.Task) { t.Instance = "" })}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>0 addressUnknown"}},
		{"a task that does not map the port is told", []cluster.Task{with(a, func(t *cluster.Task) { t.Bindings = nil })}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>0 portNotMapped"}},
		{"another protocol is another port", []cluster.Task{other(80, "udp")}, []cluster.TargetGroup{door("web")}, nil, nil, []string{"targets/web 0>0 portNotMapped"}},
		{"a group that does not exist is told", []cluster.Task{a}, nil, nil, nil, []string{"targets/web 0>0 targetGroupMissing"}},
		{"a target that is not registered is none", nil, []cluster.TargetGroup{{ARN: groupARN("web"), Name: "web", Protocol: "TLS", TargetType: "instance", Targets: []cluster.Target{{Instance: "h", Port: 1, State: "unused", Reason: "Target.NotRegistered"}}}}, nil, nil, []string{"targets/web 0>0 endpointsMatch"}},
		{"one in a group that no listener uses is", nil, []cluster.TargetGroup{{ARN: groupARN("web"), Name: "web", Protocol: "TLS", TargetType: "instance", Targets: []cluster.Target{{Instance: "h", Port: 1, State: "unused", Reason: "Target.NotInUse"}}}}, nil, nil, []string{"targets/web 1>0 nobodysTarget -[h:1]"}},
		{"an NLB's unhealthy.draining is still registered", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 unhealthy.draining")}, ofA, nil, []string{"targets/web 1>1 endpointsMatch"}},
		{"a record of a task that is gone, with nothing left, is given up", nil, []cluster.TargetGroup{door("web")}, ofA, map[string]string{arnOf("a"): "MISSING"}, []string{"targets/web 0>0 endpointsMatch", "release h:1 web/a web v7"}},
		{"another service's record is not", nil, []cluster.TargetGroup{door("web")}, owners{tcp("h", 1): owned("api", "z", "api")}, map[string]string{arnOf("z"): "MISSING"}, []string{"targets/web 0>0 endpointsMatch"}},
		{"a record follows the policy's groups", []cluster.Task{a}, []cluster.TargetGroup{door("web", "h:1 healthy")}, owners{tcp("h", 1): owned("web", "a", "gone", "web")}, nil, []string{"targets/web 1>1 endpointsMatch", "claim h:1 web/a web v7"}},
	} {
		e := cluster.Endpoints{Now: noon(), Cluster: "prod", Service: "web", Tasks: tt.tasks, Ended: tt.ended, Leaving: map[string]bool{arnOf("e"): true}, Groups: tt.groups, Owners: tt.owners}
		if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.says, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}
