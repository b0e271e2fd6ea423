package infra

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// rivals finds, when the app is synthesised, whatever else in it would steer the
// hosts or the task counts of a cluster. What was set up outside of the app is
// found by the controller, which refuses such a group.
type rivals struct{ cluster *Cluster }

// Validate implements constructs.IValidation.
func (r *rivals) Validate() *[]*string {
	sentences := []*string{}
	for _, found := range *r.cluster.Node().Root().Node().FindAll(constructs.ConstructOrder_PREORDER) {
		if !*awscdk.CfnResource_IsCfnResource(found) {
			continue
		}
		var resource awscdk.CfnResource
		jsii.UnsafeCast(found, &resource)
		if s := r.sentence(resource); s != "" {
			sentences = append(sentences, jsii.String(s))
		}
	}
	return &sentences
}

// sentence says what is wrong with a resource, if anything.
func (r *rivals) sentence(resource awscdk.CfnResource) string {
	kind := *resource.CfnResourceType()
	switch kind {
	case "AWS::ECS::CapacityProvider", "AWS::AutoScaling::ScalingPolicy", "AWS::ApplicationAutoScaling::ScalableTarget":
	default:
		return ""
	}
	properties, err := resolved(resource)
	if err != nil {
		return fmt.Sprintf("cluster %q: %s cannot be checked: %v", r.cluster.props.Name, kind, err)
	}
	if kind == "AWS::ApplicationAutoScaling::ScalableTarget" {
		return r.countSteered(properties)
	}
	for _, g := range r.cluster.props.Groups {
		if !r.about(g, properties) || kind == "AWS::ECS::CapacityProvider" && !managed(properties) {
			continue
		}
		if kind == "AWS::ECS::CapacityProvider" {
			return fmt.Sprintf("cluster %q: a capacity provider has managed scaling for the host group %q; plimsoll sets its capacity, so set managed scaling to DISABLED", r.cluster.props.Name, g.Name)
		}
		return fmt.Sprintf("cluster %q: a scaling policy steers the host group %q; plimsoll sets its capacity, so remove the policy", r.cluster.props.Name, g.Name)
	}
	return ""
}

// countSteered says whether Application Auto Scaling sets the count of a service
// whose count plimsoll sets.
func (r *rivals) countSteered(properties string) string {
	for name, s := range r.cluster.services {
		if s.Tasks != nil && strings.Contains(properties, `service/`+r.cluster.props.Name+`/`+name+`"`) {
			return fmt.Sprintf("cluster %q: Application Auto Scaling steers the task count of service %q, and so does plimsoll; keep one of the two", r.cluster.props.Name, name)
		}
	}
	return ""
}

// about says whether a resource's properties name a group, by its name, by its
// ARN, or by a reference to the resource that this cluster made for it.
func (r *rivals) about(g Group, properties string) bool {
	if strings.Contains(properties, `"`+g.Name+`"`) || strings.Contains(properties, `autoScalingGroupName/`+g.Name+`"`) {
		return true
	}
	for _, made := range r.cluster.groups {
		if made.Name == g.Name && strings.Contains(properties, `"`+logicalID(made.resource)+`"`) {
			return true
		}
	}
	return false
}

// managed says whether a capacity provider scales its group: unless it says
// otherwise, it does (CreateCapacityProvider: ManagedScaling).
func managed(properties string) bool {
	return !strings.Contains(properties, `"status":"DISABLED"`)
}

// resolved is a resource's properties as JSON, references spelled out.
func resolved(resource awscdk.CfnResource) (string, error) {
	raw, err := json.Marshal(resource.Stack().Resolve(resource.CfnProperties()))
	if err != nil {
		return "", fmt.Errorf("read the properties of %s: %w", *resource.Node().Path(), err)
	}
	return string(raw), nil
}

// logicalID is the name of a resource in its template.
func logicalID(resource awscdk.CfnResource) string {
	id, _ := resource.Stack().Resolve(resource.LogicalId()).(string)
	return id
}
