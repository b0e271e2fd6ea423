// Command plimsoll is the command line: it runs scenarios in the simulated cloud,
// explains their decisions and checks files. It needs no AWS account.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/term"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	lipgloss.EnableLegacyWindowsANSI(os.Stdout)
	o := outside{
		out: os.Stdout, err: os.Stderr, env: os.Getenv, read: os.ReadFile,
		create:      func(name string) (io.WriteCloser, error) { return os.Create(name) }, //nolint:gosec // the file that the user names
		folder:      func(name string) error { return os.MkdirAll(name, 0o750) },
		now:         time.Now,
		judge:       scenario.Judge,
		terminal:    term.IsTerminal(os.Stdout.Fd()),
		errTerminal: term.IsTerminal(os.Stderr.Fd()),
	}
	if o.terminal {
		if width, height, err := term.GetSize(os.Stdout.Fd()); err == nil {
			o.width, o.height = width, height
		}
	}
	return run(ctx, os.Args[1:], o)
}
