// Timing: three profiles, one for a whole fleet (replication.md 23), and what raft is configured with.

package raftlog

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Profile is how long silence lasts before an election, and how long a leader may count on what it last heard.
type Profile struct {
	Heartbeat time.Duration
	Lease     time.Duration
}

var profiles = map[string]Profile{
	"lan":  {400 * time.Millisecond, 300 * time.Millisecond},
	"home": {800 * time.Millisecond, 600 * time.Millisecond},
	"wan":  {2000 * time.Millisecond, 1500 * time.Millisecond},
}

// ProfileOf finds a profile by its name.
func ProfileOf(name string) (Profile, error) {
	profile, known := profiles[name]
	if !known {
		return Profile{}, fmt.Errorf("no profile %q; there are lan, home and wan", name)
	}
	return profile, nil
}

const maxAppendEntries = 16

// commitTimeout is when raft itself tells a quiet follower what is committed (up to twice as long); telling.go is sooner. Tests make it long.
var commitTimeout = 50 * time.Millisecond

// Keep is how many entries stay behind a snapshot, and after how many new ones the next is made.
type Keep struct {
	Trailing  uint64
	Threshold uint64
	// After is how long everything is kept after a copy was sent; 0 means ten minutes.
	After time.Duration
}

func configOf(server string, profile Profile, keep Keep, log hclog.Logger) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(server)
	config.HeartbeatTimeout = profile.Heartbeat
	config.ElectionTimeout = profile.Heartbeat
	config.LeaderLeaseTimeout = profile.Lease
	config.MaxAppendEntries = maxAppendEntries
	config.CommitTimeout = commitTimeout
	config.NoSnapshotRestoreOnStart = true
	config.Logger = log
	if keep.Trailing > 0 {
		config.TrailingLogs = keep.Trailing
	}
	if keep.Threshold > 0 {
		config.SnapshotThreshold = keep.Threshold
	}
	return config
}
