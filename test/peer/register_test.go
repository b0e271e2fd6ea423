package peer

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	smithytime "github.com/aws/smithy-go/time"
	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
)

// place is the name of the target group and of the registry that tasks of the
// service api are registered in.
const place = "api"

// reachingPolicy is the test policy with endpoints.
func reachingPolicy() policy.Policy {
	p := testPolicy()
	api := p.Services["api"]
	api.Endpoints = []policy.Endpoint{{Container: "api", Port: 8080, TargetGroup: place}, {Container: "api", Port: 8080, Registry: place}}
	p.Services["api"] = api
	return p.Defaulted()
}

func (w world) elb() *elb.Client     { return elb.NewFromConfig(w.config()) }
func (w world) cloudMap() *sd.Client { return sd.NewFromConfig(w.config()) }

// endpoints are register's ports over this account.
func (w world) endpoints() endpointside.Ports {
	return endpointside.Ports{ECS: w.ecs(), ELBV2: w.elb(), CloudMap: w.cloudMap(), EC2: endpointside.Addresses{Config: w.config(), Clock: time.Now}}
}

// register is the function that registers endpoints, over this account.
func (m memory) register(log *zap.Logger) handler.Door {
	p := m.endpoints()
	ports := register.Ports{ECS: p.ECS, ELBV2: p.ELBV2, CloudMap: p.CloudMap, EC2: p.EC2, DynamoDB: m.dynamodb(), SQS: m.sqs()}
	return register.New(ports, rounds.Config{Table: tableName, Ingress: m.Ingress}, policy.Set{reachingPolicy()},
		rounds.Edges{Clock: time.Now, Run: rounds.Concurrent, Wait: smithytime.SleepWithContext, Log: log})
}

// places makes the target group and the registry, if they are not there yet, and
// returns the ARN of the one and the id of the other.
func (w world) places() (group, registry string) {
	w.Helper()
	ctx := w.Context()
	found, err := w.elb().DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{place}})
	var none *elbtypes.TargetGroupNotFoundException
	if err == nil {
		all := must[*sd.ListServicesOutput](w.T)(w.cloudMap().ListServices(ctx, &sd.ListServicesInput{}))
		return aws.ToString(found.TargetGroups[0].TargetGroupArn), aws.ToString(all.Services[0].Id)
	}
	if !errors.As(err, &none) {
		w.Fatal(err)
	}
	made := must[*elb.CreateTargetGroupOutput](w.T)(w.elb().CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: aws.String(place), Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: aws.String(w.vpc()), TargetType: elbtypes.TargetTypeEnumInstance,
	}))
	space := must[*sd.CreateHttpNamespaceOutput](w.T)(w.cloudMap().CreateHttpNamespace(ctx, &sd.CreateHttpNamespaceInput{Name: aws.String("local")}))
	operation := must[*sd.GetOperationOutput](w.T)(w.cloudMap().GetOperation(ctx, &sd.GetOperationInput{OperationId: space.OperationId})).Operation
	service := must[*sd.CreateServiceOutput](w.T)(w.cloudMap().CreateService(ctx, &sd.CreateServiceInput{Name: aws.String(place), NamespaceId: aws.String(operation.Targets["NAMESPACE"])}))
	return aws.ToString(made.TargetGroups[0].TargetGroupArn), aws.ToString(service.Service.Id)
}

// vpc is the id of the VPC that each account has.
func (w world) vpc() string {
	w.Helper()
	status, answer := w.send("/", "Action=DescribeVpcs&Version=2016-11-15", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope("ec2")})
	_, rest, found := strings.Cut(answer, "<vpcId>")
	if status != http.StatusOK || !found {
		w.Fatalf("DescribeVpcs: %d %s", status, answer)
	}
	id, _, _ := strings.Cut(rest, "<")
	return id
}

// registers has register take a round, and make the calls that it does not need
// there: moto's tasks have no port that could be registered.
func registers(s stage) {
	group, registry := s.places()
	ctx, p := s.Context(), s.acting.endpoints()
	s.say(s.acting.fifo, must[[]byte](s.T)(wakeOf(rounds.ReachKey(clusterName, "api"))(0)))
	s.poll(s.acting.fifo, s.acting.register(zap.NewNop()))
	targets := []elbtypes.TargetDescription{{Id: aws.String(s.instances[0]), Port: aws.Int32(32768)}}
	_, _ = p.ELBV2.RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: aws.String(group), Targets: targets}) // what is denied the client notes
	_, _ = p.ELBV2.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: aws.String(group), Targets: targets})
	made, _ := p.CloudMap.RegisterInstance(ctx, &sd.RegisterInstanceInput{
		ServiceId: aws.String(registry), InstanceId: aws.String("i"), Attributes: map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.1", "AWS_INSTANCE_PORT": "32768"},
	})
	operation := "none"
	if made != nil {
		operation = aws.ToString(made.OperationId)
	}
	_, _ = endpointside.New(p, clusterside.Edges{Run: rounds.Concurrent, Clock: time.Now, Wait: smithytime.SleepWithContext}).Managed(ctx, clusterName) // before a change only
	_, _ = p.CloudMap.GetOperation(ctx, &sd.GetOperationInput{OperationId: aws.String(operation)})
	_, _ = p.CloudMap.DeregisterInstance(ctx, &sd.DeregisterInstanceInput{ServiceId: aws.String(registry), InstanceId: aws.String("i")})
	_, _ = s.acting.sqs().SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(s.acting.Ingress), MessageBody: aws.String("look again")}) // as a round that waits for something
	_, _ = p.EC2.DescribeInstances(ctx, s.instances[:1])
	_, _ = s.acting.dynamodb().BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]ddbtypes.KeysAndAttributes{
		tableName: {Keys: []map[string]ddbtypes.AttributeValue{{"pk": &ddbtypes.AttributeValueMemberS{Value: "port"}, "sk": &ddbtypes.AttributeValueMemberS{Value: "owner"}}}},
	}})
}

// TestRegisterSeesItsPlaces: what is registered by others' calls over the wire is
// seen by ours, and taken off.
func TestRegisterSeesItsPlaces(t *testing.T) {
	f := fresh(t).populate(0)
	group, registry := f.places()
	ctx := t.Context()
	port := cluster.HostPort{Instance: f.instances[0], Port: 32768, Protocol: policy.TCP}
	must[*elb.RegisterTargetsOutput](t)(f.elb().RegisterTargets(ctx, &elb.RegisterTargetsInput{
		TargetGroupArn: aws.String(group), Targets: []elbtypes.TargetDescription{{Id: aws.String(port.Instance), Port: aws.Int32(int32(port.Port))}},
	}))
	must[*sd.RegisterInstanceOutput](t)(f.cloudMap().RegisterInstance(ctx, &sd.RegisterInstanceInput{
		ServiceId: aws.String(registry), InstanceId: aws.String("i"), Attributes: map[string]string{"AWS_INSTANCE_IPV4": "10.0.0.1", "AWS_INSTANCE_PORT": "32768"},
	}))
	front := endpointside.New(f.endpoints(), clusterside.Edges{Run: rounds.Concurrent, Clock: time.Now, Wait: smithytime.SleepWithContext})
	p := reachingPolicy()
	scope, _ := p.EndpointScope("api")
	e := must[cluster.Endpoints](t)(front.Observe(ctx, scope))
	if len(e.Groups) != 1 || len(e.Groups[0].Targets) != 1 || e.Groups[0].Targets[0].Instance != port.Instance || e.Groups[0].Targets[0].Port != port.Port {
		t.Errorf("the target groups are %+v", e.Groups)
	}
	if len(e.Registries) != 1 || len(e.Registries[0].Instances) != 1 {
		t.Errorf("the registries are %+v", e.Registries)
	}
	i := front.Apply(ctx, clusterName, cluster.Intent{ID: "i", Change: cluster.Change{
		Verb: cluster.DeregisterTargets, Subject: cluster.TargetsSubject(place), Reaches: &cluster.Reach{Group: group, Ports: []cluster.HostPort{port}},
	}}, func() error { return nil })
	if e = must[cluster.Endpoints](t)(front.Observe(ctx, scope)); i.Outcome != cluster.OutcomeApplied || len(e.Groups[0].Targets) != 0 {
		t.Errorf("%s, and then the target groups are %+v", i.Outcome, e.Groups)
	}
	addresses := must[map[string]string](t)(f.endpoints().EC2.DescribeInstances(ctx, append([]string{"i-00000000000000000"}, f.instances...)))
	if len(addresses) != len(f.instances) {
		t.Errorf("the addresses of %v are %v", f.instances, addresses)
	}
}
