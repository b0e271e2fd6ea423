package report

import (
	"encoding/json"
	"fmt"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

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
