// The channel: JSON lines over one stream, requests run concurrently, replies in any order.
// What the methods do is in methods.go; what leaves is queued by outbox.go.

package core

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	maxRequestsInFlight = 64
	requestDeadline     = 30 * time.Second
	upDeadline          = 60 * time.Second
	closeDeadline       = 950 * time.Millisecond
	raftCloseDeadline   = 1200 * time.Millisecond
	// A Raspberry Pi runs this beside Bun: collect early, and hard above this.
	memoryLimitBytes = 256 << 20
)

var tuneOnce sync.Once

// Serve speaks the channel over stream until it ends, then closes the node. It returns within about a second of the end.
func Serve(stream io.ReadWriteCloser) {
	ServeWith(stream, Options{})
}

// ServeWith is Serve with the outside things that tests replace.
func ServeWith(stream io.ReadWriteCloser, options Options) {
	tuneOnce.Do(func() {
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(memoryLimitBytes)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	current := &session{ctx: ctx, box: newOutbox(), options: options, slots: make(chan struct{}, maxRequestsInFlight), upped: make(chan struct{})}
	current.raft = &raftHost{session: current}
	written := make(chan struct{})
	goSafe("the channel's writer", func(string) {}, func() {
		defer close(written)
		defer stream.Close()
		_ = current.box.drain(stream)
	})
	current.box.send(HelloEvent{Event: "hello", Protocol: ProtocolVersion, Tailscale: TailscaleVersion, Go: runtime.Version()})
	func() {
		defer recoverTo("the channel's reader", current.logError)
		if err := current.read(stream); err != nil {
			current.box.send(MessageEvent{Event: "fatal", Message: err.Error()})
		}
	}()
	cancel()
	func() {
		defer recoverTo("closing the node", func(string) {})
		current.shutdown()
	}()
	finished := make(chan struct{})
	goSafe("waiting for replies", func(string) {}, func() {
		current.running.Wait()
		close(finished)
	})
	select {
	case <-finished:
	case <-time.After(100 * time.Millisecond):
	}
	current.box.close()
	select {
	case <-written:
	case <-time.After(200 * time.Millisecond):
		stream.Close()
	}
}

type session struct {
	ctx     context.Context
	box     *outbox
	options Options
	slots   chan struct{}
	running sync.WaitGroup
	raft    *raftHost

	mu       sync.Mutex
	starting bool
	node     *Node
	upped    chan struct{} // closed and made anew when a node is up
}

func (current *session) logError(message string) {
	current.box.send(LogEvent{Event: "log", Level: "error", Message: message})
}

// read takes lines until the stream ends. A line over the limit ends the channel: nothing after it can be trusted.
func (current *session) read(stream io.Reader) error {
	reader := bufio.NewReaderSize(stream, 64<<10)
	for {
		line, err := readLine(reader)
		if err != nil {
			if errors.Is(err, errLineTooLong) {
				return err
			}
			return nil
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var request Request
		if err := decodeStrict(line, &request); err != nil || request.ID <= 0 || request.Method == "" {
			current.box.send(Reply{ID: request.ID, Error: &Fault{
				Code: CodeBadRequest, Message: "not a request: want {\"id\":1,\"method\":\"…\",\"params\":{…}}" + detail(err)}})
			continue
		}
		if request.Method != "close" {
			current.slots <- struct{}{}
		}
		current.running.Add(1)
		goSafe("method "+request.Method, current.logError, func() {
			defer current.running.Done()
			if request.Method != "close" {
				defer func() { <-current.slots }()
			}
			current.box.send(current.answer(request))
		})
	}
}

// answer runs one request; a panic below it becomes an `internal` error.
func (current *session) answer(request Request) (reply Reply) {
	defer recoverTo("method "+request.Method, func(message string) {
		current.logError(message)
		reply = Reply{ID: request.ID, Error: &Fault{Code: CodeInternal, Message: "method " + request.Method + " panicked; the log has the stack"}}
	})
	deadline := requestDeadline
	if request.Method == "up" {
		deadline = upDeadline
	}
	ctx, cancel := context.WithTimeout(current.ctx, deadline)
	defer cancel()
	method, known := methods[request.Method]
	if !known {
		return Reply{ID: request.ID, Error: &Fault{Code: CodeUnknownMethod, Message: fmt.Sprintf("no method %.64q", request.Method)}}
	}
	result, err := method(ctx, current, request.Params)
	if err == nil {
		return Reply{ID: request.ID, Result: result}
	}
	var fault *Fault
	switch {
	case errors.As(err, &fault):
	case errors.Is(err, context.DeadlineExceeded):
		fault = &Fault{Code: CodeTimeout, Message: fmt.Sprintf("%s did not finish in %v", request.Method, deadline)}
	default:
		fault = &Fault{Code: CodeInternal, Message: err.Error()}
	}
	return Reply{ID: request.ID, Error: fault}
}

var errLineTooLong = fmt.Errorf("a line on the channel is longer than %d bytes; the channel ends here", MaxLineBytes)

func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > MaxLineBytes+1 {
			return nil, errLineTooLong
		}
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// decodeStrict decodes one JSON value and refuses unknown fields and anything after it.
func decodeStrict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

func detail(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
