package infra

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ours are the stacks with constructs of ours.
func ours() []string {
	return []string{"Plain", "Again", "Changed", "Ported", "Rich", "Existing", "Bare", "Ours"}
}

func TestNagFindsNothingButWhatIsCareless(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for _, c := range w.complaintsOf(stack) {
			t.Errorf("cdk-nag: %s", c)
		}
	}
	if len(w.complaintsOf("Careless")) == 0 {
		t.Error("cdk-nag says nothing of a bucket without any care: it does not judge at all")
	}
}

func TestEveryAcceptedFindingHasAReason(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for id, r := range w.stacks[stack].Resources {
			accepted, _ := r.Metadata["cdk_nag"].(map[string]any)
			rules, _ := accepted["rules_to_suppress"].([]any)
			for _, rule := range rules {
				m, _ := rule.(map[string]any)
				if reason, _ := m["reason"].(string); len(strings.Fields(reason)) < 5 {
					t.Errorf("%s: %s accepts %v because of %q", stack, id, m["id"], reason)
				}
			}
		}
	}
}

func TestCfnLintFindsNothingInClustersAndServices(t *testing.T) {
	path, err := filepath.Abs(linter)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI wants cfn-lint: %v", err)
		}
		t.Skipf("LEFT OUT: cfn-lint, for want of %s", path)
	}
	w, folder := theWorld(t), t.TempDir()
	args := []string{"--regions", "eu-west-1", "--format", "parseable", "--template"}
	for _, stack := range []string{"Rich", "Existing", "Bare", "Ours"} { // the others have nothing that these have not
		file := filepath.Join(folder, stack+".json")
		if err := os.WriteFile(file, []byte(w.stacks[stack].raw), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheSameAppGivesTheSameBytes(t *testing.T) {
	w := theWorld(t)
	if w.stacks["Plain"].raw != w.stacks["Again"].raw {
		t.Error("two stacks with the same constructs have different templates")
	}
}

// desired are the properties that plimsoll owns once things run.
func TestNoTemplateSetsADesiredCount(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for id, r := range w.stacks[stack].Resources {
			for _, property := range []string{"DesiredCount", "DesiredCapacity", "NewInstancesProtectedFromScaleIn", "LifecycleHookSpecificationList"} {
				if _, set := r.Properties[property]; set {
					t.Errorf("%s: %s sets %s", stack, id, property)
				}
			}
			if r.Type == "AWS::ECS::CapacityProvider" || strings.HasPrefix(r.Type, "AWS::AutoScaling::Scaling") || r.Type == "AWS::AutoScaling::LifecycleHook" {
				t.Errorf("%s: %s is a %s, which would steer hosts beside plimsoll", stack, id, r.Type)
			}
		}
	}
}

func TestAnUpdateTouchesNeitherCountsNorListenerRules(t *testing.T) {
	for _, row := range []struct {
		name, stack    string
		changed        []string // types of resources, whose properties are others or that are new
		changedNothing []string
	}{
		{"a new image and policy", "Changed", []string{"AWS::ECS::TaskDefinition", "AWS::AutoScaling::AutoScalingGroup"}, []string{listenerRules, targetGroups, "AWS::ECS::Service"}},
		// The rule leads to a new group then, and must be the same rule: ELB refuses a
		// second one of its priority.
		{"a container renamed, on another port", "Ported", []string{"AWS::ECS::TaskDefinition", targetGroups, listenerRules}, []string{"AWS::AutoScaling::AutoScalingGroup"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			changed := changesOf(t, theWorld(t).stacks["Plain"].Resources, theWorld(t).stacks[row.stack].Resources)
			for _, kind := range row.changed {
				if !changed[kind] {
					t.Errorf("only %v change, and no %s: nothing was compared", changed, kind)
				}
			}
			for _, kind := range row.changedNothing {
				if changed[kind] {
					t.Errorf("%s changes", kind)
				}
			}
		})
	}
}

// The types that hold the way of requests into a service.
const (
	listenerRules = "AWS::ElasticLoadBalancingV2::ListenerRule"
	targetGroups  = "AWS::ElasticLoadBalancingV2::TargetGroup"
)

// changesOf are the types of what an update changes. It may make and drop target
// groups, and change no count, no priority and no rule's conditions.
func changesOf(t *testing.T, before, after map[string]deployed) map[string]bool {
	t.Helper()
	changed := map[string]bool{}
	for id, is := range after {
		if _, there := before[id]; !there {
			changed[is.Type] = true
			if is.Type != targetGroups {
				t.Errorf("%s is new", id)
			}
		}
	}
	for id, was := range before {
		is, there := after[id]
		if !there && was.Type != targetGroups {
			t.Errorf("%s is gone", id)
		}
		if !there || text(was) == text(is) {
			continue
		}
		changed[was.Type] = true
		for _, property := range []string{"DesiredCount", "DesiredCapacity", "Priority", "Conditions", "ListenerArn"} {
			if text(was.Properties[property]) != text(is.Properties[property]) {
				t.Errorf("%s of %s changed", property, id)
			}
		}
	}
	return changed
}

func TestTheInternetReachesListenersOnly(t *testing.T) {
	w := theWorld(t)
	for stack, ports := range map[string]string{"Plain": "80", "Rich": "443 80", "Existing": "", "Bare": "80"} {
		d := w.stacks[stack]
		seen := map[string]bool{}
		for _, g := range d.all("AWS::EC2::SecurityGroup") {
			rules, _ := g.Properties["SecurityGroupIngress"].([]any)
			for _, rule := range rules {
				in, _ := rule.(map[string]any)
				port := text(in["FromPort"])
				if text(in["ToPort"]) != port || !strings.Contains(" "+ports+" ", " "+port+" ") || in["IpProtocol"] != "tcp" {
					t.Errorf("%s: %s lets addresses in by %s", stack, g.id, text(in))
				}
				seen[text(in["CidrIp"])] = true
				if stack == "Bare" && text(in["CidrIp"]) == `"0.0.0.0/0"` {
					t.Errorf("%s: an internal load balancer is open to everyone", stack)
				}
			}
		}
		if stack == "Rich" && (seen[`"0.0.0.0/0"`] || !seen[`"192.0.2.0/24"`] || !seen[`"198.51.100.0/24"`]) {
			t.Errorf("AllowFrom gives %v", seen)
		}
		for _, in := range d.all("AWS::EC2::SecurityGroupIngress") {
			if in.Properties["CidrIp"] != nil || in.Properties["SourceSecurityGroupId"] == nil || text(in.Properties["FromPort"]) != "32768" || text(in.Properties["ToPort"]) != "65535" {
				t.Errorf("%s: %s opens %s", stack, in.id, text(in.Properties))
			}
		}
	}
}

func TestNothingLeavesALoadBalancerButToHosts(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for _, g := range w.stacks[stack].all("AWS::EC2::SecurityGroup") {
			out := text(g.Properties["SecurityGroupEgress"])
			if strings.Contains(g.id, "LoadBalancer") && (strings.Contains(out, "CidrIp") || !strings.Contains(out, "DestinationSecurityGroupId")) {
				t.Errorf("%s: %s lets out %s", stack, g.id, out)
			}
		}
	}
}

func TestDataAtRestIsEncryptedAndBucketsArePrivate(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		d := w.stacks[stack]
		for _, b := range d.all("AWS::S3::Bucket") {
			if !strings.Contains(text(b.Properties["BucketEncryption"]), "AES256") || strings.Count(text(b.Properties["PublicAccessBlockConfiguration"]), "true") != 4 || b.DeletionPolicy != "Retain" {
				t.Errorf("%s: bucket %s is %s", stack, b.id, text(b))
			}
		}
		for _, p := range d.all("AWS::S3::BucketPolicy") {
			if !strings.Contains(text(p.Properties), `"aws:SecureTransport":"false"`) {
				t.Errorf("%s: %s allows connections without TLS", stack, p.id)
			}
		}
		for _, template := range d.all("AWS::EC2::LaunchTemplate") {
			disks := text(template.Properties["LaunchTemplateData"].(map[string]any)["BlockDeviceMappings"])
			n := strings.Count(disks, "DeviceName")
			if n == 0 || strings.Count(disks, `"Encrypted":true`) != n || strings.Count(disks, `"gp3"`) != n {
				t.Errorf("%s: %s has disks %s", stack, template.id, disks)
			}
		}
	}
}

func TestRolesMayOnlyDoWhatTheyAreFor(t *testing.T) {
	w := theWorld(t)
	anywhere := map[string]bool{"ecs:DiscoverPollEndpoint": true, "ecr:GetAuthorizationToken": true}
	for _, stack := range ours() {
		for _, p := range w.stacks[stack].all("AWS::IAM::Policy") {
			for _, s := range p.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
				st, _ := s.(map[string]any)
				actions, some := st["Action"].([]any)
				if !some {
					actions = []any{st["Action"]}
				}
				for _, a := range actions {
					action, _ := a.(string)
					if strings.Contains(action, "*") {
						t.Errorf("%s: %s allows %s", stack, p.id, action)
					}
					if text(st["Resource"]) == `"*"` && (!anywhere[action] || len(actions) > 1) {
						t.Errorf("%s: %s allows %s anywhere", stack, p.id, action)
					}
				}
			}
		}
		for _, r := range w.stacks[stack].all("AWS::IAM::Role") {
			if managed := text(r.Properties["ManagedPolicyArns"]); managed != "null" && !strings.HasPrefix(r.id, singleCalls) {
				t.Errorf("%s: %s has the managed policies %s", stack, r.id, managed)
			}
		}
	}
}
