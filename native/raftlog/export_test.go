// What tests of the package's outside may break inside.

package raftlog

import (
	"time"

	"github.com/hashicorp/raft"
)

// FailTransfers makes every handing over fail from now on.
func (node *Node) FailTransfers(err error) { node.transfer = func(*raft.Raft) error { return err } }

// BreakDisk makes every write to the log and the vote fail.
func (node *Node) BreakDisk() { _ = node.log.BoltStore.Close() }

// Trailing is how many entries stay behind the next snapshot.
func (node *Node) Trailing() uint64 { return node.current().ReloadableConfig().TrailingLogs }

// AskPool is the pool of a question about members.
const AskPool = poolAsk

// SetCommitTimeout changes it for members that start later; answers what it was.
func SetCommitTimeout(next time.Duration) time.Duration {
	before := commitTimeout
	commitTimeout = next
	return before
}
