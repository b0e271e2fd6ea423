//go:build unix

package infra

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestTheHoldScriptSleepsAfterSIGTERMAndOnlyThen(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here to run the script")
	}
	hold := exec.CommandContext(t.Context(), shell, "-c", "echo up; "+holdScript(1))
	hold.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-hold.Process.Pid, syscall.SIGKILL) })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		state, err := hold.Process.Wait()
		if err == nil && state.ExitCode() != 0 {
			err = fmt.Errorf("exit code %d", state.ExitCode())
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("it ended before it was told to: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	told := time.Now()
	if err := hold.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || time.Since(told) < time.Second {
		t.Errorf("it ended %v after SIGTERM: %v", time.Since(told), err)
	}
}
