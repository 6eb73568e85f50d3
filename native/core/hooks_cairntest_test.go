//go:build cairntest

// Tests of the effect of a panic on a whole process: this test binary runs itself as the Go half.

package core

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

type processStream struct {
	io.Reader
	io.WriteCloser
}

func TestMain(m *testing.M) {
	if os.Getenv("CAIRN_TEST_SERVE") != "" {
		Serve(processStream{os.Stdin, os.Stdout})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestPanicsOfCoreAndOfALibrary(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "CAIRN_TEST_SERVE=1")
	input, _ := command.StdinPipe()
	output, _ := command.StdoutPipe()
	var complaint strings.Builder
	command.Stderr = &complaint
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	reply := func(id int, where string) string {
		fmt.Fprintf(input, `{"id":%d,"method":"panic","params":{"where":%q}}`+"\n", id, where)
		for lines.Scan() {
			if line := lines.Text(); strings.HasPrefix(line, fmt.Sprintf(`{"id":%d,`, id)) {
				return line
			}
		}
		return ""
	}
	for id := 1; id <= 2; id++ {
		if line := reply(id, "export-goroutine"); !strings.Contains(line, `"code":"internal"`) {
			t.Errorf("a panic of ours was answered with %q", line)
		}
	}
	if line := reply(3, "library-goroutine"); line != "" {
		t.Errorf("a panic of a library was answered with %q", line)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(complaint.String(), "as a library would") {
			t.Errorf("the process ended with %v and %q", err, complaint.String())
		}
	case <-time.After(5 * time.Second):
		command.Process.Kill()
		t.Error("the process continues after a library's panic")
	}
}
