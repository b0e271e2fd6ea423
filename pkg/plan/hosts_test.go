package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// yard is a world of two groups of small hosts, one and two, in zones a and b.
// Its one service, web, takes half a host a task and has as many tasks as the
// row places; what its desired count has more is owed.
type yard struct{ *world }

func newYard(t *testing.T) *yard {
	p := policy.Policy{
		Hosts:    []policy.HostGroup{groupRules("one", 0, 5), groupRules("two", 0, 5)},
		Services: map[string]policy.Service{"web": {}},
	}
	for i := range p.Hosts {
		p.Hosts[i].Offers = &policy.Offers{CPU: 2048, Memory: 4096}
	}
	y := &yard{newWorld(t, p)}
	y.service("web", 0, 100, 200, of(1024, 2048))
	return y
}

// owe makes ECS owe so many tasks of web more than there are.
func (y *yard) owe(n int) {
	y.count()
	y.s.Services[0].Desired = y.s.Services[0].Running + y.s.Services[0].Pending + n
}

func (y *yard) small(group, zone string) *cluster.Host {
	y.host(group, zone, of(2048, 4096))
	return &y.s.Hosts[len(y.s.Hosts)-1]
}

// busy is a host without room.
func (y *yard) busy(group, zone string) {
	y.small(group, zone)
	y.task("web", len(y.s.Hosts)-1, cluster.TaskRunning, "RUNNING", "HEALTHY")
	y.task("web", len(y.s.Hosts)-1, cluster.TaskRunning, "RUNNING", "HEALTHY")
	y.count()
}

// idle is a host that has been empty for so long.
func (y *yard) idle(group, zone string, since time.Duration) *cluster.Host {
	h := y.small(group, zone)
	y.remember(h.ID, cluster.HostMemory{EmptySince: y.s.Now.Add(-since)})
	return h
}

// drained is an empty host that plimsoll set to DRAINING so long ago.
func (y *yard) drained(group string, ago time.Duration) *cluster.Host {
	h := y.small(group, "a")
	h.Status = cluster.HostDraining
	y.remember(h.ID, cluster.HostMemory{DrainedAt: y.s.Now.Add(-ago)})
	return h
}

func (y *yard) remember(id string, m cluster.HostMemory) {
	if y.s.Memory.Hosts == nil {
		y.s.Memory.Hosts = map[string]cluster.HostMemory{}
	}
	y.s.Memory.Hosts[id] = m
}

func (y *yard) pendingInstance(group, zone string, since time.Duration) {
	y.serial++
	g := y.group(group)
	id := fmt.Sprintf("i-coming%d", y.serial)
	g.Instances = append(g.Instances, cluster.Instance{ID: id, Zone: zone, Lifecycle: cluster.LifecycleInService})
	g.Desired++
	y.remember(id, cluster.HostMemory{Awaited: y.s.Now.Add(-since)})
}

// short makes a group lack so many hosts of its desired capacity for so long.
func (y *yard) short(group string, hosts int, since time.Duration) {
	g := y.group(group)
	g.Desired += hosts
	y.s.Memory.Groups = map[string]cluster.GroupMemory{group: {Short: cluster.Sample{At: y.s.Now.Add(-since), Count: len(g.Instances)}}}
}

func (y *yard) intent(in cluster.Intent) {
	in.At = y.s.Now.Add(-30 * time.Second)
	y.s.Intents = append(y.s.Intents, in)
}

// drain is an intent to drain a host, and how it ended.
func (y *yard) drain(id string, o cluster.Outcome) {
	y.intent(cluster.Intent{Outcome: o, Change: cluster.Change{Verb: cluster.DrainHost, Subject: cluster.HostSubject(id), Host: "host/" + id, Group: "one"}})
}

func (y *yard) refusedLaunch(group, zone, detail string) {
	y.intent(cluster.Intent{
		ID: group + zone, Outcome: cluster.OutcomeRefused, Detail: detail,
		Change: cluster.Change{Verb: cluster.LaunchHosts, Subject: cluster.GroupSubject(group), Zone: zone, From: 0, To: 1},
	})
}

// did writes the changes in one short line each.
func did(p Plan) []string {
	short := map[cluster.Verb]string{
		cluster.LaunchHosts: "launch ", cluster.DrainHost: "drain ", cluster.ActivateHost: "activate ",
		cluster.TerminateHost: "terminate ", cluster.SetDesiredCount: "count ",
	}
	var all []string
	for _, c := range p.Actions() {
		line := short[c.Verb] + c.Subject.Name()
		if c.Verb == cluster.LaunchHosts {
			line += " " + c.Zone + " " + string(rune('0'+c.From)) + string(rune('0'+c.To))
		}
		all = append(all, line)
	}
	return all
}

const capacityDetail = "LaunchInstances: InsufficientInstanceCapacity: We currently do not have sufficient capacity"

const faultDetail = "launch instances in one a: operation error Auto Scaling: LaunchInstances, api error ValidationError: the image id does not exist"

func TestHosts(t *testing.T) {
	tests := []struct {
		name   string
		given  func(y *yard)
		about  cluster.Subject
		reason Reason
		did    []string
	}{
		{"nothing is owed: nothing is launched", func(y *yard) { y.busy("one", "a") }, "group/one", HostsSuffice, nil},
		{"what is owed fits on the hosts there are", func(y *yard) { y.small("one", "a"); y.owe(2) }, "group/one", EmptyTooShort, nil},
		{
			"one task without a place: one host, in the zone with fewer", func(y *yard) { y.busy("one", "a"); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one b 12"},
		},
		{
			"hosts from zero, with what the policy says of them", func(y *yard) { y.owe(5) },
			"group/one", TasksUnplaced,
			[]string{"launch one a 02", "launch one b 23"},
		},
		{"hosts from zero, with what was seen of them", func(y *yard) {
			y.p.Hosts[0].Offers = nil
			y.s.Memory.Groups = map[string]cluster.GroupMemory{"one": {Offers: of(4096, 8192)}}
			y.owe(5)
		}, "group/one", TasksUnplaced, []string{"launch one a 01", "launch one b 12"}},
		{
			"nobody knows what a host offers: one, to learn it", func(y *yard) { y.p.Hosts[0].Offers = nil; y.owe(9) },
			"group/one", HostSizeUnknown,
			[]string{"launch one a 01"},
		},
		{"the one to learn from is on its way", func(y *yard) {
			y.p.Hosts[0].Offers = nil
			y.pendingInstance("one", "a", time.Minute)
			y.owe(9)
		}, "group/one", HostsOnTheirWay, nil},
		{"the one to learn from never came: the next group", func(y *yard) {
			y.p.Hosts[0].Offers = nil
			y.pendingInstance("one", "a", 16*time.Minute)
			y.owe(1)
		}, "group/two", TasksUnplaced, []string{"launch two a 01"}},
		{"and the group says so", func(y *yard) {
			y.p.Hosts[0].Offers = nil
			y.pendingInstance("one", "a", 16*time.Minute)
			y.owe(1)
		}, "group/one", HostsNeverRegister, []string{"launch two a 01"}},
		{"a host on its way is enough", func(y *yard) { y.pendingInstance("one", "a", time.Minute); y.owe(2) }, "group/one", HostsOnTheirWay, nil},
		{
			"a host on its way is not enough", func(y *yard) { y.pendingInstance("one", "a", time.Minute); y.owe(3) },
			"group/one", TasksUnplaced,
			[]string{"launch one b 12"},
		},
		{
			"a host that never registers is not waited for", func(y *yard) { y.pendingInstance("one", "a", 15*time.Minute); y.owe(2) },
			"group/one", TasksUnplaced,
			[]string{"launch one a 12"},
		},
		{"of a group whose hosts do not register one is tried, the rest in the next group", func(y *yard) {
			y.pendingInstance("one", "a", 15*time.Minute)
			y.owe(6)
		}, "group/two", TasksUnplaced, []string{"launch one a 12", "launch two a 01", "launch two b 12"}},
		{"while one is tried no other is", func(y *yard) {
			y.pendingInstance("one", "a", 16*time.Minute)
			y.pendingInstance("one", "b", time.Minute)
			y.owe(3)
		}, "group/one", HostsNeverRegister, []string{"launch two a 01"}},
		{"tried twice: the next trial is later", func(y *yard) {
			y.pendingInstance("one", "a", 46*time.Minute)
			y.pendingInstance("one", "b", 29*time.Minute)
			y.owe(1)
		}, "group/one", HostsNeverRegister, []string{"launch two a 01"}},
		{"and its time comes", func(y *yard) {
			y.pendingInstance("one", "a", 46*time.Minute)
			y.pendingInstance("one", "b", 30*time.Minute)
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one a 23"}},
		{"hosts that came in one launch are one failure", func(y *yard) {
			y.pendingInstance("one", "a", 16*time.Minute)
			y.pendingInstance("one", "b", 16*time.Minute)
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one a 23"}},
		{"a host registered since: the others' fault was their own", func(y *yard) {
			y.pendingInstance("one", "a", 46*time.Minute)
			y.pendingInstance("one", "b", 29*time.Minute)
			y.busy("one", "b")
			y.owe(3)
		}, "group/one", TasksUnplaced, []string{"launch one a 35"}},
		{"a minimum is no cause to launch more that do not register", func(y *yard) {
			y.pendingInstance("one", "a", 46*time.Minute)
			y.pendingInstance("one", "b", 16*time.Minute)
			y.p.Hosts[0].Min = 5
		}, "group/one", HostsNeverRegister, nil},
		{
			"what the group itself still has to launch is on its way", func(y *yard) { y.group("one").Desired = 1; y.owe(2) },
			"group/one", HostsOnTheirWay, nil,
		},
		{"but not for ever: the next group", func(y *yard) {
			y.short("one", 4, 5*time.Minute)
			y.owe(2)
		}, "group/one", NoCapacity, []string{"launch two a 01"}},
		{"not even where the group could have more", func(y *yard) {
			y.short("one", 1, 5*time.Minute)
			y.owe(2)
		}, "group/one", NoCapacity, []string{"launch two a 01"}},
		{"a group that lacks hosts for a while is still waited for", func(y *yard) {
			y.short("one", 1, 4*time.Minute)
			y.owe(2)
		}, "group/one", HostsOnTheirWay, nil},
		{"one of those that it lacked came: it is waited for anew", func(y *yard) {
			y.short("one", 2, time.Hour)
			y.busy("one", "a")
			y.group("one").Desired--
			y.owe(2)
		}, "group/one", HostsOnTheirWay, nil},
		{"nothing is known of a host that the group cannot launch: the next group", func(y *yard) {
			y.p.Hosts[0].Offers = nil
			y.short("one", 1, time.Hour)
			y.owe(1)
		}, "group/one", NoCapacity, []string{"launch two a 01"}},
		{
			"the group is full: the next one", func(y *yard) { y.p.Hosts[0].Max = 0; y.owe(1) },
			"group/two", TasksUnplaced,
			[]string{"launch two a 01"},
		},
		{
			"as far as the policy's maximum, the rest in the next group", func(y *yard) { y.p.Hosts[0].Max = 1; y.owe(3) },
			"group/two", TasksUnplaced,
			[]string{"launch one a 01", "launch two a 01"},
		},
		{
			"the group's own maximum counts too", func(y *yard) { y.group("one").Max = 0; y.owe(1) },
			"group/two", TasksUnplaced,
			[]string{"launch two a 01"},
		},
		{"all groups are full", func(y *yard) { y.p.Hosts[0].Max, y.p.Hosts[1].Max = 0, 0; y.owe(1) }, "group/one", HostsAtMaximum, nil},
		{
			"the zone was refused in this very look: the other zone", func(y *yard) { y.refusedLaunch("one", "a", capacityDetail); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one b 01"},
		},
		{"both zones were refused: the next group", func(y *yard) {
			y.refusedLaunch("one", "a", capacityDetail)
			y.refusedLaunch("one", "b", capacityDetail)
			y.owe(1)
		}, "group/one", NoCapacity, []string{"launch two a 01"}},
		{
			"a throttled launch closes no zone", func(y *yard) { y.refusedLaunch("one", "a", "Throttling: Rate exceeded"); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one a 01"},
		},
		{
			"nor does one that another activity was in the way of", func(y *yard) { y.refusedLaunch("one", "a", "ScalingActivityInProgress: wait"); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one a 01"},
		},
		{
			"refused for a fault of the group's own: the other zone", func(y *yard) { y.refusedLaunch("one", "a", faultDetail); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one b 01"},
		},
		{"and then the next group", func(y *yard) {
			y.refusedLaunch("one", "a", faultDetail)
			y.refusedLaunch("one", "b", faultDetail)
			y.owe(1)
		}, "group/one", LaunchRefused, []string{"launch two a 01"}},
		{"one zone for want of capacity, one for a fault: the fault is told", func(y *yard) {
			y.refusedLaunch("one", "a", capacityDetail)
			y.refusedLaunch("one", "b", faultDetail)
			y.owe(1)
		}, "group/one", LaunchRefused, []string{"launch two a 01"}},
		{"a launch that brought only some of its hosts closes its zone", func(y *yard) {
			y.intent(cluster.Intent{
				Outcome: cluster.OutcomeApplied, Instances: []string{"i-9"}, Detail: "partial: InsufficientInstanceCapacity: no more",
				Change: cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/one", Zone: "a", From: 0, To: 2},
			})
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one b 01"}},
		{"a task that only the second group can hold", func(y *yard) {
			y.p.Hosts[0].Offers.CPU = 512
			y.owe(1)
		}, "group/two", TasksUnplaced, []string{"launch two a 01"}},
		{"a task that no group can hold", func(y *yard) {
			y.s.Revisions["rev/web"] = cluster.Revision{Needs: of(2049, 1)}
			y.owe(1)
		}, "service/web", FitsNoHost, nil},
		{"and its groups do not suffice for it", func(y *yard) {
			y.s.Revisions["rev/web"] = cluster.Revision{Needs: of(2049, 1)}
			y.owe(1)
		}, "group/one", FitsNoHost, nil},
		{"another group's hosts will hold it", func(y *yard) { y.owe(1) }, "group/two", HostsOnTheirWay, []string{"launch one a 01"}},
		{"another group's host comes back for it", func(y *yard) {
			y.drained("one", time.Minute)
			y.owe(1)
		}, "group/two", HostNeeded, []string{"activate i-001"}},
		{"a daemon takes its part of each new host", func(y *yard) {
			y.service("agent", 0, 0, 100, of(1024, 1))
			y.s.Services[1].Scheduling = "DAEMON"
			y.owe(2)
		}, "group/one", TasksUnplaced, []string{"launch one a 01", "launch one b 12"}},
		{"a task bound to a zone gets its host there", func(y *yard) {
			y.s.Services[0].Placement.Constraints = []cluster.Constraint{{Type: "memberOf", Expression: "attribute:ecs.availability-zone == b"}}
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one b 01"}},
		{"one task a host: as many hosts", func(y *yard) {
			y.s.Services[0].Placement.Constraints = []cluster.Constraint{{Type: "distinctInstance"}}
			y.owe(2)
		}, "group/one", TasksUnplaced, []string{"launch one a 01", "launch one b 12"}},
		{"an attribute that no host was seen without: supposed", func(y *yard) {
			y.s.Revisions["rev/web"] = cluster.Revision{Needs: of(1024, 2048), Attributes: []string{"gpu"}}
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one a 01"}},
		{"an attribute that the group's hosts lack: the next group", func(y *yard) {
			y.s.Revisions["rev/web"] = cluster.Revision{Needs: of(1024, 2048), Attributes: []string{"gpu"}}
			y.s.Memory.Groups = map[string]cluster.GroupMemory{"one": {Offers: of(2048, 4096), Attributes: map[string]string{"x": ""}}}
			y.owe(1)
		}, "group/two", TasksUnplaced, []string{"launch two a 01"}},
		{
			"below the policy's minimum", func(y *yard) { y.p.Hosts[0].Min = 2 },
			"group/one", BelowMinHosts,
			[]string{"launch one a 01", "launch one b 12"},
		},
		{
			"what is launched for tasks counts for the minimum", func(y *yard) { y.p.Hosts[0].Min = 1; y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one a 01"},
		},
		{
			"another policy steers the group", func(y *yard) { y.group("one").SteeredBy = "cas"; y.idle("one", "a", time.Hour); y.p.Hosts[0].Min = 3 },
			"group/one", GroupSteered, nil,
		},
		{"no such group", func(y *yard) { y.s.Groups = y.s.Groups[1:]; y.owe(1) }, "group/one", GroupMissing, []string{"launch two a 01"}},
		{
			"a host whose agent is away is no room", func(y *yard) { y.small("one", "a").AgentConnected = false; y.owe(1) },
			"host/i-001", AgentDisconnected,
			[]string{"launch one b 12"},
		},
		{"an instance that terminates is no room", func(y *yard) {
			y.small("one", "a")
			y.group("one").Instances[0].Lifecycle, y.group("one").Desired = cluster.LifecycleTerminating, 0
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one b 01"}},

		{"empty, but not for long enough", func(y *yard) { y.idle("one", "a", 59*time.Second) }, "group/one", EmptyTooShort, nil},
		{"empty for long enough", func(y *yard) { y.idle("one", "a", time.Minute) }, "host/i-001", HostEmpty, []string{"drain i-001"}},
		{"seen empty for the first time", func(y *yard) { y.small("one", "a") }, "group/one", EmptyTooShort, nil},
		{"a task that still stops holds its host", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.task("web", 0, cluster.TaskRunning, cluster.TaskStopped, "HEALTHY")
		}, "group/one", HostsSuffice, nil},
		{"the group is at the policy's minimum", func(y *yard) { y.idle("one", "a", time.Hour); y.p.Hosts[0].Min = 1 }, "group/one", HostsAtMinimum, nil},
		{"the group is at its own minimum", func(y *yard) { y.idle("one", "a", time.Hour); y.group("one").Min = 1 }, "group/one", HostsAtMinimum, nil},
		{"a host that goes is not there any more for the minimum", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.drained("one", time.Minute).Running = 1
			y.p.Hosts[0].Min, y.p.Hosts[0].Removal.MaxAtOnce = 1, 9
		}, "group/one", HostsAtMinimum, nil},
		{"one at a time, from the fuller zone", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.idle("one", "b", time.Hour)
			y.busy("one", "b")
		}, "host/i-002", HostEmpty, []string{"drain i-002"}},
		{"two at a time where that is allowed", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.idle("one", "b", time.Hour)
			y.idle("one", "b", time.Hour)
			y.p.Hosts[0].Removal.MaxAtOnce = 2
		}, "group/one", HostEmpty, []string{"drain i-002", "drain i-001"}},
		{"a host that goes uses the budget", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.drained("one", time.Minute).Running = 1
		}, "group/one", RemovalBudget, nil},
		{"a terminating instance uses the budget too", func(y *yard) {
			y.idle("one", "a", time.Hour)
			g := y.group("one")
			g.Instances = append(g.Instances, cluster.Instance{ID: "i-x", Lifecycle: "Terminating:Wait"})
		}, "group/one", RemovalBudget, nil},
		{"an empty host stays while nobody knows what an owed task takes", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.owe(1)
			clear(y.s.Revisions)
		}, "group/one", RevisionMissing, nil},
		{"an empty host that holds what is owed stays", func(y *yard) { y.idle("one", "a", time.Hour); y.owe(1) }, "group/one", HostNeeded, nil},
		{"of two empty hosts one is enough for what is owed", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.idle("one", "b", time.Hour)
			y.p.Hosts[0].Removal.MaxAtOnce = 2
			y.owe(1)
		}, "group/one", HostEmpty, []string{"drain i-001"}},
		{"a protected instance stays", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.group("one").Instances[0].Protected = true
		}, "host/i-001", HostProtected, nil},
		{"an empty host whose agent is away stays", func(y *yard) { y.idle("one", "a", time.Hour).AgentConnected = false }, "host/i-001", AgentDisconnected, nil},
		{"nothing leaves a group that grows", func(y *yard) {
			y.idle("one", "a", time.Hour).Registered = of(16, 16)
			y.s.Hosts[0].Remaining = of(16, 16)
			y.busy("one", "b")
			y.s.Hosts[1].RegisteredAt = y.s.Now.Add(time.Second)
			y.owe(1)
		}, "group/one", TasksUnplaced, []string{"launch one a 23"}},

		{"the second look finds it empty", func(y *yard) { y.drained("one", time.Minute) }, "host/i-001", HostDrained, []string{"terminate i-001"}},
		{"the DRAINING is not shown yet", func(y *yard) {
			y.drained("one", time.Minute)
			y.intent(cluster.Intent{Change: cluster.Change{Verb: cluster.DrainHost, Subject: "host/i-001", Host: "host/i-001"}})
		}, "group/one", HostsSuffice, nil},
		{"drained a moment ago, and the read is older: it is leaving all the same", func(y *yard) {
			y.drained("one", 80*time.Second).Status = cluster.HostActive
			y.idle("one", "b", time.Hour)
		}, "group/one", RemovalBudget, nil},
		{"the DRAINING never came to be: forgotten", func(y *yard) {
			y.drained("one", 140*time.Second).Status = cluster.HostActive
			y.idle("one", "b", time.Hour)
		}, "host/i-002", HostEmpty, []string{"drain i-002"}},
		{"taken back, and an older read shows it DRAINING: not terminated", func(y *yard) {
			y.drained("one", time.Minute)
			y.intent(cluster.Intent{Change: cluster.Change{Verb: cluster.ActivateHost, Subject: "host/i-001", Host: "host/i-001"}})
		}, "group/one", HostsSuffice, nil},
		{"a person drained it: not touched", func(y *yard) { y.drained("one", 0); y.remember("i-001", cluster.HostMemory{}) }, "group/one", HostsSuffice, nil},
		{
			"nor taken back", func(y *yard) { y.drained("one", 0); y.remember("i-001", cluster.HostMemory{}); y.owe(1) },
			"group/one", TasksUnplaced,
			[]string{"launch one b 12"},
		},
		{"drained, and needed after all", func(y *yard) { y.drained("one", time.Minute); y.owe(1) }, "host/i-001", HostNeeded, []string{"activate i-001"}},
		{"what an intent drained is ours", func(y *yard) {
			y.small("one", "a").Status = cluster.HostDraining
			y.drain("i-001", cluster.OutcomeShown)
		}, "host/i-001", HostDrained, []string{"terminate i-001"}},
		{"what one was refused to drain is not", func(y *yard) {
			y.small("one", "a").Status = cluster.HostDraining
			y.drain("i-001", cluster.OutcomeRefused)
		}, "group/one", HostsSuffice, nil},
		{"nor what one left alone", func(y *yard) {
			y.small("one", "a").Status = cluster.HostDraining
			y.drain("i-001", cluster.OutcomeSkipped)
		}, "group/one", HostsSuffice, nil},
		{"nor what was never shown to be drained", func(y *yard) {
			y.small("one", "a").Status = cluster.HostDraining
			y.drain("i-001", cluster.OutcomeExpired)
		}, "group/one", HostsSuffice, nil},
		{"drained by an intent and taken back by a later one", func(y *yard) {
			y.small("one", "a").Status = cluster.HostDraining
			y.drain("i-001", cluster.OutcomeApplied)
			y.intent(cluster.Intent{Outcome: cluster.OutcomeShown, Change: cluster.Change{Verb: cluster.ActivateHost, Subject: "host/i-001", Host: "host/i-001"}})
			y.s.Intents[0].Outcome = cluster.OutcomeShown
		}, "group/one", HostsSuffice, nil},
		{"a host that could not be drained has to be empty for its time anew", func(y *yard) {
			y.idle("one", "a", time.Hour)
			y.drain("i-001", cluster.OutcomeRefused)
		}, "group/one", EmptyTooShort, nil},
		{"drained and too small for what is owed", func(y *yard) {
			h := y.drained("one", time.Minute)
			h.Registered, h.Remaining = of(16, 16), of(16, 16)
			y.p.Hosts[0].Max = 1
			y.owe(1)
		}, "host/i-001", HostDrained, []string{"launch two a 01", "terminate i-001"}},
		{
			"drained, and the minimum was raised", func(y *yard) { y.drained("one", time.Minute); y.p.Hosts[0].Min = 1 },
			"host/i-001", HostsAtMinimum,
			[]string{"activate i-001"},
		},
		{"a task came in between: not terminated", func(y *yard) { y.drained("one", time.Minute).Running = 1 }, "group/one", HostsSuffice, nil},
		{
			"a DRAINING host that is not empty in time comes back", func(y *yard) { y.drained("one", 10*time.Minute).Running = 1 },
			"host/i-001", DrainStuck,
			[]string{"activate i-001"},
		},
		{"its agent went away while it drained: it still uses the budget", func(y *yard) {
			y.drained("one", 9*time.Minute).AgentConnected = false
			y.idle("one", "b", time.Hour)
		}, "group/one", RemovalBudget, nil},
		{"but not for good", func(y *yard) {
			y.drained("one", 10*time.Minute).AgentConnected = false
			y.idle("one", "b", time.Hour)
		}, "host/i-001", AgentDisconnected, []string{"drain i-002"}},
		{"nor does it stand for the minimum", func(y *yard) {
			y.drained("one", 10*time.Minute).AgentConnected = false
			y.idle("one", "b", time.Hour)
			y.p.Hosts[0].Min = 1
		}, "group/one", HostsAtMinimum, nil},
		{
			"its agent came back: it goes", func(y *yard) { y.drained("one", time.Hour) },
			"host/i-001", HostDrained,
			[]string{"terminate i-001"},
		},
		{"an instance that terminates is not terminated again", func(y *yard) {
			y.drained("one", time.Minute)
			y.group("one").Instances[0].Lifecycle, y.group("one").Desired = cluster.LifecycleTerminating, 0
		}, "group/one", HostsSuffice, nil},
		{
			"protected since: not terminated", func(y *yard) { y.drained("one", time.Minute); y.group("one").Instances[0].Protected = true },
			"host/i-001", HostProtected, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			y := newYard(t)
			tt.given(y)
			p := Cluster(y.s, y.p)
			if d := decision(t, p, tt.about); d.Reason != tt.reason {
				t.Errorf("%s: %s %v, want %s", tt.about, d.Reason, d.Numbers, tt.reason)
			}
			got := did(p)
			if len(got) != len(tt.did) {
				t.Fatalf("did %q, want %q", got, tt.did)
			}
			for i := range got {
				if got[i] != tt.did[i] {
					t.Errorf("did %q, want %q", got, tt.did)
				}
			}
		})
	}
}
