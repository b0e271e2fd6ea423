package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// rival is a second controller of the same cluster, as an old deployment is that
// nobody took down. Shared says that it has the table and queues of the first.
type rival struct {
	shared bool
	seed   uint64 // of the world, besides the usual one
	policy func(policy.Policy) policy.Policy
}

// deploy adds the rival's functions, and what else it has of its own.
func (r rival) deploy(t *testing.T, w *world) {
	t.Helper()
	c, names := w.cloud, [3]string{table, ingress, fifo}
	if !r.shared {
		names = [3]string{"rival", "rival-ingress", "rival-reconcile.fifo"}
		r.provide(t, w, names)
	}
	set := policy.Set{r.policy(w.Policy)}
	hear := ingest.New(ingest.Ports{DynamoDB: c.DynamoDB(), SQS: c.SQS()},
		ingest.Config{Account: account, Region: region, Table: names[0], Queues: map[string]string{"reconcile": w.urls[names[2]]}, Ingress: w.urls[names[1]]}, set, w.log)
	steer := reconcile.New(reconcile.Ports{ECS: c.ECS(), AutoScaling: c.AutoScaling(), CloudWatch: c.CloudWatch(), DynamoDB: c.DynamoDB(), SQS: c.SQS()},
		rounds.Config{Table: names[0], Ingress: w.urls[names[1]]}, set, rounds.Edges{Clock: c.Clock, Run: c.Gather(sideCalls), Log: w.log})
	for _, f := range []struct {
		name, queue string
		run         func(context.Context, []byte) ([]byte, error)
		batch       int
	}{{"rival-ingest", names[1], hear.Invoke, 10}, {"rival-reconcile", names[2], steer.Invoke, 1}} {
		if err := c.Lambda().Register(f.name, f.run, simcloud.FunctionConfig{Timeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if err := c.Lambda().Map(simcloud.EventSource{Queue: f.queue, Function: f.name, BatchSize: f.batch, ReportBatchItemFailures: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// provide makes a rival's own table and queues, and its sweep.
func (r rival) provide(t *testing.T, w *world, names [3]string) {
	t.Helper()
	_, err := w.cloud.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(names[0]), BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: ddb.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddb.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: ddb.KeyTypeRange}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, attributes := range map[string]map[string]string{names[1]: {"VisibilityTimeout": "360"}, names[2]: {"FifoQueue": "true", "VisibilityTimeout": "90"}} {
		out, err := w.cloud.SQS().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		w.urls[name] = aws.ToString(out.QueueUrl)
	}
	if err := w.cloud.EventBridge().PutTargets("plimsoll-sweep", simcloud.Target{ID: "rival", ARN: queueARN(names[1])}); err != nil {
		t.Fatal(err)
	}
}

// contest is what became of a cluster with two controllers.
type contest struct {
	broken  []string       // promises of the first, and S8 of the rival
	changes map[string]int // changing calls by function
	counts  []string       // how web was set
	times   []time.Duration
	fewest  int                       // healthy tasks of web since it was first whole
	reasons map[string]map[string]int // by table: of the decisions about web
}

// between counts the settings of web from one time to another.
func (c contest) between(from, to time.Duration) int {
	n := 0
	for _, at := range c.times {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// reasonsIn counts the reasons of the decisions about web in a table.
func reasonsIn(t *testing.T, w *world, name string) map[string]int {
	t.Helper()
	history, err := w.historyOf(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, h := range history {
		if h.Decision != nil && h.Decision.Subject == "service/web" {
			all[string(h.Decision.Reason)] += max(1, h.Count)
		}
	}
	return all
}

// fight runs a cluster with a rival in it.
func (r rival) fight(t *testing.T, s Scenario) contest {
	t.Helper()
	m := newMonitors(s.Policy)
	out := contest{changes: map[string]int{}, fewest: 1000, reasons: map[string]map[string]int{}}
	var w *world
	o := simcloud.Options{Start: s.Start, Seed: 11 + r.seed, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: func(c simcloud.Call) {
		mine := r.shared || !strings.HasPrefix(c.Function, "rival")
		if mine {
			m.watch(c)
		} else if wrong := m.foreign(c.Input); wrong != "" && !strings.Contains(wrong, "rival") {
			out.broken = append(out.broken, "S8 of the rival: "+wrong)
		}
		if what := inWords(w, c.Input); what != "" {
			out.changes[c.Function]++
			if strings.HasPrefix(what, "web") {
				out.times = append(out.times, c.At.Sub(s.Start))
				out.counts = append(out.counts, fmt.Sprintf("%s %s: %s", c.At.Sub(s.Start).Round(time.Second), c.Function, what))
			}
		}
	}}
	w, err := build(t.Context(), s, o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.cloud.Close()
	m.attach(w)
	r.deploy(t, w)
	w.cloud.Every(s.Start.Add(3*time.Minute), 5*time.Second, func() bool {
		v, _ := w.cloud.World().Service("prod", "web")
		out.fewest = min(out.fewest, v.Healthy)
		return true
	})
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Fatal(err)
	}
	var res Result
	m.end(&res)
	for _, v := range res.Violations {
		out.broken = append(out.broken, fmt.Sprintf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail))
	}
	out.reasons[table] = reasonsIn(t, w, table)
	if !r.shared {
		out.reasons["rival"] = reasonsIn(t, w, "rival")
	}
	return out
}

// wanting is a policy that wants at least so many tasks of web, and at most.
func wanting(least, most int) func(policy.Policy) policy.Policy {
	return func(p policy.Policy) policy.Policy {
		p.Services = maps.Clone(p.Services)
		web := p.Services["web"]
		web.Tasks = &policy.Tasks{Min: least, Max: most}
		p.Services["web"] = web
		return p
	}
}

// While a deployment goes on, old and new versions of the functions serve the
// same queues and table: the lease keeps their rounds apart, whatever they want.
func TestTwoVersionsOverOneTableKeepTheirPromises(t *testing.T) {
	t.Parallel()
	s := even()
	got := rival{shared: true, policy: wanting(2, 30)}.fight(t, s)
	t.Logf("changes %v, %s", got.changes, got.counts)
	for _, b := range got.broken {
		t.Error(b)
	}
	if got.changes["reconcile"] == 0 || got.changes["rival-reconcile"] == 0 {
		t.Errorf("one of them did nothing: %v", got.changes)
	}
}

// crowded is a load that comes and goes every forty minutes.
func crowded(s Scenario) Scenario {
	shape := &s.Services[0].Load.Shape
	crowd := shape.Crowds[0]
	shape.Crowds = nil
	for at := 4 * time.Minute; at < s.Length.Duration; at += 40 * time.Minute {
		crowd.At.Duration = at
		shape.Crowds = append(shape.Crowds, crowd)
	}
	return s
}

// flat is a load that never changes.
func flat(s Scenario) Scenario {
	s.Services[0].Load.Shape.Crowds = nil
	return s
}

// Two controllers with a table each cannot know of each other by any lease. Where
// they want the same of an even load, nothing is the matter. Where the load changes
// each changes what the other has set; if they happen to undo each other's changes
// that is said, for minutes. Where they want different things each sees that another
// hand undoes what it sets: both say so, and leave the count alone for longer and
// longer instead of fighting. S5 and S8 hold for both, and no service falls under
// what the lower of the two wants.
func TestTwoControllersOverOneCluster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		own       func(policy.Policy) policy.Policy
		rival     func(policy.Policy) policy.Policy
		load      func(Scenario) Scenario
		seed      uint64
		contested [2]int // decisions that name the conflict, of each: at least, at most
		first     int    // changes of web's count in the first hour, of both together, at most
		hourly    int    // and in each later hour; without the holds it would be 40
	}{
		{"both want the same of an even load", wanting(2, 40), wanting(2, 40), flat, 0, [2]int{0, 0}, 12, 2},
		{"both want the same of a load that comes and goes", wanting(2, 40), wanting(2, 40), crowded, 0, [2]int{0, 10}, 20, 20},
		{"they do, and by chance undo each other's changes for a while", wanting(2, 40), wanting(2, 40), crowded, 10, [2]int{0, 30}, 30, 30},
		{"one wants at least 6, the other at most 4", wanting(2, 4), wanting(6, 40), flat, 0, [2]int{20, 1000}, 9, 6},
		{"these do while the load comes and goes", wanting(2, 4), wanting(6, 40), crowded, 0, [2]int{20, 1000}, 16, 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := even()
			s.Length.Duration = 4 * time.Hour
			s = tt.load(s)
			s.Policy = tt.own(s.Policy)
			got := rival{policy: tt.rival, seed: tt.seed}.fight(t, s)
			t.Logf("changes %v, %d of web's count, at least %d tasks healthy, reasons %v", got.changes, len(got.counts), got.fewest, got.reasons)
			for _, b := range slices.DeleteFunc(got.broken, func(b string) bool { return !strings.HasPrefix(b, "S5") && !strings.HasPrefix(b, "S8") }) {
				t.Error(b)
			}
			for name, reasons := range got.reasons {
				if n := reasons["contested"]; n < tt.contested[0] || n > tt.contested[1] {
					t.Errorf("%s has %d contested decisions: %v", name, n, got.counts)
				}
			}
			for hour := range 4 {
				bound := tt.hourly
				if hour == 0 {
					bound = tt.first
				}
				if n := got.between(time.Duration(hour)*time.Hour, time.Duration(hour+1)*time.Hour); n > bound {
					t.Errorf("%d changes in hour %d: %v", n, hour+1, got.counts)
				}
			}
			if got.fewest < 2 {
				t.Errorf("no more than %d tasks", got.fewest)
			}
		})
	}
}
