package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzDecode holds Decode's promises for any bytes: no panic, an error or an
// event and never both, strings that a log line and a key can bear, and an answer
// that does not depend on how the JSON is spaced.
func FuzzDecode(f *testing.F) {
	for _, name := range samples(f) {
		f.Add(sample(f, name))
		var packed bytes.Buffer
		if err := json.Compact(&packed, sample(f, name)); err != nil {
			f.Fatal(err)
		}
		f.Add(packed.Bytes())
	}
	for name := range notForDecode {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := Decode(raw)
		if err != nil {
			refused(t, e, err)
			return
		}
		bearable(t, e)
		var packed bytes.Buffer
		if err := json.Compact(&packed, raw); err != nil {
			t.Fatalf("decoded, but is no JSON: %v", err)
		}
		if again, err := Decode(packed.Bytes()); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("without spaces: got %+v, %v, want %+v", again, err, e)
		}
	})
}

// FuzzDecodeWake holds that what DecodeWake takes, EncodeWake writes.
func FuzzDecodeWake(f *testing.F) {
	f.Add(sample(f, "plimsoll-wake.json"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := DecodeWake(raw)
		if err != nil {
			if w != (Wake{}) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %+v with %v", w, err)
			}
			return
		}
		body, err := EncodeWake(w)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeWake(body); err != nil || again != w {
			t.Fatalf("%s: got %+v, %v, want %+v", body, again, err, w)
		}
	})
}

func refused(t *testing.T, e Event, err error) {
	if !reflect.DeepEqual(e, Event{}) || !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %+v with %v", e, err)
	}
	if len(err.Error()) > 20_000 {
		t.Fatalf("an error of %d bytes", len(err.Error()))
	}
}

// bearable checks the strings of an event, and that its kind says which are set.
func bearable(t *testing.T, e Event) {
	s := e.Subject
	names := []string{e.ID, e.Source, e.DetailType, e.Account, e.Region, s.Cluster, s.Service, s.Group, s.Instance, s.Alarm, s.Family}
	for _, v := range names {
		printable(t, v, 256)
	}
	for _, v := range append(append([]string{s.Parameter, e.Key}, e.Resources...), s.ARNs...) {
		printable(t, v, 2048)
	}
	if (e.Kind == Look) != s.names() || (e.Kind == Again) != (e.Key != "") || len(s.ARNs) > 2 {
		t.Errorf("kind %q of %+v", e.Kind, e)
	}
	if (e.Kind != Look && len(s.ARNs) > 0) || (e.Kind != Look && e.Kind != Again && e.Kind != Sweep && e.Kind != Unknown) {
		t.Errorf("kind %q of %+v", e.Kind, e)
	}
}

func printable(t *testing.T, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		t.Errorf("%d characters, %d allowed: %.100q", n, limit, s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			t.Errorf("%q cannot be printed, in %.100q", r, s)
		}
	}
}
