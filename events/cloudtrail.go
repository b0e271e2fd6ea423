package events

// cloudTrail names the family of a task definition that was registered. Other
// calls, and calls that were refused, concern nobody.
func cloudTrail(e *Event, detail *fields) {
	call := detail.text("eventName", maxName)
	if call != "RegisterTaskDefinition" || detail.has("errorCode") {
		return
	}
	family := detail.object("requestParameters").text("family", maxName)
	if family != "" && !isName(family) {
		detail.fail("requestParameters.family", "want the name of a family, found %q", family)
	}
	e.Subject.Family = family
}
