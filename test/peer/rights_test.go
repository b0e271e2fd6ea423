package peer

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// statement is one of an IAM policy, with its actions as a list.
type statement struct {
	Effect   string
	Action   []string
	Resource string
}

// rights are the actions that a policy document allows. Its resources and
// conditions are for a test of our own to check: moto asks for every resource.
func rights(t *testing.T, document string) []string {
	t.Helper()
	var d struct {
		Statement []struct {
			Effect string
			Action any // a string or a list
		}
	}
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	var all []string
	for _, s := range d.Statement {
		if s.Effect != "Allow" {
			continue
		}
		switch a := s.Action.(type) {
		case string:
			all = append(all, a)
		case []any:
			for _, one := range a {
				all = append(all, fmt.Sprint(one))
			}
		default:
			t.Fatalf("an action that is none: %v", a)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// document is a policy that allows the actions.
func document(t *testing.T, actions []string) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal(map[string]any{
		"Version": "2012-10-17", "Statement": []statement{{Effect: "Allow", Action: actions, Resource: "*"}},
	})))
}

// transaction are the actions that DynamoDB asks for in a transaction, by what is
// in it (developer guide, IAM and transactions).
func transaction() []string {
	return []string{"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
}

// asMotoNames are the actions as moto names them: CloudWatch's by the name in the
// signature, and a transaction as a call of its own; see the quirks.
func asMotoNames(actions []string) []string {
	all := []string{"none:None"} // a statement without an action is no policy
	for _, a := range actions {
		if name, ok := strings.CutPrefix(a, "cloudwatch:"); ok {
			a = "monitoring:" + name
		}
		all = append(all, a)
	}
	if !slices.ContainsFunc(transaction(), func(part string) bool { return !slices.Contains(actions, part) }) {
		all = append(all, "dynamodb:TransactWriteItems")
	}
	return all
}

// user makes one who may do what the actions say, and returns its credentials.
func (w world) user(name string, actions []string) aws.CredentialsProvider {
	w.Helper()
	w.iam("CreateUser", url.Values{"UserName": {name}})
	w.iam("PutUserPolicy", url.Values{"UserName": {name}, "PolicyName": {"may"}, "PolicyDocument": {document(w.T, asMotoNames(actions))}})
	return w.key(name)
}

// key makes a key of a user's.
func (w world) key(name string) aws.CredentialsProvider {
	w.Helper()
	answer := w.iam("CreateAccessKey", url.Values{"UserName": {name}})
	var made struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := xml.Unmarshal([]byte(answer), &made); err != nil || made.ID == "" {
		w.Fatalf("CreateAccessKey: %s, %v", answer, err)
	}
	return credentials.NewStaticCredentialsProvider(made.ID, made.Secret, "")
}

// iam calls IAM, for whose client the repository has no other use.
func (w world) iam(action string, in url.Values) string {
	w.Helper()
	in.Set("Action", action)
	in.Set("Version", "2010-05-08")
	status, answer := w.send("/", in.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope("iam")})
	if status != http.StatusOK {
		w.Fatalf("%s: %d %s", action, status, answer)
	}
	return answer
}

// function is one of plimsoll's, and what it does with its rights.
type function struct {
	actions []string               // from its ports' methods, and what Lambda does on its behalf
	all     func(stage)            // makes it use all of them
	alone   map[string]func(stage) // but these, which leave the stage another one
}

// stage is what a function is exercised on: by the operator's rights, and acting
// by its own.
type stage struct {
	fleet
	acting memory
}

// platform are the actions by which Lambda hands a queue's messages to a
// function, in the name of the function's role.
func platform() []string { return []string{"sqs:DeleteMessage", "sqs:ReceiveMessage"} }

// functions are plimsoll's, by name.
func functions() map[string]function {
	terminate := "autoscaling:TerminateInstanceInAutoScalingGroup"
	return map[string]function{
		"ingest": {
			actions: append(platform(), "dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage"),
			all:     hears,
		},
		"reconcile": {
			actions: slices.Concat(platform(), transaction(), []string{"dynamodb:Query", "sqs:SendMessage"}, of[clusterside.ECS]("ecs"), of[clusterside.CloudWatch]("cloudwatch"), of[clusterside.AutoScaling]("autoscaling")),
			all:     steers,
			alone:   map[string]func(stage){terminate: ends, "autoscaling:LaunchInstances": launches, "autoscaling:SetDesiredCapacity": launches},
		},
		"register": {
			actions: slices.Concat(platform(), transaction(), []string{"dynamodb:BatchGetItem", "dynamodb:Query", "sqs:SendMessage", "ec2:DescribeInstances"},
				of[endpointside.ECS]("ecs"), of[endpointside.ELBV2]("elasticloadbalancing"), of[endpointside.CloudMap]("servicediscovery")),
			all: registers,
		},
	}
}

// of are the actions of a port's methods: its calls, by name.
func of[P any](service string) []string {
	port := reflect.TypeFor[P]()
	var all []string
	for i := range port.NumMethod() {
		all = append(all, service+":"+port.Method(i).Name)
	}
	return all
}

// poll is what Lambda does: a batch of a queue for the function, what it did not
// fail deleted. What it may not do it leaves.
func (s stage) poll(url string, door handler.Door) {
	out, err := s.acting.sqs().ReceiveMessage(s.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(url), MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	if err != nil {
		return
	}
	for _, m := range out.Messages {
		payload := must[[]byte](s.T)(json.Marshal(map[string]any{"Records": []any{
			map[string]any{"messageId": m.MessageId, "body": whole(aws.ToString(m.Body)), "attributes": m.Attributes},
		}}))
		must[[]byte](s.T)(door.Invoke(s.Context(), payload))
		_, _ = s.acting.sqs().DeleteMessage(s.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle})
	}
}

// say sends a message by the operator's rights; to a FIFO queue in a group of its own.
func (s stage) say(url string, body []byte) {
	in := &sqs.SendMessageInput{QueueUrl: aws.String(url), MessageBody: aws.String(string(body))}
	if strings.HasSuffix(url, ".fifo") {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String(fmt.Sprint(time.Now().UnixNano())), aws.String(fmt.Sprint(time.Now().UnixNano()))
	}
	must[*sqs.SendMessageOutput](s.T)(s.sqs().SendMessage(s.Context(), in))
}

// forget makes the next wake the key's first.
func (s stage) forget() {
	must[*dynamodb.DeleteItemOutput](s.T)(s.dynamodb().DeleteItem(s.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(tableName), Key: map[string]ddbtypes.AttributeValue{
		"pk": &ddbtypes.AttributeValueMemberS{Value: "wake#" + key}, "sk": &ddbtypes.AttributeValueMemberS{Value: "wake"},
	}}))
}

// change makes one change by the function's rights, whatever comes of it.
func (s stage) change(c cluster.Change) cluster.Intent {
	return s.acting.cloud().Apply(s.Context(), clusterName, cluster.Intent{ID: "i", Change: c, At: time.Now()}, func() error { return nil })
}

// hears has ingest hear an event, and a look that was asked for.
func hears(s stage) {
	s.say(s.acting.Ingress, []byte(strings.Replace(ours(s.T, sample(s.T, "ecs-task-pending")), "{", `{"peer":1,`, 1)))
	s.say(s.acting.Ingress, must[[]byte](s.T)(events.LookAgain(key, noon())))
	s.poll(s.acting.Ingress, s.acting.ingest(zap.NewNop()))
}

// steers has reconcile take a round, and make the changes that it may not need.
func steers(s stage) {
	s.say(s.acting.fifo, must[[]byte](s.T)(wakeOf(key)(0)))
	s.poll(s.acting.fifo, s.acting.reconcile(zap.NewNop()))
	s.change(cluster.Change{Verb: cluster.SetDesiredCount, Subject: cluster.ServiceSubject("api"), From: int(s.desired()), To: 2})
	s.change(cluster.Change{Verb: cluster.ActivateHost, Subject: cluster.HostSubject(s.instances[2]), To: 1, Host: s.hosts[2]})
}

// launches asks for a host: where LaunchInstances is not allowed, by the capacity.
func launches(s stage) {
	has := len(s.inGroup())
	s.change(cluster.Change{Verb: cluster.LaunchHosts, Subject: cluster.GroupSubject(groupName), From: has, To: has + 1, Zone: region + "a"})
}

func ends(s stage) {
	c := cluster.Change{Verb: cluster.DrainHost, Subject: cluster.HostSubject(s.instances[2]), From: 1, Group: groupName, Host: s.hosts[2]}
	s.change(c)
	c.Verb = cluster.TerminateHost
	s.change(c)
}

// play is a stage on which functions act by rights of their own.
func play(t *testing.T) stage {
	t.Helper()
	w := fresh(t)
	operator := w.as(w.user("operator", []string{"*"}))
	f := operator.populate(0)
	f.busy(90)
	f.places()
	s := stage{fleet: f, acting: operator.remember(time.Minute)}
	t.Cleanup(func() {
		if err := moto.post("/moto-api/reset-auth", "inf"); err != nil {
			t.Error(err)
		}
	})
	return s
}

// denied has a function do what it does by some rights only, and returns the
// calls that were not allowed, each once.
func (s stage) denied(name string, actions []string, does ...func(stage)) []string {
	s.Helper()
	s.forget()
	s.acting = s.acting.by(s.user(name, actions))
	moto.client.denials()
	s.post("/moto-api/reset-auth", "0") // from now on moto looks at what each caller may do
	defer s.post("/moto-api/reset-auth", "inf")
	for _, do := range does {
		do(s)
	}
	return moto.client.denials()
}

// by is the same memory by other rights.
func (m memory) by(c aws.CredentialsProvider) memory {
	m.world = m.as(c)
	db := m.dynamodb()
	m.DB, m.Queue = db, m.sqs()
	m.waker.DB, m.waker.Queue = db, m.Queue
	return m
}

// misfit holds a role's policy document against what its function does: what it
// lacks, and what it has for nothing. Spare are actions that moto cannot be asked
// about, such as those for logs.
func misfit(t *testing.T, name, document string, spare ...string) (lacks, idle []string) {
	t.Helper()
	s, f := play(t), functions()[name]
	has := slices.DeleteFunc(rights(t, document), func(a string) bool { return slices.Contains(spare, a) })
	for _, a := range has {
		without := slices.DeleteFunc(slices.Clone(has), func(other string) bool {
			return other == a || a == "autoscaling:SetDesiredCapacity" && other == "autoscaling:LaunchInstances" // it stands in for that
		})
		call, do := a, f.all
		if slices.Contains(transaction(), a) && a != "dynamodb:UpdateItem" {
			call = "dynamodb:TransactWriteItems"
		}
		if f.alone[a] != nil {
			do = f.alone[a]
		}
		if !slices.Contains(s.denied("without-"+strings.ReplaceAll(a, ":", "-"), without, do), call) {
			idle = append(idle, a)
		}
	}
	all := []func(stage){f.all}
	for _, a := range slices.Sorted(maps.Keys(f.alone)) { // by name: the last one ends a host
		all = append(all, f.alone[a])
	}
	return s.denied(name, has, all...), idle
}

// TestEachRoleIsWhatItsFunctionCalls: with all of its actions nothing is denied,
// and without any one of them something is.
func TestEachRoleIsWhatItsFunctionCalls(t *testing.T) {
	for name := range functions() {
		t.Run(name, func(t *testing.T) {
			if lacks, idle := misfit(t, name, deployedRole(t, name), unasked()...); len(lacks)+len(idle) > 0 {
				t.Errorf("denied: %v; never needed: %v", lacks, idle)
			}
		})
	}
}

// unasked are the actions of the roles that no call of a function needs in moto.
func unasked() []string {
	return []string{
		"logs:CreateLogStream", "logs:PutLogEvents", // Lambda writes what a function prints
		"sqs:GetQueueAttributes",                                                                                      // Lambda's mapping reads the queue as the function
		"ec2:CreateFleet", "ec2:CreateTags", "ec2:DescribeLaunchTemplateVersions", "ec2:RunInstances", "iam:PassRole", // LaunchInstances, which moto has not
		"ec2:DescribeInternetGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcs", // RegisterTargets, of whose caller moto asks no other right
		"route53:ChangeResourceRecordSets", "route53:CreateHealthCheck", "route53:DeleteHealthCheck", "route53:GetHealthCheck", "route53:UpdateHealthCheck", // Cloud Map likewise
	}
}

// TestAWrongRoleIsSeen: one that lacks an action, and one that has another.
func TestAWrongRoleIsSeen(t *testing.T) {
	actions := functions()["ingest"].actions
	lacks, _ := misfit(t, "ingest", document(t, slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return a == "dynamodb:GetItem" })))
	if fmt.Sprint(lacks) != "[dynamodb:GetItem]" {
		t.Errorf("a role without GetItem is denied %v", lacks)
	}
	if _, idle := misfit(t, "ingest", document(t, append(slices.Clone(actions), "ecs:UpdateService"))); fmt.Sprint(idle) != "[ecs:UpdateService]" {
		t.Errorf("a role that has more is idle with %v", idle)
	}
}

// TestEveryMethodOfAPortIsSomebodysAction: a call that is added to a port has to
// be given to a function here.
func TestEveryMethodOfAPortIsSomebodysAction(t *testing.T) {
	all := slices.Concat(of[store.PortDB]("dynamodb"), of[store.SQS]("sqs"), of[clusterside.ECS]("ecs"), of[clusterside.AutoScaling]("autoscaling"), of[clusterside.CloudWatch]("cloudwatch"),
		of[endpointside.ECS]("ecs"), of[endpointside.ELBV2]("elasticloadbalancing"), of[endpointside.CloudMap]("servicediscovery"), of[endpointside.EC2]("ec2"))
	for _, a := range all {
		owned := a == "dynamodb:TransactWriteItems" // by the actions of what is in it
		for _, f := range functions() {
			owned = owned || slices.Contains(f.actions, a)
		}
		if !owned {
			t.Errorf("no function may call %s", a)
		}
	}
}

func TestRightsAreReadOffAnyDocument(t *testing.T) {
	got := rights(t, `{"Statement":[
		{"Effect":"Allow","Action":"a:B","Resource":{"Fn::GetAtt":["X","Arn"]}},
		{"Effect":"Deny","Action":"a:C","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
		{"Effect":"Allow","Action":["d:E","a:B"],"Resource":"*","Condition":{}}]}`)
	if fmt.Sprint(got) != "[a:B d:E]" {
		t.Errorf("%v", got)
	}
}
