package policy

import (
	"math/big"
	"testing"
)

func TestFloorAndCeilingRoundAsECSDocuments(t *testing.T) {
	for _, c := range []struct {
		says                   string
		desired, percent, want int
		of                     func(int, int) int
	}{
		{"half of four is two", 4, 50, 2, Floor},
		{"three quarters of two round up to two: none may stop", 2, 75, 2, Floor},
		{"five quarters of three round down to three: none may start", 3, 125, 3, Ceiling},
		{"one and a half of four is six", 4, 150, 6, Ceiling},
		{"any share of one task is that task", 1, 1, 1, Floor},
		{"no share is no task", 7, 0, 0, Floor},
		{"no tasks have neither floor", 0, 100, 0, Floor},
		{"nor ceiling", 0, 200, 0, Ceiling},
	} {
		if got := c.of(c.desired, c.percent); got != c.want {
			t.Errorf("%s: got %d, want %d", c.says, got, c.want)
		}
	}
}

func TestFloorAndCeilingAreExactForEveryCountAndPercent(t *testing.T) {
	for d := range 301 {
		for percent := range 201 {
			share := big.NewRat(int64(d*percent), 100)
			floor := new(big.Int).Div(share.Num(), share.Denom())
			ceil := new(big.Int).Set(floor)
			if !share.IsInt() {
				ceil.Add(ceil, big.NewInt(1))
			}
			if got := Floor(d, percent); int64(got) != ceil.Int64() {
				t.Fatalf("Floor(%d, %d) = %d, want %s", d, percent, got, ceil)
			}
			if got := Ceiling(d, percent); int64(got) != floor.Int64() {
				t.Fatalf("Ceiling(%d, %d) = %d, want %s", d, percent, got, floor)
			}
		}
	}
}

// Bounds are told as impossible exactly if no count of the policy can replace a
// task, and each of the two changes in the help frees a count while one percent
// less does not.
func TestImpossibleBoundsAreFoundAndTheSmallestChangeFreesThem(t *testing.T) {
	for low := range 13 {
		for high := max(1, low); high <= 13; high++ {
			for minimum := range 101 {
				for _, maximum := range []int{100, 101, 107, 110, 125, 133, 134, 150, 199, 200} {
					checkBounds(t, low, high, minimum, maximum)
				}
			}
		}
	}
}

func checkBounds(t *testing.T, low, high, minimum, maximum int) {
	t.Helper()
	want := neverMoves(low, high, minimum, maximum)
	if got := refused(low, high, minimum, maximum); got != want {
		t.Fatalf("tasks %d to %d at %d to %d percent: refused %v, want %v", low, high, minimum, maximum, got, want)
	}
	if !want {
		return
	}
	down, up := unstuck(high)
	if refused(low, high, down, maximum) || !refused(low, high, down+1, maximum) {
		t.Fatalf("tasks %d to %d at %d to %d percent: %d is not the largest minimum that helps", low, high, minimum, maximum, down)
	}
	if refused(low, high, minimum, up) || !refused(low, high, minimum, up-1) {
		t.Fatalf("tasks %d to %d at %d to %d percent: %d is not the smallest maximum that helps", low, high, minimum, maximum, up)
	}
}

// neverMoves is the documented rule said slowly.
func neverMoves(low, high, minimum, maximum int) bool {
	for d := max(1, low); d <= high; d++ {
		if (d*minimum+99)/100 < d || d*maximum/100 > d {
			return false
		}
	}
	return true
}

func refused(low, high, minimum, maximum int) bool {
	var c check
	c.percents("web", Service{Tasks: &Tasks{Min: low, Max: high}, MinimumHealthyPercent: &minimum, MaximumPercent: &maximum})
	return len(c.problems) > 0
}
