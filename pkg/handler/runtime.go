package handler

import "strconv"

// Runtime are the settings of Go's runtime for a function with so many MiB, as the
// environment variables that Go reads. A deployment gives them, and so does
// make bench-lambda.
//
//   - One processor: below 1,769 MiB Lambda gives less than one, and shows two.
//     What the second does then is look for work, at the expense of the first.
//   - Collecting garbage at five times what lives, not at twice that: with a few
//     MiB alive, Go would do so every few rounds while most of the memory that is
//     paid for lies idle.
//   - From three quarters of the memory on as often as needed: a plan for thousands
//     of hosts must not end the function for the setting before.
//
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
func Runtime(memory int) map[string]string {
	return map[string]string{"GOMAXPROCS": "1", "GOGC": "400", "GOMEMLIMIT": strconv.Itoa(memory*3/4) + "MiB"}
}
