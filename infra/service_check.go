package infra

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// check says everything that is wrong with the props, defaults filled in.
func (p ServiceProps) check() error {
	var f findings
	if p.Cluster == nil {
		f.need(false, "service %q: it needs a Cluster", p.Name)
		return f.err()
	}
	p.checkPolicy(&f)
	_, twice := p.Cluster.services[p.Name]
	f.need(!twice, "service %q: cluster %q has a service of that name already", p.Name, p.Cluster.props.Name)
	f.need(p.Controller != "EXTERNAL", "service %q: the EXTERNAL deployment controller needs rollouts, which plimsoll does not carry out yet; use ECS", p.Name)
	f.need(p.Controller == "ECS" || p.Controller == "EXTERNAL", "service %q: the deployment controller must be ECS, not %q", p.Name, p.Controller)
	f.need(p.OS != "", "service %q: cluster %q has hosts with Linux and with Windows; say which by OS", p.Name, p.Cluster.props.Name)
	f.need(keepsLogs(p.LogDays), "service %q: CloudWatch Logs does not keep records for %d days; take one of %s", p.Name, p.LogDays, logDays)
	f.need(!p.held() || p.OS != Windows, "service %q: the hold container needs Linux; on Windows the application must serve on after it is told to stop, and Hold.None say so", p.Name)
	for _, e := range p.Constraints {
		f.need(strings.TrimSpace(e) != "", "service %q: a constraint is an expression of the cluster query language, and one is empty", p.Name)
	}
	f.need(p.Grace >= 0 && p.Grace%time.Second == 0, "service %q: Grace must be whole seconds, not %v", p.Name, p.Grace)
	p.checkContainers(&f)
	f.need(p.fits(), "service %q: no host of cluster %q is large enough for its task of %d CPU units and %d MiB", p.Name, p.Cluster.props.Name, p.cpu(), p.memory())
	p.checkTargets(&f)
	p.checkEndpoints(&f)
	f.need(0 <= p.Hold.Delay && p.Hold.Delay <= time.Hour && p.Hold.Delay%time.Second == 0, "service %q: Hold.Delay must be whole seconds up to an hour, not %v", p.Name, p.Hold.Delay)
	return f.err()
}

// checkPolicy leaves the service's entry to the rules of policies, with the
// percentages that the ECS service will have.
func (p ServiceProps) checkPolicy(f *findings) {
	entry := p.Scaling
	minimum, maximum := p.percents()
	entry.MinimumHealthyPercent, entry.MaximumPercent = &minimum, &maximum
	wish := policy.Policy{
		Version: policy.Version, Cluster: p.Cluster.props.Name,
		Hosts:    []policy.HostGroup{{Group: "any", Min: 0, Max: 1}},
		Services: map[string]policy.Service{p.Name: entry},
	}
	for _, t := range entry.Scale {
		for _, name := range slices.Sorted(maps.Keys(t.Dimensions)) {
			f.need(!unknown(t.Dimensions[name]), "service %q: the dimension %s of metric %s is known only after the deployment, and the policy is packed before it", p.Name, name, t.Metric)
		}
	}
	for _, problem := range wish.Validate() {
		f.need(false, "service %q: %s", p.Name, problem)
	}
}

func (p ServiceProps) checkTargets(f *findings) {
	c := p.Cluster
	f.need(len(p.Targets) == 0 || c.balancer != nil && c.network != nil, "service %q: its targets need a load balancer and a network of cluster %q", p.Name, c.props.Name)
	f.need(len(p.Targets) <= 5 || !p.byECS(), "service %q: ECS registers a service with 5 target groups at most, not %d", p.Name, len(p.Targets))
	ids, priorities := map[string]bool{}, map[int]bool{}
	for _, t := range p.Targets {
		f.need(!ids[t.id()], "service %q: port %d of container %q is a target twice; one target takes several Hosts and Paths", p.Name, t.Port, t.Container)
		if c.balancer != nil {
			other := notes{c.Construct}.of("rule", t.rule(c))
			f.need(other == "", "service %q: the rule priority %d is taken by service %s", p.Name, t.Priority, other)
		}
		f.need(!priorities[t.Priority], "service %q: two targets have the rule priority %d", p.Name, t.Priority)
		ids[t.id()], priorities[t.Priority] = true, true
		p.checkTarget(f, t)
	}
}

func (p ServiceProps) checkTarget(f *findings, t Target) {
	f.need(p.maps(t.Container, t.Port, policy.TCP), "service %q: no container %q of the task has the tcp port %d, which a target names", p.Name, t.Container, t.Port)
	f.need(p.dynamic(t), "service %q: port %d of container %q has a host port, and the load balancer reaches dynamic ones only; leave Host out", p.Name, t.Port, t.Container)
	f.need(1 <= t.Priority && t.Priority <= 50000, "service %q: the rule of a target needs a Priority from 1 to 50,000, not %d", p.Name, t.Priority)
	f.need(t.Protocol == "HTTP" || t.Protocol == "HTTPS", "service %q: a target's protocol must be HTTP or HTTPS, not %q", p.Name, t.Protocol)
	delay := *t.DeregistrationDelay
	f.need(0 <= delay && delay <= time.Hour && delay%time.Second == 0, "service %q: a deregistration delay must be whole seconds up to an hour, not %v", p.Name, delay)
	t.checkPatterns(f, p.Name)
	t.Health.check(f, p.Name)
}

// checkPatterns wants patterns that ELB takes (RuleCondition), and that a request
// can match.
func (t Target) checkPatterns(f *findings, service string) {
	values := len(t.Hosts) + len(t.Paths)
	f.need(1 <= values && values <= 5, "service %q: a target needs 1 to 5 Hosts and Paths to match, not %d", service, values)
	for _, h := range t.Hosts {
		f.need(unknown(h) || regexp.MustCompile(`^[A-Za-z0-9.*?-]{1,128}$`).MatchString(h), "service %q: a target's host %q must be 1 to 128 letters, digits and - . * ?", service, h)
	}
	for _, path := range t.Paths {
		f.need(unknown(path) || regexp.MustCompile(`^[/*?][A-Za-z0-9_.$/~"'@:+&*?-]{0,127}$`).MatchString(path),
			"service %q: a target's path %q must begin with / or a wildcard and be up to 128 letters, digits and _ - . $ / ~ \" ' @ : + & * ?", service, path)
	}
}

// check wants what a target group takes.
func (h TargetHealth) check(f *findings, service string) {
	f.need(5*time.Second <= h.Interval && h.Interval <= 300*time.Second && 2*time.Second <= h.Timeout && h.Timeout < h.Interval,
		"service %q: a target's health check needs an Interval of 5 to 300 s and a Timeout from 2 s that is shorter, not %v and %v", service, h.Interval, h.Timeout)
	f.need(2 <= min(h.Healthy, h.Unhealthy) && max(h.Healthy, h.Unhealthy) <= 10, "service %q: a target's health check needs 2 to 10 checks in a row, not %d and %d", service, h.Healthy, h.Unhealthy)
	f.need(strings.HasPrefix(h.Path, "/") && len(h.Path) <= 1024, "service %q: the Path of a target's health check must begin with /, not be %q", service, h.Path)
	f.need(codes(h.Codes), "service %q: the Codes of a target's health check must be of 200 to 499, as 200, 200,204 or 200-399, not %q", service, h.Codes)
}

// codes says whether ELB takes HTTP status codes for well (Matcher): values and
// ranges with commas between.
func codes(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		from, to, several := strings.Cut(part, "-")
		if !several {
			to = from
		}
		low, err := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || low < 200 || high < low || high > 499 {
			return false
		}
	}
	return true
}

// dynamic says whether a target's port is left to the host's dynamic ones.
func (p ServiceProps) dynamic(t Target) bool {
	for _, c := range p.Containers {
		for _, port := range c.Ports {
			if c.Name == t.Container && port.Container == t.Port && port.Host != 0 {
				return false
			}
		}
	}
	return true
}

// cpu and memory are what placement counts of a task, the hold container's 6 MiB
// included.
func (p ServiceProps) cpu() int {
	sum := 0
	for _, c := range p.Containers {
		sum += c.CPU
	}
	return sum
}

func (p ServiceProps) memory() int {
	sum := 0
	if p.held() {
		sum = holdMinimum
	}
	for _, c := range p.Containers {
		sum += or(c.MemoryReservation, c.Memory)
	}
	return sum
}

// fits says whether a task may have room on an empty host of some group. Where
// a host's size is not known, and up to its nominal memory, it may.
func (p ServiceProps) fits() bool {
	for _, g := range p.Cluster.props.Groups {
		m, err := machineOf(g.InstanceType)
		if err != nil || m.vcpus == 0 || m.memory == 0 || p.cpu() <= 1024*m.vcpus && p.memory() < m.memory {
			return true
		}
	}
	return false
}
