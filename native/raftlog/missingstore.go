// A member whose store was lost or must not be used (replication.md 14). Its raft folder is sound, so it keeps its
// server id, its vote and its log; it applies nothing, and gets a copy from the leader.

package raftlog

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// startWithoutStore marks this member as one without a store. Somebody else must be able to send the copy.
func (n *Node) startWithoutStore(snapshot *record) error {
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	// The log notes each configuration that is read.
	for index := snapshot.Index + 1; index <= last; index++ {
		var entry raft.Log
		if err := n.log.GetLog(index, &entry); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
			return err
		}
	}
	membership, err := n.Membership()
	if err != nil {
		return err
	}
	for _, member := range membership.Members {
		if member.Voter && member.Server != n.server {
			n.fsm.noStore.Store(true)
			return nil
		}
	}
	return quarantinef("the store is at entry 0, before the snapshot at %d, and there is no other voter to send a copy",
		snapshot.Index)
}

// answerInStead answers some calls of a leader in place of raft, and reports whether it did.
//
// For a member without a store it answers entries as a member without a log would: the leader goes back to its first
// entry, finds it compacted, since every fleet begins with a snapshot, and sends a snapshot. Heartbeats and votes pass.
//
// A leader whose snapshot is older than this member's record then sends entries that this member has no longer in its
// log. They are committed and in its store, so they are acknowledged, and so is the same snapshot when it comes again.
func (n *Node) answerInStead(call raft.RPC) bool {
	header := n.transport.Load().header()
	switch request := call.Command.(type) {
	case *raft.AppendEntriesRequest:
		if request.PrevLogEntry == 0 && len(request.Entries) == 0 {
			return false
		}
		reply := &raft.AppendEntriesResponse{RPCHeader: header, Term: request.Term, NoRetryBackoff: true}
		if !n.fsm.noStore.Load() && !n.dropKnown(request, reply) {
			return false
		}
		call.Respond(reply, nil)
		return true
	case *raft.InstallSnapshotRequest:
		snapshot, err := n.snapshots.newest()
		if err != nil || snapshot == nil || n.fsm.noStore.Load() || request.LastLogIndex > snapshot.Index ||
			request.Term < n.current().CurrentTerm() {
			return false
		}
		_, err = io.Copy(io.Discard, call.Reader)
		call.Respond(&raft.InstallSnapshotResponse{RPCHeader: header, Term: request.Term, Success: err == nil}, err)
		return true
	}
	return false
}

// dropKnown removes the entries up to this member's snapshot from a request that begins before its log. It reports
// whether nothing is left for raft, with the reply.
func (n *Node) dropKnown(request *raft.AppendEntriesRequest, reply *raft.AppendEntriesResponse) bool {
	snapshot, err := n.snapshots.newest()
	if err != nil || snapshot == nil || request.PrevLogEntry > snapshot.Index || request.Term < n.current().CurrentTerm() {
		return false
	}
	last, err := n.log.LastIndex()
	var previous raft.Log
	if err != nil || n.log.GetLog(request.PrevLogEntry, &previous) == nil ||
		last <= snapshot.Index && request.PrevLogEntry == snapshot.Index {
		return false
	}
	kept := request.Entries
	for len(kept) > 0 && kept[0].Index <= snapshot.Index {
		kept = kept[1:]
	}
	if len(kept) == 0 {
		reply.Success, reply.LastLog = true, snapshot.Index
		return true
	}
	request.PrevLogEntry, request.PrevLogTerm, request.Entries = snapshot.Index, snapshot.Term, kept
	if last <= snapshot.Index || n.log.GetLog(snapshot.Index, &previous) == nil {
		return false
	}
	// Raft looks for the entry before the first one in the log alone, and this log begins right after the snapshot.
	err = n.log.GetLog(kept[0].Index, &previous)
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		return false
	}
	if err == nil && previous.Term == kept[0].Term {
		request.PrevLogEntry, request.PrevLogTerm, request.Entries = previous.Index, previous.Term, kept[1:]
		return false
	}
	// None of the log was ever committed.
	n.fsm.onConflict()
	reply.LastLog = snapshot.Index
	return true
}

// passLeadershipOn hands over a leadership that a member without a store won because its log is the longest. Raft
// first sends the target what it lacks. Without a target the next round tries again.
func (n *Node) passLeadershipOn(now *raft.Raft) {
	if now.State() != raft.Leader {
		return
	}
	n.options.Log.Warn("this member has no store; transferring leadership")
	if err := n.transfer(now); err != nil {
		n.options.Log.Warn("leadership transfer failed", "reason", err)
	}
}

// keepNewerRecord makes a copy that replaces a missing store use this member's own record where that is newer: the log
// continues from there. The copy must contain everything up to it, which the store checks.
func (s *sink) keepNewerRecord() error {
	if !s.store.lacksStore() {
		return nil
	}
	own, err := s.store.newest()
	if err != nil || own == nil || own.Index <= s.record.Index {
		return err
	}
	s.record = *own
	s.store.olderLabel.Store(true)
	return nil
}

// refusedFuture is the outcome of a proposal that a member without a store does not take.
type refusedFuture struct{}

func (refusedFuture) Error() error          { return raft.ErrNotLeader }
func (refusedFuture) Response() interface{} { return nil }
func (refusedFuture) Index() uint64         { return 0 }
