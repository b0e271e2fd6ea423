package simcloud

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
)

// The attributes of an instance that mean something to Cloud Map.
const (
	mapIPv4   = "AWS_INSTANCE_IPV4"
	mapIPv6   = "AWS_INSTANCE_IPV6"
	mapPort   = "AWS_INSTANCE_PORT"
	mapEC2    = "AWS_EC2_INSTANCE_ID"
	mapHealth = "AWS_INIT_HEALTH_STATUS"
)

// healthLag is what Cloud Map waits before it follows a custom health status.
const healthLag = 30 * time.Second

// mapInstance is an instance as registered once; registered anew it is another.
type mapInstance struct {
	id         string
	attributes map[string]string
	from       time.Time
	until      time.Time // zero: registered still
	operation  string    // that registered it
	request    string    // its CreatorRequestId
	health     types.HealthStatus
	next       types.HealthStatus // "": no change is under way
	nextAt     time.Time
}

// instance finds an instance that is registered now.
func (s *mapService) instance(id string) *mapInstance {
	for _, i := range s.instances {
		if i.id == id && i.until.IsZero() {
			return i
		}
	}
	return nil
}

// taken is the number of instances against the quota: those being registered
// count, those being deregistered count still.
func (s *mapService) taken() int {
	n := s.count()
	for id, op := range s.busy {
		if op.kind == types.OperationTypeRegisterInstance && s.instance(id) == nil {
			n++
		}
	}
	return n
}

// RegisterInstance registers an instance, or registers it anew with other
// attributes, once its operation is over. One operation at a time goes on for an
// instance of a service: the same kind again is DuplicateRequest, another kind
// ResourceInUse. Which of the two is not documented; plain callers have to wait
// either way.
func (m *CloudMap) RegisterInstance(ctx context.Context, in *servicediscovery.RegisterInstanceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.RegisterInstanceOutput, error) {
	return call(ctx, m.c, mapModify("RegisterInstance"), in, func() (*servicediscovery.RegisterInstanceOutput, error) {
		s, err := m.service(in.ServiceId)
		if err != nil {
			return nil, err
		}
		fresh := &mapInstance{id: aws.ToString(in.InstanceId), attributes: maps.Clone(in.Attributes), request: aws.ToString(in.CreatorRequestId), health: types.HealthStatusHealthy}
		if fresh.id == "" || len(fresh.id) > 64 {
			return nil, invalidMap("An instance id has 1 to 64 characters, not %d.", len(fresh.id))
		}
		if err := m.checkAttributes(s, fresh.attributes); err != nil {
			return nil, err
		}
		if err := s.idle(fresh.id, types.OperationTypeRegisterInstance); err != nil {
			return nil, err
		}
		operation, err := m.register(s, fresh)
		return &servicediscovery.RegisterInstanceOutput{OperationId: operation}, err
	})
}

// register begins to register an instance, unless that was its last call's doing,
// and gives the operation's id.
func (m *CloudMap) register(s *mapService, fresh *mapInstance) (*string, error) {
	switch old := s.instance(fresh.id); {
	case old == nil:
		if err := m.room(s); err != nil {
			return nil, err
		}
	case fresh.request != "" && old.request == fresh.request:
		return aws.String(old.operation), nil
	}
	op := m.begin(types.OperationTypeRegisterInstance, s.namespace, map[string]string{"INSTANCE": fresh.id, "SERVICE": s.id})
	fresh.operation = op.id
	if fresh.attributes[mapHealth] == string(types.HealthStatusUnhealthy) {
		fresh.health = types.HealthStatusUnhealthy
	}
	m.finish(s, fresh.id, op, func() { m.put(s, fresh) })
	return aws.String(op.id), nil
}

// idle says that no operation goes on for an instance.
func (s *mapService) idle(id string, kind types.OperationType) error {
	op := s.busy[id]
	if op == nil {
		return nil
	}
	message := aws.String("Another operation of type " + string(op.kind) + " and id " + op.id + " is in progress")
	if op.kind == kind {
		return &types.DuplicateRequest{Message: message, DuplicateOperationId: aws.String(op.id)}
	}
	return &types.ResourceInUse{Message: message}
}

// room says whether the quotas allow one instance more.
func (m *CloudMap) room(s *mapService) error {
	inNamespace := 0
	for _, other := range m.services {
		if other.namespace == s.namespace {
			inNamespace += other.taken()
		}
	}
	if s.taken() >= mapServiceQuota {
		return &types.ResourceLimitExceeded{Message: aws.String("The service " + s.id + " has " + strconv.Itoa(mapServiceQuota) + " instances.")}
	}
	if inNamespace >= mapNamespaceQuota {
		return &types.ResourceLimitExceeded{Message: aws.String("The namespace " + s.namespace.id + " has " + strconv.Itoa(mapNamespaceQuota) + " instances.")}
	}
	return nil
}

// finish ends an operation on an instance when its time is over: it fails, or do
// happens.
func (m *CloudMap) finish(s *mapService, id string, op *mapOperation, do func()) {
	s.busy[id] = op
	if m.fails() {
		m.c.after(op.takes, func() {
			delete(s.busy, id)
			op.code, op.message = "INTERNAL_FAILURE", "Something went wrong inside Cloud Map."
			op.become(types.OperationStatusFail, m.c.now)
		})
		return
	}
	m.end(op, func() {
		delete(s.busy, id)
		do()
	})
}

// put makes an instance a registered one in place of its predecessor, whose
// custom health it keeps.
func (m *CloudMap) put(s *mapService, fresh *mapInstance) {
	if old := s.instance(fresh.id); old != nil {
		old.until = m.c.now
		if _, given := fresh.attributes[mapHealth]; !given {
			fresh.health, fresh.next = old.health, ""
		}
	}
	fresh.from = m.c.now
	s.instances = append(s.forgotten(m.c.now), fresh)
}

// forgotten are the instances without those that no stale read can show any more.
func (s *mapService) forgotten(now time.Time) []*mapInstance {
	return slices.DeleteFunc(s.instances, func(i *mapInstance) bool { return !i.until.IsZero() && now.Sub(i.until) > staleFor })
}

// checkAttributes checks an instance's attributes against its service, and fills
// in the address of an EC2 instance.
func (m *CloudMap) checkAttributes(s *mapService, all map[string]string) error {
	custom, size := 0, 0
	for key, value := range all {
		size += len(key) + len(value)
		switch {
		case slices.Contains([]string{mapIPv4, mapIPv6, mapPort, mapEC2, mapHealth}, key):
		case strings.HasPrefix(key, "AWS_"):
			return notSimulated("the attribute %s of a Cloud Map instance", key)
		case key == "" || len(key) > 255 || len(value) > 1024:
			return invalidMap("The attribute %q has a name or a value that is too long or empty.", key)
		default:
			custom++
		}
	}
	if len(all) == 0 || custom > 30 || size > 5000 {
		return invalidMap("An instance has 1 to 30 attributes with up to 5000 characters, not %d with %d.", len(all), size)
	}
	if err := m.checkEC2(s, all); err != nil {
		return err
	}
	return s.checkEndpoint(all)
}

// checkEC2 replaces the id of an EC2 instance by its address.
func (m *CloudMap) checkEC2(s *mapService, all map[string]string) error {
	id, given := all[mapEC2]
	if !given {
		return nil
	}
	i := m.c.fleet.instance(id)
	switch {
	case s.namespace.dns():
		return invalidMap("%s can be given in HTTP namespaces only.", mapEC2)
	case i == nil || i.dead():
		return invalidMap("The EC2 instance %s was not found.", id)
	}
	for key := range all {
		if key != mapEC2 && key != mapHealth {
			return invalidMap("With %s no attribute can be given but %s, not %s.", mapEC2, mapHealth, key)
		}
	}
	all[mapIPv4] = i.address
	return nil
}

// checkEndpoint checks that there is what the service's records need, and the
// health.
func (s *mapService) checkEndpoint(all map[string]string) error {
	if err := checkAddress(all); err != nil {
		return err
	}
	v4, v6 := all[mapIPv4], all[mapIPv6]
	switch {
	case s.has(types.RecordTypeA) && v4 == "":
		return invalidMap("%s is needed for an A record.", mapIPv4)
	case s.has(types.RecordTypeAaaa) && v6 == "":
		return invalidMap("%s is needed for an AAAA record.", mapIPv6)
	case s.has(types.RecordTypeSrv) && (all[mapPort] == "" || v4 == "" && v6 == ""):
		return invalidMap("%s and an address are needed for an SRV record.", mapPort)
	}
	return s.checkHealth(all)
}

// checkHealth checks the health that an instance is registered with.
func (s *mapService) checkHealth(all map[string]string) error {
	status, given := all[mapHealth]
	switch {
	case given && !s.custom:
		return invalidMap("%s can be given with custom health checks only.", mapHealth)
	case given && !knownHealth(status):
		return invalidMap("%s is %q, not HEALTHY or UNHEALTHY.", mapHealth, status)
	}
	return nil
}

// checkAddress checks the form of address and port.
func checkAddress(all map[string]string) error {
	v4, v6 := all[mapIPv4], all[mapIPv6]
	if ip, err := netip.ParseAddr(v4); v4 != "" && (err != nil || !ip.Is4()) {
		return invalidMap("%s is %q, not an IPv4 address.", mapIPv4, v4)
	}
	if ip, err := netip.ParseAddr(v6); v6 != "" && (err != nil || !ip.Is6()) {
		return invalidMap("%s is %q, not an IPv6 address.", mapIPv6, v6)
	}
	if port, err := strconv.Atoi(all[mapPort]); all[mapPort] != "" && (err != nil || port < 0 || port > 65535) {
		return invalidMap("%s is %q, not a port.", mapPort, all[mapPort])
	}
	return nil
}

func knownHealth(status string) bool {
	return slices.Contains(types.CustomHealthStatus("").Values(), types.CustomHealthStatus(status))
}

// DeregisterInstance takes an instance away once its operation is over.
func (m *CloudMap) DeregisterInstance(ctx context.Context, in *servicediscovery.DeregisterInstanceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.DeregisterInstanceOutput, error) {
	return call(ctx, m.c, mapModify("DeregisterInstance"), in, func() (*servicediscovery.DeregisterInstanceOutput, error) {
		s, err := m.service(in.ServiceId)
		if err != nil {
			return nil, err
		}
		id := aws.ToString(in.InstanceId)
		if err := s.idle(id, types.OperationTypeDeregisterInstance); err != nil {
			return nil, err
		}
		if s.instance(id) == nil {
			return nil, unknownInstance(id)
		}
		op := m.begin(types.OperationTypeDeregisterInstance, s.namespace, map[string]string{"INSTANCE": id, "SERVICE": s.id})
		m.finish(s, id, op, func() {
			s.instance(id).until = m.c.now
			s.instances = s.forgotten(m.c.now)
		})
		return &servicediscovery.DeregisterInstanceOutput{OperationId: aws.String(op.id)}, nil
	})
}

func unknownInstance(id string) error {
	return &types.InstanceNotFound{Message: aws.String("The instance " + id + " was not found.")}
}

// at are the instances that were registered at an instant, by id.
func (s *mapService) at(now time.Time) map[string]*mapInstance {
	all := map[string]*mapInstance{}
	for _, i := range s.instances {
		if !i.from.After(now) && (i.until.IsZero() || i.until.After(now)) {
			all[i.id] = i
		}
	}
	return all
}

// ListInstances lists the instances of a service, healthy or not, 100 a page
// unless asked otherwise. A stale read shows those of a moment ago.
func (m *CloudMap) ListInstances(ctx context.Context, in *servicediscovery.ListInstancesInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.ListInstancesOutput, error) {
	return call(ctx, m.c, mapRead("ListInstances"), in, func() (*servicediscovery.ListInstancesOutput, error) {
		s, err := m.service(in.ServiceId)
		if err != nil {
			return nil, err
		}
		all := s.at(m.c.faults.seenAt())
		page, next, err := mapPage(slices.Sorted(maps.Keys(all)), in.MaxResults, in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &servicediscovery.ListInstancesOutput{NextToken: next}
		for _, id := range page {
			out.Instances = append(out.Instances, types.InstanceSummary{Id: aws.String(id), Attributes: maps.Clone(all[id].attributes)})
		}
		return out, nil
	})
}

// UpdateInstanceCustomHealthStatus says how an instance is. Cloud Map follows
// 30 s after the first call of those that say the same.
func (m *CloudMap) UpdateInstanceCustomHealthStatus(ctx context.Context, in *servicediscovery.UpdateInstanceCustomHealthStatusInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.UpdateInstanceCustomHealthStatusOutput, error) {
	return call(ctx, m.c, mapModify("UpdateInstanceCustomHealthStatus"), in, func() (*servicediscovery.UpdateInstanceCustomHealthStatusOutput, error) {
		s, err := m.service(in.ServiceId)
		if err != nil {
			return nil, err
		}
		if !s.custom {
			return nil, &types.CustomHealthNotFound{Message: aws.String("The service " + s.id + " has no custom health check.")}
		}
		if !knownHealth(string(in.Status)) {
			return nil, invalidMap("The status is %q, not HEALTHY or UNHEALTHY.", in.Status)
		}
		i := s.instance(aws.ToString(in.InstanceId))
		if i == nil {
			return nil, unknownInstance(aws.ToString(in.InstanceId))
		}
		m.say(i, types.HealthStatus(in.Status))
		return &servicediscovery.UpdateInstanceCustomHealthStatusOutput{}, nil
	})
}

// say notes what somebody said of an instance's health.
func (m *CloudMap) say(i *mapInstance, status types.HealthStatus) {
	switch {
	case i.next == status:
		return // it is waited for already
	case i.health == status:
		i.next = "" // takes back what was said before
		return
	}
	i.next, i.nextAt = status, m.c.now.Add(healthLag)
	m.c.at(i.nextAt, func() {
		if i.next == status && i.nextAt.Equal(m.c.now) {
			i.health, i.next = status, ""
			m.c.fleet.changed()
		}
	})
}

// GetInstancesHealthStatus tells the health of up to 100 instances a page, of all
// or of those named.
func (m *CloudMap) GetInstancesHealthStatus(ctx context.Context, in *servicediscovery.GetInstancesHealthStatusInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.GetInstancesHealthStatusOutput, error) {
	return call(ctx, m.c, mapRead("GetInstancesHealthStatus"), in, func() (*servicediscovery.GetInstancesHealthStatusOutput, error) {
		s, err := m.service(in.ServiceId)
		if err != nil {
			return nil, err
		}
		all := s.at(m.c.now)
		for _, id := range in.Instances {
			if all[id] == nil {
				return nil, unknownInstance(id)
			}
		}
		ids := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(id string) bool { return len(in.Instances) > 0 && !slices.Contains(in.Instances, id) })
		page, next, err := mapPage(ids, in.MaxResults, in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &servicediscovery.GetInstancesHealthStatusOutput{NextToken: next, Status: map[string]types.HealthStatus{}}
		for _, id := range page {
			out.Status[id] = all[id].healthNow(s)
		}
		return out, nil
	})
}

// healthNow is UNKNOWN where nobody can say it.
func (i *mapInstance) healthNow(s *mapService) types.HealthStatus {
	if !s.custom {
		return types.HealthStatusUnknown
	}
	return i.health
}

// RegistryView is an instance that Cloud Map answers with, as it truly is.
type RegistryView struct {
	Namespace, Service string // names
	ServiceID          string
	Instance           string
	IPv4               string
	Port               int  // 0: none
	Healthy            bool // true without a custom health check
	Attributes         map[string]string
}

// Registrations are the instances of all Cloud Map services, by service and id.
func (w *World) Registrations() []RegistryView {
	var all []RegistryView
	for _, s := range w.f.CloudMap().services {
		now := s.at(w.f.now)
		for _, id := range slices.Sorted(maps.Keys(now)) {
			i := now[id]
			port, _ := strconv.Atoi(i.attributes[mapPort]) // checked when it was registered
			all = append(all, RegistryView{
				Namespace: s.namespace.name, Service: s.name, ServiceID: s.id, Instance: id, IPv4: i.attributes[mapIPv4], Port: port,
				Healthy: i.health == types.HealthStatusHealthy, Attributes: maps.Clone(i.attributes),
			})
		}
	}
	return all
}
