// Package scenario runs a workload and what befalls it over the simulated cloud
// and the real functions, checks promises while it runs, and says what came of
// it. It must not decide anything that the functions decide.
package scenario

import (
	"encoding/json"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Scenario is a world, a workload, a policy and what is expected of them.
type Scenario struct {
	Name      string           `json:"name"`
	Title     string           `json:"title"`          // a sentence: what it shows
	Start     time.Time        `json:"start,omitzero"` // virtual; default 2026-08-03T00:00:00Z
	Length    policy.Duration  `json:"length"`         // of virtual time
	Groups    []Group          `json:"groups"`         // Auto Scaling groups
	Services  []Service        `json:"services"`       // ECS services, with the ECS controller
	Targets   []TargetGroup    `json:"targetGroups,omitempty"`
	Raw       json.RawMessage  `json:"policy"`          // as in plimsoll.yaml
	Events    []Happening      `json:"world,omitempty"` // what the world does, at its times
	Faults    []Fault          `json:"faults,omitempty"`
	Expect    []Expectation    `json:"expect,omitempty"`
	Calm      policy.Duration  `json:"calm,omitzero"`        // since the start: from then on the world is calm, see Calmed; default: never
	Policy    policy.Policy    `json:"-"`                    // Raw, checked and defaulted
	Traced    bool             `json:"-"`                    // a trace replaced the shapes
	AgentFlap *policy.Duration `json:"agentFlaps,omitempty"` // mean time between an agent's disconnections; 0s: never; default 30m
}

// Group is an Auto Scaling group and what its hosts are.
type Group struct {
	Name         string            `json:"name"`
	Zones        []string          `json:"zones"`
	InstanceType string            `json:"instanceType"`
	CPU          int               `json:"cpu"`    // CPU units that a host registers
	Memory       int               `json:"memory"` // MiB that a host registers
	Min          int               `json:"min,omitempty"`
	Max          int               `json:"max"` // of the Auto Scaling group itself
	Desired      int               `json:"desired,omitempty"`
	Boot         Spread            `json:"boot,omitzero"` // from launch until the agent registers; default 75s, 150s
	Price        float64           `json:"pricePerHour,omitempty"`
	Attributes   map[string]string `json:"attributes,omitempty"`
	Spot         bool              `json:"spot,omitempty"`         // EC2 may interrupt its hosts: the fault spot-interrupted does
	Ports        *PortRange        `json:"dynamicPorts,omitempty"` // of a host; default 32768 to 60999
}

// PortRange is a range of ports, both ends in it.
type PortRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// TargetGroup is a target group of Elastic Load Balancing, with a load balancer of
// its own in front: an Application one for HTTP, else a Network one.
type TargetGroup struct {
	Name                string          `json:"name"`
	Protocol            string          `json:"protocol,omitempty"`           // HTTP or TCP; default HTTP
	DeregistrationDelay policy.Duration `json:"deregistrationDelay,omitzero"` // default 5m, as AWS's
	HealthCheckInterval policy.Duration `json:"healthCheckInterval,omitzero"` // default 30s, as AWS's
}

// Spread is a lognormal distribution of times by its median and 95th percentile.
type Spread struct {
	Median policy.Duration `json:"median"`
	P95    policy.Duration `json:"p95"`
}

// Service is an ECS service and the load on it.
type Service struct {
	Name                  string          `json:"name"`
	CPU                   int             `json:"cpu"`                // CPU units a task
	Memory                int             `json:"memory"`             // MiB a task
	Port                  int             `json:"hostPort,omitempty"` // a static host port; default dynamic
	Desired               int             `json:"desired"`
	MinimumHealthyPercent *int            `json:"minimumHealthyPercent,omitempty"` // default 100
	MaximumPercent        *int            `json:"maximumPercent,omitempty"`        // default 200
	Strategies            []Strategy      `json:"placementStrategy,omitempty"`
	Constraints           []Constraint    `json:"placementConstraints,omitempty"`
	StartUp               Spread          `json:"startUp,omitzero"` // from placement to RUNNING; default 8s, 20s
	Hold                  policy.Duration `json:"hold,omitzero"`    // a container that the task holds itself open with: it sleeps so long once it is told to stop, and only then is the application
	Load                  *Load           `json:"load,omitempty"`
}

// Strategy is a placement strategy in ECS's words.
type Strategy struct {
	Type  string `json:"type"`
	Field string `json:"field,omitempty"`
}

// Constraint is a placement constraint in ECS's words.
type Constraint struct {
	Type       string `json:"type"`
	Expression string `json:"expression,omitempty"`
}

// Load is what a service's users ask of it.
type Load struct {
	CPUPerRequest  float64 `json:"cpuPerRequest"`            // CPU-unit-seconds a request
	Shape          Shape   `json:"shape"`                    // requests a second over time
	HighResolution bool    `json:"highResolution,omitempty"` // utilisation every 20 s instead of every minute
	TargetGroup    string  `json:"targetGroup,omitempty"`    // the requests come one by one through this group's load balancer; default: evenly to the tasks that ECS shows
}

// Happening is something that the world does of itself.
type Happening struct {
	At      policy.Duration `json:"at"` // since the start
	Do      string          `json:"do"` // see happenings
	Group   string          `json:"group,omitempty"`
	Zone    string          `json:"zone,omitempty"`
	Service string          `json:"service,omitempty"`
	Count   int             `json:"count,omitempty"`
	For     policy.Duration `json:"for,omitzero"`
}

// Expectation is a sentence about the result that holds or does not.
type Expectation struct {
	Name    string           `json:"name"`
	Measure string           `json:"measure"` // see measures
	Service string           `json:"service,omitempty"`
	At      *policy.Duration `json:"at,omitempty"`   // since the start: at a time of the day
	From    *policy.Duration `json:"from,omitempty"` // since the start: what is counted up to at, or to the end, is counted from then on
	AtLeast *float64         `json:"atLeast,omitempty"`
	AtMost  *float64         `json:"atMost,omitempty"`
}
