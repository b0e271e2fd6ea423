package simcloud

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// deliveries are how late each copy of an event arrives at one target.
func (f *Faults) deliveries(source string, usual time.Duration) []time.Duration {
	scheduled := source == "aws.events"
	if !scheduled && (f.hits(faultEventLost) || !guaranteed(source) && f.hits(faultBestEffortLost)) {
		return nil
	}
	all := []time.Duration{usual}
	if f.hits(faultEventDoubled) {
		r := f.c.stream("fault " + faultEventDoubled)
		for range 1 + r.IntN(4) {
			all = append(all, deliveryDelay(r))
		}
	}
	for n := range all {
		if f.hits(faultEventReordered) {
			all[n] += between(f.c.stream("fault "+faultEventReordered), 0, 2*time.Minute)
		}
		if !scheduled && f.hits(faultEventLate) {
			all[n] += time.Duration(float64(time.Minute) * math.Pow(24*60, f.c.stream("fault "+faultEventLate).Float64()))
		}
	}
	return all
}

// forged makes a forged event out of a true one; false: there is none.
func (f *Faults) forged(e *busEvent, body string) (string, bool) {
	if !f.hits(faultForgedEvents) {
		return "", false
	}
	r := f.c.stream("fault " + faultForgedEvents)
	switch r.IntN(4) {
	case 0:
		return strings.ReplaceAll(body, f.c.opts.Account, "999988887777"), true
	case 1:
		return strings.ReplaceAll(body, f.c.opts.Region, "ap-south-2"), true
	case 2:
		for _, c := range f.c.fleet.clusters {
			body = strings.ReplaceAll(body, "/"+c.name, "/foreign")
		}
		return body, true
	default:
		return fuzzed(e, r), true
	}
}

// fuzzed is an event whose detail holds what it should not.
func fuzzed(e *busEvent, r *rand.Rand) string {
	var detail any
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		panic("simcloud: an event's detail: " + err.Error()) // it was made by encodeDetail
	}
	forged := *e
	raw, err := json.Marshal(fuzz(detail, r))
	if err != nil {
		panic("simcloud: a forged event: " + err.Error()) // strings, numbers, lists and maps: cannot fail
	}
	forged.Detail = raw
	body, err := json.Marshal(&forged)
	if err != nil {
		panic("simcloud: a forged event: " + err.Error())
	}
	return string(body)
}

// fuzz replaces some of the values within a value.
func fuzz(v any, r *rand.Rand) any {
	if r.IntN(5) == 0 {
		wrong := []any{nil, true, -1, 1e300, "", "../..", "arn:aws:ecs:::cluster/", strings.Repeat("x", 5000), []any{}, map[string]any{"a": []any{nil}}}
		return wrong[r.IntN(len(wrong))]
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out[key] = fuzz(v[key], r)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n := range v {
			out[n] = fuzz(v[n], r)
		}
		return out
	default:
		return v
	}
}

// targets are the ARNs that rules send to.
func (b *EventBridge) targetARNs() []string {
	var all []string
	for _, r := range b.rules {
		for _, t := range r.targets {
			all = append(all, t.ARN)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// burst lets the newest event of a target come again and again.
func (f *Faults) burst() {
	const copies = 10000
	b := f.c.EventBridge()
	for _, arn := range b.targetARNs() {
		body, known := f.newest[arn]
		if !known || !f.drawnOf(faultEventBurst, 60) {
			continue
		}
		f.strike(faultEventBurst)
		f.c.trace("event burst to %s", arn)
		for n := range copies {
			f.c.after(time.Duration(n)*time.Second/copies, func() { b.arrive("", Target{ARN: arn}, body) })
		}
	}
}

// poison sends garbage to the standard queues that rules send to.
func (f *Faults) poison() {
	for _, arn := range f.c.EventBridge().targetARNs() {
		q, ok := f.c.SQS().byARN(arn)
		if !ok || q.fifo || !f.hits(faultPoison) {
			continue
		}
		body := garbage(f.c.stream("fault "+faultPoison), f.newest[arn])
		if _, err := q.send(sending{body: body, delay: q.delay}); err != nil {
			f.c.trace("poison lost: %v", err)
		}
	}
}

// garbage is a body that no sender meant.
func garbage(r *rand.Rand, like string) string {
	switch n := r.IntN(10); {
	case n < 3 && len(like) > 2:
		return strings.ToValidUTF8(like[:1+r.IntN(len(like)-1)], "?")
	case n < 4:
		return strings.Repeat("[", 5000)
	case n < 5:
		return strings.Repeat(`{"detail":`, 500) + "1" + strings.Repeat("}", 500)
	default:
		all := []string{"null", "{}", "[]", "0", `""`, "true", "{", "\u2603", `{"detail-type":7}`, `{"source":"aws.ecs","detail":[]}`, `{"resources":{"a":1}}`, `{"version":"0","account":null,"time":"never"}`, strings.Repeat("x", 100000)}
		return all[r.IntN(len(all))]
	}
}
