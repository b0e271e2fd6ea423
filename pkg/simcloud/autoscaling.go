package simcloud

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// GroupSpec describes an Auto Scaling group whose instances join a cluster.
type GroupSpec struct {
	Name         string
	Cluster      string
	Zones        []string // at least one
	InstanceType string
	CPU          int // CPU units that an instance registers
	Memory       int // MiB that it registers: below the type's nominal size
	Min          int
	Max          int
	Desired      int
	Ready        bool              // the first instances are registered from the start
	Boot         Lognormal         // from launch to the agent's registration; default 75 s, p95 150 s
	Attributes   map[string]string // of the container instances, besides ECS's own
	PricePerHour float64           // USD an instance
	Spot         bool              // its instances are Spot instances: World.InterruptSpot
	PortFrom     int               // first dynamic host port of its hosts; default 32768
	PortTo       int               // last; default 60999
}

// asGroup is an Auto Scaling group.
type asGroup struct {
	spec             GroupSpec
	cluster          *ecsCluster
	arn              string
	created          time.Time
	minimum, maximum int
	desired          int
	instances        []*asInstance // also terminating ones
	gone             []*asInstance
	tokens           map[string]launchToken
	policies         []*types.ScalingPolicy
	hooks            []asHook        // by name; replaced, never changed
	noCapacity       map[string]bool // by zone
	balancing        bool            // balance is due
	hostSeconds      float64         // of instances that are gone
	launched         int
}

// asInstance is an EC2 instance of a group.
type asInstance struct {
	group     *asGroup
	id, zone  string
	state     types.LifecycleState
	launched  time.Time
	ended     time.Time // billed no more
	protected bool
	cause     string
	host      *ecsHost    // once registered
	actions   []*asAction // lifecycle hooks that it waits for
	proceed   func()      // what happens once it waits for none
	warned    bool        // of a Spot interruption
	address   string      // private IPv4 address
}

// live says that the instance counts towards the group's capacity.
func (i *asInstance) live() bool {
	return i.state == types.LifecycleStatePending || i.state == types.LifecycleStateInService
}

// waits says that the instance is to terminate and a lifecycle hook holds it.
func (i *asInstance) waits() bool { return i.state == types.LifecycleStateTerminatingWait }

// dead says that the machine runs no more, whether or not anybody noticed.
func (i *asInstance) dead() bool { return !i.ended.IsZero() }

func (g *asGroup) live() []*asInstance {
	var all []*asInstance
	for _, i := range g.instances {
		if i.live() {
			all = append(all, i)
		}
	}
	return all
}

// attributes are those of a container instance in that zone, by name.
func (g *asGroup) attributes(zone string) []ecsAttribute {
	all := map[string]string{
		attributeZone: zone, "ecs.instance-type": g.spec.InstanceType, "ecs.os-type": "linux", "ecs.ami-id": "ami-0b1c2d3e4f5a60718",
		"com.amazonaws.ecs.capability.logging-driver.awslogs": "", "com.amazonaws.ecs.capability.task-iam-role": "",
	}
	for name, value := range g.spec.Attributes {
		all[name] = value
	}
	list := make([]ecsAttribute, 0, len(all))
	for name, value := range all {
		list = append(list, ecsAttribute{name, value})
	}
	slices.SortFunc(list, func(a, b ecsAttribute) int { return strings.Compare(a.name, b.name) })
	return list
}

func (spec GroupSpec) check() error {
	switch {
	case spec.Name == "" || len(spec.Zones) == 0 || spec.CPU <= 0 || spec.Memory <= 0:
		return fmt.Errorf("add group %q: name, zones, CPU and memory are needed", spec.Name)
	case spec.Min < 0 || spec.Min > spec.Desired || spec.Desired > spec.Max:
		return fmt.Errorf("add group %s: desired %d is not within %d and %d", spec.Name, spec.Desired, spec.Min, spec.Max)
	case spec.PortFrom < 1 || spec.PortFrom > spec.PortTo || spec.PortTo > 65535:
		return fmt.Errorf("add group %s: dynamic ports %d to %d are not a range within 1 and 65535", spec.Name, spec.PortFrom, spec.PortTo)
	}
	return nil
}

// AddGroup makes an Auto Scaling group and launches what it desires.
func (c *Cloud) AddGroup(spec GroupSpec) error {
	f := c.fleet
	cluster, err := f.cluster(&spec.Cluster)
	if err != nil {
		return fmt.Errorf("add group %s: %w", spec.Name, err)
	}
	if f.group(spec.Name) != nil {
		return fmt.Errorf("add group %s: there is one of that name", spec.Name)
	}
	if spec.PortFrom == 0 && spec.PortTo == 0 {
		spec.PortFrom, spec.PortTo = firstPort, lastPort
	}
	if err := spec.check(); err != nil {
		return err
	}
	if spec.Boot.Median == 0 {
		spec.Boot = Lognormal{75 * time.Second, 150 * time.Second}
	}
	spec.Zones = slices.Clone(spec.Zones)
	g := &asGroup{
		spec: spec, cluster: cluster, created: f.now, minimum: spec.Min, maximum: spec.Max, desired: spec.Desired,
		arn:    f.arn("autoscaling", "autoScalingGroup:"+f.id(36)+":autoScalingGroupName/"+spec.Name),
		tokens: map[string]launchToken{}, noCapacity: map[string]bool{},
	}
	f.groups = append(f.groups, g)
	if !spec.Ready {
		f.balance(g)
		return nil
	}
	for range spec.Desired {
		f.register(f.inService(f.newInstance(g, f.zoneToFill(g), "the group was made")))
	}
	return nil
}

func (f *fleet) group(name string) *asGroup { return groupNamed(f.groups, name) }

func groupNamed(groups []*asGroup, name string) *asGroup {
	i := slices.IndexFunc(groups, func(g *asGroup) bool { return g.spec.Name == name })
	if i < 0 {
		return nil
	}
	return groups[i]
}

// instance finds an instance by id, also one that is gone.
func (f *fleet) instance(id string) *asInstance {
	for _, g := range f.groups {
		for _, i := range slices.Concat(g.instances, g.gone) {
			if i.id == id {
				return i
			}
		}
	}
	return nil
}

// zoneToFill is the zone with the fewest instances, the first among equals.
func (f *fleet) zoneToFill(g *asGroup) string {
	count := map[string]int{}
	for _, i := range g.live() {
		count[i.zone]++
	}
	zones := slices.Clone(g.spec.Zones)
	sort.SliceStable(zones, func(a, b int) bool { return count[zones[a]] < count[zones[b]] })
	for _, z := range zones {
		if !f.full(g, z) {
			return z
		}
	}
	return zones[0]
}

// balance asks the group to launch or terminate what its desired capacity says.
func (f *fleet) balance(g *asGroup) { f.balanceAfter(g, f.behaviour.GroupDelay) }

func (f *fleet) balanceAfter(g *asGroup, d time.Duration) {
	if g.balancing {
		return
	}
	g.balancing = true
	f.after(d, func() {
		g.balancing = false
		f.balanceNow(g)
	})
}

func (f *fleet) balanceNow(g *asGroup) {
	live := len(g.live())
	for range g.desired - live {
		zone := f.zoneToFill(g)
		if f.full(g, zone) {
			f.launchFailed(g, zone, "an instance was needed in response to a difference between desired and actual capacity")
			f.balanceAfter(g, f.behaviour.LaunchRetry)
			return
		}
		f.launch(g, zone, "an instance was started in response to a difference between desired and actual capacity")
	}
	for range live - g.desired {
		victim := g.victim()
		if victim == nil {
			return
		}
		f.terminateInstance(victim, "an instance was taken out of service in response to a difference between desired and actual capacity")
	}
}

// victim is whom the group's default termination policy takes: the oldest in the
// zone with most instances; nil if all are protected.
func (g *asGroup) victim() *asInstance {
	count := map[string]int{}
	var open []*asInstance
	for _, i := range g.live() {
		count[i.zone]++
		if !i.protected {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return least(open, func(i *asInstance) int { return -count[i.zone] })[0]
}

// newInstance adds an instance to the group.
func (f *fleet) newInstance(g *asGroup, zone, cause string) *asInstance {
	i := &asInstance{group: g, id: "i-" + f.id(17), zone: zone, state: types.LifecycleStatePending, launched: f.now, cause: cause, address: f.nextAddress()}
	g.instances = append(g.instances, i)
	g.launched++
	f.remember("HostLaunched", i.id)
	return i
}

// nextAddress is a private IPv4 address that no instance has had.
func (f *fleet) nextAddress() string {
	n := 0
	for _, g := range f.groups {
		n += g.launched
	}
	return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

// launch starts an instance: it goes InService by itself, and its agent
// registers once it has booted.
func (f *fleet) launch(g *asGroup, zone, cause string) *asInstance {
	i := f.newInstance(g, zone, cause)
	f.stateChanged(i, "pending")
	f.after(f.draw("instances in service", f.behaviour.InService), func() {
		if i.state == types.LifecycleStatePending && !i.dead() {
			f.inService(i)
			f.stateChanged(i, "running")
			f.activity(i, "EC2 Instance Launch Successful", "Launching a new EC2 instance: "+i.id)
		}
	})
	f.after(f.draw("boot", g.spec.Boot), func() {
		if (i.live() || i.waits()) && !i.dead() {
			f.register(i)
		}
	})
	return i
}

func (f *fleet) inService(i *asInstance) *asInstance {
	i.state = types.LifecycleStateInService
	f.changed()
	return i
}

// terminateInstance takes an instance out, once its group's lifecycle hooks let
// it go: its tasks die soon, and when it is terminated ECS deregisters it.
func (f *fleet) terminateInstance(i *asInstance, cause string) {
	if !i.live() {
		return
	}
	i.cause = cause
	f.awaitHooks(i, func() { f.endInstance(i) })
}

// endInstance shuts an instance down.
func (f *fleet) endInstance(i *asInstance) {
	i.state = types.LifecycleStateTerminating
	f.stateChanged(i, "shutting-down")
	f.after(f.behaviour.ShutDown, func() {
		if i.host != nil {
			f.hostDies(i.host)
		}
	})
	f.after(max(f.behaviour.ShutDown, f.draw("terminations", f.behaviour.Terminating)), func() { f.instanceGone(i) })
}

func (f *fleet) instanceGone(i *asInstance) {
	g := i.group
	if i.state == types.LifecycleStateTerminated {
		return
	}
	i.state, i.actions, i.proceed = types.LifecycleStateTerminated, nil, nil
	if i.ended.IsZero() {
		i.ended = f.now
		f.stateChanged(i, "terminated")
	}
	g.hostSeconds += i.ended.Sub(i.launched).Seconds()
	g.instances = without(g.instances, i)
	g.gone = append(g.gone, i)
	if i.host != nil {
		f.hostGone(i.host)
	}
	f.activity(i, "EC2 Instance Terminate Successful", "Terminating EC2 instance: "+i.id)
	f.changed()
	f.balance(g)
}

// killHost ends an instance from outside of the group, as a broken machine or an
// operator does. ECS and the group notice later; the group replaces it.
func (f *fleet) killHost(i *asInstance) {
	if i.dead() {
		return
	}
	f.remember("HostKilled", i.id)
	i.ended = f.now
	i.cause = "an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped"
	f.stateChanged(i, "terminated")
	if i.host != nil {
		f.hostDies(i.host)
	}
	f.after(f.draw("terminations", f.behaviour.Unnoticed), func() { f.deathNoticed(i) })
}

// deathNoticed is what ECS and the group make of an instance that died by itself.
// The group lets its hooks run first, if it does so for the dead.
func (f *fleet) deathNoticed(i *asInstance) {
	if i.host != nil {
		f.hostGone(i.host)
	}
	switch {
	case !f.behaviour.HooksOfDead || i.warned:
		f.instanceGone(i)
	case i.waits():
		i.proceed = func() { f.instanceGone(i) }
	case i.live():
		f.awaitHooks(i, func() { f.instanceGone(i) })
	default:
		f.instanceGone(i)
	}
}

// stateChanged sends an instance's EC2 event.
func (f *fleet) stateChanged(i *asInstance, state string) {
	f.emit("aws.ec2", "EC2 Instance State-change Notification", []string{f.arn("ec2", "instance/"+i.id)}, map[string]string{"instance-id": i.id, "state": state})
	f.changed()
}

// activityDetail is the detail of a group's launch and terminate events.
type activityDetail struct {
	StatusCode           string            `json:"StatusCode"`
	Description          string            `json:"Description"`
	AutoScalingGroupName string            `json:"AutoScalingGroupName"`
	ActivityID           string            `json:"ActivityId"`
	Details              map[string]string `json:"Details"`
	RequestID            string            `json:"RequestId"`
	StatusMessage        string            `json:"StatusMessage"`
	EndTime              string            `json:"EndTime"`
	EC2InstanceID        string            `json:"EC2InstanceId"`
	StartTime            string            `json:"StartTime"`
	Cause                string            `json:"Cause"`
}

func (f *fleet) activity(i *asInstance, detailType, description string) {
	f.groupEvent(i.group, detailType, i.id, activityDetail{
		StatusCode: "InProgress", Description: description, EC2InstanceID: i.id, StartTime: stamp(i.launched), Cause: f.causeText(i.cause), Details: i.group.where(i.zone),
	})
}

// launchFailed sends the event of a launch that found no capacity.
func (f *fleet) launchFailed(g *asGroup, zone, cause string) {
	f.remember("LaunchFailed", g.spec.Name)
	if f.faults.noCapacity(g, zone) {
		f.faults.strike(faultNoCapacity)
	}
	f.groupEvent(g, "EC2 Instance Launch Unsuccessful", "", activityDetail{
		StatusCode: "Failed", Description: "Launching a new EC2 instance", StatusMessage: g.noCapacityText(zone), StartTime: stamp(f.now), Cause: f.causeText(cause), Details: g.where(zone),
	})
}

func (g *asGroup) noCapacityText(zone string) string {
	return fmt.Sprintf("We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). Our system will be working on provisioning additional capacity. Launching EC2 instance failed.", g.spec.InstanceType, zone)
}

func (g *asGroup) where(zone string) map[string]string {
	return map[string]string{"Availability Zone": zone, "Subnet ID": subnetOf(zone)}
}

// subnetOf is the one subnet of a zone.
func subnetOf(zone string) string { return "subnet-" + zone }

func (f *fleet) causeText(cause string) string {
	return "At " + f.now.UTC().Format(time.RFC3339) + " " + cause + "."
}

func (f *fleet) groupEvent(g *asGroup, detailType, instance string, d activityDetail) {
	d.AutoScalingGroupName, d.ActivityID, d.EndTime = g.spec.Name, f.id(36), stamp(f.now)
	d.RequestID = d.ActivityID
	f.emit("aws.autoscaling", detailType, []string{g.arn, f.arn("ec2", "instance/"+instance)}, d)
}
