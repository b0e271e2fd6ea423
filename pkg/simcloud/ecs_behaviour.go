package simcloud

import (
	"math"
	"time"
)

// Lognormal is a distribution of times, given as operators measure them.
type Lognormal struct {
	Median time.Duration
	P95    time.Duration // not below Median
}

// draw takes one time from the distribution by way of a normal deviate.
func (l Lognormal) draw(normal float64) time.Duration {
	if l.Median <= 0 {
		return 0
	}
	const z95 = 1.6449 // of the normal distribution
	sigma := math.Log(max(1, float64(l.P95)/float64(l.Median))) / z95
	return time.Duration(float64(l.Median) * math.Exp(sigma*normal))
}

// Behaviour is what AWS does not document or documents in two ways, and what
// differs from one workload to the next. World.Behaviour gives it to be changed.
type Behaviour struct {
	Start       Lognormal     // from PENDING to RUNNING where the image has to be pulled
	CachedStart float64       // factor on Start where the host has the image
	StopFrom    time.Duration // shortest time a container takes to end after SIGTERM
	StopTo      time.Duration // longest; never beyond stopTimeout

	IPv6Bindings       bool            // networkBindings have a row for :: beside that for 0.0.0.0
	RestartForgets     bool            // an agent that restarts assigns dynamic ports from the start of the range, else it goes on; read in its code, not tried
	AgentRestart       Lognormal       // from an agent's end to its being connected again
	PortsFreeEarly     bool            // a dynamic host port may be assigned again once its container has ended, not only once the task is STOPPED: the agent tests nothing but that it can listen
	ProtectionHonoured bool            // scale-in and deployments spare protected tasks; no document says so of task sets
	DrainingHonours    bool            // DRAINING spares them too; no document says so
	ProtectionBound    ProtectionBound // what DEPLOYMENT_BLOCKED rests on

	FlapsPerHour float64       // how often an agent disconnects, on average; 0: never
	FlapFrom     time.Duration // shortest disconnection
	FlapTo       time.Duration // longest

	PassDelay           time.Duration // from a cause to the service scheduler's pass
	RetryEvery          time.Duration // tries after lack of room, at first
	RetryFor            time.Duration // for so long
	RetryLater          time.Duration // between tries after that
	PlaceOnRegistration bool          // a registering instance triggers a pass; no document says so
	SameValuePass       bool          // an UpdateService that changes nothing triggers a pass
	StoppingCounts      bool          // the maximum percent counts tasks that are stopping
	LaunchesPerMinute   int           // of one service
	StartBackoff        time.Duration // after the first task that failed to start; doubles
	StartBackoffMax     time.Duration
	ImpairedAfter       int           // failed starts in a row until SERVICE_TASK_START_IMPAIRED
	HealthyAfter        time.Duration // after RUNNING, without load balancer and health check
	RepeatEvents        time.Duration // a placement failure or a steady state is told again
	TokenLife           time.Duration // of LaunchInstances' client tokens; 0: for ever

	InService   Lognormal     // from launch to InService
	GroupDelay  time.Duration // from a new desired capacity to the first launch
	LaunchRetry time.Duration // after a launch that failed
	Terminating Lognormal     // from the terminate call to the end of the instance
	ShutDown    time.Duration // from the terminate call to the death of its tasks
	Unnoticed   Lognormal     // from a host's death to ECS's and the group's notice of it

	ELB         ELBBehaviour
	HooksOfDead bool // a group runs its termination hooks for an instance that is dead already, except after a Spot interruption; told by users only

	MapDNS   Lognormal // from a Cloud Map request to the end of its operation, in a DNS namespace; no document says
	MapHTTP  Lognormal // the same in an HTTP namespace
	MapFails float64   // share of the operations on instances that end as FAIL
}

// usual is the behaviour of a new world: facts where there are any, else
// assumptions that are to be stated with results.
func usual() Behaviour {
	return Behaviour{
		Start:              Lognormal{8 * time.Second, 20 * time.Second},
		CachedStart:        0.35,
		StopFrom:           2 * time.Second,
		StopTo:             10 * time.Second,
		FlapsPerHour:       2,
		FlapFrom:           5 * time.Second,
		FlapTo:             40 * time.Second,
		PassDelay:          300 * time.Millisecond,
		RetryEvery:         10 * time.Second,
		RetryFor:           50 * time.Second,
		RetryLater:         300 * time.Second,
		SameValuePass:      true,
		LaunchesPerMinute:  500,
		StartBackoff:       10 * time.Second,
		StartBackoffMax:    15 * time.Minute,
		ImpairedAfter:      3,
		HealthyAfter:       40 * time.Second,
		IPv6Bindings:       true,
		RestartForgets:     true,
		AgentRestart:       Lognormal{4 * time.Second, 12 * time.Second},
		ProtectionHonoured: true,
		ProtectionBound:    BoundByService,
		RepeatEvents:       6 * time.Hour,
		InService:          Lognormal{8 * time.Second, 25 * time.Second},
		GroupDelay:         3 * time.Second,
		LaunchRetry:        time.Minute,
		Terminating:        Lognormal{35 * time.Second, 75 * time.Second},
		ShutDown:           3 * time.Second,
		Unnoticed:          Lognormal{45 * time.Second, 90 * time.Second},
		HooksOfDead:        true,
		MapDNS:             Lognormal{5 * time.Second, 30 * time.Second},
		MapHTTP:            Lognormal{time.Second, 3 * time.Second},
		ELB:                usualELB(),
	}
}

// TaskBehaviour is how the tasks of one task definition behave, where it differs
// from Behaviour. Zero members leave the rule of Behaviour.
type TaskBehaviour struct {
	Start       Lognormal
	StopFrom    time.Duration
	StopTo      time.Duration
	CannotStart bool // every task ends before it is RUNNING
	FailsChecks bool // what listens answers load balancers' health checks with an error

	ServesOn time.Duration // the application serves on for so long after SIGTERM and only then begins to end; 0: it closes its ports at SIGTERM
	Hold     string        // name of a container that traps SIGTERM and sleeps
	HoldFor  time.Duration // for so long, and ends
}

// taskBehaviour is the behaviour of a definition's tasks: what was set for the
// revision, else for the family, else for all.
func (f *fleet) taskBehaviour(d *ecsDefinition) TaskBehaviour {
	b, ok := f.taskBehaviours[d.name()]
	if !ok {
		b = f.taskBehaviours[d.family]
	}
	if b.Start.Median == 0 {
		b.Start = f.behaviour.Start
	}
	if b.StopTo == 0 {
		b.StopFrom, b.StopTo = f.behaviour.StopFrom, f.behaviour.StopTo
	}
	return b
}

// draw takes a time from a distribution by the stream of that name.
func (f *fleet) draw(stream string, l Lognormal) time.Duration {
	return l.draw(f.stream(stream).NormFloat64())
}

// between draws a time between two.
func (f *fleet) between(stream string, from, to time.Duration) time.Duration {
	return from + time.Duration(f.stream(stream).Float64()*float64(to-from))
}
