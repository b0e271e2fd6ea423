package scenario

import (
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Window is a part of the scenario's time as a scenario of its own: its load is
// that of the whole at the same instants, and what falls into it happens. The
// world begins with the counts and hosts that the whole begins with. Expectations
// are left out, since they are about the whole. A window that reaches beyond the
// end ends there; one that begins there has no length, which Run refuses.
func (s Scenario) Window(from, length time.Duration) Scenario {
	s = s.defaulted()
	from = min(max(0, from), s.Length.Duration)
	length = max(0, min(length, s.Length.Duration-from))
	s.Start, s.Length, s.Expect = s.Start.Add(from), policy.Duration{Duration: length}, nil
	services := slices.Clone(s.Services)
	for n, x := range services {
		if x.Load != nil {
			load := *x.Load
			load.Shape = load.Shape.since(from, length)
			services[n].Load = &load
		}
	}
	s.Services = services
	s.Events = eventsWithin(s.Events, from, length)
	s.Faults = faultsWithin(s.Faults, from, length)
	return s
}

// eventsWithin are those that take place in a window, by its own time.
func eventsWithin(all []Happening, from, length time.Duration) []Happening {
	var in []Happening
	for _, h := range all {
		if h.At.Duration -= from; h.At.Duration >= 0 && h.At.Duration <= length {
			in = append(in, h)
		}
	}
	return in
}

// faultsWithin are those that are on in a window, by its own time.
func faultsWithin(all []Fault, from, length time.Duration) []Fault {
	var in []Fault
	for _, f := range all {
		f.From.Duration = max(0, f.From.Duration-from)
		if f.Until.Duration > 0 {
			if f.Until.Duration -= from; f.Until.Duration <= 0 {
				continue
			}
		}
		if f.From.Duration < length {
			in = append(in, f)
		}
	}
	return in
}

// since is the shape that has at each instant of a window, from the window's
// start on, what this one has: what goes by the day needs no change. A crowd that
// came before is under way already.
func (s Shape) since(from, length time.Duration) Shape {
	if s.Trace != nil {
		t := *s.Trace
		t.from += from
		s.Trace = &t
	}
	var crowds []Crowd
	for _, c := range s.Crowds {
		c.At.Duration -= from
		if c.At.Duration < 0 {
			c.At.Duration, c.Since.Duration = 0, c.Since.Duration-c.At.Duration
		}
		over := c.Since.Duration >= c.Rise.Duration+c.Stay.Duration+c.Fall.Duration
		if !over && c.At.Duration <= length {
			crowds = append(crowds, c)
		}
	}
	s.Crowds = crowds
	return s
}
