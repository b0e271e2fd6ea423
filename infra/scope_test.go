package infra

import (
	"reflect"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// What somebody builds beside a controller may stand below it, as below any
// construct of the CDK's own.
func TestAControllerIsAScope(t *testing.T) {
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("a controller is no scope: %v", p)
		}
	}()
	dir := t.TempDir()
	for _, f := range functions() {
		if err := program(dir, f.name, arm()); err != nil {
			t.Fatal(err)
		}
	}
	stack := awscdk.NewStack(awscdk.NewApp(&awscdk.AppProps{Outdir: &dir, AnalyticsReporting: jsii.Bool(false)}), jsii.String("plimsoll"), nil)
	c, err := NewController(stack, "Controller", ControllerProps{Policies: testPolicies(), Dist: dir})
	if err != nil {
		t.Fatal(err)
	}
	topic := awssns.NewTopic(c, jsii.String("Beside"), nil)
	if got := *topic.Node().Path(); got != "plimsoll/Controller/Beside" {
		t.Errorf("what was built below the controller is %s", got)
	}
	if set := c.Policies(); !reflect.DeepEqual(set, testPolicies()) {
		t.Errorf("its policies are %+v", set)
	}
}
