// Every open ingress connection, also upgraded ones: bounded in number, each with the verdict
// about its caller, so that a revoked right ends it. Who is judged how is in caller.go.

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

// trackedConn is the connection that net/http reads, and the one that an upgrade takes over.
type trackedConn struct {
	net.Conn
	owner   *connections
	remote  netip.Addr
	verdict atomic.Pointer[verdict]
	once    sync.Once
}

// admit takes a connection in, or answers nil when there are too many.
func (all *connections) admit(conn net.Conn) *trackedConn {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return nil
	}
	tracked := &trackedConn{Conn: conn, owner: all, remote: remote.Addr().Unmap()}
	all.mu.Lock()
	defer all.mu.Unlock()
	if len(all.open) >= maxConnections || all.perRemote[tracked.remote] >= maxConnectionsPerCaller {
		return nil
	}
	all.open[tracked] = struct{}{}
	all.perRemote[tracked.remote]++
	return tracked
}

// Close ends the connection and forgets it.
func (tracked *trackedConn) Close() error {
	tracked.once.Do(func() {
		all := tracked.owner
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.open, tracked)
		if all.perRemote[tracked.remote]--; all.perRemote[tracked.remote] == 0 {
			delete(all.perRemote, tracked.remote)
		}
	})
	return tracked.Conn.Close()
}

// CloseWrite lets net/http say its last word to a client that still sends (a 413, for one).
func (tracked *trackedConn) CloseWrite() error { return closeWrite(tracked.Conn) }

func (all *connections) list() []*trackedConn {
	all.mu.Lock()
	defer all.mu.Unlock()
	list := make([]*trackedConn, 0, len(all.open))
	for tracked := range all.open {
		list = append(list, tracked)
	}
	return list
}

// drop closes the connections of these node ids, or all when callers is nil, and counts them.
func (all *connections) drop(callers []string) int {
	closed := 0
	for _, tracked := range all.list() {
		judged := tracked.verdict.Load()
		if callers == nil || (judged != nil && judged.refusal == nil && slices.Contains(callers, judged.caller.ID)) {
			tracked.Close()
			closed++
		}
	}
	return closed
}

// anyExpired reports whether the node key behind an open, admitted connection has expired.
func (all *connections) anyExpired(now time.Time) bool {
	return slices.ContainsFunc(all.list(), func(tracked *trackedConn) bool {
		judged := tracked.verdict.Load()
		return judged != nil && judged.refusal == nil && !judged.until.IsZero() && !judged.until.After(now)
	})
}

// verdictOn judges a connection at its first request and remembers the answer. When rights change
// while WhoIs runs, it asks again, so that no verdict from before a change outlives it.
func (node *Node) verdictOn(ctx context.Context, tracked *trackedConn) (*verdict, error) {
	if judged := tracked.verdict.Load(); judged != nil {
		return judged, nil
	}
	if node.identity.Load().id == "" {
		if _, err := node.look(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	for {
		before := node.conns.generation.Load()
		judged, err := node.judge(ctx, tracked.remote)
		if err != nil {
			return nil, err
		}
		tracked.verdict.Store(judged)
		if node.conns.generation.Load() == before {
			return judged, nil
		}
	}
}
