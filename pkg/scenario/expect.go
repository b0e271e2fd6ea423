package scenario

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// measures are what an expectation may be about. Those of a moment need at; the
// others are of the whole run.
func measures() map[string]func(Result, measured) float64 {
	return map[string]func(Result, measured) float64{
		"unservedPercent":   func(r Result, _ measured) float64 { return r.UnservedPercent },
		"secondsBelowFloor": func(r Result, _ measured) float64 { return r.SecondsBelowFloor },
		"waitP50":           func(r Result, _ measured) float64 { return r.WaitP50 },
		"waitP95":           func(r Result, _ measured) float64 { return r.WaitP95 },
		"hostHours":         func(r Result, _ measured) float64 { return r.HostHours },
		"hostsLaunched":     func(r Result, _ measured) float64 { return float64(r.HostsLaunched) },
		"maxHosts":          func(r Result, _ measured) float64 { return float64(r.MaxHosts) },
		"maxTasks":          func(r Result, m measured) float64 { return extreme(r, m, math.Max) },
		"minTasks":          func(r Result, m measured) float64 { return extreme(r, m, math.Min) },
		"requestsRouted":    func(_ Result, m measured) float64 { return float64(m.met.Served + misses(m.met)) },
		"requestsToWrong":   func(_ Result, m measured) float64 { return float64(m.met.Wrong) },
		"requestsToClosed":  func(_ Result, m measured) float64 { return float64(m.met.Closed) },
		"requestsToStopped": func(_ Result, m measured) float64 { return float64(m.met.Stopped) },
		"requestsNowhere":   func(_ Result, m measured) float64 { return float64(m.met.NoTarget) },
		"staleTarget":       func(_ Result, m measured) float64 { return m.stale.Seconds() },
		"hosts":             func(_ Result, m measured) float64 { return float64(m.sample.Hosts) },
		"tasks":             func(_ Result, m measured) float64 { return float64(m.sample.Services[m.service].Running) },
	}
}

// momentary says whether a measure is of a moment.
func momentary(measure string) bool { return measure == "hosts" || measure == "tasks" }

// windowed says whether a measure is counted over a part of the run.
func windowed(measure string) bool {
	return strings.HasPrefix(measure, "requests") || measure == "staleTarget"
}

// misses are the requests that met no task that they were meant for and that had
// the CPU.
func misses(m simcloud.Met) int { return m.Overloaded + m.Wrong + m.Closed + m.Stopped + m.NoTarget }

// perService says whether a measure needs a service.
func perService(measure string) bool {
	return measure == "tasks" || measure == "maxTasks" || measure == "minTasks"
}

// measured is what a measure is taken of.
type measured struct {
	service int // index in the scenario
	sample  Sample
	met     simcloud.Met  // in the window
	stale   time.Duration // the longest in the window
}

// extreme is the most or fewest tasks that ran, leaving out the first ten
// minutes, in which a world comes up.
func extreme(r Result, m measured, pick func(a, b float64) float64) float64 {
	value := math.NaN()
	for i, s := range r.Samples {
		running := float64(s.Services[m.service].Running)
		switch {
		case i < 10:
		case math.IsNaN(value):
			value = running
		default:
			value = pick(value, running)
		}
	}
	return value
}

// judge holds the expectations against a result.
func (s Scenario) judge(r Result) []Held {
	held := []Held{}
	for _, e := range s.Expect {
		h := Held{Name: e.Name}
		if (e.At != nil || e.From != nil) && s.Traced {
			h.LeftOut, h.Detail = true, "names a time of the day, and a trace replaced the day"
			held = append(held, h)
			continue
		}
		value := measures()[e.Measure](r, s.measured(r, e))
		h.Held = (e.AtLeast == nil || value >= *e.AtLeast) && (e.AtMost == nil || value <= *e.AtMost)
		h.Detail = fmt.Sprintf("%s %s, %s", e.Measure, figure(value), bounds(e))
		held = append(held, h)
	}
	return held
}

func (s Scenario) measured(r Result, e Expectation) measured {
	m := measured{service: max(0, slices.IndexFunc(s.Services, func(x Service) bool { return x.Name == e.Service }))}
	if len(r.Samples) == 0 {
		return m
	}
	first, last := 0, len(r.Samples)-1
	if e.From != nil {
		first = min(int(e.From.Duration/time.Minute), last)
	}
	m.met = r.Met
	if e.At != nil {
		last = min(int(e.At.Duration/time.Minute), last)
		m.sample, m.met = r.Samples[last], r.Samples[last].Met
	}
	m.met = plus(m.met, negative(r.Samples[first].Met))
	for _, s := range r.Samples[first+1 : last+1] {
		m.stale = max(m.stale, s.Stale)
	}
	return m
}

func negative(m simcloud.Met) simcloud.Met {
	return simcloud.Met{Served: -m.Served, Overloaded: -m.Overloaded, Wrong: -m.Wrong, Closed: -m.Closed, Stopped: -m.Stopped, NoTarget: -m.NoTarget}
}

func bounds(e Expectation) string {
	var parts []string
	if e.AtLeast != nil {
		parts = append(parts, "at least "+figure(*e.AtLeast))
	}
	if e.AtMost != nil {
		parts = append(parts, "at most "+figure(*e.AtMost))
	}
	return strings.Join(parts, ", ")
}

func figure(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}

// measureNames are the measures in words, for a message.
func measureNames() string {
	return strings.Join(slices.Sorted(maps.Keys(measures())), ", ")
}
