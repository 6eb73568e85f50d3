// The queue of outgoing lines of the channel. Writers never wait for the reader, as tailscale logs while holding locks.
// Log lines are dropped first when the reader is slow.

package core

import (
	"encoding/json"
	"io"
	"sync"
)

const (
	maxQueuedLines = 8192
	maxQueuedLogs  = 1024
)

type outbox struct {
	mu      sync.Mutex
	wake    *sync.Cond
	lines   [][]byte
	closed  bool
	dropped int
}

func newOutbox() *outbox {
	box := &outbox{}
	box.wake = sync.NewCond(&box.mu)
	return box
}

// send queues one value as a line; it never blocks. A reply that is too long is replaced by an error.
func (o *outbox) send(value any) {
	line, err := json.Marshal(value)
	if reply, ok := value.(Reply); ok && (err != nil || len(line) > MaxLineBytes) {
		message := "the reply is longer than the channel's line limit"
		if err != nil {
			message = "cannot encode the reply: " + err.Error()
		}
		line, err = json.Marshal(Reply{ID: reply.ID, Error: &Fault{Code: CodeInternal, Message: message}})
	}
	if err != nil || len(line) > MaxLineBytes {
		return
	}
	_, isLog := value.(LogEvent)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if isLog && len(o.lines) >= maxQueuedLogs {
		o.dropped++
		return
	}
	if len(o.lines) >= maxQueuedLines {
		// The reader is gone or stuck: end the channel.
		o.closed = true
		o.wake.Broadcast()
		return
	}
	o.lines = append(o.lines, append(line, '\n'))
	o.wake.Signal()
}

// close lets drain write what is queued and return.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wake.Broadcast()
}

// drain writes lines until the outbox is closed and empty, or the writer fails.
func (o *outbox) drain(writer io.Writer) error {
	for {
		o.mu.Lock()
		for len(o.lines) == 0 && !o.closed {
			o.wake.Wait()
		}
		lines := o.lines
		o.lines = nil
		closed := o.closed
		o.mu.Unlock()
		for _, line := range lines {
			if _, err := writer.Write(line); err != nil {
				o.close()
				return err
			}
		}
		if closed && len(lines) == 0 {
			return nil
		}
	}
}
