package infra

import (
	"fmt"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// ClusterProps is an ECS cluster with its network, hosts and load balancer. Only
// Name and Groups are needed.
type ClusterProps struct {
	// Name is the ECS cluster's. The policy names clusters, groups and services,
	// so these names are fixed, not made up by CloudFormation.
	Name string

	// Existing says that somebody else made the cluster: then no cluster, and no
	// VPC, load balancer or repository is made beside it. Its policy only
	// observes, unless Mode says otherwise.
	Existing bool

	// Mode of the cluster's policy; default act, for an existing cluster observe.
	Mode policy.Mode

	// Network is the VPC to make. ExistingNetwork takes one that is there.
	Network         NetworkProps
	ExistingNetwork *ExistingNetwork

	// Groups are the host groups, one or more.
	Groups []Group

	// Agent configures the ECS agent of the groups' hosts.
	Agent Agent

	// LoadBalancer is the Application Load Balancer to make.
	// ExistingLoadBalancer takes one that is there.
	LoadBalancer         LoadBalancerProps
	ExistingLoadBalancer *ExistingLoadBalancer

	// ContainerInsights is enabled (the default), enhanced or disabled. It costs
	// money by the metric.
	ContainerInsights string

	// Repository is the name of an ECR repository to make; none where it is empty.
	Repository string

	// Namespace is the name of a private DNS namespace of AWS Cloud Map to make in
	// the VPC for the services' Registries, such as shop.local; none where it is empty.
	Namespace string

	// LogDays is how many days log groups keep their records; default 30.
	LogDays int
}

// Cluster is an ECS cluster with what its services need around it.
type Cluster struct {
	constructs.Construct

	// HostRole is the role of the groups' hosts, nil where no group was made. Tasks
	// have roles of their own.
	HostRole awsiam.Role

	// HostedZone is the id of the Namespace's zone in Route 53, nil where none was
	// made: one for ControllerProps.HostedZones.
	HostedZone *string

	props      ClusterProps
	made       awsecs.CfnCluster // nil: somebody else made it
	network    *network          // nil: none is known
	balancer   *balancer
	hosts      *string // id of the hosts' security group; nil: no group was made
	groups     []madeGroup
	repository awsecr.CfnRepository
	namespace  *string // id of the one that was made; nil: none was
	services   map[string]policy.Service
	counted    map[string]awsecs.CfnService // the services that were made
}

// madeGroup is a group that a Cluster made.
type madeGroup struct {
	Group
	resource awsautoscaling.CfnAutoScalingGroup
}

// NewCluster makes a cluster in a stack. Its error says everything that is wrong
// with the props; then nothing was made. Synthesis fails where a group is steered
// by a capacity provider with managed scaling, by a scaling policy or by a
// scheduled action of the same app: a group has one owner.
func NewCluster(scope constructs.Construct, id string, props ClusterProps) (*Cluster, error) {
	props = props.defaulted()
	if err := props.check(); err != nil {
		return nil, err
	}
	c := &Cluster{props: props, services: map[string]policy.Service{}, counted: map[string]awsecs.CfnService{}}
	constructs.NewConstruct_Override(c, scope, jsii.String(id))
	c.makeNetwork()
	c.makeNamespace()
	c.makeCluster()
	c.makeRepository()
	c.makeSecurity()
	c.makeBalancer()
	c.makeGroups()
	c.Node().AddValidation(&rivals{cluster: c})
	return c, nil
}

func (p ClusterProps) defaulted() ClusterProps {
	p.Network = p.Network.defaulted()
	p.Agent = p.Agent.defaulted()
	p.LoadBalancer = p.LoadBalancer.defaulted()
	p.ContainerInsights = or(p.ContainerInsights, "enabled")
	p.LogDays = or(p.LogDays, 30)
	if p.Existing {
		p.Mode = or(p.Mode, policy.Observe)
	}
	groups := make([]Group, 0, len(p.Groups))
	for _, g := range p.Groups {
		groups = append(groups, g.defaulted())
	}
	p.Groups = groups
	return p
}

// makesNetwork and makesBalancer say whether the cluster comes with its own.
func (p ClusterProps) makesNetwork() bool { return !p.Existing && p.ExistingNetwork == nil }

func (p ClusterProps) makesBalancer() bool {
	return !p.Existing && p.ExistingLoadBalancer == nil && !p.LoadBalancer.None
}

// makesHosts says whether any of the groups is to be made.
func (p ClusterProps) makesHosts() bool {
	for _, g := range p.Groups {
		if !g.Existing {
			return true
		}
	}
	return false
}

func (c *Cluster) makeNetwork() {
	if c.props.ExistingNetwork != nil {
		used := c.props.ExistingNetwork.network()
		c.network = &used
	}
	if c.props.makesNetwork() {
		made := newNetwork(c.within("Network"), c.props.Name, c.props.Network, c.props.LogDays)
		c.network = &made
	}
}

func (c *Cluster) makeCluster() {
	if c.props.Existing {
		return
	}
	insights := &awsecs.CfnCluster_ClusterSettingsProperty{Name: jsii.String("containerInsights"), Value: jsii.String(c.props.ContainerInsights)}
	c.made = awsecs.NewCfnCluster(c.Construct, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		ClusterName: jsii.String(c.props.Name), ClusterSettings: listOf(insights),
	})
	switch c.props.ContainerInsights {
	case "disabled":
		accept(c.made, "ECS4", "Container Insights was switched off by ContainerInsights.")
	case "enhanced":
		accept(c.made, "ECS4", "Enhanced Container Insights is more than what the rule looks for.")
	}
}

// lifecycle keeps a repository from growing forever: images that lost their tag
// go after two weeks, and beyond 500 images the oldest.
const lifecycle = `{"rules":[` +
	`{"rulePriority":1,"description":"untagged","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}},` +
	`{"rulePriority":2,"description":"the oldest beyond 500","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":500},"action":{"type":"expire"}}]}`

// makeRepository makes a repository whose tags cannot be moved: a task definition
// that names a tag then means the same image for as long as it lives.
func (c *Cluster) makeRepository() {
	if c.props.Repository == "" {
		return
	}
	c.repository = awsecr.NewCfnRepository(c.Construct, jsii.String("Repository"), &awsecr.CfnRepositoryProps{
		RepositoryName: jsii.String(c.props.Repository), ImageTagMutability: jsii.String("IMMUTABLE"),
		ImageScanningConfiguration: &awsecr.CfnRepository_ImageScanningConfigurationProperty{ScanOnPush: jsii.Bool(true)},
		LifecyclePolicy:            &awsecr.CfnRepository_LifecyclePolicyProperty{LifecyclePolicyText: jsii.String(lifecycle)},
	})
	c.repository.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
}

// within is a scope of its own in the cluster.
func (c *Cluster) within(id string) constructs.Construct {
	return constructs.NewConstruct(c.Construct, jsii.String(id))
}

// Image is the image with a tag in the cluster's repository; empty where the
// cluster has none.
func (c *Cluster) Image(tag string) string {
	if c.repository == nil {
		return ""
	}
	return *c.repository.AttrRepositoryUri() + ":" + tag
}

// Policy is the policy of the cluster with all services that were made so far.
func (c *Cluster) Policy() policy.Policy {
	p := policy.Policy{Version: policy.Version, Mode: c.props.Mode, Cluster: c.props.Name, Services: map[string]policy.Service{}}
	for _, g := range c.props.Groups {
		p.Hosts = append(p.Hosts, g.policy())
	}
	for name, s := range c.services {
		p.Services[name] = s
	}
	return p
}

// Policies is the set of policies of some clusters, for a Controller. Its error
// says what is wrong with them, alone or together: a host group belongs to one
// cluster.
func Policies(clusters ...*Cluster) (policy.Set, error) {
	set := make(policy.Set, 0, len(clusters))
	for _, c := range clusters {
		set = append(set, c.Policy())
	}
	if problems := set.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("policies of %d clusters: %w", len(clusters), policy.Problems(problems))
	}
	return set, nil
}

// Agent configures the ECS agent of hosts.
type Agent struct {
	// StopTimeout is how long a container without a StopTimeout of its own may take
	// to end after SIGTERM; default 30 s, as ECS has it.
	StopTimeout time.Duration

	// CleanUpEvery is how often unused images are removed, default 30 minutes, at
	// least 10; UnusedFor how old they must be, default 1 hour; AtOnce how many may
	// go each time, default 5.
	CleanUpEvery time.Duration
	UnusedFor    time.Duration
	AtOnce       int
}

func (a Agent) defaulted() Agent {
	a.StopTimeout = or(a.StopTimeout, 30*time.Second)
	a.CleanUpEvery, a.UnusedFor, a.AtOnce = or(a.CleanUpEvery, 30*time.Minute), or(a.UnusedFor, time.Hour), or(a.AtOnce, 5)
	return a
}
