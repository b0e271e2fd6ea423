package simcloud

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// condition is a node of a condition: AND, OR and NOT have parts, all others
// operands.
type condition struct {
	op       string // AND OR NOT = <> < <= > >= BETWEEN IN, or a function
	parts    []*condition
	operands []operand
	wrapped  bool // in parentheses
}

// operand is a path or a value.
type operand struct {
	path  docPath
	value types.AttributeValue // set: a value
}

func (o operand) in(item attributes) types.AttributeValue {
	if o.value != nil {
		return o.value
	}
	return o.path.in(item)
}

// condition reads a whole condition expression.
func (p *placeholders) condition(text string) (*condition, error) {
	r, err := p.parse(text)
	if err != nil {
		return nil, err
	}
	c, err := r.either()
	if err != nil {
		return nil, err
	}
	return c, r.end()
}

// either reads terms joined by OR.
func (r *parser) either() (*condition, error) { return r.joined("OR", r.both) }

// both reads terms joined by AND.
func (r *parser) both() (*condition, error) { return r.joined("AND", r.not) }

func (r *parser) joined(word string, term func() (*condition, error)) (*condition, error) {
	c, err := term()
	for err == nil && r.keyword(word) {
		var next *condition
		next, err = term()
		c = &condition{op: word, parts: []*condition{c, next}}
	}
	return c, err
}

func (r *parser) not() (*condition, error) {
	if !r.keyword("NOT") {
		return r.primary()
	}
	c, err := r.not()
	return &condition{op: "NOT", parts: []*condition{c}}, err
}

func (r *parser) primary() (*condition, error) {
	if r.sign("(") {
		c, err := r.either()
		if err != nil {
			return nil, err
		}
		if c.wrapped {
			return nil, invalid("Invalid expression: The expression has redundant parentheses;")
		}
		c.wrapped = true
		return c, r.expect(")")
	}
	if len(r.rest) > 1 && r.peek().kind == wordToken && r.rest[1].text == "(" {
		return r.function()
	}
	return r.comparison()
}

// function reads a function that is a condition by itself.
func (r *parser) function() (*condition, error) {
	c := &condition{op: r.next().text}
	want := 2
	switch c.op {
	case "attribute_exists", "attribute_not_exists":
		want = 1
	case "begins_with", "contains":
	default:
		return nil, invalid("Invalid expression: simcloud does not know the function %s", c.op)
	}
	r.next() // the parenthesis
	for i := range want {
		if i > 0 && !r.sign(",") {
			return nil, invalid("Invalid expression: Incorrect number of operands for operator or function: %s", c.op)
		}
		o, err := r.operand()
		if err != nil {
			return nil, err
		}
		c.operands = append(c.operands, o)
	}
	if err := r.expect(")"); err != nil {
		return nil, err
	}
	return c, c.checkFunction()
}

func (c *condition) checkFunction() error {
	first := c.operands[0]
	if len(c.operands) == 1 && first.value != nil {
		return invalid("Invalid expression: Operator or function requires a document path; operator or function: %s", c.op)
	}
	for _, o := range c.operands {
		if c.op == "begins_with" && o.value != nil && !slices.Contains([]string{"S", "B"}, typeName(o.value)) {
			return badOperand(c.op, o.value)
		}
	}
	if len(c.operands) == 2 && first.value == nil && c.operands[1].value == nil && slices.Equal(first.path, c.operands[1].path) {
		return invalid("Invalid expression: The first operand must be distinct from the remaining operands for this operator or function; operator: %s", c.op)
	}
	return nil
}

func badOperand(op string, v types.AttributeValue) error {
	return invalid("Invalid expression: Incorrect operand type for operator or function; operator or function: %s, operand type: %s", op, typeName(v))
}

func (r *parser) operand() (operand, error) {
	if r.peek().kind == valueToken {
		v, err := r.value()
		return operand{value: v}, err
	}
	if len(r.rest) > 1 && r.peek().kind == wordToken && r.rest[1].text == "(" {
		return operand{}, invalid("Invalid expression: simcloud does not know the function %s here", r.peek().text)
	}
	path, err := r.path()
	return operand{path: path}, err
}

func (r *parser) comparison() (*condition, error) {
	first, err := r.operand()
	if err != nil {
		return nil, err
	}
	c := &condition{operands: []operand{first}}
	switch t := r.peek(); {
	case r.keyword("BETWEEN"):
		c.op = "BETWEEN"
		err = r.between(c)
	case r.keyword("IN"):
		c.op = "IN"
		err = r.list(c)
	case t.kind == signToken && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, t.text):
		r.next()
		c.op = t.text
		err = r.more(c)
	default:
		return nil, r.unexpected()
	}
	if err != nil {
		return nil, err
	}
	return c, c.checkOrdered()
}

// more reads one more operand.
func (r *parser) more(c *condition) error {
	o, err := r.operand()
	c.operands = append(c.operands, o)
	return err
}

func (r *parser) between(c *condition) error {
	if err := r.more(c); err != nil {
		return err
	}
	if !r.keyword("AND") {
		return r.unexpected()
	}
	return r.more(c)
}

func (r *parser) list(c *condition) error {
	if err := r.expect("("); err != nil {
		return err
	}
	for {
		if err := r.more(c); err != nil {
			return err
		}
		if !r.sign(",") {
			break
		}
	}
	if len(c.operands) > 101 {
		return invalid("Invalid expression: IN has %d operands, more than 100", len(c.operands)-1)
	}
	return r.expect(")")
}

// checkOrdered: what asks for an order takes values that have one.
func (c *condition) checkOrdered() error {
	if !slices.Contains([]string{"<", "<=", ">", ">=", "BETWEEN"}, c.op) {
		return nil
	}
	for _, o := range c.operands {
		if o.value != nil && !slices.Contains([]string{"S", "N", "B"}, typeName(o.value)) {
			return badOperand(c.op, o.value)
		}
	}
	if c.op != "BETWEEN" || c.operands[1].value == nil || c.operands[2].value == nil {
		return nil
	}
	if order, ok := orderValues(c.operands[1].value, c.operands[2].value); !ok || order > 0 {
		return invalid("Invalid expression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	}
	return nil
}

// holds says whether the condition is true of an item; nil is an absent one.
func (c *condition) holds(item attributes) bool {
	switch c.op {
	case "AND":
		return c.parts[0].holds(item) && c.parts[1].holds(item)
	case "OR":
		return c.parts[0].holds(item) || c.parts[1].holds(item)
	case "NOT":
		return !c.parts[0].holds(item)
	}
	first := c.operands[0].in(item)
	switch c.op {
	case "attribute_exists":
		return first != nil
	case "attribute_not_exists":
		return first == nil
	case "IN":
		return slices.ContainsFunc(c.operands[1:], func(o operand) bool { return same(first, o.in(item)) })
	case "BETWEEN":
		return ordered(">=", first, c.operands[1].in(item)) && ordered("<=", first, c.operands[2].in(item))
	default:
		return c.compares(first, c.operands[1].in(item))
	}
}

func (c *condition) compares(a, b types.AttributeValue) bool {
	switch c.op {
	case "=":
		return same(a, b)
	case "<>": // also true of an attribute that is not there
		return !same(a, b)
	case "begins_with":
		return beginsWith(a, b)
	case "contains":
		return containsValue(a, b)
	default:
		return ordered(c.op, a, b)
	}
}

func same(a, b types.AttributeValue) bool { return a != nil && b != nil && equalValues(a, b) }

func ordered(op string, a, b types.AttributeValue) bool {
	order, ok := orderValues(a, b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

func beginsWith(v, prefix types.AttributeValue) bool {
	switch prefix := prefix.(type) {
	case *types.AttributeValueMemberS:
		s, ok := v.(*types.AttributeValueMemberS)
		return ok && strings.HasPrefix(s.Value, prefix.Value)
	case *types.AttributeValueMemberB:
		b, ok := v.(*types.AttributeValueMemberB)
		return ok && strings.HasPrefix(string(b.Value), string(prefix.Value))
	default:
		return false
	}
}

// containsValue looks for a substring in a string, for an element in a set or
// list.
func containsValue(v, part types.AttributeValue) bool {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		s, ok := part.(*types.AttributeValueMemberS)
		return ok && strings.Contains(v.Value, s.Value)
	case *types.AttributeValueMemberSS:
		s, ok := part.(*types.AttributeValueMemberS)
		return ok && slices.Contains(v.Value, s.Value)
	case *types.AttributeValueMemberNS:
		n, ok := part.(*types.AttributeValueMemberN)
		return ok && slices.Contains(v.Value, n.Value)
	case *types.AttributeValueMemberL:
		return slices.ContainsFunc(v.Value, func(e types.AttributeValue) bool { return same(e, part) })
	default:
		return false
	}
}
