package simcloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
	"pgregory.net/rapid"
)

// mapDoor is what takes a real client takes the simulated one as well.
type mapDoor interface {
	CreateService(context.Context, *servicediscovery.CreateServiceInput, ...func(*servicediscovery.Options)) (*servicediscovery.CreateServiceOutput, error)
	ListServices(context.Context, *servicediscovery.ListServicesInput, ...func(*servicediscovery.Options)) (*servicediscovery.ListServicesOutput, error)
	GetService(context.Context, *servicediscovery.GetServiceInput, ...func(*servicediscovery.Options)) (*servicediscovery.GetServiceOutput, error)
	ListInstances(context.Context, *servicediscovery.ListInstancesInput, ...func(*servicediscovery.Options)) (*servicediscovery.ListInstancesOutput, error)
	RegisterInstance(context.Context, *servicediscovery.RegisterInstanceInput, ...func(*servicediscovery.Options)) (*servicediscovery.RegisterInstanceOutput, error)
	DeregisterInstance(context.Context, *servicediscovery.DeregisterInstanceInput, ...func(*servicediscovery.Options)) (*servicediscovery.DeregisterInstanceOutput, error)
	GetOperation(context.Context, *servicediscovery.GetOperationInput, ...func(*servicediscovery.Options)) (*servicediscovery.GetOperationOutput, error)
	UpdateInstanceCustomHealthStatus(context.Context, *servicediscovery.UpdateInstanceCustomHealthStatusInput, ...func(*servicediscovery.Options)) (*servicediscovery.UpdateInstanceCustomHealthStatusOutput, error)
	GetInstancesHealthStatus(context.Context, *servicediscovery.GetInstancesHealthStatusInput, ...func(*servicediscovery.Options)) (*servicediscovery.GetInstancesHealthStatusOutput, error)
}

var (
	_ mapDoor = (*CloudMap)(nil)
	_ mapDoor = (*servicediscovery.Client)(nil)
)

// mapBench is a world with a service in Cloud Map.
type mapBench struct {
	*ecsBench
	m  *CloudMap
	id string // of the service
}

// newMapBench makes a DNS namespace, or an HTTP one, with a service.
func newMapBench(t *testing.T, dns bool, change func(*servicediscovery.CreateServiceInput)) *mapBench {
	b := &mapBench{ecsBench: newECSBench(t, 1)}
	b.m = b.c.CloudMap()
	ns := b.namespace("ns", dns)
	in := &servicediscovery.CreateServiceInput{Name: aws.String("web"), NamespaceId: aws.String(ns)}
	if dns {
		in.DnsConfig = &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeSrv, TTL: aws.Int64(10)}}}
	}
	if change != nil {
		change(in)
	}
	out, err := b.m.CreateService(b.ctx, in)
	b.must(err)
	b.id = *out.Service.Id
	return b
}

// namespace makes a namespace and waits for it.
func (b *mapBench) namespace(name string, dns bool) string {
	var op *string
	if dns {
		out, err := b.m.CreatePrivateDnsNamespace(b.ctx, &servicediscovery.CreatePrivateDnsNamespaceInput{Name: &name, Vpc: aws.String("vpc-1")})
		b.must(err)
		op = out.OperationId
	} else {
		out, err := b.m.CreateHttpNamespace(b.ctx, &servicediscovery.CreateHttpNamespaceInput{Name: &name})
		b.must(err)
		op = out.OperationId
	}
	b.pass(5 * time.Minute)
	out := b.operation(op)
	if out.Status != types.OperationStatusSuccess {
		b.t.Fatalf("namespace %s: %s", name, out.Status)
	}
	return out.Targets["NAMESPACE"]
}

func (b *mapBench) operation(id *string) *types.Operation {
	out, err := b.m.GetOperation(b.ctx, &servicediscovery.GetOperationInput{OperationId: id})
	b.must(err)
	return out.Operation
}

// register registers an instance at a port of 10.0.0.1.
func (b *mapBench) register(instance string, port int) (*string, error) {
	out, err := b.m.RegisterInstance(b.ctx, &servicediscovery.RegisterInstanceInput{
		ServiceId: &b.id, InstanceId: &instance, Attributes: map[string]string{mapIPv4: "10.0.0.1", mapPort: fmt.Sprint(port), "task": "t"},
	})
	if err != nil {
		return nil, err
	}
	return out.OperationId, nil
}

func (b *mapBench) deregister(instance string) (*string, error) {
	out, err := b.m.DeregisterInstance(b.ctx, &servicediscovery.DeregisterInstanceInput{ServiceId: &b.id, InstanceId: &instance})
	if err != nil {
		return nil, err
	}
	return out.OperationId, nil
}

// listed are the instances with their ports, in pages of two.
func (b *mapBench) listed() string {
	var all []string
	for token := (*string)(nil); ; {
		out, err := b.m.ListInstances(b.ctx, &servicediscovery.ListInstancesInput{ServiceId: &b.id, MaxResults: aws.Int32(2), NextToken: token})
		b.must(err)
		for _, i := range out.Instances {
			all = append(all, *i.Id+":"+i.Attributes[mapPort])
			i.Attributes[mapPort] = "spoiled"
		}
		if token = out.NextToken; token == nil {
			return strings.Join(all, " ")
		}
	}
}

func TestInstancesComeAndGoInTheirOwnTime(t *testing.T) {
	b := newMapBench(t, true, nil)
	op, err := b.register("a", 1)
	b.must(err)
	first := b.operation(op)
	b.want("at once", fmt.Sprint(first.Status, first.Type, first.Targets, b.listed()), "SUBMITTEDREGISTER_INSTANCEmap[INSTANCE:a SERVICE:"+b.id+"]")
	for _, name := range []string{"c", "b", "d", "e"} {
		_, err := b.register(name, 2)
		b.must(err)
	}
	for b.operation(op).Status != types.OperationStatusSuccess {
		b.want("before its end", strings.Contains(b.listed(), "a:"), false)
		b.pass(100 * time.Millisecond)
	}
	b.want("after it", strings.Contains(b.listed(), "a:1"), true)
	b.pass(5 * time.Minute)
	b.want("all, in pages", b.listed(), "a:1 b:2 c:2 d:2 e:2")
	_, err = b.register("a", 3)
	b.must(err)
	gone, err := b.deregister("c")
	b.must(err)
	b.want("not yet", b.listed(), "a:1 b:2 c:2 d:2 e:2")
	b.pass(5 * time.Minute)
	b.want("one has other attributes, one is gone", b.listed()+string(b.operation(gone).Status), "a:3 b:2 d:2 e:2SUCCESS")
	out, err := b.m.GetService(b.ctx, &servicediscovery.GetServiceInput{Id: &b.id})
	b.must(err)
	b.want("counted", *out.Service.InstanceCount, 4)
	v := b.c.World().Registrations()
	b.want("the truth", fmt.Sprint(len(v), v[0].Namespace, v[0].Service, v[0].Instance, v[0].IPv4, v[0].Port, v[0].Healthy), fmt.Sprint(4, "ns", "web", "a", "10.0.0.1", 3, true))
}

func TestOneOperationAtATimeForAnInstance(t *testing.T) {
	b := newMapBench(t, true, nil)
	op, err := b.register("a", 1)
	b.must(err)
	_, err = b.register("a", 2)
	var twice *types.DuplicateRequest
	if !errors.As(err, &twice) || *twice.DuplicateOperationId != *op {
		t.Errorf("registered twice: %v", err)
	}
	_, err = b.deregister("a")
	b.want("deregistered meanwhile", codeOf(err), "ResourceInUse")
	_, err = b.register("b", 1)
	b.must(err) // another instance does not mind
	b.pass(5 * time.Minute)
	_, err = b.deregister("a")
	b.must(err)
	_, err = b.deregister("a")
	b.want("deregistered twice", codeOf(err), "DuplicateRequest")
	_, err = b.register("a", 3)
	b.want("registered meanwhile", codeOf(err), "ResourceInUse")
	b.pass(5 * time.Minute)
	_, err = b.deregister("a")
	b.want("gone", codeOf(err), "InstanceNotFound")
	_, err = b.register("a", 3)
	b.must(err)
	b.pass(5 * time.Minute)
	b.want("in the end", b.listed(), "a:3 b:1")
}

func TestARegistrationAgainWithItsRequestIDDoesNothing(t *testing.T) {
	b := newMapBench(t, true, nil)
	in := &servicediscovery.RegisterInstanceInput{ServiceId: &b.id, InstanceId: aws.String("a"), CreatorRequestId: aws.String("r"), Attributes: map[string]string{mapIPv4: "10.0.0.1", mapPort: "1"}}
	first, err := b.m.RegisterInstance(b.ctx, in)
	b.must(err)
	b.pass(5 * time.Minute)
	in.Attributes[mapPort] = "2"
	again, err := b.m.RegisterInstance(b.ctx, in)
	b.must(err)
	b.pass(5 * time.Minute)
	b.want("the same operation, nothing done", fmt.Sprint(*first.OperationId == *again.OperationId, b.listed()), "truea:1")
}

func TestWhatIsNoInstance(t *testing.T) {
	srv := func(_ *servicediscovery.CreateServiceInput) {}
	custom := func(in *servicediscovery.CreateServiceInput) {
		in.HealthCheckCustomConfig = &types.HealthCheckCustomConfig{}
	}
	both := func(in *servicediscovery.CreateServiceInput) {
		in.DnsConfig.DnsRecords = append(in.DnsConfig.DnsRecords, types.DnsRecord{Type: types.RecordTypeA, TTL: aws.Int64(10)})
	}
	type is = map[string]string
	for _, tt := range []struct {
		name   string
		dns    bool
		change func(*servicediscovery.CreateServiceInput)
		given  map[string]string
		want   string
	}{
		{"address and port", true, srv, is{mapIPv4: "10.0.0.1", mapPort: "80"}, ""},
		{"SRV without a port", true, srv, is{mapIPv4: "10.0.0.1"}, "InvalidInput"},
		{"SRV without an address", true, srv, is{mapPort: "80"}, "InvalidInput"},
		{"SRV with an IPv6 address alone", true, srv, is{mapIPv6: "fd00::1", mapPort: "80"}, ""},
		{"A and SRV with an IPv6 address alone", true, both, is{mapIPv6: "fd00::1", mapPort: "80"}, "InvalidInput"},
		{"a port that is none", true, srv, is{mapIPv4: "10.0.0.1", mapPort: "65536"}, "InvalidInput"},
		{"an address that is none", true, srv, is{mapIPv4: "10.0.0", mapPort: "80"}, "InvalidInput"},
		{"IPv6 where IPv4 is meant", true, srv, is{mapIPv4: "fd00::1", mapPort: "80"}, "InvalidInput"},
		{"nothing", true, srv, is{}, "InvalidInput"},
		{"a health without custom checks", true, srv, is{mapIPv4: "10.0.0.1", mapPort: "80", mapHealth: "HEALTHY"}, "InvalidInput"},
		{"a health that is none", true, custom, is{mapIPv4: "10.0.0.1", mapPort: "80", mapHealth: "ILL"}, "InvalidInput"},
		{"a health", true, custom, is{mapIPv4: "10.0.0.1", mapPort: "80", mapHealth: "UNHEALTHY"}, ""},
		{"an EC2 instance in DNS", true, srv, is{mapEC2: "HOST"}, "InvalidInput"},
		{"an EC2 instance", false, srv, is{mapEC2: "HOST"}, ""},
		{"an EC2 instance and a port", false, srv, is{mapEC2: "HOST", mapPort: "80"}, "InvalidInput"},
		{"an EC2 instance that there is not", false, srv, is{mapEC2: "i-0"}, "InvalidInput"},
		{"what is left out", true, srv, is{"AWS_INSTANCE_CNAME": "x"}, "NotSimulated"},
		{"attributes of its own only", false, srv, is{"a": "b"}, ""},
		{"a value that is too long", false, srv, is{"a": strings.Repeat("x", 1025)}, "InvalidInput"},
	} {
		b := newMapBench(t, tt.dns, tt.change)
		b.hosts("g", 1, nil)
		if tt.given[mapEC2] == "HOST" {
			tt.given[mapEC2] = b.host(0).instance.id
		}
		_, err := b.m.RegisterInstance(b.ctx, &servicediscovery.RegisterInstanceInput{ServiceId: &b.id, InstanceId: aws.String("a"), Attributes: tt.given})
		b.want(tt.name, codeOf(err), tt.want)
		b.pass(5 * time.Minute)
		if registered := b.listed() != ""; registered != (tt.want == "") {
			t.Errorf("%s: registered %t", tt.name, registered)
		}
		if tt.want == "" && tt.given[mapEC2] != "" {
			b.want(tt.name+": its address", b.c.World().Registrations()[0].IPv4, b.host(0).instance.address)
		}
	}
	b := newMapBench(t, true, nil)
	many := map[string]string{mapIPv4: "10.0.0.1", mapPort: "1"}
	for n := range 31 {
		many[fmt.Sprint("a", n)] = "v"
	}
	_, err := b.m.RegisterInstance(b.ctx, &servicediscovery.RegisterInstanceInput{ServiceId: &b.id, InstanceId: aws.String("a"), Attributes: many})
	b.want("31 attributes of its own", codeOf(err), "InvalidInput")
	_, err = b.m.RegisterInstance(b.ctx, &servicediscovery.RegisterInstanceInput{ServiceId: aws.String("srv-0"), InstanceId: aws.String("a"), Attributes: many})
	b.want("of no service", codeOf(err), "ServiceNotFound")
	_, err = b.m.RegisterInstance(b.ctx, &servicediscovery.RegisterInstanceInput{ServiceId: &b.id, Attributes: many})
	b.want("without an id", codeOf(err), "InvalidInput")
}

func TestAServiceHoldsAThousandInstances(t *testing.T) {
	b := newMapBench(t, true, nil)
	first := b.id
	for n := range 1000 {
		_, err := b.register(fmt.Sprint("i", n), 1)
		b.must(err)
	}
	_, err := b.register("more", 1)
	b.want("under way they count already", codeOf(err), "ResourceLimitExceeded")
	b.pass(10 * time.Minute)
	_, err = b.register("more", 1)
	b.want("registered they do", codeOf(err), "ResourceLimitExceeded")
	_, err = b.register("i1", 2)
	b.must(err) // one that is there is no more
	_, err = b.deregister("i0")
	b.must(err)
	_, err = b.register("more", 1)
	b.want("one that is going counts still", codeOf(err), "ResourceLimitExceeded")
	b.pass(10 * time.Minute)
	_, err = b.register("more", 1)
	b.must(err)

	other, err := b.m.CreateService(b.ctx, &servicediscovery.CreateServiceInput{Name: aws.String("other"), NamespaceId: &b.m.services[0].namespace.id})
	b.must(err)
	third, err := b.m.CreateService(b.ctx, &servicediscovery.CreateServiceInput{Name: aws.String("third"), NamespaceId: &b.m.services[0].namespace.id})
	b.must(err)
	b.id = *other.Service.Id
	for n := range 1000 {
		_, err := b.register(fmt.Sprint("i", n), 1)
		b.must(err)
	}
	b.id = *third.Service.Id
	_, err = b.register("a", 1)
	b.want("a namespace holds two thousand", codeOf(err), "ResourceLimitExceeded")
	b.id = first
}

func TestCustomHealthFollowsAfterHalfAMinute(t *testing.T) {
	b := newMapBench(t, true, func(in *servicediscovery.CreateServiceInput) {
		in.HealthCheckCustomConfig = &types.HealthCheckCustomConfig{}
	})
	_, err := b.register("a", 1)
	b.must(err)
	say := func(status types.CustomHealthStatus) error {
		_, err := b.m.UpdateInstanceCustomHealthStatus(b.ctx, &servicediscovery.UpdateInstanceCustomHealthStatusInput{ServiceId: &b.id, InstanceId: aws.String("a"), Status: status})
		return err
	}
	b.want("before it is registered", codeOf(say("UNHEALTHY")), "InstanceNotFound")
	b.pass(5 * time.Minute)
	health := func() types.HealthStatus {
		out, err := b.m.GetInstancesHealthStatus(b.ctx, &servicediscovery.GetInstancesHealthStatusInput{ServiceId: &b.id, Instances: []string{"a"}})
		b.must(err)
		return out.Status["a"]
	}
	b.want("at first", health(), "HEALTHY")
	b.must(say("UNHEALTHY"))
	b.pass(20 * time.Second)
	b.must(say("UNHEALTHY")) // again: it neither hastens nor delays
	b.pass(9 * time.Second)
	b.want("after 29 s", health(), "HEALTHY")
	b.pass(2 * time.Second)
	b.want("after 31 s", health(), "UNHEALTHY")
	b.must(say("HEALTHY"))
	b.pass(10 * time.Second)
	b.must(say("UNHEALTHY"))
	b.pass(10 * time.Second)
	b.must(say("HEALTHY"))
	b.pass(15 * time.Second)
	b.want("taken back and said anew: the time begins anew", health(), "UNHEALTHY")
	b.pass(16 * time.Second)
	b.want("then it follows", health(), "HEALTHY")
	b.want("another status", codeOf(say("ILL")), "InvalidInput")
	b.must(say("UNHEALTHY"))
	b.pass(time.Minute)
	_, err = b.register("a", 2)
	b.must(err)
	b.pass(5 * time.Minute)
	b.want("registered anew it keeps its health", fmt.Sprint(health(), b.c.World().Registrations()[0].Healthy), "UNHEALTHYfalse")

	b = newMapBench(t, true, nil)
	_, err = b.register("a", 1)
	b.must(err)
	b.pass(5 * time.Minute)
	b.want("without a custom check", codeOf(say("UNHEALTHY")), "CustomHealthNotFound")
	b.want("nobody knows", health(), "UNKNOWN")
}

func TestAnOperationMayFail(t *testing.T) {
	b := newMapBench(t, false, nil)
	b.c.World().Behaviour().MapFails = 1
	op, err := b.register("a", 1)
	b.must(err)
	b.pass(time.Minute)
	out := b.operation(op)
	b.want("it failed, and says why", fmt.Sprint(out.Status, *out.ErrorCode, out.ErrorMessage != nil, b.listed()), fmt.Sprint("FAIL", "INTERNAL_FAILURE", true, ""))
	b.c.World().Behaviour().MapFails = 0
	_, err = b.register("a", 1)
	b.must(err)
	b.pass(time.Minute)
	b.want("tried again", b.listed(), "a:1")
	_, err = b.m.GetOperation(b.ctx, &servicediscovery.GetOperationInput{OperationId: aws.String("x")})
	b.want("no operation", codeOf(err), "OperationNotFound")
}

func TestServicesOfNamespaces(t *testing.T) {
	b := newMapBench(t, true, nil)
	http := b.namespace("http", false)
	dns := b.m.services[0].namespace.id
	type in = servicediscovery.CreateServiceInput
	record := &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeA, TTL: aws.Int64(1)}}}
	for _, tt := range []struct {
		name, want string
		in         in
	}{
		{"one in DNS", "", in{Name: aws.String("one"), NamespaceId: &dns, DnsConfig: record}},
		{"of the same name", "ServiceAlreadyExists", in{Name: aws.String("one"), NamespaceId: &dns, DnsConfig: record}},
		{"of the same name in other letters", "ServiceAlreadyExists", in{Name: aws.String("One"), NamespaceId: &dns, DnsConfig: record}},
		{"of the same name elsewhere", "", in{Name: aws.String("one"), NamespaceId: &http}},
		{"in other letters, where there is no DNS", "", in{Name: aws.String("One"), NamespaceId: &http}},
		{"records without DNS", "InvalidInput", in{Name: aws.String("two"), NamespaceId: &http, DnsConfig: record}},
		{"no record", "InvalidInput", in{Name: aws.String("two"), NamespaceId: &dns, DnsConfig: &types.DnsConfig{}}},
		{"no time to live", "InvalidInput", in{Name: aws.String("two"), NamespaceId: &dns, DnsConfig: &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeA}}}}},
		{"CNAME", "NotSimulated", in{Name: aws.String("two"), NamespaceId: &dns, DnsConfig: &types.DnsConfig{DnsRecords: []types.DnsRecord{{Type: types.RecordTypeCname, TTL: aws.Int64(1)}}}}},
		{"a Route 53 health check", "NotSimulated", in{Name: aws.String("two"), NamespaceId: &dns, HealthCheckConfig: &types.HealthCheckConfig{Type: types.HealthCheckTypeTcp}}},
		{"no name", "InvalidInput", in{NamespaceId: &dns}},
		{"no namespace", "NamespaceNotFound", in{Name: aws.String("two"), NamespaceId: aws.String("ns-0")}},
	} {
		_, err := b.m.CreateService(b.ctx, &tt.in)
		b.want(tt.name, codeOf(err), tt.want)
	}
	names := func(filters ...types.ServiceFilter) string {
		n := 0
		for token := (*string)(nil); ; {
			out, err := b.m.ListServices(b.ctx, &servicediscovery.ListServicesInput{Filters: filters, MaxResults: aws.Int32(1), NextToken: token})
			b.must(err)
			n += len(out.Services)
			if token = out.NextToken; token == nil {
				return fmt.Sprint(n)
			}
		}
	}
	of := func(ns string) types.ServiceFilter {
		return types.ServiceFilter{Name: types.ServiceFilterNameNamespaceId, Values: []string{ns}, Condition: types.FilterConditionEq}
	}
	b.want("services of all, of each, of none", names()+names(of(dns))+names(of(http))+names(of(dns), of(http)), "4220")
	_, err := b.m.CreateHttpNamespace(b.ctx, &servicediscovery.CreateHttpNamespaceInput{Name: aws.String("ns")})
	b.want("a namespace that there is", codeOf(err), "NamespaceAlreadyExists")
}

func TestAStaleReadShowsInstancesOfAMomentAgo(t *testing.T) {
	b := newMapBench(t, false, nil)
	_, err := b.register("a", 1)
	b.must(err)
	b.pass(5 * time.Minute)
	before := b.c.now
	_, err = b.deregister("a")
	b.must(err)
	b.pass(30 * time.Second)
	s := b.m.services[0]
	b.want("then, and now", fmt.Sprint(len(s.at(before)), len(s.at(b.c.now))), "1 0")
	b.pass(2 * time.Minute)
	for n := range 5 {
		_, err := b.register(fmt.Sprint("b", n), 1)
		b.must(err)
	}
	b.pass(time.Minute)
	b.want("what nobody can see is forgotten", len(s.instances), 5)
}

// TestInstancesFollowTheirOperations draws calls and checks after each that what
// is registered is what the operations that succeeded say.
func TestInstancesFollowTheirOperations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newMapBench(t, rapid.Bool().Draw(rt, "dns"), nil)
		b.c.World().Behaviour().MapFails = float64(rapid.IntRange(0, 2).Draw(rt, "fails")) / 4
		type begun struct {
			op       *string
			instance string
			port     int // 0: deregistered
		}
		var open []begun
		want := map[string]int{}
		settle := func() {
			var still []begun
			for _, o := range open {
				switch b.operation(o.op).Status {
				case types.OperationStatusSuccess:
					if want[o.instance] = o.port; o.port == 0 {
						delete(want, o.instance)
					}
				case types.OperationStatusFail:
				default:
					still = append(still, o)
				}
			}
			open = still
		}
		port := 0
		rt.Repeat(map[string]func(*rapid.T){
			"register": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "instance")
				port++
				if op, err := b.register(name, port); err == nil {
					open = append(open, begun{op, name, port})
				}
			},
			"deregister": func(rt *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "instance")
				if op, err := b.deregister(name); err == nil {
					open = append(open, begun{op, name, 0})
				}
			},
			"": func(rt *rapid.T) {
				b.pass(time.Duration(rapid.IntRange(0, 10).Draw(rt, "seconds")) * time.Second)
				settle()
				busy := map[string]bool{}
				for _, o := range open {
					if busy[o.instance] {
						rt.Fatalf("two operations of %s at a time", o.instance)
					}
					busy[o.instance] = true
				}
				got := map[string]int{}
				for _, v := range b.c.World().Registrations() {
					got[v.Instance] = v.Port
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					rt.Fatalf("registered %v, operations say %v", got, want)
				}
			},
		})
	})
}
