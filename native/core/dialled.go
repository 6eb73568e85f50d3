// Connections to peers, while they are made and while they are open: ended as soon as the dial
// guard would refuse them by a new network map. A request to a node that is gone would hang otherwise.

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const dialTimeout = 10 * time.Second

// dialledConn is a connection to a peer; Conn is nil while it is being made.
type dialledConn struct {
	net.Conn
	to    netip.Addr
	way   *egress
	abort context.CancelFunc

	mu    sync.Mutex
	ended bool
}

// Close ends the connection and forgets it.
func (conn *dialledConn) Close() error {
	conn.way.dialled.Delete(conn)
	return conn.Conn.Close()
}

// CloseWrite ends one direction, for CONNECT.
func (conn *dialledConn) CloseWrite() error { return closeWrite(conn.Conn) }

// end closes the connection, or stops it from being made.
func (conn *dialledConn) end() {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.ended = true
	conn.abort()
	if conn.Conn != nil {
		conn.Conn.Close()
	}
}

// dial opens a TCP connection to "host:port" if the guard lets it, and keeps it in sight.
func (way *egress) dial(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	to, err := way.node.resolve(ctx, target)
	if err != nil {
		return nil, err
	}
	tracked := &dialledConn{to: to.Addr(), way: way, abort: cancel}
	way.dialled.Store(tracked, struct{}{})
	// Judged again now that it is in sight: the network map may have changed in between.
	if _, err := way.node.admitAddr(ctx, tracked.to); err != nil {
		way.dialled.Delete(tracked)
		return nil, err
	}
	conn, err := way.node.engine.dialTailnet(ctx, to)
	tracked.mu.Lock()
	defer tracked.mu.Unlock()
	if err == nil && !tracked.ended {
		tracked.Conn = conn
		return tracked, nil
	}
	way.dialled.Delete(tracked)
	if err == nil {
		conn.Close()
	}
	if tracked.ended {
		return nil, &dialRefused{target, "it left the tailnet while it was dialled"}
	}
	return nil, fmt.Errorf("cannot reach %s (%s): %w", target, to, err)
}

// judgeAgain ends connections to addresses that the guard would refuse by the new network map.
func (way *egress) judgeAgain(ctx context.Context) {
	way.dialled.Range(func(key, _ any) bool {
		conn := key.(*dialledConn)
		var refused *dialRefused
		if _, err := way.node.admitAddr(ctx, conn.to); errors.As(err, &refused) {
			conn.end()
		}
		return ctx.Err() == nil
	})
}
