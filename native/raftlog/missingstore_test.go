// Tests of members that start without their store, and of servers whose calls are refused.

package raftlog_test

import (
	"strings"
	"testing"

	"cairn.internal/native/raftlog"
	"github.com/hashicorp/raft"
)

// dropStore stops a member, and gives it a new store in place of its own.
func (f *fleet) dropStore(m *member) {
	f.t.Helper()
	f.stop(m)
	m.store = newMemoryStore()
}

func TestMemberWithoutStoreKeepsItsVoteAndGetsACopy(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	acknowledged := f.put(0, 20)
	victim := f.follower(f.leader())
	must(t, victim.node.Snapshot())
	acknowledged = append(acknowledged, f.put(100, 5)...)
	f.dropStore(victim)
	acknowledged = append(acknowledged, f.put(200, 5)...)
	f.start(victim, false)
	until(t, "a copy", func() bool { return victim.store.AppliedIndex() > 0 })
	f.checkSettled(append(acknowledged, f.put(300, 5)...))
	f.stop(victim)
	f.start(victim, false)
	f.checkSettled(append(acknowledged, f.put(400, 5)...))
}

func TestTwoOfThreeStoresLost(t *testing.T) {
	// The records of the two are newer than that of the leader that will send the copies, and their logs are short.
	f := newFleet(t, 3, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	acknowledged := f.put(0, 40)
	kept := f.leader()
	lost := []*member{}
	for _, m := range f.members {
		if m != kept {
			must(t, m.node.Snapshot())
			lost = append(lost, m)
		}
	}
	acknowledged = append(acknowledged, f.put(100, 10)...)
	for _, m := range lost {
		f.dropStore(m)
	}
	for _, m := range lost {
		f.start(m, false)
	}
	f.checkSettled(append(acknowledged, f.put(200, 10)...))
	for _, m := range lost {
		if m.store.installs != 1 {
			t.Errorf("%d installs", m.store.installs)
		}
	}
}

func TestMemberWithoutStorePassesLeadershipOn(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	behind := f.follower(f.leader())
	f.stop(behind)
	acknowledged = append(acknowledged, f.put(10, 5)...)
	// Both others have entries that it lacks, so only they can be elected, and only it has a store.
	for _, m := range f.members {
		if m != behind {
			f.dropStore(m)
		}
	}
	for _, m := range f.members {
		f.start(m, false)
	}
	leader := f.leader()
	if leader != behind && leader.store.AppliedIndex() == 0 {
		t.Error("a member without a store reports that it leads")
	}
	f.checkSettled(append(acknowledged, f.put(20, 5)...))
	if behind.store.installs > 1 {
		t.Errorf("the member with the store got %d copies", behind.store.installs)
	}
}

func TestRefusedLeaderIsReplacedAndComesBack(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	old := f.leader()
	for _, m := range f.members {
		if m != old {
			m.node.Refuse([]string{old.id})
		}
	}
	acknowledged = append(acknowledged, f.put(10, 5, old)...)
	// It follows the others, though they refuse it.
	f.checkSettled(acknowledged)
	if old.node.State().Leading {
		t.Error("a leader that all others refuse still leads")
	}
	for _, m := range f.members {
		m.node.Refuse(nil)
	}
	must(t, f.leader().node.Transfer(old.id))
	until(t, "it to lead again", func() bool { return old.node.State().Leading })
	f.checkSettled(append(acknowledged, f.put(20, 5)...))
}

func TestMemberWithoutStoreKnowsTheNewestVoters(t *testing.T) {
	// The last entry of its log is the one that made the other a voter.
	f := newFleet(t, 2, raftlog.Retention{})
	victim := f.members[0]
	f.dropStore(victim)
	f.start(victim, false)
	f.checkSettled(f.put(0, 5))
	if victim.store.installs != 1 {
		t.Errorf("%d installs", victim.store.installs)
	}
}

// entries returns entries of a log, of one term each.
func entries(from, to, term uint64) (made []*raft.Log) {
	for index := from; index <= to; index++ {
		made = append(made, &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: []byte("x")})
	}
	return made
}

// appendTo asks a member to answer in place of raft. It returns the reply, or nil, and the request as raft gets it.
func appendTo(m *member, request *raft.AppendEntriesRequest) (*raft.AppendEntriesResponse, *raft.AppendEntriesRequest) {
	replies := make(chan raft.RPCResponse, 1)
	if !m.node.AnswerInStead(raft.RPC{Command: request, RespChan: replies}) {
		return nil, request
	}
	return (<-replies).Response.(*raft.AppendEntriesResponse), request
}

func TestEntriesUpToTheSnapshotAreAcknowledgedOnce(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	m := f.members[0]
	f.put(0, 20)
	must(t, m.node.Snapshot())
	at := m.node.State().Snapshot
	f.put(100, 5)
	state := m.node.State()
	term := state.Term
	conflicts := 0
	m.node.OnConflict(func() { conflicts++ })
	check := func(what string, request *raft.AppendEntriesRequest, answered, success bool, previous uint64, left int) {
		t.Helper()
		reply, request := appendTo(m, request)
		if (reply != nil) != answered ||
			reply != nil && (reply.Success != success || reply.LastLog != at || reply.Term != term) {
			t.Errorf("%s: the reply is %+v", what, reply)
		}
		if reply == nil && (request.PrevLogEntry != previous || len(request.Entries) != left) {
			t.Errorf("%s: raft gets %d entries after %d", what, len(request.Entries), request.PrevLogEntry)
		}
	}
	of := func(term, previous uint64, entries []*raft.Log) *raft.AppendEntriesRequest {
		return &raft.AppendEntriesRequest{Term: term, PrevLogEntry: previous, PrevLogTerm: term, Entries: entries}
	}
	check("a heartbeat", of(term, 0, nil), false, false, 0, 0)
	check("what is in the log", of(term, at-2, entries(at-1, at+1, term)), false, false, at-2, 3)
	check("what is behind the log", of(term, state.Last+3, entries(state.Last+4, state.Last+4, term)), false, false,
		state.Last+3, 1)
	check("what ends with the snapshot", of(term, at-9, entries(at-8, at, term)), true, true, 0, 0)
	check("what ends before it", of(term, at-9, entries(at-8, at-7, term)), true, true, 0, 0)
	check("what goes on after it", of(term, at-9, entries(at-8, at+2, term)), false, false, at, 2)
	check("what an earlier leader sends", of(term-1, at-9, entries(at-8, at, term-1)), false, false, at-9, 9)
	// Raft would look in vain for the entry before the first one of this log.
	must(t, m.node.DropEntries(at))
	check("the entries after the snapshot", of(term, at, entries(at+1, at+3, term)), false, false, at+1, 2)
	check("entries around it", of(term, at-2, entries(at-1, at+3, term)), false, false, at+1, 2)
	if conflicts > 0 {
		t.Error("equal entries are taken for another history")
	}
	check("other entries than its own", of(term, at, entries(at+1, at+3, term+7)), true, false, 0, 0)
	if conflicts != 1 {
		t.Errorf("%d conflicts", conflicts)
	}
	must(t, m.node.DropEntries(state.Last))
	check("what follows a log that is empty", of(term, at, entries(at+1, at+3, term)), false, false, at, 3)
	check("what goes on after an empty log", of(term, at-2, entries(at-1, at+3, term)), false, false, at, 3)
}

func TestWhatAMemberWithoutStoreAnswersItself(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	m := f.members[0]
	f.put(0, 20)
	must(t, m.node.Snapshot())
	at, term := m.node.State().Snapshot, m.node.State().Term
	send := func(term, last uint64) (answered bool) {
		copied := strings.NewReader("abc")
		replies := make(chan raft.RPCResponse, 1)
		request := &raft.InstallSnapshotRequest{Term: term, LastLogIndex: last, Size: 3}
		if !m.node.AnswerInStead(raft.RPC{Command: request, Reader: copied, RespChan: replies}) {
			return false
		}
		reply := (<-replies).Response.(*raft.InstallSnapshotResponse)
		if !reply.Success || reply.Term != term || copied.Len() > 0 {
			t.Errorf("a known snapshot: %+v, %d bytes are left", reply, copied.Len())
		}
		return true
	}
	for _, missing := range []bool{false, true} {
		m.node.SetNoStore(missing)
		for what, row := range map[string]struct {
			term, last uint64
			known      bool
		}{
			"its own":               {term, at, true},
			"an older one":          {term, at - 1, true},
			"a newer one":           {term, at + 1, false},
			"of an earlier leader":  {term - 1, at, false},
			"of a later leader too": {term + 1, at, true},
		} {
			if got := send(row.term, row.last); got != (row.known && !missing) {
				t.Errorf("a snapshot, %s, without a store %v: answered %v", what, missing, got)
			}
		}
	}
	for what, request := range map[string]*raft.AppendEntriesRequest{
		"heartbeat": {Term: term},
		"empty one": {Term: term, PrevLogEntry: at},
		"first one": {Term: term, Entries: entries(1, 2, term)},
		"next one":  {Term: term, PrevLogEntry: at, Entries: entries(at+1, at+2, term)},
	} {
		reply, _ := appendTo(m, request)
		if isHeartbeat := what == "heartbeat"; (reply == nil) != isHeartbeat {
			t.Errorf("%s: the reply is %+v", what, reply)
		}
		if reply != nil && (reply.Success || reply.LastLog != 0 || reply.Term != term || !reply.NoRetryBackoff) {
			t.Errorf("%s: the reply is %+v", what, reply)
		}
	}
	vote := raft.RPC{Command: &raft.RequestVoteRequest{Term: term + 1}}
	if m.node.AnswerInStead(vote) {
		t.Error("a vote is not raft's")
	}
	m.node.SetNoStore(false)
}
