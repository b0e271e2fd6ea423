package report

import (
	"encoding/json"
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

// Checked is a file that was checked.
type Checked struct {
	File     string
	Kind     string // policy or scenario
	Problems policy.Problems
}

// CheckedJSON is what is wrong with files as one JSON object.
func CheckedJSON(files []Checked) ([]byte, error) {
	type problem struct {
		Path    string `json:"path"`
		Line    int    `json:"line,omitempty"`
		Found   string `json:"found"`
		Allowed string `json:"allowed"`
		Help    string `json:"help,omitempty"`
	}
	type checked struct {
		File     string    `json:"file"`
		Kind     string    `json:"kind"`
		Problems []problem `json:"problems"`
	}
	all := make([]checked, len(files))
	for n, f := range files {
		all[n] = checked{f.File, f.Kind, []problem{}}
		for _, p := range f.Problems {
			all[n].Problems = append(all[n].Problems, problem(p))
		}
	}
	raw, err := json.MarshalIndent(map[string]any{"version": JSONVersion, "files": all}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write what was checked as JSON: %w", err)
	}
	return append(raw, '\n'), nil
}
