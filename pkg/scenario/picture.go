package scenario

import "github.com/plimsoll-ecs/plimsoll/pkg/cluster"

// HostSample is one container instance at the moment of a sample.
type HostSample struct {
	ID       string // EC2 instance id
	Draining bool
	Tasks    []int             // by service, in the scenario's order; STOPPED ones left out
	Reserved cluster.Resources // by tasks
	Offered  cluster.Resources
}

// hosts are the container instances of the moment, in the order in which they
// registered.
func (w *world) hosts() []HostSample {
	var all []HostSample
	place := map[string]int{} // by container instance ARN
	for _, h := range w.cloud.World().Hosts() {
		offered := cluster.Resources{CPU: h.CPU, Memory: h.Memory}
		place[h.ARN] = len(all)
		all = append(all, HostSample{
			ID: h.InstanceID, Draining: h.Status == string(cluster.HostDraining), Tasks: make([]int, len(w.Services)),
			Reserved: offered.Sub(cluster.Resources{CPU: h.FreeCPU, Memory: h.FreeMemory}), Offered: offered,
		})
	}
	for n, s := range w.Services {
		v, _ := w.cloud.World().Service(w.Policy.Cluster, s.Name) // it was made with the world
		for _, t := range v.Tasks {
			if i, ok := place[t.Host]; ok {
				all[i].Tasks[n]++
			}
		}
	}
	return all
}
