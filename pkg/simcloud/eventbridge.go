package simcloud

// emit puts an event of an AWS service on the default event bus.
func (c *Cloud) emit(source, detailType string, resources []string, detail any) {
	c.trace("event %s %s %v", source, detailType, resources)
}
