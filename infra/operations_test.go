package infra

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// unexplained are the alarms of the deployment that the page of operations has
// no row for: who is woken by one must find it there by its name. What
// follows a / in a name is the stack's.
func unexplained(page string, alarms []string) []string {
	var missing []string
	for _, name := range alarms {
		name, _, _ = strings.Cut(name, "/")
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(name) + "` +\\|[^|]*[a-z][^|]*\\|[^|]*[a-z][^|]*\\|$")
		if !row.MatchString(page) {
			missing = append(missing, name)
		}
	}
	return missing
}

// obsolete are the alarms that the page explains and the deployment has not.
func obsolete(page string, alarms []string) []string {
	var old []string
	_, section, _ := strings.Cut(page, "\n## Alarms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` +\\|").FindAllStringSubmatch(section, -1) {
		if !slices.ContainsFunc(alarms, func(a string) bool { return a == row[1] || strings.HasPrefix(a, row[1]+"/") }) {
			old = append(old, row[1])
		}
	}
	return old
}

func TestAnAlarmWithoutItsRowIsFound(t *testing.T) {
	page := "## Other\n| `c` | x | y |\n## Alarms\n| alarm | means | do |\n| --- | --- | --- |\n| `a` | one | two |\n| `b` | | two |\n\nSee `d`.\n\n## More\n| `e` | x | y |\n"
	if got := unexplained("\n"+page, []string{"a/stack", "b", "d"}); !slices.Equal(got, []string{"b", "d"}) {
		t.Errorf("without a row, or with an empty one: %v", got)
	}
	if got := obsolete("\n"+page, []string{"a/stack"}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("explained for nothing: %v", got)
	}
}

// The sections are what somebody looks for at night: each link at the top leads
// to one.
func TestThePageOfOperationsLeadsSomewhere(t *testing.T) {
	raw, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page, anchors := string(raw), []string{}
	for _, h := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchor := strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")
		anchors = append(anchors, regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(anchor, ""))
	}
	for _, l := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(anchors, l[1]) {
			t.Errorf("no section #%s; there are %v", l[1], anchors)
		}
	}
	for _, must := range []string{"deploy", "upgrade", "roll-back", "observe-first", "pause", "alarms", "dead-letters", "delete-the-stack", "what-it-costs"} {
		if !slices.Contains(anchors, must) {
			t.Errorf("the section #%s is missing", must)
		}
	}
}

// told are the names of the alarms that an operator is told of.
func told(t *testing.T, s template) []string {
	t.Helper()
	topic := "<" + s.one(t, "AWS::SNS::Topic", "") + ">"
	var names []string
	for _, id := range s.all("AWS::CloudWatch::Alarm") {
		if r := s.Resources[id]; flat(r.get("AlarmActions")) == topic {
			names = append(names, flat(r.get("AlarmName")))
		}
	}
	return names
}

func TestThePageExplainsTheAlarmsOfTheDeployment(t *testing.T) {
	raw, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alarms := told(t, whole(t))
	if missing := unexplained(string(raw), alarms); len(missing) > 0 {
		t.Errorf("docs/operations.md does not say what to do on %v", missing)
	}
	if old := obsolete(string(raw), alarms); len(old) > 0 {
		t.Errorf("docs/operations.md explains %v, which the deployment has not", old)
	}
}

// miscounted says of what the command line, which prices a deployment without the
// CDK, counts another number than there is in the template.
func miscounted(source string, deployed map[string]int) []string {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(deployed)) {
		counted := regexp.MustCompile(`(?m)^\s*` + name + ` += (\d+)\b`).FindStringSubmatch(source)
		if len(counted) != 2 || counted[1] != strconv.Itoa(deployed[name]) {
			wrong = append(wrong, fmt.Sprintf("%s: counted %q, deployed %d", name, counted, deployed[name]))
		}
	}
	return wrong
}

func TestTheCostCountsWhatTheDeploymentHas(t *testing.T) {
	raw, err := os.ReadFile("../cmd/plimsoll/cost_bill.go")
	if err != nil {
		t.Fatal(err)
	}
	alarms := func(set policy.Set) int { return len(told(t, of(t, ControllerProps{Policies: set}))) }
	one, both := alarms(unregistered()[:1]), alarms(unregistered())
	reaching := alarms(testPolicies()[:1]) - one       // with endpoints
	second := alarms(testPolicies()) - both - reaching // of the second cluster with endpoints
	each := both - one
	deployed := map[string]int{
		"ownAlarms": one - each, "clusterAlarms": each, "registerAlarms": reaching - second, "endpointAlarms": second,
		"ownDashboards": len(whole(t).all("AWS::CloudWatch::Dashboard")),
	}
	for _, wrong := range miscounted(string(raw), deployed) {
		t.Error(wrong)
	}
	for name := range deployed { // and one more of each would be seen
		deployed[name]++
		if wrong := miscounted(string(raw), deployed); len(wrong) != 1 {
			t.Errorf("with one more of %s: %v", name, wrong)
		}
		deployed[name]--
	}
}
