// Registry of all open ingress connections, upgraded ones included. Bounds their number and holds each one's caller
// check, so that revocation can close it. caller.go makes the checks.

package core

import (
	"context"
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
)

type connections struct {
	mu         sync.Mutex
	open       map[*trackedConn]struct{}
	perRemote  map[netip.Addr]int
	generation atomic.Uint64 // counts changes of rights
}

func newConnections() *connections {
	return &connections{open: map[*trackedConn]struct{}{}, perRemote: map[netip.Addr]int{}}
}

// trackedConn is the connection that net/http reads, and that an upgrade takes over.
type trackedConn struct {
	net.Conn
	owner  *connections
	remote netip.Addr
	check  atomic.Pointer[callerCheck]
	once   sync.Once
}

// admit registers a connection, or returns nil when there are too many.
func (c *connections) admit(conn net.Conn) *trackedConn {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil
	}
	tracked := &trackedConn{Conn: conn, owner: c, remote: remote.Addr().Unmap()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConnections || c.perRemote[tracked.remote] >= maxConnectionsPerCaller {
		return nil
	}
	c.open[tracked] = struct{}{}
	c.perRemote[tracked.remote]++
	return tracked
}

// Close closes the connection and removes it from the registry.
func (t *trackedConn) Close() error {
	t.once.Do(func() {
		owner := t.owner
		owner.mu.Lock()
		defer owner.mu.Unlock()
		delete(owner.open, t)
		if owner.perRemote[t.remote]--; owner.perRemote[t.remote] == 0 {
			delete(owner.perRemote, t.remote)
		}
	})
	return t.Conn.Close()
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
