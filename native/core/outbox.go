// The lines that leave by the channel: queued, so that no caller (tailscale logs while
// holding locks) ever waits for the reader. Log lines are dropped first when it is slow.

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

// send queues one value as a line; it never blocks. Reply lines that are too long become an error.
func (box *outbox) send(value any) {
	line, err := json.Marshal(value)
	if reply, is := value.(Reply); is && (err != nil || len(line) > MaxLineBytes) {
		message := "the reply is longer than one line of the channel may be"
		if err != nil {
			message = "cannot encode the reply: " + err.Error()
		}
		line, err = json.Marshal(Reply{ID: reply.ID, Error: &Fault{Code: CodeInternal, Message: message}})
	}
	if err != nil || len(line) > MaxLineBytes {
		return
	}
	_, isLog := value.(LogEvent)
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.closed {
		return
	}
	if isLog && len(box.lines) >= maxQueuedLogs {
		box.dropped++
		return
	}
	if len(box.lines) >= maxQueuedLines {
		// The reader is gone or stuck: ending the channel is the only honest answer left.
		box.closed = true
		box.wake.Broadcast()
		return
	}
	box.lines = append(box.lines, append(line, '\n'))
	box.wake.Signal()
}

// close lets drain write what is queued and return.
func (box *outbox) close() {
	box.mu.Lock()
	box.closed = true
	box.mu.Unlock()
	box.wake.Broadcast()
}

// drain writes lines until the box is closed and empty, or the writer fails.
func (box *outbox) drain(writer io.Writer) error {
	for {
		box.mu.Lock()
		for len(box.lines) == 0 && !box.closed {
			box.wake.Wait()
		}
		lines := box.lines
		box.lines = nil
		closed := box.closed
		box.mu.Unlock()
		for _, line := range lines {
			if _, err := writer.Write(line); err != nil {
				box.close()
				return err
			}
		}
		if closed && len(lines) == 0 {
			return nil
		}
	}
}
