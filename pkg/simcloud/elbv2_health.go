package simcloud

import (
	"slices"
	"time"

	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// lbTarget is one registration of a target, from RegisterTargets until it is
// gone. Registered again, it is another one.
type lbTarget struct {
	lbKey
	group      *lbGroup
	instance   *asInstance
	known      bool // the load balancer has it, and checks it
	state      types.TargetHealthStateEnum
	reason     types.TargetHealthReasonEnum
	since      time.Time // it has this state
	good, bad  int       // checks in a row
	slowFrom   time.Time // its slow start; zero: it has none
	draining   bool
	until      time.Time // draining ends, or flows do
	registered time.Time
	sick       bool // it fails all its checks
	gone       bool // replaced, or drained
}

// lbHealth is a target's state with its reason, as ELB tells it.
type lbHealth struct {
	state  types.TargetHealthStateEnum
	reason types.TargetHealthReasonEnum
}

// words is the description that goes with a reason.
func (h lbHealth) words() string {
	switch h.reason {
	case types.TargetHealthReasonEnumRegistrationInProgress:
		return "Target registration is in progress"
	case types.TargetHealthReasonEnumInitialHealthChecking:
		return "Initial health checks in progress"
	case types.TargetHealthReasonEnumResponseCodeMismatch:
		return "Health checks failed with these codes: [503]"
	case types.TargetHealthReasonEnumTimeout:
		return "Request timed out"
	case types.TargetHealthReasonEnumFailedHealthChecks:
		return "Health checks failed"
	case types.TargetHealthReasonEnumNotRegistered:
		return "Target is not registered to the target group"
	case types.TargetHealthReasonEnumNotInUse:
		return "Target group is not configured to receive traffic from the load balancer"
	case types.TargetHealthReasonEnumInvalidState:
		return "Target is in the stopped or terminated state"
	case types.TargetHealthReasonEnumDeregistrationInProgress:
		return "Target deregistration is in progress"
	default:
		return ""
	}
}

// ended says that EC2 shows the target's instance as ended or ending.
func (t *lbTarget) ended() bool {
	s := t.instance.state
	return t.instance.down() && (s == asgtypes.LifecycleStateTerminating || s == asgtypes.LifecycleStateTerminated)
}

// health is the target's state as ELB shows it.
func (t *lbTarget) health(now time.Time) lbHealth {
	switch {
	case t.draining:
		return lbHealth{types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress}
	case t.group.balancer == nil:
		return lbHealth{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumNotInUse}
	case t.ended():
		return lbHealth{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumInvalidState}
	case t.state == types.TargetHealthStateEnumUnhealthy && now.Before(t.since.Add(t.group.linger())):
		return lbHealth{types.TargetHealthStateEnumUnhealthyDraining, t.reason}
	}
	return lbHealth{t.state, t.reason}
}

// linger is how long flows to a target that became unhealthy go on.
func (g *lbGroup) linger() time.Duration {
	if g.network() && g.attribute(attributeTerminate) == "false" {
		return g.seconds(attributeLinger)
	}
	return 0
}

// registerTarget registers a target, or leaves it as it is if it is registered.
func (f *fleet) registerTarget(g *lbGroup, k lbKey) *lbTarget {
	if old := g.byKey[k]; old != nil {
		if !old.draining || !f.behaviour.ELB.RegisterDraining {
			return old
		}
		g.drop(old)
		f.elb.own.drained(old)
	}
	g.late = slices.DeleteFunc(g.late, func(t *lbTarget) bool { return t.lbKey == k })
	t := &lbTarget{lbKey: k, group: g, instance: f.instance(k.id), registered: f.now, sick: f.faults.hits(faultTargetsSick)}
	t.set(f.now, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumRegistrationInProgress)
	g.targets, g.byKey[k] = append(g.targets, t), t
	b := f.behaviour.ELB
	from, to := b.RegisterFrom, b.RegisterTo
	if g.network() {
		from, to = b.NetworkRegisterFrom, b.NetworkRegisterTo
	}
	f.after(f.between("elb registrations", from, to), func() {
		if t.over() {
			return
		}
		t.known = true
		t.set(f.now, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking)
		f.targetChanged(t)
		f.after(f.between("elb checks", 0, g.check.interval), func() { f.check(t) })
	})
	f.targetChanged(t)
	return t
}

func (t *lbTarget) set(now time.Time, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum) {
	t.state, t.reason, t.since = state, reason, now
	t.good, t.bad, t.slowFrom = 0, 0, time.Time{}
}

// over says that nobody checks the target any more.
func (t *lbTarget) over() bool { return t.draining || t.gone }

// drop takes a target out of its group.
func (g *lbGroup) drop(t *lbTarget) {
	t.gone = true
	g.targets = without(g.targets, t)
	delete(g.byKey, t.lbKey)
}

// deregisterTarget lets a target drain, for the whole deregistration delay even
// if it has nothing to do, and be gone then. In a group that is not in use there
// is nothing to drain.
func (f *fleet) deregisterTarget(g *lbGroup, k lbKey) {
	t := g.byKey[k]
	if t == nil || t.draining {
		return
	}
	if tail := f.behaviour.ELB.NetworkTail; g.network() && t.takes() && tail > 0 {
		t.until = f.now.Add(tail)
		g.late = append(g.late, t)
		f.at(t.until, func() { g.late = without(g.late, t) })
	}
	t.draining = true
	delay := g.seconds(attributeDelay)
	if g.balancer == nil || delay == 0 {
		f.drained(t)
		return
	}
	f.targetChanged(t)
	f.after(delay, func() {
		if !t.gone {
			f.drained(t)
		}
	})
}

func (f *fleet) drained(t *lbTarget) {
	t.group.drop(t)
	f.targetChanged(t)
	f.elb.own.drained(t)
}

// takes says whether requests may come to the target: it is healthy, or nothing
// else is.
func (t *lbTarget) takes() bool {
	return t.known && !t.draining && t.group.balancer != nil && !t.ended()
}

// targetChanged tells those who watch.
func (f *fleet) targetChanged(t *lbTarget) {
	f.changed()
	f.elb.own.targetChanged(f, t)
}

// check is one health check: does anything answer on that port now, whoever it
// is? A machine that is down answers nothing until the check's time is over.
func (f *fleet) check(t *lbTarget) {
	if t.over() {
		return
	}
	g := t.group
	f.after(g.check.interval, func() { f.check(t) })
	switch {
	case g.balancer == nil:
		if t.state != types.TargetHealthStateEnumInitial {
			t.set(f.now, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking)
		}
	case t.ended():
		f.forget(t)
	case t.instance.down():
		f.after(g.check.timeout, func() {
			if !t.over() {
				f.failed(t, types.TargetHealthReasonEnumTimeout)
			}
		})
	case !t.answers():
		f.failed(t, types.TargetHealthReasonEnumFailedHealthChecks)
	case f.sick(t):
		f.failed(t, types.TargetHealthReasonEnumResponseCodeMismatch)
	default:
		f.passed(t)
	}
}

// forget drops a target whose instance has ended long enough ago.
func (f *fleet) forget(t *lbTarget) {
	wait := f.behaviour.ELB.ForgetEnded
	if wait > 0 && !t.instance.ended.IsZero() && f.now.Sub(t.instance.ended) >= wait {
		t.group.drop(t)
		f.targetChanged(t)
	}
}

// sick says that what listens there answers checks with an error.
func (f *fleet) sick(t *lbTarget) bool {
	task, _ := t.owner()
	return t.sick || f.taskBehaviour(task.definition).FailsChecks
}

// passed counts a passed check. A new target of an application load balancer
// needs one; every other one as many as the threshold says.
func (f *fleet) passed(t *lbTarget) {
	t.good, t.bad = t.good+1, 0
	enough := t.group.check.healthy
	if t.state == types.TargetHealthStateEnumInitial && !t.group.network() {
		enough = 1
	}
	if t.state == types.TargetHealthStateEnumHealthy || t.good < enough {
		return
	}
	warm := t.group.warm(f.now)
	t.set(f.now, types.TargetHealthStateEnumHealthy, "")
	if warm && t.group.seconds(attributeSlowStart) > 0 {
		t.slowFrom = f.now
	}
	f.targetChanged(t)
}

// warm says whether the group has a healthy target beyond its slow start: else
// new ones have none.
func (g *lbGroup) warm(now time.Time) bool {
	return slices.ContainsFunc(g.targets, func(t *lbTarget) bool { return t.healthy() && t.ramp(now) == 1 })
}

func (t *lbTarget) healthy() bool { return t.takes() && t.state == types.TargetHealthStateEnumHealthy }

// ramp is the share of its requests that a target in slow start gets, 1 beyond.
func (t *lbTarget) ramp(now time.Time) float64 {
	slow := t.group.seconds(attributeSlowStart)
	if t.slowFrom.IsZero() || slow <= 0 {
		return 1
	}
	return min(1, float64(now.Sub(t.slowFrom))/float64(slow))
}

// failed counts a failed check.
func (f *fleet) failed(t *lbTarget, why types.TargetHealthReasonEnum) {
	t.good, t.bad = 0, t.bad+1
	if t.state == types.TargetHealthStateEnumUnhealthy {
		t.reason = why
	} else if t.bad >= t.group.check.unhealthy {
		t.set(f.now, types.TargetHealthStateEnumUnhealthy, why)
		f.targetChanged(t)
	}
}
