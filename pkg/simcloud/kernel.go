package simcloud

import (
	"container/heap"
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// kernel is a discrete-event simulator: a heap of timed events with a sequence
// number as the tie-break, random streams by name, and coroutines that pass
// virtual time inside their calls. Only one thing runs at a time.
type kernel struct {
	now     time.Time
	seq     uint64
	events  eventHeap
	driver  Driver
	seed    uint64
	streams map[string]*rand.Rand
	current *proc          // the coroutine that runs, nil while an event does
	live    map[*proc]bool // invocations under way
	spawned int
	stopped bool         // run returns before its end
	steps   atomic.Int64 // odd while a coroutine runs: read by the watchdog
	limit   time.Duration
}

func newKernel(start time.Time, seed uint64, driver Driver) *kernel {
	return &kernel{now: start, seed: seed, driver: driver, streams: map[string]*rand.Rand{}, live: map[*proc]bool{}, limit: stuckAfter}
}

type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return last
}

// at lets do happen at virtual time t, or now if t is past.
func (k *kernel) at(t time.Time, do func()) {
	if t.Before(k.now) {
		t = k.now
	}
	k.seq++
	heap.Push(&k.events, event{at: t, seq: k.seq, do: do})
}

// after lets do happen once d has passed.
func (k *kernel) after(d time.Duration, do func()) { k.at(k.now.Add(d), do) }

// every lets do happen each d from the time first on, until it returns false.
func (k *kernel) every(first time.Time, d time.Duration, do func() bool) {
	k.at(first, func() {
		if do() {
			k.every(k.now.Add(d), d, do)
		}
	})
}

// run lets events happen until virtual time end, then sets the clock to it.
func (k *kernel) run(end time.Time) error {
	return watch(k.limit, k.steps.Load, func() error {
		for !k.stopped && len(k.events) > 0 && !k.events[0].at.After(end) {
			e := heap.Pop(&k.events).(event)
			k.driver.Until(e.at)
			k.now = e.at
			e.do()
		}
		if !k.stopped {
			k.now = end
		}
		return nil
	})
}

// stream returns the random stream of that name; each fault and each kind of
// chance has its own, so that switching one on leaves the others' draws alone.
func (k *kernel) stream(name string) *rand.Rand {
	r, ok := k.streams[name]
	if !ok {
		h := fnv.New64a()
		h.Write([]byte(name)) // never fails: hash.Hash says so
		r = rand.New(rand.NewPCG(k.seed, h.Sum64()))
		k.streams[name] = r
	}
	return r
}

// close ends every invocation under way, so that no coroutine is left behind.
func (k *kernel) close() {
	for p := range k.live {
		p.kill(errKilled)
	}
}
