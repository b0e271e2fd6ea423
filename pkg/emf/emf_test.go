package emf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// parsed is a line as the specification has it, read strictly.
type parsed struct {
	Timestamp         int64 // ms
	CloudWatchMetrics []struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []struct {
			Name, Unit        string
			StorageResolution *int
		}
	}
}

// read decodes a line by the specification and returns its metrics by name.
func read(raw []byte) (parsed, map[string]float64, error) {
	var p parsed
	var members map[string]json.RawMessage
	if bytes.Count(raw, []byte("\n")) != 1 || !bytes.HasSuffix(raw, []byte("\n")) {
		return p, nil, fmt.Errorf("not one line: %q", raw)
	}
	if err := json.Unmarshal(raw, &members); err != nil {
		return p, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(members["_aws"]))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, nil, err
	}
	values := map[string]float64{}
	for _, c := range p.CloudWatchMetrics {
		for _, name := range slices.Concat(c.Dimensions...) {
			var value string
			if err := json.Unmarshal(members[name], &value); err != nil || value == "" {
				return p, nil, fmt.Errorf("the dimension %s has no text: %s", name, members[name])
			}
		}
		for _, m := range c.Metrics {
			var value float64
			if err := json.Unmarshal(members[m.Name], &value); err != nil || members[m.Name] == nil {
				return p, nil, fmt.Errorf("the metric %s has no number: %s", m.Name, members[m.Name])
			}
			values[m.Name] = value
		}
	}
	return p, values, nil
}

func TestALineIsWhatCloudWatchTakes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z][A-Za-z0-9.]{0,20}`), 1, maxMetrics+3, rapid.ID).Draw(r, "names")
		dimensions := rapid.IntRange(0, min(3, len(names)-1)).Draw(r, "dimensions")
		l := Line{Namespace: "Plimsoll", At: time.UnixMilli(rapid.Int64Range(0, 1<<41).Draw(r, "at"))}
		for n, name := range names {
			switch {
			case n < dimensions:
				l.Dimensions = append(l.Dimensions, Dimension{name, "a \"value\"\n"})
			case len(l.Metrics) < maxMetrics:
				l.Metrics = append(l.Metrics, Metric{name, Seconds, rapid.Float64Range(-1e9, 1e9).Draw(r, name)})
			}
		}
		raw, err := l.Encode()
		if err != nil {
			r.Fatal(err)
		}
		p, values, err := read(raw)
		if err != nil {
			r.Fatal(err)
		}
		if p.Timestamp != l.At.UnixMilli() || len(p.CloudWatchMetrics) != 1 || len(values) != len(l.Metrics) || len(p.CloudWatchMetrics[0].Dimensions[0]) != dimensions {
			r.Fatalf("%s", raw)
		}
		for _, m := range l.Metrics {
			if values[m.Name] != m.Value {
				r.Fatalf("%s is %g, not %g", m.Name, values[m.Name], m.Value)
			}
		}
	})
}

func TestALineThatCloudWatchWouldDropIsAnError(t *testing.T) {
	good := func() Line {
		return Line{Namespace: "Plimsoll", Dimensions: []Dimension{{"Cluster", "prod"}}, Metrics: []Metric{{"Rounds", Count, 1}}}
	}
	many := func(n int) []Metric {
		all := make([]Metric, n)
		for i := range all {
			all[i] = Metric{fmt.Sprint("m", i), Count, 1}
		}
		return all
	}
	for name, spoil := range map[string]func(*Line){
		"no namespace":                      func(l *Line) { l.Namespace = "" },
		"no metric":                         func(l *Line) { l.Metrics = nil },
		"too many metrics":                  func(l *Line) { l.Metrics = many(maxMetrics + 1) },
		"too many dimensions":               func(l *Line) { l.Dimensions = make([]Dimension, maxDimensions+1) },
		"a dimension without a value":       func(l *Line) { l.Dimensions[0].Value = "" },
		"a value that is too long":          func(l *Line) { l.Dimensions[0].Value = strings.Repeat("x", maxValue+1) },
		"a metric named like a dimension":   func(l *Line) { l.Metrics[0].Name = "Cluster" },
		"a metric named like the directive": func(l *Line) { l.Metrics[0].Name = "_aws" },
		"two metrics of one name":           func(l *Line) { l.Metrics = append(l.Metrics, l.Metrics[0]) },
		"a name that is too long":           func(l *Line) { l.Metrics[0].Name = strings.Repeat("x", maxName+1) },
		"a metric that is no number":        func(l *Line) { l.Metrics[0].Value = math.NaN() },
		"a metric without an end":           func(l *Line) { l.Metrics[0].Value = math.Inf(1) },
	} {
		l := good()
		if _, err := l.Encode(); err != nil {
			t.Fatal(err)
		}
		spoil(&l)
		if raw, err := l.Encode(); err == nil {
			t.Errorf("%s: %s", name, raw)
		}
	}
	l := good()
	l.Metrics = many(maxMetrics)
	if _, err := l.Encode(); err != nil {
		t.Error(err)
	}
}
