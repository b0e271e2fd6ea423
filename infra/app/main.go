// Command app is plimsoll's CDK app: cdk.json runs it.
package main

import (
	"os"

	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/infra"
)

func main() {
	code := infra.Run(os.Getenv, os.Stderr)
	jsii.Close()
	os.Exit(code)
}
