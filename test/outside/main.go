// Command shop is somebody else's CDK app: one cluster with two services, scaled
// by plimsoll.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/infra"
	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	err := shop(awscdk.NewStack(app, jsii.String("shop"), nil))
	if err == nil {
		err = infra.Synth(app)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is left to close
	}
}

// shop is the cluster, its services and what scales them.
func shop(stack awscdk.Stack) error {
	cluster, err := infra.NewCluster(stack, "Cluster", infra.ClusterProps{
		Name: "shop", Repository: "shop",
		Groups: []infra.Group{{Name: "shop-hosts", Min: 2, Max: 20, InstanceType: "m7g.large"}},
	})
	if err != nil {
		return err
	}
	_, err = infra.NewService(stack, "Web", infra.ServiceProps{
		Cluster: cluster, Name: "web",
		Containers: []infra.Container{{Image: cluster.Image("web-1"), CPU: 256, Memory: 512, Ports: []infra.Port{{Container: 8080}}}},
		Targets:    []infra.Target{{Priority: 10, Paths: []string{"/*"}}},
		Scaling:    scaled(2, 40, policy.Target{Metric: "cpu", Target: 60}),
	})
	if err != nil {
		return err
	}
	_, err = infra.NewService(stack, "Jobs", infra.ServiceProps{
		Cluster: cluster, Name: "jobs",
		Containers: []infra.Container{{Image: cluster.Image("jobs-1"), MemoryReservation: 256}},
		Scaling:    scaled(0, 10, policy.Target{Metric: "ApproximateNumberOfMessagesVisible", Namespace: "AWS/SQS", Dimensions: map[string]string{"QueueName": "jobs"}, PerTask: 100}),
	})
	if err != nil {
		return err
	}
	policies, err := infra.Policies(cluster)
	if err != nil {
		return err
	}
	_, err = infra.NewController(stack, "Controller", infra.ControllerProps{
		Policies: policies, Dist: os.Getenv("PLIMSOLL_DIST"), HostRoles: []string{*cluster.HostRole.RoleArn()},
	})
	return err
}

// scaled is between two counts, by one signal.
func scaled(low, high int, by policy.Target) policy.Service {
	return policy.Service{Tasks: &policy.Tasks{Min: low, Max: high}, Scale: []policy.Target{by}}
}
