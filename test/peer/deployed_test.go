package peer

import (
	"encoding/json"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// What a deployment of the test policy puts into an account, in the one place
// where all tests take it from.

// deployedRules are its rules on the event bus.
func deployedRules(t *testing.T) []rule {
	t.Helper()
	return patternRules(t, testScope(t))
}

// deployedRole is the policy document of a function's role.
func deployedRole(t *testing.T, name string) string {
	t.Helper()
	return document(t, functions()[name].actions)
}

// rule is one of EventBridge's, wherever it comes from: it has a pattern or a
// schedule.
type rule struct {
	name     string
	pattern  string // JSON
	schedule string
}

// patternRules are the rules that events.Patterns asks for, and the sweep.
func patternRules(t *testing.T, s events.Scope) []rule {
	t.Helper()
	all := []rule{{name: "sweep", schedule: events.SweepSchedule}}
	for _, p := range events.Patterns(s) {
		pattern, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rule{name: p.Name, pattern: string(pattern)})
	}
	return all
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
	return events.Scope{Clusters: []string{"arn:aws:ecs:" + region + ":" + account + ":cluster/" + clusterName}, Groups: []string{groupName}, AlarmPrefix: alarmPrefix(t)}
}
