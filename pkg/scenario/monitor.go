package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// listed is how many violations a result lists; more are counted only.
const listed = 100

// hearer is the function that changes nothing of the cluster: its invocations
// need no history of the truth.
const hearer = "ingest"

// monitors hold the promises against the simulated cloud's truth while it runs.
// They see each changing call at the instant before it takes effect. Never do
// they ask the planner or read its memory: a monitor that shares the planner's
// idea of what is allowed shares its mistakes.
type monitors struct {
	policy policy.Policy
	world  *world // nil until attached, when nothing has run yet
	floors floors

	under  map[int]*invocation // under way, by number
	states []state             // of the truth while any is, oldest first
	reach  time.Duration       // how much older than its invocation a read may be
	turns  turns

	emptied map[string]time.Time // since when hosts are empty, by container instance ARN
	late    int                  // rounds that began when the cluster should be at rest
	dips    dips
	fronts  fronts
	again   *again // of a replay: what it is to leave out and to see

	violations []Violation    // the first ones
	counts     map[string]int // of all, by promise
	raced      []Violation    // what a world event made wrong: the first ones
	races      int            // of all
}

func newMonitors(p policy.Policy) *monitors {
	return &monitors{policy: p, under: map[int]*invocation{}, counts: map[string]int{}, floors: floors{lowest: map[string]int{}}, dips: newDips(), fronts: newFronts()}
}

// invocation is what the monitors know of one run of a function.
type invocation struct {
	id         int
	function   string
	key        string // of the lease that it took; of reconcile's that of the cluster
	began      time.Time
	seen       time.Time // its first call that a monitor saw: the lease's, before it reads anything
	acted      time.Time // its last call to ECS or Auto Scaling that changes something; zero: none yet
	ledger     ledger
	unread     []unread // reads of its look that failed
	unmeasured string   // the first read of metrics that failed: it speaks for counts only
}

// attach begins to watch a world that is built and has not run.
func (m *monitors) attach(w *world) {
	m.world = w
	w.cloud.World().OnChange(func() {
		m.sampleDips()
		if len(m.under) > 0 || m.reach > 0 {
			m.remember(m.now())
		}
	})
	w.cloud.Lambda().OnInvocation(func(done simcloud.Invocation) {
		delete(m.under, done.Number)
		if len(m.under) == 0 {
			m.forget()
		}
		if done.Function != hearer && w.resting(done.Began) {
			m.late++
		}
	})
	if len(w.Targets) > 0 {
		w.cloud.Every(w.Start, frontStep, func() bool { m.sampleFronts(); return true })
	}
	w.cloud.Every(w.Start, floorStep, func() bool {
		m.sampleFloors()
		m.sampleHosts()
		m.sampleDips()
		return true
	})
}

// watch judges a changing call at the instant before it takes effect.
func (m *monitors) watch(c simcloud.Call) {
	m.dips.calls++
	i := m.invocation(c)
	m.learnFence(i)
	if wrong := m.foreign(c.Input); wrong != "" {
		m.broken("S8", c, c.Service+":"+c.Action, wrong)
	}
	switch c.Service {
	case "dynamodb":
		i.takes(c.Input)
		i.ledger.wrote(i.key, c.Input)
	case "elasticloadbalancing", "servicediscovery":
		m.fronting(i, c)
	case "ecs", "autoscaling":
		m.action(i, c)
	}
}

// failed notes that a read of an invocation's look failed. Reads after the first
// intent are second looks at one subject, which only that subject rests on.
func (m *monitors) failed(c simcloud.Call, err error) {
	if c.Service != "ecs" && c.Service != "autoscaling" && c.Service != "cloudwatch" {
		return
	}
	read := strings.HasPrefix(c.Action, "Describe") || strings.HasPrefix(c.Action, "List") || strings.HasPrefix(c.Action, "Get")
	i := m.invocation(c)
	if !read || len(i.ledger.noted) > 0 {
		return
	}
	says := fmt.Sprintf("%s:%s failed at %s: %v", c.Service, c.Action, clock(c.At), err)
	switch {
	case c.Service != "cloudwatch":
		i.unread = append(i.unread, unread{c, says})
	case i.unmeasured == "":
		i.unmeasured = says
	}
}

// unread is a read of a look that failed, and was not answered since.
type unread struct {
	simcloud.Call
	says string
}

// read notes that a read was answered: the very one that failed before, if the
// invocation made it again before its first intent, is no gap in its look any more.
func (m *monitors) read(c simcloud.Call) {
	i, known := m.under[c.Invocation]
	if !known || len(i.unread) == 0 || len(i.ledger.noted) > 0 {
		return
	}
	i.unread = slices.DeleteFunc(i.unread, func(u unread) bool {
		return u.Service == c.Service && u.Action == c.Action && reflect.DeepEqual(u.Input, c.Input)
	})
}

// invocation finds the run that a call belongs to, and begins to keep the
// history of the truth for one that is new.
func (m *monitors) invocation(c simcloud.Call) *invocation {
	if i, ok := m.under[c.Invocation]; ok {
		return i
	}
	i := &invocation{id: c.Invocation, function: c.Function, key: m.keyOf(c), began: c.Began, seen: c.At, ledger: newLedger()}
	if c.Function == hearer {
		return i
	}
	if len(m.under) == 0 {
		m.remember(m.now())
	}
	m.under[c.Invocation] = i
	return i
}

// registrar is the function whose rounds are of many keys.
const registrar = "register"

// keyOf is the key of the rounds of the call's function; empty: its lease tells.
func (m *monitors) keyOf(c simcloud.Call) string {
	if c.Function == registrar {
		return ""
	}
	return leaseKey(m.policy.Cluster)
}

// takes notes which key's lease an invocation of register takes.
func (i *invocation) takes(input any) {
	in, update := input.(*dynamodb.UpdateItemInput)
	if i.key == "" && update && text(in.Key, "sk") == leaseItem {
		i.key = text(in.Key, "pk")
	}
}

// action judges a call that changes the cluster.
func (m *monitors) action(i *invocation, c simcloud.Call) {
	now := m.now()
	change, known := m.change(c, now.real)
	if !known {
		m.broken("S8", c, c.Service+":"+c.Action, fmt.Sprintf("%s is no call that the controller makes: the monitors cannot judge it", c.Action))
		m.took(c, change, false, now.real, broken)
		return
	}
	m.took(c, change, true, now.real, m.judge(i, c, "S1", change, change.takesHealth, now))
	for _, p := range []struct {
		promise string
		claim   claim
	}{{"S2", change.exceeds}, {"S7", m.outside(change)}} {
		m.judge(i, c, p.promise, change, p.claim, now)
	}
	if m.world.resting(c.At) {
		m.broken("L2", c, change.subject(), fmt.Sprintf("%s in the last %s of a calm, when all should be quiet", c.Action, restFor))
	}
	m.noted(i, c, change)
	m.leased(i, c)
	m.blind(i, c, change, now.real)
	i.acted = c.At
}

// broken records that a call broke a promise.
func (m *monitors) broken(promise string, c simcloud.Call, subject, detail string) {
	m.record(Violation{Promise: promise, At: c.At, Subject: subject, Detail: detail, Invocation: c.Invocation})
}

func (m *monitors) record(v Violation) {
	m.counts[v.Promise]++
	if len(m.violations) < listed {
		m.violations = append(m.violations, v)
	}
}

// end judges what is left at the end of the run, and tells all.
func (m *monitors) end(r *Result) {
	m.unanswered(m.world.cloud.Now())
	m.expired()
	r.Violations = append(r.Violations, m.violations...)
	r.Raced = m.races
	m.gone(r)
	r.SecondsBelowFloor = m.floors.below.Seconds()
	if more := m.more(); more != "" {
		last := r.Violations[len(r.Violations)-1]
		r.Violations = append(r.Violations, Violation{Promise: last.Promise, At: last.At, Subject: last.Subject, Detail: more})
	}
}

// more says how many violations there were where not all are listed.
func (m *monitors) more() string {
	all, parts := 0, []string(nil)
	for _, promise := range slices.SortedFunc(maps.Keys(m.counts), cmp.Compare[string]) {
		all += m.counts[promise]
		parts = append(parts, fmt.Sprintf("%s %d times", promise, m.counts[promise]))
	}
	if all <= listed {
		return ""
	}
	return fmt.Sprintf("%d violations in all, of which %d are listed: %s", all, listed, strings.Join(parts, ", "))
}

// clock is a virtual time as details show it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }
