// Command tailnet runs a whole tailnet on loopback, controlled by JSON lines: for tests and for trials without a
// Tailscale account. Its contract is native/TAILNET.md. This file is the framing; the methods are in methods.go.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"cairn.internal/native/tailnettest"
)

const (
	maxLineBytes  = 1 << 20
	maxConcurrent = 64
	callTimeout   = 60 * time.Second
	exitTimeout   = 8 * time.Second // tsnet needs up to 5 s to close
)

type request struct {
	ID     int64           `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

type reply struct {
	ID     int64    `json:"id"`
	Result any      `json:"result,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address of the control server")
	verbose := flag.Bool("verbose", false, "write the logs of servers and clients to stderr")
	flag.Parse()
	debug.SetGCPercent(50)
	options := tailnettest.Options{Listen: *listen}
	log.SetOutput(io.Discard) // parts of tailscale log there
	if *verbose {
		log.SetOutput(os.Stderr)
		options.Logf = log.Printf
	}
	tailnet, err := tailnettest.Start(options)
	if err != nil {
		fmt.Fprintf(os.Stderr, "tailnet: %v\n", err)
		os.Exit(1)
	}
	out := &lines{to: os.Stdout}
	out.write(map[string]string{"event": "ready", "controlUrl": tailnet.ControlURL(), "domain": tailnet.Domain()})
	// Ctrl-C reaches the whole terminal, and nodes need their tailnet until they have ended.
	signal.Ignore(os.Interrupt)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- serve(os.Stdin, out, &methods{tailnet: tailnet}) }()
	var readErr error
	select {
	case readErr = <-ended:
	case <-terminated:
	}

	time.AfterFunc(exitTimeout, func() { os.Exit(1) })
	if err := tailnet.Close(); err != nil {
		fmt.Fprintf(os.Stderr, "tailnet: closing: %v\n", err)
		os.Exit(1)
	}
	if readErr != nil {
		fmt.Fprintf(os.Stderr, "tailnet: %v\n", readErr)
		os.Exit(1)
	}
}

// serve handles requests, each in its own goroutine, until the input ends, then cancels those still running.
func serve(in io.Reader, out *lines, methods *methods) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	slots := make(chan struct{}, maxConcurrent)
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxLineBytes)
	for scanner.Scan() {
		var call request
		if err := json.Unmarshal(scanner.Bytes(), &call); err != nil {
			out.write(reply{
				Error: &failure{
					Code:    "bad_request",
					Message: fmt.Sprintf("not a request: %v", err),
					Hint:    `one line of {"id":1,"method":"…","params":{…}}`,
				},
			})
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			limited, done := context.WithTimeout(ctx, callTimeout)
			defer done()
			out.write(handle(limited, methods, call))
		}()
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("cannot read the next line (at most %d bytes): %w", maxLineBytes, err)
	}
	return nil
}

// lines writes one JSON object per line, whole lines only.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) write(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		line, _ = json.Marshal(reply{Error: &failure{Code: "internal", Message: err.Error()}})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to.Write(append(line, '\n')) // if the reader has ended, our input is closed, too
}
