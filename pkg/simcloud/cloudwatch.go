package simcloud

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// CloudWatch holds metrics, whose points become visible only after a lag, and
// alarms, which tell transitions only.
type CloudWatch struct {
	c       *Cloud
	metrics map[string]*metricSeries
	alarms  map[string]*metricAlarm
}

// CloudWatch returns the metrics and alarms of this world.
func (c *Cloud) CloudWatch() *CloudWatch {
	if c.parts.cloudwatch == nil {
		c.parts.cloudwatch = &CloudWatch{c: c, metrics: map[string]*metricSeries{}, alarms: map[string]*metricAlarm{}}
	}
	return c.parts.cloudwatch
}

// metricSeries is one metric: its values in the order of their time.
type metricSeries struct {
	key    string
	points []metricPoint
	lags   *rand.Rand
	from   int64         // of the last period published
	lag    time.Duration // of that period
}

// metricPoint is a value, or a set of values known by its statistics. Times are
// Unix seconds, and milliseconds for visible: there are millions of them.
type metricPoint struct {
	from, visible       int64
	sum, least, most, n float64
}

func seriesKey(namespace, name string, dimensions map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", namespace, name)
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		fmt.Fprintf(&b, " %s=%s", d, dimensions[d])
	}
	return b.String()
}

func (w *CloudWatch) series(key string) *metricSeries {
	s, ok := w.metrics[key]
	if !ok {
		s = &metricSeries{key: key, lags: w.c.stream("metric lag " + key)}
		w.metrics[key] = s
	}
	return s
}

// publish records one value of a metric for the period that begins at from. It
// becomes visible once the metric's lag has passed. What is no number is no
// value, as CloudWatch takes none such.
func (c *Cloud) publish(namespace, name string, dimensions map[string]string, from time.Time, period time.Duration, value float64) {
	if !finite(value) {
		return
	}
	key := seriesKey(namespace, name, dimensions)
	if c.faults.during(faultMetricMissing, key, time.Minute, 15*time.Minute) {
		c.faults.strike(faultMetricMissing)
		return
	}
	s := c.CloudWatch().series(key)
	if s.lag == 0 || s.from != from.Unix() {
		s.from, s.lag = from.Unix(), metricLag(s.lags, period)
	}
	s.add(metricPoint{
		from: from.Unix(), visible: from.Add(period + s.lag).UnixMilli(),
		sum: value, least: value, most: value, n: 1,
	})
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// metricLag is how long after its end a period becomes visible: 30 to 90 s, for
// high resolution 5 to 15 s.
func metricLag(r *rand.Rand, period time.Duration) time.Duration {
	if period < time.Minute {
		return between(r, 5*time.Second, 15*time.Second)
	}
	return between(r, 30*time.Second, 90*time.Second)
}

func (s *metricSeries) add(p metricPoint) {
	at := len(s.points)
	for at > 0 && s.points[at-1].from > p.from {
		at--
	}
	s.points = slices.Insert(s.points, at, p)
}

// metricBucket is what CloudWatch aggregates of a period.
type metricBucket struct {
	from                int64 // Unix seconds
	sum, least, most, n float64
}

func (b metricBucket) stat(name string) float64 {
	switch name {
	case "Average":
		return b.sum / b.n
	case "Sum":
		return b.sum
	case "Maximum":
		return b.most
	case "Minimum":
		return b.least
	default: // SampleCount: knownStat lets no other pass
		return b.n
	}
}

func knownStat(name string) bool {
	return slices.Contains([]string{"Average", "Sum", "Maximum", "Minimum", "SampleCount"}, name)
}

// buckets aggregates what is visible at the instant now of the values from begin
// to before end (Unix seconds), oldest first. Empty periods are left out.
func (s *metricSeries) buckets(begin, end, period int64, now time.Time) []metricBucket {
	if s == nil {
		return nil
	}
	var out []metricBucket
	seen := now.UnixMilli()
	i := sort.Search(len(s.points), func(i int) bool { return s.points[i].from >= begin })
	for ; i < len(s.points) && s.points[i].from < end; i++ {
		p := s.points[i]
		if p.visible > seen {
			continue
		}
		from := p.from - p.from%period
		if len(out) == 0 || out[len(out)-1].from != from {
			out = append(out, metricBucket{from: from, sum: p.sum, least: p.least, most: p.most, n: p.n})
			continue
		}
		b := &out[len(out)-1]
		b.sum, b.n, b.least, b.most = b.sum+p.sum, b.n+p.n, min(b.least, p.least), max(b.most, p.most)
	}
	return out
}

// maxDataPoints is how many points one answer of GetMetricData holds; simcloud
// does not page them.
const maxDataPoints = 100800

// GetMetricData answers metric queries; expressions are not simulated. A metric
// that nobody published is no error: it has no values.
func (w *CloudWatch) GetMetricData(ctx context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	op := operation{service: "cloudwatch", action: "GetMetricData", bucket: "cloudwatch GetMetricData", latency: 60 * time.Millisecond}
	return call(ctx, w.c, op, in, func() (*cloudwatch.GetMetricDataOutput, error) {
		if err := checkGetMetricData(in); err != nil {
			return nil, err
		}
		out, points := &cloudwatch.GetMetricDataOutput{}, 0
		for _, q := range in.MetricDataQueries {
			if err := checkMetricQuery(q); err != nil {
				return nil, err
			}
			if q.ReturnData != nil && !*q.ReturnData {
				continue
			}
			r := w.result(q, in)
			points += len(r.Values)
			out.MetricDataResults = append(out.MetricDataResults, r)
		}
		if points > maxDataPoints {
			return nil, notSimulated("pages of GetMetricData: %d points", points)
		}
		if w.c.current != nil {
			w.c.bill.MetricsAsked += len(in.MetricDataQueries)
		}
		return out, nil
	})
}

func checkGetMetricData(in *cloudwatch.GetMetricDataInput) error {
	switch {
	case in.StartTime == nil || in.EndTime == nil || !in.StartTime.Before(*in.EndTime):
		return apiError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
	case len(in.MetricDataQueries) == 0 || len(in.MetricDataQueries) > 500:
		return apiError("ValidationError", "%d queries, not 1 to 500", len(in.MetricDataQueries))
	case in.NextToken != nil || in.MaxDatapoints != nil || in.LabelOptions != nil:
		return notSimulated("NextToken, MaxDatapoints and LabelOptions of GetMetricData")
	}
	return checkQueryIDs(in.MetricDataQueries)
}

func checkQueryIDs(queries []types.MetricDataQuery) error {
	ids := map[string]bool{}
	for _, q := range queries {
		id := aws.ToString(q.Id)
		if id == "" || id[0] < 'a' || id[0] > 'z' || ids[id] {
			return apiError("ValidationError", "the id %q of a query is given twice or does not begin with a lower-case letter", id)
		}
		ids[id] = true
	}
	return nil
}

func checkMetricQuery(q types.MetricDataQuery) error {
	if q.Expression != nil || q.AccountId != nil || q.Period != nil {
		return notSimulated("expressions and other accounts in the query %s", *q.Id)
	}
	m := q.MetricStat
	if m == nil || m.Metric == nil || m.Metric.Namespace == nil || m.Metric.MetricName == nil {
		return apiError("ValidationError", "the query %s names no metric", *q.Id)
	}
	if m.Unit != "" || !knownStat(aws.ToString(m.Stat)) {
		return notSimulated("the unit %q or the statistic %q in the query %s", m.Unit, aws.ToString(m.Stat), *q.Id)
	}
	if p := aws.ToInt32(m.Period); !knownPeriod(p, 1, 5, 10, 20, 30) {
		return apiError("ValidationError", "the period %d of the query %s is not 1, 5, 10, 20, 30 or a multiple of 60", p, *q.Id)
	}
	return nil
}

// knownPeriod: whole minutes, or one of the short ones; seconds.
func knownPeriod(p int32, short ...int32) bool {
	return slices.Contains(short, p) || p > 0 && p%60 == 0
}

// result aggregates one query. The start is rounded down to the minute, or to
// the period if that is shorter; the end is exclusive.
func (w *CloudWatch) result(q types.MetricDataQuery, in *cloudwatch.GetMetricDataInput) types.MetricDataResult {
	m := q.MetricStat
	period := int64(*m.Period)
	begin := in.StartTime.Unix()
	begin -= begin % min(period, 60)
	end := in.EndTime.Unix()
	if in.EndTime.Nanosecond() > 0 {
		end++
	}
	r := types.MetricDataResult{Id: aws.String(*q.Id), Label: aws.String(*m.Metric.MetricName), StatusCode: types.StatusCodeComplete, Timestamps: []time.Time{}, Values: []float64{}}
	if q.Label != nil {
		r.Label = aws.String(*q.Label)
	}
	series := w.metrics[seriesKey(*m.Metric.Namespace, *m.Metric.MetricName, dimensionMap(m.Metric.Dimensions))]
	for _, b := range series.buckets(begin, end, period, w.c.now) {
		r.Timestamps = append(r.Timestamps, time.Unix(b.from, 0).UTC())
		r.Values = append(r.Values, b.stat(*m.Stat))
	}
	if in.ScanBy != types.ScanByTimestampAscending {
		slices.Reverse(r.Timestamps)
		slices.Reverse(r.Values)
	}
	return r
}

func dimensionMap(dimensions []types.Dimension) map[string]string {
	out := make(map[string]string, len(dimensions))
	for _, d := range dimensions {
		out[aws.ToString(d.Name)] = aws.ToString(d.Value)
	}
	return out
}

func dimensionList(dimensions map[string]string) []types.Dimension {
	out := make([]types.Dimension, 0, len(dimensions))
	for name, value := range dimensions {
		out = append(out, types.Dimension{Name: aws.String(name), Value: aws.String(value)})
	}
	slices.SortFunc(out, func(a, b types.Dimension) int { return cmp.Compare(*a.Name, *b.Name) })
	return out
}

// PutMetricData records custom metrics, single values and statistic sets. They
// are visible 5 to 15 s later.
func (w *CloudWatch) PutMetricData(ctx context.Context, in *cloudwatch.PutMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error) {
	op := operation{service: "cloudwatch", action: "PutMetricData", latency: 60 * time.Millisecond, changes: true}
	return call(ctx, w.c, op, in, func() (*cloudwatch.PutMetricDataOutput, error) {
		if err := checkPutMetricData(in); err != nil {
			return nil, err
		}
		for _, d := range in.MetricData {
			w.record(*in.Namespace, d)
		}
		return &cloudwatch.PutMetricDataOutput{}, nil
	})
}

func checkPutMetricData(in *cloudwatch.PutMetricDataInput) error {
	namespace := aws.ToString(in.Namespace)
	switch {
	case in.EntityMetricData != nil || in.StrictEntityValidation != nil:
		return notSimulated("entities of PutMetricData")
	case namespace == "" || strings.HasPrefix(namespace, "AWS/"):
		return &types.InvalidParameterValueException{Message: aws.String(fmt.Sprintf("the namespace %q is empty or AWS's", namespace))}
	case len(in.MetricData) == 0 || len(in.MetricData) > 1000:
		return &types.InvalidParameterValueException{Message: aws.String(fmt.Sprintf("%d metrics, not 1 to 1000", len(in.MetricData)))}
	}
	for _, d := range in.MetricData {
		if err := checkDatum(d); err != nil {
			return err
		}
	}
	return nil
}

func checkDatum(d types.MetricDatum) error {
	switch v := d.StatisticValues; {
	case d.Values != nil || d.Counts != nil:
		return notSimulated("Values and Counts of PutMetricData")
	case d.MetricName == nil || (d.Value == nil) == (v == nil):
		return &types.InvalidParameterCombinationException{Message: aws.String("a metric wants a name, and either a value or statistic values")}
	case !finite(aws.ToFloat64(d.Value)):
		return &types.InvalidParameterValueException{Message: aws.String("a value must be a finite number")}
	case v != nil && aws.ToFloat64(v.SampleCount) <= 0:
		return &types.InvalidParameterValueException{Message: aws.String("the sample count must be more than 0")}
	default:
		return nil
	}
}

func (w *CloudWatch) record(namespace string, d types.MetricDatum) {
	s := w.series(seriesKey(namespace, *d.MetricName, dimensionMap(d.Dimensions)))
	at, resolution := w.c.now.Unix(), int64(60)
	if d.Timestamp != nil {
		at = d.Timestamp.Unix()
	}
	if aws.ToInt32(d.StorageResolution) == 1 {
		resolution = 1
	}
	p := metricPoint{from: at - at%resolution, visible: w.c.now.Add(metricLag(s.lags, time.Second)).UnixMilli(), n: 1}
	if v := d.StatisticValues; v != nil {
		p.sum, p.least, p.most, p.n = aws.ToFloat64(v.Sum), aws.ToFloat64(v.Minimum), aws.ToFloat64(v.Maximum), aws.ToFloat64(v.SampleCount)
	} else {
		p.sum, p.least, p.most = *d.Value, *d.Value, *d.Value
	}
	s.add(p)
}
