package simcloud

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// metricAlarm is an alarm on one metric.
type metricAlarm struct {
	name, arn, description string
	id                     string // of its metric, in events
	namespace, metric      string
	dimensions             map[string]string
	key                    string // of its metric
	stat                   string
	rule                   alarmRule
	functions              map[types.StateValue][]string // names of the functions that a state invokes
	actionsOff             bool
	updated                time.Time
	state                  alarmState
	version                int // of the configuration: evaluations of an older one have ended
}

// PutMetricAlarm makes or replaces an alarm on one metric. A new alarm begins in
// INSUFFICIENT_DATA; a replaced one keeps its state until it is evaluated.
// Actions may only be functions.
func (w *CloudWatch) PutMetricAlarm(ctx context.Context, in *cloudwatch.PutMetricAlarmInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricAlarmOutput, error) {
	op := operation{service: "cloudwatch", action: "PutMetricAlarm", latency: 60 * time.Millisecond, changes: true}
	return call(ctx, w.c, op, in, func() (*cloudwatch.PutMetricAlarmOutput, error) {
		a, err := w.alarmOf(in)
		if err != nil {
			return nil, err
		}
		if old, ok := w.alarms[a.name]; ok {
			a.state, a.version, a.id = old.state, old.version+1, old.id
			*old = *a
			a = old
		} else {
			w.alarms[a.name] = a
		}
		w.watchAlarm(a)
		return &cloudwatch.PutMetricAlarmOutput{}, nil
	})
}

func (w *CloudWatch) alarmOf(in *cloudwatch.PutMetricAlarmInput) (*metricAlarm, error) {
	if err := checkAlarmKnown(in); err != nil {
		return nil, err
	}
	rule, err := alarmRuleOf(in)
	if err != nil {
		return nil, err
	}
	functions, err := w.actions(in)
	if err != nil {
		return nil, err
	}
	name := *in.AlarmName
	return &metricAlarm{
		name: name, arn: w.c.arn("cloudwatch", "alarm:"+name), description: aws.ToString(in.AlarmDescription), id: uuid(w.c),
		namespace: *in.Namespace, metric: *in.MetricName, dimensions: dimensionMap(in.Dimensions),
		key: seriesKey(*in.Namespace, *in.MetricName, dimensionMap(in.Dimensions)), stat: string(in.Statistic),
		rule: rule, functions: functions, actionsOff: in.ActionsEnabled != nil && !*in.ActionsEnabled, updated: w.c.now,
		state: alarmState{Value: types.StateValueInsufficientData, Reason: "Unchecked: Initial alarm creation", Timestamp: alarmTime(w.c.now), at: w.c.now},
	}, nil
}

// checkAlarmKnown refuses what simcloud leaves out.
func checkAlarmKnown(in *cloudwatch.PutMetricAlarmInput) error {
	left := map[string]bool{
		"ActionConfiguration": in.ActionConfiguration != nil, "EvaluationCriteria": in.EvaluationCriteria != nil,
		"EvaluateLowSampleCountPercentile": in.EvaluateLowSampleCountPercentile != nil, "EvaluationInterval": in.EvaluationInterval != nil,
		"EvaluationWindow": in.EvaluationWindow != nil, "ExtendedStatistic": in.ExtendedStatistic != nil, "Metrics": in.Metrics != nil,
		"Tags": in.Tags != nil, "ThresholdMetricId": in.ThresholdMetricId != nil, "Unit": in.Unit != "", "WarmUpConfiguration": in.WarmUpConfiguration != nil,
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		if left[what] {
			return notSimulated("%s of PutMetricAlarm", what)
		}
	}
	if aws.ToString(in.AlarmName) == "" || in.Namespace == nil || in.MetricName == nil {
		return apiError("ValidationError", "an alarm needs a name, a namespace and a metric name")
	}
	if !knownStat(string(in.Statistic)) {
		return apiError("ValidationError", "alarm %s: the statistic %q", *in.AlarmName, in.Statistic)
	}
	return nil
}

// actions finds the functions that alarms invoke.
func (w *CloudWatch) actions(in *cloudwatch.PutMetricAlarmInput) (map[types.StateValue][]string, error) {
	out := map[types.StateValue][]string{}
	for _, a := range []struct {
		state types.StateValue
		arns  []string
	}{
		{types.StateValueAlarm, in.AlarmActions},
		{types.StateValueOk, in.OKActions},
		{types.StateValueInsufficientData, in.InsufficientDataActions},
	} {
		if len(a.arns) > 5 {
			return nil, apiError("ValidationError", "alarm %s has more than 5 actions for %s", *in.AlarmName, a.state)
		}
		for _, arn := range a.arns {
			name := arn[strings.LastIndexByte(arn, ':')+1:]
			if arn != w.c.Lambda().ARN(name) {
				return nil, notSimulated("the alarm action %s: only functions", arn)
			}
			out[a.state] = append(out[a.state], name)
		}
	}
	return out, nil
}

// watchAlarm evaluates the alarm each minute, at a second of its own; one of
// high resolution each 10 s.
func (w *CloudWatch) watchAlarm(a *metricAlarm) {
	each, version := a.rule.interval(), a.version
	first := w.c.now.Add(between(w.c.stream("alarm "+a.name), time.Second, each))
	w.c.every(first, each, func() bool {
		if a.version != version {
			return false
		}
		w.evaluate(a)
		return true
	})
}

// evaluate looks at the newest points there are and tells a change of state.
func (w *CloudWatch) evaluate(a *metricAlarm) {
	now := w.c.now
	begin, end := a.rule.window(now)
	v := a.rule.judge(w.metrics[a.key].buckets(begin, end, a.rule.period, now), a.stat, end, a.state.Value)
	w.c.faults.flap(&v)
	if v.state == a.state.Value {
		return
	}
	before := a.state
	a.state = a.rule.stateOf(v, a.stat, before.Value, now)
	w.c.emit("aws.cloudwatch", "CloudWatch Alarm State Change", []string{a.arn}, alarmChange{
		AlarmName: a.name, Configuration: a.configuration(), PreviousState: before, State: a.state,
	})
	if !a.actionsOff {
		w.act(a, before)
	}
}

// act invokes the functions of the new state directly: another layout than the
// event's.
func (w *CloudWatch) act(a *metricAlarm, before alarmState) {
	payload, err := json.Marshal(alarmPayload{
		Source: "aws.cloudwatch", AlarmArn: a.arn, AccountID: w.c.opts.Account, Time: alarmTime(w.c.now), Region: w.c.opts.Region,
		AlarmData: alarmChange{AlarmName: a.name, Configuration: a.configuration(), PreviousState: before, State: a.state},
	})
	if err != nil {
		panic("simcloud: an alarm's payload: " + err.Error()) // strings and numbers: cannot fail
	}
	for _, name := range a.functions[a.state.Value] {
		if err := w.c.Lambda().Invoke(name, payload); err != nil {
			w.c.trace("alarm %s: %v", a.name, err)
		}
	}
}

// DescribeAlarms returns metric alarms by name, 50 a page unless told.
func (w *CloudWatch) DescribeAlarms(ctx context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	op := operation{service: "cloudwatch", action: "DescribeAlarms", bucket: "cloudwatch DescribeAlarms", latency: 60 * time.Millisecond}
	return call(ctx, w.c, op, in, func() (*cloudwatch.DescribeAlarmsOutput, error) {
		if err := checkDescribeAlarms(in); err != nil {
			return nil, err
		}
		out, size := &cloudwatch.DescribeAlarmsOutput{}, 50
		if in.MaxRecords != nil {
			size = int(*in.MaxRecords)
		}
		for _, name := range slices.Sorted(maps.Keys(w.alarms)) {
			if a := w.alarms[name]; name <= aws.ToString(in.NextToken) || !a.asked(in) {
				continue
			}
			if len(out.MetricAlarms) == size {
				out.NextToken = aws.String(*out.MetricAlarms[size-1].AlarmName)
				break
			}
			out.MetricAlarms = append(out.MetricAlarms, w.alarms[name].describe())
		}
		return out, nil
	})
}

func checkDescribeAlarms(in *cloudwatch.DescribeAlarmsInput) error {
	switch {
	case in.ActionPrefix != nil || in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil:
		return notSimulated("ActionPrefix, ChildrenOfAlarmName and ParentsOfAlarmName of DescribeAlarms")
	case len(in.AlarmNames) > 100 || in.AlarmNames != nil && in.AlarmNamePrefix != nil:
		return apiError("ValidationError", "at most 100 alarm names, and not together with a prefix")
	case in.MaxRecords != nil && (*in.MaxRecords < 1 || *in.MaxRecords > 100):
		return apiError("ValidationError", "MaxRecords is %d, not 1 to 100", *in.MaxRecords)
	default:
		return nil
	}
}

// asked says whether DescribeAlarms asks for this alarm.
func (a *metricAlarm) asked(in *cloudwatch.DescribeAlarmsInput) bool {
	byName := len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, a.name)
	byType := len(in.AlarmTypes) == 0 || slices.Contains(in.AlarmTypes, types.AlarmTypeMetricAlarm)
	byState := in.StateValue == "" || in.StateValue == a.state.Value
	return byName && byType && byState && strings.HasPrefix(a.name, aws.ToString(in.AlarmNamePrefix))
}

func (a *metricAlarm) describe() types.MetricAlarm {
	out := types.MetricAlarm{
		AlarmName: aws.String(a.name), AlarmArn: aws.String(a.arn), ActionsEnabled: aws.Bool(!a.actionsOff),
		AlarmConfigurationUpdatedTimestamp: aws.Time(a.updated),
		Namespace:                          aws.String(a.namespace), MetricName: aws.String(a.metric), Dimensions: dimensionList(a.dimensions),
		Statistic: types.Statistic(a.stat), Period: aws.Int32(int32(a.rule.period)),
		EvaluationPeriods: aws.Int32(int32(a.rule.n)), DatapointsToAlarm: aws.Int32(int32(a.rule.m)),
		Threshold: aws.Float64(a.rule.threshold), ComparisonOperator: a.rule.operator, TreatMissingData: aws.String(a.rule.missing),
		StateValue: a.state.Value, StateReason: aws.String(a.state.Reason),
		StateUpdatedTimestamp: aws.Time(a.state.at), StateTransitionedTimestamp: aws.Time(a.state.at),
	}
	if a.description != "" {
		out.AlarmDescription = aws.String(a.description)
	}
	if a.state.ReasonData != "" {
		out.StateReasonData = aws.String(a.state.ReasonData)
	}
	return out
}
