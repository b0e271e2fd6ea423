package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// The protocols of an endpoint.
const (
	TCP = "tcp"
	UDP = "udp"
)

// The limits of AWS on what endpoints name (CreateTargetGroup, Cloud Map's
// CreateService, RunTask, PortMapping), in characters and as a port.
const (
	targetGroupMax = 32
	registryMax    = 127
	labelMax       = 63 // a part of a registry's name between dots
	startedByMax   = 128
	portMax        = 65535
)

// endpoints checks the rows of every service and of all standalone tasks. A
// target group or a registry stands under one name only: the rounds of another
// would take its targets for orphans.
func (c *check) endpoints(p Policy) {
	owners := map[place]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		c.rows("services."+name, p.Services[name].Endpoints, owners)
	}
	selected := map[[2]string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Standalone)) {
		path, s := "standalone."+name, p.Standalone[name]
		_, clash := p.Services[name]
		c.need(!clash, path, fmt.Sprintf("%q, as in services", name), "a name that no service has", "choose another name: it is plimsoll's own")
		c.standalone(path, name, s)
		tasks := [2]string{s.Family, s.StartedBy}
		other, twice := selected[tasks]
		c.need(!twice || tasks == [2]string{}, path, "the tasks of standalone."+other+" again", "each family and startedBy once", "put the endpoints of both under one name")
		selected[tasks] = name
		c.rows(path, s.Endpoints, owners)
	}
}

// standalone wants one way to tell which tasks those are.
func (c *check) standalone(path, name string, s Standalone) {
	c.need(ecsName(name), path, quote(name), ecsNames, "choose another name: it is plimsoll's own")
	c.need(s.Family == "" || s.StartedBy == "", path, "family and startedBy", "exactly one of them", "remove one of the two: ECS lists tasks by one of them only")
	c.need(s.Family != "" || s.StartedBy != "", path, "neither family nor startedBy", "exactly one of them", "add family, the name of the task definition without its revision")
	c.need(s.Family == "" || ecsName(s.Family), path+".family", quote(s.Family), ecsNames, "write the family's name, without a revision")
	ok := s.StartedBy == "" || ecsName(strings.ReplaceAll(s.StartedBy, "/", "-")) && len(s.StartedBy) <= startedByMax
	c.need(ok, path+".startedBy", quote(s.StartedBy), "1 to 128 letters, numbers, hyphens, slashes and underscores", "write what RunTask is told as startedBy")
	c.need(len(s.Endpoints) > 0, path+".endpoints", "no endpoint", "one or more", "add - {container: NAME, port: 8080, targetGroup: NAME}")
}

// rows checks the endpoints of one name, and notes whose each place is.
func (c *check) rows(path string, rows []Endpoint, owners map[place]string) {
	first := map[Endpoint]int{}
	for i, e := range rows {
		at := fmt.Sprintf("%s.endpoints[%d]", path, i)
		c.endpoint(at, e)
		j, twice := first[e.defaulted()]
		if twice {
			c.need(false, at, fmt.Sprintf("the endpoint of endpoints[%d] again", j), "each endpoint once", "remove one of the two")
			continue
		}
		first[e.defaulted()] = i
		for _, place := range e.places() {
			owner, known := owners[place]
			if !known {
				owners[place] = path
				continue
			}
			c.need(owner == path, at+"."+place.kind, fmt.Sprintf("%q, which %s has too", place.name, owner), "a "+place.kind+" under one name only", "remove it from one of the two, or give each its own")
		}
	}
}

func (c *check) endpoint(path string, e Endpoint) {
	c.need(ecsName(e.Container), path+".container", quote(e.Container), ecsNames, "write the container's name in the task definition")
	c.within(path+".port", e.Port, 1, portMax)
	c.need(e.Protocol == "" || e.Protocol == TCP || e.Protocol == UDP, path+".protocol", quote(e.Protocol), "tcp or udp", "set protocol: tcp")
	c.need(e.TargetGroup == "" || e.Registry == "", path, "targetGroup and registry", "exactly one of them", "write two endpoints, one for each")
	c.need(e.TargetGroup != "" || e.Registry != "", path, "neither targetGroup nor registry", "exactly one of them", "add targetGroup, the name of a target group")
	c.need(e.TargetGroup == "" || targetGroupName(e.TargetGroup), path+".targetGroup", quote(e.TargetGroup), "1 to 32 letters, numbers and hyphens, none at its ends", "write the target group's name, not its ARN")
	c.need(e.Registry == "" || registryName(e.Registry), path+".registry", quote(e.Registry), "1 to 127 letters, numbers, hyphens, underscores and dots, 63 at most between dots", "write the Cloud Map service's name or id, not its ARN")
}

// targetGroupName says whether Elastic Load Balancing would take the name for a
// target group.
func targetGroupName(s string) bool {
	return ecsName(s) && !strings.Contains(s, "_") && strings.Trim(s, "-") == s && len(s) <= targetGroupMax
}

// registryName says whether Cloud Map would take the name for a service.
func registryName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if !ecsName(label) || strings.Trim(label, "-") != label || len(label) > labelMax {
			return false
		}
	}
	return len(s) <= registryMax
}

// place is a target group or a registry, as the key of an endpoint that names it.
type place struct{ kind, name string }

// places are the places that an endpoint names: one, if it is right.
func (e Endpoint) places() []place {
	var all []place
	if e.TargetGroup != "" {
		all = append(all, place{"targetGroup", e.TargetGroup})
	}
	if e.Registry != "" {
		all = append(all, place{"registry", e.Registry})
	}
	return all
}

func (e Endpoint) defaulted() Endpoint {
	if e.Protocol == "" {
		e.Protocol = TCP
	}
	return e
}

// defaultedRows are rows with every default filled in; nil where there is none.
func defaultedRows(rows []Endpoint) []Endpoint {
	var all []Endpoint
	for _, e := range rows {
		all = append(all, e.defaulted())
	}
	return all
}

// EndpointsOf are the endpoints of a service, or of standalone tasks, by their
// name in the policy, with every default filled in.
func (p Policy) EndpointsOf(name string) []Endpoint {
	if s, ok := p.Services[name]; ok {
		return defaultedRows(s.Endpoints)
	}
	return defaultedRows(p.Standalone[name].Endpoints)
}

// Registered are the names of the policy that have endpoints, sorted: services
// and standalone tasks. Each has rounds of its own.
func (p Policy) Registered() []string {
	var names []string
	for name, s := range p.Services {
		if len(s.Endpoints) > 0 {
			names = append(names, name)
		}
	}
	for name := range p.Standalone {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// rows are all endpoints of the policy by their paths.
func (p Policy) rows() map[string]Endpoint {
	all := map[string]Endpoint{}
	for name, s := range p.Services {
		for i, e := range s.Endpoints {
			all[fmt.Sprintf("services.%s.endpoints[%d]", name, i)] = e
		}
	}
	for name, s := range p.Standalone {
		for i, e := range s.Endpoints {
			all[fmt.Sprintf("standalone.%s.endpoints[%d]", name, i)] = e
		}
	}
	return all
}

// HasTargetGroup says whether an endpoint of the policy names the target group:
// no other is ever changed.
func (p Policy) HasTargetGroup(name string) bool { return p.has(place{"targetGroup", name}) }

// HasRegistry says whether an endpoint of the policy names the Cloud Map service
// so, by its name or its id.
func (p Policy) HasRegistry(name string) bool { return p.has(place{"registry", name}) }

func (p Policy) has(wanted place) bool {
	for _, e := range p.rows() {
		if slices.Contains(e.places(), wanted) {
			return true
		}
	}
	return false
}

// EndpointScope is what a round of one name's endpoints looks at and may change;
// false where the policy has no endpoints of that name.
func (p Policy) EndpointScope(name string) (cluster.EndpointScope, bool) {
	rows := p.EndpointsOf(name)
	if len(rows) == 0 {
		return cluster.EndpointScope{}, false
	}
	standalone := p.Standalone[name]
	s := cluster.EndpointScope{
		Cluster: p.Cluster, Service: name, Family: standalone.Family, StartedBy: standalone.StartedBy,
	}
	for _, e := range rows {
		if e.TargetGroup != "" {
			s.Groups = append(s.Groups, e.TargetGroup)
		} else {
			s.Registries = append(s.Registries, e.Registry)
		}
	}
	s.Groups, s.Registries = distinct(s.Groups), distinct(s.Registries)
	return s, true
}

// distinct sorts names and drops repetitions.
func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
