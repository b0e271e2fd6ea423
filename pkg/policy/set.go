package policy

import (
	"encoding/json"
	"fmt"
)

// Set is every cluster's policy of one deployment.
type Set []Policy

// Decode reads the set that is packed beside a function's bootstrap: a JSON array
// of policies. It is strict, checks the whole and fills in the defaults. The
// error of a wrong set is Problems: a function must not start with it.
func Decode(raw []byte) (Set, error) {
	problems, err := strange(raw)
	if err != nil {
		return nil, fmt.Errorf("decode policies: %w", err)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("decode policies: %w", problems)
	}
	var s Set
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("decode policies: %w", err)
	}
	if problems := s.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("decode policies: %w", Problems(problems))
	}
	return s.defaulted(), nil
}

// Encode writes a set for Decode, with every default written out, so that what a
// function runs by does not change with the defaults of its code. A set that
// Decode would refuse is an error here already.
func Encode(s Set) ([]byte, error) {
	if problems := s.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("encode policies: %w", Problems(problems))
	}
	raw, err := json.Marshal(s.defaulted())
	if err != nil {
		return nil, fmt.Errorf("encode policies: %w", err)
	}
	return raw, nil
}

func (s Set) defaulted() Set {
	all := make(Set, 0, len(s))
	for _, p := range s {
		all = append(all, p.Defaulted())
	}
	return all
}

// Validate is everything that is wrong with the policies, each alone and all
// together: a cluster, a host group, a target group and a registry have one
// owner. Paths begin with the policy's index.
func (s Set) Validate() []Problem {
	var c check
	c.need(len(s) > 0, "", "no policy", "one a cluster", "add a policy")
	clusters, groups, targets, registries := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i, p := range s {
		path := fmt.Sprintf("[%d]", i)
		for _, problem := range p.Validate() {
			problem.Path = path + "." + problem.Path
			c.problems = append(c.problems, problem)
		}
		c.owned(path+".cluster", p.Cluster, clusters, i)
		for j, g := range p.Hosts {
			c.owned(fmt.Sprintf("%s.hosts[%d].group", path, j), g.Group, groups, i)
		}
		for at, e := range p.rows() {
			c.owned(path+"."+at+".targetGroup", e.TargetGroup, targets, i)
			c.owned(path+"."+at+".registry", e.Registry, registries, i)
		}
	}
	c.problems.Sort()
	return c.problems
}

// owned notes policy i as the owner of a name, and tells of one that another
// policy owns. A name twice in one policy is that policy's own problem.
func (c *check) owned(path, name string, owners map[string]int, i int) {
	owner, known := owners[name]
	if !known {
		owners[name] = i
		return
	}
	c.need(owner == i || name == "", path, fmt.Sprintf("%q, which policy [%d] has too", name, owner),
		"a "+leaf(path)+" in one policy only", "remove it from one of the two")
}

// Clusters are the names of the set's clusters, in its order.
func (s Set) Clusters() []string {
	names := make([]string, 0, len(s))
	for _, p := range s {
		names = append(names, p.Cluster)
	}
	return names
}

// Of is a cluster's policy, a copy of its own with every default filled in;
// false where the set has none.
func (s Set) Of(clusterName string) (Policy, bool) {
	return s.first(func(p Policy) bool { return p.Cluster == clusterName })
}

// GroupOwner is the cluster whose hosts are in an Auto Scaling group; false where
// no policy names it.
func (s Set) GroupOwner(group string) (clusterName string, ok bool) {
	p, ok := s.first(func(p Policy) bool {
		for _, g := range p.Hosts {
			if g.Group == group {
				return true
			}
		}
		return false
	})
	return p.Cluster, ok
}

// AlarmOwner is the cluster that an alarm of Alarms belongs to; false for any
// other alarm.
func (s Set) AlarmOwner(name string) (clusterName string, ok bool) {
	p, ok := s.first(func(p Policy) bool {
		for _, a := range Alarms(p) {
			if a.Name == name {
				return true
			}
		}
		return false
	})
	return p.Cluster, ok
}

// first is the first policy of which a fact holds.
func (s Set) first(holds func(Policy) bool) (Policy, bool) {
	for _, p := range s {
		if holds(p) {
			return p.Defaulted(), true
		}
	}
	return Policy{}, false
}
