package endpointside

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// always lets every call begin.
func always() error { return nil }

func port(instance string, n int) cluster.HostPort {
	return cluster.HostPort{Instance: instance, Port: n, Protocol: "tcp"}
}

// targetsIntent is a change of the targets of the group web.
func targetsIntent(verb cluster.Verb, tasks []string, ports ...cluster.HostPort) cluster.Intent {
	return cluster.Intent{ID: "k#7#0", Change: cluster.Change{
		Verb: verb, Subject: cluster.TargetsSubject("web"), Reaches: &cluster.Reach{Group: "arn:web", Ports: ports, Tasks: tasks},
	}}
}

// instanceIntent is a change of the registry web.
func instanceIntent(verb cluster.Verb, task, instance string, p cluster.HostPort) cluster.Intent {
	return cluster.Intent{ID: "k#7#1", Change: cluster.Change{
		Verb: verb, Subject: cluster.RegistrySubject("web"),
		Reaches: &cluster.Reach{Registry: "srv-1", Ports: []cluster.HostPort{p}, Tasks: []string{task}, Instance: instance, Address: "10.0.0.10"},
	}}
}

// inGroup are the targets of the group web.
func inGroup(w *world) string {
	var all []string
	for t := range w.groups["web"].targets {
		all = append(all, fmt.Sprintf("%s:%d", t.id, t.port))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestWhatIsRegisteredAndForWhom(t *testing.T) {
	t0, t2 := port("i-0", 32768), port("i-0", 32770)
	const before, both = "i-9:1", "i-0:32768 i-0:32770 i-9:1"
	for _, tt := range []struct {
		name    string
		between func(*world) // the look and the call
		tasks   []string
		ports   []cluster.HostPort
		want    cluster.Outcome
		targets string
		detail  string
	}{
		{"tasks that run", nil, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, both, ""},
		{"again, which does no more", func(w *world) { w.groups["web"] = newGroup("web", listed{"i-0", 32768}, listed{"i-9", 1}) }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, both, ""},
		{"two ports of one task", func(w *world) { w.tasks[0].Containers = append(w.tasks[0].Containers, w.tasks[2].Containers...) }, []string{"t0", "t0"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, both, ""},
		{"a task that was told to stop meanwhile is left out", func(w *world) { w.tasks[2].DesiredStatus = aws.String("STOPPED") }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, "i-0:32768 i-9:1", `partial: i-0:32770/tcp is not registered for the task "t2": it was told to stop`},
		{"one that stopped meanwhile", func(w *world) { w.tasks[0].LastStatus = aws.String("STOPPED") }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, "i-0:32770 i-9:1", "is STOPPED"},
		{"one that is gone meanwhile", func(w *world) { w.tasks = w.tasks[1:] }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, "i-0:32770 i-9:1", "not there any more"},
		{"a port that its task does not bind is somebody else's", nil, []string{"t0", "t2"}, []cluster.HostPort{t0, port("i-0", 32771)}, cluster.OutcomeApplied, "i-0:32768 i-9:1", "does not bind that port"},
		{"tcp is not udp", nil, []string{"t0"}, []cluster.HostPort{{Instance: "i-0", Port: 32768, Protocol: "udp"}}, cluster.OutcomeSkipped, before, "does not bind"},
		{"a port of which nobody knows the task", nil, []string{"", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeApplied, "i-0:32770 i-9:1", `for the task "": it is not there`},
		{"none where no task runs any more", func(w *world) { w.tasks = nil }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeSkipped, before, "not there any more"},
		{"none where the tasks are not told", nil, nil, []cluster.HostPort{t0}, cluster.OutcomeSkipped, before, "1 ports for 0 tasks"},
		{"none where there is nothing to register", nil, nil, nil, cluster.OutcomeSkipped, before, "of nothing"},
		{"none where the second look is cut short", func(w *world) { w.cut = "t2" }, []string{"t0", "t2"}, []cluster.HostPort{t0, t2}, cluster.OutcomeSkipped, before, "answered for 1"},
		{"none where the second look fails", func(w *world) { w.throttles = 9 }, []string{"t0"}, []cluster.HostPort{t0}, cluster.OutcomeSkipped, before, "ThrottlingException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, c := newWorld()
			w.groups["web"] = newGroup("web", listed{"i-9", 1})
			if tt.between != nil {
				tt.between(w)
			}
			i := targetsIntent(cluster.RegisterTargets, tt.tasks, tt.ports...)
			noted := *i.Reaches
			got := c.Apply(t.Context(), "prod", i, always)
			if got.Outcome != tt.want || inGroup(w) != tt.targets || !strings.Contains(got.Detail, tt.detail) || (tt.detail == "") != (got.Detail == "") {
				t.Errorf("%s %q, targets %s, want %s %q, %s", got.Outcome, got.Detail, inGroup(w), tt.want, tt.detail, tt.targets)
			}
			if !reflect.DeepEqual(*i.Reaches, noted) {
				t.Errorf("the intent as noted became %+v", *i.Reaches)
			}
			for _, p := range got.Reaches.Ports {
				if _, there := w.groups["web"].targets[listed{p.Instance, int32(p.Port)}]; got.Outcome == cluster.OutcomeApplied && !there {
					t.Errorf("the outcome tells of %s, which was not registered", p)
				}
			}
		})
	}
}

func TestWhatIsDeregisteredNeedsNoLook(t *testing.T) {
	w, c := newWorld()
	w.cut, w.throttles = "t0", 9
	got := c.Apply(t.Context(), "prod", targetsIntent(cluster.DeregisterTargets, []string{"t0", ""}, port("i-0", 32768), port("i-7", 7)), always)
	if got.Outcome != cluster.OutcomeApplied || inGroup(w) != "i-0:32767 i-1:32769" || len(w.reads) != 0 {
		t.Errorf("%s %s, targets %s, reads %v", got.Outcome, got.Detail, inGroup(w), w.reads)
	}
	got = c.Apply(t.Context(), "prod", instanceIntent(cluster.DeregisterInstance, "", "t0.web", port("i-0", 32768)), always)
	if _, there := w.instances["srv-1"]["t0.web"]; got.Outcome != cluster.OutcomeApplied || got.Operation != "op-new" || there || len(w.reads) != 0 {
		t.Errorf("%s %s, operation %q, reads %v", got.Outcome, got.Detail, got.Operation, w.reads)
	}
}

func TestWhatAnInstanceOfARegistryTells(t *testing.T) {
	w, c := newWorld()
	i := instanceIntent(cluster.RegisterInstance, "t2", "t2.web", port("i-0", 32770))
	got := c.Apply(t.Context(), "prod", i, always)
	want := map[string]string{
		"AWS_INSTANCE_IPV4": "10.0.0.10", "AWS_INSTANCE_PORT": "32770", "EC2_INSTANCE_ID": "i-0", "ECS_CLUSTER_NAME": "prod", "ECS_SERVICE_NAME": "web", "AVAILABILITY_ZONE": "a",
	}
	if got.Outcome != cluster.OutcomeApplied || got.Operation != "op-new" || !maps.Equal(w.instances["srv-1"]["t2.web"], want) {
		t.Errorf("%s %s, operation %q, attributes %v, want %v", got.Outcome, got.Detail, got.Operation, w.instances["srv-1"]["t2.web"], want)
	}
	first := w.token
	c.Apply(t.Context(), "prod", i, always)
	if w.token != first || len(first) == 0 || len(first) > 64 {
		t.Errorf("the same intent has the tokens %q and %q", first, w.token)
	}
	i.ID = "k#8#1"
	if c.Apply(t.Context(), "prod", i, always); w.token == first {
		t.Error("another intent has the same token")
	}
	w.tasks[2].Group = aws.String("family:job")
	c.Apply(t.Context(), "prod", i, always)
	if _, told := w.instances["srv-1"]["t2.web"]["ECS_SERVICE_NAME"]; told {
		t.Error("a task that no service started has a service")
	}
	for name, spoil := range map[string]func(*world, *cluster.Reach){
		"no address": func(_ *world, r *cluster.Reach) { r.Address = "" },
		"two ports": func(_ *world, r *cluster.Reach) {
			r.Ports, r.Tasks = append(r.Ports, port("i-0", 1)), append(r.Tasks, "t2")
		},
		"a task that was told to stop": func(w *world, _ *cluster.Reach) { w.tasks[2].DesiredStatus = aws.String("STOPPED") },
		"a task that is gone":          func(_ *world, r *cluster.Reach) { r.Tasks = []string{"gone"} },
		"a port of somebody else":      func(_ *world, r *cluster.Reach) { r.Ports = []cluster.HostPort{port("i-0", 32768)} },
		"no task":                      func(_ *world, r *cluster.Reach) { r.Tasks = nil },
	} {
		w, c := newWorld()
		i := instanceIntent(cluster.RegisterInstance, "t2", "t2.web", port("i-0", 32770))
		spoil(w, i.Reaches)
		if got := c.Apply(t.Context(), "prod", i, always); got.Outcome != cluster.OutcomeSkipped || got.Detail == "" || got.Operation != "" || len(w.changes) != 0 {
			t.Errorf("%s: %s %s, %v", name, got.Outcome, got.Detail, w.changes)
		}
	}
}

// all are the four changes, each of which would succeed.
func all() []cluster.Intent {
	return []cluster.Intent{
		targetsIntent(cluster.RegisterTargets, []string{"t0"}, port("i-0", 32768)), targetsIntent(cluster.DeregisterTargets, nil, port("i-0", 32768)),
		instanceIntent(cluster.RegisterInstance, "t0", "t0.web", port("i-0", 32768)), instanceIntent(cluster.DeregisterInstance, "", "t0.web", port("i-0", 32768)),
	}
}

func TestWhatBecomesOfACallThatFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want cluster.Outcome
	}{
		{"throttled: nothing changed", &smithy.GenericAPIError{Code: "ThrottlingException"}, cluster.OutcomeRefused},
		{"too many targets: nothing changed", &elbtypes.TooManyTargetsException{}, cluster.OutcomeRefused},
		{"a host that does not run: nothing changed", &elbtypes.InvalidTargetException{Message: aws.String("'i-0'")}, cluster.OutcomeRefused},
		{"another operation is under way: nothing changed", &sdtypes.DuplicateRequest{}, cluster.OutcomeRefused},
		{"a server's fault: nobody knows", &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 503}}, Err: &smithy.GenericAPIError{Code: "ServiceUnavailable"}}, cluster.OutcomeUnknown},
		{"no answer in time: nobody knows", context.DeadlineExceeded, cluster.OutcomeUnknown},
	} {
		for _, i := range all() {
			w, c := newWorld()
			w.err = tt.err
			// An invocation with time, in which a read would be made again.
			got := c.Apply(within{t.Context(), noon.Add(time.Hour)}, "prod", i, always)
			if got.Outcome != tt.want || !strings.Contains(got.Detail, tt.err.Error()) || !strings.Contains(got.Detail, "web") || len(w.changes) != 1 || got.Operation != "" {
				t.Errorf("%s, %s: %s %q after %v, want %s", i.Verb, tt.name, got.Outcome, got.Detail, w.changes, tt.want)
			}
		}
	}
}

func TestARegistrationLooksAgainWhileItIsThrottled(t *testing.T) {
	w, c := newWorld()
	w.throttles = 2
	got := c.Apply(within{t.Context(), noon.Add(time.Minute)}, "prod", all()[0], always)
	if got.Outcome != cluster.OutcomeApplied || w.reads["DescribeTasks"] != 3 || len(w.changes) != 1 {
		t.Errorf("%s %s after %v, %v", got.Outcome, got.Detail, w.reads, w.changes)
	}
}

func TestNoCallBeginsThatMayNot(t *testing.T) {
	for _, i := range all() {
		w, c := newWorld()
		asked := 0
		got := c.Apply(t.Context(), "prod", i, func() error { asked++; return errors.New("the lease ends") })
		if got.Outcome != cluster.OutcomeSkipped || !strings.Contains(got.Detail, "the lease ends") || len(w.changes) != 0 || asked != 1 {
			t.Errorf("%s: %s %s, %v", i.Verb, got.Outcome, got.Detail, w.changes)
		}
	}
	w, c := newWorld()
	for _, verb := range []cluster.Verb{cluster.DrainHost, ""} {
		if got := c.Apply(t.Context(), "prod", targetsIntent(verb, []string{"t0"}, port("i-0", 32768)), always); got.Outcome != cluster.OutcomeSkipped || len(w.changes) != 0 {
			t.Errorf("%q: %s, %v", verb, got.Outcome, w.changes)
		}
	}
	if got := c.Apply(t.Context(), "prod", cluster.Intent{Change: cluster.Change{Verb: cluster.RegisterTargets}}, always); got.Outcome != cluster.OutcomeSkipped {
		t.Errorf("an intent that reaches nothing: %s", got.Outcome)
	}
}

// Whatever became of the tasks and whatever the plan asked for: what is registered
// is a port that a running task, which was not told to stop, binds on that look;
// and the outcome tells exactly what was registered.
func TestNothingIsRegisteredForATaskThatDoesNotServe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := newWorld()
		w.tasks, w.groups["web"] = nil, newGroup("web")
		c := New(Ports{ECS: elastic{w}, ELBV2: w, CloudMap: w, EC2: w}, clusterside.Edges{Run: inTurn, Clock: func() time.Time { return noon }})
		serves := map[string]int{} // the port of each task that does
		for n := range rapid.IntRange(0, 250).Draw(t, "tasks") {
			task := newTask(fmt.Sprint("t", n), "service:web", "h0", int32(32768+n))
			task.DesiredStatus = aws.String(rapid.SampledFrom([]string{"RUNNING", "RUNNING", "STOPPED"}).Draw(t, "wanted"))
			task.LastStatus = aws.String(rapid.SampledFrom([]string{"RUNNING", "RUNNING", "PENDING", "STOPPED"}).Draw(t, "last"))
			if w.tasks = append(w.tasks, task); *task.DesiredStatus == "RUNNING" && *task.LastStatus == "RUNNING" {
				serves[*task.TaskArn] = 32768 + n
			}
		}
		var tasks []string
		var ports []cluster.HostPort
		for range rapid.IntRange(0, 200).Draw(t, "ports") {
			n := rapid.IntRange(0, 260).Draw(t, "task")
			tasks = append(tasks, fmt.Sprint("t", n))
			ports = append(ports, port("i-0", 32768+n+rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "off by")))
		}
		got := c.Apply(t.Context(), "prod", targetsIntent(cluster.RegisterTargets, tasks, ports...), always)
		want := map[listed]bool{}
		for n, p := range ports {
			if serves[tasks[n]] == p.Port {
				want[listed{p.Instance, int32(p.Port)}] = true
			}
		}
		told := map[listed]bool{}
		for _, p := range got.Reaches.Ports {
			told[listed{p.Instance, int32(p.Port)}] = true
		}
		if len(w.groups["web"].targets) != len(want) || got.Outcome == cluster.OutcomeApplied && !maps.Equal(told, want) || (got.Outcome == cluster.OutcomeApplied) != (len(want) > 0) {
			t.Fatalf("%s %s: registered %d, told %d, want %d", got.Outcome, got.Detail, len(w.groups["web"].targets), len(told), len(want))
		}
		for p := range w.groups["web"].targets {
			if !want[p] {
				t.Fatalf("%v is registered", p)
			}
		}
	})
}

func TestAnInstanceThatIsNotThereIsDeregistered(t *testing.T) {
	for _, err := range []error{&sdtypes.InstanceNotFound{}, &sdtypes.ServiceNotFound{}} {
		for verb, want := range map[cluster.Verb]cluster.Outcome{cluster.DeregisterInstance: cluster.OutcomeApplied, cluster.RegisterInstance: cluster.OutcomeRefused} {
			w, c := newWorld()
			w.err = err
			i := c.Apply(t.Context(), "prod", instanceIntent(verb, "t0", "t0.web", port("i-0", 32768)), always)
			if i.Outcome != want || i.Operation != "" {
				t.Errorf("%s: %T ends as %s, with the operation %q", verb, err, i.Outcome, i.Operation)
			}
		}
	}
}

func TestWhatIsGoneWithItsGroupIsDeregistered(t *testing.T) {
	for verb, want := range map[cluster.Verb]cluster.Outcome{cluster.DeregisterTargets: cluster.OutcomeApplied, cluster.RegisterTargets: cluster.OutcomeRefused} {
		w, c := newWorld()
		w.err = &elbtypes.TargetGroupNotFoundException{Message: aws.String("One or more target groups not found")}
		if i := c.Apply(t.Context(), "prod", targetsIntent(verb, []string{"t0"}, port("i-0", 32768)), always); i.Outcome != want {
			t.Errorf("%s of a group that is gone: %s %s", verb, i.Outcome, i.Detail)
		}
	}
}
