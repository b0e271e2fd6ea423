package simcloud

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// customAttributes is how many attributes of its own a container instance can
// have beside those that ECS and its agent give it.
const customAttributes = 10

// PutAttributes gives container instances attributes, or other values of those
// that they have: up to 10 a call.
func (e *ECS) PutAttributes(ctx context.Context, in *ecs.PutAttributesInput, _ ...func(*ecs.Options)) (*ecs.PutAttributesOutput, error) {
	return call(ctx, e.c, ecsResourceModify("PutAttributes"), in, func() (*ecs.PutAttributesOutput, error) {
		f := e.c.fleet
		hosts, err := f.attributed(in.Cluster, in.Attributes)
		if err != nil {
			return nil, err
		}
		if tooMany(hosts, in.Attributes) {
			return nil, &types.AttributeLimitExceededException{Message: aws.String("A container instance has at most 10 custom attributes.")}
		}
		out := &ecs.PutAttributesOutput{}
		for n, a := range in.Attributes {
			f.setAttribute(hosts[n], aws.ToString(a.Name), a.Value)
			out.Attributes = append(out.Attributes, hosts[n].target(a))
		}
		return out, nil
	})
}

// DeleteAttributes takes attributes from container instances: up to 10 a call.
// One that is not there is left out of the answer.
func (e *ECS) DeleteAttributes(ctx context.Context, in *ecs.DeleteAttributesInput, _ ...func(*ecs.Options)) (*ecs.DeleteAttributesOutput, error) {
	return call(ctx, e.c, ecsResourceModify("DeleteAttributes"), in, func() (*ecs.DeleteAttributesOutput, error) {
		f := e.c.fleet
		hosts, err := f.attributed(in.Cluster, in.Attributes)
		if err != nil {
			return nil, err
		}
		for _, a := range in.Attributes {
			if a.Value != nil {
				return nil, invalidParameter("The attribute %s is deleted by its name: give no value.", aws.ToString(a.Name))
			}
		}
		out := &ecs.DeleteAttributesOutput{}
		for n, a := range in.Attributes {
			if _, had := hosts[n].attribute(aws.ToString(a.Name)); had {
				f.dropAttribute(hosts[n], aws.ToString(a.Name))
				out.Attributes = append(out.Attributes, hosts[n].target(a))
			}
		}
		return out, nil
	})
}

// attributed finds the container instance of each attribute of a call.
func (f *fleet) attributed(cluster *string, all []types.Attribute) ([]*ecsHost, error) {
	if len(all) == 0 || len(all) > 10 {
		return nil, invalidParameter("Attributes: give 1 to 10, not %d.", len(all))
	}
	c, err := f.cluster(cluster)
	if err != nil {
		return nil, err
	}
	var hosts []*ecsHost
	for _, a := range all {
		if err := checkAttribute(a); err != nil {
			return nil, err
		}
		h := c.hostByID[tail(aws.ToString(a.TargetId))]
		if h == nil || h.status == statusInactive {
			return nil, &types.TargetNotFoundException{Message: aws.String("The container instance " + aws.ToString(a.TargetId) + " was not found.")}
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// checkAttribute checks the name of an attribute and the type of its target.
func checkAttribute(a types.Attribute) error {
	name := aws.ToString(a.Name)
	short := !strings.HasPrefix(aws.ToString(a.TargetId), "arn:")
	switch {
	case name == "" || len(name) > 128 || strings.HasPrefix(name, "ecs.") || strings.HasPrefix(name, "com.amazonaws."):
		return invalidParameter("Attribute name %q is not one that can be set.", name)
	case a.TargetType != types.TargetTypeContainerInstance && (short || a.TargetType != ""):
		return invalidParameter("The target type of attribute %s is %q, not container-instance.", name, a.TargetType)
	}
	return nil
}

// tooMany says that a call would give a host more attributes than it can have.
func tooMany(hosts []*ecsHost, all []types.Attribute) bool {
	added := map[*ecsHost]map[string]bool{}
	for n, a := range all {
		h, name := hosts[n], aws.ToString(a.Name)
		if _, has := h.attribute(name); has {
			continue
		}
		if added[h] == nil {
			added[h] = map[string]bool{}
		}
		added[h][name] = true
		if h.custom+len(added[h]) > customAttributes {
			return true
		}
	}
	return false
}

// target is an attribute with the container instance that it is of.
func (h *ecsHost) target(a types.Attribute) types.Attribute {
	return types.Attribute{Name: copied(a.Name), Value: copied(a.Value), TargetType: types.TargetTypeContainerInstance, TargetId: aws.String(h.arn)}
}

// setAttribute gives a host an attribute. A picture of the host may share the old
// list, so that it is replaced.
func (f *fleet) setAttribute(h *ecsHost, name string, value *string) {
	n, has := slices.BinarySearchFunc(h.attributes, name, func(a ecsAttribute, name string) int { return strings.Compare(a.name, name) })
	all := slices.Clone(h.attributes)
	if has {
		all[n].value = aws.ToString(value)
	} else {
		all = slices.Insert(all, n, ecsAttribute{name, aws.ToString(value)})
		h.custom++
	}
	h.attributes = all
	f.hostChanged(h)
}

func (f *fleet) dropAttribute(h *ecsHost, name string) {
	h.attributes = slices.DeleteFunc(slices.Clone(h.attributes), func(a ecsAttribute) bool { return a.name == name })
	h.custom = max(0, h.custom-1)
	f.hostChanged(h)
}
