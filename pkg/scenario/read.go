package scenario

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy/file"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins are the names of the scenarios that come with plimsoll, sorted.
func Builtins() []string {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		return nil // the folder is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Soaked are the built-in scenarios that a soak deals runs over: all but those whose
// requests come one by one through load balancers, which take ten times as long.
func Soaked() []string {
	return slices.DeleteFunc(Builtins(), func(name string) bool {
		s, err := Builtin(name)
		return err == nil && len(s.Targets) > 0
	})
}

// ErrUnknown means that no built-in scenario has the name.
var ErrUnknown = errors.New("no such scenario")

// Builtin returns a scenario that comes with plimsoll.
func Builtin(name string) (Scenario, error) {
	if !slices.Contains(Builtins(), name) {
		return Scenario{}, fmt.Errorf("%w: %q, known: %s", ErrUnknown, name, strings.Join(Builtins(), ", "))
	}
	raw, err := builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario %s: %w", name, err)
	}
	return Read(name, raw)
}

// Read reads a scenario from YAML or JSON and fills in the defaults. The error
// of a wrong one is policy.Problems with everything that is wrong, its policy's
// problems included. name is what the error calls the file.
func Read(name string, raw []byte) (Scenario, error) {
	schema, err := file.SchemaOf(Scenario{})
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario %s: %w", name, err)
	}
	s, problems := file.Decode(raw, schema, Scenario.Validate)
	if len(problems) > 0 {
		problems.Sort()
		return Scenario{}, fmt.Errorf("read scenario %s: %w", name, problems)
	}
	s.Policy, err = file.Read(name, s.Raw)
	if err != nil {
		return Scenario{}, err
	}
	return s.defaulted(), nil
}

func (s Scenario) defaulted() Scenario {
	if s.Start.IsZero() {
		s.Start = time.Date(2026, 8, 3, 0, 0, 0, 0, time.UTC) // a Monday
	}
	return s
}

// WithTrace replaces the shape of every load by a trace, scaled so that its
// highest value is the scenario's own peak, or peak requests a second over all
// services where that is not 0. The run is as long as the trace.
func (s Scenario) WithTrace(t *Trace, peak float64) Scenario {
	s = s.defaulted()
	own, services := 0.0, slices.Clone(s.Services)
	for _, x := range services {
		if x.Load != nil {
			own += x.Load.Shape.peak(s.Start, s.Length.Duration)
		}
	}
	share := 1.0
	if peak > 0 && own > 0 {
		share = peak / own
	}
	for n, x := range services {
		if x.Load != nil {
			load := *x.Load
			load.Shape = Shape{Trace: t.scaled(share * load.Shape.peak(s.Start, s.Length.Duration))}
			services[n].Load = &load
		}
	}
	s.Services, s.Traced, s.Length = services, true, policy.Duration{Duration: t.length()}
	return s
}

// Validate tells everything that is wrong with a scenario, its policy included.
func (s Scenario) Validate() []policy.Problem {
	v := &validation{Scenario: s}
	v.world()
	for n, g := range s.Groups {
		v.groupAt(fmt.Sprintf("groups[%d]", n), g)
	}
	for n, g := range s.Targets {
		v.targetsAt(fmt.Sprintf("targetGroups[%d]", n), g)
	}
	for n, x := range s.Services {
		v.serviceAt(fmt.Sprintf("services[%d]", n), x)
	}
	for n, h := range s.Events {
		v.happeningAt(fmt.Sprintf("world[%d]", n), h)
	}
	for n, f := range s.Faults {
		v.faultAt(fmt.Sprintf("faults[%d]", n), f)
	}
	for n, e := range s.Expect {
		v.expectationAt(fmt.Sprintf("expect[%d]", n), e)
	}
	v.policyAt("policy")
	return v.problems
}

// validation collects a scenario's problems.
type validation struct {
	Scenario
	problems []policy.Problem
}

// check adds a problem unless ok.
func (v *validation) check(ok bool, path string, found any, allowed string) {
	if !ok {
		v.problems = append(v.problems, policy.Problem{Path: path, Found: fmt.Sprint(found), Allowed: allowed})
	}
}

func (v *validation) world() {
	v.check(v.Name != "", "name", "nothing", "a name")
	v.check(v.Length.Duration > 0, "length", v.Length, "more than 0s")
	v.check(v.Calm.Duration == 0 || v.Calm.Duration > 0 && v.Calm.Duration < v.Length.Duration, "calm", v.Calm, "a time since the start, within length")
	v.check(len(v.Groups) > 0, "groups", "none", "one Auto Scaling group or more")
	v.check(len(v.Services) > 0, "services", "none", "one service or more")
	v.check(!repeats(v.groupNames()), "groups", strings.Join(v.groupNames(), ", "), "each name once")
	v.check(!repeats(v.targetNames()), "targetGroups", strings.Join(v.targetNames(), ", "), "each name once")
	v.check(!repeats(v.serviceNames()), "services", strings.Join(v.serviceNames(), ", "), "each name once")
}

func (v *validation) groupNames() []string {
	var names []string
	for _, g := range v.Groups {
		names = append(names, g.Name)
	}
	return names
}

func (v *validation) serviceNames() []string {
	var names []string
	for _, s := range v.Services {
		names = append(names, s.Name)
	}
	return names
}

func repeats(names []string) bool {
	sorted := slices.Sorted(slices.Values(names))
	return len(slices.Compact(sorted)) < len(names)
}

func (v *validation) groupAt(path string, g Group) {
	v.check(g.Name != "", path+".name", "nothing", "the Auto Scaling group's name")
	v.check(len(g.Zones) > 0 && !repeats(g.Zones), path+".zones", g.Zones, "one availability zone or more, each once")
	v.check(g.CPU > 0, path+".cpu", g.CPU, "the CPU units that a host registers, 1 or more")
	v.check(g.Memory > 0, path+".memory", g.Memory, "the MiB that a host registers, 1 or more")
	v.check(0 <= g.Min && g.Min <= g.Desired && g.Desired <= g.Max, path+".desired", g.Desired, fmt.Sprintf("from min %d to max %d", g.Min, g.Max))
	v.check(g.Price >= 0, path+".pricePerHour", g.Price, "0 or more")
	v.spreadAt(path+".boot", g.Boot)
	if p := g.Ports; p != nil {
		v.check(1024 <= p.From && p.From <= p.To && p.To < 65536, path+".dynamicPorts", fmt.Sprintf("%d to %d", p.From, p.To), "a range within 1024 to 65535")
	}
}

func (v *validation) targetNames() []string {
	var names []string
	for _, g := range v.Targets {
		names = append(names, g.Name)
	}
	return names
}

func (v *validation) targetsAt(path string, g TargetGroup) {
	v.check(g.Name != "", path+".name", "nothing", "the target group's name")
	v.check(slices.Contains([]string{"", "HTTP", "TCP"}, g.Protocol), path+".protocol", fmt.Sprintf("%q", g.Protocol), "HTTP or TCP: the services of a scenario bind no other port")
	v.check(g.DeregistrationDelay.Duration >= 0 && g.DeregistrationDelay.Duration <= time.Hour, path+".deregistrationDelay", g.DeregistrationDelay, "0s to 1h")
	every := g.HealthCheckInterval.Duration
	v.check(every == 0 || every >= 5*time.Second && every <= 5*time.Minute, path+".healthCheckInterval", g.HealthCheckInterval, "5s to 5m")
}

func (v *validation) spreadAt(path string, s Spread) {
	v.check(s.Median.Duration >= 0 && s.P95.Duration >= s.Median.Duration, path+".p95", s.P95, "the median or more")
}

func (v *validation) serviceAt(path string, s Service) {
	v.check(s.Name != "", path+".name", "nothing", "the ECS service's name")
	v.check(s.CPU > 0, path+".cpu", s.CPU, "CPU units a task, 1 or more")
	v.check(s.Memory > 0, path+".memory", s.Memory, "MiB a task, 1 or more")
	v.check(s.Port >= 0 && s.Port < 65536, path+".hostPort", s.Port, "a port, or 0 for a dynamic one")
	v.check(s.Desired >= 0, path+".desired", s.Desired, "0 or more")
	v.check(within(s.MinimumHealthyPercent, 0, 100), path+".minimumHealthyPercent", orNothing(s.MinimumHealthyPercent), "0 to 100")
	v.check(within(s.MaximumPercent, 100, 1000), path+".maximumPercent", orNothing(s.MaximumPercent), "100 to 1000")
	v.check(s.Hold.Duration >= 0 && s.Hold.Duration <= 2*time.Minute, path+".hold", s.Hold, "0s to 2m, the longest that ECS lets a container take to stop")
	v.spreadAt(path+".startUp", s.StartUp)
	v.placementAt(path, s)
	if s.Load == nil {
		return
	}
	v.check(s.Load.CPUPerRequest > 0, path+".load.cpuPerRequest", s.Load.CPUPerRequest, "CPU-unit-seconds, more than 0")
	v.check(s.Load.TargetGroup == "" || slices.Contains(v.targetNames(), s.Load.TargetGroup), path+".load.targetGroup", s.Load.TargetGroup, "one of targetGroups: "+strings.Join(v.targetNames(), ", "))
	v.shapeAt(path+".load.shape", s.Load.Shape)
}

// placementAt checks the placement in ECS's words; an expression is left to the
// simulated ECS.
func (v *validation) placementAt(path string, s Service) {
	for n, p := range s.Strategies {
		at := fmt.Sprintf("%s.placementStrategy[%d]", path, n)
		fields := map[string]string{"random": "^$", "spread": "^(instanceId|host|attribute:.+)$", "binpack": "^(?i:cpu|memory)$"}
		field, known := fields[p.Type]
		v.check(known, at+".type", fmt.Sprintf("%q", p.Type), "random, spread or binpack")
		v.check(!known || regexp.MustCompile(field).MatchString(p.Field), at+".field", fmt.Sprintf("%q", p.Field), "instanceId or attribute:NAME for spread, cpu or memory for binpack, none for random")
	}
	for n, c := range s.Constraints {
		at := fmt.Sprintf("%s.placementConstraints[%d]", path, n)
		v.check(c.Type == "distinctInstance" || c.Type == "memberOf", at+".type", fmt.Sprintf("%q", c.Type), "distinctInstance or memberOf")
		v.check(c.Type != "memberOf" || c.Expression != "", at+".expression", "nothing", "an expression of the cluster query language for memberOf")
	}
}

func within(n *int, least, most int) bool { return n == nil || *n >= least && *n <= most }

func orNothing(n *int) any {
	if n == nil {
		return "nothing"
	}
	return *n
}

func (v *validation) shapeAt(path string, s Shape) {
	v.check(s.Base >= 0 && s.Day >= 0, path+".base", min(s.Base, s.Day), "0 or more requests a second")
	v.check(s.Noise >= 0 && s.Noise <= 1, path+".noise", s.Noise, "a share, 0 to 1")
	v.check(s.Height >= 0 && s.Height < 24, path+".hour", s.Height, "an hour of the day")
	for n, p := range s.Peaks {
		at := fmt.Sprintf("%s.peaks[%d]", path, n)
		v.check(p.Hour >= 0 && p.Hour < 24, at+".hour", p.Hour, "an hour of the day")
		v.check(p.Width.Duration > 0, at+".width", p.Width, "more than 0s")
	}
	for n, c := range s.Crowds {
		at := fmt.Sprintf("%s.crowds[%d]", path, n)
		v.check(c.At.Duration >= 0 && c.At.Duration <= v.Length.Duration, at+".at", c.At, "a time since the start, within length")
		v.check(c.Since.Duration >= 0, at+".since", c.Since, "0s or more")
		v.check(c.Rate >= 0, at+".rate", c.Rate, "0 or more requests a second")
	}
}

func (v *validation) happeningAt(path string, h Happening) {
	_, known := happenings()[h.Do]
	v.check(known, path+".do", fmt.Sprintf("%q", h.Do), "one of "+happeningNames())
	v.check(h.At.Duration <= v.Length.Duration, path+".at", h.At, "a time since the start, within length")
	v.check(h.Service == "" || slices.Contains(v.serviceNames(), h.Service), path+".service", h.Service, "one of "+strings.Join(v.serviceNames(), ", "))
	v.check(h.Group == "" || slices.Contains(v.groupNames(), h.Group), path+".group", h.Group, "one of "+strings.Join(v.groupNames(), ", "))
	ofService := slices.Contains([]string{"crashTask", "setDesired"}, h.Do)
	v.check(!known || !ofService || h.Service != "", path+".service", "nothing", "a service for "+h.Do)
	v.check(!known || ofService || h.Group != "", path+".group", "nothing", "a group for "+h.Do)
}

func (v *validation) expectationAt(path string, e Expectation) {
	_, known := measures()[e.Measure]
	v.check(e.Name != "", path+".name", "nothing", "what is expected, in words")
	v.check(known, path+".measure", fmt.Sprintf("%q", e.Measure), "one of "+measureNames())
	v.check(e.AtLeast != nil || e.AtMost != nil, path, "no bound", "atLeast, atMost or both")
	v.windowAt(path, e)
	v.check(!known || perService(e.Measure) || e.Service == "", path+".service", fmt.Sprintf("%q", e.Service), "none: "+e.Measure+" is of all services")
	v.check(!perService(e.Measure) || slices.Contains(v.serviceNames(), e.Service), path+".service", fmt.Sprintf("%q", e.Service), "one of "+strings.Join(v.serviceNames(), ", "))
}

// windowAt checks the times of an expectation.
func (v *validation) windowAt(path string, e Expectation) {
	v.check(!momentary(e.Measure) || e.At != nil, path+".at", "nothing", "a time since the start for "+e.Measure)
	v.check(e.At == nil || (momentary(e.Measure) || windowed(e.Measure)) && e.At.Duration <= v.Length.Duration, path+".at", deref(e.At), "a time since the start, within length, for a measure of a moment or one that is counted")
	v.check(!windowed(e.Measure) || whole(e.At), path+".at", deref(e.At), "whole minutes for a measure that is counted: samples are a minute apart")
	v.check(!windowed(e.Measure) || whole(e.From), path+".from", deref(e.From), "whole minutes for a measure that is counted: samples are a minute apart")
	v.check(e.From == nil || windowed(e.Measure) && e.From.Duration < v.until(e), path+".from", deref(e.From), "a time since the start, before at and the end, for a measure that is counted")
}

// whole says whether a time is of whole minutes; none is.
func whole(d *policy.Duration) bool { return deref(d).Duration%time.Minute == 0 }

// until is the end of what an expectation counts.
func (v *validation) until(e Expectation) time.Duration {
	if e.At != nil {
		return e.At.Duration
	}
	return v.Length.Duration
}

func deref(d *policy.Duration) policy.Duration {
	if d == nil {
		return policy.Duration{}
	}
	return *d
}

// policyAt adds the problems of the policy, and what of it the world lacks.
func (v *validation) policyAt(path string) {
	if len(v.Raw) == 0 {
		v.check(false, path, "nothing", "a policy as in plimsoll.yaml")
		return
	}
	p, err := file.Read(path, v.Raw)
	var wrong policy.Problems
	if errors.As(err, &wrong) {
		for _, x := range wrong {
			x.Path, x.Line = strings.TrimSuffix(path+"."+x.Path, "."), 0 // its line is that of another document
			v.problems = append(v.problems, x)
		}
		_ = json.Unmarshal(v.Raw, &p) // as far as it can be read: its problems were told
	}
	v.check(err == nil || len(wrong) > 0, path, err, "a policy as in plimsoll.yaml")
	for n, g := range p.Hosts {
		v.check(slices.Contains(v.groupNames(), g.Group), fmt.Sprintf("%s.hosts[%d].group", path, n), g.Group, "a group of this scenario: "+strings.Join(v.groupNames(), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		v.check(slices.Contains(v.serviceNames(), name), path+".services."+name, name, "a service of this scenario: "+strings.Join(v.serviceNames(), ", "))
	}
}
