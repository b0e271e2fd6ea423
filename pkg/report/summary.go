package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// JSONVersion is the version of the JSON that this package writes. A field is
// added without a new one; none is removed or changes its meaning.
const JSONVersion = 1

// JSON is the result as one JSON object.
func JSON(r scenario.Result) ([]byte, error) {
	raw, err := json.MarshalIndent(struct {
		Version int `json:"version"`
		scenario.Result
	}{JSONVersion, r}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the result of %s as JSON: %w", r.Scenario, err)
	}
	return append(raw, '\n'), nil
}

// Summary is the table of what came of a run.
func (p Page) Summary(s scenario.Scenario, r scenario.Result) string {
	const name, cells = 26, 12
	rows := [][2]string{
		{"requests not served", fmt.Sprintf("%s of %s", hundredths(r.UnservedPercent), count(r.Requests))},
		{"time below the floor", seconds(r.SecondsBelowFloor)},
		{"scale-out wait p50/p95", seconds(r.WaitP50) + " / " + seconds(r.WaitP95)},
		{"host-hours, cost", fmt.Sprintf("%.1f  $%.2f", r.HostHours, r.Cost)},
		{"hosts", p.course(r.Samples, cells, func(s scenario.Sample) float64 { return float64(s.Hosts) }) + fmt.Sprintf("   %d launched", r.HostsLaunched)},
	}
	for i, x := range s.Services {
		rows = append(rows, [2]string{x.Name + " tasks", p.course(r.Samples, cells, func(s scenario.Sample) float64 { return float64(s.Services[i].Running) })})
	}
	rows = append(rows, [2]string{"rounds / API calls", fmt.Sprintf("%s / %s", count(float64(r.Rounds)), count(float64(calls(r))))})
	var b strings.Builder
	b.WriteString(p.faint(left("", name)+"this policy") + "\n")
	for _, row := range rows {
		b.WriteString(left(cut(row[0], name-1), name) + row[1] + "\n")
	}
	return b.String()
}

// hundredths writes a percentage; one that is not nothing never reads as 0.
func hundredths(v float64) string {
	if v > 0 && v < 0.01 {
		return "under 0.01%"
	}
	return fmt.Sprintf("%.2f%%", v)
}

// course is the lowest and highest value with the course between them.
func (p Page) course(samples []scenario.Sample, cells int, value func(scenario.Sample) float64) string {
	if len(samples) == 0 {
		return "-"
	}
	low, values := value(samples[len(samples)-1]), columns(samples, cells, value)
	for _, s := range samples[min(settled, len(samples)):] {
		low = min(low, value(s))
	}
	return fmt.Sprintf("%.0f %s %.0f", low, spark(values, highest(values)), highest(values))
}

func calls(r scenario.Result) int {
	sum := 0
	for _, action := range slices.Sorted(maps.Keys(r.APICalls)) {
		sum += r.APICalls[action]
	}
	return sum
}

// Verdict lists the expectations with a mark each, the broken promises, and says
// in a sentence whether all is well.
func (p Page) Verdict(r scenario.Result) string {
	var b strings.Builder
	room := 0
	for _, e := range r.Expectations {
		room = max(room, len([]rune(e.Name)))
	}
	room = min(room, p.width()/2)
	for _, e := range r.Expectations {
		b.WriteString(p.mark(e) + " " + left(cut(e.Name, room), room) + "  " + p.faint(cut(e.Detail, p.width()-room-4)) + "\n")
	}
	for _, v := range r.Violations {
		what := fmt.Sprintf("%s broken at %s: %s: %s", v.Promise, v.At.UTC().Format("2006-01-02 15:04:05"), v.Subject, v.Detail)
		b.WriteString(p.bad("✗") + " " + p.wrapped(what, 2) + "\n")
	}
	if len(r.Expectations)+len(r.Violations) > 0 {
		b.WriteString("\n")
	}
	return b.String() + p.bold(p.Wrapped(verdict(r))) + "\n"
}

func verdict(r scenario.Result) string {
	missed, left := 0, 0
	for _, e := range r.Expectations {
		switch {
		case e.LeftOut:
			left++
		case !e.Held:
			missed++
		}
	}
	judged := len(r.Expectations) - left
	var says string
	switch {
	case judged == 0:
		says = "nothing was expected"
	case missed == 0:
		says = "all " + things(judged, "expectation") + " hold"
		if judged == 1 {
			says = "the one expectation holds"
		}
	default:
		says = fmt.Sprintf("%d of %s missed", missed, things(judged, "expectation"))
	}
	if left > 0 {
		says += fmt.Sprintf(" (%d left out)", left)
	}
	switch n := len(r.Violations); n {
	case 0:
		return says + ", no promise was broken"
	case 1:
		return says + ", one promise was broken"
	default:
		return says + fmt.Sprintf(", promises were broken %s times", count(float64(n)))
	}
}

func (p Page) mark(h scenario.Held) string {
	switch {
	case h.LeftOut:
		return p.faint("–")
	case h.Held:
		return p.good("✓")
	default:
		return p.bad("✗")
	}
}
