package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// leaks are the places, of all that plimsoll writes, in which the secret is.
func (w *world) leaks(logs, secret string) []string {
	var all []string
	if n := strings.Index(logs, secret); n >= 0 {
		all = append(all, fmt.Sprintf("logs and metrics: %.300s", logs[max(0, n-200):]))
	}
	for _, i := range w.cloud.DynamoDB().Items(table) {
		if strings.Contains(everything(i), secret) {
			all = append(all, "record: "+everything(i))
		}
	}
	for name := range w.urls {
		for _, m := range w.cloud.SQS().Messages(name) {
			body := aws.ToString(m.Body)
			if strings.Contains(body, secret) && !strings.Contains(body, "of somebody else's") {
				all = append(all, name+": "+body)
			}
		}
	}
	return all
}

// everything is all of an item, as text.
func everything(i any) string {
	raw, err := json.Marshal(i)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// Every task definition has the canary in its environment; events and messages
// that are no events have it in their bodies. What fails says why, in errors.
func TestNoSecretIsEverWritten(t *testing.T) {
	var logs strings.Builder
	s := brief(t, "bad-day", 2*time.Hour)
	w := worldOf(t, s, &logs)
	out, err := w.cloud.ECS().DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(s.Services[0].Name)})
	if err != nil || aws.ToString(out.TaskDefinition.ContainerDefinitions[0].Environment[0].Value) != canary {
		t.Fatalf("there is no canary to be seen: %v", err)
	}
	if err := w.fail(map[string]float64{"ambiguous": 0.1, "partial-failure": 0.01}); err != nil {
		t.Fatal(err)
	}
	w.happen()
	for n := range 6 {
		w.pass(t, 10*time.Minute)
		for _, body := range []string{
			`{"of somebody else's": "` + canary, // no JSON
			`{"version":"0","id":"1","source":"aws.ecs","detail-type":"ECS Task State Change","account":"` + account + `","region":"` + region + `","time":"2026-08-01T12:00:00Z","resources":["` + canary + `"],"detail":{"of somebody else's":1,"clusterArn":"arn:aws:ecs:` + region + `:` + account + `:cluster/` + w.Policy.Cluster + `","overrides":{"containerOverrides":[{"environment":[{"name":"PASSWORD","value":"` + canary + `"}]}]}}}`,
		} {
			if _, err := w.cloud.SQS().SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: aws.String(w.urls[ingress]), MessageBody: aws.String(body)}); err != nil {
				t.Fatal(n, err)
			}
		}
	}
	w.pass(t, 10*time.Minute)
	for _, l := range w.leaks(logs.String(), canary) {
		t.Error(l)
	}
	kinds := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(logs.String())); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("a line that is no JSON: %.200s", lines.Text())
		}
		switch {
		case line["_aws"] != nil:
			kinds["metrics"]++
		case line["level"] == "error":
			kinds["errors"]++
		case line["msg"] == "decided":
			kinds["decisions"]++
		}
	}
	rounds := w.cloud.Lambda().Stats("reconcile").Invocations
	if kinds["metrics"] < rounds/2 || kinds["metrics"] > rounds || kinds["errors"] == 0 || kinds["decisions"] < rounds/2 {
		t.Errorf("%v in %d rounds: too little was looked at", kinds, rounds)
	}
}

// The search must find what is there.
func TestASecretThatIsWrittenIsFound(t *testing.T) {
	var logs strings.Builder
	w := worldOf(t, brief(t, "step", time.Hour), &logs)
	w.pass(t, 5*time.Minute)
	for place, secret := range map[string]string{"logs": `"reason":"`, "record": `now#about#service`} {
		found := slices.ContainsFunc(w.leaks(logs.String(), secret), func(l string) bool { return strings.HasPrefix(l, place) })
		if !found {
			t.Errorf("%q goes unseen in the %s", secret, place)
		}
	}
}
