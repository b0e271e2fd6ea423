package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// pricing is what cost was asked for.
type pricing struct {
	hosts []int
	hours float64
	seed  uint64
	json  bool
}

// costs is what the controller costs, by size.
type costs struct {
	Version int     `json:"version"`
	Region  string  `json:"region"`
	Prices  string  `json:"pricesOf"` // date of the newest
	Hours   float64 `json:"hours"`    // simulated, of each world
	Seed    uint64  `json:"seed"`
	Sizes   []cost  `json:"sizes"`
}

// cost is what the controller of one size of cluster costs.
type cost struct {
	sized
	Quiet month `json:"quiet"`
	Busy  month `json:"busy"`
}

func (o *outside) cost() *cobra.Command {
	var q pricing
	c := &cobra.Command{
		Use:   "cost",
		Short: "Say what the controller itself costs a month, from counted calls and dated prices",
		Long: `Run the functions over simulated clusters of several sizes, a quiet and a busy
one each, count all that AWS bills, and print it with its price: requests are
counted; durations are virtual, so the simulator's assumption. Large clusters
take minutes.`,
		Args: cobra.NoArgs,
		RunE: verb(func(c *cobra.Command, _ []string) error {
			if err := q.check(); err != nil {
				return err
			}
			return o.price(c.Context(), q)
		}),
	}
	c.Flags().IntSliceVar(&q.hosts, "hosts", []int{10, 100, 500}, "sizes of the clusters")
	c.Flags().Float64Var(&q.hours, "hours", 1, "simulated, of each world; the month is made of them")
	c.Flags().Uint64Var(&q.seed, "seed", 1, "another seed is another run")
	c.Flags().BoolVar(&q.json, "json", false, "print one JSON object")
	return c
}

func (q pricing) check() error {
	if !(q.hours >= 0.5 && q.hours <= 168) {
		return failed(exitUsage, "--hours is 0.5 to 168, not %g", q.hours)
	}
	for _, n := range q.hosts {
		if n < 1 || n > 5000 {
			return failed(exitUsage, "--hosts is 1 to 5000 each, not %d", n)
		}
	}
	if len(q.hosts) == 0 {
		return failed(exitUsage, "--hosts names no size")
	}
	return nil
}

// price counts each size and prints what it costs.
func (o *outside) price(ctx context.Context, q pricing) error {
	all := costs{Version: 1, Region: priceRegion, Prices: priceDate, Hours: q.hours, Seed: q.seed}
	for _, n := range q.hosts {
		x, err := o.priceOf(ctx, sizeOf(n), q)
		if err != nil {
			return err
		}
		all.Sizes = append(all.Sizes, x)
	}
	if !q.json {
		_, err := io.WriteString(o.out, all.text())
		return err
	}
	e := json.NewEncoder(o.out)
	e.SetIndent("", "  ")
	return e.Encode(all)
}

func (o *outside) priceOf(ctx context.Context, z sized, q pricing) (cost, error) {
	x, length := cost{sized: z}, time.Duration(q.hours*float64(time.Hour)).Round(time.Second)
	quiet, err := z.quiet(length)
	busy, err2 := z.busy(length)
	if err := errors.Join(err, err2); err != nil {
		return x, err
	}
	if x.Quiet, err = o.monthOf(ctx, quiet, q.seed); err != nil {
		return x, err
	}
	x.Busy, err = o.monthOf(ctx, busy, q.seed)
	return x, err
}

// monthOf runs a world and makes its bill. A run that broke a promise is no
// measure of anything.
func (o *outside) monthOf(ctx context.Context, s scenario.Scenario, seed uint64) (month, error) {
	page, err := o.page("never")
	if err != nil {
		return month{}, err
	}
	var logs lineCounter
	r, err := play(ctx, s, scenario.Options{Seed: seed, Logs: &logs}, o.ticker(page, s))
	if err != nil {
		return month{}, err
	}
	if len(r.Violations) > 0 {
		return month{}, failed(exitMissed, "%s: a promise was broken\n%s", s.Title, page.Verdict(r))
	}
	return bill(s.Policy, r, logs), nil
}
