package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

var update = flag.Bool("update", false, "write the golden files anew")

// answer is what one command line gave.
type answer struct {
	code     int
	out, err string
}

// try runs a command line on pipes.
func try(t *testing.T, args ...string) answer {
	t.Helper()
	return tryIn(t.Context(), args, func(*outside) {})
}

func tryIn(ctx context.Context, args []string, change func(*outside)) answer {
	var out, err bytes.Buffer
	o := outside{
		out: &out, err: &err, env: func(string) string { return "" }, read: os.ReadFile,
		create: func(name string) (io.WriteCloser, error) { return os.Create(name) },
		folder: func(name string) error { return os.MkdirAll(name, 0o750) }, now: time.Now, judge: scenario.Judge,
	}
	change(&o)
	return answer{run(ctx, args, o), out.String(), err.String()}
}

// write puts a file into the test's own folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every row: what is run, its exit code, and what its output and its errors say.
func TestCommandLines(t *testing.T) {
	hour := "testdata/hour.yaml"
	for _, c := range []struct {
		says string
		args []string
		code int
		out  string
		err  string
	}{
		{"no verb: the help", nil, 0, "Available Commands", ""},
		{"an unknown verb", []string{"fly"}, 2, "", `there is no verb "fly"`},
		{"a verb mistyped", []string{"simulat"}, 2, "", "did you mean simulate?"},
		{"an unknown flag", []string{"demo", "--sed", "1"}, 2, "", "unknown flag: --sed"},
		{"a flag that is no number", []string{"demo", "--seed", "x"}, 2, "", "invalid argument"},
		{"too many arguments", []string{"version", "x"}, 2, "", "unknown command"},
		{"too few arguments", []string{"explain", "web-day"}, 2, "", "accepts 2 arg(s), received 1"},
		{"lint of nothing", []string{"lint"}, 2, "", "requires at least 1 arg(s)"},
		{"a colour that is none", []string{"demo", "--color", "blue"}, 2, "", "--color is auto, always or never"},
		{"a speed below zero", []string{"demo", "--speed", "-1"}, 2, "", "--speed"},
		{"a speed that hears no interrupt", []string{"demo", "--speed", "1"}, 2, "", "60 or more"},
		{"a peak without a trace", []string{"simulate", "web-day", "--peak", "5"}, 2, "", "--peak"},
		{"a peak of nothing", []string{"simulate", "web-day", "--trace", "x", "--peak", "0"}, 2, "", "--peak"},
		{"flags without a scenario", []string{"simulate", "--json"}, 2, "", "needs the name"},
		{"the built-in scenarios", []string{"simulate"}, 0, "web-day ", ""},
		{"a run in which all holds", []string{"simulate", hour}, 0, "all 2 expectations hold, no promise was broken", ""},
		{"a fault", []string{"simulate", hour, "--fault", "event-doubled=1", "--fault", "message-doubled"}, 0, "no promise was broken", ""},
		{"a fault that does not exist", []string{"simulate", hour, "--fault", "rain"}, 3, "", "allowed one of agent-down, agent-restarted, alarm-flapping"},
		{"a fault more often than always", []string{"simulate", hour, "--fault", "poison=1.5"}, 3, "", "found 1.5, allowed 0 to 1"},
		{"a missed expectation", []string{"simulate", "testdata/missed.yaml"}, 8, "1 of 2 expectations missed", ""},
		{"a missed expectation as JSON", []string{"simulate", "testdata/missed.yaml", "--json"}, 8, `"held": false`, ""},
		{"an unknown scenario", []string{"simulate", "moon-day"}, 4, "", "there is no scenario, built in or a file, called moon-day"},
		{"a wrong scenario", []string{"simulate", "testdata/wrong-scenario.yaml"}, 3, "", "testdata/wrong-scenario.yaml:3: length"},
		{"a trace that is not there", []string{"simulate", hour, "--trace", "none.csv"}, 4, "", "there is no trace none.csv"},
		{"soak without a fault", []string{"soak", hour, "--seeds", "2", "--for", "1h", "--fault", "poison=0"}, 0, "soak: 2 trials, 0 of them broke a promise, 0 violations: none\n", ""},
		{"soak as JSON", []string{"soak", hour, "--seeds", "1", "--for", "1h", "--fault", "poison", "--json"}, 0, `"virtualHours": 1,`, ""},
		{"soak: a fault that does not exist", []string{"soak", hour, "--fault", "rain"}, 3, "", "allowed one of agent-down, agent-restarted, alarm-flapping"},
		{"soak: a fault more often than always", []string{"soak", hour, "--fault", "poison=1.5"}, 3, "", "found 1.5, allowed 0 to 1"},
		{"soak: no run", []string{"soak", "--seeds", "0"}, 2, "", "one of --seeds or more"},
		{"soak: no time for faults", []string{"soak", "--for", "30m"}, 2, "", "--for whole minutes, 56m0s or more"},
		{"soak: an unknown scenario", []string{"soak", "moon-day"}, 4, "", "there is no scenario, built in or a file, called moon-day"},
		{"soak: a wrong scenario", []string{"soak", hour, "testdata/wrong-scenario.yaml"}, 3, "", "testdata/wrong-scenario.yaml:3: length"},
		{"explain: the changes", []string{"explain", hour, "web"}, 0, "aboveTarget", ""},
		{"explain: nobody", []string{"explain", hour, "nobody"}, 4, "", "nothing called nobody; it has service/web, group/hosts, host/i-"},
		{"explain: no time", []string{"explain", hour, "web", "--at", "noon"}, 2, "", `"noon" is no time`},
		{"explain: after the end", []string{"explain", hour, "web", "--at", "12:00"}, 2, "", "outside of the run"},
		{"explain: before anything", []string{"explain", hour, "web", "--at", "0s"}, 0, "Nothing had been decided about web", ""},
		{"lint: a right scenario", []string{"lint", hour}, 0, "testdata/hour.yaml: ok (scenario)", ""},
		{"lint: a right policy", []string{"lint", "../../docs/plimsoll.example.yaml"}, 0, "ok (policy)", ""},
		{"lint: no file", []string{"lint", "none.yaml"}, 4, "", "there is no file none.yaml"},
		{"lint: an output word that is none", []string{"lint", hour, "-o", "xml"}, 2, "", "--output is table or json"},
		{"cost of no host", []string{"cost", "--hosts", "10,0"}, 2, "", "--hosts is 1 to 5000"},
		{"cost of no time", []string{"cost", "--hours", "0"}, 2, "", "--hours is 0.5 to 168"},
		{"cost of what is no number", []string{"cost", "--hosts", "many"}, 2, "", "invalid argument"},
		{"cost of a small cluster", []string{"cost", "--hosts", "3", "--hours", "0.5"}, 0, "3 hosts, 4 services, 24 tasks", ""},
		{"cost as JSON", []string{"cost", "--hosts", "3", "--hours", "0.5", "--json"}, 0, `"callsPerRound"`, ""},
		{"the schema", []string{"schema"}, 0, `"$schema"`, ""},
		{"the version", []string{"version"}, 0, "plimsoll ", ""},
		{"completion", []string{"completion", "bash"}, 0, "plimsoll", ""},
	} {
		got := try(t, c.args...)
		if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) {
			t.Errorf("%s: plimsoll %s: exit code %d, want %d\nout %q, want %q in it\nerr %q, want %q in it", c.says, strings.Join(c.args, " "), got.code, c.code, got.out, c.out, got.err, c.err)
		}
		if c.err == "" && got.err != "" || c.err != "" && got.out != "" || strings.Contains(got.err, "Usage:") {
			t.Errorf("%s: what is said on which stream: out %q err %q", c.says, got.out, got.err)
		}
		if strings.Contains(got.out, "\x1b") {
			t.Errorf("%s: colour on a pipe", c.says)
		}
	}
}

func TestAWrongTraceIsToldByItsLineAndNothingIsRun(t *testing.T) {
	for _, c := range []struct{ says, text, where string }{
		{"not a number", "seconds,value\n0,1\n60,many\n120,2\n", ":3: found"},
		{"negative", "0,1\n60,-4\n120,2\n", ":2: found"},
		{"unsorted", "0,1\n60,2\n30,2\n", ":3: found"},
		{"empty", "", "found 0 points"},
		{"infinite", "0,1\n60,Inf\n", ":2: found"},
	} {
		path := write(t, "trace.csv", c.text)
		got := try(t, "simulate", "testdata/hour.yaml", "--trace", path, "--json")
		if got.code != exitInvalid || !strings.Contains(got.err, path) || !strings.Contains(got.err, c.where) || got.out != "" {
			t.Errorf("%s: exit code %d, out %q, err %q", c.says, got.code, got.out, got.err)
		}
	}
	got := try(t, "simulate", "testdata/wrong-scenario.yaml", "--trace", write(t, "trace.csv", "0,x\n"))
	if got.code != exitInvalid || !strings.Contains(got.err, "beauty") || !strings.Contains(got.err, "trace.csv:1") {
		t.Errorf("scenario and trace both wrong: exit code %d, err %q", got.code, got.err)
	}
}

func TestATraceReplacesTheDay(t *testing.T) {
	path := write(t, "trace.csv", "0,1\n600,5\n1200,1\n")
	got := try(t, "simulate", "testdata/hour.yaml", "--trace", path, "--peak", "400")
	if got.code != 0 || !strings.Contains(got.out, "– web follows the crowd") || !strings.Contains(got.out, "0.3333h") {
		t.Errorf("exit code %d, out %s, err %s", got.code, got.out, got.err)
	}
}

func TestAPolicyWithManyProblemsIsToldAllAtOnce(t *testing.T) {
	got := try(t, "lint", "testdata/hour.yaml", "testdata/wrong-policy.yaml", "testdata/wrong-scenario.yaml")
	if got.code != exitInvalid || !strings.Contains(got.out, "hour.yaml: ok") {
		t.Errorf("exit code %d, out %q", got.code, got.out)
	}
	for _, line := range []string{
		"testdata/wrong-policy.yaml:6: hosts[0].max", "testdata/wrong-policy.yaml:9: services.web.tasks.min", "testdata/wrong-policy.yaml:10: services.web.colour",
		"testdata/wrong-scenario.yaml:3: length", "beauty", "policy.hosts[0].m",
	} {
		if !strings.Contains(got.err, line) {
			t.Errorf("%q is not told:\n%s", line, got.err)
		}
	}
	var read struct {
		Version int
		Files   []struct {
			File, Kind string
			Problems   []struct{ Path, Found, Allowed string }
		}
	}
	got = try(t, "lint", "testdata/hour.yaml", "testdata/wrong-policy.yaml", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &read); err != nil || got.code != exitInvalid {
		t.Fatalf("%v, exit code %d: %s", err, got.code, got.out)
	}
	if read.Version != 1 || len(read.Files) != 2 || len(read.Files[0].Problems) != 0 || len(read.Files[1].Problems) < 3 || read.Files[0].Kind != "scenario" {
		t.Errorf("%+v", read)
	}
}

func hash(t *testing.T, args ...string) string {
	t.Helper()
	got := try(t, append([]string{"simulate", "--json"}, args...)...)
	var r struct{ TraceHash string }
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || r.TraceHash == "" {
		t.Fatalf("%v %v: %s", args, err, got.out)
	}
	return r.TraceHash
}

func TestOneSeedIsOneRunAndAnotherIsAnother(t *testing.T) {
	one, again, other := hash(t, "testdata/hour.yaml"), hash(t, "testdata/hour.yaml", "--seed", "1"), hash(t, "testdata/hour.yaml", "--seed", "2")
	if one != again || one == other {
		t.Errorf("seed 1: %s and %s, seed 2: %s", one, again, other)
	}
}

// demo shows what simulate runs: on a terminal and on a pipe.
func TestDemoIsSimulateWebDayWithAnotherPrinter(t *testing.T) {
	want := hash(t, "web-day", "--seed", "3")
	got := try(t, "demo", "--seed", "3")
	if !strings.HasPrefix(got.out, "A day of web traffic") || !strings.Contains(got.out, "trace hash "+want) || got.code != 0 {
		t.Errorf("on a pipe: exit code %d, no trace hash %s:\n%s", got.code, want, got.out)
	}
	if n := len(regexp.MustCompile(`(?m)^\d\d:\d\d .*requests/s`).FindAllString(got.out, -1)); n != 13 {
		t.Errorf("%d lines of progress, want one every two hours:\n%s", n, got.out)
	}
}

func TestTheLivePictureGivesWayToTheResult(t *testing.T) {
	raw, err := os.ReadFile("testdata/hour.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read("hour", raw)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := outside{out: &out, env: func(string) string { return "" }}
	terminal(&o)
	page, err := o.page("auto")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.perform(t.Context(), page, s, 1, 7200); err != nil {
		t.Fatal(err)
	}
	live, result, found := strings.Cut(out.String(), "\x1b[J\x1b[?25h")
	if !found || strings.Count(live, "requests/s") < 3 || !strings.Contains(live, "each bar a host") {
		t.Errorf("no live picture, or it is left standing: %q", live)
	}
	if !strings.Contains(result, hash(t, "testdata/hour.yaml")) || !strings.Contains(result, "\x1b[34m") || strings.Contains(result, "\x1b[?25l") {
		t.Errorf("no trace hash, no colour, or the cursor is hidden: %q", result)
	}
}

func terminal(o *outside) { o.terminal, o.errTerminal, o.width, o.height = true, true, 100, 30 }

func TestNoColorIsRespected(t *testing.T) {
	for _, c := range []struct {
		color, no string
		want      bool
	}{{"auto", "", true}, {"auto", "1", false}, {"always", "1", true}, {"never", "", false}} {
		got := tryIn(t.Context(), []string{"explain", "testdata/hour.yaml", "web", "--color", c.color}, func(o *outside) {
			terminal(o)
			o.env = func(name string) string { return map[string]string{"NO_COLOR": c.no}[name] }
		})
		if strings.Contains(got.out, "\x1b") != c.want {
			t.Errorf("--color %s, NO_COLOR %q: %q", c.color, c.no, got.out)
		}
	}
}

func TestAnInterruptedRunStopsAtOnceWithOneLine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var shown bytes.Buffer
	got := tryIn(ctx, []string{"demo", "--speed", "60"}, func(o *outside) {
		terminal(o)
		o.out = writerFunc(func(p []byte) (int, error) {
			if bytes.Contains(p, []byte("requests/s")) {
				cancel() // with the first picture; the whole day would take 24 minutes
			}
			return shown.Write(p)
		})
	})
	if got.code != exitInterrupted || got.err != "plimsoll: interrupted\n" {
		t.Errorf("exit code %d, err %q", got.code, got.err)
	}
	if !strings.HasSuffix(shown.String(), "\x1b[?25h") {
		t.Errorf("the cursor is left hidden: %q", shown.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The names of the JSON object's fields are a promise to whoever reads it.
func TestTheFieldsOfTheJSON(t *testing.T) {
	var object map[string]any
	if err := json.Unmarshal([]byte(try(t, "simulate", "testdata/hour.yaml", "--json").out), &object); err != nil {
		t.Fatal(err)
	}
	object["apiCalls"] = map[string]any{"ACTION": 0}
	names := fields("", object)
	slices.Sort(names)
	golden(t, "testdata/json-fields.golden", strings.Join(slices.Compact(names), "\n")+"\n")
}

func fields(path string, v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			all = append(all, path+k)
			all = append(all, fields(path+k+".", x)...)
		}
	case []any:
		for _, x := range v {
			all = append(all, fields(strings.TrimSuffix(path, ".")+"[].", x)...)
		}
	}
	return all
}

func golden(t *testing.T, path, got string) {
	t.Helper()
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

// What explain says of each change is what the run's records hold.
func TestExplainTellsADecisionThatHappened(t *testing.T) {
	raw, err := os.ReadFile("testdata/hour.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read("hour", raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := scenario.Run(t.Context(), s, scenario.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, x := range r.History {
		if x.Decision == nil || x.Decision.From == x.Decision.To || told[string(x.Decision.Subject)] {
			continue
		}
		told[string(x.Decision.Subject)] = true
		at := x.At.Format("2006-01-02T15:04:05.000Z07:00")
		got := try(t, "explain", "testdata/hour.yaml", string(x.Decision.Subject), "--at", at)
		for _, want := range []string{x.At.Format("15:04:05") + "  " + x.Decision.Subject.Name() + ": ", "because   " + string(x.Decision.Reason) + ": ", "then  "} {
			if got.code != 0 || !strings.Contains(got.out, want) {
				t.Errorf("%s at %s: %q is not in:\n%s%s", x.Decision.Subject, at, want, got.out, got.err)
			}
		}
	}
	if len(told) < 3 {
		t.Errorf("only %v changed in the run", told)
	}
}

func TestAMomentIsReadInThreeWays(t *testing.T) {
	s, err := scenario.Builtin("web-day")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"12:40": "12:40:59.999999999", "12:40:30": "12:40:30.999999999", "2h10m": "02:10:00", "2026-08-03T07:00:00Z": "07:00:00",
		"25h": "", "2026-08-02T07:00:00Z": "", "-1h": "", "24:00": "", "": "",
	} {
		at, err := moment(s, text)
		if (err != nil) != (want == "") || err == nil && at.Format("15:04:05.999999999") != want {
			t.Errorf("%q is %v (%v), want %q", text, at, err, want)
		}
	}
}

func TestLogsGoToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs")
	got := try(t, "simulate", "testdata/hour.yaml", "--logs", path)
	raw, err := os.ReadFile(path)
	if err != nil || got.code != 0 {
		t.Fatalf("%v, exit code %d", err, got.code)
	}
	for line := range strings.Lines(string(raw)) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("%q is not JSON", line)
		}
	}
}

func TestASubjectIsNamedInFullByItsNameOrByAHostsBeginning(t *testing.T) {
	s := scenario.Scenario{Name: "x", Services: []scenario.Service{{Name: "web"}}, Groups: []scenario.Group{{Name: "hosts"}}}
	decided := func(about cluster.Subject) scenario.Record {
		return scenario.Record{Decision: &plan.Decision{Subject: about}}
	}
	r := scenario.Result{History: []scenario.Record{decided("host/i-0a1"), decided("host/i-0a2"), decided("host/i-1b3")}}
	for word, want := range map[string]cluster.Subject{
		"web": "service/web", "service/web": "service/web", "hosts": "group/hosts", "group/hosts": "group/hosts", "i-0a1": "host/i-0a1", "host/i-0a2": "host/i-0a2",
		"i-1": "host/i-1b3", "host/i-1b": "host/i-1b3", "i-0": "", "i-": "", "we": "", "group/web": "", "": "",
	} {
		if got, err := subject(s, r, word); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q (%v), want %q", word, got, err, want)
		}
	}
}
