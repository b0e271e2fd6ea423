package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a policy.
type Problem struct {
	Path    string // where, such as services.web.tasks.max; empty: the policy as a whole
	Line    int    // in the file that was read, from 1; 0: not known
	Found   string
	Allowed string
	Help    string // the smallest change that helps
}

// String is the problem in one line.
func (p Problem) String() string {
	where := p.Path
	if where == "" {
		where = "policy"
	}
	if p.Line > 0 {
		where = fmt.Sprintf("%s (line %d)", where, p.Line)
	}
	s := fmt.Sprintf("%s: found %s, allowed %s", where, p.Found, p.Allowed)
	if p.Help == "" {
		return s
	}
	return s + "; " + p.Help
}

// Problems is everything that is wrong with a policy, as an error.
type Problems []Problem

// Error lists every problem, one a line.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps)+1)
	lines = append(lines, fmt.Sprintf("%d problems:", len(ps)))
	if len(ps) == 1 {
		lines[0] = "1 problem:"
	}
	for _, p := range ps {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// In lists the problems of a file, one a line, in the form that editors jump by:
// FILE:LINE: PATH: what was found, what is allowed, what helps. Every line ends.
func (ps Problems) In(file string) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.in(file) + "\n")
	}
	return b.String()
}

func (p Problem) in(file string) string {
	where := file
	switch {
	case p.Line > 0:
		where = fmt.Sprintf("%s:%d", file, p.Line)
	case strings.HasPrefix(p.Path, file): // a trace's problems name their lines themselves
		where, p.Path = p.Path, ""
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	s := fmt.Sprintf("%s: found %s, allowed %s", where, p.Found, p.Allowed)
	if p.Help != "" {
		s += "; " + p.Help
	}
	return s
}

// Sort orders the problems by path, so that the same policy is always told the
// same way.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Found, b.Found))
	})
}
