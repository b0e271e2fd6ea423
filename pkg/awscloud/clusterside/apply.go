package clusterside

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// target is a Cloud and the cluster that a change is made in.
type target struct {
	*Cloud
	cluster string
	may     func() error
}

// now says whether a changing call may begin.
func (t target) now() error {
	if err := t.may(); err != nil {
		return Skip("%w", err)
	}
	return nil
}

// once lets the SDK make a changing call of ECS one time only: the next round
// looks instead.
func once(o *ecs.Options) { o.RetryMaxAttempts = 1 }

// onceAutoScaling is the same for Auto Scaling.
func onceAutoScaling(o *autoscaling.Options) { o.RetryMaxAttempts = 1 }

// errSkip says that a change's precondition no longer holds, errPartial that a
// part of it was made, errInstead that another call stood in.
var (
	errSkip    = errors.New("skipped")
	errPartial = errors.New("partial")
	errInstead = errors.New("instead")
)

// Apply makes the call of an intent of the named cluster, once, if its precondition still holds, and
// returns the intent with its outcome. It asks may right before the changing
// call. An error that does not say that nothing happened leaves the outcome
// unknown.
func (c *Cloud) Apply(ctx context.Context, name string, i cluster.Intent, may func() error) cluster.Intent {
	t, err := target{Cloud: c, cluster: name, may: may}, error(nil)
	switch i.Verb {
	case cluster.SetDesiredCount:
		err = t.setDesiredCount(ctx, i)
	case cluster.LaunchHosts:
		i.Instances, err = t.launchHosts(ctx, i)
	case cluster.DrainHost:
		err = t.drainHost(ctx, i)
	case cluster.ActivateHost:
		err = t.setState(ctx, i, ecstypes.ContainerInstanceStatusActive)
	case cluster.TerminateHost:
		err = t.terminateHost(ctx, i)
	default:
		err = fmt.Errorf("%w: %s is not a change that can be made", errSkip, i.Verb)
	}
	i.Outcome, i.Detail = Outcome(err)
	return i
}

// Outcome reads the error of a change: AWS's own refusals changed nothing; of a
// time-out, a broken connection or a server's fault nobody knows.
func Outcome(err error) (cluster.Outcome, string) {
	var api smithy.APIError
	var answer interface{ HTTPStatusCode() int }
	server := errors.As(err, &answer) && answer.HTTPStatusCode() >= 500
	switch {
	case err == nil:
		return cluster.OutcomeApplied, ""
	case errors.Is(err, errPartial), errors.Is(err, errInstead):
		return cluster.OutcomeApplied, err.Error()
	case errors.Is(err, errSkip):
		return cluster.OutcomeSkipped, err.Error()
	case errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer && !server:
		return cluster.OutcomeRefused, err.Error()
	default:
		return cluster.OutcomeUnknown, err.Error()
	}
}

// Skip is the error of a change whose precondition does not hold, and says
// one: its outcome is skipped.
func Skip(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errSkip}, args...)...)
}

// Partial is the error of a change of which a part was made, and says why not
// more: its outcome is applied.
func Partial(why error) error { return fmt.Errorf("%w: %w", errPartial, why) }

func (t target) setDesiredCount(ctx context.Context, i cluster.Intent) error {
	out, err := Read(ctx, t.edges, t.ecs.DescribeServices, &ecs.DescribeServicesInput{Cluster: aws.String(t.cluster), Services: []string{i.Subject.Name()}})
	if err != nil {
		return Skip("look at %s again: %w", i.Subject, err)
	}
	if len(out.Services) != 1 || int(out.Services[0].DesiredCount) != i.From {
		return Skip("the desired count of %s is not %d any more", i.Subject.Name(), i.From)
	}
	if err := t.now(); err != nil {
		return err
	}
	_, err = t.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(t.cluster), Service: aws.String(i.Subject.Name()), DesiredCount: aws.Int32(int32(i.To)), //nolint:gosec // the policy bounds it
	}, once)
	if err != nil {
		return fmt.Errorf("update service %s: %w", i.Subject.Name(), err)
	}
	return nil
}

// launchHosts launches To-From hosts in one zone. The token makes a repetition
// of this very intent harmless; without a retry strategy nothing launches later.
func (t target) launchHosts(ctx context.Context, i cluster.Intent) ([]string, error) {
	if err := t.desiredIs(ctx, i); err != nil {
		return nil, err
	}
	if err := t.now(); err != nil {
		return nil, err
	}
	out, err := t.autoscaling.LaunchInstances(ctx, &autoscaling.LaunchInstancesInput{
		AutoScalingGroupName: aws.String(i.Subject.Name()), AvailabilityZones: []string{i.Zone}, ClientToken: aws.String(Token(i)),
		RequestedCapacity: aws.Int32(int32(i.To - i.From)), //nolint:gosec // the policy bounds it
	}, onceAutoScaling)
	if refusal := turnedDown(out, err); refusal != nil {
		return nil, t.raiseCapacity(ctx, i, refusal)
	}
	if err != nil {
		return nil, fmt.Errorf("launch instances in %s %s: %w", i.Subject.Name(), i.Zone, err)
	}
	ids := launched(out)
	if len(ids) < i.To-i.From && len(out.Errors) > 0 {
		e := out.Errors[0]
		err = &smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: i.Zone + ": " + aws.ToString(e.ErrorMessage), Fault: smithy.FaultClient}
	}
	if err != nil && len(ids) > 0 {
		err = Partial(err)
	}
	return ids, err
}

func launched(out *autoscaling.LaunchInstancesOutput) []string {
	var ids []string
	for _, l := range out.Instances {
		ids = append(ids, l.InstanceIds...)
	}
	return ids
}

// turnedDown is the refusal where LaunchInstances is not to be had here at all,
// nil otherwise. What the role lacks may be the call's own error or that of each
// launch.
func turnedDown(out *autoscaling.LaunchInstancesOutput, err error) error {
	var api smithy.APIError
	switch {
	case err != nil && errors.As(err, &api) && unsupported(api.ErrorCode()):
		return api
	case err == nil && len(launched(out)) == 0 && len(out.Errors) > 0 && forbidden(aws.ToString(out.Errors[0].ErrorCode)):
		e := out.Errors[0]
		return &smithy.GenericAPIError{Code: aws.ToString(e.ErrorCode), Message: aws.ToString(e.ErrorMessage), Fault: smithy.FaultClient}
	}
	return nil
}

// unsupported are the codes with which a Region, a partition, a policy or a kind
// of group (launch configurations, mixed purchase options) turns LaunchInstances
// down as a whole.
func unsupported(code string) bool {
	return forbidden(code) || slices.Contains([]string{"InvalidAction", "UnsupportedOperation", "UnsupportedOperationException", "ValidationError"}, code)
}

// forbidden are the codes of a missing right. LaunchInstances needs rights of
// EC2 and that of passing the hosts' role. SetDesiredCapacity does without: then
// Auto Scaling's own role launches.
func forbidden(code string) bool {
	return slices.Contains([]string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}, code)
}

// raiseCapacity asks for the hosts where LaunchInstances is not to be had: they
// come, or do not, in zones of the group's choice. The refusal goes into the
// record: with a right that is missing this may last for ever, and it is slower
// to tell of missing capacity.
func (t target) raiseCapacity(ctx context.Context, i cluster.Intent, refusal error) error {
	if err := t.now(); err != nil {
		return err
	}
	_, err := t.autoscaling.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: aws.String(i.Subject.Name()), DesiredCapacity: aws.Int32(int32(i.To)), HonorCooldown: aws.Bool(false), //nolint:gosec // the policy bounds it
	}, onceAutoScaling)
	if err != nil {
		return fmt.Errorf("set the desired capacity of %s: %w (after LaunchInstances: %s)", i.Subject.Name(), err, refusal.Error())
	}
	return fmt.Errorf("%w of LaunchInstances the desired capacity was set: %w", errInstead, refusal)
}

// desiredIs checks that a group still wants as many hosts as the plan rested on,
// and that more are to come: capacity is never lowered this way.
func (t target) desiredIs(ctx context.Context, i cluster.Intent) error {
	if i.To <= i.From {
		return Skip("%d hosts after %d: capacity is only raised", i.To, i.From)
	}
	name := i.Subject.Name()
	out, err := Read(ctx, t.edges, t.autoscaling.DescribeAutoScalingGroups, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return Skip("look at %s again: %w", i.Subject, err)
	}
	if len(out.AutoScalingGroups) != 1 || int(deref(out.AutoScalingGroups[0].DesiredCapacity, -1)) != i.From {
		return Skip("the desired capacity of %s is not %d any more", name, i.From)
	}
	return nil
}

// drainHost drains a host that is empty still; only such are removed.
func (t target) drainHost(ctx context.Context, i cluster.Intent) error {
	h, err := t.again(ctx, i)
	if err != nil {
		return err
	}
	if h.Status != cluster.HostActive || !h.Empty() {
		return Skip("%s is %s with %d tasks", i.Subject, h.Status, h.Running+h.Pending)
	}
	return t.setState(ctx, i, ecstypes.ContainerInstanceStatusDraining)
}

func (t target) again(ctx context.Context, i cluster.Intent) (cluster.Host, error) {
	out, err := Read(ctx, t.edges, t.ecs.DescribeContainerInstances, &ecs.DescribeContainerInstancesInput{Cluster: aws.String(t.cluster), ContainerInstances: []string{i.Host}})
	if err != nil {
		return cluster.Host{}, Skip("look at %s again: %w", i.Subject, err)
	}
	if len(out.ContainerInstances) != 1 {
		return cluster.Host{}, Skip("%s is no container instance any more", i.Subject)
	}
	return host(out.ContainerInstances[0]), nil
}

func (t target) setState(ctx context.Context, i cluster.Intent, to ecstypes.ContainerInstanceStatus) error {
	if err := t.now(); err != nil {
		return err
	}
	out, err := t.ecs.UpdateContainerInstancesState(ctx, &ecs.UpdateContainerInstancesStateInput{Cluster: aws.String(t.cluster), ContainerInstances: []string{i.Host}, Status: to}, once)
	if err != nil {
		return fmt.Errorf("set %s to %s: %w", i.Subject, to, err)
	}
	if len(out.Failures) > 0 { // failures come with HTTP 200
		f := out.Failures[0]
		return fmt.Errorf("set %s to %s: %w", i.Subject, to, &smithy.GenericAPIError{Code: aws.ToString(f.Reason), Message: aws.ToString(f.Detail), Fault: smithy.FaultClient})
	}
	return nil
}

// terminateHost ends the very host that was emptied, after a second look: it is
// DRAINING, still empty, and in service.
func (t target) terminateHost(ctx context.Context, i cluster.Intent) error {
	h, err := t.again(ctx, i)
	if err != nil {
		return err
	}
	if h.Status != cluster.HostDraining || !h.Empty() {
		return Skip("%s is %s with %d tasks", i.Subject, h.Status, h.Running+h.Pending)
	}
	groups, err := Read(ctx, t.edges, t.autoscaling.DescribeAutoScalingGroups, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{i.Group}})
	if err != nil {
		return Skip("look at %s again: %w", i.Group, err)
	}
	inService := len(groups.AutoScalingGroups) == 1 && slices.ContainsFunc(group(groups.AutoScalingGroups[0]).Instances, func(x cluster.Instance) bool {
		return x.ID == i.Subject.Name() && strings.HasPrefix(x.Lifecycle, cluster.LifecycleInService)
	})
	if !inService {
		return Skip("%s is not in service in %s any more", i.Subject, i.Group)
	}
	if err := t.now(); err != nil {
		return err
	}
	_, err = t.autoscaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: aws.String(i.Subject.Name()), ShouldDecrementDesiredCapacity: aws.Bool(true),
	}, onceAutoScaling)
	if err != nil {
		return fmt.Errorf("terminate %s: %w", i.Subject, err)
	}
	return nil
}

// Token is the client token of an intent: a retry of that intent repeats it, the
// same change at another time does not.
func Token(i cluster.Intent) string {
	sum := sha256.Sum256([]byte(i.ID + "\x00" + string(i.Subject)))
	return hex.EncodeToString(sum[:])[:32]
}
