package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// well is a service of which all tasks are as they should be, on hosts a and b.
func well(desired, minimum, maximum int) counted {
	half := desired / 2
	return counted{
		desired: desired, minimum: minimum, maximum: maximum, existing: desired, live: desired, fresh: desired, healthy: desired,
		on: map[string]placed{"a": {desired - half, desired - half}, "b": {half, half}},
	}
}

// but is the service with something else about it.
func (s counted) but(do func(*counted)) counted {
	do(&s)
	return s
}

func only(s counted) truth {
	instances := []simcloud.InstanceView{{ID: "i-a", State: "InService"}, {ID: "i-b", State: "InService"}, {ID: "i-c", State: "Pending"}}
	return truth{
		services: map[string]counted{"web": s}, hosts: map[string]string{"a": "i-a", "b": "i-b"}, draining: map[string]bool{},
		groups: map[string]simcloud.GroupView{"g": {Name: "g", Desired: 3, Instances: instances}},
	}
}

func TestWhatTakesTooMuchHealthAndWhatDoesNot(t *testing.T) {
	service := []cluster.Subject{"service/web"}
	draining := func(t truth, arn string) truth { t.draining[arn] = true; return t }
	for _, tt := range []struct {
		name   string
		t      truth
		change change
		wrong  string
	}{
		{"ten well tasks may become eight in one step", only(well(10, 75, 200)), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, ""},
		{"ten well tasks may become none", only(well(10, 100, 200)), change{verb: cluster.SetDesiredCount, subjects: service, to: 0}, ""},
		{"with seven of ten healthy, eight leaves five, and six are needed", only(well(10, 75, 200).but(func(s *counted) { s.healthy = 7 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, "leaves 5; 75 % of 8 are 6"},
		{"with eight of ten healthy, eight leaves just the six", only(well(10, 75, 200).but(func(s *counted) { s.healthy = 8 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, ""},
		{"a floor is rounded up: 75 % of 7 are 6", only(well(9, 75, 200).but(func(s *counted) { s.healthy = 7 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 7}, "75 % of 7 are 6"},
		{"below the floor, a count falls to what there is: nothing is taken", only(well(10, 100, 200).but(func(s *counted) { s.healthy, s.live, s.fresh = 3, 3, 3 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 4}, ""},
		{"a raise takes nothing, however ill the service", only(well(10, 100, 200).but(func(s *counted) { s.healthy = 0 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 11}, ""},
		{"tasks beyond the count that are not stopped yet go too", only(well(10, 100, 200).but(func(s *counted) { s.desired, s.healthy = 6, 5 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 5}, "may take 5"},
		{"in a deployment no more go than the count falls by", only(well(10, 50, 200).but(func(s *counted) { s.live, s.fresh, s.deploying, s.healthy = 14, 14, true, 7 })), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, ""},
		{"an empty host is drained", only(well(4, 100, 200)), change{verb: cluster.DrainHost, hosts: []string{"c"}}, ""},
		{"a host with two of four is drained where half may go", only(well(4, 50, 200)), change{verb: cluster.DrainHost, hosts: []string{"b"}}, ""},
		{"a host with two of four is not where three must stay", only(well(4, 75, 200)), change{verb: cluster.DrainHost, hosts: []string{"b"}}, "takes 2, which leaves 2; 75 % of 4 are 3"},
		{"two hosts in one call take the tasks of both", only(well(4, 50, 200)), change{verb: cluster.DrainHost, hosts: []string{"a", "b"}}, "takes 4"},
		{"what is drained already is not taken again", draining(only(well(4, 75, 200)), "b"), change{verb: cluster.DrainHost, hosts: []string{"b"}}, ""},
		{"but what another draining host has is as good as gone", draining(only(well(4, 50, 200)), "a"), change{verb: cluster.DrainHost, hosts: []string{"b"}}, "2 of them leaving already"},
		{"a draining host may not be terminated with what must stay on it", draining(only(well(4, 75, 200)), "b"), change{verb: cluster.TerminateHost, hosts: []string{"b"}}, "terminating 1 host(s) takes 2"},
		{"the group may choose the fullest host", only(well(5, 50, 200)), change{verb: setDesiredCapacity, group: "g", to: 2}, "takes 3, which leaves 2"},
		{"the group may choose where half may go", only(well(4, 50, 200)), change{verb: setDesiredCapacity, group: "g", to: 2}, ""},
		{"a group that grows takes nothing", only(well(4, 100, 200)), change{verb: setDesiredCapacity, group: "g", to: 4}, ""},
		{"a launch takes nothing", only(well(4, 100, 200)), change{verb: cluster.LaunchHosts, group: "g", more: 1}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { says(t, tt.change.takesHealth(tt.t), tt.wrong) })
	}
}

// says fails unless a sentence holds a part; an empty part means no sentence.
func says(t *testing.T, sentence, part string) {
	t.Helper()
	if (sentence == "") != (part == "") || !strings.Contains(sentence, part) {
		t.Errorf("said %q, want %q", sentence, part)
	}
}

func TestWhatStartsTooMuchAndWhatDoesNot(t *testing.T) {
	service := []cluster.Subject{"service/web"}
	for _, tt := range []struct {
		name   string
		s      counted
		change change
		wrong  string
	}{
		{"four become eight where nothing stops", well(4, 100, 100), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, ""},
		{"with one that stops, eight are nine", well(4, 100, 100).but(func(s *counted) { s.existing = 5 }), change{verb: cluster.SetDesiredCount, subjects: service, to: 8}, "starts 4, which makes 9; 100 % of 8 are 8"},
		{"a ceiling is rounded down: 150 % of 5 are 7", well(4, 100, 150).but(func(s *counted) { s.existing = 7 }), change{verb: cluster.SetDesiredCount, subjects: service, to: 5}, "which makes 8; 150 % of 5 are 7"},
		{"seven are within them", well(4, 100, 150).but(func(s *counted) { s.existing = 6 }), change{verb: cluster.SetDesiredCount, subjects: service, to: 5}, ""},
		{"what is still missing starts as well", well(4, 100, 100).but(func(s *counted) { s.fresh, s.live = 3, 3 }), change{verb: cluster.SetDesiredCount, subjects: service, to: 5}, "starts 2, which makes 6"},
		{"above the ceiling a count may fall", well(4, 100, 100).but(func(s *counted) { s.existing = 9 }), change{verb: cluster.SetDesiredCount, subjects: service, to: 3}, ""},
		{"draining has ECS start what is there once more", well(4, 0, 125), change{verb: cluster.DrainHost, hosts: []string{"b"}}, "replace 2, which makes 6; 125 % of 4 are 5"},
		{"within the ceiling it may", well(4, 0, 150), change{verb: cluster.DrainHost, hosts: []string{"b"}}, ""},
		{"of an empty host it starts nothing", well(4, 0, 100), change{verb: cluster.DrainHost, hosts: []string{"c"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { says(t, tt.change.exceeds(only(tt.s)), tt.wrong) })
	}
}

// In every small case: a count that the monitor lets pass keeps health and number
// within the percents whichever tasks ECS picks, and one that it does not, does not.
func TestEverySmallCaseOfACount(t *testing.T) {
	for _, percent := range [][2]int{{0, 100}, {50, 100}, {75, 150}, {100, 100}, {100, 200}, {33, 110}} {
		for n := range 9 * 9 * 9 * 9 {
			desired, to, healthy, stopping := n%9, n/9%9, n/81%9, n/729
			if healthy > desired {
				continue
			}
			s := well(desired, percent[0], percent[1]).but(func(s *counted) { s.healthy = healthy; s.existing += stopping })
			left := healthy
			for range desired - to { // the worst pick: a healthy one while there is one
				left = max(0, left-1)
			}
			harms := to < desired && left < healthy && 100*left < percent[0]*to
			if got := lowered(s, to) != ""; got != harms {
				t.Fatalf("%+v to %d: harms %t, told %t", s, to, harms, got)
			}
			bursts := to > desired && 100*(desired+stopping+to-desired) > percent[1]*to
			if got := raised(s, to) != ""; got != bursts {
				t.Fatalf("%+v to %d: bursts %t, told %t", s, to, bursts, got)
			}
		}
	}
}

func TestABoundMayOnlyBeComeNearer(t *testing.T) {
	for _, tt := range []struct {
		name       string
		before, to int
		wrong      string
	}{
		{"within", 4, 10, ""},
		{"to the minimum", 4, 2, ""},
		{"below the minimum", 4, 1, "below the policy's minimum of 2"},
		{"up from below, and still below", 0, 1, ""},
		{"further down below", 1, 0, "below"},
		{"above the maximum", 4, 11, "above the policy's maximum of 10"},
		{"down from above, and still above", 15, 12, ""},
		{"further up above", 11, 12, "above"},
	} {
		t.Run(tt.name, func(t *testing.T) { says(t, unbounded("the count", tt.before, tt.to, 2, 10), tt.wrong) })
	}
}

func TestOutsideIsWhatThePolicyDoesNotBound(t *testing.T) {
	m := newMonitors(policy.Policy{Cluster: "prod", Hosts: []policy.HostGroup{{Group: "g", Min: 3, Max: 4}}, Services: map[string]policy.Service{"web": {}}})
	for _, tt := range []struct {
		name   string
		change change
		wrong  string
	}{
		{"a count that the policy leaves alone", change{verb: cluster.SetDesiredCount, subjects: []cluster.Subject{"service/web"}, to: 4}, "leaves the count of service web alone"},
		{"a host more", change{verb: cluster.LaunchHosts, group: "g", more: 1}, ""},
		{"two hosts more", change{verb: cluster.LaunchHosts, group: "g", more: 2}, "from 3 to 5, above"},
		{"a host less", change{verb: cluster.TerminateHost, group: "g", decrement: true}, "from 3 to 2, below"},
		{"another host in its place", change{verb: cluster.TerminateHost, group: "g"}, ""},
		{"a capacity within", change{verb: setDesiredCapacity, group: "g", to: 4}, ""},
		{"a capacity without", change{verb: setDesiredCapacity, group: "g", to: 0}, "from 3 to 0, below"},
		{"a host that is wanted after all", change{verb: cluster.ActivateHost, hosts: []string{"a"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) { says(t, m.outside(tt.change)(only(well(4, 100, 200))), tt.wrong) })
	}
}

func str(s string) ddb.AttributeValue { return &ddb.AttributeValueMemberS{Value: s} }
func num(n int64) ddb.AttributeValue  { return &ddb.AttributeValueMemberN{Value: fmt.Sprint(n)} }

func TestAnIntentIsTheRecordOfOneCall(t *testing.T) {
	const decision = `{"subject":"service/web","reason":"Scaled"}`
	intent := func(verb, subject string, from, to int, rest string) string {
		return fmt.Sprintf(`{"id":"k#1#0","verb":%q,"subject":%q,"from":%d,"to":%d%s}`, verb, subject, from, to, rest)
	}
	count := change{verb: cluster.SetDesiredCount, to: 5}
	for _, tt := range []struct {
		name             string
		change           change
		subject          cluster.Subject
		intent, decision string
		noted, used      bool
		wrong            string
	}{
		{"as it should be", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, ""), decision, true, false, ""},
		{"to another count", count, "service/web", intent("SetDesiredCount", "service/web", 3, 6, ""), decision, true, false, "none of the 1 open intents"},
		{"of another service", count, "service/web", intent("SetDesiredCount", "service/api", 3, 5, ""), decision, true, false, "none of the 1"},
		{"of another kind", count, "service/web", intent("DrainHost", "service/web", 3, 5, ""), decision, true, false, "none of the 1"},
		{"of an earlier round", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, ""), decision, false, false, "not written by this invocation"},
		{"used before", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, ""), decision, true, true, "that of an earlier call"},
		{"ended before", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, `,"outcome":"skipped"`), decision, true, false, "has the outcome skipped already"},
		{"without a decision", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, ""), "", true, false, "no decision beside it"},
		{"with an empty decision", count, "service/web", intent("SetDesiredCount", "service/web", 3, 5, ""), `{"subject":"","reason":""}`, true, false, "no decision beside it"},
		{"that cannot be read", count, "service/web", "{", decision, true, false, "none of the 1"},
		{"of a launch", change{verb: cluster.LaunchHosts, more: 2, zone: "a"}, "group/g", intent("LaunchHosts", "group/g", 3, 5, `,"zone":"a"`), decision, true, false, ""},
		{"of a launch in another zone", change{verb: cluster.LaunchHosts, more: 2, zone: "a"}, "group/g", intent("LaunchHosts", "group/g", 3, 5, `,"zone":"b"`), decision, true, false, "none of the 1"},
		{"of a launch of fewer", change{verb: cluster.LaunchHosts, more: 3, zone: "a"}, "group/g", intent("LaunchHosts", "group/g", 3, 5, `,"zone":"a"`), decision, true, false, "none of the 1"},
		{"of a launch that capacity is set for", change{verb: setDesiredCapacity, to: 5}, "group/g", intent("LaunchHosts", "group/g", 3, 5, `,"zone":"a"`), decision, true, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger()
			l.noted["now#open#k#1#0"], l.used["now#open#k#1#0"] = tt.noted, tt.used
			open := []item{{"sk": str("now#open#k#1#0"), "intent": str(tt.intent), "decision": str(tt.decision)}}
			_, wrong := l.find(open, tt.change, tt.subject)
			says(t, wrong, tt.wrong)
		})
	}
}

func TestWhoseLeaseItIs(t *testing.T) {
	at := time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)
	until := num(at.Add(time.Minute).UnixMilli())
	for _, tt := range []struct {
		name  string
		lease item
		wrong string
	}{
		{"mine", item{"holder": str("me"), "fence": num(7), "until": until}, ""},
		{"there is none", nil, "nobody holds the lease"},
		{"nobody's", item{"fence": num(7), "until": until}, "nobody holds"},
		{"another's", item{"holder": str("you"), "fence": num(8), "until": until}, "held by you, another message"},
		{"another invocation's of the same message", item{"holder": str("me"), "fence": num(8), "until": until}, "fence is 8 and was 7"},
		{"over this very moment", item{"holder": str("me"), "fence": num(7), "until": num(at.UnixMilli())}, "was over at 2026-08-03 12:00:00.000"},
		{"as much left as a call's timeout asks for", item{"holder": str("me"), "fence": num(7), "until": num(at.Add(leaseLeft).UnixMilli())}, ""},
		{"less left than that", item{"holder": str("me"), "fence": num(7), "until": num(at.Add(leaseLeft).UnixMilli() - 1)}, "ends 4.749s later"},
		{"without an end", item{"holder": str("me"), "fence": num(7)}, "was over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := ledger{holders: map[string]bool{"me": true}, fence: "7"}
			says(t, l.unleased(tt.lease, at), tt.wrong)
		})
	}
}

func TestWhoseTurnIsOverDoesNotComeAgain(t *testing.T) {
	var turns turns
	for n, tt := range []struct {
		id    int
		again bool
	}{{1, false}, {1, false}, {2, false}, {1, true}, {2, true}, {3, false}, {3, false}} {
		if _, again := turns.take(tt.id); again != tt.again {
			t.Errorf("call %d, of %d: again %t", n, tt.id, again)
		}
	}
}

func TestTheFloorIsOfTheLowestCountSinceTheServiceWasWhole(t *testing.T) {
	f := floors{lowest: map[string]int{}}
	for n, tt := range []struct {
		what             string
		desired, healthy int
		below            bool
	}{
		{"coming up: it has lost nothing yet", 4, 1, false},
		{"nor while more is wanted of it", 8, 3, false},
		{"whole", 4, 4, false},
		{"one of four is lost, and three must stay", 4, 3, false},
		{"two are lost", 4, 2, true},
		{"the count rises: the floor does not", 20, 3, false},
		{"not until the service is whole", 20, 19, false},
		{"whole again", 20, 20, false},
		{"now 15 must stay", 20, 14, true},
		{"a lower count is a lower floor", 10, 8, false},
		{"and stays so while it rises again", 20, 8, false},
	} {
		if got := f.sample("web", counted{desired: tt.desired, healthy: tt.healthy, minimum: 75}); got != tt.below {
			t.Errorf("%d, %s: below %t", n, tt.what, got)
		}
	}
}

func TestWhenAMetricNoLongerSpeaks(t *testing.T) {
	says(t, agedSince("web/cpu", 5*time.Minute, time.Minute), "")
	says(t, agedSince("web/cpu", 5*time.Minute+time.Second, time.Minute), "longer ago than 5m0s")
	says(t, agedSince("web/cpu", 3*time.Minute, 20*time.Second), "")
	says(t, agedSince("web/cpu", 4*time.Minute, 20*time.Second), "ended 4m0s before")
}

func TestWhatTakesAwayAndFromWhom(t *testing.T) {
	all := only(well(4, 100, 200))
	for _, tt := range []struct {
		name   string
		change change
		takes  bool
		from   int // services
	}{
		{"a lower count", change{verb: cluster.SetDesiredCount, subjects: []cluster.Subject{"service/web"}, to: 3}, true, 1},
		{"a higher count", change{verb: cluster.SetDesiredCount, subjects: []cluster.Subject{"service/web"}, to: 5}, false, 1},
		{"the draining of a busy host", change{verb: cluster.DrainHost, hosts: []string{"a"}}, true, 1},
		{"the end of an empty host", change{verb: cluster.TerminateHost, hosts: []string{"c"}}, true, 0},
		{"a lower capacity", change{verb: setDesiredCapacity, group: "g", to: 2}, true, 1},
		{"a launch", change{verb: cluster.LaunchHosts, group: "g", more: 1}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.change.scalesIn(all); got != tt.takes || len(tt.change.concerned(all)) != tt.from {
				t.Errorf("takes %t, from %v", got, tt.change.concerned(all))
			}
		})
	}
}

func TestAListOfViolationsIsCappedAndTheyAreCounted(t *testing.T) {
	m := newMonitors(policy.Policy{})
	for n := range listed + 7 {
		m.record(Violation{Promise: []string{"S1", "S4"}[n%2]})
	}
	if got := m.more(); len(m.violations) != listed || got != "107 violations in all, of which 100 are listed: S1 54 times, S4 53 times" {
		t.Errorf("%d listed, %q", len(m.violations), got)
	}
}

// A stale read may have shown any state of the stretch that justifies a change;
// what died before that without a sign counts as well.
func TestAStretchBeginsWhereAHarmMayLie(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 8, 3, 0, 0, s, 0, time.UTC) }
	states := func(healthy ...[2]int) []state { // shown, real; two are needed
		var all []state
		for n, h := range healthy {
			all = append(all, state{at: at(n), shown: truth{services: map[string]counted{"web": {healthy: h[0]}}}, real: truth{services: map[string]counted{"web": {healthy: h[1]}}}})
		}
		return all
	}
	wrong := func(x truth) string {
		if x.services["web"].healthy < 2 {
			return "too few"
		}
		return ""
	}
	for _, tt := range []struct {
		name   string
		states []state
		want   time.Time
	}{
		{"one state", states([2]int{2, 2}), at(0)},
		{"all of them", states([2]int{3, 3}, [2]int{2, 2}, [2]int{2, 2}), at(0)},
		{"since it was wrong", states([2]int{3, 3}, [2]int{1, 1}, [2]int{2, 2}, [2]int{2, 2}), at(2)},
		{"something had died when it began", states([2]int{1, 1}, [2]int{2, 1}, [2]int{2, 2}), at(1).Add(-hiddenFor)},
	} {
		if got := stretch(tt.states, wrong); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, clock(got), clock(tt.want))
		}
	}
}
