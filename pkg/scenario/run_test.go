package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// brief is a built-in scenario cut to a length, without its expectations.
func brief(t *testing.T, name string, length time.Duration) Scenario {
	t.Helper()
	s, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	s.Length, s.Expect = policy.Duration{Duration: length}, nil
	return s
}

func TestEveryBuiltinHoldsWhatItExpects(t *testing.T) {
	for _, name := range Builtins() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Builtin(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, seed := range []uint64{1, 2} {
				r, err := Run(t.Context(), s, Options{Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range r.Expectations {
					if !h.Held {
						t.Errorf("seed %d: %s: %s", seed, h.Name, h.Detail)
					}
				}
				for _, v := range r.Violations {
					t.Errorf("seed %d: %s at %s of %s: %s", seed, v.Promise, v.At.Format(time.TimeOnly), v.Subject, v.Detail)
				}
				if r.Rounds == 0 || r.Requests == 0 || len(r.History) == 0 {
					t.Errorf("seed %d: %d rounds, %v requests, %d records: nothing happened", seed, r.Rounds, r.Requests, len(r.History))
				}
			}
		})
	}
}

func TestOneSeedOneTraceHash(t *testing.T) {
	hash := func(seed uint64) string {
		r, err := Run(t.Context(), brief(t, "web-day", 3*time.Hour), Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return r.TraceHash
	}
	if a, b := hash(1), hash(1); a != b {
		t.Errorf("one seed, two hashes: %s and %s", a, b)
	}
	if a, b := hash(1), hash(2); a == b {
		t.Errorf("two seeds, one hash: %s", a)
	}
}

func TestObserveModeChangesNothing(t *testing.T) {
	s := brief(t, "step", 2*time.Hour)
	s.Policy.Mode = policy.Observe
	r, err := Run(t.Context(), s, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for action, n := range r.APICalls {
		_, verb, _ := strings.Cut(action, ":")
		changes := !strings.HasPrefix(verb, "Describe") && !strings.HasPrefix(verb, "List") && !strings.HasPrefix(verb, "Get")
		if changes && !strings.HasPrefix(action, "dynamodb:") && !strings.HasPrefix(action, "sqs:") {
			t.Errorf("%s was called %d times", action, n)
		}
	}
	wished := false
	for _, e := range r.History {
		wished = wished || e.Decision != nil && e.Decision.To > e.Decision.From
		if e.Intent != nil {
			t.Errorf("an intent was written: %+v", e.Intent)
		}
	}
	if !wished {
		t.Error("no decision was recorded")
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := Run(ctx, brief(t, "web-day", 24*time.Hour), Options{Seed: 1, Progress: func(Sample) {
		if n++; n == 5 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || n > 6 {
		t.Errorf("%d samples, %v", n, err)
	}
}

// worldOf builds a scenario's world, for tests that do something to it.
func worldOf(t *testing.T, s Scenario, logs *strings.Builder) *world {
	t.Helper()
	w, err := build(t.Context(), s, simcloud.Options{Start: s.Start, Seed: 1, Account: account, Region: region}, logs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cloud.Close)
	return w
}

func (w *world) pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := w.cloud.Run(w.cloud.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

func TestAPoisonousMessageFailsAloneAndGoesToTheDeadLetterQueue(t *testing.T) {
	var logs strings.Builder
	w := worldOf(t, brief(t, "step", time.Hour), &logs)
	w.pass(t, 5*time.Minute)
	before := w.cloud.Lambda().Stats("reconcile").Invocations
	const secret = "hunter2"
	for n := range 3 {
		_, err := w.cloud.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String(fmt.Sprintf("{%d %s", n, secret))})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.pass(t, 45*time.Minute) // five tries, six minutes of visibility each
	dead := w.cloud.SQS().Messages(ingress + "-dead")
	if len(dead) != 3 {
		t.Fatalf("%d messages are in the dead-letter queue", len(dead))
	}
	for _, m := range dead {
		if n := strings.Count(logs.String(), `"message failed","message":"`+aws.ToString(m.MessageId)+`"`); n != 5 {
			t.Errorf("message %s was logged %d times", aws.ToString(m.MessageId), n)
		}
	}
	if strings.Contains(logs.String(), secret) {
		t.Error("a message's body is in the log")
	}
	if after := w.cloud.Lambda().Stats("reconcile").Invocations; after-before < 40 {
		t.Errorf("%d rounds in 45 minutes beside the poison", after-before)
	}
}

// A round covers whatever arrived before it was woken, however long ingest takes
// to hear of it; what arrived since waits until two seconds have passed.
func TestTenThousandEventsInASecondCostOneRoundPlusOne(t *testing.T) {
	w := worldOf(t, brief(t, "step", time.Hour), &strings.Builder{})
	w.pass(t, 10*time.Minute+10*time.Second)
	stats := func() int { return w.cloud.Lambda().Stats("reconcile").Invocations }
	body := `{"version":"0","id":"x","detail-type":"ECS Service Action","source":"aws.ecs","account":"` + account + `","time":"2026-08-03T00:10:00Z","region":"` + region +
		`","resources":["arn:aws:ecs:` + region + ":" + account + `:service/prod/web"],"detail":{"eventType":"INFO","eventName":"SERVICE_STEADY_STATE","clusterArn":"arn:aws:ecs:` + region + ":" + account + `:cluster/prod","createdAt":"2026-08-03T00:10:00.000Z"}}`
	w.pass(t, 10*time.Second)
	before := stats()
	for n := range 10000 {
		w.cloud.At(w.cloud.Now().Add(time.Duration(n)*100*time.Microsecond), func() {
			if _, err := w.cloud.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String(body)}); err != nil {
				t.Error(err)
			}
		})
	}
	w.pass(t, 25*time.Second) // the sweep and a look that was asked for come before and after
	extra := stats() - before
	t.Logf("10,000 events cost %d rounds", extra)
	if left := len(w.cloud.SQS().Messages(ingress)); left > 1 { // a look that is waited for
		t.Errorf("%d messages are still in the queue", left)
	}
	if extra != 2 {
		t.Errorf("10,000 events cost %d rounds", extra)
	}
}

// refusing is an ECS that refuses to change one service for a while.
type refusing struct {
	clusterside.ECS
	service string
	left    int
}

func (r *refusing) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, o ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	if aws.ToString(in.Service) == r.service && r.left > 0 {
		r.left--
		return nil, &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
	}
	return r.ECS.UpdateService(ctx, in, o...)
}

func TestAnErrorInTheMidstOfAPlanLosesNothing(t *testing.T) {
	s := brief(t, "web-day", time.Hour)
	for name, p := range s.Policy.Services {
		p.Tasks = &policy.Tasks{Min: 6, Max: 80} // the first plan raises both services
		s.Policy.Services[name] = p
	}
	r, err := Run(t.Context(), s, Options{Seed: 1, sabotage: func(_ *world, p *reconcile.Ports) {
		p.ECS = &refusing{ECS: p.ECS, service: "api", left: 2}
	}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[cluster.Subject][]cluster.Outcome{}
	for _, e := range r.History {
		if e.Intent != nil && e.Intent.Verb == cluster.SetDesiredCount {
			outcomes[e.Intent.Subject] = append(outcomes[e.Intent.Subject], e.Intent.Outcome)
		}
	}
	api := outcomes["service/api"]
	if len(api) < 3 || api[0] != cluster.OutcomeRefused || api[1] != cluster.OutcomeRefused || api[2] != cluster.OutcomeShown {
		t.Errorf("api: %v", api)
	}
	if web := outcomes["service/web"]; len(web) == 0 || slices.Contains(web, cluster.OutcomeRefused) {
		t.Errorf("web: %v", web)
	}
	for n, x := range r.Samples[len(r.Samples)-1].Services {
		if x.Running < 6 {
			t.Errorf("service %d runs %d tasks in the end", n, x.Running)
		}
	}
	if len(r.Violations) > 0 {
		t.Errorf("violations %+v", r.Violations)
	}
}
