package peer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// What a deployment of the test policy puts into an account, in the one place
// where all tests take it from.

// deployedRules are its rules on the event bus: those of the template, in the
// order and by the names of events.Patterns, and first the sweep.
func deployedRules(t *testing.T) []rule {
	t.Helper()
	found := map[string]rule{}
	for _, r := range made(t, "AWS::Events::Rule") {
		if every, is := r.Properties["ScheduleExpression"].(string); is {
			found["sweep"] = rule{name: "sweep", schedule: every}
			continue
		}
		pattern, err := json.Marshal(r.Properties["EventPattern"])
		if err != nil {
			t.Fatal(err)
		}
		found[fmt.Sprint(r.Properties["Description"])] = rule{pattern: string(pattern)}
	}
	all := []rule{found["sweep"]}
	delete(found, "sweep")
	for _, p := range events.Patterns(testScope(t)) {
		r := found[p.Why]
		r.name = p.Name
		all = append(all, r)
		delete(found, p.Why)
	}
	if len(found) > 0 || all[0].schedule == "" {
		t.Fatalf("the template has rules that nobody asks for, or no sweep: %v", found)
	}
	return all
}

// deployedRole is the policy document of a function's role: the template's, for
// every resource and without conditions, since moto looks at actions only.
func deployedRole(t *testing.T, name string) string {
	t.Helper()
	var actions []string
	for _, r := range made(t, "AWS::IAM::Policy") {
		if !strings.HasPrefix(fmt.Sprint(r.Properties["Roles"]), "[Controller"+strings.ToUpper(name[:1])+name[1:]) {
			continue
		}
		for _, s := range r.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
			switch of := s.(map[string]any)["Action"].(type) {
			case string:
				actions = append(actions, of)
			case []any:
				for _, a := range of {
					actions = append(actions, a.(string))
				}
			}
		}
	}
	slices.Sort(actions)
	return document(t, slices.Compact(actions))
}

// rule is one of EventBridge's, wherever it comes from: it has a pattern or a
// schedule.
type rule struct {
	name     string
	pattern  string // JSON
	schedule string
}

// testPolicy is what the rules, the samples and the rounds here are about.
func testPolicy() policy.Policy {
	return policy.Policy{
		Version: policy.Version, Cluster: clusterName, Hosts: []policy.HostGroup{{Group: groupName, Min: 1, Max: 9}},
		Services: map[string]policy.Service{
			"api": {Tasks: &policy.Tasks{Min: 1, Max: 9}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
		},
	}.Defaulted()
}

func testScope(t *testing.T) events.Scope {
	t.Helper()
	return events.Scope{Clusters: []string{"arn:aws:ecs:" + region + ":" + account + ":cluster/" + clusterName}, Groups: []string{groupName}, AlarmPrefix: policy.AlarmPrefix}
}
