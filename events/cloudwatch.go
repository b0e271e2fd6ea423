package events

const alarmStateChange = "CloudWatch Alarm State Change"

// cloudWatchDecoder returns the decoder of a detail type of aws.cloudwatch.
func cloudWatchDecoder(detailType string) decoder {
	if detailType == alarmStateChange {
		return cloudWatchAlarm
	}
	return nil
}

// cloudWatchAlarm names the alarm, metric or composite, whatever its state.
func cloudWatchAlarm(e *Event, detail *fields) {
	e.Subject.Alarm = detail.text("alarmName", maxName)
}

// isDirectAlarm tells the payload with which CloudWatch invokes a function, an
// alarm's Lambda action, from an event: it has other keys and no detail type.
func isDirectAlarm(f *fields) bool {
	return !f.has("detail-type") && (f.has("alarmData") || f.has("alarmArn"))
}

// directAlarm reads the payload of an alarm's Lambda action. Its time is in
// CloudWatch's own form.
func directAlarm(f *fields) Event {
	e := Event{Kind: Look, Source: f.text("source", maxName)}
	if e.Source != "aws.cloudwatch" {
		f.fail("source", "want aws.cloudwatch beside alarmData, found %q", e.Source)
	}
	e.Account = f.account("accountId")
	e.Region = f.region("region")
	e.Time = f.moment("time")
	e.Resources = []string{f.text("alarmArn", maxARN)}
	e.Subject.Alarm = f.object("alarmData").text("alarmName", maxName)
	return e
}
