package binary

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
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
	if runtime.GOOS != "linux" {
		fmt.Println("LEFT OUT: the functions' binaries, which run on Linux only")
		return 0
	}
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
	registerMain  = "functions/register/bootstrap"
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
			"api":  {Tasks: &policy.Tasks{Min: 2, Max: 4}},
			"web":  {Tasks: &policy.Tasks{Min: 6, Max: 8}},
			"cron": {Scale: []policy.Target{{Metric: "cpu", Target: 60}}, Tasks: &policy.Tasks{Min: 1, Max: 2}},
		},
	}})
	check(t, err)
	return string(raw)
}

func wakeOf(gen int) string { return fmt.Sprintf(`{"key":"reconcile#prod","gen":%d}`, gen) }

const sweep = `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"111122223333","time":"2026-08-01T12:00:00Z","region":"eu-west-1","resources":[],"detail":{}}`

func TestAGoodBatchIsAnsweredWithNoFailure(t *testing.T) {
	a := newAWS(t, time.Now())
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
	if a.failures(t) != 0 {
		t.Error("the round counts as failed")
	}
	measured(t, round, len(calls)-3) // ingest made three of them
	if said := hear.said.String() + round.said.String(); strings.Contains(said, canary) {
		t.Errorf("a secret is in %s", said)
	}
}

// measured wants one line of metrics among what a function printed, by
// CloudWatch's embedded metric format, which counts so many calls.
func measured(t *testing.T, f *function, calls int) {
	t.Helper()
	f.kill()
	var lines []string
	for line := range strings.Lines(f.said.String()) {
		if strings.Contains(line, `"_aws"`) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines of metrics in %s", len(lines), f.said)
	}
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct{ Namespace string }
		} `json:"_aws"`
		Cluster                            string
		Rounds, Calls, Changes, LagSeconds float64
		HostsRequired, TasksUnplaced       float64
		CallDollars                        float64
	}
	check(t, json.Unmarshal([]byte(lines[0]), &line))
	if line.AWS.CloudWatchMetrics[0].Namespace != "Plimsoll" || line.Cluster != prod || line.Rounds != 1 || int(line.Calls) != calls || line.Changes != 2 ||
		line.HostsRequired != 4 || line.TasksUnplaced != 4 || line.CallDollars <= 0 || line.CallDollars > 0.001 {
		t.Errorf("%d calls were made, and the metrics say %s", calls, lines[0])
	}
}

func TestAPoisonedMessageFailsAlone(t *testing.T) {
	for main, good := range map[string]string{ingestMain: sweep, reconcileMain: wakeOf(0)} {
		a := newAWS(t, time.Now())
		f := start(t, built.binary(t, main), steer(t), a.env())
		got, err := f.invoke(records(good, `{"key":`+strings.Repeat("[", 10000), good, ""), enough)
		if err != nil || got.failed || string(got.body) != `{"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m4"}]}` {
			t.Errorf("%s: %s, %v", main, got.body, err)
		}
		if again, err := f.invoke(records(good), enough); err != nil || string(again.body) != `{"batchItemFailures":[]}` {
			t.Errorf("%s does not go on: %s, %v\n%s", main, again.body, err, f.said)
		}
	}
}

func TestAnAlarmMayInvokeIngestDirectly(t *testing.T) {
	a := newAWS(t, time.Now())
	set, err := policy.Decode([]byte(steer(t)))
	check(t, err)
	raw, err := os.ReadFile("../../events/testdata/cloudwatch-alarm-lambda-action-direct.json")
	check(t, err)
	var alarm map[string]any
	check(t, json.Unmarshal(raw, &alarm))
	alarm["alarmArn"] = "arn:aws:cloudwatch:" + region + ":" + account + ":alarm:" + policy.Alarms(set[0])[0].Name
	alarm["accountId"], alarm["region"] = account, region
	alarm["alarmData"].(map[string]any)["alarmName"] = policy.Alarms(set[0])[0].Name
	raw, err = json.Marshal(alarm)
	check(t, err)
	f := start(t, built.binary(t, ingestMain), steer(t), a.env())
	if got, err := f.invoke(raw, enough); err != nil || got.failed {
		t.Fatalf("%s, %v\n%s", got.body, err, f.said)
	}
	if m := a.messages("reconcile.fifo"); len(m) != 1 {
		t.Errorf("the reconcile queue holds %q", m)
	}
	if got, err := f.invoke([]byte(`{"no":"event"}`), enough); err != nil || !got.failed {
		t.Errorf("what is no event is answered with %s, %v", got.body, err)
	}
}

// changing are the calls that change a cluster.
func changing(calls []string) []string {
	all := []string{"ecs:UpdateService", "ecs:UpdateContainerInstancesState", "autoscaling:LaunchInstances", "autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"}
	return slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return !slices.Contains(all, c) })
}

func TestNothingBeginsThatTheDeadlineMightCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		left time.Duration
		hang string // this call is never answered
		want []string
	}{
		{"time for everything", enough, "", []string{"autoscaling:LaunchInstances", "ecs:UpdateService"}},
		{"time for a call, not for a launch", 15 * time.Second, "", []string{"ecs:UpdateService"}},
		{"time for no call", 4 * time.Second, "", nil},
		{"reads that do not come back", 8 * time.Second, "ecs:DescribeServices", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAWS(t, time.Now())
			hang := tt.hang
			a.judge = func(_ int, name string) verdict {
				if name == hang {
					return hangBefore
				}
				return serve
			}
			f := start(t, built.binary(t, reconcileMain), steer(t), a.env())
			<-f.ready
			began := time.Now()
			got, err := f.invoke(records(wakeOf(0)), tt.left)
			if took := time.Since(began); err != nil || string(got.body) != `{"batchItemFailures":[]}` || took >= tt.left {
				t.Errorf("after %s of %s: %s, %v\n%s", took, tt.left, got.body, err, f.said)
			}
			if made := changing(a.made()); !slices.Equal(made, tt.want) {
				t.Errorf("changes: %v, want %v\n%s", made, tt.want, f.said)
			}
			if len(a.messages("ingress")) != 1 {
				t.Error("it does not ask for another look")
			}
			if a.held(t) {
				t.Error("the lease is not given back")
			}
		})
	}
}

func TestAPanicFailsARoundAndNoFunction(t *testing.T) {
	for _, tt := range []struct {
		name, at, want string
		failures       int
	}{
		{"in a read that runs beside others", "DescribeServices", `{"batchItemFailures":[]}`, 1},
		{"in a change", "LaunchInstances", `{"batchItemFailures":[]}`, 1},
		{"so that the lease cannot be given back", "TransactWriteItems", `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`, 0},
		{"before the round has begun", "UpdateItem", `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAWS(t, time.Now())
			f := start(t, built.panicking(t), steer(t), append(a.env(), "PANIC_AT="+tt.at))
			first, err := f.invoke(records(wakeOf(0)), enough)
			if err != nil || first.failed || string(first.body) != tt.want {
				t.Errorf("%s, %v\n%s", first.body, err, f.said)
			}
			if got := a.failures(t); got != tt.failures {
				t.Errorf("%d failures on record", got)
			}
			if again, err := f.invoke(records("poison"), enough); err != nil || string(again.body) != `{"batchItemFailures":[{"itemIdentifier":"m1"}]}` {
				t.Errorf("it does not go on: %s, %v", again.body, err)
			}
			f.kill() // so that all it wrote is there
			if said := f.said.String(); !strings.Contains(said, "planted") || !strings.Contains(said, "panics.go") {
				t.Errorf("the log does not say where: %s", said)
			}
		})
	}
}

func TestAFunctionWithoutAPolicyOrItsPlaceDoesNotStart(t *testing.T) {
	a := newAWS(t, time.Now())
	whole := steer(t)
	for _, main := range []string{ingestMain, reconcileMain, registerMain} {
		for _, tt := range []struct{ name, policy, without, says string }{
			{"no policy", "", "", "policy.json"},
			{"half a policy", whole[:len(whole)/2], "", "decode policies"},
			{"a policy with a member that nobody knows", strings.Replace(whole, `"max":6`, `"max":6,"maxx":6`, 1), "", "maxx"},
			{"a policy that cannot be", strings.Replace(whole, `"max":6`, `"max":-6`, 1), "", "max"},
			{"no table", whole, "PLIMSOLL_TABLE", "needed"},
		} {
			env := slices.DeleteFunc(a.env(), func(e string) bool { return tt.without != "" && strings.HasPrefix(e, tt.without) })
			f := start(t, built.binary(t, main), tt.policy, env)
			if code := f.exit(); code != 1 || !strings.Contains(f.said.String(), tt.says) {
				t.Errorf("%s, %s: exit %d, %q", main, tt.name, code, f.said)
			}
		}
	}
	if calls := a.made(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}
