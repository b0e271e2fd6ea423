package infra

import (
	"net/netip"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// LoadBalancerProps is the Application Load Balancer that a Cluster makes. What
// no service's rule matches is answered with 404.
type LoadBalancerProps struct {
	None         bool     // make none
	Internal     bool     // in the host subnets, not on the internet
	Certificate  string   // ARN in ACM: HTTPS on 443, and 80 redirects there. Without it plain HTTP on 80
	AllowFrom    []string // IPv4 blocks that may connect; default everyone
	NoAccessLogs bool     // leave out the bucket with a record of each request
	LogDays      int      // how long that bucket keeps records; default 90
}

// ExistingLoadBalancer is one that somebody else made.
type ExistingLoadBalancer struct {
	Listener      string // ARN, for the services' rules
	SecurityGroup string // id of the load balancer's group, which may connect to the hosts; its own outgoing rules are its owner's
}

// balancer is the part of a load balancer that the rest of a cluster uses.
type balancer struct{ listener, security *string }

func (p LoadBalancerProps) defaulted() LoadBalancerProps {
	p.LogDays = or(p.LogDays, 90)
	if len(p.AllowFrom) == 0 {
		p.AllowFrom = []string{"0.0.0.0/0"}
	}
	return p
}

// port is the listener's.
func (p LoadBalancerProps) port() int {
	if p.Certificate == "" {
		return 80
	}
	return 443
}

func (p LoadBalancerProps) check(f *findings, cluster string) {
	for _, from := range p.AllowFrom {
		block, err := netip.ParsePrefix(from)
		f.need(err == nil && block.Addr().Is4() && block == block.Masked(), "cluster %q: %q, which the load balancer is to allow, is no IPv4 block", cluster, from)
	}
	f.need(p.Certificate == "" || unknown(p.Certificate) || strings.HasPrefix(p.Certificate, "arn:"), "cluster %q: the load balancer's Certificate must be an ARN, not %q", cluster, p.Certificate)
	f.need(p.LogDays >= 1, "cluster %q: the load balancer's LogDays must be 1 or more, not %d", cluster, p.LogDays)
}

// makeSecurity makes the hosts' security group and the load balancer's, and lets
// the second into the first on dynamic ports. Out of a host every way is open:
// its tasks share its address, and what they call is not known here.
func (c *Cluster) makeSecurity() {
	scope := c.within("Security")
	if c.props.makesHosts() {
		hosts := awsec2.NewCfnSecurityGroup(scope, jsii.String("Hosts"), &awsec2.CfnSecurityGroupProps{
			GroupDescription: jsii.String("Hosts of the ECS cluster " + c.props.Name), VpcId: c.network.vpc, Tags: named(c.props.Name + " hosts"),
			SecurityGroupEgress: listOf(&awsec2.CfnSecurityGroup_EgressProperty{IpProtocol: jsii.String("-1"), CidrIp: jsii.String("0.0.0.0/0"), Description: jsii.String("whatever tasks call")}),
		})
		c.hosts = hosts.AttrGroupId()
	}
	if b := c.props.ExistingLoadBalancer; b != nil {
		c.balancer = &balancer{listener: jsii.String(b.Listener), security: jsii.String(b.SecurityGroup)}
	}
	if c.props.makesBalancer() {
		c.balancer = &balancer{security: c.balancerSecurity(scope)}
	}
	if c.hosts != nil && c.balancer != nil {
		awsec2.NewCfnSecurityGroupIngress(scope, jsii.String("FromLoadBalancer"), &awsec2.CfnSecurityGroupIngressProps{
			GroupId: c.hosts, SourceSecurityGroupId: c.balancer.security, IpProtocol: jsii.String("tcp"),
			FromPort: number(firstPort), ToPort: number(lastPort), Description: jsii.String("the load balancer, on dynamic ports"),
		})
	}
}

// balancerSecurity opens the listener's ports, and the way to the hosts only.
func (c *Cluster) balancerSecurity(scope constructs.Construct) *string {
	p := c.props.LoadBalancer
	in := []any{}
	for _, from := range p.AllowFrom {
		in = append(in, open(p.port(), from))
		if p.port() != 80 {
			in = append(in, open(80, from))
		}
	}
	out := &awsec2.CfnSecurityGroup_EgressProperty{
		IpProtocol: jsii.String("tcp"), FromPort: number(firstPort), ToPort: number(lastPort),
		Description: jsii.String("hosts, on dynamic ports"), DestinationSecurityGroupId: c.hosts,
	}
	made := awsec2.NewCfnSecurityGroup(scope, jsii.String("LoadBalancer"), &awsec2.CfnSecurityGroupProps{
		GroupDescription: jsii.String("Load balancer of the ECS cluster " + c.props.Name), VpcId: c.network.vpc,
		Tags: named(c.props.Name + " load balancer"), SecurityGroupIngress: &in, SecurityGroupEgress: listOf(out),
	})
	if !p.Internal {
		accept(made, "EC23", "The listener's port of an internet-facing load balancer; AllowFrom narrows it.")
	}
	return made.AttrGroupId()
}

// open is a rule that lets a block connect to a port.
func open(port int, from string) *awsec2.CfnSecurityGroup_IngressProperty {
	return &awsec2.CfnSecurityGroup_IngressProperty{
		IpProtocol: jsii.String("tcp"), FromPort: number(port), ToPort: number(port), CidrIp: jsii.String(from), Description: jsii.String("clients"),
	}
}

// makeBalancer makes the load balancer with its listener.
func (c *Cluster) makeBalancer() {
	if !c.props.makesBalancer() {
		return
	}
	p, scope := c.props.LoadBalancer, c.within("LoadBalancer")
	subnets, scheme := c.network.public, "internet-facing"
	if p.Internal {
		subnets, scheme = c.network.hosts, "internal"
	}
	attributes := []any{attribute("routing.http.drop_invalid_header_fields.enabled", "true")}
	var bucket awss3.CfnBucketPolicy
	if !p.NoAccessLogs {
		var logs []any
		bucket, logs = accessLogs(scope, p.LogDays)
		attributes = append(attributes, logs...)
	}
	made := elb.NewCfnLoadBalancer(scope, jsii.String("LoadBalancer"), &elb.CfnLoadBalancerProps{
		Type: jsii.String("application"), Scheme: jsii.String(scheme), LoadBalancerAttributes: &attributes,
		Subnets: anys(subnets), SecurityGroups: listOf[any](c.balancer.security), Tags: named(c.props.Name),
	})
	for _, r := range c.network.ready {
		made.AddDependency(r)
	}
	if bucket != nil {
		made.AddDependency(bucket)
	} else {
		accept(made, "ELB2", "Access logs were switched off by NoAccessLogs.")
	}
	c.balancer.listener = listeners(scope, made, p)
}

// anys is a list of ids as CDK wants it where it takes references too.
func anys(ids []*string) *[]any {
	out := []any{}
	for _, id := range ids {
		out = append(out, id)
	}
	return &out
}

func attribute(key, value string) *elb.CfnLoadBalancer_LoadBalancerAttributeProperty {
	return &elb.CfnLoadBalancer_LoadBalancerAttributeProperty{Key: jsii.String(key), Value: jsii.String(value)}
}

// listeners makes the one for services, whose ARN it returns, and with a
// certificate the one that redirects to it.
func listeners(scope constructs.Construct, b elb.CfnLoadBalancer, p LoadBalancerProps) *string {
	nobody := &elb.CfnListener_ActionProperty{Type: jsii.String("fixed-response"), FixedResponseConfig: &elb.CfnListener_FixedResponseConfigProperty{
		StatusCode: jsii.String("404"), ContentType: jsii.String("text/plain"), MessageBody: jsii.String("no such service"),
	}}
	props := &elb.CfnListenerProps{LoadBalancerArn: b.Ref(), Port: number(p.port()), Protocol: jsii.String("HTTP"), DefaultActions: listOf(nobody)}
	if p.Certificate != "" {
		props.Protocol, props.SslPolicy = jsii.String("HTTPS"), jsii.String("ELBSecurityPolicy-TLS13-1-2-2021-06")
		props.Certificates = listOf(&elb.CfnListener_CertificateProperty{CertificateArn: jsii.String(p.Certificate)})
		elsewhere := &elb.CfnListener_ActionProperty{Type: jsii.String("redirect"), RedirectConfig: &elb.CfnListener_RedirectConfigProperty{
			StatusCode: jsii.String("HTTP_301"), Protocol: jsii.String("HTTPS"), Port: jsii.String("443"),
		}}
		elb.NewCfnListener(scope, jsii.String("Redirect"), &elb.CfnListenerProps{
			LoadBalancerArn: b.Ref(), Port: number(80), Protocol: jsii.String("HTTP"), DefaultActions: listOf(elsewhere),
		})
	}
	return elb.NewCfnListener(scope, jsii.String("Listener"), props).Ref()
}
