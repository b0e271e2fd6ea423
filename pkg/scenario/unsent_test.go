package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// noted is what EventBridge notes of a dead letter.
func noted(m sqstypes.Message, name string) string {
	return aws.ToString(m.MessageAttributes[name].StringValue)
}

// For two hours EventBridge cannot send to the ingress queue. Each sweep is given
// up soon, each event after an hour; the sweeps of afterwards make up for both.
// The letters are much older than a message that nobody hears, and are none.
func TestWhatEventBridgeCannotSendIsADeadLetterAndNothingLeftOver(t *testing.T) {
	t.Parallel()
	s := even()
	s.Services[0].Load.Shape.Crowds[0].At = policy.Duration{Duration: 20 * time.Minute}
	s.Length = policy.Duration{Duration: 170 * time.Minute}
	m := newMonitors(s.Policy)
	o := simcloud.Options{Start: s.Start, Seed: 9, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: m.watch}
	w, err := build(t.Context(), s, o, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.cloud.Close()
	m.attach(w)
	at := func(d time.Duration, do func()) { w.cloud.At(s.Start.Add(d), do) }
	at(10*time.Minute, func() { w.cloud.EventBridge().Unreachable(queueARN(ingress), true) })
	at(12*time.Minute, func() { crashAll(w, "web") })
	at(130*time.Minute, func() { w.cloud.EventBridge().Unreachable(queueARN(ingress), false) })
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Fatal(err)
	}
	r := Result{End: m.ended(nil), Verdict: &Verdict{}}
	m.end(&r)
	r.compare(r)
	for _, v := range r.Violations {
		t.Errorf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
	}
	sweeps, others := 0, 0
	for _, letter := range w.cloud.SQS().Messages(unsent) {
		exhausted, retries := noted(letter, "EXHAUSTED_RETRY_CONDITION"), noted(letter, "RETRY_ATTEMPTS")
		if strings.HasSuffix(noted(letter, "RULE_ARN"), "/plimsoll-sweep") {
			sweeps++
			if exhausted != "MaximumRetryAttempts" || retries != "3" {
				t.Errorf("a sweep was given up after %s retries for %s", retries, exhausted)
			}
		} else if others++; exhausted != "MaximumEventAgeInSeconds" {
			t.Errorf("%s was given up after %s retries for %s", noted(letter, "RULE_ARN"), retries, exhausted)
		}
	}
	t.Logf("%d sweeps and %d events are dead letters", sweeps, others)
	if sweeps < 119 || sweeps > 121 || others == 0 {
		t.Errorf("%d sweeps and %d events are dead letters in 120 minutes", sweeps, others)
	}
	if _, wrong := w.settled(); len(wrong) > 0 {
		t.Errorf("the end: %v", wrong)
	}
}
