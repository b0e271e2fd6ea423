package simcloud

import "time"

// publish records one value of a metric for the period that begins at from. It
// becomes visible once the metric's lag has passed.
func (c *Cloud) publish(namespace, name string, dimensions map[string]string, from time.Time, period time.Duration, value float64) {
}
