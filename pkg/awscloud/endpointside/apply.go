package endpointside

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	sdtypes "github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// change is one intent on its way.
type change struct {
	*Cloud
	cluster string
	intent  cluster.Intent
	may     func() error
}

// onceELBV2 lets the SDK make a changing call of Elastic Load Balancing one time
// only: the next round looks instead.
func onceELBV2(o *elb.Options) { o.RetryMaxAttempts = 1 }

// onceCloudMap is the same for Cloud Map.
func onceCloudMap(o *sd.Options) { o.RetryMaxAttempts = 1 }

// Apply makes the call of an intent of the named cluster, once, and returns the
// intent with its outcome. What is registered is only what, at a look right
// before, a task that runs and was not told to stop binds: the ports of others are
// taken out of the intent, which is skipped where none is left. What is
// deregistered needs no look: it takes away what stands for nobody. Cloud Map's
// calls begin an operation, which the intent then names; one that meets another
// operation of the same instance is refused. It asks may right before the changing
// call. An error that does not say that nothing happened leaves the outcome unknown.
func (c *Cloud) Apply(ctx context.Context, name string, i cluster.Intent, may func() error) cluster.Intent {
	d := &change{Cloud: c, cluster: name, intent: i, may: may}
	var err error
	switch r := i.Reaches; {
	case r == nil || len(r.Ports) == 0:
		err = clusterside.Skip("%s of nothing", i.Verb)
	case i.Verb == cluster.RegisterTargets:
		err = d.registerTargets(ctx)
	case i.Verb == cluster.DeregisterTargets:
		err = d.deregisterTargets(ctx)
	case i.Verb == cluster.RegisterInstance:
		err = d.registerInstance(ctx)
	case i.Verb == cluster.DeregisterInstance:
		err = d.deregisterInstance(ctx)
	default:
		err = clusterside.Skip("%s is not a change of endpoints", i.Verb)
	}
	d.intent.Outcome, d.intent.Detail = clusterside.Outcome(err)
	return d.intent
}

// now says whether a changing call may begin.
func (d *change) now() error {
	if err := d.may(); err != nil {
		return clusterside.Skip("%w", err)
	}
	return nil
}

func (d *change) registerTargets(ctx context.Context) error {
	left, _, err := d.again(ctx)
	if err != nil {
		return err
	}
	if err := d.now(); err != nil {
		return err
	}
	_, err = d.ports.ELBV2.RegisterTargets(ctx, &elb.RegisterTargetsInput{
		TargetGroupArn: aws.String(d.intent.Reaches.Group), Targets: targets(d.intent.Reaches.Ports),
	}, onceELBV2)
	if err != nil {
		return fmt.Errorf("register targets in %s: %w", d.intent.Subject.Name(), err)
	}
	return left
}

func (d *change) deregisterTargets(ctx context.Context) error {
	if err := d.now(); err != nil {
		return err
	}
	_, err := d.ports.ELBV2.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{
		TargetGroupArn: aws.String(d.intent.Reaches.Group), Targets: targets(d.intent.Reaches.Ports),
	}, onceELBV2)
	var gone *elbtypes.TargetGroupNotFoundException
	if errors.As(err, &gone) { // and with it all that stood there
		return nil
	}
	if err != nil {
		return fmt.Errorf("deregister targets from %s: %w", d.intent.Subject.Name(), err)
	}
	return nil
}

func targets(ports []cluster.HostPort) []elbtypes.TargetDescription {
	var all []elbtypes.TargetDescription
	for _, p := range ports {
		all = append(all, elbtypes.TargetDescription{Id: aws.String(p.Instance), Port: aws.Int32(int32(p.Port))}) //nolint:gosec // a port, as ECS told it
	}
	return all
}

// again looks at the tasks that a registration is for, and leaves in the intent
// the ports of those that run, are not told to stop, and bind the port. left says
// which were taken out; err, that none is left or that the look failed. The tasks are
// by ARN.
func (d *change) again(ctx context.Context) (left error, tasks map[string]ecstypes.Task, err error) {
	r := *d.intent.Reaches
	if len(r.Tasks) != len(r.Ports) {
		return nil, nil, clusterside.Skip("%d ports for %d tasks: each port wants its task", len(r.Ports), len(r.Tasks))
	}
	arns := slices.DeleteFunc(slices.Clone(r.Tasks), func(arn string) bool { return arn == "" })
	found, _, err := d.reader(d.cluster).Tasks(ctx, arns)
	if err != nil {
		return nil, nil, clusterside.Skip("look at the tasks of %s again: %w", d.intent.Subject, err)
	}
	tasks = map[string]ecstypes.Task{}
	for _, t := range found {
		tasks[aws.ToString(t.TaskArn)] = t
	}
	var good cluster.Reach
	for i, port := range r.Ports {
		if why := unfit(tasks[r.Tasks[i]], port); why != "" {
			left = fmt.Errorf("%s is not registered for the task %q: it %s", port, r.Tasks[i], why)
			continue
		}
		good.Ports, good.Tasks = append(good.Ports, port), append(good.Tasks, r.Tasks[i])
	}
	switch {
	case left == nil:
		return nil, tasks, nil
	case len(good.Ports) == 0:
		return nil, nil, clusterside.Skip("%w", left)
	}
	r.Ports, r.Tasks = good.Ports, good.Tasks
	d.intent.Reaches = &r // a new one: the plan's stays as it was noted
	return clusterside.Partial(left), tasks, nil
}

// unfit says why a port must not be registered for the task; empty: it may.
func unfit(t ecstypes.Task, port cluster.HostPort) string {
	last := aws.ToString(t.LastStatus)
	switch {
	case t.TaskArn == nil:
		return "is not there any more"
	case aws.ToString(t.DesiredStatus) == cluster.TaskStopped:
		return "was told to stop"
	case last != cluster.TaskRunning:
		return "is " + last
	case !slices.ContainsFunc(task(t).Bindings, func(b cluster.Binding) bool { return b.HostPort == port.Port && b.Protocol == port.Protocol }):
		return "does not bind that port"
	}
	return ""
}

// registerInstance tells the records of Cloud Map, and as ECS does for services of
// its own, what the instance is.
func (d *change) registerInstance(ctx context.Context) error {
	if r := d.intent.Reaches; r.Address == "" || len(r.Ports) != 1 {
		return clusterside.Skip("an instance has one address and one port, %s has the address %q and %d ports", r.Instance, r.Address, len(r.Ports))
	}
	_, tasks, err := d.again(ctx)
	if err != nil {
		return err
	}
	if err := d.now(); err != nil {
		return err
	}
	r := d.intent.Reaches
	t := task(tasks[r.Tasks[0]])
	attributes := map[string]string{
		ipv4Attribute: r.Address, portAttribute: strconv.Itoa(r.Ports[0].Port),
		"EC2_INSTANCE_ID": r.Ports[0].Instance, "ECS_CLUSTER_NAME": d.cluster, "AVAILABILITY_ZONE": t.Zone,
	}
	if t.Service != "" {
		attributes["ECS_SERVICE_NAME"] = t.Service
	}
	out, err := d.ports.CloudMap.RegisterInstance(ctx, &sd.RegisterInstanceInput{
		ServiceId: aws.String(r.Registry), InstanceId: aws.String(r.Instance), Attributes: attributes, CreatorRequestId: aws.String(clusterside.Token(d.intent)),
	}, onceCloudMap)
	if err != nil {
		return fmt.Errorf("register %s in %s: %w", r.Instance, d.intent.Subject.Name(), err)
	}
	d.intent.Operation = aws.ToString(out.OperationId)
	return nil
}

func (d *change) deregisterInstance(ctx context.Context) error {
	if err := d.now(); err != nil {
		return err
	}
	r := d.intent.Reaches
	out, err := d.ports.CloudMap.DeregisterInstance(ctx, &sd.DeregisterInstanceInput{ServiceId: aws.String(r.Registry), InstanceId: aws.String(r.Instance)}, onceCloudMap)
	var none *sdtypes.InstanceNotFound
	var gone *sdtypes.ServiceNotFound
	if errors.As(err, &none) || errors.As(err, &gone) { // what is not there needs no operation
		return nil
	}
	if err != nil {
		return fmt.Errorf("deregister %s from %s: %w", r.Instance, d.intent.Subject.Name(), err)
	}
	d.intent.Operation = aws.ToString(out.OperationId)
	return nil
}
