package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// want is a number of identical tasks that want a place.
type want struct {
	Service   string // what spread and distinctInstance count; empty: no service
	Revision  cluster.Revision
	Placement cluster.Placement
	Count     int
}

// placement is where tasks went and why the others did not.
type placement struct {
	Placed int
	Hosts  map[int]int // tasks by index of the host
	Left   int         // found no place
	Why    whyNot      // of what is left: what each host was missing
}

// whyNot counts hosts by what they were missing first. It is nil where nothing
// is left.
type whyNot map[cause]int

// kind is a want, read once.
type kind struct {
	service    string
	needs      cluster.Resources
	ports      []cluster.Port
	attributes []string
	distinct   bool
	queries    []expression
	counts     bool // a query's answer changes as tasks are placed
	levels     []level
}

func kindOf(w want) *kind {
	k := &kind{
		service:    w.Service,
		needs:      w.Revision.Needs,
		ports:      w.Revision.Ports,
		attributes: w.Revision.Attributes,
		queries:    expressions(w.Placement.Constraints, w.Revision.Constraints),
		levels:     levels(w),
	}
	k.distinct = slices.ContainsFunc(w.Placement.Constraints, func(c cluster.Constraint) bool { return c.Type == "distinctInstance" })
	k.counts = slices.ContainsFunc(k.queries, func(e expression) bool { return e.counts })
	return k
}

// level is one criterion by which ECS prefers a host. The first level on which
// two hosts differ decides, and less is better on each.
type level struct {
	by    measure
	field string // byGroup: the attribute
}

type measure int

const (
	byGroup  measure = iota // tasks of the service on hosts with the same value of an attribute
	byHost                  // tasks of the service on the host
	byCPU                   // CPU units left
	byMemory                // MiB left
)

// levels are the strategies in their order; without any, ECS's default for a
// service: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_services.html
// What the strategies leave open ECS decides at random; here the host with the
// fewest tasks of the service stands in for chance, and then the order of the
// hosts, so that the same state gives the same plan.
func levels(w want) []level {
	strategies := w.Placement.Strategies
	if len(strategies) == 0 && w.Service != "" {
		strategies = []cluster.Strategy{{Type: "spread", Field: "attribute:ecs.availability-zone"}}
	}
	var all []level
	for _, s := range strategies {
		if l, ok := levelOf(s); ok && !slices.Contains(all, l) {
			all = append(all, l)
		}
		if s.Type == "random" {
			break // leaves nothing for a later strategy to decide
		}
	}
	if rest := (level{by: byHost}); !slices.Contains(all, rest) {
		all = append(all, rest)
	}
	return all
}

// levelOf reads a strategy. Strategies are best effort: one that is not known
// orders nothing and forbids nothing.
func levelOf(s cluster.Strategy) (level, bool) {
	field := strings.ToLower(s.Field)
	name, attribute := strings.CutPrefix(s.Field, "attribute:")
	switch {
	case s.Type == "binpack" && field == "cpu":
		return level{by: byCPU}, true
	case s.Type == "binpack" && field == "memory":
		return level{by: byMemory}, true
	case s.Type == "spread" && attribute:
		return level{by: byGroup, field: name}, true
	case s.Type == "spread" && (field == "instanceid" || field == "host"):
		return level{by: byHost}, true
	}
	return level{}, false
}

// place finds a place for as many of the tasks as it can, one after another as
// ECS would, and takes the room.
func (r *room) place(w want) placement {
	k := kindOf(w)
	p := placement{Hosts: map[int]int{}}
	mine := r.mine(k.service)
	q := r.candidates(k, mine)
	for p.Placed < w.Count {
		i, ok := q.best()
		if !ok {
			break
		}
		r.take(k, i)
		mine[i] = mine[i].plus(1, false)
		p.Hosts[i]++
		p.Placed++
		q.placed(r.full(k, i))
	}
	r.note(k.service, mine, p.Hosts)
	if p.Left = max(0, w.Count-p.Placed); p.Left > 0 {
		p.Why = r.whyNot(k, mine)
	}
	return p
}

// mine is what each host holds of the service.
func (r *room) mine(service string) []held {
	all := make([]held, len(r.sites))
	for i, h := range r.services[service] {
		all[i] = h
	}
	return all
}

// take puts a task on a host.
func (r *room) take(k *kind, i int) {
	r.free[i] = r.free[i].Sub(k.needs)
	r.tasks[i]++
	if len(k.ports) > 0 {
		r.ports[i] = slices.Concat(r.ports[i], k.ports)
	}
}

// note writes back what changed in a map of its own: clones share the old one.
func (r *room) note(service string, mine []held, changed map[int]int) {
	if len(changed) == 0 {
		return
	}
	next := maps.Clone(r.services[service])
	if next == nil {
		next = make(map[int]held, len(changed))
	}
	for i := range changed {
		next[i] = mine[i]
	}
	if r.services == nil {
		r.services = map[string]map[int]held{}
	}
	r.services[service] = next
}

func (r *room) whyNot(k *kind, mine []held) whyNot {
	why := whyNot{}
	for i := range r.sites {
		r.work++
		why[r.missing(k, i, mine[i])]++
	}
	return why
}
