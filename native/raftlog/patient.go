// A copy of the store is read on raft's main thread, which hears nobody meanwhile, and a leader that was killed sends no end: a reader that waits no longer than
// this for the next byte lets the member hear the next leader.

package raftlog

import (
	"io"
	"net"
	"time"
)

// copyIdle is how long a copy that comes in may stand still.
const copyIdle = 10 * time.Second

// patientReader reads what comes over a connection and fails where nothing comes for so long.
type patientReader struct {
	io.Reader
	conn net.Conn
	idle time.Duration
	// ended is the first failure. raft reads on to the end of what failed; what comes late must not be taken for a call either.
	ended error
}

func (reader *patientReader) Read(into []byte) (int, error) {
	if reader.ended != nil {
		return 0, reader.ended
	}
	if err := reader.conn.SetReadDeadline(time.Now().Add(reader.idle)); err != nil {
		return 0, err
	}
	count, err := reader.Reader.Read(into)
	if err != nil && err != io.EOF {
		reader.ended = err
		reader.conn.Close()
		return count, err
	}
	// Between calls a connection may be quiet for as long as it likes.
	_ = reader.conn.SetReadDeadline(time.Time{})
	return count, err
}
