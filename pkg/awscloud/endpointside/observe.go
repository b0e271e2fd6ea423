package endpointside

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// The words of Endpoints.Ended.
const (
	stopped = "STOPPED"
	missing = "MISSING"
)

// Observe reads all that the scope names, side by side, and fails rather than
// leave something out. A target group, a registry or a service that AWS says does
// not exist is absent; so is an address that EC2 does not answer for, which keeps
// an instance of a registry waiting and nothing else. What the table holds (owners, memory, intents), whose the
// groups are (Managed) and the time are the caller's to add.
func (c *Cloud) Observe(ctx context.Context, scope cluster.EndpointScope) (cluster.Endpoints, error) {
	e := cluster.Endpoints{Cluster: scope.Cluster, Service: scope.Service}
	looks := []func(context.Context) error{
		func(ctx context.Context) (err error) { e.Tasks, err = c.tasks(ctx, scope); return },
		func(ctx context.Context) (err error) { e.Groups, err = c.groups(ctx, scope.Groups); return },
		func(ctx context.Context) (err error) {
			e.Registries, e.Finished, err = c.registries(ctx, scope)
			return
		},
	}
	if err := c.edges.Run(ctx, len(looks), func(ctx context.Context, i int) error { return looks[i](ctx) }); err != nil {
		return cluster.Endpoints{}, err
	}
	if len(scope.Registries) > 0 {
		e.Addresses = c.located(ctx, e.Tasks)
	}
	return e, nil
}

// Ended says of each of the tasks that does not run any more whether it is
// STOPPED or MISSING, by ARN. ECS shows a stopped task for an hour at least. A task
// that is absent from the answer has not ended.
func (c *Cloud) Ended(ctx context.Context, name string, arns []string) (map[string]string, error) {
	found, _, err := c.reader(name).Tasks(ctx, arns)
	if err != nil {
		return nil, err
	}
	ended := map[string]string{}
	for _, arn := range arns {
		ended[arn] = missing
	}
	for _, t := range found {
		arn := aws.ToString(t.TaskArn)
		if _, asked := ended[arn]; !asked {
			return nil, fmt.Errorf("describe tasks of %s: the answer holds %s, which nobody asked for", name, arn)
		}
		if over(t) {
			ended[arn] = stopped
		} else {
			delete(ended, arn)
		}
	}
	return ended, nil
}
