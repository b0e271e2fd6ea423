package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// What the lease promises, and what these histories are held against:
//
//   - As a whole, leases and the writes under them are linearizable: each call
//     behaves as if it had happened at one instant between its begin and its
//     end, in the one order that leaseModel allows. So the fence counts every
//     taking; no write of a fence is accepted once a newer one was taken; and
//     nothing that was accepted is lost.
//   - By true time, with clocks that are constantly wrong by up to half of
//     SkewFor each: no other message's lease begins before LeaseFor has passed
//     since the holder asked for its own, unless that was given back.
//
// It does not promise that two holders' calls of AWS never overlap: the same
// message that comes again takes over at once, and a call in flight cannot be
// called back.

// doing is what is asked of a lease, by one of its holders.
type doing struct {
	what   string // take, read, write, release
	holder string // message id
	now    int64  // take: the holder's own clock, in ms
	fence  int64  // write, release: what the taking answered
	value  int    // write
}

// answer is what came back; unknown: an error that tells nothing, or none because
// the caller was killed.
type answer struct {
	how   string // ok, leased, fenced, unknown
	fence int64
	value int
}

// leaseState is the lease and one register that is written under it.
type leaseState struct {
	holder       string // empty: nobody
	fence, until int64
	value        int
}

// leaseModel says in which states the lease may be after a step that was
// answered in a certain way; none: that answer is wrong.
func leaseModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{leaseState{}} },
		Step: func(state, input, output any) []any {
			before, a := state.(leaseState), output.(answer)
			after, how := step(before, input.(doing))
			if a.how == "unknown" {
				return []any{before, after}
			}
			if a.how != how || how == "ok" && (a.fence != 0 && a.fence != after.fence || a.value != 0 && a.value != after.value) {
				return nil
			}
			return []any{after}
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
	}
	return m.ToModel()
}

func step(s leaseState, d doing) (leaseState, string) {
	holds := s.holder == d.holder && s.fence == d.fence
	switch {
	case d.what == "read":
		return s, "ok"
	case d.what == "take" && (s.holder == "" || s.holder == d.holder || s.until < d.now-SkewFor.Milliseconds()):
		return leaseState{holder: d.holder, fence: s.fence + 1, until: d.now + LeaseFor.Milliseconds(), value: s.value}, "ok"
	case d.what == "take":
		return s, "leased"
	case !holds:
		return s, "fenced"
	case d.what == "write":
		s.value = d.value
	case d.what == "release":
		s.holder = "" // until stays; it says nothing any more
	}
	return s, "ok"
}

// history is one run of overlapping holders of one key.
type history struct {
	*fixture
	chance *rand.Rand
	wrong  sabotage
	ops    []*porcupine.Operation
	values int
}

// sabotage changes what reaches the table: a planted bug. Nil: nothing.
type sabotage struct {
	update   func(*dynamodb.UpdateItemInput)
	transact func(*dynamodb.TransactWriteItemsInput)
}

// flaky is one invocation's way to the table: slow, lossy, and at times deadly.
type flaky struct {
	DynamoDB
	h  *history
	op *porcupine.Operation // under way
}

func (f *flaky) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	if f.h.wrong.update != nil {
		f.h.wrong.update(in)
	}
	return through(ctx, f, func(ctx context.Context) (*dynamodb.UpdateItemOutput, error) { return f.DynamoDB.UpdateItem(ctx, in) })
}

func (f *flaky) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	if f.h.wrong.transact != nil {
		f.h.wrong.transact(in)
	}
	return through(ctx, f, func(ctx context.Context) (*dynamodb.TransactWriteItemsOutput, error) {
		return f.DynamoDB.TransactWriteItems(ctx, in)
	})
}

var errAway = errors.New("the table is away")

// through makes the call, or lets chance have it: an error before or after its
// effect, an error and an effect up to ten seconds later, a death.
func through[O any](ctx context.Context, f *flaky, do func(context.Context) (*O, error)) (*O, error) {
	switch f.h.chance.IntN(50) {
	case 0:
		return nil, errAway
	case 1:
		f.h.cloud.Kill(ctx)
	case 2:
		late := f.h.cloud.Now().Add(time.Duration(f.h.chance.Int64N(int64(10 * time.Second))))
		f.h.cloud.At(late, func() { _, _ = do(context.WithoutCancel(f.h.Context())) })
		f.op.Return = late.UnixNano()
		return nil, errAway
	}
	out, err := do(ctx)
	switch f.h.chance.IntN(50) {
	case 0:
		return nil, errAway
	case 1:
		f.h.cloud.Kill(ctx)
	}
	return out, err
}

// record notes one operation with its true times, also if it kills.
func (h *history) record(f *flaky, d doing, do func() answer) answer {
	op := &porcupine.Operation{Input: d, Output: answer{how: "unknown"}, Call: h.cloud.Now().UnixNano()}
	h.ops, f.op = append(h.ops, op), op
	defer func() { op.Return = max(op.Return, h.cloud.Now().UnixNano()) }()
	a := do()
	op.Output = a
	return a
}

func howOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrLeased):
		return "leased"
	case errors.Is(err, ErrFenced):
		return "fenced"
	default:
		return "unknown"
	}
}

// hold is one invocation for a message: it takes the lease, writes and reads,
// with pauses, and gives the lease back or not. It goes on after it was fenced,
// as nothing but the fence may stop it.
func (h *history) hold(ctx context.Context, id []byte) ([]byte, error) {
	f := &flaky{DynamoDB: h.cloud.DynamoDB(), h: h}
	wrong := time.Duration(h.chance.Int64N(int64(SkewFor))) - SkewFor/2
	s := h.Store
	s.DB, s.Clock = f, func() time.Time { return h.cloud.Now().Add(wrong) }
	var o *Session
	took := h.record(f, doing{what: "take", holder: string(id), now: s.Clock().UnixMilli()}, func() answer {
		opened, err := s.Open(ctx, prod, string(id))
		if err != nil {
			return answer{how: howOf(err)}
		}
		o = opened
		return answer{how: "ok", fence: o.fence}
	})
	if took.how != "ok" {
		return nil, nil
	}
	for range h.chance.IntN(6) {
		h.cloud.Pause(ctx, h.pause())
		h.values++
		h.record(f, doing{what: "write", holder: string(id), fence: o.fence, value: h.values}, h.write(ctx, o))
		h.record(f, doing{what: "read"}, h.read(ctx, o))
	}
	h.cloud.Pause(ctx, h.pause())
	if h.chance.IntN(4) > 0 {
		h.record(f, doing{what: "release", holder: string(id), fence: o.fence}, h.release(ctx, o))
	}
	return nil, nil
}

// pause is short, or outlives the lease and at times the allowance too.
func (h *history) pause() time.Duration {
	if h.chance.IntN(12) > 0 {
		return time.Duration(h.chance.Int64N(int64(5 * time.Second)))
	}
	return time.Duration(h.chance.Int64N(int64(LeaseFor + 2*SkewFor)))
}

func (h *history) write(ctx context.Context, o *Session) func() answer {
	i := cluster.Intent{ID: "register", Detail: strconv.Itoa(h.values)}
	return func() answer { return answer{how: howOf(o.Tell(ctx, i))} }
}

func (h *history) read(ctx context.Context, o *Session) func() answer {
	return func() answer {
		o.Intents = nil
		if err := o.Recall(ctx); err != nil {
			return answer{how: howOf(err)}
		}
		a := answer{how: "ok"}
		for _, i := range o.Intents {
			a.value, _ = strconv.Atoi(i.Detail)
		}
		return a
	}
}

func (h *history) release(ctx context.Context, o *Session) func() answer {
	var next time.Time
	if h.chance.IntN(3) == 0 {
		next = o.store.Clock().Add(20 * time.Second)
	}
	return func() answer {
		_, err := o.Close(ctx, next, 0, nil)
		return answer{how: howOf(err)}
	}
}

// mostOperations keeps the check of one history short.
const mostOperations = 2000

// newHistory lets messages arrive for hours, each up to three times and at times
// side by side, and returns all that was done.
func newHistory(t *testing.T, seed uint64, wrong sabotage) *history {
	t.Helper()
	h := &history{fixture: newFixture(t), chance: rand.New(rand.NewPCG(seed, 1)), wrong: wrong}
	if err := h.cloud.Lambda().Register("hold", h.hold, simcloud.FunctionConfig{Timeout: 15 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	for at, n := noon, 0; at.Before(noon.Add(4 * time.Hour)); n++ {
		at = at.Add(time.Duration(h.chance.Int64N(int64(time.Minute))))
		id := fmt.Sprint("message-", n)
		for range 1 + h.chance.IntN(3) {
			h.cloud.At(at.Add(time.Duration(h.chance.Int64N(int64(30*time.Second)))), func() {
				if len(h.ops) < mostOperations-50 {
					_ = h.cloud.Lambda().Invoke("hold", []byte(id)) // there is such a function
				}
			})
		}
	}
	if err := h.cloud.Run(noon.Add(5 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.cloud.Close()
	return h
}

// linearizable says whether the history is; it fails the test if that took too
// long to tell.
func (h *history) linearizable() bool {
	h.Helper()
	ops := make([]porcupine.Operation, len(h.ops))
	for n, op := range h.ops {
		ops[n] = *op
	}
	how := porcupine.CheckOperationsTimeout(leaseModel(), ops, 20*time.Second)
	if how == porcupine.Unknown {
		h.Fatalf("a history of %d operations was not checked within 20 s", len(ops))
	}
	return how == porcupine.Ok
}

// early are the leases that began too early by true time, and of how many pairs
// of different messages' successive leases that could be told.
func (h *history) early() (wrong []string, judged int) {
	taken, released := map[int64]*porcupine.Operation{}, map[int64]int64{}
	for _, op := range h.ops {
		d, a := op.Input.(doing), op.Output.(answer)
		if d.what == "take" && a.how == "ok" {
			taken[a.fence] = op
		}
		if d.what == "release" {
			released[d.fence] = op.Call
		}
	}
	for fence, second := range taken {
		first := taken[fence-1]
		if first == nil || first.Input.(doing).holder == second.Input.(doing).holder {
			continue
		}
		if at, ok := released[fence-1]; ok && at < second.Return {
			continue
		}
		judged++
		if second.Return <= first.Call+int64(LeaseFor) {
			wrong = append(wrong, fmt.Sprintf("fence %d %s after fence %d was asked for", fence, time.Duration(second.Return-first.Call), fence-1))
		}
	}
	return wrong, judged
}

// soaking says whether the long form of the tests is asked for, by PLIMSOLL_SOAK=1.
func soaking() bool { return os.Getenv("PLIMSOLL_SOAK") == "1" }

// seeds are fixed ones and a fresh one; the fresh one is printed on failure.
func seeds() []uint64 {
	all, n := []uint64{rand.Uint64()}, uint64(15)
	if soaking() {
		n = 300
	}
	for seed := range n {
		all = append(all, seed)
	}
	return all
}

func TestLeaseHistoriesAreLinearizable(t *testing.T) {
	counts, judged := map[string]int{}, 0
	for _, seed := range seeds() {
		h := newHistory(t, seed, sabotage{})
		if len(h.ops) > mostOperations || len(h.ops) < 100 {
			t.Errorf("seed %d: %d operations", seed, len(h.ops))
		}
		if !h.linearizable() {
			t.Errorf("seed %d: the history of %d operations is not linearizable", seed, len(h.ops))
		}
		wrong, n := h.early()
		for _, w := range wrong {
			t.Errorf("seed %d: %s", seed, w)
		}
		judged += n
		for _, op := range h.ops {
			counts[op.Input.(doing).what+" "+op.Output.(answer).how]++
		}
	}
	for _, needed := range []string{"take ok", "take leased", "take unknown", "write ok", "write fenced", "write unknown", "release ok", "release fenced", "release unknown", "read ok"} {
		if counts[needed] == 0 {
			t.Errorf("no history has a %q: %v", needed, counts)
		}
	}
	if judged == 0 {
		t.Error("no lease was taken after another had run out")
	}
	t.Logf("%v; %d leases taken from another message after it had run out", counts, judged)
}

// TestPlantedLeaseBugsAreCaught breaks the protocol at one place a time, between
// the store and the table.
func TestPlantedLeaseBugsAreCaught(t *testing.T) {
	taking := func(in *dynamodb.UpdateItemInput) bool { return in.ExpressionAttributeValues[":past"] != nil }
	releasing := func(in *dynamodb.UpdateItemInput) bool { return in.ExpressionAttributeValues[":fence"] != nil }
	for _, bug := range []struct {
		name  string
		early bool // caught by true time, too
		sabotage
	}{
		{"writes do not check the lease", false, sabotage{transact: func(in *dynamodb.TransactWriteItemsInput) {
			in.TransactItems = in.TransactItems[1:]
		}}},
		{"writes check the holder and not the fence", false, sabotage{transact: func(in *dynamodb.TransactWriteItemsInput) {
			c := in.TransactItems[0].ConditionCheck
			c.ConditionExpression = aws.String("holder = :me")
			delete(c.ExpressionAttributeValues, ":fence")
		}}},
		{"anybody takes the lease", true, sabotage{update: func(in *dynamodb.UpdateItemInput) {
			if taking(in) {
				in.ConditionExpression = nil
				delete(in.ExpressionAttributeValues, ":past")
			}
		}}},
		{"a lease ends by the clock of whoever wants it, skew or not", true, sabotage{update: func(in *dynamodb.UpdateItemInput) {
			if taking(in) {
				past := numberOf(in.ExpressionAttributeValues, ":past")
				in.ExpressionAttributeValues[":past"] = number(past + SkewFor.Milliseconds())
			}
		}}},
		{"the fence stands still", false, sabotage{update: func(in *dynamodb.UpdateItemInput) {
			if taking(in) {
				in.ExpressionAttributeValues[":one"] = number(0)
			}
		}}},
		{"whoever was taken over gives back what is another's", true, sabotage{update: func(in *dynamodb.UpdateItemInput) {
			if releasing(in) {
				in.ConditionExpression = nil
				in.ExpressionAttributeValues = nil
			}
		}}},
		{"a message that comes again gives back the lease of its later self", true, sabotage{update: func(in *dynamodb.UpdateItemInput) {
			if releasing(in) {
				in.ConditionExpression = aws.String("holder = :me")
				delete(in.ExpressionAttributeValues, ":fence")
			}
		}}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			caught, early := 0, 0
			for seed := range uint64(2) {
				h := newHistory(t, seed, bug.sabotage)
				if !h.linearizable() {
					caught++
				}
				if wrong, _ := h.early(); len(wrong) > 0 {
					early++
				}
			}
			if caught < 2 || bug.early != (early > 0) {
				t.Errorf("of 2 histories %d were not linearizable, and %d had a lease that began too early by true time", caught, early)
			}
		})
	}
}
