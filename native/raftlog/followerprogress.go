// Sends the commit index to followers without delay. raft sends it with the next entry, or after 50 to 100 ms of
// silence: until then a write forwarded by a follower waits there to be applied, and reads on it miss acknowledged
// writes.

package raftlog

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// Long enough for the next entry, if there is one, to carry the commit index instead.
	commitNotifyDelay = 2 * time.Millisecond
	maxFollowers      = 1024
)

// progress is what one server has acknowledged, and which commit index it was sent, in one term of this leader.
type progress struct {
	term uint64
	// ackedIndex is the last entry that the server acknowledged, ackedTerm the term of that entry.
	ackedIndex uint64
	ackedTerm  uint64
	sentCommit uint64
	sending    bool
}

// followerProgress holds the progress of each server.
type followerProgress struct {
	mu       sync.Mutex
	byServer map[string]*progress
	wake     chan struct{}
}

func newFollowerProgress() *followerProgress {
	return &followerProgress{byServer: map[string]*progress{}, wake: make(chan struct{}, 1)}
}

// wakeSender makes sendCommits look for followers that lack the commit index; it never blocks.
func (p *followerProgress) wakeSender() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lookup returns a server's progress, empty in a new term. The caller holds mu.
func (p *followerProgress) lookup(server string, term uint64) *progress {
	known := p.byServer[server]
	if known == nil || known.term != term {
		if known == nil && len(p.byServer) >= maxFollowers {
			clear(p.byServer)
		}
		known = &progress{term: term}
		p.byServer[server] = known
	}
	return known
}

// noteSent records the commit index of a request that is being sent.
func (p *followerProgress) noteSent(server string, request *raft.AppendEntriesRequest) {
	if request.LeaderCommitIndex == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.lookup(server, request.Term)
	known.sentCommit = max(known.sentCommit, request.LeaderCommitIndex)
}

// noteAcked records the last entry that a server acknowledged in term.
func (p *followerProgress) noteAcked(server string, term uint64, last *raft.Log) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.lookup(server, term)
	if last.Index > known.ackedIndex {
		known.ackedIndex, known.ackedTerm = last.Index, last.Term
		// A request's commit index does not count for entries that the server did not have yet.
		known.sentCommit = min(known.sentCommit, last.Index-1)
	}
}

// lacksCommit reports whether a server acknowledged committed entries that it does not know to be committed.
func (p *followerProgress) lacksCommit(server string, term, commit uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.lookup(server, term)
	return min(commit, known.ackedIndex) > known.sentCommit
}

// pendingCommits returns a request for each server that has entries it does not know to be committed. The request's
// commit index never exceeds what the server acknowledged, so it is valid whatever else its log contains.
func (p *followerProgress) pendingCommits(term, commit uint64) map[string]*raft.AppendEntriesRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due map[string]*raft.AppendEntriesRequest
	for server, known := range p.byServer {
		upTo := min(commit, known.ackedIndex)
		if known.term != term || known.sending || upTo <= known.sentCommit {
			continue
		}
		if due == nil {
			due = map[string]*raft.AppendEntriesRequest{}
		}
		known.sending, known.sentCommit = true, upTo
		due[server] = &raft.AppendEntriesRequest{
			Term:              term,
			PrevLogEntry:      known.ackedIndex,
			PrevLogTerm:       known.ackedTerm,
			LeaderCommitIndex: upTo,
		}
	}
	return due
}

func (p *followerProgress) noteDone(server string, term uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byServer[server]; known != nil && known.term == term {
		known.sending = false
	}
}

// sendCommits sends the pending commit indexes, in the form that the leader's next request would have; replies are
// ignored.
func (n *Node) sendCommits() {
	defer n.running.Done()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-n.followers.wake:
		case <-n.stopped:
			return
		}
		pause.Reset(commitNotifyDelay)
		select {
		case <-pause.C:
		case <-n.stopped:
			return
		}
		now := n.current()
		// Read the term after the commit index: if a server acknowledged in this term, there was no other leader meanwhile.
		commit := now.CommitIndex()
		if now.State() != raft.Leader {
			continue
		}
		for server, request := range n.followers.pendingCommits(now.CurrentTerm(), commit) {
			go func() {
				n.transport.Load().sendCommit(server, request)
				n.followers.noteDone(server, request.Term)
				// More entries may have been committed meanwhile.
				n.followers.wakeSender()
			}()
		}
	}
}

func (t *transport) sendCommit(server string, request *raft.AppendEntriesRequest) {
	request.RPCHeader = t.header()
	id, address := raft.ServerID(server), raft.ServerAddress(server)
	if err := t.NetworkTransport.AppendEntries(id, address, request, &raft.AppendEntriesResponse{}); err != nil {
		t.node.options.Log.Debug("sending a commit index failed", "to", server, "reason", err)
	}
}
