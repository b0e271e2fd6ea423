package simcloud

import "time"

// ELBBehaviour is what Elastic Load Balancing, and ECS towards it, does not
// document or documents in two ways, and its quotas. It is a part of Behaviour.
type ELBBehaviour struct {
	RegisterFrom time.Duration // shortest time from RegisterTargets of a target to its first health check; assumed
	RegisterTo   time.Duration // longest
	// The same for a network load balancer: AWS's support speaks of three to five
	// minutes, users of two (aws-load-balancer-controller#1834).
	NetworkRegisterFrom time.Duration
	NetworkRegisterTo   time.Duration
	// NetworkTail is how long a network load balancer goes on sending flows to a
	// target after DeregisterTargets, even when it shows it as unused. AWS's
	// documentation says that new ones end at once; users see two minutes
	// (containers-roadmap#470). 0: as documented.
	NetworkTail time.Duration
	// RegisterDraining says what becomes of a target that is registered again
	// while it drains. true: it begins anew (ansible#44149). false: the call
	// succeeds and does nothing, and the target is gone once it has drained. AWS
	// documents only that one by IP address has to wait.
	RegisterDraining bool
	// ForgetEnded is how long a target whose instance has ended stays registered,
	// as unused; 0: until somebody deregisters it. Nothing documents it.
	ForgetEnded time.Duration

	TargetsPerCall     int // of RegisterTargets and DeregisterTargets; the API model has no limit
	TargetsPerGroup    int // the quotas; what drains counts, which nothing documents
	TargetsPerALB      int
	TargetsPerNLB      int
	TargetsPerInstance int // registrations of one instance with one ALB
	GroupsPerALB       int

	ECSRetry time.Duration // ECS's own registration tries again so long after a throttled call
}

func usualELB() ELBBehaviour {
	return ELBBehaviour{
		RegisterFrom:        time.Second,
		RegisterTo:          5 * time.Second,
		NetworkRegisterFrom: 90 * time.Second,
		NetworkRegisterTo:   180 * time.Second,
		NetworkTail:         2 * time.Minute,
		RegisterDraining:    true,
		TargetsPerCall:      200,
		TargetsPerGroup:     1000,
		TargetsPerALB:       1000,
		TargetsPerNLB:       3000,
		TargetsPerInstance:  1000,
		GroupsPerALB:        100,
		ECSRetry:            time.Second,
	}
}
