package infra

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What makes a cluster work: without any of these its template deploys, and no
// task of it ever serves a request.

func TestHostsJoinTheirOwnCluster(t *testing.T) {
	w := theWorld(t)
	for stack, want := range map[string][]string{
		"Plain":    {"\nECS_CLUSTER=shop\n"},
		"Rich":     {"\ncluster = \"rich\"\n", `Initialize-ECSAgent -Cluster "rich" `, "\nECS_CLUSTER=rich\n"}, // by the groups' ids
		"Existing": {"\nECS_CLUSTER=old\n"},
		"Bare":     {"\nECS_CLUSTER=bare\n"},
	} {
		templates := w.stacks[stack].all("AWS::EC2::LaunchTemplate")
		if len(templates) != len(want) {
			t.Errorf("%s has %d launch templates", stack, len(templates))
			continue
		}
		for n, made := range templates {
			data, _ := made.Properties["LaunchTemplateData"].(map[string]any)
			script, _ := data["UserData"].(map[string]any)
			if got := fmt.Sprint(script["Fn::Base64"]); !strings.Contains(got, want[n]) {
				t.Errorf("%s: a host of %s does not join by %q:\n%s", stack, made.id, want[n], got)
			}
		}
	}
}

// actionsOf are all actions that the policies of a role allow, sorted.
func actionsOf(d deployment, role string) []string {
	all := map[string]bool{}
	for _, p := range d.all("AWS::IAM::Policy") {
		if !strings.Contains(text(p.Properties["Roles"]), `"`+role) {
			continue
		}
		statements, _ := p.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any)
		for _, s := range statements {
			for _, a := range texts(s.(map[string]any)["Action"]) {
				all[a] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func TestTheAgentAndItsTasksMayDoTheirWork(t *testing.T) {
	const (
		agent = "ecs:DeregisterContainerInstance ecs:DiscoverPollEndpoint ecs:Poll ecs:RegisterContainerInstance ecs:StartTelemetrySession " +
			"ecs:SubmitAttachmentStateChanges ecs:SubmitContainerStateChange ecs:SubmitTaskStateChange logs:CreateLogStream logs:PutLogEvents"
		logs = "logs:CreateLogStream logs:PutLogEvents"
		pull = "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetAuthorizationToken ecr:GetDownloadUrlForLayer "
	)
	w := theWorld(t)
	for _, row := range []struct{ stack, role, want string }{
		{"Plain", "ShopHostsRole", agent},
		{"Rich", "ShopHostsRole", agent},
		{"Existing", "ShopHostsRole", agent},
		{"Bare", "ShopHostsRole", agent},
		{"Plain", "ShopWebExecutionRole", logs},
		{"Plain", "ShopJobsExecutionRole", pull + logs},
		{"Rich", "ShopWebExecutionRole", pull + logs + " secretsmanager:DescribeSecret secretsmanager:GetSecretValue"},
		{"Rich", "ShopDeskExecutionRole", logs},
		{"Existing", "WebExecutionRole", logs},
	} {
		if got := strings.Join(actionsOf(w.stacks[row.stack], row.role), " "); got != row.want {
			t.Errorf("%s: %s may %s\nwant %s", row.stack, row.role, got, row.want)
		}
	}
}

func TestEachZoneHasOneSubnetOfEachKind(t *testing.T) {
	w := theWorld(t)
	for stack, zones := range map[string]int{"Plain": 2, "Rich": 3, "Bare": 2} {
		seen := map[string]bool{}
		for _, s := range w.stacks[stack].all("AWS::EC2::Subnet") {
			kind, _, _ := strings.Cut(strings.TrimPrefix(s.id, "ShopNetwork"), "Subnet")
			kind = strings.TrimRight(kind[:len("Private")], "0123456789")
			seen[kind+" in "+text(s.Properties["AvailabilityZone"])] = true
		}
		for zone := range zones {
			for _, kind := range []string{"Private", "Public"} {
				if !seen[fmt.Sprintf(`%s in {"Fn::Select":[%d,{"Fn::GetAZs":""}]}`, kind, zone)] {
					t.Errorf("%s: no %s subnet in zone %d: %v", stack, kind, zone, seen)
				}
			}
		}
		if len(seen) != 2*zones {
			t.Errorf("%s: subnets are %v", stack, seen)
		}
	}
}

func TestALoadBalancerReachesEveryPortOfTheHosts(t *testing.T) {
	w := theWorld(t)
	for _, stack := range []string{"Plain", "Rich", "Bare"} {
		for _, g := range w.stacks[stack].all("AWS::EC2::SecurityGroup") {
			if !strings.Contains(g.id, "LoadBalancer") {
				continue
			}
			out, _ := g.Properties["SecurityGroupEgress"].([]any)
			if len(out) != 1 || !strings.Contains(text(out), `"FromPort":32768,"IpProtocol":"tcp","ToPort":65535`) {
				t.Errorf("%s: %s lets out %s", stack, g.id, text(out))
			}
		}
	}
}
