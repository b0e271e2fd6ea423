package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreFilledInAndNothingIsShared(t *testing.T) {
	p := Policy{
		Version: 1, Cluster: "prod", Hosts: []HostGroup{{Group: "g", Max: 3, Offers: &Offers{1, 1}}},
		Services: map[string]Service{"web": {Tasks: &Tasks{0, 3}, MinimumHealthyPercent: ptr(50), MaximumPercent: ptr(200), Scale: []Target{{Metric: "Depth", Namespace: "Q", PerTask: 5, Dimensions: map[string]string{"a": "b"}}}}},
	}
	before := fmt.Sprint(dump(t, p))
	d := p.Defaulted()
	web := d.Services["web"]
	want := Service{
		Tasks: &Tasks{0, 3}, MinimumHealthyPercent: ptr(50), MaximumPercent: ptr(200), Tolerance: ptr(10),
		Scale:    []Target{{Metric: "Depth", Namespace: "Q", PerTask: 5, Dimensions: map[string]string{"a": "b"}, Statistic: "Sum", Period: seconds(60)}},
		ScaleOut: Manner{Window: ptr(seconds(0)), Per: seconds(60)},
		ScaleIn:  Manner{Window: ptr(seconds(300)), Per: seconds(60)},
	}
	if !reflect.DeepEqual(web, want) {
		t.Errorf("service: got %s, want %s", dump(t, web), dump(t, want))
	}
	if got, want := d.Hosts[0].Removal, (Removal{seconds(60), 1, seconds(600)}); got != want || d.Mode != Act {
		t.Errorf("mode and removal: got %s %v, want act %v", d.Mode, got, want)
	}
	if again := d.Defaulted(); !reflect.DeepEqual(again, d) {
		t.Errorf("defaulting twice changed %s to %s", dump(t, d), dump(t, again))
	}
	d.Hosts[0].Offers.CPU, d.Hosts[0].Group = 9, "other"
	web.Tasks.Min, *web.MinimumHealthyPercent, *web.MaximumPercent = 9, 9, 9
	web.Scale[0].Dimensions["a"] = "changed"
	d.Services["new"] = Service{}
	if after := dump(t, p); after != before {
		t.Errorf("changing the copy changed the policy from %s to %s", before, after)
	}
}

// Walking both values at once finds every pointer and map that a copy forgot.
func TestNoDefaultedPolicySharesAPointer(t *testing.T) {
	p := right().Defaulted() // every pointer is set
	noneShared(t, "policy", reflect.ValueOf(p), reflect.ValueOf(p.Defaulted()))
}

func noneShared(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if !a.IsNil() && a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		if !a.IsNil() {
			noneShared(t, path, a.Elem(), b.Elem())
		}
	case reflect.Struct:
		for i := range a.NumField() {
			noneShared(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Slice:
		for i := range a.Len() {
			noneShared(t, fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
	case reflect.Map:
		for _, k := range a.MapKeys() {
			noneShared(t, path+"."+k.String(), a.MapIndex(k), b.MapIndex(k))
		}
	}
}

func dump(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEncodedSetsDecodeToThemselves(t *testing.T) {
	other := right()
	other.Cluster, other.Hosts[0].Group, other.Services, other.Standalone = "test", "test-ecs", nil, nil
	set := Set{right().Defaulted(), other.Defaulted()}
	raw, err := Encode(set)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(raw)
	if err != nil || !reflect.DeepEqual(got, set) {
		t.Errorf("got %s, %v; want %s", dump(t, got), err, raw)
	}
}

func TestDecodeRefusesWhatIsNotExactlyASet(t *testing.T) {
	const hosts = `"hosts":[{"group":"g","min":1,"max":2}]`
	for _, c := range []struct{ says, raw, want string }{
		{"nothing", ``, "EOF"},
		{"no policy", `[]`, "policy: found no policy, allowed one a cluster; add a policy"},
		{"a policy without its set", `{"version":1,"cluster":"a",` + hosts + `,"services":{}}`, "cannot unmarshal object"},
		{"two values", `[] []`, "more than one JSON value"},
		{"a half", `[{"version":1`, "JSON at byte 13"},
		{"an unknown key", `[{"version":1,"cluster":"a",` + hosts + `,"services":{"web":{"task":{}}}}]`, "[0].services.web.task: found an unknown key, allowed one of endpoints, maximumPercent, minimumHealthyPercent, scale, scaleIn, scaleOut, tasks, tolerance; remove it"},
		{"a key in another case", `[{"version":1,"Cluster":"a",` + hosts + `,"services":{}}]`, "[0].Cluster: found an unknown key, allowed one of cluster, hosts, mode, services, standalone, version; remove it"},
		{"a service twice", `[{"version":1,"cluster":"a",` + hosts + `,"services":{"web":{},"web":{}}}]`, "[0].services.web: found the key twice, allowed once; remove one of the two"},
		{"a number for a time", `[{"version":1,"cluster":"a","hosts":[{"group":"g","min":1,"max":2,"removal":{"emptyAfter":60}}],"services":{}}]`, "duration 60: write 90s, 5m or 1h30m"},
		{"a wrong policy", `[{"version":3,"cluster":"a","hosts":[],"services":{}}]`, "2 problems:\n  [0].hosts: found no host group, allowed one or more; add - {group: NAME, min: 1, max: 10}\n  [0].version: found 3"},
		{"two owners of a group", `[{"version":1,"cluster":"a",` + hosts + `,"services":{}},{"version":1,"cluster":"b",` + hosts + `,"services":{}}]`, `[1].hosts[0].group: found "g", which policy [0] has too, allowed a group in one policy only; remove it from one of the two`},
		{"two owners of a target group", `[{"version":1,"cluster":"a",` + hosts + `,"services":{"web":{"endpoints":[{"container":"c","port":1,"targetGroup":"t"}]}}},{"version":1,"cluster":"b","hosts":[{"group":"h","min":1,"max":2}],"services":{},"standalone":{"x":{"family":"f","endpoints":[{"container":"c","port":1,"targetGroup":"t"}]}}}]`, `[1].standalone.x.endpoints[0].targetGroup: found "t", which policy [0] has too, allowed a targetGroup in one policy only; remove it from one of the two`},
		{"two owners of a registry", `[{"version":1,"cluster":"a",` + hosts + `,"services":{"web":{"endpoints":[{"container":"c","port":1,"registry":"t"}]}}},{"version":1,"cluster":"b","hosts":[{"group":"h","min":1,"max":2}],"services":{"web":{"endpoints":[{"container":"c","port":1,"registry":"t"}]}}}]`, `[1].services.web.endpoints[0].registry: found "t", which policy [0] has too, allowed a registry in one policy only; remove it from one of the two`},
		{"an unknown key of an endpoint", `[{"version":1,"cluster":"a",` + hosts + `,"services":{"web":{"endpoints":[{"container":"c","port":1,"group":"t"}]}}}]`, `[0].services.web.endpoints[0].group: found an unknown key, allowed one of container, port, protocol, registry, targetGroup; remove it`},
		{"two policies of a cluster", `[{"version":1,"cluster":"a",` + hosts + `,"services":{}},{"version":1,"cluster":"a","hosts":[{"group":"h","min":1,"max":2}],"services":{}}]`, `[1].cluster: found "a", which policy [0] has too`},
	} {
		set, err := Decode([]byte(c.raw))
		if err == nil || set != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", c.says, set, err, c.want)
		}
	}
}

func TestDefaultsAreWrittenOut(t *testing.T) {
	raw, err := Encode(Set{{Version: 1, Cluster: "a", Hosts: []HostGroup{{Group: "g", Max: 1}}}})
	want := `[{"version":1,"mode":"act","cluster":"a","hosts":[{"group":"g","min":0,"max":1,"removal":{"emptyAfter":"1m","maxAtOnce":1,"drainTimeout":"10m"}}],"services":{}}]`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v; want %s", raw, err, want)
	}
}

func TestWrongSetsAreNotEncoded(t *testing.T) {
	var problems Problems
	if raw, err := Encode(Set{{}}); raw != nil || !errors.As(err, &problems) || len(problems) != 3 {
		t.Errorf("got %q, %v; want the three problems of an empty policy", raw, err)
	}
}

func TestDurationsReadAndWriteAsPeopleDo(t *testing.T) {
	for raw, want := range map[string]string{`"90s"`: "1m30s", `"5m"`: "5m", `"1h30m"`: "1h30m", `"0s"`: "0s", `"2h"`: "2h", `"10m"`: "10m", `"1h0m5s"`: "1h0m5s", `"100s"`: "1m40s"} {
		var d, again Duration
		if err := json.Unmarshal([]byte(raw), &d); err != nil || d.String() != want {
			t.Errorf("%s reads as %s, %v; want %s", raw, d, err, want)
		}
		if err := json.Unmarshal([]byte(dump(t, d)), &again); err != nil || again != d {
			t.Errorf("%s does not read as it was written: %s, %v", raw, again, err)
		}
	}
	for _, raw := range []string{`300`, `null`, `""`, `"5"`, `"-5m"`, `"1.5h"`, `"500ms"`, `"5 m"`, `{}`, `"soon"`} {
		d := Duration{time.Hour}
		if err := d.UnmarshalJSON([]byte(raw)); err == nil || !strings.Contains(err.Error(), "write 90s, 5m or 1h30m") {
			t.Errorf("%s: got %s, %v; want an error that says how to write it", raw, d, err)
		}
	}
}
