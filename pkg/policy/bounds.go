package policy

// Floor is the fewest healthy tasks that a service of desired tasks keeps while
// tasks are replaced: desired times the percent, rounded up as ECS does
// (DeploymentConfiguration.minimumHealthyPercent).
func Floor(desired, minimumHealthyPercent int) int {
	return (desired*minimumHealthyPercent + 99) / 100
}

// Ceiling is the most tasks that a service of desired tasks may have while tasks
// are replaced: desired times the percent, rounded down as ECS does
// (DeploymentConfiguration.maximumPercent).
func Ceiling(desired, maximumPercent int) int {
	return desired * maximumPercent / 100
}

// stuck says whether a service of desired tasks can replace none: none may stop
// before another started, and none may start before another stopped.
func stuck(desired, minimumHealthyPercent, maximumPercent int) bool {
	return Floor(desired, minimumHealthyPercent) >= desired && Ceiling(desired, maximumPercent) <= desired
}

// unstuck are the bounds nearest to stuck ones that let a service of desired
// tasks move, each without the other: the largest minimum healthy percent with
// which one task may stop, and the smallest maximum percent with which one more
// may start.
func unstuck(desired int) (minimumHealthyPercent, maximumPercent int) {
	return 100 * (desired - 1) / desired, (100*(desired+1) + desired - 1) / desired
}

// largestCount is the count at which bounds are least likely to be stuck: the
// more tasks, the smaller the share of one. Bounds that are stuck there are
// stuck at every count. Where the policy does not bound the count, 100 tasks
// decide: one of them is one percent.
func (s Service) largestCount() int {
	if s.Tasks == nil {
		return 100
	}
	return s.Tasks.Max
}
