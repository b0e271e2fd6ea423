package infra

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/functions/ingest"
	"github.com/plimsoll-ecs/plimsoll/functions/reconcile"
	"github.com/plimsoll-ecs/plimsoll/functions/register"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// lambda is a function that was made, and its log group.
type lambda struct {
	awslambda.Function
	logs awslogs.LogGroup
}

// shape is what a function is given to run with, and how it is fed.
type shape struct {
	what        string
	memory      float64 // MiB; CPU comes in proportion
	batch       float64
	side        float64 // invocations at a time, at most
	queue       awssqs.Queue
	environment map[string]*string
}

// timeout of a function, in seconds: shorter than a lease.
const timeout = 60

// mostSide is what Lambda takes as a mapping's maximum concurrency.
const mostSide = 1000

// shape says so of one function. What runs at a time is bounded at the queue's
// end: reserved concurrency would take from the account's and throttle instead
// of waiting. A key, which is a cluster or a name with endpoints, is one message
// group, so it never has two rounds.
func (c *Controller) shape(name string) shape {
	var s shape
	switch name {
	case "ingest":
		s = shape{what: "plimsoll: hears events and wakes the clusters concerned", memory: ingest.Memory, batch: 10, side: 5, queue: c.ingress.live}
	case "register":
		s = shape{what: "plimsoll: registers the ports of a service's tasks", memory: register.Memory, batch: 1, side: sides(names(c.policies)), queue: c.register.live}
	default:
		s = shape{what: "plimsoll: looks at a cluster, decides, acts", memory: reconcile.Memory, batch: 1, side: sides(len(c.policies)), queue: c.reconcile.live}
	}
	s.environment = c.environment(name)
	return s
}

// sides is how many keys may have their rounds at a time. Lambda takes no fewer
// than two.
func sides(keys int) float64 { return float64(min(max(2, keys), mostSide)) }

// names counts the names of the policies that have endpoints, each of which has
// rounds of its own.
func names(set policy.Set) int {
	n := 0
	for _, p := range set {
		n += len(p.Registered())
	}
	return n
}

// environment are the variables that a function's main and Go's runtime read.
func (c *Controller) environment(name string) map[string]*string {
	all := map[string]*string{"PLIMSOLL_TABLE": c.Table.TableName(), "PLIMSOLL_INGRESS_QUEUE": c.ingress.live.QueueUrl()}
	if name == "ingest" {
		all["PLIMSOLL_ACCOUNT"] = awscdk.Aws_ACCOUNT_ID()
		all["PLIMSOLL_RECONCILE_QUEUE"] = c.reconcile.live.QueueUrl()
		if c.register.live != nil {
			all["PLIMSOLL_REGISTER_QUEUE"] = c.register.live.QueueUrl()
		}
	}
	runtime := map[string]func() map[string]string{"ingest": ingest.Runtime, "reconcile": reconcile.Runtime, "register": register.Runtime}[name]
	for variable, v := range runtime() {
		all[variable] = jsii.String(v)
	}
	return all
}

// deploy makes a function with its rights, its logs and what it is fed from.
func (c *Controller) deploy(f function, p ControllerProps, packed []byte) error {
	if err := f.mismatch(); err != nil {
		return err
	}
	folder, err := pack(p.Dist, f.name, packed)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }() // CDK has its own copy by then
	scope := constructs.NewConstruct(c.Construct, jsii.String(capital(f.name)))
	logs := awslogs.NewLogGroup(scope, jsii.String("Logs"), &awslogs.LogGroupProps{Retention: p.LogRetention})
	s := c.shape(f.name)
	role, err := c.role(scope, f, p, logs)
	if err != nil {
		return err
	}
	made := awslambda.NewFunction(scope, jsii.String("Function"), &awslambda.FunctionProps{
		Description:   &s.what,
		Code:          awslambda.Code_FromAsset(&folder, nil),
		Runtime:       awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:  awslambda.Architecture_ARM_64(),
		Handler:       jsii.String("bootstrap"),
		MemorySize:    &s.memory,
		Timeout:       seconds(timeout),
		Role:          role,
		LogGroup:      logs,
		Environment:   &s.environment,
		RecursiveLoop: awslambda.RecursiveLoop_ALLOW, // a round that asks for another look is one, and meant
	})
	quietLint(made)
	awslambda.NewEventSourceMapping(scope, jsii.String("Feed"), &awslambda.EventSourceMappingProps{
		Target: made, EventSourceArn: s.queue.QueueArn(), BatchSize: &s.batch, MaxConcurrency: &s.side, ReportBatchItemFailures: jsii.Bool(true),
	})
	c.functions[f.name] = lambda{made, logs}
	return nil
}

// quietLint tells cfn-lint to leave out W3005 there: CDK makes a function depend
// on its role twice, and no choice of ours keeps it from that.
func quietLint(f awslambda.Function) {
	if made, ok := f.Node().DefaultChild().(awslambda.CfnFunction); ok {
		made.AddMetadata(jsii.String("cfn-lint"), map[string]any{"config": map[string]any{"ignore_checks": []any{"W3005"}}})
	}
}

// ground is what the function's rights are about.
func (c *Controller) ground(f function, p ControllerProps, logs awslogs.LogGroup) ground {
	g := ground{
		policies: f.served(p.Policies), hostRoles: p.HostRoles, hostedZones: p.HostedZones,
		partition: *awscdk.Aws_PARTITION(), region: *awscdk.Aws_REGION(), account: *awscdk.Aws_ACCOUNT_ID(),
		logs: *logs.LogGroupArn(), table: *c.Table.TableArn(), ingress: *c.ingress.live.QueueArn(), reconcile: *c.reconcile.live.QueueArn(),
	}
	if c.register.live != nil {
		g.register = *c.register.live.QueueArn()
	}
	return g
}

// role is a role with the function's rights: its own policy, and managed ones for
// what has no room there. CDK would spread them too, by estimates that are twice
// the truth.
func (c *Controller) role(scope constructs.Construct, f function, p ControllerProps, logs awslogs.LogGroup) (awsiam.Role, error) {
	g := c.ground(f, p, logs)
	documents := g.documents(f.statements(g))
	if more := len(documents) - 1; more > mostPolicies {
		return nil, fmt.Errorf("the rights of %s over %d clusters take %d managed policies, and a role has %d at most; give some of the clusters to a controller of their own, in another stack", f.name, len(p.Policies), more, mostPolicies)
	}
	r := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
	})
	for n, statements := range documents {
		var all []awsiam.PolicyStatement
		for _, s := range statements {
			all = append(all, awsiam.NewPolicyStatement(s.props()))
		}
		if n == 0 {
			awsiam.NewPolicy(r, jsii.String("Rights"), &awsiam.PolicyProps{Statements: &all, Roles: &[]awsiam.IRole{r}})
			continue
		}
		awsiam.NewManagedPolicy(r, jsii.String(fmt.Sprintf("MoreRights%d", n)), &awsiam.ManagedPolicyProps{Statements: &all, Roles: &[]awsiam.IRole{r}})
	}
	excuse(r, f, g, logs)
	return r, nil
}

// props are the statement as CDK takes it.
func (s statement) props() *awsiam.PolicyStatementProps {
	p := &awsiam.PolicyStatementProps{Sid: &s.id, Actions: jsii.Strings(s.actions...), Resources: jsii.Strings(s.resources...)}
	if len(s.conditions) > 0 {
		conditions := map[string]any{}
		for operator, keys := range s.conditions {
			conditions[operator] = keys
		}
		p.Conditions = &conditions
	}
	return p
}

// The first bytes of a program for Linux on arm64: ELF, 64 bits, little-endian,
// and at 18 the machine, AArch64.
const elf = "\x7fELF\x02\x01"

// pack puts a function's program and the policies into a new folder, which is to
// become its package.
func pack(dist, name string, policies []byte) (string, error) {
	path := filepath.Join(dist, name, "bootstrap")
	program, err := os.ReadFile(path) //nolint:gosec // the folder that the deployer names
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no %s: run make build first", path)
	}
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", name, err)
	}
	if len(program) < 20 || !bytes.HasPrefix(program, []byte(elf)) || program[18] != 0xb7 {
		return "", fmt.Errorf("%s is no program for Linux on arm64: run make build", path)
	}
	folder, err := os.MkdirTemp("", "plimsoll-"+name)
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", name, err)
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(folder, "bootstrap"), program, 0o755),    //nolint:gosec // Lambda must run it
		os.WriteFile(filepath.Join(folder, "policy.json"), policies, 0o644), //nolint:gosec // Lambda must read it
	)
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", name, err)
	}
	return folder, nil
}
