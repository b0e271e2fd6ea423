package file

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

//go:generate go test -run TestTheSchemaInDocsIsFresh -update .

// What a policy.Duration reads: hours, minutes and seconds. A span is longer than
// none, since the zero of a key that has a default would be taken for absent.
const (
	durationPattern = "^([0-9]+[hms])+$"
	spanPattern     = "^([0-9]+[hms])*0*[1-9][0-9]*[hms]([0-9]+[hms])*$"
)

// Schema is the JSON schema of a policy's file, made from the policy's struct.
// docs/plimsoll.schema.json is its copy for editors.
func Schema() ([]byte, error) {
	notes := notes()
	r := jsonschema.Reflector{
		Anonymous:      true,
		ExpandedStruct: true,
		Mapper:         durationSchema,
	}
	root := r.Reflect(policy.Policy{})
	root.Title = "plimsoll.yaml: what plimsoll does to one ECS cluster"
	annotate(root, "Policy", notes)
	for name, s := range root.Definitions {
		annotate(s, name, notes)
	}
	raw, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(raw, '\n'), nil
}

// durationSchema is a duration as a file has it: text.
func durationSchema(t reflect.Type) *jsonschema.Schema {
	if t != reflect.TypeFor[policy.Duration]() {
		return nil
	}
	return &jsonschema.Schema{Type: "string", Pattern: spanPattern, Examples: []any{"90s", "5m", "1h30m"}}
}

// annotate sets what the notes say of a struct's keys.
func annotate(s *jsonschema.Schema, name string, notes map[string]note) {
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		n, property := notes[name+"."+pair.Key], pair.Value
		property.Description = n.says
		property.Minimum, property.Maximum, property.ExclusiveMinimum = n.min, n.max, n.above
		if n.mayBeZero {
			property.Pattern = durationPattern
		}
		property.Enum, property.Default = n.oneOf, n.standard
	}
}
