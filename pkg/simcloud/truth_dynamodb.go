package simcloud

import (
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Prefixed is the truth about a part of a table, for monitors: copies of the
// items of a hash key whose range key begins with prefix, in its order. A table
// that is not there has none.
func (d *DynamoDB) Prefixed(table, hash, prefix string) []map[string]types.AttributeValue {
	t, ok := d.tables[table]
	if !ok {
		return nil
	}
	items := t.partitions[hash]
	first := sort.Search(len(items), func(i int) bool { return items[i].rang >= prefix })
	var out []map[string]types.AttributeValue
	for _, s := range items[first:] {
		if !strings.HasPrefix(s.rang, prefix) {
			break
		}
		out = append(out, cloneItem(s.item))
	}
	return out
}
