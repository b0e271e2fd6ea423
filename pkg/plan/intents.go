package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// supposedPrefix begins the id of an instance that only an intent knows.
const supposedPrefix = "intent:"

// supposedID says whether an instance is one that an intent stands for.
func supposedID(id string) bool { return strings.HasPrefix(id, supposedPrefix) }

// Overlay lets open intents stand in for reads that may be older than they
// are (design of a round, rule 5), and returns the state that a plan may rest
// on and the intents whose outcome changed. An intent is over when the cloud
// shows it, or a later change, or when cluster.IntentOverlay has passed. One
// whose subject the state lacks stays open: an absence proves nothing. The
// given state is not changed.
func Overlay(s cluster.State) (cluster.State, []cluster.Intent) {
	o := &overlay{raw: s, state: s, laid: map[cluster.Subject]bool{}}
	o.state.Services = slices.Clone(s.Services)
	o.state.Hosts = slices.Clone(s.Hosts)
	o.state.Intents = slices.Clone(s.Intents)
	o.state.Groups = slices.Clone(s.Groups)
	for i := range o.state.Groups {
		o.state.Groups[i].Instances = slices.Clone(s.Groups[i].Instances)
	}
	var changed []cluster.Intent
	for i := range o.state.Intents {
		in := &o.state.Intents[i]
		if !in.Open() {
			continue
		}
		if out := o.lay(*in); out != in.Outcome {
			in.Outcome = out
			changed = append(changed, *in)
		}
	}
	return o.state, changed
}

// overlay is the work of one Overlay. Intents of one subject build on each
// other, oldest first: once one is laid, what the cloud shows is known to be
// old, and no later one counts as shown by it.
type overlay struct {
	raw   cluster.State
	state cluster.State
	laid  map[cluster.Subject]bool
}

// lay applies one open intent where the cloud does not show it, and returns
// its outcome.
func (o *overlay) lay(in cluster.Intent) cluster.Outcome {
	old := o.state.Now.Sub(in.At) >= cluster.IntentOverlay
	var out cluster.Outcome
	switch in.Verb {
	case cluster.SetDesiredCount:
		out = o.count(in, old)
	case cluster.LaunchHosts, cluster.SetDesiredCapacity:
		out = o.launch(in, old)
	case cluster.DrainHost:
		out = o.status(in, old, cluster.HostDraining)
	case cluster.ActivateHost:
		out = o.status(in, old, cluster.HostActive)
	case cluster.TerminateHost:
		out = o.terminate(in, old)
	default:
		out = in.Outcome
	}
	if out == in.Outcome && old {
		return cluster.OutcomeExpired
	}
	return out
}

func (o *overlay) count(in cluster.Intent, old bool) cluster.Outcome {
	name := in.Subject.Name()
	i := slices.IndexFunc(o.raw.Services, func(s cluster.Service) bool { return s.Name == name })
	if i < 0 {
		return in.Outcome
	}
	shown, now := o.raw.Services[i].Desired, &o.state.Services[i].Desired
	switch {
	case shown == in.To && !o.laid[in.Subject]:
		return cluster.OutcomeShown
	case *now != in.From && *now != in.To:
		return cluster.OutcomeSuperseded
	case !old:
		*now, o.laid[in.Subject] = in.To, true
	}
	return in.Outcome
}

func (o *overlay) status(in cluster.Intent, old bool, to cluster.HostStatus) cluster.Outcome {
	i := slices.IndexFunc(o.raw.Hosts, func(h cluster.Host) bool { return h.ARN == in.Host })
	if i < 0 {
		return in.Outcome
	}
	if o.raw.Hosts[i].Status == to && !o.laid[in.Subject] {
		return cluster.OutcomeShown
	}
	if !old {
		o.state.Hosts[i].Status, o.laid[in.Subject] = to, true
	}
	return in.Outcome
}

func (o *overlay) launch(in cluster.Intent, old bool) cluster.Outcome {
	i := o.group(in.Subject.Name())
	if i < 0 {
		return in.Outcome
	}
	unseen := o.unseen(in, i)
	if len(unseen) == 0 && o.launchShown(in, i) {
		return cluster.OutcomeShown
	}
	if old {
		return in.Outcome
	}
	g := &o.state.Groups[i]
	for _, id := range unseen {
		g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: in.Zone, Lifecycle: cluster.LifecyclePending})
	}
	g.Desired = max(g.Desired, in.To)
	return in.Outcome
}

// launchShown says whether the cloud shows a launch: all its instances where
// the answer named them, else the desired capacity.
func (o *overlay) launchShown(in cluster.Intent, i int) bool {
	return len(in.Instances) > 0 || o.raw.Groups[i].Desired >= in.To
}

// unseen are the instances of a launch that the cloud does not show. Where no
// answer named them, the desired capacity tells how many are missing.
func (o *overlay) unseen(in cluster.Intent, i int) []string {
	var ids []string
	if len(in.Instances) == 0 {
		for n := max(in.From, o.state.Groups[i].Desired); n < in.To; n++ {
			ids = append(ids, fmt.Sprintf("%s%s/%d", supposedPrefix, in.ID, n))
		}
		return ids
	}
	for _, id := range in.Instances {
		if !slices.ContainsFunc(o.raw.Groups[i].Instances, func(n cluster.Instance) bool { return n.ID == id }) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (o *overlay) terminate(in cluster.Intent, old bool) cluster.Outcome {
	i := o.group(in.Group)
	if i < 0 {
		return in.Outcome
	}
	g := &o.state.Groups[i]
	k := slices.IndexFunc(g.Instances, func(n cluster.Instance) bool { return n.ID == in.Subject.Name() })
	switch {
	case k < 0:
		return cluster.OutcomeShown
	case strings.HasPrefix(g.Instances[k].Lifecycle, cluster.LifecycleTerminating) && !o.laid[in.Subject]:
		return cluster.OutcomeShown
	case !old && g.Instances[k].Lifecycle == cluster.LifecycleInService:
		g.Instances[k].Lifecycle = cluster.LifecycleTerminating
		g.Desired--
		o.laid[in.Subject] = true
	}
	return in.Outcome
}

func (o *overlay) group(name string) int {
	return slices.IndexFunc(o.raw.Groups, func(g cluster.HostGroup) bool { return g.Name == name })
}
