package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// What of the deployment is not in the simulated cloud, and has its price.
const (
	hoursPerMonth = 730
	ownAlarms     = 11 // of the deployment itself; in infra
	clusterAlarms = 1  // of each cluster, about its rounds; in infra
	ownDashboards = 1  // in infra

	// Where a policy has endpoints.
	registerAlarms = 4 // of the function and its queue; in infra
	endpointAlarms = 1 // of each cluster, about the rounds of its endpoints; in infra

	pollers       = 5   // of an idle mapping: AWS says five, and not fewer where a maximum concurrency is set; of FIFO queues it says nothing
	pollsPerHour  = 180 // a long poll lasts 20 s
	logEvent      = 26  // bytes that CloudWatch Logs adds to each line
	platformLines = 3   // that Lambda itself logs of an invocation: START, END, REPORT
	platformBytes = 320 // of the three together, about
)

// memory is what each function is given, in MiB.
func memory() map[string]float64 {
	return map[string]float64{"ingest": ingest.Memory, "reconcile": reconcile.Memory, "register": register.Memory}
}

// month is what a world costs in a month of which each hour is as the counted
// ones.
type month struct {
	MeanHosts     float64            `json:"meanHosts"`
	RoundsPerHour float64            `json:"roundsPerHour"`
	RoundSeconds  float64            `json:"roundSeconds"`  // virtual: the latency of its calls
	RoundsFailed  float64            `json:"roundsFailed"`  // percent, such as those that ECS throttled
	CallsPerRound map[string]float64 `json:"callsPerRound"` // by service:Action, those of ingest counted in
	Lines         []billed           `json:"lines"`
	Total         float64            `json:"total"` // dollars
}

// billed is one item of a month.
type billed struct {
	Item    string  `json:"item"`
	Count   float64 `json:"count"`
	Dollars float64 `json:"dollars"`
}

// bill makes the month of a run.
func bill(p policy.Policy, r scenario.Result, logs lineCounter) month {
	m := month{CallsPerRound: map[string]float64{}}
	for _, s := range r.Samples {
		m.MeanHosts += float64(s.Hosts) / float64(len(r.Samples))
	}
	rounds := float64(max(1, r.Rounds))
	m.RoundsPerHour = rounds / r.Hours
	m.RoundsFailed = 100 * float64(logs.failures) / rounds
	m.RoundSeconds = r.Used.Functions["reconcile"].Duration.Seconds() / rounds
	for name, n := range r.APICalls {
		m.CallsPerRound[name] = float64(n) / rounds
	}
	counts := counted(r, logs)
	maps.Copy(counts, kept(p))
	for _, x := range prices() {
		line := billed{x.item, counts[x.item], counts[x.item] * x.dollars / x.per}
		m.Total += line.Dollars
		m.Lines = append(m.Lines, line)
	}
	return m
}

// calls is how many API calls a round makes.
func (m month) calls() float64 {
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(m.CallsPerRound)) { // so that the sum is the same each time
		sum += m.CallsPerRound[name]
	}
	return sum
}

// counted is how many of each item a run makes in a month.
func counted(r scenario.Result, logs lineCounter) map[string]float64 {
	requests, gigabyteSeconds := 0, 0.0
	for name, size := range memory() {
		f := r.Used.Functions[name]
		requests += f.Invocations
		gigabyteSeconds += (f.Duration + f.Starting).Seconds() * size / 1024 // the start is billed too, since August 2025
	}
	lines := logs.lines + platformLines*requests
	taken := logs.bytes + platformBytes*requests + logEvent*lines
	all := map[string]float64{
		lambdaRequests: float64(requests),
		lambdaTime:     gigabyteSeconds,
		sqsIngress:     float64(r.Used.QueueRequests["plimsoll-ingress"]),
		sqsFIFO:        float64(r.Used.QueueRequests["plimsoll-reconcile.fifo"] + r.Used.QueueRequests["plimsoll-register.fifo"]),
		dynamoWrites:   r.Used.WriteUnits,
		dynamoReads:    r.Used.ReadUnits,
		metricsAsked:   float64(r.Used.MetricsAsked),
		logsTaken:      float64(taken) / (1 << 30),
		eventsTaken:    float64(r.Used.Delivered),
		metricsKept:    float64(len(logs.metrics)) / hoursPerMonth, // a metric is billed for each hour in which it gets a value
	}
	for item := range all {
		all[item] *= hoursPerMonth / r.Hours
	}
	return all
}

// kept is how many there are of each item that costs by being there.
func kept(p policy.Policy) map[string]float64 {
	all := map[string]float64{
		sqsIngressIdle: pollers * pollsPerHour * hoursPerMonth,
		sqsFIFOIdle:    pollers * pollsPerHour * hoursPerMonth,
		alarmsKept:     float64(len(policy.Alarms(p)) + ownAlarms + clusterAlarms),
		dashboards:     ownDashboards,
	}
	if len(p.Registered()) > 0 {
		all[sqsFIFOIdle] *= 2 // register's queue too
		all[alarmsKept] += registerAlarms + endpointAlarms
	}
	return all
}

// lineCounter counts what is logged, and keeps none of it.
type lineCounter struct {
	lines, bytes int
	failures     int             // lines that tell of a round that failed
	metrics      map[string]bool // the custom metrics of each hour that the functions' lines make
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	c.bytes += len(p)
	c.failures += bytes.Count(p, []byte(`"round failed"`))
	var line struct {
		AWS struct {
			Timestamp         int64 // milliseconds
			CloudWatchMetrics []struct{ Metrics []struct{ Name string } }
		} `json:"_aws"`
		Function string // whose metrics are others, under the same names; absent: reconcile's
	}
	if bytes.Contains(p, []byte(`"_aws"`)) {
		_ = json.Unmarshal(p, &line) // one that is none of its kind has no metrics
	}
	if c.metrics == nil {
		c.metrics = map[string]bool{}
	}
	for _, d := range line.AWS.CloudWatchMetrics {
		for _, m := range d.Metrics {
			c.metrics[fmt.Sprint(line.AWS.Timestamp/time.Hour.Milliseconds(), " ", m.Name, line.Function)] = true
		}
	}
	return len(p), nil
}
