package simcloud

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// ecsConstraint is a placement constraint: distinctInstance, or memberOf with an
// expression in the cluster query language.
type ecsConstraint struct {
	distinct bool
	text     string // of memberOf
	holds    ecsQuery
}

// ecsQuery says whether a host is one of those that an expression describes.
type ecsQuery func(h *ecsHost) bool

func newConstraint(kind string, expression *string) (ecsConstraint, error) {
	switch types.PlacementConstraintType(kind) {
	case types.PlacementConstraintTypeDistinctInstance:
		return ecsConstraint{distinct: true}, nil
	case types.PlacementConstraintTypeMemberOf:
		text := aws.ToString(expression)
		holds, err := parseQuery(text)
		return ecsConstraint{text: text, holds: holds}, err
	default:
		return ecsConstraint{}, invalidParameter("Unknown placement constraint type %q.", kind)
	}
}

func (k ecsConstraint) describe() types.PlacementConstraint {
	if k.distinct {
		return types.PlacementConstraint{Type: types.PlacementConstraintTypeDistinctInstance}
	}
	return types.PlacementConstraint{Type: types.PlacementConstraintTypeMemberOf, Expression: aws.String(k.text)}
}

// parseQuery reads an expression of the cluster query language: comparisons of a
// subject joined by not, and, or (which bind in that order) and parentheses.
func parseQuery(text string) (ecsQuery, error) {
	p := &queryParser{words: queryWords(text), text: text}
	q, err := p.either()
	if err == nil && len(p.words) > 0 {
		err = p.fail()
	}
	return q, err
}

// queryWords splits an expression; parentheses, brackets and commas are words
// of their own.
func queryWords(text string) []string {
	var words []string
	word := ""
	flush := func() {
		if word != "" {
			words = append(words, word)
		}
		word = ""
	}
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			flush()
		case strings.ContainsRune("()[],", r):
			flush()
			words = append(words, string(r))
		default:
			word += string(r)
		}
	}
	flush()
	return words
}

type queryParser struct {
	words []string
	text  string
}

func (p *queryParser) fail() error {
	return invalidParameter("Invalid expression: %q.", p.text)
}

// accept takes the next word if it is one of those.
func (p *queryParser) accept(words ...string) bool {
	if len(p.words) == 0 || !slices.Contains(words, p.words[0]) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *queryParser) next() (string, error) {
	if len(p.words) == 0 || strings.Contains("()[],", p.words[0]) {
		return "", p.fail()
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word, nil
}

func (p *queryParser) either() (ecsQuery, error) {
	left, err := p.both()
	for err == nil && p.accept("or", "||") {
		var right ecsQuery
		one := left
		right, err = p.both()
		left = func(h *ecsHost) bool { return one(h) || right(h) }
	}
	return left, err
}

func (p *queryParser) both() (ecsQuery, error) {
	left, err := p.term()
	for err == nil && p.accept("and", "&&") {
		var right ecsQuery
		one := left
		right, err = p.term()
		left = func(h *ecsHost) bool { return one(h) && right(h) }
	}
	return left, err
}

func (p *queryParser) term() (ecsQuery, error) {
	if p.accept("not", "!") {
		q, err := p.term()
		return func(h *ecsHost) bool { return !q(h) }, err
	}
	if !p.accept("(") {
		return p.comparison()
	}
	q, err := p.either()
	if err == nil && !p.accept(")") {
		err = p.fail()
	}
	return q, err
}

// querySubject gives a host's values of what is compared: none if it has none.
type querySubject func(h *ecsHost) []string

func (p *queryParser) comparison() (ecsQuery, error) {
	name, err := p.next()
	if err != nil {
		return nil, err
	}
	subject, err := p.subject(name)
	if err != nil {
		return nil, err
	}
	operator, err := p.next()
	if err != nil {
		return nil, err
	}
	return p.operate(subject, operator)
}

func (p *queryParser) subject(name string) (querySubject, error) {
	if attribute, ok := strings.CutPrefix(name, "attribute:"); ok {
		return func(h *ecsHost) []string {
			if value, ok := h.attribute(attribute); ok {
				return []string{value}
			}
			return nil
		}, nil
	}
	switch name {
	case "ec2InstanceId":
		return func(h *ecsHost) []string { return []string{h.instance.id} }, nil
	case "agentConnected":
		return func(h *ecsHost) []string { return []string{strconv.FormatBool(h.connected)} }, nil
	case "runningTasksCount":
		return func(h *ecsHost) []string { return []string{strconv.Itoa(h.running())} }, nil
	case "task:group":
		return func(h *ecsHost) []string { return h.groups() }, nil
	case "registeredAt", "agentVersion":
		return nil, notSimulated("the subject %s of the cluster query language", name)
	}
	return nil, p.fail()
}

// operate completes a comparison. A negated operator holds where its opposite
// does not, also for a host without the subject.
func (p *queryParser) operate(subject querySubject, operator string) (ecsQuery, error) {
	positive, negated := strings.CutPrefix(operator, "!")
	switch operator {
	case "!=", "not_equals":
		positive, negated = "==", true
	case "not_exists", "not_in", "not_matches":
		positive, negated = strings.TrimPrefix(operator, "not_"), true
	case "!~":
		positive, negated = "=~", true
	}
	match, err := p.match(positive)
	if err != nil {
		return nil, err
	}
	return func(h *ecsHost) bool {
		return slices.ContainsFunc(subject(h), match) != negated
	}, nil
}

// match reads the operand of an operator and gives the test of one value.
func (p *queryParser) match(operator string) (func(value string) bool, error) {
	switch operator {
	case "exists":
		return func(string) bool { return true }, nil
	case "in":
		list, err := p.list()
		return func(value string) bool { return slices.Contains(list, value) }, err
	}
	operand, err := p.next()
	if err != nil {
		return nil, err
	}
	switch operator {
	case "==", "equals":
		return func(value string) bool { return value == operand }, nil
	case "=~", "matches":
		pattern, err := regexp.Compile("^(?:" + operand + ")$")
		if err != nil {
			return nil, p.fail()
		}
		return pattern.MatchString, nil
	}
	return p.order(operator, operand)
}

func (p *queryParser) order(operator, operand string) (func(value string) bool, error) {
	limit, err := strconv.ParseFloat(operand, 64)
	if err != nil {
		return nil, p.fail()
	}
	holds := map[string]func(n float64) bool{
		">": func(n float64) bool { return n > limit }, "greater_than": func(n float64) bool { return n > limit },
		"<": func(n float64) bool { return n < limit }, "less_than": func(n float64) bool { return n < limit },
		">=": func(n float64) bool { return n >= limit }, "greater_than_equal": func(n float64) bool { return n >= limit },
		"<=": func(n float64) bool { return n <= limit }, "less_than_equal": func(n float64) bool { return n <= limit },
	}[operator]
	if holds == nil {
		return nil, p.fail()
	}
	return func(value string) bool {
		n, err := strconv.ParseFloat(value, 64)
		return err == nil && holds(n)
	}, nil
}

// list reads [a, b, c].
func (p *queryParser) list() ([]string, error) {
	if !p.accept("[") {
		return nil, p.fail()
	}
	var all []string
	for {
		word, err := p.next()
		if err != nil {
			return nil, err
		}
		all = append(all, word)
		if p.accept("]") {
			return all, nil
		}
		if !p.accept(",") {
			return nil, p.fail()
		}
	}
}
