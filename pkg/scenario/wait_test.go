package scenario

import (
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

func TestATaskIsWantedFromTheDecisionThatWantedIt(t *testing.T) {
	noon := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	decided := func(s, from, to, wanted int) Record {
		return Record{At: at(s), Decision: &plan.Decision{Subject: "service/web", From: from, To: to, Numbers: []plan.Number{{Name: "wanted", Value: float64(wanted)}}}}
	}
	other := Record{At: at(0), Decision: &plan.Decision{Subject: "service/api", To: 9}}
	for _, tt := range []struct {
		name    string
		history []Record
		asked   []int // seconds at which ECS was asked for one task each
		want    []int // seconds since when each was wanted
	}{
		{"room at once", []Record{other, decided(10, 4, 6, 6)}, []int{10, 10}, []int{10, 10}},
		{"one has room, one waits for a host", []Record{decided(10, 4, 5, 6), decided(30, 5, 5, 6), decided(100, 5, 6, 6)}, []int{11, 101}, []int{10, 10}},
		{"more is wanted while waiting", []Record{decided(10, 4, 4, 5), decided(40, 4, 4, 6), decided(100, 4, 6, 6)}, []int{101, 101}, []int{10, 40}},
		{"a wish that is given up is nobody's wait", []Record{decided(10, 4, 4, 6), decided(20, 4, 4, 4), decided(100, 4, 5, 5)}, []int{101}, []int{100}},
		{"ECS replaces a task by itself", []Record{decided(10, 4, 4, 4)}, []int{50}, []int{50}},
		{"a count that somebody else raised", []Record{decided(10, 4, 4, 6), decided(100, 6, 6, 6)}, []int{90, 90}, []int{90, 90}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := wishes(tt.history, "service/web")
			for n, s := range tt.asked {
				if got := l.since(at(s)); !got.Equal(at(tt.want[n])) {
					t.Errorf("task %d is wanted since %s, want %s", n, got.Format(time.TimeOnly), at(tt.want[n]).Format(time.TimeOnly))
				}
			}
		})
	}
}
