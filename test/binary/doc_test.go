// Package binary runs the functions as Lambda does: their real binaries, as
// processes, under a Runtime API and an AWS of this package's own. Both speak
// HTTP; behind AWS's wire formats stands the simulated cloud, so it holds state.
// There is no code here, only tests and the programs that they build.
package binary
