package infra

import (
	"regexp"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Registrar is who registers the ports of a service's tasks in the target groups
// of its Targets.
type Registrar string

const (
	// RegisteredByECS has the ECS service name its target groups, five at most: ECS
	// registers tasks and takes them off.
	RegisteredByECS Registrar = "ECS"

	// RegisteredByPlimsoll has the policy name them, by each Target's Name, and the
	// ECS service none. plimsoll registers whatever port a task got, in any number
	// of groups, and takes off everything else that it finds there.
	RegisteredByPlimsoll Registrar = "plimsoll"

	// RegistrarChanges has both name them, for the way from one to the other: ECS
	// registers, and plimsoll, which sees that, leaves the groups alone until ECS
	// does no more. The next deployment then changes the ECS service only.
	RegistrarChanges Registrar = "changes"
)

// byECS says whether the ECS service names target groups, byPlimsoll whether the
// policy does.
func (p ServiceProps) byECS() bool { return p.RegisteredBy != RegisteredByPlimsoll }

func (p ServiceProps) byPlimsoll() bool {
	return p.RegisteredBy == RegisteredByPlimsoll || p.RegisteredBy == RegistrarChanges
}

// withEndpoints has the service's entry in the policy name all places where plimsoll
// is to register its tasks. What the entry named before is of somebody else's
// making. A name that only CloudFormation knows is left to checkTargetName.
func (p ServiceProps) withEndpoints() ServiceProps {
	p.foreign = p.Scaling.Endpoints
	all := slices.Clone(p.foreign)
	for _, t := range p.Targets {
		if p.byPlimsoll() && t.Name != "" && !unknown(t.Name) {
			all = append(all, policy.Endpoint{Container: t.Container, Port: t.Port, TargetGroup: t.Name})
		}
	}
	for _, r := range p.Registries {
		if !unknown(r.called()) {
			all = append(all, policy.Endpoint{Container: r.Container, Port: r.Port, Protocol: r.Protocol, Registry: r.called()})
		}
	}
	p.Scaling.Endpoints = all
	return p
}

// foreignGroups says whether the entry names target groups of others' making.
func (p ServiceProps) foreignGroups() bool {
	return slices.ContainsFunc(p.foreign, func(e policy.Endpoint) bool { return e.TargetGroup != "" })
}

// checkEndpoints wants ports that the task has behind all endpoints, and names
// where the policy needs them.
func (p ServiceProps) checkEndpoints(f *findings) {
	f.need(holds("ECS plimsoll changes", string(p.RegisteredBy)), "service %q: RegisteredBy must be ECS, plimsoll or changes, not %q", p.Name, p.RegisteredBy)
	acts := p.RegisteredBy != RegisteredByPlimsoll || or(p.Cluster.props.Mode, policy.Act) == policy.Act
	f.need(acts, "service %q: plimsoll only observes cluster %q, so nobody would register its tasks; give the cluster's Mode as act, or RegisteredBy as changes until it is", p.Name, p.Cluster.props.Name)
	names := map[string]string{}
	for _, t := range p.Targets {
		p.checkTargetName(f, t)
		id, twice := names[t.Name]
		f.need(!twice || t.Name == "" || id == t.id(), "service %q: two targets have the name %q", p.Name, t.Name)
		names[t.Name] = t.id()
	}
	for _, e := range p.foreign {
		protocol := or(e.Protocol, policy.TCP)
		f.need(p.maps(e.Container, e.Port, protocol), "service %q: no container %q of the task has the %s port %d, which an endpoint names", p.Name, e.Container, protocol, e.Port)
	}
	for _, r := range p.Registries {
		r.check(f, p)
	}
}

// checkTargetName wants a name where the policy names the group, and one that is
// free. Whether plimsoll can use it the rules of policies say.
func (p ServiceProps) checkTargetName(f *findings, t Target) {
	where := p.Cluster
	f.need(t.Name != "" || !p.byPlimsoll(), "service %q: the target of port %d of container %q needs a Name, since the policy, which is packed before the deployment, names its group", p.Name, t.Port, t.Container)
	f.need(t.Name != "" || !t.NameKept, "service %q: a target with NameKept needs the Name that its group has", p.Name)
	f.need(!unknown(t.Name), "service %q: the name of the target of port %d is known only after the deployment, and the policy is packed before it", p.Name, t.Port)
	right := t.Name == "" || unknown(t.Name) || p.byPlimsoll() || targetGroupName().MatchString(t.Name)
	f.need(right, "service %q: a target's Name must be 1 to 32 letters, digits and hyphens, none at its ends, not %q", p.Name, t.Name)
	if where.balancer != nil && t.Name != "" {
		other := notes{where.Construct}.of("targetGroup", t.group(where))
		f.need(other == "", "service %q: the target group %q is that of service %s already", p.Name, t.Name, other)
	}
}

// targetGroupName matches what Elastic Load Balancing takes (CreateTargetGroup).
func targetGroupName() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)
}

// group is the target's group among all that an app may have: a name is taken
// once in an account and Region.
func (t Target) group(c *Cluster) string {
	return *awscdk.Stack_Of(c.Construct).Environment() + " " + t.Name
}

// maps says whether a container of the task has a port.
func (p ServiceProps) maps(container string, port int, protocol string) bool {
	for _, c := range p.Containers {
		for _, has := range c.Ports {
			if c.Name == container && has.Container == port && has.Protocol == protocol {
				return true
			}
		}
	}
	return false
}
