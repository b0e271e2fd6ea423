package simcloud

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// ecsOwnELB is the bucket of ECS's own registrations, which take no token of the
// account's. That it is apart is documented, its rates are assumed to be those.
const ecsOwnELB = "ecs own registration"

// ecsELB is what ECS does at ELB for its services.
type ecsELB struct {
	jobs  []*ecsJob // to be done, oldest first
	due   bool      // somebody is about to do them
	tasks map[*lbTarget]*ecsRegistration
}

func newECSELB() ecsELB { return ecsELB{tasks: map[*lbTarget]*ecsRegistration{}} }

// ecsBalance is a service's load balancers, and its tasks in them.
type ecsBalance struct {
	of    []ecsBalancer
	grace time.Duration
	tasks []*ecsBalanced // in order of registration
	byID  map[string]*ecsBalanced
}

// ecsBalancer is one load balancer of a service.
type ecsBalancer struct {
	group     *lbGroup
	container string
	port      int
}

// ecsBalanced is a task that ECS has registered, or is about to.
type ecsBalanced struct {
	task    *ecsTask
	places  []*ecsRegistration
	leaving bool   // ECS deregisters it
	unfit   bool   // unhealthy past its grace
	graced  bool   // the end of its grace will be looked at
	stop    func() // what waits until it has drained
}

// ecsRegistration is a task in one target group.
type ecsRegistration struct {
	of     *ecsBalanced
	group  *lbGroup
	key    lbKey
	target *lbTarget // nil: not yet, or no more
	over   bool      // it was, and is no more, or never will be
}

// ecsJob is a registration, or the end of one, that ECS has yet to ask ELB for.
type ecsJob struct {
	place *ecsRegistration
	leave bool
}

// newBalance reads the load balancers of a service that is to be made.
func (f *fleet) newBalance(in *ecs.CreateServiceInput, d *ecsDefinition) (ecsBalance, error) {
	b := ecsBalance{byID: map[string]*ecsBalanced{}, grace: time.Duration(aws.ToInt32(in.HealthCheckGracePeriodSeconds)) * time.Second}
	if in.HealthCheckGracePeriodSeconds != nil && (len(in.LoadBalancers) == 0 || b.grace < 0) {
		return b, invalidParameter("Health check grace period is only valid for services configured to use load balancers, and not below 0.")
	}
	if len(in.LoadBalancers) > 5 {
		return b, invalidParameter("load balancers can have at most 5 items.")
	}
	for _, l := range in.LoadBalancers {
		if err := onlyMembers(l, "TargetGroupArn", "ContainerName", "ContainerPort"); err != nil {
			return b, err
		}
		one := ecsBalancer{container: aws.ToString(l.ContainerName), port: int(aws.ToInt32(l.ContainerPort))}
		var err error
		if one.group, err = f.elb.group(l.TargetGroupArn); err != nil {
			return b, invalidParameter("The target group %s does not exist.", aws.ToString(l.TargetGroupArn))
		}
		if err := one.fits(d); err != nil {
			return b, err
		}
		b.of = append(b.of, one)
	}
	return b, nil
}

// fits says what keeps ECS from putting tasks of a definition in a group.
func (b ecsBalancer) fits(d *ecsDefinition) error {
	i := slices.IndexFunc(d.containers, func(c ecsContainer) bool { return c.name == b.container })
	switch {
	case b.group.balancer == nil:
		return invalidParameter("The target group with targetGroupArn %s does not have an associated load balancer.", b.group.arn)
	case b.group.kind != elbtypes.TargetTypeEnumInstance:
		return invalidParameter("The provided target group %s has target type %s, which is incompatible with the %s network mode specified in the task definition.", b.group.arn, b.group.kind, d.networkMode)
	case i < 0:
		return invalidParameter("The container %s does not exist in the task definition.", b.container)
	case !slices.ContainsFunc(d.containers[i].ports, func(m ecsMapping) bool { return b.takes(m.container, m.protocol) }):
		return invalidParameter("The container %s did not have a container port %d defined.", b.container, b.port)
	}
	return nil
}

func (b ecsBalancer) takes(port int, protocol types.TransportProtocol) bool {
	return port == b.port && (protocol == types.TransportProtocolUdp) == b.group.udp()
}

// describe gives the service's load balancers.
func (b ecsBalance) describe() []types.LoadBalancer {
	all := []types.LoadBalancer{}
	for _, one := range b.of {
		all = append(all, types.LoadBalancer{TargetGroupArn: aws.String(one.group.arn), ContainerName: aws.String(one.container), ContainerPort: aws.Int32(int32(one.port))})
	}
	return all
}

func (b ecsBalance) describeGrace() *int32 {
	if len(b.of) == 0 {
		return nil
	}
	return aws.Int32(int32(b.grace / time.Second))
}

// find is what ECS has done for a task; nil: nothing.
func (b ecsBalance) find(t *ecsTask) *ecsBalanced { return b.byID[t.id] }

// passed says whether a RUNNING task has passed what its service's health rests
// on: with load balancers all its targets, and its container's check if it has
// one; else time, or that check.
func (t *ecsTask) passed(now time.Time) bool {
	if t.service == nil || len(t.service.balance.of) == 0 {
		return !now.Before(t.healthyFrom)
	}
	if _, checked := t.definition.healthyAfter(0); checked && now.Before(t.healthyFrom) {
		return false
	}
	b := t.service.balance.find(t)
	return b != nil && !slices.ContainsFunc(b.places, func(p *ecsRegistration) bool {
		return p.target == nil || p.target.health(now).state != elbtypes.TargetHealthStateEnumHealthy
	})
}

// unfit says that a task is to be replaced since its targets are unhealthy.
func (b ecsBalance) unfit(t *ecsTask) bool {
	one := b.find(t)
	return one != nil && one.unfit
}

// balanceTasks registers a service's tasks that are RUNNING and deregisters those
// that are not to run any more. It is a part of a scheduling pass.
func (f *fleet) balanceTasks(s *ecsService) {
	if len(s.balance.of) == 0 {
		return
	}
	for _, t := range s.tasks {
		if t.shown() && s.balance.find(t) == nil {
			b := f.newBalanced(t)
			s.balance.tasks, s.balance.byID[t.id] = append(s.balance.tasks, b), b
		}
	}
	for _, b := range s.balance.tasks {
		f.judge(b)
		if !b.leaving && !b.task.wantedToRun() {
			b.leaving = true
			for _, p := range b.places {
				f.leave(p)
			}
		}
	}
	s.balance.forget()
	f.work(0)
}

// forget forgets tasks that are STOPPED and registered nowhere any more.
func (b *ecsBalance) forget() {
	b.tasks = slices.DeleteFunc(b.tasks, func(one *ecsBalanced) bool {
		over := one.leaving && one.over() && one.task.last == statusStopped
		if over {
			delete(b.byID, one.task.id)
		}
		return over
	})
}

// leave ends a registration, which takes a call if it was made.
func (f *fleet) leave(p *ecsRegistration) {
	if p.target == nil {
		p.end()
		return
	}
	f.elb.own.jobs = append(f.elb.own.jobs, &ecsJob{p, true})
}

// newBalanced begins the registration of a task.
func (f *fleet) newBalanced(t *ecsTask) *ecsBalanced {
	b := &ecsBalanced{task: t}
	for _, one := range t.service.balance.of {
		for _, binding := range t.bindings {
			if t.definition.containers[binding.container].name == one.container && one.takes(binding.port, binding.protocol) {
				p := &ecsRegistration{of: b, group: one.group, key: lbKey{t.host.instance.id, binding.host}}
				b.places = append(b.places, p)
				f.elb.own.jobs = append(f.elb.own.jobs, &ecsJob{p, false})
			}
		}
	}
	return b
}

// judge finds out whether a task is to be replaced: it is unhealthy in a group,
// and its grace is over.
func (f *fleet) judge(b *ecsBalanced) {
	t := b.task
	sick := t.shown() && slices.ContainsFunc(b.places, func(p *ecsRegistration) bool {
		return p.target != nil && p.target.health(f.now).state == elbtypes.TargetHealthStateEnumUnhealthy
	})
	end := t.started.Add(t.service.balance.grace)
	b.unfit = sick && !f.now.Before(end)
	if sick && !b.unfit && !b.graced {
		b.graced = true
		f.at(end, func() { f.plan(t.service) })
	}
}

func (b *ecsBalanced) over() bool {
	return !slices.ContainsFunc(b.places, func(p *ecsRegistration) bool { return !p.over })
}

// beforeStop lets a task that the service scheduler stops drain before it gets
// its SIGTERM; every other one gets it at once, and is deregistered after that.
func (f *fleet) beforeStop(t *ecsTask, stop func()) {
	if t.service == nil || t.code != types.TaskStopCodeServiceSchedulerInitiated {
		stop()
		return
	}
	if b := t.service.balance.find(t); b != nil && !b.over() {
		b.stop = stop
		return
	}
	stop()
}

// work lets ECS do its jobs after some time.
func (f *fleet) work(after time.Duration) {
	own := &f.elb.own
	if own.due || len(own.jobs) == 0 {
		return
	}
	own.due = true
	f.after(after, func() {
		own.due = false
		f.doJobs()
	})
}

// doJobs does the jobs, those of one kind in one group by one call, the oldest
// first, as far as there are tokens.
func (f *fleet) doJobs() {
	own := &f.elb.own
	own.jobs = slices.DeleteFunc(own.jobs, func(j *ecsJob) bool { return j.place.over })
	for len(own.jobs) > 0 {
		if !f.take(ecsOwnELB, 1) {
			f.work(f.behaviour.ELB.ECSRetry)
			return
		}
		first := own.jobs[0]
		var now, later []*ecsJob
		for _, j := range own.jobs {
			if j.leave == first.leave && j.place.group == first.place.group && len(now) < f.behaviour.ELB.TargetsPerCall {
				now = append(now, j)
			} else {
				later = append(later, j)
			}
		}
		own.jobs = later
		f.do(now)
	}
}

// do does jobs of one kind in one group. What a quota forbids is tried again
// later.
func (f *fleet) do(jobs []*ecsJob) {
	for _, j := range jobs {
		p := j.place
		switch {
		case j.leave:
			f.leaveGroup(p)
		case p.over:
		case f.mayRegister(p.group, []lbKey{p.key}) != nil:
			f.after(30*time.Second, func() {
				f.elb.own.jobs = append(f.elb.own.jobs, j)
				f.work(0)
			})
		default:
			p.target = f.registerTarget(p.group, p.key)
			f.elb.own.tasks[p.target] = p
		}
	}
}

// leaveGroup deregisters a task's target, if it still is the task's.
func (f *fleet) leaveGroup(p *ecsRegistration) {
	if p.target != nil && p.group.byKey[p.key] == p.target {
		f.deregisterTarget(p.group, p.key)
		return
	}
	p.end()
}

// end notes that a registration is over. A task that waits for its last one gets
// its SIGTERM.
func (p *ecsRegistration) end() {
	p.target, p.over = nil, true
	if stop := p.of.stop; stop != nil && p.of.over() {
		p.of.stop = nil
		if p.of.task.last != statusStopped {
			stop()
		}
	}
}

// drained notes that a target is gone.
func (e *ecsELB) drained(t *lbTarget) {
	if p := e.tasks[t]; p != nil {
		delete(e.tasks, t)
		p.end()
	}
}

// targetChanged lets the scheduler look at the service that a target is of.
func (e *ecsELB) targetChanged(f *fleet, t *lbTarget) {
	if p := e.tasks[t]; p != nil {
		f.plan(p.of.task.service)
	}
}
