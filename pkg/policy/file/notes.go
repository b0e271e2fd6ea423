package file

import (
	"encoding/json"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// note is what an editor shows of a key, and the limits that it can check. The
// policy's own checks tell the same limits, and more.
type note struct {
	says            string
	min, max, above json.Number // above: more than
	oneOf           []any
	standard        any  // the value of a key that is absent
	mayBeZero       bool // a duration of 0s means none, and not the default
}

// notes are the notes of every key, by struct and key. They are here and not
// read from the comments of the struct, since a program has no source to read
// when it runs.
func notes() map[string]note {
	return map[string]note{
		"Policy.version":    {says: "Version of this format.", oneOf: []any{policy.Version}},
		"Policy.mode":       {says: "act, or observe: decide and record, and change nothing.", oneOf: []any{policy.Act, policy.Observe}, standard: policy.Act},
		"Policy.cluster":    {says: "Name of the ECS cluster."},
		"Policy.hosts":      {says: "The Auto Scaling groups whose desired capacity plimsoll owns. At least one."},
		"Policy.services":   {says: "The ECS services that hosts are made for, by name."},
		"Policy.standalone": {says: "Tasks that no service started and whose ports are registered, by a name of plimsoll's own that no service has."},

		"HostGroup.group":   {says: "Name of the Auto Scaling group. One policy only may have it."},
		"HostGroup.min":     {says: "Fewest hosts.", min: "0"},
		"HostGroup.max":     {says: "Most hosts.", min: "1"},
		"HostGroup.offers":  {says: "What a host offers. Needed only to grow from no host before any was seen."},
		"HostGroup.removal": {says: "Which hosts leave the group, and how."},

		"Offers.cpu":    {says: "CPU units, 1024 a vCPU.", min: "1"},
		"Offers.memory": {says: "MiB as registered with ECS, less than the instance type's nominal memory.", min: "1"},

		"Removal.emptyAfter":   {says: "How long a host must stay empty before it leaves, up to 24h.", standard: "1m"},
		"Removal.maxAtOnce":    {says: "Hosts of the group that may be leaving at one time.", min: "1", standard: 1},
		"Removal.drainTimeout": {says: "How long a host may be DRAINING before it is told, up to 24h.", standard: "10m"},

		"Service.tasks":                 {says: "Bounds of the task count, which plimsoll owns then. Without it the count is left alone."},
		"Service.minimumHealthyPercent": {says: "Percent of the tasks that stay healthy while tasks are replaced, rounded up. Default: the service's own.", min: "0", max: "100"},
		"Service.maximumPercent":        {says: "Percent of the tasks that there may be while tasks are replaced, rounded down. Default: the service's own.", min: "100"},
		"Service.scale":                 {says: "Signals that the task count follows. The largest wish wins; a task leaves only if all agree."},
		"Service.tolerance":             {says: "Percent of a target within which nothing changes.", min: "0", max: "50", standard: 10},
		"Service.scaleOut":              {says: "How the task count grows."},
		"Service.scaleIn":               {says: "How the task count shrinks."},

		"Service.endpoints": {says: "Where the tasks' ports are registered: each a container's port and one target group or Cloud Map service."},

		"Standalone.family":    {says: "Family of the tasks' definition. This or startedBy."},
		"Standalone.startedBy": {says: "What RunTask or StartTask was told as startedBy. This or family."},
		"Standalone.endpoints": {says: "Where the tasks' ports are registered. At least one."},

		"Endpoint.container":   {says: "The container's name in the task definition."},
		"Endpoint.port":        {says: "The container's port; ECS may map it to any port of the host.", min: "1", max: "65535"},
		"Endpoint.protocol":    {says: "tcp or udp.", oneOf: []any{policy.TCP, policy.UDP}, standard: policy.TCP},
		"Endpoint.targetGroup": {says: "Name of the target group, of type instance, that only plimsoll registers in. One service of one policy only may have it. This or registry."},
		"Endpoint.registry":    {says: "Name or id of the Cloud Map service. One service of one policy only may have it. This or targetGroup."},

		"Tasks.min": {says: "Fewest tasks.", min: "0"},
		"Tasks.max": {says: "Most tasks.", min: "1"},

		"Target.metric":     {says: "cpu or memory, in percent of what the tasks reserve, or the name of a CloudWatch metric in namespace."},
		"Target.namespace":  {says: "CloudWatch namespace; not with cpu or memory."},
		"Target.dimensions": {says: "Dimensions of the metric; not with cpu or memory."},
		"Target.statistic":  {says: "Average, Sum, Maximum, Minimum or a percentile such as p99. Default: Average, with perTask Sum."},
		"Target.period":     {says: "10s, 20s, 30s or whole minutes up to 5m.", standard: "1m"},
		"Target.target":     {says: "Value to hold a signal at that is an average over the tasks, such as cpu. This or perTask.", above: "0"},
		"Target.perTask":    {says: "Value for each task of a signal that is a total, such as a backlog. This or target.", above: "0"},

		"Manner.window":     {says: "Stabilisation, up to 1h: out, the smallest wish of the window counts; in, the largest. Default: out 0s, in 5m.", mayBeZero: true},
		"Manner.maxTasks":   {says: "At most so many tasks in the time per; 0: no such limit.", min: "0"},
		"Manner.maxPercent": {says: "At most so many percent of the count in the time per; 0: no such limit. With maxTasks, the larger counts.", min: "0"},
		"Manner.per":        {says: "Time of maxTasks and maxPercent, 10s to 1h.", standard: "1m"},
	}
}
