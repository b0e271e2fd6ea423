package simcloud

import "time"

// Newest is the truth about a metric, for monitors: the end of the newest of its
// periods that a reader may see now. False: there is none.
func (w *CloudWatch) Newest(namespace, name string, dimensions map[string]string, period time.Duration) (time.Time, bool) {
	s := w.metrics[seriesKey(namespace, name, dimensions)]
	if s == nil {
		return time.Time{}, false
	}
	seen := w.c.now.UnixMilli()
	for i := len(s.points) - 1; i >= 0; i-- {
		if p := s.points[i]; p.visible <= seen {
			return time.Unix(p.from, 0).UTC().Truncate(period).Add(period), true
		}
	}
	return time.Time{}, false
}
