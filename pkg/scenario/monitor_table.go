package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// answered is how long an intent may go without an outcome.
const answered = 10 * time.Minute

// leaseLeft is what a lease must have left when a call takes effect: a call's
// timeout of 5 s, which must be left when it starts, less 250 ms, which half a
// round trip before the effect does not exceed (30 ms at the median; six standard
// deviations make 245 ms of it). Only calls to DynamoDB are paused before theirs.
const leaseLeft = 5*time.Second - 250*time.Millisecond

// The range keys that the monitors know.
const (
	openItems  = "now#open#"
	endedItems = "then#"
	leaseItem  = "lease"
)

// item is a DynamoDB item.
type item = map[string]types.AttributeValue

// leaseKey is the hash key of what the rounds of a cluster share.
func leaseKey(clusterName string) string { return "reconcile#" + clusterName }

// ledger is what an invocation did to the table, as far as it matters: what it
// asked for, since the table says whether it was done.
type ledger struct {
	noted   map[string]bool // range keys of the open intents that it put
	used    map[string]bool // of those that a call was made for
	holders map[string]bool // strings that it wrote into the lease
	fence   string          // of the lease once it was this invocation's
}

func newLedger() ledger {
	return ledger{noted: map[string]bool{}, used: map[string]bool{}, holders: map[string]bool{}}
}

// wrote notes a write before it takes effect.
func (l *ledger) wrote(of string, input any) {
	switch in := input.(type) {
	case *dynamodb.UpdateItemInput:
		if text(in.Key, "pk") == of && text(in.Key, "sk") == leaseItem {
			for name := range in.ExpressionAttributeValues {
				l.holders[text(in.ExpressionAttributeValues, name)] = true
			}
		}
	case *dynamodb.PutItemInput:
		l.put(of, in.Item)
	case *dynamodb.TransactWriteItemsInput:
		for _, w := range in.TransactItems {
			if w.Put != nil {
				l.put(of, w.Put.Item)
			}
		}
	}
	delete(l.holders, "") // of what is no string
}

func (l *ledger) put(of string, i item) {
	if sk := text(i, "sk"); text(i, "pk") == of && strings.HasPrefix(sk, openItems) {
		l.noted[sk] = true
	}
}

// text is an attribute that is a string; empty: it is not.
func text(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// number is an attribute that is a number, as DynamoDB writes it; empty: it is not.
func number(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberN); ok {
		return v.Value
	}
	return ""
}

// items reads a part of the controller's table, of the cluster's rounds.
func (m *monitors) items(prefix string) []item { return m.itemsOf(leaseKey(m.policy.Cluster), prefix) }

// itemsOf is the same of a key's rounds.
func (m *monitors) itemsOf(key, prefix string) []item {
	return m.world.cloud.DynamoDB().Prefixed(table, key, prefix)
}

// keys are those of all rounds of the cluster: its own, and one for each name that
// has endpoints.
func (m *monitors) keys() []string {
	all := []string{leaseKey(m.policy.Cluster)}
	for _, name := range m.policy.Registered() {
		all = append(all, registrar+"#"+m.policy.Cluster+"/"+name)
	}
	return all
}

// itemsOfAll reads a part of the table, of all keys.
func (m *monitors) itemsOfAll(prefixes ...string) []item {
	var all []item
	for _, key := range m.keys() {
		for _, prefix := range prefixes {
			all = append(all, m.itemsOf(key, prefix)...)
		}
	}
	return all
}

// noted is S4: each of a change's subjects has an intent in the table, written
// by this invocation, with its decision beside it, and for this call alone.
func (m *monitors) noted(i *invocation, c simcloud.Call, change change) {
	open := m.items(openItems)
	for _, subject := range change.subjects {
		sk, wrong := i.ledger.find(open, change, subject)
		if wrong != "" {
			m.broken("S4", c, string(subject), fmt.Sprintf("%s of %s is called and %s", c.Action, subject, wrong))
		}
		i.ledger.used[sk] = true
	}
}

// find looks for the intent of a change of one subject among the open items, and
// says what is wrong with what comes nearest to one.
func (l *ledger) find(open []item, change change, subject cluster.Subject) (sk, wrong string) {
	wrong = fmt.Sprintf("none of the %d open intents in the table is for it", len(open))
	for _, i := range open {
		var intent cluster.Intent
		if json.Unmarshal([]byte(text(i, "intent")), &intent) != nil || !change.is(intent, subject) {
			continue
		}
		sk = text(i, "sk")
		if wrong = l.unsound(i, intent); wrong == "" {
			return sk, ""
		}
	}
	return "", wrong
}

// is says whether an intent is for this change of the subject.
func (c change) is(i cluster.Intent, subject cluster.Subject) bool {
	switch {
	case i.Subject != subject:
		return false
	case c.verb == cluster.SetDesiredCount:
		return i.Verb == c.verb && i.To == c.to
	case c.verb == cluster.LaunchHosts:
		return i.Verb == c.verb && i.To-i.From == c.more && i.Zone == c.zone
	case c.verb == setDesiredCapacity: // also in place of a launch, where LaunchInstances is not to be had
		return (i.Verb == c.verb || i.Verb == cluster.LaunchHosts) && i.To == c.to
	default:
		return i.Verb == c.verb
	}
}

// unsound says why an intent of the right change is no record of this call.
func (l *ledger) unsound(i item, intent cluster.Intent) string {
	sk := text(i, "sk")
	var why struct {
		Subject cluster.Subject `json:"subject"`
		Reason  string          `json:"reason"`
	}
	err := json.Unmarshal([]byte(text(i, "decision")), &why)
	switch {
	case !l.noted[sk]:
		return fmt.Sprintf("its intent %s was not written by this invocation", intent.ID)
	case l.used[sk]:
		return fmt.Sprintf("its intent %s was that of an earlier call", intent.ID)
	case intent.Outcome != cluster.OutcomeUnknown:
		return fmt.Sprintf("its intent %s has the outcome %s already", intent.ID, intent.Outcome)
	case err != nil || why.Reason == "" || why.Subject == "":
		return fmt.Sprintf("its intent %s has no decision beside it, only %q", intent.ID, text(i, "decision"))
	default:
		return ""
	}
}

// unanswered is the other half of S4: at the end no old intent is without an
// outcome, neither an open one nor one in history.
func (m *monitors) unanswered(now time.Time) {
	for _, i := range m.itemsOfAll(openItems, endedItems) {
		raw := text(i, "intent")
		if raw == "" {
			continue
		}
		var intent cluster.Intent
		if err := json.Unmarshal([]byte(raw), &intent); err != nil {
			m.record(Violation{Promise: "S4", At: now, Subject: text(i, "sk"), Detail: fmt.Sprintf("the intent cannot be read: %v", err)})
			continue
		}
		if intent.Outcome == cluster.OutcomeUnknown && now.Sub(intent.At) > answered {
			m.record(Violation{
				Promise: "S4", At: now, Subject: string(intent.Subject),
				Detail: fmt.Sprintf("the intent %s (%s to %d) of %s has no outcome %s later", intent.ID, intent.Verb, intent.To, clock(intent.At), now.Sub(intent.At).Round(time.Second)),
			})
		}
	}
}

// turns are the invocations that have changed a cluster, to see that they never
// interleave.
type turns struct {
	now  int          // who changed it last; 0: nobody yet
	over map[int]bool // whose turn another has ended
}

// take gives an invocation its turn, and says whose it was if it had ended.
func (t *turns) take(id int) (after int, again bool) {
	if t.over == nil {
		t.over = map[int]bool{}
	}
	if id != t.now && t.now != 0 {
		t.over[t.now] = true
	}
	after, again = t.now, t.over[id]
	t.now = id
	return after, again
}

// learnFence reads the lease's fence at an invocation's first call after the one
// that took it.
func (m *monitors) learnFence(i *invocation) {
	if i.ledger.fence != "" || len(i.ledger.holders) == 0 {
		return
	}
	if l := m.lease(i.key); i.ledger.holders[text(l, "holder")] {
		i.ledger.fence = number(l, "fence")
	}
}

func (m *monitors) lease(of string) item {
	if all := m.itemsOf(of, leaseItem); len(all) > 0 {
		return all[0]
	}
	return nil
}

// leased is S5: the call is made under a lease that is this invocation's still
// and outlasts the call's timeout, and no two invocations take turns.
func (m *monitors) leased(i *invocation, c simcloud.Call) {
	if after, again := m.turns.take(i.id); again {
		m.broken("S5", c, leaseKey(m.policy.Cluster), fmt.Sprintf("%s is called by an invocation that began to change the cluster before invocation %d did, which has changed it since: they interleave", c.Action, after))
	}
	if wrong := i.ledger.unleased(m.lease(i.key), c.At.Add(c.Skew)); wrong != "" {
		m.broken("S5", c, leaseKey(m.policy.Cluster), fmt.Sprintf("%s is called and %s", c.Action, wrong))
	}
}

// unleased says why a lease is not this invocation's for a call that takes effect
// at that time, by its own clock: the one that it wrote the lease's end by.
func (l *ledger) unleased(lease item, at time.Time) string {
	holder := text(lease, "holder")
	until, err := strconv.ParseInt(number(lease, "until"), 10, 64)
	switch {
	case holder == "":
		return "nobody holds the lease"
	case !l.holders[holder]:
		return fmt.Sprintf("the lease is held by %s, another message", holder)
	case l.fence != number(lease, "fence"):
		return fmt.Sprintf("the lease's fence is %s and was %s when this invocation took it: another has taken it over", number(lease, "fence"), orNone(l.fence))
	case err != nil || !at.Before(time.UnixMilli(until)):
		return fmt.Sprintf("the lease was over at %s", clock(time.UnixMilli(until)))
	case at.Add(leaseLeft).After(time.UnixMilli(until)):
		return fmt.Sprintf("the lease ends %s later, within the call's timeout", time.UnixMilli(until).Sub(at))
	default:
		return ""
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// foreignTables says which table besides the controller's is written to.
func foreignTables(names ...*string) string {
	n := slices.IndexFunc(names, func(name *string) bool { return name == nil || tail(*name) != table })
	switch {
	case n < 0:
		return ""
	case names[n] == nil:
		return "a table without a name is written to"
	default:
		return fmt.Sprintf("the table %s is written to, and the controller's is %s", *names[n], table)
	}
}
