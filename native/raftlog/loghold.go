// Keeps the whole log while a member receives a copy of the store and for a while after: if entries behind the copy
// were dropped, it would need another copy at once (replication.md 22).

package raftlog

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// holdAfterCopy is how long the log is kept after a copy was sent.
const holdAfterCopy = 10 * time.Minute

// logHold counts the copies in progress; trailing is the retention without any.
type logHold struct {
	mu       sync.Mutex
	copies   int
	timer    *time.Timer
	trailing uint64
}

// configure sets the retention that a new raft instance starts with.
func (h *logHold) configure(config *raft.Config) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trailing = config.TrailingLogs
	if h.copies > 0 || h.timer != nil {
		config.TrailingLogs = math.MaxUint64 >> 1
	}
}

// holdLog keeps every entry until release is called and Retention.AfterCopy has passed.
func (n *Node) holdLog() (release func()) {
	hold := &n.logHold
	hold.mu.Lock()
	defer hold.mu.Unlock()
	hold.copies++
	if hold.timer != nil {
		hold.timer.Stop()
		hold.timer = nil
	}
	n.setTrailingLogs(math.MaxUint64 >> 1)
	return sync.OnceFunc(func() {
		hold.mu.Lock()
		defer hold.mu.Unlock()
		hold.copies--
		if hold.copies > 0 {
			return
		}
		after := n.options.Retention.AfterCopy
		if after == 0 {
			after = holdAfterCopy
		}
		var timer *time.Timer
		timer = time.AfterFunc(after, func() {
			hold.mu.Lock()
			defer hold.mu.Unlock()
			if hold.timer == timer {
				hold.timer = nil
				n.setTrailingLogs(hold.trailing)
			}
		})
		hold.timer = timer
	})
}

// setTrailingLogs changes how many entries later snapshots leave in the log.
func (n *Node) setTrailingLogs(entries uint64) {
	now := n.current()
	config := now.ReloadableConfig()
	config.TrailingLogs = entries
	if err := now.ReloadConfig(config); err != nil {
		n.options.Log.Error("changing how much of the log is kept failed", "reason", err)
	}
}
