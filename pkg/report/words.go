package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// count writes a whole number with its thousands apart: 12,345.
func count(v float64) string {
	digits := strconv.FormatFloat(math.Abs(math.Round(v)), 'f', 0, 64)
	var b strings.Builder
	if v <= -0.5 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// short writes a number in five characters or fewer: 950, 1.2k, 35k, 1.2M.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v < unit.size {
			continue
		}
		if v < 10*unit.size {
			return strconv.FormatFloat(v/unit.size, 'f', 1, 64) + unit.name
		}
		return strconv.FormatFloat(v/unit.size, 'f', 0, 64) + unit.name
	}
	return figure(math.Round(v))
}

// figure writes a number of a decision: at most three digits after the point,
// one where it is above ten.
func figure(v float64) string {
	digits := 1000.0
	if math.Abs(v) >= 10 {
		digits = 10
	}
	return strconv.FormatFloat(math.Round(v*digits)/digits, 'f', -1, 64)
}

// seconds writes a time as people say it: 4s, 71s, 3m 34s, 2h 5m.
func seconds(v float64) string {
	whole := int(math.Round(v))
	switch {
	case v > 0 && v < 10:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + "s"
	case whole < 120:
		return fmt.Sprintf("%ds", whole)
	case whole < 7200:
		return fmt.Sprintf("%dm %ds", whole/60, whole%60)
	default:
		return fmt.Sprintf("%dh %dm", whole/3600, whole%3600/60)
	}
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

// things writes a number of things: 1 task, 2 tasks.
func things(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(float64(n)) + " " + one + "s"
}

// span is the time that a run covers.
type span struct{ start, end time.Time }

func spanOf(samples []scenario.Sample) span {
	if len(samples) == 0 {
		return span{}
	}
	return span{samples[0].At, samples[len(samples)-1].At}
}

// days says whether a time of the day alone would be told of several days.
func (s span) days() bool { return s.end.Sub(s.start) > 24*time.Hour }

// minute writes a time of the run, second does it with seconds.
func (s span) minute(t time.Time) string { return s.format(t, "15:04") }
func (s span) second(t time.Time) string { return s.format(t, "15:04:05") }

func (s span) format(t time.Time, layout string) string {
	if s.days() {
		layout = "Jan 2 " + layout
	}
	return t.UTC().Format(layout)
}
