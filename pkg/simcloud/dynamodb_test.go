package simcloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"
)

func av(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case int:
		return &types.AttributeValueMemberN{Value: fmt.Sprint(v)}
	case float64:
		return &types.AttributeValueMemberN{Value: fmt.Sprint(v)}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case []string:
		return &types.AttributeValueMemberSS{Value: v}
	case []int:
		out := &types.AttributeValueMemberNS{}
		for _, n := range v {
			out.Value = append(out.Value, fmt.Sprint(n))
		}
		return out
	case []any:
		out := &types.AttributeValueMemberL{}
		for _, e := range v {
			out.Value = append(out.Value, av(e))
		}
		return out
	case map[string]any:
		return &types.AttributeValueMemberM{Value: avs(v)}
	default:
		return &types.AttributeValueMemberNULL{Value: true}
	}
}

func avs(m map[string]any) attributes {
	if m == nil {
		return nil
	}
	out := attributes{}
	for k, v := range m {
		out[k] = av(v)
	}
	return out
}

// show writes an item in a way that can be compared.
func show(item attributes) string {
	if item == nil {
		return "none"
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(item)) {
		out = append(out, k+"="+showValue(item[k]))
	}
	return strings.Join(out, " ")
}

func showValue(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return "'" + v.Value + "'"
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberBOOL:
		return fmt.Sprint(v.Value)
	case *types.AttributeValueMemberSS:
		return fmt.Sprint(v.Value)
	case *types.AttributeValueMemberNS:
		return fmt.Sprint(v.Value)
	case *types.AttributeValueMemberL:
		var out []string
		for _, e := range v.Value {
			out = append(out, showValue(e))
		}
		return "(" + strings.Join(out, " ") + ")"
	case *types.AttributeValueMemberM:
		return "{" + show(v.Value) + "}"
	default:
		return "null"
	}
}

type anyMap = map[string]any

func tableWorld(t *testing.T) (*Cloud, *DynamoDB) {
	t.Helper()
	c := newWorld(t, 1)
	_, err := c.DynamoDB().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("tab"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: "S"}, {AttributeName: aws.String("sk"), AttributeType: "S"}},
	})
	must(t, err)
	return c, c.DynamoDB()
}

func putIn(t *testing.T, d *DynamoDB, item anyMap) {
	t.Helper()
	_, err := d.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: avs(item)})
	must(t, err)
}

func itemAt(t *testing.T, d *DynamoDB, pk, sk string) string {
	t.Helper()
	out, err := d.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": pk, "sk": sk}), ConsistentRead: aws.Bool(true)})
	must(t, err)
	delete(out.Item, "pk")
	delete(out.Item, "sk")
	return show(out.Item)
}

// exprItem is what expressions are tried on.
func exprItem() anyMap {
	return anyMap{
		"pk": "p", "sk": "s", "n": 5, "s5": "abc", "yes": true, "nil": nil, "ss": []string{"a", "b"}, "ns": []int{1, 2},
		"l": []any{"x", 7}, "m": anyMap{"in": 3, "deep": anyMap{"er": "z"}}, "half": 0.5,
	}
}

func TestConditions(t *testing.T) {
	values := avs(anyMap{
		":five": 5, ":six": 6, ":four": 4, ":abc": "abc", ":ab": "ab", ":b": "b", ":yes": true, ":seven": 7, ":one": 1, ":z": "z", ":set": []string{"b", "a"},
		":half": 0.5, ":fives": "5",
	})
	names := map[string]string{"#n": "n", "#no": "missing", "#m": "m"}
	for expression, want := range map[string]bool{
		"n = :five": true, "n = :six": false, "n = :fives": false, "n <> :six": true, "n <> :five": false, "n <> :fives": true,
		"n < :six": true, "n < :five": false, "n <= :five": true, "n > :four": true, "n > :five": false, "n >= :five": true, "n < :abc": false,
		"half = :half": true, "s5 > :ab": true, "s5 = :abc": true, "yes = :yes": true, "ss = :set": true, ":five = n": true, ":four < n": true,
		"#no = :five": false, "#no <> :five": true, "#no < :five": false, "NOT #no < :five": true,
		"n BETWEEN :four AND :six": true, "n BETWEEN :six AND :seven": false, "n BETWEEN :five AND :five": true, "n between :four and :six": true,
		"n IN (:four, :five)": true, "n IN (:four)": false, "#no IN (:four, :five)": false, "n in (:five)": true,
		"attribute_exists(n)": true, "attribute_exists(#no)": false, "attribute_not_exists(#no)": true, "attribute_not_exists(n)": false,
		"attribute_exists(m.deep.er)": true, "attribute_exists(m.deep.nope)": false, "attribute_exists(s5.x)": false, "attribute_exists(l[1])": true, "attribute_exists(l[2])": false,
		"#m.deep.er = :z": true, "l[1] = :seven": true, "m.#n = :five": false, "attribute_exists(nil)": true,
		"begins_with(s5, :ab)": true, "begins_with(s5, :b)": false, "begins_with(n, :ab)": false, "begins_with(#no, :ab)": false,
		"contains(s5, :b)": true, "contains(ss, :b)": true, "contains(ss, :abc)": false, "contains(ns, :one)": true, "contains(l, :seven)": true, "contains(l, :b)": false, "contains(n, :five)": false, "contains(#no, :b)": false,
		"n = :five AND s5 = :abc": true, "n = :five AND s5 = :ab": false, "n = :six OR s5 = :abc": true, "n = :six or s5 = :ab": false,
		"n = :five OR n = :five AND n = :six": true, "(n = :five OR n = :five) AND n = :six": false, "NOT n = :six AND n = :five": true, "NOT (n = :six OR n = :five)": false,
		"NOT NOT n = :five": true, "n=:five AND(s5=:abc)": true, "(n = :five) AND (s5 = :abc)": true, "not n = :six": true,
	} {
		p, err := newPlaceholders(names, values)
		must(t, err)
		c, err := p.condition(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		item, err := copyItem(avs(exprItem()))
		must(t, err)
		if c.holds(item) != want {
			t.Errorf("%s: %t", expression, !want)
		}
	}
}

func TestConditionsThatAreRefused(t *testing.T) {
	values := avs(anyMap{":n": 5, ":s": "x", ":b": true, ":set": []string{"a"}, ":m": 9})
	for _, expression := range []string{
		"", " ", "n", "n =", "= :n", "n = :n AND", "n = :n OR OR n = :n", "(n = :n", "n = :n)", "((n = :n))", "n == :n", "n = :unknown", "#unknown = :n",
		"size(n) > :n", "n > size(s)", "attribute_type(n, :s)", "attribute_exists(:n)", "attribute_exists(n, s)", "attribute_exists()", "begins_with(s)", "begins_with(s, :n)", "begins_with(s, s)",
		"n < :b", "n BETWEEN :n", "n BETWEEN :n OR :n", "n BETWEEN :m AND :n", "n BETWEEN :n AND :s", "n IN ()", "n IN (:n", "n IN :n", "n = 5", "n ! :n", "status = :n", "name = :n", "l[x] = :n", "l[1 = :n",
		"n..s = :n", "n. = :n", "1n = :n", "n = :n n", "n = 'x'", "NOT", "n AND s", "attribute_exists(n) = :n", ":n", "set < :set",
		"n = :n" + strings.Repeat(" ", 4096),
	} {
		p, err := newPlaceholders(nil, values)
		must(t, err)
		if _, err := p.condition(expression); codeOf(err) != "ValidationException" {
			t.Errorf("%q: %v", expression, err)
		}
	}
}

func TestUpdates(t *testing.T) {
	for name, row := range map[string]struct {
		expression string
		values     anyMap
		want       string // of what is changed; an error begins with !
	}{
		"set a new attribute":          {"SET fresh = :v", anyMap{":v": "x"}, "fresh='x'"},
		"set one to another":           {"SET fresh = n", nil, "fresh=5"},
		"swap":                         {"SET n = half, half = n", nil, "half=5 n=0.5"},
		"add":                          {"SET n = n + :v", anyMap{":v": 2}, "n=7"},
		"subtract":                     {"SET n = n - :v", anyMap{":v": 0.1}, "n=4.9"},
		"a value less another":         {"SET fresh = :v - n", anyMap{":v": 1}, "fresh=-4"},
		"if_not_exists that does":      {"SET n = if_not_exists(n, :v)", anyMap{":v": 1}, ""},
		"if_not_exists that does not":  {"SET fresh = if_not_exists(fresh, :v)", anyMap{":v": 1}, "fresh=1"},
		"if_not_exists and a sum":      {"SET fresh = if_not_exists(fresh, :z) + :v", anyMap{":v": 1, ":z": 0}, "fresh=1"},
		"set within a map":             {"SET m.deep.er = :v", anyMap{":v": 1}, "m={deep={er=1} in=3}"},
		"set within a map what is not": {"SET gone.x = :v", anyMap{":v": 1}, "!ValidationException"},
		"set to what is not":           {"SET fresh = gone", nil, "!ValidationException"},
		"add to a string":              {"SET s5 = s5 + :v", anyMap{":v": 1}, "!ValidationException"},
		"remove":                       {"REMOVE n, s5, gone", nil, ""},
		"remove within a map":          {"REMOVE m.deep", nil, "m={in=3}"},
		"ADD to a number":              {"ADD n :v", anyMap{":v": -6}, "n=-1"},
		"ADD to nothing":               {"ADD fresh :v", anyMap{":v": 3}, "fresh=3"},
		"ADD to a set":                 {"ADD ss :v", anyMap{":v": []string{"b", "c"}}, "ss=[a b c]"},
		"ADD a set to nothing":         {"ADD fresh :v", anyMap{":v": []string{"b"}}, "fresh=[b]"},
		"ADD a number to a set":        {"ADD ss :v", anyMap{":v": 1}, "!ValidationException"},
		"ADD strings to numbers":       {"ADD ns :v", anyMap{":v": []string{"1"}}, "!ValidationException"},
		"ADD a string":                 {"ADD n :v", anyMap{":v": "x"}, "!ValidationException"},
		"DELETE from a set":            {"DELETE ss :v", anyMap{":v": []string{"b", "x"}}, "ss=[a]"},
		"DELETE the whole set":         {"DELETE ss :v", anyMap{":v": []string{"a", "b"}}, ""},
		"DELETE from nothing":          {"DELETE gone :v", anyMap{":v": []string{"a"}}, ""},
		"DELETE from a string":         {"DELETE s5 :v", anyMap{":v": []string{"a"}}, "!ValidationException"},
		"all sections at once":         {"SET fresh = :v REMOVE s5 ADD n :v DELETE ss :a", anyMap{":v": 1, ":a": []string{"a"}}, "fresh=1 n=6 ss=[b]"},
		"in lower case":                {"set fresh = :v remove s5", anyMap{":v": 1}, "fresh=1"},
		"what is read is read before":  {"SET n = :v, fresh = n", anyMap{":v": 1}, "fresh=5 n=1"},
		"a section twice":              {"SET a1 = :v SET b1 = :v", anyMap{":v": 1}, "!ValidationException"},
		"one path twice":               {"SET n = :v REMOVE n", anyMap{":v": 1}, "!ValidationException"},
		"paths that overlap":           {"SET m.deep = :v REMOVE m.deep.er", anyMap{":v": 1}, "!ValidationException"},
		"a key":                        {"SET sk = :v", anyMap{":v": "x"}, "!ValidationException"},
		"list_append is not known":     {"SET l = list_append(l, :v)", anyMap{":v": []any{1}}, "!ValidationException"},
		"an element of a list":         {"SET l[0] = :v", anyMap{":v": 1}, "!ValidationException"},
		"a reserved word":              {"SET status = :v", anyMap{":v": 1}, "!ValidationException"},
		"a value that is not used":     {"SET fresh = :v", anyMap{":v": 1, ":w": 2}, "!ValidationException"},
		"a value that is missing":      {"SET fresh = :v", anyMap{":w": 2}, "!ValidationException"},
		"three terms":                  {"SET n = n + :v + :v", anyMap{":v": 1}, "!ValidationException"},
		"nothing":                      {"", nil, "!ValidationException"},
		"a word that is no section":    {"PUT n :v", anyMap{":v": 1}, "!ValidationException"},
		"ADD a path":                   {"ADD n half", nil, "!ValidationException"},
		"39 digits":                    {"SET n = n + :v", anyMap{":v": 1e38}, "!ValidationException"},
	} {
		_, d := tableWorld(t)
		putIn(t, d, exprItem())
		before := itemAt(t, d, "p", "s")
		out, err := d.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), UpdateExpression: aws.String(row.expression),
			ExpressionAttributeValues: avs(row.values), ReturnValues: types.ReturnValueAllNew,
		})
		if want, bad := strings.CutPrefix(row.want, "!"); bad || err != nil {
			if codeOf(err) != want || itemAt(t, d, "p", "s") != before {
				t.Errorf("%s: %v, item %s", name, err, itemAt(t, d, "p", "s"))
			}
			continue
		}
		after := itemAt(t, d, "p", "s")
		var changed []string
		for _, part := range splitShown(after) {
			if !slices.Contains(splitShown(before), part) {
				changed = append(changed, part)
			}
		}
		if got := strings.Join(changed, " "); got != row.want || row.want == "" && len(after) > len(before) {
			t.Errorf("%s: changed %q, want %q", name, got, row.want)
		}
		delete(out.Attributes, "pk")
		delete(out.Attributes, "sk")
		if show(out.Attributes) != after {
			t.Errorf("%s: ALL_NEW is %s, the item %s", name, show(out.Attributes), after)
		}
	}
}

// splitShown splits what show wrote into its attributes.
func splitShown(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range s {
		switch r {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth--
		case ' ':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

func TestWhatAnUpdateReturns(t *testing.T) {
	for returns, want := range map[types.ReturnValue]string{
		"": "none", "NONE": "none", "ALL_OLD": "n=5 pk='p' s='x' sk='s'", "ALL_NEW": "n=6 new=1 pk='p' sk='s'", "UPDATED_OLD": "n=5 s='x'", "UPDATED_NEW": "n=6 new=1",
	} {
		_, d := tableWorld(t)
		putIn(t, d, anyMap{"pk": "p", "sk": "s", "n": 5, "s": "x"})
		in := &dynamodb.UpdateItemInput{
			TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), UpdateExpression: aws.String("ADD n :one SET #new = :one REMOVE s"),
			ExpressionAttributeValues: avs(anyMap{":one": 1}), ExpressionAttributeNames: map[string]string{"#new": "new"}, ReturnValues: returns,
		}
		out, err := d.UpdateItem(t.Context(), in)
		must(t, err)
		if got := show(out.Attributes); got != want {
			t.Errorf("%q: %s, want %s", returns, got, want)
		}
	}
	_, d := tableWorld(t)
	_, err := d.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: avs(anyMap{"pk": "p", "sk": "s"}), ReturnValues: types.ReturnValueAllNew})
	if codeOf(err) != "ValidationException" {
		t.Errorf("PutItem with ALL_NEW: %v", err)
	}
}

func TestPlaceholdersMustBeUsedAndGiven(t *testing.T) {
	_, d := tableWorld(t)
	put := func(condition *string, names map[string]string, values anyMap) error {
		_, err := d.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("tab"), Item: avs(anyMap{"pk": "p", "sk": "s"}), ConditionExpression: condition, ExpressionAttributeNames: names, ExpressionAttributeValues: avs(values),
		})
		return err
	}
	condition := aws.String("attribute_not_exists(#pk) OR #pk = :v")
	must(t, put(condition, map[string]string{"#pk": "pk"}, anyMap{":v": "p"}))
	for name, err := range map[string]error{
		"a name without an expression":  put(nil, map[string]string{"#pk": "pk"}, nil),
		"a value without an expression": put(nil, nil, anyMap{":v": 1}),
		"a name that is not used":       put(condition, map[string]string{"#pk": "pk", "#x": "x"}, anyMap{":v": 1}),
		"a value that is not used":      put(condition, map[string]string{"#pk": "pk"}, anyMap{":v": 1, ":w": 1}),
		"no name":                       put(condition, nil, anyMap{":v": 1}),
		"no value":                      put(condition, map[string]string{"#pk": "pk"}, nil),
		"names that are empty":          put(nil, map[string]string{}, nil),
		"values that are empty":         put(nil, nil, anyMap{}),
		"a name without its sign":       put(condition, map[string]string{"pk": "pk"}, anyMap{":v": 1}),
		"a value without its sign":      put(condition, map[string]string{"#pk": "pk"}, anyMap{"v": 1}),
	} {
		if codeOf(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestItemsThatAreRefused(t *testing.T) {
	_, d := tableWorld(t)
	put := func(item attributes) error {
		_, err := d.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: item})
		return err
	}
	with := func(v types.AttributeValue) attributes { return attributes{"pk": av("p"), "sk": av("s"), "v": v} }
	deep := av("x")
	for range 40 {
		deep = &types.AttributeValueMemberL{Value: []types.AttributeValue{deep}}
	}
	for name, item := range map[string]attributes{
		"no key": {}, "no range key": {"pk": av("p")}, "a key that is a number": {"pk": av(1), "sk": av("s")}, "an empty key": {"pk": av(""), "sk": av("s")},
		"a hash key of 2049 bytes": {"pk": av(strings.Repeat("p", 2049)), "sk": av("s")}, "an empty set": with(av([]string{})), "a set with doubles": with(av([]string{"a", "a"})),
		"a set with doubles in other words": with(&types.AttributeValueMemberNS{Value: []string{"1", "1.0"}}), "no value": with(nil), "no number": with(&types.AttributeValueMemberN{Value: "x"}),
		"a number of 39 digits": with(&types.AttributeValueMemberN{Value: strings.Repeat("1", 39)}), "a huge number": with(&types.AttributeValueMemberN{Value: "1e126"}),
		"a tiny number": with(&types.AttributeValueMemberN{Value: "1e-131"}), "an empty number": with(&types.AttributeValueMemberN{}), "40 levels": with(deep),
		"over 400 KB": with(av(strings.Repeat("x", 400<<10))),
	} {
		if err := put(item); codeOf(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, put(with(av(strings.Repeat("x", 400<<10-8)))))
	for in, want := range map[string]string{"1.0": "1", "007": "7", "-0": "0", "1e3": "1000", "1.5E-3": "0.0015", "+4": "4", "12.50": "12.5", "99999999999999999999999999999999999999": "99999999999999999999999999999999999999"} {
		must(t, put(with(&types.AttributeValueMemberN{Value: in})))
		if got := itemAt(t, d, "p", "s"); got != "v="+want {
			t.Errorf("%s came back as %s", in, got)
		}
	}
}

func TestConditionalWrites(t *testing.T) {
	_, d := tableWorld(t)
	put := func(n int, condition string, values anyMap) error {
		in := &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: avs(anyMap{"pk": "p", "sk": "s", "n": n}), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
		in.ConditionExpression, in.ExpressionAttributeValues = aws.String(condition), avs(values)
		_, err := d.PutItem(t.Context(), in)
		return err
	}
	must(t, put(1, "attribute_not_exists(pk)", nil))
	err := put(2, "attribute_not_exists(pk)", nil)
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || show(failed.Item) != "n=1 pk='p' sk='s'" {
		t.Errorf("%v, item %s", err, show(failed.Item))
	}
	must(t, put(2, "n = :n", anyMap{":n": 1}))
	del := &dynamodb.DeleteItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), ConditionExpression: aws.String("n = :n"), ExpressionAttributeValues: avs(anyMap{":n": 1}), ReturnValues: types.ReturnValueAllOld}
	if _, err := d.DeleteItem(t.Context(), del); !errors.As(err, &failed) || failed.Item != nil {
		t.Error(err)
	}
	del.ExpressionAttributeValues = avs(anyMap{":n": 2})
	out, err := d.DeleteItem(t.Context(), del)
	must(t, err)
	if show(out.Attributes) != "n=2 pk='p' sk='s'" || itemAt(t, d, "p", "s") != "none" {
		t.Errorf("deleted %s, left %s", show(out.Attributes), itemAt(t, d, "p", "s"))
	}
	del.ConditionExpression, del.ExpressionAttributeValues = nil, nil
	_, err = d.DeleteItem(t.Context(), del) // nothing to delete is no error
	must(t, err)
}

// TestConcurrentCountersLoseNothing lets invocations race for one item.
func TestConcurrentCountersLoseNothing(t *testing.T) {
	c, d := tableWorld(t)
	putIn(t, d, anyMap{"pk": "p", "sk": "s", "n": 0})
	won := 0
	for range 10 {
		c.spawn("race", time.Minute, func(ctx context.Context) error {
			for range 20 {
				out, err := d.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"})})
				if err != nil {
					return err
				}
				_, err = d.UpdateItem(ctx, &dynamodb.UpdateItemInput{
					TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), UpdateExpression: aws.String("ADD n :one"), ConditionExpression: aws.String("n = :seen"),
					ExpressionAttributeValues: attributes{":one": av(1), ":seen": out.Item["n"]},
				})
				if err == nil {
					won++
				}
			}
			return nil
		}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	pass(t, c, time.Minute)
	if got := itemAt(t, d, "p", "s"); got != fmt.Sprintf("n=%d", won) || won == 0 || won == 200 {
		t.Errorf("%s after %d updates that passed", got, won)
	}
}

func TestNothingAliasesTheTable(t *testing.T) {
	_, d := tableWorld(t)
	item := avs(exprItem())
	_, err := d.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("tab"), Item: item})
	must(t, err)
	before := itemAt(t, d, "p", "s")
	spoil := func(item attributes) {
		item["m"].(*types.AttributeValueMemberM).Value["in"] = av("spoilt")
		item["ss"].(*types.AttributeValueMemberSS).Value[0] = "spoilt"
		item["l"].(*types.AttributeValueMemberL).Value[0] = av("spoilt")
		item["n"].(*types.AttributeValueMemberN).Value = "666"
	}
	spoil(item)
	out, err := d.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"})})
	must(t, err)
	spoil(out.Item)
	spoil(d.Items("tab")[0])
	up, err := d.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: aws.String("tab"), Key: avs(anyMap{"pk": "p", "sk": "s"}), ReturnValues: types.ReturnValueAllNew})
	must(t, err)
	spoil(up.Attributes)
	if got := itemAt(t, d, "p", "s"); got != before {
		t.Errorf("%s, was %s", got, before)
	}
}

func TestNumbersAreExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.Int64Range(-1e15, 1e15).Draw(r, "n")
		places := rapid.IntRange(0, 10).Draw(r, "places")
		text := fmt.Sprintf("%de-%d", n, places)
		normal, err := normalNumber(text)
		if err != nil {
			r.Fatal(err)
		}
		again, err := normalNumber(normal)
		if err != nil || again != normal || mustNumber(text).Cmp(mustNumber(normal)) != 0 || strings.ContainsAny(normal, "eE") {
			r.Fatalf("%s became %s, then %s (%v)", text, normal, again, err)
		}
	})
}
