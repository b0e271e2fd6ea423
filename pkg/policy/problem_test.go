package policy

import "testing"

func TestProblemsNameFileAndLine(t *testing.T) {
	got := Problems{
		{Path: "hosts[0].max", Line: 7, Found: "2", Allowed: "5 or more", Help: "set max: 5"}, {Found: "nothing", Allowed: "a policy"},
	}.In("p.yaml") + Problems{{Path: "t.csv:3", Found: `"x"`, Allowed: "numbers"}}.In("t.csv")
	want := "p.yaml:7: hosts[0].max: found 2, allowed 5 or more; set max: 5\np.yaml: found nothing, allowed a policy\nt.csv:3: found \"x\", allowed numbers\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
