package events

// The detail types of aws.ec2 that have a decoder.
const (
	spotInterruption = "EC2 Spot Instance Interruption Warning"
	rebalance        = "EC2 Instance Rebalance Recommendation"
	stateChange      = "EC2 Instance State-change Notification"
)

// ec2Decoder returns the decoder of a detail type of aws.ec2.
func ec2Decoder(detailType string) decoder {
	switch detailType {
	case spotInterruption, rebalance, stateChange:
		return ec2Instance
	}
	return nil
}

// ec2Instance names a bare instance: the events of EC2 know no group and no
// cluster.
func ec2Instance(e *Event, detail *fields) {
	e.Subject.Instance = detail.instance("instance-id")
	if e.Subject.Instance == "" {
		detail.fail("instance-id", "missing")
	}
}
