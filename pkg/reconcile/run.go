package reconcile

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// sideBySide is how many calls of one look are under way at a time: enough to
// hide latency, few enough to leave ECS's token buckets to others too.
const sideBySide = 8

// Concurrent is the runner of production: boundedly many goroutines, none of
// which outlives the call.
func Concurrent(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, sideBySide)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = guarded(func() error { return do(ctx, i) })
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// guarded returns a panic as an error: in a goroutine of its own it would end
// the whole function.
func guarded(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return do()
}
