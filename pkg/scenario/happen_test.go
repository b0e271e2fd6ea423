package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// What the world does of itself to hosts, minute by minute: how many are DRAINING
// and how many have no agent.
func TestWhatBefallsHosts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []Happening
		want   string // a letter for each half minute: D draining, a without its agent, . neither
		missed string
	}{
		{"nothing", nil, "........................................", ""},
		{"a drained host is taken back when it is said", []Happening{{At: minutes(2), Do: "drainHost", For: minutes(3)}}, "....DDDDDD..............................", ""},
		{"a drained host is taken back after ten minutes if it is not said", []Happening{{At: minutes(2), Do: "drainHost"}}, "....DDDDDDDDDDDDDDDDDDDD................", ""},
		{"a drained host cannot be drained", []Happening{{At: minutes(2), Do: "drainHost", For: minutes(3)}, {At: minutes(4), Do: "drainHost", For: minutes(9)}}, "....DDDDDD..............................", "drainHost at 4m takes place"},
		{"more are drained than there are", []Happening{{At: minutes(2), Do: "drainHost", Count: 2}}, "........................................", "drainHost at 2m takes place"},
		{"an agent is restarted", []Happening{{At: minutes(2), Do: "restartAgent"}}, "....a...................................", ""},
		{"an agent is down for a while", []Happening{{At: minutes(2), Do: "agentDown", For: minutes(2)}}, "....aaaa................................", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := handover()
			s.Events = tt.events
			for n := range s.Events {
				s.Events[n].Group = "prod-hosts"
			}
			w := worldOf(t, s, &strings.Builder{})
			w.happen()
			w.pass(t, time.Second)
			got := ""
			for range 40 {
				letter := "."
				for _, h := range w.cloud.World().Hosts() {
					switch {
					case h.Status == string(cluster.HostDraining):
						letter = "D"
					case !h.AgentConnected:
						letter = "a"
					}
				}
				got += letter
				w.pass(t, 30*time.Second)
			}
			var missed []string
			for _, h := range w.missed {
				missed = append(missed, h.Name)
			}
			if got != tt.want || strings.Join(missed, ", ") != tt.missed {
				t.Errorf("%s, missed %q\nwant %s, missed %q", got, missed, tt.want, tt.missed)
			}
		})
	}
}
