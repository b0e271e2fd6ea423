package scenario

import (
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// monitors hold the promises against the simulated cloud's truth while it runs.
type monitors struct{ policy policy.Policy }

func newMonitors(p policy.Policy) *monitors { return &monitors{policy: p} }

func (m *monitors) watch(simcloud.Call) {}
func (m *monitors) attach(*world)       {}
func (m *monitors) end(*Result)         {}
