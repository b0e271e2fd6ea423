package reconcile

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// names are the metrics that a line's directive announces.
func names(t *testing.T, line []byte) []string {
	t.Helper()
	var in struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
		Cluster string
	}
	if err := json.Unmarshal(line, &in); err != nil || len(in.AWS.CloudWatchMetrics) != 1 || in.Cluster != "prod" {
		t.Fatalf("%s: %v", line, err)
	}
	var all []string
	for _, m := range in.AWS.CloudWatchMetrics[0].Metrics {
		all = append(all, m.Name)
	}
	return all
}

func TestARoundIsOneLineOfMetrics(t *testing.T) {
	lag := 7 * time.Second
	var out bytes.Buffer
	m := Meter{Out: &out, Calls: func() (int, float64) { return 21, 0.00004 }}
	m.write(Figures{Key: "reconcile#prod", At: time.UnixMilli(1), Lag: &lag, Planned: &Planned{Reasons: map[plan.Reason]int{plan.AtMaximum: 2, plan.HostsSuffice: 1}, Sized: &Sized{}}}, zap.NewNop())
	got := names(t, out.Bytes())
	want := []string{"Rounds", "RoundsFailed", "Changes", "TasksWaiting", "WaitSeconds", "TasksUnplaced", "HostsRequired", "Decisions.atMaximum", "Decisions.hostsSuffice", "LagSeconds", "Calls", "CallDollars"}
	if !slices.Equal(got, want) || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%s", out.Bytes())
	}
	if !strings.Contains(out.String(), `"Decisions.atMaximum":2`) || !strings.Contains(out.String(), `"LagSeconds":7`) {
		t.Errorf("%s", out.Bytes())
	}
}

// An alarm looks at the failures of a cluster's rounds, another at those of its
// endpoints: neither may count the other's.
func TestRoundsOfEndpointsAreMetricsOfTheirOwn(t *testing.T) {
	for key, want := range map[string]string{
		Key("prod"):             `"Dimensions":[["Cluster"]]`,
		ReachKey("prod", "web"): `"Dimensions":[["Cluster","Function"]]`,
	} {
		var out bytes.Buffer
		Meter{Out: &out}.write(Figures{Key: key}, zap.NewNop())
		if names(t, out.Bytes()); !strings.Contains(out.String(), want) {
			t.Errorf("%s: %s", key, out.Bytes())
		}
		if strings.Contains(out.String(), `"Function":"register"`) != strings.HasPrefix(key, "register#") {
			t.Errorf("%s: %s", key, out.Bytes())
		}
	}
}

func TestWhatARoundDoesNotKnowIsNoMetric(t *testing.T) {
	var out bytes.Buffer
	Meter{Out: &out}.write(Figures{Key: "reconcile#prod", Failed: true}, zap.NewNop())
	if got := names(t, out.Bytes()); !slices.Equal(got, []string{"Rounds", "RoundsFailed"}) || !strings.Contains(out.String(), `"RoundsFailed":1`) {
		t.Errorf("%s", out.Bytes())
	}
}

// A line may have 100 metrics, and the reasons grow.
func TestAllReasonsFitIntoOneLine(t *testing.T) {
	all := map[plan.Reason]int{}
	for n := range 75 { // more than there are: the bound is 100, less those of every line
		all[plan.Reason(strings.Repeat("x", n+1))] = 1
	}
	var out bytes.Buffer
	Meter{Out: &out}.write(Figures{Key: "reconcile#prod", Planned: &Planned{Reasons: all, Sized: &Sized{}}}, zap.NewNop())
	if len(names(t, out.Bytes())) != 82 {
		t.Errorf("%s", slices.Sorted(maps.Keys(all)))
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestMetricsThatCannotBeWrittenAreLoggedAndNoMore(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	Meter{Out: full{}}.write(Figures{Key: "reconcile#prod"}, zap.New(core))
	Meter{Out: full{}}.write(Figures{}, zap.New(core)) // which has no cluster to tell of
	if logs.FilterMessage("metrics not written").Len() != 2 {
		t.Errorf("%v", logs.All())
	}
	Meter{}.write(Figures{}, zap.New(core)) // nowhere to write is no trouble
}
