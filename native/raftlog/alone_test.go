// Tests that a forced single voter keeps everything its disk holds.

package raftlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cairn.internal/native/raftlog"
)

func TestForcedSingleVoterKeepsItsLog(t *testing.T) {
	f := newFleet(t, 3, raftlog.Retention{})
	acknowledged := f.put(0, 20)
	f.checkSettled(acknowledged)
	left := f.members[1]
	before := left.store.position
	acknowledged = append(acknowledged, f.put(20, 20)...)
	f.checkSettled(acknowledged)
	for _, m := range f.members {
		f.stop(m)
	}
	// As after a power failure: the store is behind the log, because only the log is fsynced.
	left.store.position, left.store.values = before, left.store.values[:20]
	must(t, os.WriteFile(filepath.Join(left.folder, raftlog.AloneFile), nil, 0o600))
	others := f.members
	f.members = []*member{left}
	f.start(left, false)
	until(t, "it to lead as the sole voter", func() bool { return left.node.State().Leading })
	until(t, "all to be applied", func() bool { return len(left.store.applied()) == 40 })
	if got := fmt.Sprint(left.store.applied()); got != fmt.Sprint(acknowledged) {
		t.Errorf("it holds %s, acknowledged were %v", got, acknowledged)
	}
	if _, err := os.Stat(filepath.Join(left.folder, raftlog.AloneFile)); err == nil {
		t.Error("the file was not removed")
	}
	f.put(40, 1)
	// Without the file, the next start keeps the single-voter configuration.
	f.stop(left)
	f.start(left, false)
	until(t, "it to lead again", func() bool { return left.node.State().Leading })
	f.members = others
}
