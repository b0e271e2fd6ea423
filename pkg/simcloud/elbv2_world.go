package simcloud

import "time"

// TargetView is a registered target as it truly is, also one that drains.
type TargetView struct {
	TargetGroup string // ARN
	Instance    string // id
	Port        int    // of the host
	State       string // as DescribeTargetHealth would give it
	Reason      string
	Since       time.Time // it was registered
	Task        string    // ARN of the task that holds the port now; empty: none
	TaskGroup   string    // its group, as service:web
	Listens     bool      // it takes connections
}

// Targets gives the targets of all target groups.
func (w *World) Targets() []TargetView {
	var all []TargetView
	for _, g := range w.f.elb.groups {
		for _, t := range g.targets {
			h := t.health(w.f.now)
			v := TargetView{TargetGroup: g.arn, Instance: t.id, Port: t.port, State: string(h.state), Reason: string(h.reason), Since: t.registered}
			if task, bound := t.owner(); task != nil {
				v.Task, v.TaskGroup, v.Listens = task.arn, task.group, task.listens(bound.container)
			}
			all = append(all, v)
		}
	}
	return all
}

// RouteView is what became of the requests of a load that come by a load
// balancer.
type RouteView struct {
	Cluster, Service string // that they were meant for
	Route            Route
	Total            Figures
	Targets          []TargetFigures // by first request
}

// TargetFigures is what the requests met that were sent to one target.
type TargetFigures struct {
	TargetGroup string // ARN; empty: those that were sent nowhere
	Instance    string // id
	Port        int    // of the host
	Met         Met
}

// Routes gives the loads that come by load balancers, in order of AddLoad.
func (w *World) Routes() []RouteView {
	var all []RouteView
	for _, r := range w.f.elb.routes {
		v := RouteView{Cluster: r.spec.Cluster, Service: r.spec.Service, Route: r.spec.Route, Total: r.total}
		for _, m := range r.order {
			v.Targets = append(v.Targets, TargetFigures{m.group, m.id, m.port, *r.met[m]})
		}
		all = append(all, v)
	}
	return all
}
