package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/soak"
)

// toldAtMost is how many failures the text of a soak tells in full.
const toldAtMost = 10

// summary is a soak's summary in words. Its last line says all in short.
func (q soaking) summary(sum soak.Summary) string {
	var b strings.Builder
	for n, f := range sum.Failures {
		if n == toldAtMost {
			fmt.Fprintf(&b, "and %d trials more that broke a promise; their files are in %s\n\n", len(sum.Failures)-n, q.out)
			break
		}
		b.WriteString(q.failure(f, sum.Commit) + "\n")
	}
	fmt.Fprintf(&b, "%d trials of %s, seeds %d to %d, commit %s\n", sum.Trials, strings.Join(sum.Scenarios, ", "), sum.First, sum.First+uint64(sum.Trials)-1, sum.Commit) //nolint:gosec // not negative
	fmt.Fprintf(&b, "%.1f virtual hours in %.0f s; the slowest trial, of %s with seed %d, took %.1f s\n", sum.VirtualHours, sum.Seconds, sum.Slowest.Scenario, sum.Slowest.Seed, sum.Slowest.Seconds)
	fmt.Fprintf(&b, "%d rounds, %d invocations, %d actions made wrong by the world between look and call\n", sum.Rounds, sum.Invocations, sum.Raced)
	fmt.Fprintf(&b, "services under their floor, by who is to blame: %s\n", tallied(sum.Dips))
	fmt.Fprintf(&b, "faults that struck:\n")
	for _, name := range slices.Sorted(maps.Keys(sum.Faults)) {
		fmt.Fprintf(&b, "  %-24s %8d\n", name, sum.Faults[name])
	}
	if idle := sum.Idle(); len(idle) > 0 {
		fmt.Fprintf(&b, "faults that were on and never struck: %s\n", strings.Join(idle, ", "))
	}
	violations := 0
	for _, n := range sum.Violations {
		violations += n
	}
	fmt.Fprintf(&b, "soak: %d trials, %d of them broke a promise, %d violations: %s\n", sum.Trials, sum.Broken, violations, tallied(sum.Violations))
	return b.String()
}

// tallied are counts by name, in words.
func tallied(all map[string]int) string {
	parts := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, all[name]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// failure tells one failure in full.
func (q soaking) failure(f soak.Failure, commit string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s was broken in %s, seed %d, commit %s, at %s, about %s\n", f.Promise, f.Scenario, f.Seed, commit, f.At.UTC().Format("2006-01-02 15:04:05.000"), f.Subject)
	fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(f.Detail, "\n", "\n  "))
	if f.Others > 0 {
		fmt.Fprintf(&b, "  and %d violations more in the same run\n", f.Others)
	}
	for _, line := range f.Records {
		fmt.Fprintf(&b, "  | %s\n", line)
	}
	fmt.Fprintf(&b, "  again: %s\n", q.again(f))
	if f.ShrinkRun > 0 {
		fmt.Fprintf(&b, "  made small in %d runs: %s, before %s\n", f.ShrinkRun, small(f.After), small(f.Before))
	}
	fmt.Fprintf(&b, "  small: %s\n", q.small(f))
	return b.String()
}

func small(s soak.Size) string {
	return fmt.Sprintf("%d faults, %d happenings, %d services, %d groups, %d minutes", s.Faults, s.Happenings, s.Services, s.Groups, s.Minutes)
}
