package simcloud

import (
	"math/rand/v2"
	"time"
)

// between draws a duration evenly from least to most.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Float64()*float64(most-least))
}

// uuid returns an id in the form of a UUID.
func uuid(c *Cloud) string {
	s := c.id(32)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
