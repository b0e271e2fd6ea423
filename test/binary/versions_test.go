package binary

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// update writes what a new version leaves in the table beside what older ones
// left: no file that is there is ever written again.
var update = flag.Bool("update", false, "add testdata/table-vN.json if what is written has another shape than the newest one")

// The records of the versions: what a table holds that each of them wrote, with
// every field set that there was.
const (
	recordsOf = "testdata/table-v%d.json"
	allOf     = "testdata/table-v*.json"
)

// full sets every exported field of a value, so that a field added later is in
// the records of its version without a line here.
func full(v reflect.Value, at time.Time) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(at))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), at)
	case reflect.Struct:
		for n := range v.NumField() {
			full(v.Field(n), at)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		full(v.Index(0), at)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		full(value, at)
		v.SetMapIndex(reflect.ValueOf("eu-west-1a").Convert(v.Type().Key()), value)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		v.SetInt(1)
	}
}

func fullOf[T any](at time.Time) T {
	var v T
	full(reflect.ValueOf(&v).Elem(), at)
	return v
}

// written is the table after two rounds of today's code that left in it all that
// rounds can leave.
func written(t *testing.T) []map[string]any {
	t.Helper()
	a := newAWS(t, time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC))
	now := a.now()
	s := store.Store{DB: a.cloud.DynamoDB(), Queue: a.cloud.SQS(), Table: table, Ingress: a.urls["ingress"], Clock: a.now, Again: events.LookAgain}
	o, err := s.Open(t.Context(), "reconcile#prod", "message")
	check(t, err)
	check(t, o.Recall(t.Context()))
	web, hosts, host := cluster.ServiceSubject("web"), cluster.GroupSubject("hosts"), cluster.HostSubject("i-0123456789abcdef0")
	p := plan.Plan{Memory: cluster.Memory{
		Services: map[string]cluster.ServiceMemory{"web": fullOf[cluster.ServiceMemory](now)},
		Groups:   map[string]cluster.GroupMemory{"hosts": fullOf[cluster.GroupMemory](now)},
		Hosts:    map[string]cluster.HostMemory{host.Name(): fullOf[cluster.HostMemory](now)},
	}}
	var begun []cluster.Intent
	for n, c := range []cluster.Change{{Verb: cluster.SetDesiredCount, Subject: web}, {Verb: cluster.LaunchHosts, Subject: hosts}, {Verb: cluster.DrainHost, Subject: cluster.HostSubject("i-0123456789abcdef1")}, {Verb: cluster.TerminateHost, Subject: host}} {
		verb, subject := c.Verb, c.Subject
		c = fullOf[cluster.Change](now)
		c.Verb, c.Subject = verb, subject
		d := fullOf[plan.Decision](now)
		d.Subject, d.Reason, d.Changes = subject, plan.AboveTarget, []cluster.Change{c}
		p.Decisions = append(p.Decisions, d)
		i := fullOf[cluster.Intent](now)
		i.ID, i.Change, i.Outcome = fmt.Sprintf("reconcile#prod#1#%d", n), c, cluster.OutcomeUnknown
		begun = append(begun, i)
	}
	check(t, o.Note(t.Context(), p, begun, nil))
	for n, outcome := range []cluster.Outcome{cluster.OutcomeApplied, cluster.OutcomeRefused, cluster.OutcomeSkipped} {
		begun[n].Outcome = outcome
		check(t, o.Tell(t.Context(), begun[n]))
	}
	_, err = o.Close(t.Context(), now.Add(20*time.Second), 0, nil)
	check(t, err)
	w := store.Waker{DB: a.cloud.DynamoDB(), Queue: a.cloud.SQS(), Table: table, Queues: map[string]string{"reconcile": a.urls["reconcile.fifo"]}, Ingress: a.urls["ingress"], Again: events.LookAgain}
	for range 2 { // the second waits
		check(t, w.Wake(t.Context(), "reconcile#prod", store.Heard{ARNs: []string{"arn"}, Sent: now, Received: now}, func(int) ([]byte, error) { return []byte("{}"), nil }))
	}
	var all []map[string]any
	for _, i := range a.cloud.DynamoDB().Items(table) {
		all = append(all, tree(reflect.ValueOf(i)).(map[string]any))
	}
	return all
}

// shape is which members the items have, by the kind of item, and what is in the
// JSON texts among them.
func shape(t *testing.T, items []map[string]any) []string {
	t.Helper()
	seen := map[string]bool{}
	for _, i := range items {
		sk := member(i, "sk", "S")
		kind := sk
		for _, k := range []string{"now#about#service", "now#about#group", "now#about#host", "now#open", "then#"} {
			if strings.HasPrefix(sk, k) {
				kind = k
			}
		}
		for name, v := range i {
			seen[kind+" "+name] = true
			text := member(i, name, "S")
			var inner any
			if strings.HasPrefix(text, "{") {
				check(t, json.Unmarshal([]byte(text), &inner))
			}
			paths(kind+" "+name, inner, seen)
			_ = v
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func member(i map[string]any, name, kind string) string {
	v, _ := i[name].(map[string]any)
	s, _ := v[kind].(string)
	return s
}

func paths(at string, v any, seen map[string]bool) {
	switch x := v.(type) {
	case map[string]any:
		for name, m := range x {
			seen[at+"."+name] = true
			paths(at+"."+name, m, seen)
		}
	case []any:
		for _, m := range x {
			paths(at+"[]", m, seen)
		}
	}
}

// versions are the files of all versions, oldest first.
func versions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(allOf)
	check(t, err)
	return files
}

func load(t *testing.T, file string) []map[string]any {
	t.Helper()
	raw, err := os.ReadFile(file)
	check(t, err)
	var items []map[string]any
	check(t, json.Unmarshal(raw, &items))
	return items
}

func TestTheNewestRecordsHaveTheShapeOfWhatIsWritten(t *testing.T) {
	now, files := written(t), versions(t)
	got, want := shape(t, now), []string(nil)
	if len(files) > 0 {
		want = shape(t, load(t, files[len(files)-1]))
	}
	if slices.Equal(got, want) {
		return
	}
	next := fmt.Sprintf(recordsOf, len(files)+1)
	if !*update {
		t.Fatalf("what rounds leave in the table has another shape than the records of the newest version have: %v.\nIf that is meant, -update adds %s; the older ones must still be read.", difference(got, want), next)
	}
	raw, err := json.MarshalIndent(now, "", "\t")
	check(t, err)
	check(t, os.WriteFile(next, append(raw, '\n'), 0o600))
}

func difference(a, b []string) []string {
	var all []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			all = append(all, "+"+s)
		}
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			all = append(all, "-"+s)
		}
	}
	return all
}

// put fills the table with the records of a version.
func (a *fakeAWS) put(t *testing.T, items []map[string]any) {
	t.Helper()
	for _, i := range items {
		var in map[string]ddbtypes.AttributeValue
		check(t, fill(reflect.ValueOf(&in).Elem(), any(i)))
		_, err := a.cloud.DynamoDB().TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddbtypes.TransactWriteItem{{Put: &ddbtypes.Put{TableName: aws.String(table), Item: in}}}})
		check(t, err)
	}
}

// lost are the members of the records' JSON that today's types do not read.
func lost(t *testing.T, items []map[string]any) []string {
	t.Helper()
	var all []string
	strict := func(text string, into any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			all = append(all, fmt.Sprintf("%s: %v", text, err))
		}
	}
	for _, i := range items {
		if s := member(i, "intent", "S"); s != "" {
			strict(s, &cluster.Intent{})
		}
		for _, name := range []string{"decision", "said"} {
			if s := member(i, name, "S"); s != "" {
				strict(s, &plan.Decision{})
			}
		}
		subject := strings.TrimPrefix(member(i, "sk", "S"), "now#about#")
		if s := member(i, "memory", "S"); s != "" {
			kind, _, _ := strings.Cut(subject, "/")
			strict(s, map[string]any{"service": &cluster.ServiceMemory{}, "group": &cluster.GroupMemory{}, "host": &cluster.HostMemory{}}[kind])
		}
	}
	return all
}

// A field that is dropped on purpose needs a line in forgotten, with the reason.
func forgotten() []string { return nil }

func TestEveryVersionsRecordsAreRead(t *testing.T) {
	for _, file := range versions(t) {
		items := load(t, file)
		for _, l := range lost(t, items) {
			if !slices.ContainsFunc(forgotten(), func(f string) bool { return strings.Contains(l, f) }) {
				t.Errorf("%s: %s", file, l)
			}
		}
		a := newAWS(t, time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC))
		a.put(t, items)
		f := start(t, built.binary(t, reconcileMain), steer(t), a.env())
		for n := range 2 {
			a.pass(t, 30*time.Second)
			got, err := f.invoke(batch(record(fmt.Sprintf("again-%d", n), wakeOf(1))), enough)
			if err != nil || string(got.body) != `{"batchItemFailures":[]}` || a.failures(t) != 0 || a.held(t) {
				t.Errorf("%s: %s, %v, %d failures\n%s", file, got.body, err, a.failures(t), f.said)
			}
		}
		if gen := a.item(t, "wake#reconcile#prod", "wake")["gen"]; !reflect.DeepEqual(gen, map[string]any{"N": "3"}) {
			t.Errorf("%s: the number does not go on: %v", file, gen)
		}
		for _, i := range a.cloud.DynamoDB().Items(table) {
			if sk := text(i["sk"]); sk == "now#open#reconcile#prod#1#1" {
				t.Errorf("%s: the refused intent was not seen", file)
			}
		}
	}
	if len(versions(t)) == 0 {
		t.Error("there are no records")
	}
}

// The comparison must see a field that is gone, and one that has come.
func TestAFieldThatIsGoneIsSeen(t *testing.T) {
	file := fmt.Sprintf(recordsOf, 1)
	raw, err := os.ReadFile(file)
	check(t, err)
	var items []map[string]any
	check(t, json.Unmarshal([]byte(strings.ReplaceAll(string(raw), `\"emptySince\"`, `\"emptiedAt\"`)), &items))
	if len(lost(t, items)) == 0 {
		t.Error("a member that nobody reads goes unseen")
	}
	if len(difference(shape(t, items), shape(t, load(t, file)))) != 2 {
		t.Error("a renamed member goes unseen")
	}
}
