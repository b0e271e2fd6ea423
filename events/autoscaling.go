package events

// autoScalingDecoder returns the decoder of a detail type of aws.autoscaling.
func autoScalingDecoder(detailType string) decoder {
	switch detailType {
	case launchSuccessful, launchUnsuccessful, terminateSuccessful, terminateUnsuccessful, launchAction, terminateAction:
		return autoScalingGroup
	}
	return nil
}

// The detail types of aws.autoscaling that have a decoder.
const (
	launchSuccessful      = "EC2 Instance Launch Successful"
	launchUnsuccessful    = "EC2 Instance Launch Unsuccessful"
	terminateSuccessful   = "EC2 Instance Terminate Successful"
	terminateUnsuccessful = "EC2 Instance Terminate Unsuccessful"
	launchAction          = "EC2 Instance-launch Lifecycle Action"
	terminateAction       = "EC2 Instance-terminate Lifecycle Action"
)

// autoScalingGroup names the group and its instance. A launch that failed has
// no instance: the field is empty then.
func autoScalingGroup(e *Event, detail *fields) {
	e.Subject.Group = detail.text("AutoScalingGroupName", maxName)
	e.Subject.Instance = detail.instance("EC2InstanceId")
}
