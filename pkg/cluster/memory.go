package cluster

import "time"

// Memory is what a later round must know and no call of AWS tells. It is saved
// item by item, one a subject, so that one subject's item never grows with
// another's.
type Memory struct {
	Services map[string]ServiceMemory // by service name
	Groups   map[string]GroupMemory   // by Auto Scaling group
	Hosts    map[string]HostMemory    // by EC2 instance id
	Places   map[Subject]PlaceMemory  // of register: by target group or registry; only those that refuse
}

// PlaceMemory is remembered of a target group or registry where every call of a
// round that was to register something was refused.
type PlaceMemory struct {
	Tries int       `json:"tries,omitempty"` // such rounds in a row, for the back-off
	At    time.Time `json:"at,omitzero"`     // of the last refused call
	Until time.Time `json:"until,omitzero"`  // not tried again before
	Size  int       `json:"size,omitempty"`  // how many ports that call was about
	After HostPort  `json:"after,omitzero"`  // the last of them
}

// ServiceMemory is remembered of a service's task count.
type ServiceMemory struct {
	Running []Sample  `json:"running,omitempty"` // running tasks over the last minutes: a metric is read against the count of its own time
	Wanted  []Sample  `json:"wanted,omitempty"`  // recommendations within the stabilisation windows
	Changes []Resize  `json:"changes,omitempty"` // changes of the wanted count within the rate limits' periods
	Target  int       `json:"target,omitempty"`  // the count wanted last, which the desired count follows as room allows
	Since   time.Time `json:"since,omitzero"`    // when Target began to differ from the desired count

	Counts    []Setting `json:"counts,omitempty"`   // desired counts that a read may show, oldest first; the last is the newest known
	Overruled Overruled `json:"overruled,omitzero"` // zero: nothing that waits to be judged
	Contest   Contest   `json:"contest,omitzero"`
}

// Setting is a desired count that a service had from some time on.
type Setting struct {
	At    time.Time `json:"at"` // when plimsoll noted the change to it, or a look first showed another hand's
	Count int       `json:"count"`
	Ours  bool      `json:"ours,omitempty"` // plimsoll set it
}

// Overruled is a count of ours that another hand changed.
type Overruled struct {
	At    time.Time `json:"at"`    // when a look found it
	Set   int       `json:"set"`   // what plimsoll had set
	Found int       `json:"found"` // what another hand made of that
}

// Contest is remembered of a count that another hand sets too.
type Contest struct {
	Undone []time.Time `json:"undone,omitempty"` // when rounds found a change of ours undone and wanted it again, since the last hold
	Since  time.Time   `json:"since,omitzero"`   // when the last hold began
	Holds  int         `json:"holds,omitempty"`  // in a row; 0: the count is not contested
}

// Sample is a count at a time.
type Sample struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
}

// Resize is a change of a count at a time.
type Resize struct {
	At   time.Time `json:"at"`
	From int       `json:"from"`
	To   int       `json:"to"`
}

// GroupMemory is remembered of a host group.
type GroupMemory struct {
	Offers     Resources            `json:"offers,omitzero"`      // what a host of the group registered last; zero: none seen yet
	Ports      []Port               `json:"ports,omitempty"`      // static ports that such a host's agent takes for itself
	Attributes map[string]string    `json:"attributes,omitempty"` // that such a host has: what may be placed on the next one
	Refused    map[string]time.Time `json:"refused,omitempty"`    // by zone: launches were refused; not asked again before
	Tries      map[string]int       `json:"tries,omitempty"`      // by zone: refusals in a row, for the back-off
	Faults     map[string]bool      `json:"faults,omitempty"`     // by zone: the last refusal was not for want of capacity
	Answers    map[string]time.Time `json:"answers,omitempty"`    // by zone: when the launch was asked for whose refusal was taken in last
	Short      Sample               `json:"short,omitzero"`       // the desired capacity is above the instances that there are; Count of them, and since At none came
}

// HostMemory is remembered of a host.
type HostMemory struct {
	EmptySince time.Time `json:"emptySince,omitzero"` // zero: not empty when last seen
	Awaited    time.Time `json:"awaited,omitzero"`    // the instance is in its group since then and has not registered; or DrainedAt is set and no look has shown the host since then
	DrainedAt  time.Time `json:"drainedAt,omitzero"`  // plimsoll asked to set it to DRAINING then, and was not refused; zero: it did not
}
