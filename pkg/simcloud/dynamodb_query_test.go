package simcloud

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"
)

func queryAll(t *testing.T, d *DynamoDB, in *dynamodb.QueryInput) string {
	t.Helper()
	in.TableName = aws.String("tab")
	var got []string
	for {
		out, err := d.Query(t.Context(), in)
		must(t, err)
		for _, item := range out.Items {
			got = append(got, strings.Trim(showValue(item["sk"]), "'"))
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			return strings.Join(got, " ")
		}
		got = append(got, "|")
	}
}

func TestQueries(t *testing.T) {
	_, d := tableWorld(t)
	for _, sk := range []string{"b", "a#1", "a#3", "a#2", "c", "a"} {
		putIn(t, d, anyMap{"pk": "p", "sk": sk, "n": 1})
		putIn(t, d, anyMap{"pk": "other", "sk": sk})
	}
	for name, row := range map[string]struct {
		condition string
		values    anyMap
		limit     int32
		backward  bool
		want      string
	}{
		"a whole partition":       {"pk = :p", anyMap{":p": "p"}, 0, false, "a a#1 a#2 a#3 b c"},
		"backward":                {"pk = :p", anyMap{":p": "p"}, 0, true, "c b a#3 a#2 a#1 a"},
		"begins_with":             {"pk = :p AND begins_with(sk, :s)", anyMap{":p": "p", ":s": "a#"}, 0, false, "a#1 a#2 a#3"},
		"begins_with nothing":     {"pk = :p AND begins_with(sk, :s)", anyMap{":p": "p", ":s": "bb"}, 0, false, ""},
		"between":                 {"pk = :p AND sk BETWEEN :a AND :b", anyMap{":p": "p", ":a": "a#2", ":b": "b"}, 0, false, "a#2 a#3 b"},
		"equal":                   {"sk = :s AND pk = :p", anyMap{":p": "p", ":s": "b"}, 0, false, "b"},
		"less":                    {"pk = :p AND sk < :s", anyMap{":p": "p", ":s": "a#2"}, 0, false, "a a#1"},
		"less or equal":           {"pk = :p AND sk <= :s", anyMap{":p": "p", ":s": "a#2"}, 0, false, "a a#1 a#2"},
		"greater":                 {"pk = :p AND sk > :s", anyMap{":p": "p", ":s": "a#3"}, 0, false, "b c"},
		"greater or equal":        {"pk = :p AND sk >= :s", anyMap{":p": "p", ":s": "a#3"}, 0, false, "a#3 b c"},
		"a partition that is not": {"pk = :p", anyMap{":p": "q"}, 0, false, ""},
		"pages":                   {"pk = :p", anyMap{":p": "p"}, 4, false, "a a#1 a#2 a#3 | b c"},
		"pages that come out":     {"pk = :p", anyMap{":p": "p"}, 3, false, "a a#1 a#2 | a#3 b c | "},
		"pages backward":          {"pk = :p AND sk < :s", anyMap{":p": "p", ":s": "b"}, 3, true, "a#3 a#2 a#1 | a"},
	} {
		in := &dynamodb.QueryInput{KeyConditionExpression: aws.String(row.condition), ExpressionAttributeValues: avs(row.values)}
		if row.limit > 0 {
			in.Limit = aws.Int32(row.limit)
		}
		if row.backward {
			in.ScanIndexForward = aws.Bool(false)
		}
		if got := queryAll(t, d, in); strings.TrimSpace(got) != strings.TrimSpace(row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// TestAQueryIsItsConditionOverTheTable compares with reading every item.
func TestAQueryIsItsConditionOverTheTable(t *testing.T) {
	keys := rapid.StringMatching(`[ab#]{1,3}`)
	rapid.Check(t, func(r *rapid.T) {
		tab := &table{hash: "pk", rang: "sk", partitions: map[string][]stored{}}
		for _, sk := range rapid.SliceOf(keys).Draw(r, "keys") {
			tab.put(itemKey{"p", sk}, avs(anyMap{"pk": "p", "sk": sk}))
		}
		lo, hi := keys.Draw(r, "lo"), keys.Draw(r, "hi")
		lo, hi = min(lo, hi), max(lo, hi)
		text := rapid.SampledFrom([]string{"sk = :a", "sk < :a", "sk <= :a", "sk > :a", "sk >= :a", "begins_with(sk, :a)", "sk BETWEEN :a AND :b"}).Draw(r, "condition")
		values := anyMap{":p": "p", ":a": lo}
		if strings.Contains(text, ":b") {
			values[":b"] = hi
		}
		p, err := newPlaceholders(nil, avs(values))
		if err != nil {
			r.Fatal(err)
		}
		asked, err := tab.keyRange(p, "pk = :p AND "+text)
		if err != nil {
			r.Fatal(err)
		}
		c, err := p.condition(text)
		if err != nil {
			r.Fatal(err)
		}
		out, _, err := tab.page(&dynamodb.QueryInput{}, asked, nil)
		if err != nil {
			r.Fatal(err)
		}
		var want []string
		for _, item := range tab.all() {
			if c.holds(item) {
				want = append(want, show(item))
			}
		}
		var got []string
		for _, item := range out.Items {
			got = append(got, show(item))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			r.Fatalf("%s with %s, %s: %v, want %v", text, lo, hi, got, want)
		}
	})
}

func TestQueriesThatAreRefused(t *testing.T) {
	_, d := tableWorld(t)
	values := anyMap{":p": "p", ":s": "s"}
	for _, condition := range []string{
		"sk = :s AND sk = :p", "pk > :p AND sk = :s", "pk = :p AND pk = :s", "pk = :p OR sk = :s", "pk = :p AND n = :s", "pk = :p AND contains(sk, :s)",
		"pk = :p AND sk <> :s", "pk = :p AND NOT sk = :s", "pk = :p AND attribute_exists(sk)", "pk = :p AND sk IN (:s)", "pk = :p AND :s = sk", "begins_with(pk, :p) AND sk = :s",
	} {
		_, err := d.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("tab"), KeyConditionExpression: aws.String(condition), ExpressionAttributeValues: avs(values)})
		if codeOf(err) != "ValidationException" {
			t.Errorf("%s: %v", condition, err)
		}
	}
	_, err := d.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("tab"), KeyConditionExpression: aws.String("pk = :p"), FilterExpression: aws.String("n = :s"), ExpressionAttributeValues: avs(values)})
	if codeOf(err) != "NotSimulated" {
		t.Error(err)
	}
	_, err = d.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("no"), KeyConditionExpression: aws.String("pk = :p")})
	var gone *types.ResourceNotFoundException
	if !errors.As(err, &gone) {
		t.Error(err)
	}
}

func TestAPageEndsAtAMegabyte(t *testing.T) {
	_, d := tableWorld(t)
	for i := range 8 {
		putIn(t, d, anyMap{"pk": "p", "sk": fmt.Sprint(i), "v": strings.Repeat("x", 300<<10)})
	}
	in := &dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: avs(anyMap{":p": "p"}), ProjectionExpression: aws.String("sk")}
	if got := queryAll(t, d, in); got != "0 1 2 | 3 4 5 | 6 7" {
		t.Error(got)
	}
}

func TestTransactions(t *testing.T) {
	put := func(sk string, n int) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: aws.String("tab"), Item: avs(anyMap{"pk": "p", "sk": sk, "n": n})}}
	}
	key := func(sk string) attributes { return avs(anyMap{"pk": "p", "sk": sk}) }
	check := func(sk, condition string) types.TransactWriteItem {
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: aws.String("tab"), Key: key(sk), ConditionExpression: aws.String(condition), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}}
	}
	add := func(sk, name string) types.TransactWriteItem {
		return types.TransactWriteItem{Update: &types.Update{TableName: aws.String("tab"), Key: key(sk), UpdateExpression: aws.String("ADD " + name + " :one"), ExpressionAttributeValues: avs(anyMap{":one": 1})}}
	}
	del := func(sk string) types.TransactWriteItem {
		return types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String("tab"), Key: key(sk)}}
	}
	many := make([]types.TransactWriteItem, 101)
	for i := range many {
		many[i] = put(fmt.Sprint("m", i), i)
	}
	for name, row := range map[string]struct {
		items   []types.TransactWriteItem
		code    string
		reasons string
		left    string
	}{
		"all kinds":            {[]types.TransactWriteItem{put("new", 1), add("a", "n"), del("b"), check("c", "attribute_not_exists(n)")}, "", "", "a:n=2 new:n=1"},
		"one check fails":      {[]types.TransactWriteItem{put("new", 1), check("a", "attribute_not_exists(n)"), del("b")}, "TransactionCanceledException", "None ConditionalCheckFailed(n=1 pk='p' sk='a') None", "a:n=1 b:s='x'"},
		"two checks fail":      {[]types.TransactWriteItem{check("c", "attribute_exists(n)"), check("a", "attribute_exists(n)"), check("b", "attribute_exists(n)")}, "TransactionCanceledException", "ConditionalCheckFailed(none) None ConditionalCheckFailed(pk='p' s='x' sk='b')", "a:n=1 b:s='x'"},
		"an update cannot be":  {[]types.TransactWriteItem{put("new", 1), add("b", "s")}, "TransactionCanceledException", "None ValidationError", "a:n=1 b:s='x'"},
		"one item twice":       {[]types.TransactWriteItem{put("a", 3), check("a", "attribute_exists(n)")}, "ValidationException", "", "a:n=1 b:s='x'"},
		"a bad expression":     {[]types.TransactWriteItem{put("new", 3), check("a", "size(n) > :x")}, "ValidationException", "", "a:n=1 b:s='x'"},
		"nothing":              {nil, "ValidationException", "", "a:n=1 b:s='x'"},
		"an item of no kind":   {[]types.TransactWriteItem{{}}, "ValidationException", "", "a:n=1 b:s='x'"},
		"101":                  {many, "ValidationException", "", "a:n=1 b:s='x'"},
		"a table that is gone": {[]types.TransactWriteItem{{Delete: &types.Delete{TableName: aws.String("no"), Key: key("a")}}}, "ResourceNotFoundException", "", "a:n=1 b:s='x'"},
	} {
		_, d := tableWorld(t)
		putIn(t, d, anyMap{"pk": "p", "sk": "a", "n": 1})
		putIn(t, d, anyMap{"pk": "p", "sk": "b", "s": "x"})
		_, err := d.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: row.items})
		if codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
		var reasons []string
		var cancelled *types.TransactionCanceledException
		if errors.As(err, &cancelled) {
			for _, r := range cancelled.CancellationReasons {
				code := *r.Code
				if code == "ConditionalCheckFailed" {
					code += "(" + show(r.Item) + ")"
				}
				reasons = append(reasons, code)
			}
		}
		if got := strings.Join(reasons, " "); got != row.reasons {
			t.Errorf("%s: reasons %s, want %s", name, got, row.reasons)
		}
		var left []string
		for _, item := range d.Items("tab") {
			sk := strings.Trim(showValue(item["sk"]), "'")
			delete(item, "pk")
			delete(item, "sk")
			left = append(left, sk+":"+show(item))
		}
		if got := strings.Join(left, " "); got != row.left {
			t.Errorf("%s: left %s, want %s", name, got, row.left)
		}
	}
}

func TestATokenStandsForOneTransaction(t *testing.T) {
	c, d := tableWorld(t)
	add := func(n int) error {
		_, err := d.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String("t"), TransactItems: []types.TransactWriteItem{
			{Update: &types.Update{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), UpdateExpression: aws.String("ADD n :n"), ExpressionAttributeValues: avs(anyMap{":n": n})}},
		}})
		return err
	}
	must(t, add(1))
	must(t, add(1))
	if got := itemAt(t, d, "p", "s"); got != "n=1" {
		t.Errorf("done twice: %s", got)
	}
	var mismatch *types.IdempotentParameterMismatchException
	if err := add(2); !errors.As(err, &mismatch) {
		t.Error(err)
	}
	pass(t, c, 10*time.Minute)
	must(t, add(2))
	if got := itemAt(t, d, "p", "s"); got != "n=3" {
		t.Errorf("after the window: %s", got)
	}
}

func TestBatchGetItem(t *testing.T) {
	_, d := tableWorld(t)
	putIn(t, d, anyMap{"pk": "p", "sk": "a", "n": 1})
	keys := []map[string]types.AttributeValue{avs(anyMap{"pk": "p", "sk": "a"}), avs(anyMap{"pk": "p", "sk": "no"})}
	get := func(keys ...map[string]types.AttributeValue) (*dynamodb.BatchGetItemOutput, error) {
		return d.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"tab": {Keys: keys}}})
	}
	out, err := get(keys...)
	must(t, err)
	if got := out.Responses["tab"]; len(got) != 1 || show(got[0]) != "n=1 pk='p' sk='a'" {
		t.Errorf("%v", got)
	}
	if _, err := get(keys[0], keys[0]); codeOf(err) != "ValidationException" {
		t.Error(err)
	}
	if _, err := get(); codeOf(err) != "ValidationException" {
		t.Error(err)
	}
}

func TestTablesThatAreRefused(t *testing.T) {
	in := func(change func(*dynamodb.CreateTableInput)) *dynamodb.CreateTableInput {
		in := &dynamodb.CreateTableInput{
			TableName: aws.String("two"), BillingMode: types.BillingModePayPerRequest,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}},
		}
		change(in)
		return in
	}
	for name, row := range map[string]struct {
		change func(*dynamodb.CreateTableInput)
		code   string
	}{
		"one that is there":    {func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("tab") }, "ResourceInUseException"},
		"a number as key":      {func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions[0].AttributeType = "N" }, "NotSimulated"},
		"provisioned capacity": {func(in *dynamodb.CreateTableInput) { in.BillingMode = "" }, "NotSimulated"},
		"an index":             {func(in *dynamodb.CreateTableInput) { in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{}} }, "NotSimulated"},
		"no hash key":          {func(in *dynamodb.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange }, "ValidationException"},
		"a hash key alone":     {func(*dynamodb.CreateTableInput) {}, ""},
	} {
		_, d := tableWorld(t)
		if _, err := d.CreateTable(t.Context(), in(row.change)); codeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
}

// FuzzExpressions: no expression panics, and one that is read can be judged.
func FuzzExpressions(f *testing.F) {
	for _, s := range []string{
		"n = :v AND (m.deep.er BETWEEN :v AND :v OR NOT l[0] IN (:v))", "SET a1 = if_not_exists(n, :v) + :v REMOVE m.in ADD ns :s DELETE ss :s", "a1, m.deep.er, l[1]", "NOT NOT begins_with(s5, :v)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		item, err := copyItem(avs(exprItem()))
		must(t, err)
		fresh := func() *placeholders {
			p, err := newPlaceholders(map[string]string{"#n": "n"}, avs(anyMap{":v": 1, ":s": []string{"a"}, ":t": "x"}))
			must(t, err)
			return p
		}
		if c, err := fresh().condition(text); err == nil {
			c.holds(item)
			c.holds(nil)
		}
		if u, err := fresh().update(text); err == nil {
			before := show(item)
			if after, err := u.apply(item); err == nil {
				itemSize(cloneItem(after))
			}
			if show(item) != before {
				t.Errorf("%q changed the stored item", text)
			}
		}
		if paths, err := fresh().projection(text); err == nil {
			cloneItem(projected(item, paths))
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"1", "-1.50", "1e125", "0.1e-100", "+.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		normal, err := normalNumber(s)
		if err != nil {
			return
		}
		if again, err := normalNumber(normal); err != nil || again != normal {
			t.Errorf("%s became %s, then %s (%v)", s, normal, again, err)
		}
	})
}
