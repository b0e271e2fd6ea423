package simcloud

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// names are those of the definition's containers.
func (d *ecsDefinition) names() []string {
	var all []string
	for _, c := range d.containers {
		all = append(all, c.name)
	}
	return all
}

// order takes the dependencies between containers into the definition, and the
// order in which they stop: whatever depends on a container is stopped before it.
func (d *ecsDefinition) order(in []types.ContainerDefinition) error {
	if d.essential() < 0 {
		return clientError("All tasks must have at least one essential container.")
	}
	names := slices.Sorted(slices.Values(d.names()))
	if len(slices.Compact(names)) < len(d.containers) {
		return clientError("The names of a task's containers must differ.")
	}
	for i, c := range in {
		for _, k := range c.DependsOn {
			on := slices.Index(d.names(), aws.ToString(k.ContainerName))
			if on < 0 || on == i {
				return clientError("Container '%s' depends on '%s', which is not another container of the task.", d.containers[i].name, aws.ToString(k.ContainerName))
			}
			if err := d.containers[on].meets(k.Condition); err != nil {
				return err
			}
			d.containers[i].dependsOn = append(d.containers[i].dependsOn, ecsDependency{on, k.Condition})
		}
	}
	return d.orderStops()
}

// orderStops finds an order in which all containers can stop.
func (d *ecsDefinition) orderStops() error {
	for range d.containers {
		before := len(d.stopOrder)
		for i := range d.containers {
			if d.stopsNext(i) {
				d.stopOrder = append(d.stopOrder, i)
				break
			}
		}
		if len(d.stopOrder) == before {
			return clientError("The dependencies of the containers form a cycle.")
		}
	}
	return nil
}

// meets says whether others can wait for a condition of the container.
func (c ecsContainer) meets(condition types.ContainerCondition) error {
	switch condition {
	case types.ContainerConditionStart:
	case types.ContainerConditionComplete, types.ContainerConditionSuccess:
		if c.essential {
			return clientError("The container '%s' is essential: nothing can depend on its being %s.", c.name, condition)
		}
	case types.ContainerConditionHealthy:
		if c.check == nil {
			return clientError("The container '%s' has no health check: nothing can depend on its being HEALTHY.", c.name)
		}
	default:
		return clientError("The condition of a dependency on container '%s' is %q, not START, COMPLETE, SUCCESS or HEALTHY.", c.name, condition)
	}
	return nil
}

// stopsNext says that a container is not in the order of stopping yet, and all
// that depend on it are.
func (d *ecsDefinition) stopsNext(i int) bool {
	for _, j := range d.dependents(i) {
		if !slices.Contains(d.stopOrder, j) {
			return false
		}
	}
	return !slices.Contains(d.stopOrder, i)
}

// dependents are the containers that depend on one.
func (d *ecsDefinition) dependents(i int) []int {
	var all []int
	for j, c := range d.containers {
		if slices.ContainsFunc(c.dependsOn, func(k ecsDependency) bool { return k.on == i }) {
			all = append(all, j)
		}
	}
	return all
}

// runsOut says that a container ends before others start, which wait for that.
func (d *ecsDefinition) runsOut(i int) bool {
	for _, j := range d.dependents(i) {
		for _, k := range d.containers[j].dependsOn {
			if k.on == i && (k.condition == types.ContainerConditionComplete || k.condition == types.ContainerConditionSuccess) {
				return true
			}
		}
	}
	return false
}

// ecsPart is a container of a task.
type ecsPart struct {
	open bool      // it answers on its ports, as long as its host lives
	over time.Time // when it ends or ended; zero: nothing ends it yet
	exit *int32
	told bool // ECS knows that it has ended
}

// partsUp starts a task's containers. In what order, and how long each takes, is
// part of the one time that the task takes to be RUNNING.
func (f *fleet) partsUp(t *ecsTask) {
	for i := range t.parts {
		if t.parts[i].open = !t.definition.runsOut(i); !t.parts[i].open {
			t.parts[i] = ecsPart{over: f.now, exit: new(int32), told: true}
		}
	}
}

// shutDown stops a task's containers as the agent does: a container gets SIGTERM
// once all that depend on it have ended, and SIGKILL when its time is over. It
// gives the time until the last of them has ended.
func (f *fleet) shutDown(t *ecsTask) time.Duration {
	last := f.now
	for _, i := range t.definition.stopOrder {
		p := &t.parts[i]
		if !p.over.IsZero() {
			continue
		}
		signal := f.now
		for _, j := range t.definition.dependents(i) {
			if end := t.parts[j].over; end.After(signal) {
				signal = end
			}
		}
		serves, takes, exit := f.stopping(t, i)
		p.over, p.exit = signal.Add(takes), &exit
		f.closeAt(t, i, signal.Add(min(serves, takes)))
		if p.over.After(last) {
			last = p.over
		}
	}
	f.reportEnds(t, last)
	return last.Sub(f.now)
}

// stopping draws what a container makes of SIGTERM: how long it serves on, how
// long it takes to end, and its exit code.
func (f *fleet) stopping(t *ecsTask, i int) (serves, takes time.Duration, exit int32) {
	c, b := t.definition.containers[i], f.taskBehaviour(t.definition)
	if c.name == b.Hold {
		takes = b.HoldFor
	} else {
		serves = b.ServesOn
		takes = serves + f.between("task stops", b.StopFrom, b.StopTo)
	}
	if limit := c.stopLimit(); takes >= limit {
		return serves, limit, 137 // SIGKILL
	}
	return serves, takes, 0
}

// closeAt lets a container answer no more from an instant on.
func (f *fleet) closeAt(t *ecsTask, i int, at time.Time) {
	if at.After(f.now) {
		f.at(at, func() { f.closePorts(t, i) })
		return
	}
	t.parts[i].open = false // the load has been told that the task is to stop
	f.listening(t)
}

func (f *fleet) closePorts(t *ecsTask, i int) {
	if t.parts[i].open {
		t.parts[i].open = false
		f.loadChanged(t.service)
		f.listening(t)
	}
}

// reportEnds lets ECS know of each container that ends before the last one does.
func (f *fleet) reportEnds(t *ecsTask, last time.Time) {
	for i := range t.parts {
		p := &t.parts[i]
		if p.told || !p.over.After(f.now) || !p.over.Before(last) {
			continue
		}
		f.at(p.over, func() {
			if f.behaviour.PortsFreeEarly {
				t.freePorts(i)
			}
			f.byAgent(t.host, func() {
				if t.last != statusStopped {
					p.told = true
					f.taskChanged(t)
				}
			})
		})
	}
}

// freePorts gives the dynamic ports of one container back.
func (t *ecsTask) freePorts(container int) {
	for _, b := range t.bindings {
		p := ecsPort{b.host, b.protocol}
		if at := slices.Index(t.ports, p); at >= 0 && b.container == container {
			t.ports = slices.Delete(slices.Clone(t.ports), at, at+1)
			delete(t.host.dynamic, p)
		}
	}
}

// essential is the container whose end ends the task: the first essential one.
func (d *ecsDefinition) essential() int {
	return slices.IndexFunc(d.containers, func(c ecsContainer) bool { return c.essential })
}

// fail ends the task's essential container from inside; ECS does not know yet.
func (f *fleet) fail(t *ecsTask) {
	code, i := int32(1), t.definition.essential()
	t.parts[i] = ecsPart{over: f.now, exit: &code}
	if f.behaviour.PortsFreeEarly {
		t.freePorts(i)
	}
	f.listening(t)
}

// cutOff ends what still runs of a task whose machine is dead: nobody learns an
// exit code.
func (t *ecsTask) cutOff(now time.Time) {
	for i := range t.parts {
		if p := &t.parts[i]; p.over.IsZero() || p.over.After(now) {
			*p = ecsPart{over: now}
		}
	}
}

// containerStatus is a container's state: it has no STOPPING of its own.
func (t *ecsTask) containerStatus(i int) string {
	switch {
	case t.parts[i].told:
		return statusStopped
	case t.last == statusStopping:
		return statusRunning
	default:
		return t.last
	}
}

func (t *ecsTask) exitCode(i int) *int32 {
	if t.last != statusStopped && !t.parts[i].told {
		return nil
	}
	return copied(t.parts[i].exit)
}
