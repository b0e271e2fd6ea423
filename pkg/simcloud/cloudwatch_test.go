package simcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func statQuery(id, metric string, period int32, stat string) types.MetricDataQuery {
	return types.MetricDataQuery{Id: aws.String(id), MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: aws.String("N"), MetricName: aws.String(metric)}, Period: aws.Int32(period), Stat: aws.String(stat),
	}}
}

func getData(t *testing.T, c *Cloud, from, to time.Duration, scan types.ScanBy, queries ...types.MetricDataQuery) string {
	t.Helper()
	out, err := c.CloudWatch().GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(epoch.Add(from)), EndTime: aws.Time(epoch.Add(to)), MetricDataQueries: queries, ScanBy: scan,
	})
	must(t, err)
	var lines []string
	for _, r := range out.MetricDataResults {
		line := *r.Id
		for i, v := range r.Values {
			line += fmt.Sprintf(" %s=%v", r.Timestamps[i].Sub(epoch), v)
		}
		if r.StatusCode != types.StatusCodeComplete {
			line += " incomplete"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestStatisticsOfWhatWasPublished(t *testing.T) {
	c := newWorld(t, 1)
	for i, v := range []float64{1, 2, 6, 5} {
		c.publish("N", "m", nil, epoch.Add(time.Duration(i/3)*time.Minute), time.Minute, v)
	}
	c.publish("N", "m", nil, epoch, time.Minute, math.NaN()) // no value
	c.publish("N", "m", map[string]string{"a": "b"}, epoch, time.Minute, 100)
	pass(t, c, time.Hour)
	const ascending = types.ScanByTimestampAscending
	for name, row := range map[string]struct{ got, want string }{
		"average":              {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 60, "Average")), "a 0s=3 1m0s=5"},
		"sum":                  {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 60, "Sum")), "a 0s=9 1m0s=5"},
		"maximum":              {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 60, "Maximum")), "a 0s=6 1m0s=5"},
		"minimum":              {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 60, "Minimum")), "a 0s=1 1m0s=5"},
		"sample count":         {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 60, "SampleCount")), "a 0s=3 1m0s=1"},
		"a longer period":      {getData(t, c, 0, time.Hour, ascending, statQuery("a", "m", 300, "Average")), "a 0s=3.5"},
		"newest first":         {getData(t, c, 0, time.Hour, "", statQuery("a", "m", 60, "Average")), "a 1m0s=5 0s=3"},
		"the end is exclusive": {getData(t, c, 0, time.Minute, ascending, statQuery("a", "m", 60, "Average")), "a 0s=3"},
		"the start is not":     {getData(t, c, time.Minute, time.Hour, ascending, statQuery("a", "m", 60, "Average")), "a 1m0s=5"},
		"the start is rounded": {getData(t, c, 119*time.Second, time.Hour, ascending, statQuery("a", "m", 60, "Average")), "a 1m0s=5"},
		"an unknown metric":    {getData(t, c, 0, time.Hour, ascending, statQuery("a", "x", 60, "Average"), statQuery("b", "m", 60, "Sum")), "a; b 0s=9 1m0s=5"},
	} {
		if row.got != row.want {
			t.Errorf("%s: %s, want %s", name, row.got, row.want)
		}
	}
}

func TestPointsComeLate(t *testing.T) {
	for period, lag := range map[time.Duration][2]time.Duration{time.Minute: {30 * time.Second, 90 * time.Second}, 20 * time.Second: {5 * time.Second, 15 * time.Second}} {
		lags := map[time.Duration]bool{}
		for seed := range uint64(20) {
			c := New(Options{Start: epoch, Seed: seed})
			pass(t, c, period)
			c.publish("N", "m", nil, epoch, period, 1)
			for len(getData(t, c, 0, time.Hour, "", statQuery("a", "m", int32(period/time.Second), "Sum"))) == 1 {
				pass(t, c, time.Second)
			}
			late := c.Now().Sub(epoch.Add(period))
			if late < lag[0] || late > lag[1]+time.Second {
				t.Errorf("a period of %s was seen %s after its end", period, late)
			}
			lags[late] = true
		}
		if len(lags) < 5 {
			t.Errorf("lags of %s: %v", period, lags)
		}
	}
}

func TestWhatGetMetricDataRefuses(t *testing.T) {
	c := newWorld(t, 1)
	ok := statQuery("a", "m", 60, "Sum")
	expression := types.MetricDataQuery{Id: aws.String("e"), Expression: aws.String("a+1")}
	many := make([]types.MetricDataQuery, 501)
	for i := range many {
		many[i] = statQuery(fmt.Sprintf("q%d", i), "m", 60, "Sum")
	}
	for name, row := range map[string]struct {
		from    time.Duration
		queries []types.MetricDataQuery
		code    string
	}{
		"500 queries":       {0, many[:500], ""},
		"501 queries":       {0, many, "ValidationError"},
		"no query":          {0, nil, "ValidationError"},
		"an expression":     {0, []types.MetricDataQuery{ok, expression}, "NotSimulated"},
		"a percentile":      {0, []types.MetricDataQuery{statQuery("a", "m", 60, "p99")}, "NotSimulated"},
		"a period of 45 s":  {0, []types.MetricDataQuery{statQuery("a", "m", 45, "Sum")}, "ValidationError"},
		"an id twice":       {0, []types.MetricDataQuery{ok, ok}, "ValidationError"},
		"an id in capitals": {0, []types.MetricDataQuery{statQuery("A", "m", 60, "Sum")}, "ValidationError"},
		"a start after end": {time.Hour, []types.MetricDataQuery{ok}, "ValidationError"},
	} {
		_, err := c.CloudWatch().GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{StartTime: aws.Time(epoch.Add(row.from)), EndTime: aws.Time(epoch.Add(time.Minute)), MetricDataQueries: row.queries})
		if codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
}

func TestCustomMetrics(t *testing.T) {
	c := newWorld(t, 1)
	put := func(d types.MetricDatum) error {
		d.MetricName = aws.String("m")
		_, err := c.CloudWatch().PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []types.MetricDatum{d}})
		return err
	}
	must(t, put(types.MetricDatum{Value: aws.Float64(3), Timestamp: aws.Time(epoch.Add(70 * time.Second))}))
	must(t, put(types.MetricDatum{Value: aws.Float64(1), Timestamp: aws.Time(epoch.Add(10 * time.Second))}))
	must(t, put(types.MetricDatum{StatisticValues: &types.StatisticSet{Sum: aws.Float64(8), SampleCount: aws.Float64(4), Minimum: aws.Float64(1), Maximum: aws.Float64(5)}}))
	if put(types.MetricDatum{Value: aws.Float64(math.Inf(1))}) == nil {
		t.Error("infinity was taken")
	}
	if code := codeOf(put(types.MetricDatum{})); code != "InvalidParameterCombination" && code != "InvalidParameterCombinationException" {
		t.Errorf("no value: %s", code)
	}
	pass(t, c, 16*time.Second)
	if got := getData(t, c, 0, time.Hour, types.ScanByTimestampAscending, statQuery("a", "m", 60, "Average"), statQuery("b", "m", 60, "SampleCount")); got != "a 0s=1.8 1m0s=3; b 0s=5 1m0s=1" {
		t.Error(got)
	}
}

// TestAlarmsOnMissingData is CloudWatch's own table: the newest point is on the
// right, 0 is a point that does not breach, X one that does, - none; "before" is
// whatever state it was in.
func TestAlarmsOnMissingData(t *testing.T) {
	for _, row := range []struct {
		points                                   string
		m                                        int
		missing, ignore, breaching, notBreaching string
	}{
		{"0-X-X", 3, "OK", "OK", "OK", "OK"},
		{"0----", 3, "OK", "OK", "OK", "OK"},
		{"-----", 3, "INSUFFICIENT_DATA", "before", "ALARM", "OK"},
		{"0XX-X", 3, "ALARM", "ALARM", "ALARM", "ALARM"},
		{"--X--", 3, "ALARM", "before", "ALARM", "OK"},
		{"0-X-X", 2, "ALARM", "ALARM", "ALARM", "ALARM"},
		{"00X0X", 2, "ALARM", "ALARM", "ALARM", "ALARM"},
		{"0-X--", 2, "OK", "OK", "ALARM", "OK"},
		{"----0", 2, "OK", "OK", "ALARM", "OK"},
		{"---X-", 2, "ALARM", "before", "ALARM", "OK"},
		{"----X", 2, "before", "before", "ALARM", "OK"},
		{"----X", 1, "ALARM", "ALARM", "ALARM", "ALARM"},
		{"XXX00", 2, "OK", "OK", "OK", "OK"},
		{"00000", 3, "OK", "OK", "OK", "OK"},
		{"XXXXX", 3, "ALARM", "ALARM", "ALARM", "ALARM"},
	} {
		var buckets []metricBucket
		for i, p := range row.points {
			if p != '-' {
				buckets = append(buckets, metricBucket{from: int64(60 * i), sum: float64(strings.IndexRune("0X", p)), n: 1})
			}
		}
		for missing, want := range map[string]string{"missing": row.missing, "ignore": row.ignore, "breaching": row.breaching, "notBreaching": row.notBreaching} {
			for _, before := range []types.StateValue{types.StateValueOk, types.StateValueAlarm, types.StateValueInsufficientData} {
				r := alarmRule{n: 3, m: row.m, period: 60, operator: types.ComparisonOperatorGreaterThanThreshold, threshold: 0.5, missing: missing}
				got := r.judge(buckets, "Sum", 300, before).state
				if string(got) != strings.ReplaceAll(want, "before", string(before)) {
					t.Errorf("%s, %d of 3, %s, before %s: %s, want %s", row.points, row.m, missing, before, got, want)
				}
			}
		}
	}
}

func TestComparisons(t *testing.T) {
	for operator, want := range map[types.ComparisonOperator]string{
		types.ComparisonOperatorGreaterThanThreshold:          "[false false true]",
		types.ComparisonOperatorGreaterThanOrEqualToThreshold: "[false true true]",
		types.ComparisonOperatorLessThanThreshold:             "[true false false]",
		types.ComparisonOperatorLessThanOrEqualToThreshold:    "[true true false]",
	} {
		r := alarmRule{operator: operator, threshold: 70}
		if got := fmt.Sprint([]bool{r.breaches(69), r.breaches(70), r.breaches(71)}); got != want {
			t.Errorf("%s: %s", operator, got)
		}
	}
}

func cpuAlarm(change func(*cloudwatch.PutMetricAlarmInput)) *cloudwatch.PutMetricAlarmInput {
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("cpu"), AlarmDescription: aws.String("too hot"), Namespace: aws.String("AWS/ECS"), MetricName: aws.String("CPU"),
		Dimensions: []types.Dimension{{Name: aws.String("ServiceName"), Value: aws.String("api")}}, Statistic: types.StatisticAverage,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(3), DatapointsToAlarm: aws.Int32(2), Threshold: aws.Float64(70),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
	}
	if change != nil {
		change(in)
	}
	return in
}

type alarmDetail struct {
	Time   string
	Detail struct {
		AlarmName            string
		State, PreviousState struct{ Value, Reason, ReasonData, Timestamp string }
		Configuration        struct {
			Description string
			Metrics     []struct {
				ID         string
				MetricStat struct {
					Period int
					Stat   string
					Metric struct {
						Namespace, Name string
						Dimensions      map[string]string
					}
				}
				ReturnData bool
			}
		}
	}
}

// TestAlarmsTellTransitionsOnly feeds a day of load that is high twice, with
// noise that never crosses.
func TestAlarmsTellTransitionsOnly(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	must(t, c.EventBridge().PutRule(Rule{Name: "r", EventPattern: `{"source":["aws.cloudwatch"]}`}))
	must(t, c.EventBridge().PutTargets("r", Target{ID: "q", ARN: q.arn}))
	direct := 0
	must(t, c.Lambda().Register("direct", func(_ context.Context, raw []byte) ([]byte, error) {
		var p struct {
			AlarmArn  string
			AlarmData struct{ State struct{ Value string } }
		}
		must(t, json.Unmarshal(raw, &p))
		if p.AlarmArn == "" || p.AlarmData.State.Value != "ALARM" {
			t.Errorf("invoked with %s", raw)
		}
		direct++
		return nil, nil
	}, FunctionConfig{}))
	_, err := c.CloudWatch().PutMetricAlarm(t.Context(), cpuAlarm(func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{c.Lambda().ARN("direct")} }))
	must(t, err)
	c.Every(epoch.Add(time.Minute), time.Minute, func() bool {
		from := c.Now().Add(-time.Minute)
		value := 40 + 20*rand.New(rand.NewPCG(uint64(from.Unix()), 0)).Float64()
		if h := from.Hour(); h == 9 || h == 18 {
			value += 30
		}
		if from.Hour() < 20 {
			c.publish("AWS/ECS", "CPU", map[string]string{"ServiceName": "api"}, from, time.Minute, value)
		}
		return true
	})
	pass(t, c, 24*time.Hour)
	var states []string
	var e alarmDetail
	for _, m := range c.SQS().Messages("q") {
		e = alarmDetail{}
		must(t, json.Unmarshal([]byte(*m.Body), &e))
		states = append(states, e.Detail.PreviousState.Value+">"+e.Detail.State.Value)
		checkAlarmEvent(t, e)
	}
	if got := strings.Join(states, " "); got != "INSUFFICIENT_DATA>OK OK>ALARM ALARM>OK OK>ALARM ALARM>OK OK>INSUFFICIENT_DATA" {
		t.Errorf("transitions %s", got)
	}
	if direct != 2 {
		t.Errorf("the function was invoked %d times", direct)
	}
	out, err := c.CloudWatch().DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("c"), StateValue: types.StateValueInsufficientData})
	must(t, err)
	if len(out.MetricAlarms) != 1 || *out.MetricAlarms[0].StateReason != e.Detail.State.Reason || *out.MetricAlarms[0].Threshold != 70 {
		t.Errorf("described %+v", out.MetricAlarms)
	}
}

func checkAlarmEvent(t *testing.T, e alarmDetail) {
	t.Helper()
	s := e.Detail.State
	if _, err := time.Parse("2006-01-02T15:04:05.000-0700", s.Timestamp); err != nil || !strings.HasSuffix(s.Timestamp, "+0000") {
		t.Errorf("timestamp %s", s.Timestamp)
	}
	var data struct {
		Version, QueryDate, StartDate, Statistic string
		Period                                   int
		RecentDatapoints                         []float64
		Threshold                                json.RawMessage
		EvaluatedDatapoints                      []struct{ Value float64 }
	}
	if err := json.Unmarshal([]byte(s.ReasonData), &data); err != nil {
		t.Fatalf("reasonData %s: %v", s.ReasonData, err)
	}
	if string(data.Threshold) != "70.0" || data.Statistic != "Average" || data.Period != 60 || len(data.RecentDatapoints) != len(data.EvaluatedDatapoints) {
		t.Errorf("reasonData %s", s.ReasonData)
	}
	if s.Value == "ALARM" && (!strings.HasPrefix(s.Reason, "Threshold Crossed: 2 out of the last 3 datapoints [") || !strings.HasSuffix(s.Reason, "were greater than the threshold (70.0) (minimum 2 datapoints for OK -> ALARM transition).")) {
		t.Errorf("reason %s", s.Reason)
	}
	m := e.Detail.Configuration.Metrics
	if len(m) != 1 || m[0].MetricStat.Metric.Name != "CPU" || m[0].MetricStat.Metric.Dimensions["ServiceName"] != "api" || !m[0].ReturnData || e.Detail.Configuration.Description != "too hot" {
		t.Errorf("configuration %+v", e.Detail.Configuration)
	}
}

func TestHighResolutionAlarmsLookEveryTenSeconds(t *testing.T) {
	c := newWorld(t, 1)
	_, err := c.CloudWatch().PutMetricAlarm(t.Context(), cpuAlarm(func(in *cloudwatch.PutMetricAlarmInput) {
		in.Period, in.EvaluationPeriods, in.DatapointsToAlarm, in.Dimensions = aws.Int32(20), aws.Int32(2), nil, nil
	}))
	must(t, err)
	c.Every(epoch.Add(20*time.Second), 20*time.Second, func() bool {
		c.publish("AWS/ECS", "CPU", nil, c.Now().Add(-20*time.Second), 20*time.Second, 90)
		return true
	})
	a := c.CloudWatch().alarms["cpu"]
	for a.state.Value != types.StateValueAlarm && c.Now().Before(epoch.Add(time.Hour)) {
		pass(t, c, time.Second)
	}
	if took := c.Now().Sub(epoch); took < 20*time.Second || took > 70*time.Second {
		t.Errorf("alarmed after %s", took)
	}
}

func TestAReplacedAlarmKeepsItsStateUntilItIsEvaluated(t *testing.T) {
	c := newWorld(t, 1)
	put := func(threshold float64) {
		_, err := c.CloudWatch().PutMetricAlarm(t.Context(), cpuAlarm(func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold, in.Dimensions = aws.Float64(threshold), nil }))
		must(t, err)
	}
	put(70)
	c.Every(epoch.Add(time.Minute), time.Minute, func() bool {
		c.publish("AWS/ECS", "CPU", nil, c.Now().Add(-time.Minute), time.Minute, 80)
		return true
	})
	pass(t, c, 10*time.Minute)
	put(90)
	a := c.CloudWatch().alarms["cpu"]
	if a.state.Value != types.StateValueAlarm {
		t.Errorf("state %s at once", a.state.Value)
	}
	if pass(t, c, 2*time.Minute); a.state.Value != types.StateValueOk {
		t.Errorf("state %s after its evaluation", a.state.Value)
	}
}

func TestWhatPutMetricAlarmRefuses(t *testing.T) {
	c := newWorld(t, 1)
	for name, row := range map[string]struct {
		change func(*cloudwatch.PutMetricAlarmInput)
		code   string
	}{
		"nothing":          {nil, ""},
		"no name":          {func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = nil }, "ValidationError"},
		"no threshold":     {func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = nil }, "ValidationError"},
		"4 of 3":           {func(in *cloudwatch.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(4) }, "ValidationError"},
		"a period of 90 s": {func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(90) }, "ValidationError"},
		"over a day":       {func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(1441) }, "ValidationError"},
		"an anomaly": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorGreaterThanUpperThreshold
		}, "NotSimulated"},
		"metric math":          {func(in *cloudwatch.PutMetricAlarmInput) { in.Metrics = []types.MetricDataQuery{} }, "NotSimulated"},
		"an unknown treatment": {func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("x") }, "ValidationError"},
		"an action on a group": {func(in *cloudwatch.PutMetricAlarmInput) { in.OKActions = []string{"arn:aws:autoscaling:x"} }, "NotSimulated"},
	} {
		_, err := c.CloudWatch().PutMetricAlarm(t.Context(), cpuAlarm(row.change))
		if codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
}

func TestDescribeAlarmsPages(t *testing.T) {
	c := newWorld(t, 1)
	for i := range 5 {
		_, err := c.CloudWatch().PutMetricAlarm(t.Context(), cpuAlarm(func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String(fmt.Sprint("a", i)) }))
		must(t, err)
	}
	var got []string
	in := &cloudwatch.DescribeAlarmsInput{MaxRecords: aws.Int32(2)}
	for {
		out, err := c.CloudWatch().DescribeAlarms(t.Context(), in)
		must(t, err)
		for _, a := range out.MetricAlarms {
			got = append(got, *a.AlarmName)
		}
		got = append(got, "|")
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if strings.Join(got, "") != "a0a1|a2a3|a4|" {
		t.Errorf("pages %v", got)
	}
}

// BenchmarkAlarms is three days of 100 alarms.
func BenchmarkAlarms(b *testing.B) {
	for b.Loop() {
		c := New(Options{Start: epoch})
		for i := range 100 {
			if _, err := c.CloudWatch().PutMetricAlarm(b.Context(), cpuAlarm(func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String(fmt.Sprint(i)) })); err != nil {
				b.Fatal(err)
			}
		}
		c.Every(epoch, time.Minute, func() bool {
			c.publish("AWS/ECS", "CPU", map[string]string{"ServiceName": "api"}, c.Now(), time.Minute, 50)
			return true
		})
		if err := c.Run(epoch.Add(72 * time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
}
