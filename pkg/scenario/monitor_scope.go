package scenario

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// foreign is S8: it says what outside of the policy and of the controller's own
// table and queues an input would change. It fails closed: an input that it does
// not know is foreign.
func (m *monitors) foreign(input any) string {
	switch in := input.(type) {
	case *ecs.UpdateServiceInput:
		return firstOf(m.foreignCluster(in.Cluster), m.foreignService(in.Service))
	case *ecs.UpdateContainerInstancesStateInput:
		return firstOf(m.foreignCluster(in.Cluster), m.foreignContainerInstances(in.ContainerInstances))
	case *autoscaling.LaunchInstancesInput:
		return m.foreignGroup(aws.ToString(in.AutoScalingGroupName))
	case *autoscaling.SetDesiredCapacityInput:
		return m.foreignGroup(aws.ToString(in.AutoScalingGroupName))
	case *autoscaling.TerminateInstanceInAutoScalingGroupInput:
		return m.foreignInstance(aws.ToString(in.InstanceId))
	case *dynamodb.UpdateItemInput:
		return foreignTables(in.TableName)
	case *dynamodb.PutItemInput:
		return foreignTables(in.TableName)
	case *dynamodb.DeleteItemInput:
		return foreignTables(in.TableName)
	case *dynamodb.TransactWriteItemsInput:
		return foreignTables(tablesOf(in.TransactItems)...)
	case *sqs.SendMessageInput:
		return foreignQueue(aws.ToString(in.QueueUrl), m.world.urls)
	default:
		return m.foreignFront(input)
	}
}

// firstOf is the first sentence that is not empty.
func firstOf(sentences ...string) string {
	for _, s := range sentences {
		if s != "" {
			return s
		}
	}
	return ""
}

func (m *monitors) foreignCluster(ref *string) string {
	if name := tail(aws.ToString(ref)); name != m.policy.Cluster {
		return fmt.Sprintf("it is about the cluster %q, and the policy names %s", name, m.policy.Cluster)
	}
	return ""
}

func (m *monitors) foreignService(ref *string) string {
	name := tail(aws.ToString(ref))
	if _, named := m.policy.Services[name]; !named {
		return fmt.Sprintf("it is about the service %q, which the policy does not name", name)
	}
	return ""
}

func (m *monitors) foreignGroup(name string) string {
	if _, named := m.group(name); !named {
		return fmt.Sprintf("it is about the Auto Scaling group %q, which the policy does not name", name)
	}
	return ""
}

func (m *monitors) foreignContainerInstances(refs []string) string {
	t := m.now().real
	for _, ref := range refs {
		id, known := t.hosts[t.hostARN(ref)]
		if !known {
			return fmt.Sprintf("it is about the container instance %s, which the cluster does not have", ref)
		}
		if wrong := m.foreignInstance(id); wrong != "" {
			return wrong
		}
	}
	return ""
}

// foreignInstance says that no group of the policy has the EC2 instance.
func (m *monitors) foreignInstance(id string) string {
	group := truthOfGroups(m.world.cloud.World().Groups()).groupOf(id)
	if group == "" {
		return fmt.Sprintf("it is about the instance %s, which no Auto Scaling group has", id)
	}
	if wrong := m.foreignGroup(group); wrong != "" {
		return fmt.Sprintf("it is about the instance %s: %s", id, wrong)
	}
	return ""
}

func truthOfGroups(all []simcloud.GroupView) truth {
	t := truth{groups: map[string]simcloud.GroupView{}}
	for _, g := range all {
		t.groups[g.Name] = g
	}
	return t
}

func tablesOf(writes []types.TransactWriteItem) []*string {
	var names []*string
	for _, w := range writes {
		switch {
		case w.Put != nil:
			names = append(names, w.Put.TableName)
		case w.Update != nil:
			names = append(names, w.Update.TableName)
		case w.Delete != nil:
			names = append(names, w.Delete.TableName)
		case w.ConditionCheck != nil:
			names = append(names, w.ConditionCheck.TableName)
		}
	}
	return names
}

func foreignQueue(url string, ours map[string]string) string {
	if !slices.Contains(slices.Collect(maps.Values(ours)), url) {
		return fmt.Sprintf("a message is sent to %s, which is no queue of the controller's", url)
	}
	return ""
}

// A metric speaks for its present as long as its newest period ended no longer
// ago: missed periods, and what CloudWatch takes to show one. These are the
// monitors' own numbers.
const (
	agedPeriods = 3
	agedLag     = 2 * time.Minute
)

// blind is S10: nothing is taken away while what would have to tell is not
// known: a metric of a service concerned, or a read of the round's look.
func (m *monitors) blind(i *invocation, c simcloud.Call, change change, t truth) {
	if !change.scalesIn(t) {
		return
	}
	if len(i.unread) > 0 {
		m.broken("S10", c, change.subject(), fmt.Sprintf("%s takes something away in a round whose look was not whole: %s", c.Action, i.unread[0].says))
	}
	for _, name := range change.concerned(t) {
		if change.verb == cluster.SetDesiredCount && m.toMaximum(name, change.to) {
			continue
		}
		if i.unmeasured != "" {
			m.broken("S10", c, change.subject(), fmt.Sprintf("%s takes something from service %s in a round that could not read its metrics: %s", c.Action, name, i.unmeasured))
		}
		for _, target := range m.policy.Services[name].Scale {
			if wrong := m.aged(name, target, i.began); wrong != "" {
				m.broken("S10", c, change.subject(), fmt.Sprintf("%s takes something from service %s while %s", c.Action, name, wrong))
			}
		}
	}
}

// scalesIn says whether the change takes a task or a host away.
func (c change) scalesIn(t truth) bool {
	switch c.verb {
	case cluster.SetDesiredCount:
		return c.to < t.services[c.subjects[0].Name()].desired
	case setDesiredCapacity:
		return c.to < t.groups[c.group].Desired
	default:
		return c.verb == cluster.DrainHost || c.verb == cluster.TerminateHost
	}
}

// concerned are the services that a change takes tasks from: none for a host
// that has none.
func (c change) concerned(t truth) []string {
	if c.verb == cluster.SetDesiredCount {
		return []string{c.subjects[0].Name()}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		on := t.services[name].on
		anyHost := c.verb == setDesiredCapacity && len(on) > 0
		if anyHost || slices.ContainsFunc(c.hosts, func(arn string) bool { return on[arn].live > 0 }) {
			names = append(names, name)
		}
	}
	return names
}

// toMaximum says that a count only comes down to what the policy allows at all,
// whatever its metrics say.
func (m *monitors) toMaximum(service string, to int) bool {
	tasks := m.policy.Services[service].Tasks
	return tasks != nil && to >= tasks.Max
}

// aged says that a metric is missing or too old at a time.
func (m *monitors) aged(service string, target policy.Target, at time.Time) string {
	p := m.policy
	p.Services = map[string]policy.Service{service: {Scale: []policy.Target{target}}}
	series := p.Scope().Metrics[0] // its names only: which series a target is
	end, known := m.world.cloud.CloudWatch().Newest(series.Namespace, series.Name, series.Dimensions, series.Period)
	if !known {
		return fmt.Sprintf("the metric %s has no point at all", series.Key)
	}
	return agedSince(series.Key, at.Sub(end), series.Period)
}

func agedSince(key string, age, period time.Duration) string {
	most := agedPeriods*period + agedLag
	if age <= most {
		return ""
	}
	return fmt.Sprintf("the newest period of the metric %s that anybody can see ended %s before the invocation began, longer ago than %s", key, age.Round(time.Second), most)
}
