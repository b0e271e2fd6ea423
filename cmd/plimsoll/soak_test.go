package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// greedy is an ECS that is asked for a hundred tasks more than was meant.
type greedy struct{ clusterside.ECS }

func (g greedy) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, o ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	more := *in
	more.DesiredCount = aws.Int32(*in.DesiredCount + 100)
	return g.ECS.UpdateService(ctx, &more, o...)
}

func planted(o *outside) {
	o.judge = func(ctx context.Context, s scenario.Scenario, x scenario.Options) (scenario.Result, error) {
		x.Spoil = func(p *reconcile.Ports) { p.ECS = greedy{p.ECS} }
		return scenario.Run(ctx, s, x)
	}
}

// What a soak prints of a broken promise leads back to it: the command that runs
// the trial again and the one that runs what it was made small to.
func TestTheCommandsThatASoakPrintsReplayTheViolation(t *testing.T) {
	dir := t.TempDir()
	got := tryIn(t.Context(), []string{"soak", "testdata/hour.yaml", "step", "--seeds", "2", "--seed", "7", "--for", "1h5m", "--fault", "stale-reads", "--fault", "poison=0.2", "--out", dir}, planted)
	if got.code != exitMissed || got.err != "" {
		t.Fatalf("exit code %d\n%s\n%s", got.code, got.out, got.err)
	}
	told := regexp.MustCompile(`(?m)^(S\d) was broken in (\S+), seed (\d), commit .+, at (.*), about (service/web)$`).FindAllStringSubmatch(got.out, -1)
	again := regexp.MustCompile(`(?m)^  again: plimsoll (.*)$`).FindAllStringSubmatch(got.out, -1)
	small := regexp.MustCompile(`(?m)^  small: plimsoll (.*)$`).FindAllStringSubmatch(got.out, -1)
	if len(told) != 2 || len(again) != 2 || len(small) != 2 || !strings.Contains(got.out, "  | 2026-08-03 ") || !strings.Contains(got.out, "made small in ") {
		t.Fatalf("%d told, %d again, %d small:\n%s", len(told), len(again), len(small), got.out)
	}
	for n, line := range told {
		replay := tryIn(t.Context(), append(strings.Fields(again[n][1]), "--out", t.TempDir()), planted)
		if replay.code != exitMissed || !strings.Contains(replay.out, line[0]) {
			t.Errorf("plimsoll %s does not say %q:\n%s%s", again[n][1], line[0], replay.out, replay.err)
		}
		replay = tryIn(t.Context(), strings.Fields(small[n][1]), planted)
		if replay.code != exitMissed || !regexp.MustCompile(line[1]+` .*web`).MatchString(replay.out) {
			t.Errorf("plimsoll %s does not break %s:\n%s%s", small[n][1], line[1], replay.out, replay.err)
		}
		if sound := try(t, strings.Fields(small[n][1])...); sound.code != 0 {
			t.Errorf("without the bug, plimsoll %s ends with %d:\n%s%s", small[n][1], sound.code, sound.out, sound.err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 || files[0].Name() != "hour-7.yaml" || files[1].Name() != "step-8.yaml" {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestASoakAsJSONTellsItsFailures(t *testing.T) {
	got := tryIn(t.Context(), []string{"soak", "testdata/hour.yaml", "--seeds", "1", "--for", "57m", "--fault", "poison", "--shrink", "0", "--out", filepath.Join(t.TempDir(), "a", "b"), "--json"}, func(o *outside) {
		planted(o)
		o.env = func(name string) string { return map[string]string{"PLIMSOLL_COMMIT": "c0ffee"}[name] }
	})
	var read struct {
		Version, Trials, Broken int
		Commit, Date            string
		Violations              map[string]int
		Failures                []struct{ Promise, Subject, Scenario string }
	}
	if err := json.Unmarshal([]byte(got.out), &read); err != nil || got.code != exitMissed {
		t.Fatalf("%v, exit code %d: %s%s", err, got.code, got.out, got.err)
	}
	if read.Version != 1 || read.Trials != 1 || read.Broken != 1 || read.Commit != "c0ffee" || len(read.Date) != 10 || len(read.Violations) == 0 || len(read.Failures) != 1 || read.Failures[0].Subject != "service/web" {
		t.Errorf("%+v", read)
	}
}

func TestASoakThatIsInterruptedSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := tryIn(ctx, []string{"soak", "step"}, func(*outside) {}); got.code != exitInterrupted || got.err != "plimsoll: interrupted\n" {
		t.Errorf("exit code %d, err %q", got.code, got.err)
	}
}

func TestWordsAreQuotedForAShell(t *testing.T) {
	for word, want := range map[string]string{"web-day": "web-day", "a/b_c.yaml": "a/b_c.yaml", "poison=0.1": "poison=0.1", "my file": "'my file'", "it's": `'it'\''s'`} {
		if got := quoted(word); got != want {
			t.Errorf("%s is quoted %s, want %s", word, got, want)
		}
	}
}
