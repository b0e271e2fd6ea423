package tally

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/middleware"
)

func text(n int) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: strings.Repeat("x", n)}
}

func TestWhatACallCosts(t *testing.T) {
	put := func(n int) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{Item: map[string]types.AttributeValue{"a": text(n)}}}
	}
	for _, tt := range []struct {
		name    string
		in, out any
		want    float64
	}{
		{"a transaction takes two units for each part", &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{ConditionCheck: &types.ConditionCheck{}}, put(1000), put(1024), {Delete: &types.Delete{}}}}, nil, 10 * priceWrite},
		{"an update of little", &dynamodb.UpdateItemInput{}, nil, priceWrite},
		{"an update of two KB and a bit", &dynamodb.UpdateItemInput{ExpressionAttributeValues: map[string]types.AttributeValue{":a": text(2048)}}, nil, 3 * priceWrite},
		{"a query that found nothing", &dynamodb.QueryInput{}, &dynamodb.QueryOutput{}, priceRead},
		{"a query that failed", &dynamodb.QueryInput{}, nil, priceRead},
		{"a query of five KB", &dynamodb.QueryInput{}, &dynamodb.QueryOutput{Items: []map[string]types.AttributeValue{{"a": text(5000)}}}, 2 * priceRead},
		{"one item", &dynamodb.GetItemInput{}, nil, priceRead},
		{"a message", &sqs.SendMessageInput{}, nil, priceSend},
		{"three metrics", &cloudwatch.GetMetricDataInput{MetricDataQueries: make([]cwtypes.MetricDataQuery, 3)}, nil, 3 * priceMetric},
		{"what is free", &ecs.DescribeServicesInput{}, nil, 0},
	} {
		if got := price(tt.in, tt.out); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

// broken answers every request with a fault of the server's.
type broken struct{ asked int }

func (b *broken) Do(r *http.Request) (*http.Response, error) {
	b.asked++
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{StatusCode: http.StatusInternalServerError, Body: io.NopCloser(strings.NewReader(`{"__type":"InternalServerError"}`)), Header: http.Header{}, Request: r}, nil
}

func TestEveryTryCountsAndTakingBeginsAnew(t *testing.T) {
	var tally Tally
	b := &broken{}
	c := sqs.New(sqs.Options{
		Region: "eu-west-1", HTTPClient: b, BaseEndpoint: aws.String("http://nowhere"), RetryMaxAttempts: 2,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
		APIOptions: []func(*middleware.Stack) error{tally.Count},
	})
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String("http://nowhere/q"), MessageBody: aws.String("x")}); err == nil {
		t.Fatal(errors.New("no error"))
	}
	calls, dollars := tally.Take()
	if calls != b.asked || b.asked != 2 || dollars != priceSend {
		t.Errorf("%d calls for $%g, and %d were asked", calls, dollars, b.asked)
	}
	if calls, dollars = tally.Take(); calls != 0 || dollars != 0 {
		t.Errorf("%d calls for $%g after they were taken", calls, dollars)
	}
}
