package simcloud

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// pattern is an event pattern: for each field a list of what it may be, for each
// object another pattern. All fields must match, of each list one entry.
type pattern struct {
	fields map[string]*pattern
	any    []func(v any, there bool) bool // set: a list, for a single value
}

// maxPattern is EventBridge's limit, in characters.
const maxPattern = 2048

func badPattern(format string, args ...any) error {
	return apiError("InvalidEventPatternException", "Event pattern is not valid. Reason: "+format, args...)
}

// parsePattern reads a pattern. It knows exact values, prefix, exists and
// anything-but; all else is an error, never a rule that matches something else.
func parsePattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, badPattern("it has %d characters, more than %d", len(text), maxPattern)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, badPattern("not JSON: %v", err)
	}
	top, ok := v.(map[string]any)
	if !ok {
		return nil, badPattern("not an object")
	}
	return patternOf(top, "")
}

func patternOf(object map[string]any, at string) (*pattern, error) {
	if len(object) == 0 {
		return nil, badPattern("%q is empty", at)
	}
	p := &pattern{fields: map[string]*pattern{}}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if strings.HasPrefix(key, "$") {
			return nil, badPattern("simcloud does not know %s", key)
		}
		field, err := fieldPattern(object[key], at+"."+key)
		if err != nil {
			return nil, err
		}
		p.fields[key] = field
	}
	return p, nil
}

func fieldPattern(v any, at string) (*pattern, error) {
	switch v := v.(type) {
	case map[string]any:
		return patternOf(v, at)
	case []any:
		if len(v) == 0 {
			return nil, badPattern("%q is empty", at)
		}
		p := &pattern{}
		for _, entry := range v {
			match, err := matcherOf(entry, at)
			if err != nil {
				return nil, err
			}
			p.any = append(p.any, match)
		}
		return p, nil
	default:
		return nil, badPattern("%q must be an object or an array", at)
	}
}

func matcherOf(entry any, at string) (func(any, bool) bool, error) {
	switch entry := entry.(type) {
	case map[string]any:
		return operatorOf(entry, at)
	case []any:
		return nil, badPattern("an array within the array of %q", at)
	default: // string, number, true, false, null
		return func(v any, there bool) bool { return there && v == entry }, nil
	}
}

func operatorOf(entry map[string]any, at string) (func(any, bool) bool, error) {
	if len(entry) != 1 {
		return nil, badPattern("%d operators in one entry of %q", len(entry), at)
	}
	if want, ok := entry["exists"].(bool); ok {
		return func(_ any, there bool) bool { return there == want }, nil
	}
	if prefix, ok := entry["prefix"].(string); ok {
		return func(v any, there bool) bool { return there && hasPrefix(v, prefix) }, nil
	}
	if but, ok := entry["anything-but"]; ok {
		return anythingBut(but, at)
	}
	for name := range entry { // one
		return nil, badPattern("simcloud does not know the operator %q, or not with this value, at %q", name, at)
	}
	return nil, nil
}

func hasPrefix(v any, prefix string) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, prefix)
}

func anythingBut(but any, at string) (func(any, bool) bool, error) {
	var list []any
	switch but := but.(type) {
	case map[string]any:
		prefix, ok := but["prefix"].(string)
		if !ok || len(but) != 1 {
			return nil, badPattern("simcloud does not know this anything-but at %q", at)
		}
		return func(v any, there bool) bool { return there && !hasPrefix(v, prefix) }, nil
	case []any:
		list = but
	default:
		list = []any{but}
	}
	for _, v := range list {
		switch v.(type) {
		case string, float64:
		default:
			return nil, badPattern("anything-but at %q wants strings or numbers", at)
		}
	}
	return func(v any, there bool) bool { return there && !slices.Contains(list, v) }, nil
}

// matchesOuter matches all but the detail.
func (p *pattern) matchesOuter(outer map[string]any) bool {
	for key, field := range p.fields {
		if key != "detail" {
			v, there := outer[key]
			if !field.matches(v, there) {
				return false
			}
		}
	}
	return true
}

// matchesDetail matches the detail alone.
func (p *pattern) matchesDetail(detail any) bool {
	field, ok := p.fields["detail"]
	return !ok || field.matches(detail, true)
}

// matches says whether a value fits. Of an array one element must: exists and
// anything-but judge each by itself, as EventBridge does.
func (p *pattern) matches(v any, there bool) bool {
	if elements, ok := v.([]any); ok {
		for _, e := range elements {
			if p.matches(e, true) {
				return true
			}
		}
		return len(elements) == 0 && p.matches(nil, false)
	}
	if p.fields == nil {
		return p.matchesLeaf(v, there)
	}
	object, _ := v.(map[string]any)
	for key, field := range p.fields {
		inner, ok := object[key]
		if !field.matches(inner, ok) {
			return false
		}
	}
	return true
}

// matchesLeaf: an object is no value, so also exists does not find it.
func (p *pattern) matchesLeaf(v any, there bool) bool {
	if _, object := v.(map[string]any); object {
		v, there = nil, false
	}
	for _, match := range p.any {
		if match(v, there) {
			return true
		}
	}
	return false
}
