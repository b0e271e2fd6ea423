package plan

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func TestRefusedZonesAreAskedLessAndLess(t *testing.T) {
	for _, detail := range []string{capacityDetail, faultDetail} {
		t.Run(detail, func(t *testing.T) { askedLessAndLess(t, detail) })
	}
}

func askedLessAndLess(t *testing.T, detail string) {
	y := newYard(t)
	y.s.Groups = y.s.Groups[:1]
	y.p.Hosts = y.p.Hosts[:1]
	y.s.Groups[0].Zones = []string{"a"}
	y.owe(1)
	var waits []time.Duration
	var asked time.Time
	for range 6 {
		if got := did(Cluster(y.s, y.p)); len(got) != 1 {
			t.Fatalf("after %v: did %q, want one launch", waits, got)
		}
		y.refusedLaunch("one", "a", detail)
		p := Cluster(y.s, y.p)
		y.s.Intents, y.s.Memory = nil, p.Memory
		asked = y.s.Now
		for len(did(p)) == 0 {
			y.s.Now = y.s.Now.Add(10 * time.Second)
			p = Cluster(y.s, y.p)
		}
		waits = append(waits, y.s.Now.Sub(asked))
	}
	want := []time.Duration{1, 2, 4, 8, 15, 15}
	for i := range want {
		if waits[i] != want[i]*time.Minute {
			t.Fatalf("waited %v, want 1, 2, 4, 8, 15, 15 minutes", waits)
		}
	}
	y.s.Now = y.s.Now.Add(time.Minute)
	y.intent(cluster.Intent{
		Outcome: cluster.OutcomeApplied,
		Change:  cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/one", Zone: "a", To: 1},
	})
	if m := Cluster(y.s, y.p).Memory.Groups["one"]; len(m.Tries)+len(m.Refused)+len(m.Faults) != 0 {
		t.Errorf("after a launch that succeeded: %v %v %v, want none", m.Tries, m.Refused, m.Faults)
	}
}

// TestAPartialLaunchIsTakenInOnce: its intent stays open for longer than the
// first back-off.
func TestAPartialLaunchIsTakenInOnce(t *testing.T) {
	y := newYard(t)
	y.intent(cluster.Intent{
		Outcome: cluster.OutcomeApplied, Instances: []string{"i-9"}, Detail: "partial: InsufficientInstanceCapacity: no more",
		Change: cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/one", Zone: "a", From: 0, To: 2},
	})
	for range 8 {
		y.s.Memory = Cluster(y.s, y.p).Memory
		y.s.Now = y.s.Now.Add(20 * time.Second)
	}
	if m := y.s.Memory.Groups["one"]; m.Tries["a"] != 1 {
		t.Errorf("%d tries, want 1", m.Tries["a"])
	}
}

func TestALaunchBeforeTheRefusalOpensNoZone(t *testing.T) {
	y := newYard(t)
	y.intent(cluster.Intent{
		Outcome: cluster.OutcomeApplied,
		Change:  cluster.Change{Verb: cluster.LaunchHosts, Subject: "group/one", Zone: "a", To: 1},
	})
	y.s.Memory.Groups = map[string]cluster.GroupMemory{"one": {
		Refused: map[string]time.Time{"a": y.s.Now.Add(time.Minute)}, Tries: map[string]int{"a": 1},
	}}
	if m := Cluster(y.s, y.p).Memory.Groups["one"]; m.Tries["a"] != 1 {
		t.Errorf("%+v, want zone a to stay refused", m)
	}
}

// TestAGroupThatCannotLaunchIsNotWaitedFor: four hosts of a group were
// interrupted and Auto Scaling cannot get them back. When it can, the group is
// as any other.
func TestAGroupThatCannotLaunchIsNotWaitedFor(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	y.group("one").Desired = 2
	y.owe(2)
	began := y.s.Now
	for y.launched == 0 {
		y.round()
		if y.s.Now = y.s.Now.Add(20 * time.Second); y.s.Now.Sub(began) > time.Hour {
			t.Fatal("an hour later no other group was asked")
		}
	}
	if waited := y.s.Now.Sub(began); waited > 6*time.Minute || len(y.group("two").Instances) != 1 {
		t.Errorf("after %s: %+v, want a host of group two after 5 minutes", waited, y.s.Groups)
	}
	y.small("one", "b")
	y.group("one").Desired = 2
	if m := y.round().Memory.Groups["one"]; m.Short != (cluster.Sample{}) {
		t.Errorf("the group has what it wants, and is remembered as short since %s", m.Short.At)
	}
}

// TestHostsThatNeverRegisterDoNotFillTheGroup: one host is needed, and none
// that is launched in eight hours is ever heard of. Then what kept them from
// registering is mended, and hosts come as they are needed.
func TestHostsThatNeverRegisterDoNotFillTheGroup(t *testing.T) {
	y := newYard(t)
	y.boot = 1000 * time.Hour
	y.p.Hosts, y.s.Groups = y.p.Hosts[:1], y.s.Groups[:1]
	y.p.Hosts[0].Max = 50
	y.owe(2)
	for range 3 * 60 * 8 {
		y.round()
		y.s.Now = y.s.Now.Add(20 * time.Second)
	}
	if y.launched != 6 {
		t.Errorf("%d launched in 8 hours, want one after 0, 15, 45, 105, 225 and 465 minutes", y.launched)
	}
	y.boot = 90 * time.Second
	y.tick()
	y.s.Services[0].Desired = 16
	y.round()
	if got := y.launched; got != 6+2 {
		t.Errorf("%d launched for 16 tasks after the first 6 hosts came, want 2", got-6)
	}
}

// TestAPersonsDrainingIsNotTakenForOurs: what was decided and not carried out,
// because plimsoll only observes or its call was left out, marks no host.
func TestAPersonsDrainingIsNotTakenForOurs(t *testing.T) {
	y := newYard(t)
	h := y.idle("one", "a", time.Hour)
	p := Cluster(y.s, y.p)
	if got := did(p); !slices.Equal(got, []string{"drain i-001"}) {
		t.Fatalf("did %q, want a drain", got)
	}
	h.Status = cluster.HostDraining // by a person, who looks for a fault
	for range 10 {
		y.s.Memory = p.Memory
		y.s.Now = y.s.Now.Add(20 * time.Second)
		if p = Cluster(y.s, y.p); did(p) != nil {
			t.Fatalf("did %q to a host that a person drained", did(p))
		}
	}
}

// TestTheWorstOrderIsProvidedFor: two small tasks on the large host leave no
// place for the large one, and ECS may begin with them.
func TestTheWorstOrderIsProvidedFor(t *testing.T) {
	p := policy.Policy{Hosts: []policy.HostGroup{groupRules("big", 0, 9)}, Services: map[string]policy.Service{"large": {}, "small": {}}}
	w := newWorld(t, p)
	w.host("big", "a", of(4096, 8192))
	w.host("big", "b", of(4096, 8192))
	w.service("large", 1, 0, 200, of(4096, 8192))
	w.service("small", 2, 0, 200, of(2048, 4096))
	if got := did(Cluster(w.s, w.p)); len(got) != 1 || got[0] != "launch big a 23" {
		t.Errorf("did %q, want one host more in case the small tasks are spread", got)
	}
}

// TestALaunchSaysWhatPackingWouldNeed: three large and three small tasks fill
// three hosts, if the small ones do not go first.
func TestALaunchSaysWhatPackingWouldNeed(t *testing.T) {
	p := policy.Policy{Hosts: []policy.HostGroup{groupRules("big", 0, 9)}, Services: map[string]policy.Service{"large": {}, "small": {}}}
	p.Hosts[0].Offers = &policy.Offers{CPU: 4096, Memory: 8192}
	w := newWorld(t, p)
	w.service("large", 3, 0, 200, of(3072, 6144))
	w.service("small", 3, 0, 200, of(1024, 2048))
	if got := number(decision(t, Cluster(w.s, w.p), "group/big"), "hostsIfPacked"); got != 3 {
		t.Errorf("%g hosts if packed, want 3", got)
	}
	w.group("big").Desired, w.s.Services[1].Desired = 1, 0
	if got := number(decision(t, Cluster(w.s, w.p), "group/big"), "hostsIfPacked"); got != 2 {
		t.Errorf("with one on its way %g hosts if packed, want 2", got)
	}
}

func TestALaunchAsksForAHundredAtMost(t *testing.T) {
	y := newYard(t)
	y.p.Hosts[0].Max, y.s.Groups[0].Max = 900, 900
	y.owe(700)
	for _, c := range Cluster(y.s, y.p).Actions() {
		if c.To-c.From > 100 {
			t.Errorf("%+v asks for %d hosts in one call", c, c.To-c.From)
		}
	}
}

// TestTasksThatMustLeaveNeedAPlace: ECS moves the tasks of a DRAINING host
// only where there is room.
func TestTasksThatMustLeaveNeedAPlace(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	y.s.Services[0].Desired = 2
	y.s.Hosts[0].Status = cluster.HostDraining
	if got := did(Cluster(y.s, y.p)); !slices.Equal(got, []string{"launch one b 12"}) {
		t.Errorf("did %q, want a host for the two tasks that must move", got)
	}
}

func TestARefusalIsTakenInOnce(t *testing.T) {
	y := newYard(t)
	y.owe(1)
	y.refusedLaunch("one", "a", capacityDetail)
	y.refusedLaunch("one", "a", capacityDetail)
	y.s.Memory = Cluster(y.s, y.p).Memory
	if n := Cluster(y.s, y.p).Memory.Groups["one"].Tries["a"]; n != 1 {
		t.Errorf("%d tries, want 1", n)
	}
}

func TestNext(t *testing.T) {
	tests := []struct {
		name  string
		given func(y *yard)
		want  time.Duration // zero: the sweep is soon enough
	}{
		{"a quiet cluster", func(y *yard) { y.busy("one", "a") }, 0},
		{"an empty host is due in 25 s", func(y *yard) { y.idle("one", "a", 35*time.Second) }, 25 * time.Second},
		{"an empty host is due with the sweep", func(y *yard) { y.small("one", "a") }, 0},
		{"what is owed has room", func(y *yard) { y.small("one", "a"); y.owe(1) }, lookAgain},
		{"hosts are launched", func(y *yard) { y.owe(1) }, lookAgain},
		{"hosts are on their way", func(y *yard) { y.pendingInstance("one", "a", 0) }, lookAgain},
		{"a host was set to DRAINING", func(y *yard) { y.idle("one", "a", time.Hour) }, secondLook},
		{"a zone may be asked again in 12 s", func(y *yard) {
			y.p.Hosts[1].Max = 0
			soon := map[string]time.Time{"a": y.s.Now.Add(12 * time.Second), "b": y.s.Now.Add(time.Hour)}
			y.s.Memory.Groups = map[string]cluster.GroupMemory{"one": {Refused: soon}}
			y.owe(1)
		}, 12 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			y := newYard(t)
			tt.given(y)
			p := Cluster(y.s, y.p)
			if tt.want == 0 && !p.Next.IsZero() || tt.want > 0 && !p.Next.Equal(y.s.Now.Add(tt.want)) {
				t.Errorf("look again at %s (in %s), want in %s", p.Next, p.Next.Sub(y.s.Now), tt.want)
			}
		})
	}
}

func TestNextAfterAWindow(t *testing.T) {
	s := newScene(t)
	s.cpu(30, lag)
	s.m.Wanted = []cluster.Sample{
		{At: s.ago(4*time.Minute + 55*time.Second), Count: 4}, {At: s.ago(4*time.Minute + 40*time.Second), Count: 4}, {At: s.ago(time.Minute), Count: 2},
	}
	if p := s.plan(); !p.Next.Equal(s.s.Now.Add(20 * time.Second)) {
		t.Errorf("look again in %s, want when the window's largest wish ends, in 20 s", p.Next.Sub(s.s.Now))
	}
}

func TestMemoryForgetsWhatIsGone(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	gone := cluster.HostMemory{EmptySince: noon()}
	y.s.Memory = cluster.Memory{
		Services: map[string]cluster.ServiceMemory{"old": {Target: 3}},
		Groups:   map[string]cluster.GroupMemory{"old": {}, "one": {Offers: of(1, 1)}},
		Hosts:    map[string]cluster.HostMemory{"i-old": gone, "i-001": gone},
	}
	m := Cluster(y.s, y.p).Memory
	if len(m.Services) != 0 || len(m.Hosts) != 0 || len(m.Groups) != 2 {
		t.Errorf("%+v, want groups one and two only", m)
	}
	if m.Groups["one"].Offers != of(2048, 4096) {
		t.Errorf("the group offers %+v, want what its host registered", m.Groups["one"].Offers)
	}
}

func TestAllThatThePolicyNamesIsDecidedOnce(t *testing.T) {
	y := newYard(t)
	y.p.Services["gone"] = policy.Service{}
	y.p.Services["away"] = policy.Service{}
	y.s.Groups = y.s.Groups[:1]
	var got []cluster.Subject
	for _, d := range Cluster(y.s, y.p).Decisions {
		got = append(got, d.Subject)
	}
	want := []cluster.Subject{"service/away", "service/gone", "service/web", "group/one", "group/two"}
	if !slices.Equal(got, want) {
		t.Errorf("decided about %q, want %q", got, want)
	}
}

func TestNothingOutsideThePolicyIsTouched(t *testing.T) {
	y := newYard(t)
	y.idle("two", "a", time.Hour)
	y.service("other", 9, 100, 200, of(1, 1))
	y.p.Hosts = y.p.Hosts[:1]
	p := Cluster(y.s, y.p)
	if got := did(p); got != nil {
		t.Errorf("did %q to a group and a service that the policy does not name", got)
	}
}

// TestOrder wants all kinds of changes in one round, in their order.
func TestOrder(t *testing.T) {
	p := policy.Policy{
		Hosts:    []policy.HostGroup{groupRules("small", 0, 5), groupRules("big", 0, 5), groupRules("third", 0, 5)},
		Services: map[string]policy.Service{"down": rules(0, 9), "up": rules(0, 99)},
	}
	w := newWorld(t, p)
	y := &yard{w}
	w.host("big", "a", of(3000, 8192))
	w.s.Hosts[0].Attributes["up"] = ""
	y.idle("third", "a", time.Hour)
	y.drained("third", time.Minute)
	y.p.Hosts[2].Removal.MaxAtOnce = 2
	w.service("down", 2, 0, 200, of(512, 512))
	w.service("up", 0, 0, 200, of(1000, 1024))
	w.s.Revisions["rev/up"] = cluster.Revision{Needs: of(1000, 1024), Attributes: []string{"up"}}
	w.task("down", 0, cluster.TaskRunning, "RUNNING", "HEALTHY")
	w.task("down", 0, cluster.TaskRunning, "RUNNING", "HEALTHY")
	w.load["down"], w.load["up"] = 1, 9
	w.count()
	got := did(Cluster(w.s, w.p))
	want := []string{"count down", "launch small a 01", "count up", "drain i-002", "terminate i-003"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("did %q\nwant %q", got, want)
	}
}

// TestBothServicesGetTheirShare: one service that wants everything leaves the
// other some.
func TestBothServicesGetTheirShare(t *testing.T) {
	p := policy.Policy{
		Hosts:    []policy.HostGroup{groupRules("big", 1, 1)},
		Services: map[string]policy.Service{"all": rules(0, 500), "few": rules(0, 5)},
	}
	w := newWorld(t, p)
	w.host("big", "a", of(4096, 8192))
	w.service("all", 0, 0, 200, of(128, 256))
	w.service("few", 0, 0, 200, of(512, 1024))
	w.load["all"], w.load["few"] = 40, 5
	w.count()
	plan := Cluster(w.s, w.p)
	if few, all := decision(t, plan, "service/few").To, decision(t, plan, "service/all").To; few != 4 && few != 5 || all < 12 {
		t.Errorf("few gets %d of 5, all gets %d of 40, want 4 or 5 and the rest", few, all)
	}
}

// TestTheSameStateGivesTheSamePlan, and planning changes nothing that it was
// given.
func TestTheSameStateGivesTheSamePlan(t *testing.T) {
	w := large(t, 60, 600, 7, 5)
	first := Cluster(w.s, w.p)
	before := w.s
	before.Hosts = slices.Clone(w.s.Hosts)
	for range 5 {
		if again := Cluster(w.s, w.p); !reflect.DeepEqual(first, again) {
			t.Fatalf("got %+v\nand then %+v", first, again)
		}
	}
	if !reflect.DeepEqual(before, w.s) {
		t.Error("the state changed")
	}
}

// TestADeploymentThatCannotStopGetsRoom: with 100 % to be kept healthy and no
// host with room, a deployment can only go on with another host.
func TestADeploymentThatCannotStopGetsRoom(t *testing.T) {
	y := newYard(t)
	y.busy("one", "a")
	v := &y.s.Services[0]
	v.Desired = 2
	v.Deployments = []cluster.Deployment{{Status: "PRIMARY", Desired: 2}, {Status: "ACTIVE", Running: 2}}
	if got := did(Cluster(y.s, y.p)); !slices.Equal(got, []string{"launch one b 12"}) {
		t.Errorf("did %q, want a host for the two new tasks", got)
	}
	v.MinimumHealthyPercent = 50
	if got := did(Cluster(y.s, y.p)); got != nil {
		t.Errorf("did %q where ECS may stop an old task first", got)
	}
}
