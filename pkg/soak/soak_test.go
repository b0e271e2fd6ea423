package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// options are those of a short soak of some built-in scenarios.
func options(t *testing.T, trials int, names ...string) Options {
	t.Helper()
	o := Options{Trials: trials, First: 1, Length: Shortest() + 19*time.Minute, Parallel: 2, Judge: scenario.Judge, Clock: time.Now}
	for _, name := range names {
		s, err := scenario.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		o.Scenarios = append(o.Scenarios, Named{Name: name, Scenario: s})
	}
	return o
}

// Of so many trials in make test so many are judged by the oracles, as all of a
// soak are.
const trials, judged = 100, 25

// sparing judges some trials as a soak does. Of the others it runs the part with
// the faults, under the monitors alone: a third of the time.
func sparing(ctx context.Context, s scenario.Scenario, o scenario.Options) (scenario.Result, error) {
	if o.Seed%(trials/judged) == 0 {
		return scenario.Judge(ctx, s, o)
	}
	return troubled(ctx, s, o)
}

// troubled runs the part with the faults.
func troubled(ctx context.Context, s scenario.Scenario, o scenario.Options) (scenario.Result, error) {
	return scenario.Run(ctx, cut(s, s.Calm.Duration, false), o)
}

func TestAHundredTrialsWithAllFaultsBreakNoPromise(t *testing.T) {
	o := options(t, trials, scenario.Soaked()...)
	o.Judge = sparing
	with := 0
	o.Done = func(x Outcome) {
		if x.Result.Verdict != nil && x.Result.Verdict.LeftOut == "" {
			with++
		}
	}
	sum := sound(t, o)
	// Garbage is a dead letter only after half an hour, and is driven back only then.
	longer := options(t, 10, scenario.Soaked()...)
	longer.First, longer.Length, longer.Judge = o.First+trials, 2*time.Hour, troubled
	more := sound(t, longer)
	for _, name := range sum.Idle() {
		if more.Faults[name] == 0 {
			t.Errorf("%s never struck", name)
		}
	}
	if sum.Trials != trials || with != judged || sum.VirtualHours < 50 || sum.Rounds < 1000 || sum.Slowest.Scenario == "" || sum.Dips["world"] == 0 {
		t.Errorf("%d judged, %+v", with, sum)
	}
	for _, s := range []Summary{sum, more} {
		t.Logf("%d trials, %.0f virtual hours in %.0f s, slowest %+v, dips %v, faults %v", s.Trials, s.VirtualHours, s.Seconds, s.Slowest, s.Dips, s.Faults)
	}
}

// sound runs a soak in which no promise is to be broken.
func sound(t *testing.T, o Options) Summary {
	t.Helper()
	sum, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sum.Failures {
		t.Errorf("%s in %s, seed %d, at %s of %s: %s\n%s", f.Promise, f.Scenario, f.Seed, clock(f.At), f.Subject, f.Detail, strings.Join(f.Records, "\n"))
	}
	return sum
}

func TestATrialDependsOnItsSeedAlone(t *testing.T) {
	summary := func(parallel, trials int, first uint64, names ...string) string {
		o := options(t, trials, names...)
		o.Parallel, o.First = parallel, first
		sum, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		sum.Seconds, sum.Slowest = 0, Slow{}
		return fmt.Sprintf("%+v", sum)
	}
	if a, b := summary(1, 4, 5, "step", "from-zero"), summary(4, 4, 5, "step", "from-zero"); a != b {
		t.Errorf("one at a time: %s\nfour:          %s", a, b)
	}
	o := options(t, 3, "step", "from-zero", "web-day")
	again := options(t, 1, "web-day")
	again.First = o.First + 2
	if a, b := o.Deal(2), again.Deal(0); !reflect.DeepEqual(a, b) {
		t.Errorf("dealt among others %+v\nalone              %+v", a, b)
	}
}

func TestWhatIsDealtIsRightAndCalmAtItsEnd(t *testing.T) {
	o := options(t, 1, scenario.Soaked()...)
	o.Length = 2 * time.Hour
	starts := map[time.Time]bool{}
	for n := range 50 {
		x := o.Deal(n)
		if wrong := x.Scenario.Validate(); len(wrong) > 0 {
			t.Errorf("trial %d of %s: %v", n, x.Name, wrong)
		}
		end := x.Scenario.Calm.Duration
		if x.Scenario.Length.Duration > o.Length || end != x.Scenario.Length.Duration-tail() || len(x.Scenario.Faults) < 29 {
			t.Errorf("trial %d: %s long, calm from %s, %d faults", n, x.Scenario.Length, end, len(x.Scenario.Faults))
		}
		for _, f := range x.Scenario.Faults {
			if f.Until.Duration == 0 || f.Until.Duration > end {
				t.Errorf("trial %d: %s until %s", n, f.Name, f.Until)
			}
		}
		starts[x.Scenario.Start] = true
	}
	if len(starts) < 25 {
		t.Errorf("50 trials begin at %d times", len(starts))
	}
}

// mad is an ECS that is asked for a hundred tasks more after a call that failed.
type mad struct{ clusterside.ECS }

func (m mad) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, o ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	out, err := m.ECS.UpdateService(ctx, in, o...)
	if err == nil {
		return out, nil
	}
	more := *in
	more.DesiredCount = aws.Int32(*in.DesiredCount + 100)
	return m.ECS.UpdateService(ctx, &more, o...)
}

func spoiled(ctx context.Context, s scenario.Scenario, o scenario.Options) (scenario.Result, error) {
	o.Spoil = func(p *reconcile.Ports) { p.ECS = mad{p.ECS} }
	return scenario.Run(ctx, s, o)
}

// The bug needs one service, one call of it and one of three faults. What a soak
// finds has 29 faults, eight services and two groups.
func TestAPlantedBugIsFoundAndMadeSmall(t *testing.T) {
	o := options(t, 2, "mixed")
	o.Judge, o.Shrink, o.Length = spoiled, 80, 90*time.Minute
	sum, err := Run(t.Context(), o)
	if err != nil || len(sum.Failures) == 0 {
		t.Fatalf("%d failures, %v", len(sum.Failures), err)
	}
	f := sum.Failures[0]
	t.Logf("%s of %s: %+v, in %d runs %+v", f.Promise, f.Subject, f.Before, f.ShrinkRun, f.After)
	// Fewer runs than it would take to find the one fault that is enough.
	if 2*f.After.Faults > f.Before.Faults || 2*f.After.Services > f.Before.Services || f.After.Groups != 1 || f.After.Happenings != 0 || f.After.Minutes > 30 {
		t.Errorf("made small: %+v", f.After)
	}
	if len(f.Records) == 0 || !strings.Contains(f.Records[len(f.Records)-1], f.Subject) {
		t.Errorf("no record of %s: %q", f.Subject, f.Records)
	}
	raw, err := f.Text("c0ffee", "do it again")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read(f.File(), raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	r, err := spoiled(t.Context(), s, scenario.Options{Seed: f.Seed})
	if err != nil || len(r.Violations) == 0 || r.Violations[0].Promise != f.Promise {
		t.Errorf("the file breaks %+v (%v), not %s\n%s", r.Violations, err, f.Promise, raw)
	}
	if !strings.HasPrefix(string(raw), "# A soak of commit c0ffee found that this breaks "+f.Promise) {
		t.Errorf("the head of the file: %.200s", raw)
	}
	if sound, err := scenario.Run(t.Context(), s, scenario.Options{Seed: f.Seed}); err != nil || len(sound.Violations) > 0 {
		t.Errorf("without the bug: %+v, %v", sound.Violations, err)
	}
}

func TestARunThatFailsOrPanicsIsAFailureOfItsTrialAlone(t *testing.T) {
	o := options(t, 6, "step")
	o.Judge = func(_ context.Context, _ scenario.Scenario, x scenario.Options) (scenario.Result, error) {
		switch x.Seed {
		case 2:
			panic("no way")
		case 4:
			return scenario.Result{}, errors.New("it hangs")
		default:
			return scenario.Result{Hours: 1, Faults: map[string]int{"poison": 2}}, nil
		}
	}
	sum, err := Run(t.Context(), o)
	if err != nil || sum.Trials != 6 || sum.Broken != 2 || sum.Violations["run"] != 2 || sum.Faults["poison"] != 8 || sum.VirtualHours != 4 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if !strings.Contains(sum.Failures[0].Detail, "no way") || sum.Failures[1].Detail != "it hangs" || sum.Failures[1].Seed != 4 {
		t.Errorf("%+v", sum.Failures)
	}
	if raw, err := json.Marshal(sum); err != nil || strings.Contains(string(raw), "null") {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestASoakEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, 1000, "step")
	o.Done = func(Outcome) { cancel() }
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Of a list in which the parts 3 and 17 are needed together, these two are left.
func TestFewerFindsWhatIsNeeded(t *testing.T) {
	s, err := scenario.Builtin("step")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		s.Faults = append(s.Faults, scenario.Fault{Name: "poison", From: policy.Duration{Duration: time.Duration(n) * time.Second}})
	}
	needs := func(s scenario.Scenario) bool {
		found := 0
		for _, f := range s.Faults {
			if f.From.Duration == 3*time.Second || f.From.Duration == 17*time.Second {
				found++
			}
		}
		return found == 2
	}
	for _, c := range []struct{ runs, left int }{{1000, 2}, {0, 20}, {6, 20}} {
		got, took := shrink(s, needs, c.runs)
		if took > c.runs || c.runs != 6 && len(got.Faults) != c.left || !needs(got) {
			t.Errorf("with %d runs: %d faults, %d runs", c.runs, len(got.Faults), took)
		}
	}
}
