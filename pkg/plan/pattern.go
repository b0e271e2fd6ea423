package plan

import "strings"

// The operators =~ and !~ of the cluster query language take a regular
// expression of Java. This file knows the part of it that means the same
// everywhere: characters, the dot, classes, groups, alternatives and the
// quantifiers * + ?. Whatever is beyond that is not understood, which is never
// taken for a match.

// pattern is a compiled regular expression.
type pattern struct {
	match      matcher
	start, end bool // anchored by ^ and $
}

// matcher takes the places in s where a part of the pattern may begin and
// returns those where it may end. from has one more element than s has bytes.
// Sets of places instead of trials keep the cost polynomial.
type matcher func(s string, from []bool) []bool

const (
	patternDepth = 3   // groups within groups: each may multiply the cost
	patternValue = 256 // bytes of a value; ECS allows an attribute 128 characters
)

// compile returns the pattern, and whether it was understood.
func compile(text string) (pattern, bool) {
	p := pattern{}
	if !strings.Contains(text, "|") { // elsewhere an anchor belongs to one alternative
		text, p.start = strings.CutPrefix(text, "^")
		if strings.HasSuffix(text, "$") && !strings.HasSuffix(text, `\$`) {
			text, p.end = text[:len(text)-1], true
		}
	}
	c := &compiler{text: text, ok: true}
	p.match = c.alternatives(0)
	return p, c.ok && c.at == len(text)
}

// matches says whether the value matches. No document says whether ECS wants
// the whole value to match or a part of it; where that matters the answer is
// unknown.
func (p pattern) matches(value string) answer {
	if len(value) > patternValue {
		return unknown
	}
	from := make([]bool, len(value)+1)
	from[0] = true
	if p.match(value, from)[len(value)] {
		return yes
	}
	for i := range from {
		from[i] = i == 0 || !p.start
	}
	ends := p.match(value, from)
	for i, found := range ends {
		if found && (i == len(value) || !p.end) {
			return unknown
		}
	}
	return no
}

// compiler reads a pattern from left to right.
type compiler struct {
	text string
	at   int
	ok   bool // false once something was not understood
}

func (c *compiler) refuse() matcher {
	c.ok, c.at = false, len(c.text)
	return nothing
}

// more says whether the next byte is one of the set, or any where set is empty.
func (c *compiler) more(set string) bool {
	return c.at < len(c.text) && (set == "" || strings.IndexByte(set, c.text[c.at]) >= 0)
}

func (c *compiler) alternatives(depth int) matcher {
	all := []matcher{c.sequence(depth)}
	for c.more("|") {
		c.at++
		all = append(all, c.sequence(depth))
	}
	if len(all) == 1 {
		return all[0]
	}
	return func(s string, from []bool) []bool {
		ends := make([]bool, len(from))
		for _, m := range all {
			unite(ends, m(s, from))
		}
		return ends
	}
}

func (c *compiler) sequence(depth int) matcher {
	var all []matcher
	for c.more("") && !c.more("|)") {
		all = append(all, c.quantified(depth))
	}
	return func(s string, from []bool) []bool {
		for _, m := range all {
			from = m(s, from)
		}
		return from
	}
}

// quantified reads an atom and its quantifier. A lazy quantifier matches the
// same values as the plain one; a possessive one does not and is refused.
func (c *compiler) quantified(depth int) matcher {
	m := c.atom(depth)
	if !c.more("*+?") {
		return m
	}
	q := c.text[c.at]
	c.at++
	if c.more("?") {
		c.at++
	}
	if c.more("*+?{") {
		return c.refuse()
	}
	switch q {
	case '*':
		return repeat(m)
	case '+':
		again := repeat(m)
		return func(s string, from []bool) []bool { return again(s, m(s, from)) }
	}
	return func(s string, from []bool) []bool {
		ends := append([]bool(nil), from...)
		unite(ends, m(s, from))
		return ends
	}
}

func (c *compiler) atom(depth int) matcher {
	b := c.text[c.at]
	c.at++
	switch {
	case b == '.':
		return single(func(byte) bool { return true })
	case b == '[':
		return c.class()
	case b == '(':
		return c.group(depth + 1)
	case b == '\\':
		return c.escaped()
	case strings.IndexByte("*+?{}]^$", b) >= 0 || b >= 0x80:
		return c.refuse()
	}
	return literal(b)
}

func (c *compiler) group(depth int) matcher {
	if depth > patternDepth || c.more("?*+") {
		return c.refuse()
	}
	m := c.alternatives(depth)
	if !c.more(")") {
		return c.refuse()
	}
	c.at++
	return m
}

func (c *compiler) escaped() matcher {
	if !c.more(`.\-_[](){}*+?|^$/:@`) { // \d, \w and the like are not understood
		return c.refuse()
	}
	c.at++
	return literal(c.text[c.at-1])
}

// class reads a class such as [a-z0-9] after its opening bracket.
func (c *compiler) class() matcher {
	negated := c.more("^")
	if negated {
		c.at++
	}
	var in [256]bool
	for first := true; first || c.more("") && !c.more("]"); first = false {
		lo, hi, ok := c.span(first)
		if !ok {
			return c.refuse()
		}
		for b := int(lo); b <= int(hi); b++ {
			in[b] = true
		}
	}
	if !c.more("]") {
		return c.refuse()
	}
	c.at++
	return single(func(b byte) bool { return in[b] != negated })
}

// span reads one byte of a class, or a span of them. A dash stands for itself
// as the first byte of a class or the last.
func (c *compiler) span(first bool) (lo, hi byte, ok bool) {
	if !c.more("") || c.more("-") && !first && !c.dashLast() {
		return 0, 0, false
	}
	lo = c.text[c.at]
	c.at++
	hi = lo
	if c.more("-") && !c.dashLast() && c.at+1 < len(c.text) {
		hi = c.text[c.at+1]
		c.at += 2
	}
	return lo, hi, plain(lo) && plain(hi) && lo <= hi
}

// plain says whether a byte stands for itself in a class, whatever is around it.
func plain(b byte) bool { return b < 0x80 && strings.IndexByte(`[]\^&`, b) < 0 }

// dashLast says whether what comes next is a dash that closes a class.
func (c *compiler) dashLast() bool { return strings.HasPrefix(c.text[c.at:], "-]") }

func nothing(_ string, from []bool) []bool { return make([]bool, len(from)) }

func literal(want byte) matcher { return single(func(b byte) bool { return b == want }) }

func single(is func(byte) bool) matcher {
	return func(s string, from []bool) []bool {
		ends := make([]bool, len(from))
		for i := range len(s) {
			ends[i+1] = from[i] && is(s[i])
		}
		return ends
	}
}

// repeat matches m any number of times.
func repeat(m matcher) matcher {
	return func(s string, from []bool) []bool {
		ends := append([]bool(nil), from...)
		for fresh := from; ; {
			next := m(s, fresh)
			grown := false
			for i := range next {
				next[i] = next[i] && !ends[i]
				grown = grown || next[i]
			}
			if !grown {
				return ends
			}
			unite(ends, next)
			fresh = next
		}
	}
}

func unite(into, from []bool) {
	for i, b := range from {
		into[i] = into[i] || b
	}
}
