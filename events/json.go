package events

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Bounds of a message, before anything in it is believed.
const (
	maxBytes = 256 * 1024 // EventBridge's limit of an event
	maxDepth = 64         // the deepest of AWS's events have about ten levels
)

// object is a JSON object by the exact names of its members. encoding/json
// fills a struct whatever the case of the names and lets the last of two equal
// ones win; a rule's pattern might then have matched another value than the one
// that is acted on.
type object map[string]any

// parse reads a message that is one JSON object within the bounds, without a
// member twice at any level. Numbers stay as written.
func parse(raw []byte) (object, error) {
	if len(raw) > maxBytes {
		return nil, ErrTooLarge
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := parseValue(dec, 0)
	if err != nil {
		return nil, err
	}
	// The decoder has read one value; this also rules out what follows it.
	if !json.Valid(raw) {
		return nil, fmt.Errorf("no JSON document: %w", ErrMalformed)
	}
	members, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("want an object, found %s: %w", kindOf(v), ErrMalformed)
	}
	return members, nil
}

// parseValue reads the next value, which lies depth levels deep.
func parseValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return token, nil
	}
	if depth == maxDepth {
		return nil, ErrTooDeep
	}
	if delim == '{' {
		return parseObject(dec, depth+1)
	}
	return parseArray(dec, depth+1)
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	members := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("a member without a name: %w", ErrMalformed)
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("member %.64q twice: %w", name, ErrMalformed)
		}
		if members[name], err = parseValue(dec, depth); err != nil {
			return nil, err
		}
	}
	return members, parseEnd(dec)
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	elements := []any{}
	for dec.More() {
		v, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
	}
	return elements, parseEnd(dec)
}

// parseEnd reads the bracket that closes an object or array.
func parseEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// kindOf names a value's JSON type for an error.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	}
	return "an object"
}
