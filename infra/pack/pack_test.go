package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder makes a function's folder with files of the given age and mode.
func folder(t *testing.T, names []string, mode os.FileMode, at time.Time) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ingest")
	check(t, os.MkdirAll(filepath.Join(dir, "more"), 0o755))
	for _, name := range names {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, 1000)), mode))
		check(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	return dir
}

func TestAZipDependsOnNamesAndBytesAlone(t *testing.T) {
	one := folder(t, []string{"policy.json", "bootstrap", "more/data"}, 0o600, time.Now())
	two := folder(t, []string{"more/data", "bootstrap", "policy.json"}, 0o755, time.Now().Add(-time.Hour))
	other := folder(t, []string{"more/data", "bootstrap", "policy.yaml"}, 0o755, time.Now())
	for _, dir := range []string{one, two, other} {
		check(t, zipped(dir, dir+".zip"))
	}
	a, b, c := read(t, one+".zip"), read(t, two+".zip"), read(t, other+".zip")
	if !bytes.Equal(a, b) {
		t.Error("two zips of the same files differ")
	}
	if bytes.Equal(a, c) {
		t.Error("two zips of different files do not")
	}
	z, err := zip.NewReader(bytes.NewReader(a), int64(len(a)))
	check(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if f.Mode().Perm() != 0o755 {
			t.Errorf("%s has the mode %s: Lambda could not start it", f.Name, f.Mode())
		}
	}
	if strings.Join(names, " ") != "bootstrap more/data policy.json" {
		t.Errorf("the zip holds %v", names)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	check(t, err)
	return raw
}

func TestAZipThatIsTooLargeIsAnError(t *testing.T) {
	dir := folder(t, nil, 0o600, time.Now())
	noise := make([]byte, mostZip+1)
	for n, x := 0, uint32(1); n < len(noise); n++ {
		x = x*1664525 + 1013904223
		noise[n] = byte(x >> 24)
	}
	check(t, os.WriteFile(filepath.Join(dir, "bootstrap"), noise, 0o600))
	if err := zipped(dir, dir+".zip"); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
}

// The test's own binary has the modules that it was built from in it.
func TestABillNamesEveryModule(t *testing.T) {
	dir := folder(t, nil, 0o600, time.Now())
	self, err := os.Executable()
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "bootstrap"), read(t, self), 0o600))
	check(t, billed(dir, dir+".cdx.json"))
	var b cyclonedx.BOM
	d := cyclonedx.NewBOMDecoder(bytes.NewReader(read(t, dir+".cdx.json")), cyclonedx.BOMFileFormatJSON)
	check(t, d.Decode(&b))
	urls := map[string]bool{}
	for _, c := range *b.Components {
		urls[c.PackageURL] = true
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Skip("this test binary does not say what it is made of")
	}
	for _, m := range info.Deps {
		if !urls["pkg:golang/"+m.Path+"@"+m.Version] {
			t.Errorf("%s is not in it", m.Path)
		}
	}
	var members map[string]any
	check(t, json.Unmarshal(read(t, dir+".cdx.json"), &members))
	if members["bomFormat"] != "CycloneDX" || members["serialNumber"] != nil || b.Metadata.Timestamp != "" {
		t.Errorf("its head is %v, %v, %v", members["bomFormat"], members["serialNumber"], b.Metadata.Timestamp)
	}
}

func TestWhatIsNoProgramHasNoBill(t *testing.T) {
	dir := folder(t, []string{"bootstrap"}, 0o755, time.Now())
	if err := pack(dir); err == nil || !strings.Contains(err.Error(), "bill of materials") {
		t.Errorf("%v", err)
	}
	if err := pack(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a folder that is not there is packed")
	}
}
