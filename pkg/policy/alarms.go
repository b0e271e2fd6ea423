package policy

import (
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// Alarm is a CloudWatch alarm that wakes a round. Its firing says look; the
// round reads the metric itself.
type Alarm struct {
	Name              string // at most 255 characters
	Metric            cluster.Metric
	Threshold         float64
	Comparison        string // CloudWatch's ComparisonOperator
	EvaluationPeriods int
	TreatMissing      string // CloudWatch's TreatMissingData: unknown is not zero
}

// Alarms are the alarms that a policy wants, one a target of a service, services
// by name and targets in the policy's order. Infra makes them in CloudFormation
// and scenario in the simulated cloud, both from this list.
//
// A target that is an average over the tasks fires above the target and its
// tolerance. The threshold of one that is a total (PerTask) would have to move
// with the task count, which an alarm's does not: it fires where the least
// number of tasks is too few, so that a service that was scaled to its minimum,
// or to zero, is woken at once. Above that the alarm stays in ALARM, and the
// sweep and the plan's next look follow the load.
func Alarms(p Policy) []Alarm {
	var all []Alarm
	scope := p.Scope()
	next := 0 // scope.Metrics are in the order of this walk
	for _, name := range scope.Services {
		service := p.Services[name].defaulted()
		for _, t := range service.Scale {
			all = append(all, Alarm{
				Name:              alarmName(p.Cluster, name, t),
				Metric:            scope.Metrics[next],
				Threshold:         service.threshold(t),
				Comparison:        "GreaterThanThreshold",
				EvaluationPeriods: 1,
				TreatMissing:      "missing",
			})
			next++
		}
	}
	return all
}

// threshold is the metric's value above which a target calls for more tasks.
func (s Service) threshold(t Target) float64 {
	value := t.Target
	if t.PerTask != 0 {
		value = 0
		if s.Tasks != nil {
			value = t.PerTask * float64(s.Tasks.Min)
		}
	}
	return value * float64(100+*s.Tolerance) / 100
}

// AlarmPrefix begins the name of every alarm of Alarms, and of no other that a
// deployment makes: the rule that brings alarms' events goes by it.
const AlarmPrefix = "plimsoll-"

// The end of an alarm's name, and its length as CloudWatch limits it.
const (
	alarmSuffix  = "-high"
	alarmNameMax = 255
)

// alarmName is plimsoll-CLUSTER-SERVICE-METRIC-high. A hash of the three comes
// before -high where that is too long or could be read in two ways: prod-a and
// b, prod and a-b. Equal names would be one alarm in CloudWatch.
func alarmName(clusterName, service string, t Target) string {
	key := t.Key(service)
	plain := key == service+"/"+t.Metric && !strings.Contains(clusterName+service, "-")
	name := AlarmPrefix + clusterName + "-" + service + "-" + t.Metric
	if plain && len(name)+len(alarmSuffix) <= alarmNameMax {
		return name + alarmSuffix
	}
	suffix := "-" + digest(clusterName, key) + alarmSuffix
	room := min(len(name), alarmNameMax-len(suffix))
	return strings.ToValidUTF8(name[:room], "") + suffix
}
