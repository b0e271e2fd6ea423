package simcloud

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	const event = `{"clusterArn":"c1","lastStatus":"RUNNING","version":4,"ok":true,"nothing":null,"containers":[{"name":"a","code":0},{"name":"b"}],"tags":["x","y"],"empty":[],"deep":{"er":{"est":"z"}}}`
	for name, row := range map[string]struct {
		pattern string
		want    bool
	}{
		"an exact string":                           {`{"source":["aws.ecs"]}`, true},
		"another string":                            {`{"source":["aws.ec2"]}`, false},
		"one of several":                            {`{"source":["aws.ec2","aws.ecs"]}`, true},
		"two fields, both right":                    {`{"source":["aws.ecs"],"detail-type":["T"]}`, true},
		"two fields, one wrong":                     {`{"source":["aws.ecs"],"detail-type":["U"]}`, false},
		"a resource among several":                  {`{"resources":["r2"]}`, true},
		"no such resource":                          {`{"resources":["r3"]}`, false},
		"a field of the detail":                     {`{"detail":{"lastStatus":["RUNNING"]}}`, true},
		"a number":                                  {`{"detail":{"version":[4]}}`, true},
		"another number":                            {`{"detail":{"version":[5]}}`, false},
		"a number is no string":                     {`{"detail":{"version":["4"]}}`, false},
		"true":                                      {`{"detail":{"ok":[true]}}`, true},
		"null that is there":                        {`{"detail":{"nothing":[null]}}`, true},
		"null is not absence":                       {`{"detail":{"missing":[null]}}`, false},
		"a deep field":                              {`{"detail":{"deep":{"er":{"est":["z"]}}}}`, true},
		"a field deeper than there is":              {`{"detail":{"lastStatus":{"x":["y"]}}}`, false},
		"a field within a list of objects":          {`{"detail":{"containers":{"name":["b"]}}}`, true},
		"an element of a list":                      {`{"detail":{"tags":["y"]}}`, true},
		"prefix":                                    {`{"detail":{"lastStatus":[{"prefix":"RUN"}]}}`, true},
		"another prefix":                            {`{"detail":{"lastStatus":[{"prefix":"STO"}]}}`, false},
		"a prefix of a number":                      {`{"detail":{"version":[{"prefix":"4"}]}}`, false},
		"exists":                                    {`{"detail":{"clusterArn":[{"exists":true}]}}`, true},
		"exists, but it does not":                   {`{"detail":{"other":[{"exists":true}]}}`, false},
		"does not exist":                            {`{"detail":{"other":[{"exists":false}]}}`, true},
		"does not exist, but it does":               {`{"detail":{"clusterArn":[{"exists":false}]}}`, false},
		"does not exist within what is not there":   {`{"detail":{"gone":{"too":[{"exists":false}]}}}`, true},
		"an object is no value that exists":         {`{"detail":{"deep":[{"exists":true}]}}`, false},
		"an empty list holds nothing":               {`{"detail":{"empty":[{"exists":true}]}}`, false},
		"anything but":                              {`{"detail":{"lastStatus":[{"anything-but":"STOPPED"}]}}`, true},
		"anything but this":                         {`{"detail":{"lastStatus":[{"anything-but":["RUNNING","STOPPED"]}]}}`, false},
		"anything but is not for what is not there": {`{"detail":{"other":[{"anything-but":"x"}]}}`, false},
		"anything but a prefix":                     {`{"detail":{"lastStatus":[{"anything-but":{"prefix":"STO"}}]}}`, true},
		"a matcher or a value":                      {`{"detail":{"lastStatus":["STOPPED",{"prefix":"RUN"}]}}`, true},
	} {
		p, err := parsePattern(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e := busEvent{Source: "aws.ecs", DetailType: "T", Resources: []string{"r1", "r2"}}
		var detail any
		must(t, json.Unmarshal([]byte(event), &detail))
		if got := p.matchesOuter(e.outer()) && p.matchesDetail(detail); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"source":"aws.ecs"}`, `{"source":[]}`, `{"detail":{}}`, `{"source":[["a"]]}`, `{"$or":[{"source":["a"]}]}`,
		`{"a":[{"numeric":[">",1]}]}`, `{"a":[{"suffix":"x"}]}`, `{"a":[{"exists":"yes"}]}`, `{"a":[{"prefix":"x","exists":true}]}`,
		`{"a":[{"anything-but":{"suffix":"x"}}]}`, `{"a":[{"anything-but":[true]}]}`, `{"a":[{}]}`,
	} {
		if err := newWorld(t, 1).EventBridge().PutRule(Rule{Name: "r", EventPattern: text}); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestRulesAndTargetsThatAreRefused(t *testing.T) {
	c := newWorld(t, 1)
	b := c.EventBridge()
	q := makeQueue(t, c, "q", nil)
	f := makeQueue(t, c, "f.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	bare := makeQueue(t, c, "bare.fifo", map[string]string{"FifoQueue": "true"})
	must(t, b.PutRule(Rule{Name: "r", EventPattern: `{"source":["a"]}`}))
	for _, r := range []Rule{
		{Name: "x"},
		{Name: "x", EventPattern: `{"source":["a"]}`, ScheduleExpression: "rate(1 minute)"},
		{Name: "x", ScheduleExpression: "rate(1 minutes)"},
		{Name: "x", ScheduleExpression: "rate(2 minute)"},
		{Name: "x", ScheduleExpression: "rate(0 minutes)"},
		{Name: "x", ScheduleExpression: "rate(1 minute"},
		{Name: "x", ScheduleExpression: "rate(1 week)"},
		{Name: "x", ScheduleExpression: "cron(0 * * * ? *)"},
	} {
		if err := b.PutRule(r); err == nil {
			t.Errorf("accepted %+v", r)
		}
	}
	for name, target := range map[string]Target{
		"no queue": {ID: "1", ARN: q.arn + "x"}, "no id": {ARN: q.arn}, "a function": {ID: "1", ARN: "arn:aws:lambda:eu-west-1:111122223333:function:f"},
		"FIFO without a group": {ID: "1", ARN: f.arn}, "FIFO without content-based deduplication": {ID: "1", ARN: bare.arn, MessageGroupID: "g"},
	} {
		if err := b.PutTargets("r", target); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
	must(t, b.PutTargets("r", Target{ID: "f", ARN: f.arn, MessageGroupID: "g"}))
	for i := range 5 {
		if err := b.PutTargets("r", Target{ID: fmt.Sprint(i), ARN: q.arn}); (err != nil) != (i == 4) {
			t.Errorf("target %d: %v", i+2, err)
		}
	}
	must(t, b.PutTargets("r", Target{ID: "1", ARN: q.arn})) // again
	if err := b.PutTargets("no", Target{ID: "1", ARN: q.arn}); codeOf(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
}

func TestAnEventArrivesAtEachTargetOnce(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	f := makeQueue(t, c, "f.fifo", map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"})
	must(t, c.EventBridge().PutRule(Rule{Name: "r", EventPattern: `{"source":["aws.ecs"],"detail":{"n":[1]}}`}))
	must(t, c.EventBridge().PutTargets("r", Target{ID: "q", ARN: q.arn}, Target{ID: "f", ARN: f.arn, MessageGroupID: "orders"}))
	pass(t, c, 1234*time.Millisecond)
	c.emit("aws.ecs", "ECS Task State Change", []string{"task"}, map[string]any{"n": 1})
	c.emit("aws.ecs", "ECS Task State Change", nil, map[string]any{"n": 2})
	c.emit("aws.ec2", "ECS Task State Change", nil, map[string]any{"n": 1})
	pass(t, c, 299*time.Millisecond)
	if len(q.held)+len(f.held) > 0 {
		t.Error("arrived in less than 0.3 s")
	}
	pass(t, c, 5*time.Second)
	if len(q.held) != 1 || len(f.held) != 1 {
		t.Fatalf("%d and %d arrived", len(q.held), len(f.held))
	}
	var e map[string]any
	must(t, json.Unmarshal([]byte(*c.SQS().Messages("f.fifo")[0].Body), &e))
	id, _ := e["id"].(string)
	delete(e, "id")
	want := `map[account:111122223333 detail:map[n:1] detail-type:ECS Task State Change region:eu-west-1 resources:[task] source:aws.ecs time:2026-08-01T00:00:01Z version:0]`
	if fmt.Sprint(e) != want || len(id) != 36 {
		t.Errorf("event %v, id %s", e, id)
	}
}

func TestDeliveryTakesALittleAndSometimesLong(t *testing.T) {
	r := newWorld(t, 1).stream("x")
	slow := 0
	for range 10000 {
		d := deliveryDelay(r)
		if d < 300*time.Millisecond || d > 5*time.Second {
			t.Fatalf("late by %s", d)
		}
		if d > 1500*time.Millisecond {
			slow++
		}
	}
	if slow < 400 || slow > 600 {
		t.Errorf("%d of 10000 in the tail", slow)
	}
}

func TestAScheduleFiresEachMinuteAtASecondOfItsOwn(t *testing.T) {
	c := newWorld(t, 1)
	q := makeQueue(t, c, "q", nil)
	must(t, c.EventBridge().PutRule(Rule{Name: "sweep", ScheduleExpression: "rate(1 minute)"}))
	must(t, c.EventBridge().PutTargets("sweep", Target{ID: "q", ARN: q.arn}))
	pass(t, c, 61*time.Minute+30*time.Second)
	if n := len(q.held); n < 60 || n > 61 {
		t.Errorf("fired %d times in an hour and a minute", n)
	}
	var e struct {
		Source, Time string
		DetailType   string `json:"detail-type"`
		Resources    []string
		Detail       map[string]any
	}
	for i, m := range c.SQS().Messages("q") {
		must(t, json.Unmarshal([]byte(*m.Body), &e))
		if want := epoch.Add(time.Duration(i+1) * time.Minute).Format(time.RFC3339); e.Time != want || e.DetailType != "Scheduled Event" || e.Source != "aws.events" {
			t.Fatalf("event %d: %+v, want %s", i, e, want)
		}
	}
	must(t, c.EventBridge().PutRule(Rule{Name: "sweep", ScheduleExpression: "rate(30 minutes)"}))
	before := len(q.held)
	pass(t, c, 61*time.Minute)
	if n := len(q.held) - before; n < 2 || n > 3 {
		t.Errorf("the replaced rule fired %d times in an hour", n)
	}
}

func TestSchedulesFireAtDifferentSeconds(t *testing.T) {
	seconds := map[int]bool{}
	c := New(Options{Start: epoch, Seed: 1, Trace: func(at time.Time, _ string) { seconds[at.Second()] = true }})
	for i := range 30 {
		must(t, c.EventBridge().PutRule(Rule{Name: fmt.Sprint("r", i), ScheduleExpression: "rate(1 minute)"}))
	}
	pass(t, c, time.Hour)
	if len(seconds) < 15 || len(seconds) > 30 || seconds[0] {
		t.Errorf("30 rules fire at seconds %v", seconds)
	}
}

func TestWhichSourcesAreGuaranteed(t *testing.T) {
	for source, want := range map[string]bool{
		"aws.ecs": true, "aws.cloudwatch": true, "aws.events": true,
		"aws.ec2": false, "aws.autoscaling": false, "aws.ssm": false, "aws.application-autoscaling": false,
	} {
		if guaranteed(source) != want {
			t.Errorf("%s: %t", source, !want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`{"detail":{"a":[{"prefix":"x"},1,null]}}`, `{"a":["xy",{"b":1}]}`)
	f.Fuzz(func(_ *testing.T, pattern, detail string) {
		p, err := parsePattern(pattern)
		var v any
		if err != nil || json.Unmarshal([]byte(detail), &v) != nil {
			return
		}
		p.matchesDetail(v)
	})
}
