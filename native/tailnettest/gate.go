// A TCP server that can be cut off with all its connections (hijacked ones too) and brought back on the same port. It
// is independent of what is served.

package tailnettest

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

type gate struct {
	address string
	tls     *tls.Config
	server  *http.Server

	mu       sync.Mutex
	listener net.Listener // nil while cut off
	conns    map[net.Conn]struct{}
}

func openGate(address string, config *tls.Config, server *http.Server) (*gate, error) {
	g := &gate{address: address, tls: config, server: server, conns: map[net.Conn]struct{}{}}
	if err := g.set(true); err != nil {
		return nil, err
	}
	return g, nil
}

// set opens or cuts. Opening retries for 2 s, as the port may be in use for a moment.
func (g *gate) set(up bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !up {
		return g.cutLocked()
	}
	if g.listener != nil {
		return nil
	}
	deadline := time.Now().Add(2 * time.Second)
	listener, err := net.Listen("tcp", g.address)
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		listener, err = net.Listen("tcp", g.address)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", g.address, err)
	}
	g.listener = listener
	g.address = listener.Addr().String()
	var served net.Listener = &gateListener{Listener: listener, gate: g}
	if g.tls != nil {
		served = tls.NewListener(served, g.tls)
	}
	go g.server.Serve(served) // ends with the listener
	return nil
}

func (g *gate) cutLocked() error {
	if g.listener == nil {
		return nil
	}
	err := g.listener.Close()
	g.listener = nil
	for conn := range g.conns {
		conn.Close()
	}
	clear(g.conns)
	return err
}

func (g *gate) close() error {
	err := g.set(false)
	g.server.Close()
	return err
}

func (g *gate) port() int {
	return net.TCPAddrFromAddrPort(mustAddrPort(g.address)).Port
}

type gateListener struct {
	net.Listener
	gate *gate
}

// Accept admits a connection only while its own listener is the open one: connections accepted during a cut are closed.
func (l *gateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	if l.gate.listener != l.Listener {
		conn.Close()
		return nil, net.ErrClosed
	}
	tracked := &gateConn{Conn: conn, gate: l.gate}
	l.gate.conns[tracked] = struct{}{}
	return tracked, nil
}

type gateConn struct {
	net.Conn
	gate *gate
	once sync.Once
}

// Close also removes the connection from the gate. During a cut the gate's lock is held, so the removal must not wait.
func (c *gateConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		go func() {
			c.gate.mu.Lock()
			defer c.gate.mu.Unlock()
			delete(c.gate.conns, c)
		}()
	})
	return err
}
