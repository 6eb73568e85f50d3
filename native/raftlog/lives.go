// Connections that this member dialled, by the life of the process at the other end. A process that was killed says nothing: who waits for its answer to a
// copy of the store would wait for as long as such a copy may take. Once its next life has answered a hello, that wait is over.

package raftlog

import (
	"net"
	"sync"
)

// lives holds the open connections of each server's newest life; what was dialled to an earlier one is closed.
type lives struct {
	mu       sync.Mutex
	byServer map[string]*life
}

type life struct {
	name string
	open map[*lifeConn]struct{}
}

// lifeConn leaves its life when it is closed.
type lifeConn struct {
	net.Conn
	all    *lives
	server string
	once   sync.Once
}

func (conn *lifeConn) Close() error {
	conn.once.Do(func() { conn.all.leave(conn) })
	return conn.Conn.Close()
}

// take adds a connection that a server answered in this life, and closes those that it had in others.
func (all *lives) take(server, name string, conn net.Conn) net.Conn {
	mine := &lifeConn{Conn: conn, all: all, server: server}
	all.mu.Lock()
	known := all.byServer[server]
	var ended []*lifeConn
	if known == nil || known.name != name {
		if known != nil {
			for open := range known.open {
				ended = append(ended, open)
			}
		}
		known = &life{name: name, open: map[*lifeConn]struct{}{}}
		all.byServer[server] = known
	}
	known.open[mine] = struct{}{}
	all.mu.Unlock()
	for _, open := range ended {
		open.Close()
	}
	return mine
}

func (all *lives) leave(conn *lifeConn) {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.byServer[conn.server]
	if known == nil {
		return
	}
	delete(known.open, conn)
	if len(known.open) == 0 {
		delete(all.byServer, conn.server)
	}
}
