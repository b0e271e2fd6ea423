package infra

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// annotations are the errors and warnings that CDK and cdk-nag left in a cloud
// assembly, wherever in it.
func annotations(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, said(v)...)
	}
	return all
}

// said are the messages of the type error or warning in a JSON value.
func said(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			all = append(all, said(e)...)
		}
	case map[string]any:
		if kind, _ := v["type"].(string); kind == "aws:cdk:error" || kind == "aws:cdk:warning" {
			all = append(all, flat(v["data"]))
		}
		for _, e := range v {
			all = append(all, said(e)...)
		}
	}
	return all
}

func TestCdkNagFindsNothing(t *testing.T) {
	for _, a := range annotations(t, whole(t).folder) {
		t.Error(a)
	}
	planted, err := synthesise(t.TempDir(), ControllerProps{Policies: testPolicies()}, func(s awscdk.Stack) {
		awssqs.NewQueue(s, jsii.String("Bare"), nil)
		nag(s)
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Join(annotations(t, planted.folder), "\n"); !strings.Contains(found, "AwsSolutions-SQS4") || !strings.Contains(found, "AwsSolutions-SQS3") {
		t.Errorf("a queue without TLS and dead letters is not found: %s", found)
	}
}

// Rights are excused resource by resource, and of queues the one that no other
// queue names: TestNoRuleDropsWhatItCannotDeliver has that the rules do.
func TestEverySuppressionHasAReason(t *testing.T) {
	s := whole(t)
	ofTheRules := s.one(t, "AWS::SQS::Queue", "EventsQueueDead")
	for id, r := range s.Resources {
		rules, _ := resource{Properties: r.Metadata}.get("cdk_nag", "rules_to_suppress").([]any)
		for _, rule := range rules {
			m, _ := rule.(map[string]any)
			excused := m["id"] == "AwsSolutions-IAM5" && m["applies_to"] != nil || m["id"] == "AwsSolutions-SQS3" && id == ofTheRules
			if reason, _ := m["reason"].(string); len(strings.Fields(reason)) < 5 || !excused {
				t.Errorf("%s: %s", id, flat(m))
			}
		}
	}
}

// linter is cfn-lint of the repository's own virtual environment.
const linter = "../.venv/bin/cfn-lint"

func TestCfnLintFindsNothing(t *testing.T) {
	path, err := filepath.Abs(linter)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI wants cfn-lint: %v", err)
		}
		t.Skipf("LEFT OUT: cfn-lint, for want of %s", path)
	}
	still, err := observing()
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(wrong, []byte(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"VisibilityTimeout":-1}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []string{"plimsoll.template.json", "plimsoll.template.json", wrong}
	for n, s := range []template{whole(t), still} {
		files[n] = filepath.Join(s.folder, files[n])
	}
	out, err := exec.CommandContext(t.Context(), path, append([]string{"--format", "json"}, files...)...).Output()
	var findings []struct {
		Filename, Message string
		Rule              struct{ ID string }
	}
	if parsed := json.Unmarshal(out, &findings); parsed != nil {
		t.Fatalf("%v: %s, %v", parsed, out, err)
	}
	found := false
	for _, f := range findings {
		if f.Filename != wrong {
			t.Errorf("%s %s: %s", f.Rule.ID, f.Filename, f.Message)
		}
		found = found || f.Filename == wrong
	}
	if !found {
		t.Errorf("a negative time-out is not found: %s", out)
	}
}
