package scenario

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// givingUpELB remembers, in a function's memory, which group could not be written
// to once, and leaves it alone from then on.
type givingUpELB struct {
	endpointside.ELBV2
	gone map[string]bool
}

func (g givingUpELB) RegisterTargets(ctx context.Context, in *elb.RegisterTargetsInput, o ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error) {
	if g.gone[aws.ToString(in.TargetGroupArn)] {
		return nil, errQuit
	}
	out, err := g.ELBV2.RegisterTargets(ctx, in, o...)
	g.gone[aws.ToString(in.TargetGroupArn)] = err != nil
	return out, err
}

func (g givingUpELB) DeregisterTargets(ctx context.Context, in *elb.DeregisterTargetsInput, o ...func(*elb.Options)) (*elb.DeregisterTargetsOutput, error) {
	if g.gone[aws.ToString(in.TargetGroupArn)] {
		return nil, errQuit
	}
	out, err := g.ELBV2.DeregisterTargets(ctx, in, o...)
	g.gone[aws.ToString(in.TargetGroupArn)] = err != nil
	return out, err
}

// Each bug is planted into its own recorded run, where it does not show, and looked
// for at the calls that it names.
func TestACrashOfRegisterLaysPlantedBugsOpen(t *testing.T) {
	t.Parallel()
	whole := handOver(t, 0, simcloud.CrashBefore, nil)
	for _, bug := range []crashBug{
		{"a group that could not be written to once is left alone for ever", false, []string{"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"}, frontPorts(func(_ *world, p *register.Ports) {
			p.ELBV2 = givingUpELB{p.ELBV2, map[string]bool{}}
		})},
		{"an intent that nobody answered is never put away", false, []string{"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"}, frontPorts(func(_ *world, p *register.Ports) {
			answered := map[string]bool{}
			p.DynamoDB = badPortDB{badDynamoDB{DynamoDB: p.DynamoDB, transact: func(in *dynamodb.TransactWriteItemsInput) {
				hoard(in, answered)
			}}, p.DynamoDB}
		})},
		{"a killed round's targets are taken off nowhere", false, []string{"elasticloadbalancing:DeregisterTargets"}, frontPorts(func(_ *world, p *register.Ports) {
			tried := map[string]bool{}
			p.ELBV2 = badELB{ELBV2: p.ELBV2, deregister: func(in *elb.DeregisterTargetsInput) bool {
				again := false
				for _, x := range in.Targets {
					spot := aws.ToString(in.TargetGroupArn) + targetName(x)
					again = again || tried[spot]
					tried[spot] = true
				}
				return !again
			}}
		})},
	} {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			spoilt := handOver(t, 0, simcloud.CrashBefore, bug.spoil)
			if wrong := whole.wrong(spoilt); len(wrong) > 0 {
				t.Errorf("without a crash: %v", wrong)
			}
			at, _ := spoilt.firsts()
			runs := 0
			for _, b := range at {
				for _, mode := range modes() {
					if !slices.Contains(bug.at, b.name) {
						continue
					}
					runs++
					if wrong := whole.wrong(handOver(t, b.n, mode, bug.spoil)); len(wrong) > 0 {
						t.Logf("caught by run %d, %s at %s: %s", runs, mode, b.name, wrong[0])
						return
					}
				}
			}
			t.Errorf("not caught by %d runs", runs)
		})
	}
}

// hoard keeps the open intents that no outcome was written to.
func hoard(in *dynamodb.TransactWriteItemsInput, answered map[string]bool) {
	in.TransactItems = slices.DeleteFunc(in.TransactItems, func(w ddb.TransactWriteItem) bool {
		if w.Update != nil {
			answered[text(w.Update.Key, "sk")] = true
		}
		return w.Delete != nil && strings.HasPrefix(text(w.Delete.Key, "sk"), openItems) && !answered[text(w.Delete.Key, "sk")]
	})
}
