// Command bootstrap is the Lambda function that hears events: real clients,
// nothing else.
package main

import (
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/zap"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func main() {
	raw, err := os.ReadFile("policy.json") // packed beside the bootstrap
	if err != nil {
		log.Fatal(err)
	}
	set, err := policy.Decode(raw)
	if err != nil {
		log.Fatal(err) // a wrong policy must fail the start, not a message
	}
	logger, err := zap.NewProduction(zap.WithCaller(false))
	if err != nil {
		log.Fatal(err)
	}
	cfg := aws.Config{ // by hand: the SDK's config package costs 6-9 ms of start
		Region:           os.Getenv("AWS_REGION"),
		Credentials:      credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		RetryMaxAttempts: 1,
	}
	ports := ingest.Ports{DynamoDB: dynamodb.NewFromConfig(cfg), SQS: sqs.NewFromConfig(cfg)}
	where := ingest.Config{
		Account: os.Getenv("PLIMSOLL_ACCOUNT"), Region: cfg.Region,
		Table: os.Getenv("PLIMSOLL_TABLE"), Queues: map[string]string{"reconcile": os.Getenv("PLIMSOLL_RECONCILE_QUEUE")}, Ingress: os.Getenv("PLIMSOLL_INGRESS_QUEUE"),
	}
	lambda.Start(ingest.New(ports, where, set, logger))
}
