// Command bootstrap is the Lambda function that hears events: real clients,
// nothing else.
package main

import (
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func main() {
	cfg := aws.Config{ // by hand: loading the shared configuration would slow every cold start
		Region:      os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(5 * time.Second),
	}
	if u := os.Getenv("AWS_ENDPOINT_URL"); u != "" { // the SDK's own variable, which a configuration by hand leaves out
		cfg.BaseEndpoint = aws.String(u)
	}
	ports := ingest.Ports{DynamoDB: dynamodb.NewFromConfig(cfg), SQS: sqs.NewFromConfig(cfg)}
	where := ingest.Config{
		Account: os.Getenv("PLIMSOLL_ACCOUNT"), Region: cfg.Region,
		Table: os.Getenv("PLIMSOLL_TABLE"), Ingress: os.Getenv("PLIMSOLL_INGRESS_QUEUE"),
		Queues: map[string]string{"reconcile": os.Getenv("PLIMSOLL_RECONCILE_QUEUE"), "register": os.Getenv("PLIMSOLL_REGISTER_QUEUE")},
	}
	set := must(policy.Decode(must(os.ReadFile("policy.json"))))
	lambda.Start(ingest.New(ports, must(where, where.Missing(set)), set, must(handler.NewLog())))
}

// must ends the start: what is wrong with a deployment must fail no message.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
