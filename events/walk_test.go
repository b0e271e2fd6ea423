package events

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// use says what Decode does with a field: it needs it, or uses it if it is there.
type use struct{ needed, used []string }

// usedBy lists the fields that Decode may look at, by the beginning of the
// sample's name. The walk proves that it looks at nothing else.
func usedBy(name string) use {
	envelope := []string{"source", "detail-type", "id", "account", "region", "time", "detail"}
	for begin, u := range map[string]use{
		"ecs-task-":               {[]string{"detail.clusterArn", "detail.taskArn"}, []string{"detail.containerInstanceArn", "detail.group", "resources"}},
		"ecs-container-instance-": {[]string{"detail.clusterArn", "detail.containerInstanceArn"}, []string{"detail.ec2InstanceId", "resources"}},
		"ecs-service-action-":     {[]string{"detail.clusterArn", "resources"}, nil},
		"ecs-deployment-":         {[]string{"resources"}, nil},
		"asg-":                    {[]string{"detail.AutoScalingGroupName"}, []string{"detail.EC2InstanceId", "resources"}},
		"ec2-":                    {[]string{"detail.instance-id"}, []string{"resources"}},
		"cloudtrail-":             {[]string{"detail.eventName", "detail.requestParameters", "detail.requestParameters.family"}, []string{"resources"}},
		"ssm-":                    {[]string{"detail.name"}, []string{"resources"}},
		"scheduled-":              {nil, []string{"resources"}},
		"cloudwatch-alarm-metric": {[]string{"detail.alarmName"}, []string{"resources"}},
		"cloudwatch-alarm-comp":   {[]string{"detail.alarmName"}, []string{"resources"}},
	} {
		if strings.HasPrefix(name, begin) {
			return use{append(envelope, u.needed...), u.used}
		}
	}
	if strings.HasPrefix(name, "plimsoll-") {
		return use{[]string{"source", "detail-type", "detail", "detail.key", "detail.at"}, nil}
	}
	return use{[]string{"source", "accountId", "region", "time", "alarmArn", "alarmData", "alarmData.alarmName"}, nil}
}

// paths visits every member of o that objects alone lead to, innermost first.
func paths(at string, o map[string]any, visit func(path string, holder map[string]any, name string)) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		v := o[name]
		path := strings.TrimPrefix(at+"."+name, ".")
		if inner, ok := v.(map[string]any); ok {
			paths(path, inner, visit)
		}
		visit(path, o, name)
	}
}

// TestEveryFieldOfEverySample takes each field out of each sample and puts each
// type in its place. What Decode needs is an error that names the field, what it
// does not use makes no difference, and what it may use does one or the other or
// is gone from the subject.
func TestEveryFieldOfEverySample(t *testing.T) {
	wrong := []any{nil, "", 42, true, []any{}, []any{1}, map[string]any{}, "two\nlines"}
	changes := 0
	for _, file := range samples(t) {
		raw := sample(t, file)
		var tree map[string]any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		w := walker{t: t, file: file, want: mustDecode(t, raw), use: usedBy(file), tree: tree}
		paths("", tree, func(path string, holder map[string]any, name string) {
			was := holder[name]
			delete(holder, name)
			w.check(path, "without", true)
			for _, v := range wrong {
				holder[name] = v
				w.check(path, describe(v), isAbsence(v))
				changes++
			}
			holder[name] = was
		})
	}
	t.Logf("%d changed samples", changes)
}

// describe names a value of the standard library's as kindOf does ours.
func describe(v any) string {
	switch v.(type) {
	case int:
		return "a number"
	case map[string]any:
		return "an object"
	}
	return kindOf(v)
}

// isAbsence says whether the value means that an optional field is not there.
func isAbsence(v any) bool {
	list, ok := v.([]any)
	return v == nil || v == "" || ok && len(list) == 0
}

type walker struct {
	t    *testing.T
	file string
	want Event
	use  use
	tree map[string]any
}

// check decodes the sample as it is now, after the change at path.
func (w walker) check(path, change string, absence bool) {
	w.t.Helper()
	raw, err := json.Marshal(w.tree)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := Decode(raw)
	promise, kept := "which nothing uses", err == nil && reflect.DeepEqual(got, w.want)
	switch {
	case slices.Contains(w.use.needed, path):
		promise, kept = "which is needed", names(err, path) || change == "an object" && !w.needsInside(path) && err == nil
	case slices.Contains(w.use.used, path):
		promise, kept = "which may be missing", names(err, path) || absence && err == nil
	}
	if !kept {
		w.t.Errorf("%s, %s with %s, %s: got %+v, %v, want %+v", w.file, path, change, promise, got, err, w.want)
	}
}

// needsInside says whether Decode needs a field of the object at path.
func (w walker) needsInside(path string) bool {
	return slices.ContainsFunc(w.use.needed, func(p string) bool { return strings.HasPrefix(p, path+".") })
}

// names says whether the error names the field at path, or one inside of it.
func names(err error, path string) bool {
	return err != nil && (strings.Contains(err.Error(), ": "+path+": ") || strings.Contains(err.Error(), ": "+path+"."))
}
