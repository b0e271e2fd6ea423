package simcloud

// parts are the services of a world that are made when first asked for.
type parts struct {
	sqs        *SQS
	lambda     *Lambda
	events     *EventBridge
	dynamodb   *DynamoDB
	cloudwatch *CloudWatch
	cloudmap   *CloudMap
}
