package infra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/events"
	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/store"
)

func TestTheRulesAreThoseOfTheEvents(t *testing.T) {
	s := whole(t)
	want := map[string]string{events.SweepSchedule: ""}
	for _, p := range events.Patterns(scopeOf(testPolicies(), "<AWS::Partition>", "<AWS::Region>", "<AWS::AccountId>")) {
		want[flat(plain(p))] = p.Why
	}
	for _, id := range s.all("AWS::Events::Rule") {
		r := s.Resources[id]
		key, _ := r.get("ScheduleExpression").(string)
		if key == "" {
			key = flat(r.get("EventPattern"))
		}
		why, ok := want[key]
		if delete(want, key); !ok || why != "" && why != flat(r.get("Description")) {
			t.Errorf("%s is no rule of the events: %s", id, key)
		}
		target := addressed(r)
		if target != "ingress <"+s.one(t, "AWS::SQS::Queue", "IngressQueue9")+".Arn>" || r.get("State") != "ENABLED" || r.get("RoleArn") != nil {
			t.Errorf("%s goes to %s, state %v", id, target, r.get("State"))
		}
	}
	for key := range want {
		t.Errorf("no rule has the pattern %s", key)
	}
	if !strings.Contains(string(s.raw), "EC2 Spot Instance Interruption Warning") || !strings.Contains(string(s.raw), ":cluster/stage") {
		t.Error("the patterns are not what the test takes them for")
	}
}

func TestTheAlarmsAreThoseOfThePolicies(t *testing.T) {
	s := whole(t)
	got := map[string]resource{}
	for _, id := range s.all("AWS::CloudWatch::Alarm") {
		if name := flat(s.Resources[id].get("AlarmName")); strings.HasPrefix(name, policy.AlarmPrefix) {
			got[name] = s.Resources[id]
		}
	}
	for _, p := range testPolicies() {
		for _, a := range policy.Alarms(p) {
			r := got[a.Name]
			delete(got, a.Name)
			statistic := r.get("Statistic")
			if a.Metric.Statistic == "p99" {
				statistic = r.get("ExtendedStatistic")
			}
			same := r.get("Namespace") == a.Metric.Namespace && r.get("MetricName") == a.Metric.Name && statistic == a.Metric.Statistic &&
				r.get("Period") == a.Metric.Period.Seconds() && r.get("Threshold") == a.Threshold && r.get("ComparisonOperator") == a.Comparison &&
				r.get("EvaluationPeriods") == float64(a.EvaluationPeriods) && r.get("TreatMissingData") == a.TreatMissing
			dimensions, _ := r.get("Dimensions").([]any)
			if !same || len(dimensions) != len(a.Metric.Dimensions) || r.get("AlarmActions") != nil {
				t.Errorf("%s: %v", a.Name, r.Properties)
			}
			for name, value := range a.Metric.Dimensions {
				if !slices.Contains(texts(r.get("Dimensions")), "{Name:"+name+" Value:"+value+"}") {
					t.Errorf("%s lacks %s=%s", a.Name, name, value)
				}
			}
		}
	}
	for name := range got {
		t.Errorf("%s is no alarm of a policy", name)
	}
}

// TestAnOperatorIsToldByTheTopic has all that each alarm compares: one that looks
// at less, or takes silence for health, rings when it is too late.
func TestAnOperatorIsToldByTheTopic(t *testing.T) {
	s := whole(t)
	topic := "<" + s.one(t, "AWS::SNS::Topic", "") + ">"
	of := func(name, kind, part string) string {
		return "{Name:" + name + " Value:<" + s.one(t, kind, part) + ">}"
	}
	queue := func(name string) string {
		ids := slices.DeleteFunc(s.all("AWS::SQS::Queue"), func(id string) bool {
			return !strings.Contains(id, strings.TrimSuffix(name, "Dead")) || strings.Contains(id, "Dead") != strings.HasSuffix(name, "Dead")
		})
		return "{Name:QueueName Value:<" + strings.Join(ids, " ") + ".QueueName>}"
	}
	ingest, reconcile := of("FunctionName", "AWS::Lambda::Function", "Ingest"), of("FunctionName", "AWS::Lambda::Function", "Reconcile")
	register := of("FunctionName", "AWS::Lambda::Function", "Register")
	want := map[string]string{
		"SweepMissing":        "Sum of Invocations " + of("RuleName", "AWS::Events::Rule", "Sweep") + " in 1 x 300 s LessThanThreshold 1, missing breaching",
		"RoundsMissing":       "Sum of Invocations " + reconcile + " in 1 x 300 s LessThanThreshold 1, missing breaching",
		"RoundsFailing/prod":  "Minimum of RoundsFailed {Name:Cluster Value:prod} in 1 x 300 s GreaterThanOrEqualToThreshold 1, missing breaching",
		"RoundsFailing/stage": "Minimum of RoundsFailed {Name:Cluster Value:stage} in 1 x 300 s GreaterThanOrEqualToThreshold 1, missing breaching",
		"IngressDead":         "Maximum of ApproximateNumberOfMessagesVisible " + queue("IngressQueueDead") + " in 1 x 60 s GreaterThanThreshold 0, missing notBreaching",
		"ReconcileDead":       "Maximum of ApproximateNumberOfMessagesVisible " + queue("ReconcileQueueDead") + " in 1 x 60 s GreaterThanThreshold 0, missing notBreaching",
		"EventsDead":          "Maximum of ApproximateNumberOfMessagesVisible " + queue("EventsQueueDead") + " in 1 x 60 s GreaterThanThreshold 0, missing notBreaching",
		"IngressOld":          "Maximum of ApproximateAgeOfOldestMessage " + queue("IngressQueue") + " in 1 x 60 s GreaterThanThreshold 300, missing notBreaching",
		"ReconcileOld":        "Maximum of ApproximateAgeOfOldestMessage " + queue("ReconcileQueue") + " in 1 x 60 s GreaterThanThreshold 300, missing notBreaching",
		"IngestErrors":        "Sum of Errors " + ingest + " in 1 x 300 s GreaterThanThreshold 0, missing notBreaching",
		"ReconcileErrors":     "Sum of Errors " + reconcile + " in 1 x 300 s GreaterThanThreshold 0, missing notBreaching",
		"IngestThrottles":     "Sum of Throttles " + ingest + " in 3 x 300 s GreaterThanThreshold 0, missing notBreaching",
		"ReconcileThrottles":  "Sum of Throttles " + reconcile + " in 3 x 300 s GreaterThanThreshold 0, missing notBreaching",

		"EndpointsFailing/prod":  "Sum of RoundsFailed {Name:Cluster Value:prod} {Name:Function Value:register} in 2 x 300 s GreaterThanOrEqualToThreshold 5, missing breaching",
		"EndpointsFailing/stage": "Sum of RoundsFailed {Name:Cluster Value:stage} {Name:Function Value:register} in 2 x 300 s GreaterThanOrEqualToThreshold 5, missing breaching",
		"RegisterDead":           "Maximum of ApproximateNumberOfMessagesVisible " + queue("RegisterQueueDead") + " in 1 x 60 s GreaterThanThreshold 0, missing notBreaching",
		"RegisterOld":            "Maximum of ApproximateAgeOfOldestMessage " + queue("RegisterQueue") + " in 1 x 60 s GreaterThanThreshold 300, missing notBreaching",
		"RegisterErrors":         "Sum of Errors " + register + " in 1 x 300 s GreaterThanThreshold 0, missing notBreaching",
		"RegisterThrottles":      "Sum of Throttles " + register + " in 3 x 300 s GreaterThanThreshold 0, missing notBreaching",
	}
	for _, id := range s.all("AWS::CloudWatch::Alarm") {
		r := s.Resources[id]
		name, own := strings.CutSuffix(flat(r.get("AlarmName")), "/<AWS::StackName>")
		if !own {
			continue
		}
		got := fmt.Sprintf("%v of %v %s in %v x %v s %v %v, missing %v", r.get("Statistic"), r.get("MetricName"), flat(r.get("Dimensions")),
			r.get("EvaluationPeriods"), r.get("Period"), r.get("ComparisonOperator"), r.get("Threshold"), r.get("TreatMissingData"))
		if got != want[name] || flat(r.get("AlarmActions")) != topic || flat(r.get("OKActions")) != topic || r.get("DatapointsToAlarm") != nil {
			t.Errorf("%s: %s\nwant %s", name, got, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no alarm %s", name)
	}
	if p := flat(s.Resources[s.one(t, "AWS::SNS::TopicPolicy", "")].get("PolicyDocument", "Statement")); !strings.Contains(p, "Service:cloudwatch.amazonaws.com") {
		t.Errorf("alarms may not publish: %s", p)
	}
}

func TestTheQueuesHaveTheNumbersOfTheArchitecture(t *testing.T) {
	s := whole(t)
	for _, row := range []struct {
		queue      string
		fifo       any
		visibility float64
	}{{"Ingress", nil, 360}, {"Reconcile", true, 90}, {"Register", true, 90}} {
		dead := s.one(t, "AWS::SQS::Queue", row.queue+"QueueDead")
		live := s.Resources[slices.DeleteFunc(s.all("AWS::SQS::Queue"), func(id string) bool { return !strings.Contains(id, row.queue+"Queue") || id == dead })[0]]
		if live.get("VisibilityTimeout") != row.visibility || live.get("FifoQueue") != row.fifo ||
			flat(live.get("RedrivePolicy")) != "{deadLetterTargetArn:<"+dead+".Arn> maxReceiveCount:5}" {
			t.Errorf("%s: %v", row.queue, live.Properties)
		}
		if d := s.Resources[dead]; d.get("FifoQueue") != row.fifo || d.get("MessageRetentionPeriod") != 14*24*3600.0 {
			t.Errorf("%s: %v", dead, d.Properties)
		}
	}
	if lease := store.LeaseFor.Seconds(); lease <= timeout || lease >= reconcileVisibility {
		t.Errorf("a lease of %v s is not between a timeout of %d s and a visibility of %d s", lease, timeout, reconcileVisibility)
	}
}

func TestOnlyTheRulesOfThisAccountSendToTheIngress(t *testing.T) {
	s := whole(t)
	var rules []string
	for _, id := range s.all("AWS::Events::Rule") {
		rules = append(rules, "<"+id+".Arn>")
	}
	queues := s.all("AWS::SQS::Queue")
	var open []string // to the rules
	for _, id := range s.all("AWS::SQS::QueuePolicy") {
		r := s.Resources[id]
		queue := strings.Trim(flat(r.get("Queues")), "<>")
		queues = slices.DeleteFunc(queues, func(q string) bool { return q == queue })
		if s.Resources[queue].get("SqsManagedSseEnabled") != true {
			t.Errorf("%s is not encrypted", queue)
		}
		statements, _ := r.get("PolicyDocument", "Statement").([]any)
		tls := 0
		for _, st := range statements {
			m, _ := st.(map[string]any)
			if flat(m) == "{Action:sqs:* Condition:{Bool:{aws:SecureTransport:false}} Effect:Deny Principal:{AWS:*} Resource:<"+queue+".Arn>}" {
				tls++
				continue
			}
			from, _ := m["Condition"].(map[string]any)
			sources, _ := from["ArnEquals"].(map[string]any)
			got := texts(sources["aws:SourceArn"])
			slices.Sort(got)
			open = append(open, queue)
			if flat(m["Resource"]) != "<"+queue+".Arn>" || m["Effect"] != "Allow" || !slices.Equal(got, rules) || len(from) != 2 || len(sources) != 1 ||
				flat(from["StringEquals"]) != "{aws:SourceAccount:<AWS::AccountId>}" || flat(m["Principal"]) != "{Service:events.amazonaws.com}" || m["Action"] != "sqs:SendMessage" {
				t.Errorf("%s also has %s", queue, flat(m))
			}
		}
		if tls != 1 {
			t.Errorf("%s does not insist on TLS", queue)
		}
	}
	if len(queues) > 0 {
		t.Errorf("no policy for %v", queues)
	}
	if len(open) != 2 || !strings.Contains(open[0], "EventsQueueDead") || !strings.Contains(open[1], "IngressQueue") || strings.Contains(open[1], "Dead") {
		t.Errorf("the rules may send to %v", open)
	}
}

func TestTheTableIsKept(t *testing.T) {
	s := whole(t)
	r := s.Resources[s.one(t, "AWS::DynamoDB::Table", "")]
	for path, want := range map[string]string{
		"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": "true", "TimeToLiveSpecification": "{AttributeName:expires Enabled:true}",
		"PointInTimeRecoverySpecification": "{PointInTimeRecoveryEnabled:true}",
		"KeySchema":                        "{AttributeName:pk KeyType:HASH} {AttributeName:sk KeyType:RANGE}",
		"AttributeDefinitions":             "{AttributeName:pk AttributeType:S} {AttributeName:sk AttributeType:S}",
	} {
		if got := flat(r.get(path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if r.DeletionPolicy != "Retain" {
		t.Errorf("with the stack the table goes: %s", r.DeletionPolicy)
	}
}

// getenv are what a main reads of the environment.
var getenv = regexp.MustCompile(`os\.Getenv\("(PLIMSOLL_\w+)"\)`)

func TestEachFunctionGetsWhatItsMainReads(t *testing.T) {
	s := whole(t)
	dirs, err := filepath.Glob("../functions/*/bootstrap/main.go")
	if err != nil || len(dirs) != len(functions()) {
		t.Fatalf("%d functions have a main, the deployment knows %d: add the new one to functions(), %v", len(dirs), len(functions()), err)
	}
	goes := map[string]map[string]string{"ingest": ingest.Runtime(), "reconcile": reconcile.Runtime(), "register": register.Runtime()}
	for _, f := range functions() {
		r := s.Resources[s.one(t, "AWS::Lambda::Function", capital(f.name))]
		given, _ := r.get("Environment", "Variables").(map[string]any)
		main, err := os.ReadFile(filepath.Join("../functions", f.name, "bootstrap/main.go"))
		if err != nil {
			t.Fatal(err)
		}
		read := map[string]bool{}
		for name, want := range goes[f.name] { // which Go reads, not the main
			read[name] = true
			if given[name] != want {
				t.Errorf("%s is given %s=%v, and not %s", f.name, name, given[name], want)
			}
		}
		for _, m := range getenv.FindAllSubmatch(main, -1) {
			read[string(m[1])] = true
			if given[string(m[1])] == nil {
				t.Errorf("%s reads %s, and is not given it", f.name, m[1])
			}
		}
		for name := range given {
			if !read[name] {
				t.Errorf("%s is given %s and does not read it", f.name, name)
			}
		}
		for name, want := range map[string]any{"Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 60.0, "RecursiveLoop": "Allow", "ReservedConcurrentExecutions": nil} {
			if r.get(name) != want {
				t.Errorf("%s of %s is %v, want %v", name, f.name, r.get(name), want)
			}
		}
		if flat(r.get("Architectures")) != "arm64" || r.get("VpcConfig") != nil {
			t.Errorf("%s: %v", f.name, r.Properties)
		}
	}
}

func TestEachFunctionIsFedByItsQueue(t *testing.T) {
	s := whole(t)
	for name, want := range map[string]struct{ batch, side float64 }{"Ingest": {10, 5}, "Reconcile": {1, 2}, "Register": {1, 3}} {
		r := s.Resources[s.one(t, "AWS::Lambda::EventSourceMapping", name)]
		queue := map[string]string{"Ingest": "IngressQueue", "Reconcile": "ReconcileQueue", "Register": "RegisterQueue"}[name]
		if r.get("BatchSize") != want.batch || r.get("ScalingConfig", "MaximumConcurrency") != want.side || r.get("MaximumBatchingWindowInSeconds") != nil ||
			flat(r.get("FunctionResponseTypes")) != "ReportBatchItemFailures" || !strings.Contains(flat(r.get("EventSourceArn")), queue) {
			t.Errorf("%s: %v", name, r.Properties)
		}
	}
	for _, id := range s.all("AWS::Logs::LogGroup") {
		if s.Resources[id].get("RetentionInDays") != 30.0 {
			t.Errorf("%s: %v", id, s.Resources[id].Properties)
		}
	}
	if n := len(s.all("AWS::Logs::LogGroup")); n != len(functions()) {
		t.Errorf("%d log groups", n)
	}
}

func TestThePackagesAreProgramAndPolicy(t *testing.T) {
	s := whole(t)
	packages, err := filepath.Glob(filepath.Join(s.folder, "asset.*"))
	if err != nil || len(packages) == 0 {
		t.Fatal(packages, err)
	}
	for _, p := range packages {
		info, err := os.Stat(filepath.Join(p, "bootstrap"))
		if err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("the program cannot be run: %v, %v", info, err)
		}
		raw, err := os.ReadFile(filepath.Join(p, "policy.json"))
		if err != nil {
			t.Fatal(err)
		}
		set, err := policy.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		want, err := policy.Encode(testPolicies())
		if got, again := policy.Encode(set); err != nil || again != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %v, %v", got, err, again)
		}
	}
}

func TestTwiceTheSameIsTheSame(t *testing.T) {
	a := whole(t)
	b := of(t, ControllerProps{Policies: testPolicies(), HostRoles: []string{testHostRole}})
	if !bytes.Equal(a.raw, b.raw) {
		t.Error("two runs, two templates")
	}
	assets := func(s template) string {
		raw, err := os.ReadFile(filepath.Join(s.folder, "plimsoll.assets.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if assets(a) != assets(b) {
		t.Error("two runs, two lists of assets")
	}
}

func TestTheStackIsOfNoAccountAndNoRegion(t *testing.T) {
	var manifest struct {
		Artifacts map[string]struct{ Environment string }
		Missing   []any
	}
	raw, err := os.ReadFile(filepath.Join(whole(t).folder, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(raw, &manifest)
	}
	if err != nil || manifest.Artifacts["plimsoll"].Environment != "aws://unknown-account/unknown-region" || len(manifest.Missing) > 0 {
		t.Errorf("%v, missing %v, %v", manifest.Artifacts["plimsoll"], manifest.Missing, err)
	}
}

func TestAnotherPolicyChangesOnlyWhatItMust(t *testing.T) {
	set := testPolicies()
	set[0].Hosts[0].Max = 10
	set[0].Hosts[0].Removal.EmptyAfter = policy.Duration{Duration: time.Hour}
	other := of(t, ControllerProps{Policies: set, HostRoles: []string{testHostRole}})
	for id, r := range whole(t).Resources {
		same := flat(r.Properties) == flat(other.Resources[id].Properties)
		if function := r.Type == "AWS::Lambda::Function"; same == function {
			t.Errorf("%s of type %s: same %v", id, r.Type, same)
		}
	}
}
