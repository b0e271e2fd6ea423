package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/simcloud"
)

// What ECS takes from a host is the world's doing for as long as a person's
// draining lasts, and never what a function drained.
func TestWhatADrainedHostLosesIsTheDrainersDoing(t *testing.T) {
	busy := func(w *world) simcloud.HostView {
		v, _ := w.cloud.World().Service("prod", "web")
		for _, h := range w.cloud.World().Hosts() {
			if h.ARN == v.Tasks[0].Host {
				return h
			}
		}
		t.Error("no host has a task of web")
		return simcloud.HostView{}
	}
	set := func(ctx context.Context, w *world, h simcloud.HostView, status ecstypes.ContainerInstanceStatus) {
		_, err := w.cloud.ECS().UpdateContainerInstancesState(ctx, &ecs.UpdateContainerInstancesStateInput{
			Cluster: aws.String("prod"), ContainerInstances: []string{h.ARN}, Status: status,
		})
		if err != nil {
			t.Error(err)
		}
	}
	byHand := func(w *world, h simcloud.HostView) {
		if err := w.cloud.World().DrainByHand(h.InstanceID); err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct {
		name  string
		do    func(context.Context, *world, simcloud.HostView) // to a busy host
		until time.Duration                                    // no harm is later; 0: there is none
	}{
		{"nobody drains", func(context.Context, *world, simcloud.HostView) {}, 0},
		{"a person drains", func(_ context.Context, w *world, h simcloud.HostView) { byHand(w, h) }, 15 * time.Minute},
		{"a function drains", func(ctx context.Context, w *world, h simcloud.HostView) { set(ctx, w, h, "DRAINING") }, 0},
		{"a function drains again what a person drained and somebody took back", func(ctx context.Context, w *world, h simcloud.HostView) {
			byHand(w, h)
			set(ctx, w, h, "ACTIVE")
			w.cloud.Pause(ctx, 20*time.Second)
			set(ctx, w, h, "DRAINING")
		}, 5*time.Minute + 10*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, m, err := run(t.Context(), still(), Options{Seed: 7, sabotage: rogue(5*time.Minute, 1, func(ctx context.Context, w *world) { tt.do(ctx, w, busy(w)) })}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(m.dips.harms) > 0; got != (tt.until > 0) {
				t.Errorf("harms: %v", m.dips.harms)
			}
			for _, h := range m.dips.harms {
				if len(h.services) == 0 || h.at.Sub(still().Start) > tt.until {
					t.Errorf("harm at %s of %q", clock(h.at), h.services)
				}
				if !m.harmed(h.at, h.at) {
					t.Errorf("what was taken at %s moved the world for nobody", clock(h.at))
				}
			}
		})
	}
}
