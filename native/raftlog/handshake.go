// The handshake of each connection: checks the sender and the hello, and serves the pools that are not raft's own
// (member list queries, data loss notices).

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	dataLossNoticeInterval = 10 * time.Second
	maxHandshakes          = 512
	maxHandshakesPerHost   = 32
	refusalLogInterval     = time.Minute
)

// accept handles connections until the network closes; each handshake has its own goroutine and a deadline.
func (n *Node) accept() {
	defer n.running.Done()
	pending := &handshakes{byHost: map[string]int{}}
	refused := &refusedHellos{bySender: map[string]*refusedHello{}}
	for {
		conn, err := n.options.Network.Accept()
		if err != nil {
			select {
			case <-n.stopped:
			default:
				n.fail(fmt.Errorf("accepting connections of members: %w", err))
			}
			return
		}
		done, ok := pending.begin(conn)
		if !ok {
			conn.Close()
			continue
		}
		go func() {
			hello, admitted, err := n.handshake(conn)
			done()
			if err != nil {
				refused.note(n.options.Log, conn, hello.From, admitted, err)
				conn.Close()
				return
			}
			switch hello.Pool {
			case PoolControl, PoolBulk:
				n.transport.Load().serve(hello.From, conn)
			default:
				conn.Close()
			}
		}()
	}
}

// handshakes bounds the connections whose hello is pending, in total and per host, so that strangers cannot lock
// members out.
type handshakes struct {
	mu     sync.Mutex
	count  int
	byHost map[string]int
}

func (h *handshakes) begin(conn net.Conn) (done func(), ok bool) {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= maxHandshakes || h.byHost[host] >= maxHandshakesPerHost {
		return nil, false
	}
	h.count++
	h.byHost[host]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.count--
		if h.byHost[host]--; h.byHost[host] == 0 {
			delete(h.byHost, host)
		}
	}, true
}

// handshake reads a hello and accepts it, or refuses it with the reason. It also serves member list queries. The sender
// is admitted first: a stranger learns neither this node's fleet, epoch nor server id (security.md 8).
func (n *Node) handshake(conn net.Conn) (hello Hello, admitted bool, err error) {
	if hello, err = readHello(conn); err != nil {
		return hello, false, err
	}
	if n.options.Admit != nil {
		err = n.options.Admit(hello, conn)
	}
	if admitted = err == nil; admitted {
		err = hello.check(n.own)
	}
	if err == nil && hello.Pool != poolQuery {
		err = n.checkVoter(hello.From)
	}
	if err != nil {
		return hello, admitted, errors.Join(err, writeJSON(conn, helloReply{Refused: err.Error()}))
	}
	return hello, true, n.serveHello(hello, conn)
}

// serveHello accepts a hello, and serves the pools that are not raft's own.
func (n *Node) serveHello(hello Hello, conn net.Conn) error {
	last := n.current().LastIndex()
	if err := n.own.accept(conn, n.incarnation, last); err != nil {
		return err
	}
	switch hello.Pool {
	case poolQuery:
		return writeJSON(conn, n.roster())
	case poolDataLoss:
		if hello.Last > last {
			n.fail(quarantinef("this server acknowledged entry %d to %s, and its log ends at %d: its disk is an older copy",
				hello.Last, hello.From, last))
		}
		return nil
	}
	return conn.SetDeadline(time.Time{})
}

// refusedHellos limits the log lines about refused connections to one a minute for each member, and one for all
// strangers together.
type refusedHellos struct {
	mu       sync.Mutex
	bySender map[string]*refusedHello
}

type refusedHello struct {
	loggedAt time.Time
	// unlogged counts the refusals since the last line.
	unlogged int
}

func (r *refusedHellos) note(log hclog.Logger, conn net.Conn, server string, admitted bool, reason error) {
	key := server
	if !admitted {
		key = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.bySender[key]
	if known == nil {
		if len(r.bySender) >= maxRefusals {
			clear(r.bySender)
		}
		known = &refusedHello{}
		r.bySender[key] = known
	}
	if now := time.Now(); now.Sub(known.loggedAt) >= refusalLogInterval {
		log.Warn("connection refused", "from", server, "address", conn.RemoteAddr(), "member", admitted, "reason", reason,
			"earlier", known.unlogged)
		known.loggedAt, known.unlogged = now, 0
		return
	}
	known.unlogged++
}

// dial opens a connection to a member. If the member's log ends before an entry that it acknowledged, dial refuses it
// and notifies it of the loss (replication.md 17).
func (n *Node) dial(ctx context.Context, server, pool string) (net.Conn, error) {
	conn, err := n.options.Network.Dial(ctx, server)
	if err != nil {
		return nil, err
	}
	hello := n.own
	hello.To, hello.Pool = server, pool
	// Read before the hello is sent: what the server acknowledges meanwhile may be missing in its reply.
	durable := n.durableIndexOf(server)
	reply, err := hello.open(conn)
	n.refusals.note(server, err)
	if err == nil {
		if durable > reply.Last {
			err = fmt.Errorf(
				"server %s acknowledged entry %d and its log ends at %d: its disk is an older copy; it must rejoin as a new server",
				server, durable, reply.Last)
			go n.notifyDataLoss(server, durable)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return n.outbound.add(server, reply.Incarnation, conn), nil
}

// notifyDataLoss tells a server that it lost acknowledged entries, at most once per dataLossNoticeInterval.
func (n *Node) notifyDataLoss(server string, durable uint64) {
	if !n.acks.mayNotify(server, time.Now()) {
		return
	}
	n.options.Log.Error("a member lost entries that it had acknowledged", "server", server, "entry", durable)
	ctx, cancel := context.WithTimeout(context.Background(), helloDeadline)
	defer cancel()
	conn, err := n.options.Network.Dial(ctx, server)
	if err != nil {
		return
	}
	defer conn.Close()
	hello := n.own
	hello.To, hello.Pool, hello.Last = server, poolDataLoss, durable
	_, _ = hello.open(conn)
}

// noteAcknowledged records what a member acknowledged, as long as this server leads.
func (n *Node) noteAcknowledged(server string, request *raft.AppendEntriesRequest,
	response *raft.AppendEntriesResponse) {
	if !response.Success || len(request.Entries) == 0 {
		return
	}
	now := n.current()
	// Read the term after the commit index: if it is still that of the request, there was no other leader meanwhile.
	commit := now.CommitIndex()
	if now.CurrentTerm() == request.Term {
		last := request.Entries[len(request.Entries)-1]
		n.acks.note(server, request.Term, last.Index, commit)
		n.followers.noteAcked(server, request.Term, last)
		// Others may have committed the entry before this server acknowledged it.
		if n.followers.lacksCommit(server, request.Term, now.CommitIndex()) {
			n.followers.wakeSender()
		}
	}
}

// durableIndexOf returns the last entry that a server certainly has: acknowledged to this server and committed.
func (n *Node) durableIndexOf(server string) uint64 {
	now := n.current()
	commit := now.CommitIndex()
	return n.acks.durableIndex(server, now.CurrentTerm(), commit)
}
