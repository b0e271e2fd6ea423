package infra

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// The policies that App deploys if nobody names one, the first that is there.
const (
	usualPolicy   = "plimsoll.yaml"
	examplePolicy = "docs/plimsoll.example.yaml"
)

// Run is plimsoll's CDK app, run by the CDK's command line in the repository's
// root: a stack with a Controller for existing clusters. It returns the exit
// code: 1 if anything is wrong, which it tells in words; then there is no
// template.
//
// What can be set, by --context NAME=VALUE or in cdk.json: policy, files with a
// comma between; stack, the stack's name; hostRoles and hostedZones, ARNs and ids
// with a comma between, see ControllerProps. In cdk.json these and policy may be
// lists. For policy the environment has PLIMSOLL_POLICY too.
func Run(env func(string) string, told io.Writer) int {
	return synth(awscdk.AppProps{}, env, told)
}

// synth is Run with the choices that CDK's command line otherwise makes.
func synth(p awscdk.AppProps, env func(string) string, told io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil { // how CDK tells what it does not take
			code = tell(told, fmt.Errorf("%v", p))
		}
	}()
	p.AnalyticsReporting = jsii.Bool(false)
	app := awscdk.NewApp(&p)
	if err := build(app, env, told); err != nil {
		return tell(told, err)
	}
	if err := Synth(app); err != nil {
		return tell(told, err)
	}
	return 0
}

// Synth is the app's own, with an error where that panics: what the constructs
// find only when all is there, such as a host group that something else steers.
// It tells a sentence a line; then there is no template.
func Synth(app awscdk.App) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New(sentences(fmt.Sprint(p)))
		}
	}()
	app.Synth(nil)
	return nil
}

// sentences are what failed, without CDK's headline and the constructs' paths.
func sentences(said string) string {
	found := regexp.MustCompile(`(?m)^\s*\[[^\]\n]+\] (.+)$`).FindAllStringSubmatch(said, -1)
	if len(found) == 0 {
		return said
	}
	all := make([]string, 0, len(found))
	for _, f := range found {
		all = append(all, f[1])
	}
	return strings.Join(all, "\n")
}

func tell(told io.Writer, err error) int {
	_, _ = fmt.Fprintf(told, "plimsoll: %v\n", err)
	return 1
}

// build puts the stack into the app.
func build(app awscdk.App, env func(string) string, told io.Writer) error {
	files, err := listed(app, "policy", env("PLIMSOLL_POLICY"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		files = []string{usualPolicy}
		if _, err := os.Stat(usualPolicy); errors.Is(err, fs.ErrNotExist) {
			files = []string{examplePolicy}
			_, _ = fmt.Fprintf(told, "plimsoll: there is no %s, so this is the example, %s\n", usualPolicy, examplePolicy)
		}
	}
	set, err := ReadPolicies(files...)
	if err != nil {
		return err
	}
	name, err := stackName(app)
	if err != nil {
		return err
	}
	roles, err := listed(app, "hostRoles", "")
	if err != nil {
		return err
	}
	zones, err := listed(app, "hostedZones", "")
	if err != nil {
		return err
	}
	stack := awscdk.NewStack(app, &name, &awscdk.StackProps{Description: jsii.String("plimsoll: scales the hosts and tasks of ECS clusters")})
	_, err = NewController(stack, "Controller", ControllerProps{Policies: set, HostRoles: roles, HostedZones: zones})
	return err
}

// stackName is the stack's name by the app's context.
func stackName(app awscdk.App) (string, error) {
	switch v := app.Node().TryGetContext(jsii.String("stack")).(type) {
	case nil:
		return "plimsoll", nil
	case string:
		return or(v, "plimsoll"), nil
	default:
		return "", fmt.Errorf("the context's stack must be a text, the stack's name, not %v", v)
	}
}

// listed is a setting of the app's context: a list of texts, or one text with a
// comma between.
func listed(app awscdk.App, name, otherwise string) ([]string, error) {
	value := app.Node().TryGetContext(&name)
	switch v := value.(type) {
	case nil:
		return list(otherwise), nil
	case string:
		return list(or(v, otherwise)), nil
	case []any:
		all := make([]string, 0, len(v))
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("the context's %s must be a list of texts, and %v is none", name, one)
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, fmt.Errorf("the context's %s must be a text or a list of texts, not %v", name, value)
}

// list is what stands between commas.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
