// Package loopback is a network of members on one machine whose directions can be cut and delayed one by one: for tests and the driver, never shipped.
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

// Listen opens a port of 127.0.0.1, 0 for any.
func Listen(port int) (*Network, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return &Network{listener: listener, peers: map[string]string{}, rules: map[string]Rule{}, open: map[*conn]struct{}{}}, nil
}

// Address is where peers reach this network.
func (network *Network) Address() string { return network.listener.Addr().String() }

// Peer says where a server is.
func (network *Network) Peer(server, address string) {
	network.mu.Lock()
	defer network.mu.Unlock()
	network.peers[server] = address
}

// Set replaces the rule for a peer. Connections that lost bytes to a cut are closed when it ends, as their streams have holes.
func (network *Network) Set(server string, rule Rule) {
	network.mu.Lock()
	defer network.mu.Unlock()
	network.rules[server] = rule
	if rule.CutIn || rule.CutOut {
		return
	}
	for known := range network.open {
		if known.server() == server && known.holes.Load() {
			known.Conn.Close()
			delete(network.open, known)
		}
	}
}

func (network *Network) rule(server string) Rule {
	network.mu.Lock()
	defer network.mu.Unlock()
	return network.rules[server]
}

// Admit is to be asked for each accepted connection: only now it is known whose it is.
func (network *Network) Admit(hello raftlog.Hello, accepted net.Conn) error {
	if known, ours := accepted.(*conn); ours {
		known.peer.Store(hello.From)
	}
	if rule := network.rule(hello.From); rule.CutIn || rule.CutOut {
		return fmt.Errorf("server %s is cut off", hello.From)
	}
	return nil
}

// Dial connects to a peer that is known and not cut off.
func (network *Network) Dial(ctx context.Context, server string) (net.Conn, error) {
	network.mu.Lock()
	address, rule := network.peers[server], network.rules[server]
	network.mu.Unlock()
	if address == "" || rule.CutOut || rule.CutIn {
		return nil, fmt.Errorf("server %s cannot be reached", server)
	}
	var dialer net.Dialer
	dialled, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return network.track(dialled, server), nil
}

// Accept waits for the next connection.
func (network *Network) Accept() (net.Conn, error) {
	accepted, err := network.listener.Accept()
	if err != nil {
		return nil, err
	}
	return network.track(accepted, ""), nil
}

// Close ends the listening and every connection.
func (network *Network) Close() error {
	network.mu.Lock()
	defer network.mu.Unlock()
	for known := range network.open {
		known.Conn.Close()
	}
	clear(network.open)
	return network.listener.Close()
}

func (network *Network) track(inner net.Conn, server string) *conn {
	tracked := &conn{Conn: inner, network: network}
	tracked.peer.Store(server)
	network.mu.Lock()
	defer network.mu.Unlock()
	network.open[tracked] = struct{}{}
	return tracked
}

type conn struct {
	net.Conn
	network *Network
	peer    atomic.Value
	holes   atomic.Bool
}

func (end *conn) server() string {
	server, _ := end.peer.Load().(string)
	return server
}

func (end *conn) Read(into []byte) (int, error) {
	for {
		count, err := end.Conn.Read(into)
		if err != nil || !(end.holes.Load() || end.network.rule(end.server()).CutIn) {
			return count, err
		}
		end.holes.Store(true)
	}
}

func (end *conn) Write(bytes []byte) (int, error) {
	rule := end.network.rule(end.server())
	if rule.DelayMs > 0 {
		time.Sleep(time.Duration(rule.DelayMs) * time.Millisecond)
	}
	if end.holes.Load() || rule.CutOut {
		end.holes.Store(true)
		return len(bytes), nil
	}
	return end.Conn.Write(bytes)
}

func (end *conn) Close() error {
	end.network.mu.Lock()
	delete(end.network.open, end)
	end.network.mu.Unlock()
	return end.Conn.Close()
}
