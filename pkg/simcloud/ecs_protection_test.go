package simcloud

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"pgregory.net/rapid"
)

// protects protects tasks for some minutes, or with 0 no longer, and gives the
// reasons of failures.
func (b *ecsBench) protects(minutes int32, tasks ...*ecsTask) string {
	b.t.Helper()
	in := &ecs.UpdateTaskProtectionInput{Cluster: aws.String("c"), ProtectionEnabled: minutes > 0}
	if minutes > 0 {
		in.ExpiresInMinutes = aws.Int32(minutes)
	}
	for _, t := range tasks {
		in.Tasks = append(in.Tasks, t.arn)
	}
	out, err := b.c.ECS().UpdateTaskProtection(b.ctx, in)
	b.must(err)
	if len(out.ProtectedTasks)+len(out.Failures) != len(tasks) {
		b.t.Errorf("%d tasks, %d protected, %d failures", len(tasks), len(out.ProtectedTasks), len(out.Failures))
	}
	var all []string
	for _, f := range out.Failures {
		all = append(all, *f.Reason)
	}
	return strings.Join(all, " ")
}

// protectionBench is a service of four tasks on two hosts.
func protectionBench(t *testing.T) (*ecsBench, *ecsService) {
	b := newECSBench(t, 1)
	b.hosts("g", 2, nil)
	b.define("web", 100, 100, nil)
	s := b.create("web", 4, nil)
	b.pass(5 * time.Minute)
	return b, s
}

func TestScaleInSparesTheProtectedUntilTheyExpire(t *testing.T) {
	for _, tt := range []struct {
		honoured bool
		want     string // of the protected tasks still there: at once, and after expiry
	}{{true, "3 1"}, {false, "1 1"}} {
		b, s := protectionBench(t)
		b.c.World().Behaviour().ProtectionHonoured = tt.honoured
		b.want("refused", b.protects(10, s.tasks[:3]...), "")
		kept := append([]*ecsTask{}, s.tasks[:3]...)
		there := func() int {
			n := 0
			for _, t := range kept {
				if t.wantedToRun() {
					n++
				}
			}
			return n
		}
		b.scale("web", 1)
		b.pass(2 * time.Minute)
		first := there()
		if tt.honoured && len(b.actions("SERVICE_STEADY_STATE")) != 1 {
			t.Errorf("steady states at %v though three run for one", b.actions("SERVICE_STEADY_STATE"))
		}
		b.pass(10 * time.Minute)
		if tt.honoured {
			b.want("honoured", fmt.Sprint(first, there()), tt.want)
		} else if first > 1 {
			t.Errorf("ignored: %d of the protected are there", first)
		}
		b.want("in the end", len(s.tasks), 1)
	}
}

func TestTheChosenVictimGoes(t *testing.T) {
	for victim := range 4 {
		b, s := protectionBench(t)
		gone := s.tasks[victim]
		var survivors []*ecsTask
		for _, task := range s.tasks {
			if task != gone {
				survivors = append(survivors, task)
			}
		}
		b.want("refused", b.protects(10, survivors...), "")
		b.scale("web", 3)
		b.pass(time.Minute)
		b.want("the one that is not protected", gone.last, statusStopped)
		b.want("unprotecting", b.protects(0, survivors...), "")
		b.scale("web", 2)
		b.pass(time.Minute)
		b.want("then any", len(s.tasks), 2)
	}
}

func TestDeploymentsAndDrainingMeetTheProtected(t *testing.T) {
	for _, tt := range []struct {
		name               string
		honoured, draining bool // the behaviours
		drain              bool // what happens: the host is drained, else a deployment
		stays              bool
	}{
		{"a deployment leaves it", true, false, false, true},
		{"a deployment takes it where protection is ignored", false, true, false, false},
		{"draining takes it", true, false, true, false},
		{"draining leaves it in the other world", false, true, true, true},
	} {
		b, s := protectionBench(t)
		b.c.World().Behaviour().ProtectionHonoured, b.c.World().Behaviour().DrainingHonours = tt.honoured, tt.draining
		task := s.tasks[0]
		b.want("refused", b.protects(30, task), "")
		if tt.drain {
			b.drain(task.host)
		} else {
			b.update("web", func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
		}
		b.pass(20 * time.Minute)
		b.want(tt.name, task.wantedToRun(), tt.stays)
		b.pass(20 * time.Minute)
		b.want(tt.name+": expired", fmt.Sprint(task.wantedToRun(), len(s.tasks), len(s.deployments)), "false 4 1")
	}
}

func TestWhatCannotBeProtected(t *testing.T) {
	b, s := protectionBench(t)
	alone := b.run("web")
	b.pass(time.Minute)
	b.want("a standalone task", b.protects(5, alone), "TASK_NOT_VALID")
	b.want("one that there is not", b.protects(5, &ecsTask{arn: "nobody"}), "MISSING")
	b.want("some of several", b.protects(5, alone, s.tasks[0]), "TASK_NOT_VALID")
	gone := s.tasks[1]
	b.stop(gone)
	b.want("one that is to stop", b.protects(5, gone), "TASK_NOT_VALID")
	b.want("ended protection of any", b.protects(0, s.tasks[2]), "")
	get, err := b.c.ECS().GetTaskProtection(b.ctx, &ecs.GetTaskProtectionInput{Cluster: aws.String("c"), Tasks: []string{s.tasks[0].id, s.tasks[2].id, alone.id, "nobody"}})
	b.must(err)
	if p := get.ProtectedTasks; len(p) != 2 || !p[0].ProtectionEnabled || !p[0].ExpirationDate.Equal(b.c.now.Add(5*time.Minute)) || p[1].ProtectionEnabled || p[1].ExpirationDate != nil {
		t.Errorf("%+v", p)
	}
	b.want("reasons", fmt.Sprint(*get.Failures[0].Reason, *get.Failures[1].Reason), "TASK_NOT_VALIDMISSING")
	for name, in := range map[string]ecs.UpdateTaskProtectionInput{
		"no cluster":    {Tasks: []string{"a"}},
		"no task":       {Cluster: aws.String("c")},
		"eleven tasks":  {Cluster: aws.String("c"), Tasks: make([]string, 11)},
		"no minute":     {Cluster: aws.String("c"), Tasks: []string{"a"}, ExpiresInMinutes: aws.Int32(0)},
		"over two days": {Cluster: aws.String("c"), Tasks: []string{"a"}, ExpiresInMinutes: aws.Int32(2881)},
	} {
		_, err := b.c.ECS().UpdateTaskProtection(b.ctx, &in)
		b.want(name, codeOf(err), "InvalidParameterException")
	}
	_, err = b.c.ECS().UpdateTaskProtection(b.ctx, &ecs.UpdateTaskProtectionInput{Cluster: aws.String("c"), Tasks: []string{s.tasks[0].id}, ProtectionEnabled: true})
	b.must(err)
	b.want("two hours unless given", s.tasks[0].protectedUntil.Sub(b.c.now), 2*time.Hour)
}

func TestWhenADeploymentIsBlocked(t *testing.T) {
	for _, tt := range []struct {
		bound      ProtectionBound
		beyond     string // protecting all four where three are wanted
		deployment string // protecting a new task while an old one is protected
	}{
		{BoundByService, "DEPLOYMENT_BLOCKED", ""},
		{BoundByDeployment, "DEPLOYMENT_BLOCKED", "DEPLOYMENT_BLOCKED"},
		{BoundNone, "", ""},
	} {
		b, s := protectionBench(t)
		b.c.World().Behaviour().ProtectionBound = tt.bound
		b.scale("web", 3)
		b.want(string(tt.bound), b.protects(60, s.tasks...), tt.beyond)

		b, s = protectionBench(t)
		b.c.World().Behaviour().ProtectionBound = tt.bound
		b.want("the first", b.protects(60, s.tasks[0]), "")
		b.update("web", func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true })
		b.pass(10 * time.Minute)
		b.want(string(tt.bound)+" in a deployment", b.protects(60, s.tasks[len(s.tasks)-1]), tt.deployment)
	}
}

func TestProtectionHasItsOwnBucket(t *testing.T) {
	b, s := protectionBench(t)
	throttled := 0
	b.must(b.c.Lambda().Register("f", func(ctx context.Context, _ []byte) ([]byte, error) {
		return nil, b.c.Gather(500)(ctx, 500, func(ctx context.Context, _ int) error {
			_, err := b.c.ECS().GetTaskProtection(ctx, &ecs.GetTaskProtectionInput{Cluster: aws.String("c"), Tasks: []string{s.tasks[0].id}})
			if codeOf(err) == "ThrottlingException" {
				throttled++
			}
			return nil
		})
	}, FunctionConfig{Timeout: time.Minute}))
	b.must(b.c.Lambda().Invoke("f", nil))
	b.pass(time.Minute)
	b.c.Close()
	if throttled < 280 || throttled > 300 { // the first 200 pass, and what 80 a second bring meanwhile
		t.Errorf("%d of 500 calls at once were throttled", throttled)
	}
	if tokens := b.c.buckets["ecs cluster resource read"].tokens; tokens != 100 {
		t.Errorf("they took from the reads' bucket: %v left of 100", tokens)
	}
}

// TestProtectedTasksOutliveAnyScaleIn draws who is protected and how far the
// count falls.
func TestProtectedTasksOutliveAnyScaleIn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newECSBench(t, rapid.Uint64().Draw(rt, "seed"))
		b.hosts("g", 3, nil)
		b.define("web", 100, 100, nil)
		n := rapid.IntRange(1, 8).Draw(rt, "tasks")
		s := b.create("web", int32(n), nil)
		b.pass(5 * time.Minute)
		var kept []*ecsTask
		for _, task := range s.tasks {
			if rapid.Bool().Draw(rt, "protected") {
				kept = append(kept, task)
			}
		}
		if len(kept) > 0 {
			b.want("refused", b.protects(30, kept...), "")
		}
		to := rapid.IntRange(0, n).Draw(rt, "to")
		b.scale("web", int32(to))
		b.pass(20 * time.Minute)
		for _, task := range kept {
			if !task.wantedToRun() {
				rt.Fatalf("a protected task was stopped: %s", task.reason)
			}
		}
		if len(s.tasks) != max(to, len(kept)) {
			rt.Fatalf("%d tasks, %d protected, %d wanted", len(s.tasks), len(kept), to)
		}
		b.pass(20 * time.Minute)
		if len(s.tasks) != to {
			rt.Fatalf("%d tasks once protection is over, %d wanted", len(s.tasks), to)
		}
	})
}
