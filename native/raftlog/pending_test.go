// Received copies of the store: crashes and failures between the transfer and the record, broken transfers beside a
// copy that is pending, and what a member does with a copy that it cannot use.

package raftlog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
	"cairn.internal/native/raftlog/loopback"
)

// needsCopy stops a follower until the others' log no longer reaches back to what it holds.
func needsCopy(t *testing.T) (f *fleet, slow *member, acknowledged []string) {
	f = newFleet(t, 3, raftlog.Retention{Trailing: 5, Threshold: 1 << 30})
	acknowledged = f.put(0, 5)
	slow = f.members[0]
	if slow == f.leader() {
		slow = f.members[1]
	}
	f.stop(slow)
	acknowledged = append(acknowledged, f.put(10, 40)...)
	must(t, f.leader().node.Snapshot())
	return f, slow, acknowledged
}

func (s *memoryStore) set(refusal error, afterwards bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal, s.afterwards = refusal, afterwards
}

func (s *memoryStore) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

func pendingOf(m *member) string { return filepath.Join(m.folder, "pending.json") }

func TestCrashAroundAnInstall(t *testing.T) {
	for name, afterwards := range map[string]bool{"before it": false, "before it is recorded": true} {
		t.Run(name, func(t *testing.T) {
			f, slow, acknowledged := needsCopy(t)
			before := slow.store.position.Index
			slow.store.set(raftlog.ErrStoreGone, afterwards)
			slow.doomed = true
			f.start(slow, false)
			until(t, "an install", func() bool { return slow.store.asked() > 0 })
			<-slow.fatal
			if snapshot := slow.node.State().Snapshot; snapshot > before && !afterwards {
				t.Errorf("the record names entry %d, and the store is at %d", snapshot, before)
			}
			// Raft would begin from the copy, and the store may lack it.
			if home, _ := raftlog.ProfileOf("home"); !afterwards && slow.node.SetProfile(home) == nil {
				t.Error("raft began again while it is not known whether the copy is installed")
			}
			f.stop(slow)
			slow.store.set(nil, false)
			slow.doomed = false
			installs := slow.store.installs
			if !afterwards {
				installs++
			}
			f.start(slow, false)
			if slow.store.installs != installs {
				t.Errorf("%d installs after the start instead of %d", slow.store.installs, installs)
			}
			if _, err := os.Stat(pendingOf(slow)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the copy is pending after the start: %v", err)
			}
			f.checkSettled(append(acknowledged, f.put(100, 5)...))
		})
	}
}

func TestRefusedCopyIsDropped(t *testing.T) {
	f, slow, acknowledged := needsCopy(t)
	before := slow.store.position.Index
	slow.store.set(errors.New("a newer schema"), false)
	f.start(slow, false)
	until(t, "an install to be refused", func() bool { return slow.store.asked() > 0 })
	until(t, "the refused copy to be dropped", func() bool {
		left, _ := filepath.Glob(filepath.Join(slow.folder, "received-*"))
		_, err := os.Stat(pendingOf(slow))
		return len(left) == 0 && errors.Is(err, os.ErrNotExist)
	})
	if snapshot := slow.node.State().Snapshot; snapshot > before {
		t.Errorf("the record names entry %d, and the store is at %d", snapshot, before)
	}
	// Raft begins again in this process, as with another profile, over what the member had.
	profile, _ := raftlog.ProfileOf("home")
	must(t, slow.node.SetProfile(profile))
	f.stop(slow)
	f.start(slow, false)
	slow.store.set(nil, false)
	f.checkSettled(append(acknowledged, f.put(100, 5)...))
}

func TestUnusableCopiesAreDroppedAtTheStart(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, m *member, path string){
		"damaged": func(t *testing.T, _ *member, path string) { must(t, os.WriteFile(path, []byte("x"), 0o600)) },
		"missing": func(t *testing.T, _ *member, path string) { must(t, os.Remove(path)) },
		"refused": func(_ *testing.T, m *member, _ string) { m.store.set(errors.New("a newer schema"), false) },
		"unnamed": func(t *testing.T, m *member, _ string) { must(t, os.WriteFile(pendingOf(m), []byte("{"), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			f, slow, acknowledged := needsCopy(t)
			slow.store.set(raftlog.ErrStoreGone, false)
			slow.doomed = true
			f.start(slow, false)
			<-slow.fatal
			f.stop(slow)
			slow.store.set(nil, false)
			slow.doomed = false
			received, _ := filepath.Glob(filepath.Join(slow.folder, "received-*"))
			if len(received) != 1 {
				t.Fatalf("%d received copies", len(received))
			}
			spoil(t, slow, received[0])
			f.start(slow, false)
			slow.store.set(nil, false)
			f.checkSettled(append(acknowledged, f.put(100, 5)...))
		})
	}
}

func TestBrokenTransferLeavesThePendingCopy(t *testing.T) {
	f, slow, acknowledged := needsCopy(t)
	slow.store.set(raftlog.ErrStoreGone, false)
	slow.doomed = true
	f.start(slow, false)
	<-slow.fatal
	// The leader sends again under the same label; this one breaks in the middle.
	until(t, "a second transfer", func() bool {
		received, _ := filepath.Glob(filepath.Join(slow.folder, "received-*"))
		f.cut(slow, loopback.Rule{CutIn: true, CutOut: true})
		time.Sleep(10 * time.Millisecond)
		f.cut(slow, loopback.Rule{})
		return len(received) > 0
	})
	f.stop(slow)
	slow.store.set(nil, false)
	slow.doomed = false
	f.start(slow, false)
	f.checkSettled(append(acknowledged, f.put(100, 5)...))
}

func TestStoreBehindTheRecordIsRefused(t *testing.T) {
	f, slow, acknowledged := needsCopy(t)
	position := slow.store.position
	f.start(slow, false)
	f.checkSettled(acknowledged)
	f.stop(slow)
	network, err := loopback.Listen(0)
	must(t, err)
	defer network.Close()
	profile, _ := raftlog.ProfileOf("lan")
	_, err = raftlog.Start(context.Background(), raftlog.Options{Folder: slow.folder, Fleet: "f", Epoch: "e",
		Profile: profile, Network: network, StateMachine: slow.store, Applied: position})
	var unusable *raftlog.StoreError
	if !errors.As(err, &unusable) {
		t.Errorf("a store from before the install: %v", fmt.Sprint(err))
	}
}
