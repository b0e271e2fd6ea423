package simcloud

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsRequest is one task that looks for a host.
type ecsRequest struct {
	definition  *ecsDefinition
	group       string
	constraints []ecsConstraint // of the service or the RunTask call
	strategies  []ecsStrategy
}

// ecsRefusal is why no host takes a task, and the host that came closest.
type ecsRefusal struct {
	reason string
	host   *ecsHost
}

// The filters of placement in their order; a host that passes more of them is
// closer to a match.
const (
	refusedInactive = "NO ACTIVE INSTANCES"
	refusedAgent    = "AGENT"
	refusedAttr     = "ATTRIBUTE"
	refusedMember   = "MemberOf placement constraint unsatisfied."
	refusedDistinct = "DistinctInstance placement constraint unsatisfied."
	refusedCPU      = "RESOURCE:CPU"
	refusedMemory   = "RESOURCE:MEMORY"
	refusedPorts    = "RESOURCE:PORTS"
)

// place finds the host for a task: those that pass all filters, narrowed by each
// strategy in turn, and chance among equals.
func (f *fleet) place(c *ecsCluster, r ecsRequest) (*ecsHost, ecsRefusal) {
	var fit []*ecsHost
	closest, furthest := ecsRefusal{reason: refusedInactive}, 0
	for _, h := range c.hosts {
		reason, stage := r.refuses(h)
		if reason == "" {
			fit = append(fit, h)
		} else if stage > furthest {
			closest, furthest = ecsRefusal{reason, h}, stage
		}
	}
	if len(fit) == 0 {
		return nil, closest
	}
	if why, ok := f.faults.refused(fit[0]); ok {
		return nil, why
	}
	for _, s := range r.strategies {
		fit = s.prefer(fit, c.hosts, r.group)
	}
	return oneAtRandom(f, fit), ecsRefusal{}
}

// oneAtRandom takes one of those that are equally good.
func oneAtRandom[T any](f *fleet, equal []T) T {
	if len(equal) == 1 {
		return equal[0]
	}
	return equal[f.stream("placement").IntN(len(equal))]
}

// refuses says why a host does not take the task, and how far it came; "" means
// that it takes it.
func (r ecsRequest) refuses(h *ecsHost) (reason string, stage int) {
	d := r.definition
	switch {
	case h.status != statusActive:
		return refusedInactive, 0
	case !h.connected:
		return refusedAgent, 1
	case !h.has(d.requires):
		return refusedAttr, 2
	}
	if reason := r.constrained(h); reason != "" {
		return reason, 3
	}
	switch {
	case h.freeCPU < d.cpu:
		return refusedCPU, 4
	case h.freeMemory < d.memory:
		return refusedMemory, 5
	case slices.ContainsFunc(d.static(), func(p ecsPort) bool { return h.takes(p) }):
		return refusedPorts, 6
	}
	return "", 7
}

// constrained says which constraint keeps the task off a host; "": none.
func (r ecsRequest) constrained(h *ecsHost) string {
	for _, k := range slices.Concat(r.definition.constraints, r.constraints) {
		switch {
		case k.distinct && h.byGroup[r.group] > 0:
			return refusedDistinct
		case !k.distinct && !k.holds(h):
			return refusedMember
		}
	}
	return ""
}

// ecsStrategy is a placement strategy.
type ecsStrategy struct {
	kind  types.PlacementStrategyType
	field string // of spread: instanceId or attribute:NAME; of binpack: cpu or memory
}

// spreadOverZones is what a service gets that names no strategy: tasks spread
// over the zones, then over the hosts.
func spreadOverZones() []ecsStrategy {
	return []ecsStrategy{{types.PlacementStrategyTypeSpread, "attribute:" + attributeZone}, {types.PlacementStrategyTypeSpread, "instanceId"}}
}

func newStrategies(in []types.PlacementStrategy) ([]ecsStrategy, error) {
	var all []ecsStrategy
	for _, s := range in {
		field := aws.ToString(s.Field)
		if field == "host" {
			field = "instanceId"
		}
		known := false
		switch s.Type {
		case types.PlacementStrategyTypeSpread:
			known = field == "instanceId" || strings.HasPrefix(field, "attribute:")
		case types.PlacementStrategyTypeBinpack:
			field = strings.ToLower(field)
			known = field == "cpu" || field == "memory"
		case types.PlacementStrategyTypeRandom:
			known = field == ""
		}
		if !known {
			return nil, invalidParameter("Invalid placement strategy: type %q, field %q.", s.Type, field)
		}
		all = append(all, ecsStrategy{s.Type, field})
	}
	return all, nil
}

func (s ecsStrategy) describe() types.PlacementStrategy {
	out := types.PlacementStrategy{Type: s.kind}
	if s.field != "" {
		out.Field = aws.String(s.field)
	}
	return out
}

// prefer keeps the hosts that the strategy likes best for one task more of the
// group. all are the cluster's hosts, over which spread counts.
func (s ecsStrategy) prefer(fit, all []*ecsHost, group string) []*ecsHost {
	switch s.kind {
	case types.PlacementStrategyTypeSpread:
		count := s.counts(all, group)
		return least(fit, func(h *ecsHost) int { return count[s.key(h)] })
	case types.PlacementStrategyTypeBinpack:
		return least(fit, s.free)
	default:
		return fit
	}
}

// relieve keeps the tasks that scale-in takes first: placement's mirror. Spread
// takes from where most are; binpack from the host with most left afterwards.
func (s ecsStrategy) relieve(tasks []*ecsTask, all []*ecsHost, group string) []*ecsTask {
	switch s.kind {
	case types.PlacementStrategyTypeSpread:
		count := s.counts(all, group)
		return least(tasks, func(t *ecsTask) int { return -count[s.key(t.host)] })
	case types.PlacementStrategyTypeBinpack:
		return least(tasks, func(t *ecsTask) int { return -s.free(t.host) - s.size(t.definition) })
	default:
		return tasks
	}
}

// counts are the group's tasks that are to run, by the value of spread's field.
func (s ecsStrategy) counts(all []*ecsHost, group string) map[string]int {
	count := make(map[string]int, len(all))
	for _, h := range all {
		if n := h.byGroup[group]; n > 0 {
			count[s.key(h)] += n
		}
	}
	return count
}

// key is the host's value of spread's field.
func (s ecsStrategy) key(h *ecsHost) string {
	if s.field == "instanceId" {
		return h.id
	}
	value, _ := h.attribute(strings.TrimPrefix(s.field, "attribute:"))
	return value
}

func (s ecsStrategy) free(h *ecsHost) int {
	if s.field == "cpu" {
		return h.freeCPU
	}
	return h.freeMemory
}

func (s ecsStrategy) size(d *ecsDefinition) int {
	if s.field == "cpu" {
		return d.cpu
	}
	return d.memory
}

// least keeps those with the smallest measure, in their order.
func least[T any](all []T, measure func(T) int) []T {
	var best []T
	smallest := 0
	for _, one := range all {
		m := measure(one)
		if len(best) == 0 || m < smallest {
			best, smallest = best[:0:0], m
		}
		if m == smallest {
			best = append(best, one)
		}
	}
	return best
}
