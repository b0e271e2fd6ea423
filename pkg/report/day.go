package report

import (
	"fmt"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// Picture is the run over time: the requests, the tasks of each service and the
// hosts, one under the other on one time axis.
func (p Page) Picture(s scenario.Scenario, r scenario.Result) string {
	if len(r.Samples) == 0 {
		return "Nothing was measured.\n"
	}
	n, covers := p.width()-gutter-1, spanOf(r.Samples)
	var parts []string
	if load := p.loadPlot(r.Samples, covers, n); load != "" {
		parts = append(parts, load)
	}
	for i, x := range s.Services {
		parts = append(parts, p.servicePlot(r.Samples, i, x.Name, n))
	}
	parts = append(parts, p.hostPlot(r.Samples, n)+p.axis(covers, n))
	return strings.Join(parts, "\n")
}

// loadPlot is the plot of the requests; empty where there are none.
func (p Page) loadPlot(samples []scenario.Sample, covers span, n int) string {
	low, high, at := rate(samples[0]), 0.0, samples[0].At
	for _, s := range samples {
		low = min(low, rate(s))
		if rate(s) > high {
			high, at = rate(s), s.At
		}
	}
	if high == 0 {
		return ""
	}
	title := fmt.Sprintf("Users ask for %s to %s requests a second, most at %s", count(low), count(high), covers.minute(at))
	return p.draw(plot{title: title, values: columns(samples, n, rate), rows: 5, ink: loadInk()})
}

func (p Page) servicePlot(samples []scenario.Sample, i int, name string, n int) string {
	low, high, late := samples[len(samples)-1].Services[i].Running, 0, 0
	for k, s := range samples {
		x := s.Services[i]
		if k >= settled {
			low = min(low, x.Running)
		}
		high = max(high, x.Running)
		if x.Running < x.Desired {
			late++
		}
	}
	title := fmt.Sprintf("%s runs %d to %s", name, low, things(high, "task"))
	if low == high {
		title = fmt.Sprintf("%s always runs %s", name, things(high, "task"))
	}
	if late > 0 {
		title += fmt.Sprintf("; for %s it had fewer than it wanted", things(late, "minute"))
	}
	running := func(s scenario.Sample) float64 { return float64(s.Services[i].Running) }
	return p.draw(plot{title: title, values: columns(samples, n, running), rows: 4, ink: serviceInk(i)})
}

// settled is how many of the first samples show a world that still comes up.
const settled = 10

func (p Page) hostPlot(samples []scenario.Sample, n int) string {
	low, high := samples[0].Hosts, 0
	full, offered := 0.0, 0.0
	for _, s := range samples {
		low, high = min(low, s.Hosts), max(high, s.Hosts)
		full += reserved(s) * float64(s.Hosts)
		offered += float64(s.Hosts)
	}
	title := fmt.Sprintf("%d to %s carry them, %s full on average (█ reserved by tasks, ░ free)", low, things(high, "host"), percent(full/max(1, offered)))
	hosts := func(s scenario.Sample) float64 { return float64(s.Hosts) }
	taken := func(s scenario.Sample) float64 { return reserved(s) * float64(s.Hosts) }
	rows := min(8, max(3, high))
	return p.draw(plot{title: title, values: columns(samples, n, hosts), solid: columns(samples, n, taken), rows: rows, ink: hostInk()})
}
