package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy/file"
)

func (o *outside) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of a policy file, for editors",
		Args:  cobra.NoArgs,
		RunE: verb(func(*cobra.Command, []string) error {
			raw, err := file.Schema()
			if err != nil {
				return err
			}
			_, err = o.out.Write(raw)
			return err
		}),
	}
}

func (o *outside) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  cobra.NoArgs,
		RunE: verb(func(*cobra.Command, []string) error {
			version, commit := "unknown", ""
			if b, ok := debug.ReadBuildInfo(); ok {
				version = b.Main.Version
				if c := revision(b); c != "" {
					commit = " (" + c + ")"
				}
			}
			_, err := fmt.Fprintf(o.out, "plimsoll %s%s, %s %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		}),
	}
}

// built is the commit of this build, as far as it knows it.
func built() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || revision(b) == "" {
		return "unknown"
	}
	return revision(b)
}

// revision is the commit of a build that knows it.
func revision(b *debug.BuildInfo) string {
	commit, dirty := "", ""
	for _, s := range b.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", with changes"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + dirty
}
