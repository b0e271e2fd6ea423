package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// places are the lines at which a file's keys and list items stand, by path.
type places struct {
	lines      map[string]int
	unreadable bool // the file is not one YAML document
}

// line is where a path stands, or for one that the file lacks where the nearest
// path above it does.
func (p places) line(path string) int {
	for path != "" {
		if n, known := p.lines[path]; known {
			return n
		}
		path = parent(path)
	}
	return 0
}

// locate finds the lines of a file, and what is wrong with it as YAML.
func locate(raw []byte) (places, policy.Problems) {
	p := places{lines: map[string]int{}}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var root, another yaml.Node
	if err := dec.Decode(&root); err != nil {
		p.unreadable = true
		return p, policy.Problems{unreadable(err)}
	}
	if err := dec.Decode(&another); !errors.Is(err, io.EOF) {
		p.unreadable = true
		return p, policy.Problems{{Line: another.Line, Found: "more after the end of the document", Allowed: "one cluster's policy a file", Help: "write each cluster's policy to a file of its own"}}
	}
	var problems policy.Problems
	for _, n := range root.Content {
		problems = append(problems, p.walk("", n)...)
	}
	return p, problems
}

// unreadable is a parser's error as a problem, with the line that it names.
func unreadable(err error) policy.Problem {
	if errors.Is(err, io.EOF) {
		return policy.Problem{Found: "an empty file", Allowed: "a policy", Help: "begin with version: 1"}
	}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	p := policy.Problem{Found: "a file that is no YAML: " + message, Allowed: "YAML or JSON"}
	if m := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(message); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // digits by the pattern; a line past an int's is not known
	}
	return p
}

// walk notes the lines below a node. It does not follow aliases: what they stand
// for has its own place, and they may multiply without end.
func (p places) walk(path string, n *yaml.Node) policy.Problems {
	var problems policy.Problems
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			p.lines[at] = item.Line
			problems = append(problems, p.walk(at, item)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := joined(path, key.Value)
			if first, twice := p.lines[at]; twice {
				problems = append(problems, policy.Problem{Path: at, Line: key.Line, Found: fmt.Sprintf("the key a second time, after line %d", first), Allowed: "once", Help: "remove one of the two"})
				continue
			}
			p.lines[at] = key.Line
			problems = append(problems, p.walk(at, n.Content[i+1])...)
		}
	default: // nothing is below it
	}
	return problems
}

// joined is a path with a key more.
func joined(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }
