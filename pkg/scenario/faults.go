package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// Fault is a fault of the simulated cloud that is on for some time.
type Fault struct {
	Name  string          `json:"name"`
	Rate  *float64        `json:"rate,omitempty"` // 0 to 1; the fault's kind says what it means; default: the kind's usual one
	From  policy.Duration `json:"from,omitzero"`  // since the start
	Until policy.Duration `json:"until,omitzero"` // since the start; default: the end
}

// ParseFaults reads faults given as NAME or NAME=RATE. The error names all that
// is wrong with them.
func ParseFaults(given []string) (map[string]float64, error) {
	rates, wrong := map[string]float64{}, policy.Problems{}
	for _, g := range given {
		name, text, has := strings.Cut(g, "=")
		f := Fault{Name: name}
		if has {
			rate, err := strconv.ParseFloat(text, 64)
			if err != nil {
				wrong = append(wrong, policy.Problem{Path: name, Found: strconv.Quote(text), Allowed: "a rate from 0 to 1"})
				continue
			}
			f.Rate = &rate
		}
		v := &validation{}
		v.faultAt("--fault", f)
		wrong = append(wrong, v.problems...)
		rates[name] = f.rate()
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return rates, nil
}

// kindOf finds the kind of a fault.
func kindOf(name string) (simcloud.FaultKind, bool) {
	kinds := simcloud.FaultKinds()
	n := slices.IndexFunc(kinds, func(k simcloud.FaultKind) bool { return k.Name == name })
	if n < 0 {
		return simcloud.FaultKind{}, false
	}
	return kinds[n], true
}

func faultNames() string {
	var names []string
	for _, k := range simcloud.FaultKinds() {
		names = append(names, k.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (f Fault) rate() float64 {
	if f.Rate != nil {
		return *f.Rate
	}
	k, _ := kindOf(f.Name)
	return k.Usual
}

func (v *validation) faultAt(path string, f Fault) {
	_, known := kindOf(f.Name)
	v.check(known, path+".name", fmt.Sprintf("%q", f.Name), "one of "+faultNames())
	v.check(f.rate() >= 0 && f.rate() <= 1, path+".rate", f.rate(), "0 to 1")
	v.check(f.From.Duration >= 0 && f.From.Duration <= v.Length.Duration, path+".from", f.From, "a time since the start, within length")
	v.check(f.Until.Duration == 0 || f.Until.Duration > f.From.Duration, path+".until", f.Until, "a time since the start, after from")
}

// stale says whether reads may be old at any time of the run.
func (s Scenario) stale(always map[string]float64) bool { return s.faulty("stale-reads", always) }

// faulty says whether a fault is on at any time of the run.
func (s Scenario) faulty(name string, always map[string]float64) bool {
	return always[name] > 0 || slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Name == name && f.rate() > 0 })
}

// fail switches the faults of the run on, and those of the scenario at their
// times.
func (w *world) fail(always map[string]float64) error {
	w.always = always
	for _, name := range slices.Sorted(maps.Keys(always)) {
		if err := w.cloud.Faults().Set(name, always[name]); err != nil {
			return err
		}
	}
	for _, f := range w.Faults {
		w.cloud.At(w.Start.Add(f.From.Duration), func() { w.set(f.Name, f.rate()) })
		if f.Until.Duration > 0 {
			w.cloud.At(w.Start.Add(f.Until.Duration), func() { w.set(f.Name, always[f.Name]) })
		}
	}
	return nil
}

func (w *world) set(name string, rate float64) {
	if err := w.cloud.Faults().Set(name, rate); err != nil {
		w.log.Sugar().Warnf("fault %s: %v", name, err) // the scenario was checked when it was read
	}
}
