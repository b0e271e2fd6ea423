package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// instanceOf is what a task's port 80 is called in a registry.
func instanceOf(task string) string { return strings.Repeat(task, 32) + ".app-80" }

func registryOf(instances ...cluster.Registered) cluster.Registry {
	return cluster.Registry{ID: "srv-1", Name: "names", Records: []string{"SRV"}, Instances: instances}
}

func listedAs(task, address string, port int) cluster.Registered {
	return cluster.Registered{ID: instanceOf(task), IPv4: address, Port: port}
}

func TestEndpointsOfRegistries(t *testing.T) {
	a := bound("reg", "a", "h", 1)
	record := func(service, task string) owners {
		return owners{tcp("h", 1): {Task: arnOf(task), Service: service, Version: 7, Listed: []cluster.Listing{{Registry: "srv-1", Name: "names", Instance: instanceOf(task)}}}}
	}
	for _, tt := range []struct {
		says   string
		tasks  []cluster.Task
		given  func(*cluster.Endpoints)
		shown  []cluster.Registered
		owners owners
		want   []string
	}{
		{"a running task is listed with its host's address", []cluster.Task{a}, nil, nil, nil, []string{"registry/names 0>1 taskRuns +[h:1a aa.app-80@10.0.0.1]", "claim h:1 reg/a names=aa.app-80 v0"}},
		{"a listed one is left alone", []cluster.Task{a}, nil, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, record("reg", "a"), []string{"registry/names 1>1 endpointsMatch"}},
		{"one with another address is listed anew", []cluster.Task{a}, nil, []cluster.Registered{listedAs("a", "10.0.0.9", 1)}, record("reg", "a"), []string{"registry/names 1>1 taskRuns +[h:1a aa.app-80@10.0.0.1]", "claim h:1 reg/a names=aa.app-80 v7"}},
		{"or with another port", []cluster.Task{a}, nil, []cluster.Registered{listedAs("a", "10.0.0.1", 2)}, record("reg", "a"), []string{"registry/names 1>1 taskRuns +[h:1a aa.app-80@10.0.0.1]", "claim h:1 reg/a names=aa.app-80 v7"}},
		{"no address, no listing", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Addresses = nil }, nil, nil, []string{"registry/names 0>0 addressUnknown", "claim h:1 reg/a names=aa.app-80 v0"}},
		{"but what is listed stays", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Addresses = nil }, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, record("reg", "a"), []string{"registry/names 1>1 endpointsMatch"}},
		{"a task that is to stop is taken off", []cluster.Task{told(a)}, nil, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, record("reg", "a"), []string{"registry/names 1>0 taskEnds -[h:1a aa.app-80@]"}},
		{"also without a record", []cluster.Task{told(a)}, nil, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, nil, []string{"registry/names 1>0 taskEnds -[:0a aa.app-80@]"}},
		{"an instance of a task that nobody knows is taken off", nil, nil, []cluster.Registered{listedAs("b", "10.0.0.1", 1)}, nil, []string{"registry/names 1>0 nobodysTarget -[:0 bb.app-80@]"}},
		{"one whose task is not certain to have ended stays", nil, nil, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, record("reg", "a"), []string{"registry/names 1>1 taskUnknown"}},
		{"one that plimsoll did not make is nobody's orphan", nil, nil, []cluster.Registered{{ID: strings.Repeat("c", 32), IPv4: "10.0.0.1"}, {ID: "10.0.0.7"}, {ID: "i-0123456789abcdef0.example.internal.names"}}, nil, []string{"registry/names 0>0 endpointsMatch"}},
		{"one operation at a time: a listing waits", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Registries[0].Busy = map[string]string{instanceOf("a"): "op"} }, nil, record("reg", "a"), []string{"registry/names 0>0 operationRuns"}},
		{"and so does taking off", []cluster.Task{told(a)}, func(e *cluster.Endpoints) { e.Registries[0].Busy = map[string]string{instanceOf("a"): "op"} }, []cluster.Registered{listedAs("a", "10.0.0.1", 1)}, record("reg", "a"), []string{"registry/names 1>1 taskEnds operationRuns=1"}},
		{"a reused port is taken off first", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Ended = map[string]string{arnOf("z"): "STOPPED"} }, []cluster.Registered{listedAs("z", "10.0.0.1", 1)}, record("reg", "z"), []string{"registry/names 1>0 taskEnds portReused=1 -[h:1z zz.app-80@]"}},
		{"a registry that does not exist is told", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Registries = nil }, nil, nil, []string{"registry/names 0>0 registryMissing"}},
		{"two of one name too", []cluster.Task{a}, func(e *cluster.Endpoints) {
			e.Registries = append(e.Registries, cluster.Registry{ID: "srv-2", Name: "names"})
		}, nil, nil, []string{"registry/names 0>0 registryAmbiguous"}},
		{"one that ECS manages is left alone", []cluster.Task{a}, func(e *cluster.Endpoints) { e.Registries[0].ManagedBy = "shop" }, []cluster.Registered{listedAs("b", "10.0.0.1", 1)}, nil, []string{"registry/names 1>1 managedByECS"}},
	} {
		e := cluster.Endpoints{
			Now: noon(), Service: "reg", Tasks: tt.tasks, Registries: []cluster.Registry{registryOf(tt.shown...)}, Owners: tt.owners,
			Addresses: map[string]string{"h": "10.0.0.1"},
		}
		if tt.given != nil {
			tt.given(&e)
		}
		if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.says, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}

// Another service's listing of a reused port is taken off there, if the policy
// names that registry.
func TestAReusedPortLeavesAnotherServicesRegistry(t *testing.T) {
	for name, want := range map[string][]string{
		"names":   {"registry/names 1>0 portReused -[h:1z zz.app-80@]", "targets/web 0>0 portReused"},
		"foreign": {"targets/web 0>1 taskRuns +[h:1a]", "claim h:1 web/a web v0"},
	} {
		e := cluster.Endpoints{
			Now: noon(), Service: "web", Tasks: []cluster.Task{bound("web", "a", "h", 1)}, Groups: []cluster.TargetGroup{door("web")},
			Owners: owners{tcp("h", 1): {Task: arnOf("z"), Service: "reg", Listed: []cluster.Listing{{Registry: "srv-1", Name: name, Instance: instanceOf("z")}}}},
			Ended:  map[string]string{arnOf("z"): "MISSING"},
		}
		if got := shownPlan(Endpoints(e, doors())); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// Cloud Map takes an instance off in an operation: it is off when that succeeded,
// and still there when it failed.
func TestAnOperationIsWaitedFor(t *testing.T) {
	listed := owners{tcp("h", 1): {Task: arnOf("a"), Service: "reg", Version: 7, Listed: []cluster.Listing{{Registry: "srv-1", Name: "names", Instance: instanceOf("a")}}}}
	took := []string{"targets/web 0>1 taskRuns +[h:1b]", "claim h:1 web/b web v7"}
	for _, tt := range []struct {
		says     string
		service  string
		finished string
		verb     cluster.Verb
		want     []string
		next     time.Duration
	}{
		{"another service's: it runs", "web", "", cluster.DeregisterInstance, []string{"targets/web 0>0 portReused"}, uncertain},
		{"it succeeded", "web", "SUCCESS", cluster.DeregisterInstance, took, 0},
		{"it failed: it is asked for again", "web", "FAIL", cluster.DeregisterInstance, []string{"registry/names 1>0 portReused -[h:1a aa.app-80@]", "targets/web 0>0 portReused"}, lookAgain},
		{"a registration that succeeded takes nothing off", "web", "SUCCESS", cluster.RegisterInstance, []string{"registry/names 1>0 portReused -[h:1a aa.app-80@]", "targets/web 0>0 portReused"}, leastAhead},
		{"its own: nobody says that it is over, so the record stays", "reg", "", cluster.DeregisterInstance, []string{"registry/names 0>0 endpointsMatch"}, 0},
		{"its own: it succeeded, and an older read shows it", "reg", "SUCCESS", cluster.DeregisterInstance, []string{"registry/names 0>0 endpointsMatch", "release h:1 reg/a names=aa.app-80 v7"}, 0},
		{"its own failed: the record stays, and it is asked for again", "reg", "FAIL", cluster.DeregisterInstance, []string{"registry/names 1>0 taskEnds -[h:1a aa.app-80@]"}, 0},
	} {
		i := reachIntent(tt.verb, 20, cluster.OutcomeApplied)
		i.Operation = "op-1"
		e := cluster.Endpoints{
			Now: noon(), Service: tt.service, Owners: listed, Ended: map[string]string{arnOf("a"): "STOPPED"},
			Intents: []cluster.Intent{i}, Finished: map[string]string{"op-1": tt.finished},
		}
		if tt.service == "web" {
			e.Tasks, e.Groups = []cluster.Task{bound("web", "b", "h", 1)}, []cluster.TargetGroup{door("web")}
		} else {
			e.Registries = []cluster.Registry{registryOf(listedAs("a", "10.0.0.1", 1))}
		}
		o, changed := OverlayEndpoints(e)
		p := Endpoints(o, doors())
		if got := shownPlan(p); !slices.Equal(got, tt.want) || (tt.next == 0) != p.Next.IsZero() || tt.next > 0 && p.Next.Sub(noon()) != tt.next {
			t.Errorf("%s: next %v\n got %q\nwant %q", tt.says, p.Next, got, tt.want)
		}
		if failed := len(changed) == 1 && changed[0].Outcome == cluster.OutcomeRefused && changed[0].Detail == "operation op-1 failed"; failed != (tt.finished == "FAIL") {
			t.Errorf("%s: changed %+v", tt.says, changed)
		}
		if e.Intents[0].Outcome != cluster.OutcomeApplied {
			t.Errorf("%s: the given state changed", tt.says)
		}
	}
}

// A registration that failed is made again.
func TestARegistrationWhoseOperationFailedIsMadeAgain(t *testing.T) {
	i := reachIntent(cluster.RegisterInstance, 20, cluster.OutcomeApplied)
	i.Operation = "op-1"
	for finished, want := range map[string]string{"": "registry/names 1>1 endpointsMatch", "SUCCESS": "registry/names 1>1 endpointsMatch", "FAIL": "registry/names 0>1 taskRuns +[h:1a aa.app-80@10.0.0.1]"} {
		e := cluster.Endpoints{
			Now: noon(), Service: "reg", Tasks: []cluster.Task{bound("reg", "a", "h", 1)}, Registries: []cluster.Registry{registryOf()}, Addresses: map[string]string{"h": "10.0.0.1"},
			Intents: []cluster.Intent{i}, Finished: map[string]string{"op-1": finished},
		}
		o, _ := OverlayEndpoints(e)
		if got := shownPlan(Endpoints(o, doors())); got[0] != want {
			t.Errorf("%q: %q, want %q", finished, got[0], want)
		}
	}
}

func TestInstancesAreCalledByTheirTaskAndPort(t *testing.T) {
	id := strings.Repeat("a", 32)
	for _, tt := range []struct {
		binding cluster.Binding
		want    string
	}{
		{cluster.Binding{Container: "app", ContainerPort: 80, Protocol: "tcp"}, id + ".app-80"},
		{cluster.Binding{Container: "app", ContainerPort: 80, Protocol: "udp"}, id + ".app-80-udp"},
		{cluster.Binding{Container: strings.Repeat("x", 27), ContainerPort: 80, Protocol: "tcp"}, id + "." + strings.Repeat("x", 27) + "-80"},
		{cluster.Binding{Container: strings.Repeat("x", 28), ContainerPort: 80, Protocol: "tcp"}, id + ".955237b5-80"},
	} {
		got := instanceID("arn:aws:ecs:region:1:task/prod/"+id, tt.binding)
		if got != tt.want || len(got) > 63 || !ours(got) {
			t.Errorf("%+v: %s, want %s", tt.binding, got, tt.want)
		}
	}
}

func TestARoundAsksCloudMapForAFewThingsOnly(t *testing.T) {
	tasks := fortyAHost(30)
	e := cluster.Endpoints{Now: noon(), Service: "reg", Registries: []cluster.Registry{registryOf()}, Addresses: map[string]string{"h000": "10.0.0.1"}}
	for i := range tasks {
		tasks[i].Service = "reg"
	}
	e.Tasks = tasks
	p := Endpoints(e, doors())
	if n := len(p.Actions()); n != registryCalls || p.Decisions[0].To != registryCalls || p.Next.IsZero() {
		t.Errorf("%d calls, next %v, %+v", n, p.Next, p.Decisions[0])
	}
}
