package report

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// The live picture's columns: names at the left, the figures of the moment at
// the right, the day between them.
const (
	nameRoom   = 12
	figureRoom = 17
	barRoom    = 12 // the cells of a host's bar
	frameRows  = 7  // lines of a picture besides services, bars and legend, and two for a heading
)

// Live is the picture of a run under way, given all of its samples so far.
func (p Page) Live(s scenario.Scenario, samples []scenario.Sample) string {
	if len(samples) == 0 {
		return ""
	}
	now := samples[len(samples)-1]
	share := min(1, float64(now.At.Sub(s.Start))/float64(max(1, s.Length.Duration)))
	room := p.width() - nameRoom - figureRoom - 2
	done := int(share * float64(room))
	covers := span{s.Start, s.Start.Add(s.Length.Duration)}
	lines := []string{
		p.bold(left(covers.minute(now.At), nameRoom)) + strings.Repeat("━", done) + p.faint(strings.Repeat("─", room-done)) + right(percent(share), figureRoom), "",
		left("requests/s", nameRoom) + p.ink(loadInk(), p.past(samples, done, room, rate)) + right(count(rate(now)), figureRoom),
	}
	for i, x := range s.Services {
		lines = append(lines, left(cut(x.Name, nameRoom-7)+" tasks", nameRoom)+
			p.ink(serviceInk(i), p.past(samples, done, room, func(s scenario.Sample) float64 { return float64(s.Services[i].Running) }))+
			right(tasksNow(now.Services[i]), figureRoom))
	}
	hosts := func(s scenario.Sample) float64 { return float64(s.Hosts) }
	lines = append(lines,
		left("hosts", nameRoom)+p.ink(hostInk(), p.past(samples, done, room, hosts))+right(hostsNow(now), figureRoom), "")
	lines = append(lines, p.bars(s, now, int(highest(columns(samples, 1, hosts))), frameRows+len(s.Services))...)
	return strings.Join(lines, "\n") + "\n"
}

func tasksNow(x scenario.ServiceSample) string {
	if x.Running == x.Desired {
		return count(float64(x.Running))
	}
	return fmt.Sprintf("%d of %d", x.Running, x.Desired)
}

func hostsNow(s scenario.Sample) string {
	if s.Starting > 0 {
		return fmt.Sprintf("%d + %d starting", s.Hosts, s.Starting)
	}
	if s.Draining > 0 {
		return fmt.Sprintf("%d, %d draining", s.Hosts, s.Draining)
	}
	return count(float64(s.Hosts))
}

// past is what was so far, in the part of the room that is done.
func (p Page) past(samples []scenario.Sample, done, room int, value func(scenario.Sample) float64) string {
	values := columns(samples, max(1, done), value)
	return left(spark(values, highest(values)), room)
}

// bars are the hosts of the moment, each a bar that its tasks fill up to its
// line, and the legend. There is room for as many as there have been, so that
// what is below them does not jump up again. others are the picture's other lines.
func (p Page) bars(s scenario.Scenario, now scenario.Sample, most, others int) []string {
	across := max(1, (p.width()+1)/(barRoom+3))
	rows, legend := max(1, min(6, (most+across-1)/across)), p.legend(s)
	if p.Height > 0 {
		rows = max(1, min(rows, p.Height-others-len(legend)-1))
	}
	lines, hidden := make([][]string, rows), max(0, len(now.Each)-rows*across)
	for n, h := range now.Each[:len(now.Each)-hidden] {
		lines[n/across] = append(lines[n/across], p.bar(s, h))
	}
	var all []string
	for _, line := range lines {
		all = append(all, strings.Join(line, " "))
	}
	if hidden > 0 {
		all[rows-1] = p.faint("and " + things(hidden+len(lines[rows-1]), "host") + " more")
	}
	return append(all, legend...)
}

// legend says what the bars are made of, on as many lines as it needs.
func (p Page) legend(s scenario.Scenario) []string {
	var words []string
	for i, x := range s.Services {
		words = append(words, p.ink(serviceInk(i), string(fill(i)))+" "+cut(x.Name, p.width()/2))
	}
	lines := []string{p.faint("each bar a host:")}
	for _, word := range append(words, "· free", "╱ draining") {
		n := len(lines) - 1
		if lipgloss.Width(lines[n])+3+lipgloss.Width(word) > p.width() {
			lines = append(lines, word)
			continue
		}
		lines[n] += "   " + word
	}
	return lines
}

// fill is the character of a service's tasks: services are told apart without
// colour too.
func fill(n int) rune { return []rune("█▓▒▆▄")[n%5] }

// bar is one host. What of it is reserved is shared out by its tasks' sizes.
func (p Page) bar(s scenario.Scenario, h scenario.HostSample) string {
	var b strings.Builder
	used, upTo := 0, 0.0
	for i, n := range h.Tasks {
		x := s.Services[i]
		upTo += float64(n) * max(ratio(x.CPU, h.Offered.CPU), ratio(x.Memory, h.Offered.Memory))
		cells := min(barRoom, int(upTo*barRoom+0.5)) - used
		b.WriteString(p.ink(serviceInk(i), strings.Repeat(string(fill(i)), max(0, cells))))
		used += max(0, cells)
	}
	free := "·"
	if h.Draining {
		free = "╱"
	}
	return p.faint("▕") + b.String() + p.faint(strings.Repeat(free, barRoom-used)) + p.faint("▏")
}

// Line is the moment in one line, for where nothing can be redrawn.
func (p Page) Line(s scenario.Scenario, now scenario.Sample) string {
	covers := span{s.Start, s.Start.Add(s.Length.Duration)}
	parts := []string{covers.minute(now.At), right(count(rate(now)), 6) + " requests/s"}
	for i, x := range s.Services {
		of := now.Services[i]
		parts = append(parts, fmt.Sprintf("%s %3d/%d", x.Name, of.Running, of.Desired))
	}
	parts = append(parts, fmt.Sprintf("hosts %2d", now.Hosts), percent(reserved(now))+" reserved")
	return strings.Join(parts, "   ")
}

// Every is how much virtual time to let pass between two lines of a run of that
// length: two hours of a day.
func Every(length time.Duration) time.Duration {
	return max(time.Minute, (length / 12).Round(time.Minute))
}
