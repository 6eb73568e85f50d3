// Connections as they come and go: hello, who may say what, and what is not raft's own (questions about members, verdicts).

package raftlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	verdictPause        = 10 * time.Second
	maxGreetings        = 512
	maxGreetingsPerHost = 32
)

// accept greets connections until the network closes; each greeting has its own goroutine and a deadline.
func (node *Node) accept() {
	defer node.running.Done()
	greeting := &greetings{byHost: map[string]int{}}
	for {
		conn, err := node.options.Network.Accept()
		if err != nil {
			select {
			case <-node.stopped:
			default:
				node.fail(fmt.Errorf("taking connections of members: %w", err))
			}
			return
		}
		done, taken := greeting.begin(conn)
		if !taken {
			conn.Close()
			continue
		}
		go func() {
			hello, err := node.greet(conn)
			done()
			if err != nil {
				node.options.Log.Warn("a connection was refused", "from", hello.From, "reason", err)
				conn.Close()
				return
			}
			switch hello.Pool {
			case PoolControl, PoolBulk:
				node.transport.Load().serve(hello.From, conn)
			default:
				conn.Close()
			}
		}()
	}
}

// greetings bounds the connections whose hello is awaited or judged: in all, and of one host, so that no stranger keeps members out.
type greetings struct {
	mu     sync.Mutex
	count  int
	byHost map[string]int
}

func (all *greetings) begin(conn net.Conn) (done func(), taken bool) {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return nil, false
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.count >= maxGreetings || all.byHost[host] >= maxGreetingsPerHost {
		return nil, false
	}
	all.count++
	all.byHost[host]++
	return func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		all.count--
		if all.byHost[host]--; all.byHost[host] == 0 {
			delete(all.byHost, host)
		}
	}, true
}

// greet answers a hello: refused with the reason, or taken. Questions are answered here, too.
func (node *Node) greet(conn net.Conn) (Hello, error) {
	hello, err := node.own.read(conn)
	if err == nil && node.options.Admit != nil {
		err = node.options.Admit(hello, conn)
	}
	if err == nil && hello.Pool != poolAsk {
		err = node.mayOrder(hello.From)
	}
	if err != nil {
		if hello.From != "" {
			err = errors.Join(err, writeJSON(conn, helloReply{Refused: err.Error()}))
		}
		return hello, err
	}
	last := node.current().LastIndex()
	if err := node.own.accept(conn, node.life, last); err != nil {
		return hello, err
	}
	switch hello.Pool {
	case poolAsk:
		return hello, writeJSON(conn, node.roster())
	case poolVerdict:
		if hello.Last > last {
			node.fail(quarantine("this server acknowledged entry %d to %s, and its log ends at %d: its disk is an older copy", hello.Last, hello.From, last))
		}
		return hello, nil
	}
	return hello, conn.SetDeadline(time.Time{})
}

// dial opens a connection to a member. One whose log ends before what it acknowledged gets none, and is told (replication.md 17).
func (node *Node) dial(ctx context.Context, server, pool string) (net.Conn, error) {
	conn, err := node.options.Network.Dial(ctx, server)
	if err != nil {
		return nil, err
	}
	hello := node.own
	hello.To, hello.Pool = server, pool
	reply, err := hello.open(conn)
	node.refusals.note(server, err)
	if err == nil {
		if kept := node.keptBy(server); kept > reply.Last {
			err = fmt.Errorf("server %s acknowledged entry %d and its log ends at %d: its disk is an older copy; it must rejoin as a new server", server, kept, reply.Last)
			go node.condemn(server, kept)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return node.dialled.take(server, reply.Life, conn), nil
}

// condemn tells a server that it lost what it had acknowledged, now and then.
func (node *Node) condemn(server string, kept uint64) {
	if !node.acks.mayTell(server, time.Now()) {
		return
	}
	node.options.Log.Error("a member lost entries that it had acknowledged", "server", server, "entry", kept)
	ctx, cancel := context.WithTimeout(context.Background(), helloDeadline)
	defer cancel()
	conn, err := node.options.Network.Dial(ctx, server)
	if err != nil {
		return
	}
	defer conn.Close()
	hello := node.own
	hello.To, hello.Pool, hello.Last = server, poolVerdict, kept
	_, _ = hello.open(conn)
}

// acknowledged notes what a member has, as long as this server leads.
func (node *Node) acknowledged(server string, request *raft.AppendEntriesRequest, response *raft.AppendEntriesResponse) {
	if !response.Success || len(request.Entries) == 0 {
		return
	}
	now := node.current()
	// The term is read after the commit index: if it is still that of the request, nobody else led meanwhile.
	commit := now.CommitIndex()
	if now.CurrentTerm() == request.Term {
		last := request.Entries[len(request.Entries)-1]
		node.acks.note(server, request.Term, last.Index, commit)
		node.telling.has(server, request.Term, last)
	}
}

// keptBy is the last entry that a server certainly has: it acknowledged it to this one, and it is committed.
func (node *Node) keptBy(server string) uint64 {
	now := node.current()
	commit := now.CommitIndex()
	return node.acks.kept(server, now.CurrentTerm(), commit)
}
