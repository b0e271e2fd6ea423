package scenario

import (
	"cmp"
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// waits are the seconds from a task's being wanted to its RUNNING, one a task; a
// task that waits still has waited until now. Those wanted when the world began
// are left out: nobody scaled for them. So are those that replace a task which
// crashed or was lost with its host: the count asked for no more than before, and
// what such a loss costs shows in the requests not served and the time below the
// floor.
//
// ECS knows a task as wanted once the desired count is raised. plimsoll raises
// it only when there is room, so the time that it waited for hosts before is
// added, from its recorded wanted counts: it would look better without.
func (w *world) waits(history []Record) []float64 {
	var all []float64
	for _, s := range w.Services {
		queue := wishes(history, cluster.ServiceSubject(s.Name))
		for _, x := range w.cloud.World().Waits() {
			if x.Service != s.Name || x.Wanted.Equal(w.Start) {
				continue
			}
			until := x.Running
			if until.IsZero() {
				until = w.cloud.Now()
			}
			all = append(all, until.Sub(queue.since(x.Wanted)).Seconds())
		}
	}
	return all
}

// wish is one task more that was wanted from a time on, until it was asked of
// ECS, or was not wanted any more.
type wish struct {
	from, until time.Time
}

// wishList are the wishes of a service in the order in which they began.
type wishList []wish

// wishes reads from the decisions when each task began to be wanted. Of each
// decision the wanted count is what it says, else the count that it set.
func wishes(history []Record, subject cluster.Subject) wishList {
	var all wishList
	var open []int // indexes, oldest first
	for _, r := range history {
		if r.Decision == nil || r.Decision.Subject != subject {
			continue
		}
		d := r.Decision
		wanted := d.To
		for _, n := range d.Numbers {
			if n.Name == "wanted" {
				wanted = int(n.Value)
			}
		}
		for len(open) < wanted-d.From {
			open = append(open, len(all))
			all = append(all, wish{from: r.At})
		}
		for n := len(open); n > max(0, wanted-d.From); n-- { // the youngest is given up first
			all[open[n-1]].until = r.At
			open = open[:n-1]
		}
		for range min(len(open), max(0, d.To-d.From)) { // asked of ECS now
			all[open[0]].until = r.At
			open = open[1:]
		}
	}
	return all
}

// since is when the task that ECS was asked for at a time began to be wanted: the
// oldest wish that ended then.
func (l *wishList) since(asked time.Time) time.Time {
	const slack = 5 * time.Second // from the decision's record to ECS's hearing of it
	n := slices.IndexFunc(*l, func(x wish) bool {
		return !x.until.IsZero() && !x.until.After(asked) && asked.Sub(x.until) <= slack
	})
	if n < 0 {
		return asked
	}
	from := (*l)[n].from
	*l = slices.Delete(*l, n, n+1)
	return slices.MinFunc([]time.Time{from, asked}, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
}
