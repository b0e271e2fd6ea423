package policy

import (
	"fmt"
	"strings"
	"time"
)

// nameMax is how long a cluster's, a service's or a group's name may be, in
// characters (ECS CreateCluster and CreateService, CreateAutoScalingGroup).
const nameMax = 255

// Validate is everything that is wrong with the policy, sorted by path; nothing
// for one that may be acted on. What is absent and has a default is right.
func (p Policy) Validate() []Problem {
	var c check
	c.need(p.Version == Version, "version", number(p.Version), number(Version), "set version: 1")
	c.need(p.Mode == "" || p.Mode == Act || p.Mode == Observe, "mode", quote(string(p.Mode)), "act or observe", "set mode: observe to change nothing yet")
	c.need(ecsName(p.Cluster), "cluster", quote(p.Cluster), ecsNames, "write the ECS cluster's name, not its ARN")
	c.hosts(p.Hosts)
	for name, s := range p.Services {
		c.service("services."+name, name, s)
	}
	c.endpoints(p)
	c.problems.Sort()
	return c.problems
}

// check gathers problems.
type check struct{ problems Problems }

// need tells of a problem unless ok.
func (c *check) need(ok bool, path, found, allowed, help string) {
	if !ok {
		c.problems = append(c.problems, Problem{Path: path, Found: found, Allowed: allowed, Help: help})
	}
}

// atLeast wants a number of at least low.
func (c *check) atLeast(path string, v, low int) {
	c.need(v >= low, path, number(v), fmt.Sprintf("%d or more", low), set(path, low))
}

// within wants a number from low to high.
func (c *check) within(path string, v, low, high int) {
	c.need(low <= v && v <= high, path, number(v), fmt.Sprintf("%d to %d", low, high), set(path, min(max(v, low), high)))
}

// span wants a duration from low to high, in whole seconds.
func (c *check) span(path string, d Duration, low, high time.Duration) {
	nearest := Duration{min(max(d.Round(time.Second), low), high)}
	ok := low <= d.Duration && d.Duration <= high && d.Duration%time.Second == 0
	c.need(ok, path, d.String(), fmt.Sprintf("%s to %s in whole seconds", Duration{low}, Duration{high}), set(path, nearest))
}

// optional is span for a duration whose zero stands for its default.
func (c *check) optional(path string, d Duration, low, high time.Duration) {
	if d.Duration != 0 {
		c.span(path, d, low, high)
	}
}

// counts wants a minimum and a maximum of hosts or tasks.
func (c *check) counts(path string, low, high int) {
	c.atLeast(path+".min", low, 0)
	if high < 1 {
		c.need(false, path+".max", number(high), "1 or more", fmt.Sprintf("set max: %d", max(1, low)))
		return
	}
	c.need(high >= low, path+".max", number(high), fmt.Sprintf("%d or more (not below min)", low), fmt.Sprintf("set max: %d or min: %d", low, high))
}

func (c *check) hosts(groups []HostGroup) {
	c.need(len(groups) > 0, "hosts", "no host group", "one or more", "add - {group: NAME, min: 1, max: 10}")
	first := map[string]int{}
	for i, g := range groups {
		path := fmt.Sprintf("hosts[%d]", i)
		if j, twice := first[g.Group]; twice && g.Group != "" {
			c.need(false, path+".group", fmt.Sprintf("%q, as in hosts[%d]", g.Group, j), "each group once", "remove one of the two")
		} else {
			first[g.Group] = i
		}
		c.group(path, g)
	}
}

func (c *check) group(path string, g HostGroup) {
	// Auto Scaling takes * and ? in a name. In the ARN by which a role may change the
	// group they would stand for any characters, and so for other groups.
	ok := printable(g.Group, nameMax) && !strings.ContainsAny(g.Group, ":*?")
	c.need(ok, path+".group", quote(g.Group), "1 to 255 printable ASCII characters without a colon, * or ?", "write the Auto Scaling group's name, not its ARN")
	c.counts(path, g.Min, g.Max)
	if g.Offers != nil {
		c.atLeast(path+".offers.cpu", g.Offers.CPU, 1)
		c.atLeast(path+".offers.memory", g.Offers.Memory, 1)
	}
	c.optional(path+".removal.emptyAfter", g.Removal.EmptyAfter, time.Second, 24*time.Hour)
	c.optional(path+".removal.drainTimeout", g.Removal.DrainTimeout, time.Second, 24*time.Hour)
	if g.Removal.MaxAtOnce != 0 {
		c.atLeast(path+".removal.maxAtOnce", g.Removal.MaxAtOnce, 1)
	}
}

func (c *check) service(path, name string, s Service) {
	c.need(ecsName(name), path, quote(name), ecsNames, "write the ECS service's name, not its ARN")
	if s.Tasks != nil {
		c.counts(path+".tasks", s.Tasks.Min, s.Tasks.Max)
	}
	c.need(s.Tasks != nil || len(s.Scale) == 0, path+".tasks", "nothing, but scale", "min and max beside scale", "add tasks: {min: 1, max: 10}, or remove scale")
	c.percents(path, s)
	if s.Tolerance != nil {
		c.within(path+".tolerance", *s.Tolerance, 0, 50)
	}
	c.manner(path+".scaleOut", s.ScaleOut)
	c.manner(path+".scaleIn", s.ScaleIn)
	c.targets(path+".scale", name, s.Scale)
}

// percents wants bounds that ECS takes, and with which a task can be replaced at
// one count at least.
func (c *check) percents(path string, s Service) {
	before := len(c.problems)
	if s.MinimumHealthyPercent != nil {
		c.within(path+".minimumHealthyPercent", *s.MinimumHealthyPercent, 0, 100)
	}
	if s.MaximumPercent != nil {
		c.atLeast(path+".maximumPercent", *s.MaximumPercent, 100)
	}
	count := s.largestCount()
	if len(c.problems) > before || s.MinimumHealthyPercent == nil || s.MaximumPercent == nil || count < 1 {
		return
	}
	low, high := unstuck(count)
	c.need(!stuck(count, *s.MinimumHealthyPercent, *s.MaximumPercent), path+".maximumPercent",
		fmt.Sprintf("%d with minimumHealthyPercent %d: at no count up to %d may a task start or stop", *s.MaximumPercent, *s.MinimumHealthyPercent, count),
		"bounds that let a task be replaced",
		fmt.Sprintf("set maximumPercent: %d or minimumHealthyPercent: %d", high, low))
}

func (c *check) manner(path string, m Manner) {
	if m.Window != nil {
		c.span(path+".window", *m.Window, 0, time.Hour)
	}
	c.optional(path+".per", m.Per, 10*time.Second, time.Hour)
	c.atLeast(path+".maxTasks", m.MaxTasks, 0)
	c.atLeast(path+".maxPercent", m.MaxPercent, 0)
}

// ecsNames is the rule of ecsName in words.
const ecsNames = "1 to 255 letters, numbers, hyphens and underscores"

// ecsName says whether ECS would take the name for a cluster or a service.
func ecsName(s string) bool {
	for _, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= nameMax
}

// printable says whether s is 1 to longest printable ASCII characters, not all
// of them spaces.
func printable(s string, longest int) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) != "" && len(s) <= longest
}

// number and quote write a value that was found.
func number(v int) string { return fmt.Sprint(v) }

func quote(s string) string {
	if s == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", s)
}

// set is the help that a key be set to a value.
func set(path string, v any) string { return fmt.Sprintf("set %s: %v", leaf(path), v) }

// leaf is the last key of a path.
func leaf(path string) string { return path[strings.LastIndex(path, ".")+1:] }
