package infra

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// makeHostRole makes the role of hosts: what the managed policy
// AmazonEC2ContainerServiceforEC2Role allows, less what a host of this cluster
// does not do (make clusters, pull images and write logs on its own account:
// every Service has an execution role for these), and for this cluster only.
func (c *Cluster) makeHostRole(scope constructs.Construct) (awsiam.CfnInstanceProfile, awsiam.Policy) {
	c.HostRole = awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		Description: jsii.String("Hosts of the ECS cluster " + c.props.Name),
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ec2.amazonaws.com"), nil),
	})
	cluster := arn(scope, "ecs", "cluster", c.props.Name)
	member := awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:    stringsOf("ecs:Poll", "ecs:StartTelemetrySession"),
		Resources:  &[]*string{arn(scope, "ecs", "container-instance", c.props.Name+"/*")},
		Conditions: &map[string]any{"ArnEquals": map[string]any{"ecs:cluster": cluster}},
	})
	rights := allow(scope, "Rights", c.HostRole,
		allowing([]*string{cluster}, "ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance",
			"ecs:SubmitAttachmentStateChanges", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange"),
		member,
		allowing(*stringsOf("*"), "ecs:DiscoverPollEndpoint"),
		c.logRights(scope),
	)
	accept(rights, "IAM5", "ecs:DiscoverPollEndpoint knows no resources; the ids of hosts and of log streams are not known before they exist.")
	profile := awsiam.NewCfnInstanceProfile(scope, jsii.String("Profile"), &awsiam.CfnInstanceProfileProps{Roles: listOf[any](c.HostRole.RoleName())})
	return profile, rights
}

// logRights lets hosts write to the log groups of the cluster's services. Where
// the agent has the log driver use the task's execution role (Amazon Linux and
// Windows, by a setting) that is not needed; for Bottlerocket nothing says so.
func (c *Cluster) logRights(scope constructs.Construct) awsiam.PolicyStatement {
	return allowing([]*string{logARN(scope, logName(c.props.Name, "*"))}, "logs:CreateLogStream", "logs:PutLogEvents")
}

// logName is the name of a service's log group.
func logName(cluster, service string) string { return fmt.Sprintf("/ecs/%s/%s", cluster, service) }

// logARN covers a log group and its streams.
func logARN(scope constructs.Construct, name string) *string {
	return awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("logs"), Resource: jsii.String("log-group"), ResourceName: jsii.String(name + ":*"),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
}

// suspendRebalancing has Auto Scaling leave the balance of zones alone: it would
// terminate busy hosts for it, and spreading is the planner's. CloudFormation
// cannot suspend a process of a group (the coverage roadmap's issue 2429), so the
// CDK's own function for single calls does it when the group is made.
func (c *Cluster) suspendRebalancing(scope constructs.Construct, g Group, group awsautoscaling.CfnAutoScalingGroup) {
	owned := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("autoscaling"), Resource: jsii.String("autoScalingGroup"),
		ResourceName: jsii.String("*:autoScalingGroupName/" + g.Name), ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	call := &customresources.AwsSdkCall{
		Service: jsii.String("AutoScaling"), Action: jsii.String("suspendProcesses"),
		Parameters:         map[string]any{"AutoScalingGroupName": group.Ref(), "ScalingProcesses": stringsOf("AZRebalance")},
		PhysicalResourceId: customresources.PhysicalResourceId_Of(jsii.String("AZRebalance of " + g.Name)),
	}
	suspension := customresources.NewAwsCustomResource(scope, jsii.String("SuspendRebalancing"), &customresources.AwsCustomResourceProps{
		OnUpdate: call, InstallLatestAwsSdk: jsii.Bool(false), LogGroup: singleCallLogs(awscdk.Stack_Of(scope)),
		Policy: customresources.AwsCustomResourcePolicy_FromStatements(&[]awsiam.PolicyStatement{allowing([]*string{owned}, "autoscaling:SuspendProcesses")}),
	})
	accept(suspension, "IAM5", "The ARN of a group has an id that is not known before it exists; its name is.")
	acceptSingleCalls(awscdk.Stack_Of(scope))
}

// singleCalls is the id that the CDK gives its function for single calls in a
// stack.
const singleCalls = "AWS679f53fac002430cb0da5b7982bd2287"

// singleCallLogs is that function's log group, one a stack like the function.
func singleCallLogs(stack awscdk.Stack) awslogs.LogGroup {
	const id = "SingleCallLogs"
	if made := stack.Node().TryFindChild(jsii.String(id)); made != nil {
		var group awslogs.LogGroup
		jsii.UnsafeCast(made, &group)
		return group
	}
	return awslogs.NewLogGroup(stack, jsii.String(id), &awslogs.LogGroupProps{
		Retention: awslogs.RetentionDays_ONE_MONTH, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

// acceptSingleCalls accepts what the CDK decided for its own function, and takes
// a dependency off it that its role's ARN implies already.
func acceptSingleCalls(stack awscdk.Stack) {
	function := stack.Node().TryFindChild(jsii.String(singleCalls))
	if function == nil {
		return
	}
	accept(function, "IAM4", "The CDK's function for single calls has the managed policy to write its logs.")
	accept(function, "L1", "The CDK chooses the runtime of its own function.")
	var resource awscdk.CfnResource
	jsii.UnsafeCast(function.Node().DefaultChild(), &resource)
	resource.AddDeletionOverride(jsii.String("DependsOn"))
}
