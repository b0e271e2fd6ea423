package infra

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"github.com/plimsoll-ecs/plimsoll/pkg/policy"
)

// draw makes the dashboard: how the controller fares, and what the task counts of
// each cluster follow.
func (c *Controller) draw(set policy.Set) {
	board := awscloudwatch.NewDashboard(c.Construct, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{PeriodOverride: awscloudwatch.PeriodOverride_INHERIT})
	for _, f := range needed(set) {
		made := c.functions[f.name]
		board.AddWidgets(
			graph(f.name+": runs and errors", made.MetricInvocations(sum()), made.MetricErrors(sum()), made.MetricThrottles(sum())),
			graph(f.name+": longest run, ms", made.MetricDuration(most())),
		)
	}
	ages, dead := []awscloudwatch.IMetric{age(c.ingress), age(c.reconcile)}, []awscloudwatch.IMetric{depth(c.ingress.dead), depth(c.reconcile.dead), depth(c.undelivered)}
	if c.register.live != nil {
		ages, dead = append(ages, age(c.register)), append(dead, depth(c.register.dead))
	}
	board.AddWidgets(graph("oldest message, s", ages...), graph("dead letters", dead...))
	for _, p := range set {
		var followed []awscloudwatch.IMetric
		for _, a := range policy.Alarms(p) {
			followed = append(followed, metricOf(a))
		}
		if len(followed) > 0 {
			board.AddWidgets(graph(p.Cluster+": what task counts follow", followed...))
		}
	}
}

func graph(title string, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{Title: &title, Left: &metrics, Width: jsii.Number(12)})
}

func metricOf(a policy.Alarm) awscloudwatch.IMetric {
	dimensions := map[string]*string{}
	for _, name := range slices.Sorted(maps.Keys(a.Metric.Dimensions)) {
		dimensions[name] = jsii.String(a.Metric.Dimensions[name])
	}
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: &a.Metric.Namespace, MetricName: &a.Metric.Name, DimensionsMap: &dimensions, Label: &a.Metric.Key,
		Statistic: &a.Metric.Statistic, Period: seconds(a.Metric.Period.Seconds()),
	})
}
