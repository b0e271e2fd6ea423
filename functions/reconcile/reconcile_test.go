package reconcile

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	rounds "github.com/plimsoll-ecs/plimsoll/pkg/reconcile"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAWakeUpThatCannotBeReadFailsAndOneOfNoPolicyOnlyEndsItsNumber(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	cloud := simcloud.New(simcloud.Options{})
	text := types.ScalarAttributeTypeS
	_, err := cloud.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("plimsoll"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: text}, {AttributeName: aws.String("sk"), AttributeType: text}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// No port to the cluster is set: a call of any would panic.
	door := New(Ports{DynamoDB: cloud.DynamoDB()}, rounds.Config{Table: "plimsoll"}, policy.Set{{Version: 1, Cluster: "prod"}}, rounds.Edges{Clock: time.Now, Run: rounds.Concurrent, Log: zap.New(core)})
	out, err := door.Invoke(t.Context(), []byte(`{"Records":[
		{"messageId":"a","body":"{\"key\":\"reconcile#gone\",\"gen\":3}"},
		{"messageId":"b","body":"nonsense"}]}`))
	if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":"b"}]}` {
		t.Errorf("answer %s, %v", out, err)
	}
	if logs.FilterMessage("no policy has the key").Len() != 1 {
		t.Errorf("logs %v", logs.All())
	}
	raised := false
	for _, i := range cloud.DynamoDB().Items("plimsoll") {
		gen, _ := i["gen"].(*types.AttributeValueMemberN)
		raised = raised || gen != nil && gen.Value == "1"
	}
	if !raised {
		t.Error("the next event counts as a double of the one that nobody knew")
	}
}
