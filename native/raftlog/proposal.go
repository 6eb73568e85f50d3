// Entries on their way into the log: appended, committed or refused, and what can still be learnt of those that were refused too late.

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

// Proposal is an entry on its way.
type Proposal struct {
	future   raft.ApplyFuture
	node     *Node
	data     []byte
	installs uint64
}

// Propose appends an entry if this member leads; an empty one is a barrier.
func (node *Node) Propose(data []byte) Proposal {
	installs := node.fsm.installs.Load()
	return Proposal{node.current().Apply(data, enqueueDeadline), node, data, installs}
}

// Wait answers where the entry is committed, or why it is not.
func (proposal Proposal) Wait() (index, term uint64, err error) {
	if err := proposal.future.Error(); err != nil {
		return 0, 0, err
	}
	future, withTerm := proposal.future.(interface{ Index() uint64 })
	if !withTerm {
		return 0, 0, errors.New("a future without an index")
	}
	term, _ = proposal.future.Response().(uint64)
	return future.Index(), term, nil
}

// RefusalOf says whether a failed proposal may still be committed.
func RefusalOf(err error) byte {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrNotVoter):
		return RefusedNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return RefusedBusy
	}
	return RefusedUnknown
}

// Replaced waits, after the leadership was lost with the entry on its way, until its place in the log is decided, and is true if another entry
// holds it: then this one is not written and never will be. False says nothing.
//
// It is sound because the entry was appended once, at one index. Once that index is committed here, what the log holds there is what every
// member applies there, for ever; two entries are never equal, as each carries its origin and ticket. A copy of the store that was installed
// meanwhile may leave entries in the log that were never committed, so after one nothing is said.
func (proposal Proposal) Replaced(ended <-chan struct{}) bool {
	if !errors.Is(proposal.future.Error(), raft.ErrLeadershipLost) || len(proposal.data) == 0 {
		return false
	}
	index := proposal.future.Index()
	if index == 0 {
		return false
	}
	node := proposal.node
	late := time.NewTimer(replacedAfter)
	defer late.Stop()
	ticker := time.NewTicker(replacedPoll)
	defer ticker.Stop()
	for node.current().CommitIndex() < index {
		select {
		case <-ticker.C:
		case <-late.C:
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
	same := entry.Type == raft.LogCommand && bytes.Equal(entry.Data, proposal.data)
	return !same && node.fsm.installs.Load() == proposal.installs
}
