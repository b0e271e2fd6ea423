package infra

import (
	"regexp"
	"strings"
	"time"
)

func (p ServiceProps) checkContainers(f *findings) {
	f.need(len(p.Containers) > 0, "service %q: a task needs a container", p.Name)
	all, essential := map[string]Container{}, len(p.Containers) == 0
	for _, c := range p.Containers {
		_, twice := all[c.Name]
		f.need(!twice, "service %q: the container %q is there twice", p.Name, c.Name)
		f.need(c.Name != holdName || !p.held(), "service %q: the container %q has the name of the one that Hold adds", p.Name, c.Name)
		all[c.Name], essential = c, essential || !c.NonEssential
		c.check(f, p.Name)
	}
	f.need(essential, "service %q: all of its containers are NonEssential, and a task needs one that is not", p.Name)
	p.checkMounts(f)
	p.checkDependencies(f, all)
}

func (p ServiceProps) checkMounts(f *findings) {
	volumes := map[string]bool{}
	for _, v := range p.Volumes {
		f.need(v.Name != "" && !volumes[v.Name], "service %q: each volume needs a name of its own, not %q", p.Name, v.Name)
		volumes[v.Name] = true
	}
	for _, c := range p.Containers {
		for _, m := range c.Mounts {
			f.need(volumes[m.Volume], "service %q: container %q mounts the volume %q, which the task has not", p.Name, c.Name, m.Volume)
			f.need(m.Path != "", "service %q: container %q mounts the volume %q nowhere; give a Path", p.Name, c.Name, m.Volume)
		}
	}
}

// checkDependencies wants conditions that can come true (ContainerDependency).
func (p ServiceProps) checkDependencies(f *findings, all map[string]Container) {
	for _, c := range p.Containers {
		for _, d := range c.DependsOn {
			on, there := all[d.Container]
			f.need(there && d.Container != c.Name, "service %q: container %q depends on %q, which is no other container of the task", p.Name, c.Name, d.Container)
			f.need(holds("START COMPLETE SUCCESS HEALTHY", d.Condition), "service %q: container %q waits for START, COMPLETE, SUCCESS or HEALTHY of %q, not for %q", p.Name, c.Name, d.Container, d.Condition)
			ends := d.Condition == "COMPLETE" || d.Condition == "SUCCESS"
			f.need(!there || !ends || on.NonEssential, "service %q: container %q waits for the end of %q, and the task ends with that; make it NonEssential", p.Name, c.Name, d.Container)
			f.need(!there || d.Condition != "HEALTHY" || on.Health != nil, "service %q: container %q waits until %q is healthy, which has no Health", p.Name, c.Name, d.Container)
		}
	}
	for _, c := range p.Containers {
		if waitsFor(all, c.Name, c.Name, map[string]bool{}) {
			f.need(false, "service %q: container %q depends on itself by way of others, so none of them starts", p.Name, c.Name)
			return
		}
	}
}

// waitsFor says whether a container waits for a goal, directly or by way of
// others that were not seen yet. To depend on oneself directly is told of before.
func waitsFor(all map[string]Container, name, goal string, seen map[string]bool) bool {
	seen[name] = true
	for _, d := range all[name].DependsOn {
		if d.Container == name {
			continue
		}
		if d.Container == goal || !seen[d.Container] && waitsFor(all, d.Container, goal, seen) {
			return true
		}
	}
	return false
}

// check tells what is wrong with a container by itself.
func (c Container) check(f *findings, service string) {
	f.need(regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`).MatchString(c.Name), "service %q: the container's name %q must be 1 to 255 letters, digits, hyphens and underscores", service, c.Name)
	c.checkImage(f, service)
	f.need(c.Memory >= 6 || c.MemoryReservation >= 6, "service %q: container %q needs 6 MiB or more, as Memory or MemoryReservation", service, c.Name)
	f.need(c.Memory == 0 || c.MemoryReservation == 0 || c.Memory > c.MemoryReservation, "service %q: container %q reserves %d MiB, which must be less than its limit of %d", service, c.Name, c.MemoryReservation, c.Memory)
	f.need(c.CPU >= 0 && c.Memory >= 0 && c.MemoryReservation >= 0, "service %q: container %q has less than no CPU or memory", service, c.Name)
	f.need(c.StopTimeout == 0 || c.StopTimeout >= time.Second && c.StopTimeout%time.Second == 0, "service %q: the StopTimeout of container %q must be whole seconds, one or more, not %v", service, c.Name, c.StopTimeout)
	for _, p := range c.Ports {
		p.check(f, service, c.Name)
	}
	if c.Health != nil {
		c.Health.check(f, service, c.Name)
	}
}

// checkImage wants one that stays the same: without a tag it is the latest. Of
// one that only CloudFormation knows nothing can be said.
func (c Container) checkImage(f *findings, service string) {
	f.need(c.Image != "", "service %q: container %q needs an image", service, c.Name)
	name := c.Image[strings.LastIndex(c.Image, "/")+1:]
	moves := strings.HasSuffix(name, ":latest") || name != "" && !unknown(c.Image) && !strings.ContainsAny(name, ":@")
	f.need(!moves, "service %q: the image %q changes under the task; give a version or a digest", service, c.Image)
}

// check wants what ECS takes (HealthCheck).
func (h Health) check(f *findings, service, container string) {
	first := append(h.Command, "")[0]
	f.need(len(h.Command) > 1 && (first == "CMD" || first == "CMD-SHELL"), "service %q: the health check of container %q must begin with CMD or CMD-SHELL, and a command must follow", service, container)
	f.need(within(h.Interval, 5, 300) && within(h.Timeout, 2, 60) && within(h.StartPeriod, 0, 300),
		"service %q: the health check of container %q needs an Interval of 5 to 300 s, a Timeout of 2 to 60 s and a StartPeriod up to 300 s, not %v, %v and %v", service, container, h.Interval, h.Timeout, h.StartPeriod)
	f.need(1 <= h.Retries && h.Retries <= 10, "service %q: the health check of container %q needs 1 to 10 Retries, not %d", service, container, h.Retries)
}

// within says whether a duration is so many whole seconds.
func within(d time.Duration, low, high int) bool {
	return d%time.Second == 0 && low <= int(d/time.Second) && int(d/time.Second) <= high
}

func (p Port) check(f *findings, service, container string) {
	f.need(1 <= p.Container && p.Container <= 65535, "service %q: container %q cannot listen on port %d", service, container, p.Container)
	f.need(0 <= p.Host && p.Host < firstPort, "service %q: container %q cannot have the host port %d; from %d on they are given dynamically", service, container, p.Host, firstPort)
	f.need(p.Protocol == "tcp" || p.Protocol == "udp", "service %q: port %d of container %q must be tcp or udp, not %q", service, p.Container, container, p.Protocol)
}
