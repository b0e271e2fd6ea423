package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// tug is a service web of which plimsoll wants so many tasks, and which others may
// set too. Each tick of 20 s begins with a look, which may be some ticks old. Calls
// check their precondition on the truth.
type tug struct {
	tb      testing.TB
	now     time.Time
	wish    int
	rules   policy.Service
	count   int   // the desired count, in truth
	full    bool  // one of its tasks is missing and has no place
	past    []int // what it was at each tick
	stale   int   // ticks that a look is old
	reply   reply // of the next calls
	intents []cluster.Intent
	memory  cluster.Memory
	last    Decision
	all     []Decision
	ours    []time.Time // when plimsoll's calls changed the count
	found   int         // another hand's changes that looks found, of counts of ours
}

// reply is what becomes of a call.
type reply struct {
	outcome cluster.Outcome // unknown, applied, refused or skipped
	done    bool            // it changes the count
	late    int             // so many ticks after it was noted
}

func applied() reply { return reply{outcome: cluster.OutcomeApplied, done: true} }

const tugTick = 20 * time.Second

func newTug(tb testing.TB, count, wish int) *tug {
	g := &tug{tb: tb, now: noon(), wish: wish, rules: rules(1, 20), count: count, reply: applied()}
	for range 3 {
		g.past = append(g.past, count)
	}
	return g
}

// state is what a look shows: as many healthy tasks as the count that it shows.
func (g *tug) state(shown int) cluster.State {
	key := g.rules.Scale[0].Key("web")
	s := cluster.State{
		Now: g.now, Memory: g.memory, Intents: slices.Clone(g.intents),
		Revisions: map[string]cluster.Revision{"r": {ARN: "r", Needs: of(64, 64)}},
		Metrics:   map[string]cluster.Series{key: {{At: g.now.Add(-lag), Value: float64(g.wish)}}},
		Hosts:     []cluster.Host{{ARN: "h", ID: "h", Status: cluster.HostActive, AgentConnected: true, Registered: of(8192, 8192), Remaining: of(4096, 4096), Running: shown}},
		Services: []cluster.Service{{
			Name: "web", Controller: "ECS", Scheduling: "REPLICA", Desired: shown, Running: shown, Revision: "r",
			MaximumPercent: 1000, Deployments: []cluster.Deployment{{Status: "PRIMARY"}},
		}},
	}
	if g.full {
		shown--
		s.Hosts[0].Remaining, s.Services[0].Running = of(0, 0), shown
	}
	for i := range shown {
		s.Tasks = append(s.Tasks, cluster.Task{ARN: fmt.Sprint(i), Service: "web", Revision: "r", Host: "h", Last: cluster.TaskRunning, Wanted: "RUNNING"})
	}
	return s
}

// look is one round.
func (g *tug) look() {
	g.past = append(g.past, g.count)
	s, _ := Overlay(g.state(g.past[len(g.past)-1-g.stale]))
	if s.Memory.Services["web"].Overruled.At.Equal(g.now) {
		g.found++
	}
	p := Cluster(s, policy.Policy{Services: map[string]policy.Service{"web": g.rules}})
	g.intents = slices.DeleteFunc(s.Intents, func(i cluster.Intent) bool { return !i.Open() })
	g.memory, g.last = p.Memory, decision(g.tb, p, "service/web")
	g.all = append(g.all, g.last)
	for _, c := range p.Actions() {
		g.call(c)
	}
	g.now = g.now.Add(tugTick)
}

func (g *tug) call(c cluster.Change) {
	in := cluster.Intent{ID: fmt.Sprint(len(g.all)), Change: c, At: g.now, Outcome: g.reply.outcome}
	if c.From != g.count && in.Outcome == cluster.OutcomeApplied {
		in.Outcome = cluster.OutcomeSkipped
	}
	if in.Outcome != cluster.OutcomeSkipped {
		g.intents = append(g.intents, in) // a refused one stays for one round
	}
	for range g.reply.late { // the lease is held, so nobody looks
		g.past, g.now = append(g.past, g.count), g.now.Add(tugTick)
	}
	if g.reply.done && c.From == g.count {
		g.count = c.To
		g.ours = append(g.ours, g.now)
	}
}

// looks makes so many minutes of looks.
func (g *tug) looks(minutes int) {
	for range minutes * 3 {
		g.look()
	}
}

// contested says whether a decision since the nth named a conflict.
func (g *tug) contested(since int) bool {
	return slices.ContainsFunc(g.all[since:], func(d Decision) bool { return d.Reason == Contested })
}

func TestContests(t *testing.T) {
	undoes := func(g *tug, times, minutes int) {
		for range times {
			g.count = 4
			g.looks(minutes)
		}
	}
	tests := []struct {
		name      string
		given     func(g *tug)
		found     int
		contested bool
		end       int
	}{
		{"nobody else is there", func(g *tug) { g.looks(60) }, 0, false, 8},
		{"a person lowers the count once: it is raised again", func(g *tug) { undoes(g, 1, 5) }, 1, false, 8},
		{"twice within half an hour: it is raised again", func(g *tug) { undoes(g, 2, 5) }, 2, false, 8},
		{"three times: it is left alone", func(g *tug) { undoes(g, 3, 5) }, 3, true, 4},
		{"three times in more than half an hour: it is raised again", func(g *tug) { undoes(g, 3, 16) }, 3, false, 8},
		{"it is left alone for a quarter of an hour, and then tried", func(g *tug) { undoes(g, 3, 5); g.looks(14) }, 3, true, 8},
		{"tried and undone, it is left alone for half an hour", func(g *tug) { undoes(g, 3, 5); g.looks(14); undoes(g, 1, 28) }, 4, true, 4},
		{"and then tried", func(g *tug) { undoes(g, 3, 5); g.looks(14); undoes(g, 1, 34) }, 4, true, 8},
		{"half an hour after a try that stood, one change is corrected again", func(g *tug) { undoes(g, 3, 5); g.looks(50); undoes(g, 1, 5) }, 4, true, 8},
		{"three changes after each other and none of ours between are one", func(g *tug) {
			for _, n := range []int{4, 5, 6} {
				g.count = n
				g.reply = reply{outcome: cluster.OutcomeRefused}
				g.look()
			}
			g.reply = applied()
			g.looks(5)
		}, 1, false, 8},
		{"another hand may lower what is wanted no more", func(g *tug) {
			for range 4 {
				g.wish = 4
				g.count = 4
				g.looks(4)
				g.wish = 8
				g.looks(4)
			}
		}, 4, false, 8},
		{"it may go further the same way, if plimsoll follows", func(g *tug) {
			for n := 9; n < 19; n += 2 {
				g.wish = n
				g.looks(4)
				g.count, g.wish = n+1, n+1
				g.looks(3)
			}
		}, 5, false, 18},
		{"too few and too many by turns is a contest too", func(g *tug) {
			for _, n := range []int{10, 6, 10} {
				g.count = n
				g.looks(4)
			}
		}, 3, true, 10},
		{"what it takes back in part is taken back", func(g *tug) {
			for range 3 {
				g.count = 7
				g.looks(4)
			}
		}, 3, true, 7},
		{"more is wanted than what it took back", func(g *tug) {
			for n := range 3 {
				g.count, g.wish = 4, 9+n
				g.looks(4)
			}
		}, 3, true, 4},
		{"the load is noisy, so what is wanted again is about as much", func(g *tug) {
			for n := range 3 {
				g.count, g.wish = 4, 9-n
				g.looks(4)
			}
		}, 3, true, 4},
		{"a little of what it took is not what plimsoll had set", func(g *tug) {
			for range 3 {
				g.count, g.wish = 4, 5
				g.looks(4)
				g.wish = 8
				g.looks(4)
			}
		}, 3, false, 8},
		{"undone before any look has shown it, but the call succeeded", func(g *tug) {
			for range 3 {
				g.count = 4
				g.look() // sets it to 8
				g.count = 4
				g.looks(4)
			}
		}, 3, true, 4},
		{"a call of which nobody knows how it ended, and that never happened, sets nothing", func(g *tug) {
			g.count = 4
			g.reply = reply{}
			g.looks(60)
		}, 1, false, 4},
		{"one that happened was shown, so another hand undid it", func(g *tug) {
			g.reply = reply{done: true}
			undoes(g, 3, 5)
		}, 3, true, 4},
		{"refused calls set nothing", func(g *tug) {
			g.count = 4
			g.reply = reply{outcome: cluster.OutcomeRefused}
			g.looks(60)
		}, 1, false, 4},
		{"one change and reads up to a minute old are one change", func(g *tug) {
			g.count = 5
			for n := range 90 {
				g.stale = n % 4
				g.look()
			}
		}, 1, false, 8},
		{"an old read that shows what a lost call was to bring does not make it happen", func(g *tug) {
			g.wish = 4
			g.look()
			g.wish, g.reply = 8, reply{}
			g.look()
			g.stale = 2
			g.look()
			g.stale = 0
			g.looks(10)
		}, 0, false, 4},
		{"a count that was not seen before it was changed again is ours, seen late", func(g *tug) {
			g.wish, g.reply = 4, reply{done: true, late: 3}
			g.look()
			g.wish, g.stale = 6, 2
			g.look()
			g.reply, g.stale = applied(), 0
			g.look()
			g.stale = 2
			g.look()
			g.stale = 0
			g.looks(10)
		}, 0, false, 6},
		{"nor is it another hand's when the intent that set it is over, and only the next one knows of it", func(g *tug) {
			g.wish, g.reply = 4, reply{done: true, late: 3}
			g.look()
			g.wish, g.stale, g.reply = 6, 2, reply{outcome: cluster.OutcomeRefused}
			g.look()
			g.reply = reply{done: true, late: 3}
			g.look()
			g.reply, g.stale = applied(), 0
			g.look()
			g.stale = 2
			g.look()
			g.stale = 0
			g.looks(10)
		}, 0, false, 6},
		{"a count below the policy's minimum is left alone too", func(g *tug) { g.rules = rules(6, 20); undoes(g, 3, 5) }, 3, true, 4},
		{"and tried every quarter of an hour", func(g *tug) {
			g.rules = rules(6, 20)
			undoes(g, 3, 5)
			g.looks(13)
			undoes(g, 2, 20)
		}, 5, true, 8},
		{"a count above the policy's maximum is left alone too", func(g *tug) {
			g.rules = rules(1, 8)
			for range 3 {
				g.count = 12
				g.looks(5)
			}
		}, 3, true, 12},
		{"left alone is what it is, also while tasks have no place", func(g *tug) { undoes(g, 3, 5); g.full = true; g.look() }, 3, true, 4},
		{"while it is left alone nothing is held back that is not wanted", func(g *tug) { undoes(g, 3, 5); g.wish = 4; g.look() }, 3, true, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newTug(t, 4, 8)
			g.looks(5)
			tt.given(g)
			if g.found != tt.found || g.contested(0) != tt.contested || g.count != tt.end {
				t.Errorf("found %d of another hand's changes, contested %t, %d tasks in the end; want %d, %t, %d\n%+v", g.found, g.contested(0), g.count, tt.found, tt.contested, tt.end, g.last)
			}
			if held := g.memory.Services["web"].Contest; g.now.Before(held.Since.Add(contestHold)) && g.count != g.wish && g.last.Reason != Contested {
				t.Errorf("it is left alone, and the reason is %s", g.last.Reason)
			}
			if g.last.Reason == Contested && (g.last.From != g.last.To || number(g.last, "wanted") < 0 || number(g.last, "againSeconds") <= 0) {
				t.Errorf("%+v", g.last)
			}
		})
	}
}

// TestNoContestWithoutAnotherHand lets what is wanted change at random, calls fail,
// end unknown or come late, and reads be up to a minute old and go backwards: what
// plimsoll itself did is never taken for another hand's.
func TestNoContestWithoutAnotherHand(t *testing.T) {
	answers := []reply{
		applied(), applied(),
		{},
		{done: true},
		{done: true, late: 3},
		{outcome: cluster.OutcomeApplied, done: true, late: 3},
		{outcome: cluster.OutcomeRefused},
		{outcome: cluster.OutcomeSkipped},
	}
	rapid.Check(t, func(rt *rapid.T) {
		g := newTug(t, 4, 4)
		for range rapid.IntRange(1, 120).Draw(rt, "looks") {
			if rapid.IntRange(0, 3).Draw(rt, "load changes") == 0 {
				g.wish = rapid.IntRange(1, 9).Draw(rt, "wish")
			}
			g.reply = rapid.SampledFrom(answers).Draw(rt, "answer")
			g.stale = rapid.IntRange(0, 3).Draw(rt, "reads are ticks old")
			g.look()
			if g.found > 0 || g.last.Reason == Contested {
				rt.Fatalf("another hand is found: %+v", g.memory.Services["web"])
			}
		}
	})
}

// TestNobodyFightsForEver walks rivals that undo each change of ours, each in its
// own way and after its own time, over all sorts of reads. There may be but so many
// changes of ours in an hour, however the rival does it, and the conflict is named.
// Once it stops, the count is what is wanted within the longest hold, and the
// conflict is forgotten.
func TestNobodyFightsForEver(t *testing.T) {
	rivals := map[string]func(g *tug, from, n int) int{
		"sets it back":                   func(_ *tug, from, _ int) int { return from },
		"takes back half":                func(g *tug, from, _ int) int { return (g.wish + from) / 2 },
		"sets two counts by turns":       func(_ *tug, from, n int) int { return from + n%2 },
		"sets three counts by turns":     func(_ *tug, from, n int) int { return from + n%3 },
		"another count each time":        func(g *tug, _, n int) int { return 1 + (g.wish+n*7)%17 },
		"too few and too many, by turns": func(g *tug, _, n int) int { return g.wish + 3 - 6*(n%2) },
	}
	walks := 0
	for name, back := range rivals {
		for _, from := range []int{4, 12} {
			for _, least := range []int{1, 6} {
				for _, wait := range []int{0, 1, 4, 8, 9, 24} {
					for _, stale := range []int{0, 3} {
						walks++
						g := newTug(t, from, 8)
						g.rules, g.stale = rules(least, 20), stale
						where := fmt.Sprintf("%s, from %d, at least %d, after %d ticks, reads %d ticks old", name, from, least, wait, stale)
						fought(t, g, where, wait, func(n int) int { return back(g, from, n) })
						if t.Failed() {
							return
						}
					}
				}
			}
		}
	}
	t.Logf("%d walks", walks)
}

// fought lets a rival change the count whenever it is the wanted one, after so many
// ticks, for three hours, and then stop.
func fought(t *testing.T, g *tug, where string, wait int, back func(n int) int) {
	t.Helper()
	const most = 6 // changes of ours in an hour
	stands, n := 0, 0
	for range 3 * 180 {
		g.look()
		if g.count != g.wish {
			stands = 0
			continue
		}
		if stands++; stands > wait {
			g.count, stands, n = back(n), 0, n+1
		}
	}
	for i, at := range g.ours {
		within := 0
		for _, other := range g.ours[i:] {
			if other.Sub(at) < time.Hour {
				within++
			}
		}
		if within > most {
			t.Errorf("%s: %d changes of ours in an hour", where, within)
			return
		}
	}
	if !g.contested(0) {
		t.Errorf("%s: %d changes, none was found contested", where, len(g.ours))
	}
	stopped := len(g.all)
	for waited := 0; g.count != g.wish; waited++ {
		if g.look(); time.Duration(waited)*tugTick > contestLongest+time.Minute {
			t.Errorf("%s: the count stays %d of %d: %+v", where, g.count, g.wish, g.last)
			return
		}
	}
	g.looks(100)
	if g.count != g.wish || g.memory.Services["web"].Contest.Holds > 0 || g.contested(len(g.all)-1) {
		t.Errorf("%s: after %d quiet looks %d of %d, %+v", where, len(g.all)-stopped, g.count, g.wish, g.memory.Services["web"])
	}
}
