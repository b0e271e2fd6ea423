package cluster

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Endpoints is one service as one round of register sees it: its tasks, what is
// registered where, and who owns which host port. It is all that such a plan may
// rest on besides the policy.
type Endpoints struct {
	Now        time.Time
	Cluster    string
	Service    string             // the ECS service's name, or the policy's name of standalone tasks
	Tasks      []Task             // that are not STOPPED, with Bindings and Instance, sorted by ARN
	Ended      map[string]string  // tasks that own a port of Owners and do not run: STOPPED or MISSING, by ARN, each by a complete read
	Leaving    map[string]bool    // tasks that run and that a round of reconcile is taking out, by ARN: their ports are taken off
	Groups     []TargetGroup      // those of the policy that exist, sorted by name
	Registries []Registry         // those of the policy that exist, sorted by name
	Addresses  map[string]string  // private IPv4 addresses of the tasks' hosts by EC2 instance id; only registries need them
	Owners     map[HostPort]Owner // of every port that a task of Tasks binds, that is a target of Groups, or that the service owns
	Finished   map[string]string  // operations that open intents began and that are over: SUCCESS or FAIL, by id; absent: they run, or nobody was told
	Memory     Memory
	Intents    []Intent // open ones, and those whose refusal was not seen yet, oldest first
}

// Absent are the tasks that own a port and are not among Tasks, sorted: whether
// they are STOPPED or MISSING is to be asked before a plan, into Ended.
func (e Endpoints) Absent() []string {
	here := map[string]bool{}
	for _, t := range e.Tasks {
		here[t.ARN] = true
	}
	var absent []string
	for _, o := range e.Owners {
		if !here[o.Task] {
			here[o.Task] = true
			absent = append(absent, o.Task)
		}
	}
	slices.Sort(absent)
	return absent
}

// Ports are those that a task binds or that are a target of a group, sorted: who
// owns them is to be asked before a plan, into Owners.
func (e Endpoints) Ports() []HostPort {
	var all []HostPort
	for _, t := range e.Tasks {
		for _, b := range t.Bindings {
			all = append(all, HostPort{Instance: t.Instance, Port: b.HostPort, Protocol: b.Protocol})
		}
	}
	for _, g := range e.Groups {
		for _, t := range g.Targets {
			for _, protocol := range g.Protocols() {
				all = append(all, HostPort{Instance: t.Instance, Port: t.Port, Protocol: protocol})
			}
		}
	}
	slices.SortFunc(all, func(a, b HostPort) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// EndpointScope is what a round of register looks at and may change: one service
// or the tasks that no service started, and nothing but these groups and registries.
type EndpointScope struct {
	Cluster    string
	Service    string      // the ECS service's name, or the policy's name of standalone tasks
	Family     string      // standalone tasks: the family of their task definition
	StartedBy  string      // or who started them
	Groups     []string    // target groups by name, sorted
	Registries []string    // Cloud Map services by name or id, sorted
	Operations []Operation // that open intents began; those that are not over make Registry.Busy
}

// Operation is what Cloud Map makes of a call: it ends later, and until then the
// instance takes no other.
type Operation struct {
	ID       string
	Registry string // Cloud Map service id
	Instance string // Registered.ID
}

// How an operation of Cloud Map ends.
const (
	OperationSucceeded = "SUCCESS"
	OperationFailed    = "FAIL"
)

// Operations are those that open intents began, in their order.
func Operations(intents []Intent) []Operation {
	var all []Operation
	for _, i := range intents {
		if i.Open() && i.Operation != "" && i.Reaches != nil {
			all = append(all, Operation{ID: i.Operation, Registry: i.Reaches.Registry, Instance: i.Reaches.Instance})
		}
	}
	return all
}

// Binding is where a container's port is reached (ECS NetworkBinding). The rows
// that ECS gives for IPv4 and IPv6 are one.
type Binding struct {
	Container     string // its name
	ContainerPort int
	HostPort      int
	Protocol      string // tcp or udp
}

// HostPort is a port of a host, the same for every network address of it.
type HostPort struct {
	Instance string `json:"instance"` // EC2 instance id
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // tcp or udp
}

// String is how the table and decisions name a host port.
func (p HostPort) String() string { return p.Instance + ":" + strconv.Itoa(p.Port) + "/" + p.Protocol }

// Owner is who a host port was registered for: the lock of the port. Only its
// owner registers it; anybody may take it off.
type Owner struct {
	Task    string    `json:"task"`             // ARN
	Service string    `json:"service"`          // as Endpoints.Service
	Groups  []string  `json:"groups"`           // ARNs of the target groups that it may be registered in, sorted
	Listed  []Listing `json:"listed,omitempty"` // the instances of registries that may tell of it, sorted
	Version int64     `json:"version"`          // of the record, for its next conditional write
}

// Listing is an instance of a registry that tells of a port.
type Listing struct {
	Registry string `json:"registry"` // Cloud Map service id
	Name     string `json:"name"`     // what the policy calls it
	Instance string `json:"instance"` // Registered.ID
}

// TargetGroup is a target group of Elastic Load Balancing.
type TargetGroup struct {
	ARN        string
	Name       string
	Protocol   string // HTTP, HTTPS, TCP, TLS, UDP, TCP_UDP, ...
	TargetType string // instance, ip, lambda or alb
	VPC        string
	Balancers  []string      // ARNs of the load balancers that use it
	Delay      time.Duration // deregistration delay
	Targets    []Target      // as DescribeTargetHealth lists them: also those that are draining
	ManagedBy  string        // the ECS service that ECS registers in it; empty: none of the cluster
}

// Protocols are those that a host port of the group's targets may have. A group
// of TCP_UDP has none: its target stands for two ports, which may be two tasks'.
func (g TargetGroup) Protocols() []string {
	switch g.Protocol {
	case "HTTP", "HTTPS", "TCP", "TLS":
		return []string{"tcp"}
	case "UDP":
		return []string{"udp"}
	}
	return nil
}

// Target is one target of a group.
type Target struct {
	Instance string
	Port     int
	State    string // initial, healthy, unhealthy, unused, draining, unavailable, unhealthy.draining; empty: an intent only supposes it
	Reason   string // Elastic Load Balancing's reason code, such as Target.Timeout; empty: none
}

// The states of a target that decisions name.
const (
	TargetInitial  = "initial"
	TargetHealthy  = "healthy"
	TargetDraining = "draining"
	TargetUnused   = "unused"
)

// Leaving says whether the target was deregistered and its delay runs: it gets no
// new requests, and cannot be registered again before the delay ends.
func (t Target) Leaving() bool { return t.State == TargetDraining }

// Registry is a service of AWS Cloud Map.
type Registry struct {
	ID           string
	Name         string   // as the policy calls it: a name or an id
	Records      []string // A, SRV
	CustomHealth bool
	Instances    []Registered
	ManagedBy    string            // the ECS service that ECS registers in it; empty: none of the cluster
	Busy         map[string]string // by instance id: the operation that is under way for it
}

// Registered is an instance of a Cloud Map service.
type Registered struct {
	ID   string // plimsoll's have the task's id, a dot, the container's name and port
	IPv4 string
	Port int
}
