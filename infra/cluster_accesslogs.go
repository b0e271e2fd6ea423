package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// accessLogs makes the bucket of a load balancer's access logs, and the
// attributes that send them there. The bucket stays when the stack goes.
func accessLogs(scope constructs.Construct, days int) (awss3.CfnBucketPolicy, []any) {
	bucket := awss3.NewCfnBucket(scope, jsii.String("AccessLogs"), &awss3.CfnBucketProps{
		// Elastic Load Balancing writes to buckets with S3's own keys only.
		BucketEncryption: &awss3.CfnBucket_BucketEncryptionProperty{ServerSideEncryptionConfiguration: listOf(
			&awss3.CfnBucket_ServerSideEncryptionRuleProperty{ServerSideEncryptionByDefault: &awss3.CfnBucket_ServerSideEncryptionByDefaultProperty{SseAlgorithm: jsii.String("AES256")}},
		)},
		PublicAccessBlockConfiguration: &awss3.CfnBucket_PublicAccessBlockConfigurationProperty{
			BlockPublicAcls: jsii.Bool(true), BlockPublicPolicy: jsii.Bool(true), IgnorePublicAcls: jsii.Bool(true), RestrictPublicBuckets: jsii.Bool(true),
		},
		OwnershipControls: &awss3.CfnBucket_OwnershipControlsProperty{Rules: listOf(
			&awss3.CfnBucket_OwnershipControlsRuleProperty{ObjectOwnership: jsii.String("BucketOwnerEnforced")},
		)},
		LifecycleConfiguration: &awss3.CfnBucket_LifecycleConfigurationProperty{Rules: listOf(
			&awss3.CfnBucket_RuleProperty{Id: jsii.String("expire"), Status: jsii.String("Enabled"), ExpirationInDays: number(days)},
		)},
	})
	bucket.ApplyRemovalPolicy(awscdk.RemovalPolicy_RETAIN, nil)
	accept(bucket, "S1", "This is the bucket that access logs are written to.")
	return bucketPolicy(scope, bucket), []any{
		attribute("access_logs.s3.enabled", "true"),
		attribute("access_logs.s3.bucket", *bucket.Ref()),
	}
}

// bucketPolicy lets Elastic Load Balancing write, by its service's principal and
// not by an account of AWS's a Region (the ALB guide, Enable access logs), and
// nobody connect without TLS.
func bucketPolicy(scope constructs.Construct, bucket awss3.CfnBucket) awss3.CfnBucketPolicy {
	within := func(path string) *string {
		return awscdk.Fn_Join(jsii.String(""), &[]*string{bucket.AttrArn(), jsii.String(path)})
	}
	account := awscdk.Stack_Of(scope).Account()
	written := awscdk.Fn_Join(jsii.String(""), &[]*string{bucket.AttrArn(), jsii.String("/AWSLogs/"), account, jsii.String("/*")})
	return awss3.NewCfnBucketPolicy(scope, jsii.String("AccessLogsPolicy"), &awss3.CfnBucketPolicyProps{
		Bucket: bucket.Ref(),
		PolicyDocument: map[string]any{"Version": "2012-10-17", "Statement": []any{
			map[string]any{
				"Sid": "LoadBalancerWrites", "Effect": "Allow", "Action": "s3:PutObject", "Resource": written,
				"Principal": map[string]any{"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
			},
			map[string]any{
				"Sid": "OnlyWithTLS", "Effect": "Deny", "Action": "s3:*", "Principal": map[string]any{"AWS": "*"},
				"Resource":  []any{bucket.AttrArn(), within("/*")},
				"Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
			},
		}},
	})
}
