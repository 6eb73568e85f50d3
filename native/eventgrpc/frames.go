// Reads the body of a call by its frames: a message has a size and a deadline, and its bytes count for the caller until
// they are stored. Between two messages a stream may be quiet for as long as it likes.

package eventgrpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// A message has to come within the grace, and a second more for each so many bytes.
var (
	messageGrace     = 10 * time.Second
	messagePerSecond = int64(16 << 10)
)

// How often bytes that are held are asked for.
const takeAgain = 20 * time.Millisecond

// frames is the body of one call. Read is called by one goroutine at a time.
type frames struct {
	io.ReadCloser
	control *http.ResponseController
	caller  string
	bytes   Budget

	prefix [5]byte
	known  int   // bytes of the prefix that were read
	left   int64 // bytes of the message that were not
	failed error

	ended  chan struct{}
	ending sync.Once

	mu    sync.Mutex
	held  int64 // bytes of the newest message, until claim or the next one
	timer *time.Timer
	late  bool
}

func newFrames(body io.ReadCloser, control *http.ResponseController, caller string, bytes Budget) *frames {
	// The deadline that held until here is that of a body as a whole.
	_ = control.SetReadDeadline(time.Time{})
	return &frames{ReadCloser: body, control: control, caller: caller, bytes: bytes, ended: make(chan struct{})}
}

// Read reads from the body. It fails with the status of the call where a message is too large, comes too slowly, or its
// caller holds too much.
func (f *frames) Read(into []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	count, err := f.ReadCloser.Read(into)
	f.walk(into[:count])
	if f.failed != nil {
		return 0, f.failed
	}
	if err != nil && err != io.EOF && f.tooLate() {
		err = connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf(
			"a message came too slowly and was given up: send at least %d bytes a second", messagePerSecond))
	}
	return count, err
}

// walk follows the frames of what was read.
func (f *frames) walk(part []byte) {
	for len(part) > 0 && f.failed == nil {
		if f.left > 0 {
			step := min(f.left, int64(len(part)))
			f.left -= step
			part = part[step:]
			if f.left == 0 {
				f.arrived()
			}
			continue
		}
		step := copy(f.prefix[f.known:], part)
		f.known += step
		part = part[step:]
		if f.known == len(f.prefix) {
			f.known = 0
			f.failed = f.begin(int64(binary.BigEndian.Uint32(f.prefix[1:])), f.prefix[0]&1 != 0)
		}
	}
}

// begin counts a message that comes next.
func (f *frames) begin(size int64, compressed bool) error {
	f.release(f.claim())
	if size > MaxMessageBytes {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf(
			"a message has %d bytes, %d are allowed: send less in one message", size, MaxMessageBytes))
	}
	hold := size
	if compressed {
		hold = MaxMessageBytes // what it may have when it is decompressed
	}
	if !f.take(hold) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New(
			"too many bytes of this caller, or of all together, wait to be stored: send fewer messages at once"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held, f.left = hold, size
	if size > 0 {
		within := messageGrace + time.Duration(size/messagePerSecond)*time.Second
		f.timer = time.AfterFunc(within, f.giveUp)
	}
	return nil
}

// take waits for a while where the caller holds too much: its other messages are being stored.
func (f *frames) take(count int64) bool {
	until := time.Now().Add(messageGrace)
	for !f.bytes.Take(f.caller, count) {
		select {
		case <-f.ended:
			return false
		case <-time.After(takeAgain):
		}
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

func (f *frames) arrived() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Stop()
}

func (f *frames) giveUp() {
	f.mu.Lock()
	f.late = true
	f.mu.Unlock()
	f.end()
}

func (f *frames) tooLate() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.late
}

// claim returns the bytes that are counted for the newest message; whoever claims them releases them.
func (f *frames) claim() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.held
	f.held = 0
	return held
}

func (f *frames) release(count int64) {
	if count > 0 {
		f.bytes.Give(f.caller, count)
	}
}

// end ends a read that is under way, and all later ones.
func (f *frames) end() {
	f.ending.Do(func() { close(f.ended) })
	_ = f.control.SetReadDeadline(time.Unix(1, 0))
}

// finish gives back what is still counted. The call has ended, no one reads any more.
func (f *frames) finish() {
	f.mu.Lock()
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.release(f.claim())
}
