package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// chunk is how many writes one transaction carries beside the lease's check;
// DynamoDB takes 100.
const chunk = 99

// Note writes what a plan decided before any call: intents first, each in one
// item with its decision, then the intents that ended, decisions and memory. A
// decision that only repeats the last one about its subject is counted, not
// written again. After an error some of it may be written, and no call may be made.
// Without an intent no call follows: what one transaction can carry is left for
// Close then, which writes it as it gives the lease back.
func (o *Session) Note(ctx context.Context, p plan.Plan, intents, ended []cluster.Intent) error {
	n := noting{Session: o, now: o.Now()}
	if err := n.begin(p.Decisions, intents); err != nil {
		return wrap("note", o.key, err)
	}
	for _, i := range ended {
		if err := n.end(i); err != nil {
			return wrap("note", o.key, err)
		}
	}
	if err := n.know(p); err != nil {
		return wrap("note", o.key, err)
	}
	if len(intents) == 0 && len(n.writes) <= chunk {
		o.unsaid = n.writes
		return nil
	}
	for part := range slices.Chunk(n.writes, chunk) {
		if err := o.write(ctx, part...); err != nil {
			return wrap("note", o.key, err)
		}
	}
	return nil
}

// Tell writes how an intent's call ended. A refusal stays among the open ones
// for one more round to see.
func (o *Session) Tell(ctx context.Context, i cluster.Intent) error {
	n := noting{Session: o, now: o.Now()}
	var err error
	if i.Open() || i.Outcome == cluster.OutcomeRefused {
		err = n.update(i)
	} else {
		err = n.end(i)
	}
	if err == nil {
		err = o.write(ctx, n.writes...)
	}
	if err != nil {
		return wrap("tell "+i.ID, o.key, err)
	}
	return nil
}

// write makes all writes or none, and only while the lease is this round's.
func (o *Session) write(ctx context.Context, writes ...types.TransactWriteItem) error {
	mine := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: aws.String(o.store.Table), Key: key(o.key, "lease"),
		ConditionExpression:       aws.String("holder = :me AND fence = :fence"),
		ExpressionAttributeValues: item{":me": text(o.holder), ":fence": number(o.fence)},
	}}
	err := o.transact(ctx, mine, writes)
	if conditionFailed(err) {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

// transact makes all writes or none, and mine, which holds if the lease does.
func (o *Session) transact(ctx context.Context, mine types.TransactWriteItem, writes []types.TransactWriteItem) error {
	return unlessConflict(func() error {
		_, err := o.store.DB.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: append([]types.TransactWriteItem{mine}, writes...)})
		return err
	})
}

// noting collects the writes of one note.
type noting struct {
	*Session
	now    time.Time
	writes []types.TransactWriteItem
}

func (n *noting) put(pk, sk string, attributes item) {
	i := key(pk, sk)
	maps.Copy(i, attributes)
	n.writes = append(n.writes, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(n.store.Table), Item: i}})
}

// then puts an item of history, which expires.
func (n *noting) then(at time.Time, name string, attributes item) {
	attributes["at"] = millis(at)
	attributes[Expiry] = number(n.now.Add(KeepFor).Unix()) // DynamoDB's time to live counts seconds
	n.put(n.key, "then#"+at.UTC().Format("2006-01-02T15:04:05.000Z")+"#"+name, attributes)
}

// begin opens the intents, each with the decision that it follows from.
func (n *noting) begin(decisions []plan.Decision, intents []cluster.Intent) error {
	why := map[cluster.Change]plan.Decision{}
	for _, d := range decisions {
		for _, c := range d.Changes {
			why[c] = d
		}
	}
	for _, i := range intents {
		decision, err := encode(why[i.Change])
		if err != nil {
			return err
		}
		intent, err := encode(i)
		if err != nil {
			return err
		}
		n.put(n.key, "now#open#"+i.ID, item{"intent": text(intent), "decision": text(decision)})
	}
	return nil
}

func (n *noting) update(i cluster.Intent) error {
	intent, err := encode(i)
	n.writes = append(n.writes, types.TransactWriteItem{Update: &types.Update{
		TableName: aws.String(n.store.Table), Key: key(n.key, "now#open#"+i.ID),
		UpdateExpression:          aws.String("SET intent = :intent"),
		ExpressionAttributeValues: item{":intent": text(intent)},
	}})
	return err
}

// end moves an intent from the open ones into history.
func (n *noting) end(i cluster.Intent) error {
	intent, err := encode(i)
	n.writes = append(n.writes, types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(n.store.Table), Key: key(n.key, "now#open#"+i.ID)}})
	n.then(i.At, "intent#"+i.ID, item{"intent": text(intent)})
	return err
}

// know writes what each subject's item shall hold, where that changed, and a
// decision that is not a repetition into history.
func (n *noting) know(p plan.Plan) error {
	next := map[cluster.Subject]about{}
	for s, old := range n.about {
		next[s] = about{Said: old.Said, Count: old.Count, Since: old.Since, Version: old.Version}
	}
	for _, d := range p.Decisions {
		a := next[d.Subject]
		if err := n.say(&a, d); err != nil {
			return err
		}
		next[d.Subject] = a
	}
	recalled, err := recollections(p.Memory)
	if err != nil {
		return err
	}
	for s, memory := range recalled {
		a := next[s]
		a.Memory = memory
		next[s] = a
	}
	for _, s := range slices.Sorted(maps.Keys(next)) {
		if err := n.settle(s, next[s], p); err != nil {
			return err
		}
	}
	return nil
}

// say counts a repeated decision and records a new one. How often the one
// before was repeated is added to its record.
func (n *noting) say(a *about, d plan.Decision) error {
	repeated := a.Count > 0 && len(d.Changes) == 0 && a.Said.Reason == d.Reason && a.Said.From == d.From && a.Said.To == d.To
	if repeated {
		a.Said, a.Count = d, a.Count+1
		return nil
	}
	if a.Count > 1 {
		if err := n.decided(*a); err != nil {
			return err
		}
	}
	*a = about{Memory: a.Memory, Version: a.Version, Said: d, Count: 1, Since: n.now.Truncate(time.Millisecond)}
	return n.decided(*a)
}

// decided puts a subject's present decision into history.
func (n *noting) decided(a about) error {
	decision, err := encode(a.Said)
	n.then(a.Since, "decision#"+string(a.Said.Subject), item{"decision": text(decision), "count": number(a.Count), "until": millis(n.now)})
	return err
}

// settle writes one subject's item, or deletes it when nothing is remembered
// and nothing was said about it in this plan.
func (n *noting) settle(s cluster.Subject, a about, p plan.Plan) error {
	old, known := n.about[s]
	spoken := slices.ContainsFunc(p.Decisions, func(d plan.Decision) bool { return d.Subject == s })
	if len(a.Memory) == 0 && !spoken {
		if known {
			n.writes = append(n.writes, types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(n.store.Table), Key: key(n.key, "now#about#"+string(s))}})
		}
		return nil
	}
	if known && string(a.Memory) == string(old.Memory) && a.Count == old.Count && a.Since.Equal(old.Since) {
		return nil
	}
	said, err := "", error(nil)
	if a.Count > 0 {
		said, err = encode(a.Said)
	}
	i := key(n.key, "now#about#"+string(s))
	maps.Copy(i, item{"memory": text(string(a.Memory)), "said": text(said), "count": number(a.Count), "since": millis(a.Since), "until": millis(n.now), "version": number(a.Version + 1)})
	put := &types.Put{TableName: aws.String(n.store.Table), Item: i}
	put.ConditionExpression = aws.String("attribute_not_exists(pk)")
	if known {
		put.ConditionExpression = aws.String("version = :version")
		put.ExpressionAttributeValues = item{":version": number(a.Version)}
	}
	n.writes = append(n.writes, types.TransactWriteItem{Put: put})
	return err
}

// recollections splits memory into one JSON value a subject.
func recollections(m cluster.Memory) (map[cluster.Subject]json.RawMessage, error) {
	all := map[cluster.Subject]json.RawMessage{}
	var failed error
	add := func(s cluster.Subject, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			failed = err
		}
		all[s] = b
	}
	for name, v := range m.Services {
		add(cluster.ServiceSubject(name), v)
	}
	for name, v := range m.Groups {
		add(cluster.GroupSubject(name), v)
	}
	for id, v := range m.Hosts {
		add(cluster.HostSubject(id), v)
	}
	for place, v := range m.Places {
		add(place, v)
	}
	return all, failed
}

// remember is the reverse for one subject.
func remember(m *cluster.Memory, s cluster.Subject, b json.RawMessage) error {
	if len(b) == 0 {
		return nil
	}
	switch name := s.Name(); s {
	case cluster.ServiceSubject(name):
		return into(m.Services, name, b)
	case cluster.GroupSubject(name):
		return into(m.Groups, name, b)
	case cluster.HostSubject(name):
		return into(m.Hosts, name, b)
	case cluster.TargetsSubject(name), cluster.RegistrySubject(name):
		if m.Places == nil {
			m.Places = map[cluster.Subject]cluster.PlaceMemory{}
		}
		return into(m.Places, s, b)
	default:
		return fmt.Errorf("memory of %q: no such kind of subject", s)
	}
}

func into[K comparable, V any](m map[K]V, name K, b json.RawMessage) error {
	var v V
	err := json.Unmarshal(b, &v)
	m[name] = v
	return err
}
