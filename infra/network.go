package infra

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// NAT says how hosts in private subnets reach the internet, which they need for
// ECS's endpoints and for images.
type NAT string

// The ways. A gateway costs money by the hour and by the byte; a zone whose
// gateway is in another zone depends on that one.
const (
	OneNAT     NAT = "one"     // one gateway for all zones; the default
	NATPerZone NAT = "perZone" // a gateway a zone
	NoNAT      NAT = "none"    // none: hosts run in the public subnets with public addresses, closed to the internet by their security group
)

// NetworkProps is the VPC that a Cluster makes.
type NetworkProps struct {
	CIDR       string // a private IPv4 block from /16 to /22; default 10.0.0.0/16
	Zones      int    // Availability Zones, 2 or 3; default 2
	NAT        NAT    // default OneNAT
	NoFlowLogs bool   // leave out the record of rejected connections
}

// ExistingNetwork is a VPC that somebody else made, and the subnets to use of it.
type ExistingNetwork struct {
	VPC           string   // its id
	PublicSubnets []string // ids, two zones or more: for an internet-facing load balancer
	HostSubnets   []string // ids: for hosts, and for an internal load balancer; they must reach ECS's endpoints
	HostsPublic   bool     // hosts get public addresses
}

// network is the part of a VPC that the rest of a cluster uses, whoever made it.
type network struct {
	vpc         *string
	public      []*string
	hosts       []*string
	hostsPublic bool
	ready       []awscdk.CfnResource // what must stand before a host can reach ECS
}

func (n ExistingNetwork) network() network {
	used := network{vpc: jsii.String(n.VPC), hostsPublic: n.HostsPublic}
	used.public = append(used.public, *stringsOf(n.PublicSubnets...)...)
	used.hosts = append(used.hosts, *stringsOf(n.HostSubnets...)...)
	return used
}

func (p NetworkProps) defaulted() NetworkProps {
	p.CIDR, p.Zones, p.NAT = or(p.CIDR, "10.0.0.0/16"), or(p.Zones, 2), or(p.NAT, OneNAT)
	return p
}

// check tells what is wrong with a network that is to be made.
func (p NetworkProps) check(f *findings, cluster string) {
	block, err := netip.ParsePrefix(p.CIDR)
	ok := err == nil && block.Addr().Is4() && block.Addr().IsPrivate() && block == block.Masked() && 16 <= block.Bits() && block.Bits() <= 22
	f.need(ok, "cluster %q: the network's CIDR %q must be a private IPv4 block from /16 to /22, such as 10.0.0.0/16", cluster, p.CIDR)
	f.need(p.Zones == 2 || p.Zones == 3, "cluster %q: a network has 2 or 3 zones, not %d", cluster, p.Zones)
	f.need(p.NAT == OneNAT || p.NAT == NATPerZone || p.NAT == NoNAT, "cluster %q: NAT must be one, perZone or none, not %q", cluster, p.NAT)
}

// check tells what is missing from a network that exists.
func (n ExistingNetwork) check(f *findings, cluster string) {
	f.need(n.VPC != "", "cluster %q: an existing network needs the id of its VPC", cluster)
}

// blocks are the subnets' address blocks: a quarter of the VPC's each for the
// hosts of up to three zones, and the last quarter split in four for up to three
// public subnets, which hold load balancers and gateways only.
func blocks(vpc netip.Prefix, zones int) (hosts, public []netip.Prefix) {
	for zone := range zones {
		hosts = append(hosts, part(vpc, vpc.Bits()+2, zone))
		public = append(public, part(vpc, vpc.Bits()+4, 12+zone))
	}
	return hosts, public
}

// part is the i-th block of so many bits in a larger one.
func part(whole netip.Prefix, bits, i int) netip.Prefix {
	address := whole.Addr().As4()
	first := binary.BigEndian.Uint32(address[:])
	binary.BigEndian.PutUint32(address[:], first+uint32(i)<<(32-bits)) //nolint:gosec // i is below 16
	return netip.PrefixFrom(netip.AddrFrom4(address), bits)
}

// wiring is a VPC while it is being made.
type wiring struct {
	scope   constructs.Construct
	name    string // of the cluster, for Name tags
	vpc     awsec2.CfnVPC
	gateway awsec2.CfnVPCGatewayAttachment
	used    network
	tables  []any // ids of route tables
}

// newNetwork makes a VPC with a public and a host subnet in each zone. The zones
// are the Region's first ones, by Fn::GetAZs: nothing is looked up.
func newNetwork(scope constructs.Construct, cluster string, p NetworkProps, days int) network {
	vpc := awsec2.NewCfnVPC(scope, jsii.String("VPC"), &awsec2.CfnVPCProps{
		CidrBlock: jsii.String(p.CIDR), EnableDnsHostnames: jsii.Bool(true), EnableDnsSupport: jsii.Bool(true),
		Tags: named(cluster),
	})
	w := &wiring{scope: scope, name: cluster, vpc: vpc}
	w.used.vpc, w.used.hostsPublic = vpc.Ref(), p.NAT == NoNAT
	igw := awsec2.NewCfnInternetGateway(scope, jsii.String("InternetGateway"), &awsec2.CfnInternetGatewayProps{Tags: named(cluster)})
	w.gateway = awsec2.NewCfnVPCGatewayAttachment(scope, jsii.String("InternetGatewayAttachment"), &awsec2.CfnVPCGatewayAttachmentProps{
		VpcId: vpc.Ref(), InternetGatewayId: igw.Ref(),
	})
	w.subnets(p, igw)
	w.endpoints()
	if p.NoFlowLogs {
		accept(vpc, "VPC7", "Flow logs were switched off by NoFlowLogs.")
	} else {
		flowLogs(scope, cluster, vpc, days)
	}
	return w.used
}

// subnets makes both kinds, each zone's with its own route tables.
func (w *wiring) subnets(p NetworkProps, igw awsec2.CfnInternetGateway) {
	hostBlocks, publicBlocks := blocks(netip.MustParsePrefix(p.CIDR), p.Zones) // checked before
	var nat awsec2.CfnNatGateway
	for zone := range p.Zones {
		id, table := w.subnet(fmt.Sprintf("Public%d", zone+1), publicBlocks[zone], zone)
		w.used.public = append(w.used.public, id)
		w.leave(fmt.Sprintf("Public%dDefault", zone+1), &awsec2.CfnRouteProps{RouteTableId: table, GatewayId: igw.Ref()})
		if p.NAT == NATPerZone || p.NAT == OneNAT && zone == 0 {
			nat = w.nat(zone, id)
		}
		private, table := w.subnet(fmt.Sprintf("Private%d", zone+1), hostBlocks[zone], zone)
		w.used.hosts = append(w.used.hosts, private)
		if nat != nil {
			w.leave(fmt.Sprintf("Private%dDefault", zone+1), &awsec2.CfnRouteProps{RouteTableId: table, NatGatewayId: nat.Ref()})
		}
	}
	if p.NAT == NoNAT {
		w.used.hosts = w.used.public
	}
}

// subnet makes a subnet with a route table of its own.
func (w *wiring) subnet(name string, block netip.Prefix, zone int) (id, table *string) {
	subnet := awsec2.NewCfnSubnet(w.scope, jsii.String(name), &awsec2.CfnSubnetProps{
		VpcId: w.vpc.Ref(), CidrBlock: jsii.String(block.String()), Tags: named(w.name + "/" + name),
		AvailabilityZone: awscdk.Fn_Select(number(zone), awscdk.Fn_GetAzs(nil)),
	})
	routes := awsec2.NewCfnRouteTable(w.scope, jsii.String(name+"Routes"), &awsec2.CfnRouteTableProps{VpcId: w.vpc.Ref(), Tags: named(w.name + "/" + name)})
	awsec2.NewCfnSubnetRouteTableAssociation(w.scope, jsii.String(name+"Association"), &awsec2.CfnSubnetRouteTableAssociationProps{
		RouteTableId: routes.Ref(), SubnetId: subnet.Ref(),
	})
	w.tables = append(w.tables, routes.Ref())
	return subnet.Ref(), routes.Ref()
}

// leave adds a route out of the VPC.
func (w *wiring) leave(id string, p *awsec2.CfnRouteProps) {
	p.DestinationCidrBlock = jsii.String("0.0.0.0/0")
	route := awsec2.NewCfnRoute(w.scope, jsii.String(id), p)
	route.AddDependency(w.gateway)
	w.used.ready = append(w.used.ready, route)
}

func (w *wiring) nat(zone int, public *string) awsec2.CfnNatGateway {
	name := fmt.Sprintf("NAT%d", zone+1)
	address := awsec2.NewCfnEIP(w.scope, jsii.String(name+"Address"), &awsec2.CfnEIPProps{Domain: jsii.String("vpc"), Tags: named(w.name + "/" + name)})
	address.AddDependency(w.gateway)
	nat := awsec2.NewCfnNatGateway(w.scope, jsii.String(name), &awsec2.CfnNatGatewayProps{
		AllocationId: address.AttrAllocationId(), SubnetId: public, Tags: named(w.name + "/" + name),
	})
	nat.AddDependency(w.gateway)
	return nat
}

// endpoints keeps traffic to S3, where images' layers are, and to DynamoDB off
// the NAT gateways, at no cost.
func (w *wiring) endpoints() {
	for _, service := range []string{"S3", "DynamoDB"} {
		name := awscdk.Fn_Join(jsii.String(""), &[]*string{jsii.String("com.amazonaws."), awscdk.Stack_Of(w.scope).Region(), jsii.String("." + strings.ToLower(service))})
		awsec2.NewCfnVPCEndpoint(w.scope, jsii.String(service+"Endpoint"), &awsec2.CfnVPCEndpointProps{
			VpcId: w.vpc.Ref(), ServiceName: name, VpcEndpointType: jsii.String("Gateway"), RouteTableIds: &w.tables,
		})
	}
}

// named is a Name tag, by which the consoles list a resource.
func named(name string) *[]*awscdk.CfnTag {
	return &[]*awscdk.CfnTag{{Key: jsii.String("Name"), Value: jsii.String(name)}}
}
