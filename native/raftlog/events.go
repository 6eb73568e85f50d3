// One log line for each vote that this member stored and each term in which it acted as leader, so that tests can check
// raft's own promises (replication.md 31).

package raftlog

import (
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

type raftEvents struct {
	log    hclog.Logger
	server string
	epoch  string
	// led is the term of the last line about leading.
	led atomic.Uint64
}

// leads is called with the term of each message that only the leader of that term sends.
func (e *raftEvents) leads(term uint64) {
	if e.led.Swap(term) != term {
		e.log.Info("event", "kind", "leads", "server", e.server, "epoch", e.epoch, "term", term)
	}
}

// votes is called with each vote once it is stored.
func (e *raftEvents) votes(term uint64, candidate string) {
	e.log.Info("event", "kind", "votes", "server", e.server, "epoch", e.epoch, "term", term, "for", candidate)
}
