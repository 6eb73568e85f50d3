// Who may order entries here (security.md 8): the voters of the newest configuration, and for a joiner those that admitted it. hashicorp/raft
// checks no sender. A member that was away may not know of a new voter, so it asks those that it knows.

package raftlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	askDeadline    = 2 * time.Second
	trustFor       = 10 * time.Second
	distrustFor    = time.Second
	maxTestimonies = 256
)

// errNobodyAnswers says that no voter of the newest configuration could be asked.
var errNobodyAnswers = errors.New("none of the known voters could be asked")

// Testimony is what voters say of a server that is new here. Node is the embedder's name of its device, "" where it is unknown.
type Testimony struct {
	Node  string
	Voter bool
}

// roster is what a member tells of the fleet when it is asked.
type roster struct {
	Index   uint64         `json:"index"`
	Members []rosterMember `json:"members"`
}

type rosterMember struct {
	Member
	Node string `json:"node"`
}

func (node *Node) roster() roster {
	told := roster{Members: []rosterMember{}}
	membership, err := node.Membership()
	if err != nil {
		return told
	}
	told.Index = membership.Index
	for _, member := range membership.Members {
		known := rosterMember{Member: member}
		if node.options.NodeOf != nil {
			known.Node = node.options.NodeOf(member.Server)
		}
		told.Members = append(told.Members, known)
	}
	return told
}

// mayOrder refuses a server that is no voter.
func (node *Node) mayOrder(server string) error {
	newest, err := node.configuration()
	if err != nil {
		return refuse("not_ready", "%v", err)
	}
	told := func() bool { return node.options.Voter != nil && node.options.Voter(server) }
	if newest == nil {
		if node.options.Voter == nil || told() {
			return nil
		}
		return refuse("not_a_voter", "server %s is none of those that admitted this node", server)
	}
	for _, known := range newest.servers.Servers {
		if string(known.ID) == server && known.Suffrage == raft.Voter {
			return nil
		}
	}
	testimony, err := node.Ask(server)
	if err == nil && testimony.Voter || errors.Is(err, errNobodyAnswers) && told() {
		return nil
	}
	return refuse("not_a_voter", "server %s is no voter of the newest configuration (entry %d); only voters order entries", server, newest.index)
}

// testimonies are kept for seconds, and only one inquiry runs at a time.
type testimonies struct {
	mu       sync.Mutex
	byServer map[string]heard
}

type heard struct {
	testimony Testimony
	err       error
	until     time.Time
}

// Ask has the known voters tell what they know of a server. The word of one whose configuration is not older than ours is
// enough, as voters are trusted.
func (node *Node) Ask(server string) (Testimony, error) {
	all := &node.testimonies
	all.mu.Lock()
	defer all.mu.Unlock()
	if known, is := all.byServer[server]; is && time.Now().Before(known.until) {
		return known.testimony, known.err
	}
	testimony, err := node.askVoters(server)
	if len(all.byServer) >= maxTestimonies {
		clear(all.byServer)
	}
	until := time.Now().Add(distrustFor)
	if testimony.Voter {
		until = time.Now().Add(trustFor)
	}
	all.byServer[server] = heard{testimony, err, until}
	return testimony, err
}

func (node *Node) askVoters(server string) (Testimony, error) {
	newest, err := node.configuration()
	if err != nil || newest == nil {
		return Testimony{}, errors.Join(errNobodyAnswers, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), askDeadline)
	defer cancel()
	answers := make(chan *roster, len(newest.servers.Servers))
	asked := 0
	for _, voter := range newest.servers.Servers {
		if voter.Suffrage != raft.Voter || string(voter.ID) == server || string(voter.ID) == node.server {
			continue
		}
		asked++
		go func() { answers <- node.askOne(ctx, string(voter.ID)) }()
	}
	anyone := false
	for range asked {
		var told *roster
		select {
		case told = <-answers:
		case <-ctx.Done():
		}
		if told == nil {
			continue
		}
		anyone = true
		for _, member := range told.Members {
			if member.Server == server && told.Index >= newest.index {
				return Testimony{Node: member.Node, Voter: member.Voter}, nil
			}
		}
	}
	if !anyone {
		return Testimony{}, errNobodyAnswers
	}
	return Testimony{}, nil
}

func (node *Node) askOne(ctx context.Context, voter string) *roster {
	conn, err := node.options.Network.Dial(ctx, voter)
	if err != nil {
		return nil
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	hello := node.own
	hello.To, hello.Pool = voter, poolAsk
	if _, err := hello.open(conn); err != nil {
		return nil
	}
	var told roster
	if err := readJSON(conn, &told, maxReplyBytes); err != nil {
		return nil
	}
	return &told
}
