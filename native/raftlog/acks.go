// Tracks which entries each member acknowledged while this member led. An acknowledged and committed entry is
// permanent; a member that no longer has it runs on an older copy of its disk (replication.md 17). Kept in memory only.

package raftlog

import (
	"sync"
	"time"
)

const maxAcks = 1024

type ack struct {
	// index is the highest entry acknowledged in term. It counts as durable once it is committed in that term: until then
	// a later leader may replace it.
	term       uint64
	index      uint64
	durable    uint64
	notifiedAt time.Time
}

type acks struct {
	mu       sync.Mutex
	byServer map[string]*ack
}

// note records that server acknowledged every entry up to index in term; commit is the commit index of that term.
func (a *acks) note(server string, term, index, commit uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byServer[server]
	if known == nil {
		if len(a.byServer) >= maxAcks {
			clear(a.byServer)
		}
		known = &ack{}
		a.byServer[server] = known
	}
	known.advance(term, commit)
	known.term, known.index = term, max(known.index, index)
}

func (a *ack) advance(term, commit uint64) {
	if a.term != term {
		a.index = 0
		return
	}
	a.durable = max(a.durable, min(a.index, commit))
}

func (a *acks) durableIndex(server string, term, commit uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byServer[server]
	if known == nil {
		return 0
	}
	if known.term == term {
		known.advance(term, commit)
	}
	return known.durable
}

// mayNotify reports whether the server may be notified of its data loss now, and limits how often that happens.
func (a *acks) mayNotify(server string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.byServer[server]
	if known == nil || now.Sub(known.notifiedAt) < dataLossNoticeInterval {
		return false
	}
	known.notifiedAt = now
	return true
}
