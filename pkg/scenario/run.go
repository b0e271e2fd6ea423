package scenario

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// Options are how a scenario is run.
type Options struct {
	Seed     uint64
	Faults   map[string]float64              // by name: on for the whole run, besides the scenario's own
	Driver   simcloud.Driver                 // default simcloud.Jump
	Logs     io.Writer                       // what the functions log; nil: nowhere
	Progress func(Sample)                    // each sample as it is taken, one a virtual minute
	Trace    func(at time.Time, line string) // each line of the trace
	Spoil    Spoil                           // what a test of another package does to the functions' ports; nil: nothing

	sabotage sabotage // what a test does to the functions' ports
}

// Run runs a scenario and says what came of it. An error means that the run
// itself failed, or that ctx ended; broken promises and missed expectations are
// in the result.
func Run(ctx context.Context, s Scenario, o Options) (Result, error) {
	r, _, err := run(ctx, s, o, nil)
	return r, err
}

// run runs a scenario, or with again replays it up to the end of a dip.
func run(ctx context.Context, s Scenario, o Options, again *again) (Result, *monitors, error) {
	if s.Length.Duration <= 0 {
		return Result{}, nil, fmt.Errorf("run %s: a length of %s is none", s.Name, s.Length)
	}
	m := newMonitors(s.Policy)
	sim := simcloud.Options{
		Start: s.Start, Seed: o.Seed, Driver: o.Driver, Account: account, Region: region, Trace: o.Trace, Watch: m.watch, Failed: m.failed, Read: m.read,
	}
	end := s.Start.Add(s.Length.Duration)
	if again != nil {
		m.again, sim.Refuse, end = again, m.refuse, again.dip.until
	}
	w, err := build(ctx, s, sim, o.Logs, o.spoils())
	if err != nil {
		return Result{}, nil, err
	}
	defer w.cloud.Close()
	if err := w.fail(o.Faults); err != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Name, err)
	}
	w.calm()
	if s.stale(o.Faults) {
		m.reach = staleFor
	}
	m.attach(w)
	w.happen()
	r := Result{Scenario: s.Name, Seed: o.Seed, Hours: s.Length.Hours(), Violations: []Violation{}}
	w.watchSamples(ctx, &r, m, o.Progress)
	if err := w.cloud.Run(end); err != nil {
		return Result{}, nil, fmt.Errorf("run %s with seed %d: %w", s.Name, o.Seed, err)
	}
	if ctx.Err() != nil {
		return Result{}, nil, fmt.Errorf("run %s: %w", s.Name, context.Cause(ctx))
	}
	m.end(&r)
	r.End = m.ended(o.Faults)
	if err := w.collect(ctx, &r); err != nil {
		return Result{}, nil, fmt.Errorf("collect %s: %w", s.Name, err)
	}
	r.Expectations = append(s.judge(r), w.missed...)
	return r, m, nil
}

// watchSamples takes a sample each minute until ctx ends, which ends the run.
func (w *world) watchSamples(ctx context.Context, r *Result, m *monitors, progress func(Sample)) {
	w.cloud.Every(w.Start, time.Minute, func() bool {
		if ctx.Err() != nil {
			w.cloud.Stop()
			return false
		}
		sample := w.sample()
		sample.Stale, m.fronts.worst = m.fronts.worst, 0
		r.Samples = append(r.Samples, sample)
		if progress != nil {
			sample.Each = w.hosts()
			progress(sample)
		}
		return true
	})
}

// sample reads the truth of the moment.
func (w *world) sample() Sample {
	sample := Sample{At: w.cloud.Now()}
	for _, s := range w.Services {
		v, _ := w.cloud.World().Service(w.Policy.Cluster, s.Name) // it was made with the world
		x := ServiceSample{Desired: v.Desired, Running: v.Running, Healthy: v.Healthy}
		if s.Load != nil {
			x.Rate = w.rate(s, w.seed)(sample.At)
		}
		sample.Services = append(sample.Services, x)
	}
	sample.Met = w.met()
	for _, h := range w.cloud.World().Hosts() {
		sample.Hosts++
		if h.Status == string(cluster.HostDraining) {
			sample.Draining++
		}
		offered := cluster.Resources{CPU: h.CPU, Memory: h.Memory}
		sample.Offered = sample.Offered.Add(offered)
		sample.Reserved = sample.Reserved.Add(offered.Sub(cluster.Resources{CPU: h.FreeCPU, Memory: h.FreeMemory}))
	}
	for _, g := range w.cloud.World().Groups() {
		for _, i := range g.Instances {
			if !i.Registered && i.State == cluster.LifecyclePending || !i.Registered && i.State == cluster.LifecycleInService {
				sample.Starting++
			}
		}
	}
	return sample
}

// met is what the requests have met that came by load balancers.
func (w *world) met() simcloud.Met {
	var all simcloud.Met
	for _, r := range w.cloud.World().Routes() {
		all = plus(all, r.Total.Met)
	}
	return all
}

// plus adds up what requests met.
func plus(a, b simcloud.Met) simcloud.Met {
	return simcloud.Met{
		Served: a.Served + b.Served, Overloaded: a.Overloaded + b.Overloaded, Wrong: a.Wrong + b.Wrong,
		Closed: a.Closed + b.Closed, Stopped: a.Stopped + b.Stopped, NoTarget: a.NoTarget + b.NoTarget,
	}
}

// collect reads the figures of the whole run.
func (w *world) collect(ctx context.Context, r *Result) error {
	for _, s := range w.cloud.World().Services(false) {
		r.Requests += s.Load.Requests
		r.UnservedPercent += s.Load.Unserved
	}
	if r.Requests > 0 {
		r.UnservedPercent *= 100 / r.Requests
	}
	for _, g := range w.cloud.World().Groups() {
		r.HostHours += g.HostHours
		r.Cost += g.Cost
		r.HostsLaunched += g.Launched - w.group(g.Name).Desired
	}
	for _, s := range r.Samples {
		r.MaxHosts = max(r.MaxHosts, s.Hosts)
	}
	r.APICalls = w.cloud.Calls()
	r.Used = Usage{w.cloud.Billed(), map[string]simcloud.FunctionStats{}}
	r.Met = w.met()
	for _, name := range w.deployed() {
		used := w.cloud.Lambda().Stats(name)
		r.Used.Functions[name] = used
		r.Invocations += used.Invocations
	}
	r.Rounds = r.Used.Functions["reconcile"].Invocations
	r.Faults = w.cloud.Faults().Struck()
	r.TraceHash = w.cloud.TraceHash()
	history, err := w.history(ctx)
	if err != nil {
		return err
	}
	r.History = history
	waits := w.waits(history)
	r.WaitP50, r.WaitP95 = percentile(waits, 0.5), percentile(waits, 0.95)
	return nil
}

func (w *world) group(name string) Group {
	n := slices.IndexFunc(w.Groups, func(g Group) bool { return g.Name == name })
	return w.Groups[n]
}

// history reads what the functions recorded, through the store that wrote it.
func (w *world) history(ctx context.Context) ([]Record, error) {
	return w.historyOf(ctx, table)
}

// historyOf is what a table holds about this cluster.
func (w *world) historyOf(ctx context.Context, name string) ([]Record, error) {
	s := store.Store{DB: w.cloud.DynamoDB(), Table: name}
	entries, err := s.History(ctx, reconcile.Key(w.Policy.Cluster)) // an operator's read, from outside of virtual time
	if err != nil {
		return nil, err
	}
	records := make([]Record, len(entries))
	for n, e := range entries {
		records[n] = Record(e)
	}
	slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return records, nil
}
