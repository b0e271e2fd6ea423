package infra

import (
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// reasons are why the statement's resources with a * are as narrow as they can
// be, in the form of cdk-nag.
func (s statement) reasons() []*cdknag.NagPackSuppression {
	var all []*cdknag.NagPackSuppression
	for _, r := range s.resources {
		if !strings.Contains(r, everything) {
			continue
		}
		all = append(all, &cdknag.NagPackSuppression{Id: jsii.String("AwsSolutions-IAM5"), Reason: jsii.String(s.why), AppliesTo: &[]any{"Resource::" + r}})
	}
	return all
}
