package infra

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/aws/jsii-runtime-go"
)

// TestMain ends the one process of jsii that all tests of the package share: so
// none of them may run beside another, nor under the race detector.
// Without Node there is no jsii: all is left out aloud, and fails where the
// environment variable CI is set.
func TestMain(m *testing.M) {
	if _, err := exec.LookPath("node"); err != nil {
		fmt.Println("LEFT OUT: the deployment's tests, for want of Node")
		if os.Getenv("CI") != "" {
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}
