// Command bootstrap is the Lambda function that registers endpoints: real clients,
// nothing else.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/endpointside"
	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/tally"
	"github.com/plimsoll-ecs/plimsoll/pkg/handler"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
)

func main() {
	cfg := aws.Config{ // by hand: loading the shared configuration would slow every cold start
		Region:      os.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(rounds.CallTimeout),
	}
	if u := os.Getenv("AWS_ENDPOINT_URL"); u != "" { // the SDK's own variable, which a configuration by hand leaves out
		cfg.BaseEndpoint = aws.String(u)
	}
	var calls tally.Tally
	cfg.APIOptions = append(cfg.APIOptions, calls.Count)
	ports := register.Ports{
		ECS: ecs.NewFromConfig(cfg), ELBV2: elb.NewFromConfig(cfg), CloudMap: servicediscovery.NewFromConfig(cfg),
		EC2: endpointside.Addresses{Config: cfg, Clock: time.Now}, DynamoDB: dynamodb.NewFromConfig(cfg), SQS: sqs.NewFromConfig(cfg),
	}
	where := rounds.Config{Table: os.Getenv("PLIMSOLL_TABLE"), Ingress: os.Getenv("PLIMSOLL_INGRESS_QUEUE")}
	lambda.Start(register.New(ports, must(where, where.Missing()), must(policy.Decode(must(os.ReadFile("policy.json")))), rounds.Edges{
		Clock: time.Now, Run: rounds.Concurrent, Wait: smithytime.SleepWithContext, Log: must(handler.NewLog()), Margin: margin, Meter: rounds.Meter{Out: os.Stdout, Calls: calls.Take},
	}))
}

// margin ends a round's calls a tenth of the time that is left, and five seconds
// at most, before the deadline: the lease must still be given back then.
func margin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(5*time.Second, time.Until(end)/10)))
}

// must ends the start: what is wrong with a deployment must fail no message.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
