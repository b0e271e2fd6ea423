// Package report tells people what came of a run: pictures for a terminal, the
// table of figures, why something was decided, and JSON for machines. Its
// functions are pure and return text; the page they write on is an argument. It
// must not run anything, nor know where its text is printed.
package report

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// Page is what a text is written on.
type Page struct {
	Width  int // columns; under 40 is taken for 40
	Height int // lines of the terminal; 0: as many as needed
	Color  bool
}

// width is the page's, but never less than a picture needs.
func (p Page) width() int { return max(40, p.Width) }

// The inks. Everything that they tell is told by shape or word too.
func (p Page) ink(c color.Color, s string) string {
	if !p.Color || s == "" {
		return s
	}
	return lipgloss.NewStyle().Foreground(c).Render(s)
}

func (p Page) bold(s string) string {
	if !p.Color {
		return s
	}
	lines := strings.Split(s, "\n") // several at once would be filled up to one width
	for n, line := range lines {
		lines[n] = lipgloss.NewStyle().Bold(true).Render(line)
	}
	return strings.Join(lines, "\n")
}

func (p Page) faint(s string) string { return p.ink(lipgloss.BrightBlack, s) }

// What is drawn has its colour everywhere.
func loadInk() color.Color { return lipgloss.Blue }
func hostInk() color.Color { return lipgloss.Yellow }
func serviceInk(n int) color.Color {
	inks := []color.Color{lipgloss.Cyan, lipgloss.Magenta, lipgloss.Green, lipgloss.Red, lipgloss.BrightBlue}
	return inks[n%len(inks)]
}

// Wrapped breaks a text at spaces so that no line is wider than the page.
func (p Page) Wrapped(text string) string { return p.wrapped(text, 0) }

// wrapped is Wrapped where every line but the first is indented.
func (p Page) wrapped(text string, indent int) string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(text) {
		w := lipgloss.Width(word)
		if used > 0 && used+1+w > p.width()-indent {
			lines, line, used = append(lines, line), "", 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+w
	}
	return strings.Join(append(lines, line), "\n"+strings.Repeat(" ", indent))
}

// cut shortens a text without colours to a width.
func cut(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(0, min(len(runes), width-1))]) + "…"
}

// left and right fill a text up to a width.
func left(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

func right(s string, width int) string {
	return strings.Repeat(" ", max(0, width-lipgloss.Width(s))) + s
}

// rate is the requests a second of all services.
func rate(s scenario.Sample) float64 {
	sum := 0.0
	for _, x := range s.Services {
		sum += x.Rate
	}
	return sum
}

// reserved is the share of what hosts offer that tasks reserve, by the resource
// of which more is taken: that one is at its line first.
func reserved(s scenario.Sample) float64 {
	return max(ratio(s.Reserved.CPU, s.Offered.CPU), ratio(s.Reserved.Memory, s.Offered.Memory))
}

func ratio(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (p Page) good(s string) string { return p.ink(lipgloss.Green, s) }
func (p Page) bad(s string) string  { return p.ink(lipgloss.Red, s) }
