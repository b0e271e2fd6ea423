package plan

import (
	"flag"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/reasons.md anew")

const reasonsPage = "../../docs/reasons.md"

// TestReasonsPage: docs/reasons.md is what Reasons makes of it. After a change
// of the list: go test ./pkg/plan -run ReasonsPage -update
func TestReasonsPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(reasonsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(reasonsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reasons.md is stale: go test ./pkg/plan -run ReasonsPage -update")
	}
}

func page() string {
	var b strings.Builder
	b.WriteString("# Reasons\n\nEvery decision carries one of these reasons, and the numbers that it rests on. A \"no\" is a decision too.\n")
	b.WriteString("This page is made from `pkg/plan/explain.go`; do not edit it.\n")
	section(&b, "Task counts", taskReasons())
	section(&b, "Hosts", hostReasons())
	section(&b, "Endpoints", endpointReasons())
	return b.String()
}

func section(b *strings.Builder, title string, all []Explanation) {
	fmt.Fprintf(b, "\n## %s\n\n| reason | what it means | what you can do |\n| --- | --- | --- |\n", title)
	for _, e := range all {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", e.Reason, e.Meaning, e.Advice)
	}
}

// TestEveryReasonIsExplainedAndGiven reads the constants of reason.go: each
// has its explanation, in the same order, and some decision that gives it.
func TestEveryReasonIsExplainedAndGiven(t *testing.T) {
	names, values := constants(t)
	var explained []string
	for _, e := range Reasons() {
		explained = append(explained, string(e.Reason))
		if !strings.HasSuffix(e.Meaning, ".") || strings.ContainsAny(e.Meaning+e.Advice, "|\n") {
			t.Errorf("%s: %q, %q", e.Reason, e.Meaning, e.Advice)
		}
	}
	if !slices.Equal(explained, values) {
		t.Errorf("explained: %q\nconstants: %q", explained, values)
	}
	code := ""
	for _, file := range []string{"tasks.go", "bounds.go", "wants.go", "hosts.go", "fleet.go", "removal.go", "cluster.go", "endpoints.go", "endpoints_roster.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code += string(b)
	}
	for _, name := range names {
		if !strings.Contains(code, name) {
			t.Errorf("no decision gives %s", name)
		}
	}
}

// constants are the names and values of reason.go.
func constants(t *testing.T) (names, values []string) {
	file, err := goparser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names, values = append(names, v.Names[0].Name), append(values, value)
		}
		return true
	})
	return names, values
}
