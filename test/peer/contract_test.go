package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/awscloud/clusterside"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

// table and queues are what both worlds can do besides the ports.
type tables interface {
	store.DynamoDB
	store.WakeTable
	CreateTable(context.Context, *dynamodb.CreateTableInput, ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

type queues interface {
	store.SQS
	CreateQueue(context.Context, *sqs.CreateQueueInput, ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// both is one of the two worlds, as the contract asks it.
type both struct {
	ctx         context.Context
	db          tables
	sqs         queues
	ecs         clusterside.ECS
	autoscaling clusterside.AutoScaling
	urls        map[string]string
}

// clause is one sentence that holds in AWS, and in both worlds.
type clause struct {
	says string
	ask  func(both) string // the answer, or the error's code
	want string
	moto string // what moto answers instead, a quirk of its own; empty: the same
}

// nothing is what moto answers where there should be an error.
const nothing = "nothing"

// code is the code of an error of AWS's; empty: there is none.
func code(err error) string {
	var api smithy.APIError
	var answer interface{ HTTPStatusCode() int }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &answer) && answer.HTTPStatusCode() >= 500:
		return "a server's error"
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return err.Error()
	}
}

// inSimcloud is the simulated world, with the cluster that populate makes in moto.
func inSimcloud(t *testing.T) both {
	t.Helper()
	c := simcloud.New(simcloud.Options{Start: noon(), Account: account, Region: region})
	t.Cleanup(c.Close)
	must[*ecs.CreateClusterOutput](t)(c.ECS().CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String(clusterName)}))
	if err := c.AddGroup(simcloud.GroupSpec{Name: groupName, Cluster: clusterName, Zones: []string{region + "a"}, InstanceType: "m5.large", CPU: 2048, Memory: 7482, Min: 3, Max: 9, Desired: 3, Ready: true}); err != nil {
		t.Fatal(err)
	}
	must[*ecs.RegisterTaskDefinitionOutput](t)(c.ECS().RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("api"), ContainerDefinitions: []ecstypes.ContainerDefinition{{Name: aws.String("api"), Image: aws.String("api"), Cpu: 256, Memory: aws.Int32(512), Essential: aws.Bool(true)}},
	}))
	must[*ecs.CreateServiceOutput](t)(c.ECS().CreateService(t.Context(), &ecs.CreateServiceInput{AvailabilityZoneRebalancing: ecstypes.AvailabilityZoneRebalancingDisabled, Cluster: aws.String(clusterName), ServiceName: aws.String("api"), TaskDefinition: aws.String("api"), DesiredCount: aws.Int32(2)}))
	if err := c.Run(noon().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return both{ctx: t.Context(), db: c.DynamoDB(), sqs: c.SQS(), ecs: c.ECS(), autoscaling: c.AutoScaling()}.furnished(t)
}

func inMoto(t *testing.T) both {
	t.Helper()
	w := fresh(t)
	w.populate(0)
	if _, err := w.autoscaling().UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(groupName), MinSize: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	return both{ctx: t.Context(), db: w.dynamodb(), sqs: w.sqs(), ecs: w.ecs(), autoscaling: w.autoscaling()}.furnished(t)
}

// furnished has the table and the queues that the clauses are about.
func (b both) furnished(t *testing.T) both {
	t.Helper()
	s := ddbtypes.ScalarAttributeTypeS
	must[*dynamodb.CreateTableOutput](t)(b.db.CreateTable(b.ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(tableName), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: s}, {AttributeName: aws.String("sk"), AttributeType: s}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: ddbtypes.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: ddbtypes.KeyTypeRange}},
	}))
	b.urls = map[string]string{}
	for _, name := range []string{"standard", "fifo.fifo"} {
		attributes := map[string]string{}
		if strings.HasSuffix(name, ".fifo") {
			attributes["FifoQueue"] = "true"
		}
		b.urls[name] = aws.ToString(must[*sqs.CreateQueueOutput](t)(b.sqs.CreateQueue(b.ctx, &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes})).QueueUrl)
	}
	return b
}

// TestTheSimulatedCloudAndMotoAgree asks both worlds the same. Where moto is
// known to differ, its row says how.
func TestTheSimulatedCloudAndMotoAgree(t *testing.T) {
	worlds := map[string]both{"simcloud": inSimcloud(t)}
	if moto != nil {
		worlds["moto"] = inMoto(t)
	}
	for _, c := range slices.Concat(itemClauses(), transactionClauses(), queryClauses(), queueClauses(), ecsClauses(), groupClauses()) {
		for name, world := range worlds {
			want := c.want
			switch {
			case name == "moto" && c.moto == nothing:
				want = ""
			case name == "moto" && c.moto != "":
				want = c.moto
			}
			if got := c.ask(world); got != want {
				t.Errorf("%s: %s: %q, want %q", name, c.says, got, want)
			}
		}
	}
}

type anItem = map[string]ddbtypes.AttributeValue

func s(v string) ddbtypes.AttributeValue { return &ddbtypes.AttributeValueMemberS{Value: v} }
func n(v string) ddbtypes.AttributeValue { return &ddbtypes.AttributeValueMemberN{Value: v} }
func ss(v ...string) ddbtypes.AttributeValue {
	return &ddbtypes.AttributeValueMemberSS{Value: v}
}

// show is an item without its key, in the order of its names.
func show(i anItem) string {
	var parts []string
	for name, v := range i {
		switch v := v.(type) {
		case *ddbtypes.AttributeValueMemberS:
			parts = append(parts, name+"="+v.Value)
		case *ddbtypes.AttributeValueMemberN:
			parts = append(parts, name+"="+v.Value)
		case *ddbtypes.AttributeValueMemberSS:
			slices.Sort(v.Value)
			parts = append(parts, name+"="+strings.Join(v.Value, "+"))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// at is the key of an item; "old" is one that is there, with n=10, s=x, set=a+b.
func at(sk string) anItem { return anItem{"pk": s("p"), "sk": s(sk)} }

// old puts the item that clauses change back as it was.
func (b both) old() both {
	i := at("old")
	i["n"], i["s"], i["set"] = n("10"), s("x"), ss("a", "b")
	if _, err := b.db.PutItem(b.ctx, &dynamodb.PutItemInput{TableName: aws.String(tableName), Item: i}); err != nil {
		panic(err)
	}
	for _, sk := range []string{"new", "new2"} {
		if _, err := b.db.DeleteItem(b.ctx, &dynamodb.DeleteItemInput{TableName: aws.String(tableName), Key: at(sk)}); err != nil {
			panic(err)
		}
	}
	return b
}

// update is one UpdateItem: expression, condition, names (#a=b) and values.
type update struct {
	sk, do, only string
	names        map[string]string
	values       anItem
	returns      ddbtypes.ReturnValue
}

func (u update) ask(b both) string {
	if u.returns == "" {
		u.returns = ddbtypes.ReturnValueAllNew
	}
	in := &dynamodb.UpdateItemInput{TableName: aws.String(tableName), Key: at(u.sk), UpdateExpression: aws.String(u.do), ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values, ReturnValues: u.returns}
	if u.only != "" {
		in.ConditionExpression = aws.String(u.only)
	}
	out, err := b.old().db.UpdateItem(b.ctx, in)
	if err != nil {
		return code(err)
	}
	return show(out.Attributes)
}

func itemClauses() []clause {
	v := func(of ddbtypes.AttributeValue) anItem { return anItem{":v": of} }
	clock := anItem{":me": s("a"), ":until": n("9"), ":past": n("5"), ":one": n("1")}
	lease := update{sk: "new", do: "SET holder = :me, #until = :until ADD fence :one", only: "attribute_not_exists(holder) OR holder = :me OR #until < :past", names: map[string]string{"#until": "until"}, values: clock}
	return []clause{
		{"an update makes the item, and ADD counts from nothing", update{sk: "new", do: "ADD n :v", values: v(n("1"))}.ask, "n=1 pk=p sk=new", ""},
		{"ADD adds to a number", update{sk: "old", do: "ADD n :v", values: v(n("-3"))}.ask, "n=7 pk=p s=x set=a+b sk=old", ""},
		{"ADD unites sets", update{sk: "old", do: "ADD #set :v", names: map[string]string{"#set": "set"}, values: v(ss("b", "c"))}.ask, "n=10 pk=p s=x set=a+b+c sk=old", ""},
		{"ADD adds no number to a string", update{sk: "old", do: "ADD s :v", values: v(n("1"))}.ask, "ValidationException", ""},
		{"ADD adds no string", update{sk: "old", do: "ADD s :v", values: v(s("y"))}.ask, "ValidationException", ""},
		{"REMOVE of what is not there is no error", update{sk: "old", do: "REMOVE gone, s"}.ask, "n=10 pk=p set=a+b sk=old", ""},
		{"ADD and REMOVE go together, and answer with what was", update{sk: "old", do: "ADD n :v REMOVE s", values: v(n("1")), returns: ddbtypes.ReturnValueAllOld}.ask, "n=10 pk=p s=x set=a+b sk=old", ""},
		{"what was not there was nothing", update{sk: "new", do: "ADD n :v", values: v(n("1")), returns: ddbtypes.ReturnValueAllOld}.ask, "", ""},
		{"the lease of a key that nobody holds is to be had", lease.ask, "fence=1 holder=a pk=p sk=new until=9", ""},
		{"a condition that does not hold fails the update", update{sk: "old", do: "SET s = :v", only: "attribute_not_exists(s)", values: v(s("y"))}.ask, "ConditionalCheckFailedException", ""},
		{"a comparison with what is not there does not hold", update{sk: "old", do: "SET s = :v", only: "gone < :v", values: v(s("y"))}.ask, "ConditionalCheckFailedException", ""},
		{"numbers are compared as numbers", update{sk: "old", do: "SET s = :s", only: "n < :v", values: anItem{":v": n("9"), ":s": s("y")}}.ask, "ConditionalCheckFailedException", ""},
		{"a number is less than no string", update{sk: "old", do: "SET s = :s", only: "n < :v", values: anItem{":v": s("9"), ":s": s("y")}}.ask, "ConditionalCheckFailedException", "a server's error"},
		{"AND binds tighter than OR", update{sk: "old", do: "SET s = :v", only: "s = :x OR s = :v AND s = :v", values: anItem{":x": s("x"), ":v": s("y")}}.ask, "n=10 pk=p s=y set=a+b sk=old", ""},
		{"a condition may be on what is new", update{sk: "new", do: "SET s = :v", only: "attribute_not_exists(lateAt) OR lateAt < :v", values: v(s("y"))}.ask, "pk=p s=y sk=new", ""},
		{"a reserved word needs a placeholder", update{sk: "old", do: "SET status = :v", values: v(s("y"))}.ask, "ValidationException", ""},
		{"in a condition too", update{sk: "old", do: "SET s = :v", only: "attribute_not_exists(ttl)", values: v(s("y"))}.ask, "ValidationException", ""},
		{"until is none, for all that we write it as one", update{sk: "old", do: "SET until = :v", values: v(s("y"))}.ask, "ValidationException", ""},
		{"none of the words that the store writes is one", update{sk: "new", do: "SET holder = :v, fence = :v, failures = :v, failure = :v, dirty = :v, woken = :v, lateAt = :v, nextAt = :v, intent = :v, version = :v, gen = :v", values: v(n("1"))}.ask, "dirty=1 failure=1 failures=1 fence=1 gen=1 holder=1 intent=1 lateAt=1 nextAt=1 pk=p sk=new version=1 woken=1", ""},
		{"a value that is not used is an error", update{sk: "old", do: "SET s = :v", values: anItem{":v": s("y"), ":w": s("z")}}.ask, "ValidationException", ""},
		{"so is one that is missing", update{sk: "old", do: "SET s = :w", values: v(s("y"))}.ask, "ValidationException", ""},
		{"so is a name that is not used", update{sk: "old", do: "SET s = :v", names: map[string]string{"#x": "y"}, values: v(s("y"))}.ask, "ValidationException", ""},
		{"one path twice is an error", update{sk: "old", do: "SET n = :v REMOVE n", values: v(n("1"))}.ask, "ValidationException", ""},
		{"so is one section twice", update{sk: "old", do: "SET s = :v SET n = :v", values: v(n("1"))}.ask, "ValidationException", ""},
		{"a key is not updated", update{sk: "old", do: "SET sk = :v", values: v(s("y"))}.ask, "ValidationException", ""},
		{"an empty set is no value", update{sk: "old", do: "SET s = :v", values: v(ss())}.ask, "ValidationException", "n=10 pk=p s= set=a+b sk=old"},
		{"an empty string is one", update{sk: "old", do: "SET s = :v", values: v(s(""))}.ask, "n=10 pk=p s= set=a+b sk=old", ""},
		{"an empty string is no key", update{sk: "", do: "SET s = :v", values: v(s("y"))}.ask, "ValidationException", "pk=p s=y sk="},
		{"a number has digits", update{sk: "old", do: "SET n = :v", values: v(n("ten"))}.ask, "ValidationException", "n=ten pk=p s=x set=a+b sk=old"},
		{"an item has less than 400 KB", update{sk: "new", do: "SET s = :v", values: v(s(strings.Repeat("x", 410_000)))}.ask, "ValidationException", ""},
		{"what has less is taken", update{sk: "new", do: "SET s = :v", values: v(s(strings.Repeat("x", 390_000))), returns: ddbtypes.ReturnValueNone}.ask, "", ""},
		{"what is not there is read as nothing", func(b both) string {
			out, err := b.db.GetItem(b.ctx, &dynamodb.GetItemInput{TableName: aws.String(tableName), Key: at("gone"), ConsistentRead: aws.Bool(true)})
			return fmt.Sprint(code(err), len(out.Item))
		}, "0", ""},
		{"a table that is not there is said so", func(b both) string {
			_, err := b.db.GetItem(b.ctx, &dynamodb.GetItemInput{TableName: aws.String("none"), Key: at("old")})
			return code(err)
		}, "ResourceNotFoundException", ""},
		{"a key has all of its parts", func(b both) string {
			_, err := b.db.GetItem(b.ctx, &dynamodb.GetItemInput{TableName: aws.String(tableName), Key: anItem{"pk": s("p")}})
			return code(err)
		}, "ValidationException", ""},
	}
}

// The parts of a transaction.
func put(sk string) ddbtypes.TransactWriteItem {
	return ddbtypes.TransactWriteItem{Put: &ddbtypes.Put{TableName: aws.String(tableName), Item: at(sk)}}
}

func check(sk, only string) ddbtypes.TransactWriteItem {
	return ddbtypes.TransactWriteItem{ConditionCheck: &ddbtypes.ConditionCheck{TableName: aws.String(tableName), Key: at(sk), ConditionExpression: aws.String(only)}}
}

func drop(sk string) ddbtypes.TransactWriteItem {
	return ddbtypes.TransactWriteItem{Delete: &ddbtypes.Delete{TableName: aws.String(tableName), Key: at(sk)}}
}

func add(sk, to string) ddbtypes.TransactWriteItem {
	return ddbtypes.TransactWriteItem{Update: &ddbtypes.Update{TableName: aws.String(tableName), Key: at(sk), UpdateExpression: aws.String("ADD " + to + " :v"), ExpressionAttributeValues: anItem{":v": n("1")}}}
}

// transact makes a transaction, and shows the codes of its reasons, then what
// became of the item that was there and the one that was not.
func transact(parts ...ddbtypes.TransactWriteItem) func(both) string {
	return func(b both) string {
		_, err := b.old().db.TransactWriteItems(b.ctx, &dynamodb.TransactWriteItemsInput{TransactItems: parts})
		said := []string{code(err)}
		var cancelled *ddbtypes.TransactionCanceledException
		if errors.As(err, &cancelled) {
			for _, r := range cancelled.CancellationReasons {
				said = append(said, aws.ToString(r.Code))
			}
		}
		for _, sk := range []string{"old", "new"} {
			out, err := b.db.GetItem(b.ctx, &dynamodb.GetItemInput{TableName: aws.String(tableName), Key: at(sk), ConsistentRead: aws.Bool(true)})
			if err != nil {
				return code(err)
			}
			said = append(said, "["+show(out.Item)+"]")
		}
		return strings.TrimSpace(strings.Join(said, " "))
	}
}

func transactionClauses() []clause {
	const untouched = "[n=10 pk=p s=x set=a+b sk=old] []"
	many := make([]ddbtypes.TransactWriteItem, 101)
	for i := range many {
		many[i] = put(fmt.Sprint("many", i))
	}
	both := put("new")
	both.Delete = drop("new2").Delete
	return []clause{
		{"a transaction does all of it", transact(put("new"), add("old", "n"), check("new2", "attribute_not_exists(pk)")), "[n=11 pk=p s=x set=a+b sk=old] [pk=p sk=new]", ""},
		{"or none, and says which part failed", transact(put("new"), check("old", "attribute_not_exists(pk)"), drop("new2")), "TransactionCanceledException None ConditionalCheckFailed None " + untouched, ""},
		{"each that failed", transact(check("new", "attribute_exists(pk)"), put("new2"), check("old", "attribute_not_exists(pk)")), "TransactionCanceledException ConditionalCheckFailed None ConditionalCheckFailed " + untouched, ""},
		{"a delete of what is not there is no failure", transact(drop("new"), add("old", "n")), "[n=11 pk=p s=x set=a+b sk=old] []", ""},
		{"an update that cannot be fails it", transact(put("new"), add("old", "s")), "TransactionCanceledException None ValidationError " + untouched, "ValidationException " + untouched},
		{"one item twice is an error", transact(put("new"), check("new", "attribute_not_exists(pk)")), "ValidationException " + untouched, ""},
		{"so are two things in one part", transact(both), "ValidationException " + untouched, ""},
		{"so are 101 parts", transact(many...), "ValidationException " + untouched, ""},
		{"100 are not", transact(many[:100]...), untouched, ""},
	}
}

func queryClauses() []clause {
	query := func(prefix string, change func(*dynamodb.QueryInput)) func(both) string {
		return func(b both) string {
			in := &dynamodb.QueryInput{
				TableName: aws.String(tableName), ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :pk AND begins_with(sk, :prefix)"),
				ExpressionAttributeValues: anItem{":pk": s("q"), ":prefix": s(prefix)},
			}
			for _, sk := range []string{"now#b", "now#a", "now", "then#1", "nox", "now#B"} {
				if _, err := b.db.PutItem(b.ctx, &dynamodb.PutItemInput{TableName: aws.String(tableName), Item: anItem{"pk": s("q"), "sk": s(sk)}}); err != nil {
					return code(err)
				}
			}
			if change != nil {
				change(in)
			}
			var said []string
			for {
				out, err := b.db.Query(b.ctx, in)
				if err != nil {
					return code(err)
				}
				for _, i := range out.Items {
					said = append(said, i["sk"].(*ddbtypes.AttributeValueMemberS).Value)
				}
				if len(out.LastEvaluatedKey) == 0 {
					return strings.Join(said, " ")
				}
				said, in.ExclusiveStartKey = append(said, "|"), out.LastEvaluatedKey
			}
		}
	}
	return []clause{
		{"a query answers by the order of bytes", query("now#", nil), "now#B now#a now#b", ""},
		{"begins_with takes what is equal too", query("now", nil), "now now#B now#a now#b", ""},
		{"a prefix that nothing has finds nothing", query("x", nil), "", ""},
		{"a limit makes pages, the last one perhaps empty", query("now#", func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(2) }), "now#B now#a | now#b", ""},
		{"backwards is the other way", query("now#", func(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false) }), "now#b now#a now#B", ""},
		{"a query names its partition", query("now#", func(in *dynamodb.QueryInput) {
			in.KeyConditionExpression, in.ExpressionAttributeValues = aws.String("begins_with(sk, :prefix)"), anItem{":prefix": s("now#")}
		}), "ValidationException", ""},
		{"1 MB makes a page", func(b both) string {
			for i := range 4 {
				if _, err := b.db.PutItem(b.ctx, &dynamodb.PutItemInput{TableName: aws.String(tableName), Item: anItem{"pk": s("large"), "sk": s(fmt.Sprint(i)), "s": s(strings.Repeat("x", 380_000))}}); err != nil {
					return code(err)
				}
			}
			out, err := b.db.Query(b.ctx, &dynamodb.QueryInput{TableName: aws.String(tableName), KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: anItem{":pk": s("large")}})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(len(out.Items), len(out.LastEvaluatedKey))
		}, "2 2", ""},
	}
}
