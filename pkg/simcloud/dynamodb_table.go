package simcloud

import (
	"maps"
	"slices"
	"sort"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// DynamoDB's limits, in bytes.
const (
	maxItem     = 400 << 10
	maxPage     = 1 << 20
	maxHashKey  = 2048
	maxRangeKey = 1024
)

// table is one table: partitions by hash key, each sorted by range key. A stored
// item is never changed in place.
type table struct {
	name, hash, rang string // rang empty: no range key
	partitions       map[string][]stored
}

type stored struct {
	rang string
	item attributes
}

// itemKey identifies an item in its table.
type itemKey struct{ hash, rang string }

func newTable(in *dynamodb.CreateTableInput) (*table, error) {
	if err := checkCreateTable(in); err != nil {
		return nil, err
	}
	t := &table{name: *in.TableName, partitions: map[string][]stored{}}
	kinds := map[string]types.ScalarAttributeType{}
	for _, a := range in.AttributeDefinitions {
		kinds[aws.ToString(a.AttributeName)] = a.AttributeType
	}
	for _, k := range in.KeySchema {
		name := aws.ToString(k.AttributeName)
		if kinds[name] != types.ScalarAttributeTypeS {
			return nil, notSimulated("the key %q of type %q: only strings", name, kinds[name])
		}
		if k.KeyType == types.KeyTypeHash {
			t.hash = name
		} else {
			t.rang = name
		}
	}
	if len(kinds) != len(in.KeySchema) || t.hash == "" || len(in.KeySchema) == 2 && t.rang == "" {
		return nil, invalid("AttributeDefinitions and KeySchema of %s do not make a hash key and at most one range key", t.name)
	}
	return t, nil
}

func checkCreateTable(in *dynamodb.CreateTableInput) error {
	left := map[string]bool{
		"GlobalSecondaryIndexes": in.GlobalSecondaryIndexes != nil, "GlobalTableSettingsReplicationMode": in.GlobalTableSettingsReplicationMode != "",
		"GlobalTableSourceArn": in.GlobalTableSourceArn != nil, "LocalSecondaryIndexes": in.LocalSecondaryIndexes != nil,
		"OnDemandThroughput": in.OnDemandThroughput != nil, "ProvisionedThroughput": in.ProvisionedThroughput != nil,
		"ResourcePolicy": in.ResourcePolicy != nil, "StreamSpecification": in.StreamSpecification != nil, "TableClass": in.TableClass != "",
		"VectorIndexes": in.VectorIndexes != nil, "WarmThroughput": in.WarmThroughput != nil,
		"provisioned capacity": in.BillingMode != types.BillingModePayPerRequest,
	}
	for _, what := range slices.Sorted(maps.Keys(left)) {
		if left[what] {
			return notSimulated("%s of CreateTable", what)
		}
	}
	if len(in.KeySchema) < 1 || len(in.KeySchema) > 2 {
		return invalid("KeySchema of %s has %d keys, not 1 or 2", *in.TableName, len(in.KeySchema))
	}
	return nil
}

// key reads a key that must hold the key attributes and nothing else.
func (t *table) key(in attributes) (itemKey, error) {
	want := 1
	if t.rang != "" {
		want = 2
	}
	if len(in) != want {
		return itemKey{}, invalid("The provided key element does not match the schema")
	}
	return t.keyOf(in)
}

// keyOf reads the key of an item.
func (t *table) keyOf(in attributes) (key itemKey, err error) {
	if key.hash, err = keyPart(in, t.hash, maxHashKey); err != nil || t.rang == "" {
		return key, err
	}
	key.rang, err = keyPart(in, t.rang, maxRangeKey)
	return key, err
}

func keyPart(in attributes, name string, most int) (string, error) {
	s, ok := in[name].(*types.AttributeValueMemberS)
	switch {
	case in[name] == nil:
		return "", invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
	case !ok:
		return "", invalid("One or more parameter values were invalid: Type mismatch for key %s expected: S actual: %s", name, typeName(in[name]))
	case s.Value == "" || len(s.Value) > most:
		return "", invalid("One or more parameter values are not valid: the key %s has %d bytes, not 1 to %d", name, len(s.Value), most)
	default:
		return s.Value, nil
	}
}

func (t *table) find(key itemKey) (at int, there bool) {
	items := t.partitions[key.hash]
	at = sort.Search(len(items), func(i int) bool { return items[i].rang >= key.rang })
	return at, at < len(items) && items[at].rang == key.rang
}

// get returns the stored item itself; nil: none.
func (t *table) get(key itemKey) attributes {
	if at, there := t.find(key); there {
		return t.partitions[key.hash][at].item
	}
	return nil
}

// put stores the item; nil deletes it.
func (t *table) put(key itemKey, item attributes) {
	at, there := t.find(key)
	items := t.partitions[key.hash]
	switch {
	case item != nil && there:
		items[at].item = item
	case item != nil:
		t.partitions[key.hash] = slices.Insert(items, at, stored{key.rang, item})
	case there:
		t.partitions[key.hash] = slices.Delete(items, at, at+1)
	}
}

func (t *table) all() []map[string]types.AttributeValue {
	var out []map[string]types.AttributeValue
	for _, hash := range slices.Sorted(maps.Keys(t.partitions)) {
		for _, s := range t.partitions[hash] {
			out = append(out, cloneItem(s.item))
		}
	}
	return out
}

// write is one write, alone or in a transaction.
type write struct {
	verb      string // PutItem, UpdateItem, DeleteItem or ConditionCheck
	table     *string
	key       attributes // put: of the item
	item      attributes // put: the whole of it
	condition *string
	update    *string
	names     map[string]string
	values    attributes
	onFailure types.ReturnValuesOnConditionCheckFailure

	// Found by prepare and work.
	in            *table
	at            itemKey
	must          *condition // nil: no condition
	changes       *update    // nil: none
	before, after attributes // nil: no item
}

// prepare reads the write and finds its item. What is wrong with it does not
// depend on what is stored.
func (d *DynamoDB) prepare(w *write) (err error) {
	if w.in, err = d.table(w.table); err != nil {
		return err
	}
	p, err := newPlaceholders(w.names, w.values)
	if err != nil {
		return err
	}
	if w.condition != nil {
		if w.must, err = p.condition(*w.condition); err != nil {
			return err
		}
	}
	if w.update != nil {
		if w.changes, err = p.update(*w.update); err != nil {
			return err
		}
	}
	if err := p.finish(); err != nil {
		return err
	}
	if err := w.locate(); err != nil {
		return err
	}
	w.before = w.in.get(w.at)
	return w.checkKeyKept()
}

func (w *write) locate() (err error) {
	if w.verb != "PutItem" {
		w.at, err = w.in.key(w.key)
		return err
	}
	if w.after, err = copyItem(w.item); err != nil {
		return err
	}
	if w.at, err = w.in.keyOf(w.after); err != nil {
		return err
	}
	return checkSize(w.after)
}

func (w *write) checkKeyKept() error {
	if w.changes == nil {
		return nil
	}
	for _, c := range w.changes.all() {
		if name := c.path[0].name; name == w.in.hash || name == w.in.rang {
			return invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	return nil
}

func checkSize(item attributes) error {
	if size := itemSize(item); size > maxItem {
		return invalid("Item size has exceeded the maximum allowed size: %d bytes", size)
	}
	return nil
}

// passes says whether the condition holds.
func (w *write) passes() bool { return w.must == nil || w.must.holds(w.before) }

// work makes what is to be stored. What goes wrong here depends on the item.
func (w *write) work() (err error) {
	if w.verb != "UpdateItem" {
		return nil // a put has its item, a delete wants none
	}
	base := w.before
	if base == nil {
		if base, err = copyItem(w.key); err != nil {
			return err
		}
	}
	w.after = base // never changed in place: apply copies
	if w.changes != nil {
		if w.after, err = w.changes.apply(base); err != nil {
			return err
		}
	}
	return checkSize(w.after)
}

func (d *DynamoDB) store(w *write) {
	if w.verb != "ConditionCheck" {
		d.c.faults.written(w.in, w.at)
		w.in.put(w.at, w.after)
	}
}
