// Test hooks into the package's internals.

package raftlog

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// FailTransfers makes every later leadership transfer fail.
func (n *Node) FailTransfers(err error) { n.transfer = func(*raft.Raft) error { return err } }

// CountTransfers returns a counter of later leadership transfers to the most current voter.
func (n *Node) CountTransfers() *atomic.Int32 {
	transfer, count := n.transfer, &atomic.Int32{}
	n.transfer = func(from *raft.Raft) error {
		count.Add(1)
		return transfer(from)
	}
	return count
}

// Instance returns the raft instance that runs, or ran last.
func (n *Node) Instance() *raft.Raft { return n.current() }

// Transport returns the transport of the newest start of raft, whether or not raft started.
func (n *Node) Transport() any { return n.transport.Load() }

// IsTransportClosed reports whether the connections of this member are closed.
func (n *Node) IsTransportClosed() bool {
	select {
	case <-n.transport.Load().closed:
		return true
	default:
		return false
	}
}

// StepDown restarts raft if that is the instance that runs.
func (n *Node) StepDown(from *raft.Raft) { n.stepDown(from) }

// RestartWithEmptyLog restarts raft from the newest snapshot alone.
func (n *Node) RestartWithEmptyLog() { n.restartWithEmptyLog() }

// IsSoleVoter reports whether this member is the only voter.
func (n *Node) IsSoleVoter() bool { return n.isSoleVoter(n.current()) }

// FailDisk is what a failed write to the raft folder calls.
func (n *Node) FailDisk(err error) { n.failDisk(err) }

// BreakDisk makes every write to the log and the vote fail.
func (n *Node) BreakDisk() { _ = n.log.Close() }

// Trailing returns how many entries the next snapshot leaves in the log.
func (n *Node) Trailing() uint64 { return n.current().ReloadableConfig().TrailingLogs }

// AnswerInStead answers a call in place of raft, and reports whether it did.
func (n *Node) AnswerInStead(call raft.RPC) bool { return n.answerInStead(call) }

// SetNoStore makes this member one without a store, or with one.
func (n *Node) SetNoStore(missing bool) { n.fsm.noStore.Store(missing) }

// OnConflict is called in place of what follows on a history that diverges.
func (n *Node) OnConflict(call func()) { n.fsm.onConflict = call }

// DropEntries removes the entries up to an index from the log.
func (n *Node) DropEntries(upTo uint64) error {
	first, err := n.log.FirstIndex()
	if err != nil {
		return err
	}
	return n.log.DeleteRange(first, upTo)
}

// TermOf returns the term of an entry of the log.
func (n *Node) TermOf(index uint64) (uint64, error) {
	var entry raft.Log
	err := n.log.GetLog(index, &entry)
	return entry.Term, err
}

// VoterRecords returns how many replies about unknown servers are cached.
func (n *Node) VoterRecords() int {
	n.voterRecords.mu.Lock()
	defer n.voterRecords.mu.Unlock()
	return len(n.voterRecords.byServer)
}

// QueryPool is the pool of connections that query the member list.
const QueryPool = poolQuery

// DataLossPool is the pool of connections that notify a server of its data loss.
const DataLossPool = poolDataLoss

// Dial opens a connection of the pool that queries the member list.
func (n *Node) Dial(server string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloDeadline)
	defer cancel()
	return n.dial(ctx, server, poolQuery)
}

// SetCommitTimeout sets commitTimeout for members that start later and returns the previous value.
func SetCommitTimeout(next time.Duration) time.Duration {
	before := commitTimeout
	commitTimeout = next
	return before
}

// SetCopyIdleTimeout sets copyIdleTimeout for connections that are accepted later and returns the previous value.
func SetCopyIdleTimeout(next time.Duration) time.Duration {
	before := copyIdleTimeout
	copyIdleTimeout = next
	return before
}

// NoteAcknowledged records the answer to a request, as the leader that sent it does.
func (n *Node) NoteAcknowledged(server string, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) {
	n.noteAcknowledged(server, request, answer)
}

// DurableIndexOf returns up to which committed entry a server acknowledged to this leader.
func (n *Node) DurableIndexOf(server string) uint64 { return n.durableIndexOf(server) }
