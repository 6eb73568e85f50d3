// Timing profiles, one for a whole fleet (replication.md 23), and the raft configuration.

package raftlog

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Profile is how long silence lasts before an election, and how long a leader's lease lasts after its last contact.
type Profile struct {
	Heartbeat time.Duration
	Lease     time.Duration
}

var profiles = map[string]Profile{
	"lan":  {400 * time.Millisecond, 300 * time.Millisecond},
	"home": {800 * time.Millisecond, 600 * time.Millisecond},
	"wan":  {2000 * time.Millisecond, 1500 * time.Millisecond},
}

// ProfileOf returns the profile of that name.
func ProfileOf(name string) (Profile, error) {
	profile, ok := profiles[name]
	if !ok {
		return Profile{}, fmt.Errorf("unknown profile %q; use lan, home or wan", name)
	}
	return profile, nil
}

const maxAppendEntries = 16

// commitTimeout is when raft itself sends an idle follower the commit index (up to twice as long); followerprogress.go
// is faster. Tests raise it.
var commitTimeout = 50 * time.Millisecond

// Retention is how many entries a snapshot leaves in the log, and after how many new ones the next snapshot is made.
type Retention struct {
	Trailing  uint64
	Threshold uint64
	// AfterCopy is how long the whole log is kept after a copy was sent; 0 means ten minutes.
	AfterCopy time.Duration
}

func configOf(server string, profile Profile, retention Retention, log hclog.Logger) *raft.Config {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(server)
	config.HeartbeatTimeout = profile.Heartbeat
	config.ElectionTimeout = profile.Heartbeat
	config.LeaderLeaseTimeout = profile.Lease
	config.MaxAppendEntries = maxAppendEntries
	config.CommitTimeout = commitTimeout
	config.NoSnapshotRestoreOnStart = true
	config.Logger = log
	if retention.Trailing > 0 {
		config.TrailingLogs = retention.Trailing
	}
	if retention.Threshold > 0 {
		config.SnapshotThreshold = retention.Threshold
	}
	return config
}
