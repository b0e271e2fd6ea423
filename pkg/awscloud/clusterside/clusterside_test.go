package clusterside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	asgtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// world is a small AWS that holds state and can be told to answer short.
type world struct {
	ECS
	AutoScaling
	CloudWatch
	services   []types.Service
	hosts      []types.ContainerInstance
	tasks      []types.Task
	groups     []asgtypes.AutoScalingGroup
	policies   []asgtypes.ScalingPolicy
	points     map[string]cwtypes.MetricDataResult // by metric name
	pageSize   int
	cut        string // what a Describe leaves out one of
	failures   map[string]types.Failure
	err        error // of the next changing call
	noCapacity error // of SetDesiredCapacity
	launch     autoscaling.LaunchInstancesOutput
	changes    []string
	tokens     []string
	defined    int
	deaf       bool // CloudWatch is away
}

func (w *world) DescribeServices(_ context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	out := &ecs.DescribeServicesOutput{}
	for _, name := range in.Services {
		n := slices.IndexFunc(w.services, func(s types.Service) bool { return *s.ServiceName == name })
		if n < 0 {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(name), Reason: aws.String("MISSING")})
			continue
		}
		out.Services = append(out.Services, w.services[n])
	}
	return out, nil
}

// paged answers a list page by page, with the next index as the token.
func paged(all []string, size int, token *string) ([]string, *string) {
	from := 0
	if token != nil {
		_, _ = fmt.Sscan(*token, &from) // our own token
	}
	to := min(len(all), from+size)
	if to == len(all) {
		return all[from:to], nil
	}
	return all[from:to], aws.String(fmt.Sprint(to))
}

func (w *world) ListContainerInstances(_ context.Context, in *ecs.ListContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.ListContainerInstancesOutput, error) {
	var arns []string
	for _, h := range w.hosts {
		arns = append(arns, *h.ContainerInstanceArn)
	}
	page, next := paged(arns, w.pageSize, in.NextToken)
	return &ecs.ListContainerInstancesOutput{ContainerInstanceArns: page, NextToken: next}, nil
}

func (w *world) DescribeContainerInstances(_ context.Context, in *ecs.DescribeContainerInstancesInput, _ ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error) {
	out := &ecs.DescribeContainerInstancesOutput{}
	for _, h := range w.hosts {
		switch arn := *h.ContainerInstanceArn; {
		case !slices.Contains(in.ContainerInstances, arn) || w.cut == arn:
		case w.failures[arn].Reason != nil:
			out.Failures = append(out.Failures, w.failures[arn])
		default:
			out.ContainerInstances = append(out.ContainerInstances, h)
		}
	}
	return out, nil
}

func (w *world) ListTasks(_ context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	var arns []string
	for _, t := range w.tasks {
		if *t.DesiredStatus == string(in.DesiredStatus) {
			arns = append(arns, *t.TaskArn)
		}
	}
	page, next := paged(arns, w.pageSize, in.NextToken)
	return &ecs.ListTasksOutput{TaskArns: page, NextToken: next}, nil
}

func (w *world) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	out := &ecs.DescribeTasksOutput{}
	for _, t := range w.tasks {
		if slices.Contains(in.Tasks, *t.TaskArn) && w.cut != *t.TaskArn {
			out.Tasks = append(out.Tasks, t)
		}
	}
	return out, nil
}

func (w *world) DescribeTaskDefinition(_ context.Context, in *ecs.DescribeTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	w.defined++
	if strings.HasPrefix(*in.TaskDefinition, "gone") {
		return nil, &types.ClientException{Message: aws.String("Unable to describe task definition.")}
	}
	return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &types.TaskDefinition{
		TaskDefinitionArn: in.TaskDefinition, Family: aws.String("f"), Revision: 3,
		ContainerDefinitions: []types.ContainerDefinition{
			{Cpu: 100, Memory: aws.Int32(300), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(80), HostPort: aws.Int32(0)}, {HostPort: aws.Int32(9000), Protocol: types.TransportProtocolUdp}}},
			{Cpu: 28, Memory: aws.Int32(200), MemoryReservation: aws.Int32(100), HealthCheck: &types.HealthCheck{}},
		}, RequiresAttributes: []types.Attribute{{Name: aws.String("gpu")}},
	}}, nil
}

func (w *world) DescribeAutoScalingGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	return &autoscaling.DescribeAutoScalingGroupsOutput{AutoScalingGroups: slices.DeleteFunc(slices.Clone(w.groups), func(g asgtypes.AutoScalingGroup) bool {
		return !slices.Contains(in.AutoScalingGroupNames, *g.AutoScalingGroupName)
	})}, nil
}

func (w *world) DescribePolicies(_ context.Context, in *autoscaling.DescribePoliciesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribePoliciesOutput, error) {
	n, err := strconv.Atoi(cmp.Or(aws.ToString(in.NextToken), "0"))
	if err != nil || n >= len(w.policies) {
		return &autoscaling.DescribePoliciesOutput{}, err
	}
	out := &autoscaling.DescribePoliciesOutput{ScalingPolicies: w.policies[n : n+1]} // one a page
	if n+1 < len(w.policies) {
		out.NextToken = aws.String(strconv.Itoa(n + 1))
	}
	return out, nil
}

func (w *world) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	if w.deaf {
		return nil, errors.New("CloudWatch is away")
	}
	out := &cloudwatch.GetMetricDataOutput{}
	for _, q := range in.MetricDataQueries {
		r := w.points[*q.MetricStat.Metric.MetricName]
		r.Id = q.Id
		out.MetricDataResults = append(out.MetricDataResults, r)
	}
	return out, nil
}

func (w *world) change(what string) error {
	if w.err == nil {
		w.changes = append(w.changes, what)
	}
	return w.err
}

func (w *world) UpdateService(_ context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	return &ecs.UpdateServiceOutput{}, w.change(fmt.Sprintf("%s=%d", *in.Service, *in.DesiredCount))
}

func (w *world) UpdateContainerInstancesState(_ context.Context, in *ecs.UpdateContainerInstancesStateInput, _ ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error) {
	if f, ok := w.failures["state"]; ok {
		return &ecs.UpdateContainerInstancesStateOutput{Failures: []types.Failure{f}}, nil
	}
	return &ecs.UpdateContainerInstancesStateOutput{}, w.change(fmt.Sprintf("%v=%s", in.ContainerInstances, in.Status))
}

func (w *world) LaunchInstances(_ context.Context, in *autoscaling.LaunchInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error) {
	w.tokens = append(w.tokens, *in.ClientToken)
	if in.RetryStrategy != "" {
		return nil, errors.New("a launch must not be retried behind our back")
	}
	if err := w.change(fmt.Sprintf("launch %d in %v", *in.RequestedCapacity, in.AvailabilityZones)); err != nil {
		return nil, err
	}
	return &w.launch, nil
}

func (w *world) SetDesiredCapacity(_ context.Context, in *autoscaling.SetDesiredCapacityInput, _ ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error) {
	if w.noCapacity != nil {
		return nil, w.noCapacity
	}
	w.changes = append(w.changes, fmt.Sprintf("capacity %d", *in.DesiredCapacity))
	return &autoscaling.SetDesiredCapacityOutput{}, nil
}

func (w *world) TerminateInstanceInAutoScalingGroup(_ context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	return &autoscaling.TerminateInstanceInAutoScalingGroupOutput{}, w.change(fmt.Sprintf("terminate %s decrement %t", *in.InstanceId, *in.ShouldDecrementDesiredCapacity))
}

func inTurn(ctx context.Context, n int, do func(context.Context, int) error) error {
	var errs []error
	for i := range n {
		errs = append(errs, do(ctx, i))
	}
	return errors.Join(errs...)
}

func amounts(cpu, memory int32, ports ...string) []types.Resource {
	return []types.Resource{{Name: aws.String("CPU"), IntegerValue: cpu}, {Name: aws.String("MEMORY"), IntegerValue: memory}, {Name: aws.String("PORTS"), StringSetValue: ports}}
}

func newWorld() (*world, *Cloud) {
	w := &world{pageSize: 2, failures: map[string]types.Failure{}, points: map[string]cwtypes.MetricDataResult{}}
	for n := range 5 {
		w.hosts = append(w.hosts, types.ContainerInstance{
			ContainerInstanceArn: aws.String(fmt.Sprint("h", n)), Ec2InstanceId: aws.String(fmt.Sprint("i-", n)), Status: aws.String("ACTIVE"), AgentConnected: true,
			RegisteredResources: amounts(2048, 4000, "22"), RemainingResources: amounts(2048, 4000, "22", "9000"),
			Attributes: []types.Attribute{{Name: aws.String("ecs.availability-zone"), Value: aws.String("a")}, {Name: aws.String("gpu")}},
		})
	}
	w.services = []types.Service{{ServiceArn: aws.String("arn:web"), ServiceName: aws.String("web"), Status: aws.String("ACTIVE"), DesiredCount: 3, TaskDefinition: aws.String("td:1"), SchedulingStrategy: types.SchedulingStrategyReplica}}
	for n, wanted := range []string{"RUNNING", "RUNNING", "RUNNING", "STOPPED", "STOPPED"} {
		last := "RUNNING"
		if n == 4 {
			last = "STOPPED"
		}
		w.tasks = append(w.tasks, types.Task{TaskArn: aws.String(fmt.Sprint("t", n)), DesiredStatus: aws.String(wanted), LastStatus: aws.String(last), Group: aws.String("service:web"), ContainerInstanceArn: aws.String("h0")})
	}
	w.groups = []asgtypes.AutoScalingGroup{{
		AutoScalingGroupName: aws.String("g"), MinSize: aws.Int32(1), MaxSize: aws.Int32(9), DesiredCapacity: aws.Int32(5), AvailabilityZones: []string{"b", "a"},
		Instances: []asgtypes.Instance{{InstanceId: aws.String("i-0"), LifecycleState: asgtypes.LifecycleStateInService, InstanceType: aws.String("m6i.large")}},
	}}
	w.launch = autoscaling.LaunchInstancesOutput{Instances: []asgtypes.InstanceCollection{{InstanceIds: []string{"i-8", "i-9"}}}}
	return w, New(w, w, w, Edges{Run: inTurn, Clock: func() time.Time { return noon }})
}

func scope() cluster.Scope {
	return cluster.Scope{Cluster: "prod", Groups: []string{"g", "gone"}, Services: []string{"gone", "web"}, Metrics: []cluster.Metric{{Key: "web/cpu", Name: "CPUUtilization", Period: time.Minute}, {Key: "web/x", Name: "X", Period: time.Minute}}}
}

func TestObserveMapsAWSsWordsToOurs(t *testing.T) {
	w, c := newWorld()
	w.points["CPUUtilization"] = cwtypes.MetricDataResult{StatusCode: cwtypes.StatusCodeComplete, Timestamps: []time.Time{noon.Add(-2 * time.Minute)}, Values: []float64{82}}
	w.points["X"] = cwtypes.MetricDataResult{StatusCode: cwtypes.StatusCodeInternalError, Timestamps: []time.Time{noon}, Values: []float64{0}}
	s, err := c.Observe(t.Context(), scope())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Hosts) != 5 || s.Hosts[0].Group != "g" || s.Hosts[1].Group != "" || s.Hosts[0].Zone != "a" {
		t.Errorf("hosts %+v", s.Hosts)
	}
	if h := s.Hosts[0]; !slices.Equal(h.TakenPorts, []cluster.Port{{Number: 22, Protocol: "tcp"}, {Number: 9000, Protocol: "tcp"}}) || h.Registered != (cluster.Resources{CPU: 2048, Memory: 4000}) {
		t.Errorf("host %+v", h)
	}
	if _, ok := s.Hosts[0].Attributes["gpu"]; !ok {
		t.Error("an attribute without a value is lost")
	}
	if len(s.Tasks) != 4 || !s.Tasks[3].Stopping() || s.Tasks[0].Service != "web" {
		t.Errorf("a stopping task is seen and a stopped one is not: %+v", s.Tasks)
	}
	if len(s.Services) != 1 || s.Services[0].MinimumHealthyPercent != 100 || s.Services[0].MaximumPercent != 200 || s.Services[0].Controller != "ECS" {
		t.Errorf("services %+v", s.Services)
	}
	if len(s.Groups) != 1 || !slices.Equal(s.Groups[0].Zones, []string{"a", "b"}) || s.Groups[0].SteeredBy != "" {
		t.Errorf("groups %+v", s.Groups)
	}
	want := cluster.Revision{ARN: "td:1", Family: "f", Number: 3, Needs: cluster.Resources{CPU: 128, Memory: 400}, Ports: []cluster.Port{{Number: 9000, Protocol: "udp"}}, Attributes: []string{"gpu"}, Checked: true}
	if !reflect.DeepEqual(s.Revisions["td:1"], want) {
		t.Errorf("revision %+v\nwant %+v", s.Revisions["td:1"], want)
	}
	if p := s.Metrics["web/cpu"]; len(p) != 1 || p[0].Value != 82 {
		t.Errorf("cpu %v", p)
	}
	if p, known := s.Metrics["web/x"]; known {
		t.Errorf("a metric that CloudWatch failed to read is %v", p)
	}
	if _, err := c.Observe(t.Context(), scope()); err != nil || w.defined != 1 {
		t.Errorf("read the task definition %d times, %v", w.defined, err)
	}
}

func TestALookThatIsNotWholeFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		less func(*world)
		want string
	}{
		{"a host is left out of the answer", func(w *world) { w.cut = "h3" }, "asked for 5, answered for 4"},
		{"a task is left out of the answer", func(w *world) { w.cut = "t2" }, "asked for 5, answered for 4"},
		{"a host fails for another cause than being gone", func(w *world) {
			w.failures["h3"] = types.Failure{Arn: aws.String("h3"), Reason: aws.String("ACCESS")}
		}, "h3: ACCESS"},
		{"a host that is gone is an answer", func(w *world) {
			w.failures["h3"] = types.Failure{Arn: aws.String("h3"), Reason: aws.String("MISSING")}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, c := newWorld()
			tt.less(w)
			s, err := c.Observe(t.Context(), scope())
			if tt.want == "" && (err != nil || len(s.Hosts) != 4) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("observed %d hosts, %v", len(s.Hosts), err)
			}
		})
	}
}

func TestWhatOneServiceLacksDoesNotStopTheOthers(t *testing.T) {
	w, c := newWorld()
	w.services[0].Deployments = []types.Deployment{{TaskDefinition: aws.String("gone:1")}}
	w.deaf = true
	s, err := c.Observe(t.Context(), scope())
	if err != nil || len(s.Hosts) != 5 || len(s.Revisions) != 1 || len(s.Metrics) != 0 {
		t.Errorf("%d hosts, %d task definitions, %d metrics, %v", len(s.Hosts), len(s.Revisions), len(s.Metrics), err)
	}
}

func TestAGroupThatAnotherPolicySteersSaysSo(t *testing.T) {
	w, c := newWorld()
	of := func(group, name string, on bool) asgtypes.ScalingPolicy {
		return asgtypes.ScalingPolicy{AutoScalingGroupName: aws.String(group), PolicyName: aws.String(name), Enabled: aws.Bool(on)}
	}
	w.policies = []asgtypes.ScalingPolicy{of("g", "off", false), of("another", "theirs", true), of("g", "managed", true), of("g", "second", true)}
	s, err := c.Observe(t.Context(), scope())
	if err != nil || s.Groups[0].SteeredBy != "managed" {
		t.Errorf("steered by %q, %v", s.Groups[0].SteeredBy, err)
	}
}

func intent(verb cluster.Verb, subject cluster.Subject, from, to int) cluster.Intent {
	return cluster.Intent{ID: "k#7#0", Change: cluster.Change{Verb: verb, Subject: subject, From: from, To: to, Zone: "a", Group: "g", Host: "h0"}}
}

// always lets every call begin.
func always() error { return nil }

func status(w *world, s string, running int32) {
	w.hosts[0].Status, w.hosts[0].RunningTasksCount = aws.String(s), running
}

func TestWhatAChangeDoesAndWhenItDoesNot(t *testing.T) {
	throttled := &smithy.GenericAPIError{Code: "ThrottlingException"}
	broken := &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 503}}, Err: &smithy.GenericAPIError{Code: "ServiceUnavailable"}}
	ice := autoscaling.LaunchInstancesOutput{Errors: []asgtypes.LaunchInstancesError{{ErrorCode: aws.String("InsufficientInstanceCapacity")}}}
	for _, tt := range []struct {
		name   string
		world  func(*world)
		intent cluster.Intent
		want   cluster.Outcome
		did    string
		detail string
	}{
		{"a count is set absolutely", nil, intent(cluster.SetDesiredCount, "service/web", 3, 5), cluster.OutcomeApplied, "web=5", ""},
		{"a count that somebody changed is left alone", nil, intent(cluster.SetDesiredCount, "service/web", 2, 5), cluster.OutcomeSkipped, "", "not 2 any more"},
		{"a service that is gone is left alone", nil, intent(cluster.SetDesiredCount, "service/gone", 2, 5), cluster.OutcomeSkipped, "", "not 2 any more"},
		{"a throttled call changed nothing", func(w *world) { w.err = throttled }, intent(cluster.SetDesiredCount, "service/web", 3, 5), cluster.OutcomeRefused, "", "ThrottlingException"},
		{"of a server's fault nobody knows", func(w *world) { w.err = broken }, intent(cluster.SetDesiredCount, "service/web", 3, 5), cluster.OutcomeUnknown, "", "503"},
		{"of a broken connection nobody knows", func(w *world) { w.err = context.DeadlineExceeded }, intent(cluster.SetDesiredCount, "service/web", 3, 5), cluster.OutcomeUnknown, "", "deadline"},
		{"hosts are launched in one zone", nil, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeApplied, "launch 2 in [a]", ""},
		{"hosts that somebody launched meanwhile are not doubled", nil, intent(cluster.LaunchHosts, "group/g", 4, 7), cluster.OutcomeSkipped, "", "not 4 any more"},
		{"a launch refused for want of capacity says so", func(w *world) { w.launch = ice }, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeRefused, "launch 2 in [a]", "InsufficientInstanceCapacity: a"},
		{"a launch of which a part came says what came and why not more", func(w *world) {
			w.launch.Errors, w.launch.Instances[0].InstanceIds = ice.Errors, []string{"i-8"}
		}, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeApplied, "launch 2 in [a]", "partial: api error InsufficientInstanceCapacity: a"},
		{"a group of a kind that LaunchInstances does not take gets its capacity set", func(w *world) { w.err = &smithy.GenericAPIError{Code: "ValidationError", Message: "mixed"} }, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeApplied, "capacity 7", "instead of LaunchInstances the desired capacity was set: api error ValidationError: mixed"},
		{"where the role may not launch, capacity is set", func(w *world) {
			w.launch = autoscaling.LaunchInstancesOutput{Errors: []asgtypes.LaunchInstancesError{{ErrorCode: aws.String("UnauthorizedOperation"), ErrorMessage: aws.String("no iam:PassRole")}}}
		}, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeApplied, "launch 2 in [a] capacity 7", "UnauthorizedOperation: no iam:PassRole"},
		{"where LaunchInstances is not to be had, capacity is set", func(w *world) { w.err = &smithy.GenericAPIError{Code: "InvalidAction"} }, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeApplied, "capacity 7", "InvalidAction"},
		{"where that is refused too, both are told", func(w *world) {
			w.err, w.noCapacity = &smithy.GenericAPIError{Code: "AccessDenied"}, &smithy.GenericAPIError{Code: "ScalingActivityInProgress"}
		}, intent(cluster.LaunchHosts, "group/g", 5, 7), cluster.OutcomeRefused, "", "ScalingActivityInProgress:  (after LaunchInstances: api error AccessDenied"},
		{"capacity is never lowered", nil, intent(cluster.LaunchHosts, "group/g", 5, 4), cluster.OutcomeSkipped, "", "only raised"},
		{"an empty host is drained", nil, intent(cluster.DrainHost, "host/i-0", 0, 0), cluster.OutcomeApplied, "[h0]=DRAINING", ""},
		{"a host that got a task meanwhile is not", func(w *world) { status(w, "ACTIVE", 1) }, intent(cluster.DrainHost, "host/i-0", 0, 0), cluster.OutcomeSkipped, "", "with 1 tasks"},
		{"a failure that comes with HTTP 200 is a refusal", func(w *world) { w.failures["state"] = types.Failure{Reason: aws.String("INACTIVE")} }, intent(cluster.DrainHost, "host/i-0", 0, 0), cluster.OutcomeRefused, "", "INACTIVE"},
		{"a host is made active again", func(w *world) { status(w, "DRAINING", 0) }, intent(cluster.ActivateHost, "host/i-0", 0, 0), cluster.OutcomeApplied, "[h0]=ACTIVE", ""},
		{"a drained host is terminated with decrement", func(w *world) { status(w, "DRAINING", 0) }, intent(cluster.TerminateHost, "host/i-0", 0, 0), cluster.OutcomeApplied, "terminate i-0 decrement true", ""},
		{"a host that is not drained is not terminated", nil, intent(cluster.TerminateHost, "host/i-0", 0, 0), cluster.OutcomeSkipped, "", "ACTIVE"},
		{"a host with a task is not terminated", func(w *world) { status(w, "DRAINING", 1) }, intent(cluster.TerminateHost, "host/i-0", 0, 0), cluster.OutcomeSkipped, "", "with 1 tasks"},
		{"a host whose instance is leaving already is not terminated again", func(w *world) {
			status(w, "DRAINING", 0)
			w.groups[0].Instances[0].LifecycleState = asgtypes.LifecycleStateTerminating
		}, intent(cluster.TerminateHost, "host/i-0", 0, 0), cluster.OutcomeSkipped, "", "not in service"},
		{"a verb that nobody knows does nothing", nil, intent("Explode", "host/i-0", 0, 0), cluster.OutcomeSkipped, "", "Explode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, c := newWorld()
			for n := range w.hosts { // nothing runs on them
				w.hosts[n].RemainingResources = w.hosts[n].RegisteredResources
			}
			if tt.world != nil {
				tt.world(w)
			}
			got := c.Apply(t.Context(), "prod", tt.intent, always)
			if got.Outcome != tt.want || strings.Join(w.changes, " ") != tt.did || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("ended %q (%s), did %q", got.Outcome, got.Detail, w.changes)
			}
		})
	}
}

func TestNoCallBeginsThatMayNot(t *testing.T) {
	for _, i := range []cluster.Intent{
		intent(cluster.SetDesiredCount, "service/web", 3, 5), intent(cluster.LaunchHosts, "group/g", 5, 7), intent(cluster.DrainHost, "host/i-0", 0, 0),
		intent(cluster.ActivateHost, "host/i-0", 0, 0), intent(cluster.TerminateHost, "host/i-0", 0, 0),
	} {
		w, c := newWorld()
		w.hosts[0].RemainingResources = w.hosts[0].RegisteredResources
		if i.Verb == cluster.TerminateHost {
			status(w, "DRAINING", 0)
		}
		got := c.Apply(t.Context(), "prod", i, func() error { return errors.New("too late") })
		if got.Outcome != cluster.OutcomeSkipped || !strings.Contains(got.Detail, "too late") || len(w.changes) != 0 {
			t.Errorf("%s ended %q (%s), did %q", i.Verb, got.Outcome, got.Detail, w.changes)
		}
	}
}

func TestATokenIsTheIntentsOwn(t *testing.T) {
	w, c := newWorld()
	a, b := intent(cluster.LaunchHosts, "group/g", 5, 7), intent(cluster.LaunchHosts, "group/g", 5, 7)
	b.ID = "k#8#0"
	for _, i := range []cluster.Intent{a, a, b} {
		if got := c.Apply(t.Context(), "prod", i, always); !slices.Equal(got.Instances, []string{"i-8", "i-9"}) {
			t.Errorf("instances %v", got.Instances)
		}
	}
	if w.tokens[0] != w.tokens[1] || w.tokens[1] == w.tokens[2] || len(w.tokens[0]) != 32 {
		t.Errorf("tokens %q", w.tokens)
	}
}
