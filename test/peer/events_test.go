package peer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// ours rewrites a sample to the test policy's names.
func ours(t *testing.T, sample string) string {
	t.Helper()
	alarm := policy.Alarms(testPolicy())[0].Name
	return strings.NewReplacer(
		"111122223333", account, "eu-west-1", region,
		"orders-api-cpu-high", alarm, "orders-api-overload", alarm, "orders-backlog-high", alarm,
		"orders", clusterName,
	).Replace(sample)
}

func sample(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../events/testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// hearing is a bus with a queue for each rule, and one that all rules send to, as
// the ingress queue is.
type hearing struct {
	world
	rules []rule
	queue map[string]string // URL by rule; "": of all
}

// hear puts the rules on the bus. Those of a schedule get no target: moto never
// fires them, and sends them every event; see the quirks.
func (w world) hear(rules []rule) hearing {
	w.Helper()
	return w.listen(rules, w.queue("ingress", nil))
}

// listen is the same with a queue of all given; empty: without one.
func (w world) listen(rules []rule, ingress string) hearing {
	w.Helper()
	h := hearing{world: w, rules: rules, queue: map[string]string{}}
	targets := []any{}
	if ingress != "" {
		h.queue[""] = ingress
		targets = append(targets, map[string]any{"Id": "ingress", "Arn": queueARN("ingress")})
	}
	for _, r := range rules {
		if r.schedule != "" {
			w.bus("PutRule", map[string]any{"Name": r.name, "ScheduleExpression": r.schedule})
			continue
		}
		h.queue[r.name] = w.queue("rule-"+r.name, nil)
		w.bus("PutRule", map[string]any{"Name": r.name, "EventPattern": r.pattern})
		w.bus("PutTargets", map[string]any{"Rule": r.name, "Targets": append(targets, map[string]any{"Id": "own", "Arn": queueARN("rule-" + r.name)})})
	}
	return h
}

func queueARN(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }

// bus calls EventBridge, for whose client the repository has no other use.
func (w world) bus(operation string, in map[string]any) string {
	w.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.Fatal(err)
	}
	status, answer := w.send("/", string(body), map[string]string{
		"X-Amz-Target": "AWSEvents." + operation, "Content-Type": "application/x-amz-json-1.1", "Authorization": scope("events"),
	})
	if status != 200 || strings.Contains(answer, `"ErrorCode"`) {
		w.Fatalf("%s: %d %s", operation, status, answer)
	}
	return answer
}

// queue makes one and returns its URL.
func (w world) queue(name string, attributes map[string]string) string {
	w.Helper()
	return aws.ToString(must[*sqs.CreateQueueOutput](w.T)(w.sqs().CreateQueue(w.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})).QueueUrl)
}

// take receives and deletes all that a queue shows now.
func (w world) take(url string) []types.Message {
	w.Helper()
	var all []types.Message
	for {
		out := must[*sqs.ReceiveMessageOutput](w.T)(w.sqs().ReceiveMessage(w.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(url), MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		}))
		if len(out.Messages) == 0 {
			return all
		}
		done := make([]types.DeleteMessageBatchRequestEntry, len(out.Messages))
		for i, m := range out.Messages {
			done[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
		}
		must[*sqs.DeleteMessageBatchOutput](w.T)(w.sqs().DeleteMessageBatch(w.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: aws.String(url), Entries: done}))
		all = append(all, out.Messages...)
	}
}

// put puts an event, given as it is delivered, on the bus, and returns the id
// that the bus gives it.
func (h hearing) put(event string) string {
	h.Helper()
	var e struct {
		Source     string
		DetailType string `json:"detail-type"`
		Resources  []string
		Time       time.Time
		Detail     json.RawMessage
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		h.Fatal(err)
	}
	answer := h.bus("PutEvents", map[string]any{"Entries": []any{map[string]any{
		"Source": e.Source, "DetailType": e.DetailType, "Resources": e.Resources, "Time": e.Time.Unix(), "Detail": string(e.Detail),
	}}})
	var put struct {
		Entries []struct {
			EventID string `json:"EventId"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &put); err != nil || len(put.Entries) != 1 {
		h.Fatalf("PutEvents: %s, %v", answer, err)
	}
	return put.Entries[0].EventID
}

// delivery is what became of one event.
type delivery struct {
	by     []string // the rules that delivered it, once for each time
	bodies []string // what came to the queue of all
	body   string   // as it was delivered last
}

// delivered is what became of the events since the last call, by their ids.
func (h hearing) delivered() map[string]delivery {
	h.Helper()
	all := map[string]delivery{}
	id := func(body string) string {
		var e struct{ ID string }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			h.Fatalf("%v: %s", err, body)
		}
		return e.ID
	}
	for name, url := range h.queue {
		for _, m := range h.take(url) {
			body := whole(aws.ToString(m.Body))
			d := all[id(body)]
			d.body = body
			if name == "" {
				d.bodies = append(d.bodies, body)
			} else {
				d.by = append(d.by, name)
			}
			all[id(body)] = d
		}
	}
	return all
}

// whole is an event with the account that moto leaves out of its envelope; see
// the quirks.
func whole(event string) string {
	return strings.Replace(event, `{"id"`, `{"account": "`+account+`", "id"`, 1)
}

// instance is the one that all samples are about.
const instance = "i-0a1b2c3d4e5f60718"

// told is what a sample must come to: worked out by reading it, not by asking
// our own matcher.
type told struct {
	sample string
	rule   string // "": nobody delivers it
	says   string // what Decode reads of it: cluster, service, group, instance, alarm
}

// samples are all events that may come over the bus. What does not is told in
// TestEverySampleIsInTheTable.
func samples() []told {
	service, host := "shop api - - -", "shop - - "+instance+" -"
	return []told{
		{"ecs-task-pending", "tasks", service},
		{"ecs-task-provisioning", "tasks", service},
		{"ecs-task-running-awsvpc", "tasks", service},
		{"ecs-task-running-bridge-dynamic-port", "tasks", service},
		{"ecs-task-stopped-failed-to-start", "tasks", service},
		{"ecs-task-stopped-host-terminated", "tasks", service},
		{"ecs-task-stopped-oom", "tasks", "shop - - - -"}, // a task of a family, not of a service
		{"ecs-task-stopped-scheduler", "tasks", service},
		{"ecs-task-stopping-desired-stopped", "tasks", service},
		{"ecs-container-instance-agent-disconnected", "hosts", host},
		{"ecs-container-instance-draining", "hosts", host},
		{"ecs-container-instance-inactive", "hosts", host},
		{"ecs-container-instance-registered", "hosts", host},
		{"ecs-container-instance-resources-changed", "hosts", host},
		{"ecs-service-action-capacity-provider-steady-state", "services", service},
		{"ecs-service-action-desired-count-updated", "services", service},
		{"ecs-service-action-placement-failure-cpu", "services", service},
		{"ecs-service-action-placement-failure-memory-cp", "services", service},
		{"ecs-service-action-placement-failure-no-instances", "services", service},
		{"ecs-service-action-start-impaired", "services", service},
		{"ecs-service-action-steady-state", "services", service},
		{"ecs-service-action-taskset-steady-state", "services", service},
		{"ecs-service-action-throttled", "services", service},
		{"ecs-deployment-completed", "deployments", service},
		{"ecs-deployment-failed", "deployments", service},
		{"ecs-deployment-in-progress", "deployments", service},
		{"asg-launch-lifecycle-action", "groups", "- - shop-hosts " + instance + " -"},
		{"asg-launch-lifecycle-action-from-warm-pool", "groups", "- - shop-hosts " + instance + " -"},
		{"asg-launch-successful", "groups", "- - shop-hosts " + instance + " -"},
		{"asg-launch-unsuccessful", "groups", "- - shop-hosts - -"}, // no instance came of it
		{"asg-terminate-lifecycle-action", "groups", "- - shop-hosts " + instance + " -"},
		{"asg-terminate-successful", "groups", "- - shop-hosts " + instance + " -"},
		{"asg-terminate-unsuccessful", "groups", "- - shop-hosts " + instance + " -"},
		{"ec2-rebalance-recommendation", "notices", "- - - " + instance + " -"},
		{"ec2-spot-interruption-warning", "notices", "- - - " + instance + " -"},
		{"ec2-instance-state-change", "", ""}, // running: its registration and its group tell
		{"cloudwatch-alarm-metric", "alarms", "- - - - plimsoll-shop-api-cpu-high"},
		{"cloudwatch-alarm-metric-math", "alarms", "- - - - plimsoll-shop-api-cpu-high"},
		{"cloudwatch-alarm-composite", "alarms", "- - - - plimsoll-shop-api-cpu-high"},
		{"cloudtrail-register-task-definition", "", ""}, // nothing follows a revision yet
		{"ssm-parameter-store-change", "", ""},          // nor a parameter
		{"scheduled-event", "", ""},                     // comes by the schedule of the sweep, not by a pattern
	}
}

func TestEverySampleIsInTheTable(t *testing.T) {
	paths, err := filepath.Glob("../../events/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{
		"cloudwatch-alarm-lambda-action-direct", "plimsoll-look-again", "plimsoll-wake", // do not come over the bus
		"eventbridge-dlq-message-attributes", "sqs-fifo-record-wrapping-event", // are no events
	}
	for _, p := range paths {
		name := strings.TrimSuffix(filepath.Base(p), ".json")
		if !slices.ContainsFunc(samples(), func(s told) bool { return s.sample == name }) && !slices.Contains(elsewhere, name) {
			t.Errorf("%s: say which rule delivers it", name)
		}
	}
	if len(samples()) != 42 {
		t.Errorf("%d samples, want 42", len(samples()))
	}
}

// TestTheRulesDeliverExactlyWhatTheyShould puts each sample on the bus, as ours,
// and as the foreign one that it was written as.
func TestTheRulesDeliverExactlyWhatTheyShould(t *testing.T) {
	h := fresh(t).hear(deployedRules(t))
	want := map[string]told{}
	for _, s := range samples() {
		want[h.put(ours(t, sample(t, s.sample)))] = s
		if s.rule != "notices" { // whose instance it is they do not say: the next look does
			s.rule, s.says = "", ""
		}
		s.sample += ", foreign"
		want[h.put(sample(t, s.sample[:len(s.sample)-len(", foreign")]))] = s
	}
	h.check(want)
}

// check holds what was delivered against what should be, by the events' ids.
func (h hearing) check(want map[string]told) {
	h.Helper()
	for _, wrong := range h.wrongs(want) {
		h.Error(wrong)
	}
}

// wrongs says of each event that was not delivered, or not read, as it should be.
func (h hearing) wrongs(want map[string]told) []string {
	h.Helper()
	var all []string
	got := h.delivered()
	for id, d := range got {
		if _, known := want[id]; !known {
			all = append(all, fmt.Sprintf("%v was delivered by %v and never put", d.bodies, d.by))
		}
	}
	for id, s := range want {
		d, rules := got[id], []string{}
		if s.rule != "" {
			rules = append(rules, s.rule)
		}
		if fmt.Sprint(d.by) != fmt.Sprint(rules) || len(d.bodies) != len(rules) {
			all = append(all, fmt.Sprintf("%s: delivered by %v, %d times to the ingress queue, want by %v", s.sample, d.by, len(d.bodies), rules))
			continue
		}
		for _, body := range d.bodies {
			all = append(all, misread(s, body)...)
		}
	}
	return all
}

// misread says what is wrong with what our own decoder makes of a delivered event.
func misread(s told, body string) []string {
	e, err := events.Decode([]byte(body))
	if err != nil {
		return []string{fmt.Sprintf("%s: %v\n%s", s.sample, err, body)}
	}
	says := []string{e.Subject.Cluster, e.Subject.Service, e.Subject.Group, e.Subject.Instance, e.Subject.Alarm}
	for i := range says {
		if says[i] == "" {
			says[i] = "-"
		}
	}
	if got := strings.Join(says, " "); got != s.says || e.Kind != events.Look || e.Account != account || e.Region != region || e.ID == "" {
		return []string{fmt.Sprintf("%s: read as %s %s of %s in %s, want %s", s.sample, e.Kind, got, e.Account, e.Region, s.says)}
	}
	return nil
}

// TestInstancesThatEndAreHeardOf: only those states of which nothing else tells.
func TestInstancesThatEndAreHeardOf(t *testing.T) {
	h := fresh(t).hear(deployedRules(t))
	running := ours(t, sample(t, "ec2-instance-state-change"))
	want := map[string]told{}
	for state, by := range map[string]string{"pending": "", "running": "", "stopping": "endings", "stopped": "endings", "shutting-down": "endings", "terminated": "endings"} {
		want[h.put(strings.Replace(running, `"running"`, `"`+state+`"`, 1))] = told{sample: state, rule: by, says: "- - - " + instance + " -"}
	}
	h.check(want)
}

// TestNeighboursAreNotOurs: names that begin as ours do, or as which ours begin.
// Only alarms are heard whosever they are, if they are named as plimsoll's: ingest
// drops those that no policy has.
func TestNeighboursAreNotOurs(t *testing.T) {
	h := fresh(t).hear(deployedRules(t))
	want := map[string]told{}
	for _, neighbour := range []string{"shop-eu", "sho", "Shop"} {
		for _, s := range samples() {
			if s.rule == "" || s.rule == "notices" {
				continue
			}
			event := strings.ReplaceAll(ours(t, sample(t, s.sample)), "shop", neighbour)
			s.sample += " of " + neighbour
			if s.rule != "alarms" {
				s.rule = ""
			}
			s.says = strings.ReplaceAll(s.says, "shop", neighbour)
			want[h.put(event)] = s
		}
	}
	h.check(want)
}

// TestThePeerSeesAWrongRule: the checks above have power only if a rule that is
// too wide, too narrow, of another place or there twice is found.
func TestThePeerSeesAWrongRule(t *testing.T) {
	edited := func(old, now string) []rule {
		all := deployedRules(t)
		changed := false
		for i := range all {
			next := strings.ReplaceAll(all[i].pattern, old, now)
			changed = changed || next != all[i].pattern
			all[i].pattern = next
		}
		if !changed {
			t.Fatalf("no rule holds %s", old)
		}
		return all
	}
	twice := deployedRules(t)
	again := twice[1]
	again.name = "again"
	rows := []struct {
		name   string
		rules  []rule
		event  string // put, by the sample's name
		change string // of shop, in it
		rule   string // that should deliver it, were the rules right
	}{
		{"a rule that forgot the cluster", edited(`"detail":{"clusterArn":["`+testScope(t).Clusters[0]+`"]},`, ""), "ecs-task-pending", "foreign", ""},
		{"a rule of another Region", edited(region, "us-east-1"), "ecs-task-pending", "shop", "tasks"},
		{"a rule that is there twice", append(twice, again), "ecs-task-pending", "shop", "tasks"},
		{"a prefix of services without its slash", edited(`service/shop/"`, `service/shop"`), "ecs-deployment-completed", "shop-eu", ""},
		{"alarms by another name", edited(policy.AlarmPrefix, "p-"), "cloudwatch-alarm-metric", "shop", "alarms"},
	}
	for _, r := range rows {
		h := fresh(t).hear(r.rules)
		event := strings.ReplaceAll(ours(t, sample(t, r.event)), "shop", r.change)
		s := told{sample: r.event, rule: r.rule}
		for _, said := range samples() {
			if said.sample == r.event {
				s.says = said.says
			}
		}
		if wrongs := h.wrongs(map[string]told{h.put(event): s}); len(wrongs) != 1 {
			t.Errorf("%s: found %q", r.name, wrongs)
		}
	}
}
