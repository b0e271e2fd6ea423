package infra

import (
	"fmt"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// The host ports that Docker and the agent may give to containers, and that the
// hosts' security group opens to the load balancer. Windows keeps to its own
// ephemeral ports, which are among them.
const (
	firstPort        = 32768
	lastPort         = 65535
	firstWindowsPort = 49152
)

// userData configures the agent of a host at its first boot.
func userData(cluster string, os OS, a Agent) string {
	if os == Bottlerocket {
		return bottlerocketData(cluster, a)
	}
	if os == Windows {
		return windowsData(cluster, a)
	}
	return linuxData(cluster, a)
}

// variable is a variable of the ECS agent.
type variable struct{ name, value string }

// variables are those that the agent knows by environment variables on Linux and
// on Windows alike.
func variables(a Agent, first int) []variable {
	return []variable{
		{"ECS_DYNAMIC_HOST_PORT_RANGE", fmt.Sprintf("%d-%d", first, lastPort)},
		{"ECS_CONTAINER_STOP_TIMEOUT", span(a.StopTimeout)},
		{"ECS_IMAGE_CLEANUP_INTERVAL", span(a.CleanUpEvery)},
		{"ECS_IMAGE_MINIMUM_CLEANUP_AGE", span(a.UnusedFor)},
		{"ECS_NUM_IMAGES_DELETE_PER_CYCLE", fmt.Sprint(a.AtOnce)},
		{"ECS_AWSVPC_BLOCK_IMDS", "true"},
		{"ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE", "true"}, // containers' logs are written by the task's execution role, not the host's
	}
}

// linuxData appends to the file that ecs-init reads before it starts the agent.
func linuxData(cluster string, a Agent) string {
	lines := []string{"#!/bin/bash", "set -eu", "cat >> /etc/ecs/ecs.config <<'CONFIG'", "ECS_CLUSTER=" + cluster}
	for _, s := range variables(a, firstPort) {
		lines = append(lines, s.name+"="+s.value)
	}
	return strings.Join(append(lines, "CONFIG", ""), "\n")
}

// bottlerocketData is Bottlerocket's settings. It has none for the port range:
// its agent takes the kernel's, which is set here.
func bottlerocketData(cluster string, a Agent) string {
	return fmt.Sprintf(`[settings.ecs]
cluster = %q
container-stop-timeout = %q
image-cleanup-wait = %q
image-cleanup-age = %q
image-cleanup-delete-per-cycle = %d
awsvpc-block-imds = true

[settings.kernel.sysctl]
"net.ipv4.ip_local_port_range" = "%d %d"
`, cluster, span(a.StopTimeout), span(a.CleanUpEvery), span(a.UnusedFor), a.AtOnce, firstPort, lastPort)
}

// windowsData sets the machine's environment and then starts the agent, with the
// module that the AMI has for it.
func windowsData(cluster string, a Agent) string {
	lines := []string{"<powershell>", `$ErrorActionPreference = "Stop"`}
	for _, s := range variables(a, firstWindowsPort) {
		lines = append(lines, fmt.Sprintf(`[Environment]::SetEnvironmentVariable("%s", "%s", "Machine")`, s.name, s.value))
	}
	return strings.Join(append(lines,
		"Import-Module ECSTools",
		fmt.Sprintf(`Initialize-ECSAgent -Cluster "%s" -EnableTaskIAMRole -LoggingDrivers '["json-file","awslogs"]'`, cluster),
		"</powershell>", ""), "\n")
}

// span writes a duration as the agent and Bottlerocket read it: 30m, not 30m0s.
func span(d time.Duration) string { return policy.Duration{Duration: d}.String() }
