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
// comma between; stack, the stack's name; hostRoles, ARNs with a comma between,
// see ControllerProps. For policy the environment has PLIMSOLL_POLICY too.
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
	files := list(setting(app, "policy", env("PLIMSOLL_POLICY")))
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
	name := setting(app, "stack", "plimsoll")
	stack := awscdk.NewStack(app, &name, &awscdk.StackProps{Description: jsii.String("plimsoll: scales the hosts and tasks of ECS clusters")})
	_, err = NewController(stack, "Controller", ControllerProps{Policies: set, HostRoles: list(setting(app, "hostRoles", ""))})
	return err
}

// setting is a value of the app's context.
func setting(app awscdk.App, name, otherwise string) string {
	if s, ok := app.Node().TryGetContext(&name).(string); ok && s != "" {
		return s
	}
	return otherwise
}

// list is what stands between commas.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
