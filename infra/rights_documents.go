package infra

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What IAM takes (its quotas): characters of a managed policy and of all that is
// a role's own, and managed policies a role, unless that quota was raised.
const (
	managedSize  = 6144
	ownSize      = 10240
	mostPolicies = 10
)

// chunk bounds the characters of a statement's resources and of the clusters in
// its condition, so that statements fill policies.
const chunk = 1500

// chunks are the statement in as many as its resources need; none without any.
// The condition of each names the clusters of its own resources.
func (g ground) chunks(s statement) []statement {
	var all []statement
	for from := 0; from < len(s.resources); {
		to, size := from, 0
		for ; to < len(s.resources) && (to == from || size+g.size(s, to) <= chunk); to++ {
			size += g.size(s, to)
		}
		next := s
		next.resources = slices.Compact(slices.Clone(s.resources[from:to])) // ListTasks has but *
		if len(s.clusters) > 0 {
			next.clusters = s.clusters[from:to]
			next.conditions = map[string]map[string]any{"ArnEquals": {"ecs:cluster": next.clusters}}
		}
		if from > 0 {
			next.id = fmt.Sprintf("%s%d", s.id, len(all)+1)
		}
		all = append(all, next)
		from = to
	}
	return all
}

// size is how many characters a resource takes in a policy document, with what it
// adds to the condition, quotes and commas included.
func (g ground) size(s statement, n int) int {
	size := len(g.long(s.resources[n])) + 3
	if len(s.clusters) > 0 {
		size += len(g.long(s.clusters[n])) + 3
	}
	return size
}

// long is a text with what CloudFormation fills in, as long as that can be.
func (g ground) long(text string) string {
	made := strings.Repeat("x", 200) // an ARN with a name that CloudFormation made up
	for _, part := range []struct{ token, longest string }{
		{g.partition, "aws-us-gov"},
		{g.region, "ap-northeast-1"},
		{g.account, "111122223333"},
		{g.logs, made},
		{g.table, made},
		{g.ingress, made},
		{g.reconcile, made},
		{g.register, made},
	} {
		if part.token != "" {
			text = strings.ReplaceAll(text, part.token, part.longest)
		}
	}
	return text
}

// documents spreads statements over policies: the first is the role's own, the
// others are managed. Each goes where there is room first.
func (g ground) documents(all []statement) [][]statement {
	var documents [][]statement
	var free []int
	for _, s := range all {
		size := g.length(s)
		n := slices.IndexFunc(free, func(room int) bool { return size <= room })
		if n < 0 {
			n = len(documents)
			most := managedSize
			if n == 0 {
				most = ownSize
			}
			documents, free = append(documents, nil), append(free, most-len(`{"Version":"2012-10-17","Statement":[]}`))
		}
		documents[n] = append(documents[n], s)
		free[n] -= size
	}
	return documents
}

// length is how many characters a statement takes in a policy document.
func (g ground) length(s statement) int {
	raw, err := json.Marshal(map[string]any{"Sid": s.id, "Effect": "Allow", "Action": s.actions, "Resource": s.resources, "Condition": s.conditions})
	if err != nil {
		return managedSize // what cannot be written has no room beside anything
	}
	return len(g.long(string(raw))) + 1
}
