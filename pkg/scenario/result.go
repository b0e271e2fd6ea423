package scenario

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// Result is what came of a run. Times are virtual.
type Result struct {
	Scenario          string         `json:"scenario"`
	Seed              uint64         `json:"seed"`
	TraceHash         string         `json:"traceHash"` // of all that happened: same seed and build, same hash
	Hours             float64        `json:"hours"`
	Expectations      []Held         `json:"expectations"`
	Violations        []Violation    `json:"violations"`
	Raced             int            `json:"raced"` // actions that a world event between look and call made wrong
	Requests          float64        `json:"requests"`
	UnservedPercent   float64        `json:"unservedPercent"`
	SecondsBelowFloor float64        `json:"secondsBelowFloor"` // service-seconds, from when a service first was whole, under the minimum healthy percent of the lowest desired count since it last was
	WaitP50           float64        `json:"waitP50"`           // seconds from wanted to RUNNING of the tasks that a higher count asked for; one that replaces a lost task is left out
	WaitP95           float64        `json:"waitP95"`
	HostHours         float64        `json:"hostHours"`
	Cost              float64        `json:"cost"` // dollars, at the groups' prices
	HostsLaunched     int            `json:"hostsLaunched"`
	MaxHosts          int            `json:"maxHosts"`
	APICalls          map[string]int `json:"apiCalls"`    // by service:Action
	Rounds            int            `json:"rounds"`      // of reconcile
	Invocations       int            `json:"invocations"` // of all functions
	Faults            map[string]int `json:"faults"`      // how often each really struck
	End               End            `json:"end"`
	Verdict           *Verdict       `json:"verdict,omitempty"` // of Judge; Run gives none

	Met             simcloud.Met `json:"met,omitzero"`              // what requests met that came by a load balancer
	TargetsGone     int          `json:"targetsGone,omitempty"`     // targets that stood for nobody and were taken off
	TargetsGoneP95  float64      `json:"targetsGoneP95,omitempty"`  // seconds until they were, from when ECS showed it
	TargetsGoneLast float64      `json:"targetsGoneLast,omitempty"` // seconds that the slowest took

	Samples []Sample `json:"-"` // one a minute, for pictures
	History []Record `json:"-"` // what the functions recorded, oldest first
	Used    Usage    `json:"-"` // what AWS bills, for cost
}

// Usage is what the controller used of what AWS bills.
type Usage struct {
	simcloud.Bill
	Functions map[string]simcloud.FunctionStats // by name: ingest, reconcile and, where a policy has endpoints, register
}

// Held is an expectation and whether it held.
type Held struct {
	Name    string `json:"name"`
	Held    bool   `json:"held"`
	LeftOut bool   `json:"leftOut,omitempty"` // it names a time of the day, and a trace replaced the day
	Detail  string `json:"detail"`
}

// Violation is a promise that was broken.
type Violation struct {
	Promise    string    `json:"promise"` // S1, S2, ...
	At         time.Time `json:"at"`
	Subject    string    `json:"subject"`
	Detail     string    `json:"detail"`
	Invocation int       `json:"invocation,omitempty"`
}

// Record is a decision, or an intent with its outcome, as the functions recorded
// it. Of the two the other is nil.
type Record struct {
	At       time.Time
	Until    time.Time // of a repeated decision: when it was last decided
	Count    int       // how often it was decided in a row
	Decision *plan.Decision
	Intent   *cluster.Intent
}

// Sample is the simulated cloud's truth at one moment.
type Sample struct {
	At       time.Time
	Services []ServiceSample // in the scenario's order
	Hosts    int             // registered, DRAINING ones included
	Starting int             // launched, not yet registered
	Draining int
	Met      simcloud.Met      // of all requests so far that came by a load balancer: what they met
	Stale    time.Duration     // how long at the longest a target had stood for nobody, in the minute before
	Each     []HostSample      // what Options.Progress is given; a result keeps none
	Reserved cluster.Resources // by tasks
	Offered  cluster.Resources // by hosts
}

// ServiceSample is one service's part of a sample.
type ServiceSample struct {
	Desired, Running, Healthy int
	Rate                      float64 // requests a second
}

// Failed says whether a promise was broken or an expectation missed.
func (r Result) Failed() bool {
	return len(r.Violations) > 0 || slices.ContainsFunc(r.Expectations, func(h Held) bool { return !h.Held && !h.LeftOut })
}

// percentile is the smallest value that a share of the values does not exceed.
func percentile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
