package handler

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func batch(bodies ...string) []byte {
	var records []string
	for i, b := range bodies {
		records = append(records, `{"messageId":"m`+string(rune('1'+i))+`","body":"`+b+`","eventSource":"aws:sqs"}`)
	}
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func TestEachMessageFailsAlone(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	log := zap.New(core)
	var seen []string
	d := Door{Log: log, Batch: Each(log, func(_ context.Context, m Message) error {
		seen = append(seen, m.ID+"="+string(m.Body))
		switch string(m.Body) {
		case "poison":
			return errors.New("cannot decode")
		case "bomb":
			panic("boom")
		}
		return nil
	})}
	out, err := d.Invoke(t.Context(), batch("good", "poison", "bomb", "good"))
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != `{"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m3"}]}` {
		t.Errorf("answer %s", out)
	}
	if strings.Join(seen, " ") != "m1=good m2=poison m3=bomb m4=good" {
		t.Errorf("seen %v", seen)
	}
	if logs.FilterField(zap.String("message", "m2")).Len() != 1 || logs.FilterMessage("panic").Len() != 1 {
		t.Errorf("logs %v", logs.All())
	}
	for _, l := range logs.All() {
		for _, f := range l.Context {
			if strings.Contains(f.String, "poison") {
				t.Errorf("a message's body is in the log: %v", l)
			}
		}
	}
}

func TestWhatIsNoBatchGoesTheDirectWayOrFails(t *testing.T) {
	var got string
	taken := Door{Log: zap.NewNop(), Direct: func(_ context.Context, p []byte) error { got = string(p); return nil }}
	if _, err := taken.Invoke(t.Context(), []byte(`{"alarmData":{}}`)); err != nil || got != `{"alarmData":{}}` {
		t.Errorf("direct got %q, %v", got, err)
	}
	for name, payload := range map[string]string{"no records": `{"a":1}`, "not JSON": `<x>`} {
		if _, err := (Door{Log: zap.NewNop()}).Invoke(t.Context(), []byte(payload)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if out, err := (Door{Log: zap.NewNop(), Batch: Each(zap.NewNop(), nil)}).Invoke(t.Context(), []byte(`{"Records":[]}`)); err != nil || string(out) != `{"batchItemFailures":[]}` {
		t.Errorf("empty batch: %s %v", out, err)
	}
}

func TestAMessageCarriesSQSsStamps(t *testing.T) {
	var got []Message
	d := Door{Log: zap.NewNop(), Batch: func(_ context.Context, all []Message) map[string]error { got = all; return nil }}
	stamped := `{"messageId":"a","body":"x","attributes":{"SentTimestamp":"1785585600123","ApproximateFirstReceiveTimestamp":"1785585601456"}}`
	if _, err := d.Invoke(t.Context(), []byte(`{"Records":[`+stamped+`,{"messageId":"b","body":"x"}]}`)); err != nil {
		t.Fatal(err)
	}
	if got[0].Sent.UnixMilli() != 1785585600123 || got[0].Received.UnixMilli() != 1785585601456 || !got[1].Sent.IsZero() || !got[1].Received.IsZero() {
		t.Errorf("messages %+v", got)
	}
}
