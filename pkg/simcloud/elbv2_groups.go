package simcloud

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// lbVPC is the one network that there is: all instances are in it.
const lbVPC = "vpc-0a1b2c3d4e5f60718"

// VPC is the id of the network that all instances are in. Target groups may name
// another one, and then take none of them.
func (w *World) VPC() string { return lbVPC }

// lbGroup is a target group.
type lbGroup struct {
	arn, name  string
	protocol   types.ProtocolEnum
	port       int
	vpc        string
	kind       types.TargetTypeEnum
	check      lbCheck
	attributes map[string]string // what was set; see attribute
	balancer   *lbBalancer       // nil: not in use
	targets    []*lbTarget       // in order of registration, draining ones too
	byKey      map[lbKey]*lbTarget
	late       []*lbTarget // deregistered ones that flows still come to
	turn       int         // of the next request
}

// lbCheck is a group's health check.
type lbCheck struct {
	protocol           types.ProtocolEnum
	path               *string
	matcher            *types.Matcher
	interval, timeout  time.Duration
	healthy, unhealthy int // checks in a row
}

// udp says which host ports the group's targets are.
func (g *lbGroup) udp() bool { return g.protocol == types.ProtocolEnumUdp }

// network says that a network load balancer uses the group, or would.
func (g *lbGroup) network() bool {
	return g.protocol != types.ProtocolEnumHttp && g.protocol != types.ProtocolEnumHttps
}

// CreateTargetGroup makes a target group. One of the target type ip can be made
// and described; nothing can be registered with it.
func (e *ELBV2) CreateTargetGroup(ctx context.Context, in *elbv2.CreateTargetGroupInput, _ ...func(*elbv2.Options)) (*elbv2.CreateTargetGroupOutput, error) {
	return call(ctx, e.c, elbModify("CreateTargetGroup"), in, func() (*elbv2.CreateTargetGroupOutput, error) {
		w := e.c.fleet.elb
		g, err := newGroup(in)
		if err != nil {
			return nil, err
		}
		if len(w.groups) >= 3000 {
			return nil, &types.TooManyTargetGroupsException{Message: aws.String("The maximum number of target groups has been reached")}
		}
		if slices.ContainsFunc(w.groups, func(o *lbGroup) bool { return o.name == g.name }) {
			return nil, &types.DuplicateTargetGroupNameException{Message: aws.String("A target group with the same name '" + g.name + "' exists, but with different settings")}
		}
		g.arn = e.c.fleet.elbARN("targetgroup/%s", g.name)
		w.groups = append(w.groups, g)
		e.c.fleet.changed()
		return &elbv2.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{g.describe()}}, nil
	})
}

func newGroup(in *elbv2.CreateTargetGroupInput) (*lbGroup, error) {
	if err := onlyMembers(in, "Name", "Protocol", "ProtocolVersion", "Port", "VpcId", "TargetType", "HealthCheckEnabled", "HealthCheckIntervalSeconds", "HealthCheckPath",
		"HealthCheckPort", "HealthCheckProtocol", "HealthCheckTimeoutSeconds", "HealthyThresholdCount", "UnhealthyThresholdCount", "Matcher", "IpAddressType", "Tags"); err != nil {
		return nil, err
	}
	g := &lbGroup{
		name: aws.ToString(in.Name), protocol: in.Protocol, port: int(aws.ToInt32(in.Port)), vpc: aws.ToString(in.VpcId), kind: in.TargetType,
		attributes: map[string]string{}, byKey: map[lbKey]*lbTarget{},
	}
	if g.kind == "" {
		g.kind = types.TargetTypeEnumInstance
	}
	if err := g.simulated(in); err != nil {
		return nil, err
	}
	if g.name == "" || len(g.name) > 32 || g.port < 1 || g.port > 65535 || g.vpc == "" {
		return nil, elbInvalid("A target group needs a name of up to 32 characters, a port from 1 to 65535 and a VPC: not %q, %d, %q", g.name, g.port, g.vpc)
	}
	return g, g.setCheck(in)
}

// simulated says what of a group is left out.
func (g *lbGroup) simulated(in *elbv2.CreateTargetGroupInput) error {
	protocols := []types.ProtocolEnum{types.ProtocolEnumHttp, types.ProtocolEnumHttps, types.ProtocolEnumTcp, types.ProtocolEnumTls, types.ProtocolEnumUdp}
	switch {
	case g.kind != types.TargetTypeEnumInstance && g.kind != types.TargetTypeEnumIp:
		return notSimulated("target groups of type %s", g.kind)
	case !slices.Contains(protocols, g.protocol):
		return notSimulated("target groups of protocol %q", g.protocol)
	case in.HealthCheckEnabled != nil && !*in.HealthCheckEnabled:
		return notSimulated("target groups without health checks")
	case in.HealthCheckPort != nil && *in.HealthCheckPort != "traffic-port":
		return notSimulated("health checks on another port than traffic-port")
	}
	return nil
}

// setCheck takes the health check's settings; those that are not given have the
// API reference's defaults.
func (g *lbGroup) setCheck(in *elbv2.CreateTargetGroupInput) error {
	usual := 5
	if g.network() {
		usual = 10
	}
	c := g.checking(in)
	interval, timeout := sizeOr(in.HealthCheckIntervalSeconds, 30), sizeOr(in.HealthCheckTimeoutSeconds, usual)
	for _, x := range []struct {
		name             string
		value, low, high int
	}{{"interval", interval, 5, 300}, {"timeout", timeout, 2, 120}, {"healthy threshold", c.healthy, 2, 10}, {"unhealthy threshold", c.unhealthy, 2, 10}} {
		if x.value < x.low || x.value > x.high {
			return elbInvalid("Health check %s must be between %d and %d, not %d", x.name, x.low, x.high, x.value)
		}
	}
	if timeout >= interval && in.HealthCheckTimeoutSeconds != nil {
		return elbInvalid("Health check timeout '%d' must be smaller than the interval '%d'", timeout, interval)
	}
	c.interval, c.timeout = time.Duration(interval)*time.Second, time.Duration(min(timeout, interval))*time.Second
	g.check = c
	return nil
}

// checking is what a group's health check asks, and how often.
func (g *lbGroup) checking(in *elbv2.CreateTargetGroupInput) lbCheck {
	c := lbCheck{
		protocol: in.HealthCheckProtocol, path: copied(in.HealthCheckPath), matcher: copied(in.Matcher),
		healthy: sizeOr(in.HealthyThresholdCount, 5), unhealthy: sizeOr(in.UnhealthyThresholdCount, 2),
	}
	if c.protocol == "" {
		c.protocol = types.ProtocolEnumHttp
		if g.network() {
			c.protocol = types.ProtocolEnumTcp
		}
	}
	if c.protocol == types.ProtocolEnumHttp || c.protocol == types.ProtocolEnumHttps {
		c.path = textOr(c.path, "/")
		if c.matcher == nil {
			c.matcher = &types.Matcher{HttpCode: aws.String("200")}
		}
	}
	return c
}

func textOr(s *string, usual string) *string {
	if s == nil {
		return &usual
	}
	return s
}

func (g *lbGroup) describe() types.TargetGroup {
	out := types.TargetGroup{
		TargetGroupArn: aws.String(g.arn), TargetGroupName: aws.String(g.name), Protocol: g.protocol, Port: aws.Int32(int32(g.port)), VpcId: aws.String(g.vpc), TargetType: g.kind,
		HealthCheckEnabled: aws.Bool(true), HealthCheckIntervalSeconds: aws.Int32(int32(g.check.interval / time.Second)), HealthCheckTimeoutSeconds: aws.Int32(int32(g.check.timeout / time.Second)),
		HealthCheckPath: copied(g.check.path), HealthCheckPort: aws.String("traffic-port"), HealthCheckProtocol: g.check.protocol, Matcher: copied(g.check.matcher),
		HealthyThresholdCount: aws.Int32(int32(g.check.healthy)), UnhealthyThresholdCount: aws.Int32(int32(g.check.unhealthy)), LoadBalancerArns: []string{},
		IpAddressType: types.TargetGroupIpAddressTypeEnumIpv4,
	}
	if !g.network() {
		out.ProtocolVersion = aws.String("HTTP1")
	}
	if g.balancer != nil {
		out.LoadBalancerArns = []string{g.balancer.arn}
	}
	return out
}

// DescribeTargetGroups describes target groups: all, or those given by ARN, by
// name or by their load balancer. One that is named and is not there fails it.
func (e *ELBV2) DescribeTargetGroups(ctx context.Context, in *elbv2.DescribeTargetGroupsInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeTargetGroupsOutput, error) {
	return call(ctx, e.c, elbRead("DescribeTargetGroups"), in, func() (*elbv2.DescribeTargetGroupsOutput, error) {
		if err := onlyMembers(in, "LoadBalancerArn", "Names", "TargetGroupArns", "PageSize", "Marker"); err != nil {
			return nil, err
		}
		w := e.c.fleet.elbSeen()
		all, err := chosen(w.groups, in.TargetGroupArns, in.Names, func(g *lbGroup) (string, string) { return g.arn, g.name })
		if err != nil {
			return nil, noGroup()
		}
		if in.LoadBalancerArn != nil {
			b, err := w.balancerOf(in.LoadBalancerArn)
			if err != nil {
				return nil, err
			}
			all = slices.DeleteFunc(all, func(g *lbGroup) bool { return g.balancer != b })
		}
		page, next, err := elbPage(all, func(g *lbGroup) string { return g.arn }, in.PageSize, in.Marker)
		out := &elbv2.DescribeTargetGroupsOutput{NextMarker: next, TargetGroups: []types.TargetGroup{}}
		for _, g := range page {
			out.TargetGroups = append(out.TargetGroups, g.describe())
		}
		return out, err
	})
}

// chosen takes from all those named by ARN or name; without either all of them. It
// fails if one is not there.
func chosen[T any](all []T, arns, names []string, of func(T) (arn, name string)) ([]T, error) {
	if len(arns) == 0 && len(names) == 0 {
		return slices.Clone(all), nil
	}
	var found []T
	for _, one := range all {
		if arn, name := of(one); slices.Contains(arns, arn) || slices.Contains(names, name) {
			found = append(found, one)
		}
	}
	for _, wanted := range slices.Concat(arns, names) {
		if !slices.ContainsFunc(found, func(one T) bool { arn, name := of(one); return arn == wanted || name == wanted }) {
			return nil, noGroup()
		}
	}
	return found, nil
}

// The attributes that are simulated, with their defaults and largest values.
const (
	attributeDelay     = "deregistration_delay.timeout_seconds"
	attributeSlowStart = "slow_start.duration_seconds"
	// Of network load balancers: existing flows to an unhealthy target are ended
	// unless the first is false, and then have that long.
	attributeTerminate = "target_health_state.unhealthy.connection_termination.enabled"
	attributeLinger    = "target_health_state.unhealthy.draining_interval_seconds"
)

// attribute is a group's attribute: what was set, or its default.
func (g *lbGroup) attribute(name string) string {
	if value, ok := g.attributes[name]; ok {
		return value
	}
	switch name {
	case attributeDelay:
		return "300"
	case attributeTerminate:
		return "true"
	default:
		return "0"
	}
}

// seconds is an attribute that is a time.
func (g *lbGroup) seconds(name string) time.Duration {
	n, err := strconv.Atoi(g.attribute(name))
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// attributeNames are the attributes that a group has here.
func (g *lbGroup) attributeNames() []string {
	if g.network() {
		return []string{attributeDelay, attributeTerminate, attributeLinger}
	}
	return []string{attributeDelay, attributeSlowStart}
}

func (g *lbGroup) describeAttributes() []types.TargetGroupAttribute {
	all := []types.TargetGroupAttribute{}
	for _, name := range g.attributeNames() {
		all = append(all, types.TargetGroupAttribute{Key: aws.String(name), Value: aws.String(g.attribute(name))})
	}
	return all
}

// ModifyTargetGroupAttributes changes attributes of a group, from now on: what
// drains already keeps its time.
func (e *ELBV2) ModifyTargetGroupAttributes(ctx context.Context, in *elbv2.ModifyTargetGroupAttributesInput, _ ...func(*elbv2.Options)) (*elbv2.ModifyTargetGroupAttributesOutput, error) {
	return call(ctx, e.c, elbModify("ModifyTargetGroupAttributes"), in, func() (*elbv2.ModifyTargetGroupAttributesOutput, error) {
		g, err := e.c.fleet.elb.group(in.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		for _, a := range in.Attributes {
			if err := g.checkAttribute(aws.ToString(a.Key), aws.ToString(a.Value)); err != nil {
				return nil, err
			}
		}
		for _, a := range in.Attributes {
			g.attributes[*a.Key] = *a.Value
		}
		e.c.fleet.changed()
		return &elbv2.ModifyTargetGroupAttributesOutput{Attributes: g.describeAttributes()}, nil
	})
}

func (g *lbGroup) checkAttribute(name, value string) error {
	if !slices.Contains(g.attributeNames(), name) {
		return notSimulated("the attribute %q of a target group of protocol %s", name, g.protocol)
	}
	if name == attributeTerminate {
		if value != "true" && value != "false" {
			return invalidELB("The value of %s must be true or false, not %q", name, value)
		}
		return nil
	}
	low, high := rangeOf(name)
	if n, err := strconv.Atoi(value); err != nil || n != 0 && (n < low || n > high) {
		return invalidELB("The value of %s must be 0 or between %d and %d, not %q", name, low, high, value)
	}
	return nil
}

// rangeOf is what an attribute that is a time may be besides 0, in seconds.
func rangeOf(name string) (low, high int) {
	switch name {
	case attributeSlowStart:
		return 30, 900
	case attributeLinger:
		return 1, 360000
	default:
		return 1, 3600
	}
}

func invalidELB(format string, args ...any) error {
	return &types.InvalidConfigurationRequestException{Message: aws.String(fmt.Sprintf(format, args...))}
}

// DescribeTargetGroupAttributes gives those attributes of a group that are
// simulated.
func (e *ELBV2) DescribeTargetGroupAttributes(ctx context.Context, in *elbv2.DescribeTargetGroupAttributesInput, _ ...func(*elbv2.Options)) (*elbv2.DescribeTargetGroupAttributesOutput, error) {
	return call(ctx, e.c, elbRead("DescribeTargetGroupAttributes"), in, func() (*elbv2.DescribeTargetGroupAttributesOutput, error) {
		g, err := e.c.fleet.elbSeen().group(in.TargetGroupArn)
		if err != nil {
			return nil, err
		}
		return &elbv2.DescribeTargetGroupAttributesOutput{Attributes: g.describeAttributes()}, nil
	})
}
