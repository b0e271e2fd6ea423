package binary

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// built is set by TestMain, and the only value that tests share: a build takes
// seconds.
var built *builds

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "plimsoll-binary")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	built = &builds{folder: folder, errs: map[string]error{}}
	return m.Run()
}

const (
	ingestMain    = "functions/ingest/bootstrap"
	reconcileMain = "functions/reconcile/bootstrap"
	enough        = time.Minute // until an invocation's deadline
)

// steer is the policy of newAWS's world, as it is packed beside a bootstrap.
func steer(t testing.TB) string {
	t.Helper()
	raw, err := policy.Encode(policy.Set{{
		Version: 1, Cluster: prod,
		Hosts: []policy.HostGroup{
			{Group: "hosts", Min: 1, Max: 6},
			{Group: "spare", Min: 1, Max: 3, Removal: policy.Removal{EmptyAfter: policy.Duration{Duration: 30 * time.Second}}},
		},
		Services: map[string]policy.Service{
			"web":  {Tasks: &policy.Tasks{Min: 4, Max: 8}},
			"cron": {Scale: []policy.Target{{Metric: "cpu", Target: 60}}, Tasks: &policy.Tasks{Min: 1, Max: 2}},
		},
	}})
	check(t, err)
	return string(raw)
}

func wakeOf(gen int) string { return fmt.Sprintf(`{"key":"reconcile#prod","gen":%d}`, gen) }

const sweep = `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"111122223333","time":"2026-08-01T12:00:00Z","region":"eu-west-1","resources":[],"detail":{}}`

func TestAGoodBatchIsAnsweredWithNoFailure(t *testing.T) {
	a := newAWS(t)
	hear := start(t, built.binary(t, ingestMain), steer(t), a.env())
	got, err := hear.invoke(records(sweep), enough)
	if err != nil || string(got.body) != `{"batchItemFailures":[]}` || got.failed {
		t.Fatalf("ingest: %s, %v\n%s", got.body, err, hear.said)
	}
	if m := a.messages("reconcile.fifo"); len(m) != 1 || m[0] != wakeOf(0) {
		t.Errorf("the reconcile queue holds %q", m)
	}
	round := start(t, built.binary(t, reconcileMain), steer(t), a.env())
	got, err = round.invoke(records(wakeOf(0)), enough)
	if err != nil || string(got.body) != `{"batchItemFailures":[]}` || got.failed {
		t.Fatalf("reconcile: %s, %v\n%s", got.body, err, round.said)
	}
	calls := a.made()
	for _, want := range []string{"dynamodb:Query", "ecs:DescribeServices", "autoscaling:DescribeAutoScalingGroups", "cloudwatch:GetMetricData", "autoscaling:LaunchInstances", "sqs:SendMessage"} {
		if !slices.Contains(calls, want) {
			t.Errorf("no call of %s among %v", want, calls)
		}
	}
	if strings.Contains(round.said.String(), "failed") {
		t.Errorf("it says %s", round.said)
	}
	_ = json.Valid
}
