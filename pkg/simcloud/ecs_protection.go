package simcloud

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ProtectionBound is what decides that a task cannot be protected any more, with
// the failure DEPLOYMENT_BLOCKED. ECS's guide and its page of failure reasons
// give different rules.
type ProtectionBound string

// The bounds of protection.
const (
	BoundByService    ProtectionBound = "service"    // more tasks of the service would be protected than its desired count: the developer guide
	BoundByDeployment ProtectionBound = "deployment" // besides, a protected task keeps one of the service's deployments from its end: the failure's text
	BoundNone         ProtectionBound = "none"       // any number
)

// The reasons of failures of the calls on task protection.
const (
	failedBlocked  = "DEPLOYMENT_BLOCKED"
	failedNotValid = "TASK_NOT_VALID"
)

// protected says that an unexpired protection is on the task.
func (t *ecsTask) protected(now time.Time) bool { return t.protectedUntil.After(now) }

// unprotected are the tasks that scale-in may stop.
func (f *fleet) unprotected(tasks []*ecsTask) []*ecsTask {
	open := make([]*ecsTask, 0, len(tasks))
	for _, t := range tasks {
		if !f.behaviour.ProtectionHonoured || !t.protected(f.now) {
			open = append(open, t)
		}
	}
	return open
}

// replaceable are the tasks that the scheduler may replace because of a deployment
// or, on a DRAINING host, because of that: those that are not protected, where
// protection counts.
func (f *fleet) replaceable(stale []*ecsTask) []*ecsTask {
	open := make([]*ecsTask, 0, len(stale))
	for _, t := range stale {
		honoured := f.behaviour.ProtectionHonoured
		if t.host.status == statusDraining {
			honoured = f.behaviour.DrainingHonours
		}
		if !honoured || !t.protected(f.now) {
			open = append(open, t)
		}
	}
	return open
}

// protect protects a task until an instant, or with the zero time no longer. The
// scheduler looks at its service when that ends.
func (f *fleet) protect(t *ecsTask, until time.Time) {
	t.protectedUntil = until
	f.changed()
	if until.IsZero() {
		f.plan(t.service)
		return
	}
	f.at(until, func() {
		if t.protectedUntil.Equal(until) && t.last != statusStopped {
			f.changed()
			f.plan(t.service)
		}
	})
}

// mayProtect says why a task's protection cannot be changed to that; "": it can.
func (f *fleet) mayProtect(t *ecsTask, enable bool) (reason, detail string) {
	switch {
	case t.service == nil:
		return failedNotValid, "The task is not part of a service."
	case !t.wantedToRun():
		return failedNotValid, "The task is stopping or stopped."
	case enable && f.blocked(t):
		return failedBlocked, "Protected tasks keep the service's deployment from reaching a steady state."
	}
	return "", ""
}

// blocked says that ECS refuses to protect one task more.
func (f *fleet) blocked(t *ecsTask) bool {
	count, stale := 0, false
	for _, other := range t.service.tasks {
		if other.wantedToRun() && (other == t || other.protected(f.now)) {
			count++
			stale = stale || other.deployment != t.service.deployments[0]
		}
	}
	switch f.behaviour.ProtectionBound {
	case BoundByDeployment:
		return stale || count > t.service.desired
	case BoundNone:
		return false
	default:
		return count > t.service.desired
	}
}

// protection is a task's protection as ECS tells it.
func (t *ecsTask) protection(now time.Time) types.ProtectedTask {
	out := types.ProtectedTask{TaskArn: aws.String(t.arn), ProtectionEnabled: t.protected(now)}
	if out.ProtectionEnabled {
		out.ExpirationDate = timePtr(t.protectedUntil)
	}
	return out
}

func ecsProtection(action string, changes bool) operation {
	return operation{service: "ecs", action: action, bucket: "ecs task protection", latency: 40 * time.Millisecond, changes: changes}
}

// UpdateTaskProtection protects up to 10 tasks of services from scale-in and
// deployments, for 1 to 2880 minutes (120 unless given), or ends that. What is
// refused is in the answer's failures: MISSING, TASK_NOT_VALID,
// DEPLOYMENT_BLOCKED.
func (e *ECS) UpdateTaskProtection(ctx context.Context, in *ecs.UpdateTaskProtectionInput, _ ...func(*ecs.Options)) (*ecs.UpdateTaskProtectionOutput, error) {
	return call(ctx, e.c, ecsProtection("UpdateTaskProtection", true), in, func() (*ecs.UpdateTaskProtectionOutput, error) {
		f := e.c.fleet
		c, err := f.checkProtection(in.Cluster, in.Tasks, 10)
		if err != nil {
			return nil, err
		}
		minutes := sizeOr(in.ExpiresInMinutes, 120)
		if minutes < 1 || minutes > 2880 {
			return nil, invalidParameter("expiresInMinutes must be between 1 and 2880, not %d.", minutes)
		}
		until := time.Time{}
		if in.ProtectionEnabled {
			until = f.now.Add(time.Duration(minutes) * time.Minute)
		}
		out := &ecs.UpdateTaskProtectionOutput{Failures: []types.Failure{}, ProtectedTasks: []types.ProtectedTask{}}
		for _, ref := range in.Tasks {
			t := c.taskByID[tail(ref)]
			if t == nil {
				out.Failures = append(out.Failures, f.missing(c, "task", ref))
				continue
			}
			if reason, detail := f.mayProtect(t, in.ProtectionEnabled); reason != "" {
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(t.arn), Reason: aws.String(reason), Detail: aws.String(detail)})
				continue
			}
			if f.faults.hits(faultPartialFailure) {
				out.Failures = append(out.Failures, itemFailure(t.arn))
				continue
			}
			f.protect(t, until)
			out.ProtectedTasks = append(out.ProtectedTasks, t.protection(f.now))
		}
		return out, nil
	})
}

// checkProtection finds the cluster of a call on so many tasks' protection.
func (f *fleet) checkProtection(cluster *string, tasks []string, most int) (*ecsCluster, error) {
	if aws.ToString(cluster) == "" {
		return nil, invalidParameter("A cluster is needed.")
	}
	if len(tasks) == 0 || len(tasks) > most {
		return nil, invalidParameter("Tasks: give 1 to %d, not %d.", most, len(tasks))
	}
	return f.cluster(cluster)
}

// GetTaskProtection tells of up to 100 tasks of services whether they are
// protected, and until when.
func (e *ECS) GetTaskProtection(ctx context.Context, in *ecs.GetTaskProtectionInput, _ ...func(*ecs.Options)) (*ecs.GetTaskProtectionOutput, error) {
	return call(ctx, e.c, ecsProtection("GetTaskProtection", false), in, func() (*ecs.GetTaskProtectionOutput, error) {
		if _, err := e.c.fleet.checkProtection(in.Cluster, in.Tasks, 100); err != nil {
			return nil, err
		}
		c, err := e.c.fleet.seen(in.Cluster)
		if err != nil {
			return nil, err
		}
		out := &ecs.GetTaskProtectionOutput{Failures: []types.Failure{}, ProtectedTasks: []types.ProtectedTask{}}
		for _, ref := range in.Tasks {
			t := c.taskByID[tail(ref)]
			switch {
			case t == nil:
				out.Failures = append(out.Failures, e.c.fleet.missing(c, "task", ref))
			case t.service == nil:
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(t.arn), Reason: aws.String(failedNotValid)})
			default:
				out.ProtectedTasks = append(out.ProtectedTasks, t.protection(e.c.now))
			}
		}
		return out, nil
	})
}
