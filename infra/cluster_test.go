package infra

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// one is the one resource of a type.
func one(t *testing.T, d deployment, kind string) deployed {
	t.Helper()
	all := d.all(kind)
	if len(all) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(all), kind)
	}
	return all[0]
}

func TestANetworkHasWhatItsPropsSay(t *testing.T) {
	w := theWorld(t)
	for _, row := range []struct {
		stack                        string
		subnets, gateways, ways, log int
	}{
		{"Plain", 4, 1, 4, 1}, // one NAT gateway serves both zones
		{"Rich", 6, 3, 6, 1},  // a NAT gateway a zone
		{"Bare", 4, 0, 2, 0},  // no way out of the private subnets
		{"Existing", 0, 0, 0, 0},
	} {
		d := w.stacks[row.stack]
		got := []int{len(d.all("AWS::EC2::Subnet")), len(d.all("AWS::EC2::NatGateway")), len(d.all("AWS::EC2::Route")), len(d.all("AWS::EC2::FlowLog"))}
		if want := []int{row.subnets, row.gateways, row.ways, row.log}; !slices.Equal(got, want) {
			t.Errorf("%s: subnets, NAT gateways, routes and flow logs are %v, want %v", row.stack, got, want)
		}
		if endpoints := len(d.all("AWS::EC2::VPCEndpoint")); row.subnets > 0 && endpoints != 2 {
			t.Errorf("%s: %d gateway endpoints, want S3 and DynamoDB", row.stack, endpoints)
		}
	}
}

func TestEachZoneOfRichHasItsOwnGateway(t *testing.T) {
	d := theWorld(t).stacks["Rich"]
	gateways := map[string]bool{}
	for _, r := range d.all("AWS::EC2::Route") {
		if g := r.Properties["NatGatewayId"]; g != nil {
			gateways[text(g)] = true
		}
	}
	if len(gateways) != 3 {
		t.Errorf("private subnets leave by %d gateways, want 3", len(gateways))
	}
}

func TestSubnetsShareTheBlockWithoutOverlap(t *testing.T) {
	for _, cidr := range []string{"10.0.0.0/16", "10.8.0.0/18", "192.168.4.0/22", "172.16.0.0/20"} {
		vpc := netip.MustParsePrefix(cidr)
		hosts, public := blocks(vpc, 3)
		all := append(hosts, public...)
		for i, a := range all {
			if !vpc.Contains(a.Addr()) || a.Bits() < vpc.Bits() || a != a.Masked() || a.Bits() > 28 {
				t.Errorf("%s: the block %s is not one of its own", cidr, a)
			}
			for _, b := range all[:i] {
				if a.Overlaps(b) {
					t.Errorf("%s: %s and %s overlap", cidr, a, b)
				}
			}
		}
	}
}

func TestHostsAreLaunchedSafely(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		for _, template := range w.stacks[stack].all("AWS::EC2::LaunchTemplate") {
			data, _ := template.Properties["LaunchTemplateData"].(map[string]any)
			if got, want := text(data["MetadataOptions"]), `{"HttpEndpoint":"enabled","HttpPutResponseHopLimit":1,"HttpTokens":"required"}`; got != want {
				t.Errorf("%s: the metadata service of %s is %s, want %s", stack, template.id, got, want)
			}
			public := strings.Contains(text(data["NetworkInterfaces"]), `"AssociatePublicIpAddress":true`)
			if public != (stack == "Bare") {
				t.Errorf("%s: %s has a public address: %v", stack, template.id, public)
			}
			if data["KeyName"] != nil {
				t.Errorf("%s: %s has a key pair", stack, template.id)
			}
		}
	}
}

func TestImagesFollowSystemAndProcessor(t *testing.T) {
	w := theWorld(t)
	for stack, want := range map[string][]string{
		"Plain":    {"/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"},
		"Existing": {"/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"},
		"Rich": {
			"/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-ECS_Optimized/image_id",
			"/aws/service/bottlerocket/aws-ecs-2/arm64/latest/image_id",
			"/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
		},
	} {
		var got []string
		for _, p := range w.stacks[stack].Parameters {
			if p["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>" {
				path, _ := p["Default"].(string)
				got = append(got, path)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: images %v, want %v", stack, got, want)
		}
	}
}

func TestRebalancingOfEachGroupIsSuspended(t *testing.T) {
	w := theWorld(t)
	for _, stack := range ours() {
		calls := w.stacks[stack].all("Custom::AWS")
		groups := w.stacks[stack].all("AWS::AutoScaling::AutoScalingGroup")
		if len(calls) != len(groups) {
			t.Errorf("%s: %d suspensions of %d groups", stack, len(calls), len(groups))
		}
		for _, g := range groups {
			suspended := slices.ContainsFunc(calls, func(c deployed) bool {
				call := text(c.Properties["Create"])
				return strings.Contains(call, g.id) && strings.Contains(call, "suspendProcesses") && strings.Contains(call, "AZRebalance")
			})
			if !suspended {
				t.Errorf("%s: nothing suspends AZRebalance of %s", stack, g.id)
			}
		}
	}
}

func TestListenersSpeakTLSWhereThereIsACertificate(t *testing.T) {
	w := theWorld(t)
	plain := one(t, w.stacks["Plain"], "AWS::ElasticLoadBalancingV2::Listener").Properties
	if plain["Protocol"] != "HTTP" || text(plain["Port"]) != "80" || !strings.Contains(text(plain["DefaultActions"]), `"404"`) {
		t.Errorf("without a certificate the listener is %s", text(plain))
	}
	var secure, redirects int
	for _, l := range w.stacks["Rich"].all("AWS::ElasticLoadBalancingV2::Listener") {
		switch {
		case l.Properties["Protocol"] == "HTTPS" && text(l.Properties["Port"]) == "443" && l.Properties["SslPolicy"] != nil:
			secure++
		case strings.Contains(text(l.Properties["DefaultActions"]), `"redirect"`):
			redirects++
		}
	}
	if secure != 1 || redirects != 1 {
		t.Errorf("with a certificate: %d HTTPS listeners and %d redirects, want 1 and 1", secure, redirects)
	}
	if scheme := one(t, w.stacks["Bare"], "AWS::ElasticLoadBalancingV2::LoadBalancer").Properties["Scheme"]; scheme != "internal" {
		t.Errorf("an internal load balancer is %v", scheme)
	}
}

func TestRepositoriesAreScannedAndDoNotGrowForever(t *testing.T) {
	r := one(t, theWorld(t).stacks["Plain"], "AWS::ECR::Repository")
	p := text(r.Properties)
	for _, want := range []string{`"ScanOnPush":true`, `"ImageTagMutability":"IMMUTABLE"`, `sinceImagePushed`, `imageCountMoreThan`} {
		if !strings.Contains(p, want) {
			t.Errorf("the repository %s lacks %s", p, want)
		}
	}
	if r.DeletionPolicy != "Retain" {
		t.Error("the repository goes with the stack")
	}
}

func TestNothingIsMadeBesideAnExistingCluster(t *testing.T) {
	d := theWorld(t).stacks["Existing"]
	for _, kind := range []string{"AWS::ECS::Cluster", "AWS::EC2::VPC", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ECR::Repository"} {
		if n := len(d.all(kind)); n > 0 {
			t.Errorf("%d %s", n, kind)
		}
	}
	if g := one(t, d, "AWS::AutoScaling::AutoScalingGroup"); g.Properties["AutoScalingGroupName"] != "new-hosts" {
		t.Errorf("the group that was made is %v", g.Properties["AutoScalingGroupName"])
	}
	if in := one(t, d, "AWS::EC2::SecurityGroupIngress"); in.Properties["SourceSecurityGroupId"] != "sg-0123456789abcdef0" {
		t.Errorf("hosts are opened to %v", in.Properties["SourceSecurityGroupId"])
	}
}

func TestUserDataConfiguresTheAgent(t *testing.T) {
	agent := Agent{StopTimeout: 90 * time.Second, CleanUpEvery: 20 * time.Minute, UnusedFor: 2 * time.Hour, AtOnce: 7}
	for _, row := range []struct {
		os   OS
		want []string
	}{
		{AmazonLinux, []string{"#!/bin/bash\n", "\nECS_CLUSTER=shop\n", "\nECS_DYNAMIC_HOST_PORT_RANGE=32768-65535\n", "\nECS_CONTAINER_STOP_TIMEOUT=1m30s\n", "\nECS_IMAGE_CLEANUP_INTERVAL=20m\n", "\nECS_IMAGE_MINIMUM_CLEANUP_AGE=2h\n", "\nECS_NUM_IMAGES_DELETE_PER_CYCLE=7\n"}},
		{Bottlerocket, []string{"[settings.ecs]\ncluster = \"shop\"\n", "container-stop-timeout = \"1m30s\"\n", "image-cleanup-wait = \"20m\"\n", "image-cleanup-age = \"2h\"\n", "image-cleanup-delete-per-cycle = 7\n", "\"net.ipv4.ip_local_port_range\" = \"32768 65535\"\n"}},
		{Windows, []string{"<powershell>\n", `("ECS_DYNAMIC_HOST_PORT_RANGE", "49152-65535", "Machine")`, `("ECS_CONTAINER_STOP_TIMEOUT", "1m30s", "Machine")`, `("ECS_IMAGE_CLEANUP_INTERVAL", "20m", "Machine")`, `Initialize-ECSAgent -Cluster "shop" -EnableTaskIAMRole`, "\n</powershell>\n"}},
	} {
		got := userData("shop", row.os, agent)
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", row.os, want, got)
			}
		}
	}
}

func TestTheLinuxScriptRuns(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here to read the script")
	}
	file := t.TempDir() + "/ecs.config"
	script := strings.ReplaceAll(userData("shop", AmazonLinux, Agent{}.defaulted()), "/etc/ecs/ecs.config", file)
	if out, err := exec.CommandContext(t.Context(), bash, "-c", script+"\ncat "+file).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ECS_CLUSTER=shop\n") || strings.Count(string(out), "\n") != 8 {
		t.Errorf("the script leaves %q: %v", out, err)
	}
}

func TestInstanceTypesTellWhatAHostOffers(t *testing.T) {
	for _, row := range []struct {
		name        string
		arm         bool
		cpu, memory int // nominal; 0: the name does not tell
	}{
		{"m5.large", false, 2048, 8192},
		{"m7g.large", true, 2048, 8192},
		{"c6i.2xlarge", false, 8192, 16384},
		{"c7gn.medium", true, 1024, 2048},
		{"r6g.xlarge", true, 4096, 32768},
		{"t3.nano", false, 2048, 512},
		{"t3.medium", false, 2048, 4096},
		{"t4g.2xlarge", true, 8192, 32768},
		{"t2.micro", false, 1024, 1024},
		{"t2.large", false, 2048, 8192},
		{"t3a.xlarge", false, 4096, 16384},
		{"m4.10xlarge", false, 40960, 163840},
		{"m7i.metal-24xl", false, 98304, 393216},
		{"m6g.metal", true, 0, 0},
		{"i4i.large", false, 0, 0},
		{"im4gn.large", true, 0, 0},
		{"c5n.large", false, 0, 0},
		{"c8gb.large", true, 2048, 4096},
	} {
		m, err := machineOf(row.name)
		if err != nil || m.arm != row.arm {
			t.Errorf("%s is %+v, %v", row.name, m, err)
			continue
		}
		offers := m.offers()
		if (offers == nil) != (row.cpu == 0) {
			t.Errorf("%s offers %v", row.name, offers)
			continue
		}
		if offers != nil && (offers.CPU != row.cpu || offers.Memory > row.memory*93/100 || offers.Memory < row.memory*92/100) {
			t.Errorf("%s offers %+v, nominally %d and %d", row.name, offers, row.cpu, row.memory)
		}
	}
	for _, name := range []string{"", "m5", "m5.", ".large", "m5.huge", "m99.large", "m5 large", "g5.xlarge", "mac1.metal", "p4d.24xlarge", "inf2.xlarge", "a1.large", "m5.large:"} {
		if m, err := machineOf(name); err == nil {
			t.Errorf("%q is %+v", name, m)
		}
	}
}

func TestAClusterKnowsItsPolicy(t *testing.T) {
	set := theWorld(t).plain
	got := text(set)
	for _, want := range []string{
		`"cluster":"shop"`, `"group":"shop-arm","min":1,"max":20,"offers":{"cpu":2048,"memory":7577}`,
		`"web":{"tasks":{"min":2,"max":20},"scale":[{"metric":"cpu","target":60}]`, `"jobs":{"tasks":{"min":0,"max":20}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
