package clusterside

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// rationed is a small AWS with a token bucket and the clock that refills it.
type rationed struct {
	*world
	now            time.Time
	tokens, refill float64
	at             time.Time // when the tokens were counted last
	tries          int       // of calls that take a token
	changes        int       // tries of UpdateService
	broken         error     // what ListTasks answers instead
}

func (r *rationed) take() error {
	r.tries++
	r.tokens, r.at = r.tokens+r.refill*r.now.Sub(r.at).Seconds(), r.now
	if r.tokens < 1 {
		return &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
	}
	r.tokens--
	return nil
}

func (r *rationed) wait(_ context.Context, d time.Duration) error {
	r.now = r.now.Add(d)
	return nil
}

func (r *rationed) ListTasks(ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	if err := errors.Join(r.broken, r.take()); err != nil {
		return nil, err
	}
	return r.world.ListTasks(ctx, in)
}

func (r *rationed) DescribeContainerInstances(ctx context.Context, in *ecs.DescribeContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error) {
	if err := r.take(); err != nil {
		return nil, err
	}
	return r.world.DescribeContainerInstances(ctx, in)
}

func (r *rationed) GetMetricData(ctx context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	if err := r.take(); err != nil {
		return nil, err
	}
	return r.world.GetMetricData(ctx, in)
}

func (r *rationed) UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	r.changes++
	return nil, &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
}

// within is a context of an invocation that ends at a time of the clock above.
type within struct {
	context.Context
	end time.Time
}

func (w within) Deadline() (time.Time, bool) { return w.end, true }

func newRationed(tokens, refill float64) (*rationed, *Cloud) {
	w, _ := newWorld()
	r := &rationed{world: w, now: noon, at: noon, tokens: tokens, refill: refill}
	return r, New(r, r, r, Edges{Run: inTurn, Clock: func() time.Time { return r.now }, Wait: r.wait})
}

func TestALookWaitsForWhatAWSAllowsWhileTheInvocationHasTime(t *testing.T) {
	for _, c := range []struct {
		name           string
		tokens, refill float64
		left           time.Duration // of the invocation
		ok             bool
		least, most    time.Duration // that it waited
	}{
		{"a full bucket: no wait", 100, 0, time.Minute, true, 0, 0},
		{"a bucket that holds half a look: it waits for the rest", 2, 1, time.Minute, true, time.Second, 10 * time.Second},
		{"an empty bucket that refills fast: it waits once", 0, 20, time.Minute, true, firstWait, firstWait},
		{"a bucket that stays empty: it gives up with half a minute left", 0, 0, time.Minute, false, 20 * time.Second, 30 * time.Second},
		{"an invocation about to end: no wait", 0, 20, patience, false, 0, 0},
		{"nothing bounds it: no wait", 0, 20, 0, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cloud := newRationed(c.tokens, c.refill)
			ctx := t.Context()
			if c.left > 0 {
				ctx = within{ctx, noon.Add(c.left)}
			}
			_, _, err := cloud.hosts(ctx, "prod") // one read that takes a token
			if err == nil {
				_, _, err = cloud.tasks(ctx, "prod") // three
			}
			waited := r.now.Sub(noon)
			if (err == nil) != c.ok || waited < c.least || waited > c.most {
				t.Errorf("waited %s, %v", waited, err)
			}
			if !c.ok && !throttled(err) {
				t.Errorf("does not say why: %v", err)
			}
			if r.tries > 20 {
				t.Errorf("%d tries within a minute", r.tries)
			}
		})
	}
}

func TestOnlyAThrottledReadIsMadeAgain(t *testing.T) {
	long := within{t.Context(), noon.Add(time.Hour)}
	r, cloud := newRationed(100, 0)
	r.broken = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	if _, err := cloud.Observe(long, scope()); err == nil || r.now != noon {
		t.Errorf("another error: waited %s, %v", r.now.Sub(noon), err)
	}

	// Tasks without a place do not wait for CloudWatch.
	r, cloud = newRationed(6, 0)
	if s, err := cloud.Observe(long, scope()); err != nil || len(s.Metrics) != 0 || r.now != noon {
		t.Errorf("metrics: waited %s, %v", r.now.Sub(noon), err)
	}

	// The next round looks instead.
	r, cloud = newRationed(100, 20)
	i := cloud.Apply(long, "prod", cluster.Intent{Change: cluster.Change{Verb: cluster.SetDesiredCount, Subject: cluster.ServiceSubject("web"), From: 3, To: 4}}, func() error { return nil })
	if i.Outcome != cluster.OutcomeRefused || r.changes != 1 {
		t.Errorf("a change: %d tries, %s %s", r.changes, i.Outcome, i.Detail)
	}
}

func TestALookSaysHowFarApartSuchLooksShouldBe(t *testing.T) {
	w, cloud := newWorld()
	s, err := cloud.Observe(t.Context(), scope())
	// Three pages of hosts, two and one of tasks, and one of either described.
	if want := 8 * time.Second / readsPerSecond; err != nil || s.Pace != want {
		t.Errorf("%s, want %s, %v", s.Pace, want, err)
	}
	w.pageSize = 1
	s, err = cloud.Observe(t.Context(), scope())
	if want := 12 * time.Second / readsPerSecond; err != nil || s.Pace != want {
		t.Errorf("%s, want %s, %v", s.Pace, want, err)
	}
}
