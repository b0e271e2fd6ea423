package scenario

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// The ports below misbehave between the real register and the simulated cloud.

// badELB lets a call be changed; one that gets false is swallowed and answered
// with success.
type badELB struct {
	endpointside.ELBV2
	register   func(*elb.RegisterTargetsInput) bool
	deregister func(*elb.DeregisterTargetsInput) bool
}

func (b badELB) RegisterTargets(ctx context.Context, in *elb.RegisterTargetsInput, _ ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error) {
	other := *in
	other.Targets = slices.Clone(in.Targets)
	if b.register != nil && !b.register(&other) {
		return &elb.RegisterTargetsOutput{}, nil
	}
	return b.ELBV2.RegisterTargets(ctx, &other)
}

func (b badELB) DeregisterTargets(ctx context.Context, in *elb.DeregisterTargetsInput, _ ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error) {
	other := *in
	other.Targets = slices.Clone(in.Targets)
	if b.deregister != nil && !b.deregister(&other) {
		return &elb.DeregisterTargetsOutput{}, nil
	}
	return b.ELBV2.DeregisterTargets(ctx, &other)
}

// twiceELB makes each call twice.
type twiceELB struct{ endpointside.ELBV2 }

func (b twiceELB) RegisterTargets(ctx context.Context, in *elb.RegisterTargetsInput, _ ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error) {
	_, _ = b.ELBV2.RegisterTargets(ctx, in)
	return b.ELBV2.RegisterTargets(ctx, in)
}

// hastyECS takes the list of tasks as it comes, though another read has failed.
type hastyECS struct{ endpointside.ECS }

func (b hastyECS) ListTasks(ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	_, _ = b.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: aws.String("nowhere")}) // fails
	return b.ECS.ListTasks(ctx, in)
}

// badPortDB is badDynamoDB with the read that only register makes.
type badPortDB struct {
	badDynamoDB
	own store.PortDB
}

func (b badPortDB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return b.own.BatchGetItem(ctx, in, o...)
}

// frontPorts is a sabotage of register's ports, and of none of reconcile's.
func frontPorts(spoil func(*world, *register.Ports)) sabotage {
	return func(w *world, _ *reconcile.Ports) {
		w.fronted = func(p *register.Ports) { spoil(w, p) }
	}
}

// frontELB is one of the calls to Elastic Load Balancing only.
func frontELB(bad func(*world) badELB) sabotage {
	return frontPorts(func(w *world, p *register.Ports) {
		b := bad(w)
		b.ELBV2 = p.ELBV2
		p.ELBV2 = b
	})
}

// frontDB is one of the table only.
func frontDB(bad badDynamoDB) sabotage {
	return frontPorts(func(_ *world, p *register.Ports) {
		b := badPortDB{bad, p.DynamoDB}
		b.DynamoDB = p.DynamoDB
		p.DynamoDB = b
	})
}

// twins are two services behind a load balancer each, on one host with ten dynamic
// ports. People set their counts, so that tasks of one come where tasks of the
// other were. The last five minutes are quiet.
func twins() Scenario {
	never, d := minutes(0), func(s int) policy.Duration { return policy.Duration{Duration: time.Duration(s) * time.Second} }
	percent := 50
	of := func(name string, desired int) Service {
		return Service{
			Name: name, CPU: 128, Memory: 256, Desired: desired, MinimumHealthyPercent: &percent, Hold: d(35),
			Load: &Load{CPUPerRequest: 3, TargetGroup: name, Shape: Shape{Base: 8}},
		}
	}
	row := func(name string) policy.Service {
		return policy.Service{Endpoints: []policy.Endpoint{{Container: name, Port: 8080, TargetGroup: name}}}
	}
	set := func(at, n int, service string) Happening {
		return Happening{At: minutes(at), Do: "setDesired", Service: service, Count: n}
	}
	s := Scenario{
		Name: "twins", Start: time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC), Length: minutes(15), AgentFlap: &never,
		Groups:   []Group{{Name: "prod-hosts", Zones: []string{"eu-west-1a"}, InstanceType: "m6i.xlarge", CPU: 4096, Memory: 15528, Max: 3, Desired: 1, Ports: &PortRange{33000, 33009}}},
		Services: []Service{of("web", 5), of("api", 2)},
		Events:   []Happening{set(3, 2, "web"), set(5, 6, "api"), set(7, 2, "api"), set(8, 6, "web"), {At: minutes(9), Do: "crashTask", Service: "web", Count: 2}},
	}
	for _, name := range []string{"web", "api", "other"} {
		s.Targets = append(s.Targets, TargetGroup{Name: name, DeregistrationDelay: d(20), HealthCheckInterval: d(5)})
	}
	s.Policy = policy.Policy{Version: 1, Cluster: "prod", Hosts: []policy.HostGroup{{Group: "prod-hosts", Min: 1, Max: 1}}, Services: map[string]policy.Service{"web": row("web"), "api": row("api")}}.Defaulted()
	zero := 0.0
	for _, measure := range []string{"requestsToWrong", "requestsToClosed", "requestsToStopped"} {
		s.Expect = append(s.Expect, Expectation{Name: measure, Measure: measure, From: new(minutes(2)), At: new(minutes(9)), AtMost: &zero})
	}
	return s
}

// targetOf is a target that a task of the service listens on which is to run.
func targetOf(w *world, service string) elbtypes.TargetDescription {
	view, _ := w.cloud.World().Service("prod", service)
	for _, v := range w.cloud.World().Targets() {
		if v.Listens && slices.ContainsFunc(view.Tasks, func(t simcloud.TaskView) bool { return t.ARN == v.Task && t.Desired == "RUNNING" }) {
			return elbtypes.TargetDescription{Id: aws.String(v.Instance), Port: aws.Int32(int32(v.Port))}
		}
	}
	return elbtypes.TargetDescription{Id: aws.String("i-none"), Port: aws.Int32(1)}
}

// heldOpen is a target that a task of the service listens on which was told to stop.
func heldOpen(w *world, service string) elbtypes.TargetDescription {
	view, _ := w.cloud.World().Service("prod", service)
	for _, v := range w.cloud.World().Targets() {
		if v.Listens && slices.ContainsFunc(view.Tasks, func(t simcloud.TaskView) bool { return t.ARN == v.Task && t.Desired == "STOPPED" }) {
			return elbtypes.TargetDescription{Id: aws.String(v.Instance), Port: aws.Int32(int32(v.Port))}
		}
	}
	return elbtypes.TargetDescription{Id: aws.String("i-none"), Port: aws.Int32(1)}
}

// since says whether the run is so old.
func (w *world) since(d time.Duration) bool { return !w.cloud.Now().Before(w.Start.Add(d)) }

// plantedFronts are bugs of register, each with the promises that it breaks and no
// other, a part of what is said of the first, and of what is left over at the end.
var plantedFronts = []struct {
	name     string
	breaks   string
	says     string
	left     string
	missed   string // measures of the expectations that do not hold
	sabotage sabotage
}{
	{"nothing is wrong", "", "", "", "", nil},
	{"what is to be taken off is not", "S3", "stands for nobody", "stands for nobody", "requestsToClosed requestsToStopped requestsToWrong", frontELB(func(*world) badELB {
		return badELB{deregister: func(*elb.DeregisterTargetsInput) bool { return false }}
	})},
	{"another service's port is registered beside the right one", "S3 S4", "a task of api answers there", "", "requestsToWrong", frontELB(func(w *world) badELB {
		return badELB{register: func(in *elb.RegisterTargetsInput) bool {
			if aws.ToString(in.TargetGroupArn) == w.targets["web"] && w.since(7*time.Minute) {
				in.Targets = append(in.Targets, targetOf(w, "api"))
			}
			return true
		}}
	})},
	{"no intent is written", "S4", "none of the open intents", "", "", frontDB(badDynamoDB{transact: func(in *dynamodb.TransactWriteItemsInput) {
		in.TransactItems = slices.DeleteFunc(in.TransactItems, isOpen)
	}})},
	{"the intent is written without its decision", "S4", "has no decision beside it", "", "", frontDB(badDynamoDB{transact: func(in *dynamodb.TransactWriteItemsInput) {
		for n, w := range in.TransactItems {
			if isOpen(w) {
				put := *w.Put
				put.Item = maps.Clone(put.Item)
				delete(put.Item, "decision")
				in.TransactItems[n].Put = &put
			}
		}
	}})},
	{"a call is made twice", "S4", "was that of an earlier call", "", "", frontPorts(func(_ *world, p *register.Ports) { p.ELBV2 = twiceELB{p.ELBV2} })},
	{"a read fails and what it did not say is taken for granted", "S10", "whose look was not whole", "", "", frontPorts(func(_ *world, p *register.Ports) { p.ECS = hastyECS{p.ECS} })},
	{"two invocations change targets in turns", "S5 S4", "they interleave", "", "", rogue(4*time.Minute, 2, func(ctx context.Context, w *world) {
		for n := range int32(5) {
			_, _ = w.cloud.ELBV2().DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: aws.String(w.targets["api"]), Targets: []elbtypes.TargetDescription{{Id: targetOf(w, "api").Id, Port: aws.Int32(40000 + n)}}})
		}
	})},
	{"a port is registered of another service's task that holds itself open", "S3 S4 S5", "a task of api answers there", "", "requestsToClosed requestsToStopped requestsToWrong", rogue(7*time.Minute+10*time.Second, 1, func(ctx context.Context, w *world) {
		_, _ = w.cloud.ELBV2().RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: aws.String(w.targets["web"]), Targets: []elbtypes.TargetDescription{heldOpen(w, "api")}})
	})},
	{"the intent is of other ports", "S4", "none of the open intents", "", "", frontELB(func(*world) badELB {
		return badELB{deregister: func(in *elb.DeregisterTargetsInput) bool {
			in.Targets = append(in.Targets, elbtypes.TargetDescription{Id: in.Targets[0].Id, Port: aws.Int32(40000)})
			return true
		}}
	})},
	{"an intent's outcome is never written", "S4", "has no outcome", "is open after", "", frontDB(badDynamoDB{transact: func(in *dynamodb.TransactWriteItemsInput) {
		in.TransactItems = slices.DeleteFunc(in.TransactItems, func(w ddb.TransactWriteItem) bool {
			return w.Update != nil && strings.HasPrefix(text(w.Update.Key, "sk"), openItems) || w.Delete != nil && strings.HasPrefix(text(w.Delete.Key, "sk"), openItems)
		})
	}})},
	{"the lease is never taken", "S5 S4", "nobody holds the lease", "is open after", "", frontDB(badDynamoDB{
		update: func(in *dynamodb.UpdateItemInput) *dynamodb.UpdateItemOutput {
			if isLease(in) {
				return &dynamodb.UpdateItemOutput{}
			}
			return nil
		},
		transact: func(in *dynamodb.TransactWriteItemsInput) {
			in.TransactItems = slices.DeleteFunc(in.TransactItems, func(w ddb.TransactWriteItem) bool { return w.ConditionCheck != nil })
		},
	})},
	{"another takes the lease and the round goes on", "S5 S3", "another message", "", "requestsToClosed requestsToStopped", frontELB(func(w *world) badELB {
		return badELB{register: func(in *elb.RegisterTargetsInput) bool {
			if aws.ToString(in.TargetGroupArn) == w.targets["web"] && !w.since(time.Minute) {
				takeLeaseOf(w, "register#prod/web", "thief")
			}
			return true
		}}
	})},
	{"a target group that the policy does not name is written to", "S8 S4", "which the policy does not name", "tasks of web run, and web has targets for", "", frontELB(func(w *world) badELB {
		return badELB{register: func(in *elb.RegisterTargetsInput) bool {
			if aws.ToString(in.TargetGroupArn) == w.targets["web"] && w.since(2*time.Minute) {
				in.TargetGroupArn = aws.String(w.targets["other"])
			}
			return true
		}}
	})},
	{"what is new is not registered in the end", "", "", "tasks of web run, and web has targets for", "", frontELB(func(w *world) badELB {
		return badELB{register: func(*elb.RegisterTargetsInput) bool { return !w.since(7 * time.Minute) }}
	})},
	{"a task that runs is taken off", "S1 S4", "runs and is to run", "", "", frontELB(func(w *world) badELB {
		return badELB{deregister: func(in *elb.DeregisterTargetsInput) bool {
			if aws.ToString(in.TargetGroupArn) == w.targets["api"] {
				in.Targets = append(in.Targets, targetOf(w, "api"))
			}
			return true
		}}
	})},
}

func TestAPlantedBugOfRegisterIsCaught(t *testing.T) {
	for _, bug := range plantedFronts {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), twins(), Options{Seed: 1, sabotage: bug.sabotage})
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(bug.breaks)
			said, broken := bug.says == "", map[string]int{}
			for _, v := range r.Violations {
				broken[v.Promise]++
				said = said || v.Promise == want[0] && strings.Contains(v.Detail, bug.says)
				if broken[v.Promise] == 1 {
					t.Logf("%s at %s, %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
				}
			}
			slices.Sort(want)
			if !said || !slices.Equal(slices.Sorted(maps.Keys(broken)), want) {
				t.Errorf("broke %v, said %q: %t; want %v", broken, bug.says, said, want)
			}
			left := strings.Join(r.End.LeftOver, "; ")
			if (left == "") != (bug.left == "") || !strings.Contains(left, bug.left) {
				t.Errorf("left over: %q, want %q", left, bug.left)
			}
			var missed []string
			for _, h := range r.Expectations {
				if !h.Held {
					missed = append(missed, h.Name)
				}
			}
			slices.Sort(missed)
			if got := strings.Join(missed, " "); got != bug.missed {
				t.Errorf("missed %q, want %q: %+v", got, bug.missed, r.Expectations)
			}
		})
	}
}

func TestACallOfRegisterAtRestIsNoticed(t *testing.T) {
	t.Parallel()
	s := twins()
	s.Calm, s.Expect = minutes(2), nil // and yet people go on setting counts
	r, err := Run(t.Context(), s, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) == 0 {
		t.Error("nothing was noticed")
	}
	for _, v := range r.Violations {
		if v.Promise != "L2" || !strings.Contains(v.Detail, "all should be quiet") || v.At.Before(s.Start.Add(5*time.Minute)) {
			t.Errorf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
		}
	}
}

// How long a target may stand for nobody is a matter of the faults that are on.
func TestTheBoundOnATargetThatStandsForNobody(t *testing.T) {
	one, none := 1.0, 0.0
	fault := func(name string, rate *float64) []Fault {
		return []Fault{{Name: name, Rate: rate, From: minutes(10), Until: minutes(20)}}
	}
	for _, tt := range []struct {
		name       string
		faults     []Fault
		always     map[string]float64
		since, now int // minutes
		want       time.Duration
	}{
		{"nothing is wrong", nil, nil, 1, 1, goneWithEvents},
		{"events are lost later", fault("event-lost", &one), nil, 9, 9, goneWithEvents},
		{"events are lost now", fault("event-lost", &one), nil, 9, 10, goneBySweep},
		{"events were lost a moment ago", fault("event-lost", &one), nil, 22, 22, goneBySweep},
		{"events were lost long ago", fault("event-lost", &one), nil, 23, 23, goneWithEvents},
		{"none is lost after all", fault("event-lost", &none), nil, 12, 12, goneWithEvents},
		{"events come twice", fault("event-doubled", &one), nil, 12, 12, goneWithEvents},
		{"events come late", fault("event-reordered", &one), nil, 12, 12, goneBySweep},
		{"the table is away", fault("table-down", &one), nil, 12, 12, 0},
		{"the table was away a moment ago", fault("table-down", &one), nil, 29, 29, 0},
		{"the table was away long ago", fault("table-down", &one), nil, 30, 30, goneWithEvents},
		{"events are lost while the table is away", append(fault("table-down", &one), fault("event-lost", &one)...), nil, 12, 12, 0},
		{"events are always lost", nil, map[string]float64{"event-lost": 1, "table-down": 0}, 1, 1, goneBySweep},
		{"the table is always down at times", nil, map[string]float64{"table-down": 0.1}, 1, 1, 0},
	} {
		w := &world{Scenario: Scenario{Length: minutes(90), Faults: tt.faults}, always: tt.always}
		after := func(n int) time.Time { return w.Start.Add(minutes(n).Duration) }
		if got := w.goneWithin(after(tt.since), after(tt.now)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
