package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Names that YAML would read as something else are among the names.
func names() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_-]{1,12}`), rapid.SampledFrom([]string{"yes", "no", "null", "true", "123", "1e3", "0x10", "-", "---", "_1", "1_000"}))
}

func values() *rapid.Generator[string] {
	return rapid.OneOf(rapid.StringMatching(`[!-~]([ -~]{0,20}[!-~])?`), rapid.SampledFrom([]string{"yes", "5", "a: b", "# x", "*a", "&b", "{x}", "'", `"`, "- a", "2024-01-01", "~", "<&>"}))
}

func durations(low, high time.Duration) *rapid.Generator[policy.Duration] {
	return rapid.Custom(func(t *rapid.T) policy.Duration {
		n := rapid.Int64Range(int64(low/time.Second), int64(high/time.Second)).Draw(t, "seconds")
		return policy.Duration{Duration: time.Duration(n) * time.Second}
	})
}

// groupNames have no colon, and nothing that stands for other characters in an ARN.
func groupNames() *rapid.Generator[string] {
	return values().Filter(func(s string) bool { return !strings.ContainsAny(s, ":*?") })
}

func targets() *rapid.Generator[policy.Target] {
	return rapid.Custom(func(t *rapid.T) policy.Target {
		x := policy.Target{
			Metric:    rapid.SampledFrom([]string{"cpu", "memory"}).Draw(t, "short"),
			Target:    float64(rapid.IntRange(10, 1000).Draw(t, "tenths")) / 10,
			Statistic: rapid.SampledFrom([]string{"", "Average", "Maximum", "p99", "p99.9"}).Draw(t, "statistic"),
			Period:    rapid.SampledFrom([]policy.Duration{{}, {Duration: 20 * time.Second}, {Duration: 5 * time.Minute}}).Draw(t, "period"),
		}
		if rapid.Bool().Draw(t, "custom") {
			x.Metric, x.Namespace = "x"+values().Draw(t, "metric"), "x"+values().Draw(t, "namespace")
			x.Dimensions = rapid.MapOfN(names(), values(), 0, 3).Draw(t, "dimensions")
			x.Target, x.PerTask = 0, rapid.Float64Range(1e-6, 1e12).Draw(t, "perTask")
		}
		return x
	})
}

func services() *rapid.Generator[policy.Service] {
	return rapid.Custom(func(t *rapid.T) policy.Service {
		s := policy.Service{
			MinimumHealthyPercent: rapid.Ptr(rapid.IntRange(0, 50), true).Draw(t, "minimumHealthyPercent"),
			MaximumPercent:        rapid.Ptr(rapid.IntRange(200, 300), true).Draw(t, "maximumPercent"),
			Tolerance:             rapid.Ptr(rapid.IntRange(0, 50), true).Draw(t, "tolerance"),
			ScaleOut:              policy.Manner{Window: rapid.Ptr(durations(0, time.Hour), true).Draw(t, "window"), MaxTasks: rapid.IntRange(0, 9).Draw(t, "maxTasks")},
			ScaleIn:               policy.Manner{MaxPercent: rapid.IntRange(0, 100).Draw(t, "maxPercent"), Per: durations(10*time.Second, time.Hour).Draw(t, "per")},
		}
		if rapid.Bool().Draw(t, "owned") {
			low := rapid.IntRange(0, 9).Draw(t, "min")
			s.Tasks = &policy.Tasks{Min: low, Max: max(1, low+rapid.IntRange(0, 9).Draw(t, "more"))}
			s.Scale = rapid.SliceOfNDistinct(targets(), 0, 3, func(x policy.Target) string { return x.Key("web") }).Draw(t, "scale")
		}
		return s
	})
}

// rows are right endpoints of one name: its place's names begin with prefix, so
// that no other's are the same.
func rows(prefix string, least int) *rapid.Generator[[]policy.Endpoint] {
	one := rapid.Custom(func(t *rapid.T) policy.Endpoint {
		e := policy.Endpoint{
			Container: names().Draw(t, "container"), Port: rapid.IntRange(1, 65535).Draw(t, "port"),
			Protocol: rapid.SampledFrom([]string{policy.TCP, policy.UDP}).Draw(t, "protocol"),
		}
		name := prefix + rapid.StringMatching(`[A-Za-z0-9]{1,8}`).Draw(t, "place")
		if rapid.Bool().Draw(t, "listed") {
			e.Registry = name
		} else {
			e.TargetGroup = name
		}
		return e
	})
	return rapid.SliceOfNDistinct(one, least, 3, rapid.ID[policy.Endpoint])
}

// withEndpoints gives some services endpoints, and adds standalone tasks.
func withEndpoints(t *rapid.T, p *policy.Policy) {
	for i, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		s.Endpoints = rows(fmt.Sprintf("s%d-", i), 0).Draw(t, "endpoints")
		p.Services[name] = s
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "standalone") {
		s := policy.Standalone{Family: fmt.Sprintf("f%d", i), Endpoints: rows(fmt.Sprintf("t%d-", i), 1).Draw(t, "endpoints")}
		if rapid.Bool().Draw(t, "started") {
			s.Family, s.StartedBy = "", fmt.Sprintf("ops/%d", i)
		}
		if p.Standalone == nil {
			p.Standalone = map[string]policy.Standalone{}
		}
		p.Standalone[fmt.Sprintf("standalone_task_%d", i)] = s
	}
}

func policies() *rapid.Generator[policy.Policy] {
	return rapid.Custom(func(t *rapid.T) policy.Policy {
		p := policy.Policy{
			Version: 1, Mode: rapid.SampledFrom([]policy.Mode{"", policy.Act, policy.Observe}).Draw(t, "mode"),
			Cluster:  names().Draw(t, "cluster"),
			Services: rapid.MapOfN(names(), services(), 0, 3).Draw(t, "services"),
		}
		for _, group := range rapid.SliceOfNDistinct(groupNames(), 1, 3, rapid.ID[string]).Draw(t, "groups") {
			low := rapid.IntRange(0, 9).Draw(t, "min")
			p.Hosts = append(p.Hosts, policy.HostGroup{
				Group: group, Min: low, Max: max(1, low),
				Offers:  rapid.Ptr(rapid.Just(policy.Offers{CPU: 1024, Memory: 900}), true).Draw(t, "offers"),
				Removal: policy.Removal{EmptyAfter: durations(0, 24*time.Hour).Draw(t, "emptyAfter"), MaxAtOnce: rapid.IntRange(0, 5).Draw(t, "maxAtOnce")},
			})
		}
		withEndpoints(t, &p)
		return p
	})
}

func TestEveryRightPolicyReadsAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		raw, err := Write(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read("written", raw)
		if want := p.Defaulted(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v\nfrom %s", got, err, want, raw)
		}
		packed, err := policy.Encode(policy.Set{got})
		if err != nil {
			t.Fatal(err)
		}
		if set, err := policy.Decode(packed); err != nil || !reflect.DeepEqual(set, policy.Set{got}) {
			t.Fatalf("packed and unpacked: got %+v, %v, want %+v", set, err, got)
		}
	})
}

// whole is a value for any key: sometimes of its type, more often not.
func whole() *rapid.Generator[any] {
	return rapid.SampledFrom([]any{nil, true, -1, 0, 1, 7, 101, 2.5, 1e40, "", "5m", "0s", "cpu", "x y", []any{}, []any{nil}, map[string]any{}, map[string]any{"min": 3}})
}

// spoil puts another value in some place of a document, takes one out or adds a
// key.
func spoil(t *rapid.T, v any) any {
	if rapid.IntRange(0, 5).Draw(t, "here") == 0 {
		return whole().Draw(t, "value")
	}
	switch v := v.(type) {
	case []any:
		if len(v) > 0 {
			i := rapid.IntRange(0, len(v)-1).Draw(t, "index")
			v[i] = spoil(t, v[i])
		}
	case map[string]any:
		keys := []string{"extra"}
		for k := range v {
			keys = append(keys, k)
		}
		k := rapid.SampledFrom(slices.Sorted(slices.Values(keys))).Draw(t, "key")
		if rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
			delete(v, k)
			return v
		}
		v[k] = spoil(t, v[k])
	}
	return v
}

// Whatever the schema refuses, Read refuses; and what Read takes is a policy
// that the functions take.
func TestReadIsNeverMoreLenientThanTheSchemaOrTheFunctions(t *testing.T) {
	example, err := os.ReadFile(docs("plimsoll.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	schema := compiled(t)
	rapid.Check(t, func(t *rapid.T) {
		var doc any
		if err := yaml.Unmarshal(example, &doc); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "times") {
			doc = spoil(t, doc)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Read("spoilt", raw)
		var problems policy.Problems
		if err != nil && (!errors.As(err, &problems) || len(problems) == 0) {
			t.Fatalf("%s: an error without problems: %v", raw, err)
		}
		checkTold(t, problems)
		refused := schema.Validate(instance(t, raw))
		if refused != nil && err == nil {
			t.Fatalf("%s: read, though the schema says %v", raw, refused)
		}
		if _, encodes := policy.Encode(policy.Set{p}); err == nil && encodes != nil {
			t.Fatalf("%s: read, though the functions would refuse it: %v", raw, encodes)
		}
	})
}

// checkTold checks that each problem is told once and in full.
func checkTold(t *rapid.T, problems policy.Problems) {
	seen := map[string]bool{}
	for _, p := range problems {
		if p.Found == "" || p.Allowed == "" || seen[p.Path+p.Found] {
			t.Fatalf("%s is not told once and in full", p)
		}
		seen[p.Path+p.Found] = true
	}
}

// FuzzRead: no file makes Read panic, and what it takes reads as it was written.
func FuzzRead(f *testing.F) {
	example, err := os.ReadFile(docs("plimsoll.example.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(example), head, "a: &a [*a, *a]", "? {a: b}\n: c", "<<: {version: 1}", "!!binary x: 1", "\xff", "{\"a\":\"\\ud800\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Read("fuzzed", raw)
		if err != nil {
			return
		}
		written, err := Write(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Read("written", written); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("got %+v, %v; want %+v", again, err, p)
		}
	})
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaName, doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile(schemaName)
}

func instance(t *rapid.T, raw []byte) any {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
