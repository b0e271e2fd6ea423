// Command app is plimsoll's CDK app: cdk.json runs it.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	awscdk.NewStack(app, jsii.String("plimsoll"), nil)
	app.Synth(nil)
}
