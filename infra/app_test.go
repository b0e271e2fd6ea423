package infra

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// goodPolicy is the least that a policy is.
const goodPolicy = "version: 1\ncluster: %s\nhosts: [{group: %g, min: 1, max: 3}]\nservices: {web: {tasks: {min: 1, max: 2}, scale: [{metric: cpu, target: 60}]}}\n"

func policyOf(cluster, group string) string {
	return strings.NewReplacer("%s", cluster, "%g", group).Replace(goodPolicy)
}

// trial is a folder in which the app runs.
type trial struct {
	t       *testing.T
	context map[string]any
	env     map[string]string
	dist    string
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	t.Chdir(t.TempDir())
	d := &trial{t: t, context: map[string]any{}, env: map[string]string{}, dist: "dist"}
	for _, f := range functions() {
		if err := program(d.dist, f.name, arm()); err != nil {
			t.Fatal(err)
		}
	}
	d.write("plimsoll.yaml", policyOf("prod", "prod-a"))
	return d
}

func (d *trial) write(name, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs the app and returns its exit code, what it told, and the templates.
func (d *trial) run() (int, string, []string) {
	d.t.Helper()
	var told bytes.Buffer
	out, err := filepath.Abs("cdk.out") // CDK's own process is in another folder
	if err != nil {
		d.t.Fatal(err)
	}
	code := synth(awscdk.AppProps{Outdir: &out, Context: &d.context}, func(name string) string { return d.env[name] }, &told)
	templates, err := filepath.Glob(filepath.Join(out, "*.template.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	return code, told.String(), templates
}

func TestBadInputIsToldAndNothingIsMade(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*trial)
		want   string
	}{
		{"a policy with a bound the wrong way round", func(d *trial) {
			d.write("plimsoll.yaml", strings.Replace(policyOf("prod", "g"), "max: 3", "max: 0", 1))
		}, "plimsoll.yaml:3: hosts[0].max: found 0, allowed"},
		{"a policy with a key that does not exist", func(d *trial) {
			d.write("plimsoll.yaml", policyOf("prod", "g")+"colour: red\n")
		}, "plimsoll.yaml:5: colour: found"},
		{"a policy that is no YAML", func(d *trial) { d.write("plimsoll.yaml", "{") }, "plimsoll.yaml"},
		{"a policy that is not there", func(d *trial) { d.context["policy"] = "other.yaml" }, "there is no policy other.yaml"},
		{"the environment names one that is not there", func(d *trial) { d.env["PLIMSOLL_POLICY"] = "third.yaml" }, "there is no policy third.yaml"},
		{"neither a policy nor the example", func(*trial) { _ = os.Remove("plimsoll.yaml") }, "there is no policy docs/plimsoll.example.yaml"},
		{"two clusters with one host group", func(d *trial) {
			d.write("stage.yaml", policyOf("stage", "prod-a"))
			d.context["policy"] = "plimsoll.yaml,stage.yaml"
		}, `stage.yaml: hosts[0].group: found "prod-a", which plimsoll.yaml has too`},
		{"two policies of one cluster", func(d *trial) {
			d.write("again.yaml", policyOf("prod", "other"))
			d.context["policy"] = "plimsoll.yaml,again.yaml"
		}, `again.yaml: cluster: found "prod", which plimsoll.yaml has too`},
		{"one group twice in a policy", func(d *trial) {
			d.write("plimsoll.yaml", strings.Replace(policyOf("prod", "g"), "max: 3}]", "max: 3}, {group: g, min: 1, max: 2}]", 1))
		}, "plimsoll.yaml:3: hosts[1].group: found"},
		{"a function that was not built", func(*trial) { _ = os.Remove("dist/reconcile/bootstrap") }, "there is no dist/reconcile/bootstrap: run make build first"},
		{"one that was built for another machine", func(d *trial) { d.write("dist/ingest/bootstrap", "\x7fELF\x02\x01 on something else") }, "dist/ingest/bootstrap is no program for Linux on arm64"},
		{"a policy that is a number", func(d *trial) { d.context["policy"] = 7 }, "the context's policy must be a text or a list of texts, not 7"},
		{"a list of policies with a number", func(d *trial) { d.context["policy"] = []any{"plimsoll.yaml", 7} }, "the context's policy must be a list of texts, and 7 is none"},
		{"a list with a policy that is not there", func(d *trial) { d.context["policy"] = []string{"plimsoll.yaml", "other.yaml"} }, "there is no policy other.yaml"},
		{"a host role that is true", func(d *trial) { d.context["hostRoles"] = true }, "the context's hostRoles must be a text or a list of texts, not true"},
		{"all roles as host role", func(d *trial) { d.context["hostRoles"] = "*" }, `the host role "*" must be a role's ARN in full`},
		{"a host role with a wildcard", func(d *trial) {
			d.context["hostRoles"] = []string{testHostRole, "arn:aws:iam::111122223333:role/h?sts"}
		}, `the host role "arn:aws:iam::111122223333:role/h?sts" must be`},
		{"every account's host role", func(d *trial) { d.context["hostRoles"] = "arn:aws:iam::*:role/hosts" }, "must be a role's ARN in full"},
		{"all hosted zones", func(d *trial) { d.context["hostedZones"] = "*" }, `the hosted zone "*" must be its id alone`},
		{"a hosted zone with what stands before it", func(d *trial) { d.context["hostedZones"] = "/hostedzone/Z1" }, `the hosted zone "/hostedzone/Z1" must be its id alone`},
		{"a host group's name that stands for others", func(d *trial) { d.write("plimsoll.yaml", policyOf("prod", `"prod-*"`)) }, `hosts[0].group: found "prod-*", allowed 1 to 255 printable ASCII characters without a colon, * or ?`},
		{"a stack with two names", func(d *trial) { d.context["stack"] = []string{"a", "b"} }, "the context's stack must be a text, the stack's name, not [a b]"},
		{"a name that no stack can have", func(d *trial) { d.context["stack"] = "no name" }, "no name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newTrial(t)
			row.change(d)
			code, told, templates := d.run()
			if code != 1 || !strings.HasPrefix(told, "plimsoll: ") || !strings.Contains(told, row.want) || len(templates) > 0 {
				t.Errorf("exit %d, templates %v, told %q", code, templates, told)
			}
			if strings.Contains(told, "goroutine") || strings.Contains(told, "\tat ") || strings.Count(told, "\n") > 3 {
				t.Errorf("that is no plain sentence: %s", told)
			}
		})
	}
}

func TestAControllerWithAWrongPolicyIsNotMade(t *testing.T) {
	twice := append(testPolicies(), testPolicies()[0])
	for _, row := range []struct {
		set  policy.Set
		want string
	}{{nil, "no policy"}, {twice, `[2].cluster: found "prod", which policy [0] has too`}} {
		_, err := synthesise(t.TempDir(), ControllerProps{Policies: row.set}, func(awscdk.Stack) {})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v, want %q", err, row.want)
		}
	}
}

// TestWhatHasOneControllerGetsNoSecond: a stack, since its name ends the names of
// alarms, and a cluster of one account and Region.
func TestWhatHasOneControllerGetsNoSecond(t *testing.T) {
	dir := t.TempDir()
	for _, f := range functions() {
		if err := program(dir, f.name, arm()); err != nil {
			t.Fatal(err)
		}
	}
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: &dir, AnalyticsReporting: jsii.Bool(false)})
	one := awscdk.NewStack(app, jsii.String("one"), nil)
	two := awscdk.NewStack(app, jsii.String("two"), nil)
	far := awscdk.NewStack(app, jsii.String("far"), &awscdk.StackProps{Env: &awscdk.Environment{Account: jsii.String("111122223333"), Region: jsii.String("eu-west-1")}})
	set := testPolicies()
	for _, row := range []struct {
		stack awscdk.Stack
		id    string
		set   policy.Set
		want  string
	}{
		{one, "First", set[:1], ""},
		{one, "Second", set[1:], "the stack one has a controller already"},
		{two, "Third", set, `the cluster "prod" is steered by the controller of the stack one already`},
		{two, "Fourth", set[1:], ""},
		{far, "Fifth", set[:1], ""}, // another cluster of that name
	} {
		_, err := NewController(row.stack, row.id, ControllerProps{Policies: row.set, Dist: dir})
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want %q", row.id, err, row.want)
		}
	}
}

func TestAClusterThatExistsIsObservedUntilItsPolicySaysAct(t *testing.T) {
	for _, row := range []struct {
		mode string
		want bool
	}{{"", false}, {"mode: observe\n", false}, {"mode: act\n", true}} {
		d := newTrial(t)
		d.write("plimsoll.yaml", policyOf("prod", "prod-a")+row.mode)
		code, told, templates := d.run()
		if code != 0 || told != "" || len(templates) != 1 {
			t.Fatalf("%q: exit %d, %v, told %s", row.mode, code, templates, told)
		}
		s, err := load("cdk.out")
		if err != nil {
			t.Fatal(err)
		}
		if acts := strings.Contains(string(s.raw), "ecs:UpdateService"); acts != row.want {
			t.Errorf("%q: the right to act %v", row.mode, acts)
		}
	}
}

func TestTheContextTakesTextsAndLists(t *testing.T) {
	for _, row := range []struct{ policies, roles, zones any }{
		{"plimsoll.yaml,stage.yaml", testHostRole + "," + testHostRole + "-2", "Z1,Z2"},
		{[]string{"plimsoll.yaml", "stage.yaml"}, []string{testHostRole, testHostRole + "-2"}, []string{"Z1", "Z2"}},
	} {
		d := newTrial(t)
		d.write("plimsoll.yaml", policyOf("prod", "prod-a")+"mode: act\nstandalone: {game: {family: game, endpoints: [{container: game, port: 7, registry: game}]}}\n")
		d.write("stage.yaml", policyOf("stage", "stage-a"))
		d.context["policy"], d.context["hostRoles"] = row.policies, row.roles
		d.context["hostedZones"] = row.zones
		code, told, templates := d.run()
		if code != 0 || len(templates) != 1 {
			t.Fatalf("%v: exit %d, %v, told %s", row, code, templates, told)
		}
		s, err := load("cdk.out")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{":cluster/stage", `"` + testHostRole + `"`, `"` + testHostRole + `-2"`, `:route53:::hostedzone/Z1"`, `:route53:::hostedzone/Z2"`} {
			if !strings.Contains(string(s.raw), want) {
				t.Errorf("%v: no %s in the template", row, want)
			}
		}
	}
}

func TestWithoutAPolicyTheExampleIsMadeAndSaidSo(t *testing.T) {
	example, err := os.ReadFile("../docs/plimsoll.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := newTrial(t)
	d.write(examplePolicy, string(example))
	if err := os.Remove(usualPolicy); err != nil {
		t.Fatal(err)
	}
	code, told, templates := d.run()
	if code != 0 || len(templates) != 1 || !strings.Contains(told, "there is no plimsoll.yaml, so this is the example") {
		t.Errorf("exit %d, %v, told %q", code, templates, told)
	}
}
