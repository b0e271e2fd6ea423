package infra

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// rowsOf are a service's endpoints in a policy, as a person would say them.
func rowsOf(w world, service string) string {
	var all []string
	for _, e := range w.ours[0].EndpointsOf(service) {
		all = append(all, fmt.Sprintf("%s:%d/%s to %s", e.Container, e.Port, e.Protocol, e.TargetGroup+e.Registry))
	}
	return strings.Join(all, ", ")
}

func TestThePolicyNamesWhereTasksAreRegistered(t *testing.T) {
	w := theWorld(t)
	want := map[string]string{
		"web":    "app:80/tcp to web, app:80/tcp to web-admin, app:80/tcp to web, app:53/udp to srv-abc", // a group and a registry may have one name
		"moving": "app:80/tcp to ours-Shop-1ABC",
		"dns":    "app:53/udp to dns-of-others, app:80/tcp to names, app:80/tcp to plain",
		"quick":  "app:80/tcp to quick",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := rowsOf(w, name); got != want[name] {
			t.Errorf("%s: %s\nwant %s", name, got, want[name])
		}
	}
	if len(w.plain[0].Registered()) > 0 {
		t.Errorf("where ECS registers the policy names %v", w.plain[0].Registered())
	}
}

// Two that register the same would undo each other: the ECS service names no
// target group where plimsoll registers. On the way from one to the other it does.
func TestECSRegistersOnlyWhatIsItsOwn(t *testing.T) {
	for _, s := range theWorld(t).stacks["Ours"].all("AWS::ECS::Service") {
		balancers, grace := text(s.Properties["LoadBalancers"]), text(s.Properties["HealthCheckGracePeriodSeconds"])
		if s.Properties["ServiceName"] == "moving" {
			if !strings.Contains(balancers, `"ContainerPort":80`) || grace != "30" {
				t.Errorf("moving has %s and %s", balancers, grace)
			}
			continue
		}
		if balancers != "null" || grace != "null" || s.Properties["ServiceRegistries"] != nil {
			t.Errorf("%v has %s and %s", s.Properties["ServiceName"], balancers, grace)
		}
	}
}

func TestATargetGroupHasTheNameThatThePolicyKnows(t *testing.T) {
	d := theWorld(t).stacks["Ours"]
	var names []string
	for _, g := range d.all("AWS::ElasticLoadBalancingV2::TargetGroup") {
		names = append(names, text(g.Properties["Name"]))
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != `"web" "web-admin" null` { // null: its name is kept
		t.Errorf("the groups are %s", got)
	}
	if n := len(d.all("AWS::ElasticLoadBalancingV2::ListenerRule")); n != 3 {
		t.Errorf("%d rules", n)
	}
}

// A group must stay the same one when another registers in it: its logical id
// does not depend on who does.
func TestWhoRegistersChangesNoTargetGroup(t *testing.T) {
	seen := map[string]bool{}
	for _, by := range []Registrar{"", RegisteredByECS, RegistrarChanges, RegisteredByPlimsoll} {
		p := ServiceProps{Name: "s", RegisteredBy: by, Containers: []Container{{Ports: []Port{{Container: 80}}}}, Targets: []Target{{Name: "a"}, {Name: "b"}}}.defaulted()
		seen[p.Targets[0].id()+" "+p.Targets[1].id()] = true
	}
	if !maps.Equal(seen, map[string]bool{"app-80 app-80-b": true}) {
		t.Errorf("the ids are %v", seen)
	}
}

func TestHoldOutlastsEveryPlaceThatATaskIsRegistered(t *testing.T) {
	d := theWorld(t).stacks["Ours"]
	for family, want := range map[string]string{
		"web":    "sleep 105;", // the longest delay, 90 s, and 15
		"moving": "sleep 45;",
		"dns":    "sleep 315;", // others' groups, whose delay nobody told: ELB's own
		"quick":  "sleep 16;",  // what DNS told, for a second
	} {
		hold := containersOf(t, d, family)[holdName]
		if got := text(hold["Command"]); !strings.Contains(got, want) {
			t.Errorf("%s holds by %s, want %s", family, got, want)
		}
	}
	long := ServiceProps{Name: "s", Containers: []Container{{Ports: []Port{{Container: 80}}}}, Hold: Hold{Delay: 2 * time.Second}, Registries: []Registry{{TTL: time.Minute}}}.defaulted()
	if got := long.holds(); got != 75*time.Second {
		t.Errorf("with a minute in DNS it holds for %v", got)
	}
}

func TestRegistriesAreMadeInTheirNamespace(t *testing.T) {
	d := theWorld(t).stacks["Ours"]
	spaces := d.all("AWS::ServiceDiscovery::PrivateDnsNamespace")
	if len(spaces) != 1 || spaces[0].Properties["Name"] != "ours.local" || !strings.Contains(text(spaces[0].Properties["Vpc"]), "ShopNetwork") {
		t.Fatalf("the namespace is %s", text(spaces))
	}
	own := `{"Fn::GetAtt":["` + spaces[0].id + `","Id"]}`
	want := map[string]string{
		"web":   own + ` {"DnsRecords":[{"TTL":60,"Type":"SRV"}],"RoutingPolicy":"MULTIVALUE"} null`,
		"quick": own + ` {"DnsRecords":[{"TTL":1,"Type":"SRV"}],"RoutingPolicy":"MULTIVALUE"} null`,
		"names": `"ns-abc" null "HTTP"`,
		"plain": `"ns-xyz" {"DnsRecords":[{"TTL":10,"Type":"A"}],"RoutingPolicy":"MULTIVALUE"} null`,
	}
	for _, s := range d.all("AWS::ServiceDiscovery::Service") {
		name, _ := s.Properties["Name"].(string)
		got := text(s.Properties["NamespaceId"]) + " " + text(s.Properties["DnsConfig"]) + " " + text(s.Properties["Type"])
		if got != want[name] {
			t.Errorf("%s: %s\nwant %s", name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no registry for %v", want)
	}
}

// Who finds a task by Cloud Map calls its host himself, past the load balancer.
func TestHostsLetEachOtherInWhereTasksAreLookedUp(t *testing.T) {
	w := theWorld(t)
	among := func(stack string) (protocols []string) {
		for _, r := range w.stacks[stack].all("AWS::EC2::SecurityGroupIngress") {
			if text(r.Properties["GroupId"]) == text(r.Properties["SourceSecurityGroupId"]) {
				protocols = append(protocols, fmt.Sprint(r.Properties["IpProtocol"], " ", r.Properties["FromPort"], "-", r.Properties["ToPort"]))
			}
		}
		return protocols
	}
	if got := fmt.Sprint(among("Ours")); got != "[tcp 32768-65535 udp 32768-65535]" {
		t.Errorf("hosts with registries let each other in on %s", got)
	}
	if got := among("Plain"); len(got) > 0 {
		t.Errorf("hosts without registries let each other in on %v", got)
	}
}
