// Bounds how long a copy may stall. raft reads a copy on its main thread and handles nothing else meanwhile, and a
// killed leader sends no end of stream: without a timeout the member would never follow the next leader.

package raftlog

import (
	"io"
	"net"
	"time"
)

// copyIdleTimeout is how long an incoming copy may stall. Tests make it shorter.
var copyIdleTimeout = 10 * time.Second

// timeoutReader reads from a connection and fails if nothing arrives for the idle duration.
type timeoutReader struct {
	io.Reader
	conn net.Conn
	idle time.Duration
	// failed is the first error. raft reads on to the end of a failed copy, and late bytes must not be decoded as a call.
	failed error
}

func (r *timeoutReader) Read(into []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
		return 0, err
	}
	count, err := r.Reader.Read(into)
	if err != nil && err != io.EOF {
		r.failed = err
		r.conn.Close()
		return count, err
	}
	// Between calls a connection may be idle for any time.
	_ = r.conn.SetReadDeadline(time.Time{})
	return count, err
}
