// Reads a stream of server-sent events of the node. A stream that says nothing for a while is given up: the node sends
// a comment every 15 seconds.

package eventgrpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
)

var silence = 45 * time.Second

const (
	maxFrameBytes = 16 << 20
	// A larger buffer is not kept for the next event.
	keptFrameBytes = 64 << 10
)

var errSilent = connect.NewError(connect.CodeUnavailable, errors.New(
	"this node is silent: open the stream again from the last cairnposition"))

// feed is one open stream. next is called by one goroutine at a time.
type feed struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	reader *bufio.Reader
	line   []byte
	data   []byte
	idle   *time.Timer
}

func newFeed(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser) *feed {
	idle := time.AfterFunc(silence, func() { cancel(errSilent) })
	idle.Stop()
	return &feed{ctx: ctx, cancel: cancel, body: body, reader: bufio.NewReaderSize(body, 16<<10), idle: idle}
}

// close ends the stream.
func (f *feed) close() {
	f.idle.Stop()
	f.cancel(nil)
	f.body.Close()
}

// next returns the next event: its cursor and its text, which is valid until the next call. Without a text, the node
// says only how far it has looked. The error is the status that ends the call.
func (f *feed) next() (cursor string, event []byte, err error) {
	defer f.idle.Stop()
	for {
		name, id, data, err := f.frame()
		switch {
		case err != nil && f.ctx.Err() != nil:
			return "", nil, context.Cause(f.ctx)
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return "", nil, connect.NewError(connect.CodeUnavailable, errors.New(
				"this node ended the stream: open it again from the last cairnposition"))
		case err != nil:
			return "", nil, connect.NewError(connect.CodeUnavailable, err)
		case name == "end":
			return "", nil, endError(data)
		case len(data) > 0 || id != "":
			return id, data, nil
		}
	}
}

// frame reads up to the next empty line. Comments and fields of other readers show only that the node is there.
func (f *feed) frame() (name, id string, data []byte, err error) {
	if cap(f.data) > keptFrameBytes {
		f.data = nil
	}
	data = f.data[:0]
	seen := false
	for {
		f.idle.Reset(silence)
		line, err := f.readLine(maxFrameBytes - len(data))
		if err != nil {
			return "", "", nil, err
		}
		if len(line) == 0 {
			f.data = data
			return name, id, data, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "id":
			id = string(value)
		case "data":
			if seen {
				data = append(data, '\n')
			}
			data, seen = append(data, value...), true
		}
	}
}

func (f *feed) readLine(limit int) ([]byte, error) {
	if cap(f.line) > keptFrameBytes {
		f.line = nil
	}
	f.line = f.line[:0]
	for {
		part, err := f.reader.ReadSlice('\n')
		f.line = append(f.line, part...)
		if len(f.line) > limit {
			return nil, fmt.Errorf("an event of the stream has more than %d bytes", maxFrameBytes)
		}
		if err == nil {
			return bytes.TrimRight(f.line, "\r\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}

// endError returns why the node ended a stream.
func endError(data []byte) error {
	said := struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
		Oldest  string `json:"oldest"`
	}{Reason: "unavailable", Message: "This node ended the stream"}
	_ = json.Unmarshal(data, &said)
	// Its hint is for clients of HTTP.
	found := problem{Code: said.Reason, Detail: said.Message, Oldest: said.Oldest,
		Hint: "Open the stream again with the last cairnposition as the metadata cairn-since."}
	return found.asError()
}
