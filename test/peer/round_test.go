package peer

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	smithytime "github.com/aws/smithy-go/time"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// fleet is a cluster with three hosts of one group, a service and its tasks.
type fleet struct {
	world
	instances  []string // ids, in order
	hosts      []string // ARNs of their container instances
	definition string   // ARN
}

// populate makes the cluster that the test policy is about: three hosts, a service
// of two tasks, and these tasks on the first two hosts, as if ECS had started
// them: moto does not. They take the port of their host; 0: one that ECS chooses.
func (w world) populate(port int32) fleet {
	w.Helper()
	ctx, f := w.Context(), fleet{world: w}
	w.post("/moto-api/state-manager/set-transition", `{"model_name":"ecs::task","transition":{"progression":"manual","times":1000000}}`)
	must[*ecs.CreateClusterOutput](w.T)(w.ecs().CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String(clusterName)}))
	must[*autoscaling.CreateLaunchConfigurationOutput](w.T)(w.autoscaling().CreateLaunchConfiguration(ctx, &autoscaling.CreateLaunchConfigurationInput{
		LaunchConfigurationName: aws.String("hosts"), ImageId: aws.String("ami-12c6146b"), InstanceType: aws.String("m5.large"),
	}))
	must[*autoscaling.CreateAutoScalingGroupOutput](w.T)(w.autoscaling().CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(groupName), LaunchConfigurationName: aws.String("hosts"),
		MinSize: aws.Int32(1), MaxSize: aws.Int32(9), DesiredCapacity: aws.Int32(3), AvailabilityZones: []string{region + "a", region + "b"},
	}))
	f.instances = f.inGroup()
	for _, id := range f.instances {
		f.hosts = append(f.hosts, f.register(id))
	}
	out := must[*ecs.RegisterTaskDefinitionOutput](w.T)(w.ecs().RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("api"),
		ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String("api"), Image: aws.String("api"), Cpu: 256, Memory: aws.Int32(512), Essential: aws.Bool(true),
			PortMappings: []ecstypes.PortMapping{{ContainerPort: aws.Int32(8080), HostPort: aws.Int32(port), Protocol: ecstypes.TransportProtocolTcp}},
		}},
	}))
	f.definition = aws.ToString(out.TaskDefinition.TaskDefinitionArn)
	must[*ecs.CreateServiceOutput](w.T)(w.ecs().CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String(clusterName), ServiceName: aws.String("api"), TaskDefinition: aws.String("api"), DesiredCount: aws.Int32(2),
	}))
	must[*ecs.UpdateServiceOutput](w.T)(w.ecs().UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(clusterName), Service: aws.String("api"), DesiredCount: aws.Int32(2)}))
	for _, host := range f.hosts[:2] {
		f.start(host)
	}
	return f
}

// inGroup are the instances of the group.
func (w world) inGroup() []string {
	w.Helper()
	out := must[*autoscaling.DescribeAutoScalingGroupsOutput](w.T)(w.autoscaling().DescribeAutoScalingGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{groupName}}))
	var ids []string
	for _, i := range out.AutoScalingGroups[0].Instances {
		ids = append(ids, aws.ToString(i.InstanceId))
	}
	slices.Sort(ids)
	return ids
}

// register is what a host's agent does; it returns the container instance's ARN.
func (w world) register(instance string) string {
	w.Helper()
	identity := string(must[[]byte](w.T)(json.Marshal(map[string]string{"instanceId": instance})))
	out := must[*ecs.RegisterContainerInstanceOutput](w.T)(w.ecs().RegisterContainerInstance(w.Context(), &ecs.RegisterContainerInstanceInput{
		Cluster: aws.String(clusterName), InstanceIdentityDocument: aws.String(identity), InstanceIdentityDocumentSignature: aws.String("signed"),
	}))
	return aws.ToString(out.ContainerInstance.ContainerInstanceArn)
}

// start starts a task of the service on a host, as ECS's scheduler would.
func (f fleet) start(host string) {
	f.Helper()
	must[*ecs.StartTaskOutput](f.T)(f.ecs().StartTask(f.Context(), &ecs.StartTaskInput{
		Cluster: aws.String(clusterName), TaskDefinition: aws.String("api"), ContainerInstances: []string{host}, Group: aws.String("service:api"), StartedBy: aws.String("ecs-svc/1"),
	}))
}

// busy writes the service's CPU metric of the last minutes.
func (w world) busy(percent float64) {
	w.Helper()
	now := time.Now().Truncate(time.Minute)
	var points []cwtypes.MetricDatum
	for n := range 5 {
		points = append(points, cwtypes.MetricDatum{
			MetricName: aws.String("CPUUtilization"), Timestamp: aws.Time(now.Add(-time.Duration(n+1) * time.Minute)), Value: aws.Float64(percent),
			Dimensions: []cwtypes.Dimension{{Name: aws.String("ClusterName"), Value: aws.String(clusterName)}, {Name: aws.String("ServiceName"), Value: aws.String("api")}},
		})
	}
	must[*cloudwatch.PutMetricDataOutput](w.T)(w.cloudwatch().PutMetricData(w.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/ECS"), MetricData: points}))
}

// cloud is the AWS side of a round over this account.
func (w world) cloud() *clusterside.Cloud {
	return clusterside.New(w.ecs(), w.autoscaling(), w.cloudwatch(), clusterside.Edges{Run: rounds.Concurrent, Clock: time.Now, Wait: smithytime.SleepWithContext})
}

func (w world) desired() int32 {
	w.Helper()
	out := must[*ecs.DescribeServicesOutput](w.T)(w.ecs().DescribeServices(w.Context(), &ecs.DescribeServicesInput{Cluster: aws.String(clusterName), Services: []string{"api"}}))
	return out.Services[0].DesiredCount
}

// TestALookReadsWhatIsThere maps all that moto can vouch for, over real HTTP.
func TestALookReadsWhatIsThere(t *testing.T) {
	f := fresh(t).populate(9000)
	f.busy(90)
	s := must[cluster.State](t)(f.cloud().Observe(t.Context(), testPolicy().Scope()))
	if len(s.Hosts) != 3 || len(s.Tasks) != 2 || len(s.Services) != 1 || len(s.Groups) != 1 {
		t.Fatalf("%d hosts, %d tasks, %d services, %d groups", len(s.Hosts), len(s.Tasks), len(s.Services), len(s.Groups))
	}
	g, v, r := s.Groups[0], s.Services[0], s.Revisions[f.definition]
	rows := []struct{ what, got, want string }{
		{"the group", fmt.Sprint(g.Name, g.Min, g.Max, g.Desired, g.Zones, g.InstanceTypes, g.SteeredBy), fmt.Sprint(groupName, 1, 9, 3, []string{region + "a", region + "b"}, []string{"m5.large"}, "")},
		{"the service", fmt.Sprint(v.Name, v.Controller, v.Scheduling, v.Desired, v.Running, v.Pending, v.Revision), fmt.Sprint("api", "ECS", "REPLICA", 2, 2, 0, f.definition)},
		{"its bounds, which moto does not tell", fmt.Sprint(v.MinimumHealthyPercent, v.MaximumPercent), "100 200"},
		{"its deployment", fmt.Sprint(len(v.Deployments), v.Deployments[0].Status, v.Deployments[0].Revision), fmt.Sprint(1, "PRIMARY", f.definition)},
		{"its revision", fmt.Sprint(r.Family, r.Number, r.Needs, r.Ports, r.Checked), fmt.Sprint("api", 1, cluster.Resources{CPU: 256, Memory: 512}, []cluster.Port{{Number: 9000, Protocol: "tcp"}}, false)},
	}
	for _, h := range s.Hosts {
		want := fmt.Sprint(cluster.Resources{CPU: 3840, Memory: 6970}, 1, 0)
		if h.ARN == f.hosts[2] {
			want = fmt.Sprint(cluster.Resources{CPU: 4096, Memory: 7482}, 0, 0)
		}
		rows = append(rows, struct{ what, got, want string }{"a host", fmt.Sprint(h.Group, h.Type, h.Status, h.AgentConnected, h.Registered) + fmt.Sprint(h.Remaining, h.Running, h.Pending), fmt.Sprint(groupName, "m5.large", cluster.HostActive, true, cluster.Resources{CPU: 4096, Memory: 7482}) + want})
		if !slices.Contains(f.instances, h.ID) || !slices.Contains(f.hosts, h.ARN) || h.Zone == "" || h.RegisteredAt.IsZero() || slices.Contains(h.TakenPorts, cluster.Port{Number: 9000, Protocol: "tcp"}) != (h.Running == 1) {
			t.Errorf("a host: %+v", h)
		}
	}
	for _, x := range s.Tasks {
		rows = append(rows, struct{ what, got, want string }{"a task", fmt.Sprint(x.Service, x.Revision, x.Last, x.Wanted, x.StartedBy), fmt.Sprint("api", f.definition, "RUNNING", "RUNNING", "ecs-svc/1")})
		if !slices.Contains(f.hosts, x.Host) {
			t.Errorf("a task: %+v", x)
		}
	}
	for _, row := range rows {
		if row.got != row.want {
			t.Errorf("%s: %s, want %s", row.what, row.got, row.want)
		}
	}
	for name, points := range s.Metrics {
		if len(points) < 4 || points[0].Value != 90 || !slices.IsSortedFunc(points, func(a, b cluster.Point) int { return a.At.Compare(b.At) }) {
			t.Errorf("metric %s: %v", name, points)
		}
	}
	if len(s.Metrics) != 1 {
		t.Errorf("metrics %v", s.Metrics)
	}
}

func TestALookAtWhatIsNotThere(t *testing.T) {
	w := fresh(t)
	if _, err := w.cloud().Observe(t.Context(), testPolicy().Scope()); err == nil {
		t.Error("a cluster that is not there was seen") // empty would be: every task may go
	}
	must[*ecs.CreateClusterOutput](t)(w.ecs().CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String(clusterName)}))
	s, err := w.cloud().Observe(t.Context(), testPolicy().Scope())
	if err != nil || len(s.Services)+len(s.Groups)+len(s.Hosts)+len(s.Tasks) > 0 {
		t.Errorf("an empty cluster: %+v, %v", s, err)
	}
	if points, has := s.Metrics["api/cpu"]; has && len(points) > 0 {
		t.Errorf("a metric without a point: %v", points)
	}
}

// apply makes one change and says how it ended.
func (f fleet) apply(c cluster.Change) cluster.Intent {
	f.Helper()
	return f.cloud().Apply(f.Context(), clusterName, cluster.Intent{ID: "i", Change: c, At: time.Now()}, func() error { return nil })
}

func (f fleet) stopTasks(host string) {
	f.Helper()
	out := must[*ecs.ListTasksOutput](f.T)(f.ecs().ListTasks(f.Context(), &ecs.ListTasksInput{Cluster: aws.String(clusterName), ContainerInstance: aws.String(host)}))
	for _, arn := range out.TaskArns {
		must[*ecs.StopTaskOutput](f.T)(f.ecs().StopTask(f.Context(), &ecs.StopTaskInput{Cluster: aws.String(clusterName), Task: aws.String(arn)}))
	}
}

// TestChangesOverRealHTTP takes a service and a host through all that may be
// done to them but LaunchInstances, which moto has not.
func TestChangesOverRealHTTP(t *testing.T) {
	f := fresh(t).populate(9000)
	api, host := cluster.ServiceSubject("api"), cluster.HostSubject(f.instances[0])
	drain := cluster.Change{Verb: cluster.DrainHost, Subject: host, From: 1, To: 0, Host: f.hosts[0]}
	activate := cluster.Change{Verb: cluster.ActivateHost, Subject: host, To: 1, Host: f.hosts[0]}
	terminate := cluster.Change{Verb: cluster.TerminateHost, Subject: host, From: 1, Group: groupName, Host: f.hosts[0]}
	ghost := cluster.Change{Verb: cluster.ActivateHost, Subject: host, To: 1, Host: f.hosts[0][:len(f.hosts[0])-1] + "x"}
	rows := []struct {
		name   string
		before func()
		change cluster.Change
		want   cluster.Outcome
	}{
		{"a count is set", nil, cluster.Change{Verb: cluster.SetDesiredCount, Subject: api, From: 2, To: 4}, cluster.OutcomeApplied},
		{"not from where it is not any more", nil, cluster.Change{Verb: cluster.SetDesiredCount, Subject: api, From: 2, To: 5}, cluster.OutcomeSkipped},
		{"not of a service that is not there", nil, cluster.Change{Verb: cluster.SetDesiredCount, Subject: cluster.ServiceSubject("none"), From: 2, To: 5}, cluster.OutcomeSkipped},
		{"a busy host is not drained", nil, drain, cluster.OutcomeSkipped},
		{"an empty one is", func() { f.stopTasks(f.hosts[0]) }, drain, cluster.OutcomeApplied},
		{"not twice", nil, drain, cluster.OutcomeSkipped},
		{"it may be taken back", nil, activate, cluster.OutcomeApplied},
		{"one that takes tasks is not ended", nil, terminate, cluster.OutcomeSkipped},
		{"it is drained again", nil, drain, cluster.OutcomeApplied},
		{"one that is drained and empty is ended", nil, terminate, cluster.OutcomeApplied},
		{"not twice", nil, terminate, cluster.OutcomeSkipped},
		{"a failure with HTTP 200 is a refusal", nil, ghost, cluster.OutcomeRefused},
	}
	for _, r := range rows {
		if r.before != nil {
			r.before()
		}
		if i := f.apply(r.change); i.Outcome != r.want {
			t.Errorf("%s: %q (%s), want %q", r.name, i.Outcome, i.Detail, r.want)
		}
	}
	if left := f.inGroup(); fmt.Sprint(left) != fmt.Sprint(f.instances[1:]) || f.desired() != 4 {
		t.Errorf("left are %v of %v, and %d tasks are wanted", left, f.instances, f.desired())
	}
}

// TestAnEventRaisesACount takes one event all the way: the bus, the ingress
// queue, ingest, the FIFO queue, reconcile, ECS, and the look after it.
func TestAnEventRaisesACount(t *testing.T) {
	f := fresh(t).populate(9000)
	f.busy(90) // of a target of 60: two tasks' work is three's
	m := f.remember(time.Minute)
	m.bus("PutRule", map[string]any{"Name": "tasks", "EventPattern": deployedRules(t)[1].pattern})
	m.bus("PutTargets", map[string]any{"Rule": "tasks", "Targets": []any{map[string]any{"Id": "ingress", "Arn": queueARN("ingress")}}})
	hearing{world: f.world}.put(ours(t, sample(t, "ecs-task-stopped-oom")))
	core, logs := observer.New(zap.WarnLevel)
	log := zap.New(core)
	if n, failed := m.deliver(m.Ingress, 10, m.ingest(log)); n != 1 || len(failed) != 0 {
		t.Fatalf("ingest heard %d messages, %d failed: %v", n, len(failed), logs.All())
	}
	if n, failed := m.deliver(m.fifo, 1, m.reconcile(log)); n != 1 || len(failed) != 0 || logs.Len() > 0 {
		t.Fatalf("reconcile had %d messages, %d failed: %v", n, len(failed), logs.All())
	}
	if got := f.desired(); got != 3 {
		t.Errorf("%d tasks are wanted, want 3", got)
	}
	entries := must[[]store.Entry](t)(m.History(t.Context(), key))
	open := slices.IndexFunc(entries, func(e store.Entry) bool { return e.Intent != nil })
	said := slices.IndexFunc(entries, func(e store.Entry) bool {
		return e.Decision != nil && e.Decision.Subject == cluster.ServiceSubject("api") && e.Decision.Reason == plan.AboveTarget && e.Decision.To == 3
	})
	if open < 0 || said < 0 || entries[open].Intent.Outcome != cluster.OutcomeApplied || entries[open].Intent.To != 3 {
		t.Errorf("recorded: %+v", entries)
	}
	if got := m.count(m.Ingress); got != [3]int{0, 1, 0} {
		t.Errorf("the ingress queue has %v visible, delayed and in flight, want the next look", got)
	}
	f.start(f.hosts[2]) // as ECS would
	if err := m.waker.Wake(t.Context(), key, store.Heard{}, wakeOf(key)); err != nil {
		t.Fatal(err)
	}
	if n, failed := m.deliver(m.fifo, 1, m.reconcile(log)); n != 1 || len(failed) != 0 || logs.Len() > 0 || f.desired() != 3 {
		t.Errorf("the next round: %d messages, %d failed, %d tasks wanted: %v", n, len(failed), f.desired(), logs.All())
	}
}
