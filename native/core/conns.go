// Registry of all open ingress connections, upgraded ones included. Bounds their number and holds each one's caller
// check, so that revocation can close it. caller.go makes the checks.

package core

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConnections          = 4096
	maxConnectionsPerCaller = 512
	// An h2 connection carries many requests at once; each takes a socket of the target.
	maxRequests          = 8192
	maxRequestsPerCaller = 1024
	// Answers of a known size that wait to be taken.
	maxAnswerBytes          = 256 << 20
	maxAnswerBytesPerCaller = 64 << 20
	// Streams of gRPC, and bytes of their messages that are not stored yet.
	maxCallStreams          = 2048
	maxCallStreamsPerCaller = 256
	maxCallBytes            = 128 << 20
	maxCallBytesPerCaller   = 32 << 20
)

type connections struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{}
	// A device has two addresses, and is known as one caller from its first request on.
	byAddress  *shares
	byCaller   *shares
	requests   *shares
	answers    *shares
	streams    *shares
	messages   *shares
	generation atomic.Uint64 // counts changes of rights
}

func newConnections() *connections {
	return &connections{
		open:      map[*trackedConn]struct{}{},
		byAddress: newShares(maxConnections, maxConnectionsPerCaller),
		byCaller:  newShares(maxConnections, maxConnectionsPerCaller),
		requests:  newShares(maxRequests, maxRequestsPerCaller),
		answers:   newShares(maxAnswerBytes, maxAnswerBytesPerCaller),
		streams:   newShares(maxCallStreams, maxCallStreamsPerCaller),
		messages:  newShares(maxCallBytes, maxCallBytesPerCaller),
	}
}

// trackedConn is the connection that net/http reads, and that an upgrade takes over.
type trackedConn struct {
	net.Conn
	owner  *connections
	remote netip.Addr
	check  atomic.Pointer[callerCheck]
	spent  atomic.Bool // what comes yet is the rest of a body, and no request
	caller string      // whose connection it is counted as; under the registry's mu
	closed bool        // under the registry's mu
}

// admit registers a connection, or returns nil when there are too many.
func (c *connections) admit(conn net.Conn) *trackedConn {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil
	}
	tracked := &trackedConn{Conn: conn, owner: c, remote: remote.Addr().Unmap()}
	if !c.byAddress.take(tracked.remote.String(), 1) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[tracked] = struct{}{}
	return tracked
}

// identify counts a connection for its caller, once, and reports whether the caller may have one more.
func (c *connections) identify(tracked *trackedConn, caller string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tracked.closed || tracked.caller != "" {
		return true
	}
	if !c.byCaller.take(caller, 1) {
		return false
	}
	tracked.caller = caller
	return true
}

// Close closes the connection and removes it from the registry.
func (t *trackedConn) Close() error {
	owner := t.owner
	owner.mu.Lock()
	if !t.closed {
		t.closed = true
		delete(owner.open, t)
		owner.byAddress.give(t.remote.String(), 1)
		if t.caller != "" {
			owner.byCaller.give(t.caller, 1)
		}
	}
	owner.mu.Unlock()
	return t.Conn.Close()
}

// Read reads from the connection, or reports its end where no further request may come.
func (t *trackedConn) Read(into []byte) (int, error) {
	if t.spent.Load() {
		return 0, io.EOF
	}
	return t.Conn.Read(into)
}

// CloseWrite lets net/http finish its response to a client that is still sending (a 413, for example).
func (t *trackedConn) CloseWrite() error { return closeWrite(t.Conn) }

func (c *connections) list() []*trackedConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*trackedConn, 0, len(c.open))
	for tracked := range c.open {
		list = append(list, tracked)
	}
	return list
}

// drop closes the connections of these node ids, or all when callers is nil, and returns how many it closed.
func (c *connections) drop(callers []string) int {
	closed := 0
	for _, tracked := range c.list() {
		check := tracked.check.Load()
		if callers == nil || (check != nil && check.refusal == nil && slices.Contains(callers, check.caller.ID)) {
			tracked.Close()
			closed++
		}
	}
	return closed
}

// anyExpired reports whether the node key behind an open, admitted connection has expired.
func (c *connections) anyExpired(now time.Time) bool {
	return slices.ContainsFunc(c.list(), func(tracked *trackedConn) bool {
		check := tracked.check.Load()
		return check != nil && check.refusal == nil && !check.keyExpiry.IsZero() && !check.keyExpiry.After(now)
	})
}

// checkConn checks the caller of a connection at its first request and stores the result. If rights change while WhoIs
// runs, it asks again, so that no result from before a change is kept.
func (n *Node) checkConn(ctx context.Context, tracked *trackedConn) (*callerCheck, error) {
	if check := tracked.check.Load(); check != nil {
		return check, nil
	}
	if n.identity.Load().id == "" {
		if _, err := n.look(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	for {
		before := n.conns.generation.Load()
		check, err := n.checkCaller(ctx, tracked.remote)
		if err != nil {
			return nil, err
		}
		tracked.check.Store(check)
		if n.conns.generation.Load() == before {
			return check, nil
		}
	}
}
