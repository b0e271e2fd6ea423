package policy

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// The metrics that a policy calls by a short name: what the service's tasks use
// of what they reserved, in percent.
const (
	cpuMetric    = "cpu"
	memoryMetric = "memory"
)

// utilisation is the name of the AWS/ECS metric that a short name stands for;
// empty for a metric of another namespace.
func (t Target) utilisation() string {
	switch t.Metric {
	case cpuMetric:
		return "CPUUtilization"
	case memoryMetric:
		return "MemoryUtilization"
	default:
		return ""
	}
}

// Key names the target's series among those of a scope: SERVICE/METRIC, and a
// hash of the rest where the metric's name alone does not say which series it
// is, so that two targets have one key only if they read the same series.
func (t Target) Key(service string) string {
	d := t.defaulted()
	key := service + "/" + d.Metric
	plain := Target{Metric: d.Metric}.defaulted()
	if d.utilisation() != "" && d.Namespace == "" && d.Dimensions == nil && d.Statistic == plain.Statistic && d.Period == plain.Period {
		return key
	}
	parts := []string{d.Namespace, d.Statistic, d.Period.String()}
	for _, name := range slices.Sorted(maps.Keys(d.Dimensions)) {
		parts = append(parts, name, d.Dimensions[name])
	}
	return key + "-" + digest(parts...)
}

// digest is a short name for a list of strings: 8 hex digits.
func digest(parts ...string) string {
	h := fnv.New32a()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p) // the length keeps ("ab","c") from ("a","bc"); a hash's Write cannot fail
	}
	return fmt.Sprintf("%08x", h.Sum32())
}

// metric is the series that the target is read from.
func (t Target) metric(clusterName, service string) cluster.Metric {
	d := t.defaulted()
	m := cluster.Metric{
		Key:        t.Key(service),
		Namespace:  d.Namespace,
		Name:       d.Metric,
		Dimensions: d.Dimensions,
		Statistic:  d.Statistic,
		Period:     d.Period.Duration,
	}
	if name := d.utilisation(); name != "" {
		m.Namespace, m.Name = "AWS/ECS", name
		m.Dimensions = map[string]string{"ClusterName": clusterName, "ServiceName": service}
	}
	return m
}

// Scope is what a round of the cluster looks at and may change: groups in the
// policy's order, services by name, and each metric once.
func (p Policy) Scope() cluster.Scope {
	s := cluster.Scope{Cluster: p.Cluster, Services: slices.Sorted(maps.Keys(p.Services))}
	for _, g := range p.Hosts {
		s.Groups = append(s.Groups, g.Group)
	}
	for _, name := range s.Services {
		for _, t := range p.Services[name].Scale {
			s.Metrics = append(s.Metrics, t.metric(p.Cluster, name))
		}
	}
	return s
}
