// Package peer holds plimsoll against a second opinion: moto, an AWS of other
// people's making, over real HTTP and through the real SDK. moto can vouch for
// wire formats, errors, DynamoDB, SQS, event patterns and IAM actions; it cannot
// for ECS, load balancers or alarms, and quirks_test.go says where it is wrong.
//
// make test installs moto into .venv. Without it everything here is skipped, and
// fails where the environment variable CI is set.
package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/jsii-runtime-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

// The account that moto plays, and its names. None of them is a sample's.
const (
	account     = "444455556666"
	region      = "eu-central-1"
	clusterName = "shop"
	groupName   = "shop-hosts"
	tableName   = "plimsoll"
)

// The repository's Python environment, and what make copies into it when all of
// it is installed.
const (
	venv         = "../../.venv"
	requirements = "requirements.txt"
)

// moto is the one server of this package; nil where it is not installed.
var moto *server

func TestMain(m *testing.M) {
	code := run(m)
	jsii.Close()
	os.Exit(code)
}

// run runs the tests over a server of their own.
func run(m *testing.M) int {
	if why := missing(); why != "" {
		if os.Getenv("CI") != "" {
			fmt.Println("FAIL: no moto, and CI leaves nothing out:", why)
			return 1
		}
		fmt.Println("LEFT OUT: all that moto is asked:", why)
		return m.Run()
	}
	var err error
	if moto, err = start(filepath.Join(venv, "bin", "python")); err != nil {
		fmt.Println("FAIL:", err)
		return 1
	}
	code := m.Run()
	if err := moto.stop(); err != nil {
		fmt.Println("FAIL:", err)
		return 1
	}
	if late := moto.complaints(); len(late) > 0 {
		fmt.Println("FAIL: moto:", late)
		return 1
	}
	return code
}

// missing says why there is no moto; empty: there is.
func missing() string {
	want, err := os.ReadFile(requirements)
	if err != nil {
		return err.Error()
	}
	have, err := os.ReadFile(filepath.Join(venv, requirements))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "there is no whole .venv; make test installs it where there is Python"
	case err != nil:
		return err.Error()
	case string(have) != string(want):
		return "the .venv is of other requirements; make test renews it"
	}
	if _, err := exec.LookPath("node"); err != nil {
		return "there is no Node, which the template that they judge is made with"
	}
	return ""
}

// world is an empty account of moto's, for one test.
type world struct {
	*testing.T
	credentials aws.CredentialsProvider
}

// fresh empties the account. A test that moto could not answer fails at its end.
func fresh(t *testing.T) world {
	t.Helper()
	if moto == nil {
		t.Skip("LEFT OUT: moto is not installed")
	}
	w := world{T: t, credentials: credentials.NewStaticCredentialsProvider("AKIAPEERTEST00000000", "secret", "")}
	w.post("/moto-api/reset", "")
	t.Cleanup(func() {
		for _, line := range moto.complaints() {
			t.Errorf("moto: %s", line)
		}
	})
	return w
}

// as is the same account, by other credentials.
func (w world) as(c aws.CredentialsProvider) world { w.credentials = c; return w }

// config is what every client of the SDK is made with: no call is made twice.
func (w world) config() aws.Config {
	return aws.Config{
		Region: region, Credentials: w.credentials, BaseEndpoint: aws.String(moto.address), HTTPClient: moto.client,
		RetryMaxAttempts: 1,
	}
}

func (w world) dynamodb() *dynamodb.Client       { return dynamodb.NewFromConfig(w.config()) }
func (w world) sqs() *sqs.Client                 { return sqs.NewFromConfig(w.config()) }
func (w world) autoscaling() *autoscaling.Client { return autoscaling.NewFromConfig(w.config()) }
func (w world) ecs() *ecs.Client                 { return ecs.NewFromConfig(w.config()) }

// cloudwatch speaks the older of CloudWatch's protocols: moto does not know the newer.
func (w world) cloudwatch() *cloudwatch.Client {
	return cloudwatch.NewFromConfig(w.config(), func(o *cloudwatch.Options) {
		o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801)
	})
}

// post asks moto itself.
func (w world) post(path, body string) string {
	w.Helper()
	status, answer := w.send(path, body, nil)
	if status >= 300 {
		w.Fatalf("POST %s: %d %s", path, status, answer)
	}
	return answer
}

// send makes a plain request, for services whose client the repository has no
// other use for.
func (w world) send(path, body string, headers map[string]string) (int, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, moto.address+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	out, err := moto.client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer out.Body.Close()
	answer, err := io.ReadAll(out.Body)
	if err != nil {
		w.Fatal(err)
	}
	return out.StatusCode, string(answer)
}

// scope is the part of a signature by which moto tells whom a request is for.
func scope(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIAPEERTEST00000000/20260801/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=none"
}

// client is the way to moto: one request at a time, since its state has no
// locks, while AWS's calls are atomic; see the table of quirks.
type client struct {
	mu     sync.Mutex
	http   http.Client
	denied []string // calls that the caller was not allowed, as service:Action

	raw, refusal string // the last answer that was mended, as it came, and the last refusal
}

// Do implements aws.HTTPClient.
func (c *client) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, err := read(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(asked))
	out, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	body, err := read(out.Body) // within the lock: moto may work until it has answered
	if err != nil {
		return nil, err
	}
	operation := called(r, asked)
	if out.StatusCode >= 400 && bytes.Contains(body, []byte("AccessDenied")) {
		c.refusal = string(body)
		if !slices.Contains(c.denied, operation) {
			c.denied = append(c.denied, operation)
		}
	}
	if better := mended(operation, body); !bytes.Equal(better, body) {
		c.raw, body = string(body), better
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return out, nil
}

// denials are the calls that were not allowed since the last time.
func (c *client) denials() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.denied
	c.denied = nil
	return all
}

func read(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer body.Close()
	return io.ReadAll(body)
}

// called names a request's operation as IAM does, service:Action.
func called(r *http.Request, body []byte) string {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if in, err := url.ParseQuery(string(body)); err == nil && operation == "" {
		operation = in.Get("Action")
	}
	service := ""
	if parts := strings.Split(r.Header.Get("Authorization"), "/"); len(parts) > 3 {
		service = parts[3]
	}
	return strings.Replace(service, "monitoring", "cloudwatch", 1) + ":" + operation
}

// must is a test's end where there is an error.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// noon is a time for whoever needs one that does not pass.
func noon() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC) }
