package report

import (
	"image/color"
	"math"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// gutter is the room to the left of a plot, for its scale.
const gutter = 7

// plot is one measure over time, a column a span of time.
type plot struct {
	title  string
	values []float64
	solid  []float64 // the part of each value that is drawn full; nil: all of it
	rows   int
	ink    color.Color
}

// columns reduces samples to so many columns, each the highest value of its
// span, so that a short peak is never lost.
func columns(samples []scenario.Sample, n int, value func(scenario.Sample) float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		from, to := i*len(samples)/n, (i+1)*len(samples)/n
		for _, s := range samples[from:max(to, from+1)] {
			all[i] = max(all[i], value(s))
		}
	}
	return all
}

// draw writes the plot under its title, the scale at its left.
func (p Page) draw(pl plot) string {
	top := 0.0
	for _, v := range pl.values {
		top = max(top, v)
	}
	var b strings.Builder
	b.WriteString(p.bold(p.Wrapped(pl.title)) + "\n")
	for row := pl.rows - 1; row >= 0; row-- {
		label := ""
		switch row {
		case pl.rows - 1:
			label = short(top)
		case 0:
			label = "0"
		}
		b.WriteString(p.faint(right(label, gutter-2)+" ┤") + p.ink(pl.ink, strings.TrimRight(pl.row(row, top), " ")) + "\n")
	}
	return b.String()
}

// row is one line of the plot, counted from its foot.
func (pl plot) row(row int, top float64) string {
	var b strings.Builder
	for i, v := range pl.values {
		if pl.solid == nil {
			b.WriteRune(block(eighths(v, top, pl.rows) - 8*row))
			continue
		}
		full, all := eighths(pl.solid[i], top, pl.rows)-8*row, eighths(v, top, pl.rows)-8*row
		switch {
		case full >= 4:
			b.WriteRune('█')
		case all >= 4:
			b.WriteRune('░')
		default:
			b.WriteRune(' ')
		}
	}
	return b.String()
}

// eighths is the height of a value in eighths of a line: what is more than zero
// shows.
func eighths(v, top float64, rows int) int {
	if v <= 0 || top <= 0 {
		return 0
	}
	return max(1, int(math.Round(v/top*float64(8*rows))))
}

// block is the character that is so many eighths high.
func block(eighths int) rune {
	return []rune(" ▁▂▃▄▅▆▇█")[max(0, min(8, eighths))]
}

// spark is a plot of one line, in eighths of top.
func spark(values []float64, top float64) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(block(eighths(v, top, 1)))
	}
	return b.String()
}

// highest is the greatest of the values, 0 if there are none.
func highest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	return top
}

// axis is the time axis under plots of so many columns: the ticks, and their
// labels.
func (p Page) axis(s span, columns int) string {
	layout, room := "15:04", 8
	if s.days() {
		layout, room = "Jan 2 15:04", 14
	}
	length := s.end.Sub(s.start)
	step := tick(length, max(1, columns/room))
	line, labels := []rune(strings.Repeat("─", columns)), []rune(strings.Repeat(" ", columns+gutter))
	for t := s.start.Truncate(step); !t.After(s.end); t = t.Add(step) {
		at := int(float64(columns) * float64(t.Sub(s.start)) / float64(max(1, length)))
		text := []rune(t.UTC().Format(layout))
		if t.Before(s.start) || at >= columns || gutter+at-2+len(text) > len(labels) {
			continue
		}
		line[at] = '┬'
		copy(labels[gutter+at-2:], text)
	}
	ticks := p.faint(strings.Repeat(" ", gutter-1) + "└" + string(line))
	return ticks + "\n" + p.faint(strings.TrimRight(string(labels), " ")) + "\n"
}

// tick is the smallest usual step that makes no more than n ticks.
func tick(length time.Duration, n int) time.Duration {
	steps := []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
	for _, s := range steps {
		if length/s <= time.Duration(n) {
			return s
		}
	}
	day := 24 * time.Hour
	return day * max(1, (length/day+time.Duration(n)-1)/time.Duration(n))
}
