// A module of its own, as a user's would be: it is no part of ./... of the
// repository. test/outside_test.go runs it.
module example.com/shop

go 1.26

require (
	github.com/aws/aws-cdk-go/awscdk/v2 v2.250.0
	github.com/aws/jsii-runtime-go v1.127.0
	github.com/plimsoll-ecs/plimsoll v0.0.0
)

replace github.com/plimsoll-ecs/plimsoll => ../..
