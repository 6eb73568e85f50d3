// Membership changes: one at a time, each conditional on the configuration it was decided upon (replication.md 19).

package raftlog

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const membershipDeadline = 10 * time.Second

// Member is one server of the configuration.
type Member struct {
	Server string `json:"server"`
	Voter  bool   `json:"voter"`
}

// Membership is the newest configuration and the index of its entry.
type Membership struct {
	Index   uint64   `json:"index"`
	Members []Member `json:"members"`
}

// State is this member's view of the log. Applied is the store's position, Queued the last entry passed to the store.
type State struct {
	Leadership
	Server   string `json:"server"`
	Last     uint64 `json:"last"`
	Commit   uint64 `json:"commit"`
	Queued   uint64 `json:"queued"`
	Applied  uint64 `json:"applied"`
	Snapshot uint64 `json:"snapshot"`
}

// Health describes this member's disk and its connections to others.
type Health struct {
	// FsyncP99Ms is the 99th percentile of the last writes to the log, 0 before the first; FsyncSamples counts them.
	FsyncP99Ms       float64   `json:"fsyncP99Ms"`
	FsyncSamples     int       `json:"fsyncSamples"`
	ElectionsIn10Min int       `json:"electionsIn10Min"`
	Refused          []Refusal `json:"refused"`
}

// Health returns the current measurements without blocking.
func (n *Node) Health() Health {
	p99Ms, samples := n.log.writeLatency.p99()
	return Health{
		FsyncP99Ms:       p99Ms,
		FsyncSamples:     samples,
		ElectionsIn10Min: n.elections.count(time.Now()),
		Refused:          n.refusals.list(),
	}
}

// State returns the current state without blocking.
func (n *Node) State() State {
	now := n.current()
	snapshot, _ := n.snapshots.newest()
	state := State{
		Leadership: n.leadershipOf(now),
		Server:     n.server,
		Last:       now.LastIndex(),
		Commit:     now.CommitIndex(),
		Queued:     n.fsm.queued.Load(),
		Applied:    n.options.StateMachine.AppliedIndex(),
	}
	if snapshot != nil {
		state.Snapshot = snapshot.Index
	}
	return state
}

// configuration returns the newest configuration of this member, committed or not; nil before it has any. raft does not
// report its index (GetConfiguration().Index() is always 0 in 1.7.3), so it is taken from where it is stored: the log
// or the snapshot record.
func (n *Node) configuration() (*indexedConfiguration, error) {
	found, err := n.snapshots.latestConfiguration()
	if err != nil {
		return nil, err
	}
	if newest := n.log.latestConfiguration(); newest != nil && (found == nil || newest.index > found.index) {
		found = newest
	}
	return found, nil
}

// Membership returns the configuration as this member knows it.
func (n *Node) Membership() (Membership, error) {
	membership := Membership{Members: []Member{}}
	newest, err := n.configuration()
	if err != nil || newest == nil {
		return membership, err
	}
	membership.Index = newest.index
	for _, server := range newest.servers.Servers {
		membership.Members = append(membership.Members,
			Member{Server: string(server.ID), Voter: server.Suffrage == raft.Voter})
	}
	return membership, nil
}

// AddNonvoter adds a server that receives the log and has no vote. previous is the index of the configuration that the
// change is based on, 0 for any.
func (n *Node) AddNonvoter(server string, previous uint64) error {
	if !serverPattern.MatchString(server) {
		return fmt.Errorf("%.64q is not a server id", server)
	}
	return n.current().AddNonvoter(raft.ServerID(server), raft.ServerAddress(server), previous, membershipDeadline).Error()
}

// Promote makes a member a voter.
func (n *Node) Promote(server string, previous uint64) error {
	found, err := n.Membership()
	if err != nil {
		return err
	}
	for _, member := range found.Members {
		if member.Server == server {
			return n.current().AddVoter(raft.ServerID(server), raft.ServerAddress(server), previous, membershipDeadline).Error()
		}
	}
	return fmt.Errorf("server %.64q is not a member; add it as a non-voter first", server)
}

// Demote makes a voter a non-voter.
func (n *Node) Demote(server string, previous uint64) error {
	return n.current().DemoteVoter(raft.ServerID(server), previous, membershipDeadline).Error()
}

// Remove removes a member.
func (n *Node) Remove(server string, previous uint64) error {
	return n.current().RemoveServer(raft.ServerID(server), previous, membershipDeadline).Error()
}

// Transfer transfers leadership to that voter, or to the most current one for "".
func (n *Node) Transfer(server string) error { return n.transferTo(n.current(), server) }

// Snapshot writes a snapshot record now, so that older entries may be discarded.
func (n *Node) Snapshot() error { return n.current().Snapshot().Error() }
