package events

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// wrap returns an event with the detail type, resources and detail given.
func wrap(source, detailType, resources, detail string) string {
	return fmt.Sprintf(`{"version":"0","id":"e1","source":%q,"detail-type":%q,"account":"111122223333","region":"eu-west-1",
		"time":"2026-08-01T09:25:00Z","resources":[%s],"detail":%s}`, source, detailType, resources, detail)
}

const (
	ecsPrefix  = "arn:aws:ecs:eu-west-1:111122223333:"
	clusterARN = `"clusterArn":"` + ecsPrefix + `cluster/prod"`
	taskARN    = `"taskArn":"` + ecsPrefix + `task/prod/4f5a"`
)

func TestSubjectsThatNoSampleHas(t *testing.T) {
	task := func(more string) string {
		return wrap("aws.ecs", "ECS Task State Change", "", "{"+clusterARN+","+taskARN+more+"}")
	}
	tests := []struct {
		name string
		raw  string
		kind Kind
		want Subject
	}{
		{
			"a task of a group of the operator's own belongs to no service", task(`,"group":"batch"`), Look,
			Subject{Cluster: "prod", ARNs: []string{ecsPrefix + "task/prod/4f5a"}},
		},
		{
			"a task without a group belongs to no service", task(``), Look,
			Subject{Cluster: "prod", ARNs: []string{ecsPrefix + "task/prod/4f5a"}},
		},
		{
			"null is absence", task(`,"group":null,"containerInstanceArn":null`), Look,
			Subject{Cluster: "prod", ARNs: []string{ecsPrefix + "task/prod/4f5a"}},
		},
		{
			"members of another case are other members", task(`,"Group":"service:api","ClusterArn":7`), Look,
			Subject{Cluster: "prod", ARNs: []string{ecsPrefix + "task/prod/4f5a"}},
		},
		{
			"a task ARN of the old form has no cluster", wrap("aws.ecs", "ECS Task State Change", "",
				"{"+clusterARN+`,"taskArn":"`+ecsPrefix+`task/4f5a","group":"service:api"}`), Look,
			Subject{Cluster: "prod", Service: "api", ARNs: []string{ecsPrefix + "task/4f5a"}},
		},
		{
			"a service ARN of the old form names no cluster", wrap("aws.ecs", "ECS Deployment State Change", `"`+ecsPrefix+`service/api"`, "{}"), Look,
			Subject{Service: "api", ARNs: []string{ecsPrefix + "service/api"}},
		},
		{
			"an action names cluster and service though the ARN is of the old form",
			wrap("aws.ecs", "ECS Service Action", `"`+ecsPrefix+`service/api"`, "{"+clusterARN+"}"), Look,
			Subject{Cluster: "prod", Service: "api", ARNs: []string{ecsPrefix + "service/api"}},
		},
		{
			"a steady task set may be named by its own ARN",
			wrap("aws.ecs", "ECS Service Action", `"`+ecsPrefix+`task-set/prod/api/ecs-svc/44177"`, "{"+clusterARN+"}"), Look,
			Subject{Cluster: "prod", Service: "api"},
		},
		{
			"resources that are no service are passed over",
			wrap("aws.ecs", "ECS Deployment State Change", `"x","`+ecsPrefix+`cluster/prod","`+ecsPrefix+`service/prod/api"`, "{}"), Look,
			Subject{Cluster: "prod", Service: "api", ARNs: []string{ecsPrefix + "service/prod/api"}},
		},
		{
			"an external instance has an id of its own kind", wrap("aws.ecs", "ECS Container Instance State Change", "",
				"{"+clusterARN+`,"containerInstanceArn":"`+ecsPrefix+`container-instance/prod/9a","ec2InstanceId":"mi-0a1b"}`), Look,
			Subject{Cluster: "prod", Instance: "mi-0a1b", ARNs: []string{ecsPrefix + "container-instance/prod/9a"}},
		},
		{"another call of the API concerns nobody", wrap("aws.ecs", "AWS API Call via CloudTrail", "", `{"eventName":"UpdateService"}`), Unknown, Subject{}},
		{"a refused registration concerns nobody", wrap("aws.ecs", "AWS API Call via CloudTrail", "",
			`{"eventName":"RegisterTaskDefinition","errorCode":"ClientException","requestParameters":{"family":"api"}}`), Unknown, Subject{}},
		{"an unknown detail type is a no-op, whatever its detail", wrap("aws.ecs", "ECS Weather Report", "", `7`), Unknown, Subject{}},
		{"an unknown source is a no-op", wrap("com.example.shop", "Order Placed", `"anything"`, `{"clusterArn":1}`), Unknown, Subject{}},
		{"a known detail type of another source is unknown", wrap("com.example.shop", "ECS Task State Change", "", `{}`), Unknown, Subject{}},
		{"our own message of a later version is a no-op", `{"source":"plimsoll","detail-type":"Look Away","detail":{}}`, Unknown, Subject{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := mustDecode(t, []byte(tt.raw))
			if e.Kind != tt.kind || !reflect.DeepEqual(e.Subject, tt.want) {
				t.Errorf("got %s %+v, want %s %+v", e.Kind, e.Subject, tt.kind, tt.want)
			}
		})
	}
}

func TestRefusedMessagesNameTheField(t *testing.T) {
	task := func(detail string) string { return wrap("aws.ecs", "ECS Task State Change", "", "{"+detail+"}") }
	other := strings.ReplaceAll(clusterARN, "111122223333", "444455556666")
	tests := []struct{ name, raw, says string }{
		{"nothing at all", ``, ""},
		{"not JSON", `look`, ""},
		{"a half message", `{"source":"aws.ecs"`, ""},
		{"two messages", `{} {}`, ""},
		{"a comma too many", `{"source":"aws.ecs",}`, ""},
		{"a list", `[]`, "want an object, found an array"},
		{"a string", `"look"`, "want an object, found a string"},
		{"no source", `{"detail-type":"x"}`, "source: missing"},
		{"an empty source", `{"source":"","detail-type":"x"}`, "source: empty"},
		{"a member twice", `{"source":"aws.ecs","source":"aws.ec2"}`, `member "source" twice`},
		{"a member twice, once in disguise", `{"source":"aws.ecs","\u0073ource":"aws.ec2"}`, `member "source" twice`},
		{"a member twice where nobody looks", task(clusterARN + "," + taskARN + `,"overrides":[{"a":1,"a":1}]`), `member "a" twice`},
		{"no detail", strings.Replace(task(""), `"detail":{}`, `"more":{}`, 1), "detail: missing"},
		{"a detail that is text", strings.Replace(task(""), `"detail":{}`, `"detail":"{}"`, 1), "detail: want an object, found a string"},
		{"an account of letters", strings.Replace(task(""), `"111122223333"`, `"production12"`, 1), "account: want 12 digits"},
		{"an account as a number", strings.Replace(task(""), `"111122223333"`, `111122223333`, 1), "account: want a string, found a number"},
		{"no time of day", strings.Replace(task(""), `T09:25:00Z`, ``, 1), "time: want a time"},
		{"resources that are one string", strings.Replace(task(""), `[]`, `"x"`, 1), "resources: want an array, found a string"},
		{"a cluster of another account", task(other + "," + taskARN), "detail.clusterArn: want the ARN of a cluster in eu-west-1 of 111122223333"},
		{"a cluster of another region", task(strings.Replace(clusterARN, "eu-west-1", "us-east-1", 1) + "," + taskARN), "detail.clusterArn"},
		{"a cluster by its bare name", task(`"clusterArn":"prod",` + taskARN), "detail.clusterArn"},
		{"a task where the cluster should be", task(`"clusterArn":"` + ecsPrefix + `task/prod/4f5a",` + taskARN), "detail.clusterArn"},
		{"a cluster with a name that ECS forbids", task(`"clusterArn":"` + ecsPrefix + `cluster/pr od",` + taskARN), "detail.clusterArn"},
		{"a cluster without a name", task(`"clusterArn":"` + ecsPrefix + `cluster/",` + taskARN), "detail.clusterArn"},
		{"a task that is too deep a path", task(clusterARN + `,"taskArn":"` + ecsPrefix + `task/a/b/c"`), "detail.taskArn"},
		{"a line feed in a group", task(clusterARN + "," + taskARN + `,"group":"service:api\nforged log line"`), "detail.group: has a character"},
		{"a service of no name", task(clusterARN + "," + taskARN + `,"group":"service:"`), "detail.group: want the name of a service"},
		{"a deployment of no service", wrap("aws.ecs", "ECS Deployment State Change", `"x"`, "{}"), "resources: want the ARN of a service"},
		{"an instance id with a path in it", wrap("aws.ec2", "EC2 Instance State-change Notification", "", `{"instance-id":"i-0a/../b"}`), "detail.instance-id"},
		{"an alarm name without end", wrap("aws.cloudwatch", "CloudWatch Alarm State Change", "", `{"alarmName":"`+strings.Repeat("ä", 257)+`"}`), "detail.alarmName: longer than 256"},
		{"a direct alarm of another source", `{"source":"aws.ecs","alarmData":{}}`, "source: want aws.cloudwatch"},
		{"a look again without a key", `{"source":"plimsoll","detail-type":"Look Again","detail":{"at":"2026-08-01T09:25:00Z"}}`, "detail.key: missing"},
		{"a look again at what is no key", `{"source":"plimsoll","detail-type":"Look Again","detail":{"key":"prod","at":"2026-08-01T09:25:00Z"}}`, "detail.key: want a key"},
		{"a look again at no time", `{"source":"plimsoll","detail-type":"Look Again","detail":{"key":"reconcile#prod","at":5}}`, "detail.at: want a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Decode([]byte(tt.raw))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v, want ErrMalformed that says %q", err, tt.says)
			}
			if !reflect.DeepEqual(e, Event{}) {
				t.Errorf("the error comes with %+v", e)
			}
		})
	}
}

func TestBoundsAreExact(t *testing.T) {
	// The members around pad are {"source":"x", ... : an unknown event of any size.
	padded := func(n int) string {
		e := wrap("x", "y", "", `""`)
		return strings.Replace(e, `"detail":""`, `"detail":"`+strings.Repeat("a", n-len(e))+`"`, 1)
	}
	nested := func(levels int, open, end string) string {
		return wrap("x", "y", "", strings.Repeat(open, levels-1)+"1"+strings.Repeat(end, levels-1))
	}
	tests := []struct {
		name string
		raw  string
		want error
	}{
		{"256 KiB are read", padded(256 * 1024), nil},
		{"one byte more is not", padded(256*1024 + 1), ErrTooLarge},
		{"64 levels of arrays are read", nested(64, "[", "]"), nil},
		{"65 are not", nested(65, "[", "]"), ErrTooDeep},
		{"64 levels of objects are read", nested(64, `{"a":`, "}"), nil},
		{"65 levels of objects are not", nested(65, `{"a":`, "}"), ErrTooDeep},
		{"a bomb of arrays that never close", strings.Repeat("[", 256*1024), ErrTooDeep},
		{"a bomb of objects that never close", strings.Repeat(`{"a":`, 50_000), ErrTooDeep},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.raw))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%v is not of the class ErrMalformed", err)
			}
		})
	}
}

func TestTimesInBothForms(t *testing.T) {
	want := time.Date(2026, 8, 1, 9, 13, 42, 11e6, time.UTC)
	for _, at := range []string{"2026-08-01T09:13:42.011+0000", "2026-08-01T11:13:42.011+0200", "2026-08-01T09:13:42.011Z", "2026-08-01T10:13:42.011+01:00"} {
		e := mustDecode(t, []byte(strings.Replace(wrap("x", "y", "", "1"), "2026-08-01T09:25:00Z", at, 1)))
		if e.Time != want {
			t.Errorf("%s: got %v, want %v in UTC", at, e.Time, want)
		}
	}
}
