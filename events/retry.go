package events

// Retry is how long EventBridge tries to deliver an event to the ingress queue,
// before it puts it with the dead letters.
type Retry struct {
	Attempts int // after the first: MaximumRetryAttempts, 0 to 185
	Age      int // seconds: MaximumEventAgeInSeconds, 60 to 86400
}

// EventRetry is that of the rules of Patterns: as often as EventBridge does, but
// for an hour and not a day. What is older says nothing that sixty sweeps have not
// found out, and after a long outage it would only cost rounds.
func EventRetry() Retry { return Retry{Attempts: 185, Age: 3600} }

// SweepRetry is that of the sweep's rule: the shortest age there is, and enough
// attempts to get over a hiccup. The next sweep comes within a minute and says the
// same, so one that is late is worth nothing.
func SweepRetry() Retry { return Retry{Attempts: 3, Age: 60} }
