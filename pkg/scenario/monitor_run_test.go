package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// busy is a small world with load that rises and falls, hosts that come and go,
// and what the world does of itself.
func busy(length time.Duration) Scenario {
	percent := func(n int) *int { return &n }
	d := func(d time.Duration) policy.Duration { return policy.Duration{Duration: d} }
	s := Scenario{
		Name: "busy", Start: time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC), Length: d(length),
		Groups: []Group{{
			Name: "prod-hosts", Zones: []string{"eu-west-1a", "eu-west-1b"}, InstanceType: "m6i.large", CPU: 2048, Memory: 7764,
			Max: 40, Desired: 3, Boot: Spread{d(75 * time.Second), d(150 * time.Second)},
		}},
		Services: []Service{
			{
				Name: "web", CPU: 256, Memory: 512, Desired: 4, MinimumHealthyPercent: percent(75), MaximumPercent: percent(150),
				Strategies: []Strategy{{Type: "binpack", Field: "memory"}},
				Load: &Load{CPUPerRequest: 5, Shape: Shape{Base: 150, Noise: 0.1, Crowds: []Crowd{
					{At: d(15 * time.Minute), Rate: 600, Rise: d(3 * time.Minute), Stay: d(10 * time.Minute), Fall: d(10 * time.Minute)},
					{At: d(90 * time.Minute), Rate: 900, Rise: d(2 * time.Minute), Stay: d(20 * time.Minute), Fall: d(15 * time.Minute)},
				}}},
			},
			{
				Name: "api", CPU: 512, Memory: 1024, Desired: 3, MinimumHealthyPercent: percent(50), MaximumPercent: percent(200),
				Strategies: []Strategy{{Type: "binpack", Field: "memory"}},
				Load:       &Load{CPUPerRequest: 20, Shape: Shape{Base: 50, Noise: 0.1, Crowds: []Crowd{{At: d(20 * time.Minute), Rate: 100, Rise: d(time.Minute), Stay: d(15 * time.Minute), Fall: d(time.Minute)}}}},
			},
		},
		Events: []Happening{
			{At: d(35 * time.Minute), Do: "killHost", Group: "prod-hosts", Count: 1},
			{At: d(50 * time.Minute), Do: "crashTask", Service: "web", Count: 2},
			{At: d(100 * time.Minute), Do: "agentDown", Group: "prod-hosts", Count: 2, For: d(3 * time.Minute)},
			{At: d(130 * time.Minute), Do: "setDesired", Service: "api", Count: 9},
			{At: d(140 * time.Minute), Do: "noCapacity", Group: "prod-hosts", Zone: "eu-west-1a", For: d(10 * time.Minute)},
		},
	}
	s.Policy = policy.Policy{
		Version: 1, Cluster: "prod",
		Hosts: []policy.HostGroup{{Group: "prod-hosts", Min: 2, Max: 30, Removal: policy.Removal{EmptyAfter: d(3 * time.Minute), MaxAtOnce: 2}}},
		Services: map[string]policy.Service{
			"web": {Tasks: &policy.Tasks{Min: 4, Max: 60}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
			"api": {Tasks: &policy.Tasks{Min: 2, Max: 40}, Scale: []policy.Target{{Metric: "cpu", Target: 60}}},
		},
	}.Defaulted()
	return s
}

func TestThePromisesHoldInABusyWorld(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), busy(3*time.Hour), Options{Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.Violations {
				t.Errorf("%s at %s, %s, invocation %d: %s", v.Promise, clock(v.At), v.Subject, v.Invocation, v.Detail)
			}
			calls := []string{"ecs:UpdateService", "autoscaling:LaunchInstances", "autoscaling:TerminateInstanceInAutoScalingGroup"}
			for _, name := range calls {
				if r.APICalls[name] == 0 {
					t.Errorf("a world without %s shows nothing", name)
				}
			}
			if r.SecondsBelowFloor == 0 || r.SecondsBelowFloor > 600 {
				t.Errorf("%.0f s below the floor, and a host of three was killed", r.SecondsBelowFloor)
			}
		})
	}
}

// A count that somebody raised above what the metric wants is lowered again at
// once, but not before its new tasks count as healthy.
func TestACountIsNotLoweredBeforeItsNewTasksAreHealthy(t *testing.T) {
	for seed := range uint64(3) {
		s := busy(140 * time.Minute)
		for _, name := range []string{"web", "api"} {
			rules := s.Policy.Services[name]
			rules.MinimumHealthyPercent = new(100)
			s.Policy.Services[name] = rules
		}
		r, err := Run(t.Context(), s, Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s at %s, %s: %s", seed, v.Promise, clock(v.At), v.Subject, v.Detail)
		}
	}
}
