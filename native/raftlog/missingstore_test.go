// Tests of members that start without their store, and of servers whose calls are refused.

package raftlog_test

import (
	"testing"

	"cairn.internal/native/raftlog"
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
