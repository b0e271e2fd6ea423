package scenario

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// later is when dead letters are driven back: hours, and in a soak days.
func later() time.Duration {
	if os.Getenv("PLIMSOLL_SOAK") != "" {
		return 50 * time.Hour
	}
	return 6 * time.Hour
}

// A run in which rounds fail for a quarter of an hour, and the table for another
// half, so that both dead-letter queues fill, with events about tasks that crash
// meanwhile; long after, the load changes, and a minute before that the letters
// may be driven back.
type letters struct {
	redrive bool
	dead    map[string]int
	calls   []changed
	end     string
	wrong   []string
}

func (l *letters) run(t *testing.T) {
	t.Helper()
	s := even()
	back := later()
	s.Services[0].Load.Shape.Crowds[0].At = policy.Duration{Duration: back + time.Minute}
	s.Length = policy.Duration{Duration: back + 30*time.Minute}
	m := newMonitors(s.Policy)
	var w *world
	o := simcloud.Options{Start: s.Start, Seed: 9, Account: account, Region: region, Failed: m.failed, Read: m.read, Watch: func(c simcloud.Call) {
		m.watch(c)
		if what := inWords(w, c.Input); what != "" {
			l.calls = append(l.calls, changed{c.At.Sub(s.Start), what})
		}
	}}
	w, err := build(t.Context(), s, o, nil, ports(func(w *world, p *reconcile.Ports) {
		p.DynamoDB = downDB{p.DynamoDB, func() bool {
			since := w.cloud.Now().Sub(w.Start)
			return since > 5*time.Minute && since < 20*time.Minute
		}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer w.cloud.Close()
	m.attach(w)
	at := func(d time.Duration, do func()) { w.cloud.At(s.Start.Add(d), do) }
	at(30*time.Minute, func() { w.set("table-down", 1) })
	at(31*time.Minute, func() { crashAll(w, "web") })
	at(70*time.Minute, func() { w.set("table-down", 0) })
	at(back, func() { l.back(w) })
	if err := w.cloud.Run(s.Start.Add(s.Length.Duration)); err != nil {
		t.Fatal(err)
	}
	var r Result
	m.end(&r)
	for _, v := range r.Violations {
		t.Errorf("%s at %s of %s: %s", v.Promise, clock(v.At), v.Subject, v.Detail)
	}
	l.end, l.wrong = w.settled()
}

// back counts the dead letters, and drives them back if that is the case.
func (l *letters) back(w *world) {
	l.dead = map[string]int{}
	for _, name := range []string{ingress + "-dead", "plimsoll-reconcile-dead.fifo"} {
		l.dead[name] = len(w.cloud.SQS().Messages(name))
		if l.redrive {
			w.cloud.SQS().Redrive(name)
		}
	}
}

func TestDeadLettersDrivenBackLongAfterCauseNoStaleAction(t *testing.T) {
	t.Parallel()
	still, back := letters{}, letters{redrive: true}
	still.run(t)
	back.run(t)
	t.Logf("dead letters %v, driven back after %s; %d changing calls", back.dead, later(), len(back.calls))
	for name, n := range back.dead {
		if n == 0 {
			t.Errorf("there are none in %s", name)
		}
	}
	if fmt.Sprint(whatsOf(back.calls)) != fmt.Sprint(whatsOf(still.calls)) {
		t.Fatalf("what is done:\n%v\nwithout the letters:\n%v", back.calls, still.calls)
	}
	for n, c := range back.calls {
		if away := (c.at - still.calls[n].at).Abs(); away > sweep {
			t.Errorf("%s is called %s away from when it is without the letters", c.what, away)
		}
	}
	if after := len(back.calls) - len(before(back.calls, later())); after < 2 {
		t.Errorf("%d calls after the letters: nothing was to be done", after)
	}
	if back.end != still.end || len(back.wrong) > 0 {
		t.Errorf("the end is %s%v want %s", back.end, back.wrong, still.end)
	}
}

func before(calls []changed, at time.Duration) []changed {
	n := 0
	for n < len(calls) && calls[n].at < at {
		n++
	}
	return calls[:n]
}
