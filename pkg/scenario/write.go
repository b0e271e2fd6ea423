package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"sigs.k8s.io/yaml"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy/file"
)

// errTraced means that a scenario is not in a file by itself.
var errTraced = errors.New("a trace replaced the shapes, and a scenario's file has no place for it")

// Write writes a scenario as a file that Read reads as the same scenario: what
// its policy says now counts, not the text that the policy once was read from.
func Write(s Scenario) ([]byte, error) {
	if s.Traced {
		return nil, fmt.Errorf("write scenario %s: %w", s.Name, errTraced)
	}
	read, err := file.Read(s.Name, s.Raw)
	if err != nil || !reflect.DeepEqual(read, s.Policy) {
		if s.Raw, err = json.Marshal(s.Policy); err != nil {
			return nil, fmt.Errorf("write the policy of %s: %w", s.Name, err)
		}
	}
	raw, err := yaml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
	}
	return raw, nil
}
