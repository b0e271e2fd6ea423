package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// The cluster query language of ECS, as a memberOf constraint uses it:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-query-language.html

// answer is what is known about a question. Unknown is not yes.
type answer int8

// The answers, so ordered that "and" is the smaller of two and "or" the larger.
const (
	no answer = iota
	unknown
	yes
)

// query says whether a host with so many running tasks satisfies an expression.
type query func(s *site, running int) answer

// expression is a parsed memberOf constraint.
type expression struct {
	holds  query
	counts bool // it asks for runningTasksCount, whose answer changes as tasks are placed
}

// expressionLength is the longest expression that ECS takes.
const expressionLength = 2000

// parse reads an expression. One that cannot be read is answered with unknown
// for every host.
func parse(text string) expression {
	p := &parser{text: text, ok: len(text) <= expressionLength}
	q := p.anyOf()
	p.space()
	if !p.ok || p.at != len(text) {
		return expression{holds: dunno}
	}
	return expression{holds: q, counts: p.counts}
}

// expressions parses the memberOf constraints of both lists.
func expressions(of ...[]cluster.Constraint) []expression {
	var all []expression
	for _, c := range slices.Concat(of...) {
		switch c.Type {
		case "memberOf":
			all = append(all, parse(c.Expression))
		case "distinctInstance":
		default: // a type that is not known may forbid anything
			all = append(all, expression{holds: dunno})
		}
	}
	return all
}

func dunno(*site, int) answer { return unknown }

// parser reads an expression from left to right.
type parser struct {
	text   string
	at     int
	ok     bool // false once something was not understood
	counts bool
}

func (p *parser) refuse() query {
	p.ok, p.at = false, len(p.text)
	return dunno
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// sign takes the next bytes if they are s.
func (p *parser) sign(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// word takes the next word if it is w and ends there.
func (p *parser) word(w string) bool {
	p.space()
	end := p.at + len(w)
	if !strings.HasPrefix(p.text[p.at:], w) || end < len(p.text) && wordByte(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

func wordByte(b byte) bool {
	return strings.IndexByte("_-.:/@", b) >= 0 || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

func (p *parser) anyOf() query {
	q := p.allOf()
	for p.sign("||") || p.word("or") {
		a, b := q, p.allOf()
		q = func(s *site, running int) answer { return max(a(s, running), b(s, running)) }
	}
	return q
}

func (p *parser) allOf() query {
	q := p.negated()
	for p.sign("&&") || p.word("and") {
		a, b := q, p.negated()
		q = func(s *site, running int) answer { return min(a(s, running), b(s, running)) }
	}
	return q
}

func (p *parser) negated() query {
	if p.sign("!") || p.word("not") {
		q := p.negated()
		return func(s *site, running int) answer { return yes - q(s, running) }
	}
	if !p.sign("(") {
		return p.comparison()
	}
	q := p.anyOf()
	if !p.sign(")") {
		return p.refuse()
	}
	return q
}

// comparison reads: subject operator [argument].
func (p *parser) comparison() query {
	p.space()
	from := p.at
	for p.at < len(p.text) && wordByte(p.text[p.at]) {
		p.at++
	}
	subject := p.text[from:p.at]
	op, known := p.operator()
	if subject == "" || !known {
		return p.refuse()
	}
	test, ok := p.argument(op)
	if !ok {
		return p.refuse()
	}
	return p.about(subject, op, test)
}

// spelling of an operator: as signs or as a word.
type spelling struct{ op, sign, word string }

// spellings lists the operators, longer signs before those that they begin with.
func spellings() []spelling {
	return []spelling{
		{"==", "==", "equals"},
		{"!=", "!=", "not_equals"},
		{">=", ">=", "greater_than_equal"},
		{">", ">", "greater_than"},
		{"<=", "<=", "less_than_equal"},
		{"<", "<", "less_than"},
		{"exists", "", "exists"},
		{"!exists", "", "not_exists"},
		{"!exists", "", "!exists"},
		{"in", "", "in"},
		{"!in", "", "not_in"},
		{"!in", "", "!in"},
		{"=~", "=~", "matches"},
		{"!~", "!~", "not_matches"},
	}
}

func (p *parser) operator() (string, bool) {
	for _, s := range spellings() {
		if s.sign != "" && p.sign(s.sign) || p.word(s.word) {
			return s.op, true
		}
	}
	return "", false
}

// argument reads what the operator compares with and returns the comparison.
func (p *parser) argument(op string) (func(value string) answer, bool) {
	switch op {
	case "exists", "!exists":
		return func(string) answer { return yes }, true // of a value that is there
	case "in", "!in":
		list, ok := p.list()
		return func(v string) answer { return sure(slices.Contains(list, v)) }, ok
	case "=~", "!~":
		text, ok := p.literal(")")
		re, understood := compile(text)
		return re.matches, ok && understood
	case "==", "!=":
		text, ok := p.literal("()[],=<>!~")
		return func(v string) answer { return sure(v == text) }, ok
	}
	text, ok := p.literal("()[],=<>!~")
	return func(v string) answer { return ordered(v, op, text) }, ok
}

// literal reads a quoted or a bare value. A bare one ends at white space, at a
// Boolean operator and at the bytes of ends; within groups of its own a
// closing parenthesis belongs to it.
func (p *parser) literal(ends string) (string, bool) {
	p.space()
	if p.at < len(p.text) && strings.IndexByte(`'"`, p.text[p.at]) >= 0 {
		quote := p.text[p.at : p.at+1]
		text, _, closed := strings.Cut(p.text[p.at+1:], quote)
		p.at = min(p.at+len(text)+2, len(p.text))
		return text, closed
	}
	from, open := p.at, 0
	for ; p.at < len(p.text); p.at++ {
		b, rest := p.text[p.at], p.text[p.at:]
		if open == 0 && strings.IndexByte(ends, b) >= 0 || strings.IndexByte(" \t\r\n'\"", b) >= 0 ||
			strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") {
			break
		}
		switch b {
		case '(':
			open++
		case ')':
			open--
		}
	}
	return p.text[from:p.at], p.at > from
}

// list reads [a, b].
func (p *parser) list() ([]string, bool) {
	if !p.sign("[") {
		return nil, false
	}
	var all []string
	for {
		text, ok := p.literal(",()[]")
		if !ok {
			return nil, false
		}
		all = append(all, text)
		if p.sign("]") {
			return all, true
		}
		if !p.sign(",") {
			return nil, false
		}
	}
}

// about binds a comparison to what it is about. Each subject takes the
// operators that ECS documents for it.
func (p *parser) about(subject, op string, test func(string) answer) query {
	negative := strings.HasPrefix(op, "!")
	if name, ok := strings.CutPrefix(subject, "attribute:"); ok && name != "" {
		return ofAttribute(name, op, turn(test, negative))
	}
	equality := slices.Contains([]string{"==", "!=", "in", "!in", "=~", "!~"}, op)
	order := slices.Contains([]string{"==", "!=", ">", ">=", "<", "<="}, op)
	test = turn(test, negative)
	switch {
	case subject == "ec2InstanceId" && equality:
		return func(s *site, _ int) answer { return test(s.host.ID) }
	case subject == "agentConnected" && equality:
		return func(s *site, _ int) answer { return test(strconv.FormatBool(s.host.AgentConnected)) }
	case subject == "runningTasksCount" && order:
		p.counts = true
		return func(_ *site, running int) answer { return test(strconv.Itoa(running)) }
	}
	return p.refuse() // agentVersion, registeredAt, task:group and what nobody knows
}

func turn(test func(string) answer, negative bool) func(string) answer {
	if !negative {
		return test
	}
	return func(v string) answer { return yes - test(v) }
}

// ofAttribute asks for an attribute. One that the host does not have exists
// not and equals nothing; whether ECS takes it to differ from a value is
// documented nowhere.
func ofAttribute(name, op string, test func(string) answer) query {
	absent := no
	switch op {
	case "!exists":
		absent = yes
	case "!=", "!in", "!~":
		absent = unknown
	}
	return func(s *site, _ int) answer {
		if v, ok := s.attribute(name); ok {
			return test(v)
		}
		return absent
	}
}

func sure(b bool) answer {
	if b {
		return yes
	}
	return no
}

// ordered compares whole numbers. How ECS orders other values is documented
// nowhere.
func ordered(value, op, with string) answer {
	a, err := strconv.ParseInt(value, 10, 64)
	b, wrong := strconv.ParseInt(with, 10, 64)
	if err != nil || wrong != nil {
		return unknown
	}
	switch op {
	case ">":
		return sure(a > b)
	case ">=":
		return sure(a >= b)
	case "<":
		return sure(a < b)
	}
	return sure(a <= b)
}
