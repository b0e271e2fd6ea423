package simcloud

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsService is a REPLICA service with the ECS controller.
type ecsService struct {
	cluster     *ecsCluster
	name, arn   string
	created     time.Time
	desired     int
	minPercent  int
	maxPercent  int
	deployments []*ecsDeployment // newest first: PRIMARY, then those it replaces
	tasks       []*ecsTask       // not STOPPED, in order of creation
	constraints []ecsConstraint
	strategies  []ecsStrategy // as given; see placing
	messages    []ecsMessage  // newest last
	load        *load
	balance     ecsBalance

	planned     bool        // a pass is due at once
	lack        ecsLack     // of room
	wanted      []time.Time // task slots without a task, by when they came to be
	minute      time.Time   // the launch limit's window
	launched    int         // in it
	failures    int         // to start, in a row
	heldUntil   time.Time   // no start before: back-off after failures
	steadySince time.Time   // zero: not steady
}

// ecsLack is a service's want of room on its hosts.
type ecsLack struct {
	since   time.Time // of the first try of this series; zero: none failed
	retryAt time.Time // zero: none is due
	reason  string    // that was told
	told    time.Time
}

type ecsDeployment struct {
	id               string
	definition       *ecsDefinition
	created, updated time.Time
	state            types.DeploymentRolloutState
	failed           int // tasks that did not start
}

type ecsMessage struct {
	at       time.Time
	id, text string
}

// floor is the number of healthy tasks that the scheduler keeps: rounded up.
func (s *ecsService) floor() int { return (s.desired*s.minPercent + 99) / 100 }

// ceiling is the number of tasks that it does not exceed: rounded down.
func (s *ecsService) ceiling() int { return s.desired * s.maxPercent / 100 }

func (s *ecsService) placing() []ecsStrategy {
	if len(s.strategies) == 0 {
		return spreadOverZones()
	}
	return s.strategies
}

func (s *ecsService) group() string { return "service:" + s.name }

// stale says that the service wants another task in this one's place: it is of
// an old deployment, its host is DRAINING, or its load balancers find it unhealthy.
func (s *ecsService) stale(t *ecsTask) bool {
	return t.deployment != s.deployments[0] || t.host.status == statusDraining || s.balance.unfit(t)
}

// census counts a service's tasks as its scheduler sees them.
type census struct {
	fresh, stale []*ecsTask // that are to run
	stopping     int
	running      int // to run and RUNNING
	healthy      int
}

func (f *fleet) census(s *ecsService) census {
	var n census
	for _, t := range s.tasks {
		switch {
		case !t.wantedToRun():
			n.stopping++
			continue
		case s.stale(t):
			n.stale = append(n.stale, t)
		default:
			n.fresh = append(n.fresh, t)
		}
		if t.last == statusRunning {
			n.running++
		}
		if t.healthy(f.now) {
			n.healthy++
		}
	}
	return n
}

// plan asks for a scheduling pass soon; several causes make one.
func (f *fleet) plan(s *ecsService) {
	if s == nil || s.planned {
		return
	}
	s.planned = true
	f.after(f.behaviour.PassDelay, func() {
		s.planned = false
		f.pass(s)
	})
}

// pass is one look of the service scheduler at a service.
func (f *fleet) pass(s *ecsService) {
	f.balanceTasks(s)
	f.stopExtra(s)
	f.startMissing(s)
	f.stopStale(s)
	f.trimSlots(s)
	f.settle(s)
}

// setDesired changes the desired count and notes since when tasks are wanted.
func (f *fleet) setDesired(s *ecsService, n int) {
	for range n - s.desired {
		s.wanted = append(s.wanted, f.now)
	}
	s.desired = n
	f.trimSlots(s)
	f.changed()
}

// trimSlots forgets the newest slots that no task is wanted for any more.
func (f *fleet) trimSlots(s *ecsService) {
	active := 0
	for _, t := range s.tasks {
		if t.wantedToRun() && t.deployment == s.deployments[0] {
			active++
		}
	}
	if open := max(0, s.desired-active); len(s.wanted) > open {
		s.wanted = s.wanted[:open]
	}
}

// giveBackSlot reopens the slot of a task that did not come to run.
func (f *fleet) giveBackSlot(t *ecsTask) {
	if t.service != nil && t.started.IsZero() && !t.wanted.IsZero() {
		t.service.wanted = slices.Insert(t.service.wanted, 0, t.wanted)
	}
}

// stopExtra is scale-in: tasks beyond the desired count stop, those first that
// are not healthy, so that it never takes health below the floor; then in the
// mirror image of placement.
func (f *fleet) stopExtra(s *ecsService) {
	fresh := f.census(s).fresh
	reason := "Scaling activity initiated by deployment " + s.deployments[0].id
	for len(fresh) > s.desired && len(f.unprotected(fresh)) > 0 {
		t := f.victim(s, f.unprotected(fresh))
		fresh = without(fresh, t)
		f.stopTask(t, types.TaskStopCodeServiceSchedulerInitiated, reason)
	}
}

func (f *fleet) victim(s *ecsService, tasks []*ecsTask) *ecsTask {
	best := least(tasks, func(t *ecsTask) int {
		if t.healthy(f.now) {
			return 1
		}
		return 0
	})
	for _, strategy := range s.placing() {
		best = strategy.relieve(best, s.cluster.hosts, s.group())
	}
	return oneAtRandom(f, best)
}

// startMissing starts what the desired count lacks, within the maximum percent,
// the launch limit and the back-off, as far as there is room.
func (f *fleet) startMissing(s *ecsService) {
	n := f.census(s)
	all := len(n.fresh) + len(n.stale)
	if f.behaviour.StoppingCounts {
		all += n.stopping
	}
	missing := s.desired - len(n.fresh)
	if missing <= 0 {
		s.lack = ecsLack{}
	}
	if f.now.Before(s.heldUntil) {
		return
	}
	for range min(missing, s.ceiling()-all) {
		if !f.mayLaunch(s) {
			return
		}
		r := ecsRequest{s.deployments[0].definition, s.group(), s.constraints, s.placing()}
		h, refusal := f.place(s.cluster, r)
		if h == nil {
			f.noRoom(s, refusal)
			return
		}
		t := f.startTask(h, r, s, s.deployments[0].id)
		if len(s.wanted) > 0 {
			t.wanted, s.wanted = s.wanted[0], s.wanted[1:]
		}
		s.launched++
		missing--
	}
	if missing <= 0 {
		s.lack = ecsLack{}
	}
}

// mayLaunch keeps a service's launches within its limit a minute.
func (f *fleet) mayLaunch(s *ecsService) bool {
	if f.now.Sub(s.minute) >= time.Minute {
		s.minute, s.launched = f.now, 0
	}
	if s.launched < f.behaviour.LaunchesPerMinute {
		return true
	}
	f.at(s.minute.Add(time.Minute), func() { f.plan(s) })
	return false
}

// noRoom notes a failed placement and sets the next try: soon at first, then
// rarely. What was told is not told again until it is resolved or hours pass.
func (f *fleet) noRoom(s *ecsService, why ecsRefusal) {
	b, l := f.behaviour, &s.lack
	if l.since.IsZero() {
		l.since = f.now
	}
	if !l.retryAt.After(f.now) {
		wait := b.RetryEvery
		if f.now.Sub(l.since) >= b.RetryFor {
			wait = b.RetryLater
		}
		f.retry(s, f.now.Add(wait))
	}
	if l.told.IsZero() || l.reason != why.reason || f.now.Sub(l.told) >= b.RepeatEvents {
		l.reason, l.told = why.reason, f.now
		f.placementFailed(s, why)
	}
}

func (f *fleet) retry(s *ecsService, at time.Time) {
	s.lack.retryAt = at
	f.at(at, func() {
		if s.lack.retryAt.Equal(at) {
			s.lack.retryAt = time.Time{}
			f.pass(s)
		}
	})
}

// retryAnew begins a new series of tries: an UpdateService does.
func (s *ecsService) retryAnew() {
	s.lack.since, s.lack.retryAt = time.Time{}, time.Time{}
}

// stopStale stops tasks of old deployments and on DRAINING hosts as far as the
// minimum percent allows. In a deployment only what is healthy counts; for a
// draining host a replacement counts as soon as it is RUNNING, unless the service
// has load balancers.
func (f *fleet) stopStale(s *ecsService) {
	n := f.census(s)
	n.stale = f.replaceable(n.stale) // the others are protected
	floor := s.floor()
	sick := func(t *ecsTask) int {
		if t.healthy(f.now) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(n.stale, func(a, b *ecsTask) int { return sick(a) - sick(b) })
	for _, t := range n.stale {
		draining, healthy := t.host.status == statusDraining, t.healthy(f.now)
		switch {
		case t.last == statusPending:
		case draining && len(s.balance.of) == 0:
			if n.running <= floor {
				continue
			}
		case healthy && n.healthy <= floor:
			continue
		}
		if t.last == statusRunning {
			n.running--
		}
		if healthy {
			n.healthy--
		}
		f.stopTask(t, types.TaskStopCodeServiceSchedulerInitiated, staleReason(t, draining))
	}
}

func staleReason(t *ecsTask, draining bool) string {
	if draining {
		return "Task stopped because its container instance is DRAINING"
	}
	if t.service.balance.unfit(t) {
		return "Task failed ELB health checks"
	}
	return "Scaling activity initiated by deployment " + t.service.deployments[0].id
}

// taskStarted notes that a service's task has reached RUNNING.
func (f *fleet) taskStarted(t *ecsTask) {
	s := t.service
	if s == nil {
		return
	}
	if t.deployment == s.deployments[0] {
		s.failures, s.heldUntil = 0, time.Time{}
	}
	if !t.wanted.IsZero() {
		f.waits = append(f.waits, Wait{Cluster: s.cluster.name, Service: s.name, Wanted: t.wanted, Running: f.now})
	}
	f.plan(s)
}

// startFailed backs off: twice as long after each task that did not start.
func (f *fleet) startFailed(t *ecsTask) {
	s := t.service
	if s == nil || t.deployment != s.deployments[0] {
		return
	}
	f.remember("TaskCrashed", t.arn)
	t.deployment.failed++
	s.failures++
	b := f.behaviour
	wait := b.StartBackoff
	for i := 1; i < s.failures && wait < b.StartBackoffMax; i++ {
		wait *= 2
	}
	s.heldUntil = f.now.Add(min(wait, b.StartBackoffMax))
	f.at(s.heldUntil, func() { f.plan(s) })
	if s.failures == b.ImpairedAfter {
		f.serviceAction(s, serviceActionDetail{EventType: "WARN", EventName: "SERVICE_TASK_START_IMPAIRED"}, "is unable to consistently start tasks successfully.")
	}
}

// deploy begins a deployment of the definition.
func (f *fleet) deploy(s *ecsService, d *ecsDefinition) {
	n := &ecsDeployment{id: fmt.Sprintf("ecs-svc/%019d", f.stream("ids").Int64N(1e18)), definition: d, created: f.now, updated: f.now, state: types.DeploymentRolloutStateInProgress}
	s.deployments = append([]*ecsDeployment{n}, s.deployments...)
	s.failures, s.heldUntil, s.steadySince = 0, time.Time{}, time.Time{}
	f.deploymentChanged(s, n, "SERVICE_DEPLOYMENT_IN_PROGRESS", "in progress.")
	f.changed()
}

// settle closes a deployment that is complete and tells of a steady state.
func (f *fleet) settle(s *ecsService) {
	s.deployments = slices.DeleteFunc(s.deployments, func(d *ecsDeployment) bool {
		return d != s.deployments[0] && !slices.ContainsFunc(s.tasks, func(t *ecsTask) bool { return t.deployment == d })
	})
	n := f.census(s)
	if len(s.deployments) > 1 || len(n.stale) > 0 || n.stopping > 0 || len(n.fresh) != s.desired || n.healthy != s.desired {
		s.steadySince = time.Time{}
		return
	}
	if d := s.deployments[0]; d.state != types.DeploymentRolloutStateCompleted {
		d.state, d.updated = types.DeploymentRolloutStateCompleted, f.now
		f.deploymentChanged(s, d, "SERVICE_DEPLOYMENT_COMPLETED", "completed.")
	}
	if s.steadySince.IsZero() {
		s.steadySince = f.now
		f.steady(s, f.now)
	}
}

// steady tells of a steady state, and again after hours as long as it lasts.
func (f *fleet) steady(s *ecsService, since time.Time) {
	if !s.steadySince.Equal(since) {
		return
	}
	f.serviceAction(s, serviceActionDetail{EventType: "INFO", EventName: "SERVICE_STEADY_STATE"}, "has reached a steady state.")
	f.after(f.behaviour.RepeatEvents, func() { f.steady(s, since) })
}
