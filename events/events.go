// Package events reads what wakes plimsoll: the events of ECS, Auto Scaling,
// EC2, CloudWatch, CloudTrail and Systems Manager as EventBridge delivers them,
// alarms that invoke a function directly, the scheduled sweep, and plimsoll's
// own messages. An event says look; it never says what is true: Decode answers
// what an event names and nothing of what it claims about it. Patterns lists
// the EventBridge rules that bring the events.
//
// The package knows the messages' shapes and no policy: which names are ours
// is for its caller to say. It does no input or output.
package events

import (
	"errors"
	"fmt"
	"time"
)

// The classes of Decode's and DecodeWake's errors. Trying again cannot help: such a
// message belongs in the dead-letter queue.
var (
	// ErrMalformed is the class of every error: the message is no JSON object, has a
	// member twice, or a needed field is missing or wrong; the error names the field.
	ErrMalformed = errors.New("malformed message")
	// ErrTooLarge is of the class ErrMalformed: more than the 256 KiB of EventBridge.
	ErrTooLarge = fmt.Errorf("larger than %d bytes: %w", maxBytes, ErrMalformed)
	// ErrTooDeep is of the class ErrMalformed: nested deeper than 64 levels.
	ErrTooDeep = fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrMalformed)
)

// Kind says what a message asks of its reader.
type Kind string

// The kinds.
const (
	Unknown Kind = "unknown" // nothing: a source and detail type without a decoder, or an event that concerns nobody
	Look    Kind = "look"    // look at what Subject names
	Again   Kind = "again"   // look again at Key, if At is still the time that is stored for it
	Sweep   Kind = "sweep"   // look at everything
)

// Event is a decoded message: its envelope, and what it names. All strings are
// printable and of bounded length.
type Event struct {
	Kind       Kind
	ID         string // EventBridge's; empty for a direct alarm and plimsoll's own messages
	Source     string
	DetailType string // empty for a direct alarm
	Account    string // 12 digits; the ARNs in Subject are of this account and Region. Empty for plimsoll's own
	Region     string
	Time       time.Time // when it happened, by the sender's clock
	Resources  []string  // ARNs as sent, unchecked
	Subject    Subject   // of Kind Look only

	Key string    // of Kind Again only: whom to wake
	At  time.Time // of Kind Again only: the time at which the look was wanted
}

// Subject is what an event names; what it does not name is empty.
type Subject struct {
	Cluster   string // an ECS cluster's name
	Service   string // an ECS service's name; its Cluster is empty if only an ARN of the old form, without cluster, names it
	Group     string // an Auto Scaling group's name
	Instance  string // an EC2 instance id (i-), or that of an external instance (mi-)
	Alarm     string // a CloudWatch alarm's name
	Family    string // a task definition family that has a new revision
	Parameter string // a Systems Manager parameter's name, with its path

	// ARNs of the task, container instance and service concerned: what a view of
	// the cluster must read anew.
	ARNs []string
}

// names says whether the subject names anything.
func (s Subject) names() bool {
	return s.Cluster+s.Service+s.Group+s.Instance+s.Alarm+s.Family+s.Parameter != ""
}

// Decode reads one message. Fields that nothing needs are ignored, a source or
// detail type without a decoder gives Kind Unknown and no error. Every error is
// of the class ErrMalformed and comes with the zero Event.
func Decode(raw []byte) (Event, error) {
	members, err := parse(raw)
	if err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	f := &fields{members: members, first: new(firstError)}
	e := read(f)
	if f.first.err != nil {
		return Event{}, fmt.Errorf("decode event %q of %q, id %q: %w", e.DetailType, e.Source, e.ID, f.first.err)
	}
	return e, nil
}

// read reads the envelope and hands the detail to its decoder. The event counts
// only if f has met no error.
func read(f *fields) Event {
	if isDirectAlarm(f) {
		return directAlarm(f)
	}
	e := envelope(f)
	decode := decoderOf(e.Source, e.DetailType)
	if decode == nil {
		e.Kind = Unknown
		return e
	}
	decode(&e, f.object("detail"))
	if e.Kind == "" {
		e.Kind = Unknown
		if e.Subject.names() {
			e.Kind = Look
		}
	}
	return e
}

// envelope reads what EventBridge puts around every event. plimsoll's own
// messages have only the part that they can fill in.
func envelope(f *fields) Event {
	e := Event{Source: f.text("source", maxName), DetailType: f.text("detail-type", maxName)}
	if e.Source == ownSource {
		return e
	}
	e.ID = f.text("id", maxName)
	e.Account = f.account("account")
	e.Region = f.region("region")
	e.Time = f.moment("time")
	e.Resources = f.texts("resources", maxARN)
	return e
}

// decoder reads detail into the event: its subject, or its kind where that is
// not Look.
type decoder func(e *Event, detail *fields)

// decoderOf returns the decoder of a source's detail type, nil if there is none.
func decoderOf(source, detailType string) decoder {
	switch source {
	case "aws.ecs":
		return ecsDecoder(detailType)
	case "aws.autoscaling":
		return autoScalingDecoder(detailType)
	case "aws.ec2":
		return ec2Decoder(detailType)
	case "aws.cloudwatch":
		return cloudWatchDecoder(detailType)
	case "aws.ssm":
		return ssmDecoder(detailType)
	case "aws.events":
		return scheduledDecoder(detailType)
	case ownSource:
		return ownDecoder(detailType)
	}
	return nil
}
