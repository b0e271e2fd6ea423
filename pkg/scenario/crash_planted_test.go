package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// crashBug is a bug that a crash at one of the calls named lays open.
type crashBug struct {
	name  string
	shown bool     // without a crash too
	at    []string // calls, as boundaries name them
	spoil sabotage
}

// failingECS deals badly with the errors of UpdateService.
type failingECS struct {
	clusterside.ECS
	then func(*ecs.UpdateServiceInput, error) (again *ecs.UpdateServiceInput, err error)
}

func (f failingECS) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	out, err := f.ECS.UpdateService(ctx, in)
	again, err := f.then(in, err)
	if again == nil {
		return out, err
	}
	return f.ECS.UpdateService(ctx, again)
}

// failingGroups tries a failed launch again.
type failingGroups struct{ clusterside.AutoScaling }

func (f failingGroups) LaunchInstances(ctx context.Context, in *autoscaling.LaunchInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.LaunchInstancesOutput, error) {
	out, err := f.AutoScaling.LaunchInstances(ctx, in)
	if err == nil {
		return out, nil
	}
	again := *in
	again.ClientToken = aws.String(strings.Repeat("2", 32))
	return f.AutoScaling.LaunchInstances(ctx, &again)
}

// forgetful is a DynamoDB that leaves items out of what it answers.
type forgetful struct {
	store.DynamoDB
	forgets func(item) bool
}

func (f forgetful) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := f.DynamoDB.Query(ctx, in)
	if err == nil {
		out.Items = slices.DeleteFunc(out.Items, f.forgets)
	}
	return out, err
}

// deferringECS and deferringDB do something when a call of theirs does not come
// back.
type deferringECS struct {
	clusterside.ECS
	do func(context.Context)
}

func (d deferringECS) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	defer d.do(ctx)
	return d.ECS.UpdateService(ctx, in)
}

func (d deferringECS) UpdateContainerInstancesState(ctx context.Context, in *ecs.UpdateContainerInstancesStateInput, _ ...func(*ecs.Options)) (*ecs.UpdateContainerInstancesStateOutput, error) {
	defer d.do(ctx)
	return d.ECS.UpdateContainerInstancesState(ctx, in)
}

type deferringDB struct {
	store.DynamoDB
	do func(context.Context)
}

func (d deferringDB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	defer d.do(ctx)
	return d.DynamoDB.TransactWriteItems(ctx, in)
}

func (d deferringDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	defer d.do(ctx)
	return d.DynamoDB.UpdateItem(ctx, in)
}

// unanswered says that an item is an intent without an outcome.
func unanswered(i item) bool {
	var intent cluster.Intent
	return strings.HasPrefix(text(i, "sk"), openItems) && json.Unmarshal([]byte(text(i, "intent")), &intent) == nil && intent.Outcome == cluster.OutcomeUnknown
}

// crashBugs are what a round may get wrong about crashes.
func crashBugs() []crashBug {
	launch, update := []string{"autoscaling:LaunchInstances"}, []string{"ecs:UpdateService"}
	changes := slices.Concat(launch, update, []string{"ecs:UpdateContainerInstancesState"})
	return []crashBug{
		{"an intent is written after its call", true, changes, afterwards},
		{"a launch that failed is tried again with another client token", false, launch, ports(func(_ *world, p *reconcile.Ports) {
			p.AutoScaling = failingGroups{p.AutoScaling}
		})},
		{"a count whose setting failed is changed by as much again", false, update, ports(func(_ *world, p *reconcile.Ports) {
			p.ECS = failingECS{p.ECS, func(in *ecs.UpdateServiceInput, err error) (*ecs.UpdateServiceInput, error) {
				if err == nil {
					return nil, nil
				}
				again := *in
				again.DesiredCount = aws.Int32(*in.DesiredCount + 2)
				return &again, nil
			}}
		})},
		{"an intent that nobody answered is never put away", false, changes, hoarding},
		{"an intent that nobody answered is forgotten", false, changes, ports(func(_ *world, p *reconcile.Ports) {
			p.DynamoDB = forgetful{p.DynamoDB, unanswered}
		})},
		{"a service whose count could not be set once is left alone for ever", false, update, quitting},
		{"what is deferred still reaches ECS when the round was killed", false, changes, ports(func(w *world, p *reconcile.Ports) {
			p.ECS = deferringECS{p.ECS, func(context.Context) {
				if !w.cloud.Alive() { // from outside of any invocation, past the kernel
					w.cloud.At(w.cloud.Now(), func() { drain(context.Background(), w, busiest(w).ARN) })
				}
			}}
		})},
	}
}

// afterwards writes the intents of a note after the round's first change of a
// count.
func afterwards(_ *world, p *reconcile.Ports) {
	var held []ddb.TransactWriteItem
	own := p.DynamoDB
	p.DynamoDB = badDynamoDB{DynamoDB: own, transact: func(in *dynamodb.TransactWriteItemsInput) {
		in.TransactItems = slices.DeleteFunc(in.TransactItems, func(w ddb.TransactWriteItem) bool {
			if isOpen(w) {
				held = append(held, w)
			}
			return isOpen(w)
		})
	}}
	p.ECS = badECS{ECS: p.ECS, after: func(ctx context.Context) {
		_, _ = own.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: held})
		held = nil
	}}
}

// hoarding keeps the open intents that no outcome was written to.
func hoarding(_ *world, p *reconcile.Ports) {
	answered := map[string]bool{}
	p.DynamoDB = badDynamoDB{DynamoDB: p.DynamoDB, transact: func(in *dynamodb.TransactWriteItemsInput) { hoard(in, answered) }}
}

var errQuit = errors.New("it could not be set once")

// quitting remembers, in a function's memory, which service it has given up.
func quitting(_ *world, p *reconcile.Ports) {
	gone := map[string]bool{}
	own := p.ECS
	p.ECS = failingECS{own, func(in *ecs.UpdateServiceInput, err error) (*ecs.UpdateServiceInput, error) {
		gone[*in.Service] = gone[*in.Service] || err != nil
		return nil, err
	}}
	p.ECS = refusingECS{p.ECS, gone}
}

type refusingECS struct {
	clusterside.ECS
	gone map[string]bool
}

func (r refusingECS) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput, _ ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	if r.gone[*in.Service] {
		return nil, errQuit
	}
	return r.ECS.UpdateService(ctx, in)
}

// Each bug is planted into its own recorded run and looked for at all boundaries
// that it names, in all modes, until one run ends otherwise.
func TestACrashLaysPlantedBugsOpen(t *testing.T) {
	t.Parallel()
	whole := crash{}.run(t)
	for _, bug := range crashBugs() {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			spoilt := crash{spoil: bug.spoil}.run(t)
			if wrong := whole.differs(spoilt); (len(wrong) > 0) != bug.shown {
				t.Errorf("without a crash: %v", wrong)
			}
			runs := 0
			for _, b := range spoilt.acting() {
				for _, mode := range modes() {
					if !slices.Contains(bug.at, b.name) {
						continue
					}
					runs++
					if wrong := whole.differs(crash{b.n, mode, bug.spoil}.run(t)); len(wrong) > 0 {
						t.Logf("caught by run %d, %s at %s: %s", runs, mode, b.name, wrong[0])
						return
					}
				}
			}
			t.Errorf("not caught by %d runs", runs)
		})
	}
}

// A killed invocation has no after-effects: whatever its deferred code tries, the
// world goes the very way that it goes where there is no such code.
func TestTheDeferredCodeOfAKilledInvocationDoesNothing(t *testing.T) {
	t.Parallel()
	tried := 0
	greedy := ports(func(w *world, p *reconcile.Ports) {
		own := *p
		grab := func(ctx context.Context) {
			if w.cloud.Alive() {
				return
			}
			tried++
			for _, do := range grabs(ctx, own, w) {
				unpanicked(do)
			}
		}
		p.ECS, p.DynamoDB = deferringECS{own.ECS, grab}, deferringDB{own.DynamoDB, grab}
	})
	whole := crash{}.run(t)
	at, kills := 0, []simcloud.CrashMode{simcloud.CrashBefore, simcloud.CrashAfter, simcloud.CrashTimeout}
	for _, b := range whole.firsts() {
		_, action, _ := strings.Cut(b.name, ":")
		if b.invocation != whole.fullest() || !strings.HasPrefix(action, "Update") && action != "TransactWriteItems" {
			continue
		}
		mode, before := kills[at%len(kills)], tried
		got, want := crash{b.n, mode, greedy}.run(t), crash{b.n, mode, nil}.run(t)
		if at++; got.trace != want.trace || tried == before {
			t.Errorf("%s at call %d, %s: the world goes another way: %t; %d tries", mode, b.n, b.name, got.trace != want.trace, tried-before)
		}
	}
	if at < 6 {
		t.Errorf("the round was killed at %d calls", at)
	}
}

// unpanicked goes on whatever happens.
func unpanicked(do func()) {
	defer func() { _ = recover() }()
	do()
}

// grabs are changes of everything that a round can reach.
func grabs(ctx context.Context, p reconcile.Ports, w *world) []func() {
	lease := item{"pk": &ddb.AttributeValueMemberS{Value: leaseKey("prod")}, "sk": &ddb.AttributeValueMemberS{Value: leaseItem}}
	return []func(){
		func() { update(ctx, w, "web", 39) },
		func() { drain(ctx, w, busiest(w).ARN) },
		func() {
			_, _ = p.AutoScaling.LaunchInstances(ctx, &autoscaling.LaunchInstancesInput{AutoScalingGroupName: aws.String("prod-hosts"), AvailabilityZones: []string{"eu-west-1a"}, ClientToken: aws.String(strings.Repeat("3", 32)), RequestedCapacity: aws.Int32(3)})
		},
		func() {
			_, _ = p.DynamoDB.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String(table), Key: lease, UpdateExpression: aws.String("REMOVE holder")})
		},
		func() {
			_, _ = p.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String("{}")})
		},
	}
}
