package main

import (
	"fmt"
	"strings"
)

// text is the table of each size: Markdown that can be read as it is.
func (c costs) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `US dollars a month of %d hours, in %s, at prices of %s and before.
Counted in the simulated cloud: %g h of each world, seed %d.

`, hoursPerMonth, c.Region, c.Prices, c.Hours, c.Seed)
	b.WriteString(c.summary())
	for _, x := range c.Sizes {
		fmt.Fprintf(&b, "\n%d hosts, %d services, %d tasks; busy: the load rises by half and falls again every hour, %.0f hosts on average.\n\n", x.Hosts, x.Services, x.Tasks, x.Busy.MeanHosts)
		b.WriteString(x.table())
	}
	b.WriteString("\nNot in it:\n\n")
	for _, what := range leftOut() {
		b.WriteString("- " + what + "\n")
	}
	return b.String()
}

// summary is a line a world.
func (c costs) summary() string {
	rows := [][]string{{"hosts", "world", "$ a month", "rounds an hour", "failed", "API calls a round", "seconds a round"}}
	for _, x := range c.Sizes {
		for _, w := range []struct {
			name string
			month
		}{{"quiet", x.Quiet}, {"busy", x.Busy}} {
			rows = append(rows, []string{
				fmt.Sprint(x.Hosts), w.name, fmt.Sprintf("%.2f", w.Total), fmt.Sprintf("%.0f", w.RoundsPerHour), fmt.Sprintf("%.1f%%", w.RoundsFailed),
				fmt.Sprintf("%.1f", w.calls()), fmt.Sprintf("%.2f", w.RoundSeconds),
			})
		}
	}
	return aligned(rows, 2)
}

// table is the bill of a size: a line an item.
func (x cost) table() string {
	rows := [][]string{{"item", "price", "", "quiet: a month", "$", "busy: a month", "$"}}
	for n, p := range prices() {
		q, b := x.Quiet.Lines[n], x.Busy.Lines[n]
		rows = append(rows, []string{p.item, amount(p.dollars), p.unit, amount(q.Count), fmt.Sprintf("%.2f", q.Dollars), amount(b.Count), fmt.Sprintf("%.2f", b.Dollars)})
	}
	rows = append(rows, []string{"together", "", "", "", fmt.Sprintf("%.2f", x.Quiet.Total), "", fmt.Sprintf("%.2f", x.Busy.Total)})
	return aligned(rows, 1)
}

// amount is a number as it is read best: whole from a hundred on, with commas.
func amount(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// aligned is a Markdown table, its first columns to the left and the others to
// the right.
func aligned(rows [][]string, left int) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for n, cell := range row {
			widths[n] = max(widths[n], len(cell), 2)
		}
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("|")
		for n, cell := range row {
			if n < left {
				fmt.Fprintf(&b, " %-*s |", widths[n], cell)
			} else {
				fmt.Fprintf(&b, " %*s |", widths[n], cell)
			}
		}
		b.WriteString("\n")
		if i == 0 {
			b.WriteString(rule(widths, left))
		}
	}
	return b.String()
}

// rule is the line under a table's head.
func rule(widths []int, left int) string {
	line := "|"
	for n, w := range widths {
		if n < left {
			line += " " + strings.Repeat("-", w) + " |"
		} else {
			line += " " + strings.Repeat("-", w-1) + ": |"
		}
	}
	return line + "\n"
}
