package infra

import (
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// registryID begins the id of a Cloud Map service, by which a policy may name it.
const registryID = "srv-"

// readsEC2 is why EC2's Describe calls have a * for resource.
const readsEC2 = "EC2's Describe calls know no resource, so IAM takes only *."

// lookUp is about what a round of endpoints reads beside ECS: of target groups
// where a policy names some, and of registries likewise.
func (g ground) lookUp(p place) statement {
	groups, registries := g.places(g.policies)
	if p == readTargets && len(groups) == 0 || p != readTargets && len(registries) == 0 {
		return statement{}
	}
	switch p {
	case readTargets:
		return statement{resources: []string{everything}, why: "Elastic Load Balancing's Describe calls know no resource, so IAM takes only *."}
	case readRegistries:
		return statement{resources: []string{everything}, why: "ListServices knows no resource, and an operation's has an id that nobody knows before."}
	case readInstances:
		return g.ofRegistries(registries)
	default:
		return statement{resources: []string{everything}, why: readsEC2}
	}
}

// reach is about what a round of endpoints changes: of the places that policies
// name which say act.
func (g ground) reach(p place) statement {
	groups, registries := g.places(g.acting())
	if p == changeTargets || p == readNetwork {
		return g.ofGroups(p, groups)
	}
	switch {
	case len(registries) == 0:
		return statement{}
	case p == changeInstances:
		return g.ofRegistries(registries)
	case p == changeRecords:
		return g.ofZones()
	default:
		return viaService(everything, "CreateHealthCheck knows no resource; the condition admits only what a service of AWS does for the function.")
	}
}

// ofGroups is about target groups, or about what registering there has AWS look at.
func (g ground) ofGroups(p place, groups []string) statement {
	if len(groups) > 0 && p == readNetwork {
		return statement{resources: []string{everything}, why: readsEC2}
	}
	var all []string
	for _, name := range groups {
		all = append(all, g.arn("elasticloadbalancing", "targetgroup/"+name+"/*"))
	}
	return statement{resources: all, why: "The ARN of a target group has an id after the name, which is given in full."}
}

// ofZones is about the hosted zones of registries: those that are given, or any,
// for Cloud Map only.
func (g ground) ofZones() statement {
	zones := "arn:" + g.partition + ":route53:::hostedzone/"
	if len(g.hostedZones) == 0 {
		return viaService(zones+everything, "Which zone a registry's records are in only Cloud Map knows; the condition admits only what a service of AWS does for the function.")
	}
	var all []string
	for _, id := range g.hostedZones {
		all = append(all, zones+id)
	}
	return statement{resources: all}
}

// viaService is about what AWS does in the function's name only.
func viaService(resource, why string) statement {
	return statement{resources: []string{resource}, why: why, conditions: map[string]map[string]any{"Bool": {"aws:ViaAWSService": "true"}}}
}

// places are the names of the target groups and of the registries of all
// endpoints of the policies, sorted.
func (g ground) places(set policy.Set) (groups, registries []string) {
	for _, p := range set {
		for _, name := range p.Registered() {
			for _, e := range p.EndpointsOf(name) {
				groups, registries = append(groups, e.TargetGroup), append(registries, e.Registry)
			}
		}
	}
	return sorted(groups), sorted(registries)
}

// sorted are the names that there are, each once.
func sorted(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// ofRegistries is about Cloud Map services: about all of them as soon as one is
// named by something else than its id, which IAM knows them by.
func (g ground) ofRegistries(registries []string) statement {
	var all []string
	for _, name := range registries {
		if !strings.HasPrefix(name, registryID) {
			return statement{resources: []string{g.arn("servicediscovery", "service/*")}, why: "IAM knows a Cloud Map service by its id, and the policy names one by its name."}
		}
		all = append(all, g.arn("servicediscovery", "service/"+name))
	}
	return statement{resources: all}
}
