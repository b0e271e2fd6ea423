// Package cluster is the vocabulary: what one ECS cluster and its hosts look
// like at one moment, what is remembered about it and which changes are under
// way. It holds nouns and nothing that decides; it must not know how the nouns
// are read (awscloud) nor what is done about them (plan).
package cluster

import "time"

// State is one cluster as one round sees it. It is all that a plan may rest on
// besides the policy: the time is in it, and so is what was remembered.
type State struct {
	Now       time.Time
	Name      string              // the ECS cluster's name
	Groups    []HostGroup         // in the order of the policy
	Hosts     []Host              // container instances, sorted by ARN
	Services  []Service           // those the policy names, sorted by name
	Tasks     []Task              // every task that is not STOPPED, sorted by ARN
	Revisions map[string]Revision // by ARN: each that a service or its deployments name
	Metrics   map[string]Series   // by Metric.Key; a series that could not be read is absent
	Memory    Memory
	Intents   []Intent      // open ones, oldest first
	Pace      time.Duration // how far apart looks that cost what this one did should be: no plan rests on it; 0: as near as they come
}

// Scope is what a round looks at and may change: nothing outside it is touched.
type Scope struct {
	Cluster  string
	Groups   []string
	Services []string
	Metrics  []Metric
}

// Resources are amounts of what a host offers and a task takes.
type Resources struct {
	CPU    int `json:"cpu"`    // CPU units, 1,024 a vCPU
	Memory int `json:"memory"` // MiB
}

// Add returns the sum of r and s.
func (r Resources) Add(s Resources) Resources {
	return Resources{CPU: r.CPU + s.CPU, Memory: r.Memory + s.Memory}
}

// Sub returns r less s; an amount may become negative.
func (r Resources) Sub(s Resources) Resources {
	return Resources{CPU: r.CPU - s.CPU, Memory: r.Memory - s.Memory}
}

// Holds says whether s fits into r.
func (r Resources) Holds(s Resources) bool { return s.CPU <= r.CPU && s.Memory <= r.Memory }

// Port is a static host port; dynamic ones (host port 0) never appear.
type Port struct {
	Number   int    `json:"number"`
	Protocol string `json:"protocol"` // tcp or udp
}

// HostGroup is an Auto Scaling group.
type HostGroup struct {
	Name          string
	Min, Max      int // the group's own bounds
	Desired       int
	Zones         []string
	InstanceTypes []string // of its instances and, where they show, of its launch template
	Instances     []Instance
	SteeredBy     string // a scaling policy or managed scaling that also sets the desired capacity; empty: none
}

// Instance is an EC2 instance as its Auto Scaling group sees it.
type Instance struct {
	ID        string
	Zone      string
	Type      string
	Lifecycle string // Auto Scaling's lifecycle state: Pending, InService, Terminating, ...
	Protected bool   // from scale-in
}

// The lifecycle states of an instance that decisions name. Others end in :Wait
// or :Proceed and begin with one of these.
const (
	LifecyclePending     = "Pending"
	LifecycleInService   = "InService"
	LifecycleTerminating = "Terminating"
)

// Host is a container instance of the cluster.
type Host struct {
	ARN            string
	ID             string // EC2 instance id
	Group          string // Auto Scaling group; empty where none of the policy's holds it
	Zone           string
	Type           string
	Status         HostStatus
	AgentConnected bool
	Registered     Resources // what the agent offered when it registered
	Remaining      Resources // what is not taken; a stopping task still takes its part
	TakenPorts     []Port    // static host ports in use, the agent's own included
	Attributes     map[string]string
	Running        int // tasks, as ECS counts them
	Pending        int
	RegisteredAt   time.Time
}

// HostStatus is the status of a container instance in ECS.
type HostStatus string

// The statuses of a container instance.
const (
	HostActive   HostStatus = "ACTIVE"
	HostDraining HostStatus = "DRAINING"
)

// Empty says whether nothing runs, starts or stops on the host: no task is
// counted and no resource is taken.
func (h Host) Empty() bool { return h.Running == 0 && h.Pending == 0 && h.Remaining == h.Registered }

// Usable says whether ECS may place a task on the host now.
func (h Host) Usable() bool { return h.Status == HostActive && h.AgentConnected }

// Service is an ECS service.
type Service struct {
	ARN                   string
	Name                  string
	Controller            string // ECS, EXTERNAL or CODE_DEPLOY
	Scheduling            string // REPLICA or DAEMON
	Desired               int    // tasks
	Running               int
	Pending               int
	Revision              string // ARN of the task definition
	MinimumHealthyPercent int
	MaximumPercent        int
	Placement             Placement
	Deployments           []Deployment
	CreatedAt             time.Time
}

// Deploying says whether ECS replaces tasks of one revision by another.
func (s Service) Deploying() bool { return len(s.Deployments) > 1 }

// Deployment is one deployment of a service with the ECS controller.
type Deployment struct {
	ID       string
	Status   string // PRIMARY, ACTIVE
	Revision string // ARN of the task definition
	Desired  int
	Running  int
	Pending  int
	Failed   int
	Rollout  string // IN_PROGRESS, COMPLETED, FAILED
}

// Placement says where ECS may and would rather place a service's tasks.
type Placement struct {
	Strategies  []Strategy
	Constraints []Constraint
}

// Strategy is one placement strategy, applied in the order of the list.
type Strategy struct {
	Type  string // random, spread or binpack
	Field string // spread: instanceId or attribute:NAME; binpack: CPU or MEMORY
}

// Constraint is one placement constraint.
type Constraint struct {
	Type       string // distinctInstance or memberOf
	Expression string // memberOf: the cluster query language
}

// Revision is a task definition.
type Revision struct {
	ARN         string
	Family      string
	Number      int
	Needs       Resources
	Ports       []Port       // static host ports
	Constraints []Constraint // memberOf only
	Attributes  []string     // names that a host must have (requiresAttributes)
	Checked     bool         // an essential container has a health check
}

// Task is an ECS task that is not STOPPED.
type Task struct {
	ARN       string
	Service   string // empty for a task that no service started
	Revision  string // ARN of the task definition
	Host      string // container instance ARN; empty before placement
	Zone      string
	Last      string // lastStatus
	Wanted    string // desiredStatus
	Health    string // HEALTHY, UNHEALTHY or UNKNOWN
	StartedBy string // deployment id for a service's task
	CreatedAt time.Time
	StartedAt time.Time // zero before RUNNING
	Instance  string    // EC2 instance id of its host; only register reads it
	Bindings  []Binding // of RUNNING tasks; only register reads them
}

// The task statuses that decisions name.
const (
	TaskRunning = "RUNNING"
	TaskStopped = "STOPPED"
)

// Stopping says whether the task was told to stop.
func (t Task) Stopping() bool { return t.Wanted == TaskStopped }

// SettledAfter is how long a task without a container health check must have
// been RUNNING to count as healthy: the 40 s that ECS waits in a deployment (API
// reference, DeploymentConfiguration), and what a round's time may be ahead of
// ECS's.
const SettledAfter = 45 * time.Second

// Healthy says whether the task counts as healthy at a time: it runs, was not
// told to stop, and its container health check passed or, where the revision has
// none, it has settled.
func (t Task) Healthy(r Revision, now time.Time) bool {
	switch {
	case t.Last != TaskRunning || t.Stopping() || t.Health == "UNHEALTHY":
		return false
	case t.Health == "HEALTHY":
		return true
	default:
		return !r.Checked && now.Sub(t.StartedAt) >= SettledAfter
	}
}

// Metric names one CloudWatch series that a service is scaled on.
type Metric struct {
	Key        string // unique within a scope, such as web/cpu
	Namespace  string
	Name       string
	Dimensions map[string]string
	Statistic  string
	Period     time.Duration
}

// Series are the points of a metric, oldest first. A series without points is
// a metric that CloudWatch answered for and that has none: unknown, not zero.
type Series []Point

// Point is one value of a metric. At is the start of its period, as in
// CloudWatch.
type Point struct {
	At    time.Time
	Value float64
}
