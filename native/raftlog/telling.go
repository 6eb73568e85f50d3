// Commits are told to followers at once. raft tells them with the next entry, or after 50 to 100 ms of silence: for so long a write that came in by a follower
// would wait there until it is applied, and who reads there would not see what is acknowledged.

package raftlog

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// The next entry, if there is one, tells it as well.
	tellAfter = 2 * time.Millisecond
	maxTold   = 1024
)

// listener is what one server has, and knows to be committed, in one term of this leader.
type listener struct {
	term uint64
	// index is the last entry that it acknowledged, entryTerm the term of that entry.
	index     uint64
	entryTerm uint64
	told      uint64
	busy      bool
}

// telling keeps what each server was told.
type telling struct {
	mu       sync.Mutex
	byServer map[string]*listener
	wake     chan struct{}
}

func newTelling() *telling {
	return &telling{byServer: map[string]*listener{}, wake: make(chan struct{}, 1)}
}

// soon has followers told of what is committed by now; it never waits.
func (all *telling) soon() {
	select {
	case all.wake <- struct{}{}:
	default:
	}
}

// of finds a server's row, empty in a new term; the lock is held.
func (all *telling) of(server string, term uint64) *listener {
	known := all.byServer[server]
	if known == nil || known.term != term {
		if known == nil && len(all.byServer) >= maxTold {
			clear(all.byServer)
		}
		known = &listener{term: term}
		all.byServer[server] = known
	}
	return known
}

// sent notes the commit index of a request on its way.
func (all *telling) sent(server string, request *raft.AppendEntriesRequest) {
	if request.LeaderCommitIndex == 0 {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.of(server, request.Term)
	known.told = max(known.told, request.LeaderCommitIndex)
}

// has notes the last entry that a server acknowledged in term.
func (all *telling) has(server string, term uint64, last *raft.Log) {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.of(server, term)
	if last.Index > known.index {
		known.index, known.entryTerm = last.Index, last.Term
		// Nothing that it lacks was told to it, whatever the request said.
		known.told = min(known.told, last.Index-1)
	}
}

// due are the servers that have entries of which they do not know that they are committed. What they are told is what they have, so that it holds whatever
// else is in their logs.
func (all *telling) due(term, commit uint64) map[string]*raft.AppendEntriesRequest {
	all.mu.Lock()
	defer all.mu.Unlock()
	var found map[string]*raft.AppendEntriesRequest
	for server, known := range all.byServer {
		upTo := min(commit, known.index)
		if known.term != term || known.busy || upTo <= known.told {
			continue
		}
		if found == nil {
			found = map[string]*raft.AppendEntriesRequest{}
		}
		known.busy, known.told = true, upTo
		found[server] = &raft.AppendEntriesRequest{Term: term, PrevLogEntry: known.index, PrevLogTerm: known.entryTerm, LeaderCommitIndex: upTo}
	}
	return found
}

func (all *telling) done(server string, term uint64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if known := all.byServer[server]; known != nil && known.term == term {
		known.busy = false
	}
}

// tell sends what is due, as the leader of its term would send it in the next request; what comes back is of no use.
func (node *Node) tell() {
	defer node.running.Done()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-node.telling.wake:
		case <-node.stopped:
			return
		}
		pause.Reset(tellAfter)
		select {
		case <-pause.C:
		case <-node.stopped:
			return
		}
		now := node.current()
		// The term is read after the commit index: if a server acknowledged in it, nobody else led meanwhile.
		commit := now.CommitIndex()
		if now.State() != raft.Leader {
			continue
		}
		for server, request := range node.telling.due(now.CurrentTerm(), commit) {
			go func() {
				node.transport.Load().tell(server, request)
				node.telling.done(server, request.Term)
				// More may have been committed meanwhile.
				node.telling.soon()
			}()
		}
	}
}

func (both *transport) tell(server string, request *raft.AppendEntriesRequest) {
	request.RPCHeader = raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(both.self), Addr: []byte(both.self)}
	if err := both.NetworkTransport.AppendEntries(raft.ServerID(server), raft.ServerAddress(server), request, &raft.AppendEntriesResponse{}); err != nil {
		both.node.options.Log.Debug("a commit was not told at once", "to", server, "reason", err)
	}
}
