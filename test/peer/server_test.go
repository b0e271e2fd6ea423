package peer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a moto process.
type server struct {
	address string // http://host:port
	client  *client
	process *exec.Cmd
	stdin   io.Closer     // open for as long as moto shall live
	heard   chan struct{} // closed when its stderr has ended

	mu     sync.Mutex
	wrongs []string // lines that a test must fail for, not told yet
}

// patience is how long moto may take to start, and to end.
const patience = 30 * time.Second

// knownMissing are the calls that moto does not have and that the tests make all
// the same: see the quirks.
var knownMissing = regexp.MustCompile(`(launch_instances|complete_lifecycle_action|record_lifecycle_action_heartbeat|update_task_protection) action`)

// tied is moto_server, on a port of its own choice, that ends with its stdin: it
// must not outlive a test that is killed.
const tied = `
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(["-p", "0"])
`

// start starts moto and waits until it answers.
func start(python string) (*server, error) {
	s := &server{client: &client{}, process: exec.Command(python, "-c", tied), heard: make(chan struct{})}
	var err error
	if s.stdin, err = s.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	s.process.Env = append(os.Environ(), "MOTO_ACCOUNT_ID="+account, "MOTO_EC2_LOAD_DEFAULT_AMIS=false") // which take a second after each reset
	stderr, err := s.process.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start moto: %w", err)
	}
	addresses := make(chan string, 1)
	go s.listen(stderr, addresses)
	select {
	case s.address = <-addresses:
	case <-time.After(patience):
	}
	if s.address == "" {
		return nil, errors.Join(errors.New("moto does not say where it listens"), s.stop())
	}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// listen reads moto's stderr to its end: its address, and what it complains of.
func (s *server) listen(stderr io.Reader, addresses chan<- string) {
	defer close(s.heard)
	defer close(addresses)
	running := regexp.MustCompile(`Running on (http://[0-9.]+:[0-9]+)`)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for told := false; lines.Scan(); {
		if m := running.FindStringSubmatch(lines.Text()); m != nil && !told {
			addresses <- m[1]
			told = true
		}
		if strings.HasPrefix(lines.Text(), "NotImplementedError") && !knownMissing.MatchString(lines.Text()) {
			s.mu.Lock()
			s.wrongs = append(s.wrongs, lines.Text())
			s.mu.Unlock()
		}
	}
}

func (s *server) await() error {
	var err error
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		var out *http.Response
		if out, err = http.Get(s.address + "/moto-api/data.json"); err == nil {
			out.Body.Close()
			return nil
		}
	}
	return fmt.Errorf("wait for moto: %w", err)
}

// post asks moto itself, where a test has ended.
func (s *server) post(path, body string) error {
	out, err := http.Post(s.address+path, "text/plain", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	defer out.Body.Close()
	if out.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s", path, out.Status)
	}
	return nil
}

// complaints are moto's lines about what it does not implement since the last call.
func (s *server) complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.wrongs
	s.wrongs = nil
	return all
}

// stop ends the process.
func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop moto: %w", err)
	}
	select {
	case <-s.heard:
	case <-time.After(patience):
		return errors.Join(errors.New("moto does not end"), s.process.Process.Kill())
	}
	var ended *exec.ExitError
	if err := s.process.Wait(); err != nil && !errors.As(err, &ended) { // a signal's end is no trouble
		return fmt.Errorf("stop moto: %w", err)
	}
	return nil
}

// mended is an answer as AWS would give it, where moto's cannot be decoded: ECS's
// tasks have their cpu and memory as text (API reference, Task and Container); a
// refusal is JSON where the protocol is, and else stands right within ErrorResponse.
func mended(operation string, body []byte) []byte {
	service, _, _ := strings.Cut(operation, ":")
	if bytes.HasPrefix(body, []byte("<")) && bytes.Contains(body, []byte("AccessDenied")) && slices.Contains([]string{"dynamodb", "ecs", "sqs"}, service) {
		return []byte(`{"__type":"AccessDeniedException","message":"not allowed: ` + operation + `"}`)
	}
	if bytes.Contains(body, []byte("<ErrorResponse><Errors>")) {
		return bytes.Replace(bytes.Replace(body, []byte("<Errors>"), nil, 1), []byte("</Errors>"), nil, 1)
	}
	if !slices.Contains([]string{"ecs:RunTask", "ecs:StartTask", "ecs:DescribeTasks", "ecs:StopTask"}, operation) {
		return body
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return body // an error page: the SDK will say so
	}
	mend(answer)
	out, err := json.Marshal(answer)
	if err != nil {
		return body
	}
	return out
}

func mend(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			mend(x)
		}
	case map[string]any:
		for name, x := range v {
			n, isNumber := x.(float64)
			if isNumber && (name == "cpu" || name == "memory") {
				v[name] = strconv.FormatFloat(n, 'f', -1, 64)
				continue
			}
			if name != "overrides" { // whose numbers are numbers
				mend(x)
			}
		}
	}
}

func TestAnswersAreMendedWhereTheSDKCannotReadThem(t *testing.T) {
	rows := []struct{ name, operation, body, want string }{
		{"a container's amounts become text", "ecs:DescribeTasks", `{"tasks":[{"containers":[{"cpu":256,"memory":512}]}]}`, `{"tasks":[{"containers":[{"cpu":"256","memory":"512"}]}]}`},
		{"what is text stays", "ecs:RunTask", `{"tasks":[{"cpu":"256"}]}`, `{"tasks":[{"cpu":"256"}]}`},
		{"overrides have numbers", "ecs:RunTask", `{"tasks":[{"overrides":{"containerOverrides":[{"cpu":1}]}}]}`, `{"tasks":[{"overrides":{"containerOverrides":[{"cpu":1}]}}]}`},
		{"other calls pass as they are", "ecs:DescribeTaskDefinition", `{"cpu": 256}`, `{"cpu": 256}`},
		{"a refusal gets its right place", "autoscaling:X", `<ErrorResponse><Errors><Error><Code>AccessDenied</Code></Error></Errors></ErrorResponse>`, `<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`},
		{"and is JSON where AWS's is", "ecs:X", `<?xml?><ErrorResponse><Errors><Error><Code>AccessDenied</Code></Error></Errors></ErrorResponse>`, `{"__type":"AccessDeniedException","message":"not allowed: ecs:X"}`},
		{"and what is no JSON", "ecs:RunTask", `<html>`, `<html>`},
	}
	for _, r := range rows {
		if got := string(mended(r.operation, []byte(r.body))); got != r.want {
			t.Errorf("%s: %s", r.name, got)
		}
	}
}
