// Command pack makes of each function's folder, such as dist/ingest, what is
// beside it in a release: dist/ingest.zip, the same bytes wherever and whenever
// it is made, and dist/ingest.cdx.json, its bill of materials in CycloneDX, read
// from the binary itself. It must not know what a function does.
package main

import (
	"fmt"
	"os"
)

func main() {
	for _, folder := range os.Args[1:] {
		if err := pack(folder); err != nil {
			fmt.Fprintln(os.Stderr, "pack:", err)
			os.Exit(1)
		}
	}
}

// pack writes both files beside a folder that holds a bootstrap.
func pack(folder string) error {
	if err := zipped(folder, folder+".zip"); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if err := billed(folder, folder+".cdx.json"); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	return nil
}
