// Package file reads and writes a policy as people keep it: YAML or JSON, with a
// JSON schema for editors. It tells everything that is wrong with a file at
// once, with the line where it knows it. The functions do without this package;
// it must not know what a policy is used for.
package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// schemaComment is the first line of a file that Write makes; editors find the
// schema by it.
const schemaComment = "# yaml-language-server: $schema=./plimsoll.schema.json\n"

// Read reads one cluster's policy from YAML or JSON and fills in the defaults.
// The error of a wrong file is policy.Problems with everything that is wrong: in
// its form by the schema, and in its meaning by the policy's own checks. name is
// what the error calls the file.
func Read(name string, raw []byte) (policy.Policy, error) {
	schema, err := Schema()
	if err != nil {
		return policy.Policy{}, fmt.Errorf("read policy %s: %w", name, err)
	}
	p, problems := Decode(raw, schema, policy.Policy.Validate)
	if len(problems) > 0 {
		problems.Sort()
		return policy.Policy{}, fmt.Errorf("read policy %s: %w", name, problems)
	}
	return p.Defaulted(), nil
}

// StatesMode says whether a file has the key mode, so that a deployment can tell
// an operator's wish from the default. A file that cannot be read states nothing.
func StatesMode(raw []byte) bool {
	var keys map[string]any
	if err := yaml.Unmarshal(raw, &keys); err != nil {
		return false // Read says what is wrong
	}
	return keys["mode"] != nil
}

// Write writes a policy as YAML that Read reads back, with every default written
// out. A policy that Read would refuse is an error.
func Write(p policy.Policy) ([]byte, error) {
	if problems := p.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("write policy of %s: %w", p.Cluster, policy.Problems(problems))
	}
	raw, err := yaml.Marshal(p.Defaulted())
	if err != nil {
		return nil, fmt.Errorf("write policy of %s: %w", p.Cluster, err)
	}
	return append([]byte(schemaComment), raw...), nil
}

// Decode reads a value from YAML or JSON: its form by a schema that SchemaOf
// made, its meaning by check. It tells everything that is wrong at once; with
// any problem the value is not to be used. Problems of check without a line get
// the line of their path.
func Decode[T any](raw, schema []byte, check func(T) []policy.Problem) (T, policy.Problems) {
	var none T
	places, problems := locate(raw)
	if places.unreadable {
		return none, problems
	}
	value, err := decoded(raw)
	if err != nil {
		return none, append(problems, policy.Problem{Found: err.Error(), Allowed: "values that JSON has too"})
	}
	f, err := inForm(value, schema)
	if err != nil {
		return none, append(problems, policy.Problem{Found: err.Error(), Allowed: "a schema that compiles: this is plimsoll's own mistake"})
	}
	v, meaning := meant(f, check)
	problems = append(problems, f.merged(meaning)...)
	for i := range problems {
		if problems[i].Line == 0 {
			problems[i].Line = places.line(problems[i].Path)
		}
	}
	return v, problems
}

// decoded is the file as the JSON that it stands for, numbers as they are
// written. Keys that are there twice were told of by locate.
func decoded(raw []byte) (any, error) {
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("a file that is no YAML: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.UseNumber()
	var v any
	return v, dec.Decode(&v)
}

// meant is the value of a file, and what is wrong with its meaning. What was
// wrong with its form is taken for absent.
func meant[T any](f *form, check func(T) []policy.Problem) (T, []policy.Problem) {
	var v T
	if f.hopeless {
		return v, nil
	}
	raw, err := json.Marshal(f.value)
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return v, []policy.Problem{{Path: wrong.Field, Found: wrong.Value, Allowed: "a number that a computer's whole number holds", Help: "write a smaller one"}}
	}
	if err != nil {
		return v, []policy.Problem{{Found: err.Error(), Allowed: "values of the schema's types"}}
	}
	return v, check(v)
}

// parent is the path without its last key or index; the empty path's is itself.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// within says whether a path is another or below it.
func within(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || above == "" || rest[0] == '.' || rest[0] == '[')
}
