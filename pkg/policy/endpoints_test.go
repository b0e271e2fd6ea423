package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// row changes the first endpoint of right's service, and game its standalone tasks.
func row(change func(*Endpoint)) func(*Policy) {
	return web(func(s *Service) { change(&s.Endpoints[0]) })
}

func game(change func(*Standalone)) func(*Policy) {
	return func(p *Policy) {
		s := p.Standalone["game"]
		change(&s)
		p.Standalone["game"] = s
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	const names = "1 to 255 letters, numbers, hyphens and underscores"
	const groups = "1 to 32 letters, numbers and hyphens, none at its ends; write the target group's name, not its ARN"
	const registries = "1 to 127 letters, numbers, hyphens, underscores and dots, 63 at most between dots; write the Cloud Map service's name or id, not its ARN"
	const at = "services.web.endpoints[0]"
	for _, c := range []wrong{
		{"a service with endpoints needs no tasks", web(func(s *Service) { *s = Service{Endpoints: s.Endpoints} }), nil},
		{"a container is named", row(func(e *Endpoint) { e.Container = "" }), []string{at + ".container: found nothing, allowed " + names + "; write the container's name in the task definition"}},
		{"a port is above 0", row(func(e *Endpoint) { e.Port = 0 }), []string{at + ".port: found 0, allowed 1 to 65535; set port: 1"}},
		{"and at most 65535", row(func(e *Endpoint) { e.Port = 65536 }), []string{at + ".port: found 65536, allowed 1 to 65535; set port: 65535"}},
		{"a protocol is one of two", row(func(e *Endpoint) { e.Protocol = "TCP" }), []string{at + `.protocol: found "TCP", allowed tcp or udp; set protocol: tcp`}},
		{"an endpoint is in one place", row(func(e *Endpoint) { e.Registry = "reg" }), []string{at + ": found targetGroup and registry, allowed exactly one of them; write two endpoints, one for each"}},
		{"and not in none", row(func(e *Endpoint) { e.TargetGroup = "" }), []string{at + ": found neither targetGroup nor registry, allowed exactly one of them; add targetGroup, the name of a target group"}},
		{"a target group's name has 32 characters at most", row(func(e *Endpoint) { e.TargetGroup = strings.Repeat("x", 33) }), []string{at + `.targetGroup: found "` + strings.Repeat("x", 33) + `", allowed ` + groups}},
		{"32 are fine", row(func(e *Endpoint) { e.TargetGroup = strings.Repeat("x", 32) }), nil},
		{"no underscore", row(func(e *Endpoint) { e.TargetGroup = "a_b" }), []string{at + `.targetGroup: found "a_b", allowed ` + groups}},
		{"no hyphen at an end", row(func(e *Endpoint) { e.TargetGroup = "a-" }), []string{at + `.targetGroup: found "a-", allowed ` + groups}},
		{"an ARN is no name", row(func(e *Endpoint) { e.TargetGroup = "a:b/c" }), []string{at + `.targetGroup: found "a:b/c", allowed ` + groups}},
		{"a registry's name is one of DNS", row(func(e *Endpoint) { e.TargetGroup, e.Registry = "", "a..b" }), []string{at + `.registry: found "a..b", allowed ` + registries}},
		{"with parts of 63 characters at most", row(func(e *Endpoint) { e.TargetGroup, e.Registry = "", strings.Repeat("x", 64) }), []string{at + `.registry: found "` + strings.Repeat("x", 64) + `", allowed ` + registries}},
		{"and 127 in all", row(func(e *Endpoint) { e.TargetGroup, e.Registry = "", strings.Repeat("xy.", 42)+"xy" }), []string{at + `.registry: found "` + strings.Repeat("xy.", 42) + `xy", allowed ` + registries}},
		{"or its id", row(func(e *Endpoint) { e.TargetGroup, e.Registry = "", "srv-0123456789abcdef" }), nil},
		{"an endpoint comes once, however it is written", web(func(s *Service) { s.Endpoints = append(s.Endpoints, Endpoint{"app", 8080, TCP, "web-1", ""}) }), []string{
			"services.web.endpoints[2]: found the endpoint of endpoints[0] again, allowed each endpoint once; remove one of the two",
		}},
		{"a port may be in several target groups", web(func(s *Service) { s.Endpoints = append(s.Endpoints, Endpoint{"app", 8080, TCP, "web-2", ""}) }), nil},
		{"a target group may have several ports of one service", web(func(s *Service) { s.Endpoints = append(s.Endpoints, Endpoint{"app", 8081, TCP, "web-1", ""}) }), nil},
		{"but no other service's", func(p *Policy) {
			p.Services["api"] = Service{Endpoints: []Endpoint{{"a", 1, "", "x", ""}, {"a", 1, "", "web-1", ""}}}
		}, []string{`services.web.endpoints[0].targetGroup: found "web-1", which services.api has too, allowed a targetGroup under one name only; remove it from one of the two, or give each its own`}},
		{"nor has a registry", game(func(s *Standalone) { s.Endpoints = append(s.Endpoints, Endpoint{"app", 1, "", "", "web.api"}) }), []string{
			`standalone.game.endpoints[1].registry: found "web.api", which services.web has too, allowed a registry under one name only; remove it from one of the two, or give each its own`,
		}},
		{"a registry may be called like a target group", game(func(s *Standalone) { s.Endpoints = append(s.Endpoints, Endpoint{"app", 1, "", "", "web-1"}) }), nil},
	} {
		c.check(t)
	}
}

func TestStandaloneTasksAreChecked(t *testing.T) {
	another := func(name string, s Standalone) func(*Policy) {
		return func(p *Policy) { p.Standalone[name] = s }
	}
	rows := []Endpoint{{"app", 1, "", "x", ""}}
	for _, c := range []wrong{
		{"tasks may be found by who started them", game(func(s *Standalone) { s.Family, s.StartedBy = "", "ops/cron_1" }), nil},
		{"but not by two things", game(func(s *Standalone) { s.StartedBy = "ops" }), []string{"standalone.game: found family and startedBy, allowed exactly one of them; remove one of the two: ECS lists tasks by one of them only"}},
		{"nor by nothing", game(func(s *Standalone) { s.Family = "" }), []string{"standalone.game: found neither family nor startedBy, allowed exactly one of them; add family, the name of the task definition without its revision"}},
		{"a family has no revision", game(func(s *Standalone) { s.Family = "game:7" }), []string{`standalone.game.family: found "game:7", allowed 1 to 255 letters, numbers, hyphens and underscores; write the family's name, without a revision`}},
		{"startedBy has 128 characters at most", game(func(s *Standalone) { s.Family, s.StartedBy = "", strings.Repeat("x", 129) }), []string{`standalone.game.startedBy: found "` + strings.Repeat("x", 129) + `", allowed 1 to 128 letters, numbers, hyphens, slashes and underscores; write what RunTask is told as startedBy`}},
		{"there is something to register", game(func(s *Standalone) { s.Endpoints = nil }), []string{"standalone.game.endpoints: found no endpoint, allowed one or more; add - {container: NAME, port: 8080, targetGroup: NAME}"}},
		{"no service has the name", another("web", Standalone{Family: "w", Endpoints: rows}), []string{`standalone.web: found "web", as in services, allowed a name that no service has; choose another name: it is plimsoll's own`}},
		{"the name is one that a service could have", another("a b", Standalone{Family: "w", Endpoints: rows}), []string{`standalone.a b: found "a b", allowed 1 to 255 letters, numbers, hyphens and underscores; choose another name: it is plimsoll's own`}},
		{"the same tasks come once", another("play", Standalone{Family: "game", Endpoints: rows}), []string{"standalone.play: found the tasks of standalone.game again, allowed each family and startedBy once; put the endpoints of both under one name"}},
	} {
		c.check(t)
	}
}

func TestEndpointScopesNameWhatARoundOfRegisterMayTouch(t *testing.T) {
	p := right()
	p.Services["api"] = Service{}
	s := p.Services["web"]
	s.Endpoints = append(s.Endpoints, Endpoint{"app", 9090, "", "web-1", ""}, Endpoint{"app", 9090, "", "alpha", ""})
	p.Services["web"] = s
	if got := p.Registered(); !slices.Equal(got, []string{"game", "web"}) {
		t.Errorf("rounds of %q", got)
	}
	for name, want := range map[string]cluster.EndpointScope{
		"web":  {Cluster: "prod", Service: "web", Groups: []string{"alpha", "web-1"}, Registries: []string{"web.api"}},
		"game": {Cluster: "prod", Service: "game", Family: "game", Groups: []string{"game"}},
	} {
		if got, ok := p.EndpointScope(name); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"api", "other", ""} {
		if got, ok := p.EndpointScope(name); ok {
			t.Errorf("%q has the scope %+v", name, got)
		}
	}
	if !p.HasTargetGroup("alpha") || !p.HasTargetGroup("game") || p.HasTargetGroup("web.api") || p.HasTargetGroup("") || !p.HasRegistry("web.api") || p.HasRegistry("alpha") {
		t.Error("the policy names other groups or registries than its endpoints")
	}
}

func TestARowWithoutAProtocolIsTCP(t *testing.T) {
	p := right().Defaulted()
	if e := p.Services["web"].Endpoints[0]; e.Protocol != TCP {
		t.Errorf("service: %+v", e)
	}
	if e := p.EndpointsOf("game")[0]; e.Protocol != UDP || p.Standalone["game"].Endpoints[0] != e {
		t.Errorf("standalone: %+v", e)
	}
}
