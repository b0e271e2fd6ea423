package soak

const opening = `# Reliability

What may go wrong, what plimsoll promises all the same, and the test that shows it. This page is made by ` + "`make generate`" + ` from
pkg/soak/reliability_table_test.go and docs/reliability.json; do not edit it. ` + "`make soak SEEDS=2000`" + ` runs the soak; ` + "`make figures SEEDS=2000`" + `
runs it and writes the figures and this page anew. A run that breaks a promise is made small, written to dist/soak and printed with the commands that
replay it.

`

const closing = `
Nor are these:

- Task sets and the EXTERNAL controller, awsvpc, Fargate, capacity providers, warm pools, lifecycle hooks on launch, IAM. The
  simulated cloud answers NotSimulated, never success.
- Promises about what is not built: protected tasks of hosts that leave (S6), a rollback's end (L4). S3 is held by tests of ports-churn, and by no soak.
- That no secret is logged (S9) is shown for messages only: no environment of a task is ever read.
- A sweep that is lost, or late, but for a spell in which EventBridge cannot send to SQS: its schedule is taken as certain.
- Queue policies: EventBridge never lacks the permission to send to a queue.
- Queues that lose what they took, tables that lose what they wrote, clocks further apart than five minutes.
- A bug that only AWS has.
`

// class is a class of faults: what goes wrong, what holds all the same, and the
// tests that show it, as FOLDER.TestName. One that is absent says why.
type class struct {
	number       int
	wrong, holds string
	tests        []string
}

const (
	portsTest = "pkg/scenario.TestPortsChurnHoldsWhetherProtectionIsHonouredOrIgnored"
	soakTest  = "pkg/soak.TestAHundredTrialsWithAllFaultsBreakNoPromise"
	faultTest = "pkg/simcloud.TestFaultsDoWhatTheySay"
)

func classes() []class {
	return []class{
		{1, "an event or a message comes more than once", "no change is made for the second time", []string{soakTest, "pkg/store.TestEveryEventIsFollowedByALook"}},
		{2, "events overtake each other", "the same end as in order: an event only says look", []string{soakTest, "pkg/store.TestEveryEventIsFollowedByALook", "pkg/scenario.TestEveryBuiltinEndsAsWithoutFaults"}},
		{3, "an event comes up to a day late", "S1 and S2: no field of it is believed", []string{soakTest, "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{4, "events are lost, all of them too", "L1 by the sweep alone", []string{soakTest, "pkg/scenario.TestEveryBuiltinEndsAsWithoutFaults", "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{5, "a read shows the state of up to a minute ago", "S1, S2 and S4: open intents stand in for what is not shown yet", []string{soakTest, "pkg/reconcile.TestLaunchesArePlannedOnceThoughReadsAreStale"}},
		{6, "ECS fails some items of a call, with HTTP 200", "a look that is not whole decides nothing", []string{soakTest, "pkg/awscloud/clusterside.TestALookThatIsNotWholeFails"}},
		{7, "a function dies before or after any of its API calls, or takes one that took effect for a failure", "S1 to S5, and L1; crashed at: in `make test` each call of the first invocation of each kind, in four ways; in `make soak` each call of all invocations, in four ways if the round changes something, in one by turns if not", []string{"pkg/scenario.TestACrashAtAnyCallLeadsToTheSameEnd", "pkg/scenario.TestACrashLaysPlantedBugsOpen", "pkg/scenario.TestACrashOfRegisterAtAnyCallLeadsToTheSameEnd"}},
		{8, "a function is killed or runs out of time at any millisecond", "the same", []string{soakTest, "pkg/simcloud.TestAKilledInvocationHasNoAfterEffect"}},
		{9, "a call takes effect and answers an error", "no second effect", []string{soakTest, "pkg/reconcile.TestOverlappingRoundsKeepTheirPromises"}},
		{10, "two rounds of one key overlap", "S5", []string{"pkg/store.TestLeaseHistoriesAreLinearizable", "pkg/reconcile.TestOverlappingRoundsKeepTheirPromises"}},
		{11, "two controllers: versions over one table, or deployments with a table each", "S5 and S8; of two with a table each and contrary policies each finds that another hand undoes its counts, decides `contested`, and leaves them alone for longer and longer", []string{"pkg/store.TestWhoGetsALease", "pkg/store.TestLeaseHistoriesAreLinearizable", "pkg/scenario.TestTwoVersionsOverOneTableKeepTheirPromises", "pkg/scenario.TestTwoControllersOverOneCluster", "pkg/plan.TestNobodyFightsForEver", "pkg/plan.TestNoContestWithoutAnotherHand"}},
		{12, "a round stands still for longer than its lease", "S5: what it writes then is fenced off, and it makes no call", []string{soakTest, "pkg/store.TestWhoeverWasTakenOverWritesNothing", "pkg/awscloud/clusterside.TestNoCallBeginsThatMayNot"}},
		{13, "ECS, Auto Scaling or CloudWatch throttles for five minutes", "rounds hold and come again with growing pauses", []string{soakTest, "pkg/store.TestBackOffGrowsAndASuccessEndsIt", "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{14, "a service answers 503 for up to half an hour", "hold; nothing is scaled in", []string{soakTest, "pkg/awscloud/clusterside.TestALookThatIsNotWholeFails", "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{15, "clocks are up to five minutes apart", "S5; what one round writes and the next one reads is told by one clock", []string{soakTest, "pkg/store.TestARoundWhoseClockIsWrongGoesByDynamoDBs"}},
		{16, "a queue holds garbage", "it ends in the dead-letter queue, and no other message waits for it", []string{soakTest, "pkg/scenario.TestAPoisonousMessageFailsAloneAndGoesToTheDeadLetterQueue"}},
		{17, "dead letters come back days later", "no change rests on what they say", []string{soakTest, "pkg/scenario.TestDeadLettersDrivenBackLongAfterCauseNoStaleAction"}},
		{18, "an alarm flaps", "an alarm only says look: counts change by the metrics", []string{soakTest, "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{19, "a metric is missing, or has too little data", "S10: counts hold or rise, nothing leaves", []string{soakTest, "pkg/scenario.TestWhenAMetricNoLongerSpeaks"}},
		{20, "an answer is empty, or cut short", "S10: a look that is not whole decides nothing", []string{soakTest, "pkg/awscloud/clusterside.TestALookThatIsNotWholeFails"}},
		{24, "a target is deregistered too early, or too late", "S3: a task that is told to stop serves on until its targets are gone, so no request meets a closed, stopped or wrong task in a planned stop", []string{portsTest}},
		{25, "a host port is used again at once, after its agent restarted too", "S3: a port is registered only for whoever owns it", []string{soakTest, portsTest, "pkg/store.TestOwnersOfPortsAreThoseOfAModel"}},
		{26, "a whole availability zone is gone", "its hosts are replaced where there is capacity, within the healthy percentages", []string{soakTest}},
		{27, "half of all Spot hosts are interrupted", "they are replaced like any that die: the notice is not acted upon yet", []string{soakTest}},
		{28, "EC2 has no capacity of a kind in a zone", "the next zone or group is asked, with growing patience", []string{soakTest, "pkg/simcloud.TestAGroupWithoutCapacityTriesAgain"}},
		{29, "a host's agent is disconnected", "it is no room meanwhile, and not removed", []string{soakTest, "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{30, "somebody else ends hosts, or Auto Scaling balances zones", "what is lost is replaced, and no host is ended twice", []string{soakTest}},
		{31, "a task is protected from scale-in", "hosts with tasks stay, and ECS spares the task when a count falls", []string{soakTest}},
		{33, "ECS finds no place for a task: CPU, memory, ports, agent, attribute", "hosts are added or the reason is told; no loop", []string{soakTest, "pkg/simcloud.TestRefusalNamesWhatTheClosestHostLacks"}},
		{35, "DynamoDB is down, or a write meets another", "no change without a record", []string{soakTest, "pkg/store.TestAWriteThatMeetsAnotherIsTriedAgain"}},
		{36, "a forged event, or one of somebody else's account", "S8: at most a look", []string{soakTest, "functions/ingest.TestWhomAnEventWakes", "events.TestRefusedMessagesNameTheField"}},
		{38, "10,000 events in a second", "one round, plus one", []string{"pkg/scenario.TestTenThousandEventsInASecondCostOneRoundPlusOne", soakTest}},
		{39, "a person changes counts, capacity and hosts by hand", "it is seen and judged like anything else; a host that a person drained stays theirs", []string{soakTest, "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"}},
		{40, "the log takes no line", "no effect on what is decided", []string{soakTest}},
	}
}

// promise is one that everything is held against: the names of its violations in
// a soak, and its tests.
type promise struct {
	name, says string
	violations []string
	tests      []string
}

const (
	sabotaged = "pkg/scenario.TestAPlantedBugIsCaught"
	planted   = "pkg/scenario.TestTheDifferentialOracleCatchesAPlantedBug"
	faultless = "pkg/scenario.TestAfterAnyFaultTheClusterConvergesAndIsQuiet"
)

func promises() []promise {
	return []promise{
		{"S1", "no action of ours takes health away below the minimum healthy percent of the wanted count", []string{"S1"}, []string{sabotaged, "pkg/scenario.TestWhatTakesTooMuchHealthAndWhatDoesNot", "pkg/scenario.TestEverySmallCaseOfACount"}},
		{"S2", "no action of ours starts tasks above the maximum percent of the wanted count", []string{"S2"}, []string{sabotaged, "pkg/scenario.TestWhatStartsTooMuchAndWhatDoesNot", "pkg/scenario.TestEverySmallCaseOfACount"}},
		{"S3", "no port answers for another service's task, and no request meets a dead or wrong target after a planned stop; after any other end the target is gone 10 s after ECS knows, by the sweep alone within 180 s", []string{"S3"}, []string{portsTest, "pkg/scenario.TestAPlantedBugOfRegisterIsCaught", "pkg/scenario.TestTheBoundOnATargetThatStandsForNobody", "pkg/reconcile.TestAPortThatSomebodyElseTakesIsNotRegistered"}},
		{"S4", "each changing call has its intent and its decision written before, and each intent gets an outcome", []string{"S4"}, []string{sabotaged, "pkg/scenario.TestAnIntentIsTheRecordOfOneCall"}},
		{"S5", "one holder of a key at a time; no call begins with too little of the lease left", []string{"S5"}, []string{sabotaged, "pkg/scenario.TestWhoseLeaseItIs", "pkg/store.TestPlantedLeaseBugsAreCaught"}},
		{"S7", "no wanted count and no number of hosts is set outside of the policy's bounds", []string{"S7"}, []string{sabotaged, "pkg/scenario.TestOutsideIsWhatThePolicyDoesNotBound"}},
		{"S8", "nothing that the policy does not name is changed", []string{"S8"}, []string{sabotaged}},
		{"S10", "unknown is not zero: nothing leaves by a look that failed or a metric that is missing", []string{"S10"}, []string{sabotaged, "pkg/scenario.TestWhenAMetricNoLongerSpeaks"}},
		{"L1", "once faults are over, the cluster comes to the end that it comes to without them, with nothing left over: in a soak by the end of a calm of 55 minutes; after each fault alone within 5 sweeps (8 where a lease has to run out) more than it takes without it, and the 5 or 10 minutes for which some go on by themselves", []string{"differential"}, []string{soakTest, "pkg/scenario.TestEveryBuiltinEndsAsWithoutFaults", "pkg/scenario.TestDifferencesOfEnds", planted, faultless}},
		{"L2", "then it is quiet: no changing call in the last ten minutes of the calm, and no more rounds than the sweep makes and a few", []string{"L2"}, []string{soakTest, planted, faultless}},
		{"L3", "every message is worked on, or is a dead letter: none is left in a queue, or dropped there for its age", []string{"L3"}, []string{soakTest, planted, "pkg/store.TestEveryEventIsFollowedByALook"}},
		{"blame", "no service is under its floor by an action of ours alone, and each time was judged", []string{"blame"}, []string{soakTest, "pkg/scenario.TestTheBlameOracleTellsWhoseADipIs", "pkg/scenario.TestADipThatIsNotJudgedIsAViolation"}},
		{"run", "no run fails, panics or hangs", []string{"run"}, []string{soakTest, "pkg/simcloud.TestAHangingCoroutineFailsTheRunWithItsStack"}},
	}
}

func absent() []class {
	rollouts := "rollouts are ECS's own so far: plimsoll rolls nothing out"
	return []class{
		{21, "policy, count or revision changed in the midst of a rollout", rollouts, nil},
		{22, "an image that cannot start, a task definition that is gone", rollouts, nil},
		{23, "targets that never become healthy", "the simulated cloud has the fault, and no soak the load balancers for it; plimsoll does not judge tasks by their targets yet", nil},
		{32, "a drain that is stuck", "only empty hosts are drained", nil},
		{34, "limits of target groups and Cloud Map", "the simulated cloud has the fault, and no soak the load balancers for it; that limits are seen coming is shown of the planner alone", nil},
		{37, "a new version reads what an old one stored", "there is one version so far", nil},
	}
}

// explained are the runs of the figures that broke a promise, by scenario and seed,
// and what has become of it.
func explained() map[string]string {
	return map[string]string{
		"web-day 895": "a lower count rested on a read from before a person drained a host, and the monitor did not take what ECS went on taking from that host for the person's doing; it does since, and the run breaks nothing",
		"mixed 1903":  "a group that balanced its zones ended a host two minutes after the simulated cloud had noted it, so that blame looked for the cause too early; mended, and the run breaks nothing",
	}
}
