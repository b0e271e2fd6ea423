package scenario

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// Shape is a rate over time: a day's wave with peaks upon it, a little noise,
// and crowds that come at once.
type Shape struct {
	Base   float64 `json:"base"`             // requests a second at night
	Day    float64 `json:"day,omitempty"`    // requests a second more at the day's height
	Height float64 `json:"hour,omitempty"`   // hour of the day's height; default 15
	Noise  float64 `json:"noise,omitempty"`  // share of the rate by which a minute may differ, such as 0.05
	Peaks  []Peak  `json:"peaks,omitempty"`  // bells, each day anew
	Crowds []Crowd `json:"crowds,omitempty"` // once
	Trace  *Trace  `json:"-"`                // replaces all of the above
}

// Peak is a bell upon the wave.
type Peak struct {
	Hour  float64         `json:"hour"` // of the day
	Rate  float64         `json:"rate"` // requests a second more at its top
	Width policy.Duration `json:"width"`
}

// Crowd is a rate that comes at once, stays, and goes.
type Crowd struct {
	At    policy.Duration `json:"at"`   // since the start
	Rate  float64         `json:"rate"` // requests a second more
	Rise  policy.Duration `json:"rise"`
	Stay  policy.Duration `json:"stay"`
	Fall  policy.Duration `json:"fall"`
	Since policy.Duration `json:"since,omitzero"` // how much of all that is over by then: of a window's first crowd
}

// rate returns the requests a second at a time since the start. The noise is a
// function of seed and minute, so that asking twice answers the same.
func (s Shape) rate(seed uint64, start time.Time) func(time.Time) float64 {
	if s.Trace != nil {
		return func(t time.Time) float64 { return s.Trace.at(t.Sub(start)) }
	}
	return func(t time.Time) float64 {
		since, hour := t.Sub(start), float64(t.Hour())+float64(t.Minute())/60+float64(t.Second())/3600
		height := s.Height
		if height == 0 {
			height = 15
		}
		r := s.Base + s.Day*math.Pow((1+math.Cos((hour-height)*math.Pi/12))/2, 1.5)
		for _, p := range s.Peaks {
			away := math.Abs(hour - p.Hour)
			away = min(away, 24-away) / p.Width.Hours()
			r += p.Rate * math.Exp(-4*away*away)
		}
		for _, c := range s.Crowds {
			r += c.at(since)
		}
		noise := rand.New(rand.NewPCG(seed, uint64(t.Unix()/60))) //nolint:gosec // chance of a simulation, not a secret
		return max(0, r*(1+s.Noise*(2*noise.Float64()-1)))
	}
}

// at is what the crowd adds.
func (c Crowd) at(since time.Duration) float64 {
	t := since - c.At.Duration + c.Since.Duration
	switch {
	case since < c.At.Duration:
		return 0
	case t < c.Rise.Duration:
		return c.Rate * float64(t) / float64(c.Rise.Duration)
	case t < c.Rise.Duration+c.Stay.Duration:
		return c.Rate
	case t < c.Rise.Duration+c.Stay.Duration+c.Fall.Duration:
		return c.Rate * (1 - float64(t-c.Rise.Duration-c.Stay.Duration)/float64(c.Fall.Duration))
	default:
		return 0
	}
}

// peak is the highest rate of the shape over a length of time, by minute and
// without its noise.
func (s Shape) peak(start time.Time, length time.Duration) float64 {
	s.Noise = 0
	rate, top := s.rate(0, start), 0.0
	for t := time.Duration(0); t < length; t += time.Minute {
		top = max(top, rate(start.Add(t)))
	}
	return top
}
