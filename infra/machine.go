package infra

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// knownTypes are the instance types that a host may have, families with the same
// sizes on one line. Source: the shape InstanceType of EC2's API model, as
// botocore 1.43.11 has it. Left out are the types that need another AMI than
// the ones of a Group (GPUs and other accelerators, Mac), those that Amazon Linux
// 2023 does not run on, bare high-memory ones, and generations that are not sold
// any more.
const knownTypes = `
c4: large xlarge 2xlarge 4xlarge 8xlarge
c5 c5d: large xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge metal
c5a c5ad m5a m5ad r5a r5ad: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge
c5n: large xlarge 2xlarge 4xlarge 9xlarge 18xlarge metal
c6a m6a r6a: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal
c6g c6gd c7g c7gd c7gn m6g m6gd m7g m7gd r6g r6gd r7g r7gd x2gd: medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal
c6gn: medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge
c6i c6id c6in i4i m6i m6id m6idn m6in r6i r6id r6idn r6in: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge metal
c7a m7a r7a: medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge metal-48xl
c7i i7i m7i r7i: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-24xl metal-48xl
c7i-flex c8i-flex m7i-flex m8i-flex r8i-flex: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge
c8a c8g c8gb c8gd c8gn m8a m8g m8gb m8gd m8gn r8a r8g r8gd r8gn x8g: medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-24xl metal-48xl
c8i c8id m8i m8id r8i r8id: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 96xlarge metal-48xl metal-96xl
d3: xlarge 2xlarge 4xlarge 8xlarge
d3en: xlarge 2xlarge 4xlarge 6xlarge 8xlarge 12xlarge
i3: large xlarge 2xlarge 4xlarge 8xlarge 16xlarge metal
i3en: large xlarge 2xlarge 3xlarge 6xlarge 12xlarge 24xlarge metal
i4g im4gn r4: large xlarge 2xlarge 4xlarge 8xlarge 16xlarge
i7ie i8ge: large xlarge 2xlarge 3xlarge 6xlarge 12xlarge 18xlarge 24xlarge 48xlarge metal-24xl metal-48xl
i8g: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge metal-24xl
is4gen: medium large xlarge 2xlarge 4xlarge 8xlarge
m4: large xlarge 2xlarge 4xlarge 10xlarge 16xlarge
m5 m5d m5dn m5n r5 r5b r5d r5dn r5n: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal
m5zn z1d: large xlarge 2xlarge 3xlarge 6xlarge 12xlarge metal
m8azn: medium large xlarge 3xlarge 6xlarge 12xlarge 24xlarge metal-12xl metal-24xl
r7iz: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 32xlarge metal-16xl metal-32xl
r8gb: medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge metal-24xl
t2 t3 t3a t4g: nano micro small medium large xlarge 2xlarge
x2idn: 16xlarge 24xlarge 32xlarge metal
x2iedn: xlarge 2xlarge 4xlarge 8xlarge 16xlarge 24xlarge 32xlarge metal
x2iezn: 2xlarge 4xlarge 6xlarge 8xlarge 12xlarge metal
x8aedz: large xlarge 3xlarge 6xlarge 12xlarge 24xlarge metal-12xl metal-24xl
x8i: large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge 64xlarge 96xlarge metal-48xl metal-96xl
`

// machine is what the name of an instance type tells.
type machine struct {
	name   string
	arm    bool
	vcpus  int // 0: not known
	memory int // MiB, nominal; 0: not known
}

// machineOf is the machine of an instance type; an error where there is none.
func machineOf(name string) (machine, error) {
	family, size, _ := strings.Cut(name, ".")
	for line := range strings.Lines(knownTypes) {
		families, sizes, _ := strings.Cut(line, ":")
		if !holds(families, family) {
			continue
		}
		if !holds(sizes, size) {
			return machine{}, fmt.Errorf("%q is no instance type: %s comes in %s", name, family, strings.Join(strings.Fields(sizes), ", "))
		}
		m := machine{name: name, arm: graviton(family), vcpus: vcpus(family, size)}
		m.memory = memory(family, size, m.vcpus)
		return m, nil
	}
	return machine{}, fmt.Errorf("%q is not an instance type that plimsoll knows a host image for", name)
}

// holds says whether a word is in a list of words.
func holds(words, word string) bool {
	for _, w := range strings.Fields(words) {
		if w == word {
			return true
		}
	}
	return false
}

// graviton says whether a family's processors are Graviton, that is arm64: the
// letters behind the generation begin with g (the naming rule of EC2's instance
// types).
func graviton(family string) bool {
	return strings.HasPrefix(strings.TrimLeft(strings.TrimLeft(family, letters), digits), "g")
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// vcpus is how many vCPUs a size has: a medium 1, a large 2, an xlarge 4, an
// Nxlarge 4N and a metal-Nxl too. What a plain metal has depends on its family.
func vcpus(family, size string) int {
	if n, _ := burstable(family, size); n > 0 {
		return n
	}
	switch size {
	case "medium":
		return 1
	case "large":
		return 2
	case "xlarge":
		return 4
	}
	times := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(size, "arge"), "metal-"), "xl")
	n, err := strconv.Atoi(times)
	if err != nil {
		return 0
	}
	return 4 * n
}

// memory is the nominal MiB of a machine: 2 GiB a vCPU for the families c, 4 for
// m and 8 for r, which has few exceptions, and those are not known here.
func memory(family, size string, vcpus int) int {
	if _, mib := burstable(family, size); mib > 0 {
		return mib
	}
	if holds("c4 c5n r4 m8azn", family) {
		return 0
	}
	switch family[0] {
	case 'c':
		return 2048 * vcpus
	case 'm':
		return 4096 * vcpus
	case 'r':
		return 8192 * vcpus
	}
	return 0
}

// burstable is a size of the t families: memory doubles with each size from half
// a GiB on, vCPUs do only at the end, and t2's small ones have half of them.
func burstable(family, size string) (vcpus, mib int) {
	if family[0] != 't' {
		return 0, 0
	}
	for i, s := range strings.Fields("nano micro small medium large xlarge 2xlarge") {
		if s != size {
			continue
		}
		vcpus, mib = 2, 512<<i
		if i > 4 {
			vcpus = 2 << (i - 4)
		}
		if family == "t2" && i < 3 {
			vcpus = 1
		}
	}
	return vcpus, mib
}

// offers is what a host of this type can be counted on to register with ECS: all
// its CPU units, and its nominal memory less 7.5 %, the share that Karpenter
// takes off for kernel and firmware too (its VM_MEMORY_OVERHEAD_PERCENT): the
// real figure is known once a host was seen. Nil where the name does not tell.
func (m machine) offers() *policy.Offers {
	if m.vcpus == 0 || m.memory == 0 {
		return nil
	}
	return &policy.Offers{CPU: 1024 * m.vcpus, Memory: m.memory * 925 / 1000}
}
