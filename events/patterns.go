package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxListed bounds the values in one pattern, in bytes, so that the whole stays
// below EventBridge's 2,048 characters.
const maxListed = 1500

// Scope is what a deployment of plimsoll looks after. What is empty gets no pattern.
type Scope struct {
	Clusters    []string // ARNs of ECS clusters
	Groups      []string // names of Auto Scaling groups
	AlarmPrefix string   // with which the names of its CloudWatch alarms begin
}

// Pattern is an EventBridge rule. Marshalled as JSON it is the rule's event
// pattern; Name and Why are for whoever makes the rule.
type Pattern struct {
	Name string `json:"-"` // unique, lower case with hyphens; to be put behind the deployment's own name
	Why  string `json:"-"` // one line, for the rule's description

	Source     []string         `json:"source"`
	DetailType []string         `json:"detail-type"`
	Resources  []any            `json:"resources,omitempty"` // strings to equal, or {"prefix": string}
	Detail     map[string][]any `json:"detail,omitempty"`    // by field: as Resources
}

// Patterns lists the rules whose events the ingress queue gets; each event that
// a rule matches is matched by exactly one. The order and the text depend on
// nothing but the scope. Values that would make a pattern too long are spread
// over several, numbered from the second on.
//
// Where an event cannot be told by cluster, group or alarm the rule matches
// those of the whole account, and ingest drops the foreign ones. No rule yet
// brings task definitions (CloudTrail) and parameters (Systems Manager), which
// Decode can read: nothing follows a revision yet. SweepSchedule is a rule
// without a pattern, and an alarm's Lambda action needs no rule.
func Patterns(s Scope) []Pattern {
	all := ecsPatterns(distinct(s.Clusters))
	if s.AlarmPrefix != "" {
		all = append(all, alarmPattern(s.AlarmPrefix))
	}
	all = append(all, groupPatterns(distinct(s.Groups))...)
	if len(s.Groups) > 0 {
		all = append(all, noticePattern(), endingPattern())
	}
	return all
}

// ecsPatterns are the rules for ECS's own events of the clusters.
func ecsPatterns(clusters []string) []Pattern {
	var all []Pattern
	for _, p := range []Pattern{
		{Name: "tasks", Why: "a task started, stopped or is about to: counts, room and endpoints change", DetailType: []string{"ECS Task State Change"}},
		{Name: "hosts", Why: "a container instance came, went, or its agent did: room changes", DetailType: []string{"ECS Container Instance State Change"}},
		{Name: "services", Why: "ECS placed or failed to place a service's tasks, or finds it steady", DetailType: []string{"ECS Service Action"}},
	} {
		all = append(all, spread(p, clusters, func(p *Pattern, some []any) { p.Detail = map[string][]any{"clusterArn": some} })...)
	}
	deployments := Pattern{
		Name: "deployments", Why: "ECS began, finished or gave up a deployment of a service",
		DetailType: []string{"ECS Deployment State Change"},
	}
	all = append(all, spread(deployments, clusters, setServicePrefixes)...)
	for i := range all {
		all[i].Source = []string{"aws.ecs"}
	}
	return all
}

// setServicePrefixes matches the services of clusters by the beginning of their
// ARN, since a deployment event has no clusterArn. Services whose ARN is of the
// old form, without the cluster, are left to the sweep.
func setServicePrefixes(p *Pattern, clusters []any) {
	for _, arn := range clusters {
		services := strings.Replace(fmt.Sprint(arn), ":cluster/", ":service/", 1) + "/"
		p.Resources = append(p.Resources, prefix(services))
	}
}

func alarmPattern(begin string) Pattern {
	return Pattern{
		Name: "alarms", Why: "an alarm on a metric that task counts follow changed its state",
		Source: []string{"aws.cloudwatch"}, DetailType: []string{alarmStateChange},
		Detail: map[string][]any{"alarmName": {prefix(begin)}},
	}
}

// groupPatterns are the rules for Auto Scaling's events of the groups.
func groupPatterns(groups []string) []Pattern {
	p := Pattern{
		Name: "groups", Why: "a host group launched or terminated a host, failed to, or waits for its lifecycle hook",
		Source:     []string{"aws.autoscaling"},
		DetailType: []string{launchSuccessful, launchUnsuccessful, terminateSuccessful, terminateUnsuccessful, launchAction, terminateAction},
	}
	return spread(p, groups, func(p *Pattern, some []any) { p.Detail = map[string][]any{"AutoScalingGroupName": some} })
}

func noticePattern() Pattern {
	return Pattern{
		Name: "notices", Why: "EC2 is about to take a Spot instance: two minutes are left",
		Source: []string{"aws.ec2"}, DetailType: []string{spotInterruption, rebalance},
	}
}

// endingPattern leaves out pending and running: a host counts once its agent has
// registered, and every other instance of the account starts too.
func endingPattern() Pattern {
	return Pattern{
		Name: "endings", Why: "an instance stops or terminates, whoever wanted it",
		Source: []string{"aws.ec2"}, DetailType: []string{stateChange},
		Detail: map[string][]any{"state": {"shutting-down", "stopped", "stopping", "terminated"}},
	}
}

// prefix is EventBridge's filter for values that begin with s.
func prefix(s string) map[string]string { return map[string]string{"prefix": s} }

// spread returns p with the values set, as often as it takes to list them all.
func spread(p Pattern, values []string, set func(*Pattern, []any)) []Pattern {
	var all []Pattern
	for len(values) > 0 {
		n := fitting(values)
		some := make([]any, n)
		for i, v := range values[:n] {
			some[i] = v
		}
		next := p
		if len(all) > 0 {
			next.Name = fmt.Sprintf("%s-%d", p.Name, len(all)+1)
		}
		set(&next, some)
		all, values = append(all, next), values[n:]
	}
	return all
}

// fitting returns how many of the first values one pattern can list, at least
// one: each as JSON writes it, with a comma and room for a prefix filter.
func fitting(values []string) int {
	size := 0
	for i, v := range values {
		quoted, _ := json.Marshal(v) // a string always marshals
		size += len(quoted) + len(`{"prefix":/},`)
		if size > maxListed && i > 0 {
			return i
		}
	}
	return len(values)
}

// distinct returns the values sorted, each once.
func distinct(values []string) []string {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
