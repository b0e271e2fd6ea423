package events

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func keys() *rapid.Generator[string] { return rapid.StringMatching(`[a-z]{1,20}#[!-~]{1,255}`) }

func TestLookAgainComesBackAsItWent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := keys().Draw(r, "key")
		zone := time.FixedZone("drawn", rapid.IntRange(-12, 14).Draw(r, "hours")*3600)
		at := time.Unix(rapid.Int64Range(0, 1<<34).Draw(r, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(r, "nanoseconds")).In(zone)
		raw, err := LookAgain(key, at)
		if err != nil {
			r.Fatal(err)
		}
		got, err := Decode(raw)
		want := Event{Kind: Again, Source: "plimsoll", DetailType: "Look Again", Key: key, At: at.UTC()}
		if err != nil || !reflect.DeepEqual(got, want) {
			r.Fatalf("%s\n got %+v, %v\nwant %+v", raw, got, err, want)
		}
	})
}

func TestLookAgainSampleIsWhatTheConstructorWrites(t *testing.T) {
	e := mustDecode(t, sample(t, "plimsoll-look-again.json"))
	raw, err := LookAgain(e.Key, e.At)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asObject(t, raw), asObject(t, sample(t, "plimsoll-look-again.json")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWakeComesBackAsItWent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := Wake{Key: keys().Draw(r, "key"), Gen: rapid.Int64Range(0, math.MaxInt64).Draw(r, "gen")}
		raw, err := EncodeWake(want)
		if err != nil {
			r.Fatal(err)
		}
		if got, err := DecodeWake(raw); err != nil || got != want {
			r.Fatalf("%s: got %+v, %v, want %+v", raw, got, err, want)
		}
	})
}

func TestKeysThatNobodyMayWrite(t *testing.T) {
	for _, key := range []string{"", "prod", "#prod", "reconcile#", "Reconcile#prod", "re concile#prod", "reconcile#pr od", "reconcile#pröd", "reconcile#a\n", "reconcile#" + strings.Repeat("a", 503)} {
		if raw, err := LookAgain(key, time.Time{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("look again at %q: got %s, %v", key, raw, err)
		}
		if raw, err := EncodeWake(Wake{Key: key}); !errors.Is(err, ErrMalformed) {
			t.Errorf("wake %q: got %s, %v", key, raw, err)
		}
	}
	if raw, err := EncodeWake(Wake{Key: "reconcile#prod", Gen: -1}); !errors.Is(err, ErrMalformed) {
		t.Errorf("gen -1: got %s, %v", raw, err)
	}
	if raw, err := LookAgain("reconcile#prod", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Errorf("year 10000: got %s", raw)
	}
}

func TestWakesThatAreRefused(t *testing.T) {
	tests := []struct{ name, raw, says string }{
		{"nothing", ``, ""},
		{"an event", string(sample(t, "scheduled-event.json")), "missing"},
		{"no key", `{"gen":7}`, "key: missing"},
		{"no gen", `{"key":"reconcile#prod"}`, "gen: missing"},
		{"gen null", `{"key":"reconcile#prod","gen":null}`, "gen: missing"},
		{"gen as text", `{"key":"reconcile#prod","gen":"7"}`, "gen: want an integer"},
		{"gen below zero", `{"key":"reconcile#prod","gen":-7}`, "gen: want an integer"},
		{"gen with a fraction", `{"key":"reconcile#prod","gen":7.0}`, "gen: want an integer"},
		{"gen with an exponent", `{"key":"reconcile#prod","gen":7e2}`, "gen: want an integer"},
		{"gen beyond 64 bits", `{"key":"reconcile#prod","gen":9223372036854775808}`, "gen: want an integer"},
		{"gen twice", `{"key":"reconcile#prod","gen":7,"gen":8}`, `member "gen" twice`},
		{"gen in capitals", `{"key":"reconcile#prod","Gen":7}`, "gen: missing"},
		{"a member more", `{"key":"reconcile#prod","gen":7,"force":true}`, `"force": not a member`},
		{"two wakes", `{"key":"reconcile#prod","gen":7}{"key":"reconcile#prod","gen":8}`, ""},
		{"too deep", `{"key":` + strings.Repeat("[", 70), "nested"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := DecodeWake([]byte(tt.raw))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), tt.says) || w != (Wake{}) {
				t.Errorf("got %+v, %v, want ErrMalformed that says %q", w, err, tt.says)
			}
		})
	}
}
