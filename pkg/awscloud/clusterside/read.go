package clusterside

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// readsPerSecond is what looks may take of ECS's "cluster resource read" bucket:
// half of what AWS refills. The other half is for preconditions, for looks that
// no event caused, and for whoever else reads ECS in the account.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
const readsPerSecond = 10

// A read that is throttled is made again, after a wait that doubles up to eight
// times the first. The bucket refills by ten meanwhile, and as many reads wait at
// a time, about.
const (
	firstWait = 500 * time.Millisecond
	doublings = 3
)

// patience is how much of an invocation must be left for a throttled read to
// wait: for thinking, writing, and calls, of which the longest takes 20 s.
const patience = 30 * time.Second

// Read makes one call that changes nothing, and makes it again while AWS
// throttles it and the invocation has time: a look that takes more than the bucket
// holds would never succeed otherwise. Where no time bounds it, it does not wait.
func Read[I, O, F any](ctx context.Context, e Edges, call func(context.Context, *I, ...func(*F)) (*O, error), in *I) (*O, error) {
	for n := 0; ; n++ {
		out, err := call(ctx, in)
		if err == nil || !throttled(err) {
			return out, err
		}
		wait := firstWait << min(n, doublings)
		end, bounded := ctx.Deadline()
		if !bounded || end.Sub(e.Clock()) < patience+wait || e.Wait(ctx, wait) != nil {
			return nil, err
		}
	}
}

// throttled says whether AWS turned a call down for its rate only.
func throttled(err error) bool {
	return retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err) == aws.TrueTernary
}
