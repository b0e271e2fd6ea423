package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/report"
	"github.com/plimsoll-ecs/plimsoll/pkg/soak"
)

// The exit codes.
const (
	exitError       = 1
	exitUsage       = 2
	exitInvalid     = 3 // a policy, a scenario or a trace
	exitNotFound    = 4
	exitMissed      = 8 // an expectation was missed or a promise was broken
	exitInterrupted = 130
)

// outside is all that a verb knows of the machine.
type outside struct {
	out, err      io.Writer
	env           func(string) string
	read          func(name string) ([]byte, error)
	create        func(name string) (io.WriteCloser, error)
	folder        func(name string) error // makes it where there is none
	now           func() time.Time
	judge         soak.Judge // scenario.Judge, but in a test that plants a bug
	terminal      bool       // out is one
	errTerminal   bool       // err is one
	width, height int        // of the terminal; 0: not known
}

// failure is an error with its exit code.
type failure struct {
	code int
	err  error // nil: all was said
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func failed(code int, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, o outside) int {
	root := command(&o)
	root.SetArgs(append([]string{}, args...))
	root.SetOut(o.out)
	root.SetErr(o.err)
	err := root.ExecuteContext(ctx)
	var f *failure
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &f):
		f = &failure{code: exitUsage}
		err = fmt.Errorf("%w (plimsoll --help tells more)", err)
	}
	if says := strings.TrimSpace(err.Error()); says != "" {
		fmt.Fprintln(o.err, "plimsoll: "+says)
	}
	return f.code
}

// command is the whole command line.
func command(o *outside) *cobra.Command {
	root := &cobra.Command{
		Use:   "plimsoll",
		Short: "plimsoll for ECS: scales tasks and hosts together",
		Long: `plimsoll for ECS: scales tasks and hosts together.

Everything here runs in a simulated ECS, through the same functions that Lambda
runs; no AWS account is needed.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchVerb,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.AddCommand(o.demo(), o.simulate(), o.soak(), o.explain(), o.cost(), o.lint(), o.schema(), o.version())
	return root
}

// noSuchVerb refuses what is not a verb, naming the nearest.
func noSuchVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no verb %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no verb %q", args[0])
}

// verb makes a verb's function of one that returns an error: an error without an
// exit code of its own has 1. All other errors are cobra's, about usage.
func verb(do func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := do(c, args)
		var f *failure
		if err == nil || errors.As(err, &f) {
			return err
		}
		return &failure{exitError, err}
	}
}

// file reads a file that an argument names.
func (o *outside) file(what, name string) ([]byte, error) {
	raw, err := o.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(exitNotFound, "there is no %s %s", what, name)
	case err != nil:
		return nil, err // it names the file
	}
	return raw, nil
}

// invalid is the failure of a file that has problems: each is told on a line,
// and nothing is run. Another error is returned as it is.
func invalid(what, name string, err error) error {
	var problems policy.Problems
	if !errors.As(err, &problems) {
		return err
	}
	return failed(exitInvalid, "the %s is not valid, nothing was run\n%s", what, problems.In(name))
}

// page is what text goes on. It is 80 columns wide where there is no terminal.
func (o *outside) page(color string) (report.Page, error) {
	p := report.Page{Width: 80, Height: o.height}
	if o.width > 0 {
		p.Width = o.width
	}
	switch color {
	case "always":
		p.Color = true
	case "auto":
		p.Color = o.terminal && o.env("NO_COLOR") == "" && o.env("TERM") != "dumb"
	case "never":
	default:
		return p, failed(exitUsage, "--color is auto, always or never, not %q", color)
	}
	return p, nil
}

// colorFlag adds the flag of colours.
func colorFlag(c *cobra.Command, choice *string) {
	c.Flags().StringVar(choice, "color", "auto", "auto, always or never")
}
