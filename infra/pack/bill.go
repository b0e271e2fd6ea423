package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// billed writes the bill of materials of the folder's bootstrap: every module
// that its linker took something from, as the binary itself says.
func billed(folder, to string) error {
	path := filepath.Join(folder, "bootstrap")
	raw, err := os.ReadFile(path) //nolint:gosec // the folder is the caller's
	if err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	info, err := buildinfo.Read(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("bill of materials of %s: %w", path, err)
	}
	var out bytes.Buffer
	e := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := e.Encode(bill(filepath.Base(folder), info, sha256.Sum256(raw))); err != nil {
		return fmt.Errorf("bill of materials of %s: %w", path, err)
	}
	return os.WriteFile(to, out.Bytes(), 0o600) //nolint:gosec // the folder is the caller's
}

// bill has no serial number and no time: it depends on the binary alone.
func bill(name string, info *buildinfo.BuildInfo, sum [32]byte) *cyclonedx.BOM {
	b := cyclonedx.NewBOM()
	self := module(&info.Main)
	self.Type, self.Name, self.Version = cyclonedx.ComponentTypeApplication, info.Path, ""
	self.PackageURL = "pkg:golang/" + info.Main.Path + "#" + strings.TrimPrefix(info.Path, info.Main.Path+"/")
	self.BOMRef, self.Description = self.PackageURL, "the function "+name
	self.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	b.Metadata = &cyclonedx.Metadata{Component: &self}
	version := strings.TrimPrefix(info.GoVersion, "go")
	parts := []cyclonedx.Component{{
		BOMRef: "pkg:golang/std@" + version, Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: version,
		PackageURL: "pkg:golang/std@" + version, Description: "the Go standard library and runtime",
	}}
	for _, d := range info.Deps {
		parts = append(parts, module(d))
	}
	b.Components = &parts
	refs := make([]string, len(parts))
	for n, p := range parts {
		refs[n] = p.BOMRef
	}
	b.Dependencies = &[]cyclonedx.Dependency{{Ref: self.BOMRef, Dependencies: &refs}}
	return b
}

// module is one module; what go.sum says of it is a property, since it is the hash
// of a list of files and not of a file.
func module(m *debug.Module) cyclonedx.Component {
	if m.Replace != nil {
		m = m.Replace
	}
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
	if m.Sum != "" {
		c.Properties = &[]cyclonedx.Property{{Name: "plimsoll:go.sum", Value: m.Sum}}
	}
	return c
}
