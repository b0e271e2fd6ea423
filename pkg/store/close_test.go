package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// deafQueue takes no message.
type deafQueue struct{}

func (deafQueue) SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return nil, errors.New("unavailable")
}

func TestALeaseIsGivenBackThoughAnotherLookCannotBeAskedFor(t *testing.T) {
	f := newFixture(t)
	queue := f.Queue
	f.Queue = deafQueue{}
	o := f.open("a")
	if err := o.Close(t.Context(), f.now.Add(10*time.Second), nil); err == nil {
		t.Error("the queue took nothing and nobody says so")
	}
	f.Queue = queue
	if _, err := f.Open(t.Context(), prod, "b"); err != nil {
		t.Errorf("the next message gets no lease: %v", err)
	}
}
