package simcloud

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// maxExpression is DynamoDB's limit of an expression, in bytes.
const maxExpression = 4096

// placeholders are the names and values of one request, and which of them its
// expressions have used: DynamoDB refuses what is unused.
type placeholders struct {
	names      map[string]string
	values     attributes
	usedNames  map[string]bool
	usedValues map[string]bool
	given      bool // an expression was parsed
}

func newPlaceholders(names map[string]string, values attributes) (*placeholders, error) {
	if names != nil && len(names) == 0 {
		return nil, invalid("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, invalid("ExpressionAttributeValues must not be empty")
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		if !isPlaceholder(key, "#") || names[key] == "" {
			return nil, invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !isPlaceholder(key, ":") {
			return nil, invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", key)
		}
	}
	own, err := copyItem(values)
	if err != nil {
		return nil, err
	}
	return &placeholders{names: names, values: own, usedNames: map[string]bool{}, usedValues: map[string]bool{}}, nil
}

// finish fails if something was given that no expression uses.
func (p *placeholders) finish() error {
	switch {
	case !p.given && p.names != nil:
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	case !p.given && len(p.values) > 0:
		return invalid("ExpressionAttributeValues can only be specified when using expressions")
	}
	for _, key := range slices.Sorted(maps.Keys(p.names)) {
		if !p.usedNames[key] {
			return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if !p.usedValues[key] {
			return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", key)
		}
	}
	return nil
}

// The kinds of token: a word, a #name, a :value, digits, or one of the signs.
const (
	wordToken   = 'w'
	nameToken   = '#'
	valueToken  = ':'
	digitsToken = '0'
	signToken   = '='
	endToken    = 'e'
)

type token struct {
	kind rune
	text string
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

func isPlaceholder(s, sign string) bool {
	rest, ok := strings.CutPrefix(s, sign)
	return ok && isWord(rest)
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// tokens cuts an expression up.
func tokens(text string) ([]token, error) {
	var out []token
	for i := 0; i < len(text); {
		t, err := nextToken(text[i:])
		if err != nil {
			return nil, err
		}
		i += len(t.text)
		if t.text = strings.TrimSpace(t.text); t.text != "" {
			out = append(out, t)
		}
	}
	return append(out, token{kind: endToken, text: "<EOF>"}), nil
}

func nextToken(rest string) (token, error) {
	if n := signLength(rest); n > 0 {
		return token{kind: signToken, text: rest[:n]}, nil
	}
	kind, start := rune(wordToken), 0
	if rest[0] == '#' || rest[0] == ':' {
		kind, start = rune(rest[0]), 1
	}
	end := start
	for end < len(rest) && isWord(rest[end:end+1]) {
		end++
	}
	text := rest[:end]
	switch {
	case end == start:
		return token{}, invalid("Invalid expression: Syntax error; token: %q", rest[:1])
	case isDigits(text):
		kind = digitsToken
	case isDigits(text[:1]):
		return token{}, invalid("Invalid expression: Syntax error; token: %q", text)
	}
	return token{kind: kind, text: text}, nil
}

// signLength is how long the sign is that the text begins with; 0: none.
func signLength(rest string) int {
	for _, sign := range []string{"<=", ">=", "<>"} {
		if strings.HasPrefix(rest, sign) {
			return 2
		}
	}
	if strings.IndexByte(" \t\r\n().,[]+-=<>", rest[0]) >= 0 {
		return 1
	}
	return 0
}

// parser reads one expression.
type parser struct {
	p    *placeholders
	rest []token
}

func (p *placeholders) parse(text string) (*parser, error) {
	p.given = true
	if text == "" {
		return nil, invalid("Invalid expression: The expression can not be empty;")
	}
	if len(text) > maxExpression {
		return nil, invalid("Invalid expression: Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	}
	all, err := tokens(text)
	if err != nil {
		return nil, err
	}
	return &parser{p: p, rest: all}, nil
}

func (r *parser) peek() token { return r.rest[0] }

func (r *parser) next() token {
	t := r.rest[0]
	if t.kind != endToken {
		r.rest = r.rest[1:]
	}
	return t
}

// sign takes the next token if it is this sign.
func (r *parser) sign(text string) bool {
	if t := r.peek(); t.kind == signToken && t.text == text {
		r.next()
		return true
	}
	return false
}

// keyword takes the next token if it is this word, in any case.
func (r *parser) keyword(text string) bool {
	if t := r.peek(); t.kind == wordToken && strings.EqualFold(t.text, text) {
		r.next()
		return true
	}
	return false
}

func (r *parser) expect(text string) error {
	if !r.sign(text) {
		return r.unexpected()
	}
	return nil
}

func (r *parser) end() error {
	if r.peek().kind != endToken {
		return r.unexpected()
	}
	return nil
}

func (r *parser) unexpected() error {
	return invalid("Invalid expression: Syntax error; token: %q", r.peek().text)
}

// step is one part of a document path: a name, or an index of a list.
type step struct {
	name  string
	index int
	list  bool
}

// docPath names an attribute, or a part of one.
type docPath []step

func (d docPath) String() string {
	var b strings.Builder
	for i, s := range d {
		switch {
		case s.list:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// in returns what the path names in an item; nil: nothing.
func (d docPath) in(item attributes) types.AttributeValue {
	v := types.AttributeValue(&types.AttributeValueMemberM{Value: item})
	for _, s := range d {
		switch at := v.(type) {
		case *types.AttributeValueMemberM:
			if s.list {
				return nil
			}
			v = at.Value[s.name]
		case *types.AttributeValueMemberL:
			if !s.list || s.index >= len(at.Value) {
				return nil
			}
			v = at.Value[s.index]
		default:
			return nil
		}
	}
	return v
}

// overlaps says whether one path contains the other.
func (d docPath) overlaps(other docPath) bool {
	n := min(len(d), len(other))
	return slices.Equal(d[:n], other[:n])
}

// path reads a document path.
func (r *parser) path() (docPath, error) {
	first, err := r.name()
	if err != nil {
		return nil, err
	}
	path := docPath{first}
	for {
		switch {
		case r.sign("."):
			s, err := r.name()
			if err != nil {
				return nil, err
			}
			path = append(path, s)
		case r.sign("["):
			t := r.next()
			n, err := strconv.Atoi(t.text)
			if t.kind != digitsToken || err != nil || r.expect("]") != nil {
				return nil, invalid("Invalid expression: Syntax error; token: %q", t.text)
			}
			path = append(path, step{index: n, list: true})
		default:
			return path, nil
		}
	}
}

func (r *parser) name() (step, error) {
	t := r.peek()
	switch {
	case t.kind == nameToken:
		name, ok := r.p.names[t.text]
		if !ok {
			return step{}, invalid("Invalid expression: An expression attribute name used in the document path is not defined; attribute name: %s", t.text)
		}
		r.p.usedNames[t.text] = true
		r.next()
		return step{name: name}, nil
	case t.kind == wordToken && reserved(t.text):
		return step{}, invalid("Invalid expression: Attribute name is a reserved keyword; reserved keyword: %s", t.text)
	case t.kind == wordToken:
		r.next()
		return step{name: t.text}, nil
	default:
		return step{}, r.unexpected()
	}
}

// value reads a :value.
func (r *parser) value() (types.AttributeValue, error) {
	t := r.next()
	v, ok := r.p.values[t.text]
	if !ok {
		return nil, invalid("Invalid expression: An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	r.p.usedValues[t.text] = true
	return v, nil
}

// projection reads a list of paths.
func (p *placeholders) projection(text string) ([]docPath, error) {
	r, err := p.parse(text)
	if err != nil {
		return nil, err
	}
	var out []docPath
	for {
		path, err := r.path()
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if path.overlaps(other) {
				return nil, invalid("Invalid ProjectionExpression: Two document paths overlap with each other: %s, %s", other, path)
			}
		}
		out = append(out, path)
		if !r.sign(",") {
			return out, r.end()
		}
	}
}
