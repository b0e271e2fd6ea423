package endpointside

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
)

// addresses asks a server of the test's for two instances.
func addresses(t *testing.T, serve http.HandlerFunc) (map[string]string, error) {
	t.Helper()
	s := httptest.NewServer(serve)
	defer s.Close()
	a := Addresses{Clock: time.Now, Config: aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""), HTTPClient: s.Client(), BaseEndpoint: &s.URL,
	}}
	return a.DescribeInstances(t.Context(), []string{"i-1", "i-2"})
}

const instanceXML = `<item><instancesSet><item><instanceId>%s</instanceId><privateIpAddress>%s</privateIpAddress><tagSet><item><key>instanceId</key></item></tagSet></item></instancesSet></item>`

func TestAddressesAreReadPageByPage(t *testing.T) {
	got, err := addresses(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch {
		case r.Form.Get("Action") != "DescribeInstances" || r.Form.Get("Filter.1.Value.2") != "i-2" || !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/ec2/aws4_request"):
			http.Error(w, "what is that?", http.StatusBadRequest)
		case r.Form.Get("NextToken") == "":
			_, _ = fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`+instanceXML+`</reservationSet><nextToken>more</nextToken></DescribeInstancesResponse>`, "i-1", "10.0.0.1")
		default:
			_, _ = fmt.Fprintf(w, `<DescribeInstancesResponse><reservationSet>`+instanceXML+instanceXML+`</reservationSet></DescribeInstancesResponse>`, "i-2", "10.0.0.2", "i-3", "")
		}
	})
	if want := map[string]string{"i-1": "10.0.0.1", "i-2": "10.0.0.2"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAnAnswerThatIsNoAnswerIsAnErrorThatSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		code, says string
		fault      smithy.ErrorFault
	}{
		{"EC2 throttles", `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></Response>`, 503, "RequestLimitExceeded", "slow", smithy.FaultServer},
		{"a right is missing", `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`, 403, "UnauthorizedOperation", "no", smithy.FaultClient},
		{"somebody else answers", "<html>", 502, "", "status 502", smithy.FaultUnknown},
		{"half an answer", "<DescribeInstancesResponse><reservationSet>", 200, "", "EOF", smithy.FaultUnknown},
	} {
		got, err := addresses(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		})
		var api smithy.APIError
		known := errors.As(err, &api)
		if err == nil || got != nil || !strings.Contains(err.Error(), tt.says) || known != (tt.code != "") || known && (api.ErrorCode() != tt.code || api.ErrorFault() != tt.fault) {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}
