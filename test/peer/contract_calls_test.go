package peer

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// send sends messages to a queue, and shows the last one's code and how many the
// queue has then: visible, and delayed.
func send(queue string, all ...sqs.SendMessageInput) func(both) string {
	return func(b both) string {
		names := []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesDelayed}
		count := func() []int {
			out, err := b.sqs.GetQueueAttributes(b.ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(b.urls[queue]), AttributeNames: names})
			if err != nil {
				return nil
			}
			var seen []int
			for _, n := range names {
				var c int
				fmt.Sscan(out.Attributes[string(n)], &c)
				seen = append(seen, c)
			}
			return seen
		}
		before, said := count(), ""
		for _, in := range all {
			if in.QueueUrl == nil {
				in.QueueUrl = aws.String(b.urls[queue])
			}
			_, err := b.sqs.SendMessage(b.ctx, &in)
			said = code(err)
		}
		after := count()
		return strings.TrimSpace(fmt.Sprintf("%s +%d +%d", said, after[0]-before[0], after[1]-before[1]))
	}
}

func queueClauses() []clause {
	say := func(body, group, id string) sqs.SendMessageInput {
		in := sqs.SendMessageInput{MessageBody: aws.String(body)}
		if group != "" {
			in.MessageGroupId = aws.String(group)
		}
		if id != "" {
			in.MessageDeduplicationId = aws.String(id)
		}
		return in
	}
	later := func(in sqs.SendMessageInput, seconds int32) sqs.SendMessageInput {
		in.DelaySeconds = seconds
		return in
	}
	elsewhere := func(b both) string {
		_, err := b.sqs.SendMessage(b.ctx, &sqs.SendMessageInput{QueueUrl: aws.String(strings.Replace(b.urls["standard"], "standard", "nowhere", 1)), MessageBody: aws.String("x")})
		return code(err)
	}
	create := func(name string, attributes map[string]string) func(both) string {
		return func(b both) string {
			_, err := b.sqs.CreateQueue(b.ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})
			return code(err)
		}
	}
	return []clause{
		{"a message is visible at once", send("standard", say("x", "", "")), "+1 +0", ""},
		{"one with a delay is not", send("standard", later(say("x", "", ""), 5)), "+0 +1", ""},
		{"a delay has 900 s at most", send("standard", later(say("x", "", ""), 901)), "InvalidParameterValue +0 +0", ""},
		{"a message has a body", send("standard", say("", "", "")), "MissingParameter +0 +0", "+1 +0"},
		{"twice the same id within five minutes is one message", send("fifo.fifo", say("x", "g", "k#1"), say("y", "g", "k#1")), "+1 +0", ""},
		{"another id is another", send("fifo.fifo", say("x", "g", "k#2"), say("x", "g", "k#3")), "+2 +0", ""},
		{"the same id in another group is the same still", send("fifo.fifo", say("x", "g", "k#4"), say("x", "h", "k#4")), "+1 +0", ""},
		{"a FIFO queue wants a group", send("fifo.fifo", say("x", "", "k#5")), "MissingParameter +0 +0", ""},
		{"and an id, where it makes none of the body", send("fifo.fifo", say("x", "g", "")), "InvalidParameterValue +0 +0", ""},
		{"and no delay of one message", send("fifo.fifo", later(say("x", "g", "k#6"), 5)), "InvalidParameterValue +0 +0", ""},
		{"an id has 128 characters at most", send("fifo.fifo", say("x", "g", strings.Repeat("k", 129))), "InvalidParameterValue +0 +0", "+1 +0"},
		{"a standard queue knows no such id", send("standard", say("x", "", "k#7")), "InvalidParameterValue +0 +0", "+1 +0"},
		{"a queue that is not there is said so", elsewhere, "AWS.SimpleQueueService.NonExistentQueue", ""},
		{"the same queue again is no error", create("standard", nil), "", ""},
		{"with other attributes it is", create("standard", map[string]string{"VisibilityTimeout": "7"}), "QueueAlreadyExists", ""},
		{"a FIFO queue's name ends so", create("fifth", map[string]string{"FifoQueue": "true"}), "InvalidParameterValue", ""},
		{"and only a FIFO queue's", create("sixth.fifo", nil), "InvalidParameterValue", nothing},
	}
}

// failures shows what a Describe call answered: how many, and the failures.
func failures(got int, all []ecstypes.Failure, err error) string {
	said := []string{strings.TrimSpace(fmt.Sprint(code(err), " ", got))}
	for _, f := range all {
		arn := aws.ToString(f.Arn)
		said = append(said, aws.ToString(f.Reason)+" "+arn[strings.LastIndex(arn, ":")+1:])
	}
	return strings.Join(said, ", ")
}

// ghost is the id of what is not there.
const ghost = "0123456789abcdef0123456789abcdef"

func services(cluster string, names ...string) func(both) string {
	return func(b both) string {
		out, err := b.ecs.DescribeServices(b.ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: append([]string{}, names...)})
		if err != nil {
			return code(err)
		}
		return failures(len(out.Services), out.Failures, nil)
	}
}

func hosts(cluster string, ids ...string) func(both) string {
	return func(b both) string {
		out, err := b.ecs.DescribeContainerInstances(b.ctx, &ecs.DescribeContainerInstancesInput{Cluster: aws.String(cluster), ContainerInstances: ids})
		if err != nil {
			return code(err)
		}
		return failures(len(out.ContainerInstances), out.Failures, nil)
	}
}

func tasks(cluster string, ids ...string) func(both) string {
	return func(b both) string {
		out, err := b.ecs.DescribeTasks(b.ctx, &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: ids})
		if err != nil {
			return code(err)
		}
		return failures(len(out.Tasks), out.Failures, nil)
	}
}

func count(cluster, service string, to int32) func(both) string {
	return func(b both) string {
		out, err := b.ecs.UpdateService(b.ctx, &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String(service), DesiredCount: aws.Int32(to)})
		if err != nil {
			return code(err)
		}
		return fmt.Sprint(out.Service.DesiredCount)
	}
}

func state(cluster string, to ecstypes.ContainerInstanceStatus, ids ...string) func(both) string {
	return func(b both) string {
		ids := ids
		if len(ids) == 0 {
			all, err := b.ecs.ListContainerInstances(b.ctx, &ecs.ListContainerInstancesInput{Cluster: aws.String(cluster)})
			if err != nil {
				return code(err)
			}
			ids = all.ContainerInstanceArns[:1]
		}
		out, err := b.ecs.UpdateContainerInstancesState(b.ctx, &ecs.UpdateContainerInstancesStateInput{Cluster: aws.String(cluster), ContainerInstances: ids, Status: to})
		if err != nil {
			return code(err)
		}
		said := failures(len(out.ContainerInstances), out.Failures, nil)
		for _, h := range out.ContainerInstances {
			said += " " + aws.ToString(h.Status)
		}
		return said
	}
}

func ecsClauses() []clause {
	lists := func(cluster string) func(both) string {
		return func(b both) string {
			_, tasks := b.ecs.ListTasks(b.ctx, &ecs.ListTasksInput{Cluster: aws.String(cluster)})
			_, hosts := b.ecs.ListContainerInstances(b.ctx, &ecs.ListContainerInstancesInput{Cluster: aws.String(cluster)})
			return strings.TrimSpace(code(tasks) + " " + code(hosts))
		}
	}
	definition := func(name string) func(both) string {
		return func(b both) string {
			_, err := b.ecs.DescribeTaskDefinition(b.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(name)})
			return code(err)
		}
	}
	eleven := strings.Split(strings.Repeat("api ", 11), " ")[:11]
	return []clause{
		{"a service is described by its name", services(clusterName, "api"), "1", ""},
		{"one that is not there is a failure, not an error", services(clusterName, "api", "none"), "1, MISSING service/" + clusterName + "/none", "1, MISSING service/none"},
		{"a cluster that is not there is an error", services("none", "api"), "ClusterNotFoundException", ""},
		{"no more than ten are described at once", services(clusterName, eleven...), "InvalidParameterException", "11"},
		{"none are not described", services(clusterName), "InvalidParameterException", "0"},
		{"a host that is not there is a failure", hosts(clusterName, ghost), "0, MISSING container-instance/" + clusterName + "/" + ghost, "0, MISSING container-instance/" + ghost},
		{"hosts of a cluster that is not there are an error", hosts("none", ghost), "ClusterNotFoundException", ""},
		{"a task that is not there is a failure", tasks(clusterName, ghost), "0, MISSING task/" + clusterName + "/" + ghost, "0"},
		{"tasks of a cluster that is not there are an error", tasks("none", ghost), "ClusterNotFoundException", ""},
		{"nothing is listed of a cluster that is not there", lists("none"), "ClusterNotFoundException ClusterNotFoundException", "ClusterNotFoundException"},
		{"a task definition that is not there is an error", definition("none:7"), "ClientException", ""},
		{"one is described by its family", definition("api"), "", ""},
		{"or with its revision", definition("api:1"), "", ""},
		{"a count is set", count(clusterName, "api", 3), "3", ""},
		{"and set again to the same", count(clusterName, "api", 3), "3", ""},
		{"not below zero", count(clusterName, "api", -1), "InvalidParameterException", "-1"},
		{"it is set back", count(clusterName, "api", 2), "2", ""},
		{"not of a service that is not there", count(clusterName, "none", 2), "ServiceNotFoundException", ""},
		{"nor of a cluster that is not", count("none", "api", 2), "ClusterNotFoundException", ""},
		{"a host is drained", state(clusterName, ecstypes.ContainerInstanceStatusDraining), "1 DRAINING", ""},
		{"and taken back", state(clusterName, ecstypes.ContainerInstanceStatusActive), "1 ACTIVE", ""},
		{"one that is not there is a failure with HTTP 200", state(clusterName, ecstypes.ContainerInstanceStatusDraining, ghost), "0, MISSING container-instance/" + clusterName + "/" + ghost, "0, MISSING container-instance/" + ghost},
		{"no other state can be asked for", state(clusterName, ecstypes.ContainerInstanceStatusRegistering, ghost), "InvalidParameterException", ""},
	}
}

func groupClauses() []clause {
	describe := func(names ...string) func(both) string {
		return func(b both) string {
			out, err := b.autoscaling.DescribeAutoScalingGroups(b.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: names})
			if err != nil {
				return code(err)
			}
			var said []string
			for _, g := range out.AutoScalingGroups {
				said = append(said, fmt.Sprint(aws.ToString(g.AutoScalingGroupName), " ", aws.ToInt32(g.MinSize), " ", aws.ToInt32(g.DesiredCapacity), " ", aws.ToInt32(g.MaxSize), " ", len(g.Instances)))
			}
			return strings.Join(said, ", ")
		}
	}
	policies := func(name string) func(both) string {
		return func(b both) string {
			out, err := b.autoscaling.DescribePolicies(b.ctx, &autoscaling.DescribePoliciesInput{AutoScalingGroupName: aws.String(name)})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(len(out.ScalingPolicies))
		}
	}
	capacity := func(name string, to int32) func(both) string {
		return func(b both) string {
			_, err := b.autoscaling.SetDesiredCapacity(b.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: aws.Int32(to)})
			return code(err)
		}
	}
	end := func(id string) func(both) string {
		return func(b both) string {
			id := id
			if id == "" {
				out, err := b.autoscaling.DescribeAutoScalingGroups(b.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{groupName}})
				if err != nil {
					return code(err)
				}
				id = aws.ToString(out.AutoScalingGroups[0].Instances[0].InstanceId)
			}
			_, err := b.autoscaling.TerminateInstanceInAutoScalingGroup(b.ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(true)})
			return code(err)
		}
	}
	return []clause{
		{"a group is described by its name", describe(groupName), groupName + " 3 3 9 3", ""},
		{"one that is not there is left out", describe("none", groupName), groupName + " 3 3 9 3", ""},
		{"alone it leaves nothing, and no error", describe("none"), "", ""},
		{"a group without policies has none", policies(groupName), "0", ""},
		{"a group that is not there has no desired capacity", capacity("none", 3), "ValidationError", "a server's error"},
		{"it stays under the maximum", capacity(groupName, 10), "ValidationError", nothing},
		{"and above the minimum", capacity(groupName, 2), "ValidationError", nothing},
		{"the group did not change by that", describe(groupName), groupName + " 3 3 9 3", "shop-hosts 3 2 9 2"},
		{"an instance that is not there is not ended", end("i-0123456789abcdef0"), "ValidationError", "a server's error"},
		{"nor one with which the group would go below its minimum", end(""), "ValidationError", nothing},
	}
}
