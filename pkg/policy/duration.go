package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a time span that reads and writes as 90s, 5m or 1h30m: whole
// hours, minutes and seconds, never a bare number.
type Duration struct{ time.Duration }

// String writes the duration without parts that are zero: 5m, not 5m0s.
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a string such as 90s. A number is an error, since nothing
// says whether seconds or milliseconds were meant.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s: write 90s, 5m or 1h30m", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil || strings.Trim(s, "0123456789hms") != "" || v%time.Second != 0 {
		return fmt.Errorf("duration %q: write 90s, 5m or 1h30m", s)
	}
	d.Duration = v
	return nil
}
