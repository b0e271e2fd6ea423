package simcloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
)

// CloudMap has the methods of the SDK's client of AWS Cloud Map that are
// simulated: HTTP and private DNS namespaces, services with A, AAAA and SRV
// records and custom health checks, and their instances. Queries, Route 53 health
// checks, tags and shared namespaces are not.
type CloudMap struct {
	c          *Cloud
	namespaces []*mapNamespace
	services   []*mapService
	operations map[string]*mapOperation
}

// CloudMap is the account's AWS Cloud Map.
func (c *Cloud) CloudMap() *CloudMap {
	if c.parts.cloudmap == nil {
		c.parts.cloudmap = &CloudMap{c: c, operations: map[string]*mapOperation{}}
	}
	return c.parts.cloudmap
}

// The quotas of Cloud Map: of instances.
const (
	mapServiceQuota   = 1000 // of a service; cannot be raised
	mapNamespaceQuota = 2000 // of a namespace
)

type mapNamespace struct {
	id, name string
	kind     types.NamespaceType
}

// dns says that the namespace is a hosted zone too.
func (n *mapNamespace) dns() bool { return n.kind != types.NamespaceTypeHttp }

// mapService is a service of a namespace.
type mapService struct {
	namespace     *mapNamespace
	id, arn, name string
	request       *string // CreatorRequestId
	created       time.Time
	records       []types.DnsRecord
	routing       types.RoutingPolicy
	custom        bool // health is what somebody says
	instances     []*mapInstance
	busy          map[string]*mapOperation // under way, by instance
}

func mapRead(action string) operation {
	return operation{service: "servicediscovery", action: action, bucket: "cloudmap read", latency: 40 * time.Millisecond}
}

func mapModify(action string) operation {
	return operation{service: "servicediscovery", action: action, bucket: "cloudmap modify", latency: 70 * time.Millisecond, changes: true}
}

func invalidMap(format string, args ...any) error {
	return &types.InvalidInput{Message: aws.String(fmt.Sprintf(format, args...))}
}

// CreateHttpNamespace makes a namespace that is asked by API only. It is there
// once its operation is over.
func (m *CloudMap) CreateHttpNamespace(ctx context.Context, in *servicediscovery.CreateHttpNamespaceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.CreateHttpNamespaceOutput, error) { //nolint:revive // the name that the SDK gives it
	return call(ctx, m.c, mapModify("CreateHttpNamespace"), in, func() (*servicediscovery.CreateHttpNamespaceOutput, error) {
		if err := onlyMembers(in, "Name", "CreatorRequestId", "Description"); err != nil {
			return nil, err
		}
		id, err := m.createNamespace(aws.ToString(in.Name), types.NamespaceTypeHttp)
		return &servicediscovery.CreateHttpNamespaceOutput{OperationId: id}, err
	})
}

// CreatePrivateDnsNamespace makes a namespace with a private hosted zone. It is
// there once its operation is over.
func (m *CloudMap) CreatePrivateDnsNamespace(ctx context.Context, in *servicediscovery.CreatePrivateDnsNamespaceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.CreatePrivateDnsNamespaceOutput, error) { //nolint:revive // the name that the SDK gives it
	return call(ctx, m.c, mapModify("CreatePrivateDnsNamespace"), in, func() (*servicediscovery.CreatePrivateDnsNamespaceOutput, error) {
		if err := onlyMembers(in, "Name", "Vpc", "CreatorRequestId", "Description"); err != nil {
			return nil, err
		}
		if aws.ToString(in.Vpc) == "" {
			return nil, invalidMap("A private DNS namespace needs a VPC.")
		}
		id, err := m.createNamespace(aws.ToString(in.Name), types.NamespaceTypeDnsPrivate)
		return &servicediscovery.CreatePrivateDnsNamespaceOutput{OperationId: id}, err
	})
}

// createNamespace begins to make a namespace and gives the operation's id.
func (m *CloudMap) createNamespace(name string, kind types.NamespaceType) (*string, error) {
	if name == "" {
		return nil, invalidMap("A namespace needs a name.")
	}
	if slices.ContainsFunc(m.namespaces, func(n *mapNamespace) bool { return n.name == name }) {
		return nil, &types.NamespaceAlreadyExists{Message: aws.String("The namespace " + name + " exists already.")}
	}
	n := &mapNamespace{id: "ns-" + m.c.id(16), name: name, kind: kind}
	op := m.begin(types.OperationTypeCreateNamespace, n, map[string]string{"NAMESPACE": n.id})
	m.end(op, func() { m.namespaces = append(m.namespaces, n) })
	return aws.String(op.id), nil
}

// namespace finds a namespace by id or ARN.
func (m *CloudMap) namespace(ref *string) (*mapNamespace, error) {
	for _, n := range m.namespaces {
		if n.id == tail(aws.ToString(ref)) {
			return n, nil
		}
	}
	return nil, &types.NamespaceNotFound{Message: aws.String("The namespace " + aws.ToString(ref) + " was not found.")}
}

// service finds a service by id or ARN.
func (m *CloudMap) service(ref *string) (*mapService, error) {
	for _, s := range m.services {
		if s.id == tail(aws.ToString(ref)) {
			return s, nil
		}
	}
	return nil, &types.ServiceNotFound{Message: aws.String("The service " + aws.ToString(ref) + " was not found.")}
}

// CreateService makes a service at once.
func (m *CloudMap) CreateService(ctx context.Context, in *servicediscovery.CreateServiceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.CreateServiceOutput, error) {
	return call(ctx, m.c, mapModify("CreateService"), in, func() (*servicediscovery.CreateServiceOutput, error) {
		if err := onlyMembers(in, "Name", "NamespaceId", "DnsConfig", "HealthCheckCustomConfig", "CreatorRequestId", "Description", "Type"); err != nil {
			return nil, err
		}
		ref := in.NamespaceId
		if ref == nil && in.DnsConfig != nil {
			ref = in.DnsConfig.NamespaceId //nolint:staticcheck // Cloud Map still takes it
		}
		n, err := m.namespace(ref)
		if err != nil {
			return nil, err
		}
		id := "srv-" + m.c.id(16)
		s := &mapService{
			namespace: n, id: id, arn: m.c.arn("servicediscovery", "service/"+id), name: aws.ToString(in.Name), request: copied(in.CreatorRequestId),
			created: m.c.now, custom: in.HealthCheckCustomConfig != nil, busy: map[string]*mapOperation{},
		}
		if err := s.configure(in); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(m.services, s.clashes) {
			return nil, &types.ServiceAlreadyExists{Message: aws.String("The service " + s.name + " exists already.")}
		}
		m.services = append(m.services, s)
		return &servicediscovery.CreateServiceOutput{Service: s.describe()}, nil
	})
}

// clashes says that another service has the name. In DNS, letters have no case.
func (s *mapService) clashes(other *mapService) bool {
	return other.namespace == s.namespace && (other.name == s.name || s.namespace.dns() && strings.EqualFold(other.name, s.name))
}

// configure takes the records of a new service.
func (s *mapService) configure(in *servicediscovery.CreateServiceInput) error {
	if s.name == "" {
		return invalidMap("A service needs a name.")
	}
	if in.DnsConfig == nil || in.Type == types.ServiceTypeOptionHttp {
		if in.DnsConfig != nil {
			return invalidMap("A service of type HTTP has no DNS records.")
		}
		return nil
	}
	if !s.namespace.dns() {
		return invalidMap("The namespace %s is not a DNS namespace: its services have no DNS records.", s.namespace.id)
	}
	s.routing = in.DnsConfig.RoutingPolicy
	if s.routing == "" {
		s.routing = types.RoutingPolicyMultivalue
	}
	for _, r := range in.DnsConfig.DnsRecords {
		if err := checkRecord(r); err != nil {
			return err
		}
		s.records = append(s.records, types.DnsRecord{Type: r.Type, TTL: copied(r.TTL)})
	}
	if len(s.records) == 0 {
		return invalidMap("A DNS configuration needs records.")
	}
	return nil
}

func checkRecord(r types.DnsRecord) error {
	switch r.Type {
	case types.RecordTypeA, types.RecordTypeAaaa, types.RecordTypeSrv:
	case types.RecordTypeCname:
		return notSimulated("CNAME records")
	default:
		return invalidMap("A record has the type %q, not A, AAAA or SRV.", r.Type)
	}
	if r.TTL == nil || *r.TTL < 0 {
		return invalidMap("A DNS record needs a TTL.")
	}
	return nil
}

// has says that the service has a record of that type.
func (s *mapService) has(kind types.RecordType) bool {
	return slices.ContainsFunc(s.records, func(r types.DnsRecord) bool { return r.Type == kind })
}

// config is the DNS configuration as Cloud Map tells it; nil without records.
func (s *mapService) config() *types.DnsConfig {
	if len(s.records) == 0 {
		return nil
	}
	out := &types.DnsConfig{RoutingPolicy: s.routing}
	out.NamespaceId = aws.String(s.namespace.id) //nolint:staticcheck // a ServiceSummary has no other one
	for _, r := range s.records {
		out.DnsRecords = append(out.DnsRecords, types.DnsRecord{Type: r.Type, TTL: copied(r.TTL)})
	}
	return out
}

func (s *mapService) kind() types.ServiceType {
	if len(s.records) == 0 {
		return types.ServiceTypeHttp
	}
	return types.ServiceTypeDnsHttp
}

func (s *mapService) health() *types.HealthCheckCustomConfig {
	if !s.custom {
		return nil
	}
	return &types.HealthCheckCustomConfig{}
}

// count is the number of instances that are registered now.
func (s *mapService) count() int {
	n := 0
	for _, i := range s.instances {
		if i.until.IsZero() {
			n++
		}
	}
	return n
}

func (s *mapService) describe() *types.Service {
	return &types.Service{
		Id: aws.String(s.id), Arn: aws.String(s.arn), Name: aws.String(s.name), NamespaceId: aws.String(s.namespace.id), CreateDate: timePtr(s.created), CreatorRequestId: copied(s.request),
		DnsConfig: s.config(), HealthCheckCustomConfig: s.health(), InstanceCount: aws.Int32(int32(s.count())), Type: s.kind(),
	}
}

// GetService describes a service, given by id or ARN.
func (m *CloudMap) GetService(ctx context.Context, in *servicediscovery.GetServiceInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.GetServiceOutput, error) {
	return call(ctx, m.c, mapRead("GetService"), in, func() (*servicediscovery.GetServiceOutput, error) {
		s, err := m.service(in.Id)
		if err != nil {
			return nil, err
		}
		return &servicediscovery.GetServiceOutput{Service: s.describe()}, nil
	})
}

// ListServices lists services, those of one namespace if filtered so, 100 a page
// unless asked otherwise. As in Cloud Map, the filter leaves items out of a page:
// an empty one may have a successor.
func (m *CloudMap) ListServices(ctx context.Context, in *servicediscovery.ListServicesInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.ListServicesOutput, error) {
	return call(ctx, m.c, mapRead("ListServices"), in, func() (*servicediscovery.ListServicesOutput, error) {
		var only []string
		for _, filter := range in.Filters {
			if filter.Name != types.ServiceFilterNameNamespaceId || filter.Condition != "" && filter.Condition != types.FilterConditionEq || len(filter.Values) != 1 {
				return nil, notSimulated("filters of services other than one EQ namespace id")
			}
			only = append(only, tail(filter.Values[0]))
		}
		byID := map[string]*mapService{}
		var ids []string
		for _, s := range m.services {
			byID[s.id], ids = s, append(ids, s.id)
		}
		slices.Sort(ids)
		page, next, err := mapPage(ids, in.MaxResults, in.NextToken)
		if err != nil {
			return nil, err
		}
		out := &servicediscovery.ListServicesOutput{NextToken: next}
		for _, id := range page {
			s := byID[id]
			if slices.ContainsFunc(only, func(ns string) bool { return ns != s.namespace.id }) {
				continue
			}
			out.Services = append(out.Services, types.ServiceSummary{
				Id: aws.String(s.id), Arn: aws.String(s.arn), Name: aws.String(s.name), CreateDate: timePtr(s.created), DnsConfig: s.config(),
				HealthCheckCustomConfig: s.health(), InstanceCount: aws.Int32(int32(s.count())), Type: s.kind(),
			})
		}
		return out, nil
	})
}

// mapPage cuts a page as pageOf does, with Cloud Map's error.
func mapPage(ids []string, maximum *int32, token *string) ([]string, *string, error) {
	if maximum != nil && (*maximum < 1 || *maximum > 100) {
		return nil, nil, invalidMap("MaxResults is %d, not 1 to 100.", *maximum)
	}
	return pageOf(ids, maximum, token, 100)
}
