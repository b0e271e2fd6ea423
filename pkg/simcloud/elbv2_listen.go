package simcloud

import "github.com/aws/aws-sdk-go-v2/service/ecs/types"

// down says that the machine runs no more.
func (i *asInstance) down() bool { return i.dead() || i.host != nil && i.host.dead }

// owner is the task that holds the target's port now, and what it is bound to; nil:
// nobody does. A task holds its ports until it is STOPPED, whether or not it listens.
func (t *lbTarget) owner() (*ecsTask, ecsBinding) {
	if t.instance.host == nil {
		return nil, ecsBinding{}
	}
	p := ecsPort{t.port, types.TransportProtocolTcp}
	if t.group.udp() {
		p.protocol = types.TransportProtocolUdp
	}
	task := t.instance.host.listener(p)
	if task == nil {
		return nil, ecsBinding{}
	}
	for _, b := range task.bindings {
		if b.host == p.number && b.protocol == p.protocol {
			return task, b
		}
	}
	return nil, ecsBinding{}
}

// answers says whether something answers on the target's port at this instant:
// whoever it is.
func (t *lbTarget) answers() bool {
	task, b := t.owner()
	return task != nil && task.listens(b.container)
}
