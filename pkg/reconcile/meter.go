package reconcile

import (
	"io"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/pkg/emf"
)

// namespace is that of all metrics about plimsoll itself.
const namespace = "Plimsoll"

// Meter is where a function's figures go, and what counts its calls.
type Meter struct {
	Out   io.Writer                           // CloudWatch's embedded metric format, a line a round; nil: nowhere
	Calls func() (calls int, dollars float64) // since it was asked last; nil: nobody counts
}

// write prints what a round came to. What goes wrong with that is logged, where
// the log still works, and changes nothing.
func (m Meter) write(f Figures, log *zap.Logger) {
	if m.Out == nil {
		return
	}
	raw, err := m.line(f).Encode()
	if err == nil {
		_, err = m.Out.Write(raw)
	}
	if err != nil {
		log.Warn("metrics not written", zap.String("key", f.Key), zap.Error(err))
	}
}

// clusterOf is the cluster of a key: what follows its first #, up to a slash.
func clusterOf(key string) string {
	_, name, _ := strings.Cut(key, "#")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// dimensions are those of a key's metrics. Rounds of a cluster have its name alone;
// any other function's have its own beside it, or the alarm on rounds that fail
// would take the one's success for the other's.
func dimensions(key string) []emf.Dimension {
	all := []emf.Dimension{{Name: "Cluster", Value: clusterOf(key)}}
	if function, _, _ := strings.Cut(key, "#"); key != Key(clusterOf(key)) {
		all = append(all, emf.Dimension{Name: "Function", Value: function})
	}
	return all
}

// line is a round's metrics; docs/architecture.md says what each of them is. What
// the round did not come to know is absent.
func (m Meter) line(f Figures) emf.Line {
	l := emf.Line{Namespace: namespace, At: f.At, Dimensions: dimensions(f.Key)}
	add := func(name string, unit emf.Unit, v float64) {
		l.Metrics = append(l.Metrics, emf.Metric{Name: name, Unit: unit, Value: v})
	}
	failed := 0.0
	if f.Failed {
		failed = 1
	}
	add("Rounds", emf.Count, 1)
	add("RoundsFailed", emf.Count, failed)
	if p := f.Planned; p != nil {
		add("Changes", emf.Count, float64(p.Changes))
		if z := p.Sized; z != nil {
			add("TasksWaiting", emf.Count, float64(z.Waiting))
			add("WaitSeconds", emf.Seconds, z.Wait.Seconds())
			add("TasksUnplaced", emf.Count, float64(z.Unplaced))
			add("HostsRequired", emf.Count, float64(z.Hosts))
		}
		for _, r := range slices.Sorted(maps.Keys(p.Reasons)) {
			add("Decisions."+string(r), emf.Count, float64(p.Reasons[r]))
		}
	}
	if f.Lag != nil {
		add("LagSeconds", emf.Seconds, f.Lag.Seconds())
	}
	if m.Calls != nil {
		calls, dollars := m.Calls()
		add("Calls", emf.Count, float64(calls))
		add("CallDollars", emf.None, dollars)
	}
	return l
}
