package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// supposedPrefix begins the id of an instance that only an intent knows.
const supposedPrefix = "intent:"

// supposedID says whether an instance is one that an intent stands for.
func supposedID(id string) bool { return strings.HasPrefix(id, supposedPrefix) }

// staleReads is how long after a change was noted a read may still be older than
// it: its call starts up to a lease of 75 s later, and reads lag behind that by
// up to a minute. One read that shows a change does not end this: the next may
// come from another replica.
const staleReads = 140 * time.Second

// Overlay lets open intents stand in for reads that may be older than they
// are (design of a round, rule 5), and returns the state that a plan may rest
// on and the intents whose outcome changed. An intent is over when the cloud
// shows it and reads cannot be older any more, when it shows something else,
// or when cluster.IntentOverlay has passed. One whose subject the state lacks
// stays open: an absence proves nothing. The memory of the state returned says
// which counts another hand has changed. The given state is not changed.
func Overlay(s cluster.State) (cluster.State, []cluster.Intent) {
	o := &overlay{raw: s, state: s, laid: map[cluster.Subject]bool{}}
	o.state.Services = slices.Clone(s.Services)
	o.state.Hosts = slices.Clone(s.Hosts)
	o.state.Intents = slices.Clone(s.Intents)
	o.state.Groups = slices.Clone(s.Groups)
	for i := range o.state.Groups {
		o.state.Groups[i].Instances = slices.Clone(s.Groups[i].Instances)
	}
	o.remembering()
	counts := o.counts()
	var changed []cluster.Intent
	for i := range o.state.Intents {
		in := &o.state.Intents[i]
		if !in.Open() {
			continue
		}
		out, counted := counts[i]
		if !counted {
			out = o.lay(*in)
		}
		if out == in.Outcome && o.age(*in) >= cluster.IntentOverlay {
			out = cluster.OutcomeExpired
		}
		if out != in.Outcome {
			in.Outcome = out
			changed = append(changed, *in)
		}
	}
	return o.state, changed
}

// overlay is the work of one Overlay.
type overlay struct {
	raw   cluster.State
	state cluster.State
	laid  map[cluster.Subject]bool // the cloud shows the host as it was before
}

func (o *overlay) age(in cluster.Intent) time.Duration { return o.raw.Now.Sub(in.At) }

// settled says whether reads cannot be older than the intent any more.
func (o *overlay) settled(in cluster.Intent) bool { return o.age(in) >= staleReads }

// lay applies one open intent where the cloud does not show it, and returns
// its outcome.
func (o *overlay) lay(in cluster.Intent) cluster.Outcome {
	old := o.age(in) >= cluster.IntentOverlay
	switch in.Verb {
	case cluster.LaunchHosts:
		return o.launch(in, old)
	case cluster.DrainHost:
		return o.status(in, old, cluster.HostDraining)
	case cluster.ActivateHost:
		return o.status(in, old, cluster.HostActive)
	case cluster.TerminateHost:
		return o.terminate(in, old)
	case cluster.SetDesiredCount: // counts lays them
		return in.Outcome
	case cluster.RegisterTargets, cluster.DeregisterTargets, cluster.RegisterInstance, cluster.DeregisterInstance:
		return in.Outcome // OverlayEndpoints lays them; no key has both kinds
	}
	if old { // another version's verb
		return cluster.OutcomeExpired
	}
	return in.Outcome
}

// counts lays the open intents of desired counts, the ones of a service
// together, and returns their outcomes by index.
func (o *overlay) counts() map[int]cluster.Outcome {
	chains := map[string][]int{}
	for i, in := range o.state.Intents {
		if in.Verb == cluster.SetDesiredCount && in.Open() {
			chains[in.Subject.Name()] = append(chains[in.Subject.Name()], i)
		}
	}
	out := map[int]cluster.Outcome{}
	for i := range o.state.Services {
		v := &o.state.Services[i]
		raw, chain := v.Desired, chains[v.Name]
		h := o.settings(*v, chain)
		open := o.chain(v, chain, out, mayShow(h, raw, o.raw.Now))
		o.watch(v, raw, h, open)
	}
	return out
}

// chain lays one service's intents, oldest first, and says whether one is still
// open. What the cloud shows may be any link of the chain, or a count before it
// that is known since reads may be as old; anything else is somebody's later change.
func (o *overlay) chain(v *cluster.Service, chain []int, out map[int]cluster.Outcome, known bool) (open bool) {
	shown, raw := -1, v.Desired
	for k, i := range chain {
		in := o.state.Intents[i]
		known = known || raw == in.From || raw == in.To
		if raw == in.To && o.settled(in) {
			shown = k
		}
	}
	for k, i := range chain {
		in := o.state.Intents[i]
		switch {
		case k == shown:
			out[i] = cluster.OutcomeShown
		case k < shown || !known:
			out[i] = cluster.OutcomeSuperseded
		case o.age(in) < cluster.IntentOverlay:
			v.Desired, open = in.To, true
		}
	}
	return open
}

func (o *overlay) status(in cluster.Intent, old bool, to cluster.HostStatus) cluster.Outcome {
	i := slices.IndexFunc(o.raw.Hosts, func(h cluster.Host) bool { return h.ARN == in.Host })
	if i < 0 {
		return in.Outcome
	}
	taken := to == cluster.HostActive && !o.settled(in) // an older read must not take a host for one to terminate
	if o.raw.Hosts[i].Status == to && !o.laid[in.Subject] && !taken {
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
	switch {
	case len(unseen) == 0 && o.launchShown(in, i) && o.settled(in):
		return cluster.OutcomeShown
	case old:
		return in.Outcome
	}
	g := &o.state.Groups[i]
	for _, id := range unseen {
		g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: in.Zone, Lifecycle: cluster.LifecyclePending})
	}
	g.Desired = max(g.Desired, reached(in))
	return in.Outcome
}

// reached is the desired capacity that a launch leads to: by as many hosts more
// as its answer named, where it named any.
func reached(in cluster.Intent) int {
	if n := len(in.Instances); n > 0 {
		return min(in.To, in.From+n)
	}
	return in.To
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
	raw := slices.IndexFunc(o.raw.Groups[i].Instances, func(n cluster.Instance) bool {
		return n.ID == in.Subject.Name() && !strings.HasPrefix(n.Lifecycle, cluster.LifecycleTerminating)
	})
	switch {
	case raw < 0 && o.settled(in):
		return cluster.OutcomeShown
	case k < 0:
		return in.Outcome
	case !old && g.Instances[k].Lifecycle == cluster.LifecycleInService:
		g.Instances[k].Lifecycle = cluster.LifecycleTerminating
		g.Desired--
	}
	return in.Outcome
}

func (o *overlay) group(name string) int {
	return slices.IndexFunc(o.raw.Groups, func(g cluster.HostGroup) bool { return g.Name == name })
}
