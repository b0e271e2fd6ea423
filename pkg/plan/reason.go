package plan

// Reason says in one word why a decision came out as it did. The list is
// closed; docs/reasons.md is made from it.
type Reason string

// Why task counts change, or do not.
const (
	AboveTarget     Reason = "aboveTarget"     // a signal is above its target: more tasks
	BelowTarget     Reason = "belowTarget"     // every signal is below its target: fewer tasks
	WithinTolerance Reason = "withinTolerance" // every signal is near its target: the count stays
	BelowMinimum    Reason = "belowMinimum"    // the count is below the policy's minimum: raised to it
	AboveMaximum    Reason = "aboveMaximum"    // the count is above the policy's maximum: lowered to it
	AtMaximum       Reason = "atMaximum"       // more is wanted than the policy's maximum
	AtMinimum       Reason = "atMinimum"       // less is wanted than the policy's minimum
	MetricMissing   Reason = "metricMissing"   // a signal has no fresh value: hold, unknown is not zero
	Stabilising     Reason = "stabilising"     // the window still holds another recommendation
	RateLimited     Reason = "rateLimited"     // the count may not change faster
	WaitingForHosts Reason = "waitingForHosts" // the wanted tasks have no place until hosts come
	DeploymentRuns  Reason = "deploymentRuns"  // no scale-in while ECS replaces a revision
	FloorReached    Reason = "floorReached"    // fewer tasks would take the service below its minimum healthy percent
	CeilingReached  Reason = "ceilingReached"  // more tasks would take the service above its maximum percent
	Contested       Reason = "contested"       // another hand undoes what plimsoll sets, again and again: the count is left alone for a while
	NotSteered      Reason = "notSteered"      // the service is not one whose count plimsoll may set
	NoSignal        Reason = "noSignal"        // the policy names no signal: the count is only kept within its bounds
	RevisionMissing Reason = "revisionMissing" // the service's task definition could not be read: its count is not raised and no host leaves
	ServiceMissing  Reason = "serviceMissing"  // the policy names a service that ECS does not know
)

// Why hosts come and go, or do not.
const (
	HostsSuffice       Reason = "hostsSuffice"       // every task has a place and no host is empty
	TasksUnplaced      Reason = "tasksUnplaced"      // tasks have no place: hosts are launched for exactly those
	BelowMinHosts      Reason = "belowMinHosts"      // the group is below the policy's minimum
	HostsAtMaximum     Reason = "hostsAtMaximum"     // more hosts are needed than the policy allows
	NoCapacity         Reason = "noCapacity"         // EC2 refused a launch for want of capacity; another zone or group, or later
	LaunchRefused      Reason = "launchRefused"      // Auto Scaling refused a launch, and not for want of capacity; another zone or group, or later
	HostsOnTheirWay    Reason = "hostsOnTheirWay"    // launched hosts that have not registered yet will hold what is unplaced
	HostsNeverRegister Reason = "hostsNeverRegister" // hosts were launched and none registered since: a single one is tried, now and then
	FitsNoHost         Reason = "fitsNoHost"         // a task is larger than, or not allowed on, any host of any group
	HostSizeUnknown    Reason = "hostSizeUnknown"    // no host of the group was seen and the policy does not say what one offers: one is launched to learn it
	HostEmpty          Reason = "hostEmpty"          // the host stayed empty: it is set to DRAINING
	HostDrained        Reason = "hostDrained"        // the second look found the DRAINING host empty: it is terminated
	HostNeeded         Reason = "hostNeeded"         // tasks need the host after all: it is set to ACTIVE again
	HostsAtMinimum     Reason = "hostsAtMinimum"     // the group is at its minimum: empty hosts stay
	RemovalBudget      Reason = "removalBudget"      // as many hosts as allowed are leaving already
	EmptyTooShort      Reason = "emptyTooShort"      // the host is empty, but not for long enough
	HostProtected      Reason = "hostProtected"      // the instance is protected from scale-in
	DrainStuck         Reason = "drainStuck"         // a DRAINING host is not empty after its time: it is set to ACTIVE again
	AgentDisconnected  Reason = "agentDisconnected"  // the agent is away: the host is neither room nor to be removed
	GroupSteered       Reason = "groupSteered"       // another scaling policy steers the group: plimsoll leaves it alone
	GroupMissing       Reason = "groupMissing"       // the policy names a group that Auto Scaling does not know
)

// Why ports are registered and taken off, or are not.
const (
	EndpointsMatch     Reason = "endpointsMatch"     // every task's port is registered, and nothing else is
	TaskEnds           Reason = "taskEnds"           // a task was told to stop or has ended: its ports are taken off at once
	TaskLeaves         Reason = "taskLeaves"         // a task is being taken out: its ports are taken off before it is told to stop
	PortReused         Reason = "portReused"         // a port is another task's now: it is taken off where it was registered before it is registered anew
	NobodysTarget      Reason = "nobodysTarget"      // no task that the policy registers stands behind what is registered: it is taken off
	TaskRuns           Reason = "taskRuns"           // tasks run and their ports are not registered: they are
	StillDraining      Reason = "stillDraining"      // a port drains where it is wanted: it cannot be registered before the delay has passed
	PortTaken          Reason = "portTaken"          // a port's record is another task's that is not known to have ended: it is not registered
	TaskUnknown        Reason = "taskUnknown"        // a task behind a registered port is neither seen to run nor known to have ended: the port stays
	PortNotMapped      Reason = "portNotMapped"      // a task runs without the container port that the policy names
	AddressUnknown     Reason = "addressUnknown"     // a task's host is not known by its id or address: its port is not registered
	OperationRuns      Reason = "operationRuns"      // Cloud Map still works on the instance: one operation at a time
	CallsSpent         Reason = "callsSpent"         // there is more to do than one round may call for: the rest follows
	RefusedBefore      Reason = "refusedBefore"      // all registrations there were refused: the next try waits
	LimitNear          Reason = "limitNear"          // nine tenths of a limit of AWS are used
	LimitReached       Reason = "limitReached"       // a limit of AWS is reached: no more is registered
	TargetGroupMissing Reason = "targetGroupMissing" // the policy names a target group that does not exist
	RegistryMissing    Reason = "registryMissing"    // the policy names a Cloud Map service that does not exist
	RegistryAmbiguous  Reason = "registryAmbiguous"  // several Cloud Map services have the name that the policy names
	ManagedByECS       Reason = "managedByECS"       // ECS itself registers a service's tasks there: plimsoll leaves it alone
	WrongTargetType    Reason = "wrongTargetType"    // the target group takes no instances: a host's port cannot be registered
	WrongProtocol      Reason = "wrongProtocol"      // the target group's protocol does not fit an endpoint's, or is TCP_UDP, which is not supported: a port of the other protocol may be another task's
)
