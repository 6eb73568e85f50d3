// How raft members reach each other over the tailnet: port 4748 of this node once it is up, and the addresses that the network map has for
// the members' nodes at the moment of dialling. Who the members are is told by TypeScript; WhoIs proves them.

package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"cairn.internal/native/raftlog"
	"github.com/hashicorp/go-hclog"
)

const (
	raftPort        = 4748
	raftListenPause = time.Second
)

type raftNetwork struct {
	ctx     context.Context
	cancel  context.CancelFunc
	session *session

	// ask has the voters tell of a server that is not in the list yet: this node may have been away when it joined.
	ask func(server string) (raftlog.VoterRecord, error)

	mu       sync.Mutex
	members  map[string]RaftMember
	vouched  map[string]RaftMember // by voters, until the next list
	listener net.Listener
	node     *Node
	open     map[*raftConn]struct{}
}

// raftConn is an accepted connection. server is empty until its hello was believed.
type raftConn struct {
	net.Conn
	network *raftNetwork
	node    *Node
	remote  netip.Addr
	server  string
}

// Close ends the connection and forgets it.
func (conn *raftConn) Close() error {
	conn.network.mu.Lock()
	delete(conn.network.open, conn)
	conn.network.mu.Unlock()
	return conn.Conn.Close()
}

// newRaftNetwork makes a network that lasts until Close: a leader that is told to end still hands over by it.
func newRaftNetwork(session *session) *raftNetwork {
	ctx, cancel := context.WithCancel(context.Background())
	return &raftNetwork{ctx: ctx, cancel: cancel, session: session, members: map[string]RaftMember{}, vouched: map[string]RaftMember{}, open: map[*raftConn]struct{}{}}
}

// setMembers replaces the list; connections of servers that are no longer in it, or of another node now, end.
func (network *raftNetwork) setMembers(members []RaftMember) {
	network.mu.Lock()
	before := network.members
	network.members = make(map[string]RaftMember, len(members))
	for _, member := range members {
		network.members[member.Server] = member
	}
	var gone []*raftConn
	for conn := range network.open {
		if conn.server != "" && network.members[conn.server].Node != before[conn.server].Node {
			gone = append(gone, conn)
		}
	}
	clear(network.vouched)
	network.mu.Unlock()
	for _, conn := range gone {
		conn.Close()
	}
}

func (network *raftNetwork) member(server string) (RaftMember, bool) {
	network.mu.Lock()
	defer network.mu.Unlock()
	found, known := network.members[server]
	if !known {
		found, known = network.vouched[server]
	}
	return found, known
}

func (network *raftNetwork) voter(server string) bool {
	found, known := network.member(server)
	return known && found.Voter
}

func (network *raftNetwork) nodeOf(server string) string {
	found, _ := network.member(server)
	return found.Node
}

// inquire asks the voters about a server that is not in the list, and believes them.
func (network *raftNetwork) inquire(server string) {
	if _, known := network.member(server); known || network.ask == nil {
		return
	}
	testimony, err := network.ask(server)
	if err != nil || !testimony.Voter || testimony.Node == "" {
		return
	}
	network.mu.Lock()
	defer network.mu.Unlock()
	if len(network.vouched) >= maxRaftMembers {
		clear(network.vouched)
	}
	network.vouched[server] = RaftMember{server, testimony.Node, true}
}

// Accept answers the next connection on the raft port; it waits while the node is not up.
func (network *raftNetwork) Accept() (net.Conn, error) {
	for {
		listener, node, err := network.listen()
		if err != nil {
			return nil, err
		}
		conn, err := listener.Accept()
		if err == nil {
			remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
			if err != nil {
				conn.Close()
				continue
			}
			taken := &raftConn{Conn: conn, network: network, node: node, remote: remote.Addr().Unmap()}
			network.mu.Lock()
			network.open[taken] = struct{}{}
			network.mu.Unlock()
			return taken, nil
		}
		network.forget(listener)
		if !pause(network.ctx, raftListenPause) {
			return nil, net.ErrClosed
		}
	}
}

// listen answers the listener of the node that is up, and makes it where there is none.
func (network *raftNetwork) listen() (net.Listener, *Node, error) {
	for {
		node, err := network.session.awaitNode(network.ctx)
		if err != nil {
			return nil, nil, net.ErrClosed
		}
		network.mu.Lock()
		listener, same := network.listener, network.node == node
		network.mu.Unlock()
		if listener != nil && same {
			return listener, node, nil
		}
		listener, err = node.server.Listen("tcp", ":"+strconv.Itoa(raftPort))
		if err == nil {
			network.mu.Lock()
			network.listener, network.node = listener, node
			network.mu.Unlock()
			node.raft.Store(network)
			if network.ctx.Err() != nil {
				listener.Close()
			}
			return listener, node, nil
		}
		network.session.box.send(LogEvent{Event: "log", Level: "warning", Message: fmt.Sprintf("cannot listen on tailnet port %d for raft, trying again: %v", raftPort, err)})
		if !pause(network.ctx, raftListenPause) {
			return nil, nil, net.ErrClosed
		}
	}
}

func (network *raftNetwork) forget(listener net.Listener) {
	network.mu.Lock()
	defer network.mu.Unlock()
	listener.Close()
	if network.listener == listener {
		network.listener, network.node = nil, nil
	}
}

// admit believes a hello iff WhoIs of the connection is the node that its server belongs to.
func (network *raftNetwork) admit(hello raftlog.Hello, accepted net.Conn) error {
	conn, ours := accepted.(*raftConn)
	if !ours {
		return errors.New("not_a_member: the connection did not come over the tailnet")
	}
	// In sight of setMembers and judgeAgain before it is judged, so that a change meanwhile is not missed.
	network.mu.Lock()
	conn.server = hello.From
	network.mu.Unlock()
	network.inquire(hello.From)
	ctx, cancel := context.WithTimeout(network.ctx, 4*time.Second)
	defer cancel()
	return network.judge(ctx, conn, hello.From)
}

func (network *raftNetwork) judge(ctx context.Context, conn *raftConn, server string) error {
	known, is := network.member(server)
	if !is {
		return fmt.Errorf("not_a_member: no member of this fleet has the server id %s", server)
	}
	if conn.node.identity.Load().id == "" {
		if _, err := conn.node.look(ctx, time.Second); err != nil {
			return fmt.Errorf("not_ready: the tailnet does not say who is who: %w", err)
		}
	}
	judged, err := conn.node.judge(ctx, conn.remote)
	switch {
	case err != nil:
		return fmt.Errorf("not_ready: the tailnet did not say who %s is: %w", conn.remote, err)
	case judged.refusal != nil:
		return fmt.Errorf("%s: %s", judged.refusal.Code, judged.refusal.Detail)
	case judged.caller.ID != known.Node:
		return fmt.Errorf("other_node: server %s belongs to the node %s, and this is %s (%s)", server, known.Node, judged.caller.ID, judged.caller.Node)
	}
	return nil
}

// judgeAgain ends connections whose node the tailnet no longer vouches for.
func (network *raftNetwork) judgeAgain(ctx context.Context) {
	network.mu.Lock()
	servers := map[*raftConn]string{}
	for conn := range network.open {
		if conn.server != "" {
			servers[conn] = conn.server
		}
	}
	network.mu.Unlock()
	for conn, server := range servers {
		if err := network.judge(ctx, conn, server); err != nil && ctx.Err() == nil {
			conn.Close()
		}
	}
}

// Dial finds the member's node in the network map of this moment and goes by the dial guard, so that a changed address or name needs nothing.
func (network *raftNetwork) Dial(ctx context.Context, server string) (net.Conn, error) {
	known, is := network.member(server)
	if !is {
		return nil, fmt.Errorf("no member of this fleet has the server id %.64q", server)
	}
	network.session.mu.Lock()
	node := network.session.node
	network.session.mu.Unlock()
	if node == nil {
		return nil, errors.New("the node is not up, so members cannot be reached")
	}
	addr, err := node.addressOf(ctx, known.Node)
	if err != nil {
		return nil, err
	}
	return node.egress.dial(ctx, netip.AddrPortFrom(addr, raftPort).String())
}

// Close ends the listening and every accepted connection.
func (network *raftNetwork) Close() error {
	network.cancel()
	network.mu.Lock()
	listener, node := network.listener, network.node
	conns := make([]*raftConn, 0, len(network.open))
	for conn := range network.open {
		conns = append(conns, conn)
	}
	network.mu.Unlock()
	if node != nil {
		node.raft.CompareAndSwap(network, nil)
	}
	if listener != nil {
		listener.Close()
	}
	for _, conn := range conns {
		conn.Close()
	}
	return nil
}

// raftLogger passes on what raft says, a level lower than it says it: retries are its daily bread.
func raftLogger(session *session) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, Output: io.Discard})
	logger.RegisterSink(raftSink{session})
	return logger
}

type raftSink struct{ session *session }

// Accept sends one line as a log event.
func (sink raftSink) Accept(_ string, level hclog.Level, message string, values ...any) {
	told := "debug"
	switch {
	case level >= hclog.Error:
		told = "warning"
	case level >= hclog.Warn:
		told = "info"
	case level < hclog.Info:
		return
	}
	for at := 0; at+1 < len(values); at += 2 {
		value := values[at+1]
		if pattern, is := value.(hclog.Format); is && len(pattern) > 0 {
			value = fmt.Sprintf(fmt.Sprint(pattern[0]), pattern[1:]...)
		}
		message += fmt.Sprintf(" %v=%v", values[at], value)
	}
	sink.session.box.send(LogEvent{Event: "log", Level: told, Message: "raft: " + message})
}
