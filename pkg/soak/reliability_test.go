package soak

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

var update = flag.Bool("update", false, "write docs/reliability.md anew")

// figures are the committed results of a soak: what plimsoll soak --json printed.
func figures(t *testing.T) Summary {
	t.Helper()
	raw, err := os.ReadFile(docs("reliability.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sum Summary
	if err := json.Unmarshal(raw, &sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

func docs(name string) string { return filepath.Join("..", "..", "docs", name) }

func TestThePageOfReliabilityIsFresh(t *testing.T) {
	got := page(figures(t))
	if *update {
		if err := os.WriteFile(docs("reliability.md"), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(docs("reliability.md"))
	if err != nil || string(want) != got {
		t.Errorf("docs/reliability.md is not what the table and docs/reliability.json make (%v); make generate writes it anew", err)
	}
}

func TestThePageKnowsEveryFaultOnceAndNamesTestsThatExist(t *testing.T) {
	var named []string
	for _, c := range classes() {
		named = append(named, c.tests...)
	}
	for _, k := range simcloud.FaultKinds() {
		if !slices.ContainsFunc(classes(), func(c class) bool { return c.number == k.Class }) {
			t.Errorf("no class %d for %s", k.Class, k.Name)
		}
	}
	for _, p := range promises() {
		named = append(named, p.tests...)
	}
	for _, name := range named {
		if !exists(t, name) {
			t.Errorf("there is no test %s", name)
		}
	}
	numbers := map[int]int{}
	for _, c := range classes() {
		numbers[c.number]++
		if len(c.tests) == 0 || c.holds == "" {
			t.Errorf("class %d has no test or no promise", c.number)
		}
	}
	for _, c := range absent() {
		numbers[c.number]++
	}
	for n := 1; n <= 40; n++ {
		if numbers[n] != 1 {
			t.Errorf("class %d is told %d times", n, numbers[n])
		}
	}
}

// The figures are of the faults that there are now: another fault wants a soak. What
// broke a promise in them is explained, run by run.
func TestTheFiguresAreOfAllFaultsAndWhatBrokeIsExplained(t *testing.T) {
	sum := figures(t)
	for _, k := range simcloud.FaultKinds() {
		if sum.Faults[k.Name] == 0 {
			t.Errorf("%s never struck in the soak of docs/reliability.json", k.Name)
		}
	}
	for _, f := range sum.Failures {
		if explained()[broke(f)] == "" {
			t.Errorf("nobody says why %s broke a promise", broke(f))
		}
	}
	if sum.Broken != len(sum.Failures) || sum.Broken != len(explained()) || sum.Commit == "" || sum.Date == "" {
		t.Errorf("%d trials broke a promise, %d are told, %d explained; commit %q, date %q", sum.Broken, len(sum.Failures), len(explained()), sum.Commit, sum.Date)
	}
}

// broke names a run that broke a promise.
func broke(f Failure) string { return fmt.Sprintf("%s %d", f.Scenario, f.Seed) }

// exists says whether a test, as FOLDER.TestName, is declared in the folder.
func exists(t *testing.T, name string) bool {
	t.Helper()
	folder, function, _ := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == function {
				return true
			}
		}
	}
	return false
}

// page is docs/reliability.md.
func page(sum Summary) string {
	var b strings.Builder
	b.WriteString(opening)
	fmt.Fprintf(&b, "The figures are those of [reliability.json](reliability.json): %s runs over %s with the seeds %d to %d, %s virtual hours in all, each window of a\nscenario with all faults on and a calm end; commit %s, %s. In them a function was invoked %s times.\n**Promises broken: %s.**\n\n",
		grouped(sum.Trials), strings.Join(sum.Scenarios, ", "), sum.First, sum.First+uint64(sum.Trials)-1, grouped(int(math.Round(sum.VirtualHours))), sum.Commit, sum.Date, grouped(sum.Invocations), grouped(sum.Broken))
	for _, f := range sum.Failures {
		fmt.Fprintf(&b, "- %s, seed %d: %s. %s.\n", f.Scenario, f.Seed, f.Promise, explained()[broke(f)])
	}
	b.WriteString("\n## Fault classes\n\n| # | what goes wrong | what holds | switches, and how often each struck | shown by |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range classes() {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", c.number, c.wrong, c.holds, switches(c.number, sum), shown(c.tests))
	}
	b.WriteString("\nA class without a switch is not a matter of chance: its test goes through the cases.\n\n## Promises\n\n| promise | what it says | broken in the figures' runs | held by |\n| --- | --- | --- | --- |\n")
	for _, p := range promises() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.name, p.says, broken(p, sum), shown(p.tests))
	}
	fmt.Fprintf(&b, "\nL1, L2, L3 and blame want the run without faults, or without an action, beside the run: of the %d trials of `make test` %d are judged by\nthem, the others by the monitors alone; of a soak all are.\n", trials, judged)
	fmt.Fprintf(&b, "\nEach stretch of time in which a service is under its floor is laid at a door, by running the same world without our actions: the world alone %s, the\nworld together with an action that was right by what could be known %s, ours %s.\n", grouped(sum.Dips["world"]), grouped(sum.Dips["shared"]), grouped(sum.Dips["ours"]))
	b.WriteString("\n## Not modelled\n\nThese fault classes have no switch yet, since what they befall is not built or not simulated.\n\n| # | fault | why |\n| --- | --- | --- |\n")
	for _, c := range absent() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", c.number, c.wrong, c.holds)
	}
	b.WriteString(closing)
	return b.String()
}

// switches are the faults of a class, with their strikes.
func switches(number int, sum Summary) string {
	var parts []string
	for _, k := range simcloud.FaultKinds() {
		if k.Class == number {
			parts = append(parts, fmt.Sprintf("`%s` %s", k.Name, grouped(sum.Faults[k.Name])))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "<br>")
}

func shown(tests []string) string {
	parts := make([]string, len(tests))
	for n, name := range tests {
		folder, function, _ := strings.Cut(name, ".")
		parts[n] = fmt.Sprintf("`%s` in [%s](../%s)", function, folder, folder)
	}
	return strings.Join(parts, "<br>")
}

func broken(p promise, sum Summary) string {
	if len(p.violations) == 0 {
		return "by its test alone"
	}
	n := 0
	for _, name := range p.violations {
		n += sum.Violations[name]
	}
	return grouped(n)
}

// grouped is a count as people read it.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
