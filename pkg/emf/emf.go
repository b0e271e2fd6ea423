// Package emf writes CloudWatch's embedded metric format: one line of JSON that
// a function prints and CloudWatch Logs makes metrics of. It must not know what
// is measured.
// The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Unit is one of CloudWatch's units.
type Unit string

// The units that plimsoll's metrics have.
const (
	Count   Unit = "Count"
	Seconds Unit = "Seconds"
	None    Unit = "None" // such as dollars, which CloudWatch has no unit for
)

// The bounds of the format.
const (
	maxMetrics    = 100
	maxDimensions = 30
	maxName       = 250 // of a dimension; a metric's may be longer, and ours are not
	maxValue      = 1024
)

// Dimension is one name and value of all the metrics of a line.
type Dimension struct {
	Name, Value string
}

// Metric is one value.
type Metric struct {
	Name  string
	Unit  Unit
	Value float64
}

// Line is what one line tells: metrics of one namespace, at one time, with the
// same dimensions.
type Line struct {
	Namespace  string
	At         time.Time
	Dimensions []Dimension
	Metrics    []Metric
}

// directive is a MetricDirective of the format.
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

// definition is a MetricDefinition.
type definition struct {
	Name string
	Unit Unit
}

// Encode returns the line, with its end. A line that CloudWatch would not take is
// an error: it drops such a one and tells nobody.
func (l Line) Encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("encode metrics of %.64q: %w", l.Namespace, err)
	}
	d := directive{Namespace: l.Namespace, Dimensions: [][]string{{}}, Metrics: []definition{}}
	members := map[string]any{}
	for _, x := range l.Dimensions {
		d.Dimensions[0] = append(d.Dimensions[0], x.Name)
		members[x.Name] = x.Value
	}
	for _, m := range l.Metrics {
		d.Metrics = append(d.Metrics, definition{m.Name, m.Unit})
		members[m.Name] = m.Value
	}
	members["_aws"] = map[string]any{"Timestamp": l.At.UnixMilli(), "CloudWatchMetrics": []directive{d}}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("encode metrics of %s: %w", l.Namespace, err)
	}
	return append(raw, '\n'), nil
}

func (l Line) check() error {
	if l.Namespace == "" || len(l.Namespace) > maxValue {
		return errors.New("a namespace has 1 to 1024 characters")
	}
	if len(l.Metrics) == 0 || len(l.Metrics) > maxMetrics || len(l.Dimensions) > maxDimensions {
		return fmt.Errorf("%d metrics and %d dimensions; there may be 1 to %d and 0 to %d", len(l.Metrics), len(l.Dimensions), maxMetrics, maxDimensions)
	}
	taken := names{"_aws": true}
	for _, d := range l.Dimensions {
		if err := d.check(taken); err != nil {
			return err
		}
	}
	for _, m := range l.Metrics {
		if err := m.check(taken); err != nil {
			return err
		}
	}
	return nil
}

func (d Dimension) check(taken names) error {
	if d.Value == "" || len(d.Value) > maxValue {
		return fmt.Errorf("the value of %.64q has 1 to %d characters, not %d", d.Name, maxValue, len(d.Value))
	}
	return taken.add(d.Name)
}

func (m Metric) check(taken names) error {
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		return fmt.Errorf("%.64q is %g", m.Name, m.Value)
	}
	return taken.add(m.Name)
}

// names are the members of a line so far.
type names map[string]bool

func (n names) add(name string) error {
	if name == "" || len(name) > maxName || n[name] {
		return fmt.Errorf("the name %.64q is empty, too long or there twice", name)
	}
	n[name] = true
	return nil
}
