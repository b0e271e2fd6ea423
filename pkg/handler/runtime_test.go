package handler

import (
	"strconv"
	"strings"
	"testing"
)

func TestTheMemoryLimitLeavesRoomForWhatGoDoesNotCount(t *testing.T) {
	for _, memory := range []int{128, 256, 512} {
		limit, ok := strings.CutSuffix(Runtime(memory)["GOMEMLIMIT"], "MiB") // any other suffix and Go does not start
		n, err := strconv.Atoi(limit)
		if !ok || err != nil || n < memory/2 || memory-n < 32 {
			t.Errorf("of %d MiB the limit is %q", memory, limit)
		}
	}
}
