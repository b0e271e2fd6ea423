package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// schemaName is the schema's address while it is compiled; nothing is fetched.
const schemaName = "plimsoll.schema.json"

// form is a file's value after the schema was held against it.
type form struct {
	schema   map[string]any
	value    any  // without what is wrong
	hopeless bool // nothing is left of it
	problems policy.Problems
	doubts   policy.Problems // limits that the policy's own checks tell better, if they do
	removed  []string        // paths whose value was taken out: checks of them, below them and across them mean nothing
}

// inForm holds the schema against a value, and takes out what is wrong so that
// the rest can be checked for its meaning.
func inForm(value any, raw []byte) (*form, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("decode schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaName, doc); err != nil {
		return nil, fmt.Errorf("add schema: %w", err)
	}
	schema, err := compiler.Compile(schemaName)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	f := &form{value: value}
	f.schema, _ = doc.(map[string]any) // by its root's type; the schema test reads it too
	var wrong *jsonschema.ValidationError
	if errors.As(schema.Validate(value), &wrong) {
		f.gather(wrong)
	}
	return f, nil
}

// gather tells of an error's leaves: the rest only say where those are.
func (f *form) gather(e *jsonschema.ValidationError) {
	for _, cause := range e.Causes {
		f.gather(cause)
	}
	if len(e.Causes) > 0 {
		return
	}
	path, found := f.at(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		f.unknown(path, e)
	case *kind.Required:
		for _, key := range k.Missing {
			f.tell(policy.Problem{Path: joined(path, key), Found: "nothing", Allowed: f.wanted(e.SchemaURL, key), Help: "add " + key})
		}
	case *kind.Type, *kind.Pattern:
		p := policy.Problem{Path: path, Found: described(found), Allowed: f.wanted(e.SchemaURL, ""), Help: rewritten(found, f.node(e.SchemaURL))}
		f.tell(p)
		f.remove(path, e.InstanceLocation)
	default:
		f.doubts = append(f.doubts, policy.Problem{Path: path, Found: described(found), Allowed: limits(f.node(e.SchemaURL))})
	}
}

func (f *form) tell(p policy.Problem) { f.problems = append(f.problems, p) }

// unknown tells of keys that the schema does not have, and of the nearest that
// it has.
func (f *form) unknown(path string, e *jsonschema.ValidationError) {
	properties, _ := f.node(e.SchemaURL)["properties"].(map[string]any)
	known := slices.Sorted(maps.Keys(properties))
	k, _ := e.ErrorKind.(*kind.AdditionalProperties)
	_, found := f.at(e.InstanceLocation)
	holder, _ := found.(map[string]any)
	for _, key := range k.Properties {
		help := "remove it"
		if near := nearest(key, known); near != "" {
			help = "did you mean " + near + "?"
			if _, there := holder[near]; !there {
				f.removed = append(f.removed, joined(path, near)) // that it is missing goes without saying
			}
		}
		f.tell(policy.Problem{Path: joined(path, key), Found: "an unknown key", Allowed: "one of " + strings.Join(known, ", "), Help: help})
	}
}

// at is the path of a place in the value, and what is there.
func (f *form) at(location []string) (path string, found any) {
	found = f.value
	for _, step := range location {
		switch v := found.(type) {
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return path, nil
			}
			path, found = fmt.Sprintf("%s[%d]", path, i), v[i]
		case map[string]any:
			path, found = joined(path, step), v[step]
		}
	}
	return path, found
}

// remove takes a value out: a key goes, and an item becomes null, which decodes
// to nothing, so that the others keep their index.
func (f *form) remove(path string, location []string) {
	f.removed = append(f.removed, path)
	if len(location) == 0 {
		f.hopeless = true
		return
	}
	last := location[len(location)-1]
	_, holder := f.at(location[:len(location)-1])
	switch v := holder.(type) {
	case []any:
		if i, err := strconv.Atoi(last); err == nil && i < len(v) {
			v[i] = nil
		}
	case map[string]any:
		delete(v, last)
	}
}

// merged are the problems of the form and of the meaning, each thing told once:
// by the form if it took the value out, else by the meaning, else by a limit of
// the schema.
func (f *form) merged(meaning []policy.Problem) policy.Problems {
	all := slices.DeleteFunc(f.problems, f.implied)
	for _, p := range meaning {
		if !f.touches(p.Path) {
			all = append(all, p)
		}
	}
	for _, doubt := range f.doubts {
		if !slices.ContainsFunc(all, func(p policy.Problem) bool { return within(p.Path, doubt.Path) || within(doubt.Path, p.Path) }) {
			all = append(all, doubt)
		}
	}
	return all
}

// implied says whether a key is missing only because it is written wrongly.
func (f *form) implied(p policy.Problem) bool {
	return p.Found == "nothing" && strings.HasPrefix(p.Help, "add ") && slices.Contains(f.removed, p.Path)
}

// touches says whether a path is told of already, or rests on what was taken out.
func (f *form) touches(path string) bool {
	told := slices.ContainsFunc(f.problems, func(p policy.Problem) bool { return p.Path == path })
	return told || slices.ContainsFunc(f.removed, func(gone string) bool { return within(path, gone) || path != "" && within(gone, path) })
}

// node is the part of the schema that an address within it names.
func (f *form) node(address string) map[string]any {
	_, pointer, _ := strings.Cut(address, "#")
	n := f.schema
	for step := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		if next, ok := n[step].(map[string]any); ok {
			n = next
		}
	}
	return n
}

// wanted says in words what the schema at an address, or its property, takes.
func (f *form) wanted(address, property string) string {
	n := f.node(address)
	if property != "" {
		n = f.node(address + "/properties/" + property)
	}
	if ref, ok := n["$ref"].(string); ok {
		n = f.node(ref)
	}
	switch n["pattern"] {
	case durationPattern:
		return "a duration such as 90s, 5m or 1h30m"
	case spanPattern:
		return "a duration above 0s such as 90s, 5m or 1h30m"
	}
	switch n["type"] {
	case "object":
		return "a mapping of keys to values"
	case "array":
		return "a list"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "string":
		return "text"
	default: // any value, such as a policy inside of a scenario
		return "a value"
	}
}

// isDuration says whether a part of the schema is that of a duration.
func isDuration(n map[string]any) bool {
	return n["pattern"] == durationPattern || n["pattern"] == spanPattern
}

// isNumber says whether a part of the schema is that of a number.
func isNumber(n map[string]any) bool { return n["type"] == "integer" || n["type"] == "number" }

// limits says in words what limits the schema sets to a value.
func limits(n map[string]any) string {
	var all []string
	for _, l := range []struct{ keyword, words string }{
		{"minimum", "%v or more"}, {"exclusiveMinimum", "more than %v"}, {"maximum", "%v or less"}, {"const", "%v"}, {"enum", "one of %v"}, {"minItems", "%v or more items"},
	} {
		if v, ok := n[l.keyword]; ok {
			all = append(all, fmt.Sprintf(l.words, v))
		}
	}
	if len(all) == 0 {
		return "what the schema says"
	}
	return strings.Join(all, " and ")
}

// described says what a value is.
func described(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case string:
		return strconv.Quote(v)
	case json.Number:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// rewritten is the smallest change that makes a value one that the schema takes;
// empty where there is no telling what was meant.
func rewritten(v any, n map[string]any) string {
	switch v := v.(type) {
	case nil:
		if n["type"] == "object" {
			return "write {} for none of its keys"
		}
	case json.Number:
		if isDuration(n) {
			return "write " + v.String() + "s if seconds are meant"
		}
	case string:
		if _, err := strconv.ParseFloat(v, 64); err == nil && isNumber(n) {
			return "write " + v + " without quotes"
		}
	}
	switch {
	case isDuration(n):
		return "write 90s, 5m or 1h30m"
	case n["type"] == "string" && v != nil:
		return "put it in quotes"
	default:
		return ""
	}
}
