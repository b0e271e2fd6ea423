package simcloud

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// launch calls LaunchInstances and gives ids or the error's code.
func (b *ecsBench) launch(token, zone string, n int32) string {
	out, err := b.c.AutoScaling().LaunchInstances(b.ctx, &autoscaling.LaunchInstancesInput{
		AutoScalingGroupName: aws.String("g"), ClientToken: aws.String(token), RequestedCapacity: aws.Int32(n), AvailabilityZones: []string{zone},
	})
	var mismatch *astypes.IdempotentParameterMismatchError
	switch {
	case errors.As(err, &mismatch):
		return "IdempotentParameterMismatch"
	case err != nil:
		return codeOf(err)
	case len(out.Errors) > 0:
		return *out.Errors[0].ErrorCode + " in " + *out.Errors[0].AvailabilityZone
	}
	return strings.Join(out.Instances[0].InstanceIds, " ")
}

func (b *ecsBench) desired() (desired, live int) {
	g := b.f.group("g")
	return g.desired, len(g.live())
}

func TestLaunchInstances(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, func(g *GroupSpec) { g.Max = 4 })
	first := b.launch("one", "b", 2)
	b.want("the same token answers the same", b.launch("one", "b", 2), first)
	b.want("the same token for something else", b.launch("one", "c", 2), "IdempotentParameterMismatch")
	b.want("beyond the maximum", b.launch("two", "a", 2), "ValidationError")
	b.want("a zone of another group", b.launch("three", "z", 1), "ValidationError")
	b.must(b.c.World().SetCapacityError("g", "c", true))
	b.want("no capacity", b.launch("four", "c", 1), "InsufficientInstanceCapacity in c")
	b.must(b.c.World().SetCapacityError("g", "c", false))
	b.want("its token keeps the answer", b.launch("four", "c", 1), "InsufficientInstanceCapacity in c")
	desired, live := b.desired()
	b.want("desired and live", fmt.Sprint(desired, live), "3 3")
	b.pass(10 * time.Minute)
	b.want("hosts registered", len(b.f.clusters[0].hosts), 3)
	for _, id := range strings.Fields(first) {
		i := b.f.instance(id)
		b.want("zone and state", i.zone+" "+string(i.state), "b InService")
	}
	b.want("launch events", b.countKind("EC2 Instance Launch Successful")+b.countKind("EC2 Instance Launch Unsuccessful"), 3)
}

func (b *ecsBench) countKind(kind string) int {
	n := 0
	for _, e := range b.events {
		if e.kind == kind {
			n++
		}
	}
	return n
}

func (b *ecsBench) setCapacity(n int32) error {
	_, err := b.c.AutoScaling().SetDesiredCapacity(b.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("g"), DesiredCapacity: aws.Int32(n)})
	return err
}

func TestSetDesiredCapacityIsAsynchronous(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 1, func(g *GroupSpec) { g.Min = 1; g.Max = 7 })
	b.must(b.setCapacity(6))
	desired, live := b.desired()
	b.want("at once", fmt.Sprint(desired, live), "6 1")
	b.pass(10 * time.Minute)
	zones := map[string]int{}
	for _, h := range b.f.clusters[0].hosts {
		zones[h.instance.zone]++
	}
	b.want("zones", zones, map[string]int{"a": 2, "b": 2, "c": 2})
	b.want("above max", codeOf(b.setCapacity(8)), "ValidationError")
	b.want("below min", codeOf(b.setCapacity(0)), "ValidationError")
	b.must(b.setCapacity(3))
	b.pass(10 * time.Minute)
	desired, live = b.desired()
	b.want("down", fmt.Sprint(desired, live, len(b.f.group("g").instances)), "3 3 3")
	b.want("terminate events", b.countKind("EC2 Instance Terminate Successful"), 3)
}

func TestAGroupWithoutCapacityTriesAgain(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 0, func(g *GroupSpec) { g.Zones = []string{"a", "b"} })
	w := b.c.World()
	b.must(w.SetCapacityError("g", "a", true))
	b.must(b.setCapacity(2))
	b.pass(5 * time.Minute)
	b.want("the other zone takes over", fmt.Sprint(b.f.group("g").live()[0].zone, b.f.group("g").live()[1].zone), "bb")
	b.must(w.SetCapacityError("g", "b", true))
	b.must(b.setCapacity(3))
	b.pass(5 * time.Minute)
	_, live := b.desired()
	b.want("none has capacity", live, 2)
	if n := b.countKind("EC2 Instance Launch Unsuccessful"); n < 4 || n > 6 {
		t.Errorf("%d tries in five minutes", n)
	}
	b.must(w.SetCapacityError("g", "a", false))
	b.pass(5 * time.Minute)
	_, live = b.desired()
	b.want("once there is", live, 3)
}

func (b *ecsBench) terminate(id string, decrement bool) error {
	_, err := b.c.AutoScaling().TerminateInstanceInAutoScalingGroup(b.ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(decrement),
	})
	return err
}

func TestTerminateOneInstance(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 3, func(g *GroupSpec) { g.Min = 2 })
	b.define("web", 100, 100, nil)
	s := b.create("web", 3, nil)
	b.pass(5 * time.Minute)
	victim := b.host(1)
	b.must(b.terminate(victim.instance.id, true))
	var busy *astypes.ScalingActivityInProgressFault
	if err := b.terminate(victim.instance.id, true); !errors.As(err, &busy) {
		t.Errorf("twice: %v", err)
	}
	b.pass(20 * time.Second)
	b.want("its agent goes first, its tasks still look RUNNING", fmt.Sprint(victim.connected, victim.status, victim.tasks[0].last), "falseACTIVERUNNING")
	b.want("but do not serve", victim.tasks[0].serving(), false)
	b.pass(10 * time.Minute)
	desired, live := b.desired()
	b.want("nobody replaced it", fmt.Sprint(desired, live, victim.status), "2 2INACTIVE")
	b.want("its task runs elsewhere", fmt.Sprint(b.healthyIn(s), b.spreadOf(s)[1]), "3 0")
	b.want("not below min", codeOf(b.terminate(b.host(0).instance.id, true)), "ValidationError")
	b.must(b.terminate(b.host(0).instance.id, false))
	b.pass(10 * time.Minute)
	desired, live = b.desired()
	b.want("without decrement it is replaced", fmt.Sprint(desired, live, b.f.group("g").launched), "2 2 4")
	b.want("unknown instance", codeOf(b.terminate("i-0", true)), "ValidationError")
}

func TestAKilledHostIsNoticedLaterAndReplaced(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 4, nil)
	b.pass(5 * time.Minute)
	b.must(b.c.World().KillHost(b.host(0).instance.id))
	b.pass(5 * time.Second)
	v, _ := b.c.World().Service("c", "web")
	b.want("ECS does not know yet, the truth does", fmt.Sprint(v.Running, v.Healthy), "4 2")
	b.pass(15 * time.Minute)
	_, live := b.desired()
	b.want("replaced", fmt.Sprint(live, b.healthyIn(s)), "2 4")
}

func TestAnInstanceEndsOnce(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	host := b.host(0)
	b.f.disconnect(host, 10*time.Second)
	b.must(b.c.World().KillHost(host.instance.id))
	b.must(b.terminate(host.instance.id, true))
	b.pass(15 * time.Second)
	b.want("a dead host's agent does not come back", host.connected, false)
	b.pass(10 * time.Minute)
	b.want("terminate events", b.countKind("EC2 Instance Terminate Successful"), 1)
	v := b.c.World().Groups()[0]
	b.want("desired, instances", fmt.Sprint(v.Desired, len(v.Instances)), "1 1")
}

func TestProtectionPoliciesAndBounds(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 3, nil)
	a := b.c.AutoScaling()
	_, err := a.SetInstanceProtection(b.ctx, &autoscaling.SetInstanceProtectionInput{
		AutoScalingGroupName: aws.String("g"), InstanceIds: []string{b.host(0).instance.id}, ProtectedFromScaleIn: aws.Bool(true),
	})
	b.must(err)
	b.must(b.setCapacity(1))
	b.pass(10 * time.Minute)
	b.want("the protected one stays", b.f.group("g").live()[0].id, b.host(0).instance.id)

	_, err = a.PutScalingPolicy(b.ctx, &autoscaling.PutScalingPolicyInput{AutoScalingGroupName: aws.String("g"), PolicyName: aws.String("p"), PolicyType: aws.String("SimpleScaling")})
	b.must(err)
	policies, err := a.DescribePolicies(b.ctx, &autoscaling.DescribePoliciesInput{AutoScalingGroupName: aws.String("g")})
	b.must(err)
	b.want("policies", len(policies.ScalingPolicies), 1)

	_, err = a.UpdateAutoScalingGroup(b.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("g"), MinSize: aws.Int32(2)})
	b.must(err)
	b.pass(10 * time.Minute)
	desired, live := b.desired()
	b.want("desired follows the minimum", fmt.Sprint(desired, live), "2 2")
	b.must(b.c.World().ChangeMax("g", 2))
	b.want("above the new max", codeOf(b.setCapacity(3)), "ValidationError")
	_, err = a.UpdateAutoScalingGroup(b.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String("g"), CapacityRebalance: aws.Bool(true)})
	b.want("what is not simulated", codeOf(err), "NotSimulated")
}

func TestGroupsAreDescribedInPages(t *testing.T) {
	b := newECSBench(t, 1)
	for i := range 7 {
		b.hosts(fmt.Sprintf("g%d", i), 1, nil)
	}
	var names []string
	var token *string
	for {
		out, err := b.c.AutoScaling().DescribeAutoScalingGroups(b.ctx, &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(3), NextToken: token})
		b.must(err)
		for _, g := range out.AutoScalingGroups {
			names = append(names, *g.AutoScalingGroupName)
			*g.Instances[0].InstanceId = "spoiled"
		}
		if token = out.NextToken; token == nil {
			break
		}
	}
	b.want("all of them once", strings.Join(names, " "), "g0 g1 g2 g3 g4 g5 g6")
	out, err := b.c.AutoScaling().DescribeAutoScalingGroups(b.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"g3", "absent"}})
	b.must(err)
	b.want("by name, absent ones left out", len(out.AutoScalingGroups), 1)
	b.want("answers are copies", strings.HasPrefix(*out.AutoScalingGroups[0].Instances[0].InstanceId, "i-"), true)
}

func TestBootTimesFollowTheirDistribution(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 0, func(g *GroupSpec) { g.Max = 400 })
	b.must(b.setCapacity(400))
	b.pass(time.Hour)
	fast, slow := 0, 0
	for _, h := range b.f.clusters[0].hosts {
		boot := h.registeredAt.Sub(h.instance.launched)
		if boot < 75*time.Second {
			fast++
		}
		if boot > 150*time.Second {
			slow++
		}
	}
	if fast < 160 || fast > 240 || slow < 8 || slow > 36 {
		t.Errorf("of 400 boots %d under the median, %d over the 95th percentile", fast, slow)
	}
}

func TestHostHoursAndCost(t *testing.T) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, func(g *GroupSpec) { g.PricePerHour = 0.1 })
	b.pass(10 * time.Hour)
	b.must(b.terminate(b.host(0).instance.id, true))
	b.pass(10 * time.Hour)
	v := b.c.World().Groups()[0]
	if v.HostHours < 30 || v.HostHours > 30.1 || v.Cost < 3 || v.Cost > 3.01 || v.Launched != 2 {
		t.Errorf("%+v", v)
	}
}
