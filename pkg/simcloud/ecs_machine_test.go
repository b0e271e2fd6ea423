package simcloud

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

// TestInvariantsUnderAnyActs lets anything happen in any order and checks after
// each change of the world that its books are right.
func TestInvariantsUnderAnyActs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newECSBench(t, rapid.Uint64().Draw(rt, "seed"))
		behaviour := b.c.World().Behaviour()
		behaviour.FlapsPerHour = float64(rapid.IntRange(0, 20).Draw(rt, "flaps an hour"))
		behaviour.StoppingCounts = rapid.Bool().Draw(rt, "stopping counts")
		behaviour.PlaceOnRegistration = rapid.Bool().Draw(rt, "place on registration")
		m := newMachine(b)
		first := "" // a change is not seen on the test's goroutine
		b.c.World().OnChange(func() {
			if why := m.wrong(); why != "" && first == "" {
				first = fmt.Sprintf("at %s: %s", b.c.now.Sub(epoch), why)
			}
		})
		acts := m.acts()
		acts[""] = func(rt *rapid.T) {
			b.pass(time.Duration(rapid.IntRange(0, 90).Draw(rt, "seconds")) * time.Second)
			if first != "" {
				rt.Fatal(first)
			}
		}
		rt.Repeat(acts)
		b.pass(2 * time.Hour)
		if first != "" {
			rt.Fatal(first)
		}
		b.stories() // versions go up by one
	})
}

// machine is the world under random acts.
type machine struct {
	b        *ecsBench
	services []*ecsService
	tokens   int
}

func newMachine(b *ecsBench) *machine {
	b.hosts("g", 3, func(g *GroupSpec) { g.Max = 6 })
	for range 3 {
		b.define("web", 300, 300, nil)
	}
	b.define("exporter", 100, 100, func(in *ecs.RegisterTaskDefinitionInput) {
		in.ContainerDefinitions[0].PortMappings[0].HostPort = aws.Int32(9100)
	})
	b.define("broken", 100, 100, nil)
	b.c.World().BehaveTasks("broken", TaskBehaviour{CannotStart: true})
	m := &machine{b: b}
	for _, name := range []string{"web", "exporter", "broken"} {
		m.services = append(m.services, b.create(name, 2, nil))
	}
	return m
}

func (m *machine) anyHost(rt *rapid.T) *ecsHost {
	hosts := m.b.f.clusters[0].hosts
	if len(hosts) == 0 {
		rt.Skip("no host")
	}
	return rapid.SampledFrom(hosts).Draw(rt, "host")
}

func (m *machine) anyTask(rt *rapid.T) *ecsTask {
	tasks := m.b.f.clusters[0].tasks
	if len(tasks) == 0 {
		rt.Skip("no task")
	}
	return rapid.SampledFrom(tasks).Draw(rt, "task")
}

func (m *machine) acts() map[string]func(*rapid.T) {
	b, w := m.b, m.b.c.World()
	return map[string]func(*rapid.T){
		"scale": func(rt *rapid.T) {
			b.scale(rapid.SampledFrom(m.services).Draw(rt, "service").name, int32(rapid.IntRange(0, 9).Draw(rt, "desired")))
		},
		"deploy": func(rt *rapid.T) {
			revision := rapid.IntRange(1, 3).Draw(rt, "revision")
			b.update("web", func(in *ecs.UpdateServiceInput) { in.TaskDefinition = aws.String(fmt.Sprintf("web:%d", revision)) })
		},
		"percents": func(rt *rapid.T) {
			low, high := int32(rapid.SampledFrom([]int{0, 50, 100}).Draw(rt, "min")), int32(rapid.SampledFrom([]int{100, 150, 200}).Draw(rt, "max"))
			b.update("web", func(in *ecs.UpdateServiceInput) {
				in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: &low, MaximumPercent: &high}
			})
		},
		"drain or not": func(rt *rapid.T) {
			_, err := b.c.ECS().UpdateContainerInstancesState(b.ctx, &ecs.UpdateContainerInstancesStateInput{
				Cluster: aws.String("c"), ContainerInstances: []string{m.anyHost(rt).arn},
				Status: rapid.SampledFrom([]types.ContainerInstanceStatus{"ACTIVE", "DRAINING"}).Draw(rt, "status"),
			})
			b.must(err)
		},
		"stop task":  func(rt *rapid.T) { b.stop(m.anyTask(rt)) },
		"crash task": func(rt *rapid.T) { _ = w.CrashTask("c", m.anyTask(rt).arn) },
		"run task": func(*rapid.T) {
			_, err := b.c.ECS().RunTask(b.ctx, &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String("exporter")})
			b.must(err)
		},
		"launch": func(rt *rapid.T) {
			m.tokens++
			b.launch(fmt.Sprint(m.tokens), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "zone"), 1)
		},
		"capacity":  func(rt *rapid.T) { _ = b.setCapacity(int32(rapid.IntRange(0, 6).Draw(rt, "capacity"))) },
		"terminate": func(rt *rapid.T) { _ = b.terminate(m.anyHost(rt).instance.id, rapid.Bool().Draw(rt, "decrement")) },
		"kill":      func(rt *rapid.T) { _ = w.KillHost(m.anyHost(rt).instance.id) },
		"agent down": func(rt *rapid.T) {
			_ = w.AgentDown(m.anyHost(rt).instance.id, time.Duration(rapid.IntRange(1, 300).Draw(rt, "seconds"))*time.Second)
		},
	}
}

// wrong says what is wrong with the world's books; "" if nothing is.
func (m *machine) wrong() string {
	for _, h := range m.b.f.clusters[0].hosts {
		if why := wrongHost(h); why != "" {
			return "host " + h.id + ": " + why
		}
	}
	onServices := 0
	for _, s := range m.services {
		onServices += len(s.tasks)
		for _, t := range s.tasks {
			if t.last == statusStopped || t.service != s {
				return "service " + s.name + " keeps a task that is not its own"
			}
		}
		out := s.describe()
		if out.PendingCount+out.RunningCount > int32(len(s.tasks)) {
			return "service " + s.name + " counts more than it has"
		}
	}
	onHosts, standalone := 0, 0
	for _, h := range m.b.f.clusters[0].hosts {
		onHosts += len(h.tasks)
	}
	for _, t := range m.b.f.clusters[0].tasks {
		if t.service == nil && t.last != statusStopped {
			standalone++
		}
	}
	if onHosts != onServices+standalone {
		return fmt.Sprintf("%d tasks on hosts, %d of services, %d standalone", onHosts, onServices, standalone)
	}
	return wrongGroup(m.b.f.group("g"))
}

func wrongGroup(g *asGroup) string {
	if g.desired < g.minimum || g.desired > g.maximum {
		return fmt.Sprintf("desired %d outside %d-%d", g.desired, g.minimum, g.maximum)
	}
	if len(g.instances)+len(g.gone) != g.launched {
		return fmt.Sprintf("%d instances and %d gone, %d launched", len(g.instances), len(g.gone), g.launched)
	}
	return ""
}

func wrongHost(h *ecsHost) string {
	cpu, memory, toRun, ports := 0, 0, 0, map[ecsPort]bool{}
	for _, t := range h.tasks {
		cpu, memory = cpu+t.definition.cpu, memory+t.definition.memory
		if t.wantedToRun() {
			toRun++
		}
		for _, p := range append(t.definition.static(), t.ports...) {
			if ports[p] {
				return fmt.Sprintf("port %v is taken twice", p)
			}
			ports[p] = true
		}
	}
	counted := 0
	for _, n := range h.byGroup {
		if n < 0 {
			return "a negative count"
		}
		counted += n
	}
	switch {
	case h.freeCPU != h.cpu-cpu || h.freeMemory != h.memory-memory:
		return fmt.Sprintf("%d CPU and %d MiB free, tasks hold %d and %d", h.freeCPU, h.freeMemory, cpu, memory)
	case h.freeCPU < 0 || h.freeMemory < 0:
		return "overcommitted"
	case len(ports) != len(h.static)+len(h.dynamic):
		return fmt.Sprintf("%d ports in use, %d booked", len(ports), len(h.static)+len(h.dynamic))
	case counted != toRun:
		return fmt.Sprintf("%d tasks are to run, %d booked", toRun, counted)
	case h.connected != (h.outages == 0 && !h.dead):
		return fmt.Sprintf("connected %t with %d outages, dead %t", h.connected, h.outages, h.dead)
	case h.status == statusInactive && len(h.tasks) > 0:
		return "tasks on an INACTIVE host"
	}
	return ""
}
