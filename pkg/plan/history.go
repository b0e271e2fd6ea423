package plan

import (
	"slices"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// How much is remembered of a count. Memory is bounded however often a round
// runs: within one grain only the last sample is kept.
const (
	runningKept  = 15 * time.Minute
	runningGrain = 10 * time.Second
	windowGrains = 30 // a stabilisation window is remembered in so many parts
	changesKept  = 60
	countsKept   = 30
)

// sample appends a count to a history that holds only what changed.
func sample(history []cluster.Sample, now cluster.Sample) []cluster.Sample {
	h := slices.Clone(history)
	if n := len(h); n > 1 && now.At.Sub(h[n-1].At) < runningGrain {
		now.At = h[n-1].At
		h = h[:n-1]
	}
	if n := len(h); n == 0 || h[n-1].Count != now.Count {
		h = append(h, now)
	}
	for len(h) > 1 && now.At.Sub(h[1].At) >= runningKept {
		h = h[1:]
	}
	return h
}

// meanRunning is the mean count between two times. Before the first sample the
// first one's count is taken.
func meanRunning(h []cluster.Sample, from, to time.Time) float64 {
	if len(h) == 0 {
		return 0
	}
	if !to.After(from) {
		to = from.Add(time.Nanosecond)
	}
	sum, at, count := 0.0, from, h[0].Count
	for _, s := range h {
		if !s.At.Before(to) {
			break
		}
		if s.At.After(at) {
			sum += float64(count) * float64(s.At.Sub(at))
			at = s.At
		}
		count = s.Count
	}
	sum += float64(count) * float64(to.Sub(at))
	return sum / float64(to.Sub(from))
}

// thin drops recommendations older than the windows and keeps of each part of
// a window the smallest and the largest, dated to the part's last: a window
// may so last a thirtieth longer, never shorter.
func thin(h []cluster.Sample, now time.Time, window time.Duration) []cluster.Sample {
	grain := max(window/windowGrains, time.Second)
	var out []cluster.Sample
	for i := 0; i < len(h); {
		part := h[i].At.Truncate(grain)
		least, most, last := h[i].Count, h[i].Count, h[i].At
		for ; i < len(h) && h[i].At.Truncate(grain).Equal(part); i++ {
			least, most, last = min(least, h[i].Count), max(most, h[i].Count), h[i].At
		}
		if now.Sub(last) >= window && i < len(h) {
			continue
		}
		out = append(out, cluster.Sample{At: last, Count: least})
		if most > least {
			out = append(out, cluster.Sample{At: last, Count: most})
		}
	}
	return out
}

// recent drops the changes that are over for every rate limit. Beyond what is
// kept the oldest two become one, dated to the younger.
func recent(changes []cluster.Resize, since time.Time) []cluster.Resize {
	out := slices.DeleteFunc(slices.Clone(changes), func(c cluster.Resize) bool { return !c.At.After(since) })
	for len(out) > changesKept {
		out[1].From = out[0].From
		out = out[1:]
	}
	return out
}
