package reconcile

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// How the world may treat a round at one boundary of a call.
const (
	killBefore = iota
	killAfter
	failBefore // an error, and nothing happened
	failAfter  // an error, though it happened
	freeze     // a pause, at times longer than a lease
	faults
)

// trouble is one fault: at which of the round's calls, counted from 0.
type trouble struct {
	Call, Kind int
	Pause      time.Duration
}

// delivery is one message, perhaps delivered twice, and how its rounds go.
type delivery struct {
	After  time.Duration // the one before
	Again  time.Duration // until it is delivered again; 0: once
	Age    time.Duration // of its rounds' reads
	Wrong  time.Duration // of its rounds' clock
	Faults []trouble     // of the first delivery
}

// happening is something that others do to the cluster.
type happening struct {
	After   time.Duration
	Service string
	Load    int // tasks' worth of work from then on
	Hand    int // the desired count that somebody sets; 0: nobody
}

func durations(most time.Duration) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.IntRange(0, int(most/time.Second)), func(n int) time.Duration { return time.Duration(n) * time.Second })
}

func deliveries(skew time.Duration) *rapid.Generator[delivery] {
	fault := rapid.Custom(func(t *rapid.T) trouble {
		return trouble{Call: rapid.OneOf(rapid.IntRange(3, 7), rapid.IntRange(0, 14)).Draw(t, "call"), Kind: rapid.OneOf(rapid.Just(freeze), rapid.IntRange(0, faults-1)).Draw(t, "kind"), Pause: durations(100*time.Second).Draw(t, "pause")}
	})
	meeting := rapid.Custom(func(t *rapid.T) []trouble { // frozen before its first calls, long enough to be taken over
		return []trouble{{Call: rapid.IntRange(4, 6).Draw(t, "call"), Kind: freeze, Pause: 40*time.Second + durations(28*time.Second).Draw(t, "pause")}}
	})
	return rapid.Custom(func(t *rapid.T) delivery {
		d := delivery{After: durations(40*time.Second).Draw(t, "after"), Age: durations(stalest).Draw(t, "age"), Faults: rapid.OneOf(rapid.SliceOfN(fault, 0, 2), meeting).Draw(t, "faults")}
		d.Wrong = durations(skew).Draw(t, "wrong") - skew/2
		if rapid.Bool().Draw(t, "twice") {
			d.Again = 1 + rapid.OneOf(durations(40*time.Second), durations(100*time.Second)).Draw(t, "again")
		}
		return d
	})
}

func happenings() *rapid.Generator[happening] {
	return rapid.Custom(func(t *rapid.T) happening {
		return happening{
			After: durations(60*time.Second).Draw(t, "after"), Service: rapid.SampledFrom([]string{"api", "web"}).Draw(t, "service"),
			Load: rapid.IntRange(0, 8).Draw(t, "load"), Hand: rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 7)).Draw(t, "hand"),
		}
	})
}

// overlap is rounds of one key that overlap: the real rounds and store, over a
// simulated table and a town.
type overlap struct {
	cloud    *simcloud.Cloud
	town     *town
	table    store.Store
	wrong    planted
	fences   int64                // the newest one that noted anything
	noted    map[string]int64     // by intent: the fence it was noted under
	recalled map[int64][]string   // by fence: the intents its round found open
	applied  map[string]time.Time // by intent: when its call took effect
	late     map[int64]int        // by fence: calls that took effect after a newer one had noted
	last     time.Time            // the last effect
	broken   []string             // promises
	rounds   int
}

// planted is a bug of the test's own; nil members: none.
type planted struct {
	transact func(*dynamodb.TransactWriteItemsInput)       // what reaches the table
	recall   func([]cluster.Intent) []cluster.Intent       // what a round finds open
	timeless bool                                          // answers have no date
	note     func(begun []cluster.Intent) []cluster.Intent // what is noted
}

func (v *overlap) breaks(format string, args ...any) {
	v.broken = append(v.broken, fmt.Sprintf("%s: ", v.cloud.Now().Sub(noon))+fmt.Sprintf(format, args...))
}

func newOverlap(ctx context.Context, wrong planted) (*overlap, error) {
	c := simcloud.New(simcloud.Options{Start: noon})
	v := &overlap{cloud: c, town: newTown(c), wrong: wrong, noted: map[string]int64{}, recalled: map[int64][]string{}, applied: map[string]time.Time{}, late: map[int64]int{}}
	s := types.ScalarAttributeTypeS
	_, err := c.DynamoDB().CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("plimsoll"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: s}, {AttributeName: aws.String("sk"), AttributeType: s}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
	})
	if err != nil {
		return nil, err
	}
	queue, err := c.SQS().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("ingress")})
	if err != nil {
		return nil, err
	}
	v.table = store.Store{Queue: c.SQS(), Table: "plimsoll", Ingress: aws.ToString(queue.QueueUrl), Again: func(string, time.Time) ([]byte, error) { return []byte("again"), nil }}
	return v, nil
}

// deliver lets a message's round begin at a time.
func (v *overlap) deliver(at time.Time, id string, d delivery) error {
	name := fmt.Sprint("round-", v.rounds)
	v.rounds++
	run := func(ctx context.Context, _ []byte) ([]byte, error) { return nil, v.round(ctx, id, d) }
	// Longer than a lease, so that it is the lease that holds a late round back.
	if err := v.cloud.Lambda().Register(name, run, simcloud.FunctionConfig{Timeout: 5 * time.Minute}); err != nil {
		return err
	}
	v.cloud.At(at, func() { _ = v.cloud.Lambda().Invoke(name, nil) }) // there is such a function
	return nil
}

func (v *overlap) round(ctx context.Context, id string, d delivery) error {
	e := &edge{overlap: v, delivery: d}
	clock := func() time.Time { return v.cloud.Now().Add(d.Wrong) }
	rounds := Rounds{Clock: clock, Log: zap.NewNop(), Open: func(ctx context.Context, key, message string) (Opened, error) {
		table := v.table
		table.DB, table.Clock = throughEdge{v.cloud.DynamoDB(), e}, clock
		s, err := table.Open(ctx, key, message)
		if err != nil {
			return Opened{}, err
		}
		e.Session = s
		return Opened{Session: e, Gen: s.Gen, Left: s.Left, Now: s.Now, Recall: e.recall}, nil
	}}
	return rounds.Round(ctx, Steering{e, townPolicy()}, Waking{ID: id})
}

// edge is one invocation's way to the table and the cloud, with its troubles.
// Its fence is read off the table's answer: a round's number is raised without
// the lease's check, and may overtake another's while both are under way.
type edge struct {
	*overlap
	*store.Session
	delivery
	calls int
	fence int64
}

var errTrouble = errors.New("trouble")

// pass is one call through the edge. A freeze in the middle of one is as long as
// a call may take; before one, as long as it likes.
func (e *edge) pass(ctx context.Context, do func() error) error {
	n := e.calls
	e.calls++
	var kinds [faults]bool
	for _, f := range e.Faults {
		if f.Call == n {
			kinds[f.Kind] = true
			if f.Kind == freeze {
				e.cloud.Pause(ctx, f.Pause)
			}
		}
	}
	if kinds[killBefore] {
		e.cloud.Kill(ctx)
	}
	if kinds[failBefore] {
		return errTrouble
	}
	err := do()
	if kinds[killAfter] {
		e.cloud.Kill(ctx)
	}
	if kinds[failAfter] {
		return errTrouble
	}
	return err
}

// throughEdge is the table behind an edge.
type throughEdge struct {
	store.DynamoDB
	e *edge
}

func (d throughEdge) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (out *dynamodb.UpdateItemOutput, err error) {
	err = d.e.pass(ctx, func() error { out, err = d.DynamoDB.UpdateItem(ctx, in); return err })
	if err == nil && out.Attributes["fence"] != nil {
		d.e.fence, _ = strconv.ParseInt(out.Attributes["fence"].(*types.AttributeValueMemberN).Value, 10, 64)
	}
	if err == nil && d.e.wrong.timeless {
		out.ResultMetadata = middleware.Metadata{}
	}
	return out, err
}

func (d throughEdge) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (out *dynamodb.QueryOutput, err error) {
	err = d.e.pass(ctx, func() error { out, err = d.DynamoDB.Query(ctx, in); return err })
	return out, err
}

func (d throughEdge) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (out *dynamodb.TransactWriteItemsOutput, err error) {
	if d.e.wrong.transact != nil {
		d.e.wrong.transact(in)
	}
	err = d.e.pass(ctx, func() error { out, err = d.DynamoDB.TransactWriteItems(ctx, in); return err })
	return out, err
}

func (e *edge) Observe(ctx context.Context, _ cluster.Scope) (cluster.State, error) {
	e.cloud.Pause(ctx, 300*time.Millisecond)
	var s cluster.State
	err := e.pass(ctx, func() error { s = e.town.read(e.Age); return nil })
	return s, err
}

func (e *edge) Apply(ctx context.Context, _ string, i cluster.Intent, may func() error) cluster.Intent {
	out := i
	if err := may(); err != nil {
		out.Outcome, out.Detail = cluster.OutcomeSkipped, err.Error()
		return out
	}
	err := e.pass(ctx, func() error {
		out = e.town.apply(ctx, i, e.Age, func() { e.effect(i) })
		return nil
	})
	if err != nil {
		out.Outcome, out.Detail, out.Instances = cluster.OutcomeUnknown, err.Error(), nil
	}
	return out
}

// effect judges a change at the instant it is made.
func (e *edge) effect(i cluster.Intent) {
	e.last = e.cloud.Now()
	if noted, ok := e.noted[i.ID]; !ok || noted != e.fence {
		e.breaks("S4: %s was not noted by its own round: %+v", i.ID, i.Change)
	}
	if _, again := e.applied[i.ID]; again {
		e.breaks("%s was made twice", i.ID)
	}
	e.applied[i.ID] = e.last
	if e.fences > e.fence {
		if e.late[e.fence]++; e.late[e.fence] > 1 {
			e.breaks("S5: the round of %s made %d changes after a newer one had noted", i.ID, e.late[e.fence])
		}
		if !e.seenByNext(i.ID) {
			e.breaks("S5: %s was made after a newer round had noted, which did not find it open", i.ID)
		}
	}
	for _, v := range e.town.s.Services {
		if i.Subject == cluster.ServiceSubject(v.Name) && (v.Desired != i.To || v.Desired < 1 || v.Desired > 6) {
			e.breaks("S7: %+v left %s at %d", i.Change, v.Name, v.Desired)
		}
	}
	if d := e.town.s.Groups[0].Desired; d > 4 || d < 0 {
		e.breaks("S7: %+v left the group at %d", i.Change, d)
	}
}

// seenByNext says whether the next round that got as far found the intent open.
func (e *edge) seenByNext(id string) bool {
	for next := e.fence + 1; next <= e.fences; next++ {
		if found, ok := e.recalled[next]; ok {
			return slices.Contains(found, id)
		}
	}
	return false
}

func (e *edge) recall(ctx context.Context) (cluster.Memory, []cluster.Intent, error) {
	err := e.Recall(ctx)
	found := e.Intents
	if e.wrong.recall != nil {
		found = e.wrong.recall(found)
	}
	if err == nil {
		ids := []string{}
		for _, i := range found {
			ids = append(ids, i.ID)
		}
		e.recalled[e.fence] = ids
	}
	return e.Memory, found, err
}

// Note takes part in Session. What was noted is read off the table's truth, as
// an error may hide that it was.
func (e *edge) Note(ctx context.Context, p plan.Plan, begun, ended []cluster.Intent) error {
	if e.wrong.note != nil {
		begun = e.wrong.note(begun)
	}
	err := e.Session.Note(ctx, p, begun, ended)
	if err == nil {
		e.fences = max(e.fences, e.fence)
	}
	open := map[string]bool{}
	for _, item := range e.cloud.DynamoDB().Items("plimsoll") {
		if sk, ok := item["sk"].(*types.AttributeValueMemberS); ok {
			open[sk.Value] = true
		}
	}
	for _, i := range begun {
		if open["now#open#"+i.ID] {
			e.noted[i.ID] = e.fence
		}
	}
	return err
}

func (e *edge) Tell(ctx context.Context, i cluster.Intent) error { return e.Session.Tell(ctx, i) }

func (e *edge) Close(ctx context.Context, next time.Time, pace time.Duration, failure error) (bool, error) {
	return e.Session.Close(ctx, next, pace, failure)
}

// play lets all that was drawn happen, then stops the faults and sweeps for
// three quarters of an hour.
func (v *overlap) play(all []delivery, others []happening) error {
	at := noon.Add(10 * time.Second)
	end := at
	for n, d := range all {
		at = at.Add(d.After)
		if err := v.deliver(at, fmt.Sprint("m-", n), d); err != nil {
			return err
		}
		end = at.Add(d.Again)
		if d.Again > 0 {
			second := d
			second.Faults = nil
			if err := v.deliver(at.Add(d.Again), fmt.Sprint("m-", n), second); err != nil {
				return err
			}
		}
	}
	at = noon
	for _, h := range others {
		at = at.Add(h.After)
		v.cloud.At(at, func() { v.happen(h) })
	}
	end = maxTime(end, at).Add(5 * time.Minute) // every invocation has ended
	if err := v.cloud.Run(end); err != nil {
		return err
	}
	return v.calm(end)
}

// happen does to the town what others do.
func (v *overlap) happen(h happening) {
	v.town.load[h.Service] = h.Load
	for i := range v.town.s.Services {
		if s := &v.town.s.Services[i]; s.Name == h.Service && h.Hand > 0 {
			s.Desired = h.Hand
		}
	}
}

// calm sweeps once a minute, without faults, and judges liveness.
func (v *overlap) calm(from time.Time) error {
	v.town.load["api"], v.town.load["web"] = 3, 4
	end := from.Add(45 * time.Minute)
	for at, n := from, 0; at.Before(end); at, n = at.Add(time.Minute), n+1 {
		if err := v.deliver(at, fmt.Sprint("sweep-", n), delivery{}); err != nil {
			return err
		}
	}
	if err := v.cloud.Run(end); err != nil {
		return err
	}
	v.cloud.Close()
	for _, s := range v.town.s.Services {
		if want := v.town.load[s.Name]; s.Desired != want || s.Running != want {
			v.breaks("L1: %s is at %d with %d running, wanted %d", s.Name, s.Desired, s.Running, want)
		}
	}
	if n := len(v.town.s.Groups[0].Instances); n != 4 {
		v.breaks("L1: %d hosts for 7 tasks of half a host", n)
	}
	if quiet := end.Sub(v.last); quiet < 10*time.Minute {
		v.breaks("L2: the last change was made %s before the end", quiet)
	}
	return nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// outcomeOf plays one drawn case.
func outcomeOf(t *rapid.T, skew time.Duration, wrong planted) *overlap {
	v, err := newOverlap(context.Background(), wrong)
	if err != nil {
		t.Fatal(err)
	}
	all := rapid.SliceOfN(deliveries(skew), 3, 30).Draw(t, "deliveries")
	if err := v.play(all, rapid.SliceOfN(happenings(), 3, 15).Draw(t, "happenings")); err != nil {
		t.Fatal(err)
	}
	return v
}

// check runs a property from one fixed seed and from a fresh one, unless rapid's
// own flags ask for something else. PLIMSOLL_SOAK=1 asks for ten times as many.
func check(t *testing.T, checks int, property func(*rapid.T)) {
	if os.Getenv("PLIMSOLL_SOAK") == "1" {
		checks *= 10
	}
	for name, seed := range map[string]string{"fixed seed": "1", "fresh seed": "0"} {
		t.Run(name, func(t *testing.T) {
			for flagName, value := range map[string]string{"rapid.checks": strconv.Itoa(checks / 2), "rapid.seed": seed} {
				f := flag.Lookup(flagName)
				if f.Value.String() != f.DefValue {
					continue // the user's
				}
				if err := f.Value.Set(value); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = f.Value.Set(f.DefValue) }() // it was that before
			}
			rapid.Check(t, property)
		})
	}
}

func TestOverlappingRoundsKeepTheirPromises(t *testing.T) {
	made, late, changes := 0, 0, 0
	check(t, 300, func(t *rapid.T) {
		v := outcomeOf(t, store.SkewFor, planted{})
		for _, b := range v.broken {
			t.Error(b)
		}
		made, changes = made+v.rounds, changes+len(v.applied)
		for _, n := range v.late {
			late += n
		}
	})
	if late == 0 && !t.Failed() {
		t.Error("no round met a newer one")
	}
	t.Logf("%d rounds, %d changes, %d of them in flight while a newer round noted", made, changes, late)
}

// overlapped are rounds that meet for certain: the first is frozen in its first
// call and taken over by its own message meanwhile, with more work on the way.
func overlapped() ([]delivery, []happening) {
	first := delivery{After: 90 * time.Second, Again: 30 * time.Second, Age: stalest, Faults: []trouble{{Call: 5, Kind: freeze, Pause: 50 * time.Second}}}
	calm := delivery{After: 100 * time.Second}
	old := delivery{After: 20 * time.Second, Age: stalest}
	return []delivery{first, calm, old, old}, []happening{{Service: "api", Load: 1, Hand: 7}, {After: time.Second, Service: "web", Load: 5, Hand: 7}}
}

// stale are rounds that follow each other faster than reads follow writes.
func stale(wrong ...time.Duration) ([]delivery, []happening) {
	all := []delivery{{After: 90 * time.Second, Age: stalest}, {After: 20 * time.Second, Age: stalest}, {After: 20 * time.Second, Age: stalest}}
	for n, w := range wrong {
		all[n].Wrong = w
	}
	return all, []happening{{Service: "api", Load: 6, Hand: 6}, {Service: "web", Load: 6, Hand: 6}}
}

func TestLaunchesArePlannedOnceThoughReadsAreStale(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wrong []time.Duration // of the rounds' clocks
		planted
		broken bool
	}{
		{"clocks agree", nil, planted{}, false},
		{"clocks are five minutes apart", []time.Duration{-store.SkewFor / 2, store.SkewFor / 2}, planted{}, false},
		{"clocks are five minutes apart, and no answer tells the time", []time.Duration{-store.SkewFor / 2, store.SkewFor / 2}, planted{timeless: true}, true},
		{"open intents are not recalled", nil, planted{recall: func([]cluster.Intent) []cluster.Intent { return nil }}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := newOverlap(t.Context(), tt.planted)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.play(stale(tt.wrong...)); err != nil {
				t.Fatal(err)
			}
			if got := slices.ContainsFunc(v.broken, func(b string) bool { return strings.Contains(b, "S7: {Verb:LaunchHosts") }); got != tt.broken {
				t.Errorf("broken: %q", v.broken)
			}
		})
	}
}

// A round that is frozen between two of its calls makes the second long after it
// noted it: reads may be older than that for a minute more.
func TestACallLongAfterItsNoteIsNotRepeated(t *testing.T) {
	for pause := 40 * time.Second; pause <= 70*time.Second; pause += 2 * time.Second {
		v, err := newOverlap(t.Context(), planted{})
		if err != nil {
			t.Fatal(err)
		}
		all := []delivery{
			{After: 40 * time.Second, Faults: []trouble{{Call: 6, Kind: freeze, Pause: pause}}},
			{After: 90 * time.Second},
			{After: 20 * time.Second, Age: stalest},
			{After: 10 * time.Second, Age: stalest},
		}
		others := []happening{{After: 21 * time.Second, Service: "web", Load: 2}, {After: time.Second, Service: "api", Load: 8, Hand: 4}, {After: 15 * time.Second, Service: "api", Load: 3}}
		if err := v.play(all, others); err != nil {
			t.Fatal(err)
		}
		for _, b := range v.broken {
			t.Errorf("frozen for %s: %s", pause, b)
		}
	}
}

func TestPlantedBugsOfOverlappingRoundsAreCaught(t *testing.T) {
	for _, bug := range []struct {
		name, promise string
		planted
	}{
		{"none", "", planted{}},
		{"writes do not check the lease", "S5", planted{transact: func(in *dynamodb.TransactWriteItemsInput) { in.TransactItems = in.TransactItems[1:] }}},
		{"open intents are not recalled", "S5", planted{recall: func([]cluster.Intent) []cluster.Intent { return nil }}},
		{"intents are not noted before their calls", "S4", planted{note: func([]cluster.Intent) []cluster.Intent { return nil }}},
		{"a round notes all its intents but the last", "S4", planted{note: func(begun []cluster.Intent) []cluster.Intent { return begun[:max(0, len(begun)-1)] }}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			v, err := newOverlap(t.Context(), bug.planted)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.play(overlapped()); err != nil {
				t.Fatal(err)
			}
			caught := slices.ContainsFunc(v.broken, func(b string) bool { return strings.Contains(b, " "+bug.promise+": ") })
			if bug.promise != "" && !caught || bug.promise == "" && len(v.broken) > 0 {
				t.Errorf("broken: %q", v.broken)
			}
			if bug.promise == "" && len(v.late) == 0 {
				t.Error("no change was in flight while a newer round noted")
			}
		})
	}
}
