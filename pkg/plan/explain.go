package plan

import "slices"

// Explanation says what a reason means and what an operator can do about it.
type Explanation struct {
	Reason  Reason
	Meaning string
	Advice  string // empty: nothing is to be done
}

// Reasons explains the closed list of reasons, in the order of reason.go.
// docs/reasons.md is made from it.
func Reasons() []Explanation {
	return slices.Concat(taskReasons(), hostReasons(), endpointReasons())
}

func taskReasons() []Explanation {
	return []Explanation{
		{AboveTarget, "A signal is above its target: the service gets more tasks, as far as there is room now.", ""},
		{BelowTarget, "Every signal is below its target: the service gives up tasks.", ""},
		{WithinTolerance, "Every signal is near its target: the count stays.", "A smaller `tolerance` follows the load more closely, and changes more often."},
		{BelowMinimum, "The count was below the policy's `tasks.min` and is raised to it, whatever the signals say.", ""},
		{AboveMaximum, "The count was above the policy's `tasks.max` and is lowered to it, whatever the signals say.", ""},
		{AtMaximum, "More tasks are wanted than the policy's `tasks.max`.", "Raise `tasks.max` if the service is to grow further."},
		{AtMinimum, "Fewer tasks are wanted than the policy's `tasks.min`.", "Lower `tasks.min` if the service may shrink further."},
		{MetricMissing, "A signal has no fresh value. The count may rise by other signals and does not fall: unknown is not zero.", "Check that the metric is published under the name, dimensions and period of the policy. An average of a service without running tasks has no value."},
		{Stabilising, "The stabilisation window still holds a recommendation that speaks against the change.", "A shorter `window` reacts sooner, and to shorter peaks and lulls."},
		{RateLimited, "The count has changed as much as `maxTasks` or `maxPercent` allow within `per`.", "Raise the limit if the service must follow faster."},
		{WaitingForHosts, "Tasks have no place on the hosts there are. The count rises when hosts have come, also while no signal has a value, for 15 minutes.", "Look at the host groups' decisions if it lasts: they say whether hosts are on their way."},
		{DeploymentRuns, "ECS replaces tasks by those of another revision: no scale-in meanwhile.", "If the deployment hangs, see the service's events in ECS."},
		{FloorReached, "Fewer tasks would take the service below its minimum healthy percent, since some are not healthy now.", "See why tasks are not healthy."},
		{CeilingReached, "More tasks would take the service above its maximum percent while earlier ones still stop.", "A higher `maximumPercent` lets tasks start while others stop."},
		{Contested, "Another hand, such as a second deployment of plimsoll, a scaling policy on the service or a script, has undone what plimsoll set three times within half an hour: whatever is wanted, the count is left alone for 15 minutes, outside of `tasks.min` and `tasks.max` too, then tried once more. Undone again it is left alone for twice as long each time, up to an hour, and below `tasks.min` for 15 minutes each time. `set` is what plimsoll had set, `undone` how often another hand changed it, `holds` how often in a row the count was left alone.", "Find the other one (CloudTrail names the caller of `UpdateService`) and let one of the two set the count. A tool that deploys must leave the desired count out. If the other is right, take `tasks` out of the service's policy."},
		{NotSteered, "The count is not one that plimsoll sets: the policy has no `tasks` for the service, or it is a daemon, or its deployment controller is not `ECS`.", ""},
		{NoSignal, "The policy names no signal for the service: its count is only kept between `tasks.min` and `tasks.max`.", "Name a signal under `scale`."},
		{RevisionMissing, "The service's task definition could not be read: what a task takes is not known, so the count is not raised, and no host leaves that it may need.", "See whether the task definition still exists."},
		{ServiceMissing, "The policy names a service that ECS does not know in this cluster.", "Create the service or take it out of the policy."},
	}
}

func hostReasons() []Explanation {
	return []Explanation{
		{HostsSuffice, "Every task has a place, and no host is empty.", ""},
		{TasksUnplaced, "Tasks have no place: hosts are launched for exactly those, and for no more than the order of placement may make of it. `hostsIfPacked` is how many would do if ECS packed as tightly as can be.", ""},
		{BelowMinHosts, "The group has fewer hosts than the policy's `min`.", ""},
		{HostsAtMaximum, "More hosts are needed than the policy's `max`, or the group's own maximum, allows.", "Raise the maximum, or add a group."},
		{NoCapacity, "EC2 had no capacity for a launch. The zone is asked again after 1 to 15 minutes, doubling; other zones and groups are asked meanwhile. Where Auto Scaling itself could launch nothing towards the desired capacity for 5 minutes, the whole group is left alone until it can.", "More zones, more instance types or another group make this rarer."},
		{LaunchRefused, "Auto Scaling or EC2 refused a launch for another cause than capacity or throttling. The zone is asked again after 1 to 15 minutes, doubling; other zones and groups are asked meanwhile.", "The intent's detail has the refusal: mend the launch template, the role or the group that it names."},
		{HostsOnTheirWay, "Launched hosts, of this group or another, have not registered yet and will hold what has no place. One that has not after 15 minutes is counted as `late` and no longer waited for.", "If hosts are late, see their boot log: the agent must run and name this cluster."},
		{HostsNeverRegister, "Hosts of the group were launched 15 minutes ago or more and none has registered since: one host at a time is tried, when as long has passed again as each time before, from 15 minutes to 12 hours. The next group is asked meanwhile.", "See the instances' boot log: the agent must run, reach ECS and name this cluster. plimsoll does not terminate an instance that ECS does not know: terminate those that are `late` once the cause is mended, and the group grows again at once."},
		{FitsNoHost, "A task is larger than, or not allowed on, an empty host of every group. What the host lacked is among the numbers.", "Make the task smaller, the hosts larger, or correct its placement constraints."},
		{HostSizeUnknown, "No host of the group was ever seen and the policy does not say what one offers: one is launched to learn it.", "Write `offers` into the policy to grow from zero in one step."},
		{HostEmpty, "The host stayed empty for `removal.emptyAfter` and nothing needs it: it is set to DRAINING.", ""},
		{HostDrained, "The second look found the DRAINING host empty: it is terminated, and the group's desired capacity lowered.", ""},
		{HostNeeded, "Tasks need the host after all: a host that plimsoll set to DRAINING is made ACTIVE again, an empty one stays.", ""},
		{HostsAtMinimum, "The group is at the policy's `min` or its own minimum: empty hosts stay, and one that is DRAINING comes back.", "Lower the minimum if the hosts are to go."},
		{RemovalBudget, "As many hosts of the group are leaving as `removal.maxAtOnce` allows.", "Raise it if hosts are to leave faster."},
		{EmptyTooShort, "Hosts are empty, but not for as long as `removal.emptyAfter`.", ""},
		{HostProtected, "The instance is protected from scale-in: plimsoll does not remove it.", "Take the protection off if the host is to go."},
		{DrainStuck, "A host that plimsoll set to DRAINING still has tasks after `removal.drainTimeout`: it is made ACTIVE again.", "See why its tasks do not stop or find no other place."},
		{AgentDisconnected, "The host's agent is not connected: the host is neither counted as room nor removed. One that plimsoll was draining is told after `removal.drainTimeout`, and others may leave meanwhile.", "If it lasts, see the agent's log, or terminate the instance."},
		{GroupSteered, "Another scaling policy, or a capacity provider's managed scaling, steers the group: plimsoll leaves it alone.", "Turn the other one off, or take the group out of the policy."},
		{GroupMissing, "The policy names a group that Auto Scaling does not know.", "Create the group or take it out of the policy."},
	}
}

func endpointReasons() []Explanation {
	return []Explanation{
		{EndpointsMatch, "Every running task's port is registered, and nothing else is.", ""},
		{TaskEnds, "Tasks were told to stop or have ended: their ports are taken off at once.", ""},
		{TaskLeaves, "Tasks are being taken out of their service: their ports are taken off before they are told to stop.", ""},
		{PortReused, "Host ports are other tasks' now. They are taken off where their old owners were registered, and only after that registered for the new ones.", ""},
		{NobodysTarget, "Something is registered behind which no task stands that the policy registers there: it is taken off.", "Give what others register a target group of its own."},
		{TaskRuns, "Tasks run and their ports are not registered: they are.", ""},
		{StillDraining, "A port that is wanted still drains in the target group. It cannot be registered before the deregistration delay has passed.", "A shorter deregistration delay frees ports sooner."},
		{PortTaken, "The record of a host port is that of another task, which is not known to have ended: the port is not registered.", "If it lasts, see whether that task still exists."},
		{TaskUnknown, "The task behind a registered port is neither seen to run nor known to have ended: the port stays registered until one of them is certain.", ""},
		{PortNotMapped, "Tasks run without the container port that the policy names.", "Map the port in the task definition, or correct container, port or protocol in the policy."},
		{AddressUnknown, "The EC2 instance of a task's host, or its address, could not be read: its port is not registered.", ""},
		{OperationRuns, "Cloud Map still works on an instance, and takes one operation at a time.", ""},
		{CallsSpent, "There is more to do than one round may call for. The rest follows within seconds, removals first.", ""},
		{RefusedBefore, "Every registration there was refused, so that the next try waits: 15 seconds, then twice as long each time, at most five minutes. Tasks that started since do not wait.", "See what the refused calls say: `plimsoll explain` shows them. Often the target group is of another VPC than the hosts."},
		{LimitNear, "Nine tenths or more of a limit are used: of targets a target group, of registrations of one instance with a load balancer, or of instances a Cloud Map service.", "Ask AWS for a higher quota where there is one, or spread the tasks over more target groups, load balancers or hosts."},
		{LimitReached, "A limit of AWS is reached: no more is registered until something leaves.", "Ask AWS for a higher quota where there is one, or spread the tasks over more target groups, load balancers or hosts."},
		{TargetGroupMissing, "The policy names a target group that does not exist.", "Create it or take it out of the policy."},
		{RegistryMissing, "The policy names a Cloud Map service that does not exist.", "Create it or take it out of the policy."},
		{RegistryAmbiguous, "Several Cloud Map services, of different namespaces, have the name that the policy names: none is changed.", "Write the service's id into the policy."},
		{ManagedByECS, "ECS itself registers the tasks of one of its services there: plimsoll leaves it alone.", "Take it out of the policy, or out of the ECS service."},
		{WrongTargetType, "The target group takes addresses, functions or load balancers, not instances: a host's port cannot be registered in it.", "Use a target group of type `instance`."},
		{WrongProtocol, "The target group's protocol does not fit the endpoint's: HTTP, HTTPS, TCP and TLS want `tcp`, UDP wants `udp`, and TCP_UDP is not supported: its target answers for two ports, which may be two tasks'. Nothing is changed there.", "Correct the endpoint's protocol, or use another target group."},
	}
}
