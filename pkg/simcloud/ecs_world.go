package simcloud

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ECS's words for the states of tasks, container instances and services.
const (
	statusActive   = "ACTIVE"
	statusDraining = "DRAINING"
	statusInactive = "INACTIVE"
	statusPending  = "PENDING"
	statusRunning  = "RUNNING"
	statusStopping = "STOPPING"
	statusStopped  = "STOPPED"
)

// describable is how long stopped tasks and deregistered container instances
// can still be described: ECS says at least one hour.
const describable = time.Hour

// fleet is the truth about clusters, their tasks and hosts, and the Auto Scaling
// groups that the hosts belong to.
type fleet struct {
	*Cloud
	behaviour      Behaviour
	taskBehaviours map[string]TaskBehaviour // by family or family:revision
	clusters       []*ecsCluster
	definitions    map[string][]*ecsDefinition // by family; revision n at n-1
	groups         []*asGroup
	loads          []*load
	history        []Change
	waits          []Wait
	onChange       []func()
	onListen       []func(*ecsTask)                    // other containers of the task answer now
	heard          func(detailType string, detail any) // each event, if wanted
	published      func(loadPoint)                     // each value of a metric, if wanted
	tasksMade      int
	zonesLost      map[string]time.Time // until when, by zone
	elb            *elb
}

func newFleet(c *Cloud) *fleet {
	return &fleet{Cloud: c, behaviour: usual(), taskBehaviours: map[string]TaskBehaviour{}, definitions: map[string][]*ecsDefinition{}, zonesLost: map[string]time.Time{}, elb: newELB()}
}

// emit sends an event to the default event bus.
func (f *fleet) emit(source, detailType string, resources []string, detail any) {
	if f.heard != nil {
		f.heard(detailType, detail)
	}
	f.Cloud.emit(source, detailType, resources, detail)
}

// changed tells those who watch the world that it is another now.
func (f *fleet) changed() {
	f.faults.pastChanged()
	for _, do := range f.onChange {
		do()
	}
}

// remember notes a change that the world made of itself.
func (f *fleet) remember(kind, subject string) {
	f.history = append(f.history, Change{At: f.now, Kind: kind, Subject: subject})
}

type ecsCluster struct {
	name, arn string
	services  []*ecsService
	hosts     []*ecsHost // also, for an hour, deregistered ones
	hostByID  map[string]*ecsHost
	tasks     []*ecsTask // in order of creation; also, for an hour, stopped ones
	taskByID  map[string]*ecsTask
	runTokens map[string]runToken
}

// cluster finds a cluster by name or ARN; nil means the one named default.
func (f *fleet) cluster(ref *string) (*ecsCluster, error) {
	name := tail(aws.ToString(ref))
	if name == "" {
		name = "default"
	}
	i := slices.IndexFunc(f.clusters, func(c *ecsCluster) bool { return c.name == name })
	if i < 0 {
		return nil, &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
	}
	return f.clusters[i], nil
}

// service finds a service of the cluster by name or ARN.
func (c *ecsCluster) service(ref string) *ecsService {
	i := slices.IndexFunc(c.services, func(s *ecsService) bool { return s.name == tail(ref) })
	if i < 0 {
		return nil
	}
	return c.services[i]
}

// tail is the id or name at the end of an ARN, or the id or name itself.
func tail(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// onlyMembers refuses an input that sets a member that is not simulated.
func onlyMembers(in any, simulated ...string) error {
	v := reflect.ValueOf(in)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || slices.Contains(simulated, field.Name) || unset(v.Field(i)) {
			continue
		}
		return notSimulated("%s.%s", v.Type().Name(), field.Name)
	}
	return nil
}

func unset(v reflect.Value) bool {
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

func invalidParameter(format string, args ...any) error {
	return &types.InvalidParameterException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func clientError(format string, args ...any) error {
	return &types.ClientException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// without removes one element and keeps the order of the others.
func without[T comparable](all []T, one T) []T {
	if i := slices.Index(all, one); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}

// timePtr is a time as the SDK gives it: nil if it has not come.
func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
