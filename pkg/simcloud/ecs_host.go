package simcloud

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const attributeZone = "ecs.availability-zone"

// The range of dynamic host ports unless a group has its own: Linux's default.
const (
	firstPort = 32768
	lastPort  = 60999
)

// agentPorts are the TCP ports that the agent reserves at registration.
func agentPorts() []int { return []int{22, 2375, 2376, 51678, 51679} }

// ecsHost is a container instance.
type ecsHost struct {
	cluster             *ecsCluster
	instance            *asInstance
	id, arn             string
	attributes          []ecsAttribute // by name
	custom              int            // of them, set by PutAttributes
	cpu, memory         int            // registered
	freeCPU, freeMemory int
	static              map[ecsPort]bool // taken by tasks
	dynamic             map[ecsPort]bool
	tasks               []*ecsTask     // not STOPPED
	byGroup             map[string]int // tasks that are to run
	status              string
	outages             int  // the agent is connected while there is none
	connected           bool // outages == 0 and not dead
	dead                bool // the machine no longer runs
	version             int64
	registeredAt        time.Time
	images              map[string]bool // pulled before
	lastPort            int             // the agent assigned; 0: none since it started
	restarts            bool            // the agent is not only disconnected, it restarts
	unreported          []func()        // what the agent does once it is connected again
}

type ecsPort struct {
	number   int
	protocol types.TransportProtocol
}

func (h *ecsHost) attribute(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(h.attributes, name, func(a ecsAttribute, name string) int { return strings.Compare(a.name, name) })
	if !ok {
		return "", false
	}
	return h.attributes[i].value, true
}

// has says whether the host has all of those attributes, with those values.
func (h *ecsHost) has(required []ecsAttribute) bool {
	for _, a := range required {
		if value, ok := h.attribute(a.name); !ok || value != a.value {
			return false
		}
	}
	return true
}

// takes says whether a static port is taken.
func (h *ecsHost) takes(p ecsPort) bool {
	reserved := p.protocol == types.TransportProtocolTcp && slices.Contains(agentPorts(), p.number)
	return reserved || h.static[p] || h.dynamic[p]
}

// running counts the tasks with last status RUNNING, also those told to stop.
func (h *ecsHost) running() int { return countTasks(h.tasks, statusRunning) }

func (h *ecsHost) groups() []string {
	var all []string
	for _, t := range h.tasks {
		all = append(all, t.group)
	}
	return all
}

// nextPort gives the next dynamic port: the agent goes up from the last one that
// it assigned and begins anew at the end of the range.
func (h *ecsHost) nextPort(protocol types.TransportProtocol) (int, bool) {
	n, from, to := h.lastPort, h.instance.group.spec.PortFrom, h.instance.group.spec.PortTo
	for range to - from + 1 {
		if n++; n < from || n > to {
			n = from
		}
		if !h.takes(ecsPort{n, protocol}) {
			h.lastPort = n
			return n, true
		}
	}
	return 0, false
}

// register makes a booted instance a container instance of its cluster.
func (f *fleet) register(i *asInstance) {
	g := i.group
	id := f.id(32)
	h := &ecsHost{
		cluster: g.cluster, instance: i, id: id, arn: f.arn("ecs", "container-instance/"+g.cluster.name+"/"+id),
		attributes: g.attributes(i.zone), cpu: g.spec.CPU, memory: g.spec.Memory, freeCPU: g.spec.CPU, freeMemory: g.spec.Memory,
		static: map[ecsPort]bool{}, dynamic: map[ecsPort]bool{}, byGroup: map[string]int{},
		status: statusActive, connected: true, registeredAt: f.now, images: map[string]bool{},
	}
	i.host = h
	h.cluster.hosts = append(h.cluster.hosts, h)
	h.cluster.hostByID[h.id] = h
	f.remember("HostRegistered", i.id)
	f.hostChanged(h)
	f.nextFlap(h)
	if f.behaviour.PlaceOnRegistration {
		for _, s := range h.cluster.services {
			f.plan(s)
		}
	}
}

// nextFlap lets the agent disconnect for a moment, now and then.
func (f *fleet) nextFlap(h *ecsHost) {
	if f.behaviour.FlapsPerHour <= 0 {
		return
	}
	pause := f.stream("agent flaps").ExpFloat64() / f.behaviour.FlapsPerHour
	f.after(time.Duration(pause*float64(time.Hour)), func() {
		if h.dead || h.status == statusInactive || f.behaviour.FlapsPerHour <= 0 {
			return
		}
		f.disconnect(h, f.between("agent flaps", f.behaviour.FlapFrom, f.behaviour.FlapTo))
		f.nextFlap(h)
	})
}

// disconnect takes the agent's connection away for some time.
func (f *fleet) disconnect(h *ecsHost, d time.Duration) {
	h.outages++
	if h.outages == 1 {
		f.remember("AgentLost", h.instance.id)
		h.connected = false
		f.hostChanged(h)
	}
	f.after(d, func() {
		h.outages--
		if h.outages == 0 && !h.dead && h.status != statusInactive {
			f.reconnect(h)
		}
	})
}

func (f *fleet) reconnect(h *ecsHost) {
	h.connected = true
	if h.restarts && f.behaviour.RestartForgets {
		h.lastPort = 0
	}
	h.restarts = false
	f.remember("AgentBack", h.instance.id)
	f.hostChanged(h)
	due := h.unreported
	h.unreported = nil
	for _, do := range due {
		do()
	}
}

// byAgent lets do happen when the agent is connected: it hears and reports
// nothing before. A dead host's agent never does.
func (f *fleet) byAgent(h *ecsHost, do func()) {
	if h.connected {
		do()
	} else if !h.dead {
		h.unreported = append(h.unreported, do)
	}
}

// hostDies ends a host's machine and with it what runs on it. ECS sees only that
// the agent is gone, until hostGone.
func (f *fleet) hostDies(h *ecsHost) {
	if h.dead {
		return
	}
	h.dead, h.unreported = true, nil
	if h.connected {
		h.connected = false
		f.hostChanged(h)
	}
	for _, t := range h.tasks {
		t.cutOff(f.now)
		f.loadChanged(t.service)
		f.listening(t)
	}
}

// hostGone is ECS's notice that the EC2 instance is terminated: its tasks are
// STOPPED, the container instance is deregistered.
func (f *fleet) hostGone(h *ecsHost) {
	f.hostDies(h)
	for _, t := range slices.Clone(h.tasks) {
		if t.desired != statusStopped {
			f.unwant(t)
			t.stopping, t.reason = f.now, "Host EC2 (instance "+h.instance.id+") terminated."
		}
		f.endTask(t)
	}
	if h.status == statusInactive {
		return
	}
	h.status = statusInactive
	f.hostChanged(h)
	f.after(describable, func() {
		h.cluster.hosts = without(h.cluster.hosts, h)
		delete(h.cluster.hostByID, h.id)
	})
}

// setStatus makes a host ACTIVE or DRAINING.
func (f *fleet) setStatus(h *ecsHost, status string) {
	if h.status == status {
		return
	}
	h.status = status
	f.hostChanged(h)
	var told []*ecsService
	for _, t := range h.tasks {
		if t.service != nil && !slices.Contains(told, t.service) {
			told = append(told, t.service)
			f.plan(t.service)
		}
	}
}

// hostChanged counts the host's version up and sends its event.
func (f *fleet) hostChanged(h *ecsHost) {
	h.version++
	f.emit("aws.ecs", "ECS Container Instance State Change", []string{h.arn}, newHostDetail(h, f.now))
	f.changed()
}
