package plan

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

func TestExpressions(t *testing.T) {
	s := &site{host: cluster.Host{
		ID: "i-0a", Zone: "us-east-1a", Type: "g2.2xlarge", AgentConnected: true,
		Attributes: map[string]string{"stack": "prod", "empty": "", "size": "12", "note": "two words", "ecs.os-type": "linux", "a/b": "c:d"},
	}}
	const running = 3
	tests := []struct {
		name string
		text string
		want answer
	}{
		{"an attribute has the value", "attribute:stack == prod", yes},
		{"an attribute has another value", "attribute:stack == test", no},
		{"the word for ==", "attribute:stack equals prod", yes},
		{"no white space is needed around signs", "attribute:stack==prod&&attribute:size!=13", yes},
		{"values are compared as they are written", "attribute:stack == Prod", no},
		{"an attribute that is not there equals nothing", "attribute:gone == prod", no},
		{"an attribute with an empty value is there", "attribute:empty exists", yes},
		{"quotes hold white space", "attribute:note == 'two words'", yes},
		{"double quotes as well", `attribute:note == "two words"`, yes},
		{"the zone is an attribute", "attribute:ecs.availability-zone == us-east-1a", yes},
		{"the type is an attribute", "attribute:ecs.instance-type == g2.2xlarge", yes},
		{"names and values may hold slashes and colons", "attribute:a/b == c:d", yes},

		{"another value differs", "attribute:stack != test", yes},
		{"the same value does not differ", "attribute:stack not_equals prod", no},
		{"whether an absent attribute differs is not documented", "attribute:gone != prod", unknown},

		{"exists", "attribute:stack exists", yes},
		{"exists, of what is absent", "attribute:gone exists", no},
		{"!exists", "attribute:plimsoll.cordon !exists", yes},
		{"!exists, of what is there", "attribute:stack !exists", no},
		{"not_exists", "attribute:gone not_exists", yes},

		{"in a list", "attribute:ecs.availability-zone in [us-east-1b, us-east-1a]", yes},
		{"in a list without white space", "attribute:stack in [prod]", yes},
		{"not in a list", "attribute:stack in [test,dev]", no},
		{"!in", "attribute:stack !in [test, dev]", yes},
		{"not_in", "attribute:stack not_in [prod, dev]", no},
		{"instances by a list of quoted ids", "ec2InstanceId in ['i-0b', 'i-0a']", yes},
		{"the instance id", "ec2InstanceId != i-0a", no},

		{"numbers are compared as numbers", "attribute:size > 9", yes},
		{">= holds of equals", "attribute:size greater_than_equal 12", yes},
		{"> does not", "attribute:size > 12", no},
		{"< does not", "attribute:size less_than 12", no},
		{"<=", "attribute:size <= 12", yes},
		{"how words are ordered is not documented", "attribute:stack > alpha", unknown},
		{"an absent attribute is not larger", "attribute:gone > 1", no},

		{"a pattern matches the whole value", "attribute:ecs.instance-type =~ g2.*", yes},
		{"a pattern that occurs nowhere", "attribute:ecs.instance-type =~ t2.*", no},
		{"a pattern that matches a part: not documented", "attribute:ecs.instance-type =~ g2", unknown},
		{"not even a part matches", "attribute:ecs.instance-type !~ t2.*", yes},
		{"a mismatch of what matches", "attribute:ecs.instance-type not_matches g2.*", no},
		{"a mismatch of what matches in part: not documented", "attribute:ecs.instance-type !~ 2xlarge", unknown},
		{"patterns with groups", "attribute:ecs.instance-type matches (t2|g2).*", yes},
		{"a pattern in parentheses", "(attribute:ecs.instance-type =~ g2.*)", yes},
		{"a pattern that this reader does not know", `attribute:stack =~ \w+`, unknown},

		{"the number of tasks", "runningTasksCount == 3", yes},
		{"fewer tasks", "runningTasksCount < 3", no},
		{"at most so many", "runningTasksCount <= 3 and runningTasksCount >= 3", yes},
		{"the agent is connected", "agentConnected == true", yes},
		{"it is not disconnected", "agentConnected == false", no},

		{"both", "attribute:stack == prod and runningTasksCount > 2", yes},
		{"both but one", "attribute:stack == prod && runningTasksCount > 3", no},
		{"either", "attribute:stack == test or runningTasksCount > 2", yes},
		{"neither", "attribute:stack == test || runningTasksCount > 3", no},
		{"and binds closer than or", "attribute:stack exists or attribute:stack exists and attribute:gone exists", yes},
		{"parentheses bind closest", "(attribute:stack exists or attribute:stack exists) and attribute:gone exists", no},
		{"not", "not(attribute:stack == test)", yes},
		{"!", "!(attribute:stack == prod)", no},
		{"not twice", "not not attribute:stack exists", yes},
		{"not binds closer than and", "not attribute:gone exists and attribute:stack exists", yes},
		{"two lines", "attribute:stack exists\n and attribute:size exists", yes},

		{"no needs not know the rest: and", "attribute:gone exists and attribute:gone != x", no},
		{"yes needs not know the rest: or", "attribute:stack exists or attribute:gone != x", yes},
		{"not of unknown is unknown", "not attribute:gone != x", unknown},
		{"unknown and yes", "attribute:gone != x and attribute:stack exists", unknown},

		{"the tasks' group", "task:group == service:web", unknown},
		{"the agent's version", "agentVersion > 1.2.3", unknown},
		{"the registration", "registeredAt <= 2020-06-18", unknown},
		{"one part that is not understood spoils all", "task:group == a or attribute:stack exists", unknown},
		{"an operator that the subject does not take", "runningTasksCount =~ 3", unknown},
		{"an operator that the subject does not take, exists", "ec2InstanceId exists", unknown},
		{"nothing", "", unknown},
		{"no operator", "attribute:stack", unknown},
		{"no value", "attribute:stack ==", unknown},
		{"no name", "attribute: exists", unknown},
		{"an open parenthesis", "(attribute:stack exists", unknown},
		{"a closing one too many", "attribute:stack exists)", unknown},
		{"an open list", "attribute:stack in [prod", unknown},
		{"an empty list", "attribute:stack in []", unknown},
		{"an open quote", "attribute:stack == 'prod", unknown},
		{"two values", "attribute:stack == prod test", unknown},
		{"words that only begin like operators", "attribute:stack existsnot", unknown},
		{"longer than ECS takes", "attribute:stack == prod" + strings.Repeat(" ", expressionLength), unknown},
	}
	for _, tt := range tests {
		if got := parse(tt.text).holds(s, running); got != tt.want {
			t.Errorf("%s: %q is answered with %d, want %d", tt.name, tt.text, got, tt.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		text, value string
		want        answer
	}{
		{"abc", "abc", yes},
		{"abc", "abd", no},
		{"abc", "xabcx", unknown},
		{"^abc$", "abc", yes},
		{"^b", "abc", no},
		{"^a", "abc", unknown},
		{"c$", "abc", unknown},
		{"b$", "abc", no},
		{"a.c", "abc", yes},
		{`a\.c`, "abc", no},
		{`a\.c`, "a.c", yes},
		{"ab*c", "ac", yes},
		{"ab*c", "abbbc", yes},
		{"ab+c", "ac", no},
		{"ab?c", "abc", yes},
		{"ab?c", "abbc", no},
		{"ab*?c", "abbc", yes},
		{"(a|b)+", "abba", yes},
		{"(a|bc)*d", "abcad", yes},
		{"a|b|", "", yes},
		{"(ab)?", "a", unknown},
		{"[a-c]+", "abc", yes},
		{"[a-c]", "d", no},
		{"[^a-c]", "d", yes},
		{"[^a-c]", "a", no},
		{"[-a]+", "a-", yes},
		{"[a-]+", "-a", yes},
		{".*", "", yes},
		{"", "", yes},
		{"", "a", unknown},
		{"(a*)*", "aaa", yes},
		{"(a*)*b", "aaa", no},
	}
	for _, tt := range tests {
		p, ok := compile(tt.text)
		if got := p.matches(tt.value); !ok || got != tt.want {
			t.Errorf("%q of %q: %d, understood %v, want %d", tt.text, tt.value, got, ok, tt.want)
		}
	}
	for _, text := range []string{`\d`, "a{2}", "a**", "a*+", "(?i)a", "(a", "a)", "[a", "[]", "[[a]]", "[a&&b]", "[z-a]", "*a", "a^b", "a$b", "ä", "^a|b", `a\`, "((((a))))", "[a-", "[^]", "[a-]x]"[:2]} {
		if _, ok := compile(text); ok {
			t.Errorf("%q was understood", text)
		}
	}
	long, _ := compile(".*")
	if long.matches(strings.Repeat("a", patternValue+1)) != unknown {
		t.Error("a value beyond all bounds was looked at")
	}
}

// TestExpressionsOfAnyWords puts together what expressions are made of: none
// makes the reader fail, none is both, and what is understood is turned round
// by not.
func TestExpressionsOfAnyWords(t *testing.T) {
	parts := []string{
		"attribute:stack", "attribute:gone", "runningTasksCount", "ec2InstanceId", "agentConnected", "task:group", "==", "!=", ">", "<=", "=~", "!~",
		"in", "!in", "exists", "!exists", "and", "or", "not", "!", "&&", "||", "(", ")", "[", "]", ",", "prod", "3", "'", "g2.*", "(a|b)+", `\`, " ", "ä", "\x00", "=", "[a-z]",
	}
	s := &site{host: cluster.Host{ID: "i-0a", Attributes: map[string]string{"stack": "prod"}}}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(t, "parts"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		got, turned := parse(text).holds(s, 3), parse("not ("+text+")").holds(s, 3)
		if got < no || got > yes || turned != yes-got {
			t.Fatalf("%q is %d, turned round %d", text, got, turned)
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"attribute:stack == prod", "not(task:group == a)", "a in ['x', y]", "attribute:stack =~ (a|b*)+[^c-d]?", "!("} {
		f.Add(seed)
	}
	s := &site{host: cluster.Host{ID: "i-0a", Attributes: map[string]string{"stack": "prod"}}}
	f.Fuzz(func(t *testing.T, text string) {
		if got := parse(text).holds(s, 3); got < no || got > yes {
			t.Fatalf("%q is answered with %d", text, got)
		}
	})
}
