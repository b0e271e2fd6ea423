package infra

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// function is one of the controller's Lambda functions as far as its rights are
// concerned: its ports are what it calls.
type function struct {
	name   string       // dist/NAME/bootstrap is its code
	ports  reflect.Type // functions/NAME.Ports
	needs  []need       // of the ports' methods, and nothing more
	source place        // the queue that Lambda reads for it

	serves func(policy.Set) policy.Set // the policies that it is there for; nil: all
}

// need is a right that a function has for a reason.
type need struct {
	call    string   // the port's method, as ecs:UpdateService; for a right of the platform empty
	where   place    // which resources
	actions []string // IAM's; absent: the call's own name, as it is for most
}

// functions are all that a controller may have. A function that is added later
// joins by a line here.
func functions() []function {
	return []function{
		{name: "ingest", ports: reflect.TypeFor[ingest.Ports](), needs: ingestNeeds(), source: receiveIngress},
		{name: "reconcile", ports: reflect.TypeFor[reconcile.Ports](), needs: reconcileNeeds(), source: receiveReconcile},
		{name: "register", ports: reflect.TypeFor[register.Ports](), needs: registerNeeds(), source: receiveRegister, serves: reaching},
	}
}

// reaching are the policies that have endpoints.
func reaching(set policy.Set) policy.Set {
	return slices.DeleteFunc(slices.Clone(set), func(p policy.Policy) bool { return len(p.Registered()) == 0 })
}

// served are the policies that the function is there for: it is deployed only
// where there are any, and its rights are about no other.
func (f function) served(set policy.Set) policy.Set {
	if f.serves == nil {
		return set
	}
	return f.serves(set)
}

// needed are the functions that a controller of the policies has.
func needed(set policy.Set) []function {
	return slices.DeleteFunc(functions(), func(f function) bool { return len(f.served(set)) == 0 })
}

// ingestNeeds lists each method of ingest's ports with its place.
func ingestNeeds() []need {
	return []need{
		{call: "dynamodb:GetItem", where: wakeItems},
		{call: "dynamodb:UpdateItem", where: wakeItems},
		{call: "sqs:SendMessage", where: sendAnyQueue},
	}
}

// reconcileNeeds lists each method of reconcile's ports with its places.
//
// TransactWriteItems is no action of IAM's: each of its writes is judged by its
// own. LaunchInstances judges its caller by EC2's rights too: CreateFleet and
// DescribeLaunchTemplateVersions stand in its documentation, the others are those
// of an instant fleet with a launch template that names tags and a role.
func reconcileNeeds() []need {
	return []need{
		{call: "ecs:DescribeContainerInstances", where: readHosts},
		{call: "ecs:DescribeServices", where: readServices},
		{call: "ecs:DescribeTaskDefinition", where: readDefinitions},
		{call: "ecs:DescribeTasks", where: readTasks},
		{call: "ecs:ListContainerInstances", where: readClusters},
		{call: "ecs:ListTasks", where: listTasks},
		{call: "ecs:UpdateContainerInstancesState", where: changeHosts},
		{call: "ecs:UpdateService", where: changeServices},

		{call: "autoscaling:DescribeAutoScalingGroups", where: readGroups},
		{call: "autoscaling:DescribePolicies", where: readGroups},
		{call: "autoscaling:LaunchInstances", where: changeGroups},
		{call: "autoscaling:LaunchInstances", where: launchHosts, actions: []string{"ec2:CreateFleet", "ec2:RunInstances"}},
		{call: "autoscaling:LaunchInstances", where: readTemplates, actions: []string{"ec2:DescribeLaunchTemplateVersions"}},
		{call: "autoscaling:LaunchInstances", where: tagHosts, actions: []string{"ec2:CreateTags"}},
		{call: "autoscaling:LaunchInstances", where: passRoles, actions: []string{"iam:PassRole"}},
		{call: "autoscaling:SetDesiredCapacity", where: changeGroups},
		{call: "autoscaling:TerminateInstanceInAutoScalingGroup", where: changeGroups},

		{call: "cloudwatch:GetMetricData", where: readMetrics},

		{call: "dynamodb:Query", where: wholeTable},
		{call: "dynamodb:TransactWriteItems", where: wholeTable, actions: []string{
			"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
		}},
		{call: "dynamodb:UpdateItem", where: wholeTable},

		{call: "sqs:SendMessage", where: sendIngress},
	}
}

// registerNeeds lists each method of register's ports with its places.
//
// Elastic Load Balancing's Describe calls know no resource; what registers is
// judged by the target group, whose ARN has an id after the name, and by rights to
// look at what the targets are, as its list of permissions says. Cloud Map's calls
// about instances are judged by the service, which is known before only where the
// policy gives its id; ListServices knows no resource, and GetOperation, by pages
// of different ages, none or the namespace, which the policy does not name.
//
// For registries in DNS namespaces Cloud Map's guide wants rights of Route 53 and
// EC2 of the caller: for both calls to change records and to read and change health
// checks, and to read instances. Its list of permissions has dropped the records
// since, for DeregisterInstance.
func registerNeeds() []need {
	return []need{
		{call: "ecs:DescribeContainerInstances", where: readHosts},
		{call: "ecs:DescribeServices", where: readServices},
		{call: "ecs:DescribeTasks", where: readTasks},
		{call: "ecs:ListServices", where: listTasks},
		{call: "ecs:ListTasks", where: listTasks},

		{call: "elasticloadbalancing:DescribeTargetGroupAttributes", where: readTargets},
		{call: "elasticloadbalancing:DescribeTargetGroups", where: readTargets},
		{call: "elasticloadbalancing:DescribeTargetHealth", where: readTargets},
		{call: "elasticloadbalancing:RegisterTargets", where: changeTargets},
		{call: "elasticloadbalancing:RegisterTargets", where: readNetwork, actions: []string{
			"ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
		}},
		{call: "elasticloadbalancing:DeregisterTargets", where: changeTargets},

		{call: "servicediscovery:GetOperation", where: readRegistries},
		{call: "servicediscovery:ListServices", where: readRegistries},
		{call: "servicediscovery:ListInstances", where: readInstances},
		{call: "servicediscovery:RegisterInstance", where: changeInstances},
		{call: "servicediscovery:RegisterInstance", where: changeRecords, actions: []string{"route53:ChangeResourceRecordSets"}},
		{call: "servicediscovery:RegisterInstance", where: changeChecks, actions: []string{"route53:CreateHealthCheck", "route53:GetHealthCheck", "route53:UpdateHealthCheck"}},
		{call: "servicediscovery:DeregisterInstance", where: changeInstances},
		{call: "servicediscovery:DeregisterInstance", where: changeRecords, actions: []string{"route53:ChangeResourceRecordSets"}},
		{call: "servicediscovery:DeregisterInstance", where: changeChecks, actions: []string{"route53:DeleteHealthCheck", "route53:GetHealthCheck", "route53:UpdateHealthCheck"}},

		{call: "ec2:DescribeInstances", where: readAddresses},

		{call: "dynamodb:BatchGetItem", where: wholeTable},
		{call: "dynamodb:Query", where: wholeTable},
		{call: "dynamodb:TransactWriteItems", where: wholeTable, actions: []string{
			"dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
		}},
		{call: "dynamodb:UpdateItem", where: wholeTable},

		{call: "sqs:SendMessage", where: sendIngress},
	}
}

// platform are the rights that no call of a function's own asks for.
func (f function) platform() []need {
	return []need{
		// Lambda writes what the function prints, and reads its queue, as the function.
		{where: writeLogs, actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}},
		{where: f.source, actions: []string{"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}},
	}
}

// calls are the methods of the ports, as SERVICE:Method, sorted.
func (f function) calls() []string {
	var all []string
	for n := range f.ports.NumField() {
		port := f.ports.Field(n)
		for m := range port.Type.NumMethod() {
			all = append(all, prefix(port.Name)+":"+port.Type.Method(m).Name)
		}
	}
	slices.Sort(all)
	return all
}

// prefix is IAM's name of the service that a port calls.
func prefix(port string) string {
	switch port {
	case "ELBV2":
		return "elasticloadbalancing"
	case "CloudMap":
		return "servicediscovery"
	}
	return strings.ToLower(port)
}

// mismatch is what is wrong between ports and table: both must name the same
// calls.
func (f function) mismatch() error {
	listed := map[string]bool{}
	for _, n := range f.needs {
		listed[n.call] = true
	}
	for _, call := range f.calls() {
		if !listed[call] {
			return fmt.Errorf("%s may call %s, and the table of rights has no line for it", f.name, call)
		}
		delete(listed, call)
	}
	for _, call := range slices.Sorted(maps.Keys(listed)) {
		return fmt.Errorf("the table of rights lets %s call %s, and none of its ports can", f.name, call)
	}
	return nil
}

// statements are the function's rights, one statement a place, in the order of
// the table. Places without a resource, such as what an observing deployment
// must not change, make no statement.
func (f function) statements(g ground) []statement {
	actions := map[place][]string{}
	var order []place
	for _, n := range slices.Concat(f.platform(), f.needs) {
		if actions[n.where] == nil {
			order = append(order, n.where)
		}
		actions[n.where] = append(actions[n.where], n.iam()...)
	}
	var all []statement
	for _, p := range order {
		s := g.at(p)
		slices.Sort(actions[p])
		s.actions = slices.Compact(actions[p])
		all = append(all, g.chunks(s)...)
	}
	return all
}

// iam are the actions of a need.
func (n need) iam() []string {
	if len(n.actions) > 0 {
		return n.actions
	}
	return []string{n.call}
}
