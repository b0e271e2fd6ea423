package simcloud

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// World is what only the simulator knows and does: the truth for monitors and
// pictures, and what happens to the cloud without anybody calling its API. All
// that it gives is a copy.
type World struct{ f *fleet }

// World is the truth about this cloud.
func (c *Cloud) World() *World { return &World{c.fleet} }

// Change is a change that the world made of itself. Its kinds and their subjects:
//
//	TaskCrashed     a task ended, or could not start, by itself: task ARN
//	AgentLost       an agent disconnected: instance id
//	AgentBack       it is connected again: instance id
//	HostLaunched    an instance was launched: instance id
//	HostRegistered  its agent registered: instance id
//	HostKilled      an instance died: instance id
//	SpotNotice      EC2 has told an instance of its end: instance id
//	ZoneLost        a zone is gone with its instances: zone
//	HookTimedOut    nobody completed a lifecycle action: instance id
//	LaunchFailed    no capacity: group name
//	ByHand          somebody changed a desired count, a maximum or a host's status: service or group name, instance id
type Change struct {
	At      time.Time
	Kind    string
	Subject string
}

// Changes are the changes from one instant up to and including another.
func (w *World) Changes(from, to time.Time) []Change {
	first, _ := slices.BinarySearchFunc(w.f.history, from, func(c Change, t time.Time) int { return c.At.Compare(t) })
	var all []Change
	for _, c := range w.f.history[first:] {
		if c.At.After(to) {
			break
		}
		all = append(all, c)
	}
	return all
}

// OnChange lets do happen after each change of a task, host, service or group.
func (w *World) OnChange(do func()) { w.f.onChange = append(w.f.onChange, do) }

// Behaviour is the world's behaviour; what is changed in it counts from then on.
func (w *World) Behaviour() *Behaviour { return &w.f.behaviour }

// BehaveTasks sets how tasks of a definition behave, given as family or
// family:revision.
func (w *World) BehaveTasks(definition string, b TaskBehaviour) {
	w.f.taskBehaviours[definition] = b
}

// TaskView is a task that is not STOPPED, as it truly is.
type TaskView struct {
	ARN, Host      string // Host is the container instance's ARN
	TaskDefinition string // ARN
	Last, Desired  string // status
	Healthy        bool   // by ECS's rules, and its host is alive
	Serving        bool   // requests reach it and it answers
	Wanted         time.Time
	Created        time.Time
	Started        time.Time // zero: not yet
}

// ServiceView is a service as it truly is.
type ServiceView struct {
	Cluster, Name  string
	Desired        int
	MinimumPercent int
	MaximumPercent int
	Running        int // to run and RUNNING
	Pending        int // to run and PENDING
	Healthy        int
	Deployments    int
	Tasks          []TaskView // nil unless asked for
	Load           Figures    // since the load began
}

// Services gives the services of all clusters, with their tasks if asked.
func (w *World) Services(tasks bool) []ServiceView {
	var all []ServiceView
	for _, c := range w.f.clusters {
		for _, s := range c.services {
			all = append(all, w.serviceView(s, tasks))
		}
	}
	return all
}

// Service gives one service with its tasks; false if there is none.
func (w *World) Service(cluster, name string) (ServiceView, bool) {
	c, err := w.f.cluster(&cluster)
	if err != nil || c.service(name) == nil {
		return ServiceView{}, false
	}
	return w.serviceView(c.service(name), true), true
}

func (w *World) serviceView(s *ecsService, tasks bool) ServiceView {
	v := ServiceView{Cluster: s.cluster.name, Name: s.name, Desired: s.desired, MinimumPercent: s.minPercent, MaximumPercent: s.maxPercent, Deployments: len(s.deployments)}
	if s.load != nil {
		v.Load = s.load.total.plus(s.load.since(w.f.now))
	}
	for _, t := range s.tasks {
		task := t.view(w.f.now)
		switch {
		case task.Desired == statusRunning && task.Last == statusRunning:
			v.Running++
		case task.Desired == statusRunning:
			v.Pending++
		}
		if task.Healthy {
			v.Healthy++
		}
		if tasks {
			v.Tasks = append(v.Tasks, task)
		}
	}
	return v
}

func (t *ecsTask) view(now time.Time) TaskView {
	return TaskView{
		ARN: t.arn, Host: t.host.arn, TaskDefinition: t.definition.arn, Last: t.last, Desired: t.desired,
		Healthy: t.healthy(now) && t.serving(), Serving: t.serving(), Wanted: t.wanted, Created: t.created, Started: t.started,
	}
}

// HostView is a container instance that is not INACTIVE.
type HostView struct {
	Cluster, ARN, InstanceID string
	Zone, Status             string
	AgentConnected, Dead     bool
	CPU, Memory              int // registered
	FreeCPU, FreeMemory      int
	Tasks                    int // not STOPPED
	Registered               time.Time
}

// Hosts gives the container instances of all clusters.
func (w *World) Hosts() []HostView {
	var all []HostView
	for _, c := range w.f.clusters {
		for _, h := range c.hosts {
			if h.status == statusInactive {
				continue
			}
			all = append(all, HostView{
				Cluster: c.name, ARN: h.arn, InstanceID: h.instance.id, Zone: h.instance.zone, Status: h.status, AgentConnected: h.connected, Dead: h.dead,
				CPU: h.cpu, Memory: h.memory, FreeCPU: h.freeCPU, FreeMemory: h.freeMemory, Tasks: len(h.tasks), Registered: h.registeredAt,
			})
		}
	}
	return all
}

// InstanceView is an instance of a group, terminating ones included.
type InstanceView struct {
	ID, Zone, State string // State is Auto Scaling's lifecycle state
	Launched        time.Time
	Registered      bool
	Address         string // private IPv4 address
	Dead            bool   // its machine does not run any more
}

// GroupView is an Auto Scaling group as it truly is.
type GroupView struct {
	Name, Cluster         string
	Minimum, Maximum      int
	Desired               int
	Instances             []InstanceView
	Launched              int     // instances, ever
	HostHours             float64 // of all its instances so far, from launch to end
	Cost                  float64 // USD
	CapacityErrorsInZones []string
}

// Groups gives the Auto Scaling groups.
func (w *World) Groups() []GroupView {
	var all []GroupView
	for _, g := range w.f.groups {
		v := GroupView{Name: g.spec.Name, Cluster: g.cluster.name, Minimum: g.minimum, Maximum: g.maximum, Desired: g.desired, Launched: g.launched}
		seconds := g.hostSeconds
		for _, i := range g.instances {
			v.Instances = append(v.Instances, InstanceView{ID: i.id, Zone: i.zone, State: string(i.state), Launched: i.launched, Registered: i.host != nil, Address: i.address, Dead: i.dead()})
			end := w.f.now
			if i.dead() {
				end = i.ended
			}
			seconds += end.Sub(i.launched).Seconds()
		}
		for _, z := range g.spec.Zones {
			if w.f.full(g, z) {
				v.CapacityErrorsInZones = append(v.CapacityErrorsInZones, z)
			}
		}
		v.HostHours = seconds / 3600
		v.Cost = v.HostHours * g.spec.PricePerHour
		all = append(all, v)
	}
	return all
}

// Wait is a task slot's way from the rise of the desired count that made it to
// its task's RUNNING.
type Wait struct {
	Cluster, Service string
	Wanted           time.Time
	Running          time.Time // zero: still waiting
}

// Waits gives the waits of all task slots so far, those still waiting last.
func (w *World) Waits() []Wait {
	all := slices.Clone(w.f.waits)
	for _, c := range w.f.clusters {
		for _, s := range c.services {
			for _, t := range s.tasks {
				if t.wantedToRun() && t.started.IsZero() && !t.wanted.IsZero() {
					all = append(all, Wait{Cluster: c.name, Service: s.name, Wanted: t.wanted})
				}
			}
			for _, at := range s.wanted {
				all = append(all, Wait{Cluster: c.name, Service: s.name, Wanted: at})
			}
		}
	}
	return all
}

// CrashTask lets an essential container of a running task exit.
func (w *World) CrashTask(cluster, arn string) error {
	c, err := w.f.cluster(&cluster)
	if err != nil {
		return fmt.Errorf("crash task %s: %w", arn, err)
	}
	t := c.taskByID[tail(arn)]
	if t == nil || !t.serving() {
		return fmt.Errorf("crash task %s: it does not run", arn)
	}
	w.f.crash(t)
	return nil
}

// KillHost ends an instance, given by its EC2 id, without any notice.
func (w *World) KillHost(instance string) error {
	i := w.f.instance(instance)
	if i == nil || i.dead() {
		return fmt.Errorf("kill host %s: it does not run", instance)
	}
	w.f.killHost(i)
	return nil
}

// AgentDown disconnects the agent of an instance for some time. It restarts
// then, and assigns dynamic ports as Behaviour.RestartForgets says.
func (w *World) AgentDown(instance string, d time.Duration) error {
	i := w.f.instance(instance)
	if i == nil || i.host == nil || i.host.dead || i.host.status == statusInactive {
		return fmt.Errorf("agent down on %s: no such host is registered", instance)
	}
	i.host.restarts = true
	w.f.disconnect(i.host, d)
	return nil
}

// RestartAgent restarts the agent of an instance, given by its EC2 id: it is away
// for as long as Behaviour.AgentRestart says, while the containers run on.
func (w *World) RestartAgent(instance string) error {
	if err := w.AgentDown(instance, w.f.draw("agent restarts", w.f.behaviour.AgentRestart)); err != nil {
		return fmt.Errorf("restart agent: %w", err)
	}
	return nil
}

// SetCapacityError lets launches of a group in a zone fail, or work again.
func (w *World) SetCapacityError(group, zone string, on bool) error {
	g := w.f.group(group)
	if g == nil || !slices.Contains(g.spec.Zones, zone) {
		return fmt.Errorf("set capacity error of %s in %s: no such group and zone", group, zone)
	}
	g.noCapacity[zone] = on
	return nil
}

// DrainByHand is an operator's UpdateContainerInstancesState to DRAINING.
func (w *World) DrainByHand(instance string) error {
	return w.statusByHand(instance, statusActive, statusDraining)
}

// ActivateByHand is an operator's UpdateContainerInstancesState to ACTIVE.
func (w *World) ActivateByHand(instance string) error {
	return w.statusByHand(instance, statusDraining, statusActive)
}

func (w *World) statusByHand(instance, from, to string) error {
	for _, c := range w.f.clusters {
		for _, h := range c.hosts {
			if h.instance.id == instance && h.status == from {
				w.f.remember("ByHand", instance)
				w.f.setStatus(h, to)
				return nil
			}
		}
	}
	return fmt.Errorf("set to %s by hand: no %s host is %q", to, from, instance)
}

// SetDesiredByHand is an operator's UpdateService of the desired count.
func (w *World) SetDesiredByHand(cluster, service string, n int) error {
	c, err := w.f.cluster(&cluster)
	if err != nil {
		return fmt.Errorf("set desired count of %s: %w", service, err)
	}
	s := c.service(service)
	if s == nil || n < 0 {
		return fmt.Errorf("set desired count of %s to %d: %w", service, n, &ecstypes.ServiceNotFoundException{Message: aws.String("Service not found.")})
	}
	w.f.remember("ByHand", service)
	return w.f.apply(s, serviceChange{desired: &n})
}

// ChangeMax is an operator's change of a group's maximum; its desired capacity
// follows if it is above.
func (w *World) ChangeMax(group string, maximum int) error {
	g := w.f.group(group)
	if g == nil {
		return fmt.Errorf("change max of %s: no such group", group)
	}
	w.f.remember("ByHand", group)
	return w.f.setBounds(g, g.minimum, maximum, nil)
}
