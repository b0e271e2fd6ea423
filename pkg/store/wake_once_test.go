package store

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// mishap is a fault of one invocation: at which of its calls, and how.
type mishap struct {
	Invocation, Call int
	Kind             int // 0 an error before the call, 1 an error after it, 2 and 3 killed before or after it
}

// wakeCase is one drawn world: when events arrive, how long looks take, how soon
// after its end each round wants another look, and what goes wrong.
type wakeCase struct {
	Events         []time.Duration // after the one before
	Looks          []time.Duration // of successive rounds, in a circle
	Wants          []time.Duration // of successive rounds; 0, and after these: none
	Paces          []time.Duration // of successive rounds, in a circle; 0: as before; negative: the round fails
	Hears, Decides []mishap        // of the function that hears, and the one that looks
}

func wakeCases() *rapid.Generator[wakeCase] {
	between := func(least, most time.Duration) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(int(least/time.Millisecond), int(most/time.Millisecond)), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
	}
	gap := rapid.OneOf(between(0, 50*time.Millisecond), between(0, 2*time.Second), between(0, time.Minute))
	fault := rapid.Custom(func(t *rapid.T) mishap {
		return mishap{Invocation: rapid.IntRange(0, 12).Draw(t, "invocation"), Call: rapid.IntRange(0, 5).Draw(t, "call"), Kind: rapid.IntRange(0, 3).Draw(t, "kind")}
	})
	want := rapid.OneOf(rapid.Just(time.Duration(0)), between(0, 70*time.Second))
	pace := rapid.OneOf(rapid.Just(time.Duration(0)), rapid.Just(failing), between(0, 15*time.Second), between(0, 70*time.Second))
	return rapid.Custom(func(t *rapid.T) wakeCase {
		return wakeCase{
			Events: rapid.SliceOfN(gap, 1, 40).Draw(t, "events"), Looks: rapid.SliceOfN(between(0, longestLook), 1, 4).Draw(t, "looks"),
			Wants: rapid.SliceOfN(want, 1, 8).Draw(t, "wants"), Paces: rapid.SliceOfN(pace, 1, 6).Draw(t, "paces"),
			Hears: rapid.SliceOfN(fault, 0, 5).Draw(t, "hears"), Decides: rapid.SliceOfN(fault, 0, 5).Draw(t, "decides"),
		}
	})
}

// waking is a key with its queues, the function that hears and the one that
// looks, as small as they can be.
type waking struct {
	*fixture
	wakeCase
	wrong    wrongWaking
	lag      time.Duration      // a planted bug: how old a number ingest reads
	gens     []genAt            // for that
	waited   map[time.Time]bool // times that lateAt has had
	nowhere  string             // a queue that nobody hears
	heard    int                // invocations
	decided  int
	arrived  []time.Time // of events, at the ingress queue
	looks    []time.Time // when each began
	unended  int         // rounds that raised the number and were not their message's last
	bodies   map[string]bool
	woke     []wokenAt
	timers   []time.Time // as they stood in nextAt, each once
	promised []asked     // looks that a round whose Close succeeded is owed
	broken   []string
}

// failing is the pace that a round says which fails.
const failing = -time.Second

// wokenAt is a message to the one who looks.
type wokenAt struct {
	at    time.Time // first received at the ingress queue
	event bool      // it was not asked for
}

// asked is a look that a round asked for.
type asked struct{ made, at time.Time }

// longestLook is how long a look takes at most.
const longestLook = 15 * time.Second

// genAt is the wake item as it was from a time on.
type genAt struct {
	at time.Time
	it item
}

// wrongWaking is a planted bug; nil members: none.
type wrongWaking struct {
	read   func(*waking)
	send   func(*waking, *sqs.SendMessageInput)
	update func(*waking, *dynamodb.UpdateItemInput)
	again  int64 // ms by which a message's time is off
	hasty  bool  // ingest reads no pace
	swap   bool  // what waits is sent after it was noted
}

// mishaps is one invocation's way to the table and the queues.
type mishaps struct {
	w     *waking
	n     int
	heard wokenAt // the message under way
	calls int
	plan  []mishap
	held  func() error // a send that waits for a note, if they are swapped
}

func (m *mishaps) pass(ctx context.Context, do func() error) error {
	call, kind := m.calls, -1
	m.calls++
	for _, f := range m.plan {
		if f.Invocation == m.n && f.Call == call {
			kind = f.Kind
		}
	}
	switch kind {
	case 0:
		return errAway
	case 2:
		m.w.cloud.Kill(ctx)
	}
	err := do()
	m.w.see()
	switch kind {
	case 1:
		return errAway
	case 3:
		m.w.cloud.Kill(ctx)
	}
	return err
}

// before is the wake item as it was so long ago.
func (w *waking) before(lag time.Duration) item {
	var old item
	for _, g := range w.gens {
		if g.at.Before(w.cloud.Now().Add(-lag)) {
			old = g.it
		}
	}
	return old
}

// see keeps what the wake item has been, and its timers.
func (w *waking) see() {
	for _, i := range w.cloud.DynamoDB().Items("plimsoll") {
		if textOf(i, "sk") != "wake" {
			continue
		}
		w.gens = append(w.gens, genAt{w.cloud.Now(), i})
		w.waited[timeOf(i, "lateAt")] = true
		if at := timeOf(i, "nextAt"); !at.IsZero() && (len(w.timers) == 0 || !w.timers[len(w.timers)-1].Equal(at)) {
			w.timers = append(w.timers, at)
		}
	}
}

// keepsPace judges that an event wakes the key no sooner after the wake before
// than the key's pace of the time in between says, but for those that are heard
// side by side with it.
func (w *waking) keepsPace(now wokenAt) {
	if n := len(w.woke); n > 0 && now.event && len(w.Hears) == 0 {
		last, least := w.woke[n-1].at, MaxPace
		for i, g := range w.gens {
			if i+1 == len(w.gens) || w.gens[i+1].at.After(last) {
				least = min(least, paceOf(g.it))
			}
		}
		if apart := now.at.Sub(last); apart > time.Second && apart < least {
			w.broken = append(w.broken, fmt.Sprintf("an event woke the key %s after the wake before, and the pace was %s", apart, least))
		}
	}
	w.woke = append(w.woke, now)
}

type mishapTable struct {
	wholeTable
	m *mishaps
}

// wholeTable is both ports in one.
type wholeTable interface {
	DynamoDB
	reads
}

func (t mishapTable) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (out *dynamodb.GetItemOutput, err error) {
	err = t.m.pass(ctx, func() error { out, err = t.wholeTable.GetItem(ctx, in); return err })
	if err == nil && t.m.w.lag > 0 {
		out.Item = t.m.w.before(t.m.w.lag)
	}
	if err == nil && t.m.w.wrong.hasty {
		out.Item = maps.Clone(out.Item)
		delete(out.Item, "pace")
	}
	return out, err
}

func (t mishapTable) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (out *dynamodb.UpdateItemOutput, err error) {
	if t.m.w.wrong.update != nil {
		t.m.w.wrong.update(t.m.w, in)
	}
	err = t.m.pass(ctx, func() error { out, err = t.wholeTable.UpdateItem(ctx, in); return err })
	if send := t.m.held; err == nil && send != nil && in.ExpressionAttributeValues[":due"] != nil {
		t.m.held = nil
		err = send()
	}
	return out, err
}

func (t mishapTable) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (out *dynamodb.TransactWriteItemsOutput, err error) {
	err = t.m.pass(ctx, func() error { out, err = t.wholeTable.TransactWriteItems(ctx, in); return err })
	return out, err
}

type mishapQueue struct {
	SQS
	m *mishaps
}

func (q mishapQueue) SendMessage(ctx context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (out *sqs.SendMessageOutput, err error) {
	if q.m.w.wrong.send != nil {
		q.m.w.wrong.send(q.m.w, in)
	}
	if in.MessageGroupId != nil {
		q.m.w.keepsPace(q.m.heard)
	}
	send := func() error {
		return q.m.pass(ctx, func() error { out, err = q.SQS.SendMessage(ctx, in); return err })
	}
	if q.m.w.wrong.swap && aws.ToString(in.QueueUrl) == q.m.w.Ingress {
		q.m.held = send
		return &sqs.SendMessageOutput{}, nil
	}
	err = send()
	return out, err
}

// records are a batch as Lambda hands it over.
type records struct {
	Records []struct {
		MessageID  string            `json:"messageId"`
		Body       string            `json:"body"`
		Attributes map[string]string `json:"attributes"`
	}
}

// each answers for a batch, message by message.
func each(payload []byte, do func(id, body string, h Heard) error) ([]byte, error) {
	var in records
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	failed := []string{}
	for _, r := range in.Records {
		h := Heard{Sent: stamp(r.Attributes["SentTimestamp"]), Received: stamp(r.Attributes["ApproximateFirstReceiveTimestamp"])}
		if err := do(r.MessageID, r.Body, h); err != nil {
			failed = append(failed, `{"itemIdentifier":"`+r.MessageID+`"}`)
		}
	}
	return []byte(`{"batchItemFailures":[` + strings.Join(failed, ",") + `]}`), nil
}

func stamp(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64) // the queue's own
	return time.UnixMilli(n).UTC()
}

func (w *waking) hear(ctx context.Context, payload []byte) ([]byte, error) {
	m := &mishaps{w: w, n: w.heard, plan: w.Hears}
	w.heard++
	waker := w.waker
	waker.DB, waker.Queue = mishapTable{w.cloud.DynamoDB(), m}, mishapQueue{waker.Queue, m}
	waker.Ingress, waker.Again = w.Ingress, w.Again
	return each(payload, func(_, body string, h Heard) error {
		m.heard = wokenAt{h.Received, true}
		if at, again := strings.CutPrefix(body, "again "); again {
			h.Sent, m.heard.event = time.Time{}, false
			if due, err := waker.Due(ctx, prod, stamp(at)); err != nil || !due {
				if err == nil {
					w.dropped(stamp(at))
				}
				return err
			}
		}
		return waker.Wake(ctx, prod, h, func(gen int) ([]byte, error) { return []byte(strconv.Itoa(gen)), nil })
	})
}

// dropped judges a dropped timer: it was replaced by another, or its events were
// woken for meanwhile, or who sent it failed and comes again.
func (w *waking) dropped(at time.Time) {
	n := slices.IndexFunc(w.timers, at.Equal)
	replaced := n >= 0 && n < len(w.timers)-1
	woken := !timeOf(w.gens[len(w.gens)-1].it, "woken").Before(at)
	for other := range w.waited {
		replaced = replaced || other.After(at)
	}
	failed := n < 0 && !w.waited[at] && len(w.Hears) > 0
	if !replaced && !woken && !failed {
		w.broken = append(w.broken, fmt.Sprintf("the look at %s was dropped, and none replaced it", at))
	}
}

func (w *waking) decide(ctx context.Context, payload []byte) ([]byte, error) {
	m := &mishaps{w: w, n: w.decided, plan: w.Decides}
	w.decided++
	s := w.Store
	s.DB, s.Queue, s.Clock = mishapTable{w.cloud.DynamoDB(), m}, mishapQueue{s.Queue, m}, w.cloud.Now
	return each(payload, func(id, body string, _ Heard) error {
		w.bodies[body] = true
		o, err := s.Open(ctx, prod, id)
		if err != nil {
			w.unended++ // it may have raised the number all the same
			return err
		}
		w.looks = append(w.looks, w.cloud.Now())
		w.unended++
		n := len(w.looks)
		w.cloud.Pause(ctx, w.Looks[n%len(w.Looks)])
		var next time.Time
		if n <= len(w.Wants) && w.Wants[n-1] > 0 {
			next = w.cloud.Now().Add(w.Wants[n-1])
		}
		pace, failure := w.Paces[n%len(w.Paces)], error(nil)
		if pace == failing {
			failure, next = errors.New("down"), w.cloud.Now().Add(o.backOff())
		}
		if _, err := o.Close(ctx, next, pace, failure); err == nil && !next.IsZero() && next.Sub(w.cloud.Now()) < 59*time.Second {
			w.promised = append(w.promised, asked{w.cloud.Now(), next})
		}
		w.unended--
		return nil
	})
}

// newWaking plays a case. Nothing sweeps: whatever is lost stays lost.
func newWaking(t *testing.T, c wakeCase, wrong wrongWaking) *waking {
	t.Helper()
	w := &waking{fixture: newFixture(t), wakeCase: c, wrong: wrong, bodies: map[string]bool{}, waited: map[time.Time]bool{}}
	w.Again = func(_ string, at time.Time) ([]byte, error) {
		return fmt.Appendf(nil, "again %d", at.UnixMilli()+wrong.again), nil
	}
	url := func(name string, attributes map[string]string) string {
		out, err := w.cloud.SQS().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.QueueUrl)
	}
	w.Ingress = url("in", map[string]string{"VisibilityTimeout": "360"})
	w.nowhere = url("nowhere", nil)
	if wrong.read != nil {
		wrong.read(w)
	}
	w.waker.Queues = map[string]string{"reconcile": url("out.fifo", map[string]string{"FifoQueue": "true", "VisibilityTimeout": "90"})}
	for _, f := range []struct {
		name, queue string
		batch       int
		run         func(context.Context, []byte) ([]byte, error)
	}{{"hear", "in", 10, w.hear}, {"decide", "out.fifo", 1, w.decide}} {
		err := w.cloud.Lambda().Register(f.name, f.run, simcloud.FunctionConfig{Timeout: time.Minute})
		err = errors.Join(err, w.cloud.Lambda().Map(simcloud.EventSource{Queue: f.queue, Function: f.name, BatchSize: f.batch, ReportBatchItemFailures: true}))
		if err != nil {
			t.Fatal(err)
		}
	}
	at := noon
	for _, after := range c.Events {
		at = at.Add(after)
		w.cloud.At(at, func() {
			w.arrived = append(w.arrived, w.cloud.Now())
			_, err := w.cloud.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.Ingress), MessageBody: aws.String("event")})
			if err != nil {
				w.broken = append(w.broken, err.Error())
			}
		})
	}
	w.cloud.Every(noon, time.Second, func() bool { w.waiting(); return true })
	if err := w.cloud.Run(at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.cloud.Close()
	w.judge()
	return w
}

// waiting judges the FIFO queue: one message besides the one being worked on, and
// one more for each round that raised the number and did not end.
func (w *waking) waiting() {
	if n := len(w.cloud.SQS().Messages("out.fifo")); n > 2+w.unended {
		w.broken = append(w.broken, fmt.Sprintf("%d messages in the queue, with %d rounds under way or dead", n, w.unended))
	}
}

func (w *waking) judge() {
	for _, at := range w.arrived {
		if last := w.looks[max(0, len(w.looks)-1):]; len(last) == 0 || !last[0].After(at) {
			w.broken = append(w.broken, fmt.Sprintf("no look began after the event at %s", at.Sub(noon)))
		}
	}
	if n := len(w.bodies); n > 1+w.decided {
		w.broken = append(w.broken, fmt.Sprintf("%d numbers were sent in %d rounds", n, w.decided))
	}
	if len(w.Hears)+len(w.Decides) > 0 {
		return // a timer that was written and not sent is the sweep's business
	}
	for _, asked := range w.promised {
		w.lookedBetween(asked.made, asked.at, 0)
	}
	pace := Pace
	for _, p := range w.Paces {
		pace = max(pace, paceFor(p))
		if p == failing {
			pace = MaxPace
		}
	}
	for _, at := range w.arrived {
		w.lookedBetween(at, at, pace)
	}
}

// lookedBetween judges that a look began after from and, but for a round that was
// under way and one that waited, by the time by and the pace after it.
func (w *waking) lookedBetween(from, by time.Time, pace time.Duration) {
	end := by.Add(2*longestLook + pace + 4*time.Second)
	if !slices.ContainsFunc(w.looks, func(at time.Time) bool { return at.After(from) && at.Before(end) }) {
		w.broken = append(w.broken, fmt.Sprintf("no look began between %s and %s", from.Sub(noon), end.Sub(noon)))
	}
}

// check runs a property from one fixed seed and from a fresh one, half of the
// checks each, unless rapid's own flags ask for something else. PLIMSOLL_SOAK=1
// asks for ten times as many.
func check(t *testing.T, checks int, property func(*rapid.T)) {
	if soaking() {
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

func TestEveryEventIsFollowedByALook(t *testing.T) {
	events, looks := 0, 0
	check(t, 300, func(r *rapid.T) {
		w := newWaking(t, wakeCases().Draw(r, "case"), wrongWaking{})
		for _, b := range w.broken {
			r.Error(b)
		}
		events, looks = events+len(w.arrived), looks+len(w.looks)
	})
	t.Logf("%d events, %d looks", events, looks)
}

// busyCase has everything in it once: a burst, events during looks, and timers.
func busyCase() wakeCase {
	c := wakeCase{Looks: []time.Duration{4 * time.Second}, Paces: []time.Duration{0}, Wants: []time.Duration{30 * time.Second, 5 * time.Second, 0}}
	for range 30 {
		c.Wants = append(c.Wants, 40*time.Second)
	}
	c.Events = make([]time.Duration, 60)
	for n := range 30 {
		c.Events = append(c.Events, time.Duration(n%5)*700*time.Millisecond)
	}
	return c
}

// elsewhere sends what is for the ingress queue where nobody hears it.
func elsewhere(w *waking, in *sqs.SendMessageInput) {
	if aws.ToString(in.QueueUrl) == w.Ingress {
		in.QueueUrl = aws.String(w.nowhere)
	}
}

// quietCase is two events with nothing else to look for.
func quietCase() wakeCase {
	return wakeCase{Events: []time.Duration{0, 3 * time.Second}, Looks: []time.Duration{0}, Paces: []time.Duration{0}}
}

// pairCase is an event that waits for the end of Pace.
func pairCase() wakeCase {
	return wakeCase{Events: []time.Duration{0, time.Second}, Looks: []time.Duration{0}, Paces: []time.Duration{0}}
}

// dyingCase is an event that waits, of which ingest hears and dies at its last call
// but one: of what it wanted to send and to note only one was done.
func dyingCase() wakeCase {
	return wakeCase{
		Events: []time.Duration{0, 705 * time.Millisecond}, Looks: []time.Duration{0}, Wants: []time.Duration{0}, Paces: []time.Duration{0},
		Hears: []mishap{{Invocation: 1, Call: 1, Kind: 1}},
	}
}

// slowCase is a steady trickle for a key whose rounds are dear, and whose second
// one failed.
func slowCase() wakeCase {
	c := wakeCase{Looks: []time.Duration{time.Second}, Paces: []time.Duration{20 * time.Second, 20 * time.Second, failing, 20 * time.Second, 3 * time.Second}}
	for range 120 {
		c.Events = append(c.Events, 2500*time.Millisecond)
	}
	return c
}

func TestPlantedBugsOfWakingAreCaught(t *testing.T) {
	for _, bug := range []struct {
		name, broken string
		play         func() wakeCase
		wrong        wrongWaking
	}{
		{"none in a busy case", "", busyCase, wrongWaking{}},
		{"none in a quiet case", "", quietCase, wrongWaking{}},
		{"none in a case of two", "", pairCase, wrongWaking{}},
		{"none in a busy case of all paces", "", func() wakeCase {
			c := busyCase()
			c.Paces = []time.Duration{0, 7 * time.Second, failing, 3 * time.Second}
			return c
		}, wrongWaking{}},
		{"none where rounds are dear", "", slowCase, wrongWaking{}},
		{"none where ingest dies between its last two calls", "", dyingCase, wrongWaking{}},
		{"what waits is noted before it is sent", "no look began", dyingCase, wrongWaking{swap: true}},
		{"ingest takes no notice of the pace", "and the pace was", slowCase, wrongWaking{hasty: true}},
		{"what waits for a long pace is never sent", "no look began", slowCase, wrongWaking{send: elsewhere}},
		{"the time noted falls with the pace", "none replaced it", slowCase, wrongWaking{update: func(_ *waking, in *dynamodb.UpdateItemInput) {
			if due := numberOf(in.ExpressionAttributeValues, ":due"); due > 0 {
				in.ConditionExpression, in.ExpressionAttributeValues[":due"] = nil, number(due-17000)
			}
		}}},
		{"what waits is never sent", "no look began", pairCase, wrongWaking{send: elsewhere}},
		{"ingest reads a number of ten seconds ago", "no look began", busyCase, wrongWaking{read: func(w *waking) { w.lag = 10 * time.Second }}},
		{"every event is a message of its own", "messages in the queue", busyCase, wrongWaking{send: func(w *waking, in *sqs.SendMessageInput) {
			if in.MessageGroupId != nil {
				in.MessageDeduplicationId = aws.String(fmt.Sprint(w.cloud.Now().UnixNano()))
			}
		}}},
		{"the number is raised once and never again", "no look began", busyCase, wrongWaking{update: func(w *waking, in *dynamodb.UpdateItemInput) {
			if len(w.looks) > 0 && in.ExpressionAttributeValues[":me"] == nil {
				in.ExpressionAttributeValues[":one"] = number(0)
			}
		}}},
		{"a look that was asked for is never sent", "no look began", busyCase, wrongWaking{send: elsewhere}},
		{"a wake is stamped five seconds too late", "no look began", quietCase, wrongWaking{update: func(_ *waking, in *dynamodb.UpdateItemInput) {
			if at := numberOf(in.ExpressionAttributeValues, ":at"); at > 0 {
				in.ExpressionAttributeValues[":at"] = number(at + 5000)
			}
		}}},
		{"the time is written after it was sent, a millisecond off", "none replaced it", busyCase, wrongWaking{again: 1}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			w := newWaking(t, bug.play(), bug.wrong)
			caught := slices.ContainsFunc(w.broken, func(b string) bool { return strings.Contains(b, bug.broken) })
			if bug.broken == "" && len(w.broken) > 0 || bug.broken != "" && !caught {
				t.Errorf("broken: %q", w.broken)
			}
		})
	}
}
