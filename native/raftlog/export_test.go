// Test hooks into the package's internals.

package raftlog

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// FailTransfers makes every later leadership transfer fail.
func (n *Node) FailTransfers(err error) { n.transfer = func(*raft.Raft) error { return err } }

// BreakDisk makes every write to the log and the vote fail.
func (n *Node) BreakDisk() { _ = n.log.file.Close() }

// Trailing returns how many entries the next snapshot leaves in the log.
func (n *Node) Trailing() uint64 { return n.current().ReloadableConfig().TrailingLogs }

// VoterRecords returns how many replies about unknown servers are cached.
func (n *Node) VoterRecords() int {
	n.voterRecords.mu.Lock()
	defer n.voterRecords.mu.Unlock()
	return len(n.voterRecords.byServer)
}

// QueryPool is the pool of connections that query the member list.
const QueryPool = poolQuery

// DataLossPool is the pool of connections that notify a server of its data loss.
const DataLossPool = poolDataLoss

// Dial opens a connection of the pool that queries the member list.
func (n *Node) Dial(server string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloDeadline)
	defer cancel()
	return n.dial(ctx, server, poolQuery)
}

// SetCommitTimeout sets commitTimeout for members that start later and returns the previous value.
func SetCommitTimeout(next time.Duration) time.Duration {
	before := commitTimeout
	commitTimeout = next
	return before
}

// SetCopyIdleTimeout sets copyIdleTimeout for connections that are accepted later and returns the previous value.
func SetCopyIdleTimeout(next time.Duration) time.Duration {
	before := copyIdleTimeout
	copyIdleTimeout = next
	return before
}
