package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// OverlayEndpoints is Overlay for the ports of a service's tasks. Of all open
// intents about a target, or an instance of a registry, the last one counts.
// After a call that succeeded the target stands, or drains, whatever an older
// read shows. Of a call without an outcome only the worse is supposed: that it
// was registered, so that it is taken off with its task and registered again
// meanwhile; that it was not taken off, so that it is again. A task whose port was
// taken off since it ends does not come back in a read that is older. A call of
// Cloud Map whose operation failed was refused, as one sees later.
func OverlayEndpoints(e cluster.Endpoints) (cluster.Endpoints, []cluster.Intent) {
	o := &reachOverlay{raw: e, state: e, chains: map[fixed][]cluster.Intent{}}
	o.state.Tasks, o.state.Intents = slices.Clone(e.Tasks), slices.Clone(e.Intents)
	o.state.Groups, o.state.Registries = slices.Clone(e.Groups), slices.Clone(e.Registries)
	for n, i := range o.state.Intents {
		o.state.Intents[n] = judged(i, e.Finished)
	}
	for _, i := range o.state.Intents {
		for _, at := range fixedBy(i) {
			if i.Open() {
				o.chains[at] = append(o.chains[at], i)
			}
		}
	}
	for i := range o.state.Groups {
		o.group(&o.state.Groups[i])
	}
	for i := range o.state.Registries {
		o.registry(&o.state.Registries[i])
	}
	o.stop()
	var changed []cluster.Intent
	for n, i := range o.state.Intents {
		o.state.Intents[n].Outcome = o.outcome(i)
		if o.state.Intents[n].Outcome != e.Intents[n].Outcome {
			changed = append(changed, o.state.Intents[n])
		}
	}
	return o.state, changed
}

// judged is an intent with what became of its operation. It ends where that failed.
func judged(i cluster.Intent, finished map[string]string) cluster.Intent {
	if i.Open() && i.Operation != "" && finished[i.Operation] == cluster.OperationFailed {
		i.Outcome, i.Detail = cluster.OutcomeRefused, "operation "+i.Operation+" failed"
	}
	return i
}

// reachOverlay is the work of one OverlayEndpoints.
type reachOverlay struct {
	raw    cluster.Endpoints
	state  cluster.Endpoints
	chains map[fixed][]cluster.Intent // open intents, oldest first
}

// fixed is a spot of a target group or registry.
type fixed struct {
	key  string
	spot spot
}

// fixedBy are the spots that an intent is about, in the order of its ports.
func fixedBy(i cluster.Intent) []fixed {
	if i.Reaches == nil {
		return nil
	}
	if i.Reaches.Registry != "" {
		return []fixed{{i.Reaches.Registry, spot{id: i.Reaches.Instance}}}
	}
	var all []fixed
	for _, p := range i.Reaches.Ports {
		all = append(all, fixed{i.Reaches.Group, spot{host: p.Instance, port: p.Port}})
	}
	return all
}

func (o *reachOverlay) age(i cluster.Intent) time.Duration { return o.raw.Now.Sub(i.At) }

// supposedAt is what the open intents about a spot make of what the cloud shows
// there; false where they leave it as it is shown.
func (o *reachOverlay) supposedAt(at fixed, shown presence) (presence, bool) {
	chain := slices.Clone(o.chains[at])
	chain = slices.DeleteFunc(chain, func(i cluster.Intent) bool { return o.age(i) >= cluster.IntentOverlay })
	if len(chain) == 0 {
		return shown, false
	}
	last := chain[len(chain)-1]
	done := last.Outcome == cluster.OutcomeApplied
	if registers(last) {
		if shown == there {
			return there, false
		}
		return map[bool]presence{true: there, false: doubted}[done], true
	}
	switch {
	case done && shown == there:
		return draining, true
	case !done && shown == nowhere && slices.ContainsFunc(chain, registers):
		return doubted, true
	default:
		return shown, false
	}
}

func registers(i cluster.Intent) bool {
	return i.Verb == cluster.RegisterTargets || i.Verb == cluster.RegisterInstance
}

// group lays the intents over a target group's targets.
func (o *reachOverlay) group(g *cluster.TargetGroup) {
	targets := slices.Clone(g.Targets)
	shown := map[spot]int{}
	for n, t := range targets {
		shown[spot{host: t.Instance, port: t.Port}] = n
	}
	for _, at := range o.about(g.ARN) {
		n, known := shown[at.spot]
		now := nowhere
		if known {
			now = presenceOf(targets[n])
		}
		now, laid := o.supposedAt(at, now)
		if !laid {
			continue
		}
		t := cluster.Target{Instance: at.spot.host, Port: at.spot.port}
		switch now {
		case there:
			t.State = cluster.TargetInitial
		case draining:
			t.State = cluster.TargetDraining
		default: // nobody knows
		}
		if known {
			targets[n] = t
		} else {
			targets = append(targets, t)
		}
	}
	g.Targets = targets
}

// busy are a registry's instances that Cloud Map works on. One that is being taken
// off is among them until its operation is known to be over: it may stand yet.
func (o *reachOverlay) busy(g *cluster.Registry) map[string]string {
	all := map[string]string{}
	maps.Copy(all, g.Busy)
	for _, at := range o.about(g.ID) {
		last := o.chains[at][len(o.chains[at])-1]
		over := last.Operation == "" || o.raw.Finished[last.Operation] != "" || o.age(last) >= cluster.IntentOverlay
		if !registers(last) && !over {
			all[at.spot.id] = last.Operation
		}
	}
	return all
}

// registry lays the intents over a registry's instances.
func (o *reachOverlay) registry(g *cluster.Registry) {
	g.Busy = o.busy(g)
	instances := slices.Clone(g.Instances)
	for _, at := range o.about(g.ID) {
		i := slices.IndexFunc(instances, func(in cluster.Registered) bool { return in.ID == at.spot.id })
		now := nowhere
		if i >= 0 {
			now = there
		}
		now, laid := o.supposedAt(at, now)
		switch {
		case !laid:
		case now == draining: // an instance does not drain: it is gone
			instances = slices.Delete(instances, i, i+1)
		case now == there:
			chain := o.chains[at]
			last := chain[len(chain)-1].Reaches
			instances = append(instances, cluster.Registered{ID: at.spot.id, IPv4: last.Address, Port: last.Ports[0].Port})
		default: // without an address nobody takes it for right
			instances = append(instances, cluster.Registered{ID: at.spot.id})
		}
	}
	g.Instances = instances
}

// about are the spots of a group or registry that open intents are about, in the
// order of the intents.
func (o *reachOverlay) about(key string) []fixed {
	var all []fixed
	seen := map[fixed]bool{}
	for _, i := range o.state.Intents {
		for _, at := range fixedBy(i) {
			if at.key == key && i.Open() && !seen[at] {
				seen[at] = true
				all = append(all, at)
			}
		}
	}
	return all
}

// stop tells the tasks to stop whose ports were taken off because they end: an
// older read may not show that yet, and what ends does not come back.
func (o *reachOverlay) stop() {
	ended := map[string]bool{}
	for _, i := range o.state.Intents {
		if i.Reaches != nil && i.Reaches.Turn == cluster.TurnEnded && o.age(i) < cluster.IntentOverlay {
			for _, task := range i.Reaches.Tasks {
				ended[task] = true
			}
		}
	}
	for n := range o.state.Tasks {
		if ended[o.state.Tasks[n].ARN] {
			o.state.Tasks[n].Wanted = cluster.TaskStopped
		}
	}
}

// outcome is what the cloud says about an open intent.
func (o *reachOverlay) outcome(i cluster.Intent) cluster.Outcome {
	if !i.Open() || i.Reaches == nil {
		return i.Outcome
	}
	last := slices.DeleteFunc(fixedBy(i), func(at fixed) bool {
		chain := o.chains[at]
		return chain[len(chain)-1].ID != i.ID
	})
	hidden := slices.ContainsFunc(last, func(at fixed) bool {
		now, observed := o.shown(at)
		return !observed || (now == there) != registers(i)
	})
	settled := o.age(i) >= staleReads
	switch {
	case settled && len(last) == 0:
		return cluster.OutcomeSuperseded
	case settled && !hidden:
		return cluster.OutcomeShown
	case o.age(i) >= cluster.IntentOverlay:
		return cluster.OutcomeExpired
	default:
		return i.Outcome
	}
}

// shown is what the cloud shows at a spot; false where the look did not see it.
func (o *reachOverlay) shown(at fixed) (presence, bool) {
	for _, g := range o.raw.Groups {
		if g.ARN != at.key {
			continue
		}
		for _, t := range g.Targets {
			if t.Instance == at.spot.host && t.Port == at.spot.port {
				return presenceOf(t), true
			}
		}
		return nowhere, true
	}
	for _, g := range o.raw.Registries {
		if g.ID == at.key {
			if slices.ContainsFunc(g.Instances, func(in cluster.Registered) bool { return in.ID == at.spot.id }) {
				return there, true
			}
			return nowhere, true
		}
	}
	return nowhere, false
}
