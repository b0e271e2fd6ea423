package peer

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

	"github.com/plimsoll-ecs/plimsoll/infra"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// resource is one of a CloudFormation template.
type resource struct {
	Type       string
	Properties map[string]any
}

// synthesised is the template that infra makes of the test policy, by logical id,
// with all that CloudFormation would put in of this account put in.
var synthesised = sync.OnceValues(func() (map[string]resource, error) {
	dir, err := os.MkdirTemp("", "plimsoll-peer")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	if err := programs(dir); err != nil {
		return nil, err
	}
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Outdir: jsii.String(filepath.Join(dir, "cdk.out"))})
	stack := awscdk.NewStack(app, jsii.String("plimsoll"), nil)
	if _, err := infra.NewController(stack, "Controller", infra.ControllerProps{Policies: policy.Set{reachingPolicy()}, Dist: dir, HostRoles: []string{"arn:aws:iam::" + account + ":role/hosts"}}); err != nil {
		return nil, err
	}
	app.Synth(nil)
	raw, err := os.ReadFile(filepath.Join(dir, "cdk.out", "plimsoll.template.json"))
	if err != nil {
		return nil, err
	}
	var t struct{ Resources map[string]resource }
	err = json.Unmarshal(raw, &t)
	for id, r := range t.Resources {
		t.Resources[id] = resource{r.Type, resolved(r.Properties).(map[string]any)}
	}
	return t.Resources, err
})

// programs puts what passes for the functions' programs, of Linux on arm64, where
// make build leaves them.
func programs(dist string) error {
	for _, name := range slices.Sorted(maps.Keys(functions())) {
		if err := os.MkdirAll(filepath.Join(dist, name), 0o750); err != nil {
			return err
		}
		header := append([]byte("\x7fELF\x02\x01"), append(make([]byte, 12), 0xb7, 0)...)
		if err := os.WriteFile(filepath.Join(dist, name, "bootstrap"), header, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// resolved is a value of a template without CloudFormation's functions. A
// reference to a resource becomes its logical id.
func resolved(v any) any {
	switch v := v.(type) {
	case []any:
		for n := range v {
			v[n] = resolved(v[n])
		}
	case map[string]any:
		for name := range v {
			v[name] = resolved(v[name])
		}
		if len(v) == 1 {
			return answered(v)
		}
	}
	return v
}

// answered is the result of a map that is a function's call, or the map.
func answered(v map[string]any) any {
	if name, is := v["Ref"].(string); is {
		if here, pseudo := map[string]string{"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": "aws"}[name]; pseudo {
			return here
		}
		return name
	}
	if join, is := v["Fn::Join"].([]any); is && len(join) == 2 {
		var parts []string
		for _, p := range join[1].([]any) {
			parts = append(parts, fmt.Sprint(p))
		}
		return strings.Join(parts, fmt.Sprint(join[0]))
	}
	if of, is := v["Fn::GetAtt"].([]any); is {
		return fmt.Sprintf("%v.%v", of[0], of[1])
	}
	return v
}

// made are the resources of a type, by logical id in order.
func made(t *testing.T, kind string) []resource {
	t.Helper()
	if moto == nil { // without which Node may be missing too
		t.Skip("LEFT OUT: moto is not installed")
	}
	all, err := synthesised()
	if err != nil {
		t.Fatal(err)
	}
	var of []resource
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if all[id].Type == kind {
			of = append(of, all[id])
		}
	}
	return of
}
