package simcloud

import (
	"slices"
)

// listens says whether something answers on the ports of a container, given by
// its place in the task definition, at this instant: the truth that a request or
// a health check meets, whatever ECS shows.
func (t *ecsTask) listens(container int) bool {
	return container >= 0 && t.parts[container].open && !t.host.dead
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
		dynamic := !slices.Contains(t.definition.static(), p)
		if b.host == p.number && b.protocol == p.protocol && (!dynamic || slices.Contains(t.ports, p)) {
			return b.container
		}
	}
	return -1
}

// listening tells those who send requests that other containers of a task answer
// now than did before.
func (f *fleet) listening(t *ecsTask) {
	for _, do := range f.onListen {
		do(t)
	}
}
