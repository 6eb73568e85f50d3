// How soon followers know that an entry is committed.

package raftlog_test

import (
	"context"
	"testing"
	"time"

	"cairn.internal/native/raftlog"
)

// With a raft that would tell a quiet follower only after half a minute, what they learn they learn by us.
func TestFollowersLearnOfCommitsAtOnce(t *testing.T) {
	before := raftlog.SetCommitTimeout(30 * time.Second)
	defer raftlog.SetCommitTimeout(before)
	all := newFleet(t, 3, raftlog.Keep{})
	written := all.put(0, 3)
	for at := range 5 {
		written = append(written, all.put(10+at, 1)...)
		leader := all.leader()
		want := leader.store.AppliedIndex()
		for _, one := range all.members {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if err := one.store.WaitApplied(ctx, want); err != nil {
				t.Fatalf("%s does not know that entry %d is committed: %v", one.id, want, err)
			}
			cancel()
		}
	}
	all.settled(written)
}
