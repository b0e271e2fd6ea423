package simcloud

import (
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Query reads items of one hash key in the order of their range key, by pages of
// 1 MB or of Limit items.
func (d *DynamoDB) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return call(ctx, d.c, dynamoOperation("Query", false), in, func() (*dynamodb.QueryOutput, error) {
		if err := checkQuery(in); err != nil {
			return nil, err
		}
		t, err := d.table(in.TableName)
		if err != nil {
			return nil, err
		}
		p, err := newPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
		if err != nil {
			return nil, err
		}
		asked, err := t.keyRange(p, aws.ToString(in.KeyConditionExpression))
		if err != nil {
			return nil, err
		}
		paths, err := p.projected(in.ProjectionExpression)
		if err != nil {
			return nil, err
		}
		out, size, err := d.seen(t, in.ConsistentRead).page(in, asked, paths)
		if err == nil {
			d.c.billRead(size, in.ConsistentRead)
		}
		return out, err
	})
}

func checkQuery(in *dynamodb.QueryInput) error {
	if in.AttributesToGet != nil || in.ConditionalOperator != "" || in.KeyConditions != nil || in.QueryFilter != nil {
		return notSimulated("legacy conditions of Query")
	}
	if in.FilterExpression != nil || in.IndexName != nil || in.Select != "" || in.ReturnConsumedCapacity != "" {
		return notSimulated("FilterExpression, IndexName, Select and consumed capacity of Query")
	}
	return checkPage(in)
}

func checkPage(in *dynamodb.QueryInput) error {
	switch {
	case in.KeyConditionExpression == nil:
		return invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	case in.Limit != nil && *in.Limit < 1:
		return invalid("Limit is %d, less than 1", *in.Limit)
	default:
		return nil
	}
}

// keyRange is what a key condition asks for: one hash key, and the range keys
// that are neither below nor above.
type keyRange struct {
	hash         string
	below, above func(rang string) bool
}

// keyRange reads a key condition: hash = :v, and perhaps one condition on the
// range key.
func (t *table) keyRange(p *placeholders, expression string) (keyRange, error) {
	c, err := p.condition(expression)
	if err != nil {
		return keyRange{}, err
	}
	parts := []*condition{c}
	if c.op == "AND" {
		parts = c.parts
	}
	never := func(string) bool { return false }
	out := keyRange{below: never, above: never}
	seen := map[string]bool{}
	for _, part := range parts {
		name, values, err := keyTerm(part)
		if err != nil {
			return keyRange{}, err
		}
		switch {
		case seen[name]:
			return keyRange{}, invalid("KeyConditionExpressions must only contain one condition per key")
		case name == t.hash && part.op == "=":
			out.hash = values[0]
		case name == t.rang && t.rang != "":
			out.below, out.above = bounds(part.op, values)
		default:
			return keyRange{}, invalid("Query key condition not supported: %s %s", name, part.op)
		}
		seen[name] = true
	}
	if !seen[t.hash] {
		return keyRange{}, invalid("Query condition missed key schema element: %s", t.hash)
	}
	return out, nil
}

// keyTerm reads one part: a key and the strings it is compared with.
func keyTerm(c *condition) (name string, values []string, err error) {
	if !slices.Contains([]string{"=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"}, c.op) {
		return "", nil, invalid("Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: %s", c.op)
	}
	if len(c.operands[0].path) != 1 {
		return "", nil, invalid("Invalid KeyConditionExpression: simcloud wants the key on the left")
	}
	for _, o := range c.operands[1:] {
		s, ok := o.value.(*types.AttributeValueMemberS)
		if !ok {
			return "", nil, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		values = append(values, s.Value)
	}
	return c.operands[0].path[0].name, values, nil
}

func bounds(op string, v []string) (below, above func(string) bool) {
	below = func(s string) bool { return (op != "<" && op != "<=") && (s < v[0] || op == ">" && s == v[0]) }
	switch op {
	case ">", ">=":
		above = func(string) bool { return false }
	case "<":
		above = func(s string) bool { return s >= v[0] }
	case "BETWEEN":
		above = func(s string) bool { return s > v[1] }
	case "begins_with":
		above = func(s string) bool { return s > v[0] && !strings.HasPrefix(s, v[0]) }
	default: // = and <=
		above = func(s string) bool { return s > v[0] }
	}
	return below, above
}

// page reads one page, and says how many bytes that took.
func (t *table) page(in *dynamodb.QueryInput, asked keyRange, paths []docPath) (*dynamodb.QueryOutput, int, error) {
	backward := in.ScanIndexForward != nil && !*in.ScanIndexForward
	items, err := t.rest(asked, in.ExclusiveStartKey, backward)
	if err != nil {
		return nil, 0, err
	}
	limit := len(items) + 1 // never reached: then all is read, and known to be all
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &dynamodb.QueryOutput{Items: []map[string]types.AttributeValue{}}
	size := 0
	for i := range items {
		item := items[i].item
		if backward {
			item = items[len(items)-1-i].item
		}
		if size+itemSize(item) > maxPage && i > 0 {
			limit = i
			break
		}
		size += itemSize(item)
		out.Items = append(out.Items, pick(item, paths))
		out.LastEvaluatedKey = t.keyAttributes(item)
		if i+1 == limit {
			break
		}
	}
	if len(out.Items) < limit {
		out.LastEvaluatedKey = nil
	}
	out.Count = int32(len(out.Items))
	out.ScannedCount = out.Count
	return out, size, nil
}

// rest are the items asked for that the last page has left.
func (t *table) rest(asked keyRange, start attributes, backward bool) ([]stored, error) {
	items := asked.of(t.partitions[asked.hash])
	if start == nil {
		return items, nil
	}
	key, err := t.key(start)
	if err != nil || key.hash != asked.hash {
		return nil, invalid("The provided starting key is invalid")
	}
	return after(items, key.rang, backward), nil
}

// of are the items within the range.
func (k keyRange) of(items []stored) []stored {
	first := sort.Search(len(items), func(i int) bool { return !k.below(items[i].rang) })
	end := sort.Search(len(items), func(i int) bool { return k.above(items[i].rang) })
	return items[first:max(first, end)]
}

// after leaves the items past the one where the last page ended.
func after(items []stored, rang string, backward bool) []stored {
	if backward {
		return items[:sort.Search(len(items), func(i int) bool { return items[i].rang >= rang })]
	}
	return items[sort.Search(len(items), func(i int) bool { return items[i].rang > rang }):]
}

func (t *table) keyAttributes(item attributes) attributes {
	paths := []docPath{{{name: t.hash}}}
	if t.rang != "" {
		paths = append(paths, docPath{{name: t.rang}})
	}
	return projected(item, paths)
}
