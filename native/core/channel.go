// The channel: JSON lines over one stream. Requests run concurrently; replies come in any order. methods.go implements
// the methods; outbox.go queues the outgoing lines.

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
	// For a Raspberry Pi that also runs Bun: collect early, and aggressively above this limit.
	memoryLimitBytes = 256 << 20
)

var tuneOnce sync.Once

// Serve runs the channel over stream until it ends, then closes the node. It returns within about a second of the end.
func Serve(stream io.ReadWriteCloser) {
	ServeWith(stream, Options{})
}

// ServeWith is Serve with the dependencies that tests replace.
func ServeWith(stream io.ReadWriteCloser, options Options) {
	tuneOnce.Do(func() {
		debug.SetGCPercent(50)
		debug.SetMemoryLimit(memoryLimitBytes)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &session{
		ctx:     ctx,
		out:     newOutbox(),
		options: options,
		slots:   make(chan struct{}, maxRequestsInFlight),
		nodeUp:  make(chan struct{}),
	}
	s.raft = &raftHost{session: s}
	written := make(chan struct{})
	goSafe("the channel's writer", func(string) {}, func() {
		defer close(written)
		defer stream.Close()
		_ = s.out.drain(stream)
	})
	s.out.send(HelloEvent{Event: "hello", Protocol: ProtocolVersion, Tailscale: TailscaleVersion, Go: runtime.Version()})
	func() {
		defer recoverTo("the channel's reader", s.logError)
		if err := s.read(stream); err != nil {
			s.out.send(MessageEvent{Event: "fatal", Message: err.Error()})
		}
	}()
	cancel()
	func() {
		defer recoverTo("closing the node", func(string) {})
		s.shutdown()
	}()
	finished := make(chan struct{})
	goSafe("waiting for replies", func(string) {}, func() {
		s.running.Wait()
		close(finished)
	})
	select {
	case <-finished:
	case <-time.After(100 * time.Millisecond):
	}
	s.out.close()
	select {
	case <-written:
	case <-time.After(200 * time.Millisecond):
		stream.Close()
	}
}

type session struct {
	ctx     context.Context
	out     *outbox
	options Options
	slots   chan struct{}
	running sync.WaitGroup
	raft    *raftHost

	mu       sync.Mutex
	starting bool
	node     *Node
	nodeUp   chan struct{} // closed and replaced when a node is up
}

func (s *session) logError(message string) {
	s.out.send(LogEvent{Event: "log", Level: "error", Message: message})
}

// read handles lines until the stream ends. A line over the limit ends the channel: the rest cannot be trusted.
func (s *session) read(stream io.Reader) error {
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
			s.out.send(Reply{ID: request.ID, Error: &Fault{
				Code: CodeBadRequest, Message: "not a request: want {\"id\":1,\"method\":\"…\",\"params\":{…}}" + detail(err)}})
			continue
		}
		if request.Method != "close" {
			s.slots <- struct{}{}
		}
		s.running.Add(1)
		goSafe("method "+request.Method, s.logError, func() {
			defer s.running.Done()
			if request.Method != "close" {
				defer func() { <-s.slots }()
			}
			s.out.send(s.handle(request))
		})
	}
}

// handle runs one request; a panic below it becomes an `internal` error.
func (s *session) handle(request Request) (reply Reply) {
	defer recoverTo("method "+request.Method, func(message string) {
		s.logError(message)
		reply = Reply{
			ID:    request.ID,
			Error: &Fault{Code: CodeInternal, Message: "method " + request.Method + " panicked; the log has the stack"},
		}
	})
	deadline := requestDeadline
	if request.Method == "up" {
		deadline = upDeadline
	}
	ctx, cancel := context.WithTimeout(s.ctx, deadline)
	defer cancel()
	method, known := methods[request.Method]
	if !known {
		return Reply{
			ID:    request.ID,
			Error: &Fault{Code: CodeUnknownMethod, Message: fmt.Sprintf("no method %.64q", request.Method)},
		}
	}
	result, err := method(ctx, s, request.Params)
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
