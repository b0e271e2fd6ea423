package simcloud

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// update is an update expression.
type update struct {
	sets    []change // by SET
	removes []change // by REMOVE: paths only
	adds    []change // by ADD: to a number or a set
	deletes []change // by DELETE: from a set
}

// change is one path and what becomes of it.
type change struct {
	path docPath
	to   term
}

// term is what SET sets: an operand, if_not_exists of one, or two joined by a
// sign.
type term struct {
	sign     string // + or -; empty: first alone
	first    operand
	fallback *term // set: if_not_exists(first, fallback)
	second   *term
}

// update reads a whole update expression.
func (p *placeholders) update(text string) (*update, error) {
	r, err := p.parse(text)
	if err != nil {
		return nil, err
	}
	u, seen := &update{}, map[string]bool{}
	for r.peek().kind != endToken {
		word := strings.ToUpper(r.peek().text)
		if seen[word] {
			return nil, invalid("Invalid UpdateExpression: The %q section can only be used once in an update expression;", word)
		}
		seen[word] = true
		if err := r.section(u); err != nil {
			return nil, err
		}
	}
	return u, u.check()
}

func (r *parser) section(u *update) (err error) {
	switch {
	case r.keyword("SET"):
		u.sets, err = r.changes(r.set)
	case r.keyword("REMOVE"):
		u.removes, err = r.changes(func(*change) error { return nil })
	case r.keyword("ADD"):
		u.adds, err = r.changes(r.constant("ADD", "N", "SS", "NS"))
	case r.keyword("DELETE"):
		u.deletes, err = r.changes(r.constant("DELETE", "SS", "NS"))
	default:
		err = r.unexpected()
	}
	return err
}

// changes reads paths, each with the rest that belongs to it, between commas.
func (r *parser) changes(rest func(*change) error) ([]change, error) {
	var out []change
	for {
		path, err := r.path()
		if err != nil {
			return nil, err
		}
		c := change{path: path}
		if err := rest(&c); err != nil {
			return nil, err
		}
		out = append(out, c)
		if !r.sign(",") {
			return out, nil
		}
	}
}

// constant reads a value of one of the types.
func (r *parser) constant(section string, allowed ...string) func(*change) error {
	return func(c *change) error {
		if r.peek().kind != valueToken {
			return r.unexpected()
		}
		v, err := r.value()
		if err != nil {
			return err
		}
		if !slices.Contains(allowed, typeName(v)) {
			return invalid("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: %s, operand type: %s", section, typeName(v))
		}
		c.to = term{first: operand{value: v}}
		return nil
	}
}

func (r *parser) set(c *change) error {
	if err := r.expect("="); err != nil {
		return err
	}
	first, err := r.term()
	c.to = first
	for _, sign := range []string{"+", "-"} {
		if err == nil && r.sign(sign) {
			var second term
			second, err = r.term()
			c.to = term{sign: sign, first: first.first, fallback: first.fallback, second: &second}
			return err
		}
	}
	return err
}

// term reads an operand or if_not_exists(path, operand).
func (r *parser) term() (term, error) {
	if len(r.rest) < 2 || r.peek().text != "if_not_exists" || r.rest[1].text != "(" {
		o, err := r.operand()
		return term{first: o}, err
	}
	r.next()
	r.next()
	path, err := r.path()
	if err != nil {
		return term{}, err
	}
	if err := r.expect(","); err != nil {
		return term{}, err
	}
	otherwise, err := r.term()
	if err != nil {
		return term{}, err
	}
	return term{first: operand{path: path}, fallback: &otherwise}, r.expect(")")
}

// all are the changes of all sections.
func (u *update) all() []change { return slices.Concat(u.sets, u.removes, u.adds, u.deletes) }

// check refuses paths that overlap, and what simcloud leaves out.
func (u *update) check() error {
	all := u.all()
	for i, c := range all {
		if slices.ContainsFunc(c.path, func(s step) bool { return s.list }) {
			return invalid("simcloud does not know updates of list elements: %s", c.path)
		}
		for _, other := range all[:i] {
			if c.path.overlaps(other.path) {
				return invalid("Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", other.path, c.path)
			}
		}
	}
	for _, c := range slices.Concat(u.adds, u.deletes) {
		if len(c.path) > 1 {
			return invalid("simcloud knows ADD and DELETE of whole attributes only: %s", c.path)
		}
	}
	return nil
}

// apply returns the item after the update. All that is read is read from the
// item before it.
func (u *update) apply(before attributes) (attributes, error) {
	after := cloneItem(before)
	for _, c := range u.sets {
		v, err := c.to.in(before)
		if err != nil {
			return nil, err
		}
		if err := put(after, c.path, v); err != nil {
			return nil, err
		}
	}
	for _, c := range u.removes {
		if err := put(after, c.path, nil); err != nil {
			return nil, err
		}
	}
	for _, c := range u.adds {
		v, err := added(c.path.in(before), c.to.first.value)
		if err != nil {
			return nil, err
		}
		after[c.path[0].name] = v
	}
	for _, c := range u.deletes {
		if err := c.deleteFrom(after); err != nil {
			return nil, err
		}
	}
	return after, nil
}

// in works out the term for an item.
func (t term) in(item attributes) (types.AttributeValue, error) {
	v := t.first.in(item)
	var err error
	if v == nil && t.fallback != nil {
		v, err = t.fallback.in(item)
	}
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	if t.second == nil {
		return copyValue(v, 0)
	}
	w, err := t.second.in(item)
	if err != nil {
		return nil, err
	}
	return calculated(v, t.sign, w)
}

func calculated(a types.AttributeValue, sign string, b types.AttributeValue) (types.AttributeValue, error) {
	x, ok := a.(*types.AttributeValueMemberN)
	y, also := b.(*types.AttributeValueMemberN)
	if !ok || !also {
		return nil, invalid("An operand in the update expression has an incorrect data type")
	}
	sum := new(big.Rat)
	if sign == "-" {
		sum.Sub(mustNumber(x.Value), mustNumber(y.Value))
	} else {
		sum.Add(mustNumber(x.Value), mustNumber(y.Value))
	}
	text, err := normalNumber(numberText(sum))
	if err != nil {
		return nil, fmt.Errorf("%s %s %s: %w", x.Value, sign, y.Value, err)
	}
	return &types.AttributeValueMemberN{Value: text}, nil
}

// put sets what the path names; nil removes it.
func put(item attributes, path docPath, v types.AttributeValue) error {
	for _, s := range path[:len(path)-1] {
		m, ok := item[s.name].(*types.AttributeValueMemberM)
		if !ok {
			return invalid("The document path provided in the update expression is invalid for update")
		}
		item = m.Value
	}
	last := path[len(path)-1].name
	if v == nil {
		delete(item, last)
	} else {
		item[last] = v
	}
	return nil
}

// added is what ADD makes of an attribute that may not be there.
func added(before, v types.AttributeValue) (types.AttributeValue, error) {
	if before == nil {
		return copyValue(v, 0)
	}
	if n, ok := v.(*types.AttributeValueMemberN); ok {
		return calculated(before, "+", n)
	}
	old, kind := setOf(before)
	more, same := setOf(v)
	if kind == "" || kind != same {
		return nil, invalid("An operand in the update expression has an incorrect data type")
	}
	return newSet(kind, append(old, more...)), nil
}

// deleteFrom takes elements out of a set; an empty set goes altogether.
func (c change) deleteFrom(item attributes) error {
	name := c.path[0].name
	before, ok := item[name]
	if !ok {
		return nil
	}
	old, kind := setOf(before)
	less, same := setOf(c.to.first.value)
	if kind == "" || kind != same {
		return invalid("An operand in the update expression has an incorrect data type")
	}
	left := slices.DeleteFunc(old, func(s string) bool { return slices.Contains(less, s) })
	if len(left) == 0 {
		delete(item, name)
		return nil
	}
	item[name] = newSet(kind, left)
	return nil
}

// setOf returns a copy of a set's elements and its type; an empty type: no set.
func setOf(v types.AttributeValue) ([]string, string) {
	switch v := v.(type) {
	case *types.AttributeValueMemberSS:
		return slices.Clone(v.Value), "SS"
	case *types.AttributeValueMemberNS:
		return slices.Clone(v.Value), "NS"
	default:
		return nil, ""
	}
}

func newSet(kind string, elements []string) types.AttributeValue {
	slices.Sort(elements)
	elements = slices.Compact(elements)
	if kind == "NS" {
		return &types.AttributeValueMemberNS{Value: elements}
	}
	return &types.AttributeValueMemberSS{Value: elements}
}

// projected returns copies of what the paths name, in their places. An element
// of a list comes in a list of its own.
func projected(item attributes, paths []docPath) attributes {
	out := attributes{}
	for _, path := range paths {
		v := path.in(item)
		if v == nil {
			continue
		}
		own, err := copyValue(v, 0)
		if err != nil {
			panic("simcloud: a stored value: " + err.Error()) // it was copied in
		}
		place(out, path, own)
	}
	return out
}

func place(out attributes, path docPath, v types.AttributeValue) {
	for i := len(path) - 1; i > 0; i-- {
		if path[i].list {
			v = &types.AttributeValueMemberL{Value: []types.AttributeValue{v}}
			continue
		}
		if m, ok := path[:i].in(out).(*types.AttributeValueMemberM); ok {
			m.Value[path[i].name] = v
			return
		}
		v = &types.AttributeValueMemberM{Value: attributes{path[i].name: v}}
	}
	out[path[0].name] = v
}
