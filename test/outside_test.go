package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAModuleOutsideUsesTheConstructs builds and runs the app of test/outside as
// its owner would, and reads what it synthesises.
func TestAModuleOutsideUsesTheConstructs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a CDK app")
	}
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI leaves nothing out, and there is no Node")
		}
		t.Skip("LEFT OUT: the module outside, for want of Node")
	}
	folder := outside(t)
	outsideBuild(t, folder)
	out, err := outsideRun(t, folder, filepath.Join(folder, "dist"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(folder, "cdk.out", "shop.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct{ Type string }
	}
	if err := json.Unmarshal(raw, &template); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range template.Resources {
		count[r.Type]++
	}
	for kind, want := range map[string]int{"AWS::ECS::Cluster": 1, "AWS::ECS::Service": 2, "AWS::AutoScaling::AutoScalingGroup": 1, "AWS::DynamoDB::Table": 1} {
		if count[kind] != want {
			t.Errorf("%d of %s, want %d", count[kind], kind, want)
		}
	}
	t.Run("and hears in one sentence what is missing", func(t *testing.T) {
		out, err := outsideRun(t, folder, filepath.Join(folder, "nowhere"))
		lines := strings.Split(strings.TrimSpace(string(out)), "\n") // Node may say before that it is old
		if err == nil || !strings.HasSuffix(lines[len(lines)-1], "run make build first") || strings.Contains(string(out), "goroutine") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// outside is a copy of the module with stand-ins for the built functions. It
// requires all that the repository does, at the same versions: so go needs no
// module for it beyond those that the repository's own tests are built of.
func outside(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"test/outside/main.go": bytes.Clone,
		"test/outside/go.mod": func(b []byte) []byte {
			return append(bytes.ReplaceAll(b, []byte("=> ../.."), []byte("=> "+root)), required(own, b)...)
		},
		"go.sum": bytes.Clone,
	} {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), change(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, function := range []string{"ingest", "reconcile"} {
		dir := filepath.Join(folder, "dist", function)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bootstrap"), standIn(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// required are the requirements of one go.mod that another does not name.
func required(from, other []byte) []byte {
	var all []byte
	for _, line := range regexp.MustCompile(`(?m)^\t(\S+) v\S+.*$`).FindAllSubmatch(from, -1) {
		if !bytes.Contains(other, append([]byte("\t"), append(line[1], ' ')...)) {
			all = append(all, "\nrequire "+string(bytes.TrimSpace(line[0]))...)
		}
	}
	return append(all, '\n')
}

// standIn begins as a program for Linux on arm64 does.
func standIn() []byte {
	program := make([]byte, 64)
	copy(program, "\x7fELF\x02\x01\x01")
	program[16], program[18] = 2, 183
	return program
}

// outsideBuild builds the app by its go.mod and go.sum as they are. Where a module
// of them is not at hand yet, as on a fresh machine, go fetches it by its sum.
func outsideBuild(t *testing.T, folder string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "shop", ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// outsideRun runs the app as the CDK's command line does.
func outsideRun(t *testing.T, folder, dist string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "shop"))
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PLIMSOLL_DIST="+dist, "CDK_OUTDIR="+filepath.Join(folder, "cdk.out"))
	return cmd.CombinedOutput()
}
