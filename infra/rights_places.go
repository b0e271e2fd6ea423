package infra

import (
	"fmt"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// place names resources that rights are about, as the statement's id in the role.
type place string

// The controller's own.
const (
	writeLogs        place = "WriteLogs"
	receiveIngress   place = "ReceiveIngress"
	receiveReconcile place = "ReceiveReconcile"
	receiveRegister  place = "ReceiveRegister"
	wakeItems        place = "WakeItems"
	wholeTable       place = "WholeTable"
	sendIngress      place = "SendIngress"
	sendAnyQueue     place = "SendAnyQueue"
)

// What is read of the clusters.
const (
	readClusters    place = "ReadClusters"
	readHosts       place = "ReadHosts"
	readServices    place = "ReadServices"
	readTasks       place = "ReadTasks"
	listTasks       place = "ListTasks"
	readDefinitions place = "ReadDefinitions"
	readGroups      place = "ReadGroups"
	readMetrics     place = "ReadMetrics"
)

// What is read and changed of the places where ports are registered; the second,
// where the policy's mode is act.
const (
	readTargets    place = "ReadTargets"
	readRegistries place = "ReadRegistries"
	readInstances  place = "ReadInstances"
	readAddresses  place = "ReadAddresses"

	changeTargets   place = "ChangeTargets"
	readNetwork     place = "ReadNetwork"
	changeInstances place = "ChangeInstances"
	changeRecords   place = "ChangeRecords"
	changeChecks    place = "ChangeChecks"
)

// What is changed of them, where the policy's mode is act.
const (
	changeHosts    place = "ChangeHosts"
	changeServices place = "ChangeServices"
	changeGroups   place = "ChangeGroups"
	launchHosts    place = "LaunchHosts"
	readTemplates  place = "ReadTemplates"
	tagHosts       place = "TagHosts"
	passRoles      place = "PassRoles"
)

// everything is the resource of actions that know no other.
const everything = "*"

// ground is what a deployment's rights can be about. ARNs may hold CDK's tokens.
type ground struct {
	policies                   policy.Set
	partition, region, account string

	logs, table, ingress, reconcile string   // ARNs of the controller's own
	register                        string   // the same; empty where no policy has endpoints
	hostRoles                       []string // ARNs of roles that launch templates hand to instances
	hostedZones                     []string // ids of those of the registries
}

// statement is a statement of a role's policy, before CDK.
type statement struct {
	id         string
	actions    []string
	resources  []string
	conditions map[string]map[string]any
	clusters   []string // ARNs, as many as resources: each resource counts only in its cluster
	why        string   // where a resource has a *: why
}

// at is the statement about a place, without its actions.
func (g ground) at(p place) statement {
	var s statement
	switch p {
	case writeLogs, receiveIngress, receiveReconcile, receiveRegister, wakeItems, wholeTable, sendIngress, sendAnyQueue:
		s = g.own(p)
	case changeHosts, changeServices, changeGroups, launchHosts, readTemplates, tagHosts, passRoles:
		s = g.change(p)
	case readTargets, readRegistries, readInstances, readAddresses:
		s = g.lookUp(p)
	case changeTargets, readNetwork, changeInstances, changeRecords, changeChecks:
		s = g.reach(p)
	default:
		s = g.look(p)
	}
	s.id = string(p)
	return s
}

// own is about the controller's table, queues and logs.
func (g ground) own(p place) statement {
	switch p {
	case writeLogs:
		return statement{resources: []string{g.logs + ":*"}, why: "Each instance of a function names its own stream in the function's log group."}
	case receiveReconcile:
		return statement{resources: []string{g.reconcile}}
	case receiveRegister:
		return statement{resources: []string{g.register}}
	case sendAnyQueue:
		all := []string{g.ingress, g.reconcile, g.register}
		return statement{resources: slices.DeleteFunc(all, func(arn string) bool { return arn == "" })}
	case receiveIngress, sendIngress:
		return statement{resources: []string{g.ingress}}
	case wakeItems:
		return statement{resources: []string{g.table}, conditions: map[string]map[string]any{
			"ForAllValues:StringLike": {"dynamodb:LeadingKeys": []string{store.WakePrefix + everything}},
			"Null":                    {"dynamodb:LeadingKeys": "false"}, // for all of none would hold as well
		}}
	default:
		return statement{resources: []string{g.table}}
	}
}

// look is about what a round reads.
func (g ground) look(p place) statement {
	names := g.policies.Clusters()
	clusters := g.each(names, "cluster/%s")
	switch p {
	case readClusters:
		return statement{resources: clusters}
	case readHosts:
		return statement{resources: g.each(names, "container-instance/%s/*"), clusters: clusters, why: "A round reads every host of its cluster, whose ids nobody knows before."}
	case readServices:
		return statement{resources: g.each(names, "service/%s/*"), clusters: clusters, why: "A round reads the services of its cluster by the names in the policy."}
	case readTasks:
		return statement{resources: g.each(names, "task/%s/*"), clusters: clusters, why: "A round reads every task of its cluster, whose ids nobody knows before."}
	case listTasks:
		return statement{resources: slices.Repeat([]string{everything}, len(names)), clusters: clusters, why: "ECS judges ListTasks by the container instances of its filter, or by * without one, and ListServices by *; the condition names the cluster."}
	case readDefinitions:
		return statement{resources: []string{everything}, why: "DescribeTaskDefinition knows no resource, so IAM takes only *."}
	case readGroups:
		return statement{resources: []string{everything}, why: "Auto Scaling's Describe calls know no resource, so IAM takes only *."}
	default:
		return statement{resources: []string{everything}, why: "GetMetricData knows no resource, so IAM takes only *."}
	}
}

// change is about what a round changes: of clusters whose policy says act.
func (g ground) change(p place) statement {
	acting := g.acting()
	clusters := acting.Clusters()
	groups := g.groups(acting)
	if len(clusters) == 0 || len(groups) == 0 && p != changeServices {
		return statement{}
	}
	switch p {
	case changeHosts:
		return statement{
			resources: g.each(clusters, "container-instance/%s/*"), clusters: g.each(clusters, "cluster/%s"),
			why: "Which host is drained only a round knows; it is one of the cluster's.",
		}
	case changeServices:
		return statement{resources: g.counted(acting)}
	case changeGroups:
		return statement{resources: groups, why: "The ARN of an Auto Scaling group has an id that nobody chooses before the name, which is given in full."}
	case launchHosts:
		return statement{
			resources: g.ofEC2(), why: "What a launch uses stands in the groups' launch templates; the condition admits only what a service of AWS does for the function.",
			conditions: map[string]map[string]any{"Bool": {"aws:ViaAWSService": "true"}},
		}
	case tagHosts:
		return statement{
			resources: []string{g.arn("ec2", "*/*")}, why: "A launch tags what it makes, which has no id before; the condition admits tags of a launch only.",
			conditions: map[string]map[string]any{"StringEquals": {"ec2:CreateAction": []string{"CreateFleet", "RunInstances"}}},
		}
	case readTemplates:
		return statement{resources: []string{everything}, why: "DescribeLaunchTemplateVersions knows no resource, so IAM takes only *."}
	default:
		return statement{
			resources: g.hostRoles, why: "A role's path may be given as *.",
			conditions: map[string]map[string]any{"StringLike": {"iam:PassedToService": "ec2.amazonaws.com*"}}, //nolint:gosec // a condition's key
		}
	}
}

// acting are the policies that say act.
func (g ground) acting() policy.Set {
	var all policy.Set
	for _, p := range g.policies {
		if p.Defaulted().Mode == policy.Act {
			all = append(all, p)
		}
	}
	return all
}

// each is an ARN of ECS's for each name.
func (g ground) each(names []string, format string) []string {
	var all []string
	for _, n := range names {
		all = append(all, g.arn("ecs", fmt.Sprintf(format, n)))
	}
	return all
}

// groups are the ARNs of the policies' Auto Scaling groups.
func (g ground) groups(set policy.Set) []string {
	var all []string
	for _, p := range set {
		for _, h := range p.Hosts {
			all = append(all, g.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/"+h.Group))
		}
	}
	return all
}

// counted are the ARNs of the services whose task count plimsoll owns.
func (g ground) counted(set policy.Set) []string {
	var all []string
	for _, p := range set {
		for _, name := range p.Scope().Services {
			if p.Services[name].Tasks != nil {
				all = append(all, g.arn("ecs", "service/"+p.Cluster+"/"+name))
			}
		}
	}
	return all
}

// ofEC2 are the kinds of resources that a launch makes or uses. Images and
// snapshots may be another account's.
func (g ground) ofEC2() []string {
	var all []string
	for kind := range strings.FieldsSeq("fleet instance launch-template network-interface security-group subnet volume key-pair placement-group capacity-reservation spot-instances-request") {
		all = append(all, g.arn("ec2", kind+"/*"))
	}
	for kind := range strings.FieldsSeq("image snapshot") {
		all = append(all, "arn:"+g.partition+":ec2:"+g.region+"::"+kind+"/*")
	}
	return all
}

// arn is an ARN of this account and Region.
func (g ground) arn(service, rest string) string {
	return "arn:" + g.partition + ":" + service + ":" + g.region + ":" + g.account + ":" + rest
}
