package scenario

import (
	"math"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// A calm has two parts. In the first nobody asks anything, and the cluster comes
// down to its minimum; in the second a small load comes, and it grows once more.
// What they have to be long enough for: scale-in windows, and rates that let a
// count fall by a fifth a minute; hosts that leave two at a time after minutes of
// being empty; the last delayed and redelivered messages, half an hour at most;
// then boots, starts and metrics that lag.
const (
	emptyFor = 35 * time.Minute
	smallFor = 20 * time.Minute
)

// Where a count settles depends on where it comes from: with a tolerance of 10 %
// a load for 20 tasks is held by 19 and by 21 alike, so that two runs may end
// differently and both be right. At no load there is one end, the minimum. So
// there is at a load for so many tasks less a little: from any count beside it,
// more than the tolerance away, the wish is that very number, as long as it is
// small. Less a little, since a metric that says one part in a billion too much
// would else ask for one more.
const (
	smallest = 2   // tasks above the minimum, so that the cluster has to grow
	most     = 7   // tasks: from 8, which is 1.3/8 too many, the wish is 7; from 6, 0.7/6 too few, too
	less     = 0.3 // tasks
)

// Calmed is the scenario with a calm from a time on, after which it ends: no
// fault is on, nothing happens, no agent is disconnected, and the load is steady,
// without noise, and such that there is one right count for each service. So the
// ends of two runs can be compared, whatever befell them before.
func (s Scenario) Calmed(at time.Duration) Scenario {
	s.Calm = policy.Duration{Duration: at}
	s.Length = policy.Duration{Duration: at + emptyFor + smallFor}
	s.Expect = nil
	s.Events = eventsWithin(s.Events, 0, at)
	for n, h := range s.Events {
		s.Events[n].For.Duration = min(h.For.Duration, at-h.At.Duration)
	}
	s.Faults = faultsWithin(s.Faults, 0, at)
	for n, f := range s.Faults {
		if f.Until.Duration == 0 || f.Until.Duration > at {
			s.Faults[n].Until.Duration = at
		}
	}
	return s
}

// calm lets the world be calm when it is time. It is to be called after the
// scenario's faults have their times, so that it has the last word.
func (w *world) calm() {
	if w.Calm.Duration == 0 {
		return
	}
	w.cloud.At(w.Start.Add(w.Calm.Duration), func() {
		for _, k := range simcloud.FaultKinds() {
			w.set(k.Name, 0)
		}
		w.cloud.World().Behaviour().FlapsPerHour = 0
	})
}

// rate is the requests a second on a service, at any time.
func (s Scenario) rate(x Service, seed uint64) func(time.Time) float64 {
	own := x.Load.Shape.rate(seed, s.Start)
	if s.Calm.Duration == 0 {
		return own
	}
	calm := s.Start.Add(s.Calm.Duration)
	small := calm.Add(emptyFor)
	rate := s.small(x)
	return func(t time.Time) float64 {
		switch {
		case t.Before(calm):
			return own(t)
		case t.Before(small):
			return 0
		default:
			return rate
		}
	}
}

// small is the rate that a service has one right count at, above its minimum. It
// is 0, which leaves it there, where there is none: from no task at all nobody
// sees how busy they are, and above some counts the tolerance is more than a task.
func (s Scenario) small(x Service) float64 {
	rules := s.Policy.Services[x.Name]
	if rules.Tasks == nil {
		return 0
	}
	tasks := min(rules.Tasks.Min+smallest, rules.Tasks.Max, most)
	if tasks <= rules.Tasks.Min {
		return 0
	}
	rate := math.Inf(1)
	for _, t := range rules.Scale {
		rate = min(rate, rateFor(t, x, rules.Tasks.Min)*(float64(tasks)-less))
	}
	if math.IsInf(rate, 1) {
		return 0
	}
	return rate
}

// rateFor is the requests a second for which a signal wants one task: infinitely
// many if no request tells in it.
func rateFor(t policy.Target, x Service, minimum int) float64 {
	switch {
	case t.Metric == "cpu" && minimum == 0:
		return 0
	case t.Metric == "cpu":
		return t.Target / 100 * float64(x.CPU) / x.Load.CPUPerRequest
	case t.Metric == "RequestCount" && t.Namespace == "Web" && t.PerTask > 0:
		return t.PerTask / t.Period.Seconds()
	default:
		return math.Inf(1)
	}
}
