package binary

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
)

// The goals, as ratios to the bare program but for the two absolute ones.
const (
	goalSize  = 1.25
	goalStart = 1.25
	goalZip   = 6.0  // MB
	goalIdle  = 30.0 // MiB
)

// subject is a function beside its bare program.
type subject struct {
	name    string
	main    string
	ports   reflect.Type
	message string
	runtime map[string]string // what a deployment sets for Go, of both programs
	handler float64           // the goal of an invocation's CPU over a bare one's
	policy  func(testing.TB) string
}

func subjects() []subject {
	return []subject{
		{"ingest", ingestMain, reflect.TypeFor[ingest.Ports](), sweep, ingest.Runtime(), 3, steer},
		{"reconcile", reconcileMain, reflect.TypeFor[reconcile.Ports](), wakeOf(0), reconcile.Runtime(), 6, steer},
		{"register", registerMain, reflect.TypeFor[register.Ports](), wakeShop(0), register.Runtime(), 4, reach},
	}
}

// port is one of a function's ports, for the bare program's source.
type port struct {
	Field, Package string
	Methods        []string
}

// portsOf lists a function's ports, so that the bare program has the same clients
// and methods however these change. A port that is not in the SDK's shape has no
// client, here as there.
func portsOf(t *testing.T, ports reflect.Type) []port {
	t.Helper()
	var all []port
	for n := range ports.NumField() {
		f := ports.Field(n)
		if f.Type.NumMethod() > 0 && f.Type.Method(0).Type.In(1).Kind() != reflect.Pointer {
			continue
		}
		p := port{Field: f.Name}
		for m := range f.Type.NumMethod() {
			p.Methods = append(p.Methods, f.Type.Method(m).Name)
			p.Package = filepath.Base(f.Type.Method(m).Type.In(1).Elem().PkgPath())
		}
		if len(p.Methods) == 0 {
			t.Fatalf("the port %s has no method", f.Name)
		}
		all = append(all, p)
	}
	return all
}

// bare builds the bare program of a function in place of its main.
func bare(t *testing.T, s subject, architecture string) string {
	t.Helper()
	source, err := template.ParseFiles("testdata/bare.go.txt")
	check(t, err)
	var text bytes.Buffer
	check(t, source.Execute(&text, map[string]any{"Ports": portsOf(t, s.ports)}))
	folder := t.TempDir()
	file, list := filepath.Join(folder, "main.go.txt"), filepath.Join(folder, "overlay.json")
	check(t, os.WriteFile(file, text.Bytes(), 0o600))
	replaced, err := filepath.Abs(filepath.Join("../..", s.main, "main.go"))
	check(t, err)
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{replaced: file}})
	check(t, err)
	check(t, os.WriteFile(list, raw, 0o600))
	out := filepath.Join(folder, "bootstrap")
	check(t, build(out, s.main, architecture, "-overlay", list))
	return out
}

// ours builds the function itself.
func ours(t *testing.T, s subject, architecture string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bootstrap")
	check(t, build(out, s.main, architecture))
	return out
}

// megabytes is the size of a binary as a zip.
func megabytes(t *testing.T, file string) float64 {
	t.Helper()
	raw, err := os.ReadFile(file)
	check(t, err)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestCompression) })
	f, err := w.Create("bootstrap")
	check(t, err)
	_, err = f.Write(raw)
	check(t, err)
	check(t, w.Close())
	return float64(out.Len()) / 1e6
}

// spent is the CPU that a process took from exec to its end, which the kernel
// counts exactly.
func (f *function) spent() time.Duration {
	f.kill()
	return f.cmd.ProcessState.UserTime() + f.cmd.ProcessState.SystemTime()
}

// idle is the memory that a process has, in MiB.
func (f *function) idle(t *testing.T) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	check(t, err)
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			check(t, err)
			return n / 1024
		}
	}
	t.Fatal("the kernel does not say how much memory it has")
	return 0
}

// costs are the medians of one program.
type costs struct {
	ZipMB     float64 `json:"zipMB"`     // for this processor
	ArmMB     float64 `json:"zipMBArm"`  // as it is deployed
	StartMS   float64 `json:"startMS"`   // of CPU, from exec to the first next
	IdleMiB   float64 `json:"idleMiB"`   // resident when it waits for its first invocation
	HandlerMS float64 `json:"handlerMS"` // of CPU, an invocation with one message
	Calls     float64 `json:"calls"`     // to AWS, an invocation
}

// row is a function beside its bare program.
type row struct {
	Function string
	Ours     costs
	Bare     costs
}

// measure runs both programs in turn, so that what else the machine does meets
// both alike.
func measure(t *testing.T, s subject, runs int) row {
	t.Helper()
	a := newAWS(t, time.Now())
	if s.main == registerMain {
		a.open(t)
	}
	programs := []string{ours(t, s, runtime.GOARCH), bare(t, s, runtime.GOARCH)}
	all := [2]costs{}
	for n, file := range programs {
		all[n].ZipMB = megabytes(t, file)
	}
	all[0].ArmMB, all[1].ArmMB = megabytes(t, ours(t, s, "arm64")), megabytes(t, bare(t, s, "arm64"))
	settle(t, a, s)
	env := a.env()
	for name, v := range s.runtime {
		env = append(env, name+"="+v)
	}
	const invocations = 200
	var starts, idles, handled [2][]float64
	for range runs {
		for n, file := range programs {
			f := start(t, file, s.policy(t), env)
			<-f.ready
			idles[n] = append(idles[n], f.idle(t))
			starts[n] = append(starts[n], ms(f.spent()))
		}
	}
	for n := range programs {
		all[n].StartMS, all[n].IdleMiB = median(starts[n]), median(idles[n])
	}
	for range max(3, runs/5) {
		for n, file := range programs {
			f := start(t, file, s.policy(t), env)
			a.made()
			for i := range invocations {
				got, err := f.invoke(batch(record(fmt.Sprint("m", i), s.message)), enough)
				if err != nil || got.failed || string(got.body) != `{"batchItemFailures":[]}` {
					f.kill()
					t.Fatalf("%s: %s, %v\n%s", file, got.body, err, f.said)
				}
			}
			all[n].Calls = float64(len(a.made())) / invocations
			handled[n] = append(handled[n], (ms(f.spent())-all[n].StartMS)/invocations)
		}
	}
	for n := range programs {
		all[n].HandlerMS = median(handled[n])
	}
	return row{Function: s.name, Ours: all[0], Bare: all[1]}
}

// settle lets the cluster come to rest, or what is registered: what is measured is
// a round that finds nothing to do.
func settle(t *testing.T, a *fakeAWS, s subject) {
	t.Helper()
	main, wake := reconcileMain, wakeOf
	if s.main == registerMain {
		main, wake = registerMain, wakeShop
	}
	f := start(t, built.binary(t, main), s.policy(t), a.env())
	for n := range 12 {
		a.pass(t, time.Minute)
		_, err := f.invoke(batch(record(fmt.Sprint("settle", n), wake(n))), enough)
		check(t, err)
	}
	f.kill()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// TestBenchLambda is make bench-lambda: it prints a table, and writes it as JSON.
func TestBenchLambda(t *testing.T) {
	to := os.Getenv("PLIMSOLL_BENCH")
	if to == "" {
		t.Skip("make bench-lambda runs it")
	}
	runs := 15
	if n, err := strconv.Atoi(os.Getenv("PLIMSOLL_BENCH_RUNS")); err == nil {
		runs = n
	}
	var rows []row
	for _, s := range subjects() {
		rows = append(rows, measure(t, s, runs))
	}
	fmt.Printf("\nThe functions beside bare programs with the same clients and methods: medians of %d runs on %s/%s.\n\n%s\n", runs, runtime.GOOS, runtime.GOARCH, report(rows))
	raw, err := json.MarshalIndent(map[string]any{"runs": runs, "architecture": runtime.GOARCH, "functions": rows}, "", "  ")
	check(t, err)
	check(t, os.WriteFile(to, append(raw, '\n'), 0o600))
}

// report is the table, with what falls short of its goal said so.
func report(rows []row) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "function\tmeasure\tours\tbare\tratio\tgoal\t") // a Builder takes everything
	for n, r := range rows {
		o, b := r.Ours, r.Bare
		line := func(what, format string, ours, bare, of, goal float64) {
			verdict := "met"
			if of > goal {
				verdict = "FALLS SHORT"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t"+format+"\t"+format+"\t%.2f\t%g\t%s\n", r.Function, what, ours, bare, ours/bare, goal, verdict)
		}
		line("zip, MB, ratio", "%.2f", o.ZipMB, b.ZipMB, o.ZipMB/b.ZipMB, goalSize)
		line("zip for arm64, MB, ratio", "%.2f", o.ArmMB, b.ArmMB, o.ArmMB/b.ArmMB, goalSize)
		line("the larger zip, MB", "%.2f", max(o.ZipMB, o.ArmMB), max(b.ZipMB, b.ArmMB), max(o.ZipMB, o.ArmMB), goalZip)
		line("CPU to the first next, ms, ratio", "%.2f", o.StartMS, b.StartMS, o.StartMS/b.StartMS, goalStart)
		line("memory idle, MiB", "%.1f", o.IdleMiB, b.IdleMiB, o.IdleMiB, goalIdle)
		line("CPU of an invocation, ms, ratio", "%.3f", o.HandlerMS, b.HandlerMS, o.HandlerMS/b.HandlerMS, subjects()[n].handler)
		_, _ = fmt.Fprintf(w, "%s\tcalls of an invocation\t%.1f\t%.1f\t%.2f\t\t\n", r.Function, o.Calls, b.Calls, o.Calls/b.Calls)
		each, other := o.HandlerMS/o.Calls, b.HandlerMS/b.Calls
		_, _ = fmt.Fprintf(w, "%s\tCPU of an invocation a call, ms\t%.3f\t%.3f\t%.2f\t\t\n", r.Function, each, other, each/other)
	}
	_ = w.Flush()
	return out.String()
}

// The bare programs are made of the ports, which change: make bench-lambda is run
// too seldom to tell that one does not compile any more.
func TestTheBareProgramsBuild(t *testing.T) {
	for _, s := range subjects() {
		bare(t, s, runtime.GOARCH)
	}
}

func TestTheReportSaysWhatFallsShort(t *testing.T) {
	good := costs{ZipMB: 3, ArmMB: 3, StartMS: 10, IdleMiB: 12, HandlerMS: 1, Calls: 2}
	bad := costs{ZipMB: 7, ArmMB: 3, StartMS: 20, IdleMiB: 40, HandlerMS: 7, Calls: 2}
	if got := report([]row{{"ingest", good, good}}); strings.Contains(got, "FALLS") {
		t.Error(got)
	}
	if got := report([]row{{"ingest", bad, good}}); strings.Count(got, "FALLS SHORT") != 5 {
		t.Error(got)
	}
}
