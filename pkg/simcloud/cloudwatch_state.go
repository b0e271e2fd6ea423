package simcloud

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// alarmRule is when an alarm alarms: m of the newest n points breach.
type alarmRule struct {
	n, m      int
	period    int64 // seconds
	operator  types.ComparisonOperator
	threshold float64
	missing   string // missing, notBreaching, breaching or ignore
}

func alarmRuleOf(in *cloudwatch.PutMetricAlarmInput) (alarmRule, error) {
	r := alarmRule{
		n: int(aws.ToInt32(in.EvaluationPeriods)), m: int(aws.ToInt32(in.EvaluationPeriods)), period: int64(aws.ToInt32(in.Period)),
		operator: in.ComparisonOperator, threshold: aws.ToFloat64(in.Threshold), missing: "missing",
	}
	if in.DatapointsToAlarm != nil {
		r.m = int(*in.DatapointsToAlarm)
	}
	if in.TreatMissingData != nil {
		r.missing = *in.TreatMissingData
	}
	name := aws.ToString(in.AlarmName)
	switch {
	case !knownPeriod(aws.ToInt32(in.Period), 10, 20, 30):
		return r, apiError("ValidationError", "alarm %s: the period is %d, not 10, 20, 30 or a multiple of 60", name, r.period)
	case r.n < 1 || r.m < 1 || r.m > r.n || int64(r.n)*r.period > 86400:
		return r, apiError("ValidationError", "alarm %s: %d of %d periods of %d s: at least 1, and a day at most", name, r.m, r.n, r.period)
	case in.Threshold == nil:
		return r, apiError("ValidationError", "alarm %s has no threshold", name)
	}
	return r, r.checkWords(name)
}

func (r alarmRule) checkWords(name string) error {
	if breachWords(r.operator) == "" {
		return notSimulated("the comparison %q of alarm %s", r.operator, name)
	}
	if !slices.Contains([]string{"missing", "notBreaching", "breaching", "ignore"}, r.missing) {
		return apiError("ValidationError", "alarm %s: TreatMissingData is %q", name, r.missing)
	}
	return nil
}

// breachWords is how CloudWatch's texts say that a point breaches. Empty: the
// operator is not simulated.
func breachWords(operator types.ComparisonOperator) string {
	switch string(operator) {
	case "GreaterThanThreshold":
		return "greater than"
	case "GreaterThanOrEqualToThreshold":
		return "greater than or equal to"
	case "LessThanThreshold":
		return "less than"
	case "LessThanOrEqualToThreshold":
		return "less than or equal to"
	default:
		return ""
	}
}

func (r alarmRule) interval() time.Duration {
	if r.period < 60 {
		return 10 * time.Second
	}
	return time.Minute
}

// extraPeriods is by how many periods CloudWatch looks further back than an
// alarm's n: its documentation's example has two.
const extraPeriods = 2

// window is the evaluation range at an instant, in Unix seconds: whole periods
// that have ended.
func (r alarmRule) window(now time.Time) (begin, end int64) {
	end = now.Unix() - now.Unix()%r.period
	return end - int64(r.n+extraPeriods)*r.period, end
}

func (r alarmRule) breaches(v float64) bool {
	switch {
	case strings.HasPrefix(string(r.operator), "GreaterThanOrEqual"):
		return v >= r.threshold
	case strings.HasPrefix(string(r.operator), "GreaterThan"):
		return v > r.threshold
	case strings.HasPrefix(string(r.operator), "LessThanOrEqual"):
		return v <= r.threshold
	default:
		return v < r.threshold
	}
}

// verdict is what an evaluation finds.
type verdict struct {
	state  types.StateValue
	points []metricBucket // it rests on, newest first
	filled int            // missing points put in
}

// judge evaluates the points of the window that ends at end. It takes the newest
// n that there are and fills up what is missing as the alarm says.
//
// Missing points left missing make no alarm, with one exception that CloudWatch
// documents: if all points there are breach, and the oldest of them is m periods
// old, it alarms on fewer than m. What else has fewer than m points, all of them
// breaching, keeps its state.
func (r alarmRule) judge(buckets []metricBucket, stat string, end int64, before types.StateValue) verdict {
	points := slices.Clone(buckets)
	slices.Reverse(points)
	points = points[:min(len(points), r.n)]
	breaching := r.count(points, stat)
	v := verdict{points: points, filled: r.n - len(points), state: types.StateValueOk}
	if r.missing == "breaching" {
		breaching += v.filled
	}
	filling := r.missing == "breaching" || r.missing == "notBreaching"
	switch {
	case breaching >= r.m:
		v.state = types.StateValueAlarm
	case filling:
	case len(points) == 0 && r.missing == "missing":
		v.state = types.StateValueInsufficientData
	case breaching == len(points): // fewer than m, all breaching
		v.state = before
		if r.missing == "missing" && (end-points[len(points)-1].from)/r.period >= int64(r.m) {
			v.state = types.StateValueAlarm
		}
	}
	return v
}

// count is how many points breach.
func (r alarmRule) count(points []metricBucket, stat string) int {
	n := 0
	for _, b := range points {
		if r.breaches(b.stat(stat)) {
			n++
		}
	}
	return n
}

// alarmState is a state as events show it.
type alarmState struct {
	Value      types.StateValue `json:"value"`
	Reason     string           `json:"reason"`
	ReasonData string           `json:"reasonData,omitempty"` // JSON in a string
	Timestamp  string           `json:"timestamp"`
	at         time.Time
}

// alarmTime writes a time as CloudWatch does: +0000, which is not RFC 3339.
func alarmTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }

// alarmNumber writes a number as CloudWatch does: 70.0.
type alarmNumber float64

// MarshalJSON writes at least one digit after the point.
func (n alarmNumber) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

func (n alarmNumber) String() string {
	s := strconv.FormatFloat(float64(n), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

type reasonData struct {
	Version             string           `json:"version"`
	QueryDate           string           `json:"queryDate"`
	StartDate           string           `json:"startDate,omitempty"`
	Statistic           string           `json:"statistic"`
	Period              int64            `json:"period"`
	RecentDatapoints    []alarmNumber    `json:"recentDatapoints"`
	Threshold           alarmNumber      `json:"threshold"`
	EvaluatedDatapoints []evaluatedPoint `json:"evaluatedDatapoints"`
}

type evaluatedPoint struct {
	Timestamp   string      `json:"timestamp"`
	SampleCount alarmNumber `json:"sampleCount"`
	Value       alarmNumber `json:"value"`
}

// stateOf words a new state.
func (r alarmRule) stateOf(v verdict, stat string, before types.StateValue, now time.Time) alarmState {
	data := reasonData{
		Version: "1.0", QueryDate: alarmTime(now), Statistic: stat, Period: r.period,
		RecentDatapoints: []alarmNumber{}, Threshold: alarmNumber(r.threshold), EvaluatedDatapoints: []evaluatedPoint{},
	}
	for _, b := range v.points {
		value, at := alarmNumber(b.stat(stat)), alarmTime(time.Unix(b.from, 0))
		data.RecentDatapoints = append(data.RecentDatapoints, value)
		data.EvaluatedDatapoints = append(data.EvaluatedDatapoints, evaluatedPoint{Timestamp: at, SampleCount: alarmNumber(b.n), Value: value})
		data.StartDate = at
	}
	slices.Reverse(data.RecentDatapoints)
	raw, err := json.Marshal(data)
	if err != nil {
		panic("simcloud: an alarm's reason: " + err.Error()) // strings and finite numbers: cannot fail
	}
	return alarmState{Value: v.state, Reason: r.reason(v, stat, before), ReasonData: string(raw), Timestamp: alarmTime(now), at: now}
}

// reason is CloudWatch's sentence.
func (r alarmRule) reason(v verdict, stat string, before types.StateValue) string {
	if v.state == types.StateValueInsufficientData {
		return fmt.Sprintf("Insufficient Data: %d datapoints were unknown.", r.n)
	}
	if len(v.points) == 0 {
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %d periods and %d missing datapoints were treated as [%s].", r.n, v.filled, r.missing)
	}
	alarming := v.state == types.StateValueAlarm
	var shown []string
	for _, b := range v.points {
		if value := b.stat(stat); r.breaches(value) == alarming {
			shown = append(shown, fmt.Sprintf("%s (%s)", alarmNumber(value), time.Unix(b.from, 0).UTC().Format("02/01/06 15:04:05")))
		}
	}
	least, words := r.m, breachWords(r.operator)
	if !alarming {
		least, words = r.n-r.m+1, "not "+words
	}
	verb := "were"
	if len(shown) == 1 {
		verb = "was"
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints [%s] %s %s the threshold (%s) (minimum %d %s for %s -> %s transition).",
		len(shown), len(v.points), strings.Join(shown, ", "), verb, words, alarmNumber(r.threshold), least, plural(least, "datapoint"), before, v.state)
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// alarmChange is the detail of the event; a function invoked directly gets the
// same as alarmData.
type alarmChange struct {
	AlarmName     string             `json:"alarmName"`
	Configuration alarmConfiguration `json:"configuration"`
	PreviousState alarmState         `json:"previousState"`
	State         alarmState         `json:"state"`
}

type alarmPayload struct {
	Source    string      `json:"source"`
	AlarmArn  string      `json:"alarmArn"`
	AccountID string      `json:"accountId"`
	Time      string      `json:"time"`
	Region    string      `json:"region"`
	AlarmData alarmChange `json:"alarmData"`
}

type alarmConfiguration struct {
	Description string        `json:"description,omitempty"`
	Metrics     []alarmMetric `json:"metrics"`
}

type alarmMetric struct {
	ID         string `json:"id"`
	MetricStat struct {
		Metric struct {
			Namespace  string            `json:"namespace"`
			Name       string            `json:"name"`
			Dimensions map[string]string `json:"dimensions"`
		} `json:"metric"`
		Period int64  `json:"period"`
		Stat   string `json:"stat"`
	} `json:"metricStat"`
	ReturnData bool `json:"returnData"`
}

func (a *metricAlarm) configuration() alarmConfiguration {
	m := alarmMetric{ID: a.id, ReturnData: true}
	m.MetricStat.Metric.Namespace, m.MetricStat.Metric.Name = a.namespace, a.metric
	m.MetricStat.Metric.Dimensions = maps.Clone(a.dimensions)
	m.MetricStat.Period, m.MetricStat.Stat = a.rule.period, a.stat
	return alarmConfiguration{Description: a.description, Metrics: []alarmMetric{m}}
}
