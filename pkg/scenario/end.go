package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Something is left over at the end if it is older than this. They are numbers of
// this file's own, each with what the thing itself may take.
const (
	openFor    = cluster.IntentOverlay + 90*time.Second // an open intent: its overlay, and the next sweep's round
	queuedFor  = 32 * time.Minute                       // a message: five receives at six minutes of visibility, and its delay
	aheadFor   = 90 * time.Second                       // a look ahead of the clock: a minute, and a clock that is a little fast
	removedFor = 5 * time.Minute                        // an empty host after emptyAfter: looks, and the call
)

// At the end of a calm everything has come to rest for so long: nothing is changed,
// and nobody looks more often than the sweep and what it takes notice of.
const (
	restFor   = 10 * time.Minute
	restLooks = 15 // rounds besides those of the sweep
)

// End is the truth about the cluster when a run is over. The ends of two runs of
// a calmed scenario are equal if Differences is empty. Which hosts there are may
// differ: tasks that came in another order lie on other hosts, and only empty
// ones are removed.
type End struct {
	Services []ServiceEnd `json:"services"`
	Hosts    int          `json:"hosts"`              // registered
	LeftOver []string     `json:"leftOver,omitempty"` // what a cluster at rest has none of: tasks without a place, old intents, looks ahead, rounds between sweeps, DRAINING and removable hosts
	Unheard  []string     `json:"unheard,omitempty"`  // messages that are in a queue for longer than it takes to hear them
}

// ServiceEnd is a service at the end of a run.
type ServiceEnd struct {
	Name    string `json:"name"`
	Wanted  int    `json:"wanted"` // ECS's desired count
	Running int    `json:"running"`
	Healthy int    `json:"healthy"`
	Free    bool   `json:"free,omitempty"` // people set its count, and nothing sets it right: no load tells how many it needs
}

// Differences says what keeps an end from being equal to the one that is wanted;
// nothing: they are equal.
func (e End) Differences(want End) []string {
	differences := append([]string(nil), e.LeftOver...)
	for _, left := range want.LeftOver {
		differences = append(differences, "the end that it should equal: "+left)
	}
	wanted := map[string]ServiceEnd{}
	for _, s := range want.Services {
		wanted[s.Name] = s
	}
	for _, s := range e.Services {
		other, known := wanted[s.Name]
		delete(wanted, s.Name)
		free := s.Free || other.Free
		s.Free, other.Free = false, false
		if !known || s != other && !free {
			differences = append(differences, fmt.Sprintf("%s, and should end with %s", s, other))
		}
	}
	for _, s := range want.Services {
		if _, missing := wanted[s.Name]; missing {
			differences = append(differences, fmt.Sprintf("there is no service %s", s.Name))
		}
	}
	return differences
}

// String is the service in words.
func (s ServiceEnd) String() string {
	return fmt.Sprintf("%s wants %d, %d run, %d are healthy", s.Name, s.Wanted, s.Running, s.Healthy)
}

// end reads the truth: the simulated cloud's, and the table's. It never asks the
// planner.
func (m *monitors) ended(always map[string]float64) End {
	e, w := End{Services: []ServiceEnd{}}, m.world
	meddled := w.faulty("by-hand", always)
	for _, s := range w.Services {
		v, _ := w.cloud.World().Service(w.Policy.Cluster, s.Name) // it was made with the world
		x := ServiceEnd{Name: s.Name, Wanted: v.Desired, Running: v.Running, Healthy: v.Healthy}
		x.Free = meddled && !steered(w.Policy.Services[s.Name])
		e.Services = append(e.Services, x)
		if v.Pending > 0 || v.Running != v.Desired || v.Healthy != v.Desired {
			e.LeftOver = append(e.LeftOver, fmt.Sprintf("%s of %d tasks", x, len(v.Tasks)))
		}
	}
	e.Hosts = len(w.cloud.World().Hosts())
	for _, left := range [][]string{m.intentsLeft(), m.looksLeft(), m.roundsLeft(), m.hostsLeft(), m.targetsLeft()} {
		e.LeftOver = append(e.LeftOver, left...)
	}
	e.Unheard = w.messagesLeft()
	return e
}

// steered says whether a signal of load tells how many tasks the service needs.
func steered(rules policy.Service) bool { return rules.Tasks != nil && len(rules.Scale) > 0 }

// intentsLeft are the intents that should have ended.
func (m *monitors) intentsLeft() []string {
	var left []string
	for _, i := range m.itemsOfAll(openItems) {
		var intent cluster.Intent
		err := json.Unmarshal([]byte(text(i, "intent")), &intent)
		age := m.world.cloud.Now().Sub(intent.At)
		if err != nil || age > openFor {
			left = append(left, fmt.Sprintf("the intent %s (%s of %s to %d) is open after %s (%v)", intent.ID, intent.Verb, intent.Subject, intent.To, age.Round(time.Second), err))
		}
	}
	return left
}

// looksLeft is a look at a time that no message can be under way for.
func (m *monitors) looksLeft() []string {
	var left []string
	for _, key := range m.keys() {
		for _, i := range m.itemsOf("wake#"+key, "wake") {
			next, err := strconv.ParseInt(number(i, "nextAt"), 10, 64)
			if ahead := time.UnixMilli(next).Sub(m.world.cloud.Now()); err == nil && ahead > aheadFor {
				left = append(left, fmt.Sprintf("the next look of %s is said to be %s ahead", key, ahead.Round(time.Second)))
			}
		}
	}
	return left
}

// roundsLeft says that there were more rounds lately than the sweep makes: somebody
// asks for another look again and again.
func (m *monitors) roundsLeft() []string {
	sweeps, keys := int(restFor/time.Minute), len(m.keys())
	if m.late > keys*(sweeps+restLooks) {
		return []string{fmt.Sprintf("%d rounds of %d keys began in the last %s, in which nothing happens, for %d sweeps", m.late, keys, restFor, sweeps)}
	}
	return nil
}

// resting says whether a time is within the end of the calm, in which everything
// has come to rest.
func (w *world) resting(at time.Time) bool {
	return w.Calm.Duration > 0 && at.After(w.Start.Add(w.Length.Duration-restFor))
}

// messagesLeft are the messages that should have been taken. Dead letters may stay.
func (w *world) messagesLeft() []string {
	var left []string
	for _, queue := range slices.Sorted(maps.Keys(w.urls)) {
		if strings.Contains(queue, "-dead") {
			continue
		}
		for _, m := range w.cloud.SQS().Messages(queue) {
			sent, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64)
			if age := w.cloud.Now().Sub(time.UnixMilli(sent)); err != nil || age > queuedFor {
				left = append(left, fmt.Sprintf("the message %s is in %s after %s (%v)", aws.ToString(m.MessageId), queue, age.Round(time.Second), err))
			}
		}
	}
	return left
}

// expired says how many messages of a queue were too old before anybody took them.
func (m *monitors) expired() {
	w := m.world
	for _, queue := range slices.Sorted(maps.Keys(w.urls)) {
		if n := w.cloud.SQS().Expired(queue); n > 0 && !strings.Contains(queue, "-dead") {
			m.record(Violation{Promise: "L3", At: w.cloud.Now(), Subject: queue, Detail: fmt.Sprintf("%d messages were dropped since they were too old", n)})
		}
	}
}

// hostsLeft are the DRAINING hosts, and the removable ones: empty for longer than
// the policy lets a host be, while their group has more than its minimum.
func (m *monitors) hostsLeft() []string {
	var left []string
	now, t := m.world.cloud.Now(), truthOfGroups(m.world.cloud.World().Groups())
	for _, h := range m.world.cloud.World().Hosts() {
		if h.Status == string(cluster.HostDraining) {
			left = append(left, "the host "+h.InstanceID+" is DRAINING")
		}
		g := t.groups[t.groupOf(h.InstanceID)]
		rules, ours := m.group(g.Name)
		since, empty := m.emptied[h.ARN]
		spare := g.Desired > max(g.Minimum, rules.Min)
		if ours && empty && spare && now.Sub(since) > rules.Removal.EmptyAfter.Duration+removedFor {
			left = append(left, fmt.Sprintf("the host %s is empty for %s, and the group %s wants %d", h.InstanceID, now.Sub(since).Round(time.Second), g.Name, g.Desired))
		}
	}
	return left
}

// sampleHosts notes since when hosts are empty.
func (m *monitors) sampleHosts() {
	before := m.emptied
	m.emptied = map[string]time.Time{}
	for _, h := range m.world.cloud.World().Hosts() {
		if h.Tasks > 0 {
			continue
		}
		since, known := before[h.ARN]
		if !known {
			since = m.world.cloud.Now()
		}
		m.emptied[h.ARN] = since
	}
}
