// Package test checks the repository as a whole: who may import whom, and the
// habits that no compiler enforces. It holds no code, only tests.
package test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/plimsoll-ecs/plimsoll"

// The outside modules that several packages use.
const (
	sdk    = "github.com/aws/aws-sdk-go-v2"
	smithy = "github.com/aws/smithy-go"
	zap    = "go.uber.org/zap"
	yaml   = "sigs.k8s.io/yaml"
)

// rule is what one package may import besides the standard library.
type rule struct {
	ours   []string // packages of this module, exactly
	theirs []string // outside packages, and what lies below them
	pure   bool     // no world: see impure
	blind  bool     // its tests, too, keep to ours
}

// table is the architecture: docs/architecture.md says why. A package that is
// not in it fails the test; a new one joins by one line here and one there.
func table() map[string]rule {
	all := map[string]rule{
		"pkg/cluster":              {pure: true, blind: true},
		"pkg/policy":               {ours: words("pkg/cluster"), pure: true, blind: true},
		"pkg/policy/file":          {ours: words("pkg/cluster pkg/policy"), theirs: []string{yaml, "go.yaml.in/yaml/v4", "github.com/invopop/jsonschema", "github.com/santhosh-tekuri/jsonschema/v6"}, blind: true},
		"pkg/plan":                 {ours: words("pkg/cluster pkg/policy"), pure: true, blind: true},
		"events":                   {pure: true, blind: true},
		"pkg/reconcile":            {ours: words("events pkg/cluster pkg/emf pkg/handler pkg/plan pkg/policy"), theirs: []string{zap}},
		"pkg/handler":              {ours: words("events"), theirs: []string{"github.com/aws/aws-lambda-go/events", zap}},
		"pkg/awscloud/clusterside": {ours: words("pkg/cluster"), theirs: []string{sdk, smithy}},
		// endpointside reads ECS just as clusterside does, and shares how.
		"pkg/awscloud/endpointside": {ours: words("pkg/awscloud/clusterside pkg/cluster"), theirs: []string{sdk, smithy}},
		"pkg/awscloud/tally":        {theirs: []string{sdk, smithy}},
		"pkg/emf":                   {pure: true, blind: true},
		"pkg/store":                 {ours: words("pkg/cluster pkg/plan"), theirs: []string{sdk + "/aws", sdk + "/service/dynamodb", sdk + "/service/sqs"}},
		"pkg/simcloud":              {theirs: []string{sdk, smithy}, blind: true},

		// ingest decides nothing: it names keys (pkg/reconcile's Key) and wakes them (pkg/store's Waker).
		"functions/ingest":    {ours: words("events pkg/handler pkg/policy pkg/reconcile pkg/store"), theirs: []string{zap}},
		"functions/reconcile": {ours: words("events pkg/awscloud/clusterside pkg/cluster pkg/handler pkg/policy pkg/reconcile pkg/store")},
		"functions/register":  {ours: words("events pkg/awscloud/clusterside pkg/awscloud/endpointside pkg/cluster pkg/handler pkg/policy pkg/reconcile pkg/store")},

		"functions/ingest/bootstrap":    {ours: words("functions/ingest pkg/handler pkg/policy"), theirs: lambda()},
		"functions/reconcile/bootstrap": {ours: words("functions/reconcile pkg/awscloud/tally pkg/handler pkg/policy pkg/reconcile"), theirs: lambda()},

		"functions/register/bootstrap": {ours: words("functions/register pkg/awscloud/endpointside pkg/awscloud/tally pkg/handler pkg/policy pkg/reconcile"), theirs: lambda()},

		"test":      {},
		"test/peer": {}, // tests only: they put everything over moto
	}
	// scenario plays the operator and the deployment: it makes clusters, queues and alarms by the SDK's words.
	all["pkg/scenario"] = rule{ours: without(all, "bootstrap", "test", "peer"), theirs: []string{sdk + "/aws", sdk + "/service", yaml, zap}}
	all["pkg/report"] = rule{ours: words("pkg/cluster pkg/plan pkg/policy pkg/scenario"), theirs: []string{"charm.land"}}
	all["pkg/soak"] = rule{ours: words("pkg/cluster pkg/plan pkg/policy pkg/scenario pkg/simcloud")}                                                                                    // simcloud: which faults there are
	all["cmd/plimsoll"] = rule{ours: without(all, "bootstrap", "test", "peer"), theirs: []string{"github.com/spf13/cobra", "charm.land", "github.com/charmbracelet/x/term", yaml, sdk}} // term: how wide the terminal is
	// infra mirrors the code: rules, alarms, and rights from the functions' ports.
	all["infra"] = rule{ours: words("events functions/ingest functions/reconcile functions/register pkg/policy pkg/policy/file pkg/store"), theirs: cdk()}
	all["infra/app"] = rule{ours: words("infra"), theirs: words("github.com/aws/jsii-runtime-go")}
	all["infra/pack"] = rule{theirs: []string{"github.com/CycloneDX/cyclonedx-go"}}
	all["test/binary"] = rule{} // its tests build and run the mains, and import none
	return all
}

// cdk is what only infra imports: it takes minutes to compile.
func cdk() []string {
	return words("github.com/aws/aws-cdk-go/awscdk/v2 github.com/aws/constructs-go/constructs/v10 github.com/aws/jsii-runtime-go github.com/cdklabs/cdk-nag-go/cdknag/v2")
}

// lambda is what a function's main puts together.
func lambda() []string { return []string{"github.com/aws/aws-lambda-go/lambda", sdk, smithy, zap} }

func words(s string) []string { return strings.Fields(s) }

// without are the packages whose last element is none of the given.
func without(all map[string]rule, names ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(p string) bool { return slices.Contains(names, path.Base(p)) })
}

// impure are the parts of the standard library that see the world, wait for
// something or share state; with what lies below each. "time" is allowed for
// its types: hygiene_test.go sees to its functions.
func impure() []string {
	return []string{"context", "embed", "io/fs", "log", "net", "os", "plugin", "runtime", "sync", "syscall", "unsafe"}
}

// vague are names that say nothing about what a package is for.
func vague() []string {
	return []string{"common", "helper", "helpers", "internal", "manager", "misc", "models", "shared", "types", "util", "utils"}
}

// deepest is the longest chain of packages of ours that import each other.
const deepest = 8

// listed is one package as go list shows it.
type listed struct {
	name    string   // below the module
	imports []string // of the package itself
	tests   []string // of its tests
}

func TestImports(t *testing.T) {
	for _, p := range problems(list(t), table()) {
		t.Error(p)
	}
}

func TestArchitectureNamesEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range table() {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/architecture.md does not name %s", name)
		}
	}
}

// list asks go for every package, as Linux, Windows and macOS see it.
func list(t *testing.T) []listed {
	t.Helper()
	repository(t) // so that a cached result is not taken for a tree that has changed
	found := map[string]listed{}
	for _, system := range []string{"linux", "windows", "darwin"} {
		// -e: what a package imports is told even where that does not compile.
		cmd := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}};{{join .Imports " "}};{{join .TestImports " "}} {{join .XTestImports " "}}`, "./...")
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
		var complaint bytes.Buffer
		cmd.Stderr = &complaint
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list for %s: %v\n%s", system, err, &complaint)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(line, ";")
			p := found[f[0]]
			p.name = below(f[0])
			p.imports, p.tests = append(p.imports, words(f[1])...), append(p.tests, words(f[2])...)
			found[f[0]] = p
		}
	}
	if len(found) == 0 {
		t.Fatal("go list shows no package")
	}
	return slices.SortedFunc(maps.Values(found), func(a, b listed) int { return strings.Compare(a.name, b.name) })
}

func below(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

// problems are all that is wrong with the packages, in their order.
func problems(packages []listed, rules map[string]rule) []string {
	var wrong []string
	edges := map[string][]string{}
	for _, p := range packages {
		r, known := rules[p.name]
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s is not in the table of packages", p.name))
		}
		wrong = append(wrong, misnamed(p.name)...)
		for _, imp := range distinct(p.imports) {
			wrong = append(wrong, r.judge(p.name, imp)...)
			if own(imp) {
				edges[p.name] = append(edges[p.name], below(imp))
			}
		}
		for _, imp := range distinct(p.tests) {
			if r.blind && own(imp) && below(imp) != p.name && !slices.Contains(r.ours, below(imp)) {
				wrong = append(wrong, fmt.Sprintf("the tests of %s must not import %s", p.name, below(imp)))
			}
		}
	}
	for _, p := range packages {
		if chain := longest(p.name, edges, nil); len(chain) > deepest {
			wrong = append(wrong, fmt.Sprintf("a chain of %d imports: %s", len(chain), strings.Join(chain, " > ")))
		}
	}
	return wrong
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func own(imp string) bool { return imp == module || strings.HasPrefix(imp, module+"/") }

// judge says what is wrong with one import of the package.
func (r rule) judge(name, imp string) []string {
	first, _, _ := strings.Cut(imp, "/")
	allowed := true
	switch {
	case own(imp):
		allowed = slices.Contains(r.ours, below(imp))
	case strings.Contains(first, "."):
		allowed = covers(r.theirs, imp)
	case r.pure && covers(impure(), imp):
		return []string{fmt.Sprintf("%s is pure: it must not import %s", name, imp)}
	}
	if !allowed {
		return []string{fmt.Sprintf("%s must not import %s", name, below(imp))}
	}
	return nil
}

// covers says whether the list names the import or something above it.
func covers(list []string, imp string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return imp == l || strings.HasPrefix(imp, l+"/") })
}

func misnamed(name string) []string {
	for part := range strings.SplitSeq(name, "/") {
		if slices.Contains(vague(), part) {
			return []string{fmt.Sprintf("%s: %q does not say what the package is for", name, part)}
		}
	}
	return nil
}

// longest is the longest chain of imports that begins with the package. A cycle
// cannot be built, but is not followed for ever either.
func longest(name string, edges map[string][]string, above []string) []string {
	above = append(slices.Clone(above), name)
	best := []string{name}
	for _, next := range edges[name] {
		if slices.Contains(above, next) {
			continue
		}
		if chain := longest(next, edges, above); len(chain) >= len(best) {
			best = append([]string{name}, chain...)
		}
	}
	return best
}

func TestImportProblems(t *testing.T) {
	ours := func(names string) []string {
		var all []string
		for _, n := range words(names) {
			all = append(all, module+"/"+n)
		}
		return all
	}
	rows := []struct {
		name     string
		packages []listed
		want     string // of the one problem; empty: none
	}{
		{"what the table allows is allowed", []listed{{name: "pkg/plan", imports: append(ours("pkg/cluster pkg/policy"), "slices", "time")}}, ""},
		{"a package that nobody listed", []listed{{name: "pkg/stray"}}, "pkg/stray is not in the table"},
		{"the planner must not ask the simulator", []listed{{name: "pkg/plan", imports: ours("pkg/simcloud")}}, "pkg/plan must not import pkg/simcloud"},
		{"nor may its tests", []listed{{name: "pkg/plan", tests: ours("pkg/simcloud")}}, "the tests of pkg/plan must not import pkg/simcloud"},
		{"the simulator must not ask the planner", []listed{{name: "pkg/simcloud", imports: ours("pkg/plan")}}, "pkg/simcloud must not import pkg/plan"},
		{"nor may its tests ask it", []listed{{name: "pkg/simcloud", tests: ours("pkg/plan")}}, "the tests of pkg/simcloud must not import pkg/plan"},
		{"an external test imports its own package", []listed{{name: "pkg/simcloud", tests: ours("pkg/simcloud")}}, ""},
		{"the SDK stays out of the rounds", []listed{{name: "pkg/reconcile", imports: []string{sdk + "/service/ecs"}}}, "pkg/reconcile must not import " + sdk},
		{"the store speaks to its two services only", []listed{{name: "pkg/store", imports: []string{sdk + "/service/ecs"}}}, "pkg/store must not import " + sdk},
		{"a module's neighbour is not the module", []listed{{name: "pkg/reconcile", imports: []string{zap + "extra"}}}, "pkg/reconcile must not import " + zap},
		{"what is pure opens no file", []listed{{name: "pkg/cluster", imports: []string{"os"}}}, "pkg/cluster is pure: it must not import os"},
		{"nor anything below", []listed{{name: "pkg/policy", imports: []string{"net/http"}}}, "pkg/policy is pure"},
		{"others may", []listed{{name: "cmd/plimsoll", imports: []string{"os", "net/http"}}}, ""},
		{"the deployment asks no simulator", []listed{{name: "infra", imports: ours("pkg/simcloud")}}, "infra must not import pkg/simcloud"},
		{"the CDK stays out of everything else", []listed{{name: "cmd/plimsoll", imports: []string{"github.com/aws/aws-cdk-go/awscdk/v2"}}}, "cmd/plimsoll must not import github.com/aws/aws-cdk-go"},
		{"nobody imports a main", []listed{{name: "cmd/plimsoll", imports: ours("functions/ingest/bootstrap")}}, "cmd/plimsoll must not import functions/ingest/bootstrap"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { expect(t, problems(r.packages, table()), r.want) })
	}
}

// expect wants the one problem that begins with want, or none.
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVagueNamesAndLongChains(t *testing.T) {
	chain := func(n int) ([]listed, map[string]rule) {
		var all []listed
		rules := map[string]rule{}
		for i := range n {
			name, next := fmt.Sprintf("p%d", i), fmt.Sprintf("p%d", i+1)
			p, r := listed{name: name}, rule{ours: []string{next}}
			if i+1 < n {
				p.imports = []string{module + "/" + next}
			}
			all, rules[name] = append(all, p), r
		}
		return all, rules
	}
	expect(t, problems(chain(deepest)), "")
	expect(t, problems(chain(deepest+1)), "a chain of 9 imports: p0 > p1")
	for _, name := range []string{"pkg/utils", "internal/plan", "pkg/store/types"} {
		expect(t, problems([]listed{{name: name}}, map[string]rule{name: {}}), "does not say what the package is for")
	}
	loop := []listed{{name: "a", imports: []string{module + "/b"}}, {name: "b", imports: []string{module + "/a"}}}
	expect(t, problems(loop, map[string]rule{"a": {ours: words("b")}, "b": {ours: words("a")}}), "") // go refuses it; we only must come back
}
