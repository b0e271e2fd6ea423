package simcloud

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// FaultKind is a fault that this world can have.
type FaultKind struct {
	Name  string
	Class int     // of docs/reliability.md
	Does  string  // what happens
	Rate  string  // what a rate, 0 to 1, means
	Usual float64 // a rate for runs with many faults at once
}

// Names of faults, as scenarios and command lines give them.
const (
	faultEventDoubled     = "event-doubled"
	faultEventReordered   = "event-reordered"
	faultEventLate        = "event-late"
	faultEventLost        = "event-lost"
	faultBestEffortLost   = "best-effort-event-lost"
	faultStaleReads       = "stale-reads"
	faultPartialFailure   = "partial-failure"
	faultFunctionKilled   = "function-killed"
	faultFunctionTimeout  = "function-timeout"
	faultAmbiguous        = "ambiguous"
	faultMessageDoubled   = "message-doubled"
	faultFunctionPaused   = "function-paused"
	faultThrottling       = "throttling"
	faultAPIDown          = "api-down"
	faultClockSkew        = "clock-skew"
	faultPoison           = "poison"
	faultDeadRedriven     = "dead-letters-redriven"
	faultAlarmFlapping    = "alarm-flapping"
	faultMetricMissing    = "metric-missing"
	faultDescribeCut      = "describe-cut"
	faultTargetsSick      = "targets-never-healthy"
	faultAgentRestarted   = "agent-restarted"
	faultZoneLost         = "zone-lost"
	faultSpotInterrupted  = "spot-interrupted"
	faultHostsEnded       = "hosts-ended"
	faultTaskProtected    = "task-protected"
	faultNoCapacity       = "no-capacity"
	faultAgentDown        = "agent-down"
	faultPlacementFailure = "placement-failure"
	faultTargetLimit      = "target-limit"
	faultTableDown        = "table-down"
	faultTableConflict    = "table-conflict"
	faultForgedEvents     = "forged-events"
	faultEventBurst       = "event-burst"
	faultByHand           = "by-hand"
	faultLogSink          = "log-sink"
)

// FaultKinds are the faults that this world can have, by class. The sweep, a
// schedule, is never late or lost.
func FaultKinds() []FaultKind {
	return []FaultKind{
		{faultEventDoubled, 1, "an event reaches a target 2 to 5 times", "share of deliveries", 0.3},
		{faultMessageDoubled, 1, "a standard queue gives a message out a second time, up to a minute later", "share of messages", 0.1},
		{faultEventReordered, 2, "an event takes up to 2 minutes more", "share of deliveries", 0.3},
		{faultEventLate, 3, "an event takes 1 minute to 24 hours more, short times more often", "share of deliveries", 0.1},
		{faultEventLost, 4, "an event, of whatever source, never arrives", "share of deliveries", 0.2},
		{faultBestEffortLost, 4, "an event of EC2 or Auto Scaling, which AWS does not guarantee, never arrives", "share of deliveries", 0.3},
		{faultStaleReads, 5, "a read of ECS, of Auto Scaling, or of DynamoDB where eventually consistent, shows the state of up to 60 s ago", "share of reads", 0.2},
		{faultPartialFailure, 6, "ECS answers failures[] for an item, with HTTP 200; where it was to be changed, it is not", "share of items", 0.01},
		{faultFunctionKilled, 8, "an invocation is killed, with no after-effects, 1 ms to 10 s after it began, short times more often", "share of invocations; what ends sooner survives", 0.05},
		{faultFunctionTimeout, 8, "one of an invocation's first 30 calls hangs until the function times out, before or after it took effect", "share of invocations; what makes fewer calls survives", 0.03},
		{faultAmbiguous, 9, "a changing call takes effect and answers an error, at once or after the client's 5 s", "share of changing calls", 0.05},
		{faultFunctionPaused, 12, "an invocation stands still for 30 s to 10 min before one of its first 30 calls, if that is one to DynamoDB; its message comes again meanwhile, so two invocations of one key overlap", "share of invocations", 0.02},
		{faultThrottling, 13, "spells of 5 minutes in which each token bucket of a service holds 3 tokens and gets one in 2 s", "share of time, of each service", 0.05},
		{faultAPIDown, 14, "spells of 1 to 30 minutes in which ECS, Auto Scaling, CloudWatch or SQS answers 503", "share of time, of each service", 0.02},
		{faultClockSkew, 15, "an invocation's clock is up to 2.5 minutes fast or slow, its deadline with it", "share of invocations", 0.5},
		{faultPoison, 16, "a garbage message lands in each queue that a rule sends to", "chance a minute", 0.1},
		{faultDeadRedriven, 17, "all dead letters go back to the queues that they come from", "sixty times the chance a minute", 0.5},
		{faultAlarmFlapping, 18, "an alarm finds a state at random, and its own again when next evaluated", "share of evaluations", 0.05},
		{faultMetricMissing, 19, "spells of 1 to 15 minutes in which a metric gets no value", "share of time, of each metric", 0.05},
		{faultDescribeCut, 20, "an answer to a Describe, List or Get call lacks its last items, or all, and says nothing of it", "share of such calls", 0.01},
		{faultAgentRestarted, 25, "a host's agent restarts, and assigns dynamic ports from the start of its range", "ten times the chance a minute, of each host", 0.05},
		{faultZoneLost, 26, "a zone loses all its hosts at once, and no launch there succeeds for 5 to 30 minutes", "ten times the chance a minute", 0.02},
		{faultSpotInterrupted, 27, "half of all Spot hosts are warned, and end two minutes later", "ten times the chance a minute", 0.05},
		{faultNoCapacity, 28, "spells of 2 to 40 minutes in which EC2 has no capacity for a group in a zone", "share of time, of each group and zone", 0.1},
		{faultAgentDown, 29, "a host's agent is disconnected for 1 to 10 minutes, besides the usual flaps", "ten times the chance a minute, of each host", 0.05},
		{faultHostsEnded, 30, "somebody else has a host terminated and replaced, or its group balances zones: launches one above the desired capacity, and terminates a host two minutes later", "ten times the chance a minute, of each group", 0.05},
		{faultTaskProtected, 31, "an application protects a task of its service from scale-in, for 1 to 10 minutes", "ten times the chance a minute, of each service", 0.2},
		{faultPlacementFailure, 33, "the scheduler finds no host for a task, though there is one, and names a reason at random", "share of placements", 0.05},
		{faultTableDown, 35, "spells of 10 s to 10 min in which DynamoDB answers an internal error", "share of time", 0.01},
		{faultTableConflict, 35, "DynamoDB refuses a write because of another one of the same item", "share of writes", 0.02},
		{faultForgedEvents, 36, "beside an event comes a forged one: another account, Region or cluster, or a fuzzed detail", "share of deliveries", 0.1},
		{faultEventBurst, 38, "the newest event comes 10,000 times within one second", "sixty times the chance a minute, of each target", 0.1},
		{faultByHand, 39, "a person sets a desired count or capacity, or drains a host and makes it ACTIVE 10 minutes later", "ten times the chance a minute", 0.1},
		{faultLogSink, 40, "the functions' log takes no line", "share of lines", 0.1},
	}
}

// TargetFaultKinds are the faults of load balancers. They are apart from
// FaultKinds, of which each has to strike in a soak, as long as no scenario of a
// soak has a load balancer.
func TargetFaultKinds() []FaultKind {
	return []FaultKind{
		{faultTargetsSick, 23, "a target that is registered answers all its health checks with an error, until it is deregistered", "share of registrations", 0.02},
		{faultTargetLimit, 34, "spells of 2 to 20 minutes in which a target group takes no new target, as if its quota were used up", "share of time, of each target group", 0.05},
	}
}

// Faults are the switches of a world's faults. Each fault draws from random
// streams of its own, and from none while it is off, so that one of them leaves
// the draws of everything else alone.
type Faults struct {
	c      *Cloud
	rates  map[string]float64 // of those that are on
	since  map[string]time.Time
	spells map[string]*spell
	ticks  map[string]bool // under way
	newest map[string]string
	zones  map[string]time.Time // gone until then, by zone
	struck map[string]int       // by name
	past   past
	crash  crash
}

func newFaults(c *Cloud) *Faults {
	return &Faults{c: c, rates: map[string]float64{}, since: map[string]time.Time{}, spells: map[string]*spell{}, ticks: map[string]bool{}, newest: map[string]string{}, zones: map[string]time.Time{}, struck: map[string]int{}}
}

// Faults are this world's faults. All are off at first.
func (c *Cloud) Faults() *Faults { return c.faults }

// Set switches a fault on from now on, or with the rate 0 off. Its kind says
// what its rate means. It fails for a fault that does not exist and for a rate
// that is not 0 to 1.
func (f *Faults) Set(name string, rate float64) error {
	kinds := slices.Concat(FaultKinds(), TargetFaultKinds())
	if !slices.ContainsFunc(kinds, func(k FaultKind) bool { return k.Name == name }) {
		var known []string
		for _, k := range kinds {
			known = append(known, k.Name)
		}
		return fmt.Errorf("no fault is called %q, known: %s", name, strings.Join(known, ", "))
	}
	if !(rate >= 0 && rate <= 1) {
		return fmt.Errorf("the rate of %s is %v, not 0 to 1", name, rate)
	}
	delete(f.rates, name)
	for key := range f.spells {
		if strings.HasPrefix(key, name+" ") {
			delete(f.spells, key)
		}
	}
	if name == faultZoneLost {
		clear(f.zones)
	}
	if rate > 0 {
		f.rates[name], f.since[name] = rate, f.c.now
		f.begin(name)
	}
	f.pastChanged()
	return nil
}

// Struck is how often each fault has really happened so far, by name: an event
// was lost, a call was refused, an invocation was killed that was not over. What
// a fault would have done to nobody does not count.
func (f *Faults) Struck() map[string]int { return maps.Clone(f.struck) }

// strike notes that a fault has happened.
func (f *Faults) strike(name string) { f.struck[name]++ }

// hits draws whether a fault happens at this occasion. If so, it does.
func (f *Faults) hits(name string) bool {
	if !f.drawn(name) {
		return false
	}
	f.strike(name)
	return true
}

// drawn draws whether a fault is to happen, which something may still prevent.
func (f *Faults) drawn(name string) bool { return f.drawnOf(name, 1) }

// drawnOf is drawn for a fault whose rate is so many times its chance.
func (f *Faults) drawnOf(name string, times float64) bool {
	rate := f.rates[name]
	return rate > 0 && f.c.stream("fault "+name).Float64() < rate/times
}

// spell is a stretch of time in which a fault is there, or is not.
type spell struct {
	there bool
	until time.Time
}

// during says whether something is in a spell of a fault now. A spell lasts from
// least to most; the times between follow from the rate. When somebody asks
// changes nothing.
func (f *Faults) during(name, of string, least, most time.Duration) bool {
	rate := f.rates[name]
	if rate == 0 || rate == 1 {
		return rate == 1
	}
	key := name + " " + of
	r := f.c.stream("fault " + key)
	s := f.spells[key]
	if s == nil {
		s = &spell{there: r.Float64() >= rate, until: f.since[name]} // turned over below
		f.spells[key] = s
	}
	mean := float64(least+most) / 2
	for !s.until.After(f.c.now) {
		length := between(r, least, most)
		if s.there {
			length = time.Second + time.Duration(r.ExpFloat64()*mean*(1-rate)/rate)
		}
		s.there, s.until = !s.there, s.until.Add(length)
	}
	return s.there
}

// begin starts what a fault does by itself, unless it is under way.
func (f *Faults) begin(name string) {
	each, do := f.doing(name)
	if do == nil || f.ticks[name] {
		return
	}
	f.ticks[name] = true
	f.c.every(f.c.now.Add(each), each, func() bool {
		if f.rates[name] == 0 {
			f.ticks[name] = false
			return false
		}
		do()
		return true
	})
}

// doing is what a fault does by itself, and how often it thinks of it; nil: it
// only changes what others do.
func (f *Faults) doing(name string) (time.Duration, func()) {
	switch name {
	case faultPoison:
		return time.Minute, f.poison
	case faultEventBurst:
		return time.Minute, f.burst
	case faultDeadRedriven:
		return time.Minute, f.redrive
	case faultAgentDown:
		return time.Minute, f.agentsDown
	case faultByHand:
		return time.Minute, f.meddle
	default:
		return f.doingToHosts(name)
	}
}

// doingToHosts is what a fault does to hosts and tasks by itself.
func (f *Faults) doingToHosts(name string) (time.Duration, func()) {
	switch name {
	case faultAgentRestarted:
		return time.Minute, f.agentsRestart
	case faultZoneLost:
		return time.Minute, f.loseZone
	case faultSpotInterrupted:
		return time.Minute, f.interruptHalf
	case faultHostsEnded:
		return time.Minute, f.endHosts
	case faultTaskProtected:
		return time.Minute, f.protectTasks
	default:
		return 0, nil
	}
}
