// Package infra is plimsoll as CDK constructs: Controller is what steers
// clusters, Cluster a cluster with its network and hosts, Service a service of
// it. Any CDK app in Go can use them; infra/app is the one of this repository.
//
// Whatever mirrors code is made from that code: the rules from events.Patterns,
// the alarms from policy.Alarms, the rights from the methods of the functions'
// ports. The package must not know what the functions decide.
package infra
