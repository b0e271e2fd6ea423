package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// flowLogs records the connections that were rejected. All of them would cost
// more than they tell: what a load balancer lets in is in its access log.
func flowLogs(scope constructs.Construct, cluster string, vpc awsec2.CfnVPC, days int) {
	group := logGroup(scope, "FlowLogs", "", days)
	account := awscdk.Stack_Of(scope).Account()
	writer := awsiam.NewRole(scope, jsii.String("FlowLogsRole"), &awsiam.RoleProps{
		Description: jsii.String("Writes the flow logs of the network of " + cluster),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("vpc-flow-logs.amazonaws.com"), &awsiam.ServicePrincipalOpts{
			Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": account}},
		}),
	})
	rights := allow(scope, "FlowLogsRights", writer, allowing(
		[]*string{group.AttrArn()},
		"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
	))
	accept(rights, "IAM5", "The streams of this one log group.")
	awsec2.NewCfnFlowLog(scope, jsii.String("FlowLog"), &awsec2.CfnFlowLogProps{
		ResourceId: vpc.Ref(), ResourceType: jsii.String("VPC"), TrafficType: jsii.String("REJECT"),
		LogDestinationType: jsii.String("cloud-watch-logs"), LogDestination: group.AttrArn(),
		DeliverLogsPermissionArn: writer.RoleArn(), Tags: named(cluster),
	}).Node().AddDependency(rights)
}

// allowing allows actions on resources.
func allowing(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{Actions: stringsOf(actions...), Resources: &resources})
}

// allow gives a role rights, in a policy of its own: what a user of the
// construct grants later goes to another one, where no reason of ours covers it.
func allow(scope constructs.Construct, id string, to awsiam.IRole, statements ...awsiam.PolicyStatement) awsiam.Policy {
	return awsiam.NewPolicy(scope, jsii.String(id), &awsiam.PolicyProps{Roles: &[]awsiam.IRole{to}, Statements: &statements})
}
