// What members acknowledged to this one while it led: an entry that one has acknowledged and that is committed is there for ever, or its disk
// is an older copy (replication.md 17). Known only as long as this process lives.

package raftlog

import (
	"sync"
	"time"
)

const maxAcks = 1024

type ack struct {
	// index was acknowledged in term; it counts once it is committed in that term, as a later leader may replace it until then.
	term  uint64
	index uint64
	kept  uint64
	told  time.Time
}

type acks struct {
	mu       sync.Mutex
	byServer map[string]*ack
}

// note takes an acknowledgement of everything up to index, made in term; commit is what is committed in that term by now.
func (all *acks) note(server string, term, index, commit uint64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.byServer[server]
	if known == nil {
		if len(all.byServer) >= maxAcks {
			clear(all.byServer)
		}
		known = &ack{}
		all.byServer[server] = known
	}
	known.settle(term, commit)
	known.term, known.index = term, max(known.index, index)
}

func (known *ack) settle(term, commit uint64) {
	if known.term != term {
		known.index = 0
		return
	}
	known.kept = max(known.kept, min(known.index, commit))
}

func (all *acks) kept(server string, term, commit uint64) uint64 {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.byServer[server]
	if known == nil {
		return 0
	}
	if known.term == term {
		known.settle(term, commit)
	}
	return known.kept
}

// mayTell is true once in a while for each server.
func (all *acks) mayTell(server string, now time.Time) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	known := all.byServer[server]
	if known == nil || now.Sub(known.told) < verdictPause {
		return false
	}
	known.told = now
	return true
}
