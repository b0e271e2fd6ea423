package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy/file"
	"github.com/plimsoll-ecs/plimsoll/pkg/report"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

func (o *outside) lint() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Say everything that is wrong with policy and scenario files",
		Args:  cobra.MinimumNArgs(1),
		RunE: verb(func(_ *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return failed(exitUsage, "--output is table or json, not %q", output)
			}
			return o.check(args, output)
		}),
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

// check checks files: what is wrong is the exit code, what is missing too.
func (o *outside) check(names []string, output string) error {
	var checked []report.Checked
	var missing error
	wrong := false
	for _, name := range names {
		raw, err := o.file("file", name)
		if err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		c, err := checkFile(name, raw)
		if err != nil {
			return err
		}
		wrong = wrong || len(c.Problems) > 0
		checked = append(checked, c)
	}
	if err := o.tellChecked(checked, output); err != nil {
		return err
	}
	if wrong {
		return &failure{exitInvalid, missing}
	}
	return missing
}

// checkFile checks a file as what its keys say that it is.
func checkFile(name string, raw []byte) (report.Checked, error) {
	c := report.Checked{File: name, Kind: "policy"}
	var err error
	if isScenario(raw) {
		c.Kind = "scenario"
		_, err = scenario.Read(name, raw)
	} else {
		_, err = file.Read(name, raw)
	}
	if err != nil && !errors.As(err, &c.Problems) {
		return c, err
	}
	return c, nil
}

// isScenario tells a scenario from a policy by the keys that only it has.
func isScenario(raw []byte) bool {
	var keys map[string]any
	if yaml.Unmarshal(raw, &keys) != nil {
		return false // the policy's reader says what is wrong
	}
	for _, key := range []string{"policy", "groups", "length", "expect", "world", "title"} {
		if _, ok := keys[key]; ok {
			return true
		}
	}
	return false
}

// tellChecked prints what is right to the output, what is wrong to the errors; as
// JSON all of it is output.
func (o *outside) tellChecked(checked []report.Checked, output string) error {
	if output == "json" {
		raw, err := report.CheckedJSON(checked)
		if err != nil {
			return err
		}
		_, err = o.out.Write(raw)
		return err
	}
	for _, c := range checked {
		var err error
		if len(c.Problems) == 0 {
			_, err = fmt.Fprintf(o.out, "%s: ok (%s)\n", c.File, c.Kind)
		} else {
			_, err = io.WriteString(o.err, c.Problems.In(c.File))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
