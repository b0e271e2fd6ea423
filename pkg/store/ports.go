package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// PortDB is a round's port to the table where ports have owners.
type PortDB interface {
	DynamoDB
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
}

// PortRecords are the records of who has which host port. A record is a lock: an
// item of its own, which the rounds of several keys share, and which is written
// only as its version says that it was read. Beside it the key has a copy, so that
// a round recalls what is its own in the read that it makes anyway.
type PortRecords struct {
	Session *Session
	DB      PortDB
}

const (
	portSort   = "owner"
	portCopies = "now#port#"
	readAtOnce = 100 // BatchGetItem takes no more
	pairs      = 49  // of a record and its copy, in a transaction of 99 writes
)

func portKey(p cluster.HostPort) item { return key("port#"+p.String(), portSort) }

// Owners reads the records of some ports, but for those that the key has a copy of,
// and gives them with all of the copies. A port without a record is absent.
func (r PortRecords) Owners(ctx context.Context, ports []cluster.HostPort) (map[cluster.HostPort]cluster.Owner, error) {
	owners := maps.Clone(r.Session.ports)
	if owners == nil {
		owners = map[cluster.HostPort]cluster.Owner{}
	}
	foreign := slices.DeleteFunc(slices.Clone(ports), func(p cluster.HostPort) bool { _, mine := owners[p]; return mine })
	for part := range slices.Chunk(foreign, readAtOnce) {
		keys := make([]item, len(part))
		for i, p := range part {
			keys[i] = portKey(p)
		}
		if err := r.read(ctx, keys, owners); err != nil {
			return nil, wrap("read the owners of ports", r.Session.key, err)
		}
	}
	return owners, nil
}

// read reads items by their keys, again where DynamoDB left some out.
func (r PortRecords) read(ctx context.Context, keys []item, owners map[cluster.HostPort]cluster.Owner) error {
	table := r.Session.store.Table
	for tries := 0; len(keys) > 0; tries++ {
		if tries == conflictTries {
			return fmt.Errorf("%d of the items were left out %d times", len(keys), tries)
		}
		out, err := r.DB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			table: {Keys: keys, ConsistentRead: aws.Bool(true)},
		}})
		if err != nil {
			return err
		}
		for _, i := range out.Responses[table] {
			port, owner, err := portOf(strings.TrimPrefix(textOf(i, PartitionKey), "port#"), i)
			if err != nil {
				return err
			}
			owners[port] = owner
		}
		keys = out.UnprocessedKeys[table].Keys
	}
	return nil
}

// portOf reads a record or its copy.
func portOf(name string, i item) (cluster.HostPort, cluster.Owner, error) {
	var o cluster.Owner
	port, err := parsePort(name)
	if err == nil {
		err = json.Unmarshal([]byte(textOf(i, "owner")), &o)
	}
	o.Version = numberOf(i, "version")
	return port, o, err
}

// parsePort is the reverse of HostPort.String.
func parsePort(s string) (cluster.HostPort, error) {
	instance, rest, _ := strings.Cut(s, ":")
	number, protocol, ok := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	if err != nil || !ok {
		return cluster.HostPort{}, fmt.Errorf("%q is no host port, such as i-0a1:32768/tcp", s)
	}
	return cluster.HostPort{Instance: instance, Port: n, Protocol: protocol}, nil
}

// next is the version of the record that replaces one: later than that, and none
// that the port had before, though its record was deleted meanwhile. So a round
// that read it long ago does not take one record for another.
func (r PortRecords) next(version int64) int64 {
	return max(version+1, r.Session.Now().UnixMilli())
}

// Claim writes the records of ports with their copies, as long as the lease is this
// round's. A record that is not the one that the plan rested on is somebody else's
// by now: its port is lost, and its copy, if there is one, with it.
func (r PortRecords) Claim(ctx context.Context, claims []plan.Claim) (lost []cluster.HostPort, err error) {
	for part := range slices.Chunk(claims, pairs) {
		gone, err := r.pairwise(ctx, part, r.claim)
		if err != nil {
			return nil, wrap("claim ports", r.Session.key, err)
		}
		lost = append(lost, gone...)
	}
	return lost, nil
}

func (r PortRecords) claim(c plan.Claim) ([]types.TransactWriteItem, error) {
	raw, err := encode(c.Owner)
	table := aws.String(r.Session.store.Table)
	record, copied, next := portKey(c.Port), key(r.Session.key, portCopies+c.Port.String()), r.next(c.Owner.Version)
	for _, i := range []item{record, copied} {
		maps.Copy(i, item{"owner": text(raw), "version": number(next)})
	}
	put := &types.Put{TableName: table, Item: record, ConditionExpression: aws.String("attribute_not_exists(pk)")}
	if c.Owner.Version > 0 {
		put.ConditionExpression = aws.String("version = :version")
		put.ExpressionAttributeValues = item{":version": number(c.Owner.Version)}
	}
	return []types.TransactWriteItem{{Put: put}, {Put: &types.Put{TableName: table, Item: copied}}}, err
}

// Release deletes the records of ports that nothing stands for any more, with
// their copies. One that is somebody else's by now stays theirs.
func (r PortRecords) Release(ctx context.Context, claims []plan.Claim) error {
	for part := range slices.Chunk(claims, pairs) {
		if _, err := r.pairwise(ctx, part, r.release); err != nil {
			return wrap("release ports", r.Session.key, err)
		}
	}
	return nil
}

func (r PortRecords) release(c plan.Claim) ([]types.TransactWriteItem, error) {
	table := aws.String(r.Session.store.Table)
	return []types.TransactWriteItem{
		{Delete: &types.Delete{
			TableName: table, Key: portKey(c.Port), ConditionExpression: aws.String("version = :version"),
			ExpressionAttributeValues: item{":version": number(c.Owner.Version)},
		}},
		{Delete: &types.Delete{TableName: table, Key: key(r.Session.key, portCopies+c.Port.String())}},
	}, nil
}

// pairwise makes the writes of all claims in one transaction, without those whose
// record is another by now, and returns the ports of these.
func (r PortRecords) pairwise(ctx context.Context, claims []plan.Claim, writes func(plan.Claim) ([]types.TransactWriteItem, error)) (lost []cluster.HostPort, err error) {
	for len(claims) > 0 {
		var all []types.TransactWriteItem
		for _, c := range claims {
			pair, err := writes(c)
			if err != nil {
				return nil, err
			}
			all = append(all, pair...)
		}
		failed, err := r.together(ctx, all)
		if err != nil {
			return nil, err
		}
		if len(failed) == 0 {
			break
		}
		var rest []plan.Claim
		for n, c := range claims {
			if failed[n] {
				lost = append(lost, c.Port)
			} else {
				rest = append(rest, c)
			}
		}
		claims = rest
	}
	return lost, r.forget(ctx, lost)
}

// together makes pairs of writes, or says whose first one's condition did not hold.
func (r PortRecords) together(ctx context.Context, writes []types.TransactWriteItem) (failed map[int]bool, err error) {
	err = r.Session.write(ctx, writes...)
	var cancelled *types.TransactionCanceledException
	if err == nil || !errors.As(err, &cancelled) {
		return nil, err
	}
	failed = map[int]bool{}
	for n, why := range cancelled.CancellationReasons {
		if aws.ToString(why.Code) != "ConditionalCheckFailed" {
			continue
		}
		if n == 0 { // the lease's
			return nil, err
		}
		failed[(n-1)/2] = true
	}
	if len(failed) == 0 {
		return nil, err
	}
	return failed, nil
}

// forget deletes the copies of records that are somebody else's: the next round
// reads the records themselves.
func (r PortRecords) forget(ctx context.Context, ports []cluster.HostPort) error {
	var writes []types.TransactWriteItem
	for _, p := range ports {
		if _, mine := r.Session.ports[p]; mine {
			writes = append(writes, types.TransactWriteItem{Delete: &types.Delete{
				TableName: aws.String(r.Session.store.Table), Key: key(r.Session.key, portCopies+p.String()),
			}})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	return r.Session.write(ctx, writes...)
}
