package scenario

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// setDesiredCapacity is a call that only stands in for a launch, so that no
// change of ours is named so.
const setDesiredCapacity cluster.Verb = "SetDesiredCapacity"

// change is what a call asks for, in the words of the promises.
type change struct {
	verb      cluster.Verb
	subjects  []cluster.Subject // one, but for hosts that one call drains
	to        int               // SetDesiredCount, SetDesiredCapacity
	more      int               // LaunchHosts
	zone      string            // LaunchHosts
	hosts     []string          // container instance ARNs of the hosts that it is about
	group     string            // of a host or of hosts; empty: none has it
	decrement bool              // TerminateHost: the group wants one less
}

// subject is what a violation of the change is told of.
func (c change) subject() string {
	if len(c.subjects) == 0 {
		return string(c.verb)
	}
	return string(c.subjects[0])
}

// change reads a call. False: it is not one of those that the controller makes.
func (m *monitors) change(c simcloud.Call, t truth) (change, bool) {
	switch in := c.Input.(type) {
	case *ecs.UpdateServiceInput:
		name := tail(aws.ToString(in.Service))
		to := t.services[name].desired
		if in.DesiredCount != nil {
			to = int(*in.DesiredCount)
		}
		return change{verb: cluster.SetDesiredCount, subjects: []cluster.Subject{cluster.ServiceSubject(name)}, to: to}, onlyTheCount(in)
	case *ecs.UpdateContainerInstancesStateInput:
		x := change{verb: cluster.ActivateHost}
		if in.Status == "DRAINING" {
			x.verb = cluster.DrainHost
		}
		for _, ref := range in.ContainerInstances {
			arn := t.hostARN(ref)
			x.hosts = append(x.hosts, arn)
			x.subjects = append(x.subjects, cluster.HostSubject(t.hosts[arn]))
		}
		return x, true
	case *autoscaling.LaunchInstancesInput:
		name, zone := aws.ToString(in.AutoScalingGroupName), ""
		if len(in.AvailabilityZones) > 0 {
			zone = in.AvailabilityZones[0]
		}
		return change{verb: cluster.LaunchHosts, subjects: []cluster.Subject{cluster.GroupSubject(name)}, more: int(aws.ToInt32(in.RequestedCapacity)), zone: zone, group: name}, true
	case *autoscaling.SetDesiredCapacityInput:
		name := aws.ToString(in.AutoScalingGroupName)
		return change{verb: setDesiredCapacity, subjects: []cluster.Subject{cluster.GroupSubject(name)}, to: int(aws.ToInt32(in.DesiredCapacity)), group: name}, true
	case *autoscaling.TerminateInstanceInAutoScalingGroupInput:
		return terminated(aws.ToString(in.InstanceId), aws.ToBool(in.ShouldDecrementDesiredCapacity), t), true
	default:
		return change{}, false
	}
}

func terminated(id string, decrement bool, t truth) change {
	x := change{verb: cluster.TerminateHost, subjects: []cluster.Subject{cluster.HostSubject(id)}, group: t.groupOf(id), decrement: decrement}
	if arn := t.hostOf(id); arn != "" {
		x.hosts = []string{arn}
	}
	return x
}

// onlyTheCount says that an UpdateService changes the desired count and nothing
// else.
func onlyTheCount(in *ecs.UpdateServiceInput) bool {
	return in.DesiredCount != nil && in.TaskDefinition == nil && !in.ForceNewDeployment && in.DeploymentConfiguration == nil &&
		in.PlacementConstraints == nil && in.PlacementStrategy == nil
}

// takesHealth is S1: what is healthy after the change is at least the floor,
// unless the change takes no health.
func (c change) takesHealth(t truth) string {
	switch c.verb {
	case cluster.SetDesiredCount:
		return lowered(t.services[c.subjects[0].Name()], c.to)
	case cluster.DrainHost:
		return removed(t, slices.DeleteFunc(slices.Clone(c.hosts), func(arn string) bool { return t.draining[arn] }), "draining")
	case cluster.TerminateHost:
		return removed(t, c.hosts, "terminating")
	case setDesiredCapacity:
		return shrunk(t, c.group, c.to)
	default:
		return ""
	}
}

// lowered judges a lower desired count: ECS picks the victims, so each may be a
// healthy task.
func lowered(s counted, to int) string {
	taken := min(s.healthy, s.beyond(to))
	if to >= s.desired || taken == 0 || s.healthy-taken >= s.floor(to) {
		return ""
	}
	return fmt.Sprintf("of %d healthy tasks (%d not told to stop) lowering the desired count from %d to %d may take %d, which leaves %d; %d %% of %d are %d",
		s.healthy, s.live, s.desired, to, taken, s.healthy-taken, s.minimum, to, s.floor(to))
}

// removed judges the end of hosts: all healthy tasks on them, for each service.
// What an earlier lower count or the draining of other hosts is about to take
// counts as gone: else two removals, each right by itself, take too much.
func removed(t truth, hosts []string, doing string) string {
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		s, taken, going := t.services[name], 0, 0
		for arn, p := range s.on {
			switch {
			case slices.Contains(hosts, arn):
				taken += p.healthy
			case t.draining[arn]:
				going += p.healthy
			}
		}
		going += min(s.healthy-taken-going, s.beyond(s.desired))
		if left := s.healthy - going - taken; taken > 0 && left < s.floor(s.desired) {
			return fmt.Sprintf("of %d healthy tasks of service %s, %d of them leaving already, %s %d host(s) takes %d, which leaves %d; %d %% of %d are %d",
				s.healthy, name, going, doing, len(hosts), taken, left, s.minimum, s.desired, s.floor(s.desired))
		}
	}
	return ""
}

// shrunk judges a lower desired capacity: the group picks the hosts, so for
// each service it may be those with most of its healthy tasks.
func shrunk(t truth, group string, to int) string {
	g := t.groups[group]
	var arns []string
	alive := 0
	for _, i := range g.Instances {
		if i.State == "InService" || i.State == "Pending" {
			alive++
		}
		if arn := t.hostOf(i.ID); arn != "" && i.State == "InService" {
			arns = append(arns, arn)
		}
	}
	if to >= g.Desired || to >= alive {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		on := t.services[name].on
		slices.SortStableFunc(arns, func(a, b string) int { return on[b].healthy - on[a].healthy })
		one := truth{services: map[string]counted{name: t.services[name]}, draining: t.draining}
		if wrong := removed(one, arns[:min(len(arns), alive-to)], "having the group choose"); wrong != "" {
			return wrong
		}
	}
	return ""
}

// exceeds is S2: what exists and what the change makes ECS start is at most the
// ceiling, unless the change starts nothing.
func (c change) exceeds(t truth) string {
	switch c.verb {
	case cluster.SetDesiredCount:
		return raised(t.services[c.subjects[0].Name()], c.to)
	case cluster.DrainHost:
		return replaced(t, slices.DeleteFunc(slices.Clone(c.hosts), func(arn string) bool { return t.draining[arn] }))
	default:
		return ""
	}
}

// raised judges a higher desired count. What the count there was still lacks
// starts as well.
func raised(s counted, to int) string {
	starts := max(0, to-s.fresh)
	if to <= s.desired || s.existing+starts <= s.ceiling(to) {
		return ""
	}
	return fmt.Sprintf("%d tasks exist (%d of them not told to stop, %d on hosts that stay) and raising the desired count from %d to %d starts %d, which makes %d; %d %% of %d are %d",
		s.existing, s.live, s.fresh, s.desired, to, starts, s.existing+starts, s.maximum, to, s.ceiling(to))
}

// replaced judges the draining of hosts: ECS starts a task for each there.
func replaced(t truth, hosts []string) string {
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		s, there := t.services[name], 0
		for _, arn := range hosts {
			there += s.on[arn].live
		}
		if there > 0 && s.existing+there > s.ceiling(s.desired) {
			return fmt.Sprintf("%d tasks of service %s exist and draining %d host(s) has ECS replace %d, which makes %d; %d %% of %d are %d",
				s.existing, name, len(hosts), there, s.existing+there, s.maximum, s.desired, s.ceiling(s.desired))
		}
	}
	return ""
}

// outside is S7: a count, or a group's hosts, is set within the policy's bounds,
// or nearer to them than it was.
func (m *monitors) outside(c change) claim {
	return func(t truth) string {
		if c.verb == cluster.SetDesiredCount {
			name := c.subjects[0].Name()
			tasks := m.policy.Services[name].Tasks
			if tasks == nil {
				return fmt.Sprintf("the policy leaves the count of service %s alone, and %d is set", name, c.to)
			}
			return unbounded("the desired count", t.services[name].desired, c.to, tasks.Min, tasks.Max)
		}
		g, named := m.group(c.group)
		if !named {
			return "" // S8 tells
		}
		before := t.groups[c.group].Desired
		switch {
		case c.verb == cluster.LaunchHosts:
			return unbounded("the group's hosts", before, before+c.more, g.Min, g.Max)
		case c.verb == setDesiredCapacity:
			return unbounded("the group's hosts", before, c.to, g.Min, g.Max)
		case c.verb == cluster.TerminateHost && c.decrement:
			return unbounded("the group's hosts", before, before-1, g.Min, g.Max)
		}
		return ""
	}
}

// unbounded judges a number that is set: beyond a bound it may only come nearer.
func unbounded(what string, before, to, least, most int) string {
	switch {
	case to < least && to <= before:
		return fmt.Sprintf("%s is set from %d to %d, below the policy's minimum of %d", what, before, to, least)
	case to > most && to >= before:
		return fmt.Sprintf("%s is set from %d to %d, above the policy's maximum of %d", what, before, to, most)
	default:
		return ""
	}
}
