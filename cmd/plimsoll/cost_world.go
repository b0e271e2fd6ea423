package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// How the worlds are made that the cost is counted in: full hosts, eight tasks
// each, a service a ten hosts.
const (
	tasksPerHost  = 8
	hostsPerNoun  = 10
	fewServices   = 4
	taskCPU       = 256
	taskMemory    = 900
	cpuPerRequest = 5.0
	target        = 60 // percent
)

// sized is a cluster of so many hosts.
type sized struct {
	Hosts    int `json:"hosts"`
	Services int `json:"services"`
	Tasks    int `json:"tasks"`
}

func sizeOf(hosts int) sized {
	services := max(fewServices, hosts/hostsPerNoun)
	return sized{hosts, services, hosts * tasksPerHost / services * services}
}

// quiet is the world in which nothing changes but what always does: agents
// disconnect and come back, and metrics are read.
func (z sized) quiet(length time.Duration) (scenario.Scenario, error) {
	return z.world("quiet", length, z.Hosts, z.Tasks/z.Services, "{base: %[1]g}")
}

// busy is the world in which the load rises by half and falls again within
// each hour: at its height it needs as many hosts as the quiet one has.
func (z sized) busy(length time.Duration) (scenario.Scenario, error) {
	hosts := max(1, z.Hosts*2/3)
	var crowds []string
	for at := 5 * time.Minute; at < length; at += time.Hour {
		crowds = append(crowds, fmt.Sprintf("{at: %s, rate: %%[2]g, rise: 10m, stay: 15m, fall: 5m}", at))
	}
	shape := "{base: %[1]g, noise: 0.05, crowds: [" + strings.Join(crowds, ", ") + "]}"
	return z.world("busy", length, hosts, z.Tasks*2/3/z.Services, shape)
}

// world is a scenario with so many hosts and tasks of each service at first. The
// shape of the load is that of one service; its verbs stand for the rate that
// the first tasks bear at their target, and for half of it.
func (z sized) world(name string, length time.Duration, hosts, tasks int, shape string) (scenario.Scenario, error) {
	rate := math.Floor(float64(tasks) * taskCPU * target / 100 / cpuPerRequest)
	load := fmt.Sprintf(shape+"%[3]s", rate, rate/2, "")
	var text, policy strings.Builder
	fmt.Fprintf(&text, `name: %[2]s
title: %[1]d hosts, %[2]s
length: %[3]s
groups:
  - {name: hosts, zones: [a, b, c], instanceType: m6i.large, cpu: 2048, memory: 7764, max: %[4]d, desired: %[5]d}
services:
`, z.Hosts, name, length, 2*z.Hosts, hosts)
	for n := range z.Services {
		fmt.Fprintf(&text, "  - {name: s%d, cpu: %d, memory: %d, desired: %d, minimumHealthyPercent: 75, maximumPercent: 150, placementStrategy: [{type: binpack, field: memory}], load: {cpuPerRequest: %g, shape: %s}}\n",
			n, taskCPU, taskMemory, tasks, cpuPerRequest, load)
		fmt.Fprintf(&policy, "    s%d: {tasks: {min: 1, max: %d}, scale: [{metric: cpu, target: %d}]}\n", n, z.Tasks, target)
	}
	fmt.Fprintf(&text, `policy:
  version: 1
  cluster: cost
  hosts: [{group: hosts, min: 1, max: %d, removal: {emptyAfter: 3m, maxAtOnce: 10}}]
  services:
%s`, 2*z.Hosts, policy.String())
	s, err := scenario.Read(name, []byte(text.String()))
	if err != nil {
		return s, fmt.Errorf("the world %s of %d hosts: %w", name, z.Hosts, err)
	}
	return s, nil
}
