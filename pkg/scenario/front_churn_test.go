package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
)

// protected is a world in which every other task of web protects itself from
// scale-in for twenty minutes once it runs, as a worker does, and in which ECS
// honours that or does not.
func protected(honoured bool) sabotage {
	return func(w *world, _ *reconcile.Ports) {
		w.cloud.World().Behaviour().ProtectionHonoured = honoured
		seen := map[string]bool{}
		w.cloud.Every(w.Start, 10*time.Second, func() bool {
			v, _ := w.cloud.World().Service("prod", "web")
			for _, t := range v.Tasks {
				if t.Last != "RUNNING" || t.Desired != "RUNNING" || seen[t.ARN] {
					continue
				}
				seen[t.ARN] = true
				if len(seen)%2 == 0 {
					_, _ = w.cloud.ECS().UpdateTaskProtection(context.Background(), &ecs.UpdateTaskProtectionInput{
						Cluster: aws.String("prod"), Tasks: []string{t.ARN}, ProtectionEnabled: true, ExpiresInMinutes: aws.Int32(20),
					}) // a task may not be protected: it is none then
				}
			}
			return true
		})
	}
}

// How ports are kept in order does not rest on which tasks ECS chooses to stop.
func TestPortsChurnHoldsWhetherProtectionIsHonouredOrIgnored(t *testing.T) {
	s, err := Builtin("ports-churn")
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []uint64{1, 2} {
		hashes := map[string]bool{}
		for _, honoured := range []bool{true, false} {
			r, err := Run(t.Context(), s, Options{Seed: seed, sabotage: protected(honoured)})
			if err != nil {
				t.Fatal(err)
			}
			hashes[r.TraceHash] = true
			for _, h := range r.Expectations {
				if !h.Held {
					t.Errorf("seed %d, honoured %t: %s: %s", seed, honoured, h.Name, h.Detail)
				}
			}
			for _, v := range r.Violations {
				t.Errorf("seed %d, honoured %t: %s at %s of %s: %s", seed, honoured, v.Promise, clock(v.At), v.Subject, v.Detail)
			}
			if r.TargetsGone < 50 {
				t.Errorf("seed %d, honoured %t: only %d targets were taken off", seed, honoured, r.TargetsGone)
			}
		}
		if len(hashes) != 2 {
			t.Errorf("seed %d: both worlds are the same: nothing was protected", seed)
		}
	}
}

// The expectations of ports-churn see a register that takes nothing off.
func TestPortsChurnMissesWhatItExpectsWhereNothingIsTakenOff(t *testing.T) {
	s, err := Builtin("ports-churn")
	if err != nil {
		t.Fatal(err)
	}
	s.Length, s.Events, s.Faults = minutes(31), nil, nil
	var expect []Expectation
	for _, e := range s.Expect {
		if e.At != nil && e.At.Duration <= s.Length.Duration && e.From != nil {
			expect = append(expect, e)
		}
	}
	s.Expect = expect
	lazy := frontELB(func(*world) badELB {
		return badELB{deregister: func(*elb.DeregisterTargetsInput) bool { return false }}
	})
	for _, tt := range []struct {
		name     string
		sabotage sabotage
		held     bool
	}{{"as it is", nil, true}, {"nothing is taken off", lazy, false}} {
		r, err := Run(t.Context(), s, Options{Seed: 1, sabotage: tt.sabotage})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Expectations) != 3 {
			t.Errorf("%d expectations of planned stops", len(r.Expectations))
		}
		for _, h := range r.Expectations {
			if h.Held != tt.held {
				t.Errorf("%s: %s: %s", tt.name, h.Name, h.Detail)
			}
		}
	}
}
