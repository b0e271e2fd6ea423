package endpointside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// world is a small AWS that holds state, page by page, and can be told to answer
// short, to throttle, and to fail the next changing call.
type world struct {
	tasks      []ecstypes.Task
	families   map[string]string // by task
	hosts      map[string]string // instance id by container instance ARN
	addresses  map[string]string // by instance id
	services   []ecstypes.Service
	groups     map[string]*targetGroup // by name
	registries []sdtypes.ServiceSummary
	instances  map[string]map[string]map[string]string // attributes by service id and instance id
	operations map[string]sdtypes.OperationStatus

	cut       string            // an ARN or a name that answers leave out
	failures  map[string]string // reasons, by ARN or name
	broken    string            // a read that fails
	throttles int               // how many reads are throttled first
	err       error
	reads     map[string]int
	changes   []string
	token     string // the last CreatorRequestId
}

type targetGroup struct {
	elbtypes.TargetGroup
	delay   string // empty: the attribute is not there
	targets map[listed]elbtypes.TargetHealth
	broken  bool // a target without its health
}

type listed struct {
	id   string
	port int32
}

const pageSize = 2

// pages is a page of a list and the token of the next.
func pages[T any](all []T, token *string) ([]T, *string) {
	from := 0
	_, _ = fmt.Sscan(aws.ToString(token), &from) // our own token
	to := min(len(all), from+pageSize)
	if to == len(all) {
		return all[from:], nil
	}
	return all[from:to], aws.String(fmt.Sprint(to))
}

// read counts a read, and throttles it.
func (w *world) read(name string) error {
	w.reads[name]++
	if name == w.broken {
		return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: name}
	}
	if w.throttles > 0 {
		w.throttles--
		return &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
	}
	return nil
}

// change makes a changing call, unless it would be tried again or is to fail.
func (w *world) change(attempts int, what string, do func()) error {
	if attempts != 1 {
		return errors.New("a changing call must not be retried behind our back")
	}
	w.changes = append(w.changes, what)
	if w.err == nil {
		do()
	}
	return w.err
}

func (w *world) ListTasks(_ context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	if err := w.read("ListTasks"); err != nil {
		return nil, err
	}
	if in.StartedBy != nil && (in.ServiceName != nil || in.Family != nil || in.DesiredStatus != "") {
		return nil, &ecstypes.InvalidParameterException{Message: aws.String("startedBy must be the only filter")}
	}
	if in.ServiceName != nil && !slices.ContainsFunc(w.services, func(s ecstypes.Service) bool { return *s.ServiceName == *in.ServiceName }) {
		return nil, &ecstypes.ServiceNotFoundException{Message: aws.String("Service not found.")}
	}
	var arns []string
	for _, t := range w.tasks {
		fits := (in.ServiceName == nil || aws.ToString(t.Group) == "service:"+*in.ServiceName) && (in.Family == nil || w.families[*t.TaskArn] == *in.Family) &&
			(in.StartedBy == nil || aws.ToString(t.StartedBy) == *in.StartedBy)
		if fits && *t.DesiredStatus == cmp.Or(string(in.DesiredStatus), "RUNNING") {
			arns = append(arns, *t.TaskArn)
		}
	}
	page, next := pages(arns, in.NextToken)
	return &ecs.ListTasksOutput{TaskArns: page, NextToken: next}, nil
}

func (w *world) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	if err := w.read("DescribeTasks"); err != nil {
		return nil, err
	}
	if len(in.Tasks) > 100 {
		return nil, &ecstypes.InvalidParameterException{Message: aws.String("Tasks cannot have more than 100 elements")}
	}
	out := &ecs.DescribeTasksOutput{}
	for _, arn := range slices.Compact(slices.Sorted(slices.Values(in.Tasks))) { // each is answered for once
		n := slices.IndexFunc(w.tasks, func(t ecstypes.Task) bool { return *t.TaskArn == arn })
		switch {
		case arn == w.cut:
		case w.failures[arn] != "" || n < 0:
			out.Failures = append(out.Failures, ecstypes.Failure{Arn: aws.String(arn), Reason: aws.String(cmp.Or(w.failures[arn], "MISSING"))})
		default:
			out.Tasks = append(out.Tasks, w.tasks[n])
		}
	}
	return out, nil
}

func (w *world) DescribeContainerInstances(_ context.Context, in *ecs.DescribeContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error) {
	if err := w.read("DescribeContainerInstances"); err != nil {
		return nil, err
	}
	out := &ecs.DescribeContainerInstancesOutput{}
	for _, arn := range in.ContainerInstances {
		id, known := w.hosts[arn]
		switch {
		case arn == "":
			return nil, &ecstypes.InvalidParameterException{Message: aws.String("Container instances can not be blank.")}
		case arn == w.cut:
		case w.failures[arn] != "" || !known:
			out.Failures = append(out.Failures, ecstypes.Failure{Arn: aws.String(arn), Reason: aws.String(cmp.Or(w.failures[arn], "MISSING"))})
		default:
			out.ContainerInstances = append(out.ContainerInstances, ecstypes.ContainerInstance{ContainerInstanceArn: aws.String(arn), Ec2InstanceId: aws.String(id)})
		}
	}
	return out, nil
}

// elastic is the world as ECS: its ListServices has the name of Cloud Map's.
type elastic struct{ *world }

func (w elastic) ListServices(_ context.Context, in *ecs.ListServicesInput, _ ...func(*ecs.Options)) (*ecs.ListServicesOutput, error) {
	if err := w.read("ECS ListServices"); err != nil {
		return nil, err
	}
	var all []string
	for _, s := range w.services {
		all = append(all, aws.ToString(s.ServiceName))
	}
	page, next := pages(all, in.NextToken)
	return &ecs.ListServicesOutput{ServiceArns: page, NextToken: next}, nil
}

func (w *world) DescribeServices(_ context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	if err := w.read("DescribeServices"); err != nil {
		return nil, err
	}
	out := &ecs.DescribeServicesOutput{}
	for _, name := range in.Services {
		n := slices.IndexFunc(w.services, func(s ecstypes.Service) bool { return *s.ServiceName == name })
		switch {
		case name == w.cut:
		case w.failures[name] != "" || n < 0:
			out.Failures = append(out.Failures, ecstypes.Failure{Arn: aws.String(name), Reason: aws.String(cmp.Or(w.failures[name], "MISSING"))})
		default:
			out.Services = append(out.Services, w.services[n])
		}
	}
	return out, nil
}

func (w *world) DescribeTargetGroups(_ context.Context, in *elb.DescribeTargetGroupsInput, _ ...func(*elb.Options)) (*elb.DescribeTargetGroupsOutput, error) {
	if err := w.read("DescribeTargetGroups"); err != nil {
		return nil, err
	}
	if len(in.Names) == 0 {
		return nil, errors.New("all target groups of the account are more than anybody asked for")
	}
	var all []elbtypes.TargetGroup
	for _, name := range in.Names {
		g, known := w.groups[name]
		if !known {
			return nil, &elbtypes.TargetGroupNotFoundException{Message: aws.String("One or more target groups not found")}
		}
		if name != w.cut {
			all = append(all, g.TargetGroup)
		}
	}
	page, next := pages(all, in.Marker)
	return &elb.DescribeTargetGroupsOutput{TargetGroups: page, NextMarker: next}, nil
}

// by is the target group with an ARN.
func (w *world) by(arn *string) *targetGroup {
	for _, g := range w.groups {
		if *g.TargetGroupArn == *arn {
			return g
		}
	}
	return nil
}

func (w *world) DescribeTargetGroupAttributes(_ context.Context, in *elb.DescribeTargetGroupAttributesInput, _ ...func(*elb.Options)) (*elb.DescribeTargetGroupAttributesOutput, error) {
	out := &elb.DescribeTargetGroupAttributesOutput{Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("stickiness.enabled"), Value: aws.String("false")}}}
	if g := w.by(in.TargetGroupArn); g.delay != "" {
		out.Attributes = append(out.Attributes, elbtypes.TargetGroupAttribute{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String(g.delay)})
	}
	return out, w.read("DescribeTargetGroupAttributes")
}

func (w *world) DescribeTargetHealth(_ context.Context, in *elb.DescribeTargetHealthInput, _ ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error) {
	if err := w.read("DescribeTargetHealth"); err != nil {
		return nil, err
	}
	out := &elb.DescribeTargetHealthOutput{}
	g := w.by(in.TargetGroupArn)
	for t, health := range g.targets {
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, elbtypes.TargetHealthDescription{
			Target: &elbtypes.TargetDescription{Id: aws.String(t.id), Port: aws.Int32(t.port)}, TargetHealth: &health,
		})
	}
	if g.broken {
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, elbtypes.TargetHealthDescription{Target: &elbtypes.TargetDescription{Id: aws.String("i-9")}})
	}
	return out, nil
}

func elbAttempts(with []func(*elb.Options)) int {
	o := elb.Options{}
	for _, f := range with {
		f(&o)
	}
	return o.RetryMaxAttempts
}

func (w *world) RegisterTargets(_ context.Context, in *elb.RegisterTargetsInput, with ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error) {
	return &elb.RegisterTargetsOutput{}, w.change(elbAttempts(with), "RegisterTargets", func() {
		for _, t := range in.Targets {
			w.by(in.TargetGroupArn).targets[listed{*t.Id, *t.Port}] = elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumInitial}
		}
	})
}

func (w *world) DeregisterTargets(_ context.Context, in *elb.DeregisterTargetsInput, with ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error) {
	return &elb.DeregisterTargetsOutput{}, w.change(elbAttempts(with), "DeregisterTargets", func() {
		for _, t := range in.Targets {
			delete(w.by(in.TargetGroupArn).targets, listed{*t.Id, *t.Port})
		}
	})
}

// ListServices has an empty first page, as Cloud Map may.
func (w *world) ListServices(_ context.Context, in *sd.ListServicesInput, _ ...func(*sd.Options)) (*sd.ListServicesOutput, error) {
	if err := w.read("ListServices"); err != nil {
		return nil, err
	}
	if in.NextToken == nil {
		return &sd.ListServicesOutput{NextToken: aws.String("0")}, nil
	}
	page, next := pages(w.registries, in.NextToken)
	return &sd.ListServicesOutput{Services: page, NextToken: next}, nil
}

func (w *world) ListInstances(_ context.Context, in *sd.ListInstancesInput, _ ...func(*sd.Options)) (*sd.ListInstancesOutput, error) {
	if err := w.read("ListInstances"); err != nil {
		return nil, err
	}
	page, next := pages(slices.Sorted(maps.Keys(w.instances[*in.ServiceId])), in.NextToken)
	out := &sd.ListInstancesOutput{NextToken: next}
	for _, id := range page {
		out.Instances = append(out.Instances, sdtypes.InstanceSummary{Id: aws.String(id), Attributes: w.instances[*in.ServiceId][id]})
	}
	return out, nil
}

func (w *world) GetOperation(_ context.Context, in *sd.GetOperationInput, _ ...func(*sd.Options)) (*sd.GetOperationOutput, error) {
	if err := w.read("GetOperation"); err != nil {
		return nil, err
	}
	status, known := w.operations[*in.OperationId]
	if !known {
		return nil, &sdtypes.OperationNotFound{Message: aws.String("gone")}
	}
	if *in.OperationId == w.cut {
		return &sd.GetOperationOutput{}, nil
	}
	return &sd.GetOperationOutput{Operation: &sdtypes.Operation{Id: in.OperationId, Status: status}}, nil
}

func sdAttempts(with []func(*sd.Options)) int {
	o := sd.Options{}
	for _, f := range with {
		f(&o)
	}
	return o.RetryMaxAttempts
}

func (w *world) RegisterInstance(_ context.Context, in *sd.RegisterInstanceInput, with ...func(*sd.Options)) (*sd.RegisterInstanceOutput, error) {
	w.token = aws.ToString(in.CreatorRequestId)
	err := w.change(sdAttempts(with), "RegisterInstance", func() { w.instances[*in.ServiceId][*in.InstanceId] = in.Attributes })
	if err != nil {
		return nil, err
	}
	return &sd.RegisterInstanceOutput{OperationId: aws.String("op-new")}, nil
}

func (w *world) DeregisterInstance(_ context.Context, in *sd.DeregisterInstanceInput, with ...func(*sd.Options)) (*sd.DeregisterInstanceOutput, error) {
	err := w.change(sdAttempts(with), "DeregisterInstance", func() { delete(w.instances[*in.ServiceId], *in.InstanceId) })
	if err != nil {
		return nil, err
	}
	return &sd.DeregisterInstanceOutput{OperationId: aws.String("op-new")}, nil
}

func (w *world) DescribeInstances(_ context.Context, ids []string) (map[string]string, error) {
	if err := w.read("DescribeInstances"); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, id := range ids {
		if address, known := w.addresses[id]; known {
			out[id] = address
		}
	}
	return out, nil
}

func inTurn(ctx context.Context, n int, do func(context.Context, int) error) error {
	var errs []error
	for i := range n {
		errs = append(errs, do(ctx, i))
	}
	return errors.Join(errs...)
}

// row is one networkBinding of a container.
func row(ip string, inside, outside int32) ecstypes.NetworkBinding {
	return ecstypes.NetworkBinding{BindIP: aws.String(ip), ContainerPort: aws.Int32(inside), HostPort: aws.Int32(outside), Protocol: ecstypes.TransportProtocolTcp}
}

// newTask is a RUNNING task with a container web, bound for IPv4 and IPv6.
func newTask(arn, group, host string, port int32) ecstypes.Task {
	return ecstypes.Task{
		TaskArn: aws.String(arn), Group: aws.String(group), ContainerInstanceArn: aws.String(host), AvailabilityZone: aws.String("a"),
		DesiredStatus: aws.String("RUNNING"), LastStatus: aws.String("RUNNING"),
		Containers: []ecstypes.Container{{Name: aws.String("web"), NetworkBindings: []ecstypes.NetworkBinding{row("0.0.0.0", 80, port), row("::", 80, port)}}},
	}
}

func newGroup(name string, targets ...listed) *targetGroup {
	g := &targetGroup{delay: "30", targets: map[listed]elbtypes.TargetHealth{}, TargetGroup: elbtypes.TargetGroup{
		TargetGroupArn: aws.String("arn:" + name), TargetGroupName: aws.String(name), Protocol: elbtypes.ProtocolEnumHttp,
		TargetType: elbtypes.TargetTypeEnumInstance, VpcId: aws.String("vpc-1"), LoadBalancerArns: []string{"arn:alb"},
	}}
	for _, t := range targets {
		g.targets[t] = elbtypes.TargetHealth{State: elbtypes.TargetHealthStateEnumHealthy}
	}
	return g
}

// newWorld has a service web of five tasks, of which t3 is told to stop and t4 has
// stopped, a target group of its own and one of ECS's, and two registries.
func newWorld() (*world, *Cloud) {
	w := &world{
		hosts: map[string]string{"h0": "i-0", "h1": "i-1"}, addresses: map[string]string{"i-0": "10.0.0.10", "i-1": "10.0.0.11"}, families: map[string]string{},
		services: []ecstypes.Service{{ServiceName: aws.String("web"), Status: aws.String("ACTIVE")}, {
			ServiceName: aws.String("api"), Status: aws.String("ACTIVE"), LoadBalancers: []ecstypes.LoadBalancer{{TargetGroupArn: aws.String("arn:ecs-api")}},
		}},
		groups: map[string]*targetGroup{"web": newGroup("web", listed{"i-1", 32769}, listed{"i-0", 32768}, listed{"i-0", 32767}), "ecs-api": newGroup("ecs-api")},
		registries: []sdtypes.ServiceSummary{
			{Id: aws.String("srv-1"), Name: aws.String("web"), HealthCheckCustomConfig: &sdtypes.HealthCheckCustomConfig{}, DnsConfig: &sdtypes.DnsConfig{
				DnsRecords: []sdtypes.DnsRecord{{Type: sdtypes.RecordTypeA}, {Type: sdtypes.RecordTypeSrv}},
			}},
			{Id: aws.String("srv-2"), Name: aws.String("twin")},
			{Id: aws.String("srv-3"), Name: aws.String("twin")},
		},
		instances: map[string]map[string]map[string]string{
			"srv-1": {"t0.web": {"AWS_INSTANCE_IPV4": "10.0.0.10", "AWS_INSTANCE_PORT": "32768"}, "a": {"AWS_INSTANCE_CNAME": "x"}, "b": {}}, "srv-3": {},
		},
		operations: map[string]sdtypes.OperationStatus{}, failures: map[string]string{}, reads: map[string]int{},
	}
	for n := range 5 {
		w.tasks = append(w.tasks, newTask(fmt.Sprint("t", n), "service:web", fmt.Sprint("h", n%2), int32(32768+n)))
	}
	w.tasks[3].DesiredStatus, w.tasks[4].DesiredStatus, w.tasks[4].LastStatus = aws.String("STOPPED"), aws.String("STOPPED"), aws.String("STOPPED")
	now := noon
	edges := clusterside.Edges{Run: inTurn, Clock: func() time.Time { return now }, Wait: func(_ context.Context, d time.Duration) error {
		now = now.Add(d)
		return nil
	}}
	return w, New(Ports{ECS: elastic{w}, ELBV2: w, CloudMap: w, EC2: w}, edges)
}

// names are the ARNs of tasks, or whatever f says of each, in a row.
func names[T any](all []T, f func(T) string) string {
	var list []string
	for _, x := range all {
		list = append(list, f(x))
	}
	return strings.Join(list, " ")
}
