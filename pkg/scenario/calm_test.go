package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// L1 and L2: how many sweeps may pass until a cluster has converged, beside the
// steps that the plan itself takes, and how many it is quiet for from then on.
const (
	sweep        = time.Minute
	sweepsToEnd  = 5
	sweepsLeased = 8 // where another message's lease must run out first
	sweepsQuiet  = 10
)

// trouble is a fault, or more of them, that a cluster has to get over.
type trouble struct {
	name   string
	rates  map[string]float64
	after  map[string]time.Duration // the trouble's begin a rate is switched on; default at once
	lasts  time.Duration            // default half an hour
	tail   time.Duration            // what it has begun goes on for so long after it
	never  bool                     // it never ends
	leased bool                     // it may leave a lease that has to run out
	spoil  sabotage
	also   func(*world, time.Time) // with the time at which the trouble ends
}

// stepped is the swell without its own fault, in which the load of web rises, falls, and
// rises again a minute before an end, for good: there is something left to do.
func stepped(end time.Duration, more time.Duration) Scenario {
	s := swell()
	s.Groups = slices.Clone(s.Groups)
	for n := range s.Groups {
		s.Groups[n].Spot = true
	}
	d := func(d time.Duration) policy.Duration { return policy.Duration{Duration: d} }
	s.Faults = nil
	s.Services[0].Load.Shape.Crowds = []Crowd{
		{At: d(4 * time.Minute), Rate: 40, Rise: d(time.Second), Stay: d(10 * time.Minute), Fall: d(time.Second)},
		{At: d(end - time.Minute), Rate: 22.5, Rise: d(time.Second), Stay: d(1000 * time.Hour)},
	}
	s.Length = d(end + more)
	return s
}

// changed is a call that changed the cluster, or tried to.
type changed struct {
	at   time.Duration // since the start
	what string        // with its input, but for tokens
}

// calm is what became of a world with a trouble.
type calm struct {
	end      time.Duration // of the trouble
	calls    []changed
	services string
	wrong    []string
	fewest   map[string]int // running tasks of each service, while the trouble lasted
	notes    []string       // what else was seen
}

// last is when the last changing call was, since the trouble's end.
func (c calm) last() time.Duration {
	if len(c.calls) == 0 {
		return 0
	}
	return max(0, c.calls[len(c.calls)-1].at-c.end)
}

func (c calm) whats() []string {
	var all []string
	for _, x := range c.calls {
		all = append(all, x.what)
	}
	return all
}

// called is a call in words; what differs from run to run is left out.
func called(c simcloud.Call) string {
	raw, err := json.Marshal(c.Input)
	if err != nil {
		return err.Error()
	}
	var in map[string]any
	if err := json.Unmarshal(raw, &in); err != nil {
		return err.Error()
	}
	maps.DeleteFunc(in, func(name string, v any) bool { return v == nil || name == "ClientToken" })
	raw, err = json.Marshal(in)
	if err != nil {
		return err.Error()
	}
	return c.Action + string(raw)
}

// endure runs a scenario with a trouble that ends at a time since the start.
func (x trouble) endure(t *testing.T, s Scenario, end time.Duration) calm {
	t.Helper()
	m := newMonitors(s.Policy)
	out := calm{end: end, fewest: map[string]int{}}
	w, err := build(t.Context(), s, simcloud.Options{Start: s.Start, Seed: 3, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: func(c simcloud.Call) {
		m.watch(c)
		if c.Service == "ecs" || c.Service == "autoscaling" {
			out.calls = append(out.calls, changed{c.At.Sub(s.Start), called(c)})
		}
	}}, x.logs(), x.spoil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.cloud.Close()
	if x.rates["stale-reads"] > 0 {
		m.reach = staleFor
	}
	m.attach(w)
	x.befall(t, w, s.Start.Add(end))
	w.cloud.Every(s.Start.Add(time.Second), 10*time.Second, func() bool {
		out.sample(w, w.cloud.Now().Before(s.Start.Add(end)))
		return true
	})
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Fatal(err)
	}
	var r Result
	m.end(&r)
	for _, v := range r.Violations {
		t.Errorf("%s: %s at %s of %s: %s", x.name, v.Promise, clock(v.At), v.Subject, v.Detail)
	}
	for name := range x.rates {
		if w.cloud.Faults().Struck()[name] == 0 {
			t.Errorf("%s: %s never struck", x.name, name)
		}
	}
	out.services, out.wrong = w.settled()
	return out
}

// logs is where the functions log to: a log that takes no line has to be one.
func (x trouble) logs() io.Writer {
	if x.rates["log-sink"] > 0 {
		return io.Discard
	}
	return nil
}

// befall switches the trouble on, and off at its end.
func (x trouble) befall(t *testing.T, w *world, end time.Time) {
	for _, name := range slices.Sorted(maps.Keys(x.rates)) {
		if x.after[name] > 0 {
			w.cloud.At(w.Start.Add(x.after[name]), func() { w.set(name, x.rates[name]) })
		} else if err := w.cloud.Faults().Set(name, x.rates[name]); err != nil {
			t.Fatal(err)
		}
		if !x.never {
			w.cloud.At(end, func() { w.set(name, 0) })
		}
	}
	if x.also != nil {
		x.also(w, end)
	}
}

// sample looks at the truth while the trouble lasts, and at the timers always.
func (c *calm) sample(w *world, during bool) {
	for _, s := range w.Services {
		v, _ := w.cloud.World().Service(w.Policy.Cluster, s.Name)
		if least, known := c.fewest[s.Name]; during && v.Running > 0 && (!known || v.Running < least) {
			c.fewest[s.Name] = v.Running
		}
	}
	if n := w.liveTimers(); n > 1 {
		c.notes = append(c.notes, fmt.Sprintf("%d live timers at %s", n, clock(w.cloud.Now())))
	}
}

// liveTimers counts the messages under way that ask for a look at the time for
// which the cluster's wake item waits: others are dropped when they arrive.
func (w *world) liveTimers() int {
	live := map[string]bool{} // a queue may give one message out twice
	for _, i := range w.cloud.DynamoDB().Prefixed(table, "wake#"+leaseKey(w.Policy.Cluster), "wake") {
		for _, m := range w.cloud.SQS().Messages(ingress) {
			e, err := events.Decode([]byte(*m.Body))
			if err == nil && e.Kind == events.Again && number(i, "nextAt") == fmt.Sprint(e.At.UnixMilli()) {
				live[*m.MessageId] = true
			}
		}
	}
	return len(live)
}

// troubles are each fault alone, at its usual rate or so much more often that it
// does happen.
func troubles() []trouble {
	often := map[string]float64{
		"event-burst": 1, "dead-letters-redriven": 1, "api-down": 0.3, "throttling": 0.5, "table-down": 0.2, "function-paused": 0.1, "function-timeout": 0.1,
		"function-killed": 0.3, "ambiguous": 0.3, "partial-failure": 0.05, "describe-cut": 0.05, "no-capacity": 0.5, "metric-missing": 0.3, "by-hand": 1, "agent-down": 0.3,
		"placement-failure": 0.5, "agent-restarted": 0.3, "zone-lost": 1, "spot-interrupted": 1, "hosts-ended": 0.5, "task-protected": 1,
	}
	tails := map[string]time.Duration{
		"by-hand": 10 * time.Minute, "agent-down": 10 * time.Minute, "function-paused": 10 * time.Minute, "placement-failure": 5 * time.Minute,
		"zone-lost": 30 * time.Minute, "task-protected": 10 * time.Minute, "spot-interrupted": 5 * time.Minute, "hosts-ended": 5 * time.Minute,
	}
	leased := []string{"function-killed", "function-timeout", "function-paused", "ambiguous", "table-down", "api-down"}
	var all []trouble
	for _, k := range simcloud.FaultKinds() {
		x := trouble{name: k.Name, rates: map[string]float64{k.Name: max(k.Usual, often[k.Name])}, tail: tails[k.Name], leased: slices.Contains(leased, k.Name)}
		switch k.Name {
		case "event-burst": // about once an hour
			x.lasts = 61 * time.Minute
		case "dead-letters-redriven": // as soon; and garbage is a dead letter after half an hour
			x.lasts, x.rates["poison"] = 2*time.Hour, 0.1
		}
		all = append(all, x)
	}
	return append(all,
		controllerDown(),
		trouble{name: "no round begins for half an hour", spoil: dead(30 * time.Minute), leased: true},
		trouble{name: "every event lost, for ever", rates: map[string]float64{"event-lost": 1}, never: true},
	)
}

// controllerDown is an hour without the table, and soon without queues as well, so
// that nothing is invoked any more: what is known of the cluster came before.
func controllerDown() trouble {
	return trouble{
		name: "the controller down for an hour", rates: map[string]float64{"table-down": 1, "api-down": 1},
		after: map[string]time.Duration{"api-down": 10 * time.Minute}, lasts: time.Hour, leased: true,
	}
}

// dead lets no round of so long a time begin.
func dead(until time.Duration) sabotage {
	return ports(func(w *world, p *reconcile.Ports) {
		p.DynamoDB = downDB{DynamoDB: p.DynamoDB, down: func() bool { return w.cloud.Now().Before(w.Start.Add(until)) }}
	})
}

func TestAfterAnyFaultTheClusterConvergesAndIsQuiet(t *testing.T) {
	t.Parallel()
	wholes := map[time.Duration]calm{}
	for _, x := range troubles() {
		x.lasts = max(x.lasts, 30*time.Minute)
		if _, known := wholes[x.lasts]; !known {
			wholes[x.lasts] = trouble{name: "no trouble"}.endure(t, stepped(x.lasts, 30*time.Minute), x.lasts)
		}
	}
	for _, x := range troubles() {
		x.lasts = max(x.lasts, 30*time.Minute)
		whole := wholes[x.lasts]
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			sweeps := time.Duration(sweepsToEnd)
			if x.leased {
				sweeps = sweepsLeased
			}
			bound := whole.last() + x.tail + sweeps*sweep
			got := x.endure(t, stepped(x.lasts, bound+sweepsQuiet*sweep), x.lasts)
			t.Logf("the last change is %s after the end, %s without the fault, bound %s", got.last().Round(time.Second), whole.last().Round(time.Second), bound.Round(time.Second))
			if got.last() > bound {
				t.Errorf("it is not quiet: %s", got.calls[len(got.calls)-1].what)
			}
			if len(got.wrong) > 0 || got.services != whole.services {
				t.Errorf("the end is %s%v want %s", got.services, got.wrong, whole.services)
			}
			for _, n := range got.notes {
				t.Error(n)
			}
		})
	}
}

// While nobody steers, tasks and hosts stay as they are.
func TestNothingGetsWorseWhileTheControllerIsDown(t *testing.T) {
	t.Parallel()
	s := stepped(time.Hour, time.Minute)
	got := controllerDown().endure(t, s, time.Hour)
	for _, v := range s.Services {
		if got.fewest[v.Name] < v.Desired {
			t.Errorf("%s ran %d tasks of %d", v.Name, got.fewest[v.Name], v.Desired)
		}
	}
	for _, c := range got.calls {
		if c.at < time.Hour && !strings.HasPrefix(c.what, "Describe") {
			t.Errorf("%s is called %s after the start", c.what, c.at)
		}
	}
}

// downDB is a DynamoDB that is down for reconcile alone.
type downDB struct {
	store.DynamoDB
	down func() bool
}

func (d downDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if d.down() {
		return nil, &smithy.GenericAPIError{Code: "InternalServerError", Fault: smithy.FaultServer}
	}
	return d.DynamoDB.UpdateItem(ctx, in)
}
