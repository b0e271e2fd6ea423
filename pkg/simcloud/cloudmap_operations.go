package simcloud

import (
	"context"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery/types"
)

// mapOperation is what a call has begun and Cloud Map does in its own time.
type mapOperation struct {
	id               string
	kind             types.OperationType
	status           types.OperationStatus
	targets          map[string]string
	code, message    string // of a failure
	created, updated time.Time
	takes            time.Duration
}

// begin makes an operation of a namespace.
func (m *CloudMap) begin(kind types.OperationType, n *mapNamespace, targets map[string]string) *mapOperation {
	b := m.c.fleet.behaviour
	takes := b.MapHTTP
	if n.dns() {
		takes = b.MapDNS
	}
	op := &mapOperation{
		id: m.c.id(32), kind: kind, status: types.OperationStatusSubmitted, targets: targets, created: m.c.now, updated: m.c.now, takes: m.c.fleet.draw("cloud map", takes),
	}
	m.operations[op.id] = op
	m.c.after(op.takes/4, func() { op.become(types.OperationStatusPending, m.c.now) })
	return op
}

func (o *mapOperation) become(status types.OperationStatus, now time.Time) {
	o.status, o.updated = status, now
}

// end lets do happen when the operation has succeeded.
func (m *CloudMap) end(op *mapOperation, do func()) {
	m.c.after(op.takes, func() {
		op.become(types.OperationStatusSuccess, m.c.now)
		do()
		m.c.fleet.changed()
	})
}

// fails draws whether an operation on an instance fails.
func (m *CloudMap) fails() bool {
	share := m.c.fleet.behaviour.MapFails
	return share > 0 && m.c.stream("cloud map fails").Float64() < share
}

// GetOperation tells how far an operation is.
func (m *CloudMap) GetOperation(ctx context.Context, in *servicediscovery.GetOperationInput, _ ...func(*servicediscovery.Options)) (*servicediscovery.GetOperationOutput, error) {
	return call(ctx, m.c, mapRead("GetOperation"), in, func() (*servicediscovery.GetOperationOutput, error) {
		if err := onlyMembers(in, "OperationId"); err != nil {
			return nil, err
		}
		op := m.operations[aws.ToString(in.OperationId)]
		if op == nil {
			return nil, &types.OperationNotFound{Message: aws.String("The operation " + aws.ToString(in.OperationId) + " was not found.")}
		}
		return &servicediscovery.GetOperationOutput{Operation: &types.Operation{
			Id: aws.String(op.id), Type: op.kind, Status: op.status, Targets: maps.Clone(op.targets), CreateDate: timePtr(op.created), UpdateDate: timePtr(op.updated),
			ErrorCode: text(op.code), ErrorMessage: text(op.message),
		}}, nil
	})
}
