package test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The sizes that hold everywhere. Lines of a file are those that carry code;
// lines of a function are all from func to the closing brace.
const (
	mostFileLines     = 500
	mostTestFileLines = 800
	mostFuncLines     = 60
	mostMainLines     = 30 // of a Lambda function's main
)

// file is one file of the repository, by its path with slashes.
type file struct {
	name string
	text []byte
	fset *token.FileSet // with syntax: of Go files that nobody generated
	code *ast.File
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }
func (f file) main() bool { return f.code.Name.Name == "main" }

// at is the place of a node, for a message.
func (f file) at(n ast.Node) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// repository reads every file that git knows or would take, or without git all
// but what the build leaves behind. Directories are read too, so that go test
// does not call a result cached when a file has come or gone.
func repository(t *testing.T) []file {
	t.Helper()
	names, err := tracked()
	if err != nil {
		t.Logf("without git: %v", err)
		names = walked(t)
	}
	var all []file
	seen := map[string]bool{}
	for _, name := range names {
		if dir := path.Dir(name); !seen[dir] {
			seen[dir] = true
			if _, err := os.ReadDir(filepath.Join("..", filepath.FromSlash(dir))); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := parsed(name, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		t.Fatal("the repository shows no file")
	}
	return all
}

func tracked() ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	return distinct(names), nil
}

func walked(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(".."), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(words(".git .tools .venv dist cdk.out node_modules"), p):
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// generated matches the line that says so, by Go's convention.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// parsed is a file with its syntax, where that is for us to judge.
func parsed(name string, text []byte) (file, error) {
	f := file{name: name, text: text}
	if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") || generated.Match(text) {
		return f, nil
	}
	f.fset = token.NewFileSet()
	code, err := parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return f, fmt.Errorf("parse: %w", err)
	}
	f.code = code
	return f, nil
}

// habits are what is asked of each file by itself.
func habits() map[string]func(file) []string {
	return map[string]func(file) []string{
		"exported names are documented":             undocumented,
		"time and contexts come from the caller":    ambient,
		"nothing happens before main":               inits,
		"packages hold no state":                    globals,
		"files and functions fit on a few pages":    oversized,
		"links lead to files that are there":        broken,
		"no machine's paths and no registry's host": private,
	}
}

func TestHabits(t *testing.T) {
	all := repository(t)
	for name, check := range habits() {
		t.Run(name, func(t *testing.T) {
			for _, f := range all {
				for _, wrong := range check(f) {
					t.Error(wrong)
				}
			}
		})
	}
	t.Run("each package says once what it is", func(t *testing.T) {
		for _, wrong := range comments(all) {
			t.Error(wrong)
		}
	})
}

// comments finds packages with no comment or with several. Where a directory
// holds only tests, they carry it.
func comments(all []file) []string {
	code, tests := map[string][]file{}, map[string][]file{}
	for _, f := range all {
		switch dir := path.Dir(f.name); {
		case f.code == nil:
		case f.test():
			tests[dir] = append(tests[dir], f)
		default:
			code[dir] = append(code[dir], f)
		}
	}
	for dir, files := range tests {
		if code[dir] == nil {
			code[dir] = files
		}
	}
	var wrong []string
	for dir, files := range code {
		files = slices.DeleteFunc(files, func(f file) bool { return f.code.Doc == nil })
		if len(files) != 1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d package comments, want one", dir, len(files)))
		}
	}
	return wrong
}

func undocumented(f file) []string {
	if f.code == nil || f.test() {
		return nil
	}
	var wrong []string
	for _, d := range f.code.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				wrong = append(wrong, f.at(d)+": "+d.Name.Name+" is exported and not documented")
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				for _, name := range namesOf(s) {
					if name.IsExported() && !documented(d, s) {
						wrong = append(wrong, f.at(name)+": "+name.Name+" is exported and not documented")
					}
				}
			}
		}
	}
	return wrong
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	var name string
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}

// namesOf are the names that a declaration brings. A blank one brings none.
func namesOf(s ast.Spec) []*ast.Ident {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return []*ast.Ident{s.Name}
	case *ast.ValueSpec:
		return s.Names
	default:
		return nil
	}
}

// documented says whether the declaration has a comment: its own, at its end or,
// for a value, its group's.
func documented(d *ast.GenDecl, s ast.Spec) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Doc != nil || d.Doc != nil && len(d.Specs) == 1
	case *ast.ValueSpec:
		return s.Doc != nil || s.Comment != nil || d.Doc != nil
	default:
		return true
	}
}

// ambient finds uses of the machine's clock and of contexts from nowhere, but
// in mains and in the simulator's clock. A context with a timeout waits for real
// time too.
func ambient(f file) []string {
	if f.code == nil || f.test() || f.main() || f.name == "pkg/simcloud/clock.go" {
		return nil
	}
	banned := map[string][]string{
		"time":    words("Now Since Until Sleep After AfterFunc Tick NewTicker NewTimer"),
		"context": words("Background TODO WithTimeout WithTimeoutCause WithDeadline WithDeadlineCause"),
	}
	imported := importNames(f.code)
	var wrong []string
	ast.Inspect(f.code, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && slices.Contains(banned[imported[x.Name]], s.Sel.Name) {
			wrong = append(wrong, fmt.Sprintf("%s: %s.%s outside of a main", f.at(s), imported[x.Name], s.Sel.Name))
		}
		return true
	})
	return wrong
}

// importNames are the imported paths by the names that the file uses for them.
func importNames(code *ast.File) map[string]string {
	all := map[string]string{}
	for _, i := range code.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue // the parser has seen to it
		}
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		all[name] = p
	}
	return all
}

func inits(f file) []string {
	if f.code == nil {
		return nil
	}
	var wrong []string
	for _, d := range f.code.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
			wrong = append(wrong, f.at(d)+": init runs before anybody has asked for anything")
		}
	}
	return wrong
}

// globals finds package-level variables that are not constant in spirit: errors,
// compiled expressions and templates, embedded files, assertions of an interface.
func globals(f file) []string {
	if f.code == nil || f.test() {
		return nil
	}
	var wrong []string
	for _, d := range f.code.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		for _, s := range d.Specs {
			v := s.(*ast.ValueSpec)
			if !embedded(d.Doc) && !embedded(v.Doc) && !fixed(v) {
				wrong = append(wrong, f.at(v)+": "+v.Names[0].Name+" is a variable of the package")
			}
		}
	}
	return wrong
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func fixed(v *ast.ValueSpec) bool {
	blank := func(n *ast.Ident) bool { return n.Name == "_" }
	if !slices.ContainsFunc(v.Names, func(n *ast.Ident) bool { return !blank(n) }) {
		return true
	}
	makers := words("errors.New fmt.Errorf regexp.MustCompile template.Must")
	return len(v.Values) > 0 && !slices.ContainsFunc(v.Values, func(e ast.Expr) bool { return !slices.Contains(makers, called(e)) })
}

// called is the package function that an expression calls, such as errors.New.
func called(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name + "." + s.Sel.Name
	}
	return ""
}

func oversized(f file) []string {
	if f.code == nil {
		return nil
	}
	most := mostFileLines
	if f.test() {
		most = mostTestFileLines
	}
	var wrong []string
	if n := codeLines(f.text); n > most {
		wrong = append(wrong, fmt.Sprintf("%s: %d lines of code, at most %d", f.name, n, most))
	}
	for _, d := range f.code.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok || f.test() {
			continue
		}
		most := mostFuncLines
		if d.Name.Name == "main" && strings.HasPrefix(f.name, "functions/") {
			most = mostMainLines
		}
		if n := f.fset.Position(d.End()).Line - f.fset.Position(d.Pos()).Line + 1; n > most {
			wrong = append(wrong, fmt.Sprintf("%s: %s has %d lines, at most %d", f.at(d), d.Name.Name, n, most))
		}
	}
	return wrong
}

// codeLines counts the lines on which something other than a comment begins or
// goes on.
func codeLines(text []byte) int {
	fset := token.NewFileSet()
	in := fset.AddFile("", fset.Base(), len(text))
	var s scanner.Scanner
	s.Init(in, text, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // put in by the scanner
		}
		first := in.Line(pos)
		for n := range strings.Count(literal, "\n") + 1 {
			lines[first+n] = true
		}
	}
}

// links are the targets of Markdown's [text](target).
var links = regexp.MustCompile(`\]\(([^()\s]+)\)`)

func broken(f file) []string {
	if path.Ext(f.name) != ".md" {
		return nil
	}
	var wrong []string
	for _, m := range links.FindAllStringSubmatch(string(f.text), -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		to := path.Join(path.Dir(f.name), target)
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(to))); err != nil || strings.HasPrefix(to, "..") {
			wrong = append(wrong, fmt.Sprintf("%s: the link to %s leads nowhere", f.name, m[1]))
		}
	}
	return wrong
}

// places are what a clone elsewhere does not have: directories of one machine,
// folders beside the repository, and the hosts of package registries, which are
// for each machine's own settings to name.
func places() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`(?:^|[\s"'=(\x60:,])/(?:work|root|tmp|home|Users)/\w`),
		regexp.MustCompile(`\.\./(?:shared|briefs)\b`),
		regexp.MustCompile(`proxy\.golang\.org|sum\.golang\.org|goproxy\.\w+|registry\.npmjs\.org|registry\.yarnpkg\.com|pypi\.org|pythonhosted\.org`),
	}
}

func private(f file) []string {
	if bytes.IndexByte(f.text, 0) >= 0 || f.name == "package-lock.json" { // npm writes hosts into its own
		return nil
	}
	var wrong []string
	n, patterns := 0, places()
	for line := range strings.Lines(string(f.text)) {
		n++
		for _, p := range patterns {
			if m := p.FindString(line); m != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %q is not for the repository to name", f.name, n, strings.TrimSpace(m)))
			}
		}
	}
	return wrong
}

// TestHabitsAreCaught plants what each habit forbids, and what it only seems to.
func TestHabitsAreCaught(t *testing.T) {
	long := strings.Repeat("\tprintln()\n", 60)
	rows := []struct {
		name, habit, file, text string
		want                    string // of the one problem; empty: none
	}{
		{"a function", "documented", "p/a.go", "func Do() {}", "p/a.go:2: Do is exported and not documented"},
		{"a method", "documented", "p/a.go", "type t int\n// T is.\ntype T int\nfunc (x *T) Do() {}", "Do is exported"},
		{"a method of an unexported type", "documented", "p/a.go", "type t int\nfunc (x t) Do() {}", ""},
		{"a method of a generic type", "documented", "p/a.go", "// T is.\ntype T[V any] []V\nfunc (x T[V]) Do() {}", "Do is exported"},
		{"a type", "documented", "p/a.go", "type T int", "T is exported"},
		{"types share no comment", "documented", "p/a.go", "// These are.\ntype (\nT int\n// U is.\nU int\n)", "T is exported"},
		{"a constant", "documented", "p/a.go", "const C = 1", "C is exported"},
		{"constants share their group's comment", "documented", "p/a.go", "// These are.\nconst (\nC = 1\nD = 2\n)", ""},
		{"a comment at the end will do", "documented", "p/a.go", "const (\nC = 1 // is\n)", ""},
		{"tests need none", "documented", "p/a_test.go", "func TestX() {}", ""},

		{"the clock", "time", "p/a.go", "import \"time\"\nvar t = time.Now", "p/a.go:3: time.Now outside of a main"},
		{"the clock by another name", "time", "p/a.go", "import clock \"time\"\nfunc f() { clock.Sleep(1) }", "time.Sleep"},
		{"a context from nowhere", "time", "p/a.go", "import \"context\"\nfunc f() { g(context.TODO()) }", "context.TODO"},
		{"a context that waits for real time", "time", "p/a.go", "import \"context\"\nfunc f() { context.WithTimeout(c, 1) }", "context.WithTimeout"},
		{"types and constants of time are no clock", "time", "p/a.go", "import \"time\"\nfunc f(t time.Time) time.Duration { return time.Second }", ""},
		{"a field called time is not the package", "time", "p/a.go", "func f() { time.Now() }", ""},
		{"the simulator's clock", "time", "pkg/simcloud/clock.go", "import \"time\"\nfunc f() { time.Sleep(1) }", ""},
		{"another's clock.go", "time", "pkg/plan/clock.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "time.Sleep"},

		{"an init", "before main", "p/a.go", "func init() {}", "p/a.go:2: init"},
		{"a method may be called init", "before main", "p/a.go", "type t int\nfunc (t) init() {}", ""},

		{"a counter", "no state", "p/a.go", "var n int", "n is a variable"},
		{"a table", "no state", "p/a.go", "var all = []int{1}", "all is a variable"},
		{"one behind an error", "no state", "p/a.go", "var (\nerrA = errors.New(\"a\")\nn = 1\n)", "n is a variable"},
		{"errors, expressions and assertions", "no state", "p/a.go", "var (\nerrA = fmt.Errorf(\"a: %w\", errB)\nre = regexp.MustCompile(\"a\")\n_ I = T{}\n)", ""},
		{"an embedded file", "no state", "p/a.go", "//go:embed a.html\nvar page string", ""},

		{"a long function", "fit", "p/a.go", "func f() {\n" + long + "}", "f has 62 lines, at most 60"},
		{"a long test", "fit", "p/a_test.go", "func f() {\n" + long + "}", ""},
		{"a long main of a function", "fit", "functions/x/bootstrap/main.go", "func main() {\n" + long[:30*11] + "}", "main has 32 lines, at most 30"},
		{"a long file", "fit", "p/a.go", strings.Repeat("const _ = `\n`\n", 250), "501 lines of code, at most 500"},
		{"comments and blanks do not count", "fit", "p/a.go", strings.Repeat("// a\n\n/* b\nc */\n", 500), ""},

		{"a dead link", "links", "docs/a.md", "[x](nowhere.md)", "docs/a.md: the link to nowhere.md leads nowhere"},
		{"a link out of the repository", "links", "docs/a.md", "[x](../../go.mod)", "leads nowhere"},
		{"live links", "links", "docs/a.md", "[x](../go.mod) [y](https://example.com/z) [z](#here) [w](../go.mod#there)", ""},

		{"a machine's path", "paths", "Makefile", "\nx = " + "/" + "tmp/bin/x", "Makefile:3"},
		{"one in quotes", "paths", "a.md", "see `" + "/" + "home/me/x`", "a.md:2"},
		{"a registry's host", "paths", "a.yaml", "url: https://pypi" + ".org/simple", "a.yaml:2"},
		{"a folder beside the repository", "paths", "a.md", ".." + "/shared/x", "a.md:2"},
		{"a path of a URL or of an image is nobody's", "paths", "a.md", "https://example.com/home/x /var/task x/tmp/y", ""},
	}
	for _, r := range rows {
		t.Run(r.habit+": "+r.name, func(t *testing.T) {
			f, err := parsed(r.file, []byte("package p\n"+r.text))
			if err != nil {
				t.Fatal(err)
			}
			ran := 0
			for name, check := range habits() {
				if strings.Contains(name, r.habit) {
					ran++
					expect(t, check(f), r.want)
				}
			}
			if ran != 1 {
				t.Fatalf("%d habits are called %q", ran, r.habit)
			}
		})
	}
}

func TestPackageComments(t *testing.T) {
	rows := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"one", map[string]string{"p/a.go": "// Package p is.\npackage p", "p/b.go": "package p", "p/b_test.go": "package p"}, ""},
		{"none", map[string]string{"p/a.go": "package p", "p/b_test.go": "// Package p is.\npackage p"}, "p: 0 package comments"},
		{"two", map[string]string{"p/a.go": "// Package p is.\npackage p", "p/b.go": "// Package p does.\npackage p"}, "p: 2 package comments"},
		{"only tests", map[string]string{"p/b_test.go": "package p"}, "p: 0 package comments"},
		{"generated code does not count", map[string]string{"p/a.go": "// Package p is.\npackage p", "p/b.go": "// Code generated by x. DO NOT EDIT.\n\n// Package p is.\npackage p"}, ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var all []file
			for name, text := range r.files {
				f, err := parsed(name, []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, f)
			}
			expect(t, comments(all), r.want)
		})
	}
}
