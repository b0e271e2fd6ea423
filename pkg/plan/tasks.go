package plan

import (
	"math"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// A metric's newest point counts for so many of its periods, and so long on
// top for CloudWatch's lag; older, the signal is missing.
const (
	freshPeriods = 3
	freshLag     = 2 * time.Minute
)

// blindGoal is how long a goal that waits for hosts is followed while no signal
// has a value; an older one says nothing about the load of now.
const blindGoal = 15 * time.Minute

// saturated is where a utilisation says how busy the tasks are, but no longer
// how much more there is to do.
const saturated = 95

// mostTasks keeps a mad metric from overflowing a count.
const mostTasks = 1_000_000

// sizing is what one round finds out about one service's count.
type sizing struct {
	service cluster.Service
	rules   policy.Service
	tally   tally
	memory  cluster.ServiceMemory
	now     time.Time

	steered bool
	base    int  // the count that recommendations are compared with
	blind   bool // no signal has a value: an earlier goal is followed
	wanted  int  // the count to be reached
	to      int  // the desired count to set now
	hold    Reason
	numbers []Number
	next    time.Time // when what holds it may be over; zero: nobody knows
}

// size finds a steered service's wanted count: signals first, then windows,
// then rate limits; the policy's minimum and maximum have the last word, unless
// another hand has undone it too often.
func (z *sizing) size(metrics map[string]cluster.Series) {
	z.remember()
	z.base = z.service.Desired
	if !z.memory.Since.IsZero() && z.memory.Target > z.base {
		z.base = z.memory.Target
	}
	z.recommend(metrics)
	z.stabilise()
	z.limit()
	z.bound()
	z.note(Number{"wanted", float64(z.wanted)})
	z.contest()
}

func (z *sizing) note(n ...Number) { z.numbers = append(z.numbers, n...) }

// remember adds what runs now to the history that metrics are read against.
func (z *sizing) remember() {
	z.memory.Running = sample(z.memory.Running, cluster.Sample{At: z.now, Count: z.service.Running})
}

// signal is one target of the policy with what its metric says.
type signal struct {
	target  policy.Target
	value   float64
	running float64 // tasks that ran while the point was measured
	demand  float64 // tasks that would hold the target
	known   bool
}

// readSignal takes the newest whole point that is fresh. An average is demand
// per task that ran then, not now: a point older than a scale-out must not
// cause another.
func (z *sizing) readSignal(t policy.Target, metrics map[string]cluster.Series) signal {
	g := signal{target: t}
	p, ok := newest(metrics[t.Key(z.service.Name)], z.now, t.Period.Duration)
	if !ok {
		return g
	}
	g.value = p.Value
	if t.PerTask > 0 {
		g.demand, g.known = p.Value/t.PerTask, true
		return g
	}
	g.running = meanRunning(z.memory.Running, p.At, p.At.Add(t.Period.Duration))
	if g.running > 0 && t.Target > 0 {
		g.demand, g.known = g.running*p.Value/t.Target, true
	}
	return g
}

// newest is the youngest point whose period is over, if it is fresh and a
// number that a count can rest on.
func newest(points cluster.Series, now time.Time, period time.Duration) (cluster.Point, bool) {
	for i := len(points) - 1; i >= 0; i-- {
		p := points[i]
		end := p.At.Add(period)
		if end.After(now) {
			continue
		}
		sound := p.Value >= 0 && !math.IsInf(p.Value, 0) // NaN is not >= 0
		return p, sound && now.Sub(end) <= freshPeriods*period+freshLag
	}
	return cluster.Point{}, false
}

// saturated says whether the signal is a utilisation that cannot tell how much
// more there is to do.
func (g signal) saturated() bool {
	utilisation := g.target.PerTask == 0 && (g.target.Metric == "cpu" || g.target.Metric == "memory")
	return utilisation && g.value >= max(saturated, g.target.Target)
}

// count is the number of tasks that the signal wants, or base within tolerance
// of it. Where tasks are missing, those that run may be saturated and still
// count less than base: that is no wish for fewer.
func (g signal) count(base, tolerance int) int {
	if g.saturated() && g.demand < float64(base) {
		return base
	}
	if base > 0 && math.Abs(g.demand/float64(base)-1)*100 <= float64(tolerance)+1e-9 {
		return base
	}
	return int(math.Ceil(min(g.demand, mostTasks) - 1e-9))
}

// recommend takes the largest wish of the known signals. With one missing the
// count may rise by the others and never fall: unknown is not zero.
func (z *sizing) recommend(metrics map[string]cluster.Series) {
	z.wanted, z.hold = z.base, NoSignal
	if len(z.rules.Scale) == 0 {
		return
	}
	lead, missing, want := signal{}, 0, -1
	for _, t := range z.rules.Scale {
		g := z.readSignal(t, metrics)
		if !g.known {
			missing++
			continue
		}
		if n := g.count(z.base, value(z.rules.Tolerance)); n > want {
			lead, want = g, n
		}
	}
	z.explain(lead, missing)
	z.hold = WithinTolerance
	if missing == len(z.rules.Scale) {
		z.keepGoal()
	}
	if missing > 0 && want <= z.base {
		z.hold, want = MetricMissing, z.base
	}
	z.wanted = want
}

// keepGoal settles what a service without any signal is compared with: the
// count there is, or a goal that is young and waits for hosts only.
func (z *sizing) keepGoal() {
	switch {
	case z.base == z.service.Desired:
	case z.waited() < blindGoal:
		z.blind = true
		z.note(Number{"goalSeconds", z.waited().Seconds()})
	default:
		z.base = z.service.Desired
	}
}

// explain notes the figures of the signal that leads.
func (z *sizing) explain(g signal, missing int) {
	if missing > 0 {
		z.note(Number{"missing", float64(missing)})
	}
	if !g.known {
		return
	}
	z.note(Number{g.target.Metric, g.value})
	if g.target.PerTask > 0 {
		z.note(Number{"perTask", g.target.PerTask})
		return
	}
	z.note(Number{"target", g.target.Target}, Number{"running", g.running})
	if g.saturated() {
		z.note(Number{"saturated", saturated})
	}
}

// stabilise lets the count rise only to the smallest wish of the out window
// and fall only to the largest of the in window, as Kubernetes does. Where no
// history reaches into the window it begins with the count there is, so that
// the first look never takes tasks away.
func (z *sizing) stabilise() {
	out, in := window(z.rules.ScaleOut), window(z.rules.ScaleIn)
	h := slices.Clone(z.memory.Wanted)
	if n := len(h); n == 0 || z.now.Sub(h[n-1].At) >= in {
		h = append(h, cluster.Sample{At: z.now, Count: z.base})
	}
	wish := cluster.Sample{At: z.now, Count: z.wanted}
	z.memory.Wanted = thin(append(h, wish), z.now, max(out, in))
	least := strictest(z.memory.Wanted, wish, out, func(a, b int) bool { return a <= b })
	most := strictest(z.memory.Wanted, wish, in, func(a, b int) bool { return a >= b })
	switch {
	case z.wanted > z.base && least.Count < z.wanted:
		z.wait(Stabilising, max(z.base, least.Count), least.At.Add(out))
	case z.wanted < z.base && most.Count > z.wanted:
		z.wait(Stabilising, min(z.base, most.Count), most.At.Add(in))
	}
}

// strictest is the latest of those wishes within a window that no other is
// before; now's is one of them.
func strictest(all []cluster.Sample, now cluster.Sample, window time.Duration, before func(a, b int) bool) cluster.Sample {
	best := now
	for _, w := range all {
		if now.At.Sub(w.At) < window && before(w.Count, best.Count) {
			best = w
		}
	}
	return best
}

// wait lowers or raises the wanted count to what is allowed, and says why and
// until when.
func (z *sizing) wait(why Reason, to int, until time.Time) {
	z.note(Number{"wish", float64(z.wanted)})
	z.hold, z.wanted, z.next = why, to, until
}

// window is a manner's stabilisation window.
func window(m policy.Manner) time.Duration {
	if m.Window == nil {
		return 0
	}
	return m.Window.Duration
}

// value is what p points to, or zero.
func value(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

// limit keeps the change within the manner's rate. The period's own changes
// are taken off first, so the count that the period began with is the measure.
func (z *sizing) limit() {
	keep := max(z.rules.ScaleOut.Per.Duration, z.rules.ScaleIn.Per.Duration)
	z.memory.Changes = recent(z.memory.Changes, z.now.Add(-keep))
	switch {
	case z.wanted > z.base:
		start, until := z.periodStart(z.rules.ScaleOut)
		if step, limited := allowed(z.rules.ScaleOut, start); limited && z.wanted > start+step {
			z.wait(RateLimited, max(z.base, start+step), until)
		}
	case z.wanted < z.base:
		start, until := z.periodStart(z.rules.ScaleIn)
		if step, limited := allowed(z.rules.ScaleIn, start); limited && z.wanted < start-step {
			z.wait(RateLimited, min(z.base, start-step), until)
		}
	}
}

// periodStart is the count that the rate limit's period began with, and when
// the oldest change within it stops to count. A change that does not lead to
// the count there is never happened.
func (z *sizing) periodStart(m policy.Manner) (int, time.Time) {
	start, until := z.base, z.now.Add(m.Per.Duration)
	for i := len(z.memory.Changes) - 1; i >= 0; i-- {
		c := z.memory.Changes[i]
		if z.now.Sub(c.At) >= m.Per.Duration {
			break
		}
		if c.To == start {
			start, until = c.From, c.At.Add(m.Per.Duration)
		}
	}
	return start, until
}

// allowed is by how many tasks a count may change in one period, at least one,
// and whether there is such a limit.
func allowed(m policy.Manner, count int) (int, bool) {
	byPercent := (max(count, 0)*m.MaxPercent + 99) / 100
	return max(m.MaxTasks, byPercent, 1), m.MaxTasks > 0 || m.MaxPercent > 0
}

// bound applies the policy's minimum and maximum, whatever the signals say.
func (z *sizing) bound() {
	t := *z.rules.Tasks
	switch {
	case z.wanted > t.Max:
		z.note(Number{"max", float64(t.Max)})
		z.hold, z.wanted = AtMaximum, t.Max
	case z.wanted < t.Min:
		z.note(Number{"min", float64(t.Min)})
		z.hold, z.wanted = AtMinimum, t.Min
	}
}
