package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// mostZip is how large a function's zip may be, in bytes: what is larger starts
// more slowly.
const mostZip = 6 << 20

// zipped writes the folder's files as a zip that depends on their names and bytes
// alone: in order of name, all with one time, all executable.
func zipped(folder, to string) error {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestCompression) })
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error { //nolint:gosec // in order of name; the folder is the caller's
		if err != nil || d.IsDir() {
			return err
		}
		return add(w, folder, path)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("close the zip: %w", err)
	}
	if out.Len() > mostZip {
		return fmt.Errorf("a zip of %d bytes, of %d at most", out.Len(), mostZip)
	}
	return os.WriteFile(to, out.Bytes(), 0o600) //nolint:gosec // the folder is the caller's
}

func add(w *zip.Writer, folder, path string) error {
	name, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the folder is the caller's
	if err != nil {
		return err
	}
	h := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)} // the first that a zip can tell
	h.SetMode(0o755)
	to, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = to.Write(raw)
	return err
}
