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

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// template is a synthesised CloudFormation template.
type template struct {
	raw       []byte
	folder    string // the cloud assembly
	Resources map[string]resource
	Outputs   map[string]any
}

type resource struct {
	Type           string
	Properties     map[string]any
	DependsOn      []string
	DeletionPolicy string
	Metadata       map[string]any
}

// testPolicies are a cluster to act on and one to observe, both with endpoints.
func testPolicies() policy.Set {
	many := map[string]string{"LoadBalancer": "app/prod/1", "TargetGroup": "targetgroup/web/2"}
	return policy.Set{
		{
			Version: 1, Mode: policy.Act, Cluster: "prod",
			Hosts: []policy.HostGroup{{Group: "prod-a", Min: 1, Max: 9}, {Group: "prod-b", Min: 0, Max: 9}},
			Services: map[string]policy.Service{
				"web": {Tasks: &policy.Tasks{Min: 2, Max: 20}, Scale: []policy.Target{
					{Metric: "cpu", Target: 60},
					{Metric: "TargetResponseTime", Namespace: "AWS/ApplicationELB", Dimensions: many, Statistic: "p99", Target: 0.3},
				}, Endpoints: []policy.Endpoint{
					{Container: "app", Port: 8080, TargetGroup: "web"},
					{Container: "app", Port: 9090, TargetGroup: "web-admin"},
					{Container: "app", Port: 8080, Registry: "web"},
				}},
				"agent": {},
			},
			Standalone: map[string]policy.Standalone{"game": {Family: "game", Endpoints: []policy.Endpoint{{Container: "server", Port: 7777, Protocol: policy.UDP, TargetGroup: "game"}}}},
		},
		{
			Version: 1, Mode: policy.Observe, Cluster: "stage",
			Hosts: []policy.HostGroup{{Group: "stage-a", Min: 1, Max: 3}},
			Services: map[string]policy.Service{"web": {
				Tasks: &policy.Tasks{Min: 1, Max: 2}, Scale: []policy.Target{{Metric: "memory", Target: 70}},
				Endpoints: []policy.Endpoint{{Container: "app", Port: 80, TargetGroup: "stage-web"}, {Container: "app", Port: 80, Registry: "srv-stage"}},
			}},
		},
	}
}

const testHostRole = "arn:aws:iam::111122223333:role/hosts"

// synthesised is the template that most tests look at: made once.
var synthesised = sync.OnceValues(func() (template, error) {
	dir, err := os.MkdirTemp("", "plimsoll-infra-test")
	if err != nil {
		return template{}, err
	}
	return synthesise(dir, ControllerProps{Policies: testPolicies(), HostRoles: []string{testHostRole}}, nag)
})

// unregistered are testPolicies without endpoints.
func unregistered() policy.Set {
	set := testPolicies()
	for n := range set {
		set[n].Standalone = nil
		for name, s := range set[n].Services {
			s.Endpoints = nil
			set[n].Services[name] = s
		}
	}
	return set
}

// observing is the template of a deployment that only observes.
var observing = sync.OnceValues(func() (template, error) {
	dir, err := os.MkdirTemp("", "plimsoll-infra-test")
	if err != nil {
		return template{}, err
	}
	set := testPolicies()
	set[0].Mode = policy.Observe
	return synthesise(dir, ControllerProps{Policies: set, HostRoles: []string{testHostRole}}, nag)
})

// nag puts a stack under the eyes of cdk-nag.
func nag(s awscdk.Stack) {
	awscdk.Aspects_Of(s).Add(cdknag.NewAwsSolutionsChecks(nil), nil)
}

func whole(t *testing.T) template {
	t.Helper()
	s, err := synthesised()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// of is the template of other props.
func of(t *testing.T, p ControllerProps) template {
	t.Helper()
	s, err := synthesise(t.TempDir(), p, func(awscdk.Stack) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// synthesise makes a stack with a controller, and what else is done to it, in
// dir, with the flags of cdk.json and under the eyes of cdk-nag.
func synthesise(dir string, p ControllerProps, more func(awscdk.Stack)) (template, error) {
	flags, err := cdkFlags()
	if err != nil {
		return template{}, err
	}
	if p.Dist == "" {
		p.Dist = filepath.Join(dir, "dist")
		for _, f := range functions() {
			if err := program(p.Dist, f.name, arm()); err != nil {
				return template{}, err
			}
		}
	}
	out := filepath.Join(dir, "cdk.out")
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Outdir: &out, Context: &flags})
	stack := awscdk.NewStack(app, jsii.String("plimsoll"), nil)
	if _, err := NewController(stack, "Controller", p); err != nil {
		return template{}, err
	}
	more(stack)
	app.Synth(nil)
	return load(out)
}

func load(out string) (template, error) {
	raw, err := os.ReadFile(filepath.Join(out, "plimsoll.template.json"))
	t := template{raw: raw, folder: out}
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	return t, err
}

// cdkFlags are the feature flags of cdk.json.
func cdkFlags() (map[string]any, error) {
	var file struct{ Context map[string]any }
	raw, err := os.ReadFile("../cdk.json")
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	return file.Context, err
}

// arm is what passes for a program for Linux on arm64.
func arm() []byte { return append([]byte(elf), append(make([]byte, 12), 0xb7, 0)...) }

func program(dist, name string, content []byte) error {
	if err := os.MkdirAll(filepath.Join(dist, name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dist, name, "bootstrap"), content, 0o600)
}

// all are the resources of a type, by logical id, in order.
func (t template) all(kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.Resources)), func(id string) bool { return t.Resources[id].Type != kind })
}

// one is the id of the only resource of a type whose id has the part in it.
func (t template) one(tt *testing.T, kind, part string) string {
	tt.Helper()
	ids := slices.DeleteFunc(t.all(kind), func(id string) bool { return !strings.Contains(id, part) })
	if len(ids) != 1 {
		tt.Fatalf("%s with %q: %v", kind, part, ids)
	}
	return ids[0]
}

// get walks into a resource's properties.
func (r resource) get(path ...string) any {
	var v any = r.Properties
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// flat writes a value of a template as a text: what CloudFormation fills in
// stands as <Ref> or <Id.Attribute>.
func flat(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for n, e := range v {
			parts[n] = flat(e)
		}
		return strings.Join(parts, " ")
	case map[string]any:
		return flatMap(v)
	default:
		return fmt.Sprint(v)
	}
}

func flatMap(m map[string]any) string {
	if ref, ok := m["Ref"]; ok {
		return "<" + flat(ref) + ">"
	}
	if get, ok := m["Fn::GetAtt"].([]any); ok {
		return "<" + flat(get[0]) + "." + flat(get[1]) + ">"
	}
	if join, ok := m["Fn::Join"].([]any); ok {
		parts, _ := join[1].([]any)
		texts := make([]string, len(parts))
		for n, p := range parts {
			texts[n] = flat(p)
		}
		return strings.Join(texts, flat(join[0]))
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+":"+flat(m[k]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// texts are a value that may be one or a list, each flat.
func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return []string{flat(v)}
	}
	var all []string
	for _, e := range list {
		all = append(all, flat(e))
	}
	return all
}
