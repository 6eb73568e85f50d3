// Entries that must leave the disk after a purge: the file of the log, members that lag, restarts.

package raftlog_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cairn.internal/native/raftlog"
)

// holds reports whether a file of the member's raft folder contains the text.
func (m *member) holds(t *testing.T, text string) bool {
	t.Helper()
	found := false
	must(t, filepath.WalkDir(m.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	}))
	return found
}

func TestErasedEntriesLeaveTheDisk(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	const secret = "a secret that was written by mistake"
	leader := f.leader()
	_, _, err := leader.node.Propose([]byte(secret)).Wait()
	must(t, err)
	acknowledged := append([]string{secret}, f.put(0, 30)...)
	index, term, err := leader.node.Propose([]byte("the purge")).Wait()
	must(t, err)
	acknowledged = append(acknowledged, "the purge")
	acknowledged = append(acknowledged, f.put(100, 10)...)
	f.checkSettled(acknowledged)
	for _, m := range f.members {
		if !m.holds(t, secret) {
			t.Fatal("the text is not where this test removes it")
		}
		must(t, m.node.Erase(index))
		if m.holds(t, secret) {
			t.Errorf("%s still holds the text", m.id)
		}
		// Again, with nothing left to remove.
		must(t, m.node.Erase(index))
	}
	if now := f.leader(); now != leader || now.node.State().Term != term {
		t.Error("erasing moved the leadership")
	}
	installs := 0
	for _, m := range f.members {
		installs += m.store.installs
	}
	// The fleet continues from its files: nobody needs a copy, and votes are kept.
	acknowledged = append(acknowledged, f.put(200, 10)...)
	for _, m := range f.members {
		f.stop(m)
		f.start(m, false)
		acknowledged = append(acknowledged, f.put(300+len(acknowledged), 5)...)
	}
	f.checkSettled(acknowledged)
	for _, m := range f.members {
		installs -= m.store.installs
	}
	if installs != 0 {
		t.Errorf("%d members needed a copy", -installs)
	}
}

func TestErasingTheNewestEntry(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	index, _, err := f.leader().node.Propose([]byte("the last one")).Wait()
	must(t, err)
	acknowledged = append(acknowledged, "the last one")
	f.checkSettled(acknowledged)
	for _, m := range f.members {
		must(t, m.node.Erase(index))
	}
	for _, m := range f.members {
		f.stop(m)
		f.start(m, false)
		acknowledged = append(acknowledged, f.put(100+len(acknowledged), 3)...)
	}
	f.checkSettled(acknowledged)
}

func TestAMemberThatWasAwayGetsACopyInsteadOfErasedEntries(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 5)
	leader := f.leader()
	var away *member
	for _, m := range f.members {
		if m != leader {
			away = m
		}
	}
	f.stop(away)
	installs := away.store.installs
	acknowledged = append(acknowledged, f.put(10, 10)...)
	index, _, err := leader.node.Propose([]byte("the purge")).Wait()
	must(t, err)
	acknowledged = append(acknowledged, "the purge")
	for _, m := range f.members {
		if m != away {
			until(t, "the purge on "+m.id, func() bool { return m.store.AppliedIndex() >= index })
			must(t, m.node.Erase(index))
		}
	}
	// More than the leader keeps in memory.
	acknowledged = append(acknowledged, f.put(100, 80)...)
	f.start(away, false)
	f.checkSettled(acknowledged)
	if away.store.installs == installs {
		t.Error("the member caught up with entries that were erased")
	}
	if err := leader.node.Erase(1 << 40); err == nil {
		t.Error("entries that the store does not hold were erased")
	}
}

func TestWritesGoOnWhileTheLogIsRewritten(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	var acknowledged []string
	done := make(chan struct{})
	leader := f.leader()
	index, _, err := leader.node.Propose([]byte("first")).Wait()
	must(t, err)
	go func() {
		defer close(done)
		for at := range 20 {
			for _, m := range f.members {
				if err := m.node.Erase(index); err != nil && m.store.AppliedIndex() > index {
					t.Error(fmt.Errorf("erasure %d: %w", at, err))
				}
			}
		}
	}()
	acknowledged = f.put(0, 100)
	<-done
	f.checkSettled(append(acknowledged, "first"))
}
