package infra

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// excuse tells cdk-nag of each resource with a * in a function's rights why it is
// as narrow as it can be. cdk-nag writes what CloudFormation fills in as <Name>,
// so the statements are made once more, in its words.
func excuse(r awsiam.Role, f function, g ground, logs awslogs.LogGroup) {
	g.partition, g.region, g.account = "<AWS::Partition>", "<AWS::Region>", "<AWS::AccountId>"
	if made, ok := logs.Node().DefaultChild().(awscdk.CfnElement); ok {
		g.logs = "<" + *awscdk.Stack_Of(logs).GetLogicalId(made) + ".Arn>"
	}
	var reasons []*cdknag.NagPackSuppression
	for _, s := range f.statements(g) {
		for _, resource := range s.resources {
			if strings.Contains(resource, everything) {
				reasons = append(reasons, &cdknag.NagPackSuppression{Id: jsii.String("AwsSolutions-IAM5"), Reason: jsii.String(s.why), AppliesTo: &[]any{"Resource::" + resource}})
			}
		}
	}
	cdknag.NagSuppressions_AddResourceSuppressions(r, &reasons, jsii.Bool(true))
}
