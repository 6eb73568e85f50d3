// Connects raft members over the tailnet: port 4748 of this node once it is up, and the members' addresses in the
// network map at the time of the dial. TypeScript provides the member list; WhoIs proves who connects.

package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"cairn.internal/native/raftlog"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	raftPort        = 4748
	raftListenPause = time.Second
)

type raftNetwork struct {
	ctx     context.Context
	cancel  context.CancelFunc
	session *session

	// queryVoter asks the known voters about a server that is not in the list yet: this node may have been away when it
	// joined.
	queryVoter func(server string) (raftlog.VoterRecord, error)

	mu        sync.Mutex
	members   map[string]RaftMember
	confirmed map[string]RaftMember // by voters, until the next list
	listener  net.Listener
	node      *Node
	open      map[*raftConn]struct{}
}

// raftConn is an accepted connection. server is empty until its hello is checked.
type raftConn struct {
	net.Conn
	network *raftNetwork
	node    *Node
	remote  netip.Addr
	server  string
}

// Close closes the connection and removes it from the network.
func (c *raftConn) Close() error {
	c.network.mu.Lock()
	delete(c.network.open, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}

// newRaftNetwork returns a network with a context of its own: a leader that is stopped still transfers leadership over
// it.
func newRaftNetwork(session *session) *raftNetwork {
	ctx, cancel := context.WithCancel(context.Background())
	return &raftNetwork{
		ctx:       ctx,
		cancel:    cancel,
		session:   session,
		members:   map[string]RaftMember{},
		confirmed: map[string]RaftMember{},
		open:      map[*raftConn]struct{}{},
	}
}

// setMembers replaces the list and closes connections of servers that are no longer in it, or now belong to another
// node.
func (n *raftNetwork) setMembers(members []RaftMember) {
	n.mu.Lock()
	before := n.members
	n.members = make(map[string]RaftMember, len(members))
	for _, member := range members {
		n.members[member.Server] = member
	}
	var gone []*raftConn
	for conn := range n.open {
		if conn.server != "" && n.members[conn.server].Node != before[conn.server].Node {
			gone = append(gone, conn)
		}
	}
	clear(n.confirmed)
	n.mu.Unlock()
	for _, conn := range gone {
		conn.Close()
	}
}

func (n *raftNetwork) member(server string) (RaftMember, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, known := n.members[server]
	if !known {
		found, known = n.confirmed[server]
	}
	return found, known
}

func (n *raftNetwork) voter(server string) bool {
	found, known := n.member(server)
	return known && found.Voter
}

func (n *raftNetwork) nodeOf(server string) string {
	found, _ := n.member(server)
	return found.Node
}

// lookUpVoter asks the voters about a server that is not in the list, and trusts them.
func (n *raftNetwork) lookUpVoter(server string) {
	if _, known := n.member(server); known || n.queryVoter == nil {
		return
	}
	record, err := n.queryVoter(server)
	if err != nil || !record.Voter || record.Node == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.confirmed) >= maxRaftMembers {
		clear(n.confirmed)
	}
	n.confirmed[server] = RaftMember{server, record.Node, true}
}

// Accept returns the next connection on the raft port; it waits while the node is not up.
func (n *raftNetwork) Accept() (net.Conn, error) {
	for {
		listener, node, err := n.listen()
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
			accepted := &raftConn{Conn: conn, network: n, node: node, remote: remote.Addr().Unmap()}
			n.mu.Lock()
			n.open[accepted] = struct{}{}
			n.mu.Unlock()
			return accepted, nil
		}
		n.forget(listener)
		if !pause(n.ctx, raftListenPause) {
			return nil, net.ErrClosed
		}
	}
}

// listen returns the listener of the running node and creates it if there is none.
func (n *raftNetwork) listen() (net.Listener, *Node, error) {
	for {
		node, err := n.session.awaitNode(n.ctx)
		if err != nil {
			return nil, nil, net.ErrClosed
		}
		n.mu.Lock()
		listener, same := n.listener, n.node == node
		n.mu.Unlock()
		if listener != nil && same {
			return listener, node, nil
		}
		listener, err = node.server.Listen("tcp", ":"+strconv.Itoa(raftPort))
		if err == nil {
			n.mu.Lock()
			n.listener, n.node = listener, node
			n.mu.Unlock()
			node.raft.Store(n)
			if n.ctx.Err() != nil {
				listener.Close()
			}
			return listener, node, nil
		}
		n.session.out.send(LogEvent{
			Event:   "log",
			Level:   "warning",
			Message: fmt.Sprintf("cannot listen on tailnet port %d for raft, retrying: %v", raftPort, err),
		})
		if !pause(n.ctx, raftListenPause) {
			return nil, nil, net.ErrClosed
		}
	}
}

func (n *raftNetwork) forget(listener net.Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	listener.Close()
	if n.listener == listener {
		n.listener, n.node = nil, nil
	}
}

// admit accepts a hello only if WhoIs of the connection returns the node that its server belongs to.
func (n *raftNetwork) admit(hello raftlog.Hello, accepted net.Conn) error {
	conn, ok := accepted.(*raftConn)
	if !ok {
		return errors.New("not_a_member: the connection was not made over the tailnet")
	}
	// Set the server before the check, so that setMembers and recheck see the connection and no change meanwhile is
	// missed.
	n.mu.Lock()
	conn.server = hello.From
	n.mu.Unlock()
	n.lookUpVoter(hello.From)
	ctx, cancel := context.WithTimeout(n.ctx, 4*time.Second)
	defer cancel()
	return n.checkPeer(ctx, conn, hello.From)
}

func (n *raftNetwork) checkPeer(ctx context.Context, conn *raftConn, server string) error {
	known, ok := n.member(server)
	if !ok {
		return fmt.Errorf("not_a_member: no member of this fleet has the server id %s", server)
	}
	if conn.node.identity.Load().id == "" {
		if _, err := conn.node.look(ctx, time.Second); err != nil {
			return fmt.Errorf("not_ready: the network map cannot be read: %w", err)
		}
	}
	check, err := conn.node.checkCaller(ctx, conn.remote)
	switch {
	case err != nil:
		return fmt.Errorf("not_ready: the tailnet could not identify %s: %w", conn.remote, err)
	case check.refusal != nil:
		return fmt.Errorf("%s: %s", check.refusal.Code, check.refusal.Detail)
	case check.caller.ID != known.Node:
		// A stranger reads this, so it does not name the member's node.
		return fmt.Errorf("other_node: server %s does not belong to the node %s (%s)", server, check.caller.ID,
			check.caller.Node)
	}
	return nil
}

// recheck closes connections whose node the tailnet no longer confirms.
func (n *raftNetwork) recheck(ctx context.Context) {
	n.mu.Lock()
	servers := map[*raftConn]string{}
	for conn := range n.open {
		if conn.server != "" {
			servers[conn] = conn.server
		}
	}
	n.mu.Unlock()
	for conn, server := range servers {
		if err := n.checkPeer(ctx, conn, server); err != nil && ctx.Err() == nil {
			conn.Close()
		}
	}
}

// Dial finds the member's address in the current network map, so that a changed address or name needs no update, and
// dials it through the dial guard.
func (n *raftNetwork) Dial(ctx context.Context, server string) (net.Conn, error) {
	known, ok := n.member(server)
	if !ok {
		return nil, fmt.Errorf("no member of this fleet has the server id %.64q", server)
	}
	n.session.mu.Lock()
	node := n.session.node
	n.session.mu.Unlock()
	if node == nil {
		return nil, errors.New("the node is not up, so members cannot be reached")
	}
	addr, err := node.addressOf(ctx, known.Node)
	if err != nil {
		return nil, err
	}
	return node.egress.dial(ctx, netip.AddrPortFrom(addr, raftPort).String())
}

// Close closes the listener and every accepted connection.
func (n *raftNetwork) Close() error {
	n.cancel()
	n.mu.Lock()
	listener, node := n.listener, n.node
	conns := make([]*raftConn, 0, len(n.open))
	for conn := range n.open {
		conns = append(conns, conn)
	}
	n.mu.Unlock()
	if node != nil {
		node.raft.CompareAndSwap(n, nil)
	}
	if listener != nil {
		listener.Close()
	}
	for _, conn := range conns {
		conn.Close()
	}
	return nil
}

// raftLogger forwards raft's log one level lower: retries are normal operation.
func raftLogger(session *session) hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Info, Output: io.Discard})
	logger.RegisterSink(raftSink{session})
	return logger
}

// raftLineLevel returns the level of a line of raft in our log; "" for a line that is not written.
func raftLineLevel(level hclog.Level, message string, values []any) string {
	switch {
	case message == "failed to get log" && slices.ContainsFunc(values, isLogNotFound):
		// A follower needs an entry that is no longer kept, or never was, as at the first start of a fleet: raft sends
		// it a copy of the store next. What fails for another reason is not this error.
		return "debug"
	case level >= hclog.Error:
		return "warning"
	case level >= hclog.Warn:
		return "info"
	case level < hclog.Info:
		return ""
	}
	return "debug"
}

func isLogNotFound(value any) bool {
	err, ok := value.(error)
	return ok && errors.Is(err, raft.ErrLogNotFound)
}

type raftSink struct{ session *session }

// Accept sends one line as a log event.
func (s raftSink) Accept(_ string, level hclog.Level, message string, values ...any) {
	eventLevel := raftLineLevel(level, message, values)
	if eventLevel == "" {
		return
	}
	for at := 0; at+1 < len(values); at += 2 {
		value := values[at+1]
		if pattern, ok := value.(hclog.Format); ok && len(pattern) > 0 {
			value = fmt.Sprintf(fmt.Sprint(pattern[0]), pattern[1:]...)
		}
		message += fmt.Sprintf(" %v=%v", values[at], value)
	}
	s.session.out.send(LogEvent{Event: "log", Level: eventLevel, Message: "raft: " + message})
}
