// Members in one process over loopback TCP, with a machine in memory: leader loss, cuts, restarts, snapshots to who lags, a log that went another way.

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

func TestASingleVoterIsReadyAtOnce(t *testing.T) {
	all := newFleet(t, 1, raftlog.Keep{})
	all.settled(all.put(0, 10))
	// The best of three, since others use this machine too.
	best := time.Hour
	for at := range 3 {
		all.stop(all.members[0])
		before := time.Now()
		all.start(all.members[0], true)
		all.put(10+at, 1)
		best = min(best, time.Since(before))
	}
	if best > 200*time.Millisecond {
		t.Errorf("the first write took %v", best)
	}
	all.settled(nil)
}

func TestLeadersAreKilledAndComeBack(t *testing.T) {
	for _, count := range []int{3, 5} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			all := newFleet(t, count, raftlog.Keep{})
			acknowledged := all.put(0, 20)
			for round := 1; round <= 2; round++ {
				gone := all.leader()
				all.stop(gone)
				acknowledged = append(acknowledged, all.put(100*round, 20)...)
				all.start(gone, false)
			}
			all.settled(acknowledged)
		})
	}
}

func TestACutLeaderAcknowledgesNothing(t *testing.T) {
	for name, rule := range map[string]loopback.Rule{"both ways": {CutIn: true, CutOut: true}, "out": {CutOut: true}, "in": {CutIn: true}} {
		t.Run(name, func(t *testing.T) {
			all := newFleet(t, 3, raftlog.Keep{})
			acknowledged := all.put(0, 5)
			old := all.leader()
			all.cut(old, rule)
			if _, _, err := old.node.Propose([]byte("lost")).Wait(); err == nil && name == "both ways" {
				t.Error("a leader without followers acknowledged")
			}
			acknowledged = append(acknowledged, all.put(10, 10, old)...)
			all.cut(old, loopback.Rule{})
			all.settled(acknowledged)
		})
	}
}

func TestALaggardGetsASnapshot(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{Trailing: 5, Threshold: 1 << 30})
	acknowledged := all.put(0, 5)
	leader := all.leader()
	var slow *member
	for _, one := range all.members {
		if one != leader {
			slow = one
		}
	}
	all.stop(slow)
	installs := slow.store.installs
	acknowledged = append(acknowledged, all.put(10, 40)...)
	must(t, leader.node.Snapshot())
	all.start(slow, false)
	acknowledged = append(acknowledged, all.put(100, 5)...)
	all.settled(acknowledged)
	if slow.store.installs == installs {
		t.Error("it caught up without a snapshot, which this test is about")
	}
	all.stop(slow)
	all.start(slow, false)
	all.settled(append(acknowledged, all.put(200, 5)...))
}

func TestACrashBetweenReceivingAndInstalling(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{Trailing: 5, Threshold: 1 << 30})
	acknowledged := all.put(0, 5)
	leader := all.leader()
	slow := all.members[0]
	if slow == leader {
		slow = all.members[1]
	}
	all.stop(slow)
	acknowledged = append(acknowledged, all.put(10, 40)...)
	must(t, leader.node.Snapshot())
	before := slow.store.applied.Index
	slow.store.crash = true
	all.start(slow, false)
	until(t, "a received copy", func() bool { return slow.node.State().Snapshot > before })
	all.stop(slow)
	if slow.store.applied.Index != before {
		t.Fatalf("the store went from %d to %d without an install", before, slow.store.applied.Index)
	}
	slow.store.crash = false
	installs := slow.store.installs
	all.start(slow, false)
	if slow.store.installs != installs+1 {
		t.Error("the start did not install what was received")
	}
	all.settled(append(acknowledged, all.put(100, 5)...))
}

func TestALeaderWhoseStoreStallsHandsOver(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	old := all.leader()
	old.store.mu.Lock()
	old.store.behind = time.Minute
	old.store.mu.Unlock()
	all.leader(old)
	old.store.mu.Lock()
	old.store.behind = 0
	old.store.mu.Unlock()
	all.settled(append(acknowledged, all.put(10, 5)...))
}

func TestFoldersThatDoNotFitAreRefused(t *testing.T) {
	all := newFleet(t, 1, raftlog.Keep{Trailing: 2, Threshold: 1 << 30})
	one := all.members[0]
	all.put(0, 10)
	must(t, one.node.Snapshot())
	all.put(10, 5)
	all.stop(one)
	good := one.store.applied
	for name, change := range map[string]func(*raftlog.Applied){
		"of another server":   func(applied *raftlog.Applied) { applied.Server = "0123456789abcdef0123456789abcdef" },
		"before the snapshot": func(applied *raftlog.Applied) { applied.Index = 3 },
		"beyond the log":      func(applied *raftlog.Applied) { applied.Index += 1000 },
		"of another term":     func(applied *raftlog.Applied) { applied.Term += 7 },
		"lost and made anew":  func(applied *raftlog.Applied) { *applied = raftlog.Applied{} },
	} {
		changed := good
		change(&changed)
		network, err := loopback.Listen(0)
		must(t, err)
		profile, _ := raftlog.ProfileOf("lan")
		node, err := raftlog.Start(context.Background(), raftlog.Options{Folder: one.folder, Fleet: "f", Epoch: "e", Profile: profile,
			Network: network, Machine: one.store, Applied: changed})
		var quarantined *raftlog.QuarantineError
		if !errors.As(err, &quarantined) {
			t.Errorf("a store %s: %v", name, err)
		}
		if node != nil {
			node.Close()
		}
		network.Close()
	}
	all.start(one, false)
	all.put(100, 1)
	// A log that is gone takes what it acknowledged and its votes with it, even where the store is exactly at the snapshot.
	must(t, one.node.Snapshot())
	all.stop(one)
	must(t, os.Remove(filepath.Join(one.folder, "log.db")))
	network, err := loopback.Listen(0)
	must(t, err)
	defer network.Close()
	profile, _ := raftlog.ProfileOf("lan")
	_, err = raftlog.Start(context.Background(), raftlog.Options{Folder: one.folder, Fleet: "f", Epoch: "e", Profile: profile,
		Network: network, Machine: one.store, Applied: one.store.applied})
	var quarantined *raftlog.QuarantineError
	if !errors.As(err, &quarantined) {
		t.Errorf("a folder without its log: %v", err)
	}
}

func TestALostEntryIsKnownToBeReplaced(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 5)
	old := all.leader()
	all.cut(old, loopback.Rule{CutIn: true, CutOut: true})
	lost := old.node.Propose([]byte("lost"))
	barrier := old.node.Propose(nil)
	if _, _, err := lost.Wait(); err == nil || raftlog.RefusalOf(err) != raftlog.RefusedUnknown {
		t.Fatalf("a leader without followers said %v", err)
	}
	never := make(chan struct{})
	replaced := make(chan bool, 1)
	go func() { replaced <- lost.Replaced(never) }()
	acknowledged = append(acknowledged, all.put(10, 5, old)...)
	select {
	case <-replaced:
		t.Fatal("it was settled before anything was heard of the others")
	case <-time.After(50 * time.Millisecond):
	}
	all.cut(old, loopback.Rule{})
	if !<-replaced {
		t.Error("an entry whose place another one holds stays unknown")
	}
	if _, _, err := barrier.Wait(); err == nil || barrier.Replaced(never) {
		t.Error("a barrier is never settled, as barriers are all alike")
	}
	all.settled(acknowledged)

	// Only the answers are lost: the entry reaches the others, is committed by the next leader, and nobody may call it replaced.
	leader := all.leader()
	all.cut(leader, loopback.Rule{CutIn: true})
	kept := leader.node.Propose([]byte("kept"))
	if _, _, err := kept.Wait(); err == nil {
		t.Fatal("a leader that hears nobody acknowledged")
	}
	all.put(20, 2, leader)
	all.cut(leader, loopback.Rule{})
	until(t, "equal values", func() bool { return fmt.Sprint(leader.store.seen()) == fmt.Sprint(all.leader().store.seen()) })
	written := slices.Contains(leader.store.seen(), "kept")
	if kept.Replaced(never) == written {
		t.Errorf("written: %v, and settled as the opposite", written)
	}
}

func TestASnapshotOverAnotherHistory(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{Trailing: 2, Threshold: 1 << 30})
	acknowledged := all.put(0, 5)
	old := all.leader()
	installs := old.store.installs
	all.cut(old, loopback.Rule{CutIn: true, CutOut: true})
	var lost []raftlog.Proposal
	for at := range 60 {
		lost = append(lost, old.node.Propose([]byte(fmt.Sprintf("lost %d", at))))
	}
	for _, proposal := range lost {
		if _, _, err := proposal.Wait(); err == nil {
			t.Error("a leader without followers acknowledged")
		}
	}
	acknowledged = append(acknowledged, all.put(10, 30, old)...)
	must(t, all.leader(old).node.Snapshot())
	if last, label := old.node.State().Last, all.leader(old).node.State().Snapshot; last < label {
		t.Fatalf("the old log ends at %d, before the snapshot at %d", last, label)
	}
	all.cut(old, loopback.Rule{})
	acknowledged = append(acknowledged, all.put(100, 5)...)
	all.settled(acknowledged)
	if old.store.installs == installs {
		t.Error("the old leader caught up without a snapshot, which this test is about")
	}
	all.stop(old)
	all.start(old, false)
	all.settled(append(acknowledged, all.put(200, 5)...))
}
