package scenario

import "time"

// Floors are sampled: each step counts as long as it is.
const floorStep = 10 * time.Second

// floors add up for how long services are below their floors. A service is
// measured from when it first had its desired count healthy: it has lost nothing
// before.
type floors struct {
	lowest map[string]int // desired count since the service last had it healthy, by service; 0: it never had
	below  time.Duration  // summed over services
}

// sampleFloors looks at every service of the policy once.
func (m *monitors) sampleFloors() {
	w := m.world
	for _, v := range w.cloud.World().Services(false) {
		rules, named := m.policy.Services[v.Name]
		if !named || v.Cluster != m.policy.Cluster {
			continue
		}
		s := counted{desired: v.Desired, minimum: percentOr(rules.MinimumHealthyPercent, v.MinimumPercent), healthy: v.Healthy}
		if m.floors.sample(v.Name, s) {
			m.floors.below += floorStep
		}
	}
}

// sample takes a service's numbers in and says whether it is below its floor:
// that of the lowest desired count since it last had as many healthy tasks, so
// that a rise which waits for its tasks is no breach.
func (f *floors) sample(name string, s counted) bool {
	lowest := f.lowest[name] // 0 until it first is whole
	if s.healthy >= s.desired || s.desired < lowest {
		lowest = s.desired
	}
	f.lowest[name] = lowest
	return s.healthy < s.floor(lowest)
}
