package plan

import (
	"fmt"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// TestEverySmallHostWorld walks clusters of up to three hosts in one or two
// groups with tasks of two sizes: everything wanted is placed in the end, no
// more hosts are launched than the documented sampling may add, hosts without
// tasks leave, and then nothing changes any more.
func TestEverySmallHostWorld(t *testing.T) {
	n := 0
	for _, groups := range [][]string{{"small"}, {"small", "big"}, {"big", "small"}} {
		for hosts := range 4 {
			for running := range 3 {
				for small := range 6 {
					for large := range 4 {
						for _, last := range []bool{false, true} {
							n++
							walkHosts(t, groups, hosts, running, small, large, last)
						}
					}
				}
			}
		}
	}
	t.Logf("%d walks", n)
}

func walkHosts(t *testing.T, groups []string, hosts, running, small, large int, last bool) {
	t.Helper()
	name := fmt.Sprintf("%v with %d hosts and %d tasks, wanting %d small and %d large, lastFit %v", groups, hosts, running, small, large, last)
	p := policy.Policy{Services: map[string]policy.Service{"small": rules(0, 9), "large": rules(0, 9)}}
	for _, g := range groups {
		h := groupRules(g, 0, 20)
		p.Hosts = append(p.Hosts, h)
	}
	w := newWorld(t, p)
	w.lastFit = last
	for i := range p.Hosts {
		offers := w.offers(groups[i])
		p.Hosts[i].Offers = &policy.Offers{CPU: offers.CPU, Memory: offers.Memory}
	}
	for i := range hosts {
		g := groups[i%len(groups)]
		w.host(g, []string{"a", "b"}[i%2], w.offers(g))
	}
	w.service("large", 0, 0, 200, of(1536, 2048))
	w.service("small", 0, 0, 200, of(512, 1024))
	w.s.Services[1].Desired = min(running, hosts)
	for i := range min(running, hosts) {
		w.task("small", i, cluster.TaskRunning, "RUNNING", "UNKNOWN")
	}
	w.load["small"], w.load["large"] = float64(small), float64(large)
	w.count()
	settled(t, w, name, small, large)
}

func settled(t *testing.T, w *world, name string, small, large int) {
	t.Helper()
	quiet := 0
	for i := 0; quiet < 12; i++ {
		if i == 120 {
			t.Fatalf("%s: no rest; launched %d, removed %d, %d groups", name, w.launched, w.removed, len(w.s.Groups))
		}
		w.round()
		if quiet++; w.acted > 0 {
			quiet = 0
		}
		w.tick()
	}
	if got := w.tasks("small", cluster.TaskRunning); got != small {
		t.Fatalf("%s: %d small tasks run", name, got)
	}
	if got := w.tasks("large", cluster.TaskRunning); got != large {
		t.Fatalf("%s: %d large tasks run", name, got)
	}
	for _, h := range w.s.Hosts {
		if h.Empty() {
			t.Fatalf("%s: %s is empty and stays", name, h.ID)
		}
	}
	// A small host holds one large task, and a fourth of what is left.
	if most := large + (small+3)/4 + 1; w.launched > most {
		t.Fatalf("%s: %d hosts launched, at most %d expected", name, w.launched, most)
	}
}
