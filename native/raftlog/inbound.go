// Accepted connections. Every call on one is attributed to the server of its hello, and reaches raft only if that
// server is a voter at that moment and the call names it as its sender (security.md 8).

package raftlog

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	maxInFlight = 16
	// A member opens about three connections per pool. More are left over from processes that were killed; the oldest are
	// closed first.
	maxInboundPerServer = 32
)

// inboundStream is a StreamLayer of one connection, so that each connection has a NetworkTransport that decodes it.
type inboundStream struct {
	conn    *inboundConn
	from    string
	seq     uint64
	pending chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// inboundConn closes done when its transport closes it.
type inboundConn struct {
	net.Conn
	done chan struct{}
	once sync.Once
}

func (c *inboundConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

func newInboundStream(from string, conn net.Conn) *inboundStream {
	stream := &inboundStream{
		conn:    &inboundConn{Conn: conn, done: make(chan struct{})},
		from:    from,
		pending: make(chan net.Conn, 1),
		closed:  make(chan struct{}),
	}
	stream.pending <- stream.conn
	return stream
}

func (s *inboundStream) Accept() (net.Conn, error) {
	select {
	case conn := <-s.pending:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *inboundStream) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.conn.Close()
}

func (s *inboundStream) Addr() net.Addr { return s.conn.LocalAddr() }

func (s *inboundStream) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("an accepted connection cannot dial")
}

// serve passes the calls of a connection to raft until it ends, or until it carries a call that is not allowed.
func (t *transport) serve(from string, conn net.Conn) {
	stream := newInboundStream(from, conn)
	if !t.addInbound(stream) {
		conn.Close()
		return
	}
	defer t.removeInbound(stream)
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: stream, Timeout: bulkDeadline, MaxRPCsInFlight: maxInFlight,
		Logger: hclog.NewNullLogger()}) // serve logs why it closes a connection, and so does the dialing side
	defer inner.Close()
	for {
		select {
		case call := <-inner.Consumer():
			if t.held.Load() {
				return
			}
			if err := t.node.checkSender(from, call); err != nil {
				t.node.options.Log.Warn("connection closed", "from", from, "reason", err)
				return
			}
			if t.node.answerInStead(call) {
				continue
			}
			if call.Reader != nil {
				call.Reader = &timeoutReader{Reader: call.Reader, conn: stream.conn, idle: copyIdleTimeout}
			}
			select {
			case t.calls <- call:
			case <-t.closed:
				return
			case <-stream.conn.done:
				return
			}
		case <-t.closed:
			return
		case <-stream.conn.done:
			return
		}
	}
}

func (t *transport) addInbound(stream *inboundStream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.closed:
		return false
	default:
	}
	open := 0
	var oldest *inboundStream
	for other := range t.inbound {
		if other.from != stream.from {
			continue
		}
		open++
		if oldest == nil || other.seq < oldest.seq {
			oldest = other
		}
	}
	if open >= maxInboundPerServer {
		oldest.conn.Close()
		delete(t.inbound, oldest)
	}
	t.accepted++
	stream.seq = t.accepted
	t.inbound[stream] = struct{}{}
	return true
}

func (t *transport) removeInbound(stream *inboundStream) {
	t.mu.Lock()
	delete(t.inbound, stream)
	t.mu.Unlock()
	stream.Close()
}

// checkSender refuses a call that names another server, or whose sender is not a voter now: raft would obey it.
func (n *Node) checkSender(from string, call raft.RPC) error {
	command, ok := call.Command.(raft.WithRPCHeader)
	if !ok {
		return refusalf("bad_call", "the call names no sender")
	}
	if header := command.GetRPCHeader(); string(header.ID) != from || string(header.Addr) != from {
		return refusalf("bad_call", "the call names %.64q as its sender", header.ID)
	}
	if refused := n.refused.Load(); refused != nil && slices.Contains(*refused, from) {
		return refusalf("other_state", "this member contradicts the state of %s", from)
	}
	return n.checkVoter(from)
}

// Refuse makes this member refuse every call of these servers, votes included, in place of those named before: most
// members contradict their state (replication.md 33). Other servers get its vote and its acknowledgements as before.
func (n *Node) Refuse(servers []string) {
	n.refused.Store(&servers)
}
