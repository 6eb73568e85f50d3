// Connections to peers, during and after the dial. They are closed as soon as the dial guard would refuse them under a
// new network map: a request to a node that left the tailnet would hang otherwise.

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

// dialedConn is a connection to a peer; Conn is nil during the dial.
type dialedConn struct {
	net.Conn
	to         netip.Addr
	egress     *egress
	cancelDial context.CancelFunc

	mu         sync.Mutex
	terminated bool
}

// Close closes the connection and removes it from the egress.
func (c *dialedConn) Close() error {
	c.egress.dialed.Delete(c)
	return c.Conn.Close()
}

// CloseWrite closes one direction, for CONNECT.
func (c *dialedConn) CloseWrite() error { return closeWrite(c.Conn) }

// terminate closes the connection, or cancels its dial.
func (c *dialedConn) terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminated = true
	c.cancelDial()
	if c.Conn != nil {
		c.Conn.Close()
	}
}

// dialFailed is the error of a connection that was not made: nothing was sent over it.
type dialFailed struct{ error }

// Unwrap returns what failed.
func (d *dialFailed) Unwrap() error { return d.error }

// dial opens a TCP connection to "host:port" if the guard allows it, and tracks it. The error is a dialRefused or a
// dialFailed.
func (e *egress) dial(ctx context.Context, target string) (net.Conn, error) {
	conn, err := e.dialTracked(ctx, target)
	var refused *dialRefused
	if err != nil && !errors.As(err, &refused) {
		err = &dialFailed{err}
	}
	return conn, err
}

func (e *egress) dialTracked(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	to, err := e.node.resolve(ctx, target)
	if err != nil {
		return nil, err
	}
	tracked := &dialedConn{to: to.Addr(), egress: e, cancelDial: cancel}
	e.dialed.Store(tracked, struct{}{})
	// Check again now that the connection is tracked: the network map may have changed in between.
	if _, err := e.node.admitAddr(ctx, tracked.to); err != nil {
		e.dialed.Delete(tracked)
		return nil, err
	}
	conn, err := e.node.engine.dialTailnet(ctx, to)
	tracked.mu.Lock()
	defer tracked.mu.Unlock()
	if err == nil && !tracked.terminated {
		tracked.Conn = conn
		return tracked, nil
	}
	e.dialed.Delete(tracked)
	if err == nil {
		conn.Close()
	}
	if tracked.terminated {
		return nil, &dialRefused{target, "it left the tailnet during the dial"}
	}
	return nil, fmt.Errorf("cannot reach %s (%s): %w", target, to, err)
}

// recheck closes connections to addresses that the guard refuses under the new network map.
func (e *egress) recheck(ctx context.Context) {
	e.dialed.Range(func(key, _ any) bool {
		conn := key.(*dialedConn)
		var refused *dialRefused
		if _, err := e.node.admitAddr(ctx, conn.to); errors.As(err, &refused) {
			conn.terminate()
		}
		return ctx.Err() == nil
	})
}
