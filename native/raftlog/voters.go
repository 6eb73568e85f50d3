// Decides which servers may append entries here (security.md 8): the voters of the newest configuration, and for a
// joiner those that admitted it. hashicorp/raft checks no sender. A member that was away may not know a new voter, so
// it queries the voters it knows.

package raftlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	voterQueryTimeout = 2 * time.Second
	voterCacheTTL     = 10 * time.Second
	nonVoterCacheTTL  = time.Second
	maxVoterRecords   = 256
)

// errNoVoterReachable says that no voter of the newest configuration could be queried.
var errNoVoterReachable = errors.New("none of the known voters could be reached")

// VoterRecord is what the known voters report about an unknown server. Node is the embedder's name of its device, "" if
// unknown.
type VoterRecord struct {
	Node  string
	Voter bool
}

// roster is the reply to a member list query.
type roster struct {
	Index   uint64         `json:"index"`
	Members []rosterMember `json:"members"`
}

type rosterMember struct {
	Member
	Node string `json:"node"`
}

func (n *Node) roster() roster {
	reply := roster{Members: []rosterMember{}}
	membership, err := n.Membership()
	if err != nil {
		return reply
	}
	reply.Index = membership.Index
	for _, member := range membership.Members {
		known := rosterMember{Member: member}
		if n.options.NodeOf != nil {
			known.Node = n.options.NodeOf(member.Server)
		}
		reply.Members = append(reply.Members, known)
	}
	return reply
}

// checkVoter refuses a server that is not a voter.
func (n *Node) checkVoter(server string) error {
	newest, err := n.configuration()
	if err != nil {
		return refusalf("not_ready", "%v", err)
	}
	isVoterOutside := func() bool { return n.options.Voter != nil && n.options.Voter(server) }
	if newest == nil {
		if n.options.Voter == nil || isVoterOutside() {
			return nil
		}
		return refusalf("not_a_voter", "server %s is not one of those that admitted this node", server)
	}
	for _, known := range newest.servers.Servers {
		if string(known.ID) == server && known.Suffrage == raft.Voter {
			return nil
		}
	}
	record, err := n.LookupVoter(server)
	if err == nil && record.Voter || errors.Is(err, errNoVoterReachable) && isVoterOutside() {
		return nil
	}
	return refusalf("not_a_voter",
		"server %s is not a voter in the newest configuration (entry %d); only voters may append entries",
		server, newest.index)
}

// voterRecords caches replies for seconds and allows only one query at a time.
type voterRecords struct {
	mu       sync.Mutex
	byServer map[string]cachedVoterRecord
}

type cachedVoterRecord struct {
	record VoterRecord
	err    error
	until  time.Time
}

// LookupVoter queries the known voters about a server. One reply is enough if its configuration is not older than ours,
// as voters are trusted.
func (n *Node) LookupVoter(server string) (VoterRecord, error) {
	cache := &n.voterRecords
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if known, ok := cache.byServer[server]; ok && time.Now().Before(known.until) {
		return known.record, known.err
	}
	record, err := n.queryVoters(server)
	if len(cache.byServer) >= maxVoterRecords {
		clear(cache.byServer)
	}
	until := time.Now().Add(nonVoterCacheTTL)
	if record.Voter {
		until = time.Now().Add(voterCacheTTL)
	}
	cache.byServer[server] = cachedVoterRecord{record, err, until}
	return record, err
}

func (n *Node) queryVoters(server string) (VoterRecord, error) {
	newest, err := n.configuration()
	if err != nil || newest == nil {
		return VoterRecord{}, errors.Join(errNoVoterReachable, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), voterQueryTimeout)
	defer cancel()
	replies := make(chan *roster, len(newest.servers.Servers))
	queried := 0
	for _, voter := range newest.servers.Servers {
		if voter.Suffrage != raft.Voter || string(voter.ID) == server || string(voter.ID) == n.server {
			continue
		}
		queried++
		go func() { replies <- n.queryVoter(ctx, string(voter.ID)) }()
	}
	reachable := false
	for range queried {
		var reply *roster
		select {
		case reply = <-replies:
		case <-ctx.Done():
		}
		if reply == nil {
			continue
		}
		reachable = true
		for _, member := range reply.Members {
			if member.Server == server && reply.Index >= newest.index {
				return VoterRecord{Node: member.Node, Voter: member.Voter}, nil
			}
		}
	}
	if !reachable {
		return VoterRecord{}, errNoVoterReachable
	}
	return VoterRecord{}, nil
}

func (n *Node) queryVoter(ctx context.Context, voter string) *roster {
	conn, err := n.options.Network.Dial(ctx, voter)
	if err != nil {
		return nil
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	hello := n.own
	hello.To, hello.Pool = voter, poolQuery
	if _, err := hello.open(conn); err != nil {
		return nil
	}
	var reply roster
	if err := readJSON(conn, &reply, maxReplyBytes); err != nil {
		return nil
	}
	return &reply
}
