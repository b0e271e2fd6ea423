package simcloud

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// DynamoDB holds tables with keys of strings. Every call happens at one instant,
// so conditional writes are atomic and each read sees the newest state. Nothing
// is ever deleted by time to live, as nobody may rely on it.
type DynamoDB struct {
	c      *Cloud
	tables map[string]*table
	tokens map[string]transaction // by ClientRequestToken
}

// DynamoDB returns the tables of this world.
func (c *Cloud) DynamoDB() *DynamoDB {
	if c.parts.dynamodb == nil {
		c.parts.dynamodb = &DynamoDB{c: c, tables: map[string]*table{}, tokens: map[string]transaction{}}
	}
	return c.parts.dynamodb
}

func dynamoOperation(action string, changes bool) operation {
	return operation{service: "dynamodb", action: action, latency: 6 * time.Millisecond, changes: changes}
}

// CreateTable makes a table that is billed on demand and has a hash key and
// perhaps a range key, both strings. It is active at once.
func (d *DynamoDB) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	return call(ctx, d.c, dynamoOperation("CreateTable", true), in, func() (*dynamodb.CreateTableOutput, error) {
		name := aws.ToString(in.TableName)
		if len(name) < 3 {
			return nil, invalid("TableName must be at least 3 characters long: %q", name)
		}
		if _, ok := d.tables[name]; ok {
			return nil, &types.ResourceInUseException{Message: aws.String("Table already exists: " + name)}
		}
		t, err := newTable(in)
		if err != nil {
			return nil, err
		}
		d.tables[name] = t
		return &dynamodb.CreateTableOutput{TableDescription: &types.TableDescription{
			TableName: aws.String(name), TableArn: aws.String(d.c.arn("dynamodb", "table/"+name)), TableStatus: types.TableStatusActive,
			KeySchema: slices.Clone(in.KeySchema), CreationDateTime: aws.Time(d.c.now),
		}}, nil
	})
}

// GetItem reads one item.
func (d *DynamoDB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return call(ctx, d.c, dynamoOperation("GetItem", false), in, func() (*dynamodb.GetItemOutput, error) {
		if in.AttributesToGet != nil || in.ReturnConsumedCapacity != "" {
			return nil, notSimulated("AttributesToGet and ReturnConsumedCapacity of GetItem")
		}
		t, err := d.table(in.TableName)
		if err != nil {
			return nil, err
		}
		p, err := newPlaceholders(in.ExpressionAttributeNames, nil)
		if err != nil {
			return nil, err
		}
		paths, err := p.projected(in.ProjectionExpression)
		if err != nil {
			return nil, err
		}
		key, err := t.key(in.Key)
		if err != nil {
			return nil, err
		}
		item := d.seen(t, in.ConsistentRead).get(key)
		d.c.billRead(itemSize(item), in.ConsistentRead)
		return &dynamodb.GetItemOutput{Item: pick(item, paths)}, nil
	})
}

// projected reads a projection, if there is one, and finishes the placeholders.
func (p *placeholders) projected(expression *string) ([]docPath, error) {
	if expression == nil {
		return nil, p.finish()
	}
	paths, err := p.projection(*expression)
	if err != nil {
		return nil, err
	}
	return paths, p.finish()
}

// pick copies an item, or the paths of it that are asked for.
func pick(item attributes, paths []docPath) attributes {
	if item == nil || paths == nil {
		return cloneItem(item)
	}
	return projected(item, paths)
}

// BatchGetItem reads up to 100 items by their keys, never leaving any
// unprocessed.
func (d *DynamoDB) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	return call(ctx, d.c, dynamoOperation("BatchGetItem", false), in, func() (*dynamodb.BatchGetItemOutput, error) {
		if in.ReturnConsumedCapacity != "" {
			return nil, notSimulated("ReturnConsumedCapacity of BatchGetItem")
		}
		asked := 0
		out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{}, UnprocessedKeys: map[string]types.KeysAndAttributes{}}
		for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
			of := in.RequestItems[name]
			items, err := d.batch(name, of)
			if err != nil {
				return nil, err
			}
			out.Responses[name] = items
			asked += len(of.Keys)
		}
		if asked < 1 || asked > 100 {
			return nil, invalid("Too many items requested for the BatchGetItem call: %d, not 1 to 100", asked)
		}
		return out, nil
	})
}

func (d *DynamoDB) batch(name string, of types.KeysAndAttributes) ([]map[string]types.AttributeValue, error) {
	t, err := d.table(&name)
	if err != nil {
		return nil, err
	}
	if of.AttributesToGet != nil || of.ProjectionExpression != nil || of.ExpressionAttributeNames != nil {
		return nil, notSimulated("projections of BatchGetItem")
	}
	t = d.seen(t, of.ConsistentRead)
	items, seen := []map[string]types.AttributeValue{}, map[itemKey]bool{}
	for _, k := range of.Keys {
		key, err := t.key(k)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, invalid("Provided list of item keys contains duplicates")
		}
		seen[key] = true
		item := t.get(key)
		d.c.billRead(itemSize(item), of.ConsistentRead)
		if item != nil {
			items = append(items, cloneItem(item))
		}
	}
	return items, nil
}

// PutItem writes one item whole.
func (d *DynamoDB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return call(ctx, d.c, dynamoOperation("PutItem", true), in, func() (*dynamodb.PutItemOutput, error) {
		if in.ConditionalOperator != "" || in.Expected != nil || in.ReturnConsumedCapacity != "" || in.ReturnItemCollectionMetrics != "" {
			return nil, notSimulated("legacy conditions and consumed capacity of PutItem")
		}
		w := &write{
			verb: "PutItem", table: in.TableName, item: in.Item, condition: in.ConditionExpression,
			names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, onFailure: in.ReturnValuesOnConditionCheckFailure,
		}
		out, err := d.single(w, in.ReturnValues)
		return &dynamodb.PutItemOutput{Attributes: out}, err
	})
}

// DeleteItem deletes one item, whether it is there or not.
func (d *DynamoDB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return call(ctx, d.c, dynamoOperation("DeleteItem", true), in, func() (*dynamodb.DeleteItemOutput, error) {
		if in.ConditionalOperator != "" || in.Expected != nil || in.ReturnConsumedCapacity != "" || in.ReturnItemCollectionMetrics != "" {
			return nil, notSimulated("legacy conditions and consumed capacity of DeleteItem")
		}
		w := &write{
			verb: "DeleteItem", table: in.TableName, key: in.Key, condition: in.ConditionExpression,
			names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, onFailure: in.ReturnValuesOnConditionCheckFailure,
		}
		out, err := d.single(w, in.ReturnValues)
		return &dynamodb.DeleteItemOutput{Attributes: out}, err
	})
}

// UpdateItem changes attributes of one item and makes it if it is not there.
func (d *DynamoDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return call(ctx, d.c, dynamoOperation("UpdateItem", true), in, func() (*dynamodb.UpdateItemOutput, error) {
		legacy := in.AttributeUpdates != nil || in.ConditionalOperator != "" || in.Expected != nil
		if legacy || in.ReturnConsumedCapacity != "" || in.ReturnItemCollectionMetrics != "" {
			return nil, notSimulated("legacy updates and consumed capacity of UpdateItem")
		}
		w := &write{
			verb: "UpdateItem", table: in.TableName, key: in.Key, condition: in.ConditionExpression, update: in.UpdateExpression,
			names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, onFailure: in.ReturnValuesOnConditionCheckFailure,
		}
		out, err := d.single(w, in.ReturnValues)
		return &dynamodb.UpdateItemOutput{Attributes: out, ResultMetadata: dated(ctx, d.c.now)}, err
	})
}

// single does one write by itself.
func (d *DynamoDB) single(w *write, returns types.ReturnValue) (attributes, error) {
	allowed := []types.ReturnValue{"", types.ReturnValueNone, types.ReturnValueAllOld}
	if w.verb == "UpdateItem" {
		allowed = append(allowed, types.ReturnValueAllNew, types.ReturnValueUpdatedOld, types.ReturnValueUpdatedNew)
	}
	if !slices.Contains(allowed, returns) {
		return nil, invalid("ReturnValues can not be %s for %s", returns, w.verb)
	}
	if err := d.prepare(w); err != nil {
		return nil, err
	}
	if !w.passes() {
		d.c.billWrite(w, 1)
		failed := &types.ConditionalCheckFailedException{Message: aws.String("The conditional request failed")}
		if w.onFailure == types.ReturnValuesOnConditionCheckFailureAllOld {
			failed.Item = cloneItem(w.before)
		}
		return nil, failed
	}
	if err := w.work(); err != nil {
		return nil, err
	}
	d.c.billWrite(w, 1)
	d.store(w)
	return w.returned(returns), nil
}

// returned is what the caller asked for. Attributes that are not there are left
// out, and an empty answer is none.
func (w *write) returned(returns types.ReturnValue) attributes {
	of := w.before
	if strings.HasSuffix(string(returns), "_NEW") {
		of = w.after
	}
	switch string(returns) {
	case "ALL_OLD", "ALL_NEW":
		return cloneItem(of)
	case "UPDATED_OLD", "UPDATED_NEW":
		if of == nil || w.changes == nil {
			return nil
		}
		var paths []docPath
		for _, c := range w.changes.all() {
			paths = append(paths, c.path)
		}
		if out := projected(of, paths); len(out) > 0 {
			return out
		}
	}
	return nil
}

// Items is the truth about a table for monitors: copies of all items, by hash
// key, then range key. A table that is not there has none.
func (d *DynamoDB) Items(table string) []map[string]types.AttributeValue {
	t, ok := d.tables[table]
	if !ok {
		return nil
	}
	return t.all()
}

func (d *DynamoDB) table(name *string) (*table, error) {
	n := aws.ToString(name)
	n = n[strings.LastIndexByte(n, '/')+1:] // an ARN is as good as the name
	if t, ok := d.tables[n]; ok {
		return t, nil
	}
	return nil, &types.ResourceNotFoundException{Message: aws.String("Requested resource not found: table " + n)}
}
