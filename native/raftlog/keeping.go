// While a member is given a copy of the store, and for a while after, no entry behind it is dropped: it would need another copy at once (replication.md 22).

package raftlog

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// keepAfterInstall is how long the log is kept after a copy was sent.
const keepAfterInstall = 10 * time.Minute

// keeping counts the copies on their way; trailing is what is kept without any.
type keeping struct {
	mu       sync.Mutex
	copies   int
	timer    *time.Timer
	trailing uint64
}

// begin sets what a life of raft starts with.
func (keeping *keeping) begin(config *raft.Config) {
	keeping.mu.Lock()
	defer keeping.mu.Unlock()
	keeping.trailing = config.TrailingLogs
	if keeping.copies > 0 || keeping.timer != nil {
		config.TrailingLogs = math.MaxUint64 >> 1
	}
}

// holdLog keeps every entry until the answer is called and a time after it.
func (node *Node) holdLog() (release func()) {
	keeping := &node.keeping
	keeping.mu.Lock()
	defer keeping.mu.Unlock()
	keeping.copies++
	if keeping.timer != nil {
		keeping.timer.Stop()
		keeping.timer = nil
	}
	node.trail(math.MaxUint64 >> 1)
	return sync.OnceFunc(func() {
		keeping.mu.Lock()
		defer keeping.mu.Unlock()
		keeping.copies--
		if keeping.copies > 0 {
			return
		}
		after := node.options.Keep.After
		if after == 0 {
			after = keepAfterInstall
		}
		var mine *time.Timer
		mine = time.AfterFunc(after, func() {
			keeping.mu.Lock()
			defer keeping.mu.Unlock()
			if keeping.timer == mine {
				keeping.timer = nil
				node.trail(keeping.trailing)
			}
		})
		keeping.timer = mine
	})
}

// trail changes how many entries stay behind a snapshot, from the next one on.
func (node *Node) trail(entries uint64) {
	now := node.current()
	config := now.ReloadableConfig()
	config.TrailingLogs = entries
	if err := now.ReloadConfig(config); err != nil {
		node.options.Log.Error("how much of the log is kept could not be changed", "reason", err)
	}
}
