package simcloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"
)

// sidecar adds a container that depends on another one.
func sidecar(name, on string, stopTimeout int32) func(*ecs.RegisterTaskDefinitionInput) {
	return func(in *ecs.RegisterTaskDefinitionInput) {
		c := types.ContainerDefinition{Name: aws.String(name), Image: aws.String(name + ":1"), Memory: aws.Int32(10), Essential: aws.Bool(false), StopTimeout: aws.Int32(stopTimeout)}
		if on != "" {
			c.DependsOn = []types.ContainerDependency{{ContainerName: aws.String(on), Condition: types.ContainerConditionStart}}
		}
		in.ContainerDefinitions = append(in.ContainerDefinitions, c)
	}
}

// TestHowLongATaskServesAfterSigterm tells until when something answers on the
// application's port, and when the task is STOPPED, in seconds after the stop. An
// application takes two seconds to end once it wants to.
func TestHowLongATaskServesAfterSigterm(t *testing.T) {
	two := TaskBehaviour{StopFrom: 2 * time.Second, StopTo: 2 * time.Second}
	held := func(b TaskBehaviour, seconds int) TaskBehaviour {
		b.Hold, b.HoldFor = "hold", time.Duration(seconds)*time.Second
		return b
	}
	serving := func(b TaskBehaviour, seconds int) TaskBehaviour {
		b.ServesOn = time.Duration(seconds) * time.Second
		return b
	}
	limit := func(seconds int32) func(*ecs.RegisterTaskDefinitionInput) {
		return func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].StopTimeout = aws.Int32(seconds) }
	}
	both := func(all ...func(*ecs.RegisterTaskDefinitionInput)) func(*ecs.RegisterTaskDefinitionInput) {
		return func(in *ecs.RegisterTaskDefinitionInput) {
			for _, do := range all {
				do(in)
			}
		}
	}
	for _, tt := range []struct {
		name          string
		b             TaskBehaviour
		change        func(*ecs.RegisterTaskDefinitionInput)
		serves, stops float64
		exit          int32
	}{
		{"it closes its port at once", two, nil, 0, 2, 0},
		{"it serves on by itself", serving(two, 20), nil, 20, 22, 0},
		{"SIGKILL ends it after 30 s unless it has its own limit", serving(two, 40), nil, 30, 30, 137},
		{"its own longer limit lets it serve on", serving(two, 40), limit(60), 40, 42, 0},
		{"its own shorter limit cuts it off", serving(two, 40), limit(5), 5, 5, 137},
		{"a hold container keeps SIGTERM from it", held(two, 45), sidecar("hold", "main", 60), 45, 47, 0},
		{"a hold is killed after its own limit, which is too short here", held(two, 45), sidecar("hold", "main", 10), 10, 12, 0},
		{"a hold and an application that serves on add up", held(serving(two, 10), 45), sidecar("hold", "main", 60), 55, 57, 0},
		{"a hold that depends on nothing holds nothing", held(two, 45), sidecar("hold", "", 60), 0, 45, 0},
		{"a container between them waits for the hold, and the application for it", held(two, 45), both(sidecar("proxy", "main", 30), sidecar("hold", "proxy", 60)), 47, 49, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 1)
			b.hosts("g", 1, nil)
			b.define("web", 100, 100, tt.change)
			b.c.World().BehaveTasks("web", tt.b)
			task := b.run("web")
			if task.listens(0) {
				t.Error("it answers while PENDING")
			}
			b.pass(2 * time.Minute)
			port := ecsPort{task.bindings[0].host, "tcp"}
			stopped := b.c.now
			b.stop(task)
			serves, stops := 0.0, 0.0
			for task.last != statusStopped {
				arn, container, ok := b.c.World().Answers(task.host.instance.id, port.number, port.protocol)
				if ok != task.listens(0) || ok && (arn != task.arn || container != "main") {
					t.Fatalf("on its port answers %q of %q, it does: %t", container, arn, task.listens(0))
				}
				b.pass(500 * time.Millisecond)
				if after := b.c.now.Sub(stopped).Seconds(); task.listens(0) {
					serves = after
				} else {
					stops = after
				}
			}
			if serves < tt.serves-0.5 || serves > tt.serves || stops != tt.stops {
				t.Errorf("it served for %v s and was STOPPED after %v s, want %v and %v", serves, stops, tt.serves, tt.stops)
			}
			b.want("exit code", *task.describe().Containers[0].ExitCode, tt.exit)
			if task.host.listener(port) != nil || task.listens(0) {
				t.Error("something answers once it is STOPPED")
			}
		})
	}
}

func TestAContainerThatEndsBeforeItsTaskIsToldOf(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, sidecar("hold", "main", 60))
	b.c.World().BehaveTasks("web", TaskBehaviour{Hold: "hold", HoldFor: 20 * time.Second, StopFrom: 5 * time.Second, StopTo: 5 * time.Second})
	task := b.run("web")
	b.pass(time.Minute)
	b.stop(task)
	b.pass(21 * time.Second)
	got := ""
	for _, c := range task.describe().Containers {
		got += fmt.Sprint(*c.Name, " ", *c.LastStatus, " ", c.ExitCode != nil, " ")
	}
	b.want("the hold has ended, the application has not", got, "main RUNNING false hold STOPPED true ")
	b.want("events", strings.Join(b.stories()[0], " "), "PENDING/RUNNING RUNNING/RUNNING RUNNING/STOPPED STOPPING/STOPPED STOPPING/STOPPED")
	b.pass(time.Minute)
	b.want("task", task.last, statusStopped)
}

func TestACrashStopsTheOtherContainersInOrder(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, sidecar("hold", "main", 60))
	b.c.World().BehaveTasks("web", TaskBehaviour{Hold: "hold", HoldFor: 20 * time.Second})
	task := b.run("web")
	b.pass(time.Minute)
	b.must(b.c.World().CrashTask("c", task.arn))
	b.want("it answers no more", task.listens(0), false)
	b.pass(19 * time.Second)
	b.want("the hold keeps the task, and its port", fmt.Sprint(task.last, len(task.ports), task.host.listener(ecsPort{task.bindings[0].host, "tcp"}) == task), "RUNNING1 true")
	b.pass(2 * time.Second)
	b.want("until it ends", fmt.Sprint(task.last, *task.describe().Containers[0].ExitCode), "STOPPED1")
}

func TestPortsComeBackEarlyInTheOtherWorld(t *testing.T) {
	for early, want := range map[bool]bool{false: false, true: true} {
		b := newECSBench(t, 1)
		b.c.World().Behaviour().PortsFreeEarly = early
		b.hosts("g", 1, nil)
		b.define("web", 100, 100, sidecar("hold", "main", 60))
		b.c.World().BehaveTasks("web", TaskBehaviour{Hold: "hold", HoldFor: 20 * time.Second})
		task := b.run("web")
		b.pass(time.Minute)
		port := task.ports[0]
		b.must(b.c.World().CrashTask("c", task.arn))
		b.pass(10 * time.Second)
		b.want(fmt.Sprint("early ", early, ": free while the task is RUNNING"), !task.host.takes(port), want)
		if why := wrongHost(task.host); why != "" {
			t.Error(why)
		}
		b.host(0).lastPort = port.number - 1
		next := b.run("web")
		b.pass(8 * time.Second)
		b.want("another task answers on it", fmt.Sprint(next.last, task.last, task.host.listener(port) == next), fmt.Sprint("RUNNINGRUNNING", want))
	}
}

func TestADeadHostAnswersNothingAndNobodyLearnsAnExitCode(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, nil)
	b.c.World().BehaveTasks("web", TaskBehaviour{ServesOn: 20 * time.Second})
	task := b.run("web")
	b.pass(time.Minute)
	b.stop(task)
	b.want("it serves on", task.listens(0), true)
	b.must(b.c.World().KillHost(task.host.instance.id))
	b.want("it serves on without a machine", task.listens(0), false)
	b.pass(10 * time.Minute)
	b.want("STOPPED, exit code", fmt.Sprint(task.last, task.describe().Containers[0].ExitCode), "STOPPED<nil>")
}

func TestDefinitionsThatContainersCannotFollow(t *testing.T) {
	on := func(condition types.ContainerCondition, names ...string) []types.ContainerDependency {
		var all []types.ContainerDependency
		for _, n := range names {
			all = append(all, types.ContainerDependency{ContainerName: aws.String(n), Condition: condition})
		}
		return all
	}
	for _, tt := range []struct {
		name, want string
		change     func(main, side *types.ContainerDefinition)
	}{
		{"none is essential", "one essential", func(main, _ *types.ContainerDefinition) { main.Essential = aws.Bool(false) }},
		{"two of one name", "differ", func(_, side *types.ContainerDefinition) { side.Name = aws.String("main") }},
		{"it depends on itself", "not another container", func(main, _ *types.ContainerDefinition) { main.DependsOn = on("START", "main") }},
		{"it depends on nobody known", "not another container", func(main, _ *types.ContainerDefinition) { main.DependsOn = on("START", "other") }},
		{"a circle", "cycle", func(main, side *types.ContainerDefinition) {
			main.DependsOn, side.DependsOn = on("START", "side"), on("START", "main")
		}},
		{"HEALTHY without a health check", "no health check", func(_, side *types.ContainerDefinition) { side.DependsOn = on("HEALTHY", "main") }},
		{"COMPLETE of an essential one", "essential", func(_, side *types.ContainerDefinition) { side.DependsOn = on("COMPLETE", "main") }},
		{"another condition", "not START", func(_, side *types.ContainerDefinition) { side.DependsOn = on("READY", "main") }},
		{"a time-out below zero", "stopTimeout", func(main, _ *types.ContainerDefinition) { main.StopTimeout = aws.Int32(-1) }},
	} {
		b := newECSBench(t, 1)
		_, err := b.c.ECS().RegisterTaskDefinition(b.ctx, &ecs.RegisterTaskDefinitionInput{Family: aws.String("f"), ContainerDefinitions: func() []types.ContainerDefinition {
			all := []types.ContainerDefinition{
				{Name: aws.String("main"), Image: aws.String("i"), Memory: aws.Int32(1)},
				{Name: aws.String("side"), Image: aws.String("i"), Memory: aws.Int32(1), Essential: aws.Bool(false)},
			}
			tt.change(&all[0], &all[1])
			return all
		}()})
		if codeOf(err) != "ClientException" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestADefinitionIsGivenBack(t *testing.T) {
	b := newECSBench(t, 1)
	b.define("web", 100, 100, func(in *ecs.RegisterTaskDefinitionInput) {
		sidecar("hold", "main", 75)(in)
		in.ContainerDefinitions[1].Command = []string{"sleep", "60"}
	})
	out, err := b.c.ECS().DescribeTaskDefinition(b.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
	b.must(err)
	main, hold := out.TaskDefinition.ContainerDefinitions[0], out.TaskDefinition.ContainerDefinitions[1]
	if main.StopTimeout != nil || !*main.Essential || len(main.DependsOn) != 0 {
		t.Errorf("main: %+v", main)
	}
	if *hold.StopTimeout != 75 || *hold.Essential || *hold.DependsOn[0].ContainerName != "main" || hold.DependsOn[0].Condition != types.ContainerConditionStart || hold.Command[1] != "60" {
		t.Errorf("hold: %+v", hold)
	}
	hold.Command[1] = "spoiled"
	again, err := b.c.ECS().DescribeTaskDefinition(b.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
	b.must(err)
	b.want("answers are copies", again.TaskDefinition.ContainerDefinitions[1].Command[1], "60")
}

// TestContainersStopInReverseOfTheirDependencies draws tasks of up to six
// containers with any dependencies that are not circular, and times at random.
func TestContainersStopInReverseOfTheirDependencies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "containers")
		b := newECSBench(t, rapid.Uint64().Draw(rt, "seed"))
		b.hosts("g", 1, nil)
		edges := map[[2]int]bool{}
		names := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "names")[:n]
		b.define("web", 100, 100, func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions = nil
			for i := range n {
				c := types.ContainerDefinition{Name: aws.String(names[i]), Image: aws.String("i"), Memory: aws.Int32(10), StopTimeout: aws.Int32(int32(rapid.IntRange(1, 20).Draw(rt, "limit")))}
				for j := range i {
					if rapid.Bool().Draw(rt, "depends") {
						edges[[2]int{i, j}] = true
						c.DependsOn = append(c.DependsOn, types.ContainerDependency{ContainerName: aws.String(names[j]), Condition: types.ContainerConditionStart})
					}
				}
				in.ContainerDefinitions = append(in.ContainerDefinitions, c)
			}
			slices.Reverse(in.ContainerDefinitions) // dependencies may be named before they come
		})
		b.c.World().BehaveTasks("web", TaskBehaviour{StopFrom: 0, StopTo: 30 * time.Second, ServesOn: time.Duration(rapid.IntRange(0, 15).Draw(rt, "serves")) * time.Second})
		task := b.run("web")
		b.pass(2 * time.Minute)
		stop := b.c.now
		b.stop(task)
		at := func(i int) ecsPart { return task.parts[n-1-i] }
		last := stop
		for i := range n {
			limit := task.definition.containers[n-1-i].stopLimit()
			earliest := stop
			for j := range n {
				if edges[[2]int{j, i}] && at(j).over.After(earliest) {
					earliest = at(j).over
				}
			}
			if over := at(i).over; over.Before(earliest) || over.After(earliest.Add(limit)) {
				rt.Fatalf("%s ended %s after the stop, those that depend on it %s, its limit is %s", names[i], over.Sub(stop), earliest.Sub(stop), limit)
			}
			if at(i).over.After(last) {
				last = at(i).over
			}
		}
		b.pass(max(last.Sub(stop), 500*time.Millisecond))
		if task.last != statusStopped || !task.stopped.Equal(stop.Add(max(last.Sub(stop), 500*time.Millisecond))) {
			rt.Fatalf("it is %s, the last container ended %s after the stop", task.last, last.Sub(stop))
		}
		b.stories() // versions go up by one
	})
}

func TestAgentsAssignPortsFromTheirGroupsRange(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, func(g *GroupSpec) { g.PortFrom, g.PortTo = 40000, 40002 })
	b.define("web", 1, 1, nil)
	ports := func(tasks ...*ecsTask) string {
		var all []string
		for _, t := range tasks {
			if len(t.bindings) == 0 {
				all = append(all, t.last)
			} else {
				all = append(all, fmt.Sprint(t.bindings[0].host))
			}
		}
		return strings.Join(all, " ")
	}
	start := func() *ecsTask {
		task := b.run("web")
		b.pass(time.Minute)
		return task
	}
	one, two, three := start(), start(), start()
	b.want("ascending", ports(one, two, three), "40000 40001 40002")
	b.want("no free port: the task fails", ports(start()), statusStopped)
	b.stop(two)
	b.pass(time.Minute)
	four := start()
	b.want("around the end, past those in use", ports(four), "40001")
	for _, bad := range [][2]int{{5, 4}, {0, 10}, {1, 70000}, {-1, 5}} {
		err := b.c.AddGroup(GroupSpec{Name: "h", Cluster: "c", Zones: []string{"a"}, CPU: 1, Memory: 1, PortFrom: bad[0], PortTo: bad[1]})
		if err == nil || !strings.Contains(err.Error(), "not a range") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestAnAgentThatRestarts(t *testing.T) {
	for forgets, want := range map[bool]int{true: firstPort, false: 40001} {
		b := newECSBench(t, 1)
		b.c.World().Behaviour().RestartForgets = forgets
		b.c.World().Behaviour().IPv6Bindings = false
		b.hosts("g", 1, nil)
		b.define("web", 1, 1, nil)
		b.host(0).lastPort = 39999
		old := b.run("web")
		b.pass(time.Minute)
		b.must(b.c.World().RestartAgent(b.host(0).instance.id))
		b.want("it is away, its containers run on", fmt.Sprint(b.host(0).connected, old.listens(0)), "false true")
		b.pass(time.Minute)
		next := b.run("web")
		b.pass(time.Minute)
		b.want(fmt.Sprint("forgets ", forgets), next.bindings[0].host, want)
		b.want("one row without IPv6", len(next.describe().Containers[0].NetworkBindings), 1)
	}
	b := newECSBench(t, 1)
	if err := b.c.World().RestartAgent("i-0"); err == nil {
		t.Error("the agent of nobody restarted")
	}
}
