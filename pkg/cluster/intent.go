package cluster

import "time"

// Verb names a changing call.
type Verb string

// The closed list of changes that plimsoll makes to a cluster.
const (
	SetDesiredCount Verb = "SetDesiredCount" // ECS UpdateService: a service's desired count
	LaunchHosts     Verb = "LaunchHosts"     // Auto Scaling LaunchInstances, or SetDesiredCapacity where that is not to be had: To-From hosts more in Zone
	DrainHost       Verb = "DrainHost"       // ECS UpdateContainerInstancesState DRAINING
	ActivateHost    Verb = "ActivateHost"    // ECS UpdateContainerInstancesState ACTIVE: the host is wanted after all
	TerminateHost   Verb = "TerminateHost"   // Auto Scaling TerminateInstanceInAutoScalingGroup with decrement

	RegisterTargets    Verb = "RegisterTargets"    // Elastic Load Balancing RegisterTargets: Ports in a target group
	DeregisterTargets  Verb = "DeregisterTargets"  // Elastic Load Balancing DeregisterTargets: Ports from a target group
	RegisterInstance   Verb = "RegisterInstance"   // Cloud Map RegisterInstance: Instance in a registry
	DeregisterInstance Verb = "DeregisterInstance" // Cloud Map DeregisterInstance: Instance from a registry
)

// Change is one change of one subject. It is absolute: From is what the plan
// rested on, To what shall be, and doing it twice does no more than once.
type Change struct {
	Verb    Verb    `json:"verb"`
	Subject Subject `json:"subject"`
	From    int     `json:"from"`
	To      int     `json:"to"`
	Zone    string  `json:"zone,omitempty"`    // LaunchHosts: where
	Group   string  `json:"group,omitempty"`   // TerminateHost: the host's group
	Host    string  `json:"host,omitempty"`    // DrainHost, ActivateHost: the container instance ARN
	Reaches *Reach  `json:"reaches,omitempty"` // the changes of register: what is registered or taken off, and where
}

// Reach is what a change of register is about. A pointer to it keeps Change
// comparable: each belongs to one change.
type Reach struct {
	Group    string     `json:"group,omitempty"`    // target group ARN
	Registry string     `json:"registry,omitempty"` // Cloud Map service id
	Ports    []HostPort `json:"ports"`              // targets; of a registry the one port that the instance tells of
	Tasks    []string   `json:"tasks,omitempty"`    // for each port the task (ARN) that it is registered for, or was; empty: nobody knows
	Turn     Turn       `json:"turn"`               // how urgent it is
	Instance string     `json:"instance,omitempty"` // Registered.ID, of a registry
	Address  string     `json:"address,omitempty"`  // IPv4 address of the host, of a registry
}

// Turn is how urgent a change of register is: the smaller ones of a plan go first,
// whatever they are about.
type Turn int

// The turns. What answers for nobody, or for somebody else, goes first; what is
// new comes last.
const (
	TurnEnded   Turn = iota // the task is told to stop or has ended, or the port is another's now: for good
	TurnLeaving             // the task is being taken out and runs still
	TurnOrphan              // nothing stands for it any more, as far as reads tell
	TurnNew                 // to be registered
)

// Intent is a change that was decided on and noted before its call.
type Intent struct {
	ID string `json:"id"` // unique: key, generation and number
	Change
	At        time.Time `json:"at"`
	Outcome   Outcome   `json:"outcome,omitempty"`
	Detail    string    `json:"detail,omitempty"`    // what the outcome's call said
	Instances []string  `json:"instances,omitempty"` // LaunchHosts: the ids that the answer named
	Operation string    `json:"operation,omitempty"` // RegisterInstance, DeregisterInstance: the operation of Cloud Map that the answer named
}

// Outcome is how the call of an intent ended.
type Outcome string

// The outcomes. An intent is open with OutcomeUnknown or OutcomeApplied until
// the cloud shows it, shows a later change, or IntentOverlay has passed.
const (
	OutcomeUnknown    Outcome = ""           // no answer was noted: it may or may not have happened
	OutcomeApplied    Outcome = "applied"    // the call succeeded; reads may still be older than it
	OutcomeRefused    Outcome = "refused"    // the call failed and changed nothing
	OutcomeSkipped    Outcome = "skipped"    // its precondition no longer held, or an earlier call of the subject failed
	OutcomeShown      Outcome = "shown"      // the cloud shows it
	OutcomeSuperseded Outcome = "superseded" // the cloud shows a later change
	OutcomeExpired    Outcome = "expired"    // never shown within IntentOverlay
)

// IntentOverlay is how long an open intent stands in for what the cloud shows.
const IntentOverlay = 3 * time.Minute

// Open says whether the intent still stands in for what the cloud shows.
func (i Intent) Open() bool { return i.Outcome == OutcomeUnknown || i.Outcome == OutcomeApplied }

// Subject names what a decision is about: a kind, a slash and a name.
type Subject string

// ServiceSubject is the subject of a service by its name.
func ServiceSubject(name string) Subject { return Subject("service/" + name) }

// GroupSubject is the subject of a host group by its Auto Scaling group's name.
func GroupSubject(name string) Subject { return Subject("group/" + name) }

// HostSubject is the subject of a host by its EC2 instance id.
func HostSubject(id string) Subject { return Subject("host/" + id) }

// TargetsSubject is the subject of a target group's targets by the group's name.
func TargetsSubject(group string) Subject { return Subject("targets/" + group) }

// RegistrySubject is the subject of a Cloud Map service by its name.
func RegistrySubject(name string) Subject { return Subject("registry/" + name) }

// TaskSubject is the subject of a task by its id.
func TaskSubject(id string) Subject { return Subject("task/" + id) }

// Name is the subject's name without its kind.
func (s Subject) Name() string {
	for i := range len(s) {
		if s[i] == '/' {
			return string(s[i+1:])
		}
	}
	return string(s)
}
