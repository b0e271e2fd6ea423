package simcloud

import (
	"maps"
	"slices"
	"time"
)

// staleFor is how old the state that a stale read shows may be.
const staleFor = time.Minute

// past is what the world was like a moment ago, for stale reads.
type past struct {
	pictures []picture // of ECS and Auto Scaling, oldest first; the first may be older than staleFor
	due      bool      // a picture
	undo     []undone  // of the tables, oldest first
}

// picture is the state of all clusters and groups at one instant.
type picture struct {
	at       time.Time
	clusters []*ecsCluster
	groups   []*asGroup
	elb      *elb
}

// undone is an item before a write.
type undone struct {
	at    time.Time
	table *table
	key   itemKey
	item  attributes // nil: none
}

// pastChanged notes that the world is another now. A picture is taken within a
// second, of all that has changed by then.
func (f *Faults) pastChanged() {
	switch {
	case f.rates[faultStaleReads] == 0:
		f.past = past{due: f.past.due}
	case f.past.pictures == nil:
		f.takePicture()
	case !f.past.due:
		f.past.due = true
		f.c.after(time.Second, func() {
			f.past.due = false
			if f.rates[faultStaleReads] > 0 {
				f.takePicture()
			}
		})
	}
}

func (f *Faults) takePicture() {
	p := picture{at: f.c.now}
	for _, c := range f.c.fleet.clusters {
		p.clusters = append(p.clusters, c.frozen())
	}
	for _, g := range f.c.fleet.groups {
		p.groups = append(p.groups, g.frozen())
	}
	p.elb = f.c.fleet.elb.frozen()
	all := append(f.past.pictures, p)
	for len(all) > 1 && f.c.now.Sub(all[1].at) > staleFor {
		all = all[1:]
	}
	f.past.pictures = all
}

// seenAt draws the instant that a read of an invocation shows.
func (f *Faults) seenAt() time.Time {
	if f.c.current == nil || !f.drawn(faultStaleReads) {
		return f.c.now
	}
	return f.c.now.Add(-between(f.c.stream("fault "+faultStaleReads), 0, staleFor))
}

// picture is the newest picture of no later than an instant, or the oldest. Where
// something has changed since, the fault has struck.
func (f *Faults) picture(at time.Time) picture {
	all := f.past.pictures
	n := len(all) - 1
	for n > 0 && all[n].at.After(at) {
		n--
	}
	if n < len(all)-1 || f.past.due {
		f.strike(faultStaleReads)
	}
	return all[n]
}

// seen finds a cluster as a read shows it, by name or ARN.
func (f *fleet) seen(ref *string) (*ecsCluster, error) {
	now, err := f.cluster(ref)
	at := f.faults.seenAt()
	if err != nil || !at.Before(f.now) {
		return now, err
	}
	for _, c := range f.faults.picture(at).clusters {
		if c.name == now.name {
			return c, nil
		}
	}
	return now, nil
}

// groupsSeen are the Auto Scaling groups as a read shows them.
func (f *fleet) groupsSeen() []*asGroup {
	at := f.faults.seenAt()
	if !at.Before(f.now) {
		return f.groups
	}
	return f.faults.picture(at).groups
}

// frozen copies what the answers of reads are made of.
func (c *ecsCluster) frozen() *ecsCluster {
	out := &ecsCluster{name: c.name, arn: c.arn, hostByID: make(map[string]*ecsHost, len(c.hostByID)), taskByID: make(map[string]*ecsTask, len(c.taskByID))}
	services, deployments := map[*ecsService]*ecsService{}, map[*ecsDeployment]*ecsDeployment{}
	for _, s := range c.services {
		copied := *s
		copied.cluster, copied.tasks, copied.deployments, copied.messages = out, nil, nil, slices.Clone(s.messages)
		for _, d := range s.deployments {
			one := *d
			deployments[d] = &one
			copied.deployments = append(copied.deployments, &one)
		}
		services[s] = &copied
		out.services = append(out.services, &copied)
	}
	hosts := map[*ecsHost]*ecsHost{}
	for _, h := range c.hosts {
		copied := *h
		copied.cluster, copied.tasks, copied.static, copied.dynamic = out, nil, maps.Clone(h.static), maps.Clone(h.dynamic)
		hosts[h] = &copied
		out.hosts, out.hostByID[h.id] = append(out.hosts, &copied), &copied
	}
	for _, t := range c.tasks {
		copied := *t
		copied.cluster, copied.service, copied.host, copied.deployment = out, services[t.service], hosts[t.host], deployments[t.deployment]
		copied.parts = slices.Clone(t.parts)
		if copied.host == nil { // deregistered for longer than it can be described
			one := *t.host
			copied.host = &one
		}
		out.tasks, out.taskByID[t.id] = append(out.tasks, &copied), &copied
		if t.last == statusStopped {
			continue
		}
		copied.host.tasks = append(copied.host.tasks, &copied)
		if copied.service != nil {
			copied.service.tasks = append(copied.service.tasks, &copied)
		}
	}
	return out
}

func (g *asGroup) frozen() *asGroup {
	out := *g
	out.instances, out.policies = nil, slices.Clone(g.policies)
	for _, i := range g.instances {
		copied := *i
		out.instances = append(out.instances, &copied)
	}
	return &out
}

// written notes what an item was before a write.
func (f *Faults) written(t *table, key itemKey) {
	if f.rates[faultStaleReads] == 0 {
		return
	}
	all := f.past.undo
	for len(all) > 0 && f.c.now.Sub(all[0].at) > staleFor {
		all = all[1:]
	}
	f.past.undo = append(all, undone{at: f.c.now, table: t, key: key, item: t.get(key)})
}

// seen is a table as a read shows it.
func (d *DynamoDB) seen(t *table, consistent *bool) *table {
	if consistent != nil && *consistent {
		return t
	}
	at := d.c.faults.seenAt()
	if !at.Before(d.c.now) {
		return t
	}
	old := *t
	old.partitions = maps.Clone(t.partitions)
	own := map[string]bool{}
	undo, changed := d.c.faults.past.undo, false
	for n := len(undo) - 1; n >= 0 && undo[n].at.After(at); n-- {
		if u := undo[n]; u.table == t {
			changed = true
			if !own[u.key.hash] {
				own[u.key.hash], old.partitions[u.key.hash] = true, slices.Clone(old.partitions[u.key.hash])
			}
			old.put(u.key, u.item)
		}
	}
	if changed {
		d.c.faults.strike(faultStaleReads)
	}
	return &old
}
