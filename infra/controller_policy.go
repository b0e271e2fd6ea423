package infra

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy/file"
)

// ReadPolicies reads the policies of existing clusters, one a file, as plimsoll
// lint does, and checks them together: a cluster and a host group have one owner.
// The error lists all that is wrong, a line each, with the names of the files.
//
// A cluster that exists is observed until somebody writes mode: act. In a file
// without the key mode the policy's own default would be to act at once; here it
// is not.
func ReadPolicies(files ...string) (policy.Set, error) {
	var set policy.Set
	var wrong strings.Builder
	for _, name := range files {
		p, err := readPolicy(name)
		var problems policy.Problems
		if errors.As(err, &problems) {
			wrong.WriteString(problems.In(name))
			continue
		}
		if err != nil {
			return nil, err
		}
		set = append(set, p)
	}
	if wrong.Len() == 0 {
		for _, p := range set.Validate() {
			wrong.WriteString(together(p, files) + "\n")
		}
	}
	if wrong.Len() > 0 {
		return nil, fmt.Errorf("the policy is not valid, nothing was made\n%s", strings.TrimSuffix(wrong.String(), "\n"))
	}
	return set, nil
}

func readPolicy(name string) (policy.Policy, error) {
	raw, err := os.ReadFile(name) //nolint:gosec // the file that the deployer names
	if errors.Is(err, fs.ErrNotExist) {
		return policy.Policy{}, fmt.Errorf("there is no policy %s", name)
	}
	if err != nil {
		return policy.Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	p, err := file.Read(name, raw)
	if err == nil && !file.StatesMode(raw) {
		p.Mode = policy.Observe
	}
	return p, err
}

// together is a problem of several policies, with files instead of their numbers.
func together(p policy.Problem, files []string) string {
	for n, name := range files {
		number := fmt.Sprintf("[%d]", n)
		if rest, ok := strings.CutPrefix(p.Path, number+"."); ok {
			p.Path = name + ": " + rest
		}
		p.Found = strings.ReplaceAll(p.Found, "policy "+number, name)
	}
	return p.String()
}
