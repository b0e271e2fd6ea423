package infra

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// allowed is one statement of a role's policies.
type allowed struct {
	id, effect string
	actions    []string
	resources  []string
	conditions string
	nag        []string // resources that cdk-nag's suppressions name
}

// roleOf are the statements of a function's role, inline or attached.
func roleOf(t *testing.T, s template, function string) []allowed {
	t.Helper()
	role := s.one(t, "AWS::IAM::Role", function)
	var all []allowed
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} {
		for _, id := range s.all(kind) {
			r := s.Resources[id]
			if flat(r.get("Roles")) != "<"+role+">" {
				continue
			}
			list, _ := r.get("PolicyDocument", "Statement").([]any)
			for _, st := range list {
				m, _ := st.(map[string]any)
				all = append(all, allowed{
					id: flat(m["Sid"]), effect: flat(m["Effect"]), actions: texts(m["Action"]), resources: texts(m["Resource"]), conditions: flat(m["Condition"]),
					nag: texts(resource{Properties: r.Metadata}.get("cdk_nag", "rules_to_suppress")),
				})
			}
		}
	}
	if r := s.Resources[role]; r.get("ManagedPolicyArns") != nil || r.get("Policies") != nil || len(all) == 0 {
		t.Errorf("%s has other policies: %v", role, r.Properties)
	}
	return all
}

// may are all actions that statements allow, sorted.
func may(all []allowed) []string {
	set := map[string]bool{}
	for _, a := range all {
		for _, action := range a.actions {
			set[action] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// The actions of each function, for a person to read. Who adds a call to a port,
// or takes one away, changes them here, and knows what the deployment may do.
const (
	everyFunction = "logs:CreateLogStream logs:PutLogEvents sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage sqs:SendMessage"
	ingestOnly    = "dynamodb:GetItem dynamodb:UpdateItem"
	reconcileSees = "autoscaling:DescribeAutoScalingGroups autoscaling:DescribePolicies cloudwatch:GetMetricData " +
		"ecs:DescribeContainerInstances ecs:DescribeServices ecs:DescribeTaskDefinition ecs:DescribeTasks ecs:ListContainerInstances ecs:ListTasks " +
		"dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
	reconcileActs = "autoscaling:LaunchInstances autoscaling:SetDesiredCapacity autoscaling:TerminateInstanceInAutoScalingGroup " +
		"ecs:UpdateContainerInstancesState ecs:UpdateService ec2:CreateFleet ec2:CreateTags ec2:DescribeLaunchTemplateVersions ec2:RunInstances iam:PassRole"
	registerSees = "ecs:DescribeContainerInstances ecs:DescribeServices ecs:DescribeTasks ecs:ListServices ecs:ListTasks " +
		"elasticloadbalancing:DescribeTargetGroupAttributes elasticloadbalancing:DescribeTargetGroups elasticloadbalancing:DescribeTargetHealth " +
		"servicediscovery:GetOperation servicediscovery:ListInstances servicediscovery:ListServices ec2:DescribeInstances " +
		"dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem"
	registerActs = "elasticloadbalancing:DeregisterTargets elasticloadbalancing:RegisterTargets ec2:DescribeInternetGateways ec2:DescribeSubnets ec2:DescribeVpcs " +
		"servicediscovery:DeregisterInstance servicediscovery:RegisterInstance route53:ChangeResourceRecordSets " +
		"route53:CreateHealthCheck route53:DeleteHealthCheck route53:GetHealthCheck route53:UpdateHealthCheck"
)

func wordsOf(lists ...string) []string {
	all := strings.Fields(strings.Join(lists, " "))
	slices.Sort(all)
	return all
}

func TestARoleMayDoExactlyWhatItsFunctionCalls(t *testing.T) {
	s := whole(t)
	for _, row := range []struct {
		function string
		want     []string
	}{
		{"Ingest", wordsOf(everyFunction, ingestOnly)},
		{"Reconcile", wordsOf(everyFunction, reconcileSees, reconcileActs)},
		{"Register", wordsOf(everyFunction, registerSees, registerActs)},
	} {
		if got := may(roleOf(t, s, row.function)); !slices.Equal(got, row.want) {
			t.Errorf("%s may %v\nand should %v", row.function, got, row.want)
		}
	}
	for _, f := range functions() {
		want := map[string]bool{}
		for _, n := range f.platform() {
			for _, a := range n.actions {
				want[a] = true
			}
		}
		for _, call := range f.calls() {
			for _, n := range f.needs {
				for _, a := range n.iam() {
					if n.call == call {
						want[a] = true
					}
				}
			}
		}
		if got := may(roleOf(t, s, capital(f.name))); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s may %v, and its ports need %v", f.name, got, slices.Sorted(maps.Keys(want)))
		}
	}
}

// lessECS is reconcile's port without UpdateService, moreECS one with StopTask.
type lessECS interface {
	DescribeContainerInstances(context.Context, *ecs.DescribeContainerInstancesInput, ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListContainerInstances(context.Context, *ecs.ListContainerInstancesInput, ...func(*ecs.Options)) (*ecs.ListContainerInstancesOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	UpdateContainerInstancesState(context.Context, *ecs.UpdateContainerInstancesStateInput, ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error)
}

type moreECS interface {
	clusterside.ECS
	StopTask(context.Context, *ecs.StopTaskInput, ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
}

type moreSQS interface {
	store.SQS
	PurgeQueue(context.Context, *sqs.PurgeQueueInput, ...func(*sqs.Options)) (*sqs.PurgeQueueOutput, error)
}

func TestACallMoreOrLessInAPortIsNoticed(t *testing.T) {
	type rest struct {
		AutoScaling clusterside.AutoScaling
		CloudWatch  clusterside.CloudWatch
		DynamoDB    store.DynamoDB
	}
	for _, row := range []struct {
		name  string
		ports reflect.Type
		want  string
	}{
		{"the ports as they are", reflect.TypeFor[reconcile.Ports](), ""},
		{"a port without a call that the table allows", reflect.TypeFor[struct {
			ECS lessECS
			rest
			SQS store.SQS
		}](), "lets reconcile call ecs:UpdateService, and none of its ports can"},
		{"a port with one call more", reflect.TypeFor[struct {
			ECS moreECS
			rest
			SQS store.SQS
		}](), "reconcile may call ecs:StopTask, and the table of rights has no line for it"},
		{"the queue's port with one call more", reflect.TypeFor[struct {
			ECS clusterside.ECS
			rest
			SQS moreSQS
		}](), "reconcile may call sqs:PurgeQueue"},
		{"a port to a service that nobody thought of", reflect.TypeFor[struct {
			ECS clusterside.ECS
			rest
			SQS store.SQS
			S3  interface{ GetObject() }
		}](), "reconcile may call s3:GetObject"},
		{"a port that is gone", reflect.TypeFor[struct {
			ECS clusterside.ECS
			rest
		}](), "lets reconcile call sqs:SendMessage"},
	} {
		f := function{name: "reconcile", ports: flattened(row.ports), needs: reconcileNeeds(), source: receiveReconcile}
		err := f.mismatch()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

// lessELBV2 is register's port without DeregisterTargets, moreCloudMap one with
// what makes a namespace's services.
type lessELBV2 interface {
	DescribeTargetGroupAttributes(context.Context, *elb.DescribeTargetGroupAttributesInput, ...func(*elb.Options)) (*elb.DescribeTargetGroupAttributesOutput, error)
	DescribeTargetGroups(context.Context, *elb.DescribeTargetGroupsInput, ...func(*elb.Options)) (*elb.DescribeTargetGroupsOutput, error)
	DescribeTargetHealth(context.Context, *elb.DescribeTargetHealthInput, ...func(*elb.Options)) (*elb.DescribeTargetHealthOutput, error)
	RegisterTargets(context.Context, *elb.RegisterTargetsInput, ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error)
}

type moreCloudMap interface {
	endpointside.CloudMap
	CreateService()
}

// Each port of register is known by IAM's name of its service, and each of its
// methods by its own.
func TestACallMoreOrLessOfRegisterIsNoticed(t *testing.T) {
	type rest struct {
		ECS      endpointside.ECS
		EC2      endpointside.EC2
		DynamoDB store.PortDB
		SQS      store.SQS
	}
	for _, row := range []struct {
		name  string
		ports reflect.Type
		want  string
	}{
		{"the ports as they are", reflect.TypeFor[register.Ports](), ""},
		{"a port without a call that the table allows", reflect.TypeFor[struct {
			ELBV2    lessELBV2
			CloudMap endpointside.CloudMap
			rest
		}](), "lets register call elasticloadbalancing:DeregisterTargets, and none of its ports can"},
		{"a port with one call more", reflect.TypeFor[struct {
			ELBV2    endpointside.ELBV2
			CloudMap moreCloudMap
			rest
		}](), "register may call servicediscovery:CreateService, and the table of rights has no line for it"},
	} {
		err := function{name: "register", ports: flattened(row.ports), needs: registerNeeds(), source: receiveRegister}.mismatch()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	for _, call := range (function{ports: reflect.TypeFor[register.Ports]()}).calls() { // and of each there is, one less
		needs := slices.DeleteFunc(registerNeeds(), func(n need) bool { return n.call == call })
		err := function{name: "register", ports: reflect.TypeFor[register.Ports](), needs: needs}.mismatch()
		if err == nil || !strings.Contains(err.Error(), "may call "+call) {
			t.Errorf("a table without %s: %v", call, err)
		}
	}
}

// flattened is a struct type without embedding.
func flattened(t reflect.Type) reflect.Type {
	var fields []reflect.StructField
	for n := range t.NumField() {
		f := t.Field(n)
		if f.Anonymous {
			for m := range f.Type.NumField() {
				fields = append(fields, plainField(f.Type.Field(m)))
			}
			continue
		}
		fields = append(fields, plainField(f))
	}
	return reflect.StructOf(fields)
}

func plainField(f reflect.StructField) reflect.StructField {
	return reflect.StructField{Name: f.Name, Type: f.Type}
}

// unused are calls that no simulated run below makes, with the reason.
func unused() map[string]string {
	all := map[string]string{
		"autoscaling:SetDesiredCapacity": "it stands in where LaunchInstances is turned down as a whole; clusterside's tests do that",
	}
	for _, call := range strings.Fields("servicediscovery:DeregisterInstance servicediscovery:GetOperation servicediscovery:ListInstances servicediscovery:ListServices " +
		"servicediscovery:RegisterInstance ec2:DescribeInstances") {
		all[call] = "no scenario has a registry; endpointside's tests make it"
	}
	return all
}

// callsOf are the calls that a scenario's functions make.
func callsOf(t *testing.T, name string, length time.Duration) map[string]int {
	t.Helper()
	s, err := scenario.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := scenario.Run(t.Context(), s.Window(0, length), scenario.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.APICalls
}

func TestEveryRightIsUsedInASimulatedRun(t *testing.T) {
	calls := callsOf(t, "step", 3*time.Hour)
	for call, n := range callsOf(t, "ports-churn", 20*time.Minute) {
		calls[call] += n
	}
	known := map[string]bool{}
	for _, f := range functions() {
		for _, call := range f.calls() {
			known[call] = true
			why, excused := unused()[call]
			if used := calls[call] > 0; used == excused {
				t.Errorf("%s of %s: used %v, excused %v (%s)", call, f.name, used, excused, why)
			}
		}
	}
	for call := range calls {
		if !known[call] {
			t.Errorf("%s was called, and no port has it", call)
		}
	}
}

func TestObservingGivesNoRightToChangeAnything(t *testing.T) {
	s, err := observing()
	if err != nil {
		t.Fatal(err)
	}
	for function, sees := range map[string]string{"Reconcile": reconcileSees, "Register": registerSees} {
		got := may(roleOf(t, s, function))
		if want := wordsOf(everyFunction, sees); !slices.Equal(got, want) {
			t.Errorf("%s may %v, want %v", function, got, want)
		}
	}
}

func TestWithoutHostRolesNoneIsPassed(t *testing.T) {
	got := may(roleOf(t, of(t, ControllerProps{Policies: testPolicies()}), "Reconcile"))
	if slices.Contains(got, "iam:PassRole") || !slices.Contains(got, "autoscaling:LaunchInstances") {
		t.Errorf("may %v", got)
	}
}

func TestWhatIsChangedIsNamed(t *testing.T) {
	own := "arn:<AWS::Partition>:"
	at := func(service, rest string) string {
		return own + service + ":<AWS::Region>:<AWS::AccountId>:" + rest
	}
	// What EC2 makes or uses for an instant fleet; images and snapshots may be
	// another account's.
	var launched []string
	for kind := range strings.FieldsSeq("capacity-reservation fleet instance key-pair launch-template network-interface placement-group security-group spot-instances-request subnet volume") {
		launched = append(launched, at("ec2", kind+"/*"))
	}
	launched = append(launched, own+"ec2:<AWS::Region>::image/*", own+"ec2:<AWS::Region>::snapshot/*")
	want := map[string]struct{ resources, conditions string }{
		"ReadTemplates":  {"*", "<nil>"},
		"ChangeServices": {at("ecs", "service/prod/web"), "<nil>"},
		"ChangeGroups":   {at("autoscaling", "autoScalingGroup:*:autoScalingGroupName/prod-a") + " " + at("autoscaling", "autoScalingGroup:*:autoScalingGroupName/prod-b"), "<nil>"},
		"ChangeHosts":    {at("ecs", "container-instance/prod/*"), "{ArnEquals:{ecs:cluster:" + at("ecs", "cluster/prod") + "}}"},
		"TagHosts":       {at("ec2", "*/*"), "{StringEquals:{ec2:CreateAction:CreateFleet RunInstances}}"},
		"PassRoles":      {testHostRole, "{StringLike:{iam:PassedToService:ec2.amazonaws.com*}}"},
		"LaunchHosts":    {strings.Join(launched, " "), "{Bool:{aws:ViaAWSService:true}}"},

		"ChangeTargets":   {at("elasticloadbalancing", "targetgroup/game/*") + " " + at("elasticloadbalancing", "targetgroup/web-admin/*") + " " + at("elasticloadbalancing", "targetgroup/web/*"), "<nil>"},
		"ChangeInstances": {at("servicediscovery", "service/*"), "<nil>"},
		"ReadInstances":   {at("servicediscovery", "service/*"), "<nil>"},
		"ChangeRecords":   {own + "route53:::hostedzone/*", "{Bool:{aws:ViaAWSService:true}}"},
		"ChangeChecks":    {"*", "{Bool:{aws:ViaAWSService:true}}"},
	}
	for _, a := range slices.Concat(roleOf(t, whole(t), "Reconcile"), roleOf(t, whole(t), "Register")) {
		w, ok := want[a.id]
		delete(want, a.id)
		if ok && (strings.Join(a.resources, " ") != w.resources || a.conditions != w.conditions) {
			t.Errorf("%s: %v, %s", a.id, a.resources, a.conditions)
		}
		if strings.Contains(strings.Join(a.resources, " "), "stage") && strings.HasPrefix(a.id, "Change") {
			t.Errorf("%s reaches what is only observed: %v", a.id, a.resources)
		}
	}
	if len(want) > 0 {
		t.Errorf("no statement for %v", want)
	}
}

// A registry that the policy names by its id is the only one, and so is a zone.
func TestWhatIsKnownOfARegistryIsNamed(t *testing.T) {
	set := testPolicies()
	web := set[0].Services["web"]
	web.Endpoints = append(web.Endpoints[:2:2], policy.Endpoint{Container: "app", Port: 8080, Registry: "srv-a"})
	set[0].Services["web"] = web
	at := "arn:<AWS::Partition>:servicediscovery:<AWS::Region>:<AWS::AccountId>:service/"
	want := map[string]string{
		"ChangeInstances": "[" + at + "srv-a] <nil>",
		"ReadInstances":   "[" + at + "srv-a " + at + "srv-stage] <nil>",
		"ChangeRecords":   "[arn:<AWS::Partition>:route53:::hostedzone/Z1] <nil>",
	}
	for _, a := range roleOf(t, of(t, ControllerProps{Policies: set, HostedZones: []string{"Z1"}}), "Register") {
		if w, ok := want[a.id]; ok && w != fmt.Sprint(a.resources, " ", a.conditions) {
			t.Errorf("%s: %v %s, want %s", a.id, a.resources, a.conditions, w)
		}
		delete(want, a.id)
	}
	if len(want) > 0 {
		t.Errorf("no statement for %v", want)
	}
}

// Rights are about what a policy names, and no more than that.
func TestRegisterHasNoRightWithoutAPlace(t *testing.T) {
	for _, row := range []struct {
		name  string
		place policy.Endpoint
		never string // a part of an action
	}{
		{"target groups only", policy.Endpoint{TargetGroup: "web"}, "servicediscovery route53"},
		{"registries only", policy.Endpoint{Registry: "web"}, "elasticloadbalancing DescribeVpcs"},
	} {
		set := unregistered()[:1]
		row.place.Container, row.place.Port = "app", 80
		set[0].Services["agent"] = policy.Service{Endpoints: []policy.Endpoint{row.place}}
		all := functions()[2].statements(ground{policies: set, register: "q"})
		for _, s := range all {
			for part := range strings.FieldsSeq(row.never) {
				if strings.Contains(strings.Join(s.actions, " "), part) {
					t.Errorf("%s, and it may %v", row.name, s.actions)
				}
			}
		}
		if len(all) < 5 {
			t.Errorf("%s: %d statements", row.name, len(all))
		}
	}
}

// A deployment without endpoints has nothing of register, and pays nothing for it.
func TestWithoutEndpointsThereIsNoRegister(t *testing.T) {
	s := of(t, ControllerProps{Policies: unregistered()})
	for id := range s.Resources {
		if strings.Contains(strings.ToLower(id), "register") {
			t.Errorf("there is %s", id)
		}
	}
	if raw := string(s.raw); strings.Contains(raw, "PLIMSOLL_REGISTER_QUEUE") || strings.Contains(raw, "RegisterDead") || strings.Contains(raw, "EndpointsFailing") {
		t.Error("the template names register")
	}
	set := unregistered()
	set[0].Standalone = testPolicies()[0].Standalone // the other cluster is none of its business
	for _, a := range roleOf(t, of(t, ControllerProps{Policies: set}), "Register") {
		if strings.Contains(fmt.Sprint(a.resources, a.conditions), "stage") {
			t.Errorf("%s is about a cluster without endpoints: %v %v", a.id, a.resources, a.conditions)
		}
	}
}

func TestOtherClustersAreNotEvenRead(t *testing.T) {
	// What names its cluster in the resource, or knows neither resource nor condition.
	plain := strings.Fields("ecs:ListContainerInstances ecs:UpdateService ecs:DescribeTaskDefinition")
	seen := 0
	for _, a := range roleOf(t, whole(t), "Reconcile") {
		for _, action := range a.actions {
			if !strings.HasPrefix(action, "ecs:") || slices.Contains(plain, action) {
				continue
			}
			seen++
			if !strings.HasPrefix(a.conditions, "{ArnEquals:{ecs:cluster:arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:cluster/prod") {
				t.Errorf("%s has the conditions %s", action, a.conditions)
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d actions are bound to clusters", seen)
	}
}

func TestIngestMayTouchWakeItemsOnly(t *testing.T) {
	for _, a := range roleOf(t, whole(t), "Ingest") {
		switch a.id {
		case "WakeItems":
			if a.conditions != "{ForAllValues:StringLike:{dynamodb:LeadingKeys:wake#*} Null:{dynamodb:LeadingKeys:false}}" {
				t.Errorf("conditions %s", a.conditions)
			}
		case "SendAnyQueue":
			var queues []string
			for _, name := range []string{"IngressQueue", "ReconcileQueue", "RegisterQueue"} {
				ids := slices.DeleteFunc(whole(t).all("AWS::SQS::Queue"), func(id string) bool { return !strings.Contains(id, name) || strings.Contains(id, "Dead") })
				queues = append(queues, "<"+strings.Join(ids, " ")+".Arn>")
			}
			if !slices.Equal(a.resources, queues) {
				t.Errorf("ingest sends to %v, want %v", a.resources, queues)
			}
		case "WriteLogs", "ReceiveIngress":
		default:
			t.Errorf("ingest has %s: %v", a.id, a.actions)
		}
	}
}

// underStar are actions that know resources which have an id that nobody knows
// before, each beside one that knows none: what reads an operation, and Route 53's
// of health checks.
const underStar = "servicediscovery:GetOperation route53:CreateHealthCheck route53:DeleteHealthCheck route53:GetHealthCheck route53:UpdateHealthCheck"

// knowsNoResource are the actions for which AWS's service authorization
// reference names no kind of resource (ecs:ListServices likewise), and ecs:ListTasks, which is judged by *
// where it has no filter.
const knowsNoResource = "autoscaling:DescribeAutoScalingGroups autoscaling:DescribePolicies cloudwatch:GetMetricData " +
	"ec2:DescribeLaunchTemplateVersions ecs:DescribeTaskDefinition ecs:ListServices ecs:ListTasks " +
	"elasticloadbalancing:DescribeTargetGroupAttributes elasticloadbalancing:DescribeTargetGroups elasticloadbalancing:DescribeTargetHealth " +
	"ec2:DescribeInstances ec2:DescribeInternetGateways ec2:DescribeSubnets ec2:DescribeVpcs servicediscovery:ListServices " +
	underStar

func TestAStarHasAReasonAndStandsAlone(t *testing.T) {
	s := whole(t)
	for _, f := range functions() {
		for _, a := range roleOf(t, s, capital(f.name)) {
			if a.effect != "Allow" || strings.Contains(strings.Join(a.actions, " "), "*") {
				t.Errorf("%s: %s %v", a.id, a.effect, a.actions)
			}
			for _, r := range a.resources {
				suppressed := strings.Contains(strings.Join(a.nag, "\n"), "Resource::"+r)
				if strings.Contains(r, "*") != suppressed {
					t.Errorf("%s: %s has a reason: %v", a.id, r, suppressed)
				}
			}
			for _, action := range a.actions {
				if only := slices.Contains(strings.Fields(knowsNoResource), action); only != slices.Equal(a.resources, []string{"*"}) {
					t.Errorf("%s allows %s on %v", a.id, action, a.resources)
				}
			}
		}
	}
}

func TestManyServicesAreSpreadOverStatements(t *testing.T) {
	p := testPolicies()[:1]
	for n := range 100 {
		p[0].Services["s"+strings.Repeat("x", n)] = policy.Service{Tasks: &policy.Tasks{Min: 1, Max: 2}}
	}
	all := function{name: "reconcile", needs: reconcileNeeds(), source: receiveReconcile}.statements(ground{policies: p})
	ids := map[string]int{}
	resources := 0
	for _, s := range all {
		if ids[s.id]++; ids[s.id] > 1 || len(strings.Join(s.resources, `","`)) > chunk || len(s.resources) == 0 {
			t.Errorf("%s: %d times, %d resources", s.id, ids[s.id], len(s.resources))
		}
		if strings.HasPrefix(s.id, "ChangeServices") {
			resources += len(s.resources)
		}
	}
	if resources != 101 || ids["ChangeServices4"] != 1 {
		t.Errorf("%d services in %v", resources, ids)
	}
}

// many are policies of so many clusters, two groups and two services each, one of
// them with an endpoint.
func many(clusters int) policy.Set {
	var set policy.Set
	for n := range clusters {
		p := testPolicies()[0]
		p.Cluster = fmt.Sprintf("production-%03d", n)
		p.Hosts = []policy.HostGroup{{Group: p.Cluster + "-a", Min: 1, Max: 2}, {Group: p.Cluster + "-b", Min: 1, Max: 2}}
		web := []policy.Endpoint{{Container: "app", Port: 80, TargetGroup: p.Cluster}}
		p.Standalone, p.Services = nil, map[string]policy.Service{"web": {Tasks: &policy.Tasks{Min: 1, Max: 2}, Endpoints: web}, "jobs": {Tasks: &policy.Tasks{Min: 1, Max: 2}}}
		set = append(set, p)
	}
	return set
}

// literal is a value of a template with its references as texts.
func literal(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for n, one := range v {
			all[n] = literal(one)
		}
		return all
	case map[string]any:
		if v["Ref"] != nil || v["Fn::GetAtt"] != nil || v["Fn::Join"] != nil {
			return flat(v)
		}
		all := map[string]any{}
		for key, one := range v {
			all[key] = literal(one)
		}
		return all
	}
	return v
}

// long puts in what CloudFormation does, as long as it can be.
func long(text string) string {
	text = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text) // as JSON writes them
	text = strings.NewReplacer("<AWS::Partition>", "aws-us-gov", "<AWS::Region>", "ap-northeast-1", "<AWS::AccountId>", "111122223333").Replace(text)
	return regexp.MustCompile(`<[A-Za-z0-9]+(\.Arn)?>`).ReplaceAllString(text, "arn:aws-us-gov:dynamodb:ap-northeast-1:111122223333:"+strings.Repeat("x", 90))
}

func TestManyClustersFitIntoARole(t *testing.T) {
	s := of(t, ControllerProps{Policies: many(50)})
	policies := 0
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} {
		for _, id := range s.all(kind) {
			if strings.Contains(id, "Reconcile") {
				policies++
			}
			most := map[string]int{"AWS::IAM::Policy": ownSize, "AWS::IAM::ManagedPolicy": managedSize}[kind]
			if n := len(long(text(literal(s.Resources[id].get("PolicyDocument"))))); n > most {
				t.Errorf("%s has %d characters, and IAM takes %d", id, n, most)
			}
		}
	}
	if policies < 3 || policies > 1+mostPolicies {
		t.Errorf("%d policies", policies)
	}
	named := regexp.MustCompile(`production-\d+`)
	clusters := map[string]int{}
	for _, a := range roleOf(t, s, "Reconcile") {
		if !strings.HasPrefix(a.conditions, "{ArnEquals:") {
			continue
		}
		within := named.FindAllString(a.conditions, -1)
		if of := named.FindAllString(strings.Join(a.resources, " "), -1); len(of) > 0 && !slices.Equal(of, within) {
			t.Errorf("%s is about %v and bound to %v", a.id, of, within)
		}
		for _, c := range within {
			clusters[strings.TrimRight(a.id, "0123456789")+" "+c]++
		}
	}
	if len(clusters) != 5*50 {
		t.Errorf("five places of 50 clusters are %d: %v", len(clusters), clusters)
	}
}

func TestTooManyClustersForARoleAreRefused(t *testing.T) {
	_, err := synthesise(t.TempDir(), ControllerProps{Policies: many(100)}, func(awscdk.Stack) {})
	if err == nil || !strings.Contains(err.Error(), "the rights of reconcile over 100 clusters take") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}
