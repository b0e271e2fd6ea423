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

// staleWorld shows the planner what was true up to a minute ago. Calls check
// their precondition on the truth, and their intents are kept.
type staleWorld struct {
	*world
	past    []cluster.State
	intents []cluster.Intent
	serial  int
}

func snapshot(s cluster.State) cluster.State {
	s.Groups, s.Hosts = slices.Clone(s.Groups), slices.Clone(s.Hosts)
	s.Services, s.Tasks = slices.Clone(s.Services), slices.Clone(s.Tasks)
	for i := range s.Groups {
		s.Groups[i].Instances = slices.Clone(s.Groups[i].Instances)
	}
	return s
}

// round plans on the state of so many steps ago.
func (w *staleWorld) round(steps int) {
	w.past = append(w.past, snapshot(w.s))
	s := snapshot(w.past[max(0, len(w.past)-1-steps)])
	s.Now, s.Memory, s.Metrics, s.Intents = w.s.Now, w.s.Memory, w.s.Metrics, w.intents
	s, _ = Overlay(s)
	plan := Cluster(s, w.p)
	w.intents = slices.DeleteFunc(slices.Clone(s.Intents), func(i cluster.Intent) bool { return !i.Open() })
	w.acted = 0
	for _, c := range plan.Actions() {
		w.acted++
		w.serial++
		in := cluster.Intent{ID: fmt.Sprint(w.serial), Change: c, At: w.s.Now, Outcome: cluster.OutcomeApplied}
		if in.Instances = w.try(c); in.Instances != nil || c.Verb != cluster.LaunchHosts {
			w.intents = append(w.intents, in)
		}
	}
	w.s.Memory = plan.Memory
}

// try does what still may be done.
func (w *staleWorld) try(c cluster.Change) []string {
	switch c.Verb {
	case cluster.SetDesiredCount:
		for i := range w.s.Services {
			if v := &w.s.Services[i]; v.Name == c.Subject.Name() && v.Desired == c.From {
				v.Desired = c.To
			}
		}
	case cluster.LaunchHosts:
		g := w.group(c.Subject.Name())
		before := len(g.Instances)
		c.From, c.To = g.Desired, g.Desired+c.To-c.From
		w.launch(c)
		var ids []string
		for _, in := range w.group(c.Subject.Name()).Instances[before:] {
			ids = append(ids, in.ID)
		}
		return ids
	case cluster.TerminateHost:
		in := slices.IndexFunc(w.s.Hosts, func(h cluster.Host) bool { return h.ID == c.Subject.Name() && h.Empty() })
		if in >= 0 {
			w.terminate(c)
		}
	default:
		status := map[cluster.Verb]cluster.HostStatus{cluster.DrainHost: cluster.HostDraining, cluster.ActivateHost: cluster.HostActive}[c.Verb]
		for i := range w.s.Hosts {
			if w.s.Hosts[i].ARN == c.Host {
				w.s.Hosts[i].Status = status
			}
		}
	}
	return nil
}

// TestStaleReads lets the load change at random while reads are up to a minute
// old. The group never grows beyond its maximum, and when the load rests every
// task has its place, no empty host is left and nothing is done any more.
func TestStaleReads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := policy.Policy{
			Hosts:    []policy.HostGroup{groupRules("small", 0, 8)},
			Services: map[string]policy.Service{"web": rules(0, 20)},
		}
		p.Hosts[0].Offers = &policy.Offers{CPU: 2048, Memory: 4096}
		w := &staleWorld{world: newWorld(t, p)}
		w.lastFit = rapid.Bool().Draw(rt, "places on the last host")
		w.service("web", 0, 0, 200, of(1024, 2048))
		load := 0
		for i := range 40 {
			if i%4 == 0 {
				load = rapid.IntRange(0, 12).Draw(rt, "load")
			}
			w.load["web"] = float64(load)
			w.count()
			w.round(rapid.IntRange(0, 3).Draw(rt, "reads are steps old"))
			w.tick()
		}
		quiet := 0
		for range 100 {
			w.round(0)
			if quiet++; w.acted > 0 {
				quiet = 0
			}
			w.tick()
		}
		if got := w.tasks("web", cluster.TaskRunning); got != load || quiet < 15 {
			rt.Fatalf("%d tasks run for a load of %d, quiet for %d rounds", got, load, quiet)
		}
		if n := len(w.s.Hosts); n > load {
			rt.Fatalf("%d hosts for %d tasks", n, load)
		}
	})
}

// TestAnyStateGivesASafePlan: whatever the state looks like, planning does not
// fail, nothing is set outside the policy's bounds, and nothing is changed that
// the policy does not name.
func TestAnyStateGivesASafePlan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, p := anyState(rt), anyPolicy(rt)
		s, _ = Overlay(s)
		plan := Cluster(s, p)
		for _, c := range plan.Actions() {
			if broken := outside(c, p); broken != "" {
				rt.Fatalf("%+v: %s", c, broken)
			}
		}
		for _, d := range plan.Decisions {
			if d.Reason == HostsSuffice && number(d, "unplaced") > 0 {
				rt.Fatalf("%+v", d)
			}
		}
		if !plan.Next.IsZero() && (!plan.Next.After(s.Now) || plan.Next.Sub(s.Now) >= sweep) {
			rt.Fatalf("look again in %s", plan.Next.Sub(s.Now))
		}
	})
}

func outside(c cluster.Change, p policy.Policy) string {
	if c.Verb == cluster.SetDesiredCount {
		v, named := p.Services[c.Subject.Name()]
		if !named || v.Tasks == nil || c.To < v.Tasks.Min || c.To > v.Tasks.Max {
			return "not within a policy of the service"
		}
		return ""
	}
	group := c.Group
	if c.Verb == cluster.LaunchHosts {
		group = c.Subject.Name()
	}
	i := slices.IndexFunc(p.Hosts, func(h policy.HostGroup) bool { return h.Group == group })
	switch {
	case i < 0:
		return "no group of the policy"
	case c.Verb == cluster.LaunchHosts && (c.To <= c.From || c.To > p.Hosts[i].Max || c.To-c.From > 100):
		return "not a launch within the maximum"
	case c.Verb == cluster.TerminateHost && c.To < p.Hosts[i].Min:
		return "below the minimum"
	}
	return ""
}

func anyPolicy(rt *rapid.T) policy.Policy {
	p := policy.Policy{Services: map[string]policy.Service{}}
	for _, name := range []string{"one", "two"} {
		if rapid.Bool().Draw(rt, "group is named") {
			h := groupRules(name, rapid.IntRange(0, 2).Draw(rt, "min"), rapid.IntRange(2, 4).Draw(rt, "max"))
			if rapid.Bool().Draw(rt, "offers") {
				h.Offers = &policy.Offers{CPU: 2048, Memory: 4096}
			}
			p.Hosts = append(p.Hosts, h)
		}
	}
	for _, name := range []string{"web", "api"} {
		v := rules(rapid.IntRange(0, 2).Draw(rt, "least"), rapid.IntRange(2, 9).Draw(rt, "most"))
		if rapid.IntRange(0, 4).Draw(rt, "no bounds") == 0 {
			v.Tasks = nil
		}
		p.Services[name] = v
	}
	return p.Defaulted()
}

func anyState(rt *rapid.T) cluster.State {
	s := cluster.State{
		Now: noon(), Revisions: map[string]cluster.Revision{"r": {ARN: "r", Needs: of(1024, 512)}, "q": {ARN: "q", Needs: of(4096, 512)}},
		Metrics: map[string]cluster.Series{}, Memory: cluster.Memory{Hosts: map[string]cluster.HostMemory{}},
	}
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, what) }
	small := func(what string) int { return rapid.IntRange(0, 4).Draw(rt, what) }
	for _, name := range []string{"one", "two"} {
		g := cluster.HostGroup{Name: name, Min: small("own min"), Max: 9, Desired: small("capacity"), SteeredBy: pick("steered", "", "", "x")}
		g.Zones = []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(rt, "zones")]
		for i := range small("instances") {
			id := fmt.Sprintf("i-%s%d", name, i)
			g.Instances = append(g.Instances, cluster.Instance{
				ID: id, Zone: "a", Lifecycle: pick("lifecycle", "Pending", "InService", "InService", "Terminating:Wait", "Standby"), Protected: small("protected") == 0,
			})
			if rapid.Bool().Draw(rt, "registered") {
				s.Hosts = append(s.Hosts, cluster.Host{
					ARN: "host/" + id, ID: id, Group: name, Zone: "a", Registered: of(2048, 4096), Remaining: of(1024*(small("left")/2), 4096),
					Status: cluster.HostStatus(pick("status", "ACTIVE", "ACTIVE", "DRAINING")), AgentConnected: small("agent") > 0, Running: small("tasks") / 2,
				})
			}
			s.Memory.Hosts[id] = cluster.HostMemory{EmptySince: noon().Add(-time.Hour), DrainedAt: noon().Add(-time.Duration(small("drained")) * time.Hour)}
		}
		s.Groups = append(s.Groups, g)
	}
	for _, name := range []string{"api", "web"} {
		v := cluster.Service{
			Name: name, Controller: pick("controller", "ECS", "ECS", "EXTERNAL"), Scheduling: pick("scheduling", "REPLICA", "REPLICA", "DAEMON"),
			Desired: 2 * small("desired"), Running: small("running"), Revision: pick("revision", "r", "q", "unread"),
			MinimumHealthyPercent: 50 * small("minimum") / 2, MaximumPercent: 50 * small("maximum"),
			Deployments: make([]cluster.Deployment, 1+small("deployments")/4),
		}
		s.Services = append(s.Services, v)
		for range small("points") {
			key := rules(0, 1).Scale[0].Key(name)
			s.Metrics[key] = append(s.Metrics[key], cluster.Point{At: noon().Add(-90 * time.Second), Value: float64(3*small("value") - 1)})
		}
	}
	for i := range small("intents") {
		s.Intents = append(s.Intents, cluster.Intent{
			ID: fmt.Sprint(i), At: noon(), Change: cluster.Change{
				Verb:    cluster.Verb(pick("verb", "SetDesiredCount", "LaunchHosts", "DrainHost", "TerminateHost")),
				Subject: cluster.Subject(pick("subject", "service/web", "group/one", "host/i-one0")), From: small("from"), To: small("to"),
				Group: "one", Host: "host/i-one0", Zone: "a",
			},
			Outcome: cluster.Outcome(pick("outcome", "", "applied", "refused")), Detail: capacityDetail,
		})
	}
	return s
}
