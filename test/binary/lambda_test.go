package binary

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// invocation is what the runtime's GET of next answers with.
type invocation struct {
	payload []byte
	left    time.Duration // until the deadline
}

// answer is how an invocation ended.
type answer struct {
	body   []byte
	failed bool // the runtime posted an error
}

// function is the process of a bootstrap under a Runtime API of its own.
type function struct {
	cmd     *exec.Cmd
	api     *httptest.Server
	queue   chan invocation
	answers chan answer
	ready   chan struct{} // closed at the first next
	done    chan struct{} // closed when the process is gone
	once    sync.Once
	said    *output // what it wrote, to both of its streams
}

// output is written by a process and read by a test.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// start runs a binary as Lambda does, in a task root that holds the policy. It
// does not wait.
func start(t testing.TB, binary, policy string, env []string) *function {
	t.Helper()
	f := &function{queue: make(chan invocation), answers: make(chan answer, 1), ready: make(chan struct{}), done: make(chan struct{}), said: &output{}}
	f.api = httptest.NewServer(f)
	root := t.TempDir()
	if policy != "" {
		check(t, os.WriteFile(filepath.Join(root, "policy.json"), []byte(policy), 0o600))
	}
	f.cmd = exec.Command(binary)
	f.cmd.Dir, f.cmd.Stdout, f.cmd.Stderr = root, f.said, f.said
	f.cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(f.api.URL, "http://"), "LAMBDA_TASK_ROOT=" + root,
		"AWS_LAMBDA_FUNCTION_NAME=plimsoll", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "_HANDLER=bootstrap",
	}, env...)
	check(t, f.cmd.Start())
	go func() {
		_ = f.cmd.Wait() // how it ended is in ProcessState
		close(f.done)
	}()
	t.Cleanup(func() { f.kill(); f.api.Close() })
	return f
}

// kill is kill -9; it returns when the process is gone.
func (f *function) kill() {
	_ = f.cmd.Process.Kill() // it may be gone already
	<-f.done
	f.api.CloseClientConnections()
}

// ServeHTTP is the Runtime API.
func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // of a process that is gone there is less
	path := strings.TrimPrefix(r.URL.Path, "/2018-06-01/runtime/")
	switch {
	case path == "invocation/next":
		f.once.Do(func() { close(f.ready) })
		f.next(w, r)
	case path == "init/error", strings.HasSuffix(path, "/error"):
		f.answers <- answer{body, true}
		w.WriteHeader(http.StatusAccepted)
	case strings.HasSuffix(path, "/response"):
		f.answers <- answer{body, false}
		w.WriteHeader(http.StatusAccepted)
	default:
		http.NotFound(w, r)
	}
}

func (f *function) next(w http.ResponseWriter, r *http.Request) {
	select {
	case i := <-f.queue:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+region+":"+account+":function:plimsoll")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(i.left).UnixMilli()))
		_, _ = w.Write(i.payload) // who asked may be dead
	case <-f.done:
	case <-r.Context().Done():
	}
}

// errGone says that the process ended instead of answering.
var errGone = errors.New("the function's process is gone")

// invoke runs one invocation to its answer, or to the end of the process.
func (f *function) invoke(payload []byte, left time.Duration) (answer, error) {
	select {
	case f.queue <- invocation{payload, left}:
	case <-f.done:
		return answer{}, errGone
	}
	select {
	case a := <-f.answers:
		return a, nil
	case <-f.done:
		return answer{}, errGone
	}
}

// exit waits until the process ends of itself and returns its code, or -1 if it
// asks for an invocation instead.
func (f *function) exit() int {
	select {
	case <-f.done:
		return f.cmd.ProcessState.ExitCode()
	case <-f.ready:
		return -1
	}
}

// builds are the binaries that the tests have built, in one folder for all.
type builds struct {
	folder string
	mu     sync.Mutex
	errs   map[string]error
}

// flags are those of make build.
func flags() []string {
	return []string{"build", "-buildvcs=false", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w"}
}

// binary builds a main package of the repository for Linux on this processor,
// once, and returns the file.
func (b *builds) binary(t testing.TB, main string) string {
	t.Helper()
	return b.made(t, main, func(file string) error { return build(file, main, runtime.GOARCH) })
}

// panicking is the reconcile function, from its own source, in which a call panics.
func (b *builds) panicking(t testing.TB) string {
	t.Helper()
	return b.made(t, "panicking", func(file string) error {
		overlay, err := b.overlay(reconcileMain)
		if err != nil {
			return err
		}
		return build(file, reconcileMain, runtime.GOARCH, "-overlay", overlay)
	})
}

func (b *builds) made(t testing.TB, name string, build func(file string) error) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	file := filepath.Join(b.folder, strings.ReplaceAll(name, "/", "-"))
	err, known := b.errs[name]
	if !known {
		err = build(file)
		b.errs[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// overlay lets go build see a main whose configuration has one thing more.
func (b *builds) overlay(main string) (string, error) {
	source, err := filepath.Abs("../../" + main)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		return "", err
	}
	const seam = "cfg := aws.Config{"
	if strings.Count(string(text), seam) != 1 {
		return "", fmt.Errorf("%s has not one %q", main, seam)
	}
	extra, err := filepath.Abs("testdata/panics.go.txt")
	if err != nil {
		return "", err
	}
	changed, list := filepath.Join(b.folder, "main.go.txt"), filepath.Join(b.folder, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), seam, seam+" APIOptions: panics(),", 1)), 0o600); err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(source, "main.go"): changed, filepath.Join(source, "panics.go"): extra}})
	if err != nil {
		return "", err
	}
	return list, os.WriteFile(list, raw, 0o600)
}

func build(file, main, architecture string, more ...string) error {
	cmd := exec.Command("go", slices.Concat(flags(), more, []string{"-o", file, "./" + main})...)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", main, err, out)
	}
	return nil
}
