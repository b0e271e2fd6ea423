package infra

import (
	"maps"
	"slices"
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
	p.checkContainers(&f)
	f.need(p.fits(), "service %q: no host of cluster %q is large enough for its task of %d CPU units and %d MiB", p.Name, p.Cluster.props.Name, p.cpu(), p.memory())
	p.checkTargets(&f)
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

func (p ServiceProps) checkContainers(f *findings) {
	f.need(len(p.Containers) > 0, "service %q: a task needs a container", p.Name)
	names, volumes := map[string]bool{}, map[string]bool{}
	for _, v := range p.Volumes {
		f.need(v.Name != "" && !volumes[v.Name], "service %q: each volume needs a name of its own, not %q", p.Name, v.Name)
		volumes[v.Name] = true
	}
	for _, c := range p.Containers {
		f.need(!names[c.Name], "service %q: the container %q is there twice", p.Name, c.Name)
		f.need(c.Name != holdName || !p.held(), "service %q: the container %q has the name of the one that Hold adds", p.Name, c.Name)
		names[c.Name] = true
		c.check(f, p.Name)
	}
	for _, c := range p.Containers {
		for _, d := range c.DependsOn {
			f.need(names[d.Container] && d.Container != c.Name, "service %q: container %q depends on %q, which is no other container of the task", p.Name, c.Name, d.Container)
			f.need(holds("START COMPLETE SUCCESS HEALTHY", d.Condition), "service %q: container %q waits for START, COMPLETE, SUCCESS or HEALTHY of %q, not for %q", p.Name, c.Name, d.Container, d.Condition)
		}
		for _, m := range c.Mounts {
			f.need(volumes[m.Volume], "service %q: container %q mounts the volume %q, which the task has not", p.Name, c.Name, m.Volume)
			f.need(m.Path != "", "service %q: container %q mounts the volume %q nowhere; give a Path", p.Name, c.Name, m.Volume)
		}
	}
}

// check tells what is wrong with a container by itself.
func (c Container) check(f *findings, service string) {
	f.need(c.Image != "", "service %q: container %q needs an image", service, c.Name)
	f.need(!strings.HasSuffix(c.Image, ":latest"), "service %q: the image %q changes under the task; give a version or a digest", service, c.Image)
	f.need(c.Memory >= 6 || c.MemoryReservation >= 6, "service %q: container %q needs 6 MiB or more, as Memory or MemoryReservation", service, c.Name)
	f.need(c.Memory == 0 || c.MemoryReservation == 0 || c.Memory > c.MemoryReservation, "service %q: container %q reserves %d MiB, which must be less than its limit of %d", service, c.Name, c.MemoryReservation, c.Memory)
	f.need(c.CPU >= 0 && c.Memory >= 0 && c.MemoryReservation >= 0, "service %q: container %q has less than no CPU or memory", service, c.Name)
	f.need(c.StopTimeout >= 0, "service %q: container %q has the StopTimeout %v", service, c.Name, c.StopTimeout)
	for _, p := range c.Ports {
		p.check(f, service, c.Name)
	}
	if c.Health != nil {
		first := append(c.Health.Command, "")[0]
		f.need(first == "CMD" || first == "CMD-SHELL", "service %q: the health check of container %q must begin with CMD or CMD-SHELL", service, c.Name)
	}
}

func (p Port) check(f *findings, service, container string) {
	f.need(1 <= p.Container && p.Container <= 65535, "service %q: container %q cannot listen on port %d", service, container, p.Container)
	f.need(0 <= p.Host && p.Host < firstPort, "service %q: container %q cannot have the host port %d; from %d on they are given dynamically", service, container, p.Host, firstPort)
	f.need(p.Protocol == "tcp" || p.Protocol == "udp", "service %q: port %d of container %q must be tcp or udp, not %q", service, p.Container, container, p.Protocol)
}

func (p ServiceProps) checkTargets(f *findings) {
	c := p.Cluster
	f.need(len(p.Targets) == 0 || c.balancer != nil && c.network != nil, "service %q: its targets need a load balancer and a network of cluster %q", p.Name, c.props.Name)
	f.need(len(p.Targets) <= 5, "service %q: ECS registers a service with 5 target groups at most, not %d", p.Name, len(p.Targets))
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
	f.need(p.listens(t), "service %q: no container %q of the task has the tcp port %d, which a target names", p.Name, t.Container, t.Port)
	f.need(1 <= t.Priority && t.Priority <= 50000, "service %q: the rule of a target needs a Priority from 1 to 50,000, not %d", p.Name, t.Priority)
	values := len(t.Hosts) + len(t.Paths)
	f.need(1 <= values && values <= 5, "service %q: a target needs 1 to 5 Hosts and Paths to match, not %d", p.Name, values)
	f.need(t.Protocol == "HTTP" || t.Protocol == "HTTPS", "service %q: a target's protocol must be HTTP or HTTPS, not %q", p.Name, t.Protocol)
	delay := *t.DeregistrationDelay
	f.need(0 <= delay && delay <= time.Hour && delay%time.Second == 0, "service %q: a deregistration delay must be whole seconds up to an hour, not %v", p.Name, delay)
	h := t.Health
	f.need(5*time.Second <= h.Interval && h.Interval <= 300*time.Second && 2*time.Second <= h.Timeout && h.Timeout < h.Interval,
		"service %q: a target's health check needs an Interval of 5 to 300 s and a Timeout from 2 s that is shorter, not %v and %v", p.Name, h.Interval, h.Timeout)
	f.need(2 <= min(h.Healthy, h.Unhealthy) && max(h.Healthy, h.Unhealthy) <= 10, "service %q: a target's health check needs 2 to 10 checks in a row, not %d and %d", p.Name, h.Healthy, h.Unhealthy)
}

// listens says whether a container of the task has a target's port.
func (p ServiceProps) listens(t Target) bool {
	for _, c := range p.Containers {
		for _, port := range c.Ports {
			if c.Name == t.Container && port.Container == t.Port && port.Protocol == "tcp" {
				return true
			}
		}
	}
	return false
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
