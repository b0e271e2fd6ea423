package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// strange is every key of a set's JSON that no policy has, or that is there
// twice. encoding/json alone would take a key in another case for the right one,
// and the last of two without a word.
func strange(raw []byte) (Problems, error) {
	w := walk{dec: json.NewDecoder(bytes.NewReader(raw))}
	if err := w.value("", reflect.TypeFor[Set]()); err != nil {
		return nil, err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	w.found.problems.Sort()
	return w.found.problems, nil
}

// walk goes through JSON beside the Go type that it will be decoded into.
type walk struct {
	dec   *json.Decoder
	found check
}

// value reads one value. Its type is nil where the JSON is not what the type
// wants; decoding will tell of that.
func (w *walk) value(path string, t reflect.Type) error {
	token, err := w.dec.Token()
	if err != nil {
		return fmt.Errorf("JSON at byte %d: %w", w.dec.InputOffset(), err)
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token {
	case json.Delim('{'):
		err = w.object(path, t)
	case json.Delim('['):
		err = w.array(path, t)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := w.dec.Token(); err != nil { // the closing bracket
		return fmt.Errorf("JSON at byte %d: %w", w.dec.InputOffset(), err)
	}
	return nil
}

func (w *walk) array(path string, t reflect.Type) error {
	var elem reflect.Type
	if t != nil && t.Kind() == reflect.Slice {
		elem = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(fmt.Sprintf("%s[%d]", path, i), elem); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) object(path string, t reflect.Type) error {
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return fmt.Errorf("JSON at byte %d: %w", w.dec.InputOffset(), err)
		}
		key, _ := token.(string) // an object's keys are strings, or the decoder refuses
		at := strings.TrimPrefix(path+"."+key, ".")
		w.found.need(!seen[key], at, "the key twice", "once", "remove one of the two")
		seen[key] = true
		if err := w.value(at, w.member(at, key, t)); err != nil {
			return err
		}
	}
	return nil
}

// member is the type of an object's member; an unknown key is told of.
func (w *walk) member(path, key string, t reflect.Type) reflect.Type {
	if t == nil || t.Kind() != reflect.Map && t.Kind() != reflect.Struct {
		return nil
	}
	if t.Kind() == reflect.Map {
		return t.Elem()
	}
	types := keyTypes(t)
	member, known := types[key]
	w.found.need(known, path, "an unknown key", "one of "+strings.Join(slices.Sorted(maps.Keys(types)), ", "), "remove it")
	return member
}

// keyTypes are the types of a struct's members by their keys in JSON.
func keyTypes(t reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" {
			types[name] = f.Type
		}
	}
	return types
}
