package simcloud

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// balancerOf finds a load balancer by ARN.
func (e *elb) balancerOf(arn *string) (*lbBalancer, error) {
	for _, b := range e.balancers {
		if b.arn == aws.ToString(arn) {
			return b, nil
		}
	}
	return nil, noBalancer()
}

func noBalancer() error {
	return &types.LoadBalancerNotFoundException{Message: aws.String("One or more load balancers not found")}
}

// CreateLoadBalancer makes an application or network load balancer, active at
// once.
func (e *ELBV2) CreateLoadBalancer(ctx context.Context, in *elbv2.CreateLoadBalancerInput, _ ...func(*elbv2.Options)) (*elbv2.CreateLoadBalancerOutput, error) {
	op := elbModify("CreateLoadBalancer")
	op.bucket = "elasticloadbalancing resource-intensive"
	return call(ctx, e.c, op, in, func() (*elbv2.CreateLoadBalancerOutput, error) {
		if err := onlyMembers(in, "Name", "Type", "Scheme", "Subnets", "SecurityGroups", "IpAddressType", "Tags"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		b := &lbBalancer{name: aws.ToString(in.Name), kind: in.Type, scheme: in.Scheme, subnets: slices.Clone(in.Subnets), created: f.now}
		if b.kind == "" {
			b.kind = types.LoadBalancerTypeEnumApplication
		}
		if b.scheme == "" {
			b.scheme = types.LoadBalancerSchemeEnumInternetFacing
		}
		if err := f.elb.allows(b); err != nil {
			return nil, err
		}
		b.arn = f.elbARN("loadbalancer/%s/%s", b.short(), b.name)
		b.dns = b.name + "-" + f.id(8) + "." + e.c.opts.Region + ".elb.amazonaws.com"
		f.elb.balancers = append(f.elb.balancers, b)
		f.changed()
		return &elbv2.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{b.describe()}}, nil
	})
}

// allows says what keeps a load balancer from being made.
func (e *elb) allows(b *lbBalancer) error {
	same := 0
	for _, o := range e.balancers {
		if o.kind == b.kind {
			same++
		}
	}
	switch {
	case b.kind != types.LoadBalancerTypeEnumApplication && b.kind != types.LoadBalancerTypeEnumNetwork:
		return notSimulated("load balancers of type %s", b.kind)
	case b.name == "" || len(b.name) > 32:
		return elbInvalid("A load balancer needs a name of up to 32 characters, not %q", b.name)
	case slices.ContainsFunc(e.balancers, func(o *lbBalancer) bool { return o.name == b.name }):
		return &types.DuplicateLoadBalancerNameException{Message: aws.String("A load balancer with the same name '" + b.name + "' exists, but with different settings")}
	case same >= 50:
		return &types.TooManyLoadBalancersException{Message: aws.String("The maximum number of load balancers has been reached")}
	}
	return nil
}

func (b *lbBalancer) short() string {
	if b.kind == types.LoadBalancerTypeEnumNetwork {
		return "net"
	}
	return "app"
}

func (b *lbBalancer) describe() types.LoadBalancer {
	out := types.LoadBalancer{
		LoadBalancerArn: aws.String(b.arn), LoadBalancerName: aws.String(b.name), Type: b.kind, Scheme: b.scheme, CreatedTime: timePtr(b.created), VpcId: aws.String(lbVPC),
		DNSName: aws.String(b.dns), State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive},
		IpAddressType: types.IpAddressTypeIpv4,
	}
	for _, s := range b.subnets {
		out.AvailabilityZones = append(out.AvailabilityZones, types.AvailabilityZone{SubnetId: aws.String(s)})
	}
	return out
}

// DescribeLoadBalancers describes load balancers: all, or those given by ARN or
// by name. One that is named and is not there fails it.
func (e *ELBV2) DescribeLoadBalancers(ctx context.Context, in *elbv2.DescribeLoadBalancersInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeLoadBalancersOutput, error) {
	return call(ctx, e.c, elbRead("DescribeLoadBalancers"), in, func() (*elbv2.DescribeLoadBalancersOutput, error) {
		all, err := chosen(e.c.fleet.elbSeen().balancers, in.LoadBalancerArns, in.Names, func(b *lbBalancer) (string, string) { return b.arn, b.name })
		if err != nil {
			return nil, noBalancer()
		}
		page, next, err := elbPage(all, func(b *lbBalancer) string { return b.arn }, in.PageSize, in.Marker)
		out := &elbv2.DescribeLoadBalancersOutput{NextMarker: next, LoadBalancers: []types.LoadBalancer{}}
		for _, b := range page {
			out.LoadBalancers = append(out.LoadBalancers, b.describe())
		}
		return out, err
	})
}

// forward reads the actions of a rule or listener: one that forwards, to one
// group or to up to five with weights of 0 to 999.
func (e *elb) forward(b *lbBalancer, actions []types.Action) ([]lbForward, error) {
	if len(actions) != 1 {
		return nil, notSimulated("%d actions of a rule: one that forwards is", len(actions))
	}
	a := actions[0]
	if err := onlyMembers(a, "Type", "TargetGroupArn", "ForwardConfig", "Order"); err != nil {
		return nil, err
	}
	if a.Type != types.ActionTypeEnumForward {
		return nil, notSimulated("actions of type %q", a.Type)
	}
	tuples := []types.TargetGroupTuple{{TargetGroupArn: a.TargetGroupArn}}
	if a.ForwardConfig != nil {
		tuples = a.ForwardConfig.TargetGroups
	}
	if len(tuples) < 1 || len(tuples) > 5 {
		return nil, &types.InvalidLoadBalancerActionException{Message: aws.String(fmt.Sprintf("A forward action takes 1 to 5 target groups, not %d", len(tuples)))}
	}
	var all []lbForward
	for _, t := range tuples {
		g, err := e.group(t.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		w := lbForward{g, sizeOr(t.Weight, 1)}
		if err := w.fits(b); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// fits says what keeps a load balancer from forwarding to a group.
func (w lbForward) fits(b *lbBalancer) error {
	switch {
	case w.weight < 0 || w.weight > 999:
		return elbInvalid("A weight must be between 0 and 999, not %d", w.weight)
	case w.group.network() != (b.kind == types.LoadBalancerTypeEnumNetwork):
		return &types.IncompatibleProtocolsException{Message: aws.String(fmt.Sprintf("A load balancer of type %s does not take the target group '%s' of protocol %s", b.kind, w.group.arn, w.group.protocol))}
	case w.group.vpc != lbVPC:
		return invalidELB("The target group '%s' is not in the VPC of the load balancer", w.group.arn)
	case w.group.balancer != nil && w.group.balancer != b:
		return &types.TargetGroupAssociationLimitException{Message: aws.String("The following target groups cannot be associated with more than one load balancer: " + w.group.arn)}
	}
	return nil
}

// setForward gives a rule its action, unless the load balancer then has too many
// groups or, with their targets, too many targets.
func (f *fleet) setForward(b *lbBalancer, r *lbRule, forward []lbForward) error {
	old := r.forward
	r.forward = forward
	limits := f.behaviour.ELB
	if n := len(b.groups()); b.kind == types.LoadBalancerTypeEnumApplication && n > limits.GroupsPerALB {
		r.forward = old
		return &types.TooManyUniqueTargetGroupsPerLoadBalancerException{Message: aws.String(fmt.Sprintf("The load balancer has %d target groups, at most %d are allowed", n, limits.GroupsPerALB))}
	}
	if err := b.overfull(b.groups(), limits); err != nil {
		r.forward = old
		return err
	}
	f.elb.attach()
	f.changed()
	return nil
}

// CreateListener makes a listener that forwards.
func (e *ELBV2) CreateListener(ctx context.Context, in *elbv2.CreateListenerInput, _ ...func(*elbv2.Options)) (*elbv2.CreateListenerOutput, error) {
	return call(ctx, e.c, elbModify("CreateListener"), in, func() (*elbv2.CreateListenerOutput, error) {
		if err := onlyMembers(in, "LoadBalancerArn", "Port", "Protocol", "DefaultActions", "Certificates", "SslPolicy", "Tags"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		b, err := f.elb.balancerOf(in.LoadBalancerArn)
		if err != nil {
			return nil, err
		}
		if len(b.listeners) >= 50 {
			return nil, &types.TooManyListenersException{Message: aws.String("The maximum number of listeners has been reached")}
		}
		port := aws.ToInt32(in.Port)
		if slices.ContainsFunc(b.listeners, func(l *lbListener) bool { return l.port == port }) {
			return nil, &types.DuplicateListenerException{Message: aws.String("A listener already exists on this port for this load balancer")}
		}
		forward, err := f.elb.forward(b, in.DefaultActions)
		if err != nil {
			return nil, err
		}
		id := strings.TrimPrefix(b.arn, f.arn("elasticloadbalancing", "loadbalancer/"))
		l := &lbListener{arn: f.elbARN("listener/%s", id), balancer: b, protocol: in.Protocol, port: port}
		l.rules = []*lbRule{{arn: f.elbARN("listener-rule/%s", l.id(f))}}
		b.listeners = append(b.listeners, l)
		if err := f.setForward(b, l.usual(), forward); err != nil {
			b.listeners = without(b.listeners, l)
			return nil, err
		}
		return &elbv2.CreateListenerOutput{Listeners: []types.Listener{l.describe()}}, nil
	})
}

// id is what the ARNs of a listener's rules have of its own.
func (l *lbListener) id(f *fleet) string {
	return strings.TrimPrefix(l.arn, f.arn("elasticloadbalancing", "listener/"))
}

// ModifyListener changes where a listener forwards to by default.
func (e *ELBV2) ModifyListener(ctx context.Context, in *elbv2.ModifyListenerInput, _ ...func(*elbv2.Options)) (*elbv2.ModifyListenerOutput, error) {
	return call(ctx, e.c, elbModify("ModifyListener"), in, func() (*elbv2.ModifyListenerOutput, error) {
		if err := onlyMembers(in, "ListenerArn", "DefaultActions"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		l, err := f.elb.listener(in.ListenerArn)
		if err != nil {
			return nil, err
		}
		forward, err := f.elb.forward(l.balancer, in.DefaultActions)
		if err != nil {
			return nil, err
		}
		if err := f.setForward(l.balancer, l.usual(), forward); err != nil {
			return nil, err
		}
		return &elbv2.ModifyListenerOutput{Listeners: []types.Listener{l.describe()}}, nil
	})
}

// CreateRule adds a rule to a listener.
func (e *ELBV2) CreateRule(ctx context.Context, in *elbv2.CreateRuleInput, _ ...func(*elbv2.Options)) (*elbv2.CreateRuleOutput, error) {
	return call(ctx, e.c, elbModify("CreateRule"), in, func() (*elbv2.CreateRuleOutput, error) {
		if err := onlyMembers(in, "ListenerArn", "Priority", "Conditions", "Actions", "Tags"); err != nil {
			return nil, err
		}
		f, priority := e.c.fleet, aws.ToInt32(in.Priority)
		l, err := f.elb.listener(in.ListenerArn)
		if err != nil {
			return nil, err
		}
		if err := l.allows(priority); err != nil {
			return nil, err
		}
		forward, err := f.elb.forward(l.balancer, in.Actions)
		if err != nil {
			return nil, err
		}
		r := &lbRule{arn: f.elbARN("listener-rule/%s", l.id(f)), priority: priority, conditions: slices.Clone(in.Conditions)}
		at, _ := slices.BinarySearchFunc(l.rules[:len(l.rules)-1], priority, func(r *lbRule, n int32) int { return int(r.priority) - int(n) })
		l.rules = slices.Insert(l.rules, at, r)
		if err := f.setForward(l.balancer, r, forward); err != nil {
			l.rules = without(l.rules, r)
			return nil, err
		}
		return &elbv2.CreateRuleOutput{Rules: []types.Rule{r.describe()}}, nil
	})
}

// allows says what keeps a rule of that priority from being made.
func (l *lbListener) allows(priority int32) error {
	rules := 0
	for _, o := range l.balancer.listeners {
		rules += len(o.rules) - 1
	}
	switch {
	case priority < 1 || priority > 50000:
		return elbInvalid("A priority must be between 1 and 50000, not %d", priority)
	case l.balancer.kind == types.LoadBalancerTypeEnumNetwork:
		return invalidELB("The listeners of a network load balancer have no rules")
	case slices.ContainsFunc(l.rules, func(r *lbRule) bool { return r.priority == priority }):
		return &types.PriorityInUseException{Message: aws.String(fmt.Sprintf("Priority '%d' is currently in use", priority))}
	case rules >= 100:
		return &types.TooManyRulesException{Message: aws.String("The maximum number of rules has been reached")}
	}
	return nil
}

// ModifyRule replaces a rule's action, its conditions, or both.
func (e *ELBV2) ModifyRule(ctx context.Context, in *elbv2.ModifyRuleInput, _ ...func(*elbv2.Options)) (*elbv2.ModifyRuleOutput, error) {
	return call(ctx, e.c, elbModify("ModifyRule"), in, func() (*elbv2.ModifyRuleOutput, error) {
		if err := onlyMembers(in, "RuleArn", "Actions", "Conditions"); err != nil {
			return nil, err
		}
		f := e.c.fleet
		r, l, err := f.elb.rule(in.RuleArn)
		if err != nil {
			return nil, err
		}
		if r.priority == 0 {
			return nil, &types.OperationNotPermittedException{Message: aws.String("Default rule '" + r.arn + "' cannot be modified")}
		}
		if len(in.Actions) > 0 {
			forward, err := f.elb.forward(l.balancer, in.Actions)
			if err != nil {
				return nil, err
			}
			if err := f.setForward(l.balancer, r, forward); err != nil {
				return nil, err
			}
		}
		if len(in.Conditions) > 0 {
			r.conditions = slices.Clone(in.Conditions)
		}
		return &elbv2.ModifyRuleOutput{Rules: []types.Rule{r.describe()}}, nil
	})
}

// describeForward is an action as ELB tells it: the group by itself, too, if
// there is but one.
func describeForward(all []lbForward) []types.Action {
	a := types.Action{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{}}
	for _, w := range all {
		a.ForwardConfig.TargetGroups = append(a.ForwardConfig.TargetGroups, types.TargetGroupTuple{TargetGroupArn: aws.String(w.group.arn), Weight: aws.Int32(int32(w.weight))})
	}
	if len(all) == 1 {
		a.TargetGroupArn = aws.String(all[0].group.arn)
	}
	return []types.Action{a}
}

func (r *lbRule) describe() types.Rule {
	priority := "default"
	if r.priority > 0 {
		priority = strconv.Itoa(int(r.priority))
	}
	return types.Rule{RuleArn: aws.String(r.arn), Priority: &priority, IsDefault: aws.Bool(r.priority == 0), Conditions: slices.Clone(r.conditions), Actions: describeForward(r.forward)}
}

func (l *lbListener) describe() types.Listener {
	return types.Listener{ListenerArn: aws.String(l.arn), LoadBalancerArn: aws.String(l.balancer.arn), Protocol: l.protocol, Port: aws.Int32(l.port), DefaultActions: describeForward(l.usual().forward)}
}

// DescribeListeners describes the listeners of a load balancer, or those given.
func (e *ELBV2) DescribeListeners(ctx context.Context, in *elbv2.DescribeListenersInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeListenersOutput, error) {
	return call(ctx, e.c, elbRead("DescribeListeners"), in, func() (*elbv2.DescribeListenersOutput, error) {
		w := e.c.fleet.elbSeen()
		var all []*lbListener
		if len(in.ListenerArns) == 0 {
			b, err := w.balancerOf(in.LoadBalancerArn)
			if err != nil {
				return nil, err
			}
			all = slices.Clone(b.listeners)
		}
		for _, arn := range in.ListenerArns {
			l, err := w.listener(&arn)
			if err != nil {
				return nil, err
			}
			all = append(all, l)
		}
		page, next, err := elbPage(all, func(l *lbListener) string { return l.arn }, in.PageSize, in.Marker)
		out := &elbv2.DescribeListenersOutput{NextMarker: next, Listeners: []types.Listener{}}
		for _, l := range page {
			out.Listeners = append(out.Listeners, l.describe())
		}
		return out, err
	})
}

// DescribeRules describes the rules of a listener, its default one too, or those
// given.
func (e *ELBV2) DescribeRules(ctx context.Context, in *elbv2.DescribeRulesInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeRulesOutput, error) {
	return call(ctx, e.c, elbRead("DescribeRules"), in, func() (*elbv2.DescribeRulesOutput, error) {
		w := e.c.fleet.elbSeen()
		var all []*lbRule
		if len(in.RuleArns) == 0 {
			l, err := w.listener(in.ListenerArn)
			if err != nil {
				return nil, err
			}
			all = slices.Clone(l.rules)
		}
		for _, arn := range in.RuleArns {
			r, _, err := w.rule(&arn)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		page, next, err := elbPage(all, func(r *lbRule) string { return r.arn }, in.PageSize, in.Marker)
		out := &elbv2.DescribeRulesOutput{NextMarker: next, Rules: []types.Rule{}}
		for _, r := range page {
			out.Rules = append(out.Rules, r.describe())
		}
		return out, err
	})
}
