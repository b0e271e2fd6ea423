package scenario

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// eventful are windows of the built-in scenarios in which much happens, each with
// its calm.
func eventful(t *testing.T, name string) Scenario {
	t.Helper()
	s, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	window := map[string][2]time.Duration{
		"web-day":   {20 * time.Hour, 30 * time.Minute},   // the flash crowd
		"mixed":     {3 * time.Hour, 25 * time.Minute},    // reports comes up from nothing
		"bad-day":   {80 * time.Minute, 45 * time.Minute}, // zones without capacity, the crowd, two hosts killed
		"step":      {40 * time.Minute, 30 * time.Minute},
		"from-zero": {25 * time.Minute, 30 * time.Minute},

		"ports-churn": {31 * time.Minute, 25 * time.Minute}, // tasks crash, an agent restarts, a host is killed
	}[name]
	if window[1] == 0 {
		t.Fatalf("no window of %s is eventful", name)
	}
	return s.Window(window[0], window[1]).Calmed(window[1])
}

// Without any event, and with each of them up to five times and out of order,
// every scenario ends as it does without faults.
func TestEveryBuiltinEndsAsWithoutFaults(t *testing.T) {
	for _, name := range Builtins() {
		s := eventful(t, name)
		plain := sync.OnceValues(func() (Result, error) { return without(t.Context(), s, Options{Seed: 3}) })
		for way, faults := range map[string]map[string]float64{
			"every event is lost":                     {"event-lost": 1},
			"events come twice or more, out of order": {"event-doubled": 1, "event-reordered": 1},
		} {
			t.Run(name+": "+way, func(t *testing.T) {
				t.Parallel()
				r, err := judge(t.Context(), s, Options{Seed: 3, Faults: faults}, plain)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range r.Violations {
					t.Errorf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
				}
				if r.HostsLaunched == 0 || r.Rounds < 60 {
					t.Errorf("%d hosts launched, %d rounds: a world in which nothing happens shows nothing", r.HostsLaunched, r.Rounds)
				}
				t.Logf("%d hosts at the end, without faults %d; %+v", r.End.Hosts, r.Verdict.HostsWithout, *r.Verdict)
			})
		}
	}
}

func TestDifferencesOfEnds(t *testing.T) {
	web := func(wanted, running int, free bool) ServiceEnd {
		return ServiceEnd{Name: "web", Wanted: wanted, Running: running, Healthy: running, Free: free}
	}
	ends := func(s ...ServiceEnd) End { return End{Services: s} }
	for _, tt := range []struct {
		name      string
		got, want End
		says      []string
	}{
		{"equal but for the hosts", End{Services: []ServiceEnd{web(4, 4, false)}, Hosts: 3}, End{Services: []ServiceEnd{web(4, 4, false)}, Hosts: 2}, nil},
		{"another count", ends(web(5, 5, false)), ends(web(4, 4, false)), []string{"wants 5, 5 run, 5 are healthy, and should end with web wants 4"}},
		{"a count that people set", ends(web(5, 5, true)), ends(web(4, 4, false)), nil},
		{"something is left over", End{LeftOver: []string{"an old intent"}}, End{}, []string{"an old intent"}},
		{"something was left over without faults", End{}, End{LeftOver: []string{"an old intent"}}, []string{"should equal: an old intent"}},
		{"a service that should not be there", ends(web(1, 1, false)), End{}, []string{"and should end with"}},
		{"a service is not there", End{}, ends(web(1, 1, false)), []string{"there is no service web"}},
	} {
		got := tt.got.Differences(tt.want)
		if len(got) != len(tt.says) || len(got) > 0 && !strings.Contains(got[0], tt.says[0]) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.says)
		}
	}
}

// lazyECS and lazyAutoScaling say that they did what they did not do.
type lazyECS struct{ clusterside.ECS }

func (lazyECS) UpdateContainerInstancesState(context.Context, *ecs.UpdateContainerInstancesStateInput, ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error) {
	return &ecs.UpdateContainerInstancesStateOutput{}, nil
}

type lazyAutoScaling struct{ clusterside.AutoScaling }

func (lazyAutoScaling) TerminateInstanceInAutoScalingGroup(context.Context, *autoscaling.TerminateInstanceInAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	return &autoscaling.TerminateInstanceInAutoScalingGroupOutput{}, nil
}

// restless asks for another look two seconds after each round, once the calm is
// nearly over.
func restless(w *world, _ *reconcile.Ports) {
	w.cloud.Lambda().OnInvocation(func(done simcloud.Invocation) {
		if done.Function == hearer || w.cloud.Now().Before(w.Start.Add(w.Length.Duration-restFor)) {
			return
		}
		at := w.cloud.Now().Add(2 * time.Second).Truncate(time.Millisecond)
		message, _ := events.LookAgain(leaseKey("prod"), at) // it is of strings and a time
		setNext(w, at)
		_, _ = w.cloud.SQS().SendMessage(context.Background(), &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String(string(message)), DelaySeconds: 2})
	})
}

// setNext writes the time of the next look.
func setNext(w *world, at time.Time) {
	_, _ = w.cloud.DynamoDB().UpdateItem(context.Background(), &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: item{"pk": &ddb.AttributeValueMemberS{Value: "wake#" + leaseKey("prod")}, "sk": &ddb.AttributeValueMemberS{Value: "wake"}},
		UpdateExpression: aws.String("SET nextAt = :at"), ExpressionAttributeValues: item{":at": &ddb.AttributeValueMemberN{Value: strconv.FormatInt(at.UnixMilli(), 10)}},
	})
}

// astray sends what is for the ingress queue to one that nobody hears and that
// keeps its messages for so many seconds.
func astray(retention string) sabotage {
	return ports(func(w *world, p *reconcile.Ports) {
		out, err := w.cloud.SQS().CreateQueue(context.Background(), &sqs.CreateQueueInput{QueueName: aws.String("nowhere"), Attributes: map[string]string{"MessageRetentionPeriod": retention}})
		if err != nil {
			panic(err)
		}
		w.urls["nowhere"] = *out.QueueUrl
		p.SQS = badSQS{p.SQS, "nowhere"}
	})
}

// Each bug leaves something behind that the run without it does not.
func TestTheDifferentialOracleCatchesAPlantedBug(t *testing.T) {
	s := swell().Calmed(20 * time.Minute)
	plain := sync.OnceValues(func() (Result, error) { return without(t.Context(), s, Options{Seed: 7}) })
	for _, bug := range []struct {
		name, says string
		spoil      sabotage
	}{
		{"none", "", nil},
		{"an intent's outcome is never written", "is open after", ports(func(_ *world, p *reconcile.Ports) {
			p.DynamoDB = badDynamoDB{DynamoDB: p.DynamoDB, transact: func(in *dynamodb.TransactWriteItemsInput) {
				in.TransactItems = slices.DeleteFunc(in.TransactItems, func(w ddb.TransactWriteItem) bool {
					return w.Update != nil && strings.HasPrefix(text(w.Update.Key, "sk"), openItems) || w.Delete != nil && strings.HasPrefix(text(w.Delete.Key, "sk"), openItems)
				})
			}}
		})},
		{"a drained host is not terminated", "is DRAINING", ports(func(_ *world, p *reconcile.Ports) { p.AutoScaling = lazyAutoScaling{p.AutoScaling} })},
		{"an empty host is not drained", "is empty for", ports(func(_ *world, p *reconcile.Ports) { p.ECS = lazyECS{p.ECS} })},
		{"a count is one too high", "web wants 5, 5 run, 5 are healthy, and should end with web wants 4", ports(func(_ *world, p *reconcile.Ports) {
			p.ECS = badECS{ECS: p.ECS, update: func(in *ecs.UpdateServiceInput) {
				if *in.Service == "web" {
					in.DesiredCount = aws.Int32(*in.DesiredCount + 1)
				}
			}}
		})},
		{"more tasks are wanted than there is room for", "web wants 5, 4 run", ports(func(w *world, _ *reconcile.Ports) {
			w.cloud.At(w.Start.Add(75*time.Minute-100*time.Millisecond), func() { _ = w.cloud.World().SetDesiredByHand("prod", "web", 5) })
		})},
		{"the next look is noted wrongly", "ahead", ports(func(w *world, _ *reconcile.Ports) {
			w.cloud.At(w.Start.Add(w.Length.Duration), func() { setNext(w, time.UnixMilli(9999999999999)) })
		})},
		{"a round asks for another look every two seconds", "keys began in the last 10m0s", ports(restless)},
		{"a count is set to what it is, when all should be quiet", "L2: UpdateService", rogue(70*time.Minute, 1, func(ctx context.Context, w *world) { update(ctx, w, "web", 4) })},
		{"looks are asked for in a queue that nobody hears", "L3: the message", astray("1209600")},
		{"and are dropped there", "messages were dropped", astray("60")},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			r, err := judge(t.Context(), s, Options{Seed: 7, sabotage: bug.spoil}, plain)
			if err != nil {
				t.Fatal(err)
			}
			said := bug.says == ""
			for _, v := range r.Violations {
				says := v.Promise + ": " + v.Detail
				t.Log(says)
				said = said || strings.Contains(says, bug.says)
			}
			if !said || bug.says == "" && len(r.Violations) > 0 {
				t.Errorf("said %q: %t, violations %v", bug.says, said, r.Violations)
			}
		})
	}
}

func TestAnEndThatIsNotCalmIsNotCompared(t *testing.T) {
	r, err := Judge(t.Context(), still(), Options{Seed: 1})
	if err != nil || r.Verdict.LeftOut == "" || r.Failed() {
		t.Errorf("%+v %v %v", r.Verdict, r.Violations, err)
	}
}

// tide is a world whose counts come down for minutes when its crowd is gone.
func tide() Scenario {
	d := func(d time.Duration) policy.Duration { return policy.Duration{Duration: d} }
	s := swell()
	s.Groups, s.Faults, s.Length = s.Groups[:1], nil, d(30*time.Minute)
	s.Groups[0].Desired = 2
	for n := range s.Services {
		s.Services[n].Load = &Load{CPUPerRequest: 10, Shape: Shape{Base: 60, Crowds: []Crowd{{At: d(6 * time.Minute), Rate: 120, Rise: d(time.Second), Stay: d(6 * time.Minute), Fall: d(time.Second)}}}}
	}
	steer := policy.Service{Tasks: &policy.Tasks{Min: 2, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}}
	s.Policy = policy.Policy{
		Version: 1, Cluster: "prod", Services: map[string]policy.Service{"web": steer, "api": steer},
		Hosts: []policy.HostGroup{{Group: "prod-hosts", Min: 1, Max: 20, Removal: policy.Removal{EmptyAfter: d(time.Minute), MaxAtOnce: 2}}},
	}.Defaulted()
	return s
}

func TestTheBlameOracleTellsWhoseADipIs(t *testing.T) {
	kill := func(at time.Duration, n int) Happening {
		h := Happening{Do: "killHost", Group: "prod-hosts", Count: n}
		h.At.Duration = at
		return h
	}
	fading := func(events ...Happening) Scenario { // counts come down when its crowd is gone
		s := tide()
		s.Events = events
		return s
	}
	anyOf := func(w *world) simcloud.HostView {
		v, _ := w.cloud.World().Service("prod", "web")
		for _, h := range w.cloud.World().Hosts() {
			if h.ARN == v.Tasks[0].Host {
				return h
			}
		}
		return simcloud.HostView{}
	}
	for _, tt := range []struct {
		name  string
		world Scenario
		want  string // of the dips: w of the world's alone, s with a part of it, o ours
		says  string
		spoil sabotage
	}{
		{"nobody does anything", still(), "", "", nil},
		{"a host dies", still(kill(5*time.Minute, 1)), "ww", "", nil},
		{"a host dies, and others have left shortly before", fading(kill(19*time.Minute+30*time.Second, 1)), "ss", "", nil},
		{"all tasks crash after counts came down", fading(), "w", "", ports(func(w *world, _ *reconcile.Ports) {
			w.cloud.At(w.Start.Add(19*time.Minute+30*time.Second), func() { crashAll(w, "web") })
		})},
		{"a host dies unnoticed while a round lowers a count", fading(), "s", "", ports(func(w *world, p *reconcile.Ports) {
			killed := false
			p.ECS = badECS{ECS: p.ECS, update: func(in *ecs.UpdateServiceInput) {
				v, _ := w.cloud.World().Service("prod", "web")
				if *in.Service == "web" && int(*in.DesiredCount) < v.Desired && !killed {
					killed = true
					_ = w.cloud.World().KillHost(anyOf(w).InstanceID)
				}
			}}
		})},
		{"three tasks are stopped, which no other promise counts as a loss", still(), "o", "StopTask of", rogue(5*time.Minute, 1, func(ctx context.Context, w *world) {
			v, _ := w.cloud.World().Service("prod", "web")
			for _, x := range v.Tasks[:3] {
				_, _ = w.cloud.ECS().StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("prod"), Task: aws.String(x.ARN)})
			}
		})},
		{"a busy host is terminated", still(), "oo", "TerminateInstanceInAutoScalingGroup of host/i-", rogue(5*time.Minute, 1, func(ctx context.Context, w *world) {
			_, _ = w.cloud.AutoScaling().TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: aws.String(anyOf(w).InstanceID), ShouldDecrementDesiredCapacity: aws.Bool(true)})
		})},
		{"the group is left to choose which host goes", still(), "oo", "SetDesiredCapacity of group/prod-hosts", rogue(5*time.Minute, 1, func(ctx context.Context, w *world) {
			_, _ = w.cloud.AutoScaling().SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("prod-hosts"), DesiredCapacity: aws.Int32(0)})
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Judge(t.Context(), tt.world, Options{Seed: 7, sabotage: tt.spoil})
			if err != nil {
				t.Fatal(err)
			}
			v := *r.Verdict
			got := strings.Repeat("w", v.World) + strings.Repeat("s", v.Shared) + strings.Repeat("o", v.Ours)
			said := tt.says == ""
			for _, x := range r.Violations {
				t.Log(x.Promise, clock(x.At), x.Subject, x.Detail)
				if x.Promise == "S1" && tt.says == "StopTask of" {
					t.Error("another promise counts it as a loss")
				}
				said = said || x.Promise == "blame" && strings.Contains(x.Detail, tt.says)
			}
			if got != tt.want || !said || v.Unjudged > 0 {
				t.Errorf("%q, want %q; said %q: %t; %+v", got, tt.want, tt.says, said, v)
			}
		})
	}
}

// A dip that no replay is left for is nobody's, so far as one knows: that is no
// pass.
func TestADipThatIsNotJudgedIsAViolation(t *testing.T) {
	s := still()
	o := Options{Seed: 7, sabotage: rogue(5*time.Minute, 1, func(ctx context.Context, w *world) {
		v, _ := w.cloud.World().Service("prod", "web")
		for _, x := range v.Tasks[:3] {
			_, _ = w.cloud.ECS().StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String("prod"), Task: aws.String(x.ARN)})
		}
	})}
	r, m, err := run(t.Context(), s, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Verdict, r.Violations = &Verdict{Replays: mostReplays}, nil
	if err := m.blame(t.Context(), s, o, &r); err != nil || r.Verdict.Unjudged != 1 || r.Verdict.Replays != mostReplays {
		t.Fatalf("%+v %v", r.Verdict, err)
	}
	if len(r.Violations) != 1 || r.Violations[0].Promise != "blame" || !strings.Contains(r.Violations[0].Detail, "not judged") {
		t.Errorf("%+v", r.Violations)
	}
}

// A replay that is another run before the action proves nothing.
func TestAReplayIsTheSameRunUpToTheAction(t *testing.T) {
	s := swell()
	s.Length.Duration = 20 * time.Minute
	_, m, err := run(t.Context(), s, Options{Seed: 7}, nil)
	if err != nil || len(m.dips.takings) == 0 {
		t.Fatal(len(m.dips.takings), err)
	}
	first := m.dips.takings[0]
	x := dip{service: "web", floor: 1, from: first.at, until: first.at.Add(time.Minute)}
	if least, err := replay(t.Context(), s, Options{Seed: 7}, x, first); err != nil || least < 2 {
		t.Errorf("%d healthy, %v", least, err)
	}
	if _, err := replay(t.Context(), s, Options{Seed: 8}, x, first); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("with another seed: %v", err)
	}
}
