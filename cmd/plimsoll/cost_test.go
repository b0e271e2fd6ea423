package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// A bill by hand: an hour of a run, and a month of 730 of them.
func TestABillIsTheCountsByThePrices(t *testing.T) {
	r := scenario.Result{Hours: 2, Rounds: 4, APICalls: map[string]int{"ecs:ListTasks": 8, "dynamodb:GetItem": 2}}
	r.Samples = []scenario.Sample{{Hosts: 2}, {Hosts: 4}}
	r.Used = scenario.Usage{
		Bill: simcloud.Bill{
			ReadUnits: 2e6, WriteUnits: 4e6, MetricsAsked: 2000, Delivered: 20,
			QueueRequests: map[string]int{"plimsoll-ingress": 2e6, "plimsoll-reconcile.fifo": 4e6, "plimsoll-ingress-dead": 1e6},
		},
		Functions: map[string]simcloud.FunctionStats{
			"ingest":    {Invocations: 10, Duration: 3 * time.Second, Starting: time.Second},
			"reconcile": {Invocations: 4, Duration: 4 * time.Second},
		},
	}
	p := policy.Policy{Cluster: "c", Services: map[string]policy.Service{"web": {Scale: []policy.Target{{Metric: "cpu", Target: 60}}}}}
	m := bill(p, r, lineCounter{lines: 2, bytes: 100, metrics: map[string]bool{"1 a": true, "1 b": true, "2 a": true}})
	want := map[string]float64{
		lambdaRequests: 365 * 14 * 0.20e-6,
		lambdaTime:     365 * (4*0.25 + 4*0.5) * 0.0000133334,
		sqsIngress:     365 * 2 * 0.40,
		sqsIngressIdle: 0.657 * 0.40,
		sqsFIFO:        365 * 4 * 0.50,
		sqsFIFOIdle:    0.657 * 0.50,
		dynamoWrites:   365 * 4 * 0.625,
		dynamoReads:    365 * 2 * 0.125,
		metricsAsked:   365 * 2 * 0.01,
		alarmsKept:     (1 + ownAlarms + clusterAlarms) * 0.10,
		metricsKept:    1.5 * 0.30,
		dashboards:     3,
		logsTaken:      365 * (100 + 14*320 + (2+14*3)*26) / math.Pow(2, 30) * 0.50,
		eventsTaken:    0,
	}
	total := 0.0
	for _, x := range m.Lines {
		if math.Abs(x.Dollars-want[x.Item]) > 1e-9 {
			t.Errorf("%s: $%g, want $%g", x.Item, x.Dollars, want[x.Item])
		}
		total += want[x.Item]
		delete(want, x.Item)
	}
	if len(want) > 0 || math.Abs(m.Total-total) > 1e-9 {
		t.Errorf("not billed: %v; together $%g, want $%g", want, m.Total, total)
	}
	if m.MeanHosts != 3 || m.RoundsPerHour != 2 || m.RoundSeconds != 1 || m.calls() != 2.5 {
		t.Errorf("%+v", m)
	}
}

// A custom metric is billed for each hour in which it has a value.
func TestMetricsOfLinesAreCountedByTheHour(t *testing.T) {
	var logs lineCounter
	for _, line := range []string{
		`{"_aws":{"Timestamp":3600000,"CloudWatchMetrics":[{"Metrics":[{"Name":"a"},{"Name":"b"}]}]}}`,
		`{"_aws":{"Timestamp":3700000,"CloudWatchMetrics":[{"Metrics":[{"Name":"b"}]}]}}`,
		`{"_aws":{"Timestamp":7200000,"CloudWatchMetrics":[{"Metrics":[{"Name":"b"}]}]}}`,
		`{"msg":"of _aws"}`,
	} {
		if _, err := logs.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if len(logs.metrics) != 3 || logs.lines != 4 {
		t.Errorf("%v in %d lines", logs.metrics, logs.lines)
	}
}

// Whatever is counted has a price, and whatever has a price a source and a date.
func TestEachItemIsCountedAndPricedOnce(t *testing.T) {
	items := counted(scenario.Result{Hours: 1}, lineCounter{})
	for item := range kept(policy.Policy{}) {
		if _, both := items[item]; both {
			t.Errorf("%s is counted and kept", item)
		}
		items[item] = 0
	}
	for _, x := range prices() {
		if _, ok := items[x.item]; !ok {
			t.Errorf("%s is priced twice, or not counted", x.item)
		}
		delete(items, x.item)
		if x.source == "" || x.date == "" || x.unit == "" || x.per <= 0 || x.dollars < 0 {
			t.Errorf("%+v: a price says of how many, whence and when", x)
		}
		if x.date != "undated" && x.date > priceDate {
			t.Errorf("%s: %s is newer than %s", x.item, x.date, priceDate)
		}
	}
	if len(items) > 0 {
		t.Errorf("without a price: %v", items)
	}
}

// In the quiet world nothing changes; in the busy one hosts come and go.
func TestTheWorldsOfCostAreWhatTheySay(t *testing.T) {
	z := sizeOf(10)
	for name, world := range map[string]func(time.Duration) (scenario.Scenario, error){"quiet": z.quiet, "busy": z.busy} {
		s, err := world(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r, err := scenario.Run(t.Context(), s, scenario.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		least, most := math.MaxInt, 0
		for _, x := range r.Samples[1:] {
			least, most = min(least, x.Hosts), max(most, x.Hosts)
		}
		updates := r.APICalls["ecs:UpdateService"]
		if r.Failed() || r.APICalls["ecs:DescribeTasks"] == 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if name == "quiet" && (least != 10 || most != 10 || updates > 0) || name == "busy" && (most-least < 2 || updates < 10) {
			t.Errorf("%s: %d to %d hosts, %d changed counts", name, least, most, updates)
		}
	}
	if z := sizeOf(500); z != (sized{500, 50, 4000}) {
		t.Errorf("%+v", z)
	}
}

// The page docs/operations.md shows docs/cost.json as the command prints it; what
// the command counts today of the smallest cluster is what that file says, within
// a tenth.
const (
	costFile  = "../../docs/cost.json"
	costPage  = "../../docs/operations.md"
	costBegin = "<!-- cost: made by the tests from docs/cost.json, do not edit -->\n"
	costEnd   = "<!-- end of cost -->\n"
)

func readCosts(t *testing.T) costs {
	t.Helper()
	raw, err := os.ReadFile(costFile)
	if err != nil {
		t.Fatal(err)
	}
	var c costs
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	for _, x := range c.Sizes {
		for _, m := range []month{x.Quiet, x.Busy} {
			if why := outdated(m); why != "" {
				t.Fatalf("docs/cost.json, %d hosts: %s; write it anew: make cost", x.Hosts, why)
			}
		}
	}
	return c
}

// outdated says what of a stored month the prices of today contradict.
func outdated(m month) string {
	if len(m.Lines) != len(prices()) {
		return "other items"
	}
	for n, x := range prices() {
		l := m.Lines[n]
		if l.Item != x.item || math.Abs(l.Dollars-l.Count*x.dollars/x.per) > 1e-6*(1+l.Dollars) {
			return l.Item + " has another price now"
		}
	}
	return ""
}

func TestThePageShowsWhatWasCounted(t *testing.T) {
	c := readCosts(t)
	raw, err := os.ReadFile(costPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), costBegin)
	_, after, ended := strings.Cut(rest, costEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", costPage)
	}
	golden(t, costPage, before+costBegin+"\n"+c.text()+"\n"+costEnd+after)
	if c.Region != priceRegion || c.Prices != priceDate || len(c.Sizes) != 3 || c.Sizes[0].Hosts != 10 || c.Sizes[1].Hosts != 100 || c.Sizes[2].Hosts != 500 {
		t.Errorf("docs/cost.json is of %s, %s, %d sizes: make cost", c.Region, c.Prices, len(c.Sizes))
	}
}

func TestWhatIsCountedTodayIsWhatThePageSays(t *testing.T) {
	then := readCosts(t)
	o := outside{env: func(string) string { return "" }}
	now, err := o.priceOf(t.Context(), sizeOf(10), pricing{hours: then.Hours, seed: then.Seed})
	if err != nil {
		t.Fatal(err)
	}
	if off := differs(then.Sizes[0], now); off != "" {
		t.Errorf("docs/cost.json, 10 hosts: %s; write it anew: make cost", off)
	}
	now.Busy.CallsPerRound["ecs:ListTasks"] += 3 // the test's own power
	if differs(then.Sizes[0], now) == "" {
		t.Error("three calls more a round are not seen")
	}
}

// differs says what of two bills is a tenth apart or more.
func differs(then, now cost) string {
	for name, pair := range map[string][2]float64{
		"quiet dollars": {then.Quiet.Total, now.Quiet.Total}, "busy dollars": {then.Busy.Total, now.Busy.Total},
		"calls of a quiet round": {then.Quiet.calls(), now.Quiet.calls()}, "calls of a busy round": {then.Busy.calls(), now.Busy.calls()},
	} {
		if math.Abs(pair[0]-pair[1]) > pair[0]/10 {
			return name + " are " + amount(pair[1]) + " now, not " + amount(pair[0])
		}
	}
	return ""
}

func TestCostCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := tryIn(ctx, []string{"cost", "--hosts", "500"}, func(*outside) {}); got.code != exitInterrupted || got.out != "" {
		t.Errorf("exit code %d, out %q, err %q", got.code, got.out, got.err)
	}
}

func TestAmounts(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0000133334: "1.33e-05", 0.625: "0.625", 99.94: "99.9", 100: "100", 1234.5: "1,234", 1234567: "1,234,567"} {
		if got := amount(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
}

// A policy with endpoints has a queue, alarms and metrics more.
func TestEndpointsHaveTheirCost(t *testing.T) {
	with := policy.Policy{Services: map[string]policy.Service{"web": {Endpoints: []policy.Endpoint{{Container: "app", Port: 80, TargetGroup: "web"}}}}}
	plain, more := kept(policy.Policy{}), kept(with)
	if more[sqsFIFOIdle] != 2*plain[sqsFIFOIdle] || more[alarmsKept] != plain[alarmsKept]+registerAlarms+endpointAlarms {
		t.Errorf("with endpoints %v, without %v", more, plain)
	}
	var c lineCounter
	for _, function := range []string{"", `"Function":"register",`} {
		_, err := c.Write([]byte(`{` + function + `"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Metrics":[{"Name":"Rounds"}]}]}}` + "\n"))
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(c.metrics) != 2 {
		t.Errorf("two functions' metrics of one name are %v", c.metrics)
	}
	r := scenario.Result{Hours: 1, Used: scenario.Usage{
		Bill:      simcloud.Bill{QueueRequests: map[string]int{"plimsoll-register.fifo": 3}},
		Functions: map[string]simcloud.FunctionStats{"register": {Invocations: 1, Duration: 4 * time.Second}},
	}}
	if all := counted(r, c); all[sqsFIFO] != 3*hoursPerMonth || all[lambdaTime] != 4*0.25*hoursPerMonth {
		t.Errorf("an hour of register counts as %v", all)
	}
}
