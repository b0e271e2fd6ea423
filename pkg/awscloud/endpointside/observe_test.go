package endpointside

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

func scope() cluster.EndpointScope {
	return cluster.EndpointScope{Cluster: "prod", Service: "web", Groups: []string{"ecs-api", "web"}, Registries: []string{"web"}}
}

func arn(t cluster.Task) string { return t.ARN }

func TestObserveMapsAWSsWordsToOurs(t *testing.T) {
	w, c := newWorld()
	w.groups["web"].targets[listed{"i-0", 32767}] = elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumDraining, Reason: elbtypes.TargetHealthReasonEnumDeregistrationInProgress}
	w.operations = map[string]sdtypes.OperationStatus{"op-1": sdtypes.OperationStatusPending, "op-2": sdtypes.OperationStatusSuccess}
	s := scope()
	s.Operations = []cluster.Operation{{ID: "op-1", Registry: "srv-1", Instance: "t2.web"}, {ID: "op-2", Registry: "srv-1", Instance: "t0.web"}, {ID: "op-3", Registry: "srv-1", Instance: "t1.web"}}
	e, err := c.Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(e.Tasks, arn); got != "t0 t1 t2 t3" || !e.Tasks[3].Stopping() || e.Cluster != "prod" || e.Service != "web" {
		t.Errorf("a task told to stop is seen and a stopped one is not: %s", got)
	}
	want := cluster.Task{
		ARN: "t1", Service: "web", Host: "h1", Zone: "a", Last: "RUNNING", Wanted: "RUNNING", Instance: "i-1",
		Bindings: []cluster.Binding{{Container: "web", ContainerPort: 80, HostPort: 32769, Protocol: "tcp"}},
	}
	if !reflect.DeepEqual(e.Tasks[1], want) {
		t.Errorf("task %+v\nwant %+v", e.Tasks[1], want)
	}
	group := cluster.TargetGroup{
		ARN: "arn:web", Name: "web", Protocol: "HTTP", TargetType: "instance", VPC: "vpc-1", Balancers: []string{"arn:alb"}, Delay: 30 * time.Second,
		Targets: []cluster.Target{
			{Instance: "i-0", Port: 32767, State: cluster.TargetDraining, Reason: "Target.DeregistrationInProgress"},
			{Instance: "i-0", Port: 32768, State: cluster.TargetHealthy},
			{Instance: "i-1", Port: 32769, State: cluster.TargetHealthy},
		},
	}
	if len(e.Groups) != 2 || !reflect.DeepEqual(e.Groups[1], group) {
		t.Errorf("groups %+v\nwant ecs-api, and %+v", e.Groups, group)
	}
	if managed, err := c.Managed(t.Context(), "prod"); err != nil || managed["arn:ecs-api"] != "api" || len(managed) != 1 {
		t.Errorf("ECS manages %v, %v", managed, err)
	}
	registry := cluster.Registry{
		ID: "srv-1", Name: "web", Records: []string{"A", "SRV"}, CustomHealth: true, Busy: map[string]string{"t2.web": "op-1"},
		Instances: []cluster.Registered{{ID: "a"}, {ID: "b"}, {ID: "t0.web", IPv4: "10.0.0.10", Port: 32768}},
	}
	if len(e.Registries) != 1 || !reflect.DeepEqual(e.Registries[0], registry) {
		t.Errorf("registries %+v\nwant %+v", e.Registries, registry)
	}
	if want := map[string]string{"i-0": "10.0.0.10", "i-1": "10.0.0.11"}; !maps.Equal(e.Addresses, want) {
		t.Errorf("addresses %v, want %v", e.Addresses, want)
	}
}

func TestWhichTasksAScopeHas(t *testing.T) {
	w, c := newWorld()
	standalone := func(arn, family, by, wanted, last string) {
		task := newTask(arn, "family:"+family, "h0", 40000)
		task.StartedBy, task.DesiredStatus, task.LastStatus = aws.String(by), aws.String(wanted), aws.String(last)
		w.tasks, w.families[arn] = append(w.tasks, task), family
	}
	standalone("u0", "job", "cron", "RUNNING", "RUNNING")
	standalone("u1", "job", "hand", "RUNNING", "PENDING")
	standalone("u2", "job", "cron", "STOPPED", "RUNNING")
	standalone("u3", "job", "cron", "STOPPED", "STOPPED")
	standalone("u4", "job", "cron", "STOPPED", "DELETED")
	standalone("u5", "other", "cron", "RUNNING", "RUNNING")
	w.families["t0"], w.tasks[1].StartedBy = "job", aws.String("cron") // a service's tasks, all the same
	for _, tt := range []struct {
		name  string
		scope cluster.EndpointScope
		want  string
	}{
		{"a service's own", cluster.EndpointScope{Service: "web"}, "t0 t1 t2 t3"},
		{"a service's without tasks", cluster.EndpointScope{Service: "api"}, ""},
		{"a service's that ECS does not know (any more): none", cluster.EndpointScope{Service: "gone"}, ""},
		{"a family's, but for those of services and those that ended", cluster.EndpointScope{Service: "jobs", Family: "job"}, "u0 u1 u2"},
		{"those that somebody started, told to stop or not", cluster.EndpointScope{Service: "jobs", StartedBy: "cron"}, "u0 u2 u5"},
		{"those that nobody started", cluster.EndpointScope{Service: "jobs", StartedBy: "nobody"}, ""},
	} {
		tt.scope.Cluster = "prod"
		if e, err := c.Observe(t.Context(), tt.scope); err != nil || names(e.Tasks, arn) != tt.want || e.Service != tt.scope.Service {
			t.Errorf("%s: %s, want %s, %v", tt.name, names(e.Tasks, arn), tt.want, err)
		}
	}
}

func TestABindingIsOnePortHoweverManyRowsTellOfIt(t *testing.T) {
	udp := row("0.0.0.0", 53, 32800)
	udp.Protocol = ecstypes.TransportProtocolUdp
	ports := func(protocol ecstypes.TransportProtocol, inside, outside string) ecstypes.NetworkBinding {
		return ecstypes.NetworkBinding{BindIP: aws.String("0.0.0.0"), ContainerPortRange: aws.String(inside), HostPortRange: aws.String(outside), Protocol: protocol}
	}
	bare := row("0.0.0.0", 80, 32768)
	bare.Protocol = ""
	for _, tt := range []struct {
		name string
		rows []ecstypes.NetworkBinding
		want string
	}{
		{"none of a task that has not started", nil, ""},
		{"a row of IPv4 and one of IPv6 are one", []ecstypes.NetworkBinding{row("0.0.0.0", 80, 32768), row("::", 80, 32768)}, "80=32768/tcp"},
		{"whichever comes first", []ecstypes.NetworkBinding{row("::", 80, 32768), row("0.0.0.0", 80, 32768)}, "80=32768/tcp"},
		{"where they differ, a load balancer comes by IPv4", []ecstypes.NetworkBinding{row("::", 80, 32769), row("0.0.0.0", 80, 32768)}, "80=32768/tcp"},
		{"a host with IPv6 alone", []ecstypes.NetworkBinding{row("::", 80, 32768)}, "80=32768/tcp"},
		{"a container port with two host ports has both", []ecstypes.NetworkBinding{row("0.0.0.0", 80, 9000), row("0.0.0.0", 80, 32768)}, "80=9000/tcp 80=32768/tcp"},
		{"tcp and udp are two ports", []ecstypes.NetworkBinding{udp, row("0.0.0.0", 53, 32800)}, "53=32800/tcp 53=32800/udp"},
		{"udp for IPv4 does not hide tcp for IPv6", []ecstypes.NetworkBinding{udp, row("::", 53, 32801)}, "53=32800/udp 53=32801/tcp"},
		{"a row that comes twice", []ecstypes.NetworkBinding{row("0.0.0.0", 80, 32768), row("0.0.0.0", 80, 32768)}, "80=32768/tcp"},
		{"a row without a protocol is tcp", []ecstypes.NetworkBinding{bare}, "80=32768/tcp"},
		{"a range is its ports, one by one", []ecstypes.NetworkBinding{ports("udp", "8000-8002", "33000-33002")}, "8000=33000/udp 8001=33001/udp 8002=33002/udp"},
		{"a range of one", []ecstypes.NetworkBinding{ports("tcp", "8000-8000", "33000-33000")}, "8000=33000/tcp"},
		{"ranges of different lengths are none", []ecstypes.NetworkBinding{ports("tcp", "8000-8002", "33000-33001")}, ""},
		{"a range that runs backwards is none", []ecstypes.NetworkBinding{ports("tcp", "8002-8000", "33002-33000")}, ""},
		{"a range that is no range is none", []ecstypes.NetworkBinding{ports("tcp", "8000", "33000")}, ""},
		{"a row without ports is none", []ecstypes.NetworkBinding{{BindIP: aws.String("0.0.0.0")}}, ""},
	} {
		got := names(bindings(ecstypes.Container{Name: aws.String("c"), NetworkBindings: tt.rows}), func(b cluster.Binding) string {
			if b.Container != "c" {
				t.Errorf("%s: of the container %q", tt.name, b.Container)
			}
			return fmt.Sprintf("%d=%d/%s", b.ContainerPort, b.HostPort, b.Protocol)
		})
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestALookThatIsNotWholeFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		less func(*world)
		want string
	}{
		{"a task is left out of the answer", func(w *world) { w.cut = "t1" }, "tasks: asked for 5, answered for 4"},
		{"a host is left out", func(w *world) { w.cut = "h1" }, "container instances: asked for 2, answered for 1"},
		{"a target group is left out", func(w *world) { w.cut = "ecs-api" }, "target groups: asked for 2, answered for 1"},
		{"a target comes without its health", func(w *world) { w.groups["web"].broken = true }, "a target without"},
		{"an operation is left out", func(w *world) { w.cut, w.operations["op-1"] = "op-1", sdtypes.OperationStatusPending }, "op-1: the answer holds none"},
		{"a task fails for another cause than being gone", func(w *world) { w.failures["t1"] = "ACCESS" }, "t1: ACCESS"},
		{"a host does", func(w *world) { w.failures["h1"] = "ACCESS" }, "h1: ACCESS"},
		{"a deregistration delay cannot be read", func(w *world) { w.groups["web"].delay = "soon" }, `"soon"`},
		{"every read is throttled, and nothing bounds the invocation", func(w *world) { w.throttles = 1000 }, "ThrottlingException"},
	} {
		w, c := newWorld()
		tt.less(w)
		s := scope()
		s.Operations = []cluster.Operation{{ID: "op-1"}}
		if e, err := c.Observe(t.Context(), s); err == nil || !strings.Contains(err.Error(), tt.want) || !reflect.DeepEqual(e, cluster.Endpoints{}) {
			t.Errorf("%s: %+v, %v, want %q", tt.name, e, err, tt.want)
		}
	}
}

func TestWhoseTheGroupsAreIsKnownInWholeOrNot(t *testing.T) {
	for _, tt := range []struct {
		name string
		less func(*world)
		want string
	}{
		{"a service is left out, which may own a group", func(w *world) { w.cut = "api" }, "services: asked for 2, answered for 1"},
		{"a service fails", func(w *world) { w.failures["api"] = "ACCESS" }, "api: ACCESS"},
		{"the list fails", func(w *world) { w.broken = "ECS ListServices" }, "AccessDeniedException"},
		{"the description fails", func(w *world) { w.broken = "DescribeServices" }, "AccessDeniedException"},
	} {
		w, c := newWorld()
		tt.less(w)
		if _, err := c.Managed(t.Context(), "prod"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestALookFailsWithAnyOfItsReads(t *testing.T) {
	w, c := newWorld()
	s := scope()
	s.Operations = []cluster.Operation{{ID: "op-1"}}
	if _, err := c.Observe(t.Context(), s); err != nil || len(w.reads) != 10 {
		t.Fatalf("reads %v, %v", w.reads, err)
	}
	delete(w.reads, "DescribeInstances") // EC2 is another matter
	for name := range w.reads {
		w, c := newWorld()
		w.broken = name
		if e, err := c.Observe(t.Context(), s); err == nil || !strings.Contains(err.Error(), "AccessDeniedException: "+name) || !reflect.DeepEqual(e, cluster.Endpoints{}) {
			t.Errorf("%s fails: %+v, %v", name, e, err)
		}
	}
}

func TestThatEC2IsAwayKeepsNoTargetWhereItIs(t *testing.T) {
	w, c := newWorld()
	if _, err := c.Observe(t.Context(), scope()); err != nil {
		t.Fatal(err)
	}
	w.broken, w.hosts["h2"] = "DescribeInstances", "i-2"
	w.tasks = append(w.tasks, newTask("t5", "service:web", "h2", 32790))
	e, err := c.Observe(t.Context(), scope())
	if want := map[string]string{"i-0": "10.0.0.10", "i-1": "10.0.0.11"}; err != nil || !maps.Equal(e.Addresses, want) || len(e.Tasks) != 5 || len(e.Groups) != 2 {
		t.Errorf("addresses %v, want %v, of %d tasks, %d groups, %v", e.Addresses, want, len(e.Tasks), len(e.Groups), err)
	}
}

func TestWhatDoesNotExistIsAbsentAndNothingElse(t *testing.T) {
	w, c := newWorld()
	w.failures["t1"], w.failures["h1"], w.failures["api"] = "MISSING", "MISSING", "MISSING"
	delete(w.addresses, "i-0")
	w.groups["web"].delay = ""
	s := scope()
	s.Registries = []string{"gone", "srv-3", "twin", "web"}
	e, err := c.Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(e.Tasks, func(t cluster.Task) string { return t.ARN + "@" + t.Instance }); got != "t0@i-0 t2@i-0 t3@" {
		t.Errorf("tasks %s: t1 is gone, and the host of t3", got)
	}
	if len(e.Addresses) != 0 {
		t.Errorf("the address of a host that EC2 does not know is %v", e.Addresses)
	}
	if e.Groups[0].ManagedBy != "" || e.Groups[1].Delay != 300*time.Second {
		t.Errorf("groups %+v", e.Groups)
	}
	if got := names(e.Registries, func(r cluster.Registry) string { return r.Name + "=" + r.ID }); got != "srv-3=srv-3 web=srv-1" {
		t.Errorf("registries %s: one by its id, one by its name, and none by a name that two have", got)
	}
}

// Every set of up to six names, of which each exists or not: those that do are
// read, and nothing else is asked of the account.
func TestUnknownTargetGroupsHideNoneOfTheOthers(t *testing.T) {
	for many := range 7 {
		for exist := range 1 << many {
			w, c := newWorld()
			clear(w.groups)
			s, want := cluster.EndpointScope{Cluster: "prod", Service: "web"}, ""
			for n := range many {
				name := fmt.Sprint("g", n)
				s.Groups = append(s.Groups, name)
				if exist>>n&1 == 1 {
					w.groups[name] = newGroup(name)
					want = strings.TrimSpace(want + " " + name)
				}
			}
			e, err := c.Observe(t.Context(), s)
			if got := names(e.Groups, func(g cluster.TargetGroup) string { return g.Name }); err != nil || got != want {
				t.Errorf("of %v %s were read, want %s, %v", s.Groups, got, want, err)
			}
		}
	}
	w, c := newWorld()
	s := cluster.EndpointScope{Cluster: "prod", Service: "web"}
	for n := range 45 {
		name := fmt.Sprintf("g%02d", n)
		s.Groups, w.groups[name] = append(s.Groups, name), newGroup(name)
	}
	if e, err := c.Observe(t.Context(), s); err != nil || len(e.Groups) != 45 || !slices.IsSortedFunc(e.Groups, func(a, b cluster.TargetGroup) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("of 45 target groups %d were read, %v", len(e.Groups), err)
	}
}

func TestWhichTargetGroupsECSManages(t *testing.T) {
	balancer := func(arn, other string) ecstypes.LoadBalancer {
		b := ecstypes.LoadBalancer{TargetGroupArn: aws.String(arn)}
		if other != "" {
			b.AdvancedConfiguration = &ecstypes.AdvancedConfiguration{AlternateTargetGroupArn: aws.String(other)}
		}
		return b
	}
	for _, tt := range []struct {
		name    string
		service ecstypes.Service
		want    string
	}{
		{"one of a service's own", ecstypes.Service{Status: aws.String("ACTIVE"), LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:x", ""), balancer("arn:web", "")}}, "api"},
		{"one that a blue/green deployment goes to", ecstypes.Service{Status: aws.String("ACTIVE"), LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:x", "arn:web")}}, "api"},
		{"one of a task set", ecstypes.Service{Status: aws.String("ACTIVE"), TaskSets: []ecstypes.TaskSet{{}, {LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:web", "")}}}}, "api"},
		{"one of a service that is being deleted: its tasks are in it still", ecstypes.Service{Status: aws.String("DRAINING"), LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:web", "")}}, "api"},
		{"one of a service that was deleted is free", ecstypes.Service{Status: aws.String("INACTIVE"), LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:web", "")}}, ""},
		{"one that no service has is free", ecstypes.Service{Status: aws.String("ACTIVE"), LoadBalancers: []ecstypes.LoadBalancer{balancer("arn:x", "")}}, ""},
	} {
		w, c := newWorld()
		tt.service.ServiceName = aws.String("api")
		w.services[1] = tt.service
		managed, err := c.Managed(t.Context(), "prod")
		if err != nil || managed["arn:web"] != tt.want {
			t.Errorf("%s: managed by %q, want %q, %v", tt.name, managed["arn:web"], tt.want, err)
		}
	}
}

func TestWhatNeverChangesIsReadOnce(t *testing.T) {
	w, c := newWorld()
	look := func() {
		t.Helper()
		if _, err := c.Observe(t.Context(), scope()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	look()
	if w.reads["DescribeContainerInstances"] != 1 || w.reads["DescribeInstances"] != 1 || w.reads["DescribeTargetGroupAttributes"] != 4 {
		t.Errorf("two looks at the same hosts: %v", w.reads)
	}
	w.tasks, w.hosts["h2"], w.addresses["i-2"] = append(w.tasks, newTask("t5", "service:web", "h2", 32790)), "i-2", "10.0.0.12"
	e, err := c.Observe(t.Context(), scope())
	if err != nil || e.Addresses["i-2"] != "10.0.0.12" || e.Addresses["i-0"] != "10.0.0.10" || w.reads["DescribeContainerInstances"] != 2 {
		t.Errorf("a new host: %v, %v, %v", e.Addresses, w.reads, err)
	}
	// What was not known is asked for again.
	w.tasks = append(w.tasks, newTask("t6", "service:web", "h3", 32791), newTask("t7", "service:web", "h4", 32791), newTask("t8", "service:web", "", 0))
	w.hosts["h4"] = ""
	look()
	w.hosts["h3"], w.hosts["h4"] = "i-3", "i-4"
	if e, err := c.Observe(t.Context(), scope()); err != nil || e.Tasks[5].Instance != "i-3" || e.Tasks[6].Instance != "i-4" || e.Tasks[7].Instance != "" {
		t.Errorf("a host that ECS did not show at first: %+v, %v", e.Tasks, err)
	}
	// Without registries nobody asks EC2 or Cloud Map.
	w, c = newWorld()
	s := scope()
	s.Registries = nil
	if e, err := c.Observe(t.Context(), s); err != nil || e.Addresses != nil || w.reads["DescribeInstances"]+w.reads["ListServices"] != 0 {
		t.Errorf("no registries: %v, %v", w.reads, err)
	}
}

func TestWhichTasksHaveEnded(t *testing.T) {
	w, c := newWorld()
	w.tasks[2].LastStatus = aws.String("DELETED")
	asked := []string{"gone", "t0", "t2", "t3", "t4"}
	for n := range 300 { // three calls
		asked = append(asked, fmt.Sprintf("gone%d", n))
	}
	ended, err := c.Ended(t.Context(), "prod", asked)
	if want := map[string]string{"gone": "MISSING", "t2": "STOPPED", "t4": "STOPPED"}; err != nil || len(ended) != len(want)+300 || ended["gone299"] != "MISSING" {
		t.Errorf("%d ended, %v", len(ended), err)
	} else if maps.DeleteFunc(ended, func(arn, _ string) bool { return strings.HasPrefix(arn, "gone") && arn != "gone" }); !maps.Equal(ended, want) {
		t.Errorf("ended %v, want %v: t0 runs, and t3 is only told to stop", ended, want)
	}
	if none, err := c.Ended(t.Context(), "prod", nil); err != nil || len(none) != 0 || w.reads["DescribeTasks"] != 4 {
		t.Errorf("nobody asked for: %v, %v, %v", none, w.reads, err)
	}
	w.cut = "t0"
	if ended, err := c.Ended(t.Context(), "prod", []string{"t0", "gone"}); err == nil || ended != nil {
		t.Errorf("a cut answer is an absence: %v", ended)
	}
	w.cut, w.failures["t0"] = "", "ACCESS"
	if ended, err := c.Ended(t.Context(), "prod", []string{"t0", "gone"}); err == nil || ended != nil {
		t.Errorf("a failure is an absence: %v", ended)
	}
}

// within is a context of an invocation that ends at a time of the world's clock.
type within struct {
	context.Context
	end time.Time
}

func (w within) Deadline() (time.Time, bool) { return w.end, true }

func TestAThrottledReadIsMadeAgainWithinTheLook(t *testing.T) {
	w, c := newWorld()
	w.throttles = 6
	e, err := c.Observe(within{t.Context(), noon.Add(time.Minute)}, scope())
	if err != nil || len(e.Tasks) != 4 || len(e.Groups) != 2 || len(e.Registries) != 1 || w.throttles != 0 {
		t.Errorf("%d tasks, %d groups, %d registries, %v", len(e.Tasks), len(e.Groups), len(e.Registries), err)
	}
}
