package file

import (
	"slices"
	"strings"
	"testing"
)

// head is a right policy without services; a test puts its own after it.
const head = `version: 1
cluster: prod
hosts: [{ group: g, min: 1, max: 9 }]
`

const (
	hostKeys    = "group, max, min, offers, removal"
	serviceKeys = "endpoints, maximumPercent, minimumHealthyPercent, scale, scaleIn, scaleOut, tasks, tolerance"
	rowKeys     = "container, port, protocol, registry, targetGroup"
	targetKeys  = "dimensions, metric, namespace, perTask, period, statistic, target"
	duration    = "a duration above 0s such as 90s, 5m or 1h30m"
)

func TestWrongFilesAreTold(t *testing.T) {
	for _, c := range []struct {
		says, raw string
		want      []string
	}{
		{"a right file has no problem", head + "services: {}", nil},
		{"JSON is taken too", `{"version":1,"cluster":"prod","hosts":[{"group":"g","min":1,"max":9}],"services":{"web":{"tasks":{"min":1,"max":2}}}}`, nil},
		{"a service may be empty", head + "services: { web: {} }", nil},
		{"an empty file is no policy", "# nothing yet\n", []string{"policy: found an empty file, allowed a policy; begin with version: 1"}},
		{"a list is no policy", "- version: 1\n", []string{"policy: found a list, allowed a mapping of keys to values"}},
		{"a file holds one policy", head + "services: {}\n---\nversion: 1\n", []string{"policy (line 5): found more after the end of the document, allowed one cluster's policy a file; write each cluster's policy to a file of its own"}},
		{"a key may be missing", "version: 1\ncluster: prod\nservices: {}", []string{"hosts: found nothing, allowed a list; add hosts"}},
		{"a key may be nearly right", head + "services:\n  web:\n    minimumHealtyPercent: 75", []string{"services.web.minimumHealtyPercent (line 6): found an unknown key, allowed one of " + serviceKeys + "; did you mean minimumHealthyPercent?"}},
		{"or in another case", head + "services: { web: { Tasks: { min: 1, max: 2 }, scale: [{ metric: cpu, target: 50 }] } }", []string{"services.web.Tasks (line 4): found an unknown key, allowed one of " + serviceKeys + "; did you mean tasks?"}},
		{"or nothing like any", head + "services: { web: { healthCheck: [] } }", []string{"services.web.healthCheck (line 4): found an unknown key, allowed one of " + serviceKeys + "; remove it"}},
		{"a wrong key does not hide what is wrong with the right one", head + "services: { web: { tolerance: 60, tolerence: 10 } }", []string{
			"services.web.tolerance (line 4): found 60, allowed 0 to 50; set tolerance: 50",
			"services.web.tolerence (line 4): found an unknown key, allowed one of " + serviceKeys + "; did you mean tolerance?",
		}},
		{"an endpoint without its port and a place, and one with a key of somebody else's", head + "services:\n  web:\n    endpoints:\n      - { container: app }\n      - { container: app, port: 80, group: web }", []string{
			"services.web.endpoints[0] (line 7): found neither targetGroup nor registry, allowed exactly one of them; add targetGroup, the name of a target group",
			"services.web.endpoints[0].port (line 7): found nothing, allowed a whole number; add port",
			"services.web.endpoints[1] (line 8): found neither targetGroup nor registry, allowed exactly one of them; add targetGroup, the name of a target group",
			"services.web.endpoints[1].group (line 8): found an unknown key, allowed one of " + rowKeys + "; remove it",
		}},
		{"a port is a number up to 65535", head + "services: { web: { endpoints: [{ container: app, port: 70000, protocol: TCP, targetGroup: web }] } }", []string{
			"services.web.endpoints[0].port (line 4): found 70000, allowed 1 to 65535; set port: 65535",
			`services.web.endpoints[0].protocol (line 4): found "TCP", allowed tcp or udp; set protocol: tcp`,
		}},
		{"standalone tasks have endpoints", head + "services: {}\nstandalone: { game: { family: game } }", []string{"standalone.game.endpoints (line 5): found nothing, allowed a list; add endpoints"}},
		{"a key may be there twice", head + "services:\n  web: { tasks: { min: 1, max: 2, min: 2 } }\n  web: {}", []string{
			"services.web (line 6): found the key a second time, after line 5, allowed once; remove one of the two",
			"services.web.tasks.min (line 5): found the key a second time, after line 5, allowed once; remove one of the two",
		}},
		{"numbers are not text", head + `services: { web: { tasks: { min: "1", max: 2.5 } } }`, []string{
			"services.web.tasks.max (line 4): found 2.5, allowed a whole number", `services.web.tasks.min (line 4): found "1", allowed a whole number; write 1 without quotes`,
		}},
		{"a number is not a mapping, with or without quotes", head + `services: { web: { tasks: "5" } }`, []string{`services.web.tasks (line 4): found "5", allowed a mapping of keys to values`}},
		{"text is not a number", strings.Replace(head, "prod", "2024", 1) + "services: {}", []string{"cluster (line 2): found 2024, allowed text; put it in quotes"}},
		{"a key may have no value", head + "services:\n  web:", []string{"services.web (line 5): found nothing, allowed a mapping of keys to values; write {} for none of its keys"}},
		{"a time has a unit", head + "services: { web: { scaleIn: { window: 300, per: 1 minute } } }", []string{
			`services.web.scaleIn.per (line 4): found "1 minute", allowed ` + duration + "; write 90s, 5m or 1h30m",
			"services.web.scaleIn.window (line 4): found 300, allowed a duration such as 90s, 5m or 1h30m; write 300s if seconds are meant",
		}},
		{"a zero that would mean the default is refused", strings.Replace(head, "max: 9", "max: 9, removal: { emptyAfter: 0s, maxAtOnce: 0 }", 1) + "services: {}", []string{
			`hosts[0].removal.emptyAfter (line 3): found "0s", allowed ` + duration + "; write 90s, 5m or 1h30m", "hosts[0].removal.maxAtOnce (line 3): found 0, allowed 1 or more",
		}},
		{"no window is a window", head + "services: { web: { scaleIn: { window: 0s } } }", nil},
		{"what follows from a wrong form is not told", head + "services: { web: { tasks: 4, scale: [{ metric: cpu, target: sixty }, { metric: 5, target: 3 }] } }", []string{
			`services.web.scale[0].target (line 4): found "sixty", allowed a number`,
			"services.web.scale[1].metric (line 4): found 5, allowed text; put it in quotes",
			"services.web.tasks (line 4): found 4, allowed a mapping of keys to values",
		}},
		{"an item of another kind leaves the others their index", strings.Replace(head, "[{", "[ prod, {", 1) + "services: {}\nmode: observ\n", []string{
			`hosts[0] (line 3): found "prod", allowed a mapping of keys to values`,
			`mode (line 5): found "observ", allowed act or observe; set mode: observe to change nothing yet`,
		}},
		{"a number may be too large", strings.Replace(head, "9 }", "1e40 }", 1) + "services: {}", []string{"hosts.max (line 3): found number 1e+40, allowed a number that a computer's whole number holds; write a smaller one"}},
		{"YAML may be wrong", "version: [1\n", []string{"policy (line 1): found a file that is no YAML: line 1: did not find expected ',' or ']', allowed YAML or JSON"}},
	} {
		if got := told(t, c.raw); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.says, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// Errors of form and of meaning, in one policy, each told once and at its line.
func TestTwelveProblemsAreToldAtOnce(t *testing.T) {
	const raw = `version: 2
cluster: prod/eu
hosts:
  - group: prod-ecs
    min: 4
    max: 2
    removal: { emptyAfter: 60 }
  - group: prod-ecs
    min: "1"
    max: 3
    headroom: 2
services:
  web:
    tasks: { min: 3, max: 3 }
    minimumHealthyPercent: 75
    maximumPercent: 125
    tolerance: 10
    tolerance: 12
    scale:
      - { metric: cpu, targt: 60 }
      - { metric: RequestCount, namespace: AWS/ApplicationELB, target: 5, perTask: 5 }
    scaleIn: { window: 2h }
`
	want := []string{
		`cluster (line 2): found "prod/eu", allowed 1 to 255 letters, numbers, hyphens and underscores; write the ECS cluster's name, not its ARN`,
		"hosts[0].max (line 6): found 2, allowed 4 or more (not below min); set max: 4 or min: 2",
		"hosts[0].removal.emptyAfter (line 7): found 60, allowed " + duration + "; write 60s if seconds are meant",
		`hosts[1].group (line 8): found "prod-ecs", as in hosts[0], allowed each group once; remove one of the two`,
		"hosts[1].headroom (line 11): found an unknown key, allowed one of " + hostKeys + "; remove it",
		`hosts[1].min (line 9): found "1", allowed a whole number; write 1 without quotes`,
		"services.web.maximumPercent (line 16): found 125 with minimumHealthyPercent 75: at no count up to 3 may a task start or stop, allowed bounds that let a task be replaced; set maximumPercent: 134 or minimumHealthyPercent: 66",
		"services.web.scaleIn.window (line 22): found 2h, allowed 0s to 1h in whole seconds; set window: 1h",
		"services.web.scale[0].targt (line 20): found an unknown key, allowed one of " + targetKeys + "; did you mean target?",
		"services.web.scale[1] (line 21): found target and perTask, allowed exactly one of them; remove perTask if the metric is an average over the tasks, target if it is a total",
		"services.web.tolerance (line 18): found the key a second time, after line 17, allowed once; remove one of the two",
		"version (line 1): found 2, allowed 1; set version: 1",
	}
	if got := told(t, raw); !slices.Equal(got, want) {
		t.Errorf("got %d problems:\n%s\nwant %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
}
