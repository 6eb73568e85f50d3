// Proposals: appended entries, their outcome, and what can still be learned about those whose outcome was unknown.

package raftlog

import (
	"bytes"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

const (
	replacedPoll  = 20 * time.Millisecond
	replacedAfter = 30 * time.Second
)

// Proposal is a proposed entry.
type Proposal struct {
	future   raft.ApplyFuture
	node     *Node
	data     []byte
	installs uint64
}

// Propose appends an entry if this member leads; an empty one is a barrier.
func (n *Node) Propose(data []byte) Proposal {
	if n.fsm.noStore.Load() {
		return Proposal{refusedFuture{}, n, data, 0}
	}
	installs := n.fsm.installs.Load()
	return Proposal{n.current().Apply(data, enqueueDeadline), n, data, installs}
}

// Wait returns where the entry is committed, or why it is not.
func (p Proposal) Wait() (index, term uint64, err error) {
	if err := p.future.Error(); err != nil {
		return 0, 0, err
	}
	future, ok := p.future.(interface{ Index() uint64 })
	if !ok {
		return 0, 0, errors.New("a future without an index")
	}
	term, _ = p.future.Response().(uint64)
	return future.Index(), term, nil
}

// RefusalOf returns the reason code of a failed proposal; RefusedUnknown means that it may still be committed.
func RefusalOf(err error) byte {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrNotVoter):
		return RefusedNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return RefusedBusy
	}
	return RefusedUnknown
}

// Replaced is for a proposal whose leader lost leadership. It waits until the entry's index is committed and reports
// whether another entry is there: then this one is not written and never will be. False means unknown.
//
// This is sound because the entry was appended once, at one index. Once that index is committed here, every member
// applies the entry that the log holds there. Two entries are never equal, as each carries its origin and ticket. A
// copy of the store that was installed meanwhile may leave entries in the log that were never committed, so after one
// the result is false.
func (p Proposal) Replaced(ended <-chan struct{}) bool {
	if !errors.Is(p.future.Error(), raft.ErrLeadershipLost) || len(p.data) == 0 {
		return false
	}
	index := p.future.Index()
	if index == 0 {
		return false
	}
	node := p.node
	timeout := time.NewTimer(replacedAfter)
	defer timeout.Stop()
	ticker := time.NewTicker(replacedPoll)
	defer ticker.Stop()
	for node.current().CommitIndex() < index {
		select {
		case <-ticker.C:
		case <-timeout.C:
			return false
		case <-ended:
			return false
		case <-node.stopped:
			return false
		}
	}
	var entry raft.Log
	if err := node.log.GetLog(index, &entry); err != nil {
		return false
	}
	same := entry.Type == raft.LogCommand && bytes.Equal(entry.Data, p.data)
	return !same && node.fsm.installs.Load() == p.installs
}
