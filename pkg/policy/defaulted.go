package policy

import (
	"maps"
	"time"
)

// Defaulted is the policy with every default filled in. It shares nothing with
// p, so that whoever holds one of them cannot change the other.
func (p Policy) Defaulted() Policy {
	if p.Mode == "" {
		p.Mode = Act
	}
	groups := make([]HostGroup, 0, len(p.Hosts))
	for _, g := range p.Hosts {
		groups = append(groups, g.defaulted())
	}
	services := make(map[string]Service, len(p.Services))
	for name, s := range p.Services {
		services[name] = s.defaulted()
	}
	p.Hosts, p.Services, p.Standalone = groups, services, defaultedStandalone(p.Standalone)
	return p
}

func defaultedStandalone(given map[string]Standalone) map[string]Standalone {
	if len(given) == 0 {
		return nil
	}
	all := make(map[string]Standalone, len(given))
	for name, s := range given {
		s.Endpoints = defaultedRows(s.Endpoints)
		all[name] = s
	}
	return all
}

func (g HostGroup) defaulted() HostGroup {
	g.Offers = copied(g.Offers)
	g.Removal.EmptyAfter = g.Removal.EmptyAfter.or(time.Minute)
	g.Removal.DrainTimeout = g.Removal.DrainTimeout.or(10 * time.Minute)
	if g.Removal.MaxAtOnce == 0 {
		g.Removal.MaxAtOnce = 1
	}
	return g
}

func (s Service) defaulted() Service {
	s.Tasks = copied(s.Tasks)
	s.MinimumHealthyPercent = copied(s.MinimumHealthyPercent)
	s.MaximumPercent = copied(s.MaximumPercent)
	s.Tolerance = pointerOr(s.Tolerance, 10)
	s.ScaleOut = s.ScaleOut.defaulted(0)
	s.ScaleIn = s.ScaleIn.defaulted(5 * time.Minute)
	var targets []Target
	for _, t := range s.Scale {
		targets = append(targets, t.defaulted())
	}
	s.Scale, s.Endpoints = targets, defaultedRows(s.Endpoints)
	return s
}

func (t Target) defaulted() Target {
	if t.Statistic == "" {
		t.Statistic = "Average"
		if t.PerTask != 0 {
			t.Statistic = "Sum"
		}
	}
	t.Period = t.Period.or(time.Minute)
	t.Dimensions = maps.Clone(t.Dimensions)
	if len(t.Dimensions) == 0 {
		t.Dimensions = nil
	}
	return t
}

func (m Manner) defaulted(window time.Duration) Manner {
	m.Window = pointerOr(m.Window, Duration{window})
	m.Per = m.Per.or(time.Minute)
	return m
}

// or is the duration, or another in place of none.
func (d Duration) or(other time.Duration) Duration {
	if d.Duration == 0 {
		return Duration{other}
	}
	return d
}

// copied is a pointer to a copy of what v points to.
func copied[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}

// pointerOr is copied(v), or a pointer to other in place of nil.
func pointerOr[T any](v *T, other T) *T {
	if v == nil {
		return &other
	}
	return copied(v)
}
