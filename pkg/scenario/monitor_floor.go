package scenario

import "time"

// Floors are sampled: each step counts as long as it is.
const (
	floorStep   = 10 * time.Second
	floorsBegin = 10 * time.Minute // until then a world comes up
)

// floors add up for how long services are below their floors.
type floors struct {
	lowest map[string]int // desired count since the service last had it healthy, by service
	below  time.Duration  // summed over services
}

// sampleFloors looks at every service of the policy once.
func (m *monitors) sampleFloors() {
	w := m.world
	judged := w.cloud.Now().Sub(w.Start) >= floorsBegin
	for _, v := range w.cloud.World().Services(false) {
		rules, named := m.policy.Services[v.Name]
		if !named || v.Cluster != m.policy.Cluster {
			continue
		}
		s := counted{desired: v.Desired, minimum: percentOr(rules.MinimumHealthyPercent, v.MinimumPercent), healthy: v.Healthy}
		if m.floors.sample(v.Name, s) && judged {
			m.floors.below += floorStep
		}
	}
}

// sample takes a service's numbers in and says whether it is below its floor:
// that of the lowest desired count since it last had as many healthy tasks, so
// that a rise which waits for its tasks is no breach.
func (f *floors) sample(name string, s counted) bool {
	lowest, known := f.lowest[name]
	if !known || s.healthy >= s.desired || s.desired < lowest {
		lowest = s.desired
	}
	f.lowest[name] = lowest
	return s.healthy < s.floor(lowest)
}
