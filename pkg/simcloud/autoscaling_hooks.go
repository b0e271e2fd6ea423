package simcloud

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// The words of lifecycle hooks.
const (
	hookTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"
	resultContinue  = "CONTINUE"
	resultAbandon   = "ABANDON"
)

// asHook is a lifecycle hook on termination.
type asHook struct {
	name, metadata string
	heartbeat      time.Duration
	result         string // when its time is over
}

// longest is how long an instance can wait for the hook, whatever the heartbeats.
func (h asHook) longest() time.Duration { return min(48*time.Hour, 100*h.heartbeat) }

// asAction is an instance's wait for one hook.
type asAction struct {
	hook     asHook
	token    string
	began    time.Time
	deadline time.Time
}

// awaitHooks puts an instance into Terminating:Wait until each of its group's
// hooks has let it go, and then lets do happen.
func (f *fleet) awaitHooks(i *asInstance, do func()) {
	if len(i.group.hooks) == 0 {
		do()
		return
	}
	i.state, i.proceed = types.LifecycleStateTerminatingWait, do
	for _, h := range i.group.hooks {
		a := &asAction{hook: h, token: uuid(f.Cloud), began: f.now}
		i.actions = append(i.actions, a)
		f.emit("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", []string{i.group.arn}, hookDetail{
			LifecycleActionToken: a.token, AutoScalingGroupName: i.group.spec.Name, LifecycleHookName: h.name, EC2InstanceID: i.id,
			LifecycleTransition: hookTerminating, NotificationMetadata: h.metadata, Origin: "AutoScalingGroup", Destination: "EC2",
		})
		f.heartbeat(i, a)
	}
	f.changed()
}

// hookDetail is the detail of a lifecycle action's event.
type hookDetail struct {
	LifecycleActionToken string `json:"LifecycleActionToken"`
	AutoScalingGroupName string `json:"AutoScalingGroupName"`
	LifecycleHookName    string `json:"LifecycleHookName"`
	EC2InstanceID        string `json:"EC2InstanceId"`
	LifecycleTransition  string `json:"LifecycleTransition"`
	NotificationMetadata string `json:"NotificationMetadata,omitempty"`
	Origin               string `json:"Origin"`
	Destination          string `json:"Destination"`
}

// heartbeat begins the wait for a hook, or begins it anew.
func (f *fleet) heartbeat(i *asInstance, a *asAction) {
	deadline := f.now.Add(a.hook.heartbeat)
	if end := a.began.Add(a.hook.longest()); deadline.After(end) {
		deadline = end
	}
	a.deadline = deadline
	f.at(deadline, func() {
		if a.deadline.Equal(deadline) && slices.Contains(i.actions, a) {
			f.remember("HookTimedOut", i.id)
			f.complete(i, a, a.hook.result)
		}
	})
}

// complete ends the wait for one hook. ABANDON ends that for the others too: for
// an instance that terminates, both results let it.
func (f *fleet) complete(i *asInstance, a *asAction, result string) {
	i.actions = without(i.actions, a)
	if result == resultAbandon {
		i.actions = nil
	}
	if len(i.actions) > 0 || i.proceed == nil {
		return
	}
	do := i.proceed
	i.proceed = nil
	do()
}

// PutLifecycleHook makes a hook on termination, or changes one; members that are
// not given stay. Notification targets, and hooks on launch, are not simulated:
// EventBridge gets the event in any case.
func (a *AutoScaling) PutLifecycleHook(ctx context.Context, in *autoscaling.PutLifecycleHookInput, _ ...func(*autoscaling.Options)) (*autoscaling.PutLifecycleHookOutput, error) {
	return call(ctx, a.c, groupModify("PutLifecycleHook"), in, func() (*autoscaling.PutLifecycleHookOutput, error) {
		if err := onlyMembers(in, "AutoScalingGroupName", "LifecycleHookName", "LifecycleTransition", "HeartbeatTimeout", "DefaultResult", "NotificationMetadata"); err != nil {
			return nil, err
		}
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		at := g.hook(aws.ToString(in.LifecycleHookName))
		h := asHook{name: aws.ToString(in.LifecycleHookName), heartbeat: time.Hour, result: resultAbandon}
		if at >= 0 {
			h = g.hooks[at]
		}
		if err := h.set(in, at < 0); err != nil {
			return nil, err
		}
		if at < 0 && len(g.hooks) == 50 {
			return nil, &types.LimitExceededFault{Message: aws.String("A group has at most 50 lifecycle hooks.")}
		}
		hooks := slices.Clone(g.hooks) // a picture of the group may share them
		if at < 0 {
			hooks = append(hooks, h)
		} else {
			hooks[at] = h
		}
		slices.SortFunc(hooks, func(a, b asHook) int { return strings.Compare(a.name, b.name) })
		g.hooks = hooks
		return &autoscaling.PutLifecycleHookOutput{}, nil
	})
}

// hook is the place of a hook among the group's; negative: there is none.
func (g *asGroup) hook(name string) int {
	return slices.IndexFunc(g.hooks, func(h asHook) bool { return h.name == name })
}

// set takes what a call gives.
func (h *asHook) set(in *autoscaling.PutLifecycleHookInput, isNew bool) error {
	transition := aws.ToString(in.LifecycleTransition)
	switch {
	case h.name == "":
		return validation("A lifecycle hook needs a name")
	case transition == "autoscaling:EC2_INSTANCE_LAUNCHING":
		return notSimulated("lifecycle hooks on launch")
	case transition != hookTerminating && (isNew || transition != ""):
		return validation("The lifecycle transition of %s is %q, not %s", h.name, transition, hookTerminating)
	}
	if in.HeartbeatTimeout != nil {
		h.heartbeat = time.Duration(*in.HeartbeatTimeout) * time.Second
	}
	if h.heartbeat < 30*time.Second || h.heartbeat > 2*time.Hour {
		return validation("The heartbeat timeout of %s is %s, not 30 to 7200 seconds", h.name, h.heartbeat)
	}
	if in.DefaultResult != nil {
		h.result = *in.DefaultResult
	}
	if in.NotificationMetadata != nil {
		h.metadata = *in.NotificationMetadata
	}
	return checkResult(h.result)
}

func checkResult(result string) error {
	if result != resultContinue && result != resultAbandon {
		return validation("The result of a lifecycle action is %q, not CONTINUE or ABANDON", result)
	}
	return nil
}

// DescribeLifecycleHooks describes a group's hooks, all of them unless names are
// given.
func (a *AutoScaling) DescribeLifecycleHooks(ctx context.Context, in *autoscaling.DescribeLifecycleHooksInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	return call(ctx, a.c, groupRead("DescribeLifecycleHooks"), in, func() (*autoscaling.DescribeLifecycleHooksOutput, error) {
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		out := &autoscaling.DescribeLifecycleHooksOutput{}
		for _, h := range g.hooks {
			if len(in.LifecycleHookNames) > 0 && !slices.Contains(in.LifecycleHookNames, h.name) {
				continue
			}
			out.LifecycleHooks = append(out.LifecycleHooks, types.LifecycleHook{
				AutoScalingGroupName: aws.String(g.spec.Name), LifecycleHookName: aws.String(h.name), LifecycleTransition: aws.String(hookTerminating), DefaultResult: aws.String(h.result),
				HeartbeatTimeout: aws.Int32(int32(h.heartbeat / time.Second)), GlobalTimeout: aws.Int32(int32(h.longest() / time.Second)), NotificationMetadata: text(h.metadata),
			})
		}
		return out, nil
	})
}

// DeleteLifecycleHook removes a hook. What waits for it goes on: ABANDON for an
// instance that terminates.
func (a *AutoScaling) DeleteLifecycleHook(ctx context.Context, in *autoscaling.DeleteLifecycleHookInput, _ ...func(*autoscaling.Options)) (*autoscaling.DeleteLifecycleHookOutput, error) {
	return call(ctx, a.c, groupModify("DeleteLifecycleHook"), in, func() (*autoscaling.DeleteLifecycleHookOutput, error) {
		g, err := a.named(in.AutoScalingGroupName)
		if err != nil {
			return nil, err
		}
		at := g.hook(aws.ToString(in.LifecycleHookName))
		if at < 0 {
			return nil, validation("No Lifecycle Hook found with name %s", aws.ToString(in.LifecycleHookName))
		}
		name := g.hooks[at].name
		g.hooks = slices.Delete(slices.Clone(g.hooks), at, at+1)
		for _, i := range slices.Clone(g.instances) {
			for _, waits := range slices.Clone(i.actions) {
				if waits.hook.name == name && slices.Contains(i.actions, waits) {
					a.c.fleet.complete(i, waits, resultAbandon)
				}
			}
		}
		return &autoscaling.DeleteLifecycleHookOutput{}, nil
	})
}

// action finds the wait of an instance for a hook, by the instance's id or the
// action's token.
func (a *AutoScaling) action(group, hook, instance, token *string) (*asInstance, *asAction, error) {
	g, err := a.named(group)
	if err != nil {
		return nil, nil, err
	}
	if instance == nil && token == nil {
		return nil, nil, validation("Either an instance ID or a lifecycle action token is needed")
	}
	for _, i := range g.instances {
		at := slices.IndexFunc(i.actions, func(one *asAction) bool {
			return one.hook.name == aws.ToString(hook) && (token == nil || one.token == *token) && (instance == nil || i.id == *instance)
		})
		if at >= 0 {
			return i, i.actions[at], nil
		}
	}
	if token != nil {
		return nil, nil, validation("No active Lifecycle Action found with token %s", *token)
	}
	return nil, nil, validation("No active Lifecycle Action found with instance ID %s", *instance)
}

// CompleteLifecycleAction lets an instance terminate, as far as one hook goes.
func (a *AutoScaling) CompleteLifecycleAction(ctx context.Context, in *autoscaling.CompleteLifecycleActionInput, _ ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error) {
	return call(ctx, a.c, groupModify("CompleteLifecycleAction"), in, func() (*autoscaling.CompleteLifecycleActionOutput, error) {
		i, one, err := a.action(in.AutoScalingGroupName, in.LifecycleHookName, in.InstanceId, in.LifecycleActionToken)
		if err != nil {
			return nil, err
		}
		if err := checkResult(aws.ToString(in.LifecycleActionResult)); err != nil {
			return nil, err
		}
		a.c.fleet.complete(i, one, *in.LifecycleActionResult)
		return &autoscaling.CompleteLifecycleActionOutput{}, nil
	})
}

// RecordLifecycleActionHeartbeat begins a hook's time anew, within what a wait
// can last: 100 times the heartbeat, 48 hours at most.
func (a *AutoScaling) RecordLifecycleActionHeartbeat(ctx context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput, _ ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	return call(ctx, a.c, groupModify("RecordLifecycleActionHeartbeat"), in, func() (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
		i, one, err := a.action(in.AutoScalingGroupName, in.LifecycleHookName, in.InstanceId, in.LifecycleActionToken)
		if err != nil {
			return nil, err
		}
		a.c.fleet.heartbeat(i, one)
		return &autoscaling.RecordLifecycleActionHeartbeatOutput{}, nil
	})
}
