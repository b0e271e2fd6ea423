package peer

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// quirksOf is the version of moto that the quirks are of. With another one, read
// them again.
const quirksOf = "5.2.1"

// quirk is where moto is known not to be AWS, so that nobody leans on it there.
// If it is gone, moto has become better: the row goes, and whatever works around
// it with it. Besides these, moto's state has no locks (client), which no single
// request can show, and the contract's rows name what moto answers instead.
type quirk struct {
	says  string
	still func(fleet) bool
}

func quirks() []quirk {
	return slices.Concat(ecsQuirks(), groupQuirks(), signalQuirks(), accessQuirks())
}

func TestMotoStillHasItsQuirks(t *testing.T) {
	pinned, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^moto(\[server\])?==` + regexp.QuoteMeta(quirksOf) + `( |$)`).Match(pinned) {
		t.Errorf("the quirks are those of moto %s, which is not what is pinned: read them again", quirksOf)
	}
	f := fresh(t).populate(0)
	f.busy(95)
	for _, says := range f.better(quirks()) {
		t.Errorf("moto has become better; this is no quirk any more: %s", says)
	}
	if got := f.better([]quirk{{"it counts wrongly", func(f fleet) bool { return len(f.inGroup()) == 5 }}}); len(got) != 1 {
		t.Error("a quirk that is gone is not noticed")
	}
}

// better are the quirks that are gone.
func (f fleet) better(all []quirk) []string {
	var gone []string
	for _, q := range all {
		if !q.still(f) {
			gone = append(gone, q.says)
		}
	}
	return gone
}

// running is one task of the service, read as moto sends it.
func (f fleet) running() ecstypes.Task {
	f.Helper()
	list := must[*ecs.ListTasksOutput](f.T)(f.ecs().ListTasks(f.Context(), &ecs.ListTasksInput{Cluster: aws.String(clusterName)}))
	return must[*ecs.DescribeTasksOutput](f.T)(f.ecs().DescribeTasks(f.Context(), &ecs.DescribeTasksInput{Cluster: aws.String(clusterName), Tasks: list.TaskArns[:1]})).Tasks[0]
}

func (f fleet) service(name string) ecstypes.Service {
	f.Helper()
	return must[*ecs.DescribeServicesOutput](f.T)(f.ecs().DescribeServices(f.Context(), &ecs.DescribeServicesInput{Cluster: aws.String(clusterName), Services: []string{name}})).Services[0]
}

// ask calls a JSON service with no client of the SDK between.
func (f fleet) ask(service, target string, in map[string]any) (int, string) {
	f.Helper()
	body := string(must[[]byte](f.T)(json.Marshal(in)))
	return f.send("/", body, map[string]string{"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", "Authorization": scope(service)})
}

// query calls a service of the query protocol with no client of the SDK between.
func (f fleet) query(service, version, action string, in ...string) (int, string) {
	f.Helper()
	form := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(in); i += 2 {
		form.Set(in[i], in[i+1])
	}
	return f.send("/", form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope(service)})
}

func ecsQuirks() []quirk {
	return []quirk{
		{"no task has network bindings", func(f fleet) bool { return len(f.running().Containers[0].NetworkBindings) == 0 }},
		{"no task says when it was made", func(f fleet) bool { return f.running().CreatedAt == nil }},
		{"a dynamic port is booked as port 0", func(f fleet) bool {
			out := must[*ecs.DescribeContainerInstancesOutput](f.T)(f.ecs().DescribeContainerInstances(f.Context(), &ecs.DescribeContainerInstancesInput{Cluster: aws.String(clusterName), ContainerInstances: f.hosts[:1]}))
			return slices.ContainsFunc(out.ContainerInstances[0].RemainingResources, func(r ecstypes.Resource) bool { return slices.Contains(r.StringSetValue, "0") })
		}},
		{"so that one task with such a port fits a host", func(f fleet) bool { // there is one host left without
			out := must[*ecs.RunTaskOutput](f.T)(f.ecs().RunTask(f.Context(), &ecs.RunTaskInput{Cluster: aws.String(clusterName), TaskDefinition: aws.String("api"), Count: aws.Int32(4)}))
			return len(out.Tasks) == 1
		}},
		{"cpu and memory of containers are numbers, which the SDK cannot read", func(f fleet) bool {
			moto.client.raw = ""
			f.running() // mended on its way
			return regexp.MustCompile(`"(cpu|memory)": ?[0-9]`).MatchString(moto.client.raw)
		}},
		{"a service starts no tasks", func(f fleet) bool {
			must[*ecs.CreateServiceOutput](f.T)(f.ecs().CreateService(f.Context(), &ecs.CreateServiceInput{Cluster: aws.String(clusterName), ServiceName: aws.String("idle"), TaskDefinition: aws.String("api"), DesiredCount: aws.Int32(2)}))
			out := must[*ecs.ListTasksOutput](f.T)(f.ecs().ListTasks(f.Context(), &ecs.ListTasksInput{Cluster: aws.String(clusterName)}))
			return len(out.TaskArns) == 3
		}},
		{"a new count runs at once", func(f fleet) bool {
			must[*ecs.UpdateServiceOutput](f.T)(f.ecs().UpdateService(f.Context(), &ecs.UpdateServiceInput{Cluster: aws.String(clusterName), Service: aws.String("idle"), DesiredCount: aws.Int32(7)}))
			return f.service("idle").RunningCount == 7
		}},
		{"and the deployment does not know of it", func(f fleet) bool { return f.service("idle").Deployments[0].DesiredCount == 2 }},
		{"lists have one page, whatever was asked for", func(f fleet) bool {
			out := must[*ecs.ListContainerInstancesOutput](f.T)(f.ecs().ListContainerInstances(f.Context(), &ecs.ListContainerInstancesInput{Cluster: aws.String(clusterName), MaxResults: aws.Int32(1)}))
			return len(out.ContainerInstanceArns) == 3 && out.NextToken == nil
		}},
		{"no task can be protected", func(f fleet) bool {
			status, _ := f.ask("ecs", "AmazonEC2ContainerServiceV20141113.UpdateTaskProtection", map[string]any{"cluster": clusterName, "tasks": []string{"x"}})
			return status == 500
		}},
		{"each look moves a task on, where nobody has told moto not to", func(f fleet) bool {
			f.post("/moto-api/state-manager/unset-transition", `{"model_name":"ecs::task"}`)
			defer f.post("/moto-api/state-manager/set-transition", `{"model_name":"ecs::task","transition":{"progression":"manual","times":1000000}}`)
			for range 10 {
				if f.running(); aws.ToString(f.running().LastStatus) == "STOPPED" {
					return true
				}
			}
			return false
		}},
	}
}

func groupQuirks() []quirk {
	missing := func(action string) func(f fleet) bool {
		return func(f fleet) bool {
			status, answer := f.query("autoscaling", "2011-01-01", action, "AutoScalingGroupName", groupName)
			return status == 500 && strings.Contains(strings.ToLower(answer), "html")
		}
	}
	return []quirk{
		{"LaunchInstances is missing, and the answer is a page of HTML", missing("LaunchInstances")},
		{"so is CompleteLifecycleAction", missing("CompleteLifecycleAction")},
		{"so is RecordLifecycleActionHeartbeat", missing("RecordLifecycleActionHeartbeat")},
		{"a launch of ours is an unknown outcome, not a refusal", func(f fleet) bool {
			return f.apply(cluster.Change{Verb: cluster.LaunchHosts, Subject: cluster.GroupSubject(groupName), From: 3, To: 4, Zone: region + "a"}).Outcome == cluster.OutcomeUnknown
		}},
		{"a lifecycle hook does not keep an instance waiting", func(f fleet) bool {
			must[*autoscaling.PutLifecycleHookOutput](f.T)(f.autoscaling().PutLifecycleHook(f.Context(), &autoscaling.PutLifecycleHookInput{
				AutoScalingGroupName: aws.String(groupName), LifecycleHookName: aws.String("wait"), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), DefaultResult: aws.String("ABANDON"),
			}))
			must[*autoscaling.SetDesiredCapacityOutput](f.T)(f.autoscaling().SetDesiredCapacity(f.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(groupName), DesiredCapacity: aws.Int32(4)}))
			out := must[*autoscaling.DescribeAutoScalingGroupsOutput](f.T)(f.autoscaling().DescribeAutoScalingGroups(f.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{groupName}}))
			in := 0
			for _, i := range out.AutoScalingGroups[0].Instances {
				if i.LifecycleState == "InService" {
					in++
				}
			}
			return in == 4
		}},
		{"of a host's two ports in a target group one is left", func(f fleet) bool {
			_, vpcs := f.query("ec2", "2016-11-15", "DescribeVpcs")
			vpc := regexp.MustCompile(`vpc-[0-9a-f]{8,}`).FindString(vpcs)
			_, made := f.query("elasticloadbalancing", "2015-12-01", "CreateTargetGroup", "Name", "api", "Protocol", "HTTP", "Port", "80", "VpcId", vpc, "TargetType", "instance")
			arn := regexp.MustCompile(`<TargetGroupArn>(.*)</TargetGroupArn>`).FindStringSubmatch(made)
			if arn == nil {
				f.Fatalf("CreateTargetGroup: %s", made)
			}
			for _, port := range []string{"32768", "32769"} {
				f.query("elasticloadbalancing", "2015-12-01", "RegisterTargets", "TargetGroupArn", arn[1], "Targets.member.1.Id", f.instances[0], "Targets.member.1.Port", port)
			}
			_, health := f.query("elasticloadbalancing", "2015-12-01", "DescribeTargetHealth", "TargetGroupArn", arn[1])
			return strings.Count(health, "<Port>3276") == 1
		}},
	}
}

func signalQuirks() []quirk {
	return []quirk{
		{"CloudWatch does not speak the SDK's own protocol", func(f fleet) bool {
			_, err := cloudwatch.NewFromConfig(f.config()).GetMetricData(f.Context(), &cloudwatch.GetMetricDataInput{StartTime: aws.Time(noon()), EndTime: aws.Time(noon().Add(time.Minute)), MetricDataQueries: []cwtypes.MetricDataQuery{}})
			return err != nil
		}},
		{"a metric's points are at the seconds of the question, not at whole minutes", func(f fleet) bool {
			w := f.world
			now := time.Now().Truncate(time.Minute).Add(-time.Minute + 17*time.Second)
			out := must[*cloudwatch.GetMetricDataOutput](w.T)(w.cloudwatch().GetMetricData(w.Context(), &cloudwatch.GetMetricDataInput{
				StartTime: aws.Time(now.Add(-10 * time.Minute)), EndTime: aws.Time(now), MetricDataQueries: []cwtypes.MetricDataQuery{{Id: aws.String("m"), MetricStat: &cwtypes.MetricStat{
					Metric: &cwtypes.Metric{Namespace: aws.String("AWS/ECS"), MetricName: aws.String("CPUUtilization"), Dimensions: []cwtypes.Dimension{{Name: aws.String("ClusterName"), Value: aws.String(clusterName)}, {Name: aws.String("ServiceName"), Value: aws.String("api")}}},
					Period: aws.Int32(60), Stat: aws.String("Average"),
				}}},
			}))
			return len(out.MetricDataResults[0].Timestamps) > 0 && out.MetricDataResults[0].Timestamps[0].Second() == 17
		}},
		{"no alarm is ever evaluated", func(f fleet) bool {
			must[*cloudwatch.PutMetricAlarmOutput](f.T)(f.cloudwatch().PutMetricAlarm(f.Context(), &cloudwatch.PutMetricAlarmInput{
				AlarmName: aws.String("high"), Namespace: aws.String("AWS/ECS"), MetricName: aws.String("CPUUtilization"), Statistic: cwtypes.StatisticAverage, Period: aws.Int32(60),
				Dimensions:        []cwtypes.Dimension{{Name: aws.String("ClusterName"), Value: aws.String(clusterName)}, {Name: aws.String("ServiceName"), Value: aws.String("api")}},
				EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(60), ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
			}))
			f.busy(95)
			out := must[*cloudwatch.DescribeAlarmsOutput](f.T)(f.cloudwatch().DescribeAlarms(f.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"high"}}))
			return out.MetricAlarms[0].StateValue != cwtypes.StateValueAlarm
		}},
		{"an event has no account in its envelope", func(f fleet) bool {
			h := f.hear([]rule{{name: "any", pattern: `{"source":["aws.ecs"]}`}})
			h.put(ours(f.T, sample(f.T, "ecs-task-pending")))
			got := f.take(h.queue["any"])
			return len(got) == 1 && !strings.Contains(aws.ToString(got[0].Body), `"account"`)
		}},
		{"a rule with a schedule gets every event", func(f fleet) bool {
			url := f.queue("sweep", nil)
			f.bus("PutRule", map[string]any{"Name": "sweep", "ScheduleExpression": "rate(1 minute)"})
			f.bus("PutTargets", map[string]any{"Rule": "sweep", "Targets": []any{map[string]any{"Id": "q", "Arn": queueARN("sweep")}}})
			hearing{world: f.world}.put(ours(f.T, sample(f.T, "ecs-task-pending")))
			return len(f.take(url)) == 1
		}},
	}
}

func accessQuirks() []quirk {
	// may asks whether the policy allows to send a message to a queue, or what else do does.
	may := func(f fleet, name, statement string, do func(world) error) bool {
		f.Helper()
		f.iam("CreateUser", url.Values{"UserName": {name}})
		f.iam("PutUserPolicy", url.Values{"UserName": {name}, "PolicyName": {"may"}, "PolicyDocument": {`{"Version":"2012-10-17","Statement":[` + statement + `]}`}})
		w := f.as(f.key(name))
		f.post("/moto-api/reset-auth", "0")
		defer f.post("/moto-api/reset-auth", "inf")
		moto.client.denials()
		err := do(w)
		if err != nil && len(moto.client.denials()) == 0 {
			f.Errorf("%s: %v", name, err)
		}
		return err == nil
	}
	create := func(w world) error {
		_, err := w.sqs().CreateQueue(w.Context(), &sqs.CreateQueueInput{QueueName: aws.String("asked")})
		return err
	}
	return []quirk{
		{"a right to one resource is none", func(f fleet) bool {
			return !may(f, "one", `{"Effect":"Allow","Action":"sqs:CreateQueue","Resource":"`+queueARN("asked")+`"}`, create)
		}},
		{"conditions are not looked at", func(f fleet) bool {
			return may(f, "never", `{"Effect":"Allow","Action":"sqs:CreateQueue","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"nowhere"}}}`, create)
		}},
		{"CloudWatch's actions go by the name monitoring", func(f fleet) bool {
			list := func(w world) error {
				_, err := w.cloudwatch().ListMetrics(w.Context(), &cloudwatch.ListMetricsInput{})
				return err
			}
			return !may(f, "cloudwatch", `{"Effect":"Allow","Action":"cloudwatch:*","Resource":"*"}`, list) && may(f, "monitoring", `{"Effect":"Allow","Action":"monitoring:*","Resource":"*"}`, list)
		}},
		{"a transaction is an action of its own", func(f fleet) bool {
			f.table()
			write := func(w world) error {
				_, err := w.dynamodb().TransactWriteItems(w.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddbtypes.TransactWriteItem{put("a")}})
				return err
			}
			return !may(f, "parts", `{"Effect":"Allow","Action":["`+strings.Join(transaction(), `","`)+`"],"Resource":"*"}`, write)
		}},
		{"a refusal of the JSON protocol is no JSON", func(f fleet) bool {
			moto.client.refusal = ""
			may(f, "nobody-yet", `{"Effect":"Allow","Action":"none:None","Resource":"*"}`, create)
			return strings.HasPrefix(moto.client.refusal, "<")
		}},
		{"a refusal of the query protocol stands in the wrong place", func(f fleet) bool {
			may(f, "nobody", `{"Effect":"Allow","Action":"none:None","Resource":"*"}`, func(w world) error {
				_, err := w.autoscaling().DescribeAutoScalingGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
				return err
			})
			return strings.Contains(moto.client.refusal, "<Errors><Error><Code>AccessDenied")
		}},
	}
}
