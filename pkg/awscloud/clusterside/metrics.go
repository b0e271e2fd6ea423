package clusterside

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
)

// queries is how many metrics one GetMetricData call takes.
const queries = 500

// lookBack is how far back metrics are read: long enough for the lag of a
// one-minute metric, short enough to stay one page.
const lookBack = 15 * time.Minute

// metrics reads the series of a scope. A series that CloudWatch does not answer
// for, or not completely, is absent: unknown is not zero. That CloudWatch is away
// must not keep hosts from tasks that have no place.
func (c *Cloud) metrics(ctx context.Context, wanted []cluster.Metric) (map[string]cluster.Series, error) {
	chunks := slices.Collect(slices.Chunk(wanted, queries))
	found := make([]map[string]cluster.Series, len(chunks))
	err := c.edges.Run(ctx, len(chunks), func(ctx context.Context, i int) error {
		series, err := c.series(ctx, chunks[i])
		if err == nil {
			found[i] = series
		}
		return nil
	})
	all := map[string]cluster.Series{}
	for _, part := range found {
		maps.Copy(all, part)
	}
	return all, err
}

func (c *Cloud) series(ctx context.Context, wanted []cluster.Metric) (map[string]cluster.Series, error) {
	now := c.edges.Clock()
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(now.Add(-lookBack)), EndTime: aws.Time(now), ScanBy: types.ScanByTimestampAscending}
	for n, m := range wanted {
		in.MetricDataQueries = append(in.MetricDataQueries, query("m"+strconv.Itoa(n), m))
	}
	a := answer{wanted: wanted, series: map[string]cluster.Series{}, broken: map[string]bool{}}
	for {
		out, err := c.cloudwatch.GetMetricData(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("get metric data: %w", err)
		}
		for _, r := range out.MetricDataResults {
			if err := a.take(r); err != nil {
				return nil, fmt.Errorf("get metric data: %w", err)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	maps.DeleteFunc(a.series, func(key string, _ cluster.Series) bool { return a.broken[key] })
	return a.series, nil
}

// answer is what GetMetricData has answered so far.
type answer struct {
	wanted []cluster.Metric
	series map[string]cluster.Series
	broken map[string]bool // not complete: unknown
}

// take adds one result. PartialData says that the rest is on the next page.
func (a answer) take(r types.MetricDataResult) error {
	n, err := strconv.Atoi(strings.TrimPrefix(aws.ToString(r.Id), "m"))
	if err != nil || n < 0 || n >= len(a.wanted) || len(r.Timestamps) != len(r.Values) {
		return fmt.Errorf("the result %q cannot be read", aws.ToString(r.Id))
	}
	key := a.wanted[n].Key
	if r.StatusCode != types.StatusCodeComplete && r.StatusCode != types.StatusCodePartialData {
		a.broken[key] = true
	}
	for i, at := range r.Timestamps {
		a.series[key] = append(a.series[key], cluster.Point{At: at, Value: r.Values[i]})
	}
	return nil
}

func query(id string, m cluster.Metric) types.MetricDataQuery {
	dimensions := []types.Dimension{}
	for _, name := range slices.Sorted(maps.Keys(m.Dimensions)) {
		dimensions = append(dimensions, types.Dimension{Name: aws.String(name), Value: aws.String(m.Dimensions[name])})
	}
	return types.MetricDataQuery{Id: aws.String(id), ReturnData: aws.Bool(true), MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: aws.String(m.Namespace), MetricName: aws.String(m.Name), Dimensions: dimensions},
		Period: aws.Int32(int32(m.Period / time.Second)), //nolint:gosec // the policy bounds a period to a day
		Stat:   aws.String(m.Statistic),
	}}
}
