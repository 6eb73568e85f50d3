// Tests how soon followers learn that an entry is committed.

package raftlog_test

import (
	"context"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
)

// raft's own commit timeout is 30 s here, so only sendCommits can inform the followers in time.
func TestCommitsAreSentWithoutDelay(t *testing.T) {
	before := raftlog.SetCommitTimeout(30 * time.Second)
	defer raftlog.SetCommitTimeout(before)
	f := newFleet(t, 3, raftlog.Retention{})
	written := f.put(0, 3)
	for at := range 5 {
		written = append(written, f.put(10+at, 1)...)
		leader := f.leader()
		want := leader.store.AppliedIndex()
		for _, m := range f.members {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if err := m.store.WaitApplied(ctx, want); err != nil {
				t.Fatalf("%s did not learn that entry %d is committed: %v", m.id, want, err)
			}
			cancel()
		}
	}
	f.checkSettled(written)
}
