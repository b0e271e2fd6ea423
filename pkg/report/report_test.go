package report

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

var update = flag.Bool("update", false, "write the golden files anew")

// made is a scenario and a result that nobody simulated: a wave of so many
// hours.
func made(hours int) (scenario.Scenario, scenario.Result) {
	start := time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC)
	s := scenario.Scenario{
		Name: "wave", Title: "A wave", Start: start, Length: policy.Duration{Duration: time.Duration(hours) * time.Hour},
		Services: []scenario.Service{{Name: "web", CPU: 256, Memory: 512}, {Name: "a-service-with-a-long-name", CPU: 512, Memory: 1024}},
	}
	r := scenario.Result{
		Scenario: "wave", Seed: 7, TraceHash: "0123456789abcdef", Hours: float64(hours), Requests: 12345678, UnservedPercent: 0.004, SecondsBelowFloor: 214,
		WaitP50: 4.2, WaitP95: 71, HostHours: 38.2, Cost: 3.67, HostsLaunched: 9, MaxHosts: 11, APICalls: map[string]int{"ecs:DescribeServices": 1200, "ecs:UpdateService": 34}, Rounds: 600,
		Expectations: []scenario.Held{
			{Name: "hosts rise for lunch", Held: true, Detail: "hosts 7, at least 6"},
			{Name: "hosts fall at night", Detail: "hosts 7, at most 4"},
			{Name: "hosts rise at noon", LeftOut: true, Detail: "names a time of the day, and a trace replaced the day"},
		},
		Violations: []scenario.Violation{{Promise: "S1", At: start.Add(90 * time.Minute), Subject: "service/web", Detail: "2 tasks were healthy, the floor is 3", Invocation: 12}},
	}
	for m := 0; m <= hours*60; m++ {
		r.Samples = append(r.Samples, sample(start.Add(time.Duration(m)*time.Minute), m, hours*60))
	}
	r.History = history(start)
	return s, r
}

// sample rises to the middle of the run and falls again.
func sample(at time.Time, m, all int) scenario.Sample {
	high := min(m, all-m) * 20 / all // 0 to 10
	x := scenario.Sample{At: at, Hosts: 1 + high, Starting: m % 2, Services: []scenario.ServiceSample{
		{Desired: 2 + 3*high, Running: 2 + 3*high - m%50/49, Rate: float64(100 + 130*high)}, {Desired: 1, Running: 1},
	}}
	for n := range x.Hosts {
		h := scenario.HostSample{ID: fmt.Sprint("i-", n), Draining: n == 3, Tasks: []int{3, 1 - n%2}, Offered: cluster.Resources{CPU: 2048, Memory: 7764}}
		h.Reserved = cluster.Resources{CPU: 3*256 + (1-n%2)*512, Memory: 3*512 + (1-n%2)*1024}
		x.Each, x.Offered, x.Reserved = append(x.Each, h), x.Offered.Add(h.Offered), x.Reserved.Add(h.Reserved)
	}
	return x
}

func history(start time.Time) []scenario.Record {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	web, hosts, host := cluster.ServiceSubject("web"), cluster.GroupSubject("hosts"), cluster.HostSubject("i-0a1")
	decided := func(d, until time.Duration, times int, x plan.Decision) scenario.Record {
		return scenario.Record{At: at(d), Until: at(until), Count: times, Decision: &x}
	}
	meant := func(d time.Duration, i cluster.Intent) scenario.Record {
		i.At = at(d)
		return scenario.Record{At: i.At, Intent: &i}
	}
	rise := 30 * time.Minute
	return []scenario.Record{
		decided(0, 2*time.Minute, 3, plan.Decision{Subject: web, From: 2, To: 2, Reason: plan.MetricMissing}),
		decided(5*time.Minute, 20*time.Minute, 6, plan.Decision{Subject: web, From: 2, To: 2, Reason: plan.WithinTolerance, Numbers: []plan.Number{{Name: "cpu", Value: 61}, {Name: "target", Value: 60}}}),
		decided(21*time.Minute, 21*time.Minute, 1, plan.Decision{Subject: web, From: 2, To: 2, Reason: plan.WithinTolerance, Numbers: []plan.Number{{Name: "cpu", Value: 62}, {Name: "target", Value: 60}}}),
		decided(rise, rise, 1, plan.Decision{Subject: web, From: 2, To: 5, Reason: plan.AboveTarget, Numbers: []plan.Number{{Name: "cpu", Value: 98.5432}, {Name: "target", Value: 60}, {Name: "wanted", Value: 8}, {Name: "waitedSeconds", Value: 140}}}),
		decided(rise, rise, 1, plan.Decision{Subject: hosts, From: 1, To: 2, Reason: plan.TasksUnplaced, Numbers: []plan.Number{{Name: "hosts", Value: 1}, {Name: "unplaced", Value: 3}}}),
		meant(rise+300*time.Nanosecond, cluster.Intent{Change: cluster.Change{Verb: cluster.SetDesiredCount, Subject: web, From: 2, To: 5}, Outcome: cluster.OutcomeShown}),
		meant(rise+300*time.Nanosecond, cluster.Intent{Change: cluster.Change{Verb: cluster.LaunchHosts, Subject: hosts, From: 1, To: 2, Zone: "eu-west-1a"}, Outcome: cluster.OutcomeApplied, Instances: []string{"i-0a1"}}),
		decided(31*time.Minute, 31*time.Minute, 1, plan.Decision{Subject: web, From: 5, To: 5, Reason: plan.WaitingForHosts, Numbers: []plan.Number{{Name: "wanted", Value: 8}}}),
		decided(50*time.Minute, 50*time.Minute, 1, plan.Decision{Subject: host, From: 1, To: 0, Reason: plan.HostEmpty, Numbers: []plan.Number{{Name: "emptySeconds", Value: 60}}}),
		meant(50*time.Minute, cluster.Intent{Change: cluster.Change{Verb: cluster.DrainHost, Subject: host, From: 1}, Outcome: cluster.OutcomeRefused, Detail: "AccessDenied"}),
	}
}

// everything is each text that this package writes for people.
func everything(p Page, hours int) map[string]string {
	s, r := made(hours)
	after := r.Samples[0].At
	return map[string]string{
		"picture": p.Picture(s, r), "summary": p.Summary(s, r), "verdict": p.Verdict(r),
		"live": p.Live(s, r.Samples[:len(r.Samples)/2]), "line": p.Line(s, r.Samples[len(r.Samples)/2]) + "\n",
		"explain": p.Explain(r, "service/web", after.Add(30*time.Minute)) + "\n" + p.Explain(r, "service/web", after.Add(22*time.Minute)) + "\n" +
			p.Explain(r, "group/hosts", after.Add(40*time.Minute)) + "\n" + p.Explain(r, "group/hosts", after) + "\n" + p.Explain(r, "host/i-0a1", after.Add(50*time.Minute)) + "\n" + p.Explain(r, "host/i-0a1", after),
		"timeline": p.Timeline(r, "service/web") + "\n" + p.Timeline(r, "group/hosts") + "\n" + p.Timeline(r, "host/i-0a1"),
	}
}

func TestTextsAreThoseOfTheGoldenFiles(t *testing.T) {
	for name, text := range everything(Page{Width: 80}, 24) {
		golden(t, name, text)
	}
	for name, text := range everything(Page{Width: 120, Color: true}, 72) {
		golden(t, name+"-wide", text)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s differs (%v), -update writes it anew:\n%s", path, err, got)
	}
}

// Whatever the width and the length of the run: no line is wider than the page,
// and colour adds nothing but colour.
func TestNoTextIsWiderThanThePage(t *testing.T) {
	for _, hours := range []int{1, 24, 72, 24 * 12} {
		for width := 40; width <= 200; width += 7 {
			plain, colored := everything(Page{Width: width}, hours), everything(Page{Width: width, Color: true}, hours)
			for name, text := range plain {
				if name == "line" || name == "summary" || width < 60 && name == "explain" || width < 80 && name == "timeline" {
					continue // words that nothing but a wide page can hold
				}
				for line := range strings.Lines(text) {
					if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > width {
						t.Errorf("%s of %d h on %d columns: %d columns: %q", name, hours, width, w, line)
					}
				}
				if strings.Contains(text, "\x1b") || escapes().ReplaceAllString(colored[name], "") != text {
					t.Errorf("%s of %d h on %d columns says another thing in colour", name, hours, width)
				}
			}
		}
	}
}

func escapes() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;]*m") }

func TestALivePictureFitsItsTerminal(t *testing.T) {
	s, r := made(24)
	for height := 14; height < 40; height++ {
		text := Page{Width: 60, Height: height}.Live(s, r.Samples[:700])
		if n := strings.Count(text, "\n"); n >= height-1 {
			t.Errorf("%d lines on a terminal of %d", n, height)
		}
	}
}

func TestAPictureOfNothingIsNoPanic(t *testing.T) {
	p, s := Page{Width: 80}, scenario.Scenario{}
	for _, text := range []string{p.Picture(s, scenario.Result{}), p.Live(s, nil), p.Summary(s, scenario.Result{}), p.Verdict(scenario.Result{}), p.Timeline(scenario.Result{}, "service/x")} {
		if strings.Contains(text, "NaN") {
			t.Error(text)
		}
	}
	one := scenario.Result{Samples: []scenario.Sample{{At: time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC)}}}
	if text := p.Picture(s, one); !strings.Contains(text, "0 hosts") {
		t.Error(text)
	}
}

// A plot loses no peak and shows everything that is more than nothing.
func TestColumnsKeepEveryPeak(t *testing.T) {
	for n := 1; n < 60; n++ {
		for peak := range n {
			samples := make([]scenario.Sample, n)
			samples[peak].Hosts = 9
			for width := 1; width < 80; width += 3 {
				values := columns(samples, width, func(s scenario.Sample) float64 { return float64(s.Hosts) })
				if highest(values) != 9 {
					t.Fatalf("%d samples on %d columns: the peak at %d is lost: %v", n, width, peak, values)
				}
			}
		}
	}
	for v := 1; v <= 1000; v++ {
		if row := (plot{values: []float64{float64(v)}, rows: 4}).row(0, 1000); row == " " {
			t.Fatalf("%d of 1000 does not show", v)
		}
	}
}

func TestVerdicts(t *testing.T) {
	held, missed, out := scenario.Held{Held: true}, scenario.Held{}, scenario.Held{LeftOut: true}
	for want, r := range map[string]scenario.Result{
		"nothing was expected, no promise was broken":                 {},
		"the one expectation holds, no promise was broken":            {Expectations: []scenario.Held{held}},
		"all 2 expectations hold (1 left out), no promise was broken": {Expectations: []scenario.Held{held, out, held}},
		"1 of 2 expectations missed, promises were broken 2 times":    {Expectations: []scenario.Held{held, missed}, Violations: make([]scenario.Violation, 2)},
		"nothing was expected (1 left out), one promise was broken":   {Expectations: []scenario.Held{out}, Violations: make([]scenario.Violation, 1)},
	} {
		if got := verdict(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNumbersAsPeopleReadThem(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(-1234567): "-1,234,567", count(0.4): "0",
		short(950): "950", short(1234): "1.2k", short(35123): "35k", short(1.25e6): "1.2M", short(0.25): "0",
		seconds(0): "0s", seconds(4.25): "4.3s", seconds(71): "71s", seconds(214): "3m 34s", seconds(7500): "2h 5m",
		figure(60): "60", figure(98.5432): "98.5", figure(0.12345): "0.123", hundredths(0.004): "under 0.01%", hundredths(0): "0.00%",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTheJSONOfAResult(t *testing.T) {
	_, r := made(1)
	raw, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "json", string(raw))
}

func TestNoFileCheckedIsJSONToo(t *testing.T) {
	if _, err := CheckedJSON(nil); errors.Is(err, os.ErrExist) || err != nil {
		t.Error(err)
	}
}
