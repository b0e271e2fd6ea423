package simcloud

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// ELBV2 has the methods of the SDK's client that are simulated: application and
// network load balancers with listeners and rules that forward to target groups
// of instances. What an input asks for beyond that is an error. No call deletes.
type ELBV2 struct{ c *Cloud }

// ELBV2 is the account's Elastic Load Balancing, version 2.
func (c *Cloud) ELBV2() *ELBV2 { return &ELBV2{c} }

// elbAccount is the bucket that all calls take from, beside that of their kind.
const elbAccount = "elasticloadbalancing account"

// The operations by token bucket, as ELB documents its throttling.
func elbRead(action string) operation {
	return operation{service: "elasticloadbalancing", action: action, bucket: "elasticloadbalancing non-mutating", also: elbAccount, latency: 35 * time.Millisecond}
}

func elbModify(action string) operation {
	return operation{service: "elasticloadbalancing", action: action, bucket: "elasticloadbalancing mutating", also: elbAccount, latency: 70 * time.Millisecond, changes: true}
}

func elbRegistration(action string) operation {
	return operation{service: "elasticloadbalancing", action: action, bucket: "elasticloadbalancing registration", also: elbAccount, latency: 60 * time.Millisecond, changes: true}
}

// elb is the truth about load balancers and target groups.
type elb struct {
	balancers []*lbBalancer
	groups    []*lbGroup
	own       ecsELB // what ECS does for its services
	routes    []*routed
	work      map[*ecsTask]*lbWork
	worked    int // entries of work when it was last cleared
}

func newELB() *elb { return &elb{own: newECSELB(), work: map[*ecsTask]*lbWork{}} }

// lbBalancer is a load balancer.
type lbBalancer struct {
	arn, name string
	dns       string
	kind      types.LoadBalancerTypeEnum
	scheme    types.LoadBalancerSchemeEnum
	subnets   []string
	created   time.Time
	listeners []*lbListener
}

// lbListener is a listener; its default action is the rule of no priority.
type lbListener struct {
	arn      string
	balancer *lbBalancer
	protocol types.ProtocolEnum
	port     int32
	rules    []*lbRule // by priority, the default one last
}

// lbRule forwards what it matches. Its conditions are kept and told, no request
// here has anything that they could look at.
type lbRule struct {
	arn        string
	priority   int32 // 0: the listener's default
	conditions []types.RuleCondition
	forward    []lbForward
}

// lbForward is a share of a forward action.
type lbForward struct {
	group  *lbGroup
	weight int
}

// usual is the listener's default rule.
func (l *lbListener) usual() *lbRule { return l.rules[len(l.rules)-1] }

// groups are the target groups that the load balancer forwards to, each once.
func (b *lbBalancer) groups() []*lbGroup {
	var all []*lbGroup
	for _, l := range b.listeners {
		for _, r := range l.rules {
			for _, w := range r.forward {
				if !slices.Contains(all, w.group) {
					all = append(all, w.group)
				}
			}
		}
	}
	return all
}

// balancer is the load balancer that uses a group; nil: none does. A group has at
// most one.
func (e *elb) balancer(g *lbGroup) *lbBalancer {
	for _, b := range e.balancers {
		if slices.Contains(b.groups(), g) {
			return b
		}
	}
	return nil
}

// attach notes which load balancer uses which group, after an action changed.
func (e *elb) attach() {
	for _, g := range e.groups {
		g.balancer = e.balancer(g)
	}
}

// group finds a target group by ARN.
func (e *elb) group(arn *string) (*lbGroup, error) {
	for _, g := range e.groups {
		if g.arn == aws.ToString(arn) {
			return g, nil
		}
	}
	return nil, noGroup()
}

func noGroup() error {
	return &types.TargetGroupNotFoundException{Message: aws.String("One or more target groups not found")}
}

// listener finds a listener by ARN.
func (e *elb) listener(arn *string) (*lbListener, error) {
	for _, b := range e.balancers {
		for _, l := range b.listeners {
			if l.arn == aws.ToString(arn) {
				return l, nil
			}
		}
	}
	return nil, &types.ListenerNotFoundException{Message: aws.String("One or more listeners not found")}
}

// rule finds a rule and its listener by ARN.
func (e *elb) rule(arn *string) (*lbRule, *lbListener, error) {
	for _, b := range e.balancers {
		for _, l := range b.listeners {
			for _, r := range l.rules {
				if r.arn == aws.ToString(arn) {
					return r, l, nil
				}
			}
		}
	}
	return nil, nil, &types.RuleNotFoundException{Message: aws.String("One or more rules not found")}
}

// elbSeen are the load balancers as a read shows them.
func (f *fleet) elbSeen() *elb {
	at := f.faults.seenAt()
	if !at.Before(f.now) {
		return f.elb
	}
	if old := f.faults.picture(at).elb; old != nil {
		return old
	}
	return f.elb
}

// frozen copies what the answers of reads are made of.
func (e *elb) frozen() *elb {
	out, groups := &elb{}, map[*lbGroup]*lbGroup{}
	for _, g := range e.groups {
		groups[g] = g.frozen()
		out.groups = append(out.groups, groups[g])
	}
	for _, b := range e.balancers {
		copied := *b
		copied.listeners = nil
		for _, l := range b.listeners {
			copied.listeners = append(copied.listeners, l.frozen(&copied, groups))
		}
		out.balancers = append(out.balancers, &copied)
	}
	out.attach()
	return out
}

func (l *lbListener) frozen(b *lbBalancer, groups map[*lbGroup]*lbGroup) *lbListener {
	out := *l
	out.balancer, out.rules = b, nil
	for _, r := range l.rules {
		rule := *r
		rule.forward = nil
		for _, w := range r.forward {
			rule.forward = append(rule.forward, lbForward{groups[w.group], w.weight})
		}
		out.rules = append(out.rules, &rule)
	}
	return &out
}

func (g *lbGroup) frozen() *lbGroup {
	out := *g
	out.targets, out.byKey, out.late = nil, make(map[lbKey]*lbTarget, len(g.byKey)), nil
	for _, t := range g.targets {
		copied := *t
		copied.group = &out
		out.targets = append(out.targets, &copied)
		out.byKey[t.lbKey] = &copied
	}
	return &out
}

// elbInvalid is the error for an input that breaks a rule of its shape.
func elbInvalid(format string, args ...any) error {
	return apiError("ValidationError", format, args...)
}

// elbPage cuts a page out of what was found, in the order of its ARNs.
func elbPage[T any](all []T, arn func(T) string, size *int32, marker *string) ([]T, *string, error) {
	n := 400
	if size != nil {
		n = int(*size)
	}
	if n < 1 || n > 400 {
		return nil, nil, elbInvalid("PageSize must be between 1 and 400, not %d", n)
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(arn(a), arn(b)) })
	if marker != nil {
		all = slices.DeleteFunc(all, func(one T) bool { return arn(one) <= *marker })
	}
	if len(all) <= n {
		return all, nil, nil
	}
	return all[:n], aws.String(arn(all[n-1])), nil
}

// elbARN makes an ARN with an id of its own.
func (f *fleet) elbARN(format string, args ...any) string {
	return f.arn("elasticloadbalancing", fmt.Sprintf(format, args...)+"/"+f.id(16))
}

// cutELB leaves the last items out of an answer of ELB's, or all.
func (f *Faults) cutELB(answer any) {
	switch out := answer.(type) {
	case *elbv2.DescribeTargetGroupsOutput:
		out.TargetGroups, out.NextMarker = cutAs(f, out.TargetGroups, out.NextMarker)
	case *elbv2.DescribeLoadBalancersOutput:
		out.LoadBalancers, out.NextMarker = cutAs(f, out.LoadBalancers, out.NextMarker)
	case *elbv2.DescribeListenersOutput:
		out.Listeners, out.NextMarker = cutAs(f, out.Listeners, out.NextMarker)
	case *elbv2.DescribeRulesOutput:
		out.Rules, out.NextMarker = cutAs(f, out.Rules, out.NextMarker)
	case *elbv2.DescribeTargetHealthOutput:
		out.TargetHealthDescriptions, _ = cutAs(f, out.TargetHealthDescriptions, nil)
	}
}
