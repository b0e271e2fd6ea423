package infra

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// targets are the targets of a rule.
func targets(r resource) []map[string]any {
	list, _ := r.get("Targets").([]any)
	var all []map[string]any
	for _, t := range list {
		m, _ := t.(map[string]any)
		all = append(all, m)
	}
	return all
}

// addressed are the ids and ARNs of a rule's targets.
func addressed(r resource) string {
	var all []string
	for _, t := range targets(r) {
		all = append(all, flat(t["Id"])+" "+flat(t["Arn"]))
	}
	return strings.Join(all, ", ")
}

// dropping are the rules whose events are dropped when they cannot be delivered,
// or are tried for another time than docs/architecture.md says.
func dropping(s template, dead string) []string {
	var wrong []string
	for _, id := range s.all("AWS::Events::Rule") {
		retry := "{MaximumEventAgeInSeconds:3600 MaximumRetryAttempts:185}"
		if s.Resources[id].get("ScheduleExpression") != nil {
			retry = "{MaximumEventAgeInSeconds:60 MaximumRetryAttempts:3}"
		}
		all := targets(s.Resources[id])
		if len(all) == 0 || slices.ContainsFunc(all, func(t map[string]any) bool {
			return flat(t["DeadLetterConfig"]) != "{Arn:<"+dead+".Arn>}" || flat(t["RetryPolicy"]) != retry
		}) {
			wrong = append(wrong, id)
		}
	}
	return wrong
}

func TestNoRuleDropsWhatItCannotDeliver(t *testing.T) {
	s := whole(t)
	dead := s.one(t, "AWS::SQS::Queue", "EventsQueueDead")
	if wrong := dropping(s, dead); len(wrong) > 0 || len(s.all("AWS::Events::Rule")) < 5 {
		t.Errorf("without dead letters, or tried for another time: %v of %v", wrong, s.all("AWS::Events::Rule"))
	}
	sweep, event := s.one(t, "AWS::Events::Rule", "Sweep"), s.one(t, "AWS::Events::Rule", "OnTasks")
	for name, row := range map[string]struct {
		rule  string
		spoil func(target map[string]any)
	}{
		"a rule without dead letters":  {event, func(m map[string]any) { delete(m, "DeadLetterConfig") }},
		"one without a retry policy":   {event, func(m map[string]any) { delete(m, "RetryPolicy") }},
		"the sweep without":            {sweep, func(m map[string]any) { delete(m, "DeadLetterConfig") }},
		"the sweep tried as an event":  {sweep, func(m map[string]any) { m["RetryPolicy"] = targets(s.Resources[event])[0]["RetryPolicy"] }},
		"dead letters to its own goal": {event, func(m map[string]any) { m["DeadLetterConfig"] = map[string]any{"Arn": m["Arn"]} }},
	} {
		t.Run(name, func(t *testing.T) {
			planted := template{Resources: maps.Clone(s.Resources)}
			var copied resource
			raw, err := json.Marshal(s.Resources[row.rule])
			if err == nil {
				err = json.Unmarshal(raw, &copied)
			}
			if err != nil {
				t.Fatal(err)
			}
			row.spoil(targets(copied)[0])
			planted.Resources[row.rule] = copied
			if wrong := dropping(planted, dead); !slices.Equal(wrong, []string{row.rule}) {
				t.Errorf("found %v, want %s", wrong, row.rule)
			}
		})
	}
}

// EventBridge takes a standard queue only. Its policy is among those of
// TestOnlyTheRulesOfThisAccountSendToTheIngress.
func TestTheQueueForWhatCannotBeDelivered(t *testing.T) {
	s := whole(t)
	r := s.Resources[s.one(t, "AWS::SQS::Queue", "EventsQueueDead")]
	if r.get("FifoQueue") != nil || r.get("MessageRetentionPeriod") != 14*24*3600.0 || r.get("SqsManagedSseEnabled") != true || r.get("RedrivePolicy") != nil {
		t.Errorf("%v", r.Properties)
	}
	ingress := slices.DeleteFunc(s.all("AWS::SQS::QueuePolicy"), func(id string) bool { return !strings.Contains(id, "IngressQueuePolicy") })
	if p := s.Resources[s.one(t, "AWS::SQS::QueuePolicy", "EventsQueueDeadPolicy")]; len(ingress) != 1 || !slices.Equal(p.DependsOn, ingress) {
		t.Errorf("rules may send dead letters before they may send events: after %v, want %v", p.DependsOn, ingress)
	}
}
