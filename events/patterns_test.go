package events

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// ours is the scope to which the samples belong.
func ours() Scope {
	return Scope{Clusters: []string{ecsPrefix + "cluster/orders"}, Groups: []string{"orders-hosts"}, AlarmPrefix: "orders-"}
}

// matches is as much of EventBridge as Patterns uses: every field of the pattern
// is in the event, with one of the pattern's values; of an array, one element.
func matches(t testing.TB, pattern, event map[string]any) bool {
	t.Helper()
	if len(pattern) == 0 {
		t.Fatal("EventBridge refuses a pattern without a field")
	}
	for name, want := range pattern {
		if inner, ok := want.(map[string]any); ok {
			detail, _ := event[name].(map[string]any)
			if !matches(t, inner, detail) {
				return false
			}
			continue
		}
		allowed, ok := want.([]any)
		if !ok || len(allowed) == 0 {
			t.Fatalf("EventBridge refuses %q: %v", name, want)
		}
		found, isList := event[name].([]any)
		if !isList {
			found = []any{event[name]}
		}
		if !slices.ContainsFunc(found, func(v any) bool { return slices.ContainsFunc(allowed, func(a any) bool { return matchesOne(t, a, v) }) }) {
			return false
		}
	}
	return true
}

func matchesOne(t testing.TB, allowed, v any) bool {
	t.Helper()
	filter, ok := allowed.(map[string]any)
	if !ok {
		return allowed == v
	}
	begin, ok := filter["prefix"].(string)
	if !ok || len(filter) != 1 {
		t.Fatalf("a filter that this matcher does not know: %v", filter)
	}
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, begin)
}

func asObject(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// matching returns the names of the scope's patterns that match the event.
func matching(t testing.TB, s Scope, raw []byte) []string {
	t.Helper()
	event := asObject(t, raw)
	var all []string
	for _, p := range Patterns(s) {
		if matches(t, asObject(t, marshal(t, p)), event) {
			all = append(all, p.Name)
		}
	}
	return all
}

// wanted returns the pattern that must match a sample, empty for none.
func wanted(name string) string {
	for begin, pattern := range map[string]string{
		"ecs-task-":                             "tasks",
		"ecs-container-instance-":               "hosts",
		"ecs-service-action-":                   "services",
		"ecs-deployment-":                       "deployments",
		"asg-":                                  "groups",
		"ec2-rebalance-recommendation":          "notices",
		"ec2-spot-interruption-warning":         "notices",
		"ec2-instance-state-change":             "", // running: its registration and its group tell
		"cloudwatch-alarm-metric":               "alarms",
		"cloudwatch-alarm-composite":            "alarms",
		"cloudwatch-alarm-lambda-action-direct": "", // does not come by EventBridge
		"scheduled-event":                       "", // its rule has a schedule
		"plimsoll-look-again":                   "", // is sent to the queue itself
		"cloudtrail-":                           "", // no use yet
		"ssm-":                                  "", // no use yet
	} {
		if strings.HasPrefix(name, begin) {
			return pattern
		}
	}
	return "a sample that this test does not know"
}

func TestEverySampleIsMatchedByItsPatternAlone(t *testing.T) {
	for _, name := range samples(t) {
		var want []string
		if w := wanted(name); w != "" {
			want = []string{w}
		}
		if got := matching(t, ours(), sample(t, name)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: matched by %v, want %v", name, got, want)
		}
	}
}

func TestHostsThatEndAreHeardOfAndStartingOnesNot(t *testing.T) {
	running := string(sample(t, "ec2-instance-state-change.json"))
	for state, want := range map[string]int{"pending": 0, "running": 0, "stopping": 1, "stopped": 1, "shutting-down": 1, "terminated": 1} {
		if got := matching(t, ours(), []byte(strings.Replace(running, `"running"`, `"`+state+`"`, 1))); len(got) != want {
			t.Errorf("%s: matched by %v, want %d", state, got, want)
		}
	}
}

func TestForeignEventsMatchNothingButTheAccountWideRules(t *testing.T) {
	tests := []struct {
		name string
		s    Scope
	}{
		{"names of ours that begin like theirs", Scope{Clusters: []string{ecsPrefix + "cluster/orders-eu"}, Groups: []string{"orders-hosts-2"}, AlarmPrefix: "orders-eu-"}},
		{"names of ours with which theirs begin", Scope{Clusters: []string{ecsPrefix + "cluster/order"}, Groups: []string{"orders"}, AlarmPrefix: "order-"}},
		{"another region", Scope{Clusters: []string{strings.Replace(ecsPrefix, "eu-west-1", "us-east-1", 1) + "cluster/orders"}, Groups: []string{"o"}, AlarmPrefix: "o-"}},
		{"another account", Scope{Clusters: []string{strings.Replace(ecsPrefix, "1111", "9999", 1) + "cluster/orders"}, Groups: []string{"o"}, AlarmPrefix: "o-"}},
	}
	for _, tt := range tests {
		for _, name := range samples(t) {
			for _, got := range matching(t, tt.s, sample(t, name)) {
				if got != "notices" && got != "endings" {
					t.Errorf("%s: %s is matched by %s", tt.name, name, got)
				}
			}
		}
	}
}

func TestWhatTheScopeLacksGetsNoRule(t *testing.T) {
	tests := []struct {
		name string
		s    Scope
		want []string
	}{
		{"nothing", Scope{}, nil},
		{"clusters alone", Scope{Clusters: ours().Clusters}, []string{"tasks", "hosts", "services", "deployments"}},
		{"groups alone", Scope{Groups: ours().Groups}, []string{"groups", "notices", "endings"}},
		{"alarms alone", Scope{AlarmPrefix: "x"}, []string{"alarms"}},
		{"one group named twice", Scope{Groups: []string{"a", "a"}}, []string{"groups", "notices", "endings"}},
		{"everything", ours(), []string{"tasks", "hosts", "services", "deployments", "alarms", "groups", "notices", "endings"}},
	}
	for _, tt := range tests {
		var got []string
		for _, p := range Patterns(tt.s) {
			got = append(got, p.Name)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestOnePatternInFull(t *testing.T) {
	p := Patterns(ours())[3]
	want := `{"source":["aws.ecs"],"detail-type":["ECS Deployment State Change"],"resources":[{"prefix":"` + ecsPrefix + `service/orders/"}]}`
	if got := string(marshal(t, p)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestPatternsOfEveryLengthOfName walks names of every length, of plain
// characters and of one that JSON writes as six, twenty of each and each named
// twice: random names are seldom long enough to fill a pattern.
func TestPatternsOfEveryLengthOfName(t *testing.T) {
	longest := 0
	for length := 2; length <= 255; length++ {
		for _, fill := range []string{"x", "<"} {
			s := Scope{AlarmPrefix: strings.Repeat(fill, length)}
			for i := range 20 {
				name := strings.Repeat(fill, length-2) + fmt.Sprintf("%02d", i)
				s.Groups = append(s.Groups, name, name)
				arn := "arn:aws-us-gov:ecs:ap-southeast-1:111122223333:cluster/" + strings.ReplaceAll(name, "<", "y")
				s.Clusters = append(s.Clusters, arn, arn)
			}
			listed := map[string]int{}
			for _, p := range Patterns(s) {
				raw := marshal(t, p)
				longest = max(longest, len(raw))
				if len(raw) >= 2048 {
					t.Fatalf("%s has %d characters with names of %d %q", p.Name, len(raw), length, fill)
				}
				for _, v := range append(p.Detail["AutoScalingGroupName"], p.Resources...) {
					listed[fmt.Sprint(v)]++
				}
			}
			for v, n := range listed {
				if n != 1 || len(listed) != 40 {
					t.Fatalf("names of %d %q: %s is listed %d times, %d values in all, want 40 once each", length, fill, v, n, len(listed))
				}
			}
		}
	}
	t.Logf("the longest has %d characters", longest)
}

// TestPatternsOfAnyScope draws scopes of up to 40 clusters and groups with names
// of up to 255 characters. Each pattern is one that EventBridge takes, an event
// of each cluster and group is matched once, and the order does not matter.
func TestPatternsOfAnyScope(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := Scope{
			Clusters:    rapid.SliceOfN(rapid.StringMatching(`arn:aws:ecs:eu-west-1:111122223333:cluster/[a-zA-Z0-9_-]{1,255}`), 0, 40).Draw(r, "clusters"),
			Groups:      rapid.SliceOfN(rapid.StringMatching(`[!-9;-~]{1,255}`), 0, 40).Draw(r, "groups"),
			AlarmPrefix: rapid.StringMatching(`[ -~]{0,200}`).Draw(r, "prefix"),
		}
		all := Patterns(s)
		checkRules(t, r, all)
		turned := Scope{Clusters: reversed(s.Clusters), Groups: reversed(s.Groups), AlarmPrefix: s.AlarmPrefix}
		if other := Patterns(turned); !reflect.DeepEqual(all, other) {
			r.Fatalf("another order gives other patterns:\n%v\n%v", all, other)
		}
		for _, c := range s.Clusters {
			task := fmt.Appendf(nil, `{"source":"aws.ecs","detail-type":"ECS Task State Change","detail":{"clusterArn":%q}}`, c)
			once(t, r, all, task, "tasks")
			service := strings.Replace(c, ":cluster/", ":service/", 1) + "/api"
			once(t, r, all, fmt.Appendf(nil, `{"source":"aws.ecs","detail-type":"ECS Deployment State Change","resources":[%q]}`, service), "deployments")
		}
		for _, g := range s.Groups {
			name := marshal(t, g)
			once(t, r, all, fmt.Appendf(nil, `{"source":"aws.autoscaling","detail-type":"EC2 Instance Launch Successful","detail":{"AutoScalingGroupName":%s}}`, name), "groups")
		}
	})
}

func reversed(list []string) []string {
	turned := slices.Clone(list)
	slices.Reverse(turned)
	return turned
}

// checkRules holds names to be unique and patterns to EventBridge's length.
func checkRules(t testing.TB, r *rapid.T, all []Pattern) {
	seen := map[string]bool{}
	for _, p := range all {
		if raw := marshal(t, p); utf8.RuneCount(raw) >= 2048 {
			r.Fatalf("%s has %d characters: %s", p.Name, utf8.RuneCount(raw), raw)
		}
		if seen[p.Name] || p.Why == "" || strings.Contains(p.Why, "\n") {
			r.Fatalf("%q: twice, or why is no line: %q", p.Name, p.Why)
		}
		seen[p.Name] = true
	}
}

// once holds the event to be matched by one pattern, of the name or a numbered one.
func once(t testing.TB, r *rapid.T, all []Pattern, event []byte, name string) {
	var got []string
	for _, p := range all {
		if matches(t, asObject(t, marshal(t, p)), asObject(t, event)) {
			got = append(got, p.Name)
		}
	}
	if len(got) != 1 || !strings.HasPrefix(got[0], name) {
		r.Fatalf("%s is matched by %v, want one of %s", event, got, name)
	}
}
