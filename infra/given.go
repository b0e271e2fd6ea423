package infra

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// findings gathers what is wrong with the props of a construct, one plain
// sentence each, so that a user hears of everything at once and before any
// resource exists.
type findings struct{ sentences []string }

// need adds a sentence unless ok.
func (f *findings) need(ok bool, format string, args ...any) {
	if !ok {
		f.sentences = append(f.sentences, fmt.Sprintf(format, args...))
	}
}

// err is everything that was found, a sentence a line; nil where nothing was.
func (f *findings) err() error {
	var all []error
	for _, s := range f.sentences {
		all = append(all, errors.New(s))
	}
	return errors.Join(all...)
}

// number is a count as CDK wants it.
func number(n int) *float64 { return jsii.Number(float64(n)) }

// secondsOf is a duration in whole seconds as CDK wants it.
func secondsOf(d time.Duration) *float64 { return number(int(d / time.Second)) }

// stringsOf is a list of strings as CDK wants it.
func stringsOf(all ...string) *[]*string { return jsii.Strings(all...) }

// listOf is a list of anything as CDK wants it.
func listOf[T any](all ...T) *[]any {
	out := make([]any, 0, len(all))
	for _, one := range all {
		out = append(out, one)
	}
	return &out
}

// or is v, or other in place of the zero value.
func or[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// arn is the ARN of a resource in the account and Region of the stack.
func arn(scope constructs.Construct, service, resource, name string) *string {
	return awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String(service), Resource: jsii.String(resource), ResourceName: jsii.String(name),
	})
}

// logGroup is a log group whose records are deleted in time.
func logGroup(scope constructs.Construct, id, name string, days int) awslogs.CfnLogGroup {
	props := &awslogs.CfnLogGroupProps{RetentionInDays: number(days)}
	if name != "" {
		props.LogGroupName = jsii.String(name)
	}
	return awslogs.NewCfnLogGroup(scope, jsii.String(id), props)
}

// logDays are the retentions that CloudWatch Logs takes (PutRetentionPolicy), up
// to a year.
const logDays = "1 3 5 7 14 30 60 90 120 150 180 365"

// keepsLogs says whether CloudWatch Logs would take a retention.
func keepsLogs(days int) bool { return holds(logDays, fmt.Sprint(days)) }

// accept tells cdk-nag why a rule does not hold for a construct and what is in
// it so far.
func accept(on constructs.IConstruct, rule, reason string) {
	suppression := &cdknag.NagPackSuppression{Id: jsii.String("AwsSolutions-" + rule), Reason: jsii.String(reason)}
	cdknag.NagSuppressions_AddResourceSuppressions(on, &[]*cdknag.NagPackSuppression{suppression}, jsii.Bool(true))
}

// notes are what the constructs of an app tell each other of things that only one
// of them may have. They are on its root, as metadata, and in no template.
type notes struct{ scope constructs.Construct }

// of is who has taken a thing; empty: nobody.
func (n notes) of(kind, thing string) string {
	for _, m := range *n.scope.Node().Root().Node().Metadata() {
		if *m.Type == "plimsoll:"+kind {
			owner, found := strings.CutPrefix(fmt.Sprint(m.Data), thing+"\n")
			if found {
				return owner
			}
		}
	}
	return ""
}

// take notes who has taken a thing.
func (n notes) take(kind, thing, owner string) {
	n.scope.Node().Root().Node().AddMetadata(jsii.String("plimsoll:"+kind), thing+"\n"+owner, nil)
}
