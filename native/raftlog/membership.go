// Changes of the membership: one at a time, each naming the configuration that it was decided upon (replication.md 19).

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

// Membership is the newest configuration and the entry that holds it.
type Membership struct {
	Index   uint64   `json:"index"`
	Members []Member `json:"members"`
}

// State is what a member knows of the fleet's log. Applied is how far its store is, Queued what the store was given.
type State struct {
	Leadership
	Server   string `json:"server"`
	Last     uint64 `json:"last"`
	Commit   uint64 `json:"commit"`
	Queued   uint64 `json:"queued"`
	Applied  uint64 `json:"applied"`
	Snapshot uint64 `json:"snapshot"`
}

// Health is how this member's disk and its connections to others fare.
type Health struct {
	// FsyncP99Ms is the 99th percentile of the last writes to the log, 0 before the first.
	FsyncP99Ms       float64   `json:"fsyncP99Ms"`
	ElectionsIn10Min int       `json:"electionsIn10Min"`
	Refused          []Refusal `json:"refused"`
}

// Health answers without waiting for anything.
func (node *Node) Health() Health {
	return Health{FsyncP99Ms: node.log.syncs.p99(), ElectionsIn10Min: node.elections.count(time.Now()), Refused: node.refusals.list()}
}

// State answers without waiting for anything.
func (node *Node) State() State {
	now := node.current()
	snapshot, _ := node.snapshots.newest()
	state := State{Leadership: leadershipOf(now), Server: node.server, Last: now.LastIndex(), Commit: now.CommitIndex(), Queued: node.fsm.queued.Load(), Applied: node.options.Machine.AppliedIndex()}
	if snapshot != nil {
		state.Snapshot = snapshot.Index
	}
	return state
}

// configuration is the newest one of this member, committed or not; nil before it has any. raft itself does not tell its entry
// (GetConfiguration().Index() is always 0 in 1.7.3), so it is read where it is written: in the log, or with the snapshot.
func (node *Node) configuration() (*configured, error) {
	found, err := node.snapshots.configured()
	if err != nil {
		return nil, err
	}
	if newest := node.log.newest(); newest != nil && (found == nil || newest.index > found.index) {
		found = newest
	}
	return found, nil
}

// Membership reads the configuration as this member knows it.
func (node *Node) Membership() (Membership, error) {
	told := Membership{Members: []Member{}}
	newest, err := node.configuration()
	if err != nil || newest == nil {
		return told, err
	}
	told.Index = newest.index
	for _, server := range newest.servers.Servers {
		told.Members = append(told.Members, Member{Server: string(server.ID), Voter: server.Suffrage == raft.Voter})
	}
	return told, nil
}

// AddNonvoter has the leader send its log to a server that does not count yet. previous is the index of the configuration it was decided upon, 0 for any.
func (node *Node) AddNonvoter(server string, previous uint64) error {
	if !serverPattern.MatchString(server) {
		return fmt.Errorf("%.64q is no server id", server)
	}
	return node.current().AddNonvoter(raft.ServerID(server), raft.ServerAddress(server), previous, membershipDeadline).Error()
}

// Promote makes a member a voter.
func (node *Node) Promote(server string, previous uint64) error {
	found, err := node.Membership()
	if err != nil {
		return err
	}
	for _, member := range found.Members {
		if member.Server == server {
			return node.current().AddVoter(raft.ServerID(server), raft.ServerAddress(server), previous, membershipDeadline).Error()
		}
	}
	return fmt.Errorf("server %.64q is no member; add it as a non-voter first", server)
}

// Demote makes a voter a member that does not count.
func (node *Node) Demote(server string, previous uint64) error {
	return node.current().DemoteVoter(raft.ServerID(server), previous, membershipDeadline).Error()
}

// Remove takes a member out.
func (node *Node) Remove(server string, previous uint64) error {
	return node.current().RemoveServer(raft.ServerID(server), previous, membershipDeadline).Error()
}

// Transfer hands the leadership to that voter, or to the most current one for "".
func (node *Node) Transfer(server string) error {
	if server == "" {
		return node.transfer(node.current())
	}
	return node.current().LeadershipTransferToServer(raft.ServerID(server), raft.ServerAddress(server)).Error()
}

// Snapshot makes a reference now, so that older entries may go.
func (node *Node) Snapshot() error { return node.current().Snapshot().Error() }
