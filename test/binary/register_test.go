package binary

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

const (
	registerQueue = "register.fifo"
	shop          = "shop" // the service with endpoints, its target group and its registry
	shopKey       = "register#prod/shop"
)

// addresses stands in for EC2, which simcloud has not: the hosts' addresses, made
// up of nothing.
type addresses struct{}

// answer is what EC2 says to a question for the instances of a filter.
func (addresses) answer(input any) []byte {
	var all strings.Builder
	form, _ := input.(map[string]any)
	for n := 1; form[fmt.Sprint("Filter.1.Value.", n)] != nil; n++ {
		fmt.Fprintf(&all, "<item><instancesSet><item><instanceId>%s</instanceId><privateIpAddress>10.0.0.%d</privateIpAddress></item></instancesSet></item>", form[fmt.Sprint("Filter.1.Value.", n)], n)
	}
	return []byte("<DescribeInstancesResponse><reservationSet>" + all.String() + "</reservationSet></DescribeInstancesResponse>")
}

// reach is the policy of a world with endpoints.
func reach(t testing.TB) string {
	t.Helper()
	raw, err := policy.Encode(policy.Set{{
		Version: 1, Cluster: prod, Hosts: []policy.HostGroup{{Group: "hosts", Min: 1, Max: 6}},
		Services: map[string]policy.Service{shop: {Endpoints: []policy.Endpoint{
			{Container: shop, Port: 8080, TargetGroup: shop}, {Container: shop, Port: 8080, Registry: shop},
		}}},
	}})
	check(t, err)
	return string(raw)
}

// open adds to the world a service of two tasks on dynamic ports, with a target
// group and a registry in which nothing is registered, and the queue.
func (a *fakeAWS) open(t *testing.T) {
	t.Helper()
	ctx, c := t.Context(), a.cloud
	group, err := c.ELBV2().CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{Name: aws.String(shop), Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: aws.String(c.World().VPC())})
	check(t, err)
	a.urls[shop] = *group.TargetGroups[0].TargetGroupArn
	space, err := c.CloudMap().CreateHttpNamespace(ctx, &sd.CreateHttpNamespaceInput{Name: aws.String("local")})
	check(t, err)
	_, err = c.ECS().RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(shop), NetworkMode: ecstypes.NetworkModeBridge,
		ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String(shop), Image: aws.String("shop:1"), Cpu: 64, Memory: aws.Int32(64), Essential: aws.Bool(true),
			PortMappings: []ecstypes.PortMapping{{ContainerPort: aws.Int32(8080)}},
		}},
	})
	check(t, err)
	_, err = c.ECS().CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String(prod), ServiceName: aws.String(shop), TaskDefinition: aws.String(shop), DesiredCount: aws.Int32(2), LaunchType: ecstypes.LaunchTypeEc2,
		AvailabilityZoneRebalancing: ecstypes.AvailabilityZoneRebalancingDisabled,
	})
	check(t, err)
	queue, err := c.SQS().CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(registerQueue), Attributes: map[string]string{"FifoQueue": "true"}})
	check(t, err)
	a.urls[registerQueue] = *queue.QueueUrl
	a.pass(t, 2*time.Minute)
	made, err := c.CloudMap().GetOperation(ctx, &sd.GetOperationInput{OperationId: space.OperationId})
	check(t, err)
	_, err = c.CloudMap().CreateService(ctx, &sd.CreateServiceInput{Name: aws.String(shop), NamespaceId: aws.String(made.Operation.Targets["NAMESPACE"]), Type: sdtypes.ServiceTypeOptionHttp})
	check(t, err)
}

// wakeShop is a wake of the service's endpoints.
func wakeShop(gen int) string { return fmt.Sprintf(`{"key":%q,"gen":%d}`, shopKey, gen) }

func TestRegisterRegistersATasksPortsOnce(t *testing.T) {
	a := newAWS(t, time.Now())
	a.open(t)
	f := start(t, built.binary(t, registerMain), reach(t), a.env())
	for gen, want := range []int{2 + 1, 0} { // two instances of Cloud Map, and both targets in one call
		got, err := f.invoke(records(wakeShop(gen)), enough)
		if err != nil || string(got.body) != `{"batchItemFailures":[]}` || got.failed {
			t.Fatalf("round %d: %s, %v\n%s", gen, got.body, err, f.said)
		}
		made := slices.DeleteFunc(a.made(), func(c string) bool {
			return c != "elasticloadbalancing:RegisterTargets" && c != "servicediscovery:RegisterInstance" && !strings.Contains(c, ":Deregister")
		})
		if len(made) != want {
			t.Errorf("round %d makes the changes %v\n%s", gen, made, f.said)
		}
		a.pass(t, time.Minute)
	}
	health, err := a.cloud.ELBV2().DescribeTargetHealth(t.Context(), &elb.DescribeTargetHealthInput{TargetGroupArn: aws.String(a.urls[shop])})
	check(t, err)
	if len(health.TargetHealthDescriptions) != 2 {
		t.Errorf("the group's targets are %+v", health.TargetHealthDescriptions)
	}
	registries, err := a.cloud.CloudMap().ListServices(t.Context(), &sd.ListServicesInput{})
	check(t, err)
	instances, err := a.cloud.CloudMap().ListInstances(t.Context(), &sd.ListInstancesInput{ServiceId: registries.Services[0].Id})
	check(t, err)
	for _, i := range instances.Instances {
		if !strings.HasPrefix(i.Attributes["AWS_INSTANCE_IPV4"], "10.0.0.") || i.Attributes["AWS_INSTANCE_PORT"] == "" {
			t.Errorf("an instance has %v", i.Attributes)
		}
	}
	f.kill() // so that all it wrote is there
	if said := f.said.String(); len(instances.Instances) != 2 || !strings.Contains(said, `"Function":"register"`) || strings.Contains(said, canary) {
		t.Errorf("%d instances; it says %s", len(instances.Instances), said)
	}
}

func TestAnEventOfATaskWakesItsEndpoints(t *testing.T) {
	a := newAWS(t, time.Now())
	a.open(t)
	f := start(t, built.binary(t, ingestMain), reach(t), a.env())
	if got, err := f.invoke(records(sweep), enough); err != nil || string(got.body) != `{"batchItemFailures":[]}` {
		t.Fatalf("%s, %v\n%s", got.body, err, f.said)
	}
	if m := a.messages(registerQueue); len(m) != 1 || m[0] != wakeShop(0) {
		t.Errorf("the register queue holds %q", m)
	}
	without := slices.DeleteFunc(a.env(), func(e string) bool { return strings.HasPrefix(e, "PLIMSOLL_REGISTER_QUEUE") })
	lost := start(t, built.binary(t, ingestMain), reach(t), without)
	if code := lost.exit(); code != 1 || !strings.Contains(lost.said.String(), "no register queue") {
		t.Errorf("without its queue ingest exits with %d: %s", code, lost.said)
	}
}

func TestAPoisonedMessageOfRegisterFailsAlone(t *testing.T) {
	a := newAWS(t, time.Now())
	a.open(t)
	f := start(t, built.binary(t, registerMain), reach(t), a.env())
	got, err := f.invoke(records(wakeShop(0), `{"key":`+strings.Repeat("[", 10000), `{"key":"register#prod/nobody","gen":0}`, ""), enough)
	if err != nil || got.failed || !strings.Contains(string(got.body), `{"itemIdentifier":"m2"}`) || strings.Contains(string(got.body), "m1") {
		t.Errorf("%s, %v", got.body, err)
	}
	if again, err := f.invoke(records(wakeShop(0)), enough); err != nil || string(again.body) != `{"batchItemFailures":[]}` {
		t.Errorf("it does not go on: %s, %v\n%s", again.body, err, f.said)
	}
}
