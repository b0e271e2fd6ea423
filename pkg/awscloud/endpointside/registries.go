package endpointside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	sd "github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// The attributes of Cloud Map that make A and SRV records.
const (
	ipv4Attribute = "AWS_INSTANCE_IPV4"
	portAttribute = "AWS_INSTANCE_PORT"
)

// registries reads the Cloud Map services that the scope names, with their
// instances and the operations that are under way, and how others ended.
func (c *Cloud) registries(ctx context.Context, scope cluster.EndpointScope) ([]cluster.Registry, map[string]string, error) {
	if len(scope.Registries) == 0 {
		return nil, nil, nil
	}
	found, err := c.services(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []cluster.Registry
	for _, name := range scope.Registries {
		if s, ok := pick(found, name); ok {
			all = append(all, registry(name, s))
		}
	}
	busy, finished, err := c.operations(ctx, scope.Operations)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b cluster.Registry) int { return cmp.Compare(a.Name, b.Name) })
	return all, finished, c.edges.Run(ctx, len(all), func(ctx context.Context, i int) (err error) {
		all[i].Busy = busy[all[i].ID]
		all[i].Instances, err = c.registered(ctx, all[i].ID)
		return err
	})
}

// services reads every Cloud Map service of the account: there is no asking for
// one by its name. A page may be empty while more follow.
func (c *Cloud) services(ctx context.Context) ([]types.ServiceSummary, error) {
	var in sd.ListServicesInput
	var all []types.ServiceSummary
	for {
		out, err := clusterside.Read(ctx, c.edges, c.ports.CloudMap.ListServices, &in)
		if err != nil {
			return nil, fmt.Errorf("list services of Cloud Map: %w", err)
		}
		all = append(all, out.Services...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all, nil
		}
	}
}

// pick is the service that the policy calls so, by id or by name. Names are unique
// in a namespace only: a name that several have is nobody's.
func pick(all []types.ServiceSummary, name string) (types.ServiceSummary, bool) {
	var found []types.ServiceSummary
	for _, s := range all {
		if aws.ToString(s.Id) == name {
			return s, true
		}
		if aws.ToString(s.Name) == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		return types.ServiceSummary{}, false
	}
	return found[0], true
}

func registry(name string, s types.ServiceSummary) cluster.Registry {
	out := cluster.Registry{ID: aws.ToString(s.Id), Name: name, CustomHealth: s.HealthCheckCustomConfig != nil}
	if s.DnsConfig != nil {
		for _, r := range s.DnsConfig.DnsRecords {
			out.Records = append(out.Records, string(r.Type))
		}
	}
	return out
}

// registered reads all instances of a service.
func (c *Cloud) registered(ctx context.Context, id string) ([]cluster.Registered, error) {
	in := sd.ListInstancesInput{ServiceId: aws.String(id)}
	var all []cluster.Registered
	for {
		out, err := clusterside.Read(ctx, c.edges, c.ports.CloudMap.ListInstances, &in)
		if err != nil {
			return nil, fmt.Errorf("list instances of %s: %w", id, err)
		}
		for _, i := range out.Instances {
			port, err := strconv.Atoi(i.Attributes[portAttribute])
			if err != nil {
				port = 0 // an instance of somebody else's need not have one
			}
			all = append(all, cluster.Registered{ID: aws.ToString(i.Id), IPv4: i.Attributes[ipv4Attribute], Port: port})
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	slices.SortFunc(all, func(a, b cluster.Registered) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// operations are those that are not over, the id by the registry and the instance,
// and how the others ended, by id. One that Cloud Map does not know (any more) is
// over, and nobody knows how.
func (c *Cloud) operations(ctx context.Context, begun []cluster.Operation) (busy map[string]map[string]string, finished map[string]string, err error) {
	status := make([]types.OperationStatus, len(begun))
	err = c.edges.Run(ctx, len(begun), func(ctx context.Context, i int) (err error) {
		status[i], err = c.status(ctx, begun[i].ID)
		return err
	})
	busy, finished = map[string]map[string]string{}, map[string]string{}
	for i, o := range begun {
		switch status[i] {
		case types.OperationStatusSuccess, types.OperationStatusFail:
			finished[o.ID] = string(status[i])
		case "": // forgotten
		default:
			if busy[o.Registry] == nil {
				busy[o.Registry] = map[string]string{}
			}
			busy[o.Registry][o.Instance] = o.ID
		}
	}
	return busy, finished, err
}

// status is an operation's; empty: Cloud Map does not know it.
func (c *Cloud) status(ctx context.Context, id string) (types.OperationStatus, error) {
	out, err := clusterside.Read(ctx, c.edges, c.ports.CloudMap.GetOperation, &sd.GetOperationInput{OperationId: aws.String(id)})
	var gone *types.OperationNotFound
	switch {
	case errors.As(err, &gone):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("get operation %s: %w", id, err)
	case out.Operation == nil:
		return "", fmt.Errorf("get operation %s: the answer holds none", id)
	}
	return out.Operation.Status, nil
}
