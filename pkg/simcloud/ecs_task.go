package simcloud

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsTask is a task. Its host holds its resources from its creation until it is
// STOPPED.
type ecsTask struct {
	id, arn    string
	cluster    *ecsCluster
	service    *ecsService // nil: standalone
	deployment *ecsDeployment
	definition *ecsDefinition
	host       *ecsHost
	group      string
	startedBy  string
	container  []string // ids of the containers

	last, desired       string
	version             int64
	created             time.Time
	pullFrom, pullTo    time.Time
	started             time.Time
	stopping, stopped   time.Time
	signalled           time.Time // SIGTERM
	ended               time.Time // execution
	healthyFrom         time.Time // set once RUNNING
	healthChecked       bool      // a container health check has passed
	code                types.TaskStopCode
	reason              string
	parts               []ecsPart // its containers
	noIPv6              bool      // its bindings have no IPv6 row
	protectedUntil      time.Time // from scale-in; zero or past: it is not
	bindings            []ecsBinding
	ports               []ecsPort // dynamic ones among the bindings
	wanted              time.Time // when its service first lacked it; zero: it replaces another
	updated, connection time.Time
}

type ecsBinding struct {
	container int // index in the definition
	port      int // of the container
	host      int
	protocol  types.TransportProtocol
}

// wantedToRun says that nobody has told the task to stop.
func (t *ecsTask) wantedToRun() bool { return t.desired == statusRunning }

// healthy is ECS's view: RUNNING for long enough, or its health check passed.
func (t *ecsTask) healthy(now time.Time) bool {
	return t.last == statusRunning && t.wantedToRun() && t.passed(now)
}

func countTasks(tasks []*ecsTask, last string) int {
	n := 0
	for _, t := range tasks {
		if t.last == last {
			n++
		}
	}
	return n
}

// startTask puts a task on a host.
func (f *fleet) startTask(h *ecsHost, r ecsRequest, s *ecsService, startedBy string) *ecsTask {
	f.tasksMade++
	id := f.id(32)
	t := &ecsTask{
		id: id, arn: f.arn("ecs", "task/"+h.cluster.name+"/"+id), cluster: h.cluster, service: s,
		definition: r.definition, host: h, group: r.group, startedBy: startedBy,
		last: statusPending, desired: statusRunning, created: f.now, connection: f.now, parts: make([]ecsPart, len(r.definition.containers)),
	}
	for range t.definition.containers {
		t.container = append(t.container, f.id(36))
	}
	if s != nil {
		t.deployment = s.deployments[0]
		s.tasks = append(s.tasks, t)
	}
	h.cluster.tasks = append(h.cluster.tasks, t)
	h.cluster.taskByID[t.id] = t
	h.tasks = append(h.tasks, t)
	h.byGroup[t.group]++
	h.freeCPU -= t.definition.cpu
	h.freeMemory -= t.definition.memory
	for _, p := range t.definition.static() {
		h.static[p] = true
	}
	f.taskChanged(t)
	f.hostChanged(h)
	f.after(f.startTime(t), func() { f.byAgent(h, func() { f.taskUp(t) }) })
	return t
}

// startTime draws how long the task is PENDING: less if the host has the image.
func (f *fleet) startTime(t *ecsTask) time.Duration {
	d := f.draw("task starts", f.taskBehaviour(t.definition).Start)
	image := t.definition.containers[0].image
	if t.host.images[image] {
		return time.Duration(float64(d) * f.behaviour.CachedStart)
	}
	return d
}

// taskUp makes a task RUNNING, or ends it if it cannot be.
func (f *fleet) taskUp(t *ecsTask) {
	if t.last != statusPending || !t.wantedToRun() || t.host.dead {
		return
	}
	if f.taskBehaviour(t.definition).CannotStart {
		f.failStart(t, "CannotPullContainerError: image not found")
		return
	}
	if !t.bind() {
		f.failStart(t, "CannotStartContainerError: no free host port")
		return
	}
	t.last, t.started = statusRunning, f.now
	t.noIPv6 = !f.behaviour.IPv6Bindings
	f.partsUp(t)
	t.pullFrom, t.pullTo = t.created.Add(f.now.Sub(t.created)/8), t.created.Add(f.now.Sub(t.created)*3/4)
	for _, c := range t.definition.containers {
		t.host.images[c.image] = true
	}
	wait, checked := t.definition.healthyAfter(f.behaviour.HealthyAfter)
	t.healthyFrom = f.now.Add(wait)
	f.taskChanged(t)
	f.loadChanged(t.service)
	f.taskStarted(t)
	f.after(wait, func() { f.taskHealthy(t, checked) })
}

// bind assigns the task's host ports; false means that none is free.
func (t *ecsTask) bind() bool {
	for i, c := range t.definition.containers {
		for _, m := range c.ports {
			host := m.host
			if host == 0 {
				n, ok := t.host.nextPort(m.protocol)
				if !ok {
					return false
				}
				host = n
				t.ports = append(t.ports, ecsPort{n, m.protocol})
				t.host.dynamic[ecsPort{n, m.protocol}] = true
			}
			t.bindings = append(t.bindings, ecsBinding{i, m.container, host, m.protocol})
		}
	}
	return true
}

func (f *fleet) taskHealthy(t *ecsTask, checked bool) {
	if t.last != statusRunning || !t.wantedToRun() {
		return
	}
	if checked {
		t.healthChecked = true
		f.taskChanged(t)
	} else {
		f.changed()
	}
	f.plan(t.service)
}

// failStart ends a task that never was RUNNING.
func (f *fleet) failStart(t *ecsTask, reason string) {
	f.unwant(t)
	t.code, t.reason, t.stopping, t.ended = types.TaskStopCodeTaskFailedToStart, reason, f.now, f.now
	f.endTask(t)
	f.startFailed(t)
}

// unwant sets the desired status to STOPPED.
func (f *fleet) unwant(t *ecsTask) {
	t.desired = statusStopped
	t.host.byGroup[t.group]--
	f.giveBackSlot(t)
}

// stopTask tells a task to stop. Its containers get SIGTERM and end in their
// time; one that is PENDING has none yet and ends at once.
func (f *fleet) stopTask(t *ecsTask, code types.TaskStopCode, reason string) {
	if !t.wantedToRun() {
		return
	}
	f.unwant(t)
	t.code, t.reason, t.stopping = code, reason, f.now
	f.taskChanged(t)
	f.loadChanged(t.service)
	f.plan(t.service)
	f.beforeStop(t, func() { f.byAgent(t.host, func() { f.terminate(t) }) })
}

// terminate is what the agent does with a task that is to stop.
func (f *fleet) terminate(t *ecsTask) {
	t.signalled = f.now
	if t.last == statusPending {
		f.endAfter(t, f.between("task stops", 200*time.Millisecond, time.Second))
		return
	}
	f.after(f.between("task stops", 100*time.Millisecond, 400*time.Millisecond), func() {
		if t.last == statusRunning && t.host.connected {
			t.last = statusStopping
			f.taskChanged(t)
		}
	})
	f.endAfter(t, max(f.shutDown(t), 500*time.Millisecond))
}

func (f *fleet) endAfter(t *ecsTask, d time.Duration) {
	f.after(d, func() {
		if t.ended.IsZero() {
			t.ended = f.now
		}
		f.byAgent(t.host, func() { f.endTask(t) })
	})
}

// crash ends a task from inside: an essential container exits, and the agent
// stops the others.
func (f *fleet) crash(t *ecsTask) {
	if !t.serving() {
		return
	}
	f.remember("TaskCrashed", t.arn)
	t.ended = f.now
	f.fail(t)
	f.byAgent(t.host, func() {
		if !t.wantedToRun() {
			return
		}
		f.unwant(t)
		t.parts[t.definition.essential()].told = true
		t.code, t.reason, t.stopping = types.TaskStopCodeEssentialContainerExited, "Essential container in task exited", f.now
		f.taskChanged(t)
		f.loadChanged(t.service)
		f.plan(t.service)
		soonest := f.between("task stops", 200*time.Millisecond, time.Second)
		f.endAfter(t, max(soonest, f.shutDown(t)))
	})
	f.loadChanged(t.service)
}

// endTask makes a task STOPPED and gives its resources back.
func (f *fleet) endTask(t *ecsTask) {
	if t.last == statusStopped {
		return
	}
	h := t.host
	t.last, t.stopped = statusStopped, f.now
	h.tasks = without(h.tasks, t)
	h.freeCPU += t.definition.cpu
	h.freeMemory += t.definition.memory
	for _, p := range t.definition.static() {
		delete(h.static, p)
	}
	for _, p := range t.ports {
		delete(h.dynamic, p)
	}
	if t.service != nil {
		t.service.tasks = without(t.service.tasks, t)
	}
	f.taskChanged(t)
	if !h.dead {
		f.hostChanged(h)
	}
	f.loadChanged(t.service)
	f.plan(t.service)
	f.after(describable, func() {
		t.cluster.tasks = without(t.cluster.tasks, t)
		delete(t.cluster.taskByID, t.id)
	})
}

// taskChanged counts the task's version up and sends its event.
func (f *fleet) taskChanged(t *ecsTask) {
	t.version++
	t.updated = f.now
	f.emit("aws.ecs", "ECS Task State Change", []string{t.arn}, newTaskDetail(t))
	f.changed()
}

// shown says whether ECS shows the task as RUNNING and to run: requests go to it.
func (t *ecsTask) shown() bool { return t.last == statusRunning && t.wantedToRun() }

// serving says whether requests reach the task and it can answer.
func (t *ecsTask) serving() bool { return t.shown() && !t.host.dead && t.ended.IsZero() }
