package events

// SweepSchedule is the schedule expression of the rule that sends the sweep: no
// event is needed for a cluster to end up as it should, only time. The rule has
// no pattern, and so no place in Patterns.
const SweepSchedule = "rate(1 minute)"

// scheduledDecoder returns the decoder of a detail type of aws.events.
func scheduledDecoder(detailType string) decoder {
	if detailType == "Scheduled Event" {
		return func(e *Event, _ *fields) { e.Kind = Sweep }
	}
	return nil
}
