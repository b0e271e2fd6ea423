// Package policy is what the operator wants of one cluster: which host groups
// and services plimsoll may change, within which bounds, and on which signals.
// It decodes, defaults and checks, and freezes; it must not know where a policy
// comes from (policy/file) nor what is done with it (plan).
package policy

// Version is the only version of the policy's format.
const Version = 1

// Mode says whether plimsoll acts on what it decides.
type Mode string

// The modes. Observe decides and records, and changes nothing.
const (
	Act     Mode = "act"
	Observe Mode = "observe"
)

// Policy is what the operator wants of one cluster.
type Policy struct {
	Version    int                   `json:"version"`
	Mode       Mode                  `json:"mode,omitempty"` // default act
	Cluster    string                `json:"cluster"`        // the ECS cluster's name
	Hosts      []HostGroup           `json:"hosts"`
	Services   map[string]Service    `json:"services"`             // by the ECS service's name
	Standalone map[string]Standalone `json:"standalone,omitempty"` // tasks that no service started, by a name that no service has
}

// HostGroup is an Auto Scaling group whose desired capacity plimsoll owns.
type HostGroup struct {
	Group   string  `json:"group"`            // the Auto Scaling group's name
	Min     int     `json:"min"`              // hosts
	Max     int     `json:"max"`              // hosts
	Offers  *Offers `json:"offers,omitempty"` // what a host offers, needed only to grow from zero before any host was seen
	Removal Removal `json:"removal,omitzero"`
}

// Offers is what a host of a group registers with ECS.
type Offers struct {
	CPU    int `json:"cpu"`    // CPU units, 1,024 a vCPU
	Memory int `json:"memory"` // MiB, as registered: less than the instance type's nominal memory
}

// Removal says which hosts leave a group, and how.
type Removal struct {
	EmptyAfter   Duration `json:"emptyAfter,omitzero"`   // how long a host must stay empty; default 1m
	MaxAtOnce    int      `json:"maxAtOnce,omitempty"`   // hosts of the group leaving at one time; default 1
	DrainTimeout Duration `json:"drainTimeout,omitzero"` // how long a host may be DRAINING before it is told; default 10m
}

// Service is an ECS service whose task count plimsoll owns where Tasks is set.
type Service struct {
	Tasks                 *Tasks   `json:"tasks,omitempty"`                 // absent: the count is left alone, hosts are still made for it
	MinimumHealthyPercent *int     `json:"minimumHealthyPercent,omitempty"` // default: the service's own
	MaximumPercent        *int     `json:"maximumPercent,omitempty"`        // default: the service's own
	Scale                 []Target `json:"scale,omitempty"`                 // the largest wish wins; a task leaves only if all agree
	Tolerance             *int     `json:"tolerance,omitempty"`             // percent of the target within which nothing changes; default 10
	ScaleOut              Manner   `json:"scaleOut,omitzero"`
	ScaleIn               Manner   `json:"scaleIn,omitzero"`

	Endpoints []Endpoint `json:"endpoints,omitempty"` // where the tasks' ports are registered
}

// Standalone is tasks that no service started and whose ports are registered.
// Exactly one of Family and StartedBy says which tasks those are.
type Standalone struct {
	Family    string     `json:"family,omitempty"`    // of their task definition
	StartedBy string     `json:"startedBy,omitempty"` // as RunTask or StartTask was told
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is one port of a container, registered in one place: exactly one of
// TargetGroup and Registry.
type Endpoint struct {
	Container   string `json:"container"`             // its name in the task definition
	Port        int    `json:"port"`                  // of the container; ECS may map it to any port of the host
	Protocol    string `json:"protocol,omitempty"`    // tcp or udp; default tcp
	TargetGroup string `json:"targetGroup,omitempty"` // the target group's name
	Registry    string `json:"registry,omitempty"`    // the name or the id of a Cloud Map service
}

// Tasks bounds a service's wanted task count.
type Tasks struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// Target is one signal that a service is scaled on, and the value to hold it
// at. Exactly one of Target (the signal is an average over the tasks, such as
// utilisation) and PerTask (it is a total, such as requests or a backlog) is set.
type Target struct {
	Metric     string            `json:"metric"`               // cpu, memory, or the name of a metric in Namespace
	Namespace  string            `json:"namespace,omitempty"`  // CloudWatch namespace; not with cpu or memory
	Dimensions map[string]string `json:"dimensions,omitempty"` // of the metric; not with cpu or memory
	Statistic  string            `json:"statistic,omitempty"`  // Average, Sum, Maximum, Minimum or pNN; default Average, with perTask Sum
	Period     Duration          `json:"period,omitzero"`      // 10s, 20s, 30s or whole minutes; default 1m
	Target     float64           `json:"target,omitempty"`
	PerTask    float64           `json:"perTask,omitempty"`
}

// Manner is how a task count changes in one direction.
type Manner struct {
	Window     *Duration `json:"window,omitempty"`     // stabilisation: out, the smallest wish of the window counts; in, the largest. Default out 0s, in 5m
	MaxTasks   int       `json:"maxTasks,omitempty"`   // at most so many tasks Per; 0: no such limit
	MaxPercent int       `json:"maxPercent,omitempty"` // at most so many percent of the count Per; 0: no such limit. With both, the larger counts
	Per        Duration  `json:"per,omitzero"`         // default 1m
}
