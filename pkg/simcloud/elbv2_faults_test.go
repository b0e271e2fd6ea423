package simcloud

import (
	"context"
	"time"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// targetRows are the rows of TestFaultsDoWhatTheySay that are about targets.
func targetRows() []faultRow {
	// behind puts a load balancer before the service web.
	behind := func(w *faulty) (*lbBench, *ecsTask) {
		b := &lbBench{ecsBench: w.ecsBench, ports: 80}
		b.group = b.makeGroup("web", nil)
		b.lb = b.balancer("lb", types.LoadBalancerTypeEnumApplication)
		b.listen(b.lb, to(b.group, 1))
		return b, b.f.clusters[0].service("web").tasks[0]
	}
	// calls gives the code of the error of a read or a registration.
	calls := func(w *faulty, b *lbBench, registers bool, of *ecsTask) string {
		w.run(10, func(ctx context.Context) error {
			if registers {
				_, err := b.c.ELBV2().RegisterTargets(ctx, &elbv2.RegisterTargetsInput{TargetGroupArn: &b.group, Targets: portsOf(of.ec2(), of.port(), 1)})
				return err
			}
			_, err := b.c.ELBV2().DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &b.group})
			return err
		})
		return codeOf(w.err)
	}
	return []faultRow{
		{"a target of a task that is well", faultTargetsSick, "healthy", "unhealthy Target.ResponseCodeMismatch", func(w *faulty) any {
			b, of := behind(w)
			b.registered(b.group, of)
			b.pass(time.Minute)
			return b.health(b.group, of.ec2(), of.port())
		}},
		{"the registration of a target", faultTargetLimit, "", "TooManyTargets", func(w *faulty) any {
			b, of := behind(w)
			return codeOf(b.registers(b.group, portsOf(of.ec2(), of.port(), 1)...))
		}},
		{"a read of ELB", faultAPIDown, "", "ServiceUnavailable", func(w *faulty) any {
			b, of := behind(w)
			return calls(w, b, false, of)
		}},
		{"a registration at ELB, which takes effect", faultAmbiguous, "/healthy", "not an API error/healthy", func(w *faulty) any {
			b, of := behind(w)
			code := calls(w, b, true, of)
			if code == "InternalFailure" || len(code) > 16 { // either kind
				code = "not an API error"
			}
			return code + "/" + b.health(b.group, of.ec2(), of.port())
		}},
	}
}
