// Package simcloud is another world behind the doors of the AWS SDK: ECS, Elastic
// Load Balancing, Auto Scaling, EC2, CloudWatch, EventBridge, SQS, Lambda and
// DynamoDB in memory and in virtual time. It behaves as AWS documents it, also
// where that hurts; what nobody documents is a switch. The same seed gives the
// same trace.
//
// It must not know how anybody decides: it imports nothing of plimsoll's, and
// its scheduler places tasks by its own reading of ECS's rules.
package simcloud
