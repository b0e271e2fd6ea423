package simcloud

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// heardEvent is an event of the world under test.
type heardEvent struct {
	at     time.Time
	kind   string
	detail any
}

// ecsBench is a world with one cluster, c, and what happened in it.
type ecsBench struct {
	t      testing.TB
	c      *Cloud
	f      *fleet
	ctx    context.Context
	events []heardEvent
}

// newECSBench makes a world whose agents do not flap.
func newECSBench(t testing.TB, seed uint64) *ecsBench {
	t.Helper()
	c := New(Options{Start: epoch, Seed: seed})
	b := &ecsBench{t: t, c: c, f: c.fleet, ctx: context.Background()}
	c.World().Behaviour().FlapsPerHour = 0
	b.f.heard = func(kind string, detail any) { b.events = append(b.events, heardEvent{c.now, kind, detail}) }
	_, err := c.ECS().CreateCluster(b.ctx, &ecs.CreateClusterInput{ClusterName: aws.String("c")})
	b.must(err)
	return b
}

func (b *ecsBench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// hosts adds a group of ready hosts, each of 1024 CPU units and 2048 MiB unless
// change says otherwise, in the zones a, b and c in turn.
func (b *ecsBench) hosts(name string, n int, change func(*GroupSpec)) {
	b.t.Helper()
	spec := GroupSpec{
		Name: name, Cluster: "c", Zones: []string{"a", "b", "c"}, InstanceType: "m6g.large", CPU: 1024, Memory: 2048,
		Max: 100, Desired: n, Ready: true,
	}
	if change != nil {
		change(&spec)
	}
	b.must(b.c.AddGroup(spec))
}

// define registers a task definition of one container.
func (b *ecsBench) define(family string, cpu, memory int32, change func(*ecs.RegisterTaskDefinitionInput)) string {
	b.t.Helper()
	in := &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(family), NetworkMode: types.NetworkModeBridge,
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("main"), Image: aws.String(family + ":1"), Cpu: cpu, Memory: aws.Int32(memory),
			PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}},
		}},
	}
	if change != nil {
		change(in)
	}
	out, err := b.c.ECS().RegisterTaskDefinition(b.ctx, in)
	b.must(err)
	return *out.TaskDefinition.TaskDefinitionArn
}

// create makes a service.
func (b *ecsBench) create(name string, desired int32, change func(*ecs.CreateServiceInput)) *ecsService {
	b.t.Helper()
	in := &ecs.CreateServiceInput{
		Cluster: aws.String("c"), ServiceName: aws.String(name), TaskDefinition: aws.String(name), DesiredCount: aws.Int32(desired),
		AvailabilityZoneRebalancing: types.AvailabilityZoneRebalancingDisabled,
	}
	if change != nil {
		change(in)
	}
	_, err := b.c.ECS().CreateService(b.ctx, in)
	b.must(err)
	return b.f.clusters[0].service(name)
}

func (b *ecsBench) update(name string, change func(*ecs.UpdateServiceInput)) {
	b.t.Helper()
	in := &ecs.UpdateServiceInput{Cluster: aws.String("c"), Service: aws.String(name)}
	change(in)
	_, err := b.c.ECS().UpdateService(b.ctx, in)
	b.must(err)
}

func (b *ecsBench) scale(name string, n int32) {
	b.t.Helper()
	b.update(name, func(in *ecs.UpdateServiceInput) { in.DesiredCount = aws.Int32(n) })
}

// drain makes a host DRAINING.
func (b *ecsBench) drain(h *ecsHost) {
	b.t.Helper()
	_, err := b.c.ECS().UpdateContainerInstancesState(b.ctx, &ecs.UpdateContainerInstancesStateInput{
		Cluster: aws.String("c"), ContainerInstances: []string{h.arn}, Status: types.ContainerInstanceStatusDraining,
	})
	b.must(err)
}

// pass lets virtual time pass.
func (b *ecsBench) pass(d time.Duration) {
	b.t.Helper()
	b.must(b.c.Run(b.c.now.Add(d)))
}

func (b *ecsBench) host(i int) *ecsHost { return b.f.clusters[0].hosts[i] }

// spreadOf gives the number of tasks that are to run on each host.
func (b *ecsBench) spreadOf(s *ecsService) []int {
	var all []int
	for _, h := range b.f.clusters[0].hosts {
		all = append(all, h.byGroup[s.group()])
	}
	return all
}

func (b *ecsBench) want(what string, got, want any) {
	b.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// actions are the times since the epoch of a service's events of that name.
func (b *ecsBench) actions(name string) []time.Duration {
	var all []time.Duration
	for _, e := range b.events {
		if d, ok := e.detail.(serviceActionDetail); ok && d.EventName == name {
			all = append(all, e.at.Sub(epoch))
		}
	}
	return all
}

// stories gives for each task, in order of appearance, its last and desired
// status by version.
func (b *ecsBench) stories() [][]string {
	index := map[string]int{}
	var all [][]string
	for _, e := range b.events {
		d, ok := e.detail.(taskDetail)
		if !ok {
			continue
		}
		i, known := index[d.TaskArn]
		if !known {
			i = len(all)
			index[d.TaskArn] = i
			all = append(all, nil)
		}
		if int64(len(all[i])+1) != d.Version {
			b.t.Errorf("task %s: event %d has version %d", d.TaskArn, len(all[i])+1, d.Version)
		}
		all[i] = append(all[i], d.LastStatus+"/"+d.DesiredStatus)
	}
	return all
}
