package simcloud

import "github.com/aws/aws-sdk-go-v2/service/ecs/types"

// listens says whether the task takes connections on a port of a container: from
// RUNNING until its process ends or gets SIGTERM, at which an application closes.
func (t *ecsTask) listens(int) bool {
	up := t.last == statusRunning || t.last == statusStopping
	return up && t.ended.IsZero() && !t.host.dead && t.signalled.IsZero()
}

// ownerOf gives the task that holds a host's port, and which of the containers'
// ports it stands for; nil: nobody. It holds it until it is STOPPED, whether or
// not it listens.
func (h *ecsHost) ownerOf(port int, udp bool) (*ecsTask, int) {
	for _, t := range h.tasks {
		for _, b := range t.bindings {
			if b.host == port && (b.protocol == types.TransportProtocolUdp) == udp {
				return t, b.port
			}
		}
	}
	return nil, 0
}

// down says that the machine runs no more.
func (i *asInstance) down() bool { return i.dead() || i.host != nil && i.host.dead }

// owner is the task that holds the target's port now, and its container's port.
func (t *lbTarget) owner() (*ecsTask, int) {
	if t.instance.host == nil {
		return nil, 0
	}
	return t.instance.host.ownerOf(t.port, t.group.udp())
}

// answers says whether something answers on the target's port at this instant:
// whoever it is.
func (t *lbTarget) answers() bool {
	task, port := t.owner()
	return task != nil && task.listens(port)
}
