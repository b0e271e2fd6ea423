package infra

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// deployment is a synthesised template, as far as these tests read it.
type deployment struct {
	Resources  map[string]deployed
	Parameters map[string]map[string]any
	raw        string
}

// deployed is a resource of a template.
type deployed struct {
	id             string
	Type           string
	Properties     map[string]any
	DependsOn      any
	DeletionPolicy string
	Metadata       map[string]any
}

// all are the resources of a type, by logical id.
func (d deployment) all(kind string) []deployed {
	var found []deployed
	for _, id := range slices.Sorted(maps.Keys(d.Resources)) {
		if r := d.Resources[id]; r.Type == kind {
			r.id = id
			found = append(found, r)
		}
	}
	return found
}

// text is a value of a template as JSON.
func text(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// world is every stack that these tests look at, synthesised in one go under the
// eyes of cdk-nag.
type world struct {
	stacks     map[string]deployment
	complaints []string
	plain      policy.Set
	ours       policy.Set
	folder     string
}

// worldOnce synthesises it for the first test that asks.
var worldOnce = sync.OnceValues(makeWorld)

func theWorld(t *testing.T) world {
	t.Helper()
	w, err := worldOnce()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func makeWorld() (world, error) {
	w := world{stacks: map[string]deployment{}}
	app, err := newApp("")
	if err != nil {
		return w, err
	}
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Verbose: jsii.Bool(true)}), nil)
	makers := map[string]func(awscdk.Stack) (*Cluster, error){
		"Plain": func(s awscdk.Stack) (*Cluster, error) { return plainShop(s, usual()) },
		"Again": func(s awscdk.Stack) (*Cluster, error) { return plainShop(s, usual()) },
		"Changed": func(s awscdk.Stack) (*Cluster, error) {
			return plainShop(s, choices{image: "example.com/web:2", minimum: 3, most: 40, cpu: 75, hosts: 30, container: "app", port: 8080})
		},
		"Ported": func(s awscdk.Stack) (*Cluster, error) {
			ch := usual()
			ch.container, ch.port = "front", 9090
			return plainShop(s, ch)
		},
		"Rich":     richShop,
		"Existing": existingShop,
		"Bare":     bareShop,
		"Ours":     oursShop,
	}
	for _, name := range slices.Sorted(maps.Keys(makers)) {
		c, err := makers[name](awscdk.NewStack(app, jsii.String(name), nil))
		if err != nil {
			return w, fmt.Errorf("%s: %w", name, err)
		}
		set, err := Policies(c)
		if err != nil {
			return w, fmt.Errorf("%s: %w", name, err)
		}
		if name == "Plain" {
			w.plain = set
		}
		if name == "Ours" {
			w.ours = set
		}
	}
	awss3.NewCfnBucket(awscdk.NewStack(app, jsii.String("Careless"), nil), jsii.String("Open"), nil)
	w.folder = *app.Synth(nil).Directory()
	return w, w.load()
}

// newApp is an app with the flags of cdk.json, so that tests see what a
// deployment would. It writes to a folder of the system's own where none is given.
func newApp(folder string) (awscdk.App, error) {
	raw, err := os.ReadFile("../cdk.json")
	if err != nil {
		return nil, err
	}
	var file struct{ Context map[string]any }
	if err := json.Unmarshal(raw, &file); err != nil {
		return nil, err
	}
	props := &awscdk.AppProps{Context: &file.Context, AnalyticsReporting: jsii.Bool(false)}
	if folder != "" {
		props.Outdir = jsii.String(folder)
	}
	return awscdk.NewApp(props), nil
}

// load reads the cloud assembly.
func (w *world) load() error {
	defer func() { _ = os.RemoveAll(w.folder) }()
	raw, err := os.ReadFile(filepath.Join(w.folder, "manifest.json"))
	if err != nil {
		return err
	}
	var manifest struct {
		Artifacts map[string]struct {
			Type                   string
			Metadata               map[string][]entry
			AdditionalMetadataFile string
		}
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(manifest.Artifacts)) {
		a := manifest.Artifacts[name]
		if a.Type != "aws:cloudformation:stack" {
			continue
		}
		if err := w.loadStack(name, a.Metadata, a.AdditionalMetadataFile); err != nil {
			return err
		}
	}
	return nil
}

// entry is something that was said of a construct.
type entry struct {
	Type string
	Data any
}

func (w *world) loadStack(name string, said map[string][]entry, more string) error {
	raw, err := os.ReadFile(filepath.Join(w.folder, name+".template.json"))
	if err != nil {
		return err
	}
	d := deployment{raw: string(raw)}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	w.stacks[name] = d
	if more != "" {
		if raw, err = os.ReadFile(filepath.Join(w.folder, more)); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &said); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(said)) {
		for _, e := range said[path] {
			if e.Type == "aws:cdk:error" || e.Type == "aws:cdk:warning" {
				w.complaints = append(w.complaints, fmt.Sprintf("%s: %v", path, e.Data))
			}
		}
	}
	return nil
}

// choices are what changes from one deployment to the next.
type choices struct {
	image         string
	minimum, most int
	cpu           float64
	hosts         int
	container     string // of web
	port          int    // that it listens on
}

func usual() choices {
	return choices{image: "example.com/web:1", minimum: 2, most: 20, cpu: 60, hosts: 20, container: "app", port: 8080}
}

// plainShop is a cluster with two services and next to nothing but defaults.
func plainShop(stack awscdk.Stack, ch choices) (*Cluster, error) {
	shop, err := NewCluster(stack, "Shop", ClusterProps{Name: "shop", Repository: "shop", Groups: []Group{
		{Name: "shop-arm", Min: 1, Max: ch.hosts, InstanceType: "m7g.large"},
	}})
	if err != nil {
		return nil, err
	}
	if _, err := NewService(shop, "Web", ServiceProps{
		Cluster: shop, Name: "web",
		Containers: []Container{{Name: ch.container, Image: ch.image, CPU: 256, Memory: 512, Ports: []Port{{Container: ch.port}}}},
		Targets:    []Target{{Priority: 10, Paths: []string{"/*"}}},
		Scaling:    policy.Service{Tasks: &policy.Tasks{Min: ch.minimum, Max: ch.most}, Scale: []policy.Target{{Metric: "cpu", Target: ch.cpu}}},
	}); err != nil {
		return nil, err
	}
	_, err = NewService(shop, "Jobs", ServiceProps{
		Cluster: shop, Name: "jobs",
		Containers: []Container{{Image: shop.Image("7"), MemoryReservation: 256}},
		Scaling:    policy.Service{Tasks: &policy.Tasks{Min: 0, Max: ch.most}, Scale: []policy.Target{{Metric: "memory", Target: 70}}},
	})
	return shop, err
}

// richShop uses everything at once.
func richShop(stack awscdk.Stack) (*Cluster, error) {
	shop, err := NewCluster(stack, "Shop", ClusterProps{
		Name: "rich", Repository: "team/rich", ContainerInsights: "enhanced", LogDays: 90,
		Network:      NetworkProps{CIDR: "10.8.0.0/18", Zones: 3, NAT: NATPerZone},
		LoadBalancer: LoadBalancerProps{Certificate: "arn:aws:acm:eu-west-1:111122223333:certificate/1", AllowFrom: []string{"192.0.2.0/24", "198.51.100.0/24"}},
		Agent:        Agent{StopTimeout: time.Minute, CleanUpEvery: time.Hour, UnusedFor: 90 * time.Minute, AtOnce: 9},
		Groups: []Group{
			{Name: "rich-x86", Min: 1, Max: 9, InstanceType: "c6i.2xlarge", RootGiB: 60},
			{Name: "rich-rocket", Min: 0, Max: 9, InstanceType: "r6g.large", OS: Bottlerocket},
			{Name: "rich-windows", Min: 1, Max: 4, InstanceType: "m6i.xlarge", OS: Windows},
		},
	})
	if err != nil {
		return nil, err
	}
	secret := awssecretsmanager.Secret_FromSecretCompleteArn(stack, jsii.String("Token"), jsii.String("arn:aws:secretsmanager:eu-west-1:111122223333:secret:token-AbCdEf"))
	if _, err := NewService(shop, "Web", ServiceProps{
		Cluster: shop, Name: "web", OS: AmazonLinux, Grace: time.Minute, LogDays: 7, Constraints: []string{"attribute:ecs.cpu-architecture == arm64"},
		Volumes: []Volume{{Name: "scratch"}, {Name: "host", Host: "/srv"}},
		Containers: []Container{
			{
				Name: "front", Image: "111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/front:1", CPU: 512, Memory: 512, MemoryReservation: 256,
				Ports: []Port{{Container: 8080}, {Container: 9090}}, Environment: map[string]string{"B": "2", "A": "1"},
				Secrets: map[string]awsecs.Secret{"TOKEN": awsecs.Secret_FromSecretsManager(secret, nil)},
				Health:  &Health{Command: []string{"CMD-SHELL", "true"}}, StopTimeout: time.Minute, User: "1000",
				ReadOnlyRoot: true, Command: []string{"serve"}, EntryPoint: []string{"/front"},
				DependsOn: []Dependency{{Container: "side", Condition: "START"}}, Mounts: []Mount{{Volume: "scratch", Path: "/tmp"}, {Volume: "host", Path: "/srv", ReadOnly: true}},
			},
			{Name: "side", Image: "example.com/side@sha256:abc", Memory: 64, NonEssential: true},
		},
		Targets: []Target{
			{Priority: 1, Hosts: []string{"example.com", "*.example.com"}, Paths: []string{"/a/*"}, DeregistrationDelay: new(90 * time.Second)},
			{Priority: 2, Port: 9090, Hosts: []string{"admin.example.com"}, Protocol: "HTTPS", Health: TargetHealth{Path: "/well", Codes: "200"}},
		},
		Scaling: policy.Service{MinimumHealthyPercent: new(50), MaximumPercent: new(150), Tasks: &policy.Tasks{Min: 2, Max: 8}, Scale: []policy.Target{{Metric: "cpu", Target: 50}}},
	}); err != nil {
		return nil, err
	}
	_, err = NewService(shop, "Desk", ServiceProps{Cluster: shop, Name: "desk", OS: Windows, Containers: []Container{{Image: "example.com/desk:1", Memory: 1024}}})
	return shop, err
}

// existingShop adds a group and a service to what others made.
func existingShop(stack awscdk.Stack) (*Cluster, error) {
	shop, err := NewCluster(stack, "Shop", ClusterProps{
		Name: "old", Existing: true,
		ExistingNetwork:      &ExistingNetwork{VPC: "vpc-0123456789abcdef0", HostSubnets: []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}},
		ExistingLoadBalancer: &ExistingLoadBalancer{Listener: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/old/1/2", SecurityGroup: "sg-0123456789abcdef0"},
		Groups: []Group{
			{Name: "old-hosts", Existing: true, Min: 0, Max: 9},
			{Name: "new-hosts", Min: 1, Max: 9, InstanceType: "t3.medium"},
		},
	})
	if err != nil {
		return nil, err
	}
	_, err = NewService(stack, "Web", ServiceProps{
		Cluster: shop, Name: "web", Hold: Hold{None: true},
		Containers: []Container{{Image: "example.com/web:1", Memory: 128, Ports: []Port{{Container: 80}}}},
		Targets:    []Target{{Priority: 7, Hosts: []string{"web.example.com"}}},
	})
	return shop, err
}

// bareShop leaves out all that can be left out.
func bareShop(stack awscdk.Stack) (*Cluster, error) {
	return NewCluster(stack, "Shop", ClusterProps{
		Name: "bare", ContainerInsights: "disabled", Network: NetworkProps{NAT: NoNAT, NoFlowLogs: true},
		LoadBalancer: LoadBalancerProps{Internal: true, NoAccessLogs: true, AllowFrom: []string{"10.0.0.0/8"}},
		Groups:       []Group{{Name: "bare-hosts", Min: 0, Max: 2, InstanceType: "t4g.small"}},
	})
}

// oursShop has plimsoll register its services: in several target groups of one
// port, in one that others made, and in Cloud Map.
func oursShop(stack awscdk.Stack) (*Cluster, error) {
	shop, err := NewCluster(stack, "Shop", ClusterProps{Name: "ours", Namespace: "ours.local", Groups: []Group{{Name: "ours-hosts", Min: 1, Max: 9, InstanceType: "m7g.large"}}})
	if err != nil {
		return nil, err
	}
	app := []Container{{Image: "example.com/web:1", Memory: 128, Ports: []Port{{Container: 80}, {Container: 53, Protocol: "udp"}}}}
	all := []ServiceProps{
		{
			Name: "web", RegisteredBy: RegisteredByPlimsoll, Containers: app,
			Targets: []Target{
				{Name: "web", Priority: 1, Paths: []string{"/*"}, DeregistrationDelay: new(90 * time.Second)},
				{Name: "web-admin", Priority: 2, Hosts: []string{"admin.example.com"}},
			},
			Registries: []Registry{{TTL: time.Minute}, {Existing: "srv-abc", Port: 53, Protocol: "udp"}},
		},
		{
			Name: "moving", RegisteredBy: RegistrarChanges, Containers: app,
			Targets: []Target{{Name: "ours-Shop-1ABC", NameKept: true, Priority: 3, Paths: []string{"/moving"}}},
		},
		{
			Name: "dns", Containers: app,
			Scaling:    policy.Service{Endpoints: []policy.Endpoint{{Container: "app", Port: 53, Protocol: "udp", TargetGroup: "dns-of-others"}}},
			Registries: []Registry{{Namespace: "arn:aws:servicediscovery:eu-west-1:111122223333:namespace/ns-abc", Name: "names", Record: "NONE"}, {Namespace: "ns-xyz", Name: "plain", Record: "A"}},
		},
		{Name: "quick", Containers: app, Registries: []Registry{{TTL: time.Second}}},
	}
	for _, p := range all {
		p.Cluster = shop
		if _, err := NewService(stack, p.Name, p); err != nil {
			return nil, err
		}
	}
	return shop, nil
}

// complaintsOf are what cdk-nag said of a stack.
func (w world) complaintsOf(stack string) []string {
	var found []string
	for _, c := range w.complaints {
		if strings.HasPrefix(c, "/"+stack+"/") {
			found = append(found, c)
		}
	}
	return found
}
