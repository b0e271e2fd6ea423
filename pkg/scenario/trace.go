package scenario

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Trace is a measured rate over time. Between two points it is interpolated.
type Trace struct {
	seconds []float64 // since the first point, rising
	values  []float64
	scale   float64
	from    time.Duration // since the first point: when the run begins
}

// What a trace may hold at most: a year, and more than anybody is asked.
const (
	longest = 366 * 24 * 3600
	highest = 1_000_000_000
)

// ReadTrace reads a trace of lines `seconds,value`; lines that begin with # and
// a first line of column names are passed over. name is for its problems, each
// of which names its line.
func ReadTrace(name string, raw []byte) (*Trace, error) {
	t, problems := &Trace{scale: 1}, policy.Problems{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		header := n == 1 && !strings.ContainsAny(line, "0123456789")
		if line == "" || line[0] == '#' || header {
			continue
		}
		if p := t.add(line); p != nil {
			p.Path = fmt.Sprintf("%s:%d", name, n)
			problems = append(problems, *p)
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, policy.Problem{Path: name, Found: err.Error(), Allowed: "lines of text"})
	}
	if len(problems) == 0 {
		problems = t.check(name)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

// check says what a trace of right lines lacks as a whole.
func (t *Trace) check(name string) policy.Problems {
	switch {
	case len(t.values) < 2:
		return policy.Problems{{Path: name, Found: fmt.Sprintf("%d points", len(t.values)), Allowed: "two lines `seconds,value` or more"}}
	case t.top() == 0:
		return policy.Problems{{Path: name, Found: "no value above 0", Allowed: "at least one"}}
	}
	return nil
}

func (t *Trace) add(line string) *policy.Problem {
	problem := policy.Problem{Found: strconv.Quote(line), Allowed: "seconds,value: two numbers, 0 or more, the seconds rising up to a year"}
	a, b, two := strings.Cut(line, ",")
	at, err1 := strconv.ParseFloat(strings.TrimSpace(a), 64)
	v, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
	switch {
	case !two || errors.Join(err1, err2) != nil:
		return &problem
	case !(at >= 0 && at <= longest && v >= 0 && v <= highest): // NaN is neither
		problem.Help = fmt.Sprintf("no run is longer than %d s, and a rate is from 0 to %d", longest, highest)
		return &problem
	case len(t.seconds) > 0 && at <= t.seconds[len(t.seconds)-1]:
		problem.Help = "sort the lines by their seconds"
		return &problem
	}
	t.seconds, t.values = append(t.seconds, at), append(t.values, v)
	return nil
}

// top is the highest value, unscaled.
func (t *Trace) top() float64 {
	top := 0.0
	for _, v := range t.values {
		top = max(top, v)
	}
	return top
}

// scaled returns the trace with its highest value at peak.
func (t *Trace) scaled(peak float64) *Trace {
	return &Trace{seconds: t.seconds, values: t.values, scale: peak / t.top()}
}

// length is the time from the first point to the last.
func (t *Trace) length() time.Duration {
	return time.Duration((t.seconds[len(t.seconds)-1] - t.seconds[0]) * float64(time.Second))
}

// at is the rate at a time since the run's start.
func (t *Trace) at(since time.Duration) float64 {
	s := (since + t.from).Seconds() + t.seconds[0]
	i := sort.SearchFloat64s(t.seconds, s)
	switch {
	case i == 0:
		return t.values[0] * t.scale
	case i == len(t.seconds):
		return t.values[i-1] * t.scale
	}
	share := (s - t.seconds[i-1]) / (t.seconds[i] - t.seconds[i-1])
	return t.scale * (t.values[i-1] + share*(t.values[i]-t.values[i-1]))
}
