package simcloud

import (
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// stamp is a time as ECS's events give it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// nameValue is an attribute in an event.
type nameValue struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// taskDetail is the detail of an ECS Task State Change.
type taskDetail struct {
	Attachments          []string          `json:"attachments"`
	Attributes           []nameValue       `json:"attributes"`
	AvailabilityZone     string            `json:"availabilityZone"`
	ClusterArn           string            `json:"clusterArn"`
	ContainerInstanceArn string            `json:"containerInstanceArn"`
	Containers           []containerDetail `json:"containers"`
	CPU                  string            `json:"cpu"`
	CreatedAt            string            `json:"createdAt"`
	DesiredStatus        string            `json:"desiredStatus"`
	EnableExecuteCommand bool              `json:"enableExecuteCommand"`
	Group                string            `json:"group"`
	LaunchType           string            `json:"launchType"`
	LastStatus           string            `json:"lastStatus"`
	Memory               string            `json:"memory"`
	Overrides            overridesDetail   `json:"overrides"`
	StartedBy            string            `json:"startedBy,omitempty"`
	TaskArn              string            `json:"taskArn"`
	TaskDefinitionArn    string            `json:"taskDefinitionArn"`
	UpdatedAt            string            `json:"updatedAt"`
	Version              int64             `json:"version"`
	Connectivity         string            `json:"connectivity,omitempty"`
	ConnectivityAt       string            `json:"connectivityAt,omitempty"`
	PullStartedAt        string            `json:"pullStartedAt,omitempty"`
	PullStoppedAt        string            `json:"pullStoppedAt,omitempty"`
	StartedAt            string            `json:"startedAt,omitempty"`
	StoppingAt           string            `json:"stoppingAt,omitempty"`
	ExecutionStoppedAt   string            `json:"executionStoppedAt,omitempty"`
	StoppedAt            string            `json:"stoppedAt,omitempty"`
	StopCode             string            `json:"stopCode,omitempty"`
	StoppedReason        string            `json:"stoppedReason,omitempty"`
}

type overridesDetail struct {
	ContainerOverrides []nameValue `json:"containerOverrides"`
}

type containerDetail struct {
	ContainerArn      string          `json:"containerArn"`
	LastStatus        string          `json:"lastStatus"`
	Name              string          `json:"name"`
	Image             string          `json:"image"`
	TaskArn           string          `json:"taskArn"`
	ExitCode          *int32          `json:"exitCode,omitempty"`
	NetworkInterfaces []string        `json:"networkInterfaces"`
	CPU               string          `json:"cpu"`
	Memory            string          `json:"memory,omitempty"`
	NetworkBindings   []bindingDetail `json:"networkBindings,omitempty"`
}

type bindingDetail struct {
	BindIP        string `json:"bindIP"`
	ContainerPort int    `json:"containerPort"`
	HostPort      int    `json:"hostPort"`
	Protocol      string `json:"protocol"`
}

// bindIPs are the addresses of a binding's rows: IPv4 and, mostly, IPv6.
func (t *ecsTask) bindIPs() []string {
	if t.noIPv6 {
		return []string{"0.0.0.0"}
	}
	return []string{"0.0.0.0", "::"}
}

func newTaskDetail(t *ecsTask) taskDetail {
	d := taskDetail{
		Attachments: []string{}, Attributes: []nameValue{}, AvailabilityZone: t.host.instance.zone, ClusterArn: t.cluster.arn, ContainerInstanceArn: t.host.arn,
		CPU: strconv.Itoa(t.definition.cpu), CreatedAt: stamp(t.created), DesiredStatus: t.desired, Group: t.group, LaunchType: "EC2",
		LastStatus: t.last, Memory: strconv.Itoa(t.definition.memory), StartedBy: t.startedBy, TaskArn: t.arn, TaskDefinitionArn: t.definition.arn,
		UpdatedAt: stamp(t.updated), Version: t.version, PullStartedAt: stamp(t.pullFrom), PullStoppedAt: stamp(t.pullTo), StartedAt: stamp(t.started),
		StoppingAt: stamp(t.stopping), ExecutionStoppedAt: stamp(t.ended), StoppedAt: stamp(t.stopped), StopCode: string(t.code), StoppedReason: t.reason,
	}
	if !t.started.IsZero() {
		d.Connectivity, d.ConnectivityAt = "CONNECTED", stamp(t.connection)
	}
	if value, ok := t.host.attribute("ecs.cpu-architecture"); ok {
		d.Attributes = append(d.Attributes, nameValue{"ecs.cpu-architecture", value})
	}
	for i, c := range t.definition.containers {
		d.Containers = append(d.Containers, t.containerDetail(i))
		d.Overrides.ContainerOverrides = append(d.Overrides.ContainerOverrides, nameValue{Name: c.name})
	}
	return d
}

func (t *ecsTask) containerDetail(i int) containerDetail {
	c := t.definition.containers[i]
	d := containerDetail{
		ContainerArn: t.containerArn(i), LastStatus: t.containerStatus(i), Name: c.name, Image: c.image, TaskArn: t.arn,
		ExitCode: t.exitCode(i), NetworkInterfaces: []string{}, CPU: strconv.Itoa(c.cpu),
	}
	if c.memory != nil {
		d.Memory = strconv.Itoa(int(*c.memory))
	}
	for _, b := range t.bindings {
		for _, ip := range t.bindIPs() {
			if b.container == i {
				d.NetworkBindings = append(d.NetworkBindings, bindingDetail{ip, b.port, b.host, string(b.protocol)})
			}
		}
	}
	return d
}

// containerArn is the task's ARN with another type and an id more.
func (t *ecsTask) containerArn(i int) string {
	const task = ":task/"
	at := len(t.arn) - len(task) - len(t.cluster.name) - 1 - len(t.id)
	return t.arn[:at] + ":container/" + t.cluster.name + "/" + t.id + "/" + t.container[i]
}

// hostDetail is the detail of an ECS Container Instance State Change.
type hostDetail struct {
	AgentConnected       bool              `json:"agentConnected"`
	Attributes           []nameValue       `json:"attributes"`
	ClusterArn           string            `json:"clusterArn"`
	ContainerInstanceArn string            `json:"containerInstanceArn"`
	EC2InstanceID        string            `json:"ec2InstanceId"`
	RegisteredResources  []resourceDetail  `json:"registeredResources"`
	RemainingResources   []resourceDetail  `json:"remainingResources"`
	RegisteredAt         string            `json:"registeredAt"`
	Status               string            `json:"status"`
	Version              int64             `json:"version"`
	VersionInfo          map[string]string `json:"versionInfo"`
	UpdatedAt            string            `json:"updatedAt"`
}

type resourceDetail struct {
	Name           string `json:"name"`
	Type           string `json:"type"`
	IntegerValue   *int   `json:"integerValue,omitempty"`
	StringSetValue any    `json:"stringSetValue,omitempty"` // []string, present also if empty
}

func newHostDetail(h *ecsHost, now time.Time) hostDetail {
	d := hostDetail{
		AgentConnected: h.connected, ClusterArn: h.cluster.arn, ContainerInstanceArn: h.arn, EC2InstanceID: h.instance.id,
		RegisteredResources: resourceDetails(h.cpu, h.memory, h.ports(types.TransportProtocolTcp, false), []string{}),
		RemainingResources:  resourceDetails(h.freeCPU, h.freeMemory, h.ports(types.TransportProtocolTcp, true), h.ports(types.TransportProtocolUdp, true)),
		RegisteredAt:        stamp(h.registeredAt), Status: h.status, Version: h.version, UpdatedAt: stamp(now),
		VersionInfo: map[string]string{"agentHash": "8dfceca6", "agentVersion": "1.99.0", "dockerVersion": "DockerVersion: 25.0.8"},
	}
	for _, a := range h.attributes {
		d.Attributes = append(d.Attributes, nameValue{a.name, a.value})
	}
	return d
}

func resourceDetails(cpu, memory int, tcp, udp []string) []resourceDetail {
	return []resourceDetail{
		{Name: "CPU", Type: "INTEGER", IntegerValue: &cpu},
		{Name: "MEMORY", Type: "INTEGER", IntegerValue: &memory},
		{Name: "PORTS", Type: "STRINGSET", StringSetValue: tcp},
		{Name: "PORTS_UDP", Type: "STRINGSET", StringSetValue: udp},
	}
}

// ports lists the taken ports: the agent's and, if wanted, those that tasks hold
// statically. Dynamic ports do not show.
func (h *ecsHost) ports(protocol types.TransportProtocol, tasks bool) []string {
	var taken []int
	if protocol == types.TransportProtocolTcp {
		taken = append(taken, agentPorts()...)
	}
	for p := range h.static {
		if tasks && p.protocol == protocol {
			taken = append(taken, p.number)
		}
	}
	slices.Sort(taken)
	all := make([]string, 0, len(taken))
	for _, n := range taken {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

// serviceActionDetail is the detail of an ECS Service Action.
type serviceActionDetail struct {
	EventType             string   `json:"eventType"`
	EventName             string   `json:"eventName"`
	ClusterArn            string   `json:"clusterArn"`
	ContainerInstanceArns []string `json:"containerInstanceArns,omitempty"`
	Reason                string   `json:"reason,omitempty"`
	CreatedAt             string   `json:"createdAt"`
}

// serviceAction sends an event of a service's and adds it to its messages.
func (f *fleet) serviceAction(s *ecsService, d serviceActionDetail, message string) {
	d.ClusterArn, d.CreatedAt = s.cluster.arn, stamp(f.now)
	s.messages = append(s.messages, ecsMessage{f.now, f.id(36), "(service " + s.name + ") " + message})
	if len(s.messages) > 100 {
		s.messages = slices.Delete(s.messages, 0, 1)
	}
	f.emit("aws.ecs", "ECS Service Action", []string{s.arn}, d)
}

func (f *fleet) placementFailed(s *ecsService, why ecsRefusal) {
	d := serviceActionDetail{EventType: "ERROR", EventName: "SERVICE_TASK_PLACEMENT_FAILURE", Reason: why.reason}
	if why.host != nil {
		d.ContainerInstanceArns = []string{why.host.arn}
	}
	f.serviceAction(s, d, "was unable to place a task because no container instance met all of its requirements. Reason: "+why.reason+".")
}

// deploymentDetail is the detail of an ECS Deployment State Change.
type deploymentDetail struct {
	EventType    string `json:"eventType"`
	EventName    string `json:"eventName"`
	DeploymentID string `json:"deploymentId"`
	UpdatedAt    string `json:"updatedAt"`
	Reason       string `json:"reason"`
}

func (f *fleet) deploymentChanged(s *ecsService, d *ecsDeployment, name, reason string) {
	f.emit("aws.ecs", "ECS Deployment State Change", []string{s.arn}, deploymentDetail{
		EventType: "INFO", EventName: name, DeploymentID: d.id, UpdatedAt: stamp(f.now), Reason: "ECS deployment " + d.id + " " + reason,
	})
}
