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
	case "AWS::ECS::CapacityProvider", "AWS::AutoScaling::ScalingPolicy", "AWS::AutoScaling::ScheduledAction", "AWS::ApplicationAutoScaling::ScalableTarget":
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
		switch kind {
		case "AWS::ECS::CapacityProvider":
			return fmt.Sprintf("cluster %q: a capacity provider has managed scaling for the host group %q; plimsoll sets its capacity, so set managed scaling to DISABLED", r.cluster.props.Name, g.Name)
		case "AWS::AutoScaling::ScheduledAction":
			return fmt.Sprintf("cluster %q: a scheduled action sets the size of the host group %q; plimsoll sets its capacity, so remove the action", r.cluster.props.Name, g.Name)
		}
		return fmt.Sprintf("cluster %q: a scaling policy steers the host group %q; plimsoll sets its capacity, so remove the policy", r.cluster.props.Name, g.Name)
	}
	return ""
}

// countSteered says whether Application Auto Scaling sets the count of a service
// whose count plimsoll sets.
func (r *rivals) countSteered(properties string) string {
	var target struct {
		ID any `json:"resourceId"`
	}
	_ = json.Unmarshal([]byte(properties), &target) // our own JSON; one that names nothing is about nothing of ours
	id := r.spelled(target.ID)
	for name, s := range r.cluster.services {
		if s.Tasks != nil && id == "service/"+r.cluster.props.Name+"/"+name {
			return fmt.Sprintf("cluster %q: Application Auto Scaling steers the task count of service %q, and so does plimsoll; keep one of the two", r.cluster.props.Name, name)
		}
	}
	return ""
}

// spelled is a value of a template as a text, in which references to what this
// cluster made are its names; those to anything else are empty.
func (r *rivals) spelled(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if join, ok := v["Fn::Join"].([]any); ok && len(join) == 2 {
			parts, _ := join[1].([]any)
			spelled := make([]string, 0, len(parts))
			for _, p := range parts {
				spelled = append(spelled, r.spelled(p))
			}
			return strings.Join(spelled, r.spelled(join[0]))
		}
		return r.referred(v)
	}
	return ""
}

// referred is the name that a reference gives: Ref of a cluster and Name of a
// service are their names.
func (r *rivals) referred(v map[string]any) string {
	if r.cluster.made != nil && refers(v, logicalID(r.cluster.made), "Ref") {
		return r.cluster.props.Name
	}
	for name, made := range r.cluster.counted {
		if refers(v, logicalID(made), "Name") {
			return name
		}
	}
	return ""
}

// refers says whether a value refers to an attribute of the resource with an id.
// Another stack's come by an export, whose name says of what it is.
func refers(v map[string]any, id, attribute string) bool {
	get, _ := v["Fn::GetAtt"].([]any)
	if attribute == "Ref" && v["Ref"] == id || len(get) == 2 && get[0] == id && get[1] == attribute {
		return true
	}
	export, _ := v["Fn::ImportValue"].(string)
	_, what, _ := strings.Cut(export, ":ExportsOutput")
	return strings.HasPrefix(what, attribute+id) || strings.HasPrefix(what, "FnGetAtt"+id+attribute)
}

// about says whether a resource's properties name a group, by its name, by its
// ARN, or by a reference to the resource that this cluster made for it.
func (r *rivals) about(g Group, properties string) bool {
	if strings.Contains(properties, `"`+g.Name+`"`) || strings.Contains(properties, `autoScalingGroupName/`+g.Name+`"`) {
		return true
	}
	for _, made := range r.cluster.groups {
		id := logicalID(made.resource)
		if made.Name == g.Name && (strings.Contains(properties, `"`+id+`"`) || strings.Contains(properties, ":ExportsOutputRef"+id)) {
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
