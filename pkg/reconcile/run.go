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
// which outlives the call. The last of the n is the caller's own to do: the SDK goes
// deep, a new goroutine's stack is copied several times until it fits, and many a
// look is a single call.
func Concurrent(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, sideBySide)
	one := func(i int) {
		defer func() { <-slots }()
		errs[i] = guarded(func() error { return do(ctx, i) })
	}
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		if i < n-1 {
			all.Go(func() { one(i) })
		} else {
			one(i)
		}
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
