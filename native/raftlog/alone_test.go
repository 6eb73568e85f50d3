// A member that goes on without the others keeps everything its disk holds.

package raftlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cairn.internal/native/raftlog"
)

func TestWhoGoesOnAloneKeepsAllThatItsLogHolds(t *testing.T) {
	all := newFleet(t, 3, raftlog.Keep{})
	acknowledged := all.put(0, 20)
	all.settled(acknowledged)
	left := all.members[1]
	before := left.store.applied
	acknowledged = append(acknowledged, all.put(20, 20)...)
	all.settled(acknowledged)
	for _, one := range all.members {
		all.stop(one)
	}
	// The store is as after a loss of power: behind the log, which alone is synced.
	left.store.applied, left.store.values = before, left.store.values[:20]
	must(t, os.WriteFile(filepath.Join(left.folder, raftlog.AloneFile), nil, 0o600))
	others := all.members
	all.members = []*member{left}
	all.start(left, false)
	until(t, "it to lead alone", func() bool { return left.node.State().Leading })
	until(t, "all to be applied", func() bool { return len(left.store.seen()) == 40 })
	if got := fmt.Sprint(left.store.seen()); got != fmt.Sprint(acknowledged) {
		t.Errorf("it holds %s, and %v were acknowledged", got, acknowledged)
	}
	if _, err := os.Stat(filepath.Join(left.folder, raftlog.AloneFile)); err == nil {
		t.Error("the file is still there")
	}
	all.put(40, 1)
	// Not asked for again, it still is alone.
	all.stop(left)
	all.start(left, false)
	until(t, "it to lead again", func() bool { return left.node.State().Leading })
	all.members = others
}
