package infra

import (
	"slices"
	"strings"
	"testing"
)

// containersOf are the containers of the task family, by name.
func containersOf(t *testing.T, d deployment, family string) map[string]map[string]any {
	t.Helper()
	for _, task := range d.all("AWS::ECS::TaskDefinition") {
		if task.Properties["Family"] != family {
			continue
		}
		found := map[string]map[string]any{}
		for _, c := range task.Properties["ContainerDefinitions"].([]any) {
			container, _ := c.(map[string]any)
			name, _ := container["Name"].(string)
			found[name] = container
		}
		return found
	}
	t.Fatalf("no task family %s", family)
	return nil
}

func TestAServiceIsMadeForPlimsoll(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for _, s := range w.stacks[stack].all("AWS::ECS::Service") {
			p := s.Properties
			for property, want := range map[string]string{
				"LaunchType": `"EC2"`, "DeploymentController": `{"Type":"ECS"}`, "AvailabilityZoneRebalancing": `"DISABLED"`,
				"PlacementStrategies": `[{"Field":"memory","Type":"binpack"}]`, "CapacityProviderStrategy": "null",
			} {
				if got := text(p[property]); got != want {
					t.Errorf("%s: %s of %s is %s, want %s", stack, property, s.id, got, want)
				}
			}
		}
	}
}

func TestHoldKeepsATaskOpenForTheLongestDelay(t *testing.T) {
	w := theWorld(t)
	for _, row := range []struct{ stack, command, stop, after string }{
		{"Plain", "sleep 45;", "60", `[{"Condition":"START","ContainerName":"app"}]`},
		{"Rich", "sleep 105;", "120", `[{"Condition":"START","ContainerName":"front"},{"Condition":"START","ContainerName":"side"}]`},
	} {
		hold := containersOf(t, w.stacks[row.stack], "web")[holdName]
		if hold == nil {
			t.Errorf("%s: no hold container", row.stack)
			continue
		}
		if !strings.Contains(text(hold["Command"]), row.command) || text(hold["StopTimeout"]) != row.stop || text(hold["DependsOn"]) != row.after || text(hold["Essential"]) != "false" {
			t.Errorf("%s: the hold container is %s", row.stack, text(hold))
		}
	}
	for stack, family := range map[string]string{"Plain": "jobs", "Rich": "desk", "Existing": "web"} {
		if hold := containersOf(t, w.stacks[stack], family)[holdName]; hold != nil {
			t.Errorf("%s: %s has a hold container, and needs none", stack, family)
		}
	}
}

func TestAContainerHasAllThatItsPropsSay(t *testing.T) {
	front := text(containersOf(t, theWorld(t).stacks["Rich"], "web")["front"])
	for _, want := range []string{
		`"Command":["serve"]`, `"EntryPoint":["/front"]`, `"User":"1000"`, `"ReadonlyRootFilesystem":true`, `"Cpu":512`, `"Memory":512`, `"MemoryReservation":256`,
		`"Environment":[{"Name":"A","Value":"1"},{"Name":"AWS_REGION","Value":{"Ref":"AWS::Region"}},{"Name":"B","Value":"2"}]`,
		`"Secrets":[{"Name":"TOKEN","ValueFrom":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:token-AbCdEf"}]`,
		`"HealthCheck":{"Command":["CMD-SHELL","true"],"Interval":10,"Retries":3,"Timeout":5}`, `"StopTimeout":60`,
		`"DependsOn":[{"Condition":"START","ContainerName":"side"}]`,
		`"MountPoints":[{"ContainerPath":"/tmp","ReadOnly":false,"SourceVolume":"scratch"},{"ContainerPath":"/srv","ReadOnly":true,"SourceVolume":"host"}]`,
		`"PortMappings":[{"ContainerPort":8080,"HostPort":0,"Protocol":"tcp"},{"ContainerPort":9090,"HostPort":0,"Protocol":"tcp"}]`,
	} {
		if !strings.Contains(front, want) {
			t.Errorf("no %s in %s", want, front)
		}
	}
}

func TestAServiceOnMixedHostsSaysWhichSystem(t *testing.T) {
	want := map[string]string{
		"web":  `[{"Expression":"attribute:ecs.os-type == linux","Type":"memberOf"},{"Expression":"attribute:ecs.cpu-architecture == arm64","Type":"memberOf"}]`,
		"desk": `[{"Expression":"attribute:ecs.os-type == windows","Type":"memberOf"}]`,
	}
	d := theWorld(t).stacks["Rich"]
	for _, s := range d.all("AWS::ECS::Service") {
		name, _ := s.Properties["ServiceName"].(string)
		if got := text(s.Properties["PlacementConstraints"]); got != want[name] {
			t.Errorf("%s runs where %s, want %s", name, got, want[name])
		}
	}
	for _, task := range d.all("AWS::ECS::TaskDefinition") {
		if mode := text(task.Properties["NetworkMode"]); (mode == "null") != (task.Properties["Family"] == "desk") {
			t.Errorf("the network mode of %v is %s", task.Properties["Family"], mode)
		}
	}
}

func TestTargetsAreInstancesOnDynamicPorts(t *testing.T) {
	d := theWorld(t).stacks["Rich"]
	groups := d.all("AWS::ElasticLoadBalancingV2::TargetGroup")
	var delays []string
	for _, g := range groups {
		if g.Properties["TargetType"] != "instance" || g.Properties["HealthCheckPort"] != "traffic-port" {
			t.Errorf("%s is %s", g.id, text(g.Properties))
		}
		delays = append(delays, text(g.Properties["TargetGroupAttributes"]))
	}
	slices.Sort(delays)
	if len(delays) != 2 || !strings.Contains(delays[0], `"30"`) || !strings.Contains(delays[1], `"90"`) {
		t.Errorf("deregistration delays are %v", delays)
	}
	rules := d.all("AWS::ElasticLoadBalancingV2::ListenerRule")
	for i, want := range []string{
		`[{"Field":"host-header","HostHeaderConfig":{"Values":["example.com","*.example.com"]}},{"Field":"path-pattern","PathPatternConfig":{"Values":["/a/*"]}}]`,
		`[{"Field":"host-header","HostHeaderConfig":{"Values":["admin.example.com"]}}]`,
	} {
		if len(rules) != 2 || text(rules[i].Properties["Conditions"]) != want || text(rules[i].Properties["Priority"]) != text(i+1) {
			t.Errorf("rule %d is %s", i+1, text(rules))
		}
	}
}

func TestAnExecutionRolePullsOnlyItsOwnImages(t *testing.T) {
	w := theWorld(t)
	for _, row := range []struct{ stack, policy, want string }{
		{"Plain", "ShopJobsExecutionRights", `"Fn::GetAtt":["ShopRepository`},
		{"Rich", "ShopWebExecutionRights", `:ecr:eu-west-1:111122223333:repository/team/front"`},
		{"Plain", "ShopWebExecutionRights", ""}, // a public image needs no right
	} {
		for _, p := range w.stacks[row.stack].all("AWS::IAM::Policy") {
			if !strings.HasPrefix(p.id, row.policy) {
				continue
			}
			rights := text(p.Properties["PolicyDocument"])
			if strings.Contains(rights, "ecr:BatchGetImage") != (row.want != "") || !strings.Contains(rights, row.want) {
				t.Errorf("%s: %s is %s, want %s in it", row.stack, p.id, rights, row.want)
			}
		}
	}
}

func TestAServiceWaitsForItsRulesAndGoesBeforeItsHosts(t *testing.T) {
	for _, s := range theWorld(t).stacks["Plain"].all("AWS::ECS::Service") {
		after := text(s.DependsOn)
		for _, want := range []string{"Group", "ShopCluster", "ExecutionRights", "TaskRole"} {
			if !strings.Contains(after, want) {
				t.Errorf("%s does not wait for %s: %s", s.id, want, after)
			}
		}
		if strings.HasPrefix(s.id, "ShopWeb") && !strings.Contains(after, "ShopWebRule") {
			t.Errorf("%s does not wait for its listener rule: %s", s.id, after)
		}
	}
}
