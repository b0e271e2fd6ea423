package policy

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The limits of CloudWatch on a metric (PutMetricData, PutMetricAlarm), and ours
// on a period: a longer one is too slow to scale on.
const (
	metricNameMax     = 255
	dimensionsMax     = 30
	dimensionValueMax = 1024
	periodMax         = 5 * time.Minute // a look reads the last 15 minutes of a metric
)

func (c *check) targets(path, service string, targets []Target) {
	first := map[string]int{}
	for i, t := range targets {
		at := fmt.Sprintf("%s[%d]", path, i)
		if j, twice := first[t.Key(service)]; twice && t.Metric != "" {
			c.need(false, at, fmt.Sprintf("the signal of %s[%d] again", leaf(path), j), "each signal once", "remove one of the two")
		} else {
			first[t.Key(service)] = i
		}
		c.goal(at, t)
		c.source(at, t)
		c.reading(at, t)
	}
}

// goal wants one value to hold the signal at.
func (c *check) goal(path string, t Target) {
	c.positive(path+".target", t.Target)
	c.positive(path+".perTask", t.PerTask)
	if t.utilisation() != "" && t.PerTask != 0 {
		c.need(false, path+".perTask", decimal(t.PerTask), "only target: "+t.Metric+" is an average over the tasks", "set target: 60 in its place")
		return
	}
	c.need(t.Target == 0 || t.PerTask == 0, path, "target and perTask", "exactly one of them", "remove perTask if the metric is an average over the tasks, target if it is a total")
	c.need(t.Target != 0 || t.PerTask != 0, path, "neither target nor perTask", "exactly one of them", "add target if the metric is an average over the tasks, perTask if it is a total")
	if t.utilisation() != "" && t.Target > 0 {
		c.need(1 <= t.Target && t.Target <= 100, path+".target", decimal(t.Target), "1 to 100 percent", set(path+".target", decimal(min(max(t.Target, 1), 100))))
	}
}

// positive wants a finite number above zero, or zero for none.
func (c *check) positive(path string, v float64) {
	ok := v >= 0 && !math.IsInf(v, 1)
	c.need(ok, path, decimal(v), "a number above 0", "write what the signal should be held at")
}

// source wants a series that CloudWatch may have.
func (c *check) source(path string, t Target) {
	switch {
	case t.Metric == "":
		c.need(false, path+".metric", "nothing", "cpu, memory or the name of a metric in namespace", "set metric: cpu")
		return // whether a namespace is wanted depends on it
	case t.utilisation() != "":
		c.need(t.Namespace == "", path+".namespace", quote(t.Namespace), "nothing with "+t.Metric, "remove it")
		c.need(len(t.Dimensions) == 0, path+".dimensions", fmt.Sprint(len(t.Dimensions)), "none with "+t.Metric, "remove them")
		return
	}
	c.need(printable(t.Metric, metricNameMax), path+".metric", quote(t.Metric), "1 to 255 printable ASCII characters", "write the metric's name as CloudWatch shows it")
	ok := printable(t.Namespace, metricNameMax) && !strings.HasPrefix(t.Namespace, ":")
	c.need(ok, path+".namespace", quote(t.Namespace), "a CloudWatch namespace with a metric other than cpu and memory", "add namespace, such as AWS/SQS, or set metric: cpu")
	c.need(len(t.Dimensions) <= dimensionsMax, path+".dimensions", fmt.Sprint(len(t.Dimensions)), "30 or fewer", "remove some")
	for _, name := range slices.Sorted(maps.Keys(t.Dimensions)) {
		value := t.Dimensions[name]
		ok := printable(name, metricNameMax) && !strings.HasPrefix(name, ":") && printable(value, dimensionValueMax)
		c.need(ok, path+".dimensions."+name, quote(value), "printable ASCII characters, up to 255 of the name and 1024 of the value", "write them as CloudWatch shows them")
	}
}

// reading wants a statistic and a period that CloudWatch knows.
func (c *check) reading(path string, t Target) {
	allowed, ok := "Average, Sum, Maximum, Minimum or a percentile such as p99", statistic(t.Statistic)
	if t.utilisation() != "" {
		allowed, ok = "Average, Maximum, Minimum or a percentile such as p99 with "+t.Metric, ok && t.Statistic != "Sum"
	}
	c.need(ok, path+".statistic", quote(t.Statistic), allowed, set(path+".statistic", Target{PerTask: t.PerTask}.defaulted().Statistic))
	if t.Period.Duration != 0 {
		nearest := nearestPeriod(t.Period.Duration)
		c.need(nearest == t.Period.Duration, path+".period", t.Period.String(), "10s, 20s, 30s or whole minutes up to 5m", set(path+".period", Duration{nearest}))
	}
}

// statistic says whether CloudWatch has the statistic, or it is left to default.
func statistic(s string) bool {
	switch s {
	case "", "Average", "Sum", "Maximum", "Minimum":
		return true
	}
	digits, percentile := strings.CutPrefix(s, "p")
	v, err := strconv.ParseFloat(digits, 64)
	return percentile && err == nil && strings.Trim(digits, "0123456789.") == "" && v <= 100
}

// nearestPeriod is the period nearest to d that CloudWatch has for an alarm.
func nearestPeriod(d time.Duration) time.Duration {
	best := periodMax
	near := func(p time.Duration) {
		if (d - p).Abs() < (d - best).Abs() {
			best = p
		}
	}
	for _, p := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second} {
		near(p)
	}
	near(min(max(d.Round(time.Minute), time.Minute), periodMax))
	return best
}

// decimal writes a number without an exponent where it can.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
