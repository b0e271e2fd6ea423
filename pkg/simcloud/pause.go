package simcloud

import (
	"context"
	"time"
)

// Pause lets virtual time pass in the middle of the invocation that ctx belongs
// to, as when its environment is frozen between two of its steps. A call from
// outside of any invocation returns at once.
func (c *Cloud) Pause(ctx context.Context, d time.Duration) {
	if p := procOf(ctx); p != nil {
		p.sleep(d)
	}
}

// Kill ends the invocation that ctx belongs to at this very point: nothing that
// it does while it unwinds has an effect. It returns only to a caller from
// outside of any invocation.
func (c *Cloud) Kill(ctx context.Context) {
	if p := procOf(ctx); p != nil {
		p.check()
		p.die(errKilled)
	}
}
