package scenario

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// handover is twins without requests, on four ports: tasks of web are registered,
// one is told to stop, one of api comes on its port, and one of web ends unforeseen.
func handover() Scenario {
	s := twins()
	s.Name, s.Length, s.Expect = "handover", minutes(11), nil
	s.Groups[0].Ports = &PortRange{33000, 33003}
	for n := range s.Services {
		s.Services[n].Load, s.Services[n].Desired = nil, 2-n
	}
	s.Events = []Happening{
		{At: minutes(1), Do: "setDesired", Service: "web", Count: 1},
		{At: minutes(3), Do: "setDesired", Service: "api", Count: 3},
		{At: minutes(5), Do: "crashTask", Service: "web"},
	}
	return s
}

// handed is how a handover went.
type handed struct {
	Result
	boundaries []boundary
	kinds      map[int]string // of the rounds that change targets: what they change
	open       bool           // an intent of register's is open at the end
}

// handOver runs a handover with a crash at one call; 0: with none.
func handOver(t *testing.T, n int, mode simcloud.CrashMode, spoil sabotage) handed {
	t.Helper()
	s := handover()
	m, out := newMonitors(s.Policy), handed{kinds: map[int]string{}}
	had := map[string]string{}
	o := simcloud.Options{Start: s.Start, Seed: 3, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: func(c simcloud.Call) {
		m.watch(c)
		out.watch(c, had)
	}, Begun: func(at int, c simcloud.Call) {
		out.boundaries = append(out.boundaries, boundary{at, c.Invocation, c.Function, c.Service + ":" + c.Action})
	}}
	w, err := build(t.Context(), s, o, nil, spoil)
	if err != nil {
		t.Error(err)
		return out
	}
	defer w.cloud.Close()
	m.attach(w)
	w.happen()
	if n > 0 {
		w.cloud.CrashAt(n, mode)
	}
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Error(err)
		return out
	}
	m.end(&out.Result)
	out.End = m.ended(nil)
	out.open = len(m.itemsOfAll(openItems)) > 0
	for _, missed := range w.missed {
		t.Errorf("%s: %s", missed.Name, missed.Detail)
	}
	return out
}

// watch notes what a round changes; had is whose each port was last.
func (h *handed) watch(c simcloud.Call, had map[string]string) {
	switch in := c.Input.(type) {
	case *elb.RegisterTargetsInput:
		for _, t := range in.Targets {
			port := targetName(t)
			if had[port] != "" && had[port] != aws.ToString(in.TargetGroupArn) {
				h.kinds[c.Invocation] += "takes over "
			}
			had[port] = aws.ToString(in.TargetGroupArn)
		}
		h.kinds[c.Invocation] += "registers "
	case *elb.DeregisterTargetsInput:
		h.kinds[c.Invocation] += "takes off "
	}
}

// firsts are the boundaries of the first round of each kind.
func (h handed) firsts() (in []boundary, kinds []string) {
	rounds := map[string]int{}
	for _, b := range h.boundaries {
		kind := h.kinds[b.invocation]
		if kind != "" && rounds[kind] == 0 {
			rounds[kind] = b.invocation
			kinds = append(kinds, strings.TrimSpace(kind))
		}
		if kind != "" && rounds[kind] == b.invocation {
			in = append(in, b)
		}
	}
	return in, kinds
}

// wrong is what makes another run's end another one, or broke a promise. How soon
// a target has to be gone is promised of rounds that are not killed: with one that
// is, its message comes again after 90 s.
func (h handed) wrong(got handed) []string {
	wrong := got.End.Differences(h.End)
	for _, v := range got.Violations {
		if v.Promise != "S3" || !strings.Contains(v.Detail, "stands for nobody") {
			wrong = append(wrong, fmt.Sprintf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail))
		}
	}
	if got.TargetsGoneLast > goneBySweep.Seconds() {
		wrong = append(wrong, fmt.Sprintf("a target stood for nobody for %v s", got.TargetsGoneLast))
	}
	if got.open {
		wrong = append(wrong, "an intent is open still")
	}
	return wrong
}

func TestACrashOfRegisterAtAnyCallLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	whole := handOver(t, 0, simcloud.CrashBefore, nil)
	at, kinds := whole.firsts()
	t.Logf("%d boundaries of %d rounds: %s", len(at), len(kinds), strings.Join(kinds, ", "))
	for _, kind := range []string{"registers", "takes off", "takes over registers"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("no round %s", kind)
		}
	}
	if wrong := whole.wrong(whole); len(wrong) > 0 || len(whole.Violations) > 0 {
		t.Fatalf("without a crash: %v %+v", wrong, whole.Violations)
	}
	worst := time.Duration(0)
	var runs sync.WaitGroup
	var once sync.Mutex
	slots := make(chan bool, 2)
	for _, b := range at {
		for _, mode := range modes() {
			slots <- true
			runs.Go(func() {
				defer func() { <-slots }()
				got := handOver(t, b.n, mode, nil)
				for _, wrong := range whole.wrong(got) {
					t.Errorf("call %d, %s of %s %d (%s): %s: %s", b.n, b.name, b.function, b.invocation, whole.kinds[b.invocation], mode, wrong)
				}
				once.Lock()
				defer once.Unlock()
				worst = max(worst, time.Duration(got.TargetsGoneLast*float64(time.Second)))
			})
		}
	}
	runs.Wait()
	t.Logf("%d crashes; a target stood for nobody for %s at the longest", len(at)*len(modes()), worst)
}
