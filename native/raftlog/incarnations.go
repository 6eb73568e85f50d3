// Tracks the connections this member dialed, by the incarnation (process) of the server that accepted them. A killed
// process closes nothing, and the wait for its reply to a store copy may take as long as a copy. The first hello that
// another incarnation answers ends that wait.

package raftlog

import (
	"net"
	"sync"
)

// incarnations holds the open connections to each server's newest incarnation and closes those to earlier ones.
type incarnations struct {
	mu       sync.Mutex
	byServer map[string]*incarnation
}

type incarnation struct {
	name string
	open map[*outboundConn]struct{}
}

// outboundConn removes itself from its incarnation when it is closed.
type outboundConn struct {
	net.Conn
	owner  *incarnations
	server string
	once   sync.Once
}

func (c *outboundConn) Close() error {
	c.once.Do(func() { c.owner.remove(c) })
	return c.Conn.Close()
}

// add registers a connection accepted by that incarnation of the server and closes those to its other incarnations.
func (i *incarnations) add(server, name string, conn net.Conn) net.Conn {
	tracked := &outboundConn{Conn: conn, owner: i, server: server}
	i.mu.Lock()
	current := i.byServer[server]
	var stale []*outboundConn
	if current == nil || current.name != name {
		if current != nil {
			for open := range current.open {
				stale = append(stale, open)
			}
		}
		current = &incarnation{name: name, open: map[*outboundConn]struct{}{}}
		i.byServer[server] = current
	}
	current.open[tracked] = struct{}{}
	i.mu.Unlock()
	for _, open := range stale {
		open.Close()
	}
	return tracked
}

func (i *incarnations) remove(conn *outboundConn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	current := i.byServer[conn.server]
	if current == nil {
		return
	}
	delete(current.open, conn)
	if len(current.open) == 0 {
		delete(i.byServer, conn.server)
	}
}
