package infra

import (
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsservicediscovery"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Registry is a service of AWS Cloud Map in which plimsoll registers an instance for
// each task: its host's address and its port on it. Hosts that the cluster makes
// let each other in on dynamic ports; whoever else is to call needs a rule of his
// own in their security group.
type Registry struct {
	Container string // default the first container
	Port      int    // that it listens on; default its first port
	Protocol  string // tcp, the default, or udp

	// Existing is the id, or the name, of a Cloud Map service that others made and
	// nobody else registers in. Without it one is made: Name in Namespace.
	Existing string

	// Name of the one that is made; default the ECS service's. The policy names it
	// so, and Cloud Map tells names apart within a namespace only: no other Cloud Map
	// service of the account and Region may have it, or plimsoll changes neither.
	Name string

	// Namespace is the id or the ARN of the namespace that it is made in; default the
	// cluster's.
	Namespace string

	// Record is what DNS tells of it: SRV, the default, which has the port; A, for
	// clients that know the port; or NONE, for those that ask Cloud Map itself.
	Record string

	// TTL is how long clients may keep what DNS told them, up to a day; default 10 s.
	// The hold container outlasts it. Of an Existing one, what its records have.
	TTL time.Duration
}

func (r Registry) defaulted(service string, containers []Container) Registry {
	if len(containers) > 0 {
		r.Container = or(r.Container, containers[0].Name)
	}
	for _, c := range containers {
		if c.Name == r.Container && len(c.Ports) > 0 {
			r.Port = or(r.Port, c.Ports[0].Container)
		}
	}
	r.Protocol, r.Name, r.Record, r.TTL = or(r.Protocol, policy.TCP), or(r.Name, service), or(r.Record, "SRV"), or(r.TTL, 10*time.Second)
	return r
}

// called is what the policy calls it.
func (r Registry) called() string { return or(r.Existing, r.Name) }

// check wants what Cloud Map takes; of names the rules of policies say more.
func (r Registry) check(f *findings, p ServiceProps) {
	f.need(p.maps(r.Container, r.Port, r.Protocol), "service %q: no container %q of the task has the %s port %d, which a registry names", p.Name, r.Container, r.Protocol, r.Port)
	f.need(!unknown(r.called()), "service %q: the name of a registry is known only after the deployment, and the policy is packed before it", p.Name)
	f.need(r.Existing == "" || r.Namespace == "", "service %q: a registry that is Existing has its Namespace already", p.Name)
	f.need(r.Existing != "" || r.Namespace != "" || p.Cluster.namespace != nil, "service %q: a registry needs a Namespace, of its own or of cluster %q", p.Name, p.Cluster.props.Name)
	f.need(holds("SRV A NONE", r.Record), "service %q: the Record of a registry must be SRV, A or NONE, not %q", p.Name, r.Record)
	f.need(0 < r.TTL && r.TTL <= 24*time.Hour && r.TTL%time.Second == 0, "service %q: the TTL of a registry must be whole seconds up to a day, not %v", p.Name, r.TTL)
}

// makeRegistries makes the Cloud Map services that do not exist, and the way to
// what they tell.
func (s *Service) makeRegistries() {
	c := s.props.Cluster
	for _, r := range s.props.Registries {
		c.openAmongHosts(r.Protocol)
		if r.Existing != "" {
			continue
		}
		props := &awsservicediscovery.CfnServiceProps{Name: jsii.String(r.Name), NamespaceId: c.namespace}
		if r.Namespace != "" {
			props.NamespaceId = jsii.String(r.Namespace[strings.LastIndex(r.Namespace, "/")+1:])
		}
		if r.Record == "NONE" {
			props.Type = jsii.String("HTTP")
		} else {
			props.DnsConfig = &awsservicediscovery.CfnService_DnsConfigProperty{
				RoutingPolicy: jsii.String("MULTIVALUE"),
				DnsRecords:    listOf(&awsservicediscovery.CfnService_DnsRecordProperty{Type: jsii.String(r.Record), Ttl: secondsOf(r.TTL)}),
			}
		}
		awsservicediscovery.NewCfnService(s.Construct, jsii.String("Registry"+r.Name), props)
	}
}

// openAmongHosts lets the cluster's hosts, and so their tasks, call each other on
// dynamic ports; once a protocol.
func (c *Cluster) openAmongHosts(protocol string) {
	id := "AmongHosts" + capital(protocol)
	if c.hosts == nil || c.Node().TryFindChild(jsii.String(id)) != nil {
		return
	}
	awsec2.NewCfnSecurityGroupIngress(c.Construct, jsii.String(id), &awsec2.CfnSecurityGroupIngressProps{
		GroupId: c.hosts, SourceSecurityGroupId: c.hosts, IpProtocol: jsii.String(protocol),
		FromPort: number(firstPort), ToPort: number(lastPort), Description: jsii.String("tasks that found each other by Cloud Map, on dynamic ports"),
	})
}

// makeNamespace makes the cluster's namespace, if it is to have one.
func (c *Cluster) makeNamespace() {
	if c.props.Namespace == "" {
		return
	}
	made := awsservicediscovery.NewCfnPrivateDnsNamespace(c.Construct, jsii.String("Namespace"), &awsservicediscovery.CfnPrivateDnsNamespaceProps{
		Name: jsii.String(c.props.Namespace), Vpc: c.network.vpc, Description: jsii.String("Services of the ECS cluster " + c.props.Name),
	})
	c.namespace, c.HostedZone = made.AttrId(), made.AttrHostedZoneId()
}
