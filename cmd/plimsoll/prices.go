package main

// The prices are those of one Region, on demand. Each was read in a public page
// of that date, none in an account.
const (
	priceRegion = "us-east-1"
	priceDate   = "2026-06-13" // of the newest source; each row has its own
)

// price is what AWS asks for a number of units of one item of the bill.
type price struct {
	item    string
	dollars float64
	per     float64
	unit    string // per, in words
	source  string
	date    string // when the source was written
}

// The items of the bill.
const (
	lambdaRequests = "Lambda: requests"
	lambdaTime     = "Lambda: GB-seconds, arm64"
	sqsIngress     = "SQS: requests of the ingress queue"
	sqsIngressIdle = "SQS: its empty polls"
	sqsFIFO        = "SQS: requests of the FIFO queue"
	sqsFIFOIdle    = "SQS: its empty polls, assumed"
	dynamoWrites   = "DynamoDB: write request units"
	dynamoReads    = "DynamoDB: read request units"
	metricsAsked   = "CloudWatch: metrics asked for"
	alarmsKept     = "CloudWatch: alarms"
	metricsKept    = "CloudWatch: custom metrics"
	dashboards     = "CloudWatch: dashboards"
	logsTaken      = "CloudWatch: GB of logs taken in"
	eventsTaken    = "EventBridge: events, all of AWS's own"
)

// prices are those of all items, in the order of the bill.
func prices() []price {
	const (
		million    = 1e6
		lambda     = "aws.amazon.com/lambda/pricing, by way of git.mcrn.ar lambda-13-cost"
		queues     = "cloudburn.io on SQS"
		tables     = "AWS's price cut of November 2024"
		cloudwatch = "factualminds.com on CloudWatch"
	)
	return []price{
		{lambdaRequests, 0.20, million, "a million", lambda, "undated"},
		{lambdaTime, 0.0000133334, 1, "each", lambda, "undated"},
		{sqsIngress, 0.40, million, "a million", queues, "2026-03"},
		{sqsIngressIdle, 0.40, million, "a million", queues, "2026-03"},
		{sqsFIFO, 0.50, million, "a million", queues, "2026-03"},
		{sqsFIFOIdle, 0.50, million, "a million", queues, "2026-03"},
		{dynamoWrites, 0.625, million, "a million", tables, "2024-11"},
		{dynamoReads, 0.125, million, "a million", tables, "2024-11"},
		{metricsAsked, 0.01, 1000, "a thousand", "nishinoshake/aws-rough#37", "2024"},
		{alarmsKept, 0.10, 1, "each", "c3x.dev on CloudWatch alarms", "undated"},
		{metricsKept, 0.30, 1, "each", "signoz.io on CloudWatch", "2026-02-15"},
		{dashboards, 3.00, 1, "each", cloudwatch, "2026-06-13"},
		{logsTaken, 0.50, 1, "each", cloudwatch, "2026-06-13"},
		{eventsTaken, 0, 1, "free", "factualminds.com on EventBridge", "2026-06-13"},
	}
}

// leftOut is what the total does not hold, in words.
func leftOut() []string {
	return []string{
		"the hosts, their disks, load balancers, NAT gateways and data transfer: yours with or without plimsoll",
		"every free tier: nothing is taken off",
		"what the functions compute: a simulated duration is the latency of the counted calls and nothing else, by the simulator's own figures",
		"for want of a sourced price: storage of the table and its point-in-time recovery, storage of logs, SNS",
		"deployments of services, and whatever else makes more events than these two worlds do",
	}
}
