package store

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

// Entry is a decision or an intent as it was recorded. Of the two the other is
// nil.
type Entry struct {
	At       time.Time
	Until    time.Time // of a repeated decision: when it was last decided
	Count    int       // how often it was decided in a row
	Decision *plan.Decision
	Intent   *cluster.Intent
}

// History reads what was recorded of a key, oldest first: no older than KeepFor.
func (s Store) History(ctx context.Context, of string) ([]Entry, error) {
	var entries []Entry
	known := map[string]int{}
	for _, prefix := range []string{"then#", "now#"} {
		items, err := s.items(ctx, of, prefix)
		if err != nil {
			return nil, wrap("read the history", of, err)
		}
		for _, i := range items {
			e, err := entry(i)
			if err != nil {
				return nil, wrap("read "+textOf(i, "sk"), of, err)
			}
			entries = merge(entries, known, e)
		}
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.At.Compare(b.At) })
	return entries, nil
}

// items reads all items of a key whose sk begins with the prefix.
func (s Store) items(ctx context.Context, of, prefix string) ([]item, error) {
	var all []item
	var from item
	for {
		out, err := s.DB.Query(ctx, &dynamodb.QueryInput{
			TableName: aws.String(s.Table), ConsistentRead: aws.Bool(true), ExclusiveStartKey: from,
			KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :prefix)"),
			ExpressionAttributeValues: item{":pk": text(of), ":prefix": text(prefix)},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, out.Items...)
		if from = out.LastEvaluatedKey; len(from) == 0 {
			return all, nil
		}
	}
}

// entry reads an item of history, an open intent, or what was said last.
func entry(i item) (Entry, error) {
	e := Entry{At: timeOf(i, "at"), Until: timeOf(i, "until"), Count: int(numberOf(i, "count"))}
	raw, into := textOf(i, "decision"), any(&e.Decision)
	switch {
	case strings.HasPrefix(textOf(i, "sk"), "now#about#"):
		raw, e.At = textOf(i, "said"), timeOf(i, "since")
	case textOf(i, "intent") != "":
		raw, into = textOf(i, "intent"), &e.Intent
	}
	if raw == "" {
		return e, nil
	}
	err := json.Unmarshal([]byte(raw), into)
	if e.Intent != nil {
		e.At = e.Intent.At
	}
	return e, err
}

// merge adds an entry, or what it tells about one that is there: how often a
// decision was repeated until now. known holds the place of each decision.
func merge(entries []Entry, known map[string]int, e Entry) []Entry {
	if e.Decision == nil {
		if e.Intent == nil {
			return entries
		}
		return append(entries, e)
	}
	name := strconv.FormatInt(e.At.UnixMilli(), 10) + string(e.Decision.Subject)
	if n, ok := known[name]; ok {
		entries[n].Count = max(entries[n].Count, e.Count)
		if e.Until.After(entries[n].Until) {
			entries[n].Until = e.Until
		}
		return entries
	}
	known[name] = len(entries)
	return append(entries, e)
}
