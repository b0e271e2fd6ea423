package simcloud

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// listens says whether something answers on the ports of a container, given by
// its place in the task definition, at this instant: the truth that a request or
// a health check meets, whatever ECS shows.
func (t *ecsTask) listens(container int) bool {
	return container >= 0 && t.parts[container].open // a dead host's are closed
}

// listener is the task that holds a host port at this instant; nil: none does.
func (h *ecsHost) listener(p ecsPort) *ecsTask {
	for _, t := range h.tasks {
		if t.containerOn(p) >= 0 {
			return t
		}
	}
	return nil
}

// containerOn is the place in the task definition of the container that holds a
// host port for the task; negative: none does.
func (t *ecsTask) containerOn(p ecsPort) int {
	for _, b := range t.bindings {
		if b.host == p.number && b.protocol == p.protocol && (slices.Contains(t.ports, p) || slices.Contains(t.definition.static(), p)) {
			return b.container
		}
	}
	return -1
}

// Answers gives the task that answers at this instant on a port of a host, given
// by its instance's EC2 id, and the name of its container; false: nothing does, a
// connection is refused or finds no machine.
func (w *World) Answers(instance string, port int, protocol types.TransportProtocol) (task, container string, ok bool) {
	i := w.f.instance(instance)
	if i == nil || i.host == nil {
		return "", "", false
	}
	p := ecsPort{port, protocol}
	t := i.host.listener(p)
	if t == nil || !t.listens(t.containerOn(p)) {
		return "", "", false
	}
	return t.arn, t.definition.containers[t.containerOn(p)].name, true
}

// listening tells those who send requests that other containers of a task answer
// now than did before.
func (f *fleet) listening(t *ecsTask) {
	for _, do := range f.onListen {
		do(t)
	}
}
