// Members in one process over loopback TCP, with a store in memory: leader loss, partitions, restarts, snapshots to
// lagging followers, divergent logs.

package raftlog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
)

func TestSingleVoterLeadsAtOnce(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{})
	f.checkSettled(f.put(0, 10))
	// The best of three, since the machine is shared.
	best := time.Hour
	for at := range 3 {
		f.stop(f.members[0])
		before := time.Now()
		f.start(f.members[0], true)
		f.put(10+at, 1)
		best = min(best, time.Since(before))
	}
	if best > 200*time.Millisecond {
		t.Errorf("the first write took %v", best)
	}
	f.checkSettled(nil)
}

func TestLeadersRestart(t *testing.T) {
	for _, count := range []int{3, 5} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			f := newFleet(t, count, raftlog.Retention{})
			acknowledged := f.put(0, 20)
			for round := 1; round <= 2; round++ {
				gone := f.leader()
				f.stop(gone)
				acknowledged = append(acknowledged, f.put(100*round, 20)...)
				f.start(gone, false)
			}
			f.checkSettled(acknowledged)
		})
	}
}

func TestPartitionedLeaderAcknowledgesNothing(t *testing.T) {
	for name, rule := range map[string]loopback.Rule{
		"both ways": {CutIn: true, CutOut: true},
		"out":       {CutOut: true},
		"in":        {CutIn: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 3, raftlog.Retention{})
			acknowledged := f.put(0, 5)
			old := f.leader()
			f.cut(old, rule)
			if _, _, err := old.node.Propose([]byte("lost")).Wait(); err == nil && name == "both ways" {
				t.Error("a leader without followers acknowledged")
			}
			acknowledged = append(acknowledged, f.put(10, 10, old)...)
			f.cut(old, loopback.Rule{})
			f.checkSettled(acknowledged)
		})
	}
}

func TestLaggingFollowerGetsASnapshot(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	acknowledged := f.put(0, 5)
	leader := f.leader()
	var slow *member
	for _, m := range f.members {
		if m != leader {
			slow = m
		}
	}
	f.stop(slow)
	installs := slow.store.installs
	acknowledged = append(acknowledged, f.put(10, 40)...)
	must(t, leader.node.Snapshot())
	f.start(slow, false)
	acknowledged = append(acknowledged, f.put(100, 5)...)
	f.checkSettled(acknowledged)
	if slow.store.installs == installs {
		t.Error("the follower caught up without the snapshot that this test is about")
	}
	f.stop(slow)
	f.start(slow, false)
	f.checkSettled(append(acknowledged, f.put(200, 5)...))
}

func TestLeaderThatShouldNotLeadTransfersLeadership(t *testing.T) {
	for name, stall := range map[string]func(*memoryStore, string){
		"a store that lags":         func(store *memoryStore, _ string) { store.lag = time.Minute },
		"a silent process":          func(store *memoryStore, _ string) { store.silence = time.Minute },
		"no room, and one that has": func(store *memoryStore, other string) { store.silence, store.successor = time.Minute, other },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 3, raftlog.Retention{})
			acknowledged := f.put(0, 5)
			old := f.leader()
			other := f.members[(slices.Index(f.members, old)+1)%3]
			old.store.mu.Lock()
			stall(old.store, other.id)
			old.store.mu.Unlock()
			next := f.leader(old)
			if old.store.successor != "" && next != other {
				t.Errorf("%s leads instead of %s", next.id, other.id)
			}
			old.store.mu.Lock()
			old.store.lag, old.store.silence, old.store.successor = 0, 0, ""
			old.store.mu.Unlock()
			f.checkSettled(append(acknowledged, f.put(10, 5)...))
		})
	}
}

func TestInconsistentFoldersAreRefused(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{Trailing: 2, Threshold: 1 << 30})
	m := f.members[0]
	f.put(0, 10)
	must(t, m.node.Snapshot())
	f.put(10, 5)
	f.stop(m)
	good := m.store.position
	// For some the raft folder is sound: the member may keep its vote and start without the store.
	for name, row := range map[string]struct {
		keepsVote bool
		change    func(*raftlog.Applied)
	}{
		"of another server":   {true, func(applied *raftlog.Applied) { applied.Server = "0123456789abcdef0123456789abcdef" }},
		"before the snapshot": {true, func(applied *raftlog.Applied) { applied.Index = 3 }},
		"of another term":     {true, func(applied *raftlog.Applied) { applied.Term += 7 }},
		"beyond the log":      {false, func(applied *raftlog.Applied) { applied.Index += 1000 }},
		"lost, with no other": {false, func(applied *raftlog.Applied) { *applied = raftlog.Applied{} }},
	} {
		changed := good
		row.change(&changed)
		network, err := loopback.Listen(0)
		must(t, err)
		profile, _ := raftlog.ProfileOf("lan")
		node, err := raftlog.Start(context.Background(), raftlog.Options{Folder: m.folder, Fleet: "f", Epoch: "e",
			Profile: profile, Network: network, StateMachine: m.store, Applied: changed})
		var quarantined *raftlog.QuarantineError
		var unusable *raftlog.StoreError
		if errors.As(err, &unusable) != row.keepsVote || errors.As(err, &quarantined) == row.keepsVote {
			t.Errorf("a store %s: %v", name, err)
		}
		if node != nil {
			node.Close()
		}
		network.Close()
	}
	f.start(m, false)
	f.put(100, 1)
	// Acknowledged entries and votes are lost with the log, even if the store is exactly at the snapshot.
	must(t, m.node.Snapshot())
	f.stop(m)
	whole := filepath.Join(t.TempDir(), "raft")
	must(t, os.CopyFS(whole, os.DirFS(m.folder)))
	segment := filepath.Join("entries", "00000000000000000001.seg")
	for _, part := range []string{"log.db", "entries", "votes.db", segment} {
		must(t, os.RemoveAll(m.folder))
		must(t, os.CopyFS(m.folder, os.DirFS(whole)))
		if part == segment {
			// Its head, which was synced.
			must(t, os.WriteFile(filepath.Join(m.folder, part), []byte("damaged"), 0o600))
		} else {
			must(t, os.RemoveAll(filepath.Join(m.folder, part)))
		}
		network, err := loopback.Listen(0)
		must(t, err)
		profile, _ := raftlog.ProfileOf("lan")
		_, err = raftlog.Start(context.Background(), raftlog.Options{Folder: m.folder, Fleet: "f", Epoch: "e",
			Profile: profile, Network: network, StateMachine: m.store, Applied: m.store.position})
		network.Close()
		var quarantined *raftlog.QuarantineError
		if !errors.As(err, &quarantined) {
			t.Errorf("a folder without %s: %v", part, err)
		}
	}
}

func TestLostEntryIsReportedAsReplaced(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	old := f.leader()
	f.cut(old, loopback.Rule{CutIn: true, CutOut: true})
	lost := old.node.Propose([]byte("lost"))
	barrier := old.node.Propose(nil)
	if _, _, err := lost.Wait(); err == nil || raftlog.RefusalOf(err) != raftlog.RefusedUnknown {
		t.Fatalf("a leader without followers returned %v", err)
	}
	never := make(chan struct{})
	replaced := make(chan bool, 1)
	go func() { replaced <- lost.Replaced(never) }()
	acknowledged = append(acknowledged, f.put(10, 5, old)...)
	select {
	case <-replaced:
		t.Fatal("the outcome was reported before the partition healed")
	case <-time.After(50 * time.Millisecond):
	}
	f.cut(old, loopback.Rule{})
	if !<-replaced {
		t.Error("a replaced entry stays unknown")
	}
	if _, _, err := barrier.Wait(); err == nil || barrier.Replaced(never) {
		t.Error("a barrier was reported as replaced, but all barriers are equal")
	}
	f.checkSettled(acknowledged)

	// Only replies are lost: the entry reaches the others, the next leader commits it, and it must not be reported as
	// replaced.
	leader := f.leader()
	f.cut(leader, loopback.Rule{CutIn: true})
	kept := leader.node.Propose([]byte("kept"))
	if _, _, err := kept.Wait(); err == nil {
		t.Fatal("a leader that receives no replies acknowledged")
	}
	f.put(20, 2, leader)
	f.cut(leader, loopback.Rule{})
	until(t, "equal values",
		func() bool { return fmt.Sprint(leader.store.applied()) == fmt.Sprint(f.leader().store.applied()) })
	written := slices.Contains(leader.store.applied(), "kept")
	if kept.Replaced(never) == written {
		t.Errorf("written: %v, reported as the opposite", written)
	}
}

func TestSnapshotOverDivergentLog(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{Trailing: 2, Threshold: 1 << 30})
	acknowledged := f.put(0, 5)
	old := f.leader()
	installs := old.store.installs
	f.cut(old, loopback.Rule{CutIn: true, CutOut: true})
	var lost []raftlog.Proposal
	for at := range 60 {
		lost = append(lost, old.node.Propose([]byte(fmt.Sprintf("lost %d", at))))
	}
	for _, proposal := range lost {
		if _, _, err := proposal.Wait(); err == nil {
			t.Error("a leader without followers acknowledged")
		}
	}
	// Fewer than the old leader has in its log: on a busy machine it steps down before it has stored all.
	acknowledged = append(acknowledged, f.put(10, 10, old)...)
	must(t, f.leader(old).node.Snapshot())
	if last, label := old.node.State().Last, f.leader(old).node.State().Snapshot; last < label {
		t.Fatalf("the old log ends at %d, before the snapshot at %d", last, label)
	}
	f.cut(old, loopback.Rule{})
	acknowledged = append(acknowledged, f.put(100, 5)...)
	f.checkSettled(acknowledged)
	if old.store.installs == installs {
		t.Error("the old leader caught up without the snapshot that this test is about")
	}
	f.stop(old)
	f.start(old, false)
	f.checkSettled(append(acknowledged, f.put(200, 5)...))
}

func TestOnlyTheOneVoterIsSole(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{})
	leader := f.leader()
	other := f.follower(leader)
	if leader.node.IsSoleVoter() || other.node.IsSoleVoter() {
		t.Error("one of two voters is the only one")
	}
	must(t, leader.node.Demote(other.id, f.configuration(leader)))
	until(t, "the other one to learn it", func() bool { return f.configuration(other) == f.configuration(leader) })
	if !leader.node.IsSoleVoter() || other.node.IsSoleVoter() {
		t.Error("beside one that does not vote the leader is the only voter")
	}
}

// Two may find at once that an instance should not lead: the second must not restart the one that follows.
func TestRaftIsRestartedOncePerInstance(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{})
	m := f.members[0]
	written := f.put(0, 3)
	first := m.node.Instance()
	m.node.StepDown(first)
	second := m.node.Instance()
	if second == first {
		t.Error("the instance goes on")
	}
	m.node.StepDown(first)
	if m.node.Instance() != second {
		t.Error("an instance that had ended was restarted")
	}
	f.checkSettled(append(written, f.put(10, 3)...))
	node, last := m.node, m.node.Transport()
	f.stop(m)
	m.doomed = true
	node.StepDown(node.Instance())
	node.RestartWithEmptyLog()
	select {
	case err := <-m.fatal:
		t.Errorf("a closed member was restarted: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if wan, _ := raftlog.ProfileOf("wan"); node.SetProfile(wan) == nil || node.Transport() != last {
		t.Error("a closed member was started again")
	}
}

func TestRestartWithAnEmptyLogKeepsWhatTheSnapshotHas(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{Trailing: 1000, Threshold: 1 << 30})
	m := f.members[0]
	written := f.put(0, 10)
	must(t, m.node.Snapshot())
	label := m.node.State().Snapshot
	if _, err := m.node.TermOf(label); err != nil {
		t.Fatal(err)
	}
	m.node.RestartWithEmptyLog()
	if _, err := m.node.TermOf(label); err == nil {
		t.Error("the log was kept")
	}
	f.checkSettled(append(written, f.put(10, 3)...))
	// The store is told which entry a batch follows, also after a start: one that lacks it must refuse the batch.
	must(t, m.node.Snapshot())
	label = m.node.State().Snapshot
	f.stop(m)
	f.start(m, false)
	f.put(20, 1)
	if m.store.previous < label {
		t.Errorf("the first batch after a start follows entry %d, before the snapshot at %d", m.store.previous, label)
	}
}

func TestLeaderOfOthersTransfersBeforeItsProfileChanges(t *testing.T) {
	lan, _ := raftlog.ProfileOf("lan")
	home, _ := raftlog.ProfileOf("home")
	for count, want := range map[int]int32{1: 0, 3: 1} {
		f := newFleet(t, count, raftlog.Retention{})
		written := f.put(0, 3)
		leader := f.leader()
		if count > 1 {
			follower := f.follower(leader)
			transfers := follower.node.CountTransfers()
			if must(t, follower.node.SetProfile(home)); transfers.Load() != 0 {
				t.Error("a follower transferred a leadership that it does not have")
			}
		}
		transfers, before := leader.node.CountTransfers(), leader.node.Instance()
		if must(t, leader.node.SetProfile(lan)); leader.node.Instance() != before {
			t.Error("the same profile restarted raft")
		}
		if must(t, leader.node.SetProfile(home)); leader.node.Instance() == before || transfers.Load() != want {
			t.Errorf("the leader of %d made %d transfers, want %d", count, transfers.Load(), want)
		}
		f.checkSettled(append(written, f.put(10, 3)...))
	}
}

func TestFailedDiskClosesTheConnectionsFirst(t *testing.T) {
	f := newFleet(t, 1, raftlog.Retention{})
	m := f.members[0]
	m.doomed = true
	broken := errors.New("the disk is broken")
	if m.node.FailDisk(broken); !m.node.IsTransportClosed() {
		t.Error("what is not written may still be acknowledged")
	}
	if err := <-m.fatal; !errors.Is(err, broken) {
		t.Errorf("the member failed by %v", err)
	}
}
