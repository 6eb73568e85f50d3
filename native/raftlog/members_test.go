// Tests of membership changes and of fatal errors: over loopback TCP, with a store in memory.

package raftlog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
)

func (f *fleet) follower(leader *member, except ...*member) *member {
	for _, m := range f.members {
		skip := m == leader || m.node == nil
		for _, other := range except {
			skip = skip || m == other
		}
		if !skip {
			return m
		}
	}
	f.t.Fatal("no other member")
	return nil
}

// transferTo transfers leadership to that member. A first call may use a pooled connection to its earlier incarnation.
func (f *fleet) transferTo(from, to *member) {
	f.t.Helper()
	until(f.t, "the chosen member to lead", func() bool {
		if !to.node.State().Leading {
			_ = from.node.Transfer(to.id)
		}
		return to.node.State().Leading
	})
}

func (f *fleet) configuration(of *member) uint64 {
	f.t.Helper()
	membership, err := of.node.Membership()
	must(f.t, err)
	return membership.Index
}

func TestChangesRequireTheNewestConfiguration(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	leader := f.leader()
	other := f.follower(leader)
	before := f.configuration(leader)
	must(t, leader.node.Demote(other.id, before))
	if now := f.configuration(leader); now <= before {
		t.Fatalf("the configuration stays at entry %d", now)
	}
	for name, change := range map[string]func(string, uint64) error{
		"add":     leader.node.AddNonvoter,
		"promote": leader.node.Promote,
		"demote":  leader.node.Demote,
		"remove":  leader.node.Remove,
	} {
		if err := change(other.id, before); err == nil || !strings.HasPrefix(err.Error(), "configuration changed since") {
			t.Errorf("%s based on an old configuration: %v", name, err)
		}
	}
	if err := leader.node.AddNonvoter("x", 0); err == nil || !strings.Contains(err.Error(), "is not a server id") {
		t.Errorf("adding a server without an id: %v", err)
	}
	// The configuration's index survives a restart and a snapshot that covers its entry.
	now := f.configuration(leader)
	must(t, leader.node.Transfer(f.follower(leader, other).id))
	f.stop(leader)
	f.start(leader, false)
	if again := f.configuration(leader); again != now {
		t.Errorf("entry %d became %d by a restart", now, again)
	}
	next := f.leader()
	must(t, next.node.Snapshot())
	if again := f.configuration(next); again != now {
		t.Errorf("entry %d became %d by a snapshot", now, again)
	}
	must(t, next.node.Promote(other.id, now))
	f.transferTo(next, leader)
	must(t, leader.node.Remove(other.id, f.configuration(leader)))
	f.put(0, 3)
	membership, err := leader.node.Membership()
	must(t, err)
	if len(membership.Members) != 2 {
		t.Errorf("members %v", membership.Members)
	}
}

func TestProfileChangeLosesNothing(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	home, err := raftlog.ProfileOf("home")
	must(t, err)
	for _, m := range f.members {
		must(t, m.node.SetProfile(home))
		acknowledged = append(acknowledged, f.put(10*(1+len(acknowledged)), 3)...)
	}
	f.checkSettled(acknowledged)
	single := newFleet(t, 1, raftlog.Retention{})
	written := single.put(0, 5)
	must(t, single.members[0].node.SetProfile(home))
	single.checkSettled(append(written, single.put(10, 5)...))
}

func TestLeaderStepsDownIfTransferFails(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	old := f.leader()
	old.node.FailTransfers(errors.New("transfer failed"))
	old.store.mu.Lock()
	old.store.lag = time.Minute
	old.store.mu.Unlock()
	f.leader(old)
	old.store.mu.Lock()
	old.store.lag = 0
	old.store.mu.Unlock()
	f.checkSettled(append(acknowledged, f.put(10, 5)...))
	if health := old.node.Health(); health.ElectionsIn10Min == 0 || health.FsyncP99Ms <= 0 || health.FsyncSamples <= 0 {
		t.Errorf("health %+v after an election", health)
	}
}

func TestOlderDiskIsQuarantined(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	leader := f.leader()
	victim := f.follower(leader)
	f.stop(victim)
	older := filepath.Join(t.TempDir(), "raft")
	must(t, os.CopyFS(older, os.DirFS(victim.folder)))
	applied, values := victim.store.position, victim.store.applied()
	f.start(victim, false)
	acknowledged = append(acknowledged, f.put(10, 20)...)
	until(t, "the victim to follow", func() bool { return victim.node.State().Last == leader.node.State().Last })
	f.put(40, 2)
	f.stop(victim)
	must(t, os.RemoveAll(victim.folder))
	must(t, os.CopyFS(victim.folder, os.DirFS(older)))
	victim.store.position, victim.store.values = applied, values
	victim.doomed = true
	f.start(victim, false)
	select {
	case err := <-victim.fatal:
		var quarantined *raftlog.QuarantineError
		if !errors.As(err, &quarantined) || !strings.Contains(err.Error(), "acknowledged entry") {
			t.Errorf("the victim failed by %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("an older disk was accepted")
	}
	if last := victim.node.State().Last; last >= leader.node.State().Last {
		t.Error("the victim was brought up to date")
	}
	_ = acknowledged
}

func TestLogIsHeldAfterACopy(t *testing.T) {
	f := newFleet(t, 2, raftlog.Retention{Trailing: 5, Threshold: 1 << 30, AfterCopy: 300 * time.Millisecond})
	leader := f.leader()
	until(t, "the log to be shortened again", func() bool { return leader.node.Trailing() == 5 })
	f.put(0, 40)
	must(t, leader.node.Snapshot())
	// A third member needs a copy; while it is sent and for a while after, the next snapshot drops nothing.
	folder := filepath.Join(t.TempDir(), "raft")
	id, err := raftlog.ServerID(folder)
	must(t, err)
	third := &member{id: id, folder: folder, store: newMemoryStore(), fatal: make(chan error, 8)}
	f.members = append(f.members, third)
	f.start(third, false)
	must(t, leader.node.AddNonvoter(third.id, f.configuration(leader)))
	until(t, "the copy to be installed", func() bool { return third.store.AppliedIndex() > 40 })
	if third.store.installs != 1 {
		t.Fatalf("%d installs", third.store.installs)
	}
	if leader.node.Trailing() < 1<<40 {
		t.Error("the log is not kept after a copy was sent")
	}
	until(t, "the log to be shortened again", func() bool { return leader.node.Trailing() == 5 })
	left, err := filepath.Glob(filepath.Join(leader.folder, "copy-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("the leader keeps %v", left)
	}
}

func TestDiskWriteFailureStopsTheMember(t *testing.T) {
	for _, role := range []string{"leader", "follower", "alone"} {
		t.Run(role, func(t *testing.T) {
			f := newFleet(t, map[string]int{"leader": 3, "follower": 3, "alone": 1}[role], raftlog.Retention{})
			acknowledged := f.put(0, 5)
			victim := f.leader()
			if role == "follower" {
				victim = f.follower(victim)
			}
			victim.doomed = true
			victim.node.BreakDisk()
			if role != "follower" {
				if _, _, err := victim.node.Propose([]byte("lost")).Wait(); err == nil {
					t.Error("a write without a disk was acknowledged")
				}
			}
			if role != "alone" {
				acknowledged = append(acknowledged, f.put(10, 5, victim)...)
			}
			select {
			case err := <-victim.fatal:
				if !strings.Contains(err.Error(), "cannot be written") || !strings.Contains(err.Error(), victim.folder) {
					t.Errorf("it failed by %v", err)
				}
			case <-time.After(15 * time.Second):
				t.Fatal("the member continues without a disk")
			}
			must(t, ignoreClosed(victim.node.Close()))
			victim.node = nil
			f.start(victim, role == "alone")
			f.checkSettled(acknowledged)
		})
	}
}

func ignoreClosed(err error) error {
	if err != nil && strings.Contains(err.Error(), "database not open") {
		return nil
	}
	return err
}
