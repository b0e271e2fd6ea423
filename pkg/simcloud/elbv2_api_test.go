package simcloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// elbDoor is what takes a real client and the simulated one.
type elbDoor interface {
	CreateLoadBalancer(context.Context, *elbv2.CreateLoadBalancerInput, ...func(*elbv2.Options)) (*elbv2.CreateLoadBalancerOutput, error)
	CreateTargetGroup(context.Context, *elbv2.CreateTargetGroupInput, ...func(*elbv2.Options)) (*elbv2.CreateTargetGroupOutput, error)
	CreateListener(context.Context, *elbv2.CreateListenerInput, ...func(*elbv2.Options)) (*elbv2.CreateListenerOutput, error)
	CreateRule(context.Context, *elbv2.CreateRuleInput, ...func(*elbv2.Options)) (*elbv2.CreateRuleOutput, error)
	ModifyListener(context.Context, *elbv2.ModifyListenerInput, ...func(*elbv2.Options)) (*elbv2.ModifyListenerOutput, error)
	ModifyRule(context.Context, *elbv2.ModifyRuleInput, ...func(*elbv2.Options)) (*elbv2.ModifyRuleOutput, error)
	ModifyTargetGroupAttributes(context.Context, *elbv2.ModifyTargetGroupAttributesInput, ...func(*elbv2.Options)) (*elbv2.ModifyTargetGroupAttributesOutput, error)
	RegisterTargets(context.Context, *elbv2.RegisterTargetsInput, ...func(*elbv2.Options)) (*elbv2.RegisterTargetsOutput, error)
	DeregisterTargets(context.Context, *elbv2.DeregisterTargetsInput, ...func(*elbv2.Options)) (*elbv2.DeregisterTargetsOutput, error)
	elbv2.DescribeLoadBalancersAPIClient
	elbv2.DescribeTargetGroupsAPIClient
	elbv2.DescribeTargetHealthAPIClient
	elbv2.DescribeListenersAPIClient
	elbv2.DescribeRulesAPIClient
	DescribeTargetGroupAttributes(context.Context, *elbv2.DescribeTargetGroupAttributesInput, ...func(*elbv2.Options)) (*elbv2.DescribeTargetGroupAttributesOutput, error)
}

var (
	_ elbDoor = (*ELBV2)(nil)
	_ elbDoor = (*elbv2.Client)(nil)
)

// registers registers targets with a group and gives the error.
func (b *lbBench) registers(group string, targets ...types.TargetDescription) error {
	_, err := b.c.ELBV2().RegisterTargets(b.ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &group, Targets: targets})
	return err
}

// portsOf are n targets of one instance.
func portsOf(id string, from, n int) []types.TargetDescription {
	var all []types.TargetDescription
	for i := range n {
		all = append(all, target(id, from+i))
	}
	return all
}

// changesRule gives a listener's rule an action.
func (b *lbBench) changesListener(groups ...types.TargetGroupTuple) error {
	_, err := b.c.ELBV2().ModifyListener(b.ctx, &elbv2.ModifyListenerInput{ListenerArn: &b.listener, DefaultActions: forwardTo(groups...)})
	return err
}

func to(group string, weight int32) types.TargetGroupTuple {
	return types.TargetGroupTuple{TargetGroupArn: &group, Weight: &weight}
}

func TestWhatELBRefuses(t *testing.T) {
	small := func(b *lbBench) {
		l := &b.c.World().Behaviour().ELB
		l.TargetsPerGroup, l.TargetsPerALB, l.TargetsPerNLB, l.TargetsPerInstance, l.GroupsPerALB, l.TargetsPerCall = 4, 6, 7, 5, 2, 5
	}
	rows := []struct {
		name, want string
		do         func(b *lbBench, id string) error
	}{
		{"a group that is not there", "TargetGroupNotFound", func(b *lbBench, id string) error { return b.registers("none", target(id, 1)) }},
		{"an instance that is not there, and with it its whole batch", "InvalidTarget", func(b *lbBench, id string) error {
			err := b.registers(b.group, target(id, 1), target("i-0", 1))
			b.want("of the batch", b.health(b.group, id, 1), nobody)
			return err
		}},
		{"an instance that has ended", "InvalidTarget", func(b *lbBench, id string) error {
			b.must(b.c.World().KillHost(id))
			return b.registers(b.group, target(id, 1))
		}},
		{"an instance for a group of another VPC", "InvalidTarget", func(b *lbBench, id string) error {
			return b.registers(b.makeGroup("far", func(in *elbv2.CreateTargetGroupInput) { in.VpcId = aws.String("vpc-1") }), target(id, 1))
		}},
		{"a group of another VPC behind a load balancer", "InvalidConfigurationRequest", func(b *lbBench, _ string) error {
			return b.changesListener(to(b.makeGroup("far", func(in *elbv2.CreateTargetGroupInput) { in.VpcId = aws.String("vpc-1") }), 1))
		}},
		{"an instance by IP address: left out", "NotSimulated", func(b *lbBench, id string) error {
			return b.registers(b.makeGroup("ip", func(in *elbv2.CreateTargetGroupInput) { in.TargetType = types.TargetTypeEnumIp }), target(id, 1))
		}},
		{"no targets", "ValidationError", func(b *lbBench, _ string) error { return b.registers(b.group) }},
		{"a port beyond all", "ValidationError", func(b *lbBench, id string) error { return b.registers(b.group, target(id, 65536)) }},
		{"more targets than a call takes", "ValidationError", func(b *lbBench, id string) error { small(b); return b.registers(b.group, portsOf(id, 1, 6)...) }},
		{"as many as a group takes", "", func(b *lbBench, id string) error { small(b); return b.registers(b.group, portsOf(id, 1, 4)...) }},
		{"one more than a group takes", "TooManyTargets", func(b *lbBench, id string) error { small(b); return b.registers(b.group, portsOf(id, 1, 5)...) }},
		{"one more while another drains", "TooManyTargets", func(b *lbBench, id string) error {
			small(b)
			b.must(b.registers(b.group, portsOf(id, 1, 4)...))
			b.deregister(b.group, id, 1)
			return b.registers(b.group, target(id, 5))
		}},
		{"the same ones again in a full group", "", func(b *lbBench, id string) error {
			small(b)
			b.must(b.registers(b.group, portsOf(id, 1, 4)...))
			return b.registers(b.group, portsOf(id, 1, 4)...)
		}},
		{"an instance more often than a load balancer takes it", "TooManyRegistrationsForTargetId", func(b *lbBench, id string) error {
			small(b)
			two := b.makeGroup("two", nil)
			b.listen(b.lb, to(two, 1))
			b.must(b.registers(b.group, portsOf(id, 1, 3)...))
			return b.registers(two, portsOf(id, 1, 3)...)
		}},
		{"more targets than a load balancer takes", "TooManyTargets", func(b *lbBench, id string) error {
			small(b)
			two := b.makeGroup("two", nil)
			b.listen(b.lb, to(two, 1))
			b.must(b.registers(b.group, portsOf(id, 1, 4)...))
			return b.registers(two, portsOf(b.host(1).instance.id, 1, 3)...)
		}},
		{"a network load balancer takes more", "", func(b *lbBench, id string) error {
			small(b)
			lb, one, two := b.balancer("net", types.LoadBalancerTypeEnumNetwork), b.makeGroup("one", network), b.makeGroup("two", network)
			b.listen(lb, to(one, 1))
			b.listen(lb, to(two, 1))
			b.must(b.registers(one, portsOf(id, 1, 4)...))
			return b.registers(two, portsOf(id, 1, 3)...)
		}},
		{"forwarding to a group whose targets are too many", "TooManyTargets", func(b *lbBench, id string) error {
			small(b)
			two := b.makeGroup("two", nil)
			b.must(b.registers(b.group, portsOf(id, 1, 4)...))
			b.must(b.registers(two, portsOf(b.host(1).instance.id, 1, 3)...))
			return b.changesListener(to(b.group, 1), to(two, 1))
		}},
		{"a third group, where two are allowed", "TooManyUniqueTargetGroupsPerLoadBalancer", func(b *lbBench, _ string) error {
			small(b)
			return b.changesListener(to(b.group, 1), to(b.makeGroup("two", nil), 1), to(b.makeGroup("three", nil), 1))
		}},
		{"a group of another load balancer", "TargetGroupAssociationLimit", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().CreateListener(b.ctx, &elbv2.CreateListenerInput{LoadBalancerArn: aws.String(b.balancer("two", "")), Port: aws.Int32(1), DefaultActions: forwardTo(to(b.group, 1))})
			return err
		}},
		{"a TCP group behind an application load balancer", "IncompatibleProtocols", func(b *lbBench, _ string) error { return b.changesListener(to(b.makeGroup("tcp", network), 1)) }},
		{"a weight of 1000", "ValidationError", func(b *lbBench, _ string) error { return b.changesListener(to(b.group, 1000)) }},
		{"six groups of one action", "InvalidLoadBalancerAction", func(b *lbBench, _ string) error {
			return b.changesListener(to(b.group, 1), to(b.group, 1), to(b.group, 1), to(b.group, 1), to(b.group, 1), to(b.group, 1))
		}},
		{"a redirect: left out", "NotSimulated", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().ModifyListener(b.ctx, &elbv2.ModifyListenerInput{ListenerArn: &b.listener, DefaultActions: []types.Action{{Type: types.ActionTypeEnumRedirect}}})
			return err
		}},
		{"a group's name again", "DuplicateTargetGroupName", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().CreateTargetGroup(b.ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("web"), Protocol: types.ProtocolEnumHttp, Port: aws.Int32(80), VpcId: aws.String(lbVPC)})
			return err
		}},
		{"a listener's port again", "DuplicateListener", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().CreateListener(b.ctx, &elbv2.CreateListenerInput{LoadBalancerArn: &b.lb, Port: aws.Int32(b.ports), DefaultActions: forwardTo(to(b.group, 1))})
			return err
		}},
		{"a delay of more than an hour", "InvalidConfigurationRequest", func(b *lbBench, _ string) error { return b.sets(attributeDelay, "3601") }},
		{"a slow start of less than 30 s", "InvalidConfigurationRequest", func(b *lbBench, _ string) error { return b.sets(attributeSlowStart, "29") }},
		{"an attribute that is left out", "NotSimulated", func(b *lbBench, _ string) error { return b.sets("stickiness.enabled", "true") }},
		{"a health of a group that is not there", "TargetGroupNotFound", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().DescribeTargetHealth(b.ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String("none")})
			return err
		}},
		{"the name of a group that is not there, among others", "TargetGroupNotFound", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().DescribeTargetGroups(b.ctx, &elbv2.DescribeTargetGroupsInput{Names: []string{"web", "none"}})
			return err
		}},
		{"a load balancer that is not there", "LoadBalancerNotFound", func(b *lbBench, _ string) error {
			_, err := b.c.ELBV2().DescribeLoadBalancers(b.ctx, &elbv2.DescribeLoadBalancersInput{Names: []string{"none"}})
			return err
		}},
		{"the default rule", "OperationNotPermitted", func(b *lbBench, _ string) error {
			out, err := b.c.ELBV2().DescribeRules(b.ctx, &elbv2.DescribeRulesInput{ListenerArn: &b.listener})
			b.must(err)
			_, err = b.c.ELBV2().ModifyRule(b.ctx, &elbv2.ModifyRuleInput{RuleArn: out.Rules[0].RuleArn, Actions: forwardTo(to(b.group, 1))})
			return err
		}},
		{"taking away what is not registered: a success", "", func(b *lbBench, id string) error {
			_, err := b.c.ELBV2().DeregisterTargets(b.ctx, &elbv2.DeregisterTargetsInput{TargetGroupArn: &b.group, Targets: portsOf(id, 1, 2)})
			return err
		}},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			b.want("error", codeOf(tt.do(b, b.host(0).instance.id)), tt.want)
		})
	}
}

func (b *lbBench) sets(name, value string) error {
	_, err := b.c.ELBV2().ModifyTargetGroupAttributes(b.ctx, &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &b.group, Attributes: []types.TargetGroupAttribute{{Key: &name, Value: &value}}})
	return err
}

func TestARefusedActionLeavesWhatWas(t *testing.T) {
	b := newLBBench(t, 1, nil)
	b.c.World().Behaviour().ELB.GroupsPerALB = 1
	two := b.makeGroup("two", nil)
	b.want("error", codeOf(b.changesListener(to(two, 1))), "")
	b.want("error", codeOf(b.changesListener(to(two, 1), to(b.group, 1))), "TooManyUniqueTargetGroupsPerLoadBalancer")
	_, err := b.c.ELBV2().CreateRule(b.ctx, &elbv2.CreateRuleInput{ListenerArn: &b.listener, Priority: aws.Int32(7), Actions: forwardTo(to(b.group, 1))})
	b.want("error", codeOf(err), "TooManyUniqueTargetGroupsPerLoadBalancer")
	b.want("actions", b.actionsOf(), "default two:1")
	b.c.World().Behaviour().ELB.GroupsPerALB, b.c.World().Behaviour().ELB.TargetsPerALB = 2, 1
	b.must(b.registers(b.group, portsOf(b.host(0).instance.id, 1, 2)...))
	b.want("error", codeOf(b.changesListener(to(two, 1), to(b.group, 1))), "TooManyTargets")
	b.want("actions", b.actionsOf(), "default two:1")
}

// actionsOf tells the rules of the bench's listener, in the order of priority.
func (b *lbBench) actionsOf() string {
	out, err := b.c.ELBV2().DescribeRules(b.ctx, &elbv2.DescribeRulesInput{ListenerArn: &b.listener})
	b.must(err)
	var all []string
	for _, r := range out.Rules {
		one := *r.Priority
		for _, g := range r.Actions[0].ForwardConfig.TargetGroups {
			one += fmt.Sprintf(" %s:%d", strings.Split(*g.TargetGroupArn, "/")[1], *g.Weight)
		}
		all = append(all, one)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestRulesAreReplacedAsAWhole(t *testing.T) {
	b := newLBBench(t, 1, nil)
	two := b.makeGroup("two", nil)
	out, err := b.c.ELBV2().CreateRule(b.ctx, &elbv2.CreateRuleInput{ListenerArn: &b.listener, Priority: aws.Int32(7), Actions: forwardTo(to(b.group, 90), to(two, 10))})
	b.must(err)
	b.want("rules", b.actionsOf(), "7 web:90 two:10, default web:1")
	_, err = b.c.ELBV2().ModifyRule(b.ctx, &elbv2.ModifyRuleInput{RuleArn: out.Rules[0].RuleArn, Actions: forwardTo(to(two, 0))})
	b.must(err)
	b.want("rules", b.actionsOf(), "7 two:0, default web:1")
	b.must(b.changesListener(to(two, 3)))
	b.want("rules", b.actionsOf(), "7 two:0, default two:3")
	groups, err := b.c.ELBV2().DescribeTargetGroups(b.ctx, &elbv2.DescribeTargetGroupsInput{LoadBalancerArn: &b.lb})
	b.must(err)
	b.want("groups of the load balancer", *groups.TargetGroups[0].TargetGroupName+fmt.Sprint(len(groups.TargetGroups)), "two1")
}

func TestPagesHaveEverythingOnce(t *testing.T) {
	for size := int32(1); size <= 8; size++ {
		b := newLBBench(t, 1, nil)
		want := []string{"web"}
		for i := range 6 {
			want = append(want, fmt.Sprint("g", i))
			b.makeGroup(fmt.Sprint("g", i), nil)
		}
		var got []string
		pages := elbv2.NewDescribeTargetGroupsPaginator(b.c.ELBV2(), &elbv2.DescribeTargetGroupsInput{PageSize: &size}, func(o *elbv2.DescribeTargetGroupsPaginatorOptions) { o.StopOnDuplicateToken = true })
		for pages.HasMorePages() {
			out, err := pages.NextPage(b.ctx)
			b.must(err)
			if len(out.TargetGroups) > int(size) {
				t.Errorf("a page of %d has %d", size, len(out.TargetGroups))
			}
			for _, g := range out.TargetGroups {
				got = append(got, *g.TargetGroupName)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		b.want("groups", got, want)
	}
}

// TestABurstTakesWhatItsBucketHolds lets one invocation call as fast as it can,
// each call taking a millisecond and more.
func TestABurstTakesWhatItsBucketHolds(t *testing.T) {
	health := func(ctx context.Context, b *lbBench) error {
		_, err := b.c.ELBV2().DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &b.group})
		return err
	}
	register := func(ctx context.Context, b *lbBench) error {
		_, err := b.c.ELBV2().RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &b.group, Targets: portsOf(b.host(0).instance.id, 1, 1)})
		return err
	}
	modify := func(ctx context.Context, b *lbBench) error {
		_, err := b.c.ELBV2().ModifyListener(ctx, &elbv2.ModifyListenerInput{ListenerArn: &b.listener, DefaultActions: forwardTo(to(b.group, 1))})
		return err
	}
	rows := []struct {
		name        string
		burst, rate float64
		calls       []func(context.Context, *lbBench) error
	}{
		{"registrations: 20, 4 a second", 20, 4, []func(context.Context, *lbBench) error{register}},
		{"reads: 40, 10 a second", 40, 10, []func(context.Context, *lbBench) error{health}},
		{"changes: 20, 3 a second", 20, 3, []func(context.Context, *lbBench) error{modify}},
		{"all of them in turn: the account's 40, 10 a second", 40, 10, []func(context.Context, *lbBench) error{health, register, modify}},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			b := newLBBench(t, 1, nil)
			done := 0
			var from time.Time
			b.must(b.c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
				from = b.c.Now()
				_ = b.c.Gather(1000)(ctx, 300, func(ctx context.Context, i int) error { // its calls' errors are looked at one by one
					switch err := tt.calls[i%len(tt.calls)](ctx, b); codeOf(err) {
					case "":
						done++
					case "Throttling":
					default:
						t.Error(err)
					}
					return nil
				})
				return nil, nil
			}, FunctionConfig{Timeout: time.Minute}))
			b.c.after(0, func() { b.c.Lambda().invoke(b.c.Lambda().functions["f"], nil, func([]byte, error) {}) })
			b.pass(30 * time.Second)
			if from.IsZero() || float64(done) < tt.burst || float64(done) > tt.burst+tt.rate {
				t.Errorf("%d calls of 300 at once went through, want %v and less than a second's %v more", done, tt.burst, tt.rate)
			}
		})
	}
}

func TestErrorsAreTheSDKsTypes(t *testing.T) {
	b := newLBBench(t, 1, nil)
	var none *types.TargetGroupNotFoundException
	var wrong *types.InvalidTargetException
	if !errors.As(b.registers("none", target("i", 1)), &none) || !errors.As(b.registers(b.group, target("i", 1)), &wrong) {
		t.Error("other types")
	}
}

func TestStaleReadsShowTargetsOfBefore(t *testing.T) {
	b := newLBBench(t, 1, nil)
	of := b.tasks("web", 1)[0]
	must(t, b.c.Faults().Set(faultStaleReads, 1))
	b.pass(2 * time.Minute)
	b.registered(b.group, of)
	b.pass(20 * time.Second)
	seen := map[string]bool{}
	b.must(b.c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
		for range 40 {
			out, err := b.c.ELBV2().DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &b.group})
			if err != nil {
				return nil, err
			}
			state := "none"
			for _, d := range out.TargetHealthDescriptions {
				state = string(d.TargetHealth.State)
			}
			seen[state] = true
		}
		return nil, nil
	}, FunctionConfig{Timeout: time.Minute}))
	b.c.after(0, func() { b.c.Lambda().invoke(b.c.Lambda().functions["f"], nil, func([]byte, error) {}) })
	b.pass(30 * time.Second)
	b.want("seen", seen, map[string]bool{"none": true, "initial": true, "healthy": true})
	b.want("truth", b.health(b.group, of.ec2(), of.port()), "healthy")
}

func TestCutAnswersLackTheirLastItems(t *testing.T) {
	b := newLBBench(t, 1, nil)
	must(t, b.registers(b.group, portsOf(b.host(0).instance.id, 1, 5)...))
	must(t, b.c.Faults().Set(faultDescribeCut, 1))
	got := -1
	b.must(b.c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
		out, err := b.c.ELBV2().DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &b.group})
		got = len(out.TargetHealthDescriptions)
		return nil, err
	}, FunctionConfig{Timeout: time.Minute}))
	b.c.after(0, func() { b.c.Lambda().invoke(b.c.Lambda().functions["f"], nil, func([]byte, error) {}) })
	b.pass(30 * time.Second)
	if got < 0 || got > 4 {
		t.Errorf("%d of 5 items", got)
	}
}
