package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/subjects.golden anew")

// Samples that are no message for Decode as they are, and why.
var notForDecode = map[string]string{
	"eventbridge-dlq-message-attributes.json": "attributes of a dead letter",
	"sqs-fifo-record-wrapping-event.json":     "the records around the messages",
	"plimsoll-wake.json":                      "a wake, for DecodeWake",
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// samples returns the messages for Decode in testdata by file name, in order.
func samples(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range paths {
		if name := filepath.Base(p); notForDecode[name] == "" {
			names = append(names, name)
		}
	}
	if len(names) != 44 {
		t.Fatalf("%d samples for Decode, want 42 events, a direct alarm and a Look Again", len(names))
	}
	return names
}

func mustDecode(t testing.TB, raw []byte) Event {
	t.Helper()
	e, err := Decode(raw)
	if err != nil {
		t.Fatalf("%v\n%.400s", err, raw)
	}
	return e
}

func TestEverySampleDecodesToWhatItNames(t *testing.T) {
	var got bytes.Buffer
	for _, name := range samples(t) {
		fmt.Fprintln(&got, golden(name, mustDecode(t, sample(t, name))))
	}
	path := filepath.Join("testdata", "subjects.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines, want := strings.Split(got.String(), "\n"), strings.Split(string(sample(t, "subjects.golden")), "\n")
	for len(lines) < len(want) {
		lines = append(lines, "nothing")
	}
	for len(want) < len(lines) {
		want = append(want, "nothing")
	}
	for i := range lines {
		if lines[i] != want[i] {
			t.Errorf("line %d of subjects.golden\n got %s\nwant %s", i+1, lines[i], want[i])
		}
	}
}

// golden is a line of the golden file: the file, the time, the kind, and all that is not empty.
func golden(name string, e Event) string {
	parts := []string{strings.TrimSuffix(name, ".json"), e.Time.Format(time.RFC3339Nano), string(e.Kind)}
	for _, f := range []struct{ name, value string }{
		{"cluster", e.Subject.Cluster},
		{"service", e.Subject.Service},
		{"group", e.Subject.Group},
		{"instance", e.Subject.Instance},
		{"alarm", e.Subject.Alarm},
		{"family", e.Subject.Family},
		{"parameter", e.Subject.Parameter},
		{"key", e.Key},
	} {
		if f.value != "" {
			parts = append(parts, f.name+"="+f.value)
		}
	}
	if !e.At.IsZero() {
		parts = append(parts, "at="+e.At.Format(time.RFC3339Nano))
	}
	for _, arn := range e.Subject.ARNs {
		parts = append(parts, strings.TrimPrefix(arn, "arn:aws:ecs:eu-west-1:111122223333:"))
	}
	return strings.Join(parts, " ")
}

func TestEnvelopeIsKeptAsSent(t *testing.T) {
	for _, name := range samples(t) {
		raw := sample(t, name)
		var want struct {
			ID, Source, Account, Region string
			DetailType                  string `json:"detail-type"`
			Resources                   []string
			AccountID                   string `json:"accountId"`
			AlarmARN                    string `json:"alarmArn"`
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if want.AlarmARN != "" {
			want.Resources = []string{want.AlarmARN}
		}
		e := mustDecode(t, raw)
		got := fmt.Sprint(e.ID, e.Source, e.DetailType, e.Account, e.Region, e.Resources)
		if all := fmt.Sprint(want.ID, want.Source, want.DetailType, want.Account+want.AccountID, want.Region, want.Resources); got != all {
			t.Errorf("%s:\n got %s\nwant %s", name, got, all)
		}
	}
}

func TestBodyInsideTheQueueRecordDecodes(t *testing.T) {
	var batch struct{ Records []struct{ Body string } }
	if err := json.Unmarshal(sample(t, "sqs-fifo-record-wrapping-event.json"), &batch); err != nil {
		t.Fatal(err)
	}
	if len(batch.Records) != 1 {
		t.Fatalf("%d records, want 1", len(batch.Records))
	}
	inside := mustDecode(t, []byte(batch.Records[0].Body))
	alone := mustDecode(t, sample(t, "ecs-task-running-bridge-dynamic-port.json"))
	if got, want := golden("", inside), golden("", alone); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestWhatIsNoMessageIsMalformed(t *testing.T) {
	for name, what := range notForDecode {
		if e, err := Decode(sample(t, name)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s (%s): got %+v, %v, want ErrMalformed", name, what, e, err)
		}
	}
	w, err := DecodeWake(sample(t, "plimsoll-wake.json"))
	if want := (Wake{Key: "reconcile#orders", Gen: 7}); err != nil || w != want {
		t.Errorf("plimsoll-wake.json: got %+v, %v, want %+v", w, err, want)
	}
}
