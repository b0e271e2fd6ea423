package infra

import (
	"regexp"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// check says everything that is wrong with the props, defaults filled in.
func (p ClusterProps) check() error {
	var f findings
	if p.ExistingNetwork != nil {
		p.ExistingNetwork.check(&f, p.Name)
	} else {
		p.Network.check(&f, p.Name)
	}
	p.checkSurroundings(&f)
	p.Agent.check(&f, p.Name)
	p.LoadBalancer.check(&f, p.Name)
	p.checkGroups(&f)
	p.checkPolicy(&f)
	return f.err()
}

// checkSurroundings wants what else a cluster has.
func (p ClusterProps) checkSurroundings(f *findings) {
	f.need(holds("enabled enhanced disabled", p.ContainerInsights), "cluster %q: ContainerInsights must be enabled, enhanced or disabled, not %q", p.Name, p.ContainerInsights)
	f.need(keepsLogs(p.LogDays), "cluster %q: CloudWatch Logs does not keep records for %d days; take one of %s", p.Name, p.LogDays, logDays)
	f.need(p.Repository == "" || repositoryName().MatchString(p.Repository), "cluster %q: %q is no name of an ECR repository: lower-case letters and digits, with - _ . / between them", p.Name, p.Repository)
	f.need(p.Namespace == "" || namespaceName().MatchString(p.Namespace), "cluster %q: the Namespace %q must be a DNS name, such as shop.local", p.Name, p.Namespace)
	f.need(p.Namespace == "" || p.makesNetwork() || p.ExistingNetwork != nil, "cluster %q: its Namespace needs a network: give ExistingNetwork", p.Name)
	p.checkGiven(f)
}

// namespaceName matches DNS names as Cloud Map takes them for private namespaces
// (CreatePrivateDnsNamespace), in lower case.
func namespaceName() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
}

// checkGiven wants the parts that are there already to suffice for those that
// are to be made.
func (p ClusterProps) checkGiven(f *findings) {
	n := p.ExistingNetwork
	f.need(n == nil || p.Network == NetworkProps{}.defaulted(), "cluster %q: give either Network or ExistingNetwork", p.Name)
	if p.makesHosts() {
		f.need(p.makesNetwork() || n != nil && len(n.HostSubnets) > 0, "cluster %q: hosts need an ExistingNetwork with HostSubnets", p.Name)
	}
	if b := p.ExistingLoadBalancer; b != nil {
		f.need(b.Listener != "", "cluster %q: an existing load balancer needs the ARN of its Listener", p.Name)
		f.need(b.SecurityGroup != "" || !p.makesHosts(), "cluster %q: hosts can only be opened to an existing load balancer by its SecurityGroup", p.Name)
	}
	f.need(!p.makesBalancer() || p.makesHosts(), "cluster %q: a load balancer of its own reaches only hosts of its own; give ExistingLoadBalancer, or LoadBalancer.None", p.Name)
	if p.makesBalancer() && n != nil {
		subnets := n.PublicSubnets
		if p.LoadBalancer.Internal {
			subnets = n.HostSubnets
		}
		f.need(len(subnets) >= 2, "cluster %q: a load balancer needs two subnets in different zones of the ExistingNetwork", p.Name)
	}
}

// unknown says whether a text has a part that only CloudFormation knows.
func unknown(text string) bool { return *awscdk.Token_IsUnresolved(text) }

// repositoryName is what ECR takes (CreateRepository).
func repositoryName() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+([._/-][a-z0-9]+)*$`)
}

func (a Agent) check(f *findings, cluster string) {
	f.need(a.StopTimeout >= time.Second, "cluster %q: the agent's StopTimeout of %v must be a second or more", cluster, a.StopTimeout)
	f.need(a.CleanUpEvery >= 10*time.Minute, "cluster %q: the agent cleans up every 10 minutes at most, not every %v", cluster, a.CleanUpEvery)
	f.need(a.UnusedFor >= time.Minute, "cluster %q: the agent's UnusedFor of %v must be a minute or more", cluster, a.UnusedFor)
	f.need(a.AtOnce >= 1, "cluster %q: the agent must remove at least 1 image at once, not %d", cluster, a.AtOnce)
}

// checkGroups wants groups with hosts that can be made, each once.
func (p ClusterProps) checkGroups(f *findings) {
	seen := map[string]bool{}
	for _, g := range p.Groups {
		f.need(!seen[g.Name], "cluster %q: the host group %q is there twice; a group is listed once", p.Name, g.Name)
		seen[g.Name] = true
		if !g.Existing {
			g.check(f, p.Name)
		}
	}
}

// checkPolicy leaves the rest to the rules of policies: names, minimum and
// maximum. A group that is there twice was told of already.
func (p ClusterProps) checkPolicy(f *findings) {
	wish := policy.Policy{Version: policy.Version, Mode: p.Mode, Cluster: p.Name}
	seen := map[string]bool{}
	for _, g := range p.Groups {
		f.need(!unknown(g.Name), "cluster %q: a host group's name must be known before the deployment, for the policy names it", p.Name)
		if !seen[g.Name] {
			wish.Hosts = append(wish.Hosts, g.policy())
		}
		seen[g.Name] = true
	}
	for _, problem := range wish.Validate() {
		f.need(false, "cluster %q: %s", p.Name, problem)
	}
}
