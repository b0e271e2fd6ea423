package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// frontStep is how often targets are looked at.
const frontStep = time.Second

// S3's bounds on how long a target may stand for a task that does not run any
// more: with events, and by the sweep alone.
const (
	goneWithEvents = 10 * time.Second
	goneBySweep    = 180 * time.Second
)

// fronts is what the monitors know of targets that stand for nobody.
type fronts struct {
	since map[spot]time.Time // by target: since when it stands for nobody, as ECS shows it
	told  map[spot]bool      // of those: a violation was told
	over  []time.Duration    // how long those took that are gone
	worst time.Duration      // the longest since the last sample of the run
	turns map[string]*turns  // by key: who has changed its targets
}

// spot is a target.
type spot struct {
	group, instance string
	port            int
}

func newFronts() fronts {
	return fronts{since: map[spot]time.Time{}, told: map[spot]bool{}, turns: map[string]*turns{}}
}

// sampleFronts is the second half of S3: a target whose task was told to stop, or
// has ended, or whose port is another's, is gone in time. Time runs from when ECS
// knows: before, nobody could.
func (m *monitors) sampleFronts() {
	now, tasks := m.world.cloud.Now(), m.tasks()
	seen := map[spot]bool{}
	for _, v := range m.world.cloud.World().Targets() {
		owner := m.exposer(v.TargetGroup)
		at := spot{v.TargetGroup, v.Instance, v.Port}
		if owner == "" || v.State == string(elbtypes.TargetHealthStateEnumDraining) || standsFor(v, owner, tasks) {
			continue
		}
		seen[at] = true
		m.stale(at, now)
	}
	for at, since := range m.fronts.since {
		if !seen[at] {
			m.fronts.over = append(m.fronts.over, now.Sub(since))
			delete(m.fronts.since, at)
			delete(m.fronts.told, at)
		}
	}
}

// stale notes that a target stands for nobody at a time.
func (m *monitors) stale(at spot, now time.Time) {
	f := &m.fronts
	if f.since[at].IsZero() {
		f.since[at] = now
	}
	age := now.Sub(f.since[at])
	f.worst = max(f.worst, age)
	if bound := m.world.goneWithin(f.since[at], now); bound > 0 && age > bound && !f.told[at] {
		f.told[at] = true
		m.record(Violation{Promise: "S3", At: now, Subject: "targets/" + m.targetGroup(at.group), Detail: fmt.Sprintf("the target %s:%d stands for nobody since %s, longer than %s", at.instance, at.port, clock(f.since[at]), bound)})
	}
}

// tasked is a task of a service.
type tasked struct {
	service string
	toRun   bool      // ECS has not told it to stop
	started time.Time // zero: it is not RUNNING yet
}

// tasks are those of services, by ARN, with those that are told to stop.
func (m *monitors) tasks() map[string]tasked {
	all := map[string]tasked{}
	for _, v := range m.world.cloud.World().Services(true) {
		for _, t := range v.Tasks {
			all[t.ARN] = tasked{v.Name, t.Desired == string(cluster.TaskRunning), t.Started}
		}
	}
	return all
}

// standsFor says whether a target stands for a task of the one that it is for. Of
// tasks that no service started it is not told whether they were told to stop.
func standsFor(v simcloud.TargetView, owner string, tasks map[string]tasked) bool {
	service, ofService := strings.CutPrefix(v.TaskGroup, "service:")
	if !ofService {
		return v.Task != ""
	}
	return service == owner && tasks[v.Task].service == owner && tasks[v.Task].toRun
}

// targetGroup is the name of a target group of the scenario; empty: it has none
// with that ARN.
func (m *monitors) targetGroup(arn string) string {
	for name, is := range m.world.targets {
		if is == arn {
			return name
		}
	}
	return ""
}

// exposer is the name in the policy that a target group is for; empty: none is.
func (m *monitors) exposer(arn string) string {
	group := m.targetGroup(arn)
	for _, name := range m.policy.Registered() {
		for _, e := range m.policy.EndpointsOf(name) {
			if group != "" && e.TargetGroup == group {
				return name
			}
		}
	}
	return ""
}

// despite is the bound on a target that stands for nobody while a fault is on; 0:
// with it there is none. Events that come twice change nothing; without them, or
// with those that come minutes late, the sweep is left.
func despite(fault string) time.Duration {
	switch fault {
	case "event-doubled":
		return goneWithEvents
	case "event-lost", "event-reordered":
		return goneBySweep
	default:
		return 0
	}
}

// settled is how long after faults that leave no bound there is none on
// targets still: a lease that nobody gave back runs out first.
const settled = 10 * time.Minute

// goneWithin is the bound on a target that stands for nobody since a time; 0: with
// the faults that are on there is none.
func (w *world) goneWithin(since, now time.Time) time.Duration {
	bounds := []time.Duration{goneWithEvents}
	for name, rate := range w.always {
		if rate > 0 {
			bounds = append(bounds, despite(name))
		}
	}
	for _, f := range w.Faults {
		from, until := w.Start.Add(f.From.Duration), w.Start.Add(f.Until.Duration)
		if f.Until.Duration == 0 {
			until = w.Start.Add(w.Length.Duration)
		}
		after := settled
		if despite(f.Name) > 0 {
			after = goneBySweep
		}
		if f.rate() > 0 && !now.Before(from) && since.Before(until.Add(after)) {
			bounds = append(bounds, despite(f.Name))
		}
	}
	if slices.Contains(bounds, 0) {
		return 0
	}
	return slices.Max(bounds)
}

// fronting judges a call of register's: it has its intent (S4) and its lease (S5),
// nothing that it registers answers for another's task (S3), and nothing that it
// takes off is of a task that runs (S1). At rest there is none (L2), and none takes
// anything off after a look at ECS that was not whole (S10).
func (m *monitors) fronting(i *invocation, c simcloud.Call) {
	if wrong := m.reached(i, c.Input); wrong != "" {
		m.broken("S4", c, i.key, fmt.Sprintf("%s is called and %s", c.Action, wrong))
	}
	if wrong := i.ledger.unleased(m.lease(i.key), c.At.Add(c.Skew)); wrong != "" {
		m.broken("S5", c, i.key, fmt.Sprintf("%s is called and %s", c.Action, wrong))
	}
	if m.fronts.turns[i.key] == nil {
		m.fronts.turns[i.key] = &turns{}
	}
	if after, again := m.fronts.turns[i.key].take(i.id); again {
		m.broken("S5", c, i.key, fmt.Sprintf("%s is called by an invocation that began to change targets before invocation %d did, which has changed them since: they interleave", c.Action, after))
	}
	if m.world.resting(c.At) {
		m.broken("L2", c, i.key, fmt.Sprintf("%s in the last %s of a calm, when all should be quiet", c.Action, restFor))
	}
	switch in := c.Input.(type) {
	case *elb.RegisterTargetsInput:
		m.registering(c, in)
	case *elb.DeregisterTargetsInput:
		m.deregistering(i, c, in)
		if len(i.unread) > 0 {
			m.broken("S10", c, i.key, fmt.Sprintf("%s takes something away in a round whose look was not whole: %s", c.Action, i.unread[0].says))
		}
	}
}

// reached is S4 of a call of register's: an open intent is for it, written by this
// invocation, with its decision, and for this call alone.
func (m *monitors) reached(i *invocation, input any) (wrong string) {
	place, verb, ports := asked(input)
	wrong = "none of the open intents in the table is for it"
	for _, x := range m.itemsOf(i.key, openItems) {
		var intent cluster.Intent
		if json.Unmarshal([]byte(text(x, "intent")), &intent) != nil || intent.Verb != verb || intent.Reaches == nil || place != intent.Reaches.Group+intent.Reaches.Registry {
			continue
		}
		if !covers(intent.Reaches.Ports, ports) {
			continue
		}
		if wrong = i.ledger.unsound(x, intent); wrong == "" {
			i.ledger.used[text(x, "sk")] = true
			return ""
		}
	}
	return wrong
}

// asked reads a call of register's: where, what, and which host ports, as
// INSTANCE:PORT; an instance of Cloud Map has none.
func asked(input any) (place string, verb cluster.Verb, ports []string) {
	all := func(targets []elbtypes.TargetDescription) []string {
		for _, t := range targets {
			ports = append(ports, targetName(t))
		}
		return ports
	}
	switch in := input.(type) {
	case *elb.RegisterTargetsInput:
		return aws.ToString(in.TargetGroupArn), cluster.RegisterTargets, all(in.Targets)
	case *elb.DeregisterTargetsInput:
		return aws.ToString(in.TargetGroupArn), cluster.DeregisterTargets, all(in.Targets)
	case *sd.RegisterInstanceInput:
		return aws.ToString(in.ServiceId), cluster.RegisterInstance, nil
	case *sd.DeregisterInstanceInput:
		return aws.ToString(in.ServiceId), cluster.DeregisterInstance, nil
	}
	return "", "", nil
}

// targetName is a target as INSTANCE:PORT.
func targetName(t elbtypes.TargetDescription) string {
	return fmt.Sprintf("%s:%d", aws.ToString(t.Id), aws.ToInt32(t.Port))
}

// covers says whether an intent has all the ports of a call: some may be left out
// right before it.
func covers(noted []cluster.HostPort, called []string) bool {
	return !slices.ContainsFunc(called, func(port string) bool {
		return !slices.ContainsFunc(noted, func(p cluster.HostPort) bool { return fmt.Sprintf("%s:%d", p.Instance, p.Port) == port })
	})
}

// registering is the first half of S3: also a task that is told to stop and holds
// itself open answers for its own service. Where reads may be a minute old it is
// only counted.
func (m *monitors) registering(c simcloud.Call, in *elb.RegisterTargetsInput) {
	group := aws.ToString(in.TargetGroupArn)
	owner := m.exposer(group)
	if owner == "" {
		return // S8 says so
	}
	for _, t := range in.Targets {
		x, answers := m.answering(t)
		switch {
		case !answers || x.service == owner:
		case m.reach > 0: // by a read that may be a minute old
			m.races++
		default:
			m.broken("S3", c, "targets/"+m.targetGroup(group), fmt.Sprintf("%s is registered for %s, and a task of %s answers there", targetName(t), owner, x.service))
		}
	}
}

// deregistering is S1 of a target: the task of its service that answers there was
// RUNNING before the round began to look, and nobody has told it to stop. A task
// that came since is the world's doing, and only counted, as all is where reads may
// be a minute old.
func (m *monitors) deregistering(i *invocation, c simcloud.Call, in *elb.DeregisterTargetsInput) {
	group := aws.ToString(in.TargetGroupArn)
	owner := m.exposer(group)
	for _, t := range in.Targets {
		x, answers := m.answering(t)
		switch {
		case owner == "" || !answers || x.service != owner || !x.toRun || x.started.IsZero() || !m.stands(group, t):
		case m.reach > 0 || !x.started.Before(i.seen):
			m.races++
		default:
			m.broken("S1", c, "targets/"+m.targetGroup(group), fmt.Sprintf("%s is taken off, and a task of %s answers there that runs and is to run", targetName(t), owner))
		}
	}
}

// stands says whether a target is in its group: to take off one that is not takes
// nothing.
func (m *monitors) stands(group string, t elbtypes.TargetDescription) bool {
	return slices.ContainsFunc(m.world.cloud.World().Targets(), func(v simcloud.TargetView) bool {
		return v.TargetGroup == group && v.Instance == aws.ToString(t.Id) && v.Port == int(aws.ToInt32(t.Port)) && v.State != string(elbtypes.TargetHealthStateEnumDraining)
	})
}

// answering is the task of a service that answers at a target now. The host ports
// of all services of a scenario are TCP's.
func (m *monitors) answering(t elbtypes.TargetDescription) (tasked, bool) {
	arn, _, answers := m.world.cloud.World().Answers(aws.ToString(t.Id), int(aws.ToInt32(t.Port)), ecstypes.TransportProtocolTcp)
	if !answers {
		return tasked{}, false
	}
	x, ofService := m.tasks()[arn]
	return x, ofService
}

// foreignFront is S8 of register's calls: it says what outside of the policy one is
// about, or that it is none of these calls.
func (m *monitors) foreignFront(input any) string {
	group := ""
	switch in := input.(type) {
	case *elb.RegisterTargetsInput:
		group = aws.ToString(in.TargetGroupArn)
	case *elb.DeregisterTargetsInput:
		group = aws.ToString(in.TargetGroupArn)
	case *sd.RegisterInstanceInput:
		return m.foreignRegistry(aws.ToString(in.ServiceId))
	case *sd.DeregisterInstanceInput:
		return m.foreignRegistry(aws.ToString(in.ServiceId))
	default:
		return fmt.Sprintf("a call with the input %T is none that the controller makes", input)
	}
	if m.exposer(group) == "" {
		return fmt.Sprintf("it is about the target group %s, which the policy does not name", group)
	}
	return ""
}

// foreignRegistry says that the policy does not name a Cloud Map service by its id.
// A scenario has none by name.
func (m *monitors) foreignRegistry(id string) string {
	if !m.policy.HasRegistry(id) {
		return fmt.Sprintf("it is about the Cloud Map service %s, which the policy does not name", id)
	}
	return ""
}

// gone tells how long targets stood for nobody, and gives the last sample what came
// after it: a run may end within a minute.
func (m *monitors) gone(r *Result) {
	if n := len(r.Samples); n > 0 {
		r.Samples[n-1].Stale = max(r.Samples[n-1].Stale, m.fronts.worst)
	}
	var seconds []float64
	for _, d := range m.fronts.over {
		seconds = append(seconds, d.Seconds())
	}
	r.TargetsGone, r.TargetsGoneP95, r.TargetsGoneLast = len(seconds), percentile(seconds, 0.95), percentile(seconds, 1)
}

// targetsLeft are the targets that stand for nobody, and the RUNNING tasks that
// have none, in the target groups of the policy.
func (m *monitors) targetsLeft() []string {
	var left []string
	tasks, have := m.tasks(), map[string]int{}
	for _, v := range m.world.cloud.World().Targets() {
		owner := m.exposer(v.TargetGroup)
		switch {
		case owner == "" || v.State == string(elbtypes.TargetHealthStateEnumDraining):
		case standsFor(v, owner, tasks):
			have[m.targetGroup(v.TargetGroup)]++
		default:
			left = append(left, fmt.Sprintf("the target %s:%d of %s stands for nobody", v.Instance, v.Port, m.targetGroup(v.TargetGroup)))
		}
	}
	for _, v := range m.world.cloud.World().Services(false) {
		for _, e := range m.policy.EndpointsOf(v.Name) {
			if e.TargetGroup != "" && have[e.TargetGroup] != v.Running {
				left = append(left, fmt.Sprintf("%d tasks of %s run, and %s has targets for %d", v.Running, v.Name, e.TargetGroup, have[e.TargetGroup]))
			}
		}
	}
	return left
}
