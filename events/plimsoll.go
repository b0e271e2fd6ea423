package events

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What plimsoll's own messages in the ingress queue carry in their envelope.
const (
	ownSource     = "plimsoll"
	lookAgainType = "Look Again"
)

// maxKey bounds a key, in bytes.
const maxKey = 512

// ownMessage is the envelope and detail of a Look Again.
type ownMessage struct {
	Source     string    `json:"source"`
	DetailType string    `json:"detail-type"`
	Detail     lookAgain `json:"detail"`
}

type lookAgain struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

// LookAgain returns the message for the ingress queue that wakes key, as
// reconcile#prod, at the time at. Decode reads it as Kind Again with the same Key
// and At, to the nanosecond and in UTC. The key must be a word, a # and a name,
// printable ASCII without spaces, of 512 bytes at most; the year of at has four digits.
func LookAgain(key string, at time.Time) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("encode look again: %w", err)
	}
	raw, err := json.Marshal(ownMessage{Source: ownSource, DetailType: lookAgainType, Detail: lookAgain{Key: key, At: at.UTC()}})
	if err != nil {
		return nil, fmt.Errorf("encode look again at %s: %w", key, err)
	}
	return raw, nil
}

// ownDecoder returns the decoder of a detail type of plimsoll's own.
func ownDecoder(detailType string) decoder {
	if detailType == lookAgainType {
		return decodeLookAgain
	}
	return nil
}

func decodeLookAgain(e *Event, detail *fields) {
	e.Kind = Again
	e.Key = detail.key("key")
	e.At = detail.moment("at")
}

// Wake is the message on a FIFO queue: a round of Key is wanted by someone who
// saw its generation number at Gen.
type Wake struct {
	Key string `json:"key"` // as reconcile#prod; bounds as for LookAgain
	Gen int64  `json:"gen"` // 0 or more
}

// EncodeWake returns the message's body. A key or number that DecodeWake would
// refuse is an error of the class ErrMalformed.
func EncodeWake(w Wake) ([]byte, error) {
	if err := checkKey(w.Key); err != nil {
		return nil, fmt.Errorf("encode wake: %w", err)
	}
	if w.Gen < 0 {
		return nil, fmt.Errorf("encode wake of %s: gen %d below zero: %w", w.Key, w.Gen, ErrMalformed)
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode wake of %s: %w", w.Key, err)
	}
	return raw, nil
}

// DecodeWake reads a Wake. Only plimsoll writes to the FIFO queues, so unlike
// Decode it takes nothing besides key and gen, and both must be there.
func DecodeWake(raw []byte) (Wake, error) {
	members, err := parse(raw)
	if err != nil {
		return Wake{}, fmt.Errorf("decode wake: %w", err)
	}
	f := &fields{members: members, first: new(firstError)}
	w := Wake{Key: f.key("key"), Gen: f.count("gen")}
	for name := range members {
		if name != "key" && name != "gen" {
			f.fail(fmt.Sprintf("%.64q", name), "not a member of a wake")
		}
	}
	if f.first.err != nil {
		return Wake{}, fmt.Errorf("decode wake: %w", f.first.err)
	}
	return w, nil
}

// key returns a needed key.
func (f *fields) key(name string) string {
	s := f.text(name, maxKey)
	if err := checkKey(s); err != nil {
		f.fail(name, "want a key, found %q", s)
	}
	return s
}

// count returns a needed integer, zero or more, written without point or exponent.
func (f *fields) count(name string) int64 {
	if !f.has(name) {
		f.fail(name, "missing")
		return 0
	}
	number, _ := f.members[name].(json.Number)
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n < 0 {
		f.fail(name, "want an integer of zero or more, found %s", kindOf(f.members[name]))
	}
	return n
}

// checkKey says what is wrong with a key.
func checkKey(key string) error {
	word, name, _ := strings.Cut(key, "#")
	foreign := strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
	if word == "" || strings.Trim(word, lower) != "" || name == "" || foreign || len(key) > maxKey {
		return fmt.Errorf("key %.64q: want a word, # and a name: %w", key, ErrMalformed)
	}
	return nil
}
