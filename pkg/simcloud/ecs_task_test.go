package simcloud

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TestATasksLife tells, for each way a task can go, the states of its events in
// the order of their versions.
func TestATasksLife(t *testing.T) {
	tests := []struct {
		name   string
		do     func(b *ecsBench, t *ecsTask)
		at     time.Duration // after creation
		want   string
		code   types.TaskStopCode
		reason string
	}{
		{"it runs", func(*ecsBench, *ecsTask) {}, 0, "PENDING/RUNNING RUNNING/RUNNING", "", ""},
		{
			"stopped while running: told first, then ending, then gone", func(b *ecsBench, t *ecsTask) { b.stop(t) }, 2 * time.Minute,
			"PENDING/RUNNING RUNNING/RUNNING RUNNING/STOPPED STOPPING/STOPPED STOPPED/STOPPED", types.TaskStopCodeUserInitiated, "enough",
		},
		{
			"stopped while pending", func(b *ecsBench, t *ecsTask) { b.stop(t) }, time.Millisecond,
			"PENDING/RUNNING PENDING/STOPPED STOPPED/STOPPED", types.TaskStopCodeUserInitiated, "enough",
		},
		{
			"it crashes", func(b *ecsBench, t *ecsTask) { b.must(b.c.World().CrashTask("c", t.arn)) }, 2 * time.Minute,
			"PENDING/RUNNING RUNNING/RUNNING RUNNING/STOPPED STOPPED/STOPPED", types.TaskStopCodeEssentialContainerExited, "Essential container in task exited",
		},
		{
			"its host is lost", func(b *ecsBench, t *ecsTask) { b.must(b.c.World().KillHost(t.host.instance.id)) }, 2 * time.Minute,
			"PENDING/RUNNING RUNNING/RUNNING STOPPED/STOPPED", "", "Host EC2 (instance ",
		},
		{"it cannot start", func(b *ecsBench, _ *ecsTask) {
			b.c.World().BehaveTasks("web:1", TaskBehaviour{CannotStart: true})
		}, 0, "PENDING/RUNNING STOPPED/STOPPED", types.TaskStopCodeTaskFailedToStart, "CannotPull"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newECSBench(t, 4)
			b.hosts("g", 1, nil)
			b.define("web", 100, 100, nil)
			task := b.run("web")
			b.pass(tt.at)
			tt.do(b, task)
			b.pass(10 * time.Minute)
			b.want("events", strings.Join(b.stories()[0], " "), tt.want)
			if task.code != tt.code || !strings.HasPrefix(task.reason, tt.reason) {
				t.Errorf("stop code %q, reason %q", task.code, task.reason)
			}
		})
	}
}

// run runs one standalone task.
func (b *ecsBench) run(definition string) *ecsTask {
	b.t.Helper()
	out, err := b.c.ECS().RunTask(b.ctx, &ecs.RunTaskInput{Cluster: aws.String("c"), TaskDefinition: aws.String(definition)})
	b.must(err)
	if len(out.Tasks) != 1 {
		b.t.Fatalf("not run: %+v", out.Failures)
	}
	return b.f.clusters[0].taskByID[tail(*out.Tasks[0].TaskArn)]
}

func (b *ecsBench) stop(t *ecsTask) {
	b.t.Helper()
	_, err := b.c.ECS().StopTask(b.ctx, &ecs.StopTaskInput{Cluster: aws.String("c"), Task: aws.String(t.arn), Reason: aws.String("enough")})
	b.must(err)
}

func TestResourcesAndPortsComeBackOnlyAtStopped(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 600, 100, func(in *ecs.RegisterTaskDefinitionInput) {
		in.ContainerDefinitions[0].PortMappings[0].HostPort = aws.Int32(9100)
	})
	task := b.run("web")
	b.pass(time.Minute)
	b.stop(task)
	for task.last != statusStopped {
		if h := task.host; h.freeCPU != 424 || h.freeMemory != 1948 || !h.takes(ecsPort{9100, "tcp"}) {
			t.Fatalf("%s gave back: %d CPU, %d MiB free", task.last, h.freeCPU, h.freeMemory)
		}
		b.pass(100 * time.Millisecond)
	}
	if h := task.host; h.freeCPU != 1024 || h.freeMemory != 2048 || h.takes(ecsPort{9100, "tcp"}) {
		t.Errorf("STOPPED kept: %d CPU, %d MiB free", h.freeCPU, h.freeMemory)
	}
}

func TestDynamicPortsAscendAndComeWithRunning(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 1, 1, nil)
	var ports []int32
	next := func() {
		task := b.run("web")
		if n := len(task.describe().Containers[0].NetworkBindings); n != 0 {
			t.Errorf("%d bindings while PENDING", n)
		}
		b.pass(time.Minute)
		rows := task.describe().Containers[0].NetworkBindings
		if len(rows) != 2 || *rows[0].BindIP != "0.0.0.0" || *rows[1].BindIP != "::" || *rows[0].HostPort != *rows[1].HostPort {
			t.Fatalf("bindings %+v", rows)
		}
		ports = append(ports, *rows[0].HostPort)
		b.stop(task)
		b.pass(time.Minute)
	}
	next()
	next()
	b.host(0).lastPort = 60998
	next()
	next()
	b.host(0).lastPort = 40000
	b.must(b.c.World().AgentDown(b.host(0).instance.id, time.Minute))
	b.pass(2 * time.Minute)
	next()
	b.want("ports go up, wrap, and begin anew with the agent", ports, []int{32768, 32769, 60999, 32768, 32768})
}

func TestTheAgentHearsAndReportsNothingWhileDisconnected(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 1, 1, nil)
	starting, stopping := b.run("web"), b.run("web")
	b.pass(time.Millisecond)
	stopping.last = statusRunning
	b.f.disconnect(b.host(0), 5*time.Minute)
	b.stop(stopping)
	b.pass(4 * time.Minute)
	b.want("meanwhile", starting.last+" "+stopping.last, "PENDING RUNNING")
	b.pass(3 * time.Minute)
	b.want("afterwards", starting.last+" "+stopping.last, "RUNNING STOPPED")
}

func TestAHostsImageMakesItsNextTaskStartSooner(t *testing.T) {
	var first, second time.Duration
	for seed := range uint64(30) {
		b := newECSBench(t, seed)
		b.hosts("g", 1, nil)
		b.define("web", 1, 1, nil)
		one := b.run("web")
		b.pass(5 * time.Minute)
		two := b.run("web")
		b.pass(5 * time.Minute)
		first += one.started.Sub(one.created)
		second += two.started.Sub(two.created)
	}
	if second > first*6/10 {
		t.Errorf("first starts took %s, second ones %s", first, second)
	}
}

func TestHostEventsCountTheirVersionUp(t *testing.T) {
	b := newECSBench(t, 3)
	b.c.World().Behaviour().FlapsPerHour = 4
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	b.create("web", 4, nil)
	b.pass(6 * time.Hour)
	b.must(b.c.World().KillHost(b.host(0).instance.id))
	b.pass(5 * time.Minute)
	versions, flaps, status := map[string]int64{}, 0, map[string]string{}
	for _, e := range b.events {
		d, ok := e.detail.(hostDetail)
		if !ok {
			continue
		}
		if d.Version != versions[d.ContainerInstanceArn]+1 {
			t.Errorf("version %d after %d", d.Version, versions[d.ContainerInstanceArn])
		}
		versions[d.ContainerInstanceArn], status[d.ContainerInstanceArn] = d.Version, d.Status
		if !d.AgentConnected {
			flaps++
		}
	}
	if flaps < 24 || flaps > 90 { // two hosts, six hours, four an hour: about 48
		t.Errorf("%d disconnections", flaps)
	}
	b.want("the killed host's last status", status[b.host(0).arn], statusInactive)
}

// TestEventsHaveTheDocumentedLayout compares the keys with those of ECS's
// documented samples.
func TestEventsHaveTheDocumentedLayout(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, nil)
	b.define("web", 100, 100, nil)
	task := b.run("web")
	b.pass(time.Minute)
	want := map[string][]string{
		"task": {
			"attachments", "attributes", "availabilityZone", "clusterArn", "connectivity", "connectivityAt", "containerInstanceArn", "containers", "cpu", "createdAt",
			"desiredStatus", "enableExecuteCommand", "group", "lastStatus", "launchType", "memory", "overrides", "pullStartedAt", "pullStoppedAt", "startedAt",
			"taskArn", "taskDefinitionArn", "updatedAt", "version",
		},
		"host": {
			"agentConnected", "attributes", "clusterArn", "containerInstanceArn", "ec2InstanceId", "registeredAt", "registeredResources", "remainingResources",
			"status", "updatedAt", "version", "versionInfo",
		},
	}
	for name, detail := range map[string]any{"task": newTaskDetail(task), "host": newHostDetail(task.host, b.c.now)} {
		raw, err := json.Marshal(detail)
		b.must(err)
		var got map[string]any
		b.must(json.Unmarshal(raw, &got))
		var keys []string
		for k := range got {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b.want(name, keys, fmt.Sprint(want[name]))
		if name == "host" && !strings.Contains(string(raw), `{"name":"PORTS_UDP","type":"STRINGSET","stringSetValue":[]}`) {
			t.Errorf("an empty port list is left out: %s", raw)
		}
	}
	container := newTaskDetail(task).Containers[0]
	if want := strings.Replace(task.arn, ":task/", ":container/", 1) + "/"; !strings.HasPrefix(container.ContainerArn, want) {
		t.Errorf("container ARN %s", container.ContainerArn)
	}
}
