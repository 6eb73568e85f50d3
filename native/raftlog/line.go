// One accepted connection: what comes over it is known to come from the server of its hello, and goes to raft only if that server is a voter
// at that moment and speaks for itself (security.md 8).

package raftlog

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	maxInFlight = 16
	// A member opens some three connections of each pool. More are left by lives that ended without a word; the oldest go first.
	maxLinesPerServer = 32
)

// line is a StreamLayer of one connection, so that a NetworkTransport of its own decodes it.
type line struct {
	conn   *lineConn
	from   string
	number uint64
	given  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// lineConn tells when its transport is done with it.
type lineConn struct {
	net.Conn
	gone chan struct{}
	once sync.Once
}

func (conn *lineConn) Close() error {
	conn.once.Do(func() { close(conn.gone) })
	return conn.Conn.Close()
}

func newLine(from string, conn net.Conn) *line {
	made := &line{conn: &lineConn{Conn: conn, gone: make(chan struct{})}, from: from, given: make(chan net.Conn, 1), closed: make(chan struct{})}
	made.given <- made.conn
	return made
}

func (line *line) Accept() (net.Conn, error) {
	select {
	case conn := <-line.given:
		return conn, nil
	case <-line.closed:
		return nil, net.ErrClosed
	}
}

func (line *line) Close() error {
	line.once.Do(func() { close(line.closed) })
	return line.conn.Close()
}

func (line *line) Addr() net.Addr { return line.conn.LocalAddr() }

func (line *line) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("an accepted connection dials nobody")
}

// serve gives raft what comes over the connection until it ends, or until its server says what it may not.
func (both *transport) serve(from string, conn net.Conn) {
	one := newLine(from, conn)
	if !both.take(one) {
		conn.Close()
		return
	}
	defer both.leave(one)
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: one, Timeout: bulkDeadline, MaxRPCsInFlight: maxInFlight,
		Logger: hclog.NewNullLogger()}) // what ends a connection is said here, and by who dialled
	defer inner.Close()
	for {
		select {
		case call := <-inner.Consumer():
			if err := both.node.allows(from, call); err != nil {
				both.node.options.Log.Warn("a connection was cut", "from", from, "reason", err)
				return
			}
			if call.Reader != nil {
				call.Reader = &patientReader{Reader: call.Reader, conn: one.conn, idle: copyIdle}
			}
			select {
			case both.calls <- call:
			case <-both.closed:
				return
			case <-one.conn.gone:
				return
			}
		case <-both.closed:
			return
		case <-one.conn.gone:
			return
		}
	}
}

func (both *transport) take(one *line) bool {
	both.mu.Lock()
	defer both.mu.Unlock()
	select {
	case <-both.closed:
		return false
	default:
	}
	open := 0
	var oldest *line
	for known := range both.lines {
		if known.from != one.from {
			continue
		}
		open++
		if oldest == nil || known.number < oldest.number {
			oldest = known
		}
	}
	if open >= maxLinesPerServer {
		oldest.conn.Close()
		delete(both.lines, oldest)
	}
	both.taken++
	one.number = both.taken
	both.lines[one] = struct{}{}
	return true
}

func (both *transport) leave(one *line) {
	both.mu.Lock()
	delete(both.lines, one)
	both.mu.Unlock()
	one.Close()
}

// allows refuses a call in another server's name, and any of a server that is no voter now: raft itself would follow it.
func (node *Node) allows(from string, call raft.RPC) error {
	command, named := call.Command.(raft.WithRPCHeader)
	if !named {
		return refuse("bad_call", "a call without a sender")
	}
	if header := command.GetRPCHeader(); string(header.ID) != from || string(header.Addr) != from {
		return refuse("bad_call", "a call in the name of %.64q", header.ID)
	}
	return node.mayOrder(from)
}
