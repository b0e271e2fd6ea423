# Reads go test -v of planted bugs, and says how many were caught: the innermost
# test cases that passed, without those in which nothing is planted (called none).
/^ *--- FAIL: |^FAIL/ { failed = 1; print }
/^ *--- PASS: / {
	passed[$3] = 1
	for (outer = $3; sub(/\/[^\/]*$/, "", outer); ) inner[outer] = 1
}
/^(ok|FAIL) *\t/ { suites = suites "\n" $0 }
END {
	for (name in passed) if (!(name in inner) && name !~ /\/none(#[0-9]+)?$/) caught++
	print substr(suites, 2)
	print caught + 0 " planted bugs caught"
	exit failed
}
