package binary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// steps are the times from one round of a life to the next: enough for the hosts
// to come, the counts to rise and the spare host to be drained and terminated,
// and then for an intent of which nobody knows how it ended to be given up, and
// for all that once more. No time of a policy is near a sum of these: how long a
// call really takes must not matter.
func steps() []time.Duration {
	return append(slices.Repeat([]time.Duration{35 * time.Second}, 5), slices.Repeat([]time.Duration{70 * time.Second}, 7)...)
}

// life is the world's way through some rounds, with the function killed at one
// of its calls. Its message comes again then, to a fresh process.
type life struct {
	t      *testing.T
	aws    *fakeAWS
	f      *function
	killAt int // the nth call of all; 0: none
	how    verdict
	lost   bool // sabotage: what died is not heard of again

	said  string // of processes that are gone
	calls []string
	ends  []int // how many calls were made by the end of each round
	dead  bool
}

// run lives the life and returns where it led to.
func (l *life) run() string {
	l.aws = newAWS(l.t, time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC))
	l.aws.judge = l.judge
	l.begin()
	for n, d := range steps() {
		l.aws.pass(l.t, d)
		l.round(fmt.Sprintf("message-%d", n))
		l.ends = append(l.ends, len(l.aws.calls))
	}
	l.calls = l.aws.made()
	l.f.kill()
	l.said += l.f.said.String()
	return l.end()
}

func (l *life) begin() { l.f = start(l.t, built.binary(l.t, reconcileMain), steer(l.t), l.aws.env()) }

// judge kills the process when its time has come. It holds the lock of the AWS,
// so no other call of the dying process is served before that.
func (l *life) judge(n int, _ string) verdict {
	if l.dead {
		return hangBefore
	}
	if n != l.killAt {
		return serve
	}
	l.dead = true
	_ = l.f.cmd.Process.Kill() // it is alive: it called
	return l.how
}

func (l *life) round(id string) {
	l.t.Helper()
	payload := batch(record(id, wakeOf(0)))
	got, err := l.f.invoke(payload, enough)
	if errors.Is(err, errGone) {
		l.said += l.f.said.String()
		l.aws.mu.Lock()
		l.dead = false
		l.aws.mu.Unlock()
		l.begin()
		if l.lost {
			return
		}
		got, err = l.f.invoke(payload, enough)
	}
	if err != nil || string(got.body) != `{"batchItemFailures":[]}` && !l.lost {
		l.t.Errorf("killed at %d: %s ends with %s, %v\n%s", l.killAt, id, got.body, err, l.f.said)
	}
}

// end is the state of the world and of the table, without times.
func (l *life) end() string {
	var out strings.Builder
	w := l.aws.cloud.World()
	for _, s := range w.Services(true) {
		fmt.Fprintf(&out, "service %s: %d wanted, %d running, %d healthy\n", s.Name, s.Desired, s.Running, s.Healthy)
	}
	for _, g := range w.Groups() {
		fmt.Fprintf(&out, "group %s: %d wanted, %d launched\n", g.Name, g.Desired, g.Launched)
	}
	for _, h := range w.Hosts() {
		fmt.Fprintf(&out, "a host is %s\n", h.Status)
	}
	open := 0
	for _, i := range l.aws.cloud.DynamoDB().Items(table) {
		if strings.HasPrefix(text(i["sk"]), "now#open#") {
			open++
		}
	}
	fmt.Fprintf(&out, "open intents: %d\nheld: %t, failures: %d\n", open, l.aws.held(l.t), l.aws.failures(l.t))
	return out.String()
}

func TestAFunctionMayBeKilledAtEachOfItsCalls(t *testing.T) {
	whole := &life{t: t}
	want := whole.run()
	t.Logf("%d calls in %d rounds:\n%s", len(whole.calls), len(steps()), want)
	for _, verb := range []string{"ecs:UpdateService", "autoscaling:LaunchInstances", "ecs:UpdateContainerInstancesState", "autoscaling:TerminateInstanceInAutoScalingGroup"} {
		if !slices.Contains(whole.calls, verb) {
			t.Errorf("no round makes %s: nothing is tested of it", verb)
		}
	}
	if t.Failed() {
		return
	}
	for _, b := range whole.boundaries() {
		l := &life{t: t, killAt: b.call, how: b.how}
		if got := l.run(); got != want {
			t.Errorf("killed %s call %d, %s: the end is\n%s\nwant\n%s\n%s", map[verdict]string{hangBefore: "before", hangAfter: "after"}[b.how], b.call, whole.calls[b.call-1], got, want, l.said)
		}
	}
}

// boundary is a moment to be killed at.
type boundary struct {
	call int // from 1
	how  verdict
}

// boundaries are those of each round that changes the cluster, where no round
// before has made the same changes. After a call that writes the world is another;
// all moments up to the next one leave the same behind, so one of them is enough.
// The long run takes all.
func (l *life) boundaries() []boundary {
	var all []boundary
	every := os.Getenv("PLIMSOLL_SOAK") != ""
	from, seen := 0, map[string]bool{}
	for _, to := range l.ends {
		kind := strings.Join(changing(l.calls[from:to]), " ")
		if kind != "" && !seen[kind] {
			all = append(all, boundary{from + 1, hangBefore})
			for n := from + 1; n <= to; n++ {
				if every {
					all = append(all, boundary{n, hangBefore})
				}
				if every || writes(l.calls[n-1]) {
					all = append(all, boundary{n, hangAfter})
				}
			}
		}
		seen[kind], from = true, to
	}
	return all
}

func writes(call string) bool {
	_, action, _ := strings.Cut(call, ":")
	return !strings.HasPrefix(action, "Describe") && !strings.HasPrefix(action, "List") && !strings.HasPrefix(action, "Get") && action != "Query"
}

func TestALifeWhoseMessageIsLostEndsElsewhere(t *testing.T) {
	whole, killed := &life{t: t}, &life{t: t, lost: true, how: hangAfter}
	want := whole.run()
	killed.killAt = 1 + slices.Index(whole.calls, "autoscaling:LaunchInstances")
	if killed.run() == want {
		t.Error("the comparison sees nothing: nobody could take over the lease, and all ends as it should")
	}
}
