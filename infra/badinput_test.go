package infra

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// refused wants an error of one line that has the words. What makes resources in
// no scope panics: it was not refused.
func refused(t *testing.T, words string, build func() error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("it was not refused, want %q", words)
		}
	}()
	err := build()
	if err == nil {
		t.Errorf("no error, want %q", words)
		return
	}
	if got := err.Error(); !strings.Contains(got, words) || strings.Contains(got, "\n") {
		t.Errorf("got %q, want one sentence with %q", got, words)
	}
}

func TestWrongClustersAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*ClusterProps)
		words  string
	}{
		"a name that ECS does not take":      {func(p *ClusterProps) { p.Name = "a b" }, "the ECS cluster's name"},
		"no group":                           {func(p *ClusterProps) { p.Groups = nil; p.LoadBalancer.None = true }, "no host group"},
		"a type that does not exist":         {func(p *ClusterProps) { p.Groups[0].InstanceType = "m7g.huge" }, `group "hosts" is unknown: "m7g.huge" is no instance type: m7g comes in medium, large`},
		"a family that does not exist":       {func(p *ClusterProps) { p.Groups[0].InstanceType = "m77.large" }, "not an instance type that plimsoll knows"},
		"no type":                            {func(p *ClusterProps) { p.Groups[0].InstanceType = "" }, "unknown"},
		"a GPU type":                         {func(p *ClusterProps) { p.Groups[0].InstanceType = "g5.xlarge" }, "knows a host image for"},
		"the same group twice":               {func(p *ClusterProps) { p.Groups = append(p.Groups, p.Groups[0]) }, `"hosts" is there twice`},
		"more hosts at least than at most":   {func(p *ClusterProps) { p.Groups[0].Min = 9 }, "not below min"},
		"a group that may be empty, unknown": {func(p *ClusterProps) { p.Groups[0].Min, p.Groups[0].InstanceType = 0, "i4i.large" }, "give Offers"},
		"Windows on arm":                     {func(p *ClusterProps) { p.Groups[0].OS = Windows }, "cannot run Windows on the arm processors"},
		"an unknown system":                  {func(p *ClusterProps) { p.Groups[0].OS = "BSD" }, `must be AL2023, Bottlerocket or Windows, not "BSD"`},
		"a small disk":                       {func(p *ClusterProps) { p.Groups[0].RootGiB = 8 }, "30 GiB or more, not 8"},
		"a public network":                   {func(p *ClusterProps) { p.Network.CIDR = "8.8.0.0/16" }, "private IPv4 block"},
		"a network that is no network":       {func(p *ClusterProps) { p.Network.CIDR = "10.0.0.1/16" }, "private IPv4 block"},
		"a tiny network":                     {func(p *ClusterProps) { p.Network.CIDR = "10.0.0.0/24" }, "from /16 to /22"},
		"one zone":                           {func(p *ClusterProps) { p.Network.Zones = 1 }, "2 or 3 zones, not 1"},
		"an unknown NAT":                     {func(p *ClusterProps) { p.Network.NAT = "two" }, "one, perZone or none"},
		"an existing network without a VPC": {func(p *ClusterProps) {
			p.ExistingNetwork = &ExistingNetwork{HostSubnets: []string{"a", "b"}, PublicSubnets: []string{"c", "d"}}
		}, "id of its VPC"},
		"an existing network without subnets": {func(p *ClusterProps) { p.LoadBalancer.None = true; p.ExistingNetwork = &ExistingNetwork{VPC: "vpc-1"} }, "HostSubnets"},
		"one public subnet": {func(p *ClusterProps) {
			p.ExistingNetwork = &ExistingNetwork{VPC: "vpc-1", HostSubnets: []string{"a", "b"}, PublicSubnets: []string{"c"}}
		}, "two subnets"},
		"both networks": {func(p *ClusterProps) {
			p.Network.Zones = 3
			p.ExistingNetwork = &ExistingNetwork{VPC: "vpc-1", HostSubnets: []string{"a", "b"}, PublicSubnets: []string{"c", "d"}}
		}, "either Network or ExistingNetwork"},
		"an existing listener without ARN":   {func(p *ClusterProps) { p.ExistingLoadBalancer = &ExistingLoadBalancer{SecurityGroup: "sg-1"} }, "ARN of its Listener"},
		"an existing listener without group": {func(p *ClusterProps) { p.ExistingLoadBalancer = &ExistingLoadBalancer{Listener: "arn:1"} }, "by its SecurityGroup"},
		"a new balancer for others' hosts":   {func(p *ClusterProps) { p.Groups[0].Existing = true }, "only hosts of its own"},
		"new hosts without a network":        {func(p *ClusterProps) { p.Existing = true }, "need an ExistingNetwork"},
		"a certificate that is no ARN":       {func(p *ClusterProps) { p.LoadBalancer.Certificate = "cert" }, `must be an ARN, not "cert"`},
		"an address that is no block":        {func(p *ClusterProps) { p.LoadBalancer.AllowFrom = []string{"office"} }, `"office"`},
		"an unknown insight":                 {func(p *ClusterProps) { p.ContainerInsights = "on" }, "enabled, enhanced or disabled"},
		"a repository in capitals":           {func(p *ClusterProps) { p.Repository = "Shop" }, "no name of an ECR repository"},
		"logs for a strange time":            {func(p *ClusterProps) { p.LogDays = 31 }, "31 days"},
		"an agent in a hurry":                {func(p *ClusterProps) { p.Agent.CleanUpEvery = time.Minute }, "every 10 minutes at most"},
		"a namespace that is no name":        {func(p *ClusterProps) { p.Namespace = "shop local" }, `the Namespace "shop local" must be a DNS name`},
		"a namespace without a network":      {func(p *ClusterProps) { p.Namespace, p.Existing, p.Groups[0].Existing = "shop.local", true, true }, "give ExistingNetwork"},
		"a name that nobody knows yet":       {func(p *ClusterProps) { p.Groups[0].Name = *awscdk.Aws_REGION() + "-hosts" }, "known before the deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			p := ClusterProps{Name: "shop", Groups: []Group{{Name: "hosts", Min: 1, Max: 5, InstanceType: "m7g.large"}}}
			row.change(&p)
			refused(t, row.words, func() error {
				_, err := NewCluster(nil, "Shop", p)
				return err
			})
		})
	}
}

func TestWrongServicesAreRefused(t *testing.T) {
	app, err := newApp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shop, err := plainShop(awscdk.NewStack(app, jsii.String("Stack"), nil), usual())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewService(shop, "Named", ServiceProps{
		Cluster: shop, Name: "named", RegisteredBy: RegisteredByPlimsoll, Containers: []Container{{Image: "i:1", Memory: 8, Ports: []Port{{Container: 80}}}},
		Targets: []Target{{Name: "taken", Priority: 20, Paths: []string{"/named"}}},
	}); err != nil {
		t.Fatal(err)
	}
	lonely := &Cluster{props: ClusterProps{Name: "lonely", Groups: []Group{{Name: "a", OS: Windows}, {Name: "b"}}}, services: map[string]policy.Service{}}
	for name, row := range map[string]struct {
		change func(*ServiceProps)
		words  string
	}{
		"no cluster":                       {func(p *ServiceProps) { p.Cluster = nil }, "needs a Cluster"},
		"EXTERNAL":                         {func(p *ServiceProps) { p.Controller = "EXTERNAL" }, "needs rollouts, which plimsoll does not carry out yet"},
		"CODE_DEPLOY":                      {func(p *ServiceProps) { p.Controller = "CODE_DEPLOY" }, "must be ECS"},
		"a name that ECS does not take":    {func(p *ServiceProps) { p.Name = "a b" }, "the ECS service's name"},
		"a name that is taken":             {func(p *ServiceProps) { p.Name = "web" }, "has a service of that name already"},
		"more tasks at least than at most": {func(p *ServiceProps) { p.Scaling.Tasks = &policy.Tasks{Min: 9, Max: 1} }, "not below min"},
		"bounds with which nothing moves":  {func(p *ServiceProps) { p.Scaling.MaximumPercent = new(100) }, "at no count up to 9 may a task start or stop"},
		"a metric known too late": {func(p *ServiceProps) {
			p.Scaling.Scale = []policy.Target{{Metric: "m", Namespace: "n", Target: 1, Dimensions: map[string]string{"LoadBalancer": *awscdk.Aws_STACK_ID()}}}
		}, "known only after the deployment"},
		"no container":      {func(p *ServiceProps) { p.Containers, p.Targets = nil, nil }, "needs a container"},
		"a container twice": {func(p *ServiceProps) { p.Containers = append(p.Containers, p.Containers[0]) }, `"app" is there twice`},
		"a container called hold": {func(p *ServiceProps) {
			p.Containers = append(p.Containers, Container{Name: "hold", Image: "i:1", Memory: 8})
		}, "name of the one that Hold adds"},
		"no image":                       {func(p *ServiceProps) { p.Containers[0].Image = "" }, "needs an image"},
		"an image that moves":            {func(p *ServiceProps) { p.Containers[0].Image = "web:latest" }, "changes under the task"},
		"a task larger than any host":    {func(p *ServiceProps) { p.Containers[0].Memory = 8190 }, "no host of cluster \"shop\" is large enough for its task of 0 CPU units and 8196 MiB"},
		"a task with too much CPU":       {func(p *ServiceProps) { p.Containers[0].CPU = 2049 }, "large enough for its task of 2049 CPU units"},
		"no memory":                      {func(p *ServiceProps) { p.Containers[0].Memory = 0 }, "6 MiB or more"},
		"more reserved than allowed":     {func(p *ServiceProps) { p.Containers[0].MemoryReservation = 64 }, "less than its limit"},
		"a port that is none":            {func(p *ServiceProps) { p.Containers[0].Ports[0].Container = 0; p.Targets = nil }, "cannot listen on port 0"},
		"a host port among dynamic ones": {func(p *ServiceProps) { p.Containers[0].Ports[0].Host, p.Targets = 40000, nil }, "given dynamically"},
		"a strange protocol":             {func(p *ServiceProps) { p.Containers[0].Ports[0].Protocol = "sctp"; p.Targets = nil }, "tcp or udp"},
		"a dependency on nobody":         {func(p *ServiceProps) { p.Containers[0].DependsOn = []Dependency{{"x", "START"}} }, "no other container"},
		"a condition that is none": {func(p *ServiceProps) {
			p.Containers = append(p.Containers, Container{Name: "b", Image: "i:1", Memory: 8, DependsOn: []Dependency{{"app", "SOON"}}})
		}, `not for "SOON"`},
		"a mount of nothing":               {func(p *ServiceProps) { p.Containers[0].Mounts = []Mount{{Volume: "x", Path: "/x"}} }, "which the task has not"},
		"a health check without a command": {func(p *ServiceProps) { p.Containers[0].Health = &Health{} }, "CMD or CMD-SHELL"},
		"a target without a priority":      {func(p *ServiceProps) { p.Targets[0].Priority = 0 }, "Priority from 1 to 50,000, not 0"},
		"a priority that is taken":         {func(p *ServiceProps) { p.Targets[0].Priority = 10 }, `is taken by service "web"`},
		"a target that matches nothing":    {func(p *ServiceProps) { p.Targets[0].Paths = nil }, "1 to 5 Hosts and Paths"},
		"a target on a port of nobody":     {func(p *ServiceProps) { p.Targets[0].Port = 81 }, "tcp port 81"},
		"a target twice":                   {func(p *ServiceProps) { p.Targets = append(p.Targets, Target{Priority: 78, Paths: []string{"/b"}}) }, "is a target twice"},
		"a delay of two hours":             {func(p *ServiceProps) { p.Targets[0].DeregistrationDelay = new(2 * time.Hour) }, "up to an hour"},
		"a check slower than its interval": {func(p *ServiceProps) { p.Targets[0].Health.Timeout = time.Minute }, "that is shorter"},
		"one check in a row":               {func(p *ServiceProps) { p.Targets[0].Health.Healthy = 1 }, "2 to 10 checks"},
		"logs for a strange time":          {func(p *ServiceProps) { p.LogDays = 2 }, "2 days"},
		"no registrar that is":             {func(p *ServiceProps) { p.RegisteredBy = "me" }, `RegisteredBy must be ECS, plimsoll or changes, not "me"`},
		"plimsoll's target without a name": {func(p *ServiceProps) { p.RegisteredBy = RegisteredByPlimsoll }, `the target of port 80 of container "app" needs a Name`},
		"nobody to register": {func(p *ServiceProps) {
			observed := *p.Cluster
			observed.props.Mode = policy.Observe
			p.Cluster = &observed
			p.named("x", RegisteredByPlimsoll)
		}, `plimsoll only observes cluster "shop", so nobody would register its tasks`},
		"a target without a name on its way": {func(p *ServiceProps) { p.RegisteredBy = RegistrarChanges }, "needs a Name"},
		"a name kept that is not known":      {func(p *ServiceProps) { p.Targets[0].NameKept = true }, "NameKept needs the Name"},
		"a target group's name with a _":     {func(p *ServiceProps) { p.named("a_b", RegisteredByPlimsoll) }, `found "a_b", allowed 1 to 32 letters`},
		"the same where ECS registers":       {func(p *ServiceProps) { p.named("a_b", RegisteredByECS) }, `must be 1 to 32 letters, digits and hyphens, none at its ends, not "a_b"`},
		"a name that is known too late":      {func(p *ServiceProps) { p.named(*awscdk.Aws_STACK_NAME(), RegisteredByPlimsoll) }, "the target of port 80 is known only after the deployment"},
		"a target group of another service":  {func(p *ServiceProps) { p.named("taken", RegisteredByPlimsoll) }, `the target group "taken" is that of service "named" of cluster "shop" already`},
		"two targets of one name":            {func(p *ServiceProps) { p.named("one", RegisteredByPlimsoll); p.twoPorts("one") }, `two targets have the name "one"`},
		"one port twice under one name":      {func(p *ServiceProps) { p.named("one", RegisteredByECS); p.again("one") }, "is a target twice"},
		"six targets of ECS's":               {func(p *ServiceProps) { p.named("t", RegistrarChanges); p.again("a", "b", "c", "d", "e") }, "5 target groups at most, not 6"},
		"an endpoint on a port of nobody": {func(p *ServiceProps) {
			p.Scaling.Endpoints = []policy.Endpoint{{Container: "app", Port: 81, TargetGroup: "x"}}
		}, `the tcp port 81, which an endpoint names`},
		"an endpoint of another protocol": {func(p *ServiceProps) {
			p.Scaling.Endpoints = []policy.Endpoint{{Container: "app", Port: 80, Protocol: "udp", TargetGroup: "x"}}
		}, `has the udp port 80`},
		"a registry of another protocol":          {func(p *ServiceProps) { p.Registries = []Registry{{Existing: "x", Protocol: "udp"}} }, `the udp port 80, which a registry names`},
		"a registry in no namespace":              {func(p *ServiceProps) { p.Registries = []Registry{{}} }, `a registry needs a Namespace, of its own or of cluster "shop"`},
		"a registry in two":                       {func(p *ServiceProps) { p.Registries = []Registry{{Existing: "x", Namespace: "ns-1"}} }, "has its Namespace already"},
		"a registry of a strange name":            {func(p *ServiceProps) { p.Registries = []Registry{{Namespace: "ns-1", Name: "a b"}} }, `found "a b", allowed 1 to 127`},
		"a registry known too late":               {func(p *ServiceProps) { p.Registries = []Registry{{Existing: *awscdk.Aws_STACK_NAME()}} }, "the name of a registry is known only after"},
		"a record that is none":                   {func(p *ServiceProps) { p.Registries = []Registry{{Namespace: "ns-1", Record: "CNAME"}} }, `must be SRV, A or NONE, not "CNAME"`},
		"a record for two days":                   {func(p *ServiceProps) { p.Registries = []Registry{{Namespace: "ns-1", TTL: 48 * time.Hour}} }, "up to a day, not 48h0m0s"},
		"a registry twice":                        {func(p *ServiceProps) { p.Registries = []Registry{{Existing: "x"}, {Existing: "x"}} }, "the endpoint of endpoints[0] again"},
		"a hold of two hours":                     {func(p *ServiceProps) { p.Hold.Delay = 2 * time.Hour }, "Hold.Delay must be whole seconds up to an hour"},
		"a host port behind a target":             {func(p *ServiceProps) { p.Containers[0].Ports[0].Host = 8080 }, `port 80 of container "app" has a host port`},
		"no container that is essential":          {func(p *ServiceProps) { p.Containers[0].NonEssential = true }, "all of its containers are NonEssential"},
		"waiting for the end of the task":         {func(p *ServiceProps) { p.Containers = append(p.Containers, after("b", "app", "SUCCESS")) }, `waits for the end of "app"`},
		"waiting for its completion":              {func(p *ServiceProps) { p.Containers = append(p.Containers, after("b", "app", "COMPLETE")) }, `waits for the end of "app"`},
		"waiting for health that nobody looks at": {func(p *ServiceProps) { p.Containers = append(p.Containers, after("b", "app", "HEALTHY")) }, `waits until "app" is healthy, which has no Health`},
		"two that wait for each other": {func(p *ServiceProps) {
			p.Containers = append(p.Containers, after("b", "c", "START"), after("c", "b", "START"))
		}, `container "b" depends on itself by way of others`},
		"three that wait in a ring": {func(p *ServiceProps) {
			p.Containers = append(p.Containers, after("b", "c", "START"), after("c", "d", "START"), after("d", "b", "START"))
		}, `container "b" depends on itself by way of others`},
		"a name that no container can have": {func(p *ServiceProps) { p.Containers[0].Name, p.Targets = "my app!", nil }, `the container's name "my app!"`},
		"a health check too often": {func(p *ServiceProps) {
			p.Containers[0].Health = &Health{Command: []string{"CMD", "x"}, Interval: 4 * time.Second}
		}, "an Interval of 5 to 300 s"},
		"a health check that takes long": {func(p *ServiceProps) {
			p.Containers[0].Health = &Health{Command: []string{"CMD", "x"}, Timeout: 61 * time.Second}
		}, "a Timeout of 2 to 60 s"},
		"a start that takes long": {func(p *ServiceProps) {
			p.Containers[0].Health = &Health{Command: []string{"CMD", "x"}, StartPeriod: 301 * time.Second}
		}, "a StartPeriod up to 300 s"},
		"many retries":                 {func(p *ServiceProps) { p.Containers[0].Health = &Health{Command: []string{"CMD", "x"}, Retries: 11} }, "1 to 10 Retries, not 11"},
		"CMD alone":                    {func(p *ServiceProps) { p.Containers[0].Health = &Health{Command: []string{"CMD"}} }, "a command must follow"},
		"a grace of less than nothing": {func(p *ServiceProps) { p.Grace = -time.Second }, "Grace must be whole seconds, not -1s"},
		"a stop in half a second":      {func(p *ServiceProps) { p.Containers[0].StopTimeout = 500 * time.Millisecond }, "one or more, not 500ms"},
		"a health path without /":      {func(p *ServiceProps) { p.Targets[0].Health.Path = "well" }, `must begin with /, not be "well"`},
		"a code that is none":          {func(p *ServiceProps) { p.Targets[0].Health.Codes = "ok" }, `of 200 to 499, as 200, 200,204 or 200-399, not "ok"`},
		"a code of a server's fault":   {func(p *ServiceProps) { p.Targets[0].Health.Codes = "200-599" }, `not "200-599"`},
		"codes the wrong way round":    {func(p *ServiceProps) { p.Targets[0].Health.Codes = "200,302-301" }, `not "200,302-301"`},
		"a path that nothing matches":  {func(p *ServiceProps) { p.Targets[0].Paths = []string{"a/*"} }, "a target's path \"a/*\" must begin with /"},
		"a path with a space":          {func(p *ServiceProps) { p.Targets[0].Paths = []string{"/a b"} }, `a target's path "/a b"`},
		"a path that is too long":      {func(p *ServiceProps) { p.Targets[0].Paths = []string{"/" + strings.Repeat("a", 128)} }, "up to 128 letters"},
		"a host with a path":           {func(p *ServiceProps) { p.Targets[0].Hosts = []string{"example.com/a"} }, `a target's host "example.com/a"`},
		"an empty constraint":          {func(p *ServiceProps) { p.Constraints = []string{" "} }, "and one is empty"},
		"an image without a version":   {func(p *ServiceProps) { p.Containers[0].Image = "registry.example.com:5000/web" }, "changes under the task"},
		"hold on Windows":              {func(p *ServiceProps) { p.OS = Windows }, "needs Linux"},
		"a cluster without a balancer": {func(p *ServiceProps) { p.Cluster, p.OS = lonely, AmazonLinux }, "need a load balancer"},
		"hosts of two systems":         {func(p *ServiceProps) { p.Cluster, p.Targets = lonely, nil }, "say which by OS"},
	} {
		t.Run(name, func(t *testing.T) {
			p := ServiceProps{
				Cluster: shop, Name: "new", Scaling: policy.Service{Tasks: &policy.Tasks{Min: 1, Max: 9}},
				Containers: []Container{{Image: "new:1", Memory: 64, Ports: []Port{{Container: 80}}}},
				Targets:    []Target{{Priority: 77, Paths: []string{"/a"}}},
			}
			row.change(&p)
			refused(t, row.words, func() error {
				_, err := NewService(nil, "New", p)
				return err
			})
		})
	}
}

// named gives the service's one target a name and somebody who registers there.
func (p *ServiceProps) named(name string, by Registrar) {
	p.Targets[0].Name, p.RegisteredBy = name, by
}

// again adds targets of the same port.
func (p *ServiceProps) again(names ...string) {
	for n, name := range names {
		p.Targets = append(p.Targets, Target{Name: name, Priority: 80 + n, Paths: []string{"/" + name}})
	}
}

// twoPorts adds a target on another port.
func (p *ServiceProps) twoPorts(name string) {
	p.Containers[0].Ports = append(p.Containers[0].Ports, Port{Container: 81})
	p.again(name)
	p.Targets[1].Port = 81
}

// after is a container that waits for another.
func after(name, other, condition string) Container {
	return Container{Name: name, Image: "i:1", Memory: 8, DependsOn: []Dependency{{other, condition}}}
}

// What is near to what is wrong, and right.
func TestRightServicesAreMade(t *testing.T) {
	app, err := newApp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stack := awscdk.NewStack(app, jsii.String("Stack"), nil)
	shop, err := plainShop(stack, usual())
	if err != nil {
		t.Fatal(err)
	}
	done := Container{Name: "init", Image: "i:1", Memory: 8, NonEssential: true}
	well := Container{Name: "db", Image: "i@sha256:abc", Memory: 8, Health: &Health{Command: []string{"CMD", "x"}, Interval: 5 * time.Second, Timeout: 2 * time.Second, Retries: 1, StartPeriod: 300 * time.Second}}
	both := after("app", "init", "SUCCESS")
	both.DependsOn = append(both.DependsOn, Dependency{"db", "HEALTHY"}, Dependency{"init", "COMPLETE"})
	both.StopTimeout = time.Second
	tcp := func(name string, port int) Container {
		return Container{Name: name, Image: "registry.example.com:5000/i:1", Memory: 8, Ports: []Port{{Container: port}}}
	}
	for name, p := range map[string]ServiceProps{
		"dependencies": {Containers: []Container{done, well, both}, Constraints: []string{"attribute:a == b"}},
		"names":        {Containers: []Container{tcp("a", 11), tcp("a1", 1)}, Targets: []Target{{Priority: 71, Paths: []string{"*.png", `/~a_$"'@:+&-.?*`}, Health: TargetHealth{Path: "/", Codes: "200,204-299,499"}}, {Priority: 72, Container: "a1", Port: 1, Hosts: []string{"*.example.com"}}}},
		"port":         {Containers: []Container{{Image: "i:1", Memory: 8, Ports: []Port{{Container: 80}, {Container: 9, Host: 9, Protocol: "udp"}}}}, Targets: []Target{{Priority: 73, Paths: []string{"/p"}}}},
	} {
		p.Cluster, p.Name = shop, name
		if _, err := NewService(stack, name, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Synth(app); err != nil {
		t.Error(err)
	}
}

// Two clusters of an app may share a listener, and on that no priority.
func TestAPriorityOfAListenerIsTakenOnce(t *testing.T) {
	app, err := newApp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"", `the rule priority 7 is taken by service "web" of cluster "one"`, ""} {
		name := []string{"one", "two", "three"}[n]
		stack := awscdk.NewStack(app, &name, nil)
		listener := []string{"arn:1", "arn:1", "arn:2"}[n]
		c, err := NewCluster(stack, "Cluster", ClusterProps{
			Name: name, Existing: true, ExistingNetwork: &ExistingNetwork{VPC: "vpc-1"}, ExistingLoadBalancer: &ExistingLoadBalancer{Listener: listener},
			Groups: []Group{{Name: name, Existing: true, Max: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewService(stack, "Web", ServiceProps{
			Cluster: c, Name: "web", Containers: []Container{{Image: "i:1", Memory: 8, Ports: []Port{{Container: 80}}}}, Targets: []Target{{Priority: 7, Paths: []string{"/"}}},
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestAGroupBelongsToOneCluster(t *testing.T) {
	app, err := newApp(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var both []*Cluster
	for _, name := range []string{"One", "Two"} {
		c, err := NewCluster(awscdk.NewStack(app, jsii.String(name), nil), "C", ClusterProps{Name: name, Existing: true, Groups: []Group{{Name: "hosts", Existing: true, Max: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, c)
	}
	if _, err := Policies(both...); err == nil || !strings.Contains(err.Error(), `"hosts", which policy [0] has too`) {
		t.Errorf("one group in two clusters: %v", err)
	}
	set, err := Policies(both[0])
	if err != nil || set[0].Mode != policy.Observe {
		t.Errorf("the policy of an existing cluster is %+v, %v", set, err)
	}
}

// rivalsOf puts something into a stack with a cluster, and says what synthesis
// tells of it and whether it left a template.
func rivalsOf(t *testing.T, add func(awscdk.Stack, *Cluster)) (said string, left bool) {
	t.Helper()
	folder := t.TempDir()
	app, err := newApp(folder)
	if err != nil {
		t.Fatal(err)
	}
	stack := awscdk.NewStack(app, jsii.String("Stack"), nil)
	shop, err := plainShop(stack, usual())
	if err != nil {
		t.Fatal(err)
	}
	add(stack, shop)
	if err := Synth(app); err != nil {
		said = err.Error()
	}
	_, err = os.Stat(filepath.Join(folder, "Stack.template.json"))
	return said, err == nil
}

// beside is another stack of a stack's app.
func beside(s awscdk.Stack) awscdk.Stack {
	var app awscdk.App
	jsii.UnsafeCast(s.Node().Root(), &app)
	return awscdk.NewStack(app, jsii.String("Other"), nil)
}

// scalable has Application Auto Scaling steer what the parts name together.
func scalable(s awscdk.Stack, parts ...string) {
	awsapplicationautoscaling.NewCfnScalableTarget(s, jsii.String("Count"), &awsapplicationautoscaling.CfnScalableTargetProps{
		MinCapacity: jsii.Number(1), MaxCapacity: jsii.Number(2), ResourceId: awscdk.Fn_Join(jsii.String(""), jsii.Strings(parts...)),
		ScalableDimension: jsii.String("ecs:service:DesiredCount"), ServiceNamespace: jsii.String("ecs"),
	})
}

func TestWhatElseSteersAGroupOrACountFailsSynthesis(t *testing.T) {
	provider := func(name string, status string) func(awscdk.Stack, *Cluster) {
		return func(s awscdk.Stack, c *Cluster) {
			group := name
			if name == "" {
				group = *c.groups[0].resource.Ref()
			}
			p := &awsecs.CfnCapacityProvider_AutoScalingGroupProviderProperty{AutoScalingGroupArn: jsii.String(group)}
			if status != "" {
				p.ManagedScaling = &awsecs.CfnCapacityProvider_ManagedScalingProperty{Status: jsii.String(status)}
			}
			awsecs.NewCfnCapacityProvider(s, jsii.String("Provider"), &awsecs.CfnCapacityProviderProps{AutoScalingGroupProvider: p})
		}
	}
	for name, row := range map[string]struct {
		add   func(awscdk.Stack, *Cluster)
		words string // empty: nothing is wrong
	}{
		"managed scaling, by reference":      {provider("", "ENABLED"), `managed scaling for the host group "shop-arm"`},
		"managed scaling, which is default":  {provider("shop-arm", ""), `managed scaling for the host group "shop-arm"`},
		"managed scaling of another group":   {provider("shop-arm-2", "ENABLED"), ""},
		"a provider without managed scaling": {provider("shop-arm", "DISABLED"), ""},
		"a scaling policy": {func(s awscdk.Stack, c *Cluster) {
			awsautoscaling.NewCfnScalingPolicy(s, jsii.String("Policy"), &awsautoscaling.CfnScalingPolicyProps{AutoScalingGroupName: c.groups[0].resource.Ref()})
		}, `a scaling policy steers the host group "shop-arm"`},
		"Application Auto Scaling": {func(s awscdk.Stack, _ *Cluster) {
			awsapplicationautoscaling.NewCfnScalableTarget(s, jsii.String("Count"), &awsapplicationautoscaling.CfnScalableTargetProps{
				MinCapacity: jsii.Number(1), MaxCapacity: jsii.Number(2), ResourceId: jsii.String("service/shop/web"), ScalableDimension: jsii.String("ecs:service:DesiredCount"), ServiceNamespace: jsii.String("ecs"),
			})
		}, `steers the task count of service "web"`},
		"a scheduled action": {func(s awscdk.Stack, c *Cluster) {
			awsautoscaling.NewCfnScheduledAction(s, jsii.String("Night"), &awsautoscaling.CfnScheduledActionProps{AutoScalingGroupName: c.groups[0].resource.Ref(), MaxSize: jsii.Number(0)})
		}, `a scheduled action sets the size of the host group "shop-arm"`},
		"a scheduled action of another stack": {func(s awscdk.Stack, c *Cluster) {
			other := beside(s)
			awsautoscaling.NewCfnScheduledAction(other, jsii.String("Night"), &awsautoscaling.CfnScheduledActionProps{AutoScalingGroupName: c.groups[0].resource.Ref(), MaxSize: jsii.Number(0)})
		}, `a scheduled action sets the size of the host group "shop-arm"`},
		"Application Auto Scaling, by references": {func(s awscdk.Stack, c *Cluster) {
			scalable(s, "service/", *c.made.Ref(), "/", *c.counted["web"].AttrName())
		}, `steers the task count of service "web"`},
		"Application Auto Scaling, from another stack": {func(s awscdk.Stack, c *Cluster) {
			scalable(beside(s), "service/", *c.made.Ref(), "/", *c.counted["jobs"].AttrName())
		}, `steers the task count of service "jobs"`},
		"Application Auto Scaling, the cluster by reference": {func(s awscdk.Stack, c *Cluster) {
			scalable(s, "service/"+*c.made.Ref()+"/jobs")
		}, `steers the task count of service "jobs"`},
		"Application Auto Scaling of another cluster's service": {func(s awscdk.Stack, _ *Cluster) {
			other := awsecs.NewCfnCluster(s, jsii.String("Other"), nil)
			scalable(s, "service/", *other.Ref(), "/web")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			said, left := rivalsOf(t, row.add)
			if !strings.Contains(said, row.words) || (said == "") != (row.words == "") || left != (row.words == "") || strings.Contains(said, "\n") || strings.Contains(said, "Validation") {
				t.Errorf("synthesis says %q, leaves a template: %v; want %q", said, left, row.words)
			}
		})
	}
}
