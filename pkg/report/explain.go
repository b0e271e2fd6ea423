package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
	"github.com/plimsoll-ecs/plimsoll/pkg/scenario"
)

// Subjects are all subjects of a run's records, hosts that were launched
// included, sorted.
func Subjects(r scenario.Result) []cluster.Subject {
	known := map[cluster.Subject]bool{}
	for _, x := range r.History {
		if x.Decision != nil {
			known[x.Decision.Subject] = true
			continue
		}
		known[x.Intent.Subject] = true
		for _, id := range x.Intent.Instances {
			known[cluster.HostSubject(id)] = true
		}
	}
	var all []cluster.Subject
	for s := range known {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// episode is one decision about a subject for as long as it stayed the same, and
// what was done about it.
type episode struct {
	at, until time.Time
	times     int
	decision  plan.Decision
	intents   []cluster.Intent
}

// changed says whether something was done, or was to be.
func (e episode) changed() bool { return e.decision.From != e.decision.To || len(e.intents) > 0 }

// episodes are what was decided about a subject, oldest first. A decision with
// the same reason and answer as the one before it prolongs that.
func episodes(history []scenario.Record, about cluster.Subject) []episode {
	var all []episode
	for _, x := range history {
		if x.Decision == nil || x.Decision.Subject != about {
			continue
		}
		e := episode{at: x.At, until: x.Until, times: max(1, x.Count), decision: *x.Decision, intents: intentsOf(history, about, x.At)}
		if n := len(all) - 1; n >= 0 && !e.changed() && !all[n].changed() && same(all[n].decision, e.decision) {
			all[n].until, all[n].times = e.until, all[n].times+e.times
			continue
		}
		all = append(all, e)
	}
	return all
}

func same(a, b plan.Decision) bool {
	return a.Reason == b.Reason && a.From == b.From && a.To == b.To
}

// intentsOf are the changes of a subject that were decided on at an instant.
func intentsOf(history []scenario.Record, about cluster.Subject, at time.Time) []cluster.Intent {
	var all []cluster.Intent
	for _, x := range round(history, at) {
		if x.Intent != nil && x.Intent.Subject == about {
			all = append(all, *x.Intent)
		}
	}
	return all
}

// round is what was recorded at an instant. The store keeps a decision's time to
// the millisecond and an intent's in full.
func round(history []scenario.Record, at time.Time) []scenario.Record {
	begin := at.Truncate(time.Millisecond)
	find := func(x scenario.Record, t time.Time) int { return x.At.Compare(t) }
	n, _ := slices.BinarySearchFunc(history, begin, find)
	end, _ := slices.BinarySearchFunc(history, begin.Add(time.Millisecond), find)
	return history[n:end]
}

// Explain tells what was decided about a subject last before or at a time, why,
// what was done about it, and what was decided next.
func (p Page) Explain(r scenario.Result, about cluster.Subject, at time.Time) string {
	all, covers := episodes(r.History, about), spanOf(r.Samples)
	n := -1
	for i, e := range all {
		if !e.at.After(at) {
			n = i
		}
	}
	if n < 0 {
		says := fmt.Sprintf("Nothing had been decided about %s by %s.", about.Name(), covers.second(at.Round(time.Second)))
		if len(all) > 0 {
			says += fmt.Sprintf(" The first decision came at %s: %s: %s.", covers.second(all[0].at), headline(all[0].decision), all[0].decision.Reason)
		}
		return p.launch(r, about, covers) + p.Wrapped(says) + "\n"
	}
	var next *episode
	if n+1 < len(all) {
		next = &all[n+1]
	}
	return p.told(r, about, all[n], next)
}

// told is one episode in full, and the headline of the next.
func (p Page) told(r scenario.Result, about cluster.Subject, e episode, next *episode) string {
	covers := spanOf(r.Samples)
	lines := []string{p.bold(covers.second(e.at) + "  " + about.Name() + ": " + headline(e.decision))}
	add := func(word, text string) { lines = append(lines, p.faint(left("  "+word, 12))+p.wrapped(text, 12)) }
	why := explained(e.decision.Reason)
	add("because", fmt.Sprintf("%s: %s", why.Reason, why.Meaning))
	if len(e.decision.Numbers) > 0 {
		add("numbers", numbers(e.decision))
	}
	for _, i := range e.intents {
		add("then", intent(i))
	}
	for _, d := range beside(r.History, e.at, about) {
		add("and", d)
	}
	if e.times > 1 {
		add("again", fmt.Sprintf("%s until %s", things(e.times-1, "time"), covers.second(e.until)))
	}
	if why.Advice != "" {
		add("advice", why.Advice)
	}
	if next != nil {
		add("next", fmt.Sprintf("%s  %s: %s", covers.second(next.at), headline(next.decision), next.decision.Reason))
	} else {
		add("next", "nothing else until the end of the run")
	}
	return strings.Join(lines, "\n") + "\n"
}

// explained is what is known of a reason; of one that another build recorded,
// nothing is.
func explained(r plan.Reason) plan.Explanation {
	for _, x := range plan.Reasons() {
		if x.Reason == r {
			return x
		}
	}
	return plan.Explanation{Reason: r, Meaning: "This build does not know the reason."}
}

// headline says in a few words what a decision does.
func headline(d plan.Decision) string {
	kind, _, _ := strings.Cut(string(d.Subject), "/")
	switch {
	case kind == "host" && d.From > d.To:
		return "it leaves"
	case kind == "host" && d.From < d.To:
		return "it stays after all"
	case kind == "host":
		return "it stays"
	case kind == "group":
		return amount(d, "host")
	default:
		return amount(d, "task")
	}
}

func amount(d plan.Decision, of string) string {
	says := fmt.Sprintf("%d → %s", d.From, things(d.To, of))
	if d.From == d.To {
		says = "kept " + things(d.To, of)
	}
	for _, n := range d.Numbers {
		if n.Name == "wanted" && int(n.Value) != d.To {
			says += fmt.Sprintf(" (wanted %s)", figure(n.Value))
		}
	}
	return says
}

func numbers(d plan.Decision) string {
	parts := make([]string, 0, len(d.Numbers))
	for _, n := range d.Numbers {
		parts = append(parts, number(n))
	}
	return strings.Join(parts, ", ")
}

// number writes a number by its name: those of times end in Seconds.
func number(n plan.Number) string {
	if name, ok := strings.CutSuffix(n.Name, "Seconds"); ok {
		return name + " " + seconds(n.Value)
	}
	return n.Name + " " + figure(n.Value)
}

// intent says what was called and what came of it.
func intent(i cluster.Intent) string {
	says := string(i.Verb)
	switch i.Verb {
	case cluster.LaunchHosts:
		says += fmt.Sprintf(" %d in %s", i.To-i.From, i.Zone)
	case cluster.SetDesiredCount:
		says += fmt.Sprintf(" %d → %d", i.From, i.To)
	default: // the verb says it all
	}
	if len(i.Instances) > 0 {
		says += " (" + strings.Join(i.Instances, ", ") + ")"
	}
	says += ": " + outcome(i.Outcome)
	if i.Detail != "" {
		says += ": " + i.Detail
	}
	return says
}

// outcome says how a call ended.
func outcome(o cluster.Outcome) string {
	says := map[cluster.Outcome]string{
		cluster.OutcomeUnknown: "no answer was noted", cluster.OutcomeApplied: "the call succeeded", cluster.OutcomeRefused: "refused",
		cluster.OutcomeSkipped: "skipped, its ground had gone", cluster.OutcomeShown: "done, and the cloud showed it",
		cluster.OutcomeSuperseded: "done, and changed again since", cluster.OutcomeExpired: "the cloud never showed it",
	}[o]
	if says == "" {
		return string(o)
	}
	return says
}

// beside are the changes that the same round decided on for other subjects.
func beside(history []scenario.Record, at time.Time, about cluster.Subject) []string {
	var all []string
	for _, x := range round(history, at) {
		if x.Decision == nil || x.Decision.Subject == about || x.Decision.From == x.Decision.To {
			continue
		}
		all = append(all, fmt.Sprintf("in the same round %s: %s: %s", x.Decision.Subject.Name(), headline(*x.Decision), x.Decision.Reason))
	}
	return all
}

// launch says how a host came, where the run's records know it.
func (p Page) launch(r scenario.Result, about cluster.Subject, covers span) string {
	if cluster.HostSubject(about.Name()) != about {
		return ""
	}
	for _, x := range r.History {
		if x.Intent != nil && slices.Contains(x.Intent.Instances, about.Name()) {
			return fmt.Sprintf("%s  launched in %s for %s\n", covers.second(x.Intent.At), x.Intent.Zone, x.Intent.Subject.Name())
		}
	}
	return "It was there when the run began.\n"
}

// Timeline lists the changes of a subject, one a line.
func (p Page) Timeline(r scenario.Result, about cluster.Subject) string {
	all, covers := episodes(r.History, about), spanOf(r.Samples)
	var b strings.Builder
	b.WriteString(p.launch(r, about, covers))
	decided, changes, what, why := 0, 0, 0, 0
	for _, e := range all {
		decided += e.times
		if e.changed() {
			changes++
			what, why = max(what, lipgloss.Width(headline(e.decision))), max(why, len(e.decision.Reason))
		}
	}
	for _, e := range all {
		if e.changed() {
			head := covers.second(e.at) + "  " + left(headline(e.decision), what) + "  " + left(string(e.decision.Reason), why) + "  "
			b.WriteString(head + p.faint(cut(numbers(e.decision), p.width()-lipgloss.Width(head)-10)) + "  " + p.outcomes(e) + "\n")
		}
	}
	if decided > 0 {
		b.WriteString(p.Wrapped(fmt.Sprintf("%s about %s, %d of which changed something; --at TIME explains one.", things(decided, "decision"), about.Name(), changes)) + "\n")
	}
	return b.String()
}

func (p Page) outcomes(e episode) string {
	var words []string
	for _, i := range e.intents {
		word := string(i.Outcome)
		if i.Outcome == cluster.OutcomeUnknown {
			word = "no answer"
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return p.faint("nothing called")
	}
	return p.faint(strings.Join(words, ", "))
}
