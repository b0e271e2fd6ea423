package binary

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a release holds is built once more from a copy of the source in another
// folder: the bytes must be the same.
func TestBuiltInTwoFoldersAllBytesAreTheSame(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "elsewhere")
	for _, part := range []string{"go.mod", "go.sum", "events", "functions", "pkg"} {
		check(t, duplicate(filepath.Join("../..", part), filepath.Join(copied, part)))
	}
	here, there := filepath.Join(t.TempDir(), "dist"), filepath.Join(copied, "dist")
	var folders []string
	for _, name := range []string{"ingest", "reconcile", "register"} {
		for dist, source := range map[string]string{here: "../..", there: copied} {
			cmd := exec.Command("go", append(flags(), "-o", filepath.Join(dist, name, "bootstrap"), "./functions/"+name+"/bootstrap")...)
			cmd.Dir, cmd.Env = source, append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			folders = append(folders, filepath.Join(dist, name))
		}
	}
	pack := exec.Command("go", append([]string{"run", "./infra/pack"}, folders...)...)
	pack.Dir = "../.."
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"ingest.zip", "ingest.cdx.json", "reconcile.zip", "reconcile.cdx.json", "register.zip", "register.cdx.json"} {
		a, err := os.ReadFile(filepath.Join(here, name))
		check(t, err)
		b, err := os.ReadFile(filepath.Join(there, name))
		check(t, err)
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes, and not the same", name, len(a), len(b))
		}
	}
	z, err := zip.OpenReader(filepath.Join(here, "ingest.zip"))
	check(t, err)
	defer func() { check(t, z.Close()) }()
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" {
		t.Errorf("the zip holds %d files, the first of them %s", len(z.File), z.File[0].Name)
	}
}

// duplicate copies a file or a folder.
func duplicate(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o600)
}

// The tests must build as make does.
func TestTheFlagsAreThoseOfMake(t *testing.T) {
	raw, err := os.ReadFile("../../Makefile")
	check(t, err)
	f := flags()
	f[len(f)-1] = fmt.Sprintf("'%s'", f[len(f)-1])
	if !strings.Contains(string(raw), strings.Join(f, " ")+" -o $@ ./functions/$*/bootstrap") {
		t.Errorf("make does not build with %v", f)
	}
}
