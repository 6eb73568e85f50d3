// Package loopback is a network of members on one machine. Each direction between two members can be cut or delayed.
// For tests and the raftnode driver only; never shipped.
package loopback

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"cairn.internal/native/raftlog"
)

// Rule is what happens to bytes from and to one peer.
type Rule struct {
	CutOut  bool `json:"cutOut"`
	CutIn   bool `json:"cutIn"`
	DelayMs int  `json:"delayMs"`
}

// Network listens on a loopback port and knows the ports of its peers.
type Network struct {
	listener net.Listener
	mu       sync.Mutex
	peers    map[string]string
	rules    map[string]Rule
	open     map[*conn]struct{}
}

// Listen opens a port on 127.0.0.1, 0 for any.
func Listen(port int) (*Network, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return &Network{
		listener: listener,
		peers:    map[string]string{},
		rules:    map[string]Rule{},
		open:     map[*conn]struct{}{},
	}, nil
}

// Address returns the address where peers reach this network.
func (n *Network) Address() string { return n.listener.Addr().String() }

// Peer sets the address of a server.
func (n *Network) Peer(server, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers[server] = address
}

// Set replaces the rule for a peer. When a cut ends, it closes the connections that lost bytes, as their streams have
// gaps.
func (n *Network) Set(server string, rule Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules[server] = rule
	if rule.CutIn || rule.CutOut {
		return
	}
	for known := range n.open {
		if known.server() == server && known.holes.Load() {
			known.Conn.Close()
			delete(n.open, known)
		}
	}
}

func (n *Network) rule(server string) Rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[server]
}

// Admit must be called for each accepted connection, once its hello names the peer.
func (n *Network) Admit(hello raftlog.Hello, accepted net.Conn) error {
	if known, ours := accepted.(*conn); ours {
		known.peer.Store(hello.From)
	}
	if rule := n.rule(hello.From); rule.CutIn || rule.CutOut {
		return fmt.Errorf("server %s is cut off", hello.From)
	}
	return nil
}

// Dial connects to a peer that is known and not cut off.
func (n *Network) Dial(ctx context.Context, server string) (net.Conn, error) {
	n.mu.Lock()
	address, rule := n.peers[server], n.rules[server]
	n.mu.Unlock()
	if address == "" || rule.CutOut || rule.CutIn {
		return nil, fmt.Errorf("server %s cannot be reached", server)
	}
	var dialer net.Dialer
	dialed, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return n.track(dialed, server), nil
}

// Accept waits for the next connection.
func (n *Network) Accept() (net.Conn, error) {
	accepted, err := n.listener.Accept()
	if err != nil {
		return nil, err
	}
	return n.track(accepted, ""), nil
}

// Close closes the listener and every connection.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for known := range n.open {
		known.Conn.Close()
	}
	clear(n.open)
	return n.listener.Close()
}

func (n *Network) track(inner net.Conn, server string) *conn {
	tracked := &conn{Conn: inner, network: n}
	tracked.peer.Store(server)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[tracked] = struct{}{}
	return tracked
}

type conn struct {
	net.Conn
	network *Network
	peer    atomic.Value
	holes   atomic.Bool
}

func (c *conn) server() string {
	server, _ := c.peer.Load().(string)
	return server
}

func (c *conn) Read(into []byte) (int, error) {
	for {
		count, err := c.Conn.Read(into)
		if err != nil || !(c.holes.Load() || c.network.rule(c.server()).CutIn) {
			return count, err
		}
		c.holes.Store(true)
	}
}

func (c *conn) Write(bytes []byte) (int, error) {
	rule := c.network.rule(c.server())
	if rule.DelayMs > 0 {
		time.Sleep(time.Duration(rule.DelayMs) * time.Millisecond)
	}
	if c.holes.Load() || rule.CutOut {
		c.holes.Store(true)
		return len(bytes), nil
	}
	return c.Conn.Write(bytes)
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.open, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
