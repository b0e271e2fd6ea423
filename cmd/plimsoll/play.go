package main

import (
	"context"
	"fmt"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/soak"
)

// scenario is the built-in one of that name, or that of the file.
func (o *outside) scenario(name string) (scenario.Scenario, error) {
	for _, known := range scenario.Builtins() {
		if known == name {
			return scenario.Builtin(name)
		}
	}
	raw, err := o.file("scenario, built in or a file, called", name)
	if err != nil {
		return scenario.Scenario{}, err
	}
	s, err := scenario.Read(name, raw)
	return s, invalid("scenario", name, err)
}

// play runs a scenario and shows each sample as it is taken. When ctx ends, the
// run ends with the virtual minute.
func play(ctx context.Context, s scenario.Scenario, opts scenario.Options, show func(scenario.Sample)) (scenario.Result, error) {
	return played(ctx, scenario.Run, s, opts, show)
}

// played is play by Run or by Judge.
func played(ctx context.Context, how soak.Judge, s scenario.Scenario, opts scenario.Options, show func(scenario.Sample)) (scenario.Result, error) {
	if opts.Driver == nil {
		opts.Driver = simcloud.Jump{}
	}
	opts.Driver = unless{ctx, opts.Driver}
	opts.Progress = func(x scenario.Sample) {
		if ctx.Err() == nil {
			show(x)
		}
	}
	r, err := how(ctx, s, opts)
	switch {
	case ctx.Err() != nil:
		return r, failed(exitInterrupted, "interrupted")
	case err != nil:
		return r, fmt.Errorf("simulate: %w", err)
	}
	return r, nil
}

// unless paces a run unless it was interrupted.
type unless struct {
	ctx    context.Context //nolint:containedctx // a driver's method has no context
	driver simcloud.Driver
}

// Until is the Driver's.
func (u unless) Until(t time.Time) {
	if u.ctx.Err() == nil {
		u.driver.Until(t)
	}
}

// verdict is the failure of a run that missed an expectation or broke a promise.
// The report has said which.
func verdict(r scenario.Result) error {
	if r.Failed() {
		return &failure{code: exitMissed}
	}
	return nil
}
