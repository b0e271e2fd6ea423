package report

import (
	"fmt"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Problems lists what is wrong with a file, one a line, in the form that editors
// jump by: FILE:LINE: PATH: what was found, what is allowed, what helps.
func Problems(name string, problems policy.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(problem(name, p) + "\n")
	}
	return b.String()
}

func problem(name string, p policy.Problem) string {
	where := name
	switch {
	case p.Line > 0:
		where = fmt.Sprintf("%s:%d", name, p.Line)
	case strings.HasPrefix(p.Path, name): // a trace's problems name their lines themselves
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
