package scenario

import "github.com/plimsoll-ecs/plimsoll/functions/reconcile"

// Spoil puts other ports in place of those of the function reconcile, before the
// world begins: a bug that a test plants, to see it found.
type Spoil func(*reconcile.Ports)

// spoils is what is done to the ports, from outside and from within.
func (o Options) spoils() sabotage {
	if o.Spoil == nil {
		return o.sabotage
	}
	return func(w *world, p *reconcile.Ports) {
		o.Spoil(p)
		if o.sabotage != nil {
			o.sabotage(w, p)
		}
	}
}
