package file

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

var update = flag.Bool("update", false, "write the schema in docs anew")

func docs(name string) string { return filepath.Join("..", "..", "..", "docs", name) }

func TestTheSchemaInDocsIsFresh(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(docs("plimsoll.schema.json"), want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docs("plimsoll.schema.json"))
	if err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("docs/plimsoll.schema.json is stale (%v): go generate ./pkg/policy/file", err)
	}
}

func TestEveryKeyHasANoteAndEveryNoteAKey(t *testing.T) {
	left := notes()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[policy.Policy](), reflect.TypeFor[policy.HostGroup](), reflect.TypeFor[policy.Offers](), reflect.TypeFor[policy.Removal](),
		reflect.TypeFor[policy.Service](), reflect.TypeFor[policy.Tasks](), reflect.TypeFor[policy.Target](), reflect.TypeFor[policy.Manner](),
		reflect.TypeFor[policy.Standalone](), reflect.TypeFor[policy.Endpoint](),
	} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			key := typ.Name() + "." + name
			if left[key].says == "" {
				t.Errorf("%s has no note", key)
			}
			delete(left, key)
		}
	}
	for key := range left {
		t.Errorf("%s is a note of no key", key)
	}
}

func TestTheExampleInDocsIsRight(t *testing.T) {
	raw, err := os.ReadFile(docs("plimsoll.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read("plimsoll.example.yaml", raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Scope(); len(got.Metrics) != 3 || !slices.Equal(got.Services, []string{"agent", "jobs", "web"}) {
		t.Errorf("the example's scope is %+v", got)
	}
	if got := p.Registered(); !slices.Equal(got, []string{"game", "web"}) {
		t.Errorf("the example registers the ports of %q", got)
	}
	for key := range notes() {
		_, name, _ := strings.Cut(key, ".")
		if !bytes.Contains(raw, []byte(name+":")) {
			t.Errorf("the example does not show %s", key)
		}
	}
}

func TestWriteShowsTheSchemaAndEveryDefault(t *testing.T) {
	raw, err := Write(policy.Policy{Version: 1, Cluster: "a", Hosts: []policy.HostGroup{{Group: "g", Max: 1}}})
	want := `# yaml-language-server: $schema=./plimsoll.schema.json
cluster: a
hosts:
- group: g
  max: 1
  min: 0
  removal:
    drainTimeout: 10m
    emptyAfter: 1m
    maxAtOnce: 1
mode: act
services: {}
version: 1
`
	if err != nil || string(raw) != want {
		t.Errorf("got %s, %v; want %s", raw, err, want)
	}
	if raw, err := Write(policy.Policy{}); raw != nil || err == nil {
		t.Errorf("a wrong policy was written as %s", raw)
	}
}

// told are the problems of a file, one a line.
func told(t *testing.T, raw string) []string {
	t.Helper()
	_, err := Read("plimsoll.yaml", []byte(raw))
	var problems policy.Problems
	if err != nil && (!errors.As(err, &problems) || !strings.HasPrefix(err.Error(), "read policy plimsoll.yaml: ")) {
		t.Fatalf("the error is no list of problems of the file: %v", err)
	}
	var all []string
	for _, p := range problems {
		all = append(all, p.String())
	}
	return all
}
