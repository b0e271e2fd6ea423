package simcloud

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func strategy(kind types.PlacementStrategyType, field string) types.PlacementStrategy {
	return types.PlacementStrategy{Type: kind, Field: text(field)}
}

func memberOf(expression string) types.PlacementConstraint {
	return types.PlacementConstraint{Type: types.PlacementConstraintTypeMemberOf, Expression: &expression}
}

// TestPlacementIsNotChance places a service on hosts made unequal beforehand.
// Each row must come out the same whatever the seed, and each has an answer that
// random placement gives rarely: over 12 seeds, practically never each time.
func TestPlacementIsNotChance(t *testing.T) {
	tests := []struct {
		name  string
		setUp func(b *ecsBench)
		in    func(in *ecs.CreateServiceInput)
		count int32
		want  []int // tasks by host
	}{
		{"by default a service spreads over zones first, although zone a has more hosts", func(b *ecsBench) {
			b.hosts("many", 4, func(g *GroupSpec) { g.Zones = []string{"a"} })
			b.hosts("few", 1, func(g *GroupSpec) { g.Zones = []string{"b"}; g.CPU = 4096; g.Memory = 8192 })
		}, nil, 8, []int{1, 1, 1, 1, 4}},
		{"spread over instances gives each host the same", func(b *ecsBench) { b.hosts("g", 4, nil) }, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("spread", "instanceId")}
		}, 8, []int{2, 2, 2, 2}},
		{"spread over an attribute of one's own balances its values, not the hosts", func(b *ecsBench) {
			b.hosts("x", 1, func(g *GroupSpec) { g.Attributes = map[string]string{"rack": "1"}; g.CPU = 4096; g.Memory = 8192 })
			b.hosts("y", 3, func(g *GroupSpec) { g.Attributes = map[string]string{"rack": "2"} })
		}, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("spread", "attribute:rack"), strategy("spread", "host")}
		}, 6, []int{3, 1, 1, 1}},
		{"binpack on CPU fills the host with least CPU left", func(b *ecsBench) {
			b.hosts("big", 2, func(g *GroupSpec) { g.CPU = 2048; g.Memory = 1024 })
			b.hosts("small", 1, func(g *GroupSpec) { g.CPU = 512; g.Memory = 8192 })
			b.hosts("big2", 1, func(g *GroupSpec) { g.CPU = 2048; g.Memory = 1024 })
		}, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("binpack", "cpu")}
		}, 2, []int{0, 0, 2, 0}},
		{"binpack on memory fills the host with least memory left", func(b *ecsBench) {
			b.hosts("big", 2, func(g *GroupSpec) { g.CPU = 512; g.Memory = 8192 })
			b.hosts("small", 1, func(g *GroupSpec) { g.CPU = 2048; g.Memory = 1024 })
		}, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("binpack", "MEMORY")}
		}, 4, []int{0, 0, 4}},
		{"strategies apply in turn: spread over zones, pack within a zone", func(b *ecsBench) {
			b.hosts("g", 4, func(g *GroupSpec) { g.Zones = []string{"a", "b"} })
			b.hosts("small", 2, func(g *GroupSpec) { g.Zones = []string{"a", "b"}; g.CPU = 512; g.Memory = 1024 })
		}, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("spread", "attribute:ecs.availability-zone"), strategy("binpack", "memory")}
		}, 4, []int{0, 0, 0, 0, 2, 2}},
		{"distinctInstance puts one on each host and leaves the rest out", func(b *ecsBench) { b.hosts("g", 3, nil) }, func(in *ecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}}
			in.PlacementStrategy = []types.PlacementStrategy{strategy("binpack", "cpu")}
		}, 5, []int{1, 1, 1}},
		{"distinctInstance looks at its own group only", func(b *ecsBench) { b.hosts("g", 3, nil); b.standalone(2, 1) }, func(in *ecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}}
		}, 3, []int{1, 1, 1}},
		{"memberOf keeps to the hosts of its expression", func(b *ecsBench) {
			b.hosts("g", 3, nil)
			b.hosts("gpu", 1, func(g *GroupSpec) { g.Attributes = map[string]string{"kind": "gpu"} })
		}, func(in *ecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("attribute:kind == gpu")}
		}, 3, []int{0, 0, 0, 3}},
		{"memberOf counts running tasks at each placement", func(b *ecsBench) { b.hosts("g", 2, nil); b.standalone(1, 1) }, func(in *ecs.CreateServiceInput) {
			in.PlacementConstraints = []types.PlacementConstraint{memberOf("runningTasksCount < 1")}
		}, 3, []int{3, 0}},
		{"a disconnected agent gets nothing", func(b *ecsBench) {
			b.hosts("g", 3, nil)
			b.f.disconnect(b.host(1), time.Hour)
		}, nil, 4, []int{2, 0, 2}},
		{"a DRAINING host gets nothing", func(b *ecsBench) { b.hosts("g", 3, nil); b.drain(b.host(0)) }, nil, 4, []int{0, 2, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(12) {
				b := newECSBench(t, seed)
				b.define("web", 256, 256, nil)
				tt.setUp(b)
				s := b.create("web", tt.count, tt.in)
				b.pass(time.Second)
				b.want("tasks by host", b.spreadOf(s), tt.want)
			}
		})
	}
}

// standalone runs tasks on the n-th host, until they are RUNNING.
func (b *ecsBench) standalone(count, host int) {
	b.t.Helper()
	b.define("lone", 1, 1, nil)
	out, err := b.c.ECS().RunTask(b.ctx, &ecs.RunTaskInput{
		Cluster: aws.String("c"), TaskDefinition: aws.String("lone"), Count: aws.Int32(int32(count)),
		PlacementConstraints: []types.PlacementConstraint{memberOf("ec2InstanceId == " + b.host(host).instance.id)},
	})
	b.must(err)
	if len(out.Tasks) != count {
		b.t.Fatalf("%d of %d standalone tasks", len(out.Tasks), count)
	}
	b.pass(2 * time.Minute)
}

// TestDistinctInstanceIgnoresATaskToldToStop is ECS's documented exception.
func TestDistinctInstanceIgnoresATaskToldToStop(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 1, 1, nil)
	s := b.create("web", 1, func(in *ecs.CreateServiceInput) {
		in.PlacementConstraints = []types.PlacementConstraint{{Type: types.PlacementConstraintTypeDistinctInstance}}
	})
	b.pass(time.Minute)
	b.stop(s.tasks[0])
	b.pass(time.Second)
	b.want("the old one stopping, the new one there", len(s.tasks), 2)
}

func TestRandomPlacementIsChance(t *testing.T) {
	seen := map[int]int{}
	for seed := range uint64(60) {
		b := newECSBench(t, seed)
		b.define("web", 1, 1, nil)
		b.hosts("g", 3, nil)
		s := b.create("web", 1, func(in *ecs.CreateServiceInput) {
			in.PlacementStrategy = []types.PlacementStrategy{strategy("random", "")}
		})
		b.pass(time.Second)
		for i, n := range b.spreadOf(s) {
			seen[i] += n
		}
	}
	for i := range 3 {
		if seen[i] < 8 || seen[i] > 40 {
			t.Errorf("60 random placements by host: %v", seen)
		}
	}
}

func TestStaticPortsAndAttributesFilter(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("plain", 2, nil)
	b.hosts("arm", 1, func(g *GroupSpec) { g.Attributes = map[string]string{"ecs.cpu-architecture": "arm64"} })
	port := func(n int32) func(in *ecs.RegisterTaskDefinitionInput) {
		return func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].PortMappings[0].HostPort = aws.Int32(n)
		}
	}
	b.define("exporter", 1, 1, port(9100))
	b.define("ssh", 1, 1, port(22))
	b.define("arm", 1, 1, func(in *ecs.RegisterTaskDefinitionInput) {
		in.RuntimePlatform = &types.RuntimePlatform{CpuArchitecture: types.CPUArchitectureArm64}
	})
	exporter, arm := b.create("exporter", 5, nil), b.create("arm", 4, nil)
	b.pass(time.Second)
	b.want("a static port fits once on a host", b.spreadOf(exporter), []int{1, 1, 1})
	b.want("an attribute is required with its value", b.spreadOf(arm), []int{0, 0, 4})
	out, err := b.c.ECS().RunTask(b.ctx, &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("ssh")})
	b.must(err)
	b.want("the agent's own ports are taken", aws.ToString(out.Failures[0].Reason), "RESOURCE:PORTS")
}

func TestRefusalNamesWhatTheClosestHostLacks(t *testing.T) {
	tests := []struct {
		name        string
		setUp       func(b *ecsBench)
		cpu, memory int32
		constraint  string
		want        string
	}{
		{"no host at all", func(*ecsBench) {}, 1, 1, "", "NO ACTIVE INSTANCES"},
		{"only a draining one", func(b *ecsBench) { b.hosts("g", 1, nil); b.drain(b.host(0)) }, 1, 1, "", "NO ACTIVE INSTANCES"},
		{"its agent is away", func(b *ecsBench) { b.hosts("g", 1, nil); b.f.disconnect(b.host(0), time.Hour) }, 1, 1, "", "AGENT"},
		{"too little CPU", func(b *ecsBench) { b.hosts("g", 1, nil) }, 1025, 1, "", "RESOURCE:CPU"},
		{"CPU suffices, memory does not", func(b *ecsBench) { b.hosts("g", 1, nil) }, 1024, 2049, "", "RESOURCE:MEMORY"},
		{"no member", func(b *ecsBench) { b.hosts("g", 1, nil) }, 1, 1, "attribute:x exists", "MemberOf placement constraint unsatisfied."},
		{"the closest of two lacks memory only", func(b *ecsBench) {
			b.hosts("a", 1, func(g *GroupSpec) { g.CPU = 100 })
			b.hosts("b", 1, func(g *GroupSpec) { g.Memory = 100 })
		}, 200, 200, "", "RESOURCE:MEMORY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 1)
			tt.setUp(b)
			b.define("web", tt.cpu, tt.memory, nil)
			in := &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("web"), Count: aws.Int32(2)}
			if tt.constraint != "" {
				in.PlacementConstraints = []types.PlacementConstraint{memberOf(tt.constraint)}
			}
			out, err := b.c.ECS().RunTask(b.ctx, in)
			b.must(err)
			if len(out.Tasks) != 0 || len(out.Failures) != 2 || *out.Failures[0].Reason != tt.want {
				t.Errorf("%d tasks, failures %+v, want %s", len(out.Tasks), out.Failures, tt.want)
			}
		})
	}
}

// TestScaleInMirrorsPlacement takes healthy tasks away and looks what is left.
func TestScaleInMirrorsPlacement(t *testing.T) {
	tests := []struct {
		name       string
		strategies []types.PlacementStrategy
		before     []int
		to         int32
		want       []int
	}{
		{"default: from the zone with most, there from the host with most", nil, []int{4, 1, 1}, 3, []int{1, 1, 1}},
		{"spread over hosts", []types.PlacementStrategy{strategy("spread", "instanceId")}, []int{3, 3, 1}, 5, []int{2, 2, 1}},
		{"binpack: from the host with most left afterwards", []types.PlacementStrategy{strategy("binpack", "memory")}, []int{4, 3, 1}, 5, []int{4, 1, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(12) {
				b := newECSBench(t, seed)
				b.hosts("g", 3, nil)
				b.define("web", 128, 128, nil)
				s := b.create("web", 0, func(in *ecs.CreateServiceInput) { in.PlacementStrategy = tt.strategies })
				for i, n := range tt.before {
					for range n {
						b.f.startTask(b.host(i), ecsRequest{definition: s.deployments[0].definition, group: s.group()}, s, "")
					}
					b.f.setDesired(s, s.desired+n)
				}
				b.pass(5 * time.Minute)
				b.scale("web", tt.to)
				b.pass(time.Minute)
				if tt.name[:7] == "binpack" {
					b.want("left", b.spreadOf(s)[0], 4) // the fullest host is never touched
					continue
				}
				b.want("left", b.spreadOf(s), tt.want)
			}
		})
	}
}

func TestPlacementQueries(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, func(g *GroupSpec) {
		g.Zones, g.Attributes = []string{"eu-west-1b"}, map[string]string{"rack": "7", "spot": "", "name": "web-1"}
	})
	h := b.host(0)
	tests := []struct {
		expression string
		want       bool
	}{
		{"attribute:rack == 7", true},
		{"attribute:rack equals 8", false},
		{"attribute:rack != 7", false},
		{"attribute:absent != 7", true},
		{"attribute:spot exists", true},
		{"attribute:plimsoll.cordon !exists", true},
		{"attribute:spot not_exists", false},
		{"attribute:ecs.availability-zone in [eu-west-1a, eu-west-1b]", true},
		{"attribute:ecs.availability-zone in [eu-west-1a]", false},
		{"attribute:ecs.availability-zone !in [eu-west-1a,eu-west-1c]", true},
		{"attribute:ecs.availability-zone not_in [eu-west-1b]", false},
		{"attribute:ecs.instance-type =~ m6g.*", true},
		{"attribute:ecs.instance-type =~ m6", false},
		{"attribute:name !~ web-.*", false},
		{"attribute:rack > 6", true},
		{"attribute:rack >= 8", false},
		{"attribute:rack < 7", false},
		{"attribute:rack less_than_equal 7", true},
		{"attribute:name > 1", false},
		{"agentConnected == true", true},
		{"runningTasksCount == 0", true},
		{"runningTasksCount > 0", false},
		{"ec2InstanceId == " + h.instance.id, true},
		{"ec2InstanceId in [i-1]", false},
		{"task:group == service:web", false},
		{"not attribute:rack == 7", false},
		{"attribute:rack == 8 or attribute:rack == 7 and attribute:spot exists", true},
		{"(attribute:rack == 7 or attribute:rack == 8) and attribute:absent exists", false},
		{"attribute:rack == 7 || attribute:absent exists && attribute:absent exists", true},
		{"!(attribute:rack == 7)", false},
		{"not(attribute:rack == 8)", true},
	}
	for _, tt := range tests {
		holds, err := parseQuery(tt.expression)
		if err != nil {
			t.Errorf("%s: %v", tt.expression, err)
		} else if got := holds(h); got != tt.want {
			t.Errorf("%s: %t", tt.expression, got)
		}
	}
}

func TestBadExpressionsAreRefusedAtCreation(t *testing.T) {
	b := newECSBench(t, 1)
	b.define("web", 1, 1, nil)
	for _, expression := range []string{
		"", "attribute:x", "attribute:x ==", "attribute:x = 1", "shoe == 1", "attribute:x in 1", "attribute:x in [1", "attribute:x in [,]",
		"(attribute:x exists", "attribute:x exists)", "attribute:x exists and", "attribute:x =~ [", "attribute:x > much", "not", "attribute:x exists attribute:y exists",
	} {
		_, err := b.c.ECS().CreateService(b.ctx, &ecs.CreateServiceInput{
			Cluster: aws.String("c"), ServiceName: aws.String("web"), TaskDefinition: aws.String("web"), AvailabilityZoneRebalancing: "DISABLED",
			PlacementConstraints: []types.PlacementConstraint{memberOf(expression)},
		})
		var bad *types.InvalidParameterException
		if !errors.As(err, &bad) {
			t.Errorf("%q: %v", expression, err)
		}
	}
	if len(b.f.clusters[0].services) != 0 {
		t.Error("a refused service was made")
	}
}
