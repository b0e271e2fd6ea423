package scenario

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

func TestOnlyTheVeryReadThatFailedMakesALookWholeAgain(t *testing.T) {
	list := func(invocation int, page string) simcloud.Call {
		return simcloud.Call{Invocation: invocation, Service: "ecs", Action: "ListTasks", Input: &ecs.ListTasksInput{NextToken: aws.String(page)}}
	}
	for name, c := range map[string]struct {
		answered simcloud.Call
		noted    bool
		whole    bool
	}{
		"the same read again":                    {list(1, "2"), false, true},
		"another page":                           {list(1, "1"), false, false},
		"the same of another round":              {list(2, "2"), false, false},
		"the same after the first intent":        {list(1, "2"), true, false},
		"another call with as little to tell it": {simcloud.Call{Invocation: 1, Service: "ecs", Action: "ListServices", Input: list(1, "2").Input}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			i := &invocation{id: 1, ledger: newLedger()}
			m := &monitors{under: map[int]*invocation{1: i, 2: {id: 2, ledger: newLedger()}}}
			m.failed(list(1, "2"), errors.New("throttled"))
			if c.noted {
				i.ledger.noted["now#open#1"] = true
			}
			m.read(c.answered)
			if whole := len(i.unread) == 0; whole != c.whole {
				t.Errorf("whole: %t", whole)
			}
		})
	}
}
